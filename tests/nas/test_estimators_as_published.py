"""Is every estimator what its paper says? Each one a second time, written apart from the first.

Relaxed methods are textbook code through autograd on a small network; score methods are gradients of credit times
log-probability; PARSEC is the gradient of the log of a mean likelihood; second-order DARTS has a two-level problem with
a known hypergradient. Every sample is compared, not the mean: a turned sign in a baseline leaves the mean alone.
"""

import itertools
from collections.abc import Callable
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch

from nas import estimators

EDGES, CANDIDATES, WIDTH, BATCH = 3, 3, 4, 5


class Cell:
    """Edges 0 -> 1, 0 -> 2, 1 -> 2, three operations each, squared error of node 2: small, and nothing is affine."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.x, self.y = normal(BATCH, WIDTH), normal(BATCH, WIDTH)
        self.weights = normal(EDGES, CANDIDATES, WIDTH, WIDTH) / 2
        self.logits = normal(EDGES, CANDIDATES)
        self.p = torch.softmax(self.logits, dim=-1)
        self.choice = torch.randint(CANDIDATES, (EDGES,), generator=generator)
        self.gates = torch.eye(CANDIDATES, dtype=torch.float64)[self.choice]
        self.noise = -torch.log(-torch.log(torch.rand(EDGES, CANDIDATES, generator=generator, dtype=torch.float64)))

    def operation(self, edge: int, k: int, x: torch.Tensor) -> torch.Tensor:
        return (torch.tanh, torch.sigmoid, torch.sin)[k](x @ self.weights[edge, k])

    def outputs(self, gates: torch.Tensor, idle_is_one: bool = False) -> list[torch.Tensor]:
        """The output of each edge; idle_is_one: an operation that is not in `choice` is not run, its output is 1."""

        def edge(number: int, x: torch.Tensor) -> torch.Tensor:
            terms = [
                gates[number, k]
                * (
                    torch.ones_like(x)
                    if idle_is_one and k != int(self.choice[number])
                    else self.operation(number, k, x)
                )
                for k in range(CANDIDATES)
            ]
            output: torch.Tensor = sum(terms[1:], terms[0])
            return output

        first = edge(0, self.x)
        return [first, edge(1, self.x), edge(2, first)]

    def loss(self, gates: torch.Tensor, idle_is_one: bool = False) -> torch.Tensor:
        _, direct, through = self.outputs(gates, idle_is_one)
        return ((direct + through - self.y) ** 2).mean()

    def gate_gradient(self, gates: torch.Tensor) -> torch.Tensor:
        """Dense dL/da by autograd."""
        a = gates.detach().clone().requires_grad_()
        return torch.autograd.grad(self.loss(a), a)[0]

    def zeroed(self, edge: int) -> torch.Tensor:
        gates = self.gates.clone()
        gates[edge] = 0
        return self.loss(gates)

    def alternative(self, edge: int, k: int) -> torch.Tensor:
        gates = self.gates.clone()
        gates[edge] = torch.eye(CANDIDATES, dtype=torch.float64)[k]
        return self.loss(gates)


def by_score(cell: Cell, credit: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """d/dlogits of sum_e credit_e log P(a_e), the credits held: what every textbook has."""
    logits = cell.logits.clone().requires_grad_()
    log_p = torch.log_softmax(logits, dim=-1)
    surrogate = sum((credit(e).detach() * log_p[e, cell.choice[e]] for e in range(EDGES)), torch.zeros(()))
    return torch.autograd.grad(surrogate, logits)[0]


def output_credit(cell: Cell) -> torch.Tensor:
    """<dL/d(output of e), output of e> (E,), from the outputs themselves: no gate is differentiated."""
    outputs = [o.detach() for o in cell.outputs(cell.gates)]
    credits = []
    for edge in range(EDGES):
        leaf = outputs[edge].clone().requires_grad_()
        if edge == 0:  # its output is edge 2's input
            through, direct = cell.operation(2, int(cell.choice[2]), leaf), outputs[1]
        else:
            direct, through = (leaf, outputs[2]) if edge == 1 else (outputs[1], leaf)
        slope = torch.autograd.grad(((direct + through - cell.y) ** 2).mean(), leaf)[0]
        credits.append((slope * leaf).sum())
    return torch.stack(credits).detach()


@pytest.fixture(params=range(5), ids=lambda seed: f"seed{seed}")
def cell(request: pytest.FixtureRequest) -> Cell:
    return Cell(request.param)


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert expected.abs().max() > 1e-6  # a comparison of zeros would say nothing
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------ score methods, sample by sample


def test_advantage_credits_an_edge_with_its_output_times_the_outputs_gradient(cell: Cell) -> None:
    credit = output_credit(cell)
    sparse = cell.gate_gradient(cell.gates) * cell.gates
    same(estimators.first_order_credit(cell.gates, sparse), credit)
    same(estimators.advantage(cell.p, cell.gates, sparse), by_score(cell, lambda e: credit[e]))
    same(estimators.credited(cell.p, cell.gates, credit), by_score(cell, lambda e: credit[e]))


def test_an_entropy_bonus_is_the_gradient_of_the_entropy(cell: Cell) -> None:
    """Sample by sample the surrogate of L + w ln P(a) - b; on average autograd of E[L] - w H, all cells enumerated."""
    baseline = torch.tensor(0.7, dtype=torch.float64)
    choices = [*itertools.product(range(CANDIDATES), repeat=EDGES)]
    gates = torch.eye(CANDIDATES, dtype=torch.float64)[torch.tensor(choices)]
    losses = torch.stack([cell.loss(a).detach() for a in gates])
    logits = cell.logits.clone().requires_grad_()
    log_p = (torch.log_softmax(logits, dim=-1) * gates).sum(dim=(-1, -2))
    entropy = -(torch.softmax(logits, -1) * torch.log_softmax(logits, -1)).sum()
    expected = torch.autograd.grad((log_p.exp() * losses).sum() - 0.3 * entropy, logits)[0]
    log_p = log_p.detach()
    mean = torch.zeros_like(cell.logits)
    for a, loss, log_probability in zip(gates, losses, log_p, strict=True):
        found = estimators.reinforce_with_entropy(cell.p, a, loss, log_probability, baseline, 0.3)
        mean += log_probability.exp() * found
        turned = estimators.reinforce_with_entropy(cell.p, a, loss, log_probability, baseline, -0.3)
        assert (found - turned).abs().max() > 1e-6
    same(mean, expected)
    ours = choices.index(tuple(cell.choice.tolist()))
    credit = losses[ours] + 0.3 * log_p[ours] - 0.7
    found = estimators.reinforce_with_entropy(cell.p, cell.gates, losses[ours], log_p[ours], baseline, 0.3)
    same(found, by_score(cell, lambda e: credit))


def test_a_baseline_is_subtracted_from_each_edges_credit(cell: Cell) -> None:
    credit, b = output_credit(cell), torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    found = estimators.advantage_with_baseline(cell.p, cell.gates, cell.gate_gradient(cell.gates), b)
    same(found, by_score(cell, lambda e: credit[e] - b[e]))


def test_reinforce_credits_every_edge_with_loss_minus_baseline(cell: Cell) -> None:
    loss, b = cell.loss(cell.gates), torch.tensor(0.37, dtype=torch.float64)
    same(estimators.reinforce(cell.p, cell.gates, loss, b), by_score(cell, lambda e: loss - b))


def test_exact_advantage_credits_what_zeroing_costs(cell: Cell) -> None:
    zeroed = torch.stack([cell.zeroed(e) for e in range(EDGES)])
    found = estimators.exact_advantage(cell.p, cell.gates, cell.loss(cell.gates), zeroed)
    same(found, by_score(cell, lambda e: cell.loss(cell.gates) - cell.zeroed(e)))


def test_an_actor_critics_baseline_is_its_linear_critic_averaged_over_the_edges_own_choice(cell: Cell) -> None:
    """V_e = sum_k p_ek Q(a with a_e = k), Q linear in the scores, by a loop over choices and edges."""
    w = torch.randn(EDGES, CANDIDATES, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    mean = (cell.p * w).sum(dim=-1)

    def value(edge: int) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for k in range(CANDIDATES):
            critic = w[edge, k].clone()
            for other in range(EDGES):
                if other != edge:
                    critic += w[other, cell.choice[other]] - mean[other]
            total += cell.p[edge, k] * critic
        return total

    loss = cell.loss(cell.gates)
    found = estimators.actor_critic(cell.p, cell.gates, loss, w)
    same(found, by_score(cell, lambda e: loss - value(e)))


@pytest.mark.parametrize("chosen", range(EDGES))
@pytest.mark.parametrize("even", [True, False])
def test_debiased_credit_corrects_the_chosen_edge_alone(cell: Cell, chosen: int, even: bool) -> None:
    credit, q = output_credit(cell), torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    chance = 1 / EDGES if even else q[chosen]

    def corrected(edge: int) -> torch.Tensor:
        if edge != chosen:
            return credit[edge]
        exact = cell.loss(cell.gates) - cell.zeroed(edge)
        return credit[edge] + (exact - credit[edge]) / chance

    found = estimators.debiased_advantage(
        cell.p,
        cell.gates,
        cell.gate_gradient(cell.gates),
        cell.loss(cell.gates),
        cell.zeroed(chosen),
        torch.eye(EDGES, dtype=torch.float64)[chosen],
        *(() if even else (q,)),
    )
    same(found, by_score(cell, corrected))


def test_quadrature_integrates_the_slope_along_each_edges_own_gate(cell: Cell) -> None:
    """Uneven nodes and weights, so that no exchange of them goes unseen: sum_i w_i dL(t_i)/dt, t scaling edge e."""
    nodes, weights = (0.25, 0.5, 1.0), torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)

    def slope(edge: int, node: float) -> torch.Tensor:
        t = torch.tensor(node, dtype=torch.float64, requires_grad=True)
        gates = torch.stack([row * t if e == edge else row for e, row in enumerate(cell.gates)])
        return torch.autograd.grad(cell.loss(gates), t)[0]

    gradients = torch.zeros(len(nodes), EDGES, CANDIDATES, dtype=torch.float64)
    for i, node in enumerate(nodes):
        for e in range(EDGES):
            scaled = cell.gates.clone()
            scaled[e] *= node
            gradients[i, e] = cell.gate_gradient(scaled)[e]
    found = estimators.quadrature_advantage(cell.p, cell.gates, gradients, weights)
    terms = [[w * slope(e, t) for w, t in zip(weights, nodes, strict=True)] for e in range(EDGES)]
    same(found, by_score(cell, lambda e: torch.stack(terms[e]).sum()))


def test_the_counterfactual_baseline_is_the_policys_mean_of_the_alternatives(cell: Cell) -> None:
    """COMA's: sum_k p_ek L(a with a_e = k), by the policy and not evenly."""
    losses = torch.stack([torch.stack([cell.alternative(e, k) for k in range(CANDIDATES)]) for e in range(EDGES)])
    found = estimators.counterfactual(cell.p, cell.gates, cell.loss(cell.gates), losses)

    def advantage(e: int) -> torch.Tensor:
        return cell.loss(cell.gates) - sum(
            (cell.p[e, k] * cell.alternative(e, k) for k in range(CANDIDATES)), torch.zeros(())
        )

    same(found, by_score(cell, advantage))


