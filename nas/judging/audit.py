"""How good is first-order credit on a real, trained parent network?

AdvantageNAS credits an edge with <dL/doutput, output>, to first order what the loss would lose if the edge's output
were zeroed. The audit really zeroes every edge and compares: per edge and operation the correlation, the bias and the
agreement in sign; what theorem T5 says the difference must be; and the variance of each estimator's gradient and of
other methods', minibatch noise included. Architectures are drawn from the run's own policy, minibatches from its
architecture data.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from nas import estimators, methods, objective, optimisers, policy, step
from nas.estimators import first_order_credit
from nas.judging.colours import OPERATIONS
from nas.judging.statistics import standard_error
from nas.judging.style import save, styled
from nas.methods import Method
from nas.quadrature import GAUSS_3
from nas.running import files, runs
from nas.samples import ONE_HOT
from nas.settings import build_method
from nas.spaces.space import Space
from nas.supernets.parent import ParentNetwork
from nas.tasks import experiments
from nas.tasks.task import Experiment

Floats = npt.NDArray[np.float64]
NODES = (0.0, *GAUSS_3.nodes)  # t = 0, then the rule's
MOST = 1_000_000  # architectures
BESIDE = ("reinforce", "gdas", "proxyless", "parsec")  # methods whose gradients are measured beside


@dataclass(frozen=True)
class Measured:
    """n architectures on n minibatches. gates (n, E, K); probabilities (E, K); loss (n,); per edge, (n, E): credit, the
    first-order credit, and exact, the loss minus the loss with the edge zeroed; slopes (m, E, 4), m <= n: dL/dt at
    `NODES` as the edge's gate goes from 0 to 1; gradients, by method, (n, E, K), each with draws of its own; reference
    (n, E), first-order credit against the mean output of the edge (T17).
    """

    probabilities: Floats
    gates: Floats
    loss: Floats
    credit: Floats
    exact: Floats
    slopes: Floats
    gradients: dict[str, Floats] = field(default_factory=dict)
    reference: Floats | None = None


def audit(
    folder: Path,
    data: Path | None = None,
    device: str = "cpu",
    samples: int = 64,
    along: int = 16,
    seed: int = 0,
    beside: Sequence[str] = BESIDE,
) -> dict[str, Any]:
    """Audit a run's last checkpoint; writes RUN/audit.{json,svg,png} and returns the JSON's content.

    Args: samples, how many architectures; along, for how many of them the loss is followed along every gate (T5);
    beside, names of methods whose gradients are measured too, at the temperature that the search has reached.
    Raises: ValueError in one line if the run has no checkpoint or its data is not there.
    """
    if not 2 <= samples <= MOST or not 0 <= along <= samples:
        raise ValueError(f"need samples >= 2, at most {MOST:,}, and 0 <= along <= samples, not {samples} and {along}")
    others = [_drawable(name) for name in beside]
    experiment = experiments.audited(experiments.reload(folder))
    _check_product(build_method(experiment.search))
    files.ready(folder)
    network, probabilities, steps = reopened(folder, experiment, data, device, seed)
    settings, method = experiment.search, build_method(experiment.search)
    warmup, total = (n * network.steps_per_epoch for n in (settings.warmup_epochs, settings.epochs))
    progress = max(0.0, (steps - warmup) / max(1, total - warmup))
    measured = measure(network, probabilities, samples, along, seed, others, progress)
    audited = {
        "run": str(folder),
        "method": method.name,
        "searched_with_zero_policy": method.zero_policy if network.space.zero_operation is not None else None,
        "step": steps,
        "progress": progress,
        "seed": seed,
        **summary(measured, network.space),
        "about": runs.about_this_program(device),
    }
    runs.write_atomically(folder / "audit.json", json.dumps(audited, indent=2) + "\n")
    save(figure(audited), folder / "audit")
    return audited


def reopened(
    folder: Path, experiment: Experiment[Any], data: Path | None, device: str, seed: int
) -> tuple[ParentNetwork, Tensor, int]:
    """A run's last checkpoint, to be asked and not to go on: network, policy (E, K), steps so far.

    Args: experiment, the run's, with the network in the form that is wanted; seed, for minibatches of its own.
    Raises: ValueError in one line if the run has no checkpoint or its data is not there.
    """
    tensors, about = runs.read_checkpoint(folder / runs.CHECKPOINT)
    network = experiments.build(experiment, data, device, seed)
    network.load({name.removeprefix("network/"): part for name, part in tensors.items() if name.startswith("network/")})
    probabilities = build_method(experiment.search).draw.probabilities(tensors["logits"].to(device))
    return network, probabilities, about["step"]


def measure(
    network: ParentNetwork,
    probabilities: Tensor,
    samples: int,
    along: int,
    seed: int,
    beside: Sequence[Method] = (),
    progress: float = 0.0,
) -> Measured:
    """Draw architectures and measure each on the next architecture minibatch.

    E + 2 forward and 2 backward passes, of which one each runs all operations (T17's reference is a mean output).
    Methods beside draw their own, on the same minibatches; their moving averages begin empty. A sampled zero operation
    has the credit zero in all of them (policy `plain`).
    """
    generator = torch.Generator(device=probabilities.device).manual_seed(seed)
    logits = probabilities.clamp_min(1e-30).log()
    rows: dict[str, list[Tensor]] = {name: [] for name in ("gates", "loss", "credit", "exact", "slopes", "reference")}
    memories = {method.name: step.start(method, optimisers.sgd(), logits).memory for method in beside}
    gradients: dict[str, list[Tensor]] = {method.name: [] for method in beside}
    for count in tqdm(range(samples), disable=None, unit="architecture"):
        uniforms = torch.rand(
            ONE_HOT.noise(*network.space.shape), generator=generator, device=logits.device, dtype=logits.dtype
        )
        gates = ONE_HOT.sample(logits, uniforms, None).gates
        problem = network.objective()
        answer = problem.gradients(gates, gates)
        rows["gates"].append(gates)
        rows["loss"].append(answer.loss)
        rows["credit"].append(first_order_credit(gates, answer.gate_gradient))
        rows["exact"].append(answer.loss - objective.zeroed_losses(problem, gates))
        dense = problem.gradients(gates, torch.ones_like(gates)).gate_gradient
        rows["reference"].append(((gates - probabilities.to(gates.dtype)) * dense).sum(dim=-1))
        if count < along:
            slopes = objective.path_gradients(problem, gates, gates, NODES)
            rows["slopes"].append((gates * slopes).sum(dim=-1).movedim(0, -1))
        for method in beside:
            shape = step.noise_shape(method, *network.space.shape)
            uniforms = torch.rand(shape, generator=generator, device=logits.device, dtype=logits.dtype)
            with torch.no_grad():
                sample = step.measure(method, step.draw(method, logits, uniforms, progress), problem)
                gradients[method.name].append(step.gradient_of(method, sample, memories[method.name]))
                step.check_numbers(method, gradients[method.name][-1], sample)
                memories[method.name] = step.remember(method, memories[method.name], sample)
    shape = (0, network.space.shape[0], len(NODES))
    arrays = {
        name: torch.stack(part).double().cpu().numpy() if part else np.zeros(shape) for name, part in rows.items()
    }
    others = {name: torch.stack(part).double().cpu().numpy() for name, part in gradients.items()}
    return Measured(probabilities.double().cpu().numpy(), **arrays, gradients=others)


# ------------------------------------------------------------------ what the measurements say


def summary(measured: Measured, space: Space) -> dict[str, Any]:
    """All figures of the audit, ready for JSON; None where too few samples were drawn.

    An edge that drew the zero operation is already zeroed: it has a row of its own and counts nowhere else.
    """
    outputs = np.ones(measured.gates.shape[:2], dtype=bool)
    if space.zero_operation is not None:
        outputs = measured.gates[:, :, space.zero_operation] == 0

    def agreement_of(chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return agreement(measured.credit[chosen], measured.exact[chosen])

    drawn = {name: measured.gates[:, :, k] > 0 for k, name in enumerate(space.operations)}
    edges = []
    for e, edge in enumerate(space.edges):
        own = np.zeros_like(outputs)
        own[:, e] = True
        by_operation = {name: agreement_of(chosen & own) for name, chosen in drawn.items()}
        edges.append({"edge": list(edge), **agreement_of(outputs & own), "operations": by_operation})
    return {
        "samples": len(measured.loss),
        "loss": {"mean": float(measured.loss.mean()), "std": float(measured.loss.std(ddof=1))},
        "all": agreement_of(outputs),
        "operations": {name: agreement_of(chosen) for name, chosen in drawn.items()},
        "edges": edges,
        "bias": gradient_bias(measured, measured.credit),
        "reference_bias": None if measured.reference is None else gradient_bias(measured, measured.reference),
        "variance": variances(measured),
        "methods": {name: moments(gradient) for name, gradient in measured.gradients.items()},
        "t5": taylor(measured),
        "t12": cancelling(measured, space),
        "points": {
            name: np.stack((measured.exact[chosen], measured.credit[chosen]), axis=1).tolist()
            for name, chosen in drawn.items()
        },
    }


def agreement(credit: Floats, exact: Floats) -> dict[str, Any]:
    """Credit against the exact advantage over n pairs: means, correlation, share of equal signs, mean difference."""
    n = len(credit)
    if n == 0:
        return {"n": 0}
    difference = credit - exact
    varied = n > 2 and credit.std() > 0 and exact.std() > 0
    return {
        "n": n,
        "credit": float(credit.mean()),
        "exact": float(exact.mean()),
        "correlation": float(np.corrcoef(credit, exact)[0, 1]) if varied else None,
        "same_sign": float((np.sign(credit) == np.sign(exact)).mean()),
        "difference": float(difference.mean()),
        "difference_error": standard_error(difference) if n > 1 else None,
    }


def gradient_bias(measured: Measured, credit: Floats) -> dict[str, Any]:
    """The mean update of a credit (n, E) beside the exact advantage's, which is unbiased (T4).

    bias = E[(credit_e - exact_e)(a_e - p_e)] (T5, T17), its norm with that of the mean exact update, both with the norm
    that sampling noise alone would show, and the cosine of the two mean updates. Below the noise, nothing can be said.
    """
    score = measured.gates - measured.probabilities
    updates = {name: part[..., None] * score for name, part in (("credit", credit), ("exact", measured.exact))}
    means = {name: update.mean(axis=0) for name, update in updates.items()}
    apart = updates["credit"] - updates["exact"]
    length = {name: float(np.linalg.norm(mean)) for name, mean in means.items()}
    product = float((means["credit"] * means["exact"]).sum())
    return {
        "bias": float(np.linalg.norm(apart.mean(axis=0))),
        "bias_noise": _noise(apart),
        "exact_update": length["exact"],
        "exact_update_noise": _noise(updates["exact"]),
        "cosine": product / (length["credit"] * length["exact"]) if all(length.values()) else None,
        "descends": product > 0,
    }


def variances(measured: Measured) -> dict[str, float]:
    """Trace of the covariance of each estimator's one-sample gradient, minibatch noise included.

    Baselines are the means over these samples. Debiased credit and the one with a table zero one uniformly drawn edge,
    averaged exactly; the table holds what credit missed on average in the other samples that drew the operation.
    """
    p, gates, edges = measured.probabilities, measured.gates, measured.gates.shape[1]
    mean_credit, mean_exact = measured.credit.mean(axis=0), measured.exact.mean(axis=0)
    gradients = {
        "reinforce": estimators.reinforce(p, gates, measured.loss, np.full_like(measured.loss, measured.loss.mean())),
        "advantage": estimators.credited(p, gates, measured.credit),
        "advantage_with_baseline": estimators.credited(p, gates, measured.credit - mean_credit),
        "exact_advantage": estimators.credited(p, gates, measured.exact),
        "exact_advantage_with_baseline": estimators.credited(p, gates, measured.exact - mean_exact),
    }
    if measured.reference is not None:
        gradients["reference_advantage"] = estimators.credited(p, gates, measured.reference)
    traces = {name: float(gradient.var(axis=0, ddof=1).sum()) for name, gradient in gradients.items()}
    missed = measured.exact - measured.credit
    for name, rest in (("debiased_advantage", missed), ("tabulated_advantage", missed - others_mean(gates, missed))):
        remainder = estimators.credited(p, gates, rest)
        within = (edges - 1) * (remainder**2).sum(axis=(1, 2)).mean()  # E over the zeroed edge of its own variance
        traces[name] = traces["exact_advantage"] + float(within)
    return traces


def others_mean(gates: Floats, values: Floats) -> Floats:
    """For each sample and edge the mean of values (n, E) over the other samples that drew its operation; 0 for none."""
    drawn = gates.sum(axis=0)
    total = (gates * values[..., None]).sum(axis=0)
    count = (gates * drawn).sum(axis=-1) - 1
    rest: Floats = ((gates * total).sum(axis=-1) - values) / np.maximum(count, 1)
    return np.where(count > 0, rest, 0.0)


def moments(gradients: Floats) -> dict[str, float]:
    """Of one method's gradients (n, E, K): trace of the covariance, and norm of the mean with what noise would show."""
    return {
        "variance": float(gradients.var(axis=0, ddof=1).sum()),
        "mean": float(np.linalg.norm(gradients.mean(axis=0))),
        "noise": _noise(gradients),
    }


def taylor(measured: Measured) -> dict[str, Any] | None:
    """Theorem T5 on the network: credit - exact = ∫ t φ''(t) dt along each gate, φ the loss.

    predicted integrates by parts, φ'(1) - ∫ φ', the integral by three Gauss nodes; quadratic is (φ'(1) - φ'(0)) / 2, as
    if φ were a parabola. Root mean squares over the pairs, and the correlation of each with what was measured.
    """
    m = len(measured.slopes)
    if m == 0:
        return None
    difference = (measured.credit - measured.exact)[:m].ravel()
    last = measured.credit[:m]
    predicted = (last - measured.slopes[..., 1:] @ np.array(GAUSS_3.weights)).ravel()
    quadratic = ((last - measured.slopes[..., 0]) / 2).ravel()
    sizes: dict[str, Any] = {"n": len(difference), "measured": _size(difference)}
    for name, part in (("predicted", predicted), ("quadratic", quadratic)):
        varied = len(part) > 2 and part.std() > 0 and difference.std() > 0
        sizes[name] = {
            "size": _size(part),
            "error": _size(part - difference),
            "correlation": float(np.corrcoef(part, difference)[0, 1]) if varied else None,
        }
    return sizes


def cancelling(measured: Measured, space: Space) -> list[dict[str, Any]]:
    """Theorem T12 on the network: behind a node whose scale nothing sees, the credits of the edges into it cancel.

    For each inner node, the samples in which every edge that leaves it normalises (or is zero: `hidden`), and the
    others: root mean square of the summed credits and of the summed exact advantages of the edges into the node. Empty
    if no operation of the space normalises.
    """
    unseen = [k for k, name in enumerate(space.operations) if name in space.normalising or name == space.zero]
    rows = []
    for node in sorted({source for source, _ in space.edges} & {target for _, target in space.edges}):
        leaving = [e for e, (source, _) in enumerate(space.edges) if source == node]
        into = [e for e, (_, target) in enumerate(space.edges) if target == node]
        hidden = measured.gates[:, leaving][:, :, unseen].sum(axis=(1, 2)) == len(leaving)
        for chosen, name in ((hidden, True), (~hidden, False)):
            sums = [part[chosen][:, into].sum(axis=1) for part in (measured.credit, measured.exact)]
            sizes = dict(zip(("credit", "exact"), (_size(part) if len(part) else None for part in sums), strict=True))
            rows.append({"node": node, "hidden": name, "n": int(chosen.sum()), **sizes})
    return rows if space.normalising else []


def report(audited: dict[str, Any]) -> str:
    """The audit as text."""
    head = f"{'':24}{'n':>6}{'credit':>10}{'exact':>10}{'correlation':>13}{'same sign':>11}{'credit - exact':>22}"
    lines = [
        f"loss {audited['loss']['mean']:.4f} ± {audited['loss']['std']:.4f} over {audited['samples']} architectures",
        head,
    ]
    lines.append(_line("all edges", audited["all"]))
    lines += [_line(name, part) for name, part in audited["operations"].items()]
    lines += [_line(f"edge {part['edge'][0]} → {part['edge'][1]}", part) for part in audited["edges"]]
    bias, t5 = audited["bias"], audited["t5"]
    lines += [
        "",
        f"mean update: exact {bias['exact_update']:.4g} (noise {bias['exact_update_noise']:.2g}), "
        f"bias of credit {_bias(bias)}",
        "variance of one gradient: " + ", ".join(f"{name} {value:.4g}" for name, value in audited["variance"].items()),
    ]
    if audited.get("reference_bias"):
        lines.insert(-1, f"bias of credit against the mean output (T17) {_bias(audited['reference_bias'])}")
    if audited["methods"]:
        each = [f"{name} {part['variance']:.4g} (mean {part['mean']:.2g})" for name, part in audited["methods"].items()]
        lines.append("variance of one gradient, methods with their own draws: " + ", ".join(each))
    if t5 is not None:
        parts = ", ".join(
            f"{name} {t5[name]['size']:.4g} (off by {t5[name]['error']:.2g})" for name in ("predicted", "quadratic")
        )
        lines.append(f"T5, root mean square of credit - exact: measured {t5['measured']:.4g}, {parts}; n = {t5['n']}")
    for row in audited["t12"]:
        what = "only normalising edges leave" if row["hidden"] else "another edge leaves, too"
        if row["n"]:
            sizes = f"credits {row['credit']:.2g}, exact advantages {row['exact']:.2g}"
            lines.append(f"T12, node {row['node']}, which {what}: sums of the edges into it: {sizes}; n = {row['n']}")
    return "\n".join(lines)


@styled
def figure(audited: Mapping[str, Any]) -> Figure:
    """Credit against exact advantage, a point an edge and architecture, coloured by operation; the line is equality.

    Drawn from what audit.json holds, so that a stored audit can be drawn again.
    """
    drawn = Figure(figsize=(5.5, 4.5))
    axes = drawn.add_subplot()
    points = {name: np.reshape(pairs, (-1, 2)) for name, pairs in audited["points"].items()}
    for colour, (name, pairs) in zip(itertools.cycle(OPERATIONS), points.items(), strict=False):
        axes.plot(pairs[:, 0], pairs[:, 1], ".", label=name, color=colour)
    exact = np.concatenate([pairs[:, 0] for pairs in points.values()])
    ends = [float(exact.min()), float(exact.max())]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    axes.set(xlabel="exact advantage (nats): loss minus loss with the edge zeroed", ylabel="first-order credit (nats)")
    axes.legend(title=f"n = {audited['samples']} architectures")
    return drawn


# ------------------------------------------------------------------ helpers


def _check_product(method: Method) -> None:
    """Raises: ValueError if the search's policy is not E rows, from which an audit draws."""
    if method.draw.keeps is not None:
        raise ValueError(
            f"an audit draws from a product of E softmaxes, and method {method.name} searches with another policy: "
            "audit a search of another method, on the same network"
        )


def _drawable(name: str) -> Method:
    """A method that can be drawn from any policy. Raises: ValueError in one line."""
    method = methods.find(name)
    if method.estimator is None or method.draw.probabilities is not policy.softmax:  # also of one that keeps something
        raise ValueError(f"method {name} has no gradient at the policy of another search")
    return replace(method, zero_policy="plain")


def _noise(samples: Floats) -> float:
    """Norm of the standard error of the mean: what a mean of zero would show by chance."""
    return math.sqrt(float(samples.var(axis=0, ddof=1).sum()) / len(samples))


def _size(values: Floats) -> float:
    return math.sqrt(float((values**2).mean()))


def _bias(part: dict[str, Any]) -> str:
    cosine = "-" if part["cosine"] is None else f"{part['cosine']:.3f}"
    return f"{part['bias']:.4g} (noise {part['bias_noise']:.2g}), cosine {cosine}"


def _line(name: str, part: dict[str, Any]) -> str:
    if part["n"] == 0:
        return f"{name:24}{0:>6}"
    correlation = "-" if part["correlation"] is None else f"{part['correlation']:.3f}"
    error = "" if part["difference_error"] is None else f" ± {part['difference_error']:.4f}"
    return (
        f"{name:24}{part['n']:>6}{part['credit']:>10.4f}{part['exact']:>10.4f}{correlation:>13}"
        f"{part['same_sign']:>11.1%}{part['difference']:>+12.4f}{error}"
    )
