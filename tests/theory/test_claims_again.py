"""The claims' slacks and controls, derived a second time: sums over all architectures, written out one by one.

A control is false, and stays false when a term of it changes; a claim is true, and often stays true. So both are held
against the same number from another hand, in fractions wherever the statement is rational.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction as F
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from theory.cases import Case, Domain, random_case
from theory.claim import try_case
from theory.claims import CLAIMS, t1_monotone
from theory.landscapes import Landscape

LN = sum(F(2, (2 * k + 1) * 17 ** (2 * k + 1)) for k in range(9))  # ln(9/8) = 2 (x + x^3/3 + ...), x = 1/17


@dataclass(frozen=True)
class World:
    """A landscape at a policy p (E, K), with everything that a statement speaks of as a sum over architectures."""

    land: Landscape
    p: Any
    share: Any
    direction: Any

    @cached_property
    def every(self) -> list[tuple[Any, Any]]:
        """(gates (E, K), loss) of each architecture."""
        edges, candidates = self.p.shape
        one = np.eye(candidates, dtype=int)
        exactly = self.p.dtype == object
        gates = [one[list(a)].astype(object if exactly else float)
                 for a in itertools.product(range(candidates), repeat=edges)]  # fmt: skip
        return [(a, self.land.loss(a)) for a in gates]

    def chance(self, a: Any, p: Any = None) -> Any:
        """P(a)."""
        p = self.p if p is None else p
        return math.prod((p[e] * a[e]).sum() for e in range(len(p)))

    def mean(self, p: Any = None) -> Any:
        """J at another policy, or here."""
        return sum(self.chance(a, p) * loss for a, loss in self.every)

    @cached_property
    def gradient(self) -> Any:
        """E[L (a - p)]."""
        return sum(self.chance(a) * loss * (a - self.p) for a, loss in self.every)

    @cached_property
    def low(self) -> Any:
        return min(loss for _, loss in self.every)

    @cached_property
    def high(self) -> Any:
        return max(loss for _, loss in self.every)

    @property
    def spread(self) -> Any:
        return self.high - self.low

    def zeroed(self, a: Any) -> Any:
        """L with each edge zeroed, (E,)."""
        kept = [np.array([row * int(e != f) for f, row in enumerate(a)]) for e in range(len(a))]
        return np.array([self.land.loss(rows) for rows in kept])

    def swapped(self, a: Any) -> Any:
        """L with each edge at each operation, (E, K)."""
        found = np.zeros(a.shape, dtype=a.dtype)
        for e, k in np.ndindex(a.shape):
            other = a.copy()
            other[e] = 0 * other[e]
            other[e, k] = 1 + other[e, k]
            found[e, k] = self.land.loss(other)
        return found

    def credit(self, a: Any) -> Any:
        """<a_e, dL/da_e>, (E,)."""
        return (a * self.land.gradients(a[None], a[None]).gate_gradient[0]).sum(axis=-1)

    def estimate(self, credit: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
        """Mean (E, K), and variance of each edge (E,), of credit(a, L)_e (a_e - p_e)."""
        mean = sum(self.chance(a) * credit(a, loss)[:, None] * (a - self.p) for a, loss in self.every)
        second = sum(self.chance(a) * credit(a, loss) ** 2 * ((a - self.p) ** 2).sum(axis=-1) for a, loss in self.every)
        return mean, second - (mean**2).sum(axis=-1)

    def stepped(self, g: Any, rate: Any) -> Any:
        """p exp(-rate g), normalised, in floats."""
        weights = [
            [x * math.exp(-rate * y) for x, y in zip(*rows, strict=True)] for rows in zip(self.p, g, strict=True)
        ]
        return np.array([[x / math.fsum(row) for x in row] for row in weights])

    @property
    def smooth(self) -> Any:
        """T8's C."""
        edges = max(len(self.p), 2)
        return self.spread * F(edges - 1, 3 * edges - 2) if self.p.dtype == object else (
            self.spread * (edges - 1) / (3 * edges - 2))  # fmt: skip