def test_marginalised_is_the_gradient_with_the_edge_summed_out(cell: Cell) -> None:
    losses = torch.stack([torch.stack([cell.alternative(e, k) for k in range(CANDIDATES)]) for e in range(EDGES)])
    logits = cell.logits.clone().requires_grad_()
    surrogate = (torch.softmax(logits, dim=-1) * losses.detach()).sum()
    same(estimators.marginalised(cell.p, losses), torch.autograd.grad(surrogate, logits)[0])


def test_leave_one_out_by_its_papers_formula() -> None:
    """Kool et al., eq. 8: 1/S sum_s (L_s - mean of the other losses) grad log p(a_s), in fractions."""
    p = np.array([[F(1, 2), F(1, 3), F(1, 6)], [F(1, 5), F(1, 5), F(3, 5)]])
    choices, losses = [(0, 2), (1, 2), (2, 0), (0, 1)], [F(3), F(-1, 2), F(7, 3), F(2)]
    gates = np.array([[[int(k == chosen) for k in range(3)] for chosen in a] for a in choices], dtype=object)
    expected = np.full((2, 3), F(0))
    for s, a in enumerate(choices):
        others = sum(losses[:s] + losses[s + 1 :]) / 3
        for e, k in itertools.product(range(2), range(3)):
            expected[e, k] += (losses[s] - others) * ((k == a[e]) - p[e, k]) / 4
    assert (estimators.reinforce_leave_one_out(p, gates, np.array(losses, dtype=object)) == expected).all()


