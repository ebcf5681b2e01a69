"""What is known of an estimator's bias, and how? Purity first; then proved, refuted, not refuted, not probed.

    not a function   two calls differ, inputs are edited, or a batch is not its rows one by one: nothing else holds then
    proved           run on symbols: for all policies, losses, slopes and baselines at the stated E and K
    biased           an exact probe, or the landscape at hand, shows it
    not refuted      exactly zero on every probe: the stated E, K and smallest probabilities, and no others
    not probed       why no probe could be run; then only the landscape at hand speaks

A probe is a general table, which is affine in every gate, or a network with an outer loss of degree 6. Where the method
is not rational the same probes are taken in floats, to rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import sympy

from nas import policy, samples, step
from nas.methods import Memory, Method
from nas.optimisers import sgd
from nas.samples import Sample
from theory import exact, outcomes, symbols
from theory.cases import Case, Domain, Kind, random_case
from theory.claims import t5_taylor_bias
from theory.landscapes import Landscape, Power

Known = Literal["not a function", "proved", "biased", "not refuted", "not probed"]

SIZES = ((1, 2), (2, 2), (3, 2), (1, 3), (2, 3), (1, 4), (1, 5))  # (E, K) of the probes
NEAR = (Fraction(1, 10**3), Fraction(1, 10**12))  # smallest probabilities of further probes, at these sizes:
NEAR_SIZES = ((2, 2), (1, 3), (1, 5))
PROVED_SIZES = ((1, 2), (2, 2), (1, 3))
LARGEST_PROBE = 1000  # outcomes: eight samples of nine architectures are 12,870 multisets
LARGEST_EXPRESSION = 20_000  # operations of a symbolic mean that is still brought to lowest terms
BATCH = 6


@dataclass(frozen=True)
class Verdict:
    """known: the strongest that is known; text: one line that says how, with the E, K and policies that it rests on."""

    known: Known
    text: str

    @property
    def unbiased(self) -> bool | None:
        """True where a bias was looked for and not found, False where there is one, None where nothing was probed."""
        return {"proved": True, "not refuted": True, "not probed": None}.get(self.known, False)


def judge(method: Method, landscape: Landscape, found: exact.Moments) -> Verdict:
    """What is known of a method; found: its exact moments on the landscape at hand."""
    spread = float(landscape.max_loss - landscape.min_loss)
    least = rounding(spread)
    here = (
        f"measured here: below rounding ({found.bias_norm:.2g})"
        if found.bias_norm <= least
        else f"measured here: {found.bias_norm:.4g}" + (f" ± {found.error:.1g}" if found.error else "")
    )
    faults = impurities(method)
    if faults:
        return Verdict("not a function", f"not a function of its sample: {'; '.join(faults)}. {here}")
    none_here = found.bias_norm <= 6 * found.error * found.mean.size**0.5 + least
    probes = probe(method)
    if probes.refuted("table"):
        return Verdict(
            "biased", f"biased, also where the loss is affine in every gate ({probes.where('table')}); {here}"
        )
    if probes.refuted("quadratic"):
        return Verdict(
            "biased",
            f"biased where the loss is curved in a gate{_taylor(landscape, probes)} ({probes.where('quadratic')}); "
            f"{probes.zero} on all {len(probes.of('table'))} affine probes; {here}",
        )
    if not probes.tried:
        why = f"not probed: {probes.trouble}"
        if none_here:
            return Verdict("not probed", f"{why}. No bias beyond 6 standard errors of {found.error:.2g}; {here}")
        return Verdict("biased", f"biased here. {why}; {here}")
    if not none_here:
        return Verdict("biased", f"biased here, though {probes.zero} on {probes}; {here}")
    theorem = f" ({method.unbiased_by})" if method.unbiased_by else ""
    proved = proof(method)
    known: Known = "not refuted" if proved.text is None else "proved"
    words = f"not proved: {proved.trouble}" if proved.text is None else proved.text
    return Verdict(known, f"unbiased{theorem}, {words}; not refuted: {probes.zero} on {probes}; {here}")


# ------------------------------------------------------------------ purity


def impurities(method: Method) -> list[str]:
    """What keeps an estimator from being a function of one sample, in words; empty if nothing was found.

    A batch of six samples of a small network: twice, with read-only inputs, reversed, row by row and one alone.
    """
    sample, memory = _batch(method)
    before = _arrays(sample, memory)
    copies = [array.copy() for array in before]
    for array in before:
        array.flags.writeable = False
    try:
        first = np.array(step.gradient_of(method, sample, memory), dtype=float)
    except Exception as error:  # a user's function may raise anything; what it was is said
        if "read-only" in str(error):
            return ["it edits its inputs"]
        return [f"it fails on a batch of {BATCH} samples: {_said(error)}"]
    faults = []
    backwards, back = _rows(sample, memory, slice(None, None, -1))
    turned = np.array(step.gradient_of(method, backwards, back), dtype=float)
    again = np.array(step.gradient_of(method, sample, memory), dtype=float)
    if not _same(first, again):
        faults.append("two calls with the same inputs differ (it keeps state, or draws noise of its own)")
    elif not _same(first[::-1], turned):
        faults.append("a batch in another order has other gradients")
    if any((now != then).any() for now, then in zip(before, copies, strict=True)):
        faults.append("it edits its inputs")
    alone: dict[str, Callable[[int], Any]] = {
        "a batch is not its rows one by one (it mixes samples)": lambda i: slice(i, i + 1),
        "one sample alone, without a batch, has another gradient": lambda i: i,
    }
    for fault, index in alone.items():
        try:
            gradients = [step.gradient_of(method, *_rows(sample, memory, index(i))) for i in range(BATCH)]
        except Exception as error:
            faults.append(f"it fails on one sample alone: {_said(error)}")
            break
        if not faults and not _same(first, np.array(gradients, dtype=float).reshape(first.shape)):
            faults.append(fault)
    return faults


def _batch(method: Method) -> tuple[Sample, Memory]:
    """Six measured samples of a quadratic network with two edges and three operations (or as many as the draw takes),
    and a memory of any numbers.
    """
    rng = np.random.default_rng(0)
    candidates = method.draw.candidates or 3
    case = random_case(rng, Domain("quadratic", (2, 2), (candidates, candidates)))
    problem = case.problem(False)
    logits = rng.normal(size=(BATCH, 2, candidates))
    uniforms = rng.uniform(0.05, 0.95, (BATCH, *step.noise_shape(method, 2, candidates)))
    drawn = step.draw(method, logits, uniforms, 0.3)
    problem = exact.answering(method, problem, policy.softmax(logits[0]))  # type: ignore[assignment]
    kept = step.start(method, sgd(), logits).memory
    memory: Memory = {name: rng.normal(size=np.shape(value)) for name, value in kept.items()}
    return step.measure(method, drawn, problem), memory


def _arrays(sample: Sample, memory: Memory) -> list[Any]:
    """The arrays of a sample and a memory; views are exchanged for copies, so that each can be made read-only."""
    for entry in fields(sample):
        value = getattr(sample, entry.name)
        if isinstance(value, np.ndarray) and value.base is not None:
            object.__setattr__(sample, entry.name, value.copy())
    values = [*(getattr(sample, entry.name) for entry in fields(sample)), *memory.values()]
    return list({id(value): value for value in values if isinstance(value, np.ndarray)}.values())


def _rows(sample: Sample, memory: Memory, index: Any) -> tuple[Sample, Memory]:
    cut = {
        entry.name: getattr(sample, entry.name)[index]
        for entry in fields(sample)
        if isinstance(getattr(sample, entry.name), np.ndarray)
    }
    return replace(sample, **cut), {name: value[index] for name, value in memory.items()}


def _same(one: Any, other: Any) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# ------------------------------------------------------------------ probes


@dataclass(frozen=True)
class _Probed:
    """One probe: where, whether there was a bias, whether it was the one that T5 says, and whether it was exact."""

    kind: Kind
    size: tuple[int, int]
    least: Fraction
    biased: bool
    taylor: bool
    exact: bool


@dataclass(frozen=True)
class Probes:
    """What the probes said; trouble: why some or all of them could not be run, or could not be exact."""

    tried: tuple[_Probed, ...]
    trouble: str

    def of(self, kind: Kind) -> list[_Probed]:
        """The probes of one kind."""
        return [one for one in self.tried if one.kind == kind]

    def refuted(self, kind: Kind) -> list[_Probed]:
        """Those that showed a bias."""
        return [one for one in self.of(kind) if one.biased]

    def where(self, kind: Kind) -> str:
        """How many of one kind showed a bias, and the first of them."""
        found = self.refuted(kind)
        return (
            f"{len(found)} of {len(self.of(kind))} probes, the first at E, K = {found[0].size[0]}, {found[0].size[1]} "
            f"with probabilities from {float(found[0].least):.1g}"
        )

    @property
    def zero(self) -> str:
        """How exactly nothing was found."""
        if all(one.exact for one in self.tried):
            return "exactly zero"
        return f"zero to rounding (in floats: {self.trouble})" if self.trouble else "zero to rounding"

    def __str__(self) -> str:
        edges, candidates = (max(one.size[axis] for one in self.tried) for axis in (0, 1))
        least = float(min(one.least for one in self.tried))
        return f"{len(self.tried)} probes, E to {edges}, K to {candidates}, probabilities from {least:.1g}"


def probe(method: Method) -> Probes:
    """All probes of a method that can be run: exactly, or in floats where it is not rational."""
    if method.draw not in outcomes.FINITE:
        return Probes((), "its draw has continuous noise, so its mean is integrated, not summed")
    rng = np.random.default_rng(0)
    tried: list[_Probed] = []
    trouble = ""
    for kind, case in _cases(rng):
        if method.draw.candidates not in (None, case.weights.shape[1]):
            continue
        try:
            if _too_many(method, case):
                continue
            tried.append(_probe(method, kind, case, True))
            continue
        except Exception as error:  # a user's function may raise anything; what it was is said
            trouble = _said(error)
        try:
            tried.append(_probe(method, kind, case, False))
        except Exception as error:
            return Probes((), f"it fails at E, K = {case.weights.shape[0]}, {case.weights.shape[1]}: {_said(error)}")
    return Probes(tuple(tried), trouble)


def _cases(rng: np.random.Generator) -> Iterator[tuple[Kind, Case]]:
    """A case of each size inside the simplex, and some near its boundary."""
    kinds: tuple[Kind, Kind] = ("table", "quadratic")
    for kind in kinds:
        for edges, candidates in SIZES:
            inside = _inside(rng, Domain(kind, (edges, edges), (candidates, candidates)))
            yield kind, inside
            if (edges, candidates) in NEAR_SIZES:
                for least in NEAR:
                    weights = inside.weights * least.denominator
                    weights[:, 0] = inside.weights[:, 0]
                    yield kind, replace(inside, weights=weights)


def _inside(rng: np.random.Generator, domain: Domain) -> Case:
    """A case inside the simplex on which every edge has something to learn: a probe of equal losses shows nothing."""
    while True:
        case = random_case(rng, domain)
        case = replace(case, weights=np.maximum(case.weights, 1).astype(object))
        if (exact.truth(case.problem(True), case.policy(True)).gradient != 0).any(axis=-1).all():
            return case


def _too_many(method: Method, case: Case) -> bool:
    return outcomes.outcomes(method.draw, case.policy(True)).number > LARGEST_PROBE


def _probe(method: Method, kind: Kind, case: Case, exactly: bool) -> _Probed:
    problem = case.problem(exactly) if kind == "table" else sixth_power(case, exactly)
    p = case.policy(exactly)
    bias = exact.moments(method, problem, p).bias
    least = Fraction(int(case.weights.min()), int(case.weights.sum(axis=-1).max()))
    if not isinstance(bias.ravel()[0], Fraction):  # in floats, or a quadrature's nodes are
        wrong = not abs(bias).max() <= rounding(float(problem.max_loss - problem.min_loss))  # a nan is wrong
        return _Probed(kind, case.weights.shape, least, bool(wrong), False, False)
    biased = bool((bias != 0).any())
    taylor = biased and bool((bias == t5_taylor_bias.remainder(problem, p)[0]).all())
    return _Probed(kind, case.weights.shape, least, biased, taylor, True)


def sixth_power(case: Case, exactly: bool) -> Landscape:
    """A quadratic case with the sixth power of the miss as loss."""
    land: Any = case.problem(exactly)
    return Power(land.outputs, land.target, 6)


def _taylor(landscape: Landscape, probes: Probes) -> str:
    if not all(one.taylor or not one.biased for one in probes.of("quadratic")):
        return ""
    error = slope_error(landscape)
    if error > 1e-4:
        return (
            f" (the gate gradient of this landscape is off its loss's slope by {error:.2g}: T5 explains nothing here)"
        )
    return " (T5: p_k (E[r | k] - E[r]), r = int t phi'' dt)"


def slope_error(landscape: Landscape, architectures: int = 4, width: float = 1e-4) -> float:
    """The largest difference between a landscape's gate gradient and its loss's central differences, relative to both.

    At a few random architectures, every gate; the differences' own error is of the order of width squared.
    """
    rng = np.random.default_rng(0)
    edges, candidates = landscape.edges, landscape.candidates
    one_hot = np.eye(candidates, dtype=object if landscape.exact else float)
    worst = 0.0
    for choice in rng.integers(candidates, size=(architectures, edges)):
        gates = one_hot[choice]
        slopes = np.asarray(landscape.gradients(gates, 0 * gates + 1).gate_gradient, dtype=float)
        moves = np.eye(edges * candidates).reshape(-1, edges, candidates) * width
        floats = gates.astype(float)
        ahead, behind = (np.asarray(landscape.loss(floats + sign * moves), dtype=float) for sign in (1, -1))
        differences = ((ahead - behind) / (2 * width)).reshape(edges, candidates)
        worst = max(worst, float((abs(slopes - differences) / (1 + abs(slopes) + abs(differences))).max()))
    return worst


def rounding(spread: float) -> float:
    """The largest bias in floats that counts as none, for losses that span `spread`."""
    return 1e-9 * (1 + spread)


# ------------------------------------------------------------------ proof


@dataclass(frozen=True)
class Proof:
    """text: what is proved, or None; trouble: why nothing is."""

    text: str | None
    trouble: str = ""


ON_SYMBOLS = (samples.ONE_HOT, samples.ALL_DENSE, samples.ONE_HOT_AND_EDGE)


def proof(method: Method) -> Proof:
    """Whether the method's own function, run on symbols and summed over all it can draw, is the gradient of E[L].

    First with slopes that are free symbols, so that it holds whatever the network does between architectures; then with
    the slopes of losses affine in every gate.
    """
    if method.draw not in ON_SYMBOLS:
        return Proof(None, "its draw is not one architecture")
    sizes = ", ".join(str(size) for size in PROVED_SIZES)
    for affine, what in ((False, "slopes and baselines"), (True, "baselines, the loss affine in every gate")):
        try:
            if all(_is_gradient(method, *size, affine) for size in PROVED_SIZES):
                return Proof(f"proved for all policies, losses, {what} at (E, K) = {sizes}")
        except Exception as error:  # a user's function may raise anything; what it was is said
            return Proof(None, _said(error))
    return Proof(None, "its mean on symbols is not the gradient")


def _is_gradient(method: Method, edges: int, candidates: int, affine: bool) -> bool:
    p, losses = symbols.policy(edges, candidates), symbols.table(edges, candidates)
    memory = {
        name: symbols.symbols(f"b_{name}", *(edges, candidates)[: average.axes])[()]
        for name, average in method.averages.items()
    }
    mean: Any = 0
    for number, (a, probability, gates) in enumerate(symbols.architectures(p)):
        dense = method.draw == samples.ALL_DENSE
        sample = Sample(p, gates, gates * 0 + 1 if dense else gates, **_answers(losses, p, a, gates, number, affine))
        if method.draw == samples.ONE_HOT_AND_EDGE:
            for edge in range(edges):
                chosen = np.array([int(e == edge) for e in range(edges)], dtype=object)
                one = replace(sample, chosen=chosen, zeroed_loss=sample.zeroed_loss[edge])
                mean = mean + probability * step.gradient_of(method, one, memory) / edges
        else:
            mean = mean + probability * step.gradient_of(method, sample, memory)
    difference = (mean - symbols.gradient(losses, p)).ravel()
    size = sum(int(sympy.count_ops(entry)) for entry in difference)
    if size > LARGEST_EXPRESSION:
        raise ValueError(f"its mean on symbols has {size:,} operations: too many to reduce")
    return all(entry == 0 for entry in symbols.reduced(difference))


def _answers(losses: Any, p: Any, a: Sequence[int], gates: Any, number: int, affine: bool) -> dict[str, Any]:
    """Everything that an objective could answer about one architecture, in symbols."""
    edges, candidates = p.shape
    choice = tuple(a)
    zeroed = symbols.zeroed(losses, choice)
    alternatives = np.array(
        [[symbols.replaced(losses, choice, e, k) for k in range(candidates)] for e in range(edges)], dtype=object
    )
    slopes = alternatives - zeroed[:, None] if affine else symbols.symbols(f"g{number}_", edges, candidates)
    along = np.stack([slopes, slopes]) if affine else symbols.symbols(f"h{number}_", 2, edges, candidates)
    mean_loss = symbols.expected(losses, p) if affine else symbols.symbols("m")[()]
    mean_slopes = _mean_slopes(losses, p) if affine else symbols.symbols("M", edges, candidates)
    return {
        "loss": losses[choice],
        "gate_gradient": slopes,
        "output_gradient": symbols.symbols(f"o{number}_", edges),
        "zeroed_loss": zeroed,
        "alternative_losses": alternatives,
        "path_gradients": along,
        "mean_loss": mean_loss,
        "mean_gate_gradient": mean_slopes,
    }


def _mean_slopes(losses: Any, p: Any) -> Any:
    """E[L | a_e = k] - E[L with e zeroed], (E, K): the gate gradient at the mean gates of an affine loss."""
    slopes: Any = 0
    for a, probability, _ in symbols.architectures(p):
        rows = np.array(
            [
                [
                    symbols.replaced(losses, a, e, k) - symbols.replaced(losses, a, e, losses.shape[e] - 1)
                    for k in range(p.shape[1])
                ]
                for e in range(len(p))
            ],
            dtype=object,
        )
        slopes = slopes + probability * rows
    return slopes
