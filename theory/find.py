"""Which method does a name mean? The registry's, a user's `Method`, or a user's plain estimator function.

A plain function is a method if its parameters are named as fields of `nas.samples.Sample` (probabilities, gates, loss,
gate_gradient, zeroed_loss, alternative_losses, ...): the names say what it needs. `baseline` is the mean loss where the
function takes `loss`, and else the mean first-order credit of each edge; `chosen` makes it draw one edge to zero.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from nas import methods
from nas.methods import CREDIT_AVERAGE, LOSS_AVERAGE, Method
from nas.samples import ONE_HOT, ONE_HOT_AND_EDGE

QUESTION_OF = {
    "loss": "loss",
    "gate_gradient": "gradients",
    "output_gradient": "gradients",
    "zeroed_loss": "zeroed_losses",
    "alternative_losses": "alternative_losses",
    "path_gradients": "path_gradients",
    "mean_loss": "mean",
    "mean_gate_gradient": "mean",
}
DRAWN = ("probabilities", "gates", "chosen")


def find(name: str) -> Method:
    """The method called `name`. Raises: ValueError with what is known, or what is wrong with the user's function."""
    try:
        return methods.find(name)
    except ValueError:
        module, colon, attribute = name.partition(":")
        if not colon:
            raise
        try:
            function = getattr(importlib.import_module(module), attribute, None)
        except ImportError:
            function = None
        if not inspect.isfunction(function):
            raise
    return method_of(function, attribute)


def method_of(function: Callable[..., Any], name: str) -> Method:
    """A method that credits one-hot samples with `function`."""
    parameters = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    known = (*DRAWN, *QUESTION_OF, "baseline")
    for parameter in parameters:
        if parameter not in known:
            raise ValueError(f"estimator {name} takes {parameter!r}, which no sample has; known: {', '.join(known)}")
    needs = {QUESTION_OF[parameter] for parameter in parameters if parameter in QUESTION_OF}
    draw = ONE_HOT
    if "chosen" in parameters:
        draw, needs = ONE_HOT_AND_EDGE, {"zeroed_loss" if n == "zeroed_losses" else n for n in needs}
    averages = {}
    if "baseline" in parameters:
        if "loss" not in parameters and "gate_gradient" not in parameters:
            raise ValueError(f"estimator {name} takes a baseline but neither loss nor gate_gradient to average")
        averages["baseline"] = LOSS_AVERAGE if "loss" in parameters else CREDIT_AVERAGE

    def estimate(sample: Any, memory: Any) -> Any:
        return function(*(memory[p] if p == "baseline" else getattr(sample, p) for p in parameters))

    return Method(name, name.replace("_", " "), draw, estimate, frozenset(needs), averages=averages)
