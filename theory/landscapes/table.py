"""How is a table of losses a landscape? K + 1 states an edge, the last of them the zeroed edge; affine in each row."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nas.arrays import namespace
from nas.estimators import softmax_pullback
from nas.objective import Gradients
from theory.landscapes import truth
from theory.landscapes.kinds import Affine, conditional, contract
from theory.landscapes.truth import Truth

CHUNK_NUMBERS = 1 << 22  # a contraction's arrays hold about so many: 32 MiB in float64


@dataclass(frozen=True, eq=False)
class Table(Affine):
    """Any loss of K + 1 states an edge, table (K + 1,) * E.

    One-hot and zeroed rows look a loss up. A mixture of operations costs the mixture of their losses; NumPy sums over
    the states that have weight where these are few, because that is what theory asks for most.
    """

    table: Any

    @property
    def shape(self) -> tuple[int, int]:
        return self.table.ndim, self.table.shape[0] - 1

    @property
    def compiles(self) -> bool:
        return False

    def loss(self, gates: Any) -> Any:
        if _are_one_hot(gates):
            return self.table.reshape(-1)[self._numbers(gates)]
        if namespace(gates) is not np:
            return contract(self.table, _with_zero_state(gates))
        return (self._by_terms(gates) if _nearly_one_hot(gates) else self._by_contraction(gates))[0]

    def slopes(self, gates: Any) -> Any:
        return self.gradients(gates, 1).gate_gradient

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        if _are_one_hot(gates):
            loss, slopes = self._by_lookup(gates, sparse=runs is gates)
        elif namespace(gates) is not np:
            loss, slopes = self.loss(gates), self._conditional(gates)
        else:
            loss, slopes = self._by_terms(gates) if _nearly_one_hot(gates) else self._by_contraction(gates)
        return Gradients(loss, slopes * runs, 0 * gates[..., 0])

    def expected(self, probabilities: Any) -> Any:
        return contract(self.table, _with_zero_state(probabilities))

    def expected_gradient(self, probabilities: Any) -> Any:
        return softmax_pullback(probabilities, self._conditional(probabilities))

    def extremes(self, most: int) -> Truth | None:
        return truth.of_table(self.table[(slice(-1),) * self.edges])

    def _conditional(self, gates: Any) -> Any:
        by_state = conditional(self.table, _with_zero_state(gates))
        return by_state[..., :-1] - by_state[..., -1:]

    # -------------------------------------------------------------- one-hot and zeroed rows

    def _by_lookup(self, gates: Any, sparse: bool) -> tuple[Any, Any]:
        """Loss and gradient; sparse: of the operation that runs alone, (..., E, 1)."""
        flat, number, steps = self.table.reshape(-1), self._numbers(gates), self._steps_like(gates)
        zeroed = number[..., None] + (_whole(gates) * steps).sum(axis=-1)
        if sparse:
            return flat[number], (flat[number[..., None]] - flat[zeroed])[..., None]
        return flat[number], flat[zeroed[..., None] - steps] - flat[zeroed][..., None]

    def _numbers(self, gates: Any) -> Any:
        """Position in the flat table of one-hot or zero rows, (...,)."""
        flat = gates.reshape(*gates.shape[:-2], self.edges * self.candidates)
        if namespace(gates) is np:  # a product of floats is faster than of integers, and exact here
            passed = (flat.astype(np.float64) @ self._steps.ravel().astype(np.float64)).astype(np.int64)
        else:
            passed = (_whole(flat) * self._steps_like(gates).reshape(-1)).sum(axis=-1)
        return self.candidates * int(self._strides.sum()) - passed

    @cached_property
    def _strides(self) -> Any:
        return (self.candidates + 1) ** np.arange(self.edges - 1, -1, -1)

    @cached_property
    def _steps(self) -> Any:
        """(E, K): state K for a row of zeros, state k for a one at k: K - sum_k a_k (K - k)."""
        return np.arange(self.candidates, 0, -1) * self._strides[:, None]

    def _steps_like(self, gates: Any) -> Any:
        xp = namespace(gates)
        return self._steps if xp is np else xp.as_tensor(self._steps, device=gates.device)

    # -------------------------------------------------------------- mixtures, in NumPy

    def _by_terms(self, gates: Any) -> tuple[Any, Any]:
        """Loss and gradient as sums over the few states with a non-zero weight."""
        flat, states = self.table.reshape(-1), _with_zero_state(gates.reshape(-1, self.edges, self.candidates))
        slopes = []
        for edge in range(self.edges):
            owner, number = np.arange(len(states)), np.zeros(len(states), np.int64)
            weight = np.ones(len(states), states.dtype)
            for other in set(range(self.edges)) - {edge}:
                row, state = np.nonzero(states[owner, other])
                weight = weight[row] * states[owner[row], other, state]
                number = number[row] + state * self._strides[other]
                owner = owner[row]
            columns = []
            for own in range(self.candidates + 1):
                column = np.zeros(len(states), states.dtype)
                np.add.at(column, owner, weight * flat[number + own * self._strides[edge]])
                columns.append(column)
            slopes.append(np.stack(columns, axis=1))
        return self._from_slopes(gates, states, np.stack(slopes, axis=-2))

    def _by_contraction(self, gates: Any) -> tuple[Any, Any]:
        """Loss and gradient by contracting one edge after the other and going back, a chunk of gates at a time."""
        states = _with_zero_state(gates.reshape(-1, self.edges, self.candidates))
        size = self.candidates + 1
        step = max(1, CHUNK_NUMBERS * size // self.table.size)
        slopes = []
        for start in range(0, len(states), step):
            rows = states[start : start + step]
            partial = [self.table.reshape(1, size, -1)]
            for edge in range(self.edges - 1):
                partial.append(_weigh(rows[:, edge], partial[-1]).reshape(len(rows), size, -1))
            back = np.ones((len(rows), 1), rows.dtype)
            slope = []
            for edge in range(self.edges - 1, -1, -1):
                slope.append(_pair_up(partial[edge], back))
                back = (rows[:, edge, :, None] * back[:, None, :]).reshape(len(rows), -1) if edge else back
            slopes.append(np.stack(slope[::-1], axis=-2))
        return self._from_slopes(gates, states, np.concatenate(slopes))

    def _from_slopes(self, gates: Any, states: Any, slopes: Any) -> tuple[Any, Any]:
        loss = (states[:, 0] * slopes[:, 0]).sum(axis=1).reshape(gates.shape[:-2])
        return loss, (slopes[..., :-1] - slopes[..., -1:]).reshape(gates.shape)


# ------------------------------------------------------------------ helpers


def _are_one_hot(gates: Any) -> bool:
    return bool(((gates == 0) | (gates == 1)).all()) and bool((gates.sum(axis=-1) <= 1).all())


def _nearly_one_hot(gates: Any) -> bool:
    """Whether rows with more than one state are so few that a sum over states is short."""
    mixed = ((gates != 0).sum(axis=-1) + (gates.sum(axis=-1) != 1)).prod(axis=-1)
    return bool(np.size(mixed)) and float(np.mean(mixed)) <= 8


def _with_zero_state(gates: Any) -> Any:
    """Weights (..., E, K + 1) of the states: the operations, and zeroed with what is left of one."""
    return namespace(gates).concatenate((gates, 1 - gates.sum(axis=-1, keepdims=True)), axis=-1)


def _whole(gates: Any) -> Any:
    return gates.astype(np.int64) if namespace(gates) is np else gates.long()


def _weigh(weights: Any, values: Any) -> Any:
    """Contract (n, s) with (n or 1, s, r) -> (n, r)."""
    if values.shape[0] == 1:
        return weights @ values[0]
    return (weights[:, None, :] @ values)[:, 0]


def _pair_up(values: Any, weights: Any) -> Any:
    """Contract (n or 1, s, r) with (n, r) -> (n, s)."""
    if values.shape[0] == 1:
        return weights @ values[0].T
    return (values @ weights[..., None])[..., 0]
