"""How does a search draw that remembers whom it drew? Regularised evolution (Real et al. 2019) on shared weights.

A population of architectures, each with the minibatch loss that it had when it was drawn. A draw takes a few of them,
copies the one with the lowest loss and changes the operation of one edge; what was measured joins the population and
its oldest member leaves. Until the population is full, draws are even. There is no gradient: like random search, the
search stands for the best that it saw.
"""

from typing import Any

from nas import policy
from nas.arrays import namespace
from nas.samples import Draw, Keeps, Sample

MEMBERS = 100  # of the population
ENTRANTS = 25  # drawn from it, of which the best is the parent: both as published


def _sample(logits: Any, uniforms: Any, temperature: Any, kept: dict[str, Any]) -> Sample:
    """An even draw, or a child of the population. uniforms (..., ENTRANTS + 2 + E)."""
    xp = namespace(logits)
    edges, candidates = logits.shape[-2:]
    if candidates < 2:
        raise ValueError("evolution needs at least 2 candidate operations an edge: else there is nothing to change")
    even = xp.ones_like(logits) / candidates
    among = xp.ones_like(kept["loss"])
    entrants = policy.draw(among[..., None, :] / MEMBERS, uniforms[..., :ENTRANTS])
    losses = (entrants * kept["loss"][..., None, :]).sum(axis=-1)
    parent = (policy.one_hot_argmax(-losses)[..., None] * entrants).sum(axis=-2)
    copied = (parent[..., None, None] * kept["population"]).sum(axis=-3)
    edge = policy.draw(even[..., 0] * candidates / edges, uniforms[..., ENTRANTS])[..., None]
    others = 1 - (edge * copied).sum(axis=-2)
    changed = policy.draw(others, uniforms[..., ENTRANTS + 1])[..., None, :]
    child = copied * (1 - edge) + edge * changed
    fresh = policy.draw(even, uniforms[..., ENTRANTS + 2 :])
    gates = xp.where(kept["count"][..., None, None] < MEMBERS, fresh, child)
    return Sample(even, gates, gates)


def shares(logits: Any, kept: dict[str, Any]) -> Any:
    """How often each operation stands on each edge of the population (..., E, K); even while it has no member."""
    members = namespace(logits).clip(kept["count"], 1, MEMBERS)[..., None, None]
    found = kept["population"].sum(axis=-3) / members
    return namespace(logits).where(kept["count"][..., None, None] > 0, found, 1 / logits.shape[-1])


def after(kept: dict[str, Any], sample: Sample) -> dict[str, Any]:
    """The population with the sample in the place of its oldest member."""
    xp = namespace(sample.loss)
    place = policy.positions(kept["loss"]) == (kept["count"] % MEMBERS)[..., None]
    return {
        "population": xp.where(place[..., None, None], sample.gates[..., None, :, :], kept["population"]),
        "loss": xp.where(place, sample.loss[..., None], kept["loss"]),
        "count": kept["count"] + 1,
    }


def empty(logits: Any, uniforms: Any) -> dict[str, Any]:
    """No members yet: population (..., MEMBERS, E, K), loss (..., MEMBERS), count (...,)."""
    xp = namespace(logits)
    zero = xp.zeros_like(logits)
    wide = (*logits.shape[:-2], MEMBERS, *logits.shape[-2:])
    population = xp.zeros_like(xp.broadcast_to(zero[..., None, :, :], wide))
    return {"population": population, "loss": xp.zeros_like(population[..., 0, 0]), "count": zero[..., 0, 0]}


def _no_noise(edges: int, candidates: int) -> int:
    return 0


def _noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (ENTRANTS + 2 + edges,)


EVOLVED = Draw(_sample, _noise, shares, keeps=Keeps(empty, _no_noise, after=after))
