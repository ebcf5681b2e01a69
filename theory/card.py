"""What is an estimator worth? Its report card: bias, variance, guarantees and cost, exactly, on a known landscape."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nas import policy
from nas.judging.colours import BIAS, VARIANCE
from nas.judging.style import save_as, styled
from nas.methods import METHODS, Method
from nas.running.files import FileError, read_text, write_atomically
from theory import exact, sampled, verdict
from theory.claims import t7_variance, t8_logit_step, t11_best_baseline
from theory.landscapes import Bilinear, Landscape
from theory.quantities import expected_loss, exponential_step

DELTA = 0.05
NOT_HERE = "does not apply"


@dataclass(frozen=True)
class Card:
    """One method on one landscape at one policy. Losses in the landscape's units; passes of one step.

    known, unbiased, verdict: what is known of its bias and how (`theory.verdict`); unbiased is None where no probe
    could be run. t1_applies, t8_applies: whether the mean is the gradient here. bias_error, variance_error: standard
    errors where noise was integrated, else zero. t1_step: the largest step in probabilities; t8_step: the largest in
    logits, for the expected gradient; sampled_step: the largest logit step that lowers the loss in expectation from one
    sample.
    samples_95: samples that make a 1 / C step improve with probability 95 %.

    objective: what the steps descend, as far as the gates they ask about say: E[L(a)] over architectures, E[L(z)] over
    relaxed gates, L(p) at the mean. Gradient and bias are of E[L(a)] for every method.
    softmax: whether the policy is a softmax of K logits an edge. Where it has one, as the binomial ones, gradient and
    mean stand in column 0. For every other policy what is said of K logits (REINFORCE's variance, T1, T7, T8, T10, T11)
    does not apply: None.

    >>> from nas.methods import find
    >>> from theory.landscapes import make
    >>> found: Card = card(find("reinforce"), make("additive", edges=2, candidates=2), np.full((2, 2), 0.5))
    >>> found.unbiased, found.forward, found.backward
    (True, 1, 0)
    """

    method: str
    label: str
    landscape: str
    softmax: bool
    objective: str
    expected_loss: float
    gradient: list[list[float]]
    mean: list[list[float]]
    known: str
    unbiased: bool | None
    verdict: str
    bias_norm: float
    bias_error: float
    relative_bias: float
    cosine: float
    total_variance: float
    variance_error: float
    variance_of_reinforce: float | None
    variance_ratio: float | None
    variance_of_best_baseline: float | None
    edge_variances: list[float]
    reinforce_edge_variances: list[float] | None
    edges_won: int | None
    t7_boundary: list[float] | None
    t1_applies: bool
    t1_step: float | None
    t8_applies: bool
    t8_step: float | None
    t10_descends: bool | None
    expected_step_changes_loss: float | None
    sampled_step: float | None
    samples_95: float | None
    outcomes: int
    forward: int
    backward: int
    operations: float


def card(method: Method, landscape: Landscape, probabilities: Any, progress: float = 0.0) -> Card:
    """The report card of one method. Raises: ValueError as `theory.exact.moments`.

    >>> from nas.methods import find
    >>> from theory.landscapes import make
    >>> landscape = make("quadratic", edges=2, candidates=2)
    >>> for name in ("exact_advantage", "advantage"):
    ...     print(name, card(find(name), landscape, np.full((2, 2), 0.5)).unbiased)
    exact_advantage True
    advantage False
    """
    found = exact.moments(method, landscape, probabilities, progress)
    spread = float(landscape.max_loss - landscape.min_loss)
    judged = verdict.judge(method, landscape, found)
    # the mean is the gradient here: always, as far as is known, or at this policy alone
    is_gradient = judged.unbiased is not False or (
        judged.known == "biased" and found.bias_norm <= verdict.rounding(spread)
    )
    norm = math.sqrt((found.gradient * found.gradient).sum())
    softmax = method.draw.probabilities is policy.softmax
    return Card(
        method=method.name,
        label=method.label,
        landscape=landscape.name,
        softmax=softmax,
        objective=_objective(method, found.probabilities, progress),
        expected_loss=float(found.expected_loss),
        gradient=found.gradient.astype(float).tolist(),
        mean=found.mean.astype(float).tolist(),
        known=judged.known,
        unbiased=judged.unbiased,
        verdict=judged.text,
        bias_norm=found.bias_norm,
        bias_error=found.error,
        relative_bias=found.bias_norm / norm if norm > 0 else math.nan,
        cosine=found.cosine,
        total_variance=float(found.total_variance),
        variance_error=found.variance_error,
        edge_variances=found.edge_variances.astype(float).tolist(),
        outcomes=found.outcomes,
        forward=found.cost.forward,
        backward=found.cost.backward,
        operations=found.cost.operations,
        **(_of_logits(landscape, found, is_gradient, judged.known != "not a function") if softmax else NO_LOGITS),
    )


def table(cards: Sequence[Card]) -> str:
    """Cards side by side, one column a method."""
    rows: list[tuple[str, list[str]]] = [("", [c.method for c in cards])]

    def add(name: str, value: Any) -> None:
        rows.append((name, [value(c) for c in cards]))

    add("expected loss J", lambda c: f"{c.expected_loss:.6g}")
    add(
        "unbiased",
        lambda c: {True: c.known, False: "no" if c.known == "biased" else c.known, None: "not probed"}[c.unbiased],
    )
    add("||bias||", lambda c: _number(c.bias_norm, c.bias_error))
    add("||bias|| / ||grad J||", lambda c: f"{c.relative_bias:.3g}")
    add("cosine to grad J", lambda c: f"{c.cosine:.4f}")
    add("total variance", lambda c: _number(c.total_variance, c.variance_error))
    add("  against REINFORCE", lambda c: _applying(c.variance_ratio, "{:.3f}x"))
    add("  REINFORCE's", lambda c: _applying(c.variance_of_reinforce, "{:.5g}"))
    add("  with the best baseline", lambda c: _applying(c.variance_of_best_baseline, "{:.5g} (T11)"))
    add("  edges with less (T7)", lambda c: _applying(c.edges_won, f"{{}} of {len(c.edge_variances)}"))
    add("T1, largest step in p", lambda c: _applying(c.t1_step, "{:.4g}"))
    add("T8, largest logit step", lambda c: _applying(c.t8_step if c.t8_applies else None, "{:.4g}"))
    add("T10, mean step descends", lambda c: {True: "promised", False: "not promised", None: NOT_HERE}[c.t10_descends])
    add("  J changes in fact by", lambda c: _applying(c.expected_step_changes_loss, "{:+.4g}"))
    add("one sample, largest step", lambda c: _applying(c.sampled_step, "{:.4g}"))
    add("samples for 95 % (1/C)", _samples)
    add("passes forward + backward", lambda c: f"{c.forward} + {c.backward}")
    add("operations an edge", lambda c: f"{c.operations:.2g}")
    add("outcomes summed", lambda c: f"{c.outcomes:,}")
    width = max(len(name) for name, _ in rows)
    widths = [max(len(values[column]) for _, values in rows) for column in range(len(cards))]
    lines = [
        f"{name.ljust(width)}  " + "  ".join(v.ljust(w) for v, w in zip(values, widths, strict=True)).rstrip()
        for name, values in rows
    ]
    verdicts = [f"{c.method}: {c.verdict}" for c in cards]
    others = [
        f"{c.method}: bias is against the gradient of {ARCHITECTURES}; its steps descend {c.objective}"
        for c in cards
        if c.objective != ARCHITECTURES
    ]
    return "\n".join([*lines, "", *verdicts, *others])


def write(path: Path, cards: Sequence[Card], about: dict[str, Any]) -> None:
    """Cards as JSON: what they are about, "methods": {name: card}; a single card's keys also stand at the top."""
    content = {**about, "expected_loss": cards[0].expected_loss, "gradient": cards[0].gradient}
    if len(cards) == 1:
        content = {**about, **_plain(asdict(cards[0]))}
    content["methods"] = {c.method: _plain(asdict(c)) for c in cards}
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def figure(path: Path, cards: Sequence[Card]) -> None:
    """Squared bias and variance of every method, stacked to its mean squared error, with the passes it costs."""
    save_as(_error_figure(cards), path)


@styled
def _error_figure(cards: Sequence[Card]) -> Figure:
    drawn = Figure(figsize=(7, 1.2 + 0.45 * len(cards)))
    axes = drawn.subplots()
    names = [f"{c.label}\n{c.forward} forward, {c.backward} backward" for c in cards]
    variance, bias = [c.total_variance for c in cards], [c.bias_norm**2 for c in cards]
    axes.barh(names, variance, color=VARIANCE, label="total variance")
    axes.barh(names, bias, left=variance, color=BIAS, label="squared bias")
    for reinforce in {c.variance_of_reinforce for c in cards if c.variance_of_reinforce is not None}:
        axes.axvline(reinforce, color="black", linewidth=0.8, label="REINFORCE, baseline J")
    axes.invert_yaxis()
    axes.set_xlabel("mean squared error of one step's gradient, loss units squared")
    axes.set_title(f"{cards[0].landscape}: exact moments", loc="left")
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(fontsize=8)
    return drawn


def read_policy(name: str, edges: int, candidates: int) -> Any:
    """Probabilities (E, K): `uniform`, or a JSON file of E rows of K numbers, alone or under "probabilities".

    Raises: ValueError saying what is wrong with the file or the policy.
    """
    if name == "uniform":
        return np.full((edges, candidates), 1 / candidates)
    try:
        content = json.loads(read_text(Path(name)))
        rows = content["probabilities"] if isinstance(content, dict) else content
        p = np.array([[float(Fraction(value) if isinstance(value, str) else value) for value in row] for row in rows])
    except FileError as error:
        raise ValueError(f"the policy: {error}; give uniform or a JSON file") from error
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:  # 1/0, 400 digits, brackets
        why = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]
        raise ValueError(f"the policy {name} is not JSON with {edges} rows of {candidates} numbers: {why}") from error
    if p.shape != (edges, candidates):
        raise ValueError(f"the policy {name} has the shape {p.shape}, the landscape ({edges}, {candidates})")
    exact.check_policy(p)
    return p


