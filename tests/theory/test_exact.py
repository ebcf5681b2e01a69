"""The engine: exact means and covariances against sums written out here, sampling, and other ways to integrate."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import estimators, policy, step
from nas.methods import METHODS, Method, find, method_of
from nas.optimisers import sgd
from theory import architectures, exact, outcomes
from theory.landscapes import Landscape, Table, make

UNBIASED = (
    *[m.name for m in METHODS.values() if m.unbiased_by],
    "muprop",
    "binomial_reinforce",
    "unordered_set",
    "disarm",
)
BIASED_BY_CURVATURE = ("advantage", "advantage_with_baseline", "darts", "proxyless", "nasp", "binomial_advantage")
WITH_GRADIENT = [name for name, method in METHODS.items() if method.estimator is not None]
INTEGRATED = ("gdas", "snas", "fbnet", "ars", "straight_through_gumbel", "gumbel_rao", "rebar")
P = np.array([[F(1, 3), F(2, 3)], [F(1, 5), F(4, 5)]])


def outcome_by_outcome(land: Landscape, p: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(probability, gates, loss), written out."""
    edges, candidates = p.shape
    for a in itertools.product(range(candidates), repeat=edges):
        gates = np.array(np.eye(candidates, dtype=int)[list(a)], dtype=object)
        yield math.prod(p[e, k] for e, k in enumerate(a)), gates, land.loss(gates)


def by_hand(land: Landscape, p: Any, estimate: Any) -> tuple[Any, Any]:
    """Mean and total variance of estimate(gates, loss)."""
    pairs = [(w, estimate(a, loss)) for w, a, loss in outcome_by_outcome(land, p)]
    mean = sum(w * g for w, g in pairs)
    return mean, sum(w * ((g - mean) ** 2).sum() for w, g in pairs)


# ------------------------------------------------------------------ exactly


@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize("landscape", ["quadratic", "heavy_tailed", "trap"])
def test_unbiased_exactly(name: str, landscape: str) -> None:
    found = exact.moments(find(name), make(landscape, 2, 2, seed=1, exact=True), P)
    assert (found.bias == 0).all()
    assert isinstance(found.total_variance, F)
    assert found.total_variance >= 0


@pytest.mark.parametrize("name", BIASED_BY_CURVATURE)
def test_control_biased_by_curvature(name: str) -> None:
    found = exact.moments(METHODS[name], make("quadratic", 2, 2, seed=1, exact=True), P)
    assert (found.bias != 0).any()


THREE = np.array([[F(1, 6), F(1, 3), F(1, 2)], [F(1, 5), F(3, 5), F(1, 5)]])


@pytest.mark.parametrize("name", [n for n in BIASED_BY_CURVATURE if n not in ("nasp", "proxyless")])
def test_and_by_nothing_else(name: str) -> None:
    found = exact.moments(METHODS[name], make("pairwise", 2, 3, seed=1, exact=True), THREE)
    assert (found.bias == 0).all()


@pytest.mark.parametrize(("candidates", "p", "biased"), [(2, P, False), (3, THREE, True)])
def test_proxyless_is_unbiased_on_affine_losses_for_two_candidates_only(candidates: int, p: Any, biased: bool) -> None:
    found = exact.moments(METHODS["proxyless"], make("pairwise", 2, candidates, seed=1, exact=True), p)
    assert (found.bias != 0).any() == biased


def test_reinforce_by_hand() -> None:
    land = make("quadratic", 2, 2, seed=4, exact=True)
    j = sum(w * loss for w, _, loss in outcome_by_outcome(land, P))
    mean, variance = by_hand(land, P, lambda a, loss: (loss - j) * (a - P))
    found = exact.moments(METHODS["reinforce"], land, P)
    assert (found.expected_loss, found.total_variance) == (j, variance)
    assert (found.mean == mean).all()


def test_covariance_by_hand() -> None:
    land = make("heavy_tailed", 2, 2, seed=4, exact=True)
    found = exact.moments(METHODS["advantage"], land, P)
    samples = []
    for w, a, _ in outcome_by_outcome(land, P):
        g = land.gradients(a, a).gate_gradient
        samples.append((w, estimators.advantage(P, a, g).ravel()))
    mean = sum(w * g for w, g in samples)
    covariance = sum(w * np.outer(g - mean, g - mean) for w, g in samples)
    assert (found.covariance == covariance).all()
    assert found.edge_variances.sum() == found.total_variance