def test_the_unordered_set_by_its_papers_formula() -> None:
    """Kool et al. 2020, eq. 18 and 19, with every probability of a set summed over its orders, in fractions.

    sum_s p(s) R(S, s) (f(s) - sum_s' p(s') R^{D without s}(S, s') f(s')) grad log p(s).
    """
    p = np.array([[F(1, 2), F(1, 3), F(1, 6)], [F(1, 5), F(1, 5), F(3, 5)]])
    law = {a: p[0, a[0]] * p[1, a[1]] for a in itertools.product(range(3), repeat=2)}
    loss = {a: F(a[0] * a[0] - 3 * a[1] + 2 * a[0] * a[1], 4) for a in law}

    def of_set(members: set[Any], without: set[Any]) -> F:
        total = F(0)
        for order in itertools.permutations(members):
            gone, chance = set(without), F(1)
            for a in order:
                chance *= law[a] / (1 - sum((law[x] for x in gone), F(0)))
                gone.add(a)
            total += chance
        return total

    def ratio(members: set[Any], s: Any, without: set[Any]) -> F:
        return of_set(members - {s}, without | {s}) / of_set(members, without)

    for pair in itertools.combinations(law, 2):
        members, expected = set(pair), np.full((2, 3), F(0))
        for s in pair:
            (other,) = members - {s}
            baseline = law[s] * loss[s] + law[other] * ratio({other}, other, {s}) * loss[other]
            gates = np.array(np.eye(3, dtype=int)[list(s)], dtype=object)
            expected = expected + law[s] * ratio(members, s, set()) * (loss[s] - baseline) * (gates - p)
        gates = np.array(np.eye(3, dtype=int)[np.array(pair)], dtype=object)
        found = estimators.unordered_set(p, gates, np.array([loss[s] for s in pair]))
        assert (found == expected).all(), pair
    certain = np.array([[F(0), F(1), F(0)], [F(1), F(0), F(0)]])  # then the draw returns one architecture twice
    assert (estimators.unordered_set(certain, np.array([certain, certain]), np.array([F(1), F(1)])) == 0).all()
    half, same = np.array([[F(1, 2), F(1, 2)]]), np.array([[F(1), F(0)]])  # twice the same, by whatever chance
    assert (estimators.unordered_set(half, np.array([same, same]), np.array([F(3), F(5)])) == 0).all()