def simplex_end(w: World, p: Any, g: Any) -> Any:
    """The longest step that leaves no probability negative; None where nothing falls."""
    least = 0 if p.dtype == object else 1e-12
    ends = [p[i] / g[i] for i in np.ndindex(p.shape) if g[i] > least]
    return min(ends) if ends else None


# ------------------------------------------------------------------ T1, T2, T3, T6: steps in probabilities


def one(w: World) -> Any:
    room = w.high - w.mean()
    moved = w.p - (w.share * w.gradient / room if room > 0 else 0 * w.gradient)
    after = w.mean(moved)
    if w.p.dtype == object:
        return w.mean() - after
    there = [(x, y) for x, y in zip(moved.ravel(), w.p.ravel(), strict=True)]
    forth = math.fsum(x * math.log(x / y) for x, y in there if x > 0)
    back = math.fsum(y * math.log(y / x) for x, y in there if y > 0) if w.share < 1 else 0.0
    gain = math.log((w.high - after) / room)
    return min(gain - forth / w.share - (1 / w.share - 1) * back, (w.mean() - after) / room)


def along(length: Callable[[World], Any]) -> Callable[[World], Any]:
    """J - J' after p - length g / (max L - J); nothing where that leaves the simplex, or there is no room."""

    def control(w: World) -> Any:
        room = w.high - w.mean()
        if room <= 0:
            return 0
        moved = w.p - length(w) * w.gradient / room
        return 0 if any(x < 0 for x in moved.ravel()) else w.mean() - w.mean(moved)

    return control


def two(w: World) -> Any:
    longest = simplex_end(w, w.p, w.gradient)
    if longest is None:
        return 0
    rate = w.share * longest
    positive = [i for i in np.ndindex(w.p.shape) if w.p[i] > 0]
    variance = sum(w.gradient[i] ** 2 / w.p[i] for i in positive)
    length = rate * max(w.gradient[i] / w.p[i] for i in positive) - w.share
    missed = w.mean(w.p - rate * w.gradient) - (w.mean() - rate * variance)
    return min(-abs(missed) / (1 + rate * variance), -abs(length))


def three(w: World) -> Any:
    longest = simplex_end(w, w.p, w.gradient)
    return 0 if longest is None else w.mean(w.p - longest * w.gradient) - w.mean()


def six(w: World) -> Any:
    """In floats: the room in the bound on the sum of KL over twelve steps, or the smallest decrease."""
    decreases, travelled, start, now = [0.0], 0.0, w.high - w.mean(), w
    for _ in range(12):
        room = now.high - now.mean()
        moved = now.p - now.share * now.gradient / room if room > 1e-12 * (1 + abs(now.high)) else now.p
        moved = np.array([[max(x, 0.0) for x in row] for row in moved])
        moved = moved / moved.sum(axis=-1, keepdims=True)
        decreases.append(now.mean() - now.mean(moved))
        travelled += math.fsum(x * math.log(x / y) for x, y in zip(moved.ravel(), now.p.ravel(), strict=True) if x > 0)
        now = replace(now, p=moved)
    return min(*decreases, w.share * math.log(w.spread / start) - travelled)


def six_to_the_simplex(w: World) -> Any:
    decreases, now = [0], w
    for _ in range(3):
        longest = simplex_end(now, now.p, now.gradient)
        if longest is None:
            break
        after = replace(now, p=now.p - longest * now.gradient)
        decreases.append(now.mean() - after.mean())
        now = after
    return min(decreases)


# ------------------------------------------------------------------ T4, T5, T7, T11: means and variances


def bias(credit: Callable[[World], Callable[[Any, Any], Any]]) -> Callable[[World], Any]:
    return lambda w: -max(abs(x) for x in (w.estimate(credit(w))[0] - w.gradient).ravel())