def test_zero_charge_uses_the_exact_mean_of_the_worst_operation() -> None:
    """One edge, operations (zero, 1, 2) that cost 0, 2, 5 over a zeroed edge: zero is charged 5, as method.md tells."""
    land = Table(np.array([F(0), F(2), F(5), F(0)]), zero_operation=0)
    p = np.array([[F(1, 2), F(1, 4), F(1, 4)]])
    found = exact.moments(METHODS["advantage"], land, p)
    # credits (5, 2, 5): mean p (credit - <p, credit>), <p, credit> = 17/4
    assert (found.mean == [[F(3, 8), F(-9, 16), F(3, 16)]]).all()
    plain = dataclasses.replace(METHODS["advantage"], zero_policy="plain")
    assert (exact.moments(plain, land, p).bias == 0).all()
    for policy_of_zero, mean in (("worst", F(17, 4)), ("plain", F(7, 4))):  # what the baseline averages is charged, too
        method = dataclasses.replace(METHODS["advantage_with_baseline"], zero_policy=policy_of_zero)
        memory = exact.Expectations(method, land, outcomes.outcomes(method.draw, p, None))
        assert (memory["credit"] == [mean]).all()
        assert (exact.moments(method, land, p).mean == exact.moments(
            dataclasses.replace(METHODS["advantage"], zero_policy=policy_of_zero), land, p).mean).all()  # fmt: skip


@given(seed=st.integers(0, 999), edges=st.integers(1, 3), candidates=st.integers(2, 3))
@settings(max_examples=10, deadline=None)
def test_marginalising_never_adds_variance(seed: int, edges: int, candidates: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.array([F(int(w)) for w in rng.integers(0, 5, edges * candidates)]).reshape(edges, candidates)
    weights[:, 0] += 1
    p = weights / weights.sum(axis=-1, keepdims=True)
    land = make("heavy_tailed", edges, candidates, seed, exact=True)
    raw, summed = (exact.moments(METHODS[n], land, p) for n in ("counterfactual", "marginalised"))
    assert summed.total_variance <= raw.total_variance


# ------------------------------------------------------------------ floats, chunks, sampling, integration


@pytest.mark.parametrize("name", [n for n in WITH_GRADIENT if n not in (*INTEGRATED, "parsec")])
def test_float_agrees_with_exact(name: str) -> None:
    rational = exact.moments(METHODS[name], make("quadratic", 2, 2, seed=1, exact=True), P)
    real = exact.moments(METHODS[name], make("quadratic", 2, 2, seed=1), P.astype(float))
    np.testing.assert_allclose(real.mean, rational.mean.astype(float), atol=1e-12)
    np.testing.assert_allclose(real.covariance, rational.covariance.astype(float), atol=1e-12)
    assert real.cost == rational.cost


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    land, p = make("quadratic", 4, 3, seed=2), np.full((4, 3), 1 / 3)
    whole = exact.moments(METHODS["debiased_advantage"], land, p)
    monkeypatch.setattr(exact, "CHUNK_NUMBERS", 500)
    parts = exact.moments(METHODS["debiased_advantage"], land, p)
    np.testing.assert_allclose(parts.covariance, whole.covariance, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in WITH_GRADIENT if n != "nasp"])