@pytest.mark.parametrize("success", [(F(1, 3), F(3, 4)), (F(1, 2), F(1, 5))])
def test_disarm_is_arm_with_its_noise_integrated_out(success: tuple[F, F]) -> None:
    """ARM (Yin & Zhou 2019): (f(b) - f(b'))(u - 1/2), b = 1[u > 1 - s], b' = 1[u < s]: the mean of u over its interval.

    Dong et al. 2020: u of each edge is averaged given that edge's b and b', whose values cut [0, 1] into intervals.
    """
    loss = np.array([[F(1), F(-2)], [F(5), F(3, 2)]])
    cuts = [sorted({F(0), s, 1 - s, F(1)}) for s in success]
    for places in itertools.product(*(range(len(cut) - 1) for cut in cuts)):
        ends = [(cut[i], cut[i + 1]) for cut, i in zip(cuts, places, strict=True)]
        middle = [(low + high) / 2 for low, high in ends]  # the mean of u, too
        one = tuple(int(u > 1 - s) for u, s in zip(middle, success, strict=True))
        other = tuple(int(u < s) for u, s in zip(middle, success, strict=True))
        of_logit = [(loss[one] - loss[other]) * (u - F(1, 2)) for u in middle]
        expected = [[-value, value] for value in of_logit]  # the logit of success is theta_1 - theta_0
        gates = np.array(np.eye(2, dtype=int)[[one, other]], dtype=object)
        largest = np.array([max(s, 1 - s) for s in success])
        found = estimators.disarm(largest, gates, np.array([loss[one], loss[other]]))
        assert found.tolist() == expected, places