def cubic(w: World) -> list[tuple[Any, Any, Any]]:
    """(own, rest, r), D numbers of an edge each and the number r, of all architectures; L = mean of (sum h)^3."""
    outputs, found = w.land.outputs, []  # type: ignore[attr-defined]
    for a, _ in w.every:
        own = (a[..., None] * outputs).sum(axis=1)
        for e in range(len(a)):
            rest = own.sum(axis=0) - own[e]
            s = rest + own[e]
            r = (3 * s**2 * own[e] - (s**3 - rest**3)).sum() / len(s)
            found.append((own[e], rest, r))
    return found


def five_third(w: World) -> Any:
    ends = [(max(abs((6 * h**2 * x).sum() / len(h)) for x in (rest, rest + h)), r) for h, rest, r in cubic(w)]
    return min(most / 3 - abs(r) for most, r in ends)


def five_without_t(w: World) -> Any:
    """int phi'' = phi'(1) - phi'(0) = mean of 3 h ((rest + h)^2 - rest^2)."""
    return -max(abs(r - (3 * h * ((rest + h) ** 2 - rest**2)).sum() / len(h)) for h, rest, r in cubic(w))


def five_descends(w: World) -> Any:
    return (w.estimate(lambda a, loss: w.credit(a))[0] * w.gradient).sum()


def seven(w: World) -> Any:
    """V(REINFORCE) - V(credit), (E,)."""
    edges = len(w.p)
    plain = w.estimate(lambda a, loss: np.array([loss - w.mean()] * edges))[1]
    return plain - w.estimate(lambda a, loss: loss - w.zeroed(a))[1]


def eleven(baseline: Callable[[World, Any], Any]) -> Callable[[World], Any]:
    """V(b*) - V(b), b* the one that the variance asks for: d/db E[(L - b)^2 w | others] = 0."""

    def best(w: World, a: Any) -> Any:
        losses, found = w.swapped(a), []
        for p, row in zip(w.p, losses, strict=True):
            size = [((np.eye(len(p), dtype=int)[k] - p) ** 2).sum() for k in range(len(p))]
            total = sum(x * y for x, y in zip(p, size, strict=True))
            found.append(sum(x * y * z for x, y, z in zip(p, size, row, strict=True)) / (total if total else 1))
        return np.array(found)

    return lambda w: (
        w.estimate(lambda a, loss: loss - best(w, a))[1].sum()
        - w.estimate(lambda a, loss: loss - baseline(w, a))[1].sum()
    )


# ------------------------------------------------------------------ T8, T9, T10: steps of the logits


def bent(w: World) -> Any:
    """v' H v = E[(L - J)(S^2 - E S^2)], S = <v, a - p>: any constant may stand for the mid-range."""
    squares = [(w.chance(a), loss, ((a - w.p) * w.direction).sum() ** 2) for a, loss in w.every]
    variance = sum(q * s for q, _, s in squares)
    return sum(q * (loss - w.mean()) * (s - variance) for q, loss, s in squares)


def eight_room(w: World, constant: Any) -> Any:
    return constant**2 * (w.direction**2).sum() ** 2 - bent(w) ** 2


def eight(w: World) -> Any:
    """n (1 - C n / 2) |g|^2 for n = 2 share / C is 2 share (1 - share) |g|^2 / C."""
    if w.p.dtype == object:
        return eight_room(w, w.smooth)
    after = w.mean(w.stepped(w.gradient, 2 * w.share / w.smooth))
    promised = 2 * w.share * (1 - w.share) / w.smooth * (w.gradient**2).sum()
    return min(w.mean() - after - promised, eight_room(w, w.smooth)) / w.spread


def conditional(w: World) -> Any:
    return w.mean() + w.gradient / np.where(w.p > 0, w.p, 1.0)


