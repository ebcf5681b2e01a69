"""T3: is T2's range of steps enough for several edges? No: the negative control of T1."""

from typing import Any

from nas import policy
from theory import exact, symbols
from theory.cases import Domain
from theory.claim import Claim, Control
from theory.landscapes import Landscape
from theory.quantities import expected_loss, settled, simplex_step


def rise(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """J' - J at the end of the simplex: positive where the loss rises."""
    known = exact.truth(problem, p)
    longest = simplex_step(p, known.gradient)
    if longest is None:
        return 0 * known.expected_loss
    moved = settled(policy.natural_step(p, known.gradient, longest))
    if (moved < 0).any():  # off the simplex anything may rise: that is no counterexample
        return -abs(moved.min())
    return expected_loss(problem, moved) - known.expected_loss


def symbolic() -> list[Any]:
    """Two binary edges: J' = J - e sum Var + e^2 (interaction) g_1 g_2: the last term is what T2 does not see."""
    p, losses, rate = symbols.policy(2, 2), symbols.table(2, 2), symbols.symbols("e")[()]
    g = symbols.gradient(losses, p)
    moved = symbols.expected(losses, policy.natural_step(p, g, rate)) - symbols.expected(losses, p)
    first = -sum(g[e, 0] ** 2 / p[e, 0] + g[e, 1] ** 2 / p[e, 1] for e in range(2))
    interaction = losses[0, 0] - losses[0, 1] - losses[1, 0] + losses[1, 1]
    return symbols.reduced([moved - rate * first - rate**2 * interaction * g[0, 0] * g[1, 0]])


CLAIM = Claim(
    "T3",
    "the simplex is not the limit",
    "for two or more edges there are landscapes on which J rises at the longest step that stays on the simplex",
    "E >= 2; a counterexample to T2's range, so an existence claim",
    "none: T1's 1 / (max L - J) is the range for several edges",
    rise,
    (
        Control(
            "the same with one edge: some landscape rises (T2 says none does)",
            rise,
            Domain(edges=(1, 1)),
            exists=True,
        ),
    ),
    "J' - J = -e sum_e Var + e^2 I g_1 g_2 with the interaction I: the second term can win",
    symbolic,
    Domain(edges=(2, 3), candidates=(2, 2)),
    exists=True,
)
