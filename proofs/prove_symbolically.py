#!/usr/bin/env python3
"""From code to theorem: does the shipped code satisfy each claim on SymPy symbols?

    python proofs/prove_symbolically.py [T1 T4 ...]

Each claim of theory/claims/ runs the estimators and steps of nas/ on symbols, sums over all architectures of a small
cell and reduces the claim, or the identity that its inequality rests on, to expressions that must be zero. T9 is the
exception: `nas.optimisers.exponentiated` takes no symbols, so its path is written out there, and the optimiser is held
against the claim in float64, by its checker. T6 steps from one rational policy. Below, the same for the estimators that
no numbered claim speaks of. What holds for any number of edges and operations is proved in proofs/coq/; this says that
the code is what those theorems are about. Exit status 1 if anything is not zero.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas import estimators
from theory import symbols
from theory.claims import CLAIMS

Gradient = Callable[[Any, tuple[int, ...], Any], Any]  # (p, operations, gates) -> one architecture's gradient
LOSSES = symbols.table(2, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove the claims named, or all of them and the other estimators."""
    names = list(sys.argv[1:] if arguments is None else arguments)
    unknown = [name for name in names if name not in CLAIMS]
    if unknown:
        print(f"prove_symbolically.py: unknown claim {unknown[0]!r}; known: {', '.join(CLAIMS)}", file=sys.stderr)
        return 2
    sound = True
    for name in names or CLAIMS:
        sound &= show(name, CLAIMS[name].symbolic(), CLAIMS[name].derivation)
    if not names:
        for estimator, gradient in UNBIASED.items():
            sound &= show(estimator, bias(gradient), "its mean is E[L (a - p)]")
    return 0 if sound else 1


def show(name: str, expressions: Sequence[Any], statement: str) -> bool:
    """One line; whether every expression is zero."""
    proved = all(expression == 0 for expression in expressions)
    print(f"{name}: {'proved' if proved else 'NOT ZERO'} ({len(expressions)} expressions): {statement}")
    return proved


def bias(gradient: Gradient) -> list[Any]:
    """Mean of an estimator minus E[L (a - p)], two edges with two operations, any losses."""
    p = symbols.policy(2, 2)
    mean: Any = 0
    for a, probability, gates in symbols.architectures(p):
        mean = mean + probability * gradient(p, a, gates)
    return symbols.reduced(mean - symbols.gradient(LOSSES, p))


def _alternatives(a: tuple[int, ...]) -> Any:
    """Loss with edge e at k, (E, K)."""
    return np.array([[symbols.replaced(LOSSES, a, e, k) for k in range(2)] for e in range(2)], dtype=object)


def _reinforce(p: Any, a: tuple[int, ...], gates: Any) -> Any:
    return estimators.reinforce(p, gates, LOSSES[a], symbols.symbols("b")[()])


def _counterfactual(p: Any, a: tuple[int, ...], gates: Any) -> Any:
    return estimators.counterfactual(p, gates, LOSSES[a], _alternatives(a))


def _marginalised(p: Any, a: tuple[int, ...], gates: Any) -> Any:
    return estimators.marginalised(p, _alternatives(a))


def _muprop(p: Any, a: tuple[int, ...], gates: Any) -> Any:
    return estimators.muprop(p, gates, LOSSES[a], symbols.symbols("c")[()], symbols.symbols("m", 2, 2))


def _leave_one_out(p: Any, a: tuple[int, ...], gates: Any) -> Any:
    """Mean over the second of two samples."""
    mean: Any = 0
    for other, probability, other_gates in symbols.architectures(p):
        losses = np.array([LOSSES[a], LOSSES[other]], dtype=object)
        mean = mean + probability * estimators.reinforce_leave_one_out(p, np.stack([gates, other_gates]), losses)
    return mean


UNBIASED: dict[str, Gradient] = {
    "reinforce": _reinforce,
    "counterfactual": _counterfactual,
    "marginalised": _marginalised,
    "muprop": _muprop,
    "reinforce_leave_one_out": _leave_one_out,
}

if __name__ == "__main__":
    sys.exit(main())
