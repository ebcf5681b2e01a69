"""Given a budget in passes, which estimator has the least variance where? Variance times passes, over gate sizes.

Averaging n samples divides the variance by n and multiplies the passes by n, so that variance times passes is the price
of a wanted variance. A forward and a backward pass count one each; averages are taken at their exact expectations. The
looked up credits of T16 have, besides their control c_e, a mean for each edge and operation, a table and no pass:

    h_ek = gamma_ek + alpha_ek c_e, the best linear guess of x_e given operation k, c_e plain or reference credit (T17).

The lookups keep them unbiased whatever stands in these tables: a wrong table costs variance, as a wrong baseline does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from nas import estimators, objective
from nas.judging.colours import of_method
from nas.judging.statistics import quartiles
from nas.judging.style import WIDTH, styled
from nas.methods import METHODS
from theory import exact, repairs
from theory.landscapes import Landscape, make

SIZES = (0.125, 0.25, 0.5, 1.0, 2.0)
KINDS = ("quadratic", "saturating")
LOOKS = {  # the method whose colour an estimator's line has, and its marker; a lookup has that of tables
    "REINFORCE": ("reinforce", "o"),
    "AdvantageNAS": ("advantage", "o"),
    "reference credit (T17)": ("reference_advantage", "o"),
    "debiased credit": ("debiased_advantage", "v"),
    "looked up (T16)": ("tabulated_advantage", "D"),
    "looked up (T16), reference (T17)": ("tabulated_advantage", "s"),
    "looked up (T16), no backward pass": ("tabulated_advantage", "^"),
    "exact advantage": ("exact_advantage", "o"),
}


@dataclass(frozen=True)
class Price:
    """Of one estimator: its bias over the gradient's norm, its variance over REINFORCE's, its passes a step."""

    bias: float
    variance: float
    passes: float


def prices(land: Landscape, p: Any, budget: float = 0.25) -> dict[str, Price]:
    """Every estimator's price at policy p (E, K); budget: lookups a step, in expectation, of those that look up."""
    edges = land.edges
    plain = exact.moments(METHODS["reinforce"], land, p)
    gradient = plain.gradient
    norm, unit = float(np.linalg.norm(gradient)), float(plain.total_variance)
    x, credit, reference, weight, gates = _credits(land, p)
    w = ((gates - p) ** 2).sum(axis=-1)

    def of(values: Any, passes: float) -> Price:
        """An estimator that charges `values` (n, E), less their means."""
        centred = values - weight @ values
        mean = np.einsum("n,ne,nek->ek", weight, centred, gates - p)
        second = float(weight @ (w * centred * centred).sum(axis=-1))
        return Price(
            float(np.linalg.norm(mean - gradient)) / norm, (second - float((mean * mean).sum())) / unit, passes
        )

    exactly = of(x, edges + 1)

    def looked_up(control: Any, passes: float) -> Price:
        rest = _unexplained(x, control, weight, gates) * np.einsum("n,ne,nek->ek", weight, w, gates)
        chances = repairs.best_chances(rest, p, budget)
        extra = (rest * (1 / np.where(rest > 0, chances, 1.0) - 1)).sum()
        return Price(0.0, exactly.variance + float(extra) / unit, passes)

    debiased = exact.moments(METHODS["debiased_advantage"], land, p)

    return {
        "REINFORCE": Price(0.0, 1.0, 1),
        "AdvantageNAS": of(credit, 2),
        "reference credit (T17)": of(reference, 2),
        "debiased credit": Price(0.0, float(debiased.total_variance) / unit, 3),
        "looked up (T16)": looked_up(credit, 2 + budget),
        "looked up (T16), reference (T17)": looked_up(reference, 2 + budget),
        "looked up (T16), no backward pass": looked_up(0 * credit, 1 + budget),
        "exact advantage": exactly,
    }


def table(toys: int = 20, edges: int = 6, candidates: int = 4) -> dict[str, Any]:
    """Median and quartiles over `toys` networks of each price, for every kind, gate size and two sorts of policies."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        for policy in ("uniform", "random"):
            for size in tqdm(SIZES, desc=f"{kind}, {policy}", leave=False, disable=None):
                rows = []
                for seed in range(toys):
                    even = np.full((edges, candidates), 1 / candidates)
                    drawn = np.random.default_rng([seed, edges]).dirichlet(np.ones(candidates), edges)
                    land = make(kind, edges, candidates, seed, gate_size=size)
                    rows.append(prices(land, even if policy == "uniform" else drawn))
                found[f"{kind}, {policy}, {size}"] = {
                    name: {
                        "relative_bias": _quartiles([row[name].bias for row in rows]),
                        "variance_over_reinforce": _quartiles([row[name].variance for row in rows]),
                        "passes": rows[0][name].passes,
                        "variance_times_passes": _quartiles([row[name].variance * row[name].passes for row in rows]),
                    }
                    for name in rows[0]
                }
    return {"toys": toys, "edges": edges, "candidates": candidates, "gate_sizes": SIZES, "landscapes": found}


@styled
def figure(numbers: dict[str, Any]) -> Figure:
    """Variance times passes against gate size, a panel a kind of network; what is biased is dashed."""
    drawing = Figure(figsize=(WIDTH, 4.4))
    for axis, kind in zip(drawing.subplots(1, 2, sharey=True), KINDS, strict=True):
        rows = [numbers["landscapes"][f"{kind}, uniform, {size}"] for size in numbers["gate_sizes"]]
        for name in rows[0]:
            biased = max(row[name]["relative_bias"][1] for row in rows) > 1e-9
            values = [row[name]["variance_times_passes"][1] for row in rows]
            method, marker = LOOKS[name]
            axis.plot(
                numbers["gate_sizes"], values, "--" if biased else "-", color=of_method(method), marker=marker,
                markersize=4, label=name,
            )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set(xlabel="gate size", yscale="log", title=f"{kind}, uniform policy, n = {numbers['toys']}")
    drawing.axes[0].set_ylabel("variance over REINFORCE's × passes")
    drawing.legend(*drawing.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return drawing


# ------------------------------------------------------------------ helpers


def _credits(land: Landscape, p: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Exact, first-order and reference credit (n, E) of all architectures, their probabilities and gates."""
    parts = []
    for weight, gates, loss in exact.weighted_losses(land, p):
        slopes = land.gradients(gates, gates * 0 + 1).gate_gradient
        worth = loss[:, None] - objective.zeroed_losses(land, gates)
        credit = estimators.first_order_credit(gates, slopes)
        parts.append((worth, credit, credit - (p * slopes).sum(axis=-1), weight, gates))
    x, credit, reference, weight, gates = (np.concatenate(part) for part in zip(*parts, strict=True))
    return x, credit, reference, weight, gates


def _unexplained(x: Any, control: Any, weight: Any, gates: Any) -> Any:
    """Var(x | a_e = k) (1 - correlation^2 with the control), (E, K)."""
    chance = np.einsum("n,nek->ek", weight, gates)

    def given(values: Any) -> Any:
        return np.einsum("n,ne,nek->ek", weight, values, gates) / np.where(chance > 0, chance, 1.0)

    var_x, var_c = given(x * x) - given(x) ** 2, given(control * control) - given(control) ** 2
    cov = given(x * control) - given(x) * given(control)
    return np.maximum(var_x - cov * cov / np.where(var_c > 1e-14, var_c, np.inf), 0.0)


def _quartiles(values: list[float]) -> list[float]:
    return [float(q) for q in quartiles(values)]