@pytest.mark.parametrize("looked_up", [(0, 0, 0), (1, 0, 0), (0, 1, 1)])
def test_budgeted_credit_corrects_what_was_looked_up_by_its_chance(cell: Cell, looked_up: tuple[int, ...]) -> None:
    """Horvitz and Thompson's correction, edge by edge: (worth - control) / chance where it was looked up, else 0."""
    chance = torch.tensor([0.25, 0.5, 0.8], dtype=torch.float64)
    control = 0.7 * output_credit(cell)
    worth = torch.stack([cell.loss(cell.gates) - cell.zeroed(e) for e in range(EDGES)])

    def corrected(edge: int) -> torch.Tensor:
        return control[edge] + ((worth[edge] - control[edge]) / chance[edge] if looked_up[edge] else 0)

    drawn = torch.tensor(looked_up, dtype=torch.float64)
    found = estimators.budgeted_advantage(cell.p, cell.gates, control, worth, drawn, chance)
    same(found, by_score(cell, corrected))


def test_credit_against_a_reference_is_the_slope_from_the_reference_to_the_output(cell: Cell) -> None:
    """d/dt of the loss with edge e's gates at m + t (a - m), at t = 1: from the mean output to the one that ran."""

    def slope(edge: int) -> torch.Tensor:
        t = torch.ones((), dtype=torch.float64, requires_grad=True)
        moved = cell.p[edge] + t * (cell.gates[edge] - cell.p[edge])
        gates = torch.stack([moved if e == edge else row for e, row in enumerate(cell.gates)])
        return torch.autograd.grad(cell.loss(gates), t)[0]

    found = estimators.reference_advantage(cell.p, cell.gates, cell.gate_gradient(cell.gates), cell.p)
    same(found, by_score(cell, slope))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_binomial_is_the_score_of_the_binomial_law(count: int) -> None:
    phi, credit = (
        torch.tensor([0.4], dtype=torch.float64, requires_grad=True),
        torch.tensor([-1.7], dtype=torch.float64),
    )
    law = torch.distributions.Binomial(total_count=3, logits=phi)
    k = torch.tensor([float(count)], dtype=torch.float64)
    (score,) = torch.autograd.grad(law.log_prob(k).sum(), phi)
    same(estimators.binomial(torch.sigmoid(phi).detach(), k, 3, credit), credit * score)


# ------------------------------------------------------------------ several samples


def test_parsec_is_the_gradient_of_minus_the_log_of_the_mean_likelihood(cell: Cell) -> None:
    """-log 1/S sum_s P(a_s; logits) / P(a_s; logits now) exp(-L_s) (importance sampling)."""
    choices = list(itertools.product(range(CANDIDATES), repeat=EDGES))[::5]
    eye = torch.eye(CANDIDATES, dtype=torch.float64)
    gates = torch.stack([eye[list(a)] for a in choices])
    losses = torch.stack([cell.loss(g) for g in gates])
    logits = cell.logits.clone().requires_grad_()
    log_p = torch.log_softmax(logits, dim=-1)
    log_ratio = torch.stack([sum((log_p[e, k] for e, k in enumerate(a)), torch.zeros(())) for a in choices])
    objective = -torch.log(torch.exp(log_ratio - log_ratio.detach() - losses).mean())
    found = estimators.parsec(cell.p, gates, torch.softmax(-losses, dim=-1))
    same(found, torch.autograd.grad(objective, logits)[0])


def test_ars_has_the_true_mean_for_three_operations() -> None:
    """The noise is uniform on the triangle; operation = argmin noise_k / p_k. Summed over an even grid of its cells."""
    p, losses, n = np.array([0.5, 0.3, 0.2]), np.array([1.0, -2.0, 4.0]), 900
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    lower, upper = i + j < n, i + j < n - 1
    corners = [np.stack([i[m] + s, j[m] + s], -1) / n for m, s in ((lower, 1 / 3), (upper, 2 / 3))]  # cells' centroids
    first = np.concatenate(corners)
    noise = np.concatenate([first, 1 - first.sum(-1, keepdims=True)], -1)
    swapped = []
    for k in range(3):
        other = noise.copy()
        other[:, [0, k]] = noise[:, [k, 0]]
        swapped.append(losses[np.argmin(other / p, axis=-1)])
    mean = estimators.ars(noise[:, :1], np.stack(swapped, axis=-1)).mean(axis=0)[0]
    true = p * (losses - p @ losses)
    assert np.abs(mean - true).max() < 0.01
    assert np.abs(true).min() > 0.1  # a wrong sign, factor or reference is far outside