def rate_of_nine(w: World) -> float:
    """8 over the largest eigenvalue of I_ij = max |L(k, l) - L(k', l) - L(k, l') + L(k', l')|."""
    edges, candidates = w.p.shape
    losses = {tuple(int(k) for k in np.argmax(a, axis=-1)): float(loss) for a, loss in w.every}
    interaction = np.zeros((edges, edges))
    for a, i, j in itertools.product(losses, range(edges), range(edges)):
        for k, m in itertools.product(range(candidates), repeat=2):
            if i != j:
                other = {i: k, j: m}
                both = tuple(other.get(e, x) for e, x in enumerate(a))
                first = tuple(k if e == i else x for e, x in enumerate(a))
                second = tuple(m if e == j else x for e, x in enumerate(a))
                size = abs(losses[a] - losses[first] - losses[second] + losses[both])
                interaction[i, j] = max(interaction[i, j], size)
    top = float(np.linalg.eigvalsh(interaction)[-1])
    return 8 / top if top > 1e-12 else math.inf


def nine(w: World) -> Any:
    """The smallest decrease over the spread: all edges at once at share of the largest rate, then edge after edge."""
    q = conditional(w)
    decreases = [w.mean() - w.mean(w.stepped(q - q.min(), min(w.share * rate_of_nine(w), 1e3 / w.spread)))]
    now = w
    for e in range(len(w.p)):
        q = conditional(now)
        moved = now.p.copy()
        moved[e] = now.stepped(q - q[e].min(), 30 * w.share / w.spread)[e]
        decreases.append(now.mean() - now.mean(moved))
        now = replace(now, p=moved)
    return min(decreases) / w.spread


def nine_at(rate: Callable[[World], float]) -> Callable[[World], Any]:
    def control(w: World) -> Any:
        q, n = conditional(w), rate(w)
        return 0.0 if math.isinf(n) else w.mean() - w.mean(w.stepped(q - q.min(axis=-1, keepdims=True), n))

    return control


def ninths(w: World, g: Any, rate: Any) -> tuple[Any, Any]:
    """(p', the whole powers of 9/8) nearest to the step rate g of the logits, at most 200 of them."""
    powers = np.array([[max(-200, min(200, round(rate * x / LN))) for x in row] for row in g], dtype=object)
    weights = np.array(
        [[x * F(8, 9) ** m for x, m in zip(*rows, strict=True)] for rows in zip(w.p, powers, strict=True)]
    )
    return weights / weights.sum(axis=-1, keepdims=True), powers


def ten_room(w: World, step: Any, rate: Any) -> Any:
    """(n/2)|step|^2 - n <g, step> + J - J'."""
    if w.p.dtype != object:
        return rate * ((step**2).sum() / 2 - (w.gradient * step).sum()) + w.mean() - w.mean(w.stepped(step, rate))
    moved, powers = ninths(w, step, rate)
    slope = (w.gradient * powers).sum()
    logarithm = LN + F(1, 17**18) if slope > 0 else LN
    return LN**2 * (powers**2).sum() / (2 * rate) - slope * logarithm + w.mean() - w.mean(moved)


def ten(w: World) -> Any:
    steps = (w.estimate(lambda a, loss: w.credit(a))[0], w.gradient + w.direction)
    return min(ten_room(w, step, w.share / w.smooth) for step in steps) / w.spread


def ten_after_credit(w: World) -> Any:
    step, rate = w.estimate(lambda a, loss: w.credit(a))[0], w.share / w.smooth
    return w.mean() - w.mean(ninths(w, step, rate)[0] if w.p.dtype == object else w.stepped(step, rate))


# ------------------------------------------------------------------ T12: what scaling together cannot change