# ------------------------------------------------------------------ helpers


NO_LOGITS: dict[str, Any] = {
    "variance_of_reinforce": None,
    "variance_ratio": None,
    "variance_of_best_baseline": None,
    "reinforce_edge_variances": None,
    "edges_won": None,
    "t7_boundary": None,
    "t1_applies": False,
    "t1_step": None,
    "t8_applies": False,
    "t8_step": None,
    "t10_descends": None,
    "expected_step_changes_loss": None,
    "sampled_step": None,
    "samples_95": None,
}


def _of_logits(landscape: Landscape, found: exact.Moments, is_gradient: bool, is_function: bool) -> dict[str, Any]:
    """The fields of a card that speak of K logits an edge.

    is_gradient: whether the mean is the gradient here; is_function: whether the method is one, so that steps of it have
    these moments at all.
    """
    p = found.probabilities
    plain = exact.moments(METHODS["reinforce"], landscape, p)
    best = exact.moments(t11_best_baseline.BEST, landscape, p)
    room = float(landscape.max_loss - found.expected_loss)
    smooth = t8_logit_step.smoothness(float(landscape.max_loss - landscape.min_loss), p.shape[0])
    gradient, mean = found.gradient.astype(float), found.mean.astype(float)
    variance, along = float(found.total_variance), float((gradient * mean).sum())
    second = float((mean * mean).sum()) + variance
    moved = exponential_step(p.astype(float), mean, 1 / smooth if smooth > 0 else 0.0)
    enough = sampled.samples_for_full_step(found, DELTA)
    return {
        "variance_of_reinforce": float(plain.total_variance),
        "variance_ratio": variance / float(plain.total_variance) if plain.total_variance > 0 else math.nan,
        "variance_of_best_baseline": float(best.total_variance),
        "reinforce_edge_variances": plain.edge_variances.astype(float).tolist(),
        "edges_won": int((found.edge_variances < plain.edge_variances).sum()),
        "t7_boundary": _boundary(landscape, p),
        "t1_applies": is_gradient,
        "t1_step": 1 / room if is_gradient and room > 0 else None,
        "t8_applies": is_gradient,
        "t8_step": 2 / smooth if smooth > 0 else math.inf,
        "t10_descends": found.bias_norm < float(np.linalg.norm(gradient)) if is_function else None,
        "expected_step_changes_loss": float(expected_loss(landscape, moved) - found.expected_loss),
        "sampled_step": (max(0.0, 2 * along / (smooth * second)) if smooth * second > 0 else 0.0)
        if is_function
        else None,
        "samples_95": enough if is_function and math.isfinite(enough) else None,
    }