def test_ars_by_its_papers_formula() -> None:
    """Yin et al. 2019: gradient_k = (f_k - mean_j f_j)(1 - K r)."""
    r, f = [F(1, 5), F(2, 3)], [F(3), F(-1), F(7, 2)]
    mean = sum(f) / 3
    expected = [[(f[k] - mean) * (1 - 3 * r[e]) for k in range(3)] for e in range(2)]
    assert (estimators.ars(np.array(r), np.array(f)) == expected).all()


def test_muprop_by_autograd(cell: Cell) -> None:
    """Gu et al., eq. 8: (L(a) - L(p) - g(p)'(a - p)) grad log P(a), and the mean field's gradient L(p(logits))."""
    logits = cell.logits.clone().requires_grad_()
    mean = torch.softmax(logits, dim=-1)
    dense = cell.gate_gradient(cell.p)
    remainder = cell.loss(cell.gates) - cell.loss(cell.p) - (dense * (cell.gates - cell.p)).sum()
    expected = by_score(cell, lambda e: remainder) + torch.autograd.grad(cell.loss(mean), logits)[0]
    found = estimators.muprop(cell.p, cell.gates, cell.loss(cell.gates), cell.loss(cell.p), dense)
    same(found, expected)


# ------------------------------------------------------------------ relaxations, through autograd