def twelve(w: World) -> tuple[Any, Any, Any]:
    """(credits, exact advantages, (n, E); the gradient's first row) of 1 - cos^2(1, v) + mean w^2 on the outputs.

    v is the sum over the first (E + 1) // 2 edges, w that of the others; credits are derivatives in the edge's scale,
    by a complex step.
    """
    outputs = np.asarray(w.land.outputs, dtype=float)  # type: ignore[attr-defined]
    inside, size = (len(outputs) + 1) // 2, outputs.shape[-1]

    def loss(own: Any) -> Any:
        v, rest = own[:inside].sum(axis=0), own[inside:].sum(axis=0)
        square = (v * v).sum()
        tilt = 1 - v.sum() ** 2 / (size * square) if square != 0 else 1.0
        return tilt + (rest * rest).sum() / size

    credits, worths, gradient = [], [], 0 * np.asarray(w.p[0], dtype=float)
    for a, _ in w.every:
        own = (np.asarray(a, dtype=float)[..., None] * outputs).sum(axis=1)
        moved = [np.where(np.arange(len(own))[:, None] == e, own * (1 + 1e-30j), own) for e in range(len(own))]
        left = [np.where(np.arange(len(own))[:, None] == e, 0 * own, own) for e in range(len(own))]
        credits.append([loss(m).imag / 1e-30 if isinstance(loss(m), complex) else 0.0 for m in moved])
        worths.append([loss(own) - loss(x) for x in left])
        gradient = gradient + float(w.chance(a)) * loss(own) * np.asarray(a[0] - w.p[0], dtype=float)
    return np.array(credits), np.array(worths), gradient


# ------------------------------------------------------------------ held against each other

