"""What happens, replicate by replicate, when the methods run? Monte Carlo on problems with known answers.

one setting   simulate (Setting, Machine, Trace), record_steps, uniforms: thousands of replicates at once
many          StudySettings, cells, read (Cell): a grid of settings, and what a study left behind
a check       compare (Comparison): measured moments of an estimator beside the exact ones
"""

from typing import TYPE_CHECKING

from nas.front_door import opened

__all__ = [
    "Cell",
    "Comparison",
    "Machine",
    "Setting",
    "StudySettings",
    "Trace",
    "cells",
    "compare",
    "read",
    "record_steps",
    "simulate",
    "uniforms",
]

if TYPE_CHECKING:
    from simulate.moments import Comparison, compare
    from simulate.philox import uniforms
    from simulate.run import Machine, Setting, Trace, record_steps, simulate
    from simulate.study import Cell, StudySettings, cells, read

    __version__: str
else:
    __getattr__, __dir__ = opened(
        __name__,
        {
            "Cell": "simulate.study",
            "Comparison": "simulate.moments",
            "Machine": "simulate.run",
            "Setting": "simulate.run",
            "StudySettings": "simulate.study",
            "Trace": "simulate.run",
            "cells": "simulate.study",
            "compare": "simulate.moments",
            "read": "simulate.study",
            "record_steps": "simulate.run",
            "simulate": "simulate.run",
            "uniforms": "simulate.philox",
        },
    )
