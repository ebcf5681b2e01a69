"""Which landscapes have a name? `make` builds them, the same numbers for the same seed, as floats or as fractions.

    additive      sum_e u_e(a_e): every edge for itself; first-order credit is exact
    pairwise      additive plus a term for each pair of edges; bilinear, so credit is still exact
    xor           1 where an odd number of edges holds an odd operation: no edge alone matters
    trap          every edge alone pays for leaving the optimum's neighbourhood: gradients lead away from the optimum
    quadratic     mean over D outputs of (sum_e h_e - y)^2 + (c/2 - 1)(sum_e h_e)^2: T5 in closed form
    saturating    mean over D outputs of (tanh(sum_e h_e) - y)^2: no polynomial in a gate (float only)
    normalised    1 - cos^2 of the angle between u and the sum of the first half of the edges, plus a quadratic loss of
                  the others: T12, the credits of the first half cancel
    heavy_tailed  an independent Student-t loss for every architecture: no structure at all
    nasbench201   test error in percent of NAS-Bench-201's 15,625 trained cells; `none` is the zeroed edge
    nk            mean over edges of a table over the edge and `neighbours` others (Kauffman): tunable ruggedness
    plateau       1 - mean over blocks of edges of [the whole block is right]: flat until a block is complete
    ill_scaled    additive, with edges that matter from 1 down to 10^-`decades`
    ordered       additive and convex in the candidate's number: what the binomial family assumes
    bandit        one edge, two arms, losses `level` and `level + gap`: negative, so that a sampled arm is rewarded
    flat          the loss is `level` whatever runs, zeroed edges too: whatever moves here is noise
    coordination  two edges, two candidates, loss 0 if both take the first, 0.5 both the second, 1 otherwise

A user's own is ``package.module:name`` (`theory.landscapes.own`). Parameters from `additive` to `heavy_tailed` are
multiples of 1/64, so that float sums of few of them are exact; a fraction always is the number that the float is,
except a share such as 1/E, which the float rounds.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nas.data import nasbench201
from nas.running import plugins
from theory import architectures
from theory.landscapes import own
from theory.landscapes.kinds import Bilinear, Blocks, Landscape, Neighbours, Normalised, Quadratic, Saturating
from theory.landscapes.table import Table
from theory.streams import stream

GRID = 64  # parameters are multiples of 1/GRID
SIZE = (6, 4)  # edges and candidates where none are asked for
MOVING = {  # of simulate alone
    "noisy": "is disturbed afresh at every step",
    "drifting": "changes with every visit",
    "toy": "needs the simulator's regression: name it simulate.landscapes:toy",
}


def make(
    name: str,
    edges: int | None = None,
    candidates: int | None = None,
    seed: int = 0,
    exact: bool = False,
    **options: Any,
) -> Landscape:
    """The landscape called `name` with E edges and K candidates (default: its own size if it has one, else 6 and 4).

    name: one of `names`, or ``package.module:name`` of your own. exact: parameters are `Fraction`, and so are losses
    of integer or Fraction gates. options: additive, pairwise `scale`; quadratic `outputs`, `gate_size`, `curvature`;
    saturating `outputs`, `gate_size`; heavy_tailed `tail`; normalised `outputs`; nasbench201 `dataset`, `column` of the
    table (default: the data set's test accuracy), `data` (a folder); nk `neighbours`; plateau `block`; ill_scaled
    `decades`; bandit `level`, `gap`; flat `level`.
    Raises: ValueError in one line for an unknown name or option, or a size that the landscape does not have.

    >>> make("bandit").min_loss
    np.float64(-1.0)
    """
    if plugins.is_own(name):
        built = own.build(name, edges, candidates, seed, exact, options)
        if not isinstance(built, Landscape):
            raise ValueError(
                f"landscape {name!r} is a {type(built).__name__}, not a theory.landscapes.Landscape; "
                "what changes from step to step has no exact moments, `python -m simulate` runs it"
            )
        return built
    if name in MOVING:
        raise ValueError(f"landscape {name} {MOVING[name]}; `python -m simulate` runs it, theory has no exact form")
    check(name, LANDSCAPES, options)
    size = size_of(name, edges, candidates)
    landscape: Landscape = LANDSCAPES[name](*size, seed, exact, **options)
    return replace(landscape, name=name)


def names() -> tuple[str, ...]:
    """All landscapes that `make` knows by name."""
    return tuple(LANDSCAPES)


def check(name: str, known: dict[str, Callable[..., Any]], options: dict[str, Any]) -> None:
    """Refuse an unknown name, and options that the landscape does not have."""
    if name not in known:
        raise ValueError(f"unknown landscape {name!r}; known: {', '.join(known)}, or your own as package.module:name")
    parameters = inspect.signature(known[name]).parameters.values()
    has = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for option in options:
        if option not in has:
            raise ValueError(f"unknown option {option!r} of landscape {name}; known: {', '.join(has) or 'none'}")


def size_of(name: str, edges: int | None, candidates: int | None) -> tuple[int, int]:
    """(E, K), where not given the landscape's own. Raises: ValueError for a size that it does not have."""
    known = FIXED.get(name, SIZE)
    size = (known[0] if edges is None else edges, known[1] if candidates is None else candidates)
    if min(size) < 1:
        raise ValueError(f"a landscape needs at least one edge and one candidate, not {size[0]} x {size[1]}")
    if name in FIXED and size != known:
        raise ValueError(
            f"landscape {name} has {known[0]} edges and {known[1]} candidates, not {size[0]} and {size[1]}"
        )
    return size


# ------------------------------------------------------------------ parameters on the grid


def _additive(edges: int, candidates: int, seed: int, exact: bool, *, scale: float = 1.0) -> Landscape:
    return Bilinear(_on_grid(scale * np.random.default_rng(seed).standard_normal((edges, candidates)), exact))


def _pairwise(edges: int, candidates: int, seed: int, exact: bool, *, scale: float = 1.0) -> Landscape:
    _check_size("pairwise", (edges * candidates) ** 2)
    random = np.random.default_rng(seed)
    unary = _on_grid(scale * random.standard_normal((edges, candidates)), exact)
    pair = _on_grid(scale * random.standard_normal((edges, candidates, edges, candidates)), exact)
    above = np.triu(np.ones((edges, edges), dtype=int), 1)[:, None, :, None] * pair
    return Bilinear(unary, above + above.transpose(2, 3, 0, 1))


def _xor(edges: int, candidates: int, seed: int, exact: bool) -> Landscape:
    sign = _on_grid(np.broadcast_to(1.0 - 2.0 * (np.arange(candidates) % 2), (edges, candidates)), exact)
    half = _share(1, 2, exact)
    return Blocks(half, 0 * sign, sign, _array([-half], exact), _members(np.ones((1, edges)), exact), one_best=False)


def _trap(edges: int, candidates: int, seed: int, exact: bool) -> Landscape:
    best = np.random.default_rng(seed).integers(candidates, size=edges)
    hit, one = _on_grid(np.eye(candidates)[best], exact), _share(1, 1, exact)
    coefficient = _array([-(one + one / edges)], exact)
    return Blocks(one / edges, hit / edges, hit, coefficient, _members(np.ones((1, edges)), exact))


def _quadratic(
    edges: int,
    candidates: int,
    seed: int,
    exact: bool,
    *,
    outputs: int = 4,
    gate_size: float = 1.0,
    curvature: float = 2.0,
) -> Landscape:
    h, y = _network(edges, candidates, seed, exact, outputs, gate_size)
    return Quadratic(h, y, _number(round((curvature / 2 - 1) * GRID) / GRID, exact))


def _saturating(
    edges: int, candidates: int, seed: int, exact: bool, *, outputs: int = 4, gate_size: float = 1.0
) -> Landscape:
    if exact:
        raise ValueError("the saturating landscape has no exact form: tanh of a rational number is irrational")
    return Saturating(*_network(edges, candidates, seed, exact, outputs, gate_size))


def _normalised(edges: int, candidates: int, seed: int, exact: bool, *, outputs: int = 4) -> Landscape:
    random = np.random.default_rng(seed)
    h = _on_grid(random.standard_normal((edges, candidates, outputs)), exact)
    u, y = (_on_grid(random.standard_normal(outputs), exact) for _ in range(2))
    return Normalised(h, u, y)


def _heavy_tailed(edges: int, candidates: int, seed: int, exact: bool, *, tail: float = 2.0) -> Landscape:
    entries = (candidates + 1) ** edges
    if entries > 2 * architectures.LARGEST:
        raise ValueError(
            f"a table of {candidates + 1}^{edges} = {entries:.3g} losses does not fit in memory; "
            "take fewer edges or candidates, or a landscape with structure"
        )
    return Table(_on_grid(np.random.default_rng(seed).standard_t(tail, (candidates + 1,) * edges), exact))


# ------------------------------------------------------------------ others


def _nasbench201(
    edges: int,
    candidates: int,
    seed: int,
    exact: bool,
    *,
    dataset: str = "cifar10",
    column: str | None = None,
    data: Path | None = None,
) -> Landscape:
    if dataset not in nasbench201.DATASETS:
        raise ValueError(f"unknown data set {dataset!r}; known: {', '.join(nasbench201.DATASETS)}")
    accuracy = nasbench201.load(data).cube(column or f"{dataset}_test")
    error = np.roll(np.round(100 - accuracy, 6), -1, axis=tuple(range(6)))  # `none` first there, zeroed last here
    decimal = np.vectorize(lambda e: Fraction(repr(float(e))), otypes=[object])
    return Table(decimal(error) if exact else np.ascontiguousarray(error))


def _nk(edges: int, candidates: int, seed: int, exact: bool, *, neighbours: int = 2) -> Landscape:
    if not 0 <= neighbours < edges:
        raise ValueError(f"nk needs 0 <= neighbours < edges, not {neighbours} and {edges}")
    if edges * candidates ** (neighbours + 1) > 1 << 20:
        raise ValueError(f"nk with {neighbours} neighbours and {candidates} candidates needs too large tables")
    _check_size("nk", (neighbours + 1) * edges**2)
    random = stream(seed, "nk")
    tables = random.random((edges, *(candidates,) * (neighbours + 1)))
    spots = np.zeros((neighbours + 1, edges, edges))
    for edge in range(edges):
        others = random.permutation([e for e in range(edges) if e != edge])[:neighbours]
        spots[np.arange(neighbours + 1), edge, [edge, *others]] = 1
    return Neighbours(_array(tables, exact), _members(spots, exact))


def _plateau(edges: int, candidates: int, seed: int, exact: bool, *, block: int = 2) -> Landscape:
    if not 1 <= block <= edges:
        raise ValueError(f"plateau needs 1 <= block <= edges, not {block} and {edges}")
    best = stream(seed, "plateau").integers(candidates, size=edges)
    count = -(-edges // block)
    _check_size("plateau", count * edges)
    members = (np.arange(edges) // block == np.arange(count)[:, None]).astype(float)
    hit = _array(np.eye(candidates)[best], exact)
    coefficient = _array([_share(-1, count, exact)] * count, exact)
    return Blocks(_share(1, 1, exact), 0 * hit, hit, coefficient, _members(members, exact))


def _ill_scaled(edges: int, candidates: int, seed: int, exact: bool, *, decades: float = 3.0) -> Landscape:
    scale = 10.0 ** (-decades * np.arange(edges) / max(1, edges - 1))
    return Bilinear(_array(scale[:, None] * stream(seed, "ill_scaled").standard_normal((edges, candidates)), exact))


def _ordered(edges: int, candidates: int, seed: int, exact: bool) -> Landscape:
    best = stream(seed, "ordered").integers(candidates, size=(edges, 1))
    return Bilinear(_array(((np.arange(candidates) - best) / max(1, candidates - 1)) ** 2, exact))


def _bandit(edges: int, candidates: int, seed: int, exact: bool, *, level: float = -1.0, gap: float = 0.5) -> Landscape:
    return Bilinear(_array([[level, level + gap]], exact))


def _flat(edges: int, candidates: int, seed: int, exact: bool, *, level: float = -1.0) -> Landscape:
    zeros = _array(np.zeros((edges, candidates)), exact)
    return Blocks(
        _number(level, exact),
        zeros,
        zeros,
        _array(np.zeros(1), exact),
        _members(np.ones((1, edges)), exact),
        one_best=False,
    )


def _coordination(edges: int, candidates: int, seed: int, exact: bool) -> Landscape:
    table = np.array([[0.0, 1.0], [1.0, 0.5]])
    pair = np.zeros((2, 2, 2, 2))
    pair[0, :, 1], pair[1, :, 0] = table, table.T
    return Bilinear(_array(np.zeros((2, 2)), exact), _array(pair, exact))


LANDSCAPES: dict[str, Callable[..., Landscape]] = {
    "additive": _additive,
    "pairwise": _pairwise,
    "xor": _xor,
    "trap": _trap,
    "quadratic": _quadratic,
    "saturating": _saturating,
    "normalised": _normalised,
    "heavy_tailed": _heavy_tailed,
    "nasbench201": _nasbench201,
    "nk": _nk,
    "plateau": _plateau,
    "ill_scaled": _ill_scaled,
    "ordered": _ordered,
    "bandit": _bandit,
    "flat": _flat,
    "coordination": _coordination,
}
FIXED = {"nasbench201": (6, 4), "bandit": (1, 2), "coordination": (2, 2)}


# ------------------------------------------------------------------ helpers


def _check_size(name: str, numbers: int) -> None:
    if numbers > 1 << 27:
        raise ValueError(f"landscape {name} of this size holds {numbers:,} numbers: take fewer edges or candidates")


def _network(edges: int, candidates: int, seed: int, exact: bool, outputs: int, gate_size: float) -> tuple[Any, Any]:
    """Outputs (E, K, D) and target (D,)."""
    random = np.random.default_rng(seed)
    h = _on_grid(gate_size * random.standard_normal((edges, candidates, outputs)), exact)
    return h, _on_grid(random.standard_normal(outputs), exact)


def _on_grid(values: Any, exact: bool) -> Any:
    """Rounded to the grid: float64, or the same numbers as Fractions."""
    return _array(np.round(np.asarray(values, dtype=float) * GRID) / GRID, exact)


def _array(values: Any, exact: bool) -> Any:
    """Floats (or Fractions) as float64, or the same numbers as Fractions."""
    if not exact:
        return np.asarray(values, dtype=float)
    given: Any = np.asarray(values)
    fractions = np.empty(given.shape, dtype=object)
    for index in np.ndindex(given.shape):
        fractions[index] = Fraction(given[index])
    return fractions


def _number(value: float, exact: bool) -> Any:
    return Fraction(value) if exact else float(value)


def _share(numerator: int, denominator: int, exact: bool) -> Any:
    return Fraction(numerator, denominator) if exact else numerator / denominator


def _members(values: Any, exact: bool) -> Any:
    """A 0/1 matrix: floats, or whole numbers beside Fractions."""
    return values.astype(int).astype(object) if exact else values
