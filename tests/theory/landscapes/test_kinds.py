"""Every kind of loss, in every world, against oracles of its own: dual numbers, sums over all architectures, torch.

One battery, `failures`, asks the same of each landscape; kinds that are wrong in one place are caught by it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from theory.landscapes import (
    UNKNOWN,
    Bilinear,
    Blocks,
    Enumerated,
    Function,
    Landscape,
    Neighbours,
    Normalised,
    Power,
    Quadratic,
    Saturating,
    Table,
    Truth,
    make,
    names,
)

SYNTHETIC = [name for name in names() if name != "nasbench201"]
IRRATIONAL = ("saturating",)
TINY = 1e-10


@dataclass(frozen=True)
class Dual:
    """value + slope eps, eps^2 = 0: a loss of such gates carries its derivative along, exactly."""

    value: Any
    slope: Any = 0

    def __add__(self, other: Any) -> "Dual":
        o = _dual(other)
        return Dual(self.value + o.value, self.slope + o.slope)

    def __mul__(self, other: Any) -> "Dual":
        o = _dual(other)
        return Dual(self.value * o.value, self.slope * o.value + self.value * o.slope)

    def __truediv__(self, other: Any) -> "Dual":
        o = _dual(other)
        return Dual(self.value / o.value, (self.slope * o.value - self.value * o.slope) / (o.value * o.value))

    def __pow__(self, power: int) -> "Dual":
        return Dual(self.value**power, power * self.value ** (power - 1) * self.slope if power else 0)

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.slope)

    def __sub__(self, other: Any) -> "Dual":
        return self + -_dual(other)

    def __rsub__(self, other: Any) -> "Dual":
        return -self + other

    def __eq__(self, other: object) -> bool:
        o = _dual(other)
        return bool(self.value == o.value and self.slope == o.slope)

    def __bool__(self) -> bool:
        return self != 0

    __radd__, __rmul__ = __add__, __mul__

    def __le__(self, other: Any) -> bool:
        return bool(self.value <= _dual(other).value)

    def tanh(self) -> "Dual":
        value = np.tanh(self.value)
        return Dual(value, self.slope * (1 - value * value))


def _dual(value: Any) -> Dual:
    return value if isinstance(value, Dual) else Dual(value)


def gates_of(landscape: Landscape) -> Any:
    """Rational gates (5, E, K): a mixture, one-hot, zeroed edges, half a one-hot and all zero."""
    rng = np.random.default_rng(0)
    edges, candidates = landscape.shape
    gates = np.array([Fraction(int(n), 4) for n in rng.integers(-3, 6, 5 * edges * candidates)], dtype=object)
    gates = gates.reshape(5, edges, candidates)
    gates[1] = np.eye(candidates, dtype=int).astype(object)[rng.integers(candidates, size=edges)]
    gates[2] = gates[1] * (np.arange(edges) > 0)[:, None]
    gates[3] = gates[1] * Fraction(1, 2)
    gates[4] = gates[1] * 0
    return gates if landscape.exact else gates.astype(float)


def policy_of(landscape: Landscape) -> Any:
    weights = np.random.default_rng(1).integers(1, 9, landscape.shape).astype(object)
    p = weights * Fraction(1) / weights.sum(axis=-1, keepdims=True)
    return p if landscape.exact else p.astype(float)


def architectures_of(landscape: Landscape) -> list[tuple[int, ...]]:
    return list(itertools.product(range(landscape.candidates), repeat=landscape.edges))


def one_hot(landscape: Landscape, choice: tuple[int, ...]) -> Any:
    eye = np.eye(landscape.candidates, dtype=int)
    return (eye.astype(object) if landscape.exact else eye.astype(float))[list(choice)]


def in_torch(landscape: Landscape) -> Landscape:
    return landscape.placed(lambda values: torch.from_numpy(np.array(values, dtype=float)))


def same(ours: Any, theirs: Any, exact: bool) -> bool:
    if exact:
        return bool(np.all(np.asarray(ours) == np.asarray(theirs)))
    return np.allclose(np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float), rtol=TINY, atol=TINY)


# ------------------------------------------------------------------ the battery


def slopes_are_derivatives(landscape: Landscape) -> bool:
    """Of the loss of dual numbers; a user's torch function takes central differences."""
    right = True
    for gates in gates_of(landscape):
        found = landscape.gradients(gates, np.ones_like(gates)).gate_gradient
        right &= same(found, landscape.slopes(gates), landscape.exact)
        for place in np.ndindex(gates.shape):
            if isinstance(landscape, Function):
                moved = np.zeros(gates.shape)
                moved[place] = 1e-5
                slope = (landscape.loss(gates + moved) - landscape.loss(gates - moved)) / 2e-5
                right &= bool(abs(found[place] - slope) < 1e-6)
                continue
            dual = np.array([Dual(gate) for gate in gates.ravel()], dtype=object).reshape(gates.shape)
            dual[place] = Dual(gates[place], 1)
            right &= same(found[place], _dual(np.asarray(landscape.loss(dual))[()]).slope, landscape.exact)
    return right