def test_darts_is_the_gradient_of_the_mixed_network(cell: Cell) -> None:
    logits = cell.logits.clone().requires_grad_()
    expected = torch.autograd.grad(cell.loss(torch.softmax(logits, dim=-1)), logits)[0]
    same(estimators.darts(cell.p, cell.gate_gradient(cell.p)), expected)
    same(estimators.softmax_pullback(cell.p, cell.gate_gradient(cell.p)), expected)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_snas_is_the_gradient_through_the_relaxed_sample(cell: Cell, temperature: float) -> None:
    logits = cell.logits.clone().requires_grad_()
    z = torch.softmax((logits + cell.noise) / temperature, dim=-1)
    expected = torch.autograd.grad(cell.loss(z), logits)[0]
    same(estimators.relaxed(z.detach(), cell.gate_gradient(z), temperature), expected)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_gdas_is_the_straight_through_gradient_of_its_accelerated_forward_pass(cell: Cell, temperature: float) -> None:
    """As the authors run it: hard = one_hot - z + z, and an idle operation adds its weight itself, not an output."""
    logits = cell.logits.clone().requires_grad_()
    z = torch.softmax((logits + cell.noise) / temperature, dim=-1)
    cell.choice = z.argmax(dim=-1)
    one_hot = torch.eye(CANDIDATES, dtype=torch.float64)[cell.choice]
    expected = torch.autograd.grad(cell.loss(one_hot - z.detach() + z, idle_is_one=True), logits)[0]

    cell.gates = one_hot
    shifts = [torch.zeros(BATCH, WIDTH, dtype=torch.float64, requires_grad=True) for _ in range(EDGES)]
    first = cell.operation(0, int(cell.choice[0]), cell.x) + shifts[0]
    direct = cell.operation(1, int(cell.choice[1]), cell.x) + shifts[1]
    through = cell.operation(2, int(cell.choice[2]), first) + shifts[2]
    slopes = torch.autograd.grad(((direct + through - cell.y) ** 2).mean(), shifts)
    output_gradient = torch.stack([slope.sum() for slope in slopes])
    filled = estimators.fill_idle(one_hot, cell.gate_gradient(one_hot), output_gradient)  # idle entries are not read
    same(filled[one_hot == 0], output_gradient.repeat_interleave(CANDIDATES - 1))
    same(estimators.relaxed(z.detach(), filled, temperature), expected)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_straight_through_gumbel_is_one_hot_forward_and_relaxed_backward(cell: Cell, temperature: float) -> None:
    """Jang et al. 2017, section 2.2, as torch's gumbel_softmax(hard=True) has it; every operation runs."""
    logits = cell.logits.clone().requires_grad_()
    z = torch.softmax((logits + cell.noise) / temperature, dim=-1)
    one_hot = torch.eye(CANDIDATES, dtype=torch.float64)[z.argmax(dim=-1)]
    expected = torch.autograd.grad(cell.loss(one_hot - z.detach() + z), logits)[0]
    same(estimators.relaxed(z.detach(), cell.gate_gradient(one_hot), temperature), expected)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_gumbel_rao_is_the_mean_of_straight_through_gradients_of_one_architecture(
    cell: Cell, temperature: float
) -> None:
    """Paulus et al. 2021, eq. 5: one argmax, other noise; here found among a thousand draws, not by conditioning."""
    generator = torch.Generator().manual_seed(5)
    noise = -torch.log(-torch.log(torch.rand(1000, EDGES, CANDIDATES, generator=generator, dtype=torch.float64)))
    fits = (((cell.logits + noise).argmax(dim=-1)) == cell.choice).all(dim=-1)
    noise = noise[fits][:3]
    assert len(noise) == 3
    gradients = []
    for one in noise:
        logits = cell.logits.clone().requires_grad_()
        z = torch.softmax((logits + one) / temperature, dim=-1)
        gradients.append(torch.autograd.grad(cell.loss(cell.gates - z.detach() + z), logits)[0])
    z = torch.softmax((cell.logits + noise) / temperature, dim=-1)
    found = estimators.gumbel_rao(z, cell.gate_gradient(cell.gates), temperature)
    same(found, torch.stack(gradients).mean(dim=0))


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_rebar_by_autograd(cell: Cell, temperature: float) -> None:
    """Tucker et al. 2017, eq. 6 with eta = 1: (f(b) - f(z')) grad log p(b) + grad f(z) - grad f(z')."""
    logits = cell.logits.clone().requires_grad_()
    p, exponential = torch.softmax(logits, dim=-1), torch.exp(-cell.noise)
    z = torch.softmax((logits + cell.noise) / temperature, dim=-1)
    top = (exponential * cell.gates).sum(dim=-1, keepdim=True)
    perturbed = torch.where(cell.gates > 0, -torch.log(top), -torch.log(exponential / p + top))
    conditioned = torch.softmax(perturbed / temperature, dim=-1)
    log_p = torch.log_softmax(logits, dim=-1)[range(EDGES), cell.choice].sum()
    difference = (cell.loss(cell.gates) - cell.loss(conditioned)).detach()
    surrogate = difference * log_p + cell.loss(z) - cell.loss(conditioned)
    expected = torch.autograd.grad(surrogate, logits)[0]
    slope = (exponential / p / (exponential / p + top) * (1 - cell.gates)).detach()
    z, conditioned = z.detach(), conditioned.detach()
    found = estimators.rebar(
        cell.p,
        cell.gates,
        cell.loss(cell.gates),
        z,
        cell.gate_gradient(z),
        conditioned,
        slope,
        cell.loss(conditioned),
        cell.gate_gradient(conditioned),
        temperature,
    )
    same(found, expected)


def test_reinmax_by_its_papers_pseudo_code(cell: Cell) -> None:
    """Liu et al. 2023, Algorithm 2: the mean of sample and policy, softmax with a stopped shift, 2 pi_1 - pi_0 / 2."""
    logits = cell.logits.clone().requires_grad_()
    pi_0 = torch.softmax(logits, dim=-1)
    pi_1 = (cell.gates + pi_0) / 2
    pi_1 = torch.softmax((pi_1.log() - logits).detach() + logits, dim=-1)
    pi_2 = 2 * pi_1 - pi_0 / 2
    expected = torch.autograd.grad(cell.loss(pi_2 - pi_2.detach() + cell.gates), logits)[0]
    same(estimators.reinmax(cell.p, cell.gates, cell.gate_gradient(cell.gates)), expected)


