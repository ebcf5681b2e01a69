"""Hypothesis strategies for cases: structured, so that a failure shrinks to small integers. Needs `hypothesis`."""

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from theory.cases import Case, Domain, losses_shape


@st.composite
def cases(draw: st.DrawFn, domain: Domain) -> Case:
    """A case of the domain, policies on and near the simplex boundary included."""
    edges = draw(st.integers(*domain.edges))
    candidates = draw(st.integers(*domain.candidates))

    def integers(low: int, high: int, *shape: int) -> Any:
        size = int(np.prod(shape))
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size))).reshape(shape)

    weights = integers(0, 20, edges, candidates)
    weights[:, draw(st.integers(0, candidates - 1))] += draw(st.sampled_from([1, 10, 10_000]))
    return Case(
        domain.kind,
        integers(-9, 9, *losses_shape(domain.kind, edges, candidates)),
        weights,
        Fraction(draw(st.integers(1, 8)), 8),
        integers(-3, 3, edges, candidates),
    )
