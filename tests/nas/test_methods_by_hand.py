"""Variance is a fact too: exact mean and variance of each method with a baseline, worked out beside the test.

A turned sign in a baseline leaves the mean where it is. `theory.exact` sets each moving average to its expectation, so
that the numbers here are those of a search whose averages have settled.
"""

import itertools
import math
from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from nas import estimators, methods, samples, step
from nas.methods import METHODS
from theory import exact
from theory.landscapes import Table

ONE = np.array([[F(1, 4), F(3, 4)]])
TABLE = np.array([F(4), F(8), F(2)])  # one edge: L = 4 or 8, zeroed 2; J = 7, credits 2 and 6, their mean 5


def moments(name: str, table: Any, p: Any) -> exact.Moments:
    return exact.moments(METHODS[name], Table(table), p)


@pytest.mark.parametrize(
    ("name", "gradients"),
    [
        # (what a gate of its own would give: gradient of component 0 where a = 0, where a = 1)
        ("reinforce_without_baseline", (F(4) * F(3, 4), F(8) * F(-1, 4))),  # L (a - p) = (3, -2)
        ("reinforce", (F(4 - 7) * F(3, 4), F(8 - 7) * F(-1, 4))),  # L - J = (-3, 1)
        ("actor_critic", (F(4 - 7) * F(3, 4), F(8 - 7) * F(-1, 4))),  # no other edge to see: the mean of 4 and 8 is J
        ("advantage", (F(2) * F(3, 4), F(6) * F(-1, 4))),  # credit (2, 6), affine: exact
        ("advantage_with_baseline", (F(2 - 5) * F(3, 4), F(6 - 5) * F(-1, 4))),
        ("exact_advantage", (F(2) * F(3, 4), F(6) * F(-1, 4))),
        ("exact_advantage_with_baseline", (F(2 - 5) * F(3, 4), F(6 - 5) * F(-1, 4))),
        ("counterfactual", (F(4 - 7) * F(3, 4), F(8 - 7) * F(-1, 4))),  # sum_k p_k L_k = 7
        ("marginalised", (F(1, 4) * (4 - 7), F(1, 4) * (4 - 7))),  # p_0 (L_0 - 7), whatever was drawn
        ("muprop", (F(1, 4) * (4 - 7), F(1, 4) * (4 - 7))),  # affine: the control variate leaves no remainder
    ],
)
def test_one_edge_by_hand(name: str, gradients: tuple[F, F]) -> None:
    """The mean is p_0 (q_0 - J) = -3/4 for all; the variance of both components is twice that of the first."""
    mean = F(1, 4) * gradients[0] + F(3, 4) * gradients[1]
    second = F(1, 4) * gradients[0] ** 2 + F(3, 4) * gradients[1] ** 2
    assert mean == F(-3, 4)
    found = moments(name, TABLE, ONE)
    assert found.mean.tolist() == [[F(-3, 4), F(3, 4)]]
    assert found.total_variance == 2 * (second - mean**2)


