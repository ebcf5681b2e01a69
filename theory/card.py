"""What is an estimator worth? Its report card: bias, variance, guarantees and cost, exactly, on a known landscape."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nas.methods import METHODS, Method
from nas.runs import write_atomically
from theory import exact, sampled
from theory.cases import Domain, random_case
from theory.claims import t7_variance, t8_logit_step, t11_best_baseline
from theory.landscapes import Bilinear, Landscape
from theory.quantities import expected_loss, exponential_step

DELTA = 0.05
PROBES = 4


@dataclass(frozen=True)
class Card:
    """One method on one landscape at one policy. Losses in the landscape's units; passes of one step.

    t1_applies, t8_applies: whether the mean is the gradient here. bias_error, variance_error: standard errors where
    noise was integrated, else zero. t1_step: the largest step in probabilities; t8_step: the largest in logits, for the
    expected gradient; sampled_step: the largest logit step that lowers the loss in expectation from one sample.
    samples_95: samples that make a 1 / C step improve with probability 95 %.
    """

    method: str
    label: str
    landscape: str
    expected_loss: float
    gradient: list[list[float]]
    mean: list[list[float]]
    unbiased: bool
    verdict: str
    bias_norm: float
    bias_error: float
    relative_bias: float
    cosine: float
    total_variance: float
    variance_error: float
    variance_of_reinforce: float
    variance_ratio: float
    variance_of_best_baseline: float
    edge_variances: list[float]
    reinforce_edge_variances: list[float]
    edges_won: int
    t7_boundary: list[float] | None
    t1_applies: bool
    t1_step: float | None
    t8_applies: bool
    t8_step: float
    t10_descends: bool
    expected_step_changes_loss: float
    sampled_step: float
    samples_95: float | None
    outcomes: int
    forward: int
    backward: int
    operations: float


def card(method: Method, landscape: Landscape, probabilities: Any, progress: float = 0.0) -> Card:
    """The report card of one method. Raises: ValueError as `theory.exact.moments`."""
    found = exact.moments(method, landscape, probabilities, progress)
    p = found.probabilities
    plain = exact.moments(METHODS["reinforce"], landscape, p)
    best = exact.moments(t11_best_baseline.BEST, landscape, p)
    unbiased, verdict = bias_verdict(method, found)
    here = unbiased or found.bias_norm <= 1e-9 * (1 + float(landscape.max_loss - landscape.min_loss))
    spread = float(landscape.max_loss - landscape.min_loss)
    room = float(landscape.max_loss - found.expected_loss)
    smooth = t8_logit_step.smoothness(spread, p.shape[0])
    gradient, mean = found.gradient.astype(float), found.mean.astype(float)
    norm = float(np.linalg.norm(gradient))
    variance = float(found.total_variance)
    along = float((gradient * mean).sum())
    second = float((mean * mean).sum()) + variance
    step = 1 / smooth if smooth > 0 else 0.0
    moved = exponential_step(p.astype(float), mean, step)
    enough = sampled.samples_for_full_step(found, DELTA)
    return Card(
        method.name,
        method.label,
        landscape.name,
        float(found.expected_loss),
        gradient.tolist(),
        mean.tolist(),
        unbiased,
        verdict,
        found.bias_norm,
        found.error,
        found.bias_norm / norm if norm > 0 else math.nan,
        found.cosine,
        variance,
        found.variance_error,
        float(plain.total_variance),
        variance / float(plain.total_variance) if plain.total_variance > 0 else math.nan,
        float(best.total_variance),
        found.edge_variances.astype(float).tolist(),
        plain.edge_variances.astype(float).tolist(),
        int((found.edge_variances < plain.edge_variances).sum()),
        _boundary(landscape, p),
        here,
        1 / room if here and room > 0 else None,
        here,
        2 / smooth if smooth > 0 else math.inf,
        found.bias_norm < norm,
        float(expected_loss(landscape, moved) - found.expected_loss),
        max(0.0, 2 * along / (smooth * second)) if smooth * second > 0 else 0.0,
        enough if math.isfinite(enough) else None,
        found.outcomes,
        found.cost.forward,
        found.cost.backward,
        found.cost.operations,
    )


def bias_verdict(method: Method, found: exact.Moments) -> tuple[bool, str]:
    """Whether the method is unbiased, and how that is known.

    Exact probes decide: random landscapes that are general tables, and quadratic networks, at random rational policies.
    Where the method is not rational, the landscape at hand decides within 6 standard errors.
    """
    rng = np.random.default_rng(0)
    flat, curved = Domain("table", (1, 2), (2, 2)), Domain("quadratic", (1, 2), (2, 2))
    try:
        biases = {
            domain.kind: [_exact_bias(method, random_case(rng, domain)) for _ in range(PROBES)]
            for domain in (flat, curved)
        }
    except ValueError:
        if found.bias_norm <= 6 * found.error * math.sqrt(found.mean.size) + 1e-9:
            return True, f"no bias beyond the integration error {found.error:.2g} (6 standard errors)"
        return False, f"biased here by {found.bias_norm:.4g} (integrated to {found.error:.2g})"
    if not any(biases["table"]) and not any(biases["quadratic"]):
        known = " (T4)" if method.name in METHODS else ""
        return True, f"unbiased{known}: exactly zero on {2 * PROBES} rational probes"
    if not any(biases["table"]):
        return False, (
            f"biased where the loss is curved in a gate (T5: p_k (E[r | k] - E[r]), r = int t phi'' dt); "
            f"exactly unbiased on {PROBES} affine probes; here {found.bias_norm:.4g}"
        )
    return False, f"biased; here by {found.bias_norm:.4g}"


def table(cards: Sequence[Card]) -> str:
    """Cards side by side, one column a method."""
    rows: list[tuple[str, list[str]]] = [("", [c.method for c in cards])]

    def add(name: str, value: Any) -> None:
        rows.append((name, [value(c) for c in cards]))

    add("expected loss J", lambda c: f"{c.expected_loss:.6g}")
    add("||bias||", lambda c: _number(c.bias_norm, c.bias_error))
    add("||bias|| / ||grad J||", lambda c: f"{c.relative_bias:.3g}")
    add("cosine to grad J", lambda c: f"{c.cosine:.4f}")
    add("total variance", lambda c: _number(c.total_variance, c.variance_error))
    add("  against REINFORCE", lambda c: f"{c.variance_ratio:.3f}x of {c.variance_of_reinforce:.5g}")
    add("  with the best baseline", lambda c: f"{c.variance_of_best_baseline:.5g} (T11)")
    add("  edges with less (T7)", lambda c: f"{c.edges_won} of {len(c.edge_variances)}")
    add("T1, largest step in p", lambda c: f"{c.t1_step:.4g}" if c.t1_step is not None else "does not apply")
    add("T8, largest logit step", lambda c: f"{c.t8_step:.4g}" if c.t8_applies else "does not apply")
    add("T10, mean step descends", lambda c: "promised" if c.t10_descends else "not promised")
    add("  J changes in fact by", lambda c: f"{c.expected_step_changes_loss:+.4g}")
    add("one sample, largest step", lambda c: f"{c.sampled_step:.4g}")
    add(
        "samples for 95 % (1/C)",
        lambda c: f"{math.ceil(c.samples_95):,}" if c.samples_95 is not None else "none suffice",
    )
    add("passes forward + backward", lambda c: f"{c.forward} + {c.backward}")
    add("operations an edge", lambda c: f"{c.operations:.2g}")
    add("outcomes summed", lambda c: f"{c.outcomes:,}")
    width = max(len(name) for name, _ in rows)
    widths = [max(len(values[column]) for _, values in rows) for column in range(len(cards))]
    lines = [
        f"{name.ljust(width)}  " + "  ".join(v.ljust(w) for v, w in zip(values, widths, strict=True)).rstrip()
        for name, values in rows
    ]
    return "\n".join([*lines, "", *(f"{c.method}: {c.verdict}" for c in cards)])


def write(path: Path, cards: Sequence[Card], about: dict[str, Any]) -> None:
    """Cards as JSON: what they are about, "methods": {name: card}; a single card's keys also stand at the top."""
    content = {**about, "expected_loss": cards[0].expected_loss, "gradient": cards[0].gradient}
    if len(cards) == 1:
        content = {**about, **_plain(asdict(cards[0]))}
    content["methods"] = {c.method: _plain(asdict(c)) for c in cards}
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def figure(path: Path, cards: Sequence[Card]) -> None:
    """Squared bias and variance of every method, stacked to its mean squared error, with the passes it costs."""
    import io

    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7, 1.2 + 0.45 * len(cards)), layout="constrained")
    axes = drawn.subplots()
    names = [f"{c.label}\n{c.forward} forward, {c.backward} backward" for c in cards]
    variance, bias = [c.total_variance for c in cards], [c.bias_norm**2 for c in cards]
    axes.barh(names, variance, color="#4477aa", label="total variance")
    axes.barh(names, bias, left=variance, color="#ee6677", label="squared bias")
    axes.axvline(cards[0].variance_of_reinforce, color="black", linewidth=0.8, label="REINFORCE, baseline J")
    axes.invert_yaxis()
    axes.set_xlabel("mean squared error of one step's gradient, loss units squared")
    axes.set_title(f"{cards[0].landscape}: exact moments", loc="left")
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(frameon=False, fontsize=8)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=150)
    write_atomically(path, buffer.getvalue())


