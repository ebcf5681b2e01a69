"""Which numbers and figures do the pages docs/results/theory-*.md show? All of them are made here, beside the pages.

nasbench201  exact moments on the trained cells of NAS-Bench-201, at the uniform policy and along the gradient flow
map          where first-order credit's expected step descends: loss curvature against gate size
repairs      bias, variance and cost of the repairs of first-order credit
sampled      how many samples make a step improve: the bounds against the exact failure probability
rule         variance times passes of every estimator over gate sizes: which one to take
methods      bias, and variance times passes, of every method of the registry

Each has a function that computes its numbers and one that draws them, so that a figure can be drawn again from the
numbers on file.
"""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp
from tqdm import tqdm

from nas import policy
from nas.data.nasbench201 import DATASETS
from nas.judging.colours import VARIANCE, of_method
from nas.judging.statistics import quartiles
from nas.judging.style import WIDTH, save, styled
from nas.methods import METHODS
from nas.running.files import FileError, check_folder, read_json
from nas.running.runs import about_this_program, write_atomically
from theory import architectures, equal_passes, exact, repairs, rule, sampled
from theory.claims import t14_concentration
from theory.claims.t5_taylor_bias import FLIP
from theory.claims.t11_best_baseline import BEST
from theory.landscapes import Bilinear, Landscape, Power, make

TABLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16_120": "ImageNet16-120"}
COMPARED = ("reinforce", "exact_advantage", "exact_advantage_with_baseline")


def make_results(out: Path, only: str | None = None, data: Path | None = None, redraw: bool = False) -> Iterator[Path]:
    """Compute, write and draw the results, yielding each file.

    Args: only, one of them; redraw, to draw the numbers that are in `out` already.
    Raises: ValueError if `out` is not a folder, or has no numbers to draw.
    """
    if not out.is_dir():
        raise ValueError(f"no folder {out} to write results into")
    check_folder(out)
    results: dict[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], Figure]]] = {
        "nasbench201": (partial(nasbench, data), nasbench_figure),
        "map": (curvature_map, map_figure),
        "repairs": (repair_table, repairs_figure),
        "sampled": (sampled_bound, sampled_figure),
        "rule": (rule.table, rule.figure),
        "methods": (equal_passes.table, equal_passes.figure),
    }
    for name, (compute, figure) in results.items():
        if only in (None, name):
            path = out / f"theory-{name}.json"
            if redraw:
                numbers = _on_file(path)
            else:
                numbers = compute()
                write_atomically(path, json.dumps({**about_this_program(), **numbers}, indent=1) + "\n")
                yield path
            yield from save(figure(numbers), path.with_suffix(""))


def _on_file(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, dict[str, Any])
    except FileError as error:
        raise ValueError(f"no numbers to draw ({error}); compute them first") from error


# ------------------------------------------------------------------ NAS-Bench-201


def nasbench(data: Path | None = None) -> dict[str, Any]:
    """Exact moments on the real table, for all three data sets."""
    return {
        "datasets": {
            name: _one_table(make("nasbench201", dataset=name, data=data)) for name in tqdm(DATASETS, leave=False)
        }
    }