def losses_are_those_of_gradients(landscape: Landscape) -> bool:
    gates = gates_of(landscape)
    singly = np.array([landscape.loss(one) for one in gates])
    found = landscape.gradients(gates, np.ones_like(gates)).loss
    return same(landscape.loss(gates), found, landscape.exact) and same(singly, found, landscape.exact)


def what_does_not_run_has_no_slope(landscape: Landscape) -> bool:
    gates = gates_of(landscape)
    runs = gates != 0
    dense = landscape.gradients(gates, np.ones_like(gates))
    hot = gates[1]
    sparse = landscape.gradients(hot, hot).gate_gradient
    right = same(landscape.gradients(gates, runs * 1).gate_gradient, dense.gate_gradient * runs, landscape.exact)
    return right and same(sparse, dense.gate_gradient[1] * (hot != 0), landscape.exact)


def torch_agrees(landscape: Landscape) -> bool:
    if landscape.exact:
        return True
    gates, tensors = gates_of(landscape), in_torch(landscape)
    right = True
    for batch in (gates, gates[1:3], gates[4:]):
        tensor = torch.from_numpy(batch.copy())
        found = tensors.gradients(tensor, tensor != 0)
        known = landscape.gradients(batch, batch != 0)
        right &= same(tensors.loss(tensor), known.loss, False)
        right &= all(
            same(getattr(found, part), getattr(known, part), False)
            for part in ("loss", "gate_gradient", "output_gradient")
        )
        sparse = tensors.gradients(tensor, tensor).gate_gradient
        right &= same(sparse, landscape.gradients(batch, batch).gate_gradient, False)
    p = policy_of(landscape)
    with_closed_form = landscape if landscape.closed_form else Enumerated.of(landscape)
    tensors, tensor = in_torch(with_closed_form), torch.from_numpy(p)
    right &= same(tensors.expected(tensor), landscape.expected(p), False)
    return right and same(tensors.expected_gradient(tensor), landscape.expected_gradient(p), False)


def expectations_are_sums(landscape: Landscape) -> bool:
    """J and its logit gradient p (q - J), by a loop over all architectures."""
    p = policy_of(landscape)
    value: Any = 0
    gradient: Any = 0 * p
    for choice in architectures_of(landscape):
        gates = one_hot(landscape, choice)
        weight = np.prod([p[edge, k] for edge, k in enumerate(choice)])
        value = value + weight * landscape.loss(gates)
        gradient = gradient + weight * landscape.loss(gates) * (gates - p)
    right = same(landscape.expected(p), value, landscape.exact)
    right &= same(landscape.expected_gradient(p), gradient, landscape.exact)
    several = np.stack([p, p[:, ::-1]])
    return right and same(landscape.expected(several)[0], value, landscape.exact)


def extremes_are_extremes(landscape: Landscape) -> bool:
    losses = {choice: landscape.loss(one_hot(landscape, choice)) for choice in architectures_of(landscape)}
    smallest = min(losses.values())
    right = same(landscape.min_loss, smallest, landscape.exact)
    right &= same(landscape.max_loss, max(losses.values()), landscape.exact)
    first = next(choice for choice, loss in losses.items() if same(loss, smallest, landscape.exact))
    return right and landscape.optimum == first