def test_sampled_steps_have_these_moments(name: str) -> None:
    """n = 40,000 steps as a search takes them. Each entry within 6 exact standard errors: for 20 methods x 6 entries a
    false alarm has probability below 1e-6."""
    method, land = METHODS[name], make("quadratic", 2, 3, seed=3)
    p = outcomes.binomial_policy(np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]]))
    logits = np.log(p / p[:, :1])
    if method.draw.probabilities is not policy.softmax:
        average = (p * np.arange(3)).sum(axis=-1) / 2
        logits = np.log(average / (1 - average))[:, None] * np.ones(3)
    found = exact.moments(method, land, p)
    n = 40_000
    uniforms = np.random.default_rng(5).uniform(size=(n, *step.noise_shape(method, 2, 3)))
    state = step.start(method, sgd(), np.broadcast_to(logits, (n, 2, 3)))
    memory = {
        name: 0 * state.memory[name] + _expected(method, land, found.probabilities)[name] for name in method.averages
    }
    sample = step.measure(method, step.draw(method, state.logits, uniforms), land)
    gradients = np.broadcast_to(step.gradient_of(method, sample, memory), (n, 2, 3))
    spread = np.sqrt(np.diagonal(found.covariance).clip(0)).reshape(2, 3) / math.sqrt(n)
    assert (np.abs(gradients.mean(axis=0) - found.mean) <= 6 * (spread + found.error) + 1e-12).all()


def _expected(method: Method, land: Landscape, p: Any) -> Any:
    return exact.Expectations(method, land, outcomes.outcomes(method.draw, p))