def test_these_variances_tell_methods_and_signs_apart() -> None:
    """REINFORCE 3/2, without a baseline 75/8, exact advantage 27/8; with the baseline's sign turned 54."""
    found = {name: moments(name, TABLE, ONE).total_variance for name in METHODS if name in (
        "reinforce", "reinforce_without_baseline", "exact_advantage", "marginalised")}  # fmt: skip
    # 1/4 (9/4)^2 + 3/4 (1/4)^2 - 9/16 = 3/4; 1/4 * 9 + 3/4 * 4 - 9/16 = 75/16; 1/4 * 9/4 + 3/4 * 9/4 - 9/16 = 27/16
    assert found == {
        "reinforce": F(3, 2), "reinforce_without_baseline": F(75, 8), "exact_advantage": F(27, 8), "marginalised": 0,
    }  # fmt: skip

    def turned(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
        return (loss + baseline)[..., None, None] * (gates - probabilities)

    wrong = exact.moments(methods.method_of(turned, "turned"), Table(TABLE), ONE)
    # (4 + 7) 3/4 = 33/4 and (8 + 7)(-1/4) = -15/4: mean -3/4 as before, 1/4 (33/4)^2 + 3/4 (15/4)^2 - 9/16 = 27
    assert (wrong.mean[0, 0], wrong.total_variance) == (F(-3, 4), 54)


# ------------------------------------------------------------------ two edges: what each edge is charged, loop by loop

TWO = np.array([[F(1, 3), F(2, 3)], [F(1, 4), F(3, 4)]])
LOSSES = np.array([[F(5), F(-1), F(2)], [F(0), F(7), F(1)], [F(3), F(4), F(6)]])  # the last of each edge: zeroed
J = sum(TWO[0, i] * TWO[1, j] * LOSSES[i, j] for i in range(2) for j in range(2))


def zeroed(i: int, j: int) -> tuple[F, F]:
    return LOSSES[2, j], LOSSES[i, 2]


def mean_advantage(edge: int) -> F:
    """E[L - L with the edge zeroed]."""
    found: F = sum(TWO[0, i] * TWO[1, j] * (LOSSES[i, j] - zeroed(i, j)[edge]) for i in range(2) for j in range(2))
    return found


CHARGES: dict[str, Any] = {
    "reinforce_without_baseline": lambda i, j, e: LOSSES[i, j],
    "reinforce": lambda i, j, e: LOSSES[i, j] - J,
    # Of two edges: L less the mean loss of what the other chose, which is the counterfactual baseline.
    "actor_critic": lambda i, j, e: LOSSES[i, j] - (TWO[0] @ LOSSES[:2, j] if e == 0 else TWO[1] @ LOSSES[i, :2]),
    "advantage": lambda i, j, e: LOSSES[i, j] - zeroed(i, j)[e],
    "advantage_with_baseline": lambda i, j, e: LOSSES[i, j] - zeroed(i, j)[e] - mean_advantage(e),
    "exact_advantage": lambda i, j, e: LOSSES[i, j] - zeroed(i, j)[e],
    "exact_advantage_with_baseline": lambda i, j, e: LOSSES[i, j] - zeroed(i, j)[e] - mean_advantage(e),
    "counterfactual": lambda i, j, e: (
        LOSSES[i, j] - sum(TWO[e, k] * (LOSSES[k, j] if e == 0 else LOSSES[i, k]) for k in range(2))
    ),
}


@pytest.mark.parametrize("name", CHARGES)
def test_two_edges_loop_by_loop(name: str) -> None:
    """A table is affine in each edge's gates, so that first-order credit is the exact advantage."""
    mean, second = np.full((2, 2), F(0)), F(0)
    for i, j in itertools.product(range(2), repeat=2):
        for e, k in itertools.product(range(2), repeat=2):
            g = CHARGES[name](i, j, e) * ((k == (i, j)[e]) - TWO[e, k])
            mean[e, k] += TWO[0, i] * TWO[1, j] * g
            second += TWO[0, i] * TWO[1, j] * g * g
    found = moments(name, LOSSES, TWO)
    assert (found.mean == mean).all()
    assert found.total_variance == second - (mean * mean).sum()


# ------------------------------------------------------------------ three edges: what a critic learns

THREE = np.array([[F(1, 3), F(2, 3)], [F(1, 4), F(3, 4)], [F(3, 5), F(2, 5)]])
OWN = np.array([[F(2), F(-1)], [F(5), F(3)], [F(0), F(4)]])  # what each operation adds to an additive loss


def _every(law: Any) -> Any:
    for a in itertools.product(range(2), repeat=3):
        gates = np.array(np.eye(2, dtype=int)[list(a)], dtype=object)
        yield math.prod(THREE[e, k] for e, k in enumerate(a)), gates, law(a)


def _critic(law: Any) -> Any:
    """E[L | a_ek = 1], (E, K), by enumeration."""
    total = sum(w * loss * gates for w, gates, loss in _every(law))
    return total / THREE


def additive(a: tuple[int, ...]) -> F:
    total: F = sum((OWN[e, k] for e, k in enumerate(a)), F(0))
    return total


def crossed(a: tuple[int, ...]) -> F:
    return additive(a) + F(7 * a[0] * a[1] - 3 * a[0] * a[1] * a[2], 2)


@pytest.mark.parametrize("law", [additive, crossed])
def test_the_critic_is_konda_and_tsitsiklis_projection(law: Any) -> None:
    """What the critic leaves of L is uncorrelated with every score: their compatible features, least squares solved.

    So the scores times the critic alone already have the gradient as their mean, and a critic that sees its own edge,
    taken off the loss, leaves a gradient of nothing: the control.
    """
    w = _critic(law)
    expected_loss = sum(chance * loss for chance, _, loss in _every(law))
    truth: Any = sum(chance * loss * (gates - THREE) for chance, gates, loss in _every(law))
    by_critic: Any = 0
    left: Any = 0
    for chance, gates, loss in _every(law):
        q = expected_loss + ((gates - THREE) * w).sum()
        by_critic = by_critic + chance * q * (gates - THREE)
        left = left + chance * (loss - q) * (gates - THREE)
    assert (by_critic == truth).all()
    assert (left == 0).all()
    assert (truth != 0).any()


def test_on_an_additive_loss_the_critic_leaves_each_edge_its_own_part() -> None:
    """T7's repair for the price of one forward pass: the charge of edge e is its own part less that part's mean."""
    law = np.zeros((3, 3, 3), dtype=object)
    for a in itertools.product(range(3), repeat=3):
        law[a] = additive(tuple(min(k, 1) for k in a)) if 2 not in a else F(0)
    found = moments("actor_critic", law, THREE)
    second = F(0)
    for chance, gates, _ in _every(additive):
        part = (gates * OWN).sum(axis=-1) - (THREE * OWN).sum(axis=-1)
        second += chance * ((part[:, None] * (gates - THREE)) ** 2).sum()
    assert (found.bias == 0).all()
    assert found.total_variance == second - (found.mean**2).sum()
    assert found.total_variance < moments("reinforce", law, THREE).total_variance
    assert found.cost.forward == 1
    assert found.cost.backward == 0


@pytest.mark.parametrize("own", [False, True])
def test_any_critic_is_unbiased_unless_it_sees_its_own_edge(own: bool) -> None:
    """T4, for a critic that has learned nothing yet: any numbers."""
    wrong = np.array([[F(9), F(-4)], [F(1, 7), F(3)], [F(-2), F(5)]])
    mean: Any = 0
    truth: Any = 0
    for chance, gates, loss in _every(crossed):
        seen = ((gates - THREE) * wrong).sum(axis=-1) if own else 0 * gates[:, 0]
        found = estimators.actor_critic(THREE, gates, loss, wrong) - estimators.credited(THREE, gates, seen)
        mean = mean + chance * found
        truth = truth + chance * loss * (gates - THREE)
    assert (mean == truth).all() != own


def test_muprop_on_two_edges_keeps_the_remainder_of_the_expansion() -> None:
    """L(a) - L(p) - <g(p), a - p> is I (a_0 - p_0)(b_0 - p_0) for two binary edges, I the interaction."""
    interaction = LOSSES[0, 0] - LOSSES[1, 0] - LOSSES[0, 1] + LOSSES[1, 1]
    second, mean = F(0), np.full((2, 2), F(0))
    field = [TWO[0, 0] * (sum(TWO[1, j] * LOSSES[0, j] for j in range(2)) - J),
             TWO[1, 0] * (sum(TWO[0, i] * LOSSES[i, 0] for i in range(2)) - J)]  # fmt: skip
    for i, j in itertools.product(range(2), repeat=2):
        remainder = interaction * ((i == 0) - TWO[0, 0]) * ((j == 0) - TWO[1, 0])
        for e, k in itertools.product(range(2), repeat=2):
            g = remainder * ((k == (i, j)[e]) - TWO[e, k]) + (1 if k == 0 else -1) * field[e]
            mean[e, k] += TWO[0, i] * TWO[1, j] * g
            second += TWO[0, i] * TWO[1, j] * g * g
    found = moments("muprop", LOSSES, TWO)
    assert (found.mean == mean).all()
    assert found.total_variance == second - (mean * mean).sum()


def test_debiased_credit_pays_for_the_chosen_edge() -> None:
    """On a table credit is exact, so there is nothing to correct: the exact advantage's variance."""
    assert (
        moments("debiased_advantage", LOSSES, TWO).total_variance
        == moments("exact_advantage", LOSSES, TWO).total_variance
    )


def test_leave_one_out_by_hand() -> None:
    """One edge, p = 1/2, L = 6 + 2 X with X = +-1: the gradient is S (1 - mean(X)^2) / (S - 1) in component 1.

    Its mean is 1; E mean(X)^4 = (3 S - 2) / S^3, so its variance is S^2 / (S - 1)^2 (2 S - 2) / S^3 = 2 / (S (S - 1)).
    """
    number = samples.SAMPLES
    found = moments("reinforce_leave_one_out", np.array([F(4), F(8), F(0)]), np.array([[F(1, 2), F(1, 2)]]))
    assert found.mean.tolist() == [[-1, 1]]
    assert found.total_variance == 2 * F(2, number * (number - 1))


def test_binomial_reinforce_by_hand() -> None:
    """k ~ Binomial(2, 1/2), L = (0, 2, 6): J = 5/2, (L - J)(k - 1) = (5/2, 0, 7/2), mean 3/2, square 74/16."""
    found = moments("binomial_reinforce", np.array([F(0), F(2), F(6), F(0)]), np.array([[F(1, 4), F(1, 2), F(1, 4)]]))
    assert found.mean.tolist() == [[F(3, 2), 0, 0]]
    assert found.total_variance == F(74, 16) - F(9, 4)


def test_binomial_advantage_by_hand() -> None:
    """The same with the zeroed loss 1: credits (-1, 1, 5), times k - 1: (1, 0, 5); mean 3/2, square 26/4."""
    found = moments("binomial_advantage", np.array([F(0), F(2), F(6), F(1)]), np.array([[F(1, 4), F(1, 2), F(1, 4)]]))
    assert found.mean.tolist() == [[F(3, 2), 0, 0]]
    assert found.total_variance == F(26, 4) - F(9, 4)


def test_proxyless_by_hand() -> None:
    """p = (1/2, 1/4, 1/4), gate gradients (4, 8, 0) of an additive loss, paths 0 and 1: q = (2/3, 1/3), <q, g> = 16/3.

    gradient (2/3 (4 - 16/3), 1/3 (8 - 16/3)) = (-8/9, 8/9), 0 for the path that was not drawn.
    """
    p = np.array([[F(1, 2), F(1, 4), F(1, 4)]])
    pair = np.array([[[1, 0, 0], [0, 1, 0]]], dtype=object)
    found = methods.proxyless(p, pair, np.array([[F(4), F(8), F(0)]]))
    assert found.tolist() == [[F(-8, 9), F(8, 9), 0]]
    p = np.array([[F(1, 2), F(1, 2), F(0)]])  # q = (1/2, 1/2), <q, g> = 6; a path of no probability is in no one's way
    assert methods.proxyless(p, pair, np.array([[F(4), F(8), F(0)]])).tolist() == [[-1, 1, 0]]


def test_the_temperatures_are_the_papers() -> None:
    """GDAS from 10 to 0.1 on a line, SNAS on half a cosine from 1, with a floor of 0.01."""
    gdas, snas = METHODS["gdas"].temperature, METHODS["snas"].temperature
    assert gdas is not None
    assert snas is not None
    assert [gdas(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([10.0, 5.05, 0.1])
    assert [snas(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.01])
    others = ("straight_through_gumbel", "gumbel_rao", "rebar")  # towards 0.5, as far as Jang et al. go
    for name in others:
        temperature = METHODS[name].temperature
        assert temperature is not None
        assert [temperature(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.75, 0.5])
    assert {name for name, method in METHODS.items() if method.temperature} == {"gdas", "snas", "fbnet", *others}
    fbnet = METHODS["fbnet"].temperature
    assert fbnet is not None
    assert [fbnet(epoch / 90) for epoch in (0, 1, 45, 90)] == pytest.approx(
        [5 * math.exp(-0.045 * epoch) for epoch in (0, 1, 45, 90)], rel=2e-3
    )


def test_zero_is_charged_in_the_paper_methods_alone() -> None:
    assert {name for name, method in METHODS.items() if method.zero_policy == "worst"} == {
        "advantage",
        "advantage_with_baseline",
    }
    with pytest.raises(ValueError, match="reads no gate gradient"):
        replace(METHODS["reinforce"], zero_policy="worst")


# ------------------------------------------------------------------ what stands between a sample and an estimator

# Two replicates of one sample: three edges, two operations, credits (2, 3, 5); only losses and the zeroed edge differ.
GATES = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]] * 2)
SLOPES = np.array([[[2.0, 9.0], [9.0, 3.0], [5.0, 9.0]]] * 2)
HALF = np.full((2, 3, 2), 0.5)
SAMPLE = samples.Sample(
    HALF,
    GATES,
    GATES,
    chosen=np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    log_probability=np.array([-20_000.0, -10_000.0]),  # times the weight 1e-4: -2 and -1
    loss=np.array([7.0, 1.0]),
    zeroed_loss=np.array([4.0, 6.0]),
    gate_gradient=SLOPES,
)