def test_proxyless_as_its_paper_writes_it() -> None:
    """Cai et al., eq. 4, over the two drawn paths: sum_j dL/dg_j q_j (delta_ij - q_i), loop by loop."""
    q, g = np.array([[F(1, 4), F(3, 4)], [F(2, 3), F(1, 3)]]), np.array([[F(5), F(-1)], [F(1, 2), F(4)]])
    expected = [[sum(g[e, j] * q[e, j] * ((i == j) - q[e, i]) for j in range(2)) for i in range(2)] for e in range(2)]
    assert (estimators.proxyless(q, g) == expected).all()
    logits = torch.log(torch.tensor(q.astype(float))).requires_grad_()
    surrogate = (torch.softmax(logits, dim=-1) * torch.tensor(g.astype(float))).sum()
    torch.testing.assert_close(
        torch.autograd.grad(surrogate, logits)[0], torch.tensor(np.array(expected, dtype=float)), rtol=1e-12, atol=1e-12
    )


def test_nasp_descends_the_gradient_of_the_discrete_networks_gates(cell: Cell) -> None:
    same(estimators.nasp(cell.gate_gradient(cell.gates)), cell.gate_gradient(cell.gates))


# ------------------------------------------------------------------ second-order DARTS: known hypergradients


def test_unrolled_is_the_derivative_through_one_weight_step() -> None:
    """d/da L_val(w - eta dL_train/dw(w, a), a), by SymPy on a training loss whose gate gradient is affine in w."""
    a, w = sympy.symbols("a0:3"), sympy.symbols("w0:2")
    eta, radius = sympy.Rational(1, 3), sympy.Rational(1, 50)
    here = dict(zip((*a, *w), map(sympy.Rational, ("1/2", "-1/3", "2", "1", "-3/4")), strict=True))
    train = (w[0] - 2 * a[0] - a[1]) ** 2 / 2 + (w[1] + a[1] * a[2] - w[0] * a[2]) ** 2 / 2
    validation = (w[0] + w[1] - 1) ** 2 + w[0] * a[0] ** 2 + a[2] * w[1]
    slopes = [sympy.diff(train, x) for x in w]
    stepped = {x: x - eta * slope for x, slope in zip(w, slopes, strict=True)}
    hypergradient = [sympy.diff(validation.subs(stepped, simultaneous=True), x).subs(here) for x in a]

    at = {**here, **{x: value.subs(here) for x, value in stepped.items()}}
    first_order = [sympy.diff(validation, x).subs(at) for x in a]
    direction = [sympy.diff(validation, x).subs(at) for x in w]

    def moved(sign: int) -> list[Any]:
        shifted = {**here, **{x: here[x] + sign * radius * d for x, d in zip(w, direction, strict=True)}}
        return [sympy.diff(train, x).subs(shifted) for x in a]

    one_edge = (np.array([slopes]) for slopes in (first_order, moved(1), moved(-1)))
    (found,) = estimators.unrolled(*one_edge, eta, radius)
    assert [sympy.nsimplify(x) for x in found] == [sympy.nsimplify(x) for x in hypergradient]
    assert all(x != y for x, y in zip(found, first_order, strict=True))  # the correction does something everywhere


def test_unrolled_is_exact_where_one_step_solves_the_inner_problem() -> None:
    """L_train = (w - 2 a_1 + a_2)^2 / 2 and step 1: w* = 2 a_1 - a_2. L_val = (w - 3)^2 / 2 + a_1, a = (1, 1/2), w = 5.

    w* = 3/2, dL_val/da = (1, 0) + (w* - 3) (2, -1) = (-2, 3/2); the gates' own part is (1, 0).
    """
    radius, direction = F(1, 7), F(3, 2) - 3
    a, w = (F(1), F(1, 2)), F(5)

    def training_gate_gradient(weight: F) -> Any:
        miss = weight - 2 * a[0] + a[1]
        return np.array([[-2 * miss, miss]])

    plus, minus = (training_gate_gradient(w + sign * radius * direction) for sign in (1, -1))
    found = estimators.unrolled(np.array([[F(1), F(0)]]), plus, minus, 1, radius)
    assert found.tolist() == [[F(-2), F(3, 2)]]


# ------------------------------------------------------------------ nothing is left out


def test_every_public_estimator_is_derived_twice() -> None:
    """By name: a new estimator is missed here until someone writes it down a second time."""
    public = {
        name
        for name, function in vars(estimators).items()
        if callable(function) and function.__module__ == "nas.estimators" and not name.startswith("_")
    }
    text = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in public if f"estimators.{name}(" in text} == public
    assert "estimators.absent" + "(" not in text  # control: what nobody wrote down is not found
