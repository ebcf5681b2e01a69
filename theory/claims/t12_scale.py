"""T12: what can first-order credit never see? The common worth of edges whose sum is normalised: their credits cancel.

If the loss does not change when the outputs of the edges in S are scaled together, the slope along that scaling is
zero, and the slope is the sum of the credits (Euler's theorem on homogeneous functions, of degree zero). Batch
normalisation makes such losses: ReLU and convolution carry a factor on, normalisation takes it out (but for its
epsilon). With one edge in S its credit is zero whatever it is worth, and AdvantageNAS never moves that edge.

That saliencies obey such conservation laws is known from pruning (Tanaka et al. 2020, arXiv 2006.05467), symmetries of
normalised weights from Kunin et al. (2021, arXiv 2012.04728); new is at most the step to architecture credit.
"""

from typing import Any

import numpy as np
import sympy

from nas import estimators
from nas.objective import zeroed_losses
from theory import exact, symbols
from theory.cases import Domain
from theory.claim import Claim, Control, named
from theory.landscapes import Landscape, Normalised


def normalised(problem: Landscape) -> Normalised:
    """1 - cos^2 between (1, 1) and the sum over S, the first (E + 1) // 2 edges, plus the square of the others' sum."""
    outputs: Any = problem.outputs  # type: ignore[attr-defined]
    one = outputs[0, 0] * 0 + 1
    return Normalised(outputs, one, 0 * one)


def credits_of(problem: Landscape, p: Any) -> tuple[Normalised, Any, Any]:
    """The normalised landscape of the problem's outputs, all architectures' gates (n, E, K), their credits (n, E)."""
    land = normalised(problem)
    gates = np.concatenate([gates for _, gates, _ in exact.weighted_losses(land, p)])
    return land, gates, estimators.first_order_credit(gates, land.gradients(gates, gates).gate_gradient)


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-largest |sum of the credits in S|, over all architectures; and that they are the slopes, not zeros."""
    land, gates, credit = credits_of(problem, p)
    cancel = -abs(credit[:, : land.inside].sum(axis=-1)).max()
    return min(cancel, named(credit, _slopes(land, gates)))


def _slopes(land: Normalised, gates: Any) -> Any:
    """d/dt of the loss with edge e's output scaled by t, at t = 1, by the quotient rule on (u v)^2 / |v|^2, (n, E)."""
    own = (gates[..., None] * land.outputs).sum(axis=-2)
    v, miss = own[:, : land.inside].sum(axis=1), own[:, land.inside :].sum(axis=1) - land.y
    along, square = (v * land.u).sum(axis=-1)[:, None], (v * v).sum(axis=-1)[:, None]
    rises = 2 * along * (own * land.u).sum(axis=-1) * square - along * along * 2 * (own * v[:, None]).sum(axis=-1)
    where = square != 0
    inside = -rises / np.where(where, square * square, 1 + 0 * square) / (land.u * land.u).sum()
    outside = 2 * (miss[:, None] * own).sum(axis=-1) / len(land.y)
    return np.where(np.arange(land.edges) < land.inside, np.where(where, inside, 0 * inside), outside)


def _all_cancel(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return -abs(credits_of(problem, p)[2].sum(axis=-1)).max()


def _exact_cancels(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    land, gates, _ = credits_of(problem, p)
    worth = land.loss(gates)[:, None] - zeroed_losses(land, gates)
    return -abs(worth[:, : land.inside].sum(axis=-1)).max()


def _nothing_to_learn(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-largest entry of the true gradient on the only edge of S."""
    return -abs(exact.truth(normalised(problem), p).gradient[0]).max()


def symbolic() -> list[Any]:
    """Three edges, two of them in S: the landscape's slopes are derivatives, and the credits of S cancel, any gates."""
    outputs, gates = symbols.symbols("h", 3, 2, 2), symbols.symbols("a", 3, 2)
    land = Normalised(outputs, symbols.symbols("u", 2), symbols.symbols("y", 2))
    found = land.gradients(gates[None], 1)
    (loss,), (slopes,) = found.loss, found.gate_gradient
    derivative = np.array([[sympy.diff(loss, gate) for gate in row] for row in gates], dtype=object)
    credit = estimators.first_order_credit(gates, slopes)
    return symbols.reduced(slopes - derivative) + symbols.reduced(np.array([credit[:2].sum()]))


QUADRATIC = Domain("quadratic")

CLAIM = Claim(
    "T12",
    "credits of a normalised sum cancel",
    "if L does not change when the outputs of the edges in S are scaled together by t > 0, then sum_{e in S} credit_e "
    "= 0 for every architecture; with S = {e} first-order credit never moves edge e",
    "L differentiable at the architecture's gates, jointly in those of S (for S = {e}: along edge e's own gate)",
    "none",
    slack,
    (
        Control("the credits of all edges cancel", _all_cancel, QUADRATIC),
        Control("the exact advantages of S cancel", _exact_cancels, QUADRATIC),
        Control(
            "an edge with no credit has nothing to learn: its true gradient is zero",
            _nothing_to_learn,
            Domain("quadratic", edges=(1, 2)),
        ),
    ),
    "sum over S of the shipped first_order_credit = 0 on 1 - cos^2(u, v) + mean (w - y)^2, any gates",
    symbolic,
    QUADRATIC,
)