def twice(rows: Any) -> Any:
    """Numbers of edges (..., E), once for each of the two operations."""
    return np.repeat(np.array(rows, dtype=float)[..., None], 2, axis=-1)


def test_what_is_remembered_by_hand() -> None:
    """L - zeroed is 3 and -5; of the credits (2, 3, 5) that leaves (-1, 0, 2) and (7, 8, 10)."""
    expected = {
        methods.loss_of: [7, 1],
        methods.credit_of: [[2, 3, 5], [2, 3, 5]],
        methods.residual_of: twice([[-1, 0, 2], [7, 8, 10]]),
        methods.zeroed_gates_of: [[[1, 0], [0, 0], [0, 0]], [[0, 0], [0, 1], [0, 0]]],
        methods.regularised_loss_of: [5, 0],
        methods.loss_of_operations: twice([[7, 7, 7], [1, 1, 1]]),
        methods.regularised_loss_of_operations: twice([[5, 5, 5], [0, 0, 0]]),
    }
    for value, numbers in expected.items():
        found = value(SAMPLE)
        assert found.shape == np.shape(numbers), value
        np.testing.assert_allclose(found, numbers, atol=1e-12, err_msg=value.__name__)
    every = replace(SAMPLE, zeroed_loss=np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert methods.exact_credit_of(every).tolist() == [[6, 5, 4], [-3, -4, -5]]


def test_an_average_has_as_many_axes_as_it_says() -> None:
    """Of (E, K): what it keeps has the axes of its value beyond those of the loss."""
    every = replace(SAMPLE, zeroed_loss=np.ones((2, 3)))
    kept = [average for method in (*METHODS.values(), *methods.ASIDE.values()) for average in method.averages.values()]
    assert {average.axes for average in kept} == {0, 1, 2}
    for average in kept:
        sample = SAMPLE if average.value is methods.residual_of else every
        assert average.value(sample).ndim - sample.loss.ndim == average.axes, average.name


@pytest.mark.parametrize(("method", "losses"), [(METHODS["actor_critic"], [7, 1]), (methods.ENAS_CRITIC, [5, 0])])
def test_a_critic_expects_the_first_loss_of_everything_that_was_not_drawn_yet(method: Any, losses: Any) -> None:
    nothing = {"critic": np.zeros((2, 3, 2)), "critic.count": np.zeros((2, 3, 2))}
    found = step.remember(method, nothing, SAMPLE)
    np.testing.assert_allclose(found["critic"], twice([[loss] * 3 for loss in losses]), atol=1e-12)
    assert (found["critic.count"] == GATES).all()


def test_the_rule_for_zero_is_fed_with_what_was_measured_not_with_what_it_charged() -> None:
    """Operation 0 is zero and was drawn, with slope 2; it is charged 5, the average of the other operation."""
    advantage = METHODS["advantage"]
    drawn = samples.Sample(HALF[0, :1], GATES[0, :1], GATES[0, :1], zero_operation=0, gate_gradient=SLOPES[0, :1])
    memory = {"gate_gradient": np.array([[0.0, 5.0]]), "gate_gradient.count": np.array([[0.0, 1.0]])}
    assert step.charged(advantage, drawn, memory).gate_gradient.tolist() == [[5, 9]]
    assert step.remember(advantage, memory, drawn)["gate_gradient"].tolist() == [[2, 5]]


def test_what_follows_from_a_methods_block_is_neither_shown_nor_hashed() -> None:
    shown = repr(METHODS["reinforce"])
    assert "draw=" in shown
    assert not any(f"{name}=" in shown for name in ("takes", "needs", "averages"))
    assert len({*METHODS.values()}) == len(METHODS)  # a dictionary of averages has no hash


def test_the_tabulated_credit_by_hand() -> None:
    """Controls (2, 3, 5) - (1, -1, 2) = (1, 4, 3); the zeroed edge, of three, adds 3 (worth - control).

    Worth 3 on edge 0: 1 + 3 (3 - 1) = 7. Worth -5 on edge 1: 4 + 3 (-5 - 4) = -23.
    """
    table = np.array([[[1.0, 50.0], [50.0, -1.0], [2.0, 50.0]]] * 2)
    found = METHODS["tabulated_advantage"].estimate(SAMPLE, {"residual": table})
    np.testing.assert_allclose(found, twice([[7, 4, 3], [1, -23, 3]]) * (GATES - HALF), rtol=1e-12)


def test_quadrature_takes_the_mean_of_its_two_nodes() -> None:
    """Slopes of 1 and 3 times the credits (2, 3, 5): their means are (4, 6, 10)."""
    paths = np.stack((SLOPES, 3 * SLOPES), axis=1)
    found = METHODS["quadrature_advantage"].estimate(replace(SAMPLE, path_gradients=paths), {})
    np.testing.assert_allclose(found, twice([[4, 6, 10]] * 2) * (GATES - HALF), rtol=1e-12)


def test_enas_is_paid_for_entropy_by_hand() -> None:
    """L + 1e-4 ln P is 5 and 0. The critic (1, 3) on each edge expects 2, and the others' surprises are -1, 1, -1."""
    found = methods.ENAS.estimate(SAMPLE, {"regularised_loss": np.array([1.0, 2.0])})
    np.testing.assert_allclose(found, twice([[4, 4, 4], [-2, -2, -2]]) * (GATES - HALF), atol=1e-12)
    critic = np.array([[[1.0, 3.0]] * 3] * 2)
    found = methods.ENAS_CRITIC.estimate(SAMPLE, {"critic": critic})
    others = np.array([0, -2, 0])  # -1 + 1, as seen from edges 0 and 2; -1 - 1, from edge 1
    np.testing.assert_allclose(found, twice([5 - 2 - others, 0 - 2 - others]) * (GATES - HALF), atol=1e-12)


def test_parsecs_weights_by_hand() -> None:
    """exp(0) : exp(-ln 3) = 3 : 1."""
    np.testing.assert_allclose(methods.parsec_weights(np.array([[0.0, math.log(3)]])), [[0.75, 0.25]], rtol=1e-12)


def test_two_paths_of_a_batch_are_those_of_its_members() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=(2, 3))
    pair = np.eye(4)[np.array([[[0, 1], [2, 3], [1, 3]], [[3, 0], [1, 2], [0, 2]]])]
    slopes = rng.normal(size=(2, 3, 4))
    found = methods.proxyless(p, pair, slopes)
    for r, e in np.ndindex(2, 3):
        i, j = pair[r, e].argmax(axis=-1)
        pull = p[r, e, i] * p[r, e, j] / (p[r, e, i] + p[r, e, j]) ** 2 * (slopes[r, e, i] - slopes[r, e, j])
        expected = np.zeros(4)
        expected[i], expected[j] = pull, -pull
        np.testing.assert_allclose(found[r, e], expected, rtol=1e-9, atol=1e-12)