SLACKS: dict[str, Callable[[World], Any]] = {
    "T1": one, "T2": two, "T3": three, "T6": six, "T8": eight, "T9": nine, "T10": ten,
}  # fmt: skip
CONTROLS: dict[tuple[str, int], Callable[[World], Any]] = {
    ("T1", 0): along(lambda w: -w.share),
    ("T1", 1): along(lambda w: 3),
    ("T2", 0): two,
    ("T3", 0): three,
    ("T4", 0): bias(lambda w: lambda a, loss: loss - w.zeroed(a) * a[:, 0]),
    ("T4", 1): bias(lambda w: lambda a, loss: w.zeroed(a) - loss),
    ("T5", 0): five_descends,
    ("T5", 1): bias(lambda w: lambda a, loss: w.credit(a)),
    ("T5", 2): five_without_t,
    ("T5", 3): five_third,
    ("T6", 0): six_to_the_simplex,
    ("T7", 0): lambda w: min(seven(w)),
    ("T7", 1): lambda w: -max(seven(w)),
    ("T8", 0): lambda w: eight_room(w, F(24, 100) * w.spread if w.p.dtype == object else 0.24 * w.spread),
    ("T8", 1): lambda w: w.mean() - w.mean(w.stepped(w.gradient, 9 / w.spread)),
    ("T9", 0): nine_at(lambda w: rate_of_nine(w) * 8.1 / 8),
    ("T9", 1): nine_at(lambda w: 100.0),
    ("T10", 0): lambda w: ten_after_credit(w) - w.share / w.smooth / 2 * (w.gradient**2).sum(),
    ("T10", 1): ten_after_credit,
    ("T10", 2): lambda w: ten_room(w, w.gradient, 3 / w.smooth),
    ("T11", 0): eleven(lambda w, a: np.array([w.mean()] * len(a))),
    ("T11", 1): eleven(lambda w, a: (w.p * w.swapped(a)).sum(axis=-1)),
    ("T12", 0): lambda w: -abs(twelve(w)[0].sum(axis=-1)).max(),
    ("T12", 1): lambda w: -abs(twelve(w)[1][:, : (len(w.p) + 1) // 2].sum(axis=-1)).max(),
    ("T12", 2): lambda w: -abs(twelve(w)[2]).max(),
}


# J rises by 8/9 at the end of the simplex (test_three_by_hand)
RISES = Case("table", np.array([[0, -2, 0], [-2, 0, 0], [0, 0, 0]]), np.array([[1, 2]] * 2), F(1), np.zeros((2, 2)))


def worlds(domain: Domain, exactly: bool, number: int = 4) -> list[tuple[Case, World]]:
    """Random cases inside the simplex, of every size that the domain has up to two edges and three operations."""
    rng, found = np.random.default_rng(7), []
    for edges, candidates, _ in itertools.product((1, 2), (2, 3), range(number)):
        if domain.edges[0] <= edges <= domain.edges[1] and domain.candidates[0] <= candidates <= domain.candidates[1]:
            case = random_case(rng, Domain(domain.kind, (edges, edges), (candidates, candidates)))
            case = replace(case, weights=case.weights % 10 + 1)
            share = case.share if exactly else float(case.share)
            w = World(case.problem(exactly), case.policy(exactly), share, case.vector(exactly))
            if w.spread > 0 and (w.gradient != 0).any():
                found.append((case, w))
    if domain.kind == "table" and domain.edges[1] > 1:
        found.append((RISES, World(RISES.problem(exactly), RISES.policy(exactly), RISES.share, RISES.vector(exactly))))
    return found


@pytest.mark.parametrize("name", SLACKS)
def test_the_slack_is_what_the_statement_says(name: str) -> None:
    claim = CLAIMS[name]
    rational = name in ("T1", "T2", "T3", "T8", "T10")
    for exactly in (True, False) if rational else (False,):
        domain = (claim.exact_domain if exactly else None) or claim.domain
        slack = (claim.exact_slack if exactly else None) or claim.slack
        tried = worlds(domain, exactly)
        assert len(tried) >= 4
        for case, w in tried:
            found, again = try_case(slack, case, exactly), SLACKS[name](w)
            assert found == again if exactly else found == pytest.approx(again, rel=1e-7, abs=1e-10), case


@pytest.mark.parametrize(("name", "number"), CONTROLS)
def test_the_control_is_what_it_says(name: str, number: int) -> None:
    control = CLAIMS[name].controls[number]
    seen = set()
    for exactly in (True, False) if control.exact and name != "T12" else (False,):
        tried = worlds(control.domain, exactly)
        assert tried
        for case, w in tried:
            found, again = try_case(control.slack, case, exactly), CONTROLS[name, number](w)
            assert found == again if exactly else found == pytest.approx(again, rel=1e-7, abs=1e-9), case
            seen.add(float(found))
    assert len(seen) > 1


def test_every_control_of_the_first_twelve_is_derived_again() -> None:
    assert set(CONTROLS) == {(f"T{n}", i) for n in range(1, 13) for i in range(len(CLAIMS[f"T{n}"].controls))}


# ------------------------------------------------------------------ where there is nothing to learn

FLAT = [name for name in CLAIMS if name != "T3"]


@pytest.mark.parametrize("loss", [0, 7, -1000])
@pytest.mark.parametrize("name", FLAT)
def test_equal_losses_violate_nothing(name: str, loss: int) -> None:
    """All architectures cost the same, thirds and sevenths included, which floats round."""
    claim = CLAIMS[name]
    for edges, candidates, weights in ((1, 2, [[3, 4]]), (2, 2, [[1, 2], [3, 4]])):
        domain = claim.exact_domain or claim.domain
        if not (domain.edges[0] <= edges <= domain.edges[1] and domain.candidates[0] <= candidates):
            continue
        case = random_case(np.random.default_rng(1), Domain(domain.kind, (edges, edges), (candidates, candidates)))
        target = np.arange(len(case.losses))[:, None] == edges * candidates  # of a network whose outputs are zero
        flat = {"table": loss, "additive": 0, "quadratic": np.where(target, loss, 0)}[domain.kind]
        losses = np.broadcast_to(flat, case.losses.shape)
        case = replace(case, losses=losses, weights=np.array(weights))
        assert try_case(claim.exact_slack or claim.slack, case, True) >= 0
        assert try_case(claim.slack, case, False) >= -1e-9


@pytest.mark.parametrize("loss", [10**6, -(10**6)])
@pytest.mark.parametrize("name", ["T1", "T6"])
def test_the_rounding_of_large_equal_losses_is_no_room_for_a_step(name: str, loss: int) -> None:
    """max L - J is 1e-10 there, and one over it no rate."""
    case = Case("table", np.full((3, 3), loss), np.array([[1, 2], [3, 4]]), F(1, 2), np.zeros((2, 2)))
    moved, _, room = t1_monotone.step(case.problem(False), case.policy(False), 0.5)
    assert room == 0
    assert (moved == case.policy(False)).all()
    assert try_case(CLAIMS[name].slack, case, False) > -1e-9