def read_policy(name: str, edges: int, candidates: int) -> Any:
    """Probabilities (E, K): `uniform`, or a JSON file of E rows of K numbers, alone or under "probabilities".

    Raises: ValueError saying what is wrong with the file or the policy.
    """
    if name == "uniform":
        return np.full((edges, candidates), 1 / candidates)
    try:
        content = json.loads(Path(name).read_text(encoding="utf-8"))
        rows = content["probabilities"] if isinstance(content, dict) else content
        p = np.array([[float(Fraction(value) if isinstance(value, str) else value) for value in row] for row in rows])
    except OSError as error:
        raise ValueError(f"cannot read the policy {name}: {error.strerror}; give uniform or a JSON file") from error
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the policy {name} is not JSON with {edges} rows of {candidates} numbers: {error}") from error
    if p.shape != (edges, candidates):
        raise ValueError(f"the policy {name} has the shape {p.shape}, the landscape ({edges}, {candidates})")
    exact.check_policy(p)
    return p


# ------------------------------------------------------------------ helpers


def _exact_bias(method: Method, case: Any) -> bool:
    return bool((exact.moments(method, case.problem(True), case.policy(True)).bias != 0).any())


def _boundary(landscape: Landscape, p: Any) -> list[float] | None:
    """T7's closed form, where the landscape is additive."""
    if not (isinstance(landscape, Bilinear) and landscape.pair is None):
        return None
    return [float(value) for value in t7_variance.boundary(landscape.unary, p)]


def _number(value: float, error: float) -> str:
    return f"{value:.5g} ± {error:.1g}" if error > 0 else f"{value:.5g}"


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has no nan or infinity: null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in content.items()}