def test_counts_of_two_edges_by_hand() -> None:
    """K = 3, success 1/2 and 0, counts 2 and 1: credits times 2 - 2/2 = 1 and 1 - 0 = 1. Of one trial 1 - 3/4 = 1/4."""
    p, gates = np.array([[0.25, 0.5, 0.25], [1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    slopes = np.array([[9.0, 9.0, 3.0], [9.0, 5.0, 9.0]])
    assert methods.binomial_advantage(p, gates, slopes).tolist() == [[3, 0, 0], [5, 0, 0]]
    both = np.array([p, p]), np.array([gates, gates])
    found = methods.binomial_reinforce(*both, np.array([7.0, 1.0]), np.array([2.0, 4.0]))
    assert found.tolist() == [[[5, 0, 0], [5, 0, 0]], [[-3, 0, 0], [-3, 0, 0]]]
    one = methods.binomial_advantage(np.array([[0.25, 0.75]]), np.array([[0.0, 1.0]]), np.array([[9.0, 4.0]]))
    assert one.tolist() == [[1, 0]]
    assert methods.binomial_advantage(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1))).tolist() == [[0]]


def test_a_drawn_pair_keeps_its_weight_by_hand() -> None:
    """1 + 1 before, 3 + 1 after: both are halved. So also a thousand higher, where exp has no numbers."""
    old = np.array([[[0.0, 0.0, 5.0], [1000.0, 5.0, 1000.0]]])
    new = np.array([[[math.log(3), 0.0, 9.0], [1000.0, 9.0, 1000 + math.log(3)]]])
    runs = np.array([[[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]])
    found = methods.rescale_pair(old, new, samples.Sample(HALF, runs, runs))
    up, down = math.log(3 / 2), math.log(1 / 2)
    np.testing.assert_allclose(found, [[[up, down, 5.0], [1000 + down, 5.0, 1000 + up]]], rtol=1e-12)


def test_nasps_box_by_hand() -> None:
    assert methods.box(None, np.array([-1.0, 0.5, 1.5]), SAMPLE).tolist() == [0.0, 0.5, 1.0]


def test_what_has_no_gradient_and_what_says_nothing_of_itself_are_refused() -> None:
    with pytest.raises(ValueError, match="method random has no gradient"):
        METHODS["random"].estimate(SAMPLE, {})

    def silent(probabilities: Any, gates: Any) -> Any:
        return gates

    silent.__signature__ = 3  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="estimator mine does not say what it takes"):
        methods.method_of(silent, "mine")


def test_credits_of_zero_are_no_special_case_and_fractions_stay_fractions() -> None:
    """Controls 0, so that the zeroed edge alone is paid: 3 times worth, 3 and -5. Slopes of 0 have credit 0."""
    exact_sample = replace(
        SAMPLE,
        **{
            name: np.vectorize(F, otypes=[object])(getattr(SAMPLE, name))
            for name in ("probabilities", "gates", "loss", "zeroed_loss", "gate_gradient", "chosen")
        },
    )
    table = np.array([[[F(2), F(50)], [F(50), F(3)], [F(5), F(50)]]] * 2)
    found = METHODS["tabulated_advantage"].estimate(exact_sample, {"residual": table})
    assert (found == twice([[9, 0, 0], [0, -15, 0]]) * (GATES - HALF)).all()
    paths = np.stack((exact_sample.gate_gradient, 0 * exact_sample.gate_gradient), axis=1)
    halves = METHODS["quadrature_advantage"].estimate(replace(exact_sample, path_gradients=paths), {})
    assert (halves == twice([[1, 1.5, 2.5]] * 2) * (GATES - HALF)).all()
    nothing = METHODS["quadrature_advantage"].estimate(replace(exact_sample, path_gradients=0 * paths), {})
    assert (nothing == 0).all()
    assert {type(number) for array in (found, halves, nothing) for number in array.ravel()} == {F}