BATTERY = (
    slopes_are_derivatives,
    losses_are_those_of_gradients,
    what_does_not_run_has_no_slope,
    torch_agrees,
    expectations_are_sums,
    extremes_are_extremes,
)


def failures(landscape: Landscape) -> list[str]:
    return [check.__name__ for check in BATTERY if not check(landscape)]


# ------------------------------------------------------------------ what is right


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", SYNTHETIC)
@pytest.mark.parametrize("size", [(1, 2), (3, 3)])
def test_every_landscape_by_name(name: str, exact: bool, size: tuple[int, int]) -> None:
    if exact and name in IRRATIONAL:
        pytest.skip("not rational")
    size = {"bandit": (1, 2), "coordination": (2, 2)}.get(name, size)
    options = {"neighbours": size[0] - 1} if name == "nk" else {"block": size[0]} if name == "plateau" else {}
    landscape = make(name, *size, seed=3, exact=exact, **options)
    assert landscape.exact is exact
    assert failures(landscape) == []


def test_other_parameters() -> None:
    for exact in (False, True):
        assert failures(make("quadratic", 3, 2, 1, exact, outputs=3, gate_size=0.5, curvature=3.0)) == []
        assert failures(make("plateau", 4, 2, 1, exact, block=3)) == []
        network: Any = make("quadratic", 2, 3, 1, exact)
        assert failures(Power(network.outputs, network.target, 5)) == []
        assert failures(Enumerated.of(make("normalised", 3, 2, 1, exact))) == []
    # A block of two edges, another of one, an edge in none, and linear terms beside all of them.
    rng = np.random.default_rng(2)
    members = np.array([[1.0, 0, 1, 0], [0, 1, 0, 0]])
    blocks = Blocks(0.5, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.array([2.0, -3.0]), members)
    assert failures(blocks) == []


def saddle(gates: Any) -> Any:
    return (gates[..., 0].sum(-1) - 1) ** 2 * (gates[..., 1] ** 3).sum(-1) + gates.sum(-1).sum(-1)


def test_a_users_function() -> None:
    assert failures(Function(saddle, (3, 2))) == []


@pytest.mark.parametrize("kind", [Quadratic, Saturating, Power, Normalised])
def test_the_output_gradient_is_the_slope_of_an_operation_that_puts_out_ones(kind: Any) -> None:
    rng = np.random.default_rng(4)
    outputs, gates = rng.normal(size=(3, 2, 4)), rng.uniform(size=(5, 3, 2))
    wider = np.concatenate((outputs, np.ones((3, 1, 4))), axis=1)
    idle = np.concatenate((gates, np.zeros((5, 3, 1))), axis=-1)
    rest = rng.normal(size=(2, 4)) if kind is Normalised else rng.normal(size=(1, 4))
    found = kind(outputs, *rest).gradients(gates, 1).output_gradient
    known = kind(wider, *rest).slopes(idle)[..., 2]
    np.testing.assert_allclose(found, known, atol=TINY)
    assert abs(found).max() > 0.1


def test_float32_stays_float32() -> None:
    for name in SYNTHETIC:
        landscape = make(name, **({} if name in ("bandit", "coordination") else {"edges": 3, "candidates": 2}))
        landscape = landscape if landscape.closed_form else Enumerated.of(landscape)
        tensors = landscape.placed(lambda values: torch.tensor(values, dtype=torch.float32))
        p = torch.full((2, *landscape.shape), 1 / landscape.candidates)
        measured = tensors.gradients(p, torch.ones_like(p))
        for values in (measured.loss, measured.gate_gradient, tensors.expected(p), tensors.expected_gradient(p)):
            assert values.dtype == torch.float32, name


# ------------------------------------------------------------------ what is wrong is caught


class Doubled(Bilinear):
    """Counts each pair twice in the loss."""

    def loss(self, gates: Any) -> Any:
        return (gates * (self.unary + self._field(gates))).sum(axis=-1).sum(axis=-1)