ARCHITECTURES, RELAXED, MEAN = "E[L(a)] over architectures", "E[L(z)] over relaxed gates", "L(p) at the mean gates"


def _objective(method: Method, p: Any, progress: float) -> str:
    """Of which loss the gates are that a method asks about, seen on a few draws."""
    uniforms = np.random.default_rng(0).uniform(0.05, 0.95, (16, *method.draw.noise(*p.shape)))
    temperature = method.temperature(progress) if method.temperature else None
    logits = np.broadcast_to(policy.logits(p.astype(float)), (len(uniforms), *p.shape))
    gates = method.draw.sample(logits, uniforms, temperature).gates
    if (gates * (1 - gates) == 0).all():
        return ARCHITECTURES
    return MEAN if (gates == gates[:1]).all() else RELAXED


def _boundary(landscape: Landscape, p: Any) -> list[float] | None:
    """T7's closed form, where the landscape is additive."""
    if not (isinstance(landscape, Bilinear) and landscape.pair is None):
        return None
    return [float(value) for value in t7_variance.boundary(landscape.unary, p)]


def _applying(value: float | None, text: str) -> str:
    return NOT_HERE if value is None else text.format(value)


def _samples(card: Card) -> str:
    if not card.softmax or card.known == "not a function":
        return NOT_HERE
    return f"{math.ceil(card.samples_95):,}" if card.samples_95 is not None else "none suffice"


def _number(value: float, error: float) -> str:
    return f"{value:.5g} ± {error:.1g}" if error > 0 else f"{value:.5g}"


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """JSON has no nan or infinity: null."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in content.items()}


class CardModule(ModuleType):
    """`theory.card` is this module by Python's rules and the card by its name, whatever is imported first: so both."""

    __call__ = staticmethod(card)


sys.modules[__name__].__class__ = CardModule
