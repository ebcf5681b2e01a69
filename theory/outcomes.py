"""What can one step draw, and with which probability?

A finite draw is listed outcome by outcome: every architecture, every pair of paths, every chosen edge, every multiset
of several samples. A draw with continuous noise (Gumbel, Dirichlet), or with more outcomes than `LARGEST`, is
integrated by randomised quasi-Monte Carlo through the method's own `Draw.sample`: `REPLICATES` independent scramblings
of Sobol' points, whose spread is the stated error (Owen 1997).
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.stats import qmc

from nas import policy, samples
from nas.samples import Draw, Sample
from theory import architectures

REPLICATES = 16
LARGEST_MULTISETS = 200_000
LARGEST_SET = 600  # architectures of which all sets of two are listed: 180,000


@dataclass(frozen=True)
class Outcomes:
    """chunks(size) yields (replicate, weights (n,), sample of n); the weights of each of `replicates` sum to one."""

    number: int
    replicates: int
    probabilities: Any  # (E, K), the policy that is drawn from
    chunks: Callable[[int], Iterator[tuple[int, Any, Sample]]]


def outcomes(draw: Draw, probabilities: Any, temperature: Any = None, points: int = 1024, seed: int = 0) -> Outcomes:
    """All outcomes of `draw` at probabilities (E, K), float64 or `Fraction`.

    points: Sobol' points a replicate where the draw cannot be listed.
    Raises: ValueError where an exact sum is asked for and the draw cannot be listed.
    """
    if draw.keeps is not None:
        raise ValueError("this draw is from no product of E softmaxes: its outcomes do not follow from E rows")
    if draw in FINITE:
        listed = FINITE[draw](probabilities)
        if listed is not None:
            return listed
    if probabilities.dtype == object:
        raise ValueError(
            "this method's draw has no finite list of outcomes here; take a float policy: it is integrated"
        )
    return _quadrature(draw, probabilities, temperature, points, seed)


# ------------------------------------------------------------------ finite draws


def _one_hot(p: Any, runs_all: bool = False) -> Outcomes:
    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        for choice in architectures.chunks(p.shape[0], p.shape[1], size, "architectures"):
            weight, choice = _possible(architectures.probability(p, choice), choice)
            gates = architectures.one_hot(choice, p.shape[1], p.dtype == object)
            yield 0, weight, Sample(_spread(p, gates), gates, gates * 0 + 1 if runs_all else gates)

    return Outcomes(architectures.count(*p.shape), 1, p, chunks)


def _one_hot_and_edge(p: Any) -> Outcomes:
    edges = len(p)
    single = _one_hot(p)

    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        for replicate, weight, sample in single.chunks(max(1, size // edges)):
            every = np.repeat(sample.gates, edges, axis=0)
            eye = architectures.one_hot(np.arange(edges), edges, p.dtype == object)
            chosen = np.concatenate([eye] * len(weight)) if len(weight) else eye[:0]
            yield replicate, np.repeat(weight, edges) / edges, Sample(_spread(p, every), every, every, chosen=chosen)

    return Outcomes(single.number * edges, 1, p, chunks)


def _several(p: Any) -> Outcomes | None:
    """Multisets of S architectures: estimators are taken to be symmetric in their samples."""
    number = samples.SAMPLES
    distinct = architectures.choices(*p.shape) if p.shape[1] ** p.shape[0] <= 64 else None
    if distinct is None or math.comb(len(distinct) + number - 1, number) > LARGEST_MULTISETS:
        return None
    probability, distinct = _possible(architectures.probability(p, distinct), distinct)
    total = math.comb(len(distinct) + number - 1, number)

    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        drawn = itertools.combinations_with_replacement(range(len(distinct)), number)
        while block := list(itertools.islice(drawn, size)):
            member = np.array(block)
            counts = (member[:, :, None] == np.arange(len(distinct))).sum(axis=1)
            ways = np.array([math.factorial(number) // math.prod(map(math.factorial, row)) for row in counts.tolist()])
            weight = probability[member].prod(axis=-1) * (ways.astype(object) if p.dtype == object else ways)
            gates = architectures.one_hot(distinct[member], p.shape[1], p.dtype == object)
            yield 0, weight, Sample(_spread(p, gates[:, 0]), gates, gates)

    return Outcomes(total, 1, p, chunks)


def _distinct(p: Any) -> Outcomes | None:
    """Sets of two architectures, drawn without replacement: the estimator is taken to be symmetric in them."""
    distinct = architectures.choices(*p.shape) if p.shape[1] ** p.shape[0] <= LARGEST_SET else None
    if distinct is None:
        return None
    probability, distinct = _possible(architectures.probability(p, distinct), distinct)
    if len(distinct) == 1:  # certain: the draw returns it twice
        return _fixed(p, architectures.one_hot(distinct[[0, 0]], p.shape[1], p.dtype == object))
    total = math.comb(len(distinct), 2)

    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        drawn = itertools.combinations(range(len(distinct)), 2)
        while block := list(itertools.islice(drawn, size)):
            member = np.array(block)
            one, other = probability[member].T
            weight = one * other * (1 / (1 - one) + 1 / (1 - other))
            gates = architectures.one_hot(distinct[member], p.shape[1], p.dtype == object)
            yield 0, weight, Sample(_spread(p, gates[:, 0]), gates, gates)

    return Outcomes(total, 1, p, chunks)


def _antithetic(p: Any) -> Outcomes:
    """Of each edge: operation 0 then 1, 1 then 0, or twice the more probable one."""
    samples.refuse_all_but_two(p.shape[1])
    least, largest = p.min(axis=-1), p.max(axis=-1)
    weights = np.stack((least, least, largest - least), axis=-1)
    more = (p[:, 1] > p[:, 0]).astype(int)
    pairs = np.array([[(0, 1), (1, 0), (k, k)] for k in more])  # (E, 3, 2)

    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        for choice in architectures.chunks(len(p), 3, size, "antithetic pairs"):
            weight, choice = _possible(architectures.probability(weights, choice), choice)
            member = pairs[np.arange(len(p)), choice].swapaxes(-1, -2)
            gates = architectures.one_hot(member, 2, p.dtype == object)
            rows = _spread(p, gates[:, 0])
            yield 0, weight, Sample(rows, gates, gates, largest=np.broadcast_to(largest, rows.shape[:-1]))

    return Outcomes(3 ** len(p), 1, p, chunks)


def _pair(p: Any) -> Outcomes | None:
    """Two paths an edge without replacement, unordered, and which of them is active: K (K - 1) outcomes an edge."""
    candidates = p.shape[1]
    if ((p > 0).sum(axis=-1) < 2).any():
        raise ValueError("two paths need at least two operations of positive probability on every edge")
    if (candidates * (candidates - 1)) ** len(p) > architectures.LARGEST // 4:
        return None
    first, second = np.array(list(itertools.permutations(range(candidates), 2))).T  # the first is the active one
    one, two = p[:, first], p[:, second]
    both = one + two
    drawn = np.where(both > 0, one * two * (1 / (1 - one) + 1 / (1 - two)), 0 * one)
    weights = drawn * one / np.where(both > 0, both, 1 + 0 * both)

    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        for choice in architectures.chunks(len(p), len(first), size, "pairs of paths"):
            weight, choice = _possible(architectures.probability(weights, choice), choice)
            active, idle = (
                architectures.one_hot(path[choice], candidates, p.dtype == object) for path in (first, second)
            )
            yield 0, weight, Sample(_spread(p, active), active, active + idle, pair=np.stack((active, idle), axis=-2))

    return Outcomes(len(first) ** len(p), 1, p, chunks)


def _fixed(p: Any, gates: Any) -> Outcomes:
    one = Fraction(1) if p.dtype == object else 1.0
    sample = Sample(p[None], gates[None], gates[None] * 0 + 1)
    return Outcomes(1, 1, p, lambda size: iter([(0, np.array([one]), sample)]))


def binomial_policy(p: Any) -> Any:
    """The binomial policy over ordered candidates with the mean of p's rows: (E, K) -> (E, K)."""
    trials = p.shape[1] - 1
    success = (p * np.arange(trials + 1)).sum(axis=-1) / max(trials, 1)
    return np.stack(
        [math.comb(trials, k) * success**k * (1 - success) ** (trials - k) for k in range(trials + 1)], axis=-1
    )