@styled
def nasbench_figure(numbers: dict[str, Any]) -> Figure:
    """Expected loss and variance along the gradient flow, a column a data set."""
    figure = Figure(figsize=(WIDTH, 5))
    axes = figure.subplots(2, 3, sharex=True)
    for column, (name, table) in enumerate(numbers["datasets"].items()):
        times = [row["time"] for row in table["flow"]]
        axes[0, column].plot(times, [row["expected_loss"] for row in table["flow"]], color="black")
        axes[0, column].axhline(table["min_loss"], color="gray", linewidth=0.8, linestyle=":")
        axes[0, column].set_title(TABLES[name])
        for method in (*(METHODS[method] for method in COMPARED), BEST):
            values = [row[method.name] for row in table["flow"]]
            axes[1, column].plot(times, values, color=of_method(method), label=method.label)
        axes[1, column].set(xlabel="time of the flow", xscale="log", yscale="log", xticks=[1e-2, 1e0, 1e2, 1e4])
    axes[0, 0].set_ylabel("expected test error, %")
    axes[1, 0].set_ylabel("variance of a gradient, %²")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _one_table(land: Landscape) -> dict[str, Any]:
    uniform = np.full((6, 4), 0.25)
    moments = {name: exact.moments(METHODS[name], land, uniform) for name in (*COMPARED, "advantage", "counterfactual")}
    moments["best_baseline"] = exact.moments(BEST, land, uniform)
    plain = moments["reinforce"]

    def slope(time: float, logits: Any) -> Any:
        return -exact.truth(land, policy.softmax(logits.reshape(6, 4))).gradient.ravel()

    times = np.geomspace(1e-2, 1e5, 36)
    path = solve_ivp(slope, (0, times[-1]), np.zeros(24), method="LSODA", t_eval=times, rtol=1e-8, atol=1e-8)
    flow = []
    for time, logits in zip(path.t, path.y.T, strict=True):
        p = policy.softmax(logits.reshape(6, 4))
        row = {"time": float(time), "entropy": float(policy.entropy(p).sum())}
        for name in COMPARED:
            there = exact.moments(METHODS[name], land, p)
            row |= {name: float(there.total_variance), f"{name}_bias": there.bias_norm}
        row |= {
            "expected_loss": float(there.expected_loss),
            "gradient_norm": float(np.linalg.norm(there.gradient)),
            "best_baseline": float(exact.moments(BEST, land, p).total_variance),
        }
        flow.append(row)
    final = tuple(int(k) for k in policy.choices(policy.one_hot_argmax(p)))
    losses = land.loss(architectures.one_hot(architectures.choices(6, 4), 4))
    reached = float(land.loss(np.eye(4)[list(final)]))
    return {
        "min_loss": float(land.min_loss),
        "max_loss": float(land.max_loss),
        "expected_loss": float(plain.expected_loss),
        "gradient_norm": float(np.linalg.norm(plain.gradient)),
        "uniform": {
            name: {
                "bias_norm": m.bias_norm,
                "total_variance": float(m.total_variance),
                "edges_with_less_than_reinforce": int((m.edge_variances < plain.edge_variances).sum()),
                "edge_variances": m.edge_variances.tolist(),
            }
            for name, m in moments.items()
        },
        "largest_step": {"T1": 1 / float(land.max_loss - plain.expected_loss)},
        "flow": flow,
        "flow_ends_at": {"choices": final, "loss": reached, "better_cells": int((losses < reached - 1e-9).sum())},
    }


# ------------------------------------------------------------------ the map


TOYS = ((1, 1), (2, 1), (6, 1), (1, 4), (6, 4))  # edges, outputs
SATURATING_SIZES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)


def curvature_map(toys: int = 500) -> dict[str, Any]:
    """Share of quadratic networks on which the mean of first-order credit climbs.

    L = mean over D of (c/2) s^2 - 2 y s + y^2, s = g sum_e h_e: the gradient is (c g^2 / 2) A - 2 g B and the bias
    (c g^2 / 2) R, so that the direction depends on curvature times gate size, c g, alone.
    """
    curvatures, sizes = np.geomspace(0.05, 20, 27), np.geomspace(0.05, 5, 27)
    product = curvatures[:, None] * sizes
    shares: dict[str, Any] = {}
    for edges, outputs in TOYS:
        climbs, unpromised = np.zeros(product.shape), np.zeros(product.shape)
        for seed in tqdm(range(toys), desc=f"{edges} edges, {outputs} outputs", leave=False, disable=None):
            a, b, r = quadratic_parts(edges, outputs, seed)
            gradient = product[..., None, None] / 2 * a - 2 * b
            bias = product[..., None, None] / 2 * r
            climbs += ((gradient + bias) * gradient).sum(axis=(-1, -2)) <= 0
            unpromised += (bias * bias).sum(axis=(-1, -2)) >= (gradient * gradient).sum(axis=(-1, -2))
        shares[f"E = {edges}, D = {outputs}"] = {
            "climbs": (climbs / toys).tolist(),
            "not_promised": (unpromised / toys).tolist(),
        }
    saturating = {str(edges): _saturating_shares(edges, toys) for edges in (1, 2, 3)}
    return {
        "curvatures": curvatures.tolist(),
        "gate_sizes": sizes.tolist(),
        "toys": toys,
        "shares": shares,
        "saturating": {"gate_sizes": SATURATING_SIZES, "edges": saturating},
    }


