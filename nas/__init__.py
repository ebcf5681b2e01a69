"""What runs: estimators, policies, methods, parent networks and the search loop. The names to start with:

    estimators   advantage, reinforce, exact_advantage, debiased_advantage: plain functions of arrays
    methods      Method, METHODS, find_method; start, architecture_step: one step of any method
    networks     Edge, EdgeNetwork, Batches, Stored, Supernet, Descent, Space: a network of your own becomes searchable
    tasks        Task: a network with its data, for every command of `python -m nas`
    search       search, SearchSettings, Found

>>> import nas
>>> nas.METHODS["advantage"].label  # every method that is known by name
'AdvantageNAS'
"""

from typing import TYPE_CHECKING

from nas.front_door import opened

__all__ = [
    "METHODS",
    "Batches",
    "Descent",
    "Edge",
    "EdgeNetwork",
    "Found",
    "Method",
    "SearchSettings",
    "Space",
    "Stored",
    "Supernet",
    "Task",
    "advantage",
    "architecture_step",
    "debiased_advantage",
    "exact_advantage",
    "find_method",
    "reinforce",
    "search",
    "start",
]

if TYPE_CHECKING:
    from nas.data.stored import Stored
    from nas.estimators import advantage, debiased_advantage, exact_advantage, reinforce
    from nas.found import Found
    from nas.methods import METHODS, Method
    from nas.methods import find as find_method
    from nas.search import SearchModule
    from nas.settings import SearchSettings
    from nas.spaces.space import Space
    from nas.step import architecture_step, start
    from nas.supernets.batches import Batches
    from nas.supernets.descent import Descent
    from nas.supernets.edge import Edge, EdgeNetwork
    from nas.supernets.supernet import Supernet
    from nas.tasks.task import Task

    search: SearchModule
    __version__: str
else:
    __getattr__, __dir__ = opened(
        __name__,
        {
            "METHODS": "nas.methods",
            "Batches": "nas.supernets.batches",
            "Descent": "nas.supernets.descent",
            "Edge": "nas.supernets.edge",
            "EdgeNetwork": "nas.supernets.edge",
            "Found": "nas.found",
            "Method": "nas.methods",
            "SearchSettings": "nas.settings",
            "Space": "nas.spaces.space",
            "Stored": "nas.data.stored",
            "Supernet": "nas.supernets.supernet",
            "Task": "nas.tasks.task",
            "advantage": "nas.estimators",
            "architecture_step": "nas.step",
            "debiased_advantage": "nas.estimators",
            "exact_advantage": "nas.estimators",
            "find_method": "nas.methods:find",
            "reinforce": "nas.estimators",
            "search": "nas.search",
            "start": "nas.step",
        },
    )