FINITE: dict[Draw, Callable[[Any], Outcomes | None]] = {
    samples.ONE_HOT: _one_hot,
    samples.ONE_HOT_AND_EDGE: _one_hot_and_edge,
    samples.SEVERAL: _several,
    samples.ALL_DENSE: lambda p: _one_hot(p, runs_all=True),
    samples.DISTINCT: _distinct,
    samples.ANTITHETIC: _antithetic,
    samples.PAIR: _pair,
    samples.MEAN: lambda p: _fixed(p, p),
    samples.ARGMAX: lambda p: _fixed(p, policy.one_hot_argmax(p)),
    samples.BINOMIAL: lambda p: _one_hot(binomial_policy(p)),
}


# ------------------------------------------------------------------ continuous noise


def _quadrature(draw: Draw, p: Any, temperature: Any, points: int, seed: int) -> Outcomes:
    shape = draw.noise(*p.shape)
    power = max(1, math.ceil(math.log2(points)))
    logits = policy.logits(p)
    if draw.probabilities is not policy.softmax:  # what it draws from at these logits
        p = draw.probabilities(logits)
    streams = np.random.SeedSequence(seed).spawn(REPLICATES)

    def chunks(size: int) -> Iterator[tuple[int, Any, Sample]]:
        for replicate, stream in enumerate(streams):
            sobol = qmc.Sobol(math.prod(shape), scramble=True, rng=np.random.default_rng(stream))
            uniforms = sobol.random_base2(power).reshape(-1, *shape)
            for start in range(0, len(uniforms), size):
                part = uniforms[start : start + size]
                sample = draw.sample(np.broadcast_to(logits, (len(part), *p.shape)), part, temperature)
                yield replicate, np.full(len(part), 1 / len(uniforms)), sample

    return Outcomes(REPLICATES << power, REPLICATES, p, chunks)


# ------------------------------------------------------------------ helpers


def _possible(weight: Any, choice: Any) -> tuple[Any, Any]:
    """Drop outcomes of probability zero: on the simplex boundary they are many, and some are undefined."""
    positive = weight > 0
    return (weight, choice) if positive.all() else (weight[positive], choice[positive])


def _spread(p: Any, gates: Any) -> Any:
    return np.broadcast_to(p, gates.shape)