@styled
def map_figure(numbers: dict[str, Any]) -> Figure:
    """Where the mean of first-order credit climbs: a map a size of network, and lines for saturating ones."""
    sizes, curvatures, toys = (numbers[name] for name in ("gate_sizes", "curvatures", "toys"))
    figure = Figure(figsize=(WIDTH, 5))
    panels = len(numbers["shares"]) + 1
    *maps, lines = list(figure.subplots(-(-panels // 3), min(panels, 3), squeeze=False).ravel())[:panels]
    for axis, (name, share) in zip(maps, numbers["shares"].items(), strict=True):
        image = axis.pcolormesh(sizes, curvatures, np.array(share["climbs"]), vmin=0, vmax=0.06, rasterized=True)
        axis.contour(sizes, curvatures, np.array(share["not_promised"]), levels=[0.05], colors="white")
        axis.set(xscale="log", yscale="log", xlabel="gate size over target", title=f"quadratic, {name}")
        axis.set_ylabel("curvature of the loss" if axis.get_subplotspec().is_first_col() else "")
        axis.grid(visible=False)
    maps[0].text(0.05, 0.05, "T10 promises\ndescent", color="white", fontsize=8, transform=maps[0].transAxes)
    label = f"share whose mean step climbs, n = {toys} networks a panel"
    figure.colorbar(image, ax=figure.axes, label=label, location="bottom", shrink=0.7, aspect=40)
    for (name, share), dash in zip(numbers["saturating"]["edges"].items(), ("-", "--", ":"), strict=False):
        lines.plot(numbers["saturating"]["gate_sizes"], share["climbs"], color="black", linestyle=dash, label=name)
    lines.set_xscale("log", base=2)
    lines.set(xlabel="gate size", title="saturating, D = 1, share")
    lines.legend(title="E", title_fontsize=8)
    return figure


def _saturating_shares(edges: int, toys: int) -> dict[str, list[float]]:
    """The same shares on saturating networks of one output, at random policies, for each gate size."""
    climbs, unpromised = [], []
    for size in tqdm(SATURATING_SIZES, desc=f"saturating, {edges} edges", leave=False, disable=None):
        moments = []
        for seed in range(toys):
            p = np.random.default_rng([seed, edges]).dirichlet(np.ones(4), edges)
            land = make("saturating", edges, 4, seed, outputs=1, gate_size=size)
            moments.append(exact.moments(METHODS["advantage"], land, p))
        climbs.append(float(np.mean([(m.mean * m.gradient).sum() <= 0 for m in moments])))
        unpromised.append(float(np.mean([m.bias_norm >= np.linalg.norm(m.gradient) for m in moments])))
    return {"climbs": climbs, "not_promised": unpromised}


def quadratic_parts(edges: int, outputs: int, seed: int, candidates: int = 4) -> tuple[Any, Any, Any]:
    """(A, B, R) of `curvature_map` for one toy at a random policy: gradients of E[s^2], E[y s], and p (h^2 - E h^2)."""
    rng = np.random.default_rng([seed, edges, outputs])
    p = rng.dirichlet(np.ones(candidates), edges)
    h, y = rng.standard_normal((edges, candidates, outputs)), rng.standard_normal(outputs)
    square, line = Power(h, 0 * y, 2), Bilinear((h * y).mean(axis=-1))
    size = (h * h).mean(axis=-1)
    missed = p * (size - (p * size).sum(axis=-1, keepdims=True))
    return exact.truth(square, p).gradient, exact.truth(line, p).gradient, missed


# ------------------------------------------------------------------ repairs


def repair_table(toys: int = 20, edges: int = 6, candidates: int = 4) -> dict[str, Any]:
    """Relative bias, variance over REINFORCE's, and passes of every repair, median over toys at the uniform policy."""
    p = np.full((edges, candidates), 1 / candidates)
    rows: dict[str, dict[str, Any]] = {}
    for kind in ("quadratic", "saturating"):
        for size in (0.25, 0.5, 1.0):
            kept: dict[str, list[tuple[float, float]]] = {}
            for seed in tqdm(range(toys), desc=f"{kind}, gate size {size}", leave=False, disable=None):
                for name, value in _repairs(make(kind, edges, candidates, seed, gate_size=size), p).items():
                    kept.setdefault(name, []).append(value)
            rows[f"{kind}, gate size {size}"] = {
                name: {
                    "relative_bias": _quartiles([bias for bias, _ in values]),
                    "variance_over_reinforce": _quartiles([variance for _, variance in values]),
                    "passes": PASSES[name](edges),
                    "variance_times_passes": _quartiles([v * PASSES[name](edges) for _, v in values]),
                }
                for name, values in kept.items()
            }
    return {"toys": toys, "edges": edges, "candidates": candidates, "landscapes": rows}


@styled
def repairs_figure(numbers: dict[str, Any]) -> Figure:
    """Variance times passes of every repair, a panel a kind of network."""
    figure = Figure(figsize=(WIDTH, 3.8))
    panels = figure.subplots(1, 2, sharey=True)
    for axis, kind in zip(panels, ("quadratic", "saturating"), strict=True):
        repaired = numbers["landscapes"][f"{kind}, gate size 0.5"]
        bars = axis.barh(list(repaired), [row["variance_times_passes"][1] for row in repaired.values()], color=VARIANCE)
        axis.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=8, bbox={"color": "white", "pad": 0.5})
        axis.axvline(1, color="black", linewidth=0.8, zorder=0.5)
        axis.set(title=f"{kind}, gate size 0.5, n = {numbers['toys']}", xlabel="variance over REINFORCE's × passes")
        axis.margins(x=0.15)
        axis.grid(visible=False)
    panels[0].invert_yaxis()  # for both, which share it
    return figure


PASSES: dict[str, Callable[[int], int]] = {
    "REINFORCE, baseline J": lambda edges: 1,
    "first order": lambda edges: 2,
    "first order, baseline": lambda edges: 2,
    "debiased, even choice": lambda edges: 3,
    "debiased, best choice": lambda edges: 3,
    "debiased, best given gates": lambda edges: 3,
    "debiased, best choice, baseline": lambda edges: 3,
    "midpoint": lambda edges: 2 * edges,
    "trapezoid": lambda edges: 2 + 2 * edges,
    "Gauss, 2 nodes": lambda edges: 4 * edges,
    "Gauss, 3 nodes": lambda edges: 6 * edges,
    "exact advantage": lambda edges: edges + 1,
    "exact, baseline": lambda edges: edges + 1,
}


def _repairs(land: Landscape, p: Any) -> dict[str, tuple[float, float]]:
    plain = exact.moments(METHODS["reinforce"], land, p)
    norm, scale = float(np.linalg.norm(plain.gradient)), float(plain.total_variance)
    left = repairs.residuals(land, p)
    even, best = np.full(len(p), 1 / len(p)), repairs.best_choice(left.squares)
    parts: dict[str, tuple[float, float]] = {"REINFORCE, baseline J": (0.0, 1.0)}
    named = {
        "first order": "advantage",
        "first order, baseline": "advantage_with_baseline",
        "exact advantage": "exact_advantage",
        "exact, baseline": "exact_advantage_with_baseline",
    }
    for name, method in named.items():
        there = exact.moments(METHODS[method], land, p)
        parts[name] = (there.bias_norm / norm, float(there.total_variance) / scale)
    parts["debiased, even choice"] = (0.0, float(repairs.debiased_variance(left, even)) / scale)
    parts["debiased, best choice"] = (0.0, float(repairs.debiased_variance(left, best)) / scale)
    given = left.exact_variance + left.joint - left.squares.sum()
    parts["debiased, best given gates"] = (0.0, float(given) / scale)
    price = float(repairs.debiased_variance(left, best) - left.exact_variance) / scale
    parts["debiased, best choice, baseline"] = (0.0, parts["exact, baseline"][1] + price)
    for name in ("midpoint", "trapezoid", "Gauss, 2 nodes", "Gauss, 3 nodes"):
        bias, variance = repairs.rule_moments(land, p, *repairs.RULES[name])
        parts[name] = (float(np.linalg.norm(bias)) / norm, variance / scale)
    return {name: parts[name] for name in PASSES}


# ------------------------------------------------------------------ sampled steps


def sampled_bound() -> dict[str, Any]:
    """Exact probability that a 1 / C step with the mean of n samples does not improve, against the bound."""
    network, policy_of_two = make("quadratic", 2, 2, seed=4), np.array([[0.6, 0.4], [0.3, 0.7]])
    flip, even = FLIP.problem(False), FLIP.policy(False)
    tasks = [("two binary edges", network, policy_of_two, name, 32) for name in (*COMPARED, "advantage")]
    tasks += [("T5's flip", flip, even, name, 128) for name in ("exact_advantage", "advantage")]
    rows: dict[str, Any] = {}
    for place, land, p, name, most in tasks:
        there = exact.moments(METHODS[name], land, p)
        counts = [2**k for k in range(int(math.log2(most)) + 1)]
        failure = {n: sampled.failure_probability(METHODS[name], land, p, n) for n in _every_count(counts, most)}
        enough = sampled.samples_for_full_step(there, 0.05)
        law = (*t14_concentration.law(name, land, p), there.gradient)
        needed = {d: t14_concentration.samples_needed(*law, d) for d in (0.05, 0.001)}
        shorter = {d: t14_concentration.samples_needed(*law, d, share=0.5) for d in needed}
        rows[f"{place}: {name}"] = {
            "samples": counts,
            "failure": [failure[n] for n in counts],
            "bound": [sampled.failure_bound(there, n) for n in counts],
            "t14": [t14_concentration.failure_bound(*law, n) for n in counts],
            "enough_for_95": enough if math.isfinite(enough) else None,
            "enough_by_t14": {str(d): n if math.isfinite(n) else None for d, n in needed.items()},
            "enough_by_t14_for_half_the_step": {str(d): n if math.isfinite(n) else None for d, n in shorter.items()},
            "enough_exactly": {str(d): next((n for n, f in failure.items() if f <= d), None) for d in needed},
            "relative_bias": there.bias_norm / float(np.linalg.norm(there.gradient)),
        }
    return {"methods": rows}


@styled
def sampled_figure(numbers: dict[str, Any]) -> Figure:
    """Failure probability against samples: dots exact, lines Chebyshev's bound, dashed T14's; a panel a landscape."""
    figure = Figure(figsize=(WIDTH, 4.2))
    for axis, place in zip(figure.subplots(1, 2, sharey=True), ("two binary edges", "T5's flip"), strict=True):
        for name, row in numbers["methods"].items():
            if not name.startswith(place):
                continue
            method = METHODS[name.partition(": ")[2]]
            failure = np.maximum(row["failure"], 1e-12)
            axis.plot(row["samples"], failure, "o-", markersize=4, color=of_method(method), label=method.label)
            axis.plot(row["samples"], row["bound"], color=of_method(method), linewidth=0.8)
            axis.plot(row["samples"], row["t14"], color=of_method(method), linewidth=0.8, linestyle="--")
        axis.set(xscale="log", yscale="log", xlabel="samples averaged", ylim=(1e-5, 1.5))
        axis.set_title(place)
    figure.axes[0].set_ylabel("probability that the step does not improve")
    for style, width, told in (("o-", 1.5, "exactly"), ("-", 0.8, "Chebyshev's bound"), ("--", 0.8, "T14's bound")):
        figure.axes[0].plot([], [], style, color="black", linewidth=width, markersize=4, label=told)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


# ------------------------------------------------------------------ helpers


def _every_count(counts: list[int], most: int) -> list[int]:
    """All numbers of samples up to `most` where they are few, else the powers of two."""
    return list(range(1, most + 1)) if most <= 32 else counts


def _quartiles(values: list[float]) -> list[float]:
    return [float(q) for q in quartiles(values)]