@pytest.mark.parametrize("name", ["parsec", "reinforce_leave_one_out", "proxyless", "unordered_set", "disarm"])
def test_integration_agrees_with_listing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draw listed and integrated: the stated errors hold (6 standard errors)."""
    land, p = make("quadratic", 2, 2, seed=3), P.astype(float)
    listed = exact.moments(find(name), land, p)
    monkeypatch.setattr(outcomes, "FINITE", {})
    integrated = exact.moments(find(name), land, p)
    assert integrated.outcomes != listed.outcomes
    assert 0 < integrated.error < 0.01
    assert np.abs(integrated.mean - listed.mean).max() <= 6 * integrated.error
    assert abs(integrated.total_variance - listed.total_variance) <= 6 * integrated.variance_error


@pytest.mark.parametrize("landscape", ["quadratic", "heavy_tailed"])
def test_unordered_sets_are_unbiased_for_three_operations_and_with_what_is_certain(landscape: str) -> None:
    land = make(landscape, 2, 3, seed=1, exact=True)
    found = exact.moments(METHODS["unordered_set"], land, THREE)
    assert found.outcomes == 9 * 8 // 2
    assert (found.bias == 0).all()
    edge = np.array([[F(0), F(1), F(0)], [F(1, 3), F(0), F(2, 3)]])
    assert (exact.moments(METHODS["unordered_set"], land, edge).bias == 0).all()
    nothing = exact.moments(METHODS["unordered_set"], land, np.array([[F(0), F(1), F(0)], [F(1), F(0), F(0)]]))
    assert (nothing.mean == 0).all()
    assert nothing.total_variance == 0


def ordered_pair(probabilities: Any, gates: Any, loss: Any) -> Any:
    """Leave-one-out of two, as if they had been drawn with replacement."""
    return estimators.reinforce_leave_one_out(probabilities, gates, loss)


def test_control_two_different_architectures_are_not_two_draws() -> None:
    wrong = dataclasses.replace(METHODS["unordered_set"], estimator=ordered_pair)
    assert (exact.moments(wrong, make("quadratic", 2, 3, seed=1, exact=True), THREE).bias != 0).any()


def half_of_rebar(
    probabilities: Any, gates: Any, loss: Any, z: Any, relaxed_gate_gradient: Any, conditioned: Any, slope: Any,
    conditioned_loss: Any, conditioned_gate_gradient: Any, temperature: Any,
) -> Any:  # fmt: skip
    """As if the conditioned sample did not move with the logits."""
    return estimators.rebar(
        probabilities, gates, loss, z, relaxed_gate_gradient, conditioned, 0 * slope, conditioned_loss,
        conditioned_gate_gradient, temperature,
    )  # fmt: skip


@pytest.mark.parametrize("progress", [0.0, 1.0])
@pytest.mark.parametrize("landscape", ["quadratic", "pairwise", "heavy_tailed"])
def test_rebar_is_unbiased_to_its_stated_error_at_every_temperature(landscape: str, progress: float) -> None:
    """Six standard errors of 16 scramblings; the control is off by more."""
    land, p = make(landscape, 2, 3, seed=1), THREE.astype(float)
    found = exact.moments(METHODS["rebar"], land, p, progress, points=4096)
    assert np.abs(found.bias).max() < 6 * found.error < 0.1 * np.abs(found.gradient).max()
    wrong = exact.moments(
        dataclasses.replace(METHODS["rebar"], estimator=half_of_rebar), land, p, progress, points=4096
    )
    assert np.abs(wrong.bias).max() > 12 * wrong.error


def test_gumbel_rao_has_straight_throughs_mean_and_less_variance() -> None:
    land, p = make("quadratic", 2, 3, seed=1), THREE.astype(float)
    through, rao = (exact.moments(METHODS[name], land, p) for name in ("straight_through_gumbel", "gumbel_rao"))
    assert np.abs(rao.mean - through.mean).max() < 6 * (rao.error + through.error)
    assert rao.total_variance + 6 * (rao.variance_error + through.variance_error) < through.total_variance
    assert rao.bias_norm > 50 * rao.error  # both are biased
    gdas = exact.moments(METHODS["gdas"], land, p)
    assert np.abs(gdas.mean - through.mean).max() > 50 * (gdas.error + through.error)  # control: another mean


def test_disarm_is_refused_but_for_two_operations() -> None:
    with pytest.raises(ValueError, match="for binary choices: 2 candidate operations an edge, not 3"):
        exact.moments(find("disarm"), make("quadratic", 2, 3, seed=1), THREE.astype(float))


def test_gumbel_mean_by_one_integral() -> None:
    """Two operations, one edge: z_1 = sigmoid((logit + logistic noise) / tau), a midpoint rule in one dimension."""
    p, land = np.array([[0.3, 0.7]]), make("quadratic", 1, 2, seed=2)
    found = exact.moments(METHODS["snas"], land, p, progress=0.5)
    u = (np.arange(200_000) + 0.5) / 200_000
    z1 = 1 / (1 + np.exp(-(np.log(7 / 3) + np.log(u / (1 - u))) / 0.5))
    z = np.stack([1 - z1, z1], axis=-1)[:, None, :]
    g = land.gradients(z, np.ones_like(z)).gate_gradient
    mean = estimators.relaxed(z, g, 0.5).mean(axis=0)
    assert np.abs(found.mean - mean).max() <= 6 * found.error + 1e-4
    assert found.error < 1e-2


# ------------------------------------------------------------------ cost, boundary, refusals


def test_cost_is_counted() -> None:
    land = make("quadratic", 3, 4, seed=0)
    p = np.full((3, 4), 0.25)
    expected = {
        "reinforce": (1, 0),
        "advantage": (1, 1),
        "exact_advantage": (4, 0),
        "debiased_advantage": (2, 1),
        "quadrature_advantage": (7, 6),
        "reinforce_leave_one_out": (8, 0),
        "muprop": (2, 1),
        "unordered_set": (2, 0),
        "rebar": (3, 2),
        "gumbel_rao": (1, 1),
    }
    for name, (forward, backward) in expected.items():
        found = exact.moments(METHODS[name], land, p).cost
        assert (found.forward, found.backward) == (forward, backward), name
    assert exact.moments(METHODS["snas"], land, p, points=2).cost.operations == 4


@pytest.mark.parametrize("name", [n for n in WITH_GRADIENT if n != "proxyless"])
def test_on_the_simplex_boundary(name: str) -> None:
    p = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    found = exact.moments(METHODS[name], make("quadratic", 2, 3, seed=1), p)
    assert np.isfinite(found.mean).all()
    if name in UNBIASED and name != "reinforce_leave_one_out":
        np.testing.assert_allclose(found.bias, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, 0.6]], r"row 0 of the policy is off the simplex: \[0.5, 0.6\]"),
        ([[0.5, 0.5], [1.5, -0.5]], "row 1 of the policy"),
        ([[float("nan"), 0.5]], "row 0 of the policy"),
        ([0.5, 0.5], "E rows of K probabilities"),
    ],
)
def test_policies_off_the_simplex_are_refused(probabilities: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact.moments(METHODS["reinforce"], make("additive", 1, 2), np.array(probabilities))


def test_a_policy_may_miss_one_by_rounding_and_by_no_more() -> None:
    """1e-12 off is rounding, 1e-6 is not; in fractions nothing is."""
    land = make("additive", 1, 2)
    exact.moments(METHODS["reinforce"], land, np.array([[0.5, 0.5 + 1e-12]]))
    with pytest.raises(ValueError, match="row 0 of the policy is off the simplex"):
        exact.moments(METHODS["reinforce"], land, np.array([[0.5, 0.5 + 1e-6]]))
    with pytest.raises(ValueError, match="row 0 of the policy is off the simplex"):
        exact.check_policy(np.array([[F(1, 2), F(1, 2) + F(1, 10**15)]]))


def test_the_cosine_by_hand() -> None:
    """One edge, L = (4, 8), p = (1/4, 3/4): half of the gradient has cosine 1, its opposite -1."""
    p = np.array([[F(1, 4), F(3, 4)]])

    def scaled(by: F) -> float:
        def mine(probabilities: Any, gates: Any, loss: Any) -> Any:
            return by * loss[..., None, None] * (gates - probabilities)

        return exact.moments(method_of(mine, "mine"), Table(np.array([F(4), F(8), F(0)])), p).cosine

    assert (scaled(F(1, 2)), scaled(F(-3))) == (1.0, -1.0)
    assert math.isnan(scaled(F(0)))
    land, two = make("heavy_tailed", 2, 2, seed=4, exact=True), np.full((2, 2), F(1, 2))
    found = exact.moments(METHODS["darts"], land, two)
    along = math.fsum(float(x) * float(y) for x, y in zip(found.mean.ravel(), found.gradient.ravel(), strict=True))
    norms = [math.sqrt(math.fsum(float(x) ** 2 for x in v.ravel())) for v in (found.mean, found.gradient)]
    assert found.cosine == pytest.approx(along / (norms[0] * norms[1]), rel=1e-12)


def test_chunks_hold_as_many_numbers_as_they_may() -> None:
    """E = 3, K = 4: 12 numbers an outcome, 3 times as many where each edge is zeroed, 12 where each is exchanged."""
    sizes = {name: exact.chunk_size(METHODS[name], (3, 4)) for name in ("reinforce", "exact_advantage", "marginalised")}
    assert sizes == {
        "reinforce": exact.CHUNK_NUMBERS // 12,
        "exact_advantage": exact.CHUNK_NUMBERS // (12 * 3),
        "marginalised": exact.CHUNK_NUMBERS // (12 * 12),
    }


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match=r"4\^20 = 1.1e\+12 architectures are too many"):
        exact.moments(METHODS["reinforce"], make("additive", 20, 4), np.full((20, 4), 0.25))
    with pytest.raises(ValueError, match="random has no gradient"):
        exact.moments(METHODS["random"], make("additive", 1, 2), np.full((1, 2), 0.5))
    with pytest.raises(ValueError, match=r"the loss of architecture \(0, 1\) is nan"):
        exact.moments(METHODS["reinforce"], Table(np.array([[1, np.nan, 1]] * 3)), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="no finite list of outcomes"):
        exact.moments(METHODS["gdas"], make("additive", 1, 2, exact=True), np.array([[F(1, 2), F(1, 2)]]))
    with pytest.raises(ValueError, match="parsec is not rational"):
        exact.moments(METHODS["parsec"], make("additive", 1, 2, exact=True), np.array([[F(1, 2), F(1, 2)]]))
    with pytest.raises(ValueError, match="at least two operations of positive probability"):
        exact.moments(METHODS["proxyless"], make("additive", 1, 2), np.array([[1.0, 0.0]]))


def test_every_method_with_a_gradient_has_moments() -> None:
    land, p = make("quadratic", 2, 3, seed=1), np.full((2, 3), 1 / 3)
    for name in WITH_GRADIENT:
        found = exact.moments(METHODS[name], land, p)
        assert found.mean.shape == (2, 3), name
        assert found.total_variance >= -1e-12, name


def test_architectures_are_all_there_once() -> None:
    every = np.concatenate(list(architectures.chunks(3, 4, 7)))
    assert [tuple(a) for a in every.tolist()] == list(itertools.product(range(4), repeat=3))
