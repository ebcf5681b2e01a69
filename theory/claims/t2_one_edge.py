"""T2: by how much exactly does the natural-gradient step lower the expected loss of one edge?"""

from typing import Any

from nas import policy
from theory import exact, symbols
from theory.cases import Domain
from theory.claim import Claim, Control
from theory.landscapes import Landscape
from theory.quantities import conditional_losses, expected_loss, settled, simplex_step


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-|J' - (J - e Var_p(q))|, summed over edges for E > 1, where it is false."""
    known = exact.truth(problem, p)
    q = conditional_losses(problem, p)
    longest = simplex_step(p, known.gradient)
    if longest is None:
        return 0 * known.expected_loss
    rate = share * longest
    after = expected_loss(problem, settled(policy.natural_step(p, known.gradient, rate)))
    variance = (p * (q - known.expected_loss) * (q - known.expected_loss)).sum()
    # the step is the share of the longest one, 1 / max (q - J): at a rate of zero the identity would say nothing
    length = rate * (q - known.expected_loss)[p > 0].max() - share
    return min(-abs(after - (known.expected_loss - rate * variance)) / (1 + rate * variance), -abs(length))


def symbolic() -> list[Any]:
    """One edge, three operations: J(p - e g) - J + e Var_p(q) = 0."""
    p, losses, rate = symbols.policy(1, 3), symbols.table(1, 3), symbols.symbols("e")[()]
    j = symbols.expected(losses, p)
    moved = policy.natural_step(p, symbols.exact_mean(losses, p), rate)
    variance = sum(p[0, k] * (losses[k] - j) ** 2 for k in range(3))
    return symbols.reduced([symbols.expected(losses, moved) - j + rate * variance])


CLAIM = Claim(
    "T2",
    "one edge, exactly",
    "J' = J - e Var_p(q) for p' = p - e g, q_k = E[L | a_k = 1]",
    "one edge; p' on the simplex: e <= 1 / max_k (q_k - J)",
    "largest step 1 / max_k (q_k - J); the decrease is e Var_p(q)",
    slack,
    (
        Control(
            "the same identity, variances summed, for two edges at once",
            slack,
            Domain(edges=(2, 2)),
        ),
    ),
    "J(p - e g) = J - e Var_p(q) for the mean g of the shipped exact advantage",
    symbolic,
    Domain(edges=(1, 1), candidates=(2, 4)),
)
