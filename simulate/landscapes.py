"""On which problems do the methods run?

`make` knows them by name: those of `theory.landscapes` (additive, pairwise, xor, trap, quadratic, saturating,
normalised, heavy_tailed, nasbench201; the same numbers for the same seed), and

    nk            mean over edges of a table over the edge and `neighbours` others (Kauffman): tunable ruggedness
    plateau       1 - mean over blocks of edges of [the whole block is right]: flat until a block is complete
    ill_scaled    additive, with edges that matter from 1 down to 10^-`decades`
    noisy         additive plus a Student-t(2) disturbance of every operation, fresh each step: infinite variance
    drifting      additive, but an operation's loss falls as it is visited: the first ones tried look good (co-training)
    ordered       additive and convex in the candidate's number: what the binomial family assumes
    bandit        one edge, two arms, losses `level` and `level + gap`: negative, so that a sampled arm is rewarded
    flat          the loss is `level` whatever runs, zeroed edges too: whatever moves here is noise
    coordination  two edges, two candidates, loss 0 if both take the first, 0.5 both the second, 1 otherwise
    toy           the toy regression of Sato et al. (2021) on `inputs` fixed inputs: tanh cells against a random teacher

A user's own is a function of gates: `from_function`, or ``package.module:name`` wherever a name is asked for.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from simulate.losses import (
    Blocks,
    Custom,
    Drifting,
    Floats,
    Landscape,
    Noisy,
    Pairwise,
    Quadratic,
    Summed,
    Tabled,
    Toy,
    Truth,
)
from simulate.streams import stream
from theory import landscapes as exact


def make(name: str, edges: int = 6, candidates: int = 4, seed: int = 0, **options: Any) -> Landscape:
    """The landscape called `name`, parameters NumPy float64.

    name: see the module's head, or ``package.module:name`` of a function (edges, candidates, seed) -> Landscape.
    Raises: ValueError in one line for an unknown name, option or size.
    """
    if edges < 1 or candidates < 1:
        raise ValueError(f"a landscape needs at least one edge and one candidate, not {edges} x {candidates}")
    if ":" in name:
        return _users_own(name, edges, candidates, seed)
    if name in OWN:
        known = sorted(OWN[name].__kwdefaults__ or {})
        for option in options:
            if option not in known:
                raise ValueError(f"unknown option {option!r} of landscape {name}; known: {', '.join(known) or 'none'}")
        return OWN[name](edges, candidates, stream(seed, name), **options)
    if name in exact.LANDSCAPES:
        return _from_theory(exact.make(name, edges, candidates, seed, **options))
    raise ValueError(f"unknown landscape {name!r}; known: {', '.join(names())}, or your own as package.module:name")


def names() -> tuple[str, ...]:
    """All landscapes that `make` knows."""
    return (*exact.LANDSCAPES, *OWN)


def from_function(function: Callable[[Any], Any], edges: int, candidates: int) -> Landscape:
    """A landscape from a torch function of gates (..., E, K) -> loss (...,), which must accept mixtures of operations.

    J, its gradient and the optimum come from all K^E architectures. Raises: ValueError above 2^20 of them.
    """
    import torch

    if candidates**edges > 1 << 20:
        raise ValueError(f"{candidates}^{edges} architectures are too many to sum over; at most {1 << 20}")
    grid = np.indices((candidates,) * edges).reshape(edges, -1).T
    losses = function(torch.from_numpy(np.eye(candidates)[grid])).numpy()
    truth = _truth_of_table(losses.reshape((candidates,) * edges))
    table = losses.reshape((candidates,) * edges)
    return Custom(edges=edges, candidates=candidates, truth=truth, function=function, losses=table)


def _from_theory(known: Any) -> Landscape:
    sizes: dict[str, Any] = {"edges": known.edges, "candidates": known.candidates}
    if known.candidates**known.edges <= 1 << 20 or isinstance(known, exact.Product) or _unary_only(known):
        optimum = None if known.name == "xor" else known.optimum  # half of all architectures are best there
        sizes["truth"] = Truth(optimum, float(known.min_loss), float(known.max_loss))
    if isinstance(known, exact.Bilinear):
        size = known.unary.size
        pair = None if known.pair is None else known.pair.reshape(size, size)
        return Pairwise(unary=known.unary, pair=pair, **sizes)
    if isinstance(known, exact.Product):
        members = np.ones((1, known.edges))
        coefficient = np.array([float(known.coefficient)])
        return Blocks(
            constant=float(known.constant), unary=known.unary, factor=known.factor,
            coefficient=coefficient, members=members, **sizes,
        )  # fmt: skip
    if isinstance(known, exact.Table):
        return Tabled(table=known.table, **sizes)
    if known.name == "quadratic":
        depth = known.outputs.shape[-1]
        at_zero, at_one = known.slope(np.zeros(depth)), known.slope(np.ones(depth))
        outputs = known.outputs.reshape(-1, depth)
        # The slope of a quadratic at 0 and at 1 holds its parameters: -2 y, and 2 (1 + extra) more.
        extra = float((at_one - at_zero)[0] / 2 - 1)
        return Quadratic(outputs=outputs, target=-at_zero / 2, extra=extra, **sizes)
    function = _normalised(known) if isinstance(known, exact.Normalised) else _saturating(known)
    return from_function(function, known.edges, known.candidates)


def _saturating(known: Any) -> Callable[[Any], Any]:
    import torch

    outputs = torch.from_numpy(known.outputs.reshape(-1, known.outputs.shape[-1]))
    target = torch.from_numpy(-known.slope(np.zeros(outputs.shape[-1])) / 2)  # slope -2 y at s = 0

    def loss(gates: Any) -> Any:
        total = torch.tanh(gates.flatten(-2) @ outputs.to(gates)) - target.to(gates)
        return (total * total).mean(dim=-1)

    return loss


def _normalised(known: exact.Normalised) -> Callable[[Any], Any]:
    import torch

    outputs, u, y = (torch.from_numpy(values) for values in (known.outputs, known.u, known.y))

    def loss(gates: Any) -> Any:
        own = (gates[..., None] * outputs.to(gates)).sum(dim=-2)
        v, w = own[..., : known.inside, :].sum(dim=-2), own[..., known.inside :, :].sum(dim=-2)
        size = (v * v).sum(dim=-1)
        cosine = (v @ u.to(gates)) ** 2 / torch.where(size == 0, 1, size) / (u @ u).to(gates)
        return 1 - cosine + ((w - y.to(gates)) ** 2).mean(dim=-1)

    return loss


def _unary_only(known: Any) -> bool:
    return isinstance(known, exact.Bilinear) and known.pair is None


def _additive_truth(unary: Floats) -> Truth:
    best = tuple(int(k) for k in unary.argmin(axis=-1))
    return Truth(best, float(unary.min(axis=-1).sum()), float(unary.max(axis=-1).sum()))


def _truth_of_table(losses: Floats) -> Truth:
    flat = losses.reshape(-1)
    unique = int((flat == flat.min()).sum()) == 1
    best = tuple(int(k) for k in np.unravel_index(int(flat.argmin()), losses.shape))
    return Truth(best if unique else None, float(flat.min()), float(flat.max()))


def _nk(edges: int, candidates: int, random: np.random.Generator, *, neighbours: int = 2) -> Landscape:
    if not 0 <= neighbours < edges:
        raise ValueError(f"nk needs 0 <= neighbours < edges, not {neighbours} and {edges}")
    if edges * candidates ** (neighbours + 1) > 1 << 20:
        raise ValueError(f"nk with {neighbours} neighbours and {candidates} candidates needs too large tables")
    tables = random.random((edges, *(candidates,) * (neighbours + 1)))
    spots = np.zeros((neighbours + 1, edges, edges))
    for edge in range(edges):
        others = random.permutation([e for e in range(edges) if e != edge])[:neighbours]
        spots[np.arange(neighbours + 1), edge, [edge, *others]] = 1
    made = Summed(edges=edges, candidates=candidates, tables=tables, spots=spots)
    if candidates**edges > 1 << 16:
        return made
    grid = np.indices((candidates,) * edges).reshape(edges, -1).T
    losses = made.loss(np.eye(candidates)[grid]).reshape((candidates,) * edges)
    return replace(made, truth=_truth_of_table(losses))


def _plateau(edges: int, candidates: int, random: np.random.Generator, *, block: int = 2) -> Landscape:
    if not 1 <= block <= edges:
        raise ValueError(f"plateau needs 1 <= block <= edges, not {block} and {edges}")
    best = random.integers(candidates, size=edges)
    count = -(-edges // block)
    members = (np.arange(edges) // block == np.arange(count)[:, None]).astype(float)
    return Blocks(
        edges=edges, candidates=candidates, truth=Truth(tuple(int(k) for k in best), 0.0, 1.0), constant=1.0,
        unary=np.zeros((edges, candidates)), factor=np.eye(candidates)[best],
        coefficient=np.full(count, -1 / count), members=members,
    )  # fmt: skip


def _ill_scaled(edges: int, candidates: int, random: np.random.Generator, *, decades: float = 3.0) -> Landscape:
    scale = 10.0 ** (-decades * np.arange(edges) / max(1, edges - 1))
    unary = scale[:, None] * random.standard_normal((edges, candidates))
    return Pairwise(edges=edges, candidates=candidates, truth=_additive_truth(unary), unary=unary)


def _noisy(edges: int, candidates: int, random: np.random.Generator, *, size: float = 0.5) -> Landscape:
    unary = random.standard_normal((edges, candidates))
    truth = _additive_truth(unary)
    base = Pairwise(edges=edges, candidates=candidates, truth=truth, unary=unary)
    return Noisy(
        edges=edges, candidates=candidates, truth=truth, noise=edges * candidates, base=base, size=size
    )  # fmt: skip


def _drifting(
    edges: int, candidates: int, random: np.random.Generator, *, pace: float = 100.0, head_start: float = 1.0
) -> Landscape:
    final = random.standard_normal((edges, candidates))
    initial = final + head_start * (1 + random.random((edges, candidates)))
    return Drifting(
        edges=edges, candidates=candidates, truth=_additive_truth(final), initial=initial, final=final, pace=pace
    )  # fmt: skip


def _ordered(edges: int, candidates: int, random: np.random.Generator) -> Landscape:
    best = random.integers(candidates, size=(edges, 1))
    unary = ((np.arange(candidates) - best) / max(1, candidates - 1)) ** 2
    return Pairwise(edges=edges, candidates=candidates, truth=_additive_truth(unary), unary=unary)


def _bandit(
    edges: int, candidates: int, random: np.random.Generator, *, level: float = -1.0, gap: float = 0.5
) -> Landscape:
    unary = np.array([[level, level + gap]])
    return Pairwise(edges=1, candidates=2, truth=_additive_truth(unary), unary=unary)


def _flat(edges: int, candidates: int, random: np.random.Generator, *, level: float = -1.0) -> Landscape:
    zeros = np.zeros((edges, candidates))
    return Blocks(
        edges=edges, candidates=candidates, truth=Truth(None, level, level), constant=level,
        unary=zeros, factor=zeros, coefficient=np.zeros(1), members=np.ones((1, edges)),
    )  # fmt: skip


def _coordination(edges: int, candidates: int, random: np.random.Generator) -> Landscape:
    table = np.array([[0.0, 1.0], [1.0, 0.5]])
    pair = np.zeros((2, 2, 2, 2))
    pair[0, :, 1], pair[1, :, 0] = table, table.T
    truth = Truth((0, 0), 0.0, 1.0)
    return Pairwise(edges=2, candidates=2, truth=truth, unary=np.zeros((2, 2)), pair=pair.reshape(4, 4))


def _toy(edges: int, candidates: int, random: np.random.Generator, *, inputs: int = 20) -> Landscape:
    if inputs < 1:
        raise ValueError(f"toy needs at least one input, not {inputs}")
    from simulate import regression

    filters, readout, teacher = regression.weights(random, edges, candidates)
    channels = filters @ regression.random_patches(random, inputs)  # (E, K, 16 B), batch last
    spread = np.repeat(readout, inputs, axis=-1) / edges
    outputs = (np.tanh(channels) * spread[:, None]).reshape(edges, candidates, -1, inputs).sum(axis=2)
    target = outputs[np.arange(edges), teacher].sum(axis=0)
    hard = Quadratic(
        edges=edges, candidates=candidates, outputs=outputs.reshape(edges * candidates, inputs), target=target
    )
    worst = math.nan
    if candidates**edges <= 1 << 16:
        grid = np.indices((candidates,) * edges).reshape(edges, -1).T
        worst = float(hard.loss(np.eye(candidates)[grid]).max())
    truth = Truth(tuple(int(k) for k in teacher), 0.0, worst)
    return Toy(edges=edges, candidates=candidates, truth=truth, channels=channels, readout=spread, hard=hard)


OWN: dict[str, Callable[..., Landscape]] = {
    "nk": _nk,
    "plateau": _plateau,
    "ill_scaled": _ill_scaled,
    "noisy": _noisy,
    "drifting": _drifting,
    "ordered": _ordered,
    "bandit": _bandit,
    "flat": _flat,
    "coordination": _coordination,
    "toy": _toy,
}


def _users_own(name: str, edges: int, candidates: int, seed: int) -> Landscape:
    module, _, attribute = name.partition(":")
    try:
        build = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load landscape {name!r}: {error}") from error
    made = build(edges, candidates, seed)
    if not isinstance(made, Landscape):
        raise ValueError(f"{name!r} returned a {type(made).__name__}, not a simulate.losses.Landscape")
    return made
