"""What does every method of the registry pay for a wanted variance? Bias and variance of one step, at equal passes.

Averaging n steps divides the variance by n and multiplies the passes by n, so that variance times passes is the price
of a wanted variance; what averaging leaves is the bias. A forward and a backward pass count one each, and each may run
one operation an edge or all of them: `operations` says how many. Sums are exact where the draw is finite; continuous
noise is integrated, and the standard error of that stands beside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from nas import policy
from nas.judging.colours import of_method
from nas.judging.statistics import quartiles
from nas.judging.style import WIDTH, styled
from nas.methods import METHODS, Method, label
from theory import exact
from theory.landscapes import Landscape, make

KINDS = ("quadratic", "saturating")
PROGRESS = 0.5  # of a search: relaxed methods have the temperature of its middle


@dataclass(frozen=True)
class Price:
    """Of one method: bias over the gradient's norm and variance over REINFORCE's, with the standard errors of both.

    passes: forward and backward ones of a step; operations: how many an average one runs on an edge.
    """

    bias: float
    bias_error: float
    variance: float
    variance_error: float
    passes: int
    operations: float


def comparable(method: Method) -> bool:
    """Whether a step is one of K softmax logits an edge, so that there is one gradient to be held against.

    Random search has no gradient, the binomial methods have one logit an edge, and NASP's parameters are its gates.
    """
    return method.estimator is not None and method.draw.probabilities is policy.softmax and method.name != "nasp"


def prices(land: Landscape, p: Any, points: int = 1024) -> dict[str, Price]:
    """The price of every comparable method at policy p (E, K); points of the quadrature, a replicate."""
    plain = exact.moments(METHODS["reinforce"], land, p)
    norm, scale = float(np.linalg.norm(plain.gradient)), float(plain.total_variance)
    found = {}
    for name, method in METHODS.items():
        if not comparable(method):
            continue
        there = exact.moments(method, land, p, PROGRESS, points)
        found[name] = Price(
            there.bias_norm / norm,
            there.error * there.mean.size**0.5 / norm,
            float(there.total_variance) / scale,
            there.variance_error / scale,
            there.cost.forward + there.cost.backward,
            there.cost.operations,
        )
    return found


def table(toys: int = 10, edges: int = 3, candidates: int = 3, gate_size: float = 0.5) -> dict[str, Any]:
    """Median and quartiles over `toys` networks of a kind at the uniform policy, and the largest standard errors."""
    p = np.full((edges, candidates), 1 / candidates)
    found: dict[str, Any] = {}
    for kind in KINDS:
        rows = [
            prices(make(kind, edges, candidates, seed, gate_size=gate_size), p)
            for seed in tqdm(range(toys), desc=kind, leave=False, disable=None)
        ]
        found[kind] = {
            name: {
                "relative_bias": _quartiles([row[name].bias for row in rows]),
                "bias_error": max(row[name].bias_error for row in rows),
                "variance_over_reinforce": _quartiles([row[name].variance for row in rows]),
                "variance_error": max(row[name].variance_error for row in rows),
                "passes": rows[0][name].passes,
                "operations": rows[0][name].operations,
                "variance_times_passes": _quartiles([row[name].variance * row[name].passes for row in rows]),
            }
            for name in rows[0]
        }
    about = {"toys": toys, "edges": edges, "candidates": candidates, "gate_size": gate_size, "progress": PROGRESS}
    return {**about, "landscapes": found}


@styled
def figure(numbers: dict[str, Any]) -> Figure:
    """Relative bias against variance times passes, a panel a kind of network; what runs all operations is hollow."""
    drawing = Figure(figsize=(WIDTH, 6.2))
    for axis, kind in zip(drawing.subplots(1, 2, sharey=True), KINDS, strict=True):
        for name, row in numbers["landscapes"][kind].items():
            sparse = row["operations"] < numbers["candidates"] / 2
            axis.plot(
                max(row["variance_times_passes"][1], LEAST),
                max(row["relative_bias"][1], LEAST),
                "o" if row["passes"] < numbers["edges"] + 1 else "s",
                color=of_method(name), fillstyle="full" if sparse else "none", linestyle="none", label=label(name),
            )  # fmt: skip
        axis.axvline(1, color="black", linewidth=0.8, zorder=0.5)
        axis.set(xscale="log", yscale="log", xlabel="variance over REINFORCE's × passes")
        axis.set_title(f"{kind}, gate size {numbers['gate_size']}, n = {numbers['toys']}")
    drawing.axes[0].set_ylabel(f"bias over the gradient's norm, {LEAST:g} for less")
    drawing.legend(*drawing.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return drawing


LEAST = 1e-3  # at which the figure's axes begin: none, or less, stands there


def _quartiles(values: list[float]) -> list[float]:
    return [float(q) for q in quartiles(values)]