class Uphill(Quadratic):
    """Its slopes have the wrong sign."""

    def outer(self, total: Any) -> tuple[Any, Any]:
        loss, half = super().outer(total)
        return loss, -half


class Flattened(Quadratic):
    """Takes J for the loss at the mean gates, as if it were affine."""

    def expected(self, probabilities: Any) -> Any:
        return self.loss(probabilities)


class Overlooked(Quadratic):
    """Forgets the spread in the gradient of J."""

    def expected_gradient(self, probabilities: Any) -> Any:
        return probabilities * (self.slopes(probabilities) - (probabilities * self.slopes(probabilities)).sum())


class Hasty(Table):
    """Looks the losses of mixtures up too, as if they were one-hot."""

    def gradients(self, gates: Any, runs: Any) -> Any:
        return super().gradients(gates.round(), runs)


class Dense(Saturating):
    """Gives slopes of what did not run."""

    def gradients(self, gates: Any, runs: Any) -> Any:
        return super().gradients(gates, 1)


class Foreign(Saturating):
    """Another loss in torch."""

    def outer(self, total: Any) -> tuple[Any, Any]:
        return super().outer(total if isinstance(total, np.ndarray) else 2 * total)


class Boastful(Neighbours):
    """Says that the last architecture is the best."""

    def extremes(self, most: int) -> Truth | None:
        known = super().extremes(most) or UNKNOWN
        return Truth((self.candidates - 1,) * self.edges, known.min_loss, known.max_loss)


def _as(kind: Callable[..., Landscape], name: str, **options: Any) -> Landscape:
    right = make(name, 3, 2, 3, **options)
    return kind(**{field: getattr(right, field) for field in right.__dataclass_fields__})


@pytest.mark.parametrize(
    ("kind", "name", "caught"),
    [
        (Doubled, "pairwise", "slopes_are_derivatives"),
        (Uphill, "quadratic", "slopes_are_derivatives"),
        (Flattened, "quadratic", "expectations_are_sums"),
        (Overlooked, "quadratic", "expectations_are_sums"),
        (Hasty, "heavy_tailed", "losses_are_those_of_gradients"),
        (Dense, "saturating", "what_does_not_run_has_no_slope"),
        (Foreign, "saturating", "torch_agrees"),
        (Boastful, "nk", "extremes_are_extremes"),
    ],
)
def test_control_a_wrong_kind_is_caught(kind: Callable[..., Landscape], name: str, caught: str) -> None:
    assert failures(_as(type(make(name, 3, 2, 3)), name)) == []
    assert caught in failures(_as(kind, name))


def test_blocks_by_hand() -> None:
    """1/2 + (1 + 4) + 3 (5 * 2) - 1 * 7: edges 0 and 1 in one block, edge 2 in the other, operations 0, 1, 0."""
    unary, factor = np.array([[1.0, 9], [9, 4], [0, 9]]), np.array([[5.0, 8], [8, 2], [7, 8]])
    blocks = Blocks(0.5, unary, factor, np.array([3.0, -1.0]), np.array([[1.0, 1, 0], [0, 0, 1]]))
    gates = np.array([[1.0, 0], [0, 1], [1, 0]])
    assert blocks.loss(gates) == 0.5 + 5 + 30 - 7
    # slopes: unary + factor times what the rest of its block is worth: 3 * 2, 3 * 5, -1
    np.testing.assert_array_equal(blocks.slopes(gates), unary + factor * np.array([[6.0], [15], [-1]]))


def test_a_quadratic_has_nothing_extra_unless_asked() -> None:
    """(3 - 1)^2, and with extra 2: 4 + 2 * 3^2; slopes 2 * 2 * 3 and, more, 2 * 2 * 3 * 3."""
    plain, extra = Quadratic(np.array([[[3.0]]]), np.array([1.0])), Quadratic(np.array([[[3.0]]]), np.array([1.0]), 2)
    one = np.ones((1, 1))
    assert (plain.loss(one), extra.loss(one)) == (4, 22)
    assert (plain.slopes(one).item(), extra.slopes(one).item()) == (12, 48)
