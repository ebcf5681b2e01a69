"""The card of a policy that is not a softmax: held against J's own differences, never taken for the binomial one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas import policy
from nas.methods import LOSS_AVERAGE, METHODS, Method
from nas.samples import BINOMIAL, UNIFORM, Draw, Sample, edge_noise
from theory import architectures, card, exact
from theory.landscapes import make

P = np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]])


def concentration(logits: Any) -> Any:
    return np.log1p(np.exp(logits))


def dirichlet(logits: Any) -> Any:
    """An operation drawn from a row of Dirichlet(softplus(logits)): its probability is the row's mean."""
    alpha = concentration(logits)
    return alpha / alpha.sum(axis=-1, keepdims=True)


def sample(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = dirichlet(logits)
    gates = policy.draw(p, uniforms)
    slope = 1 / (1 + np.exp(-logits))
    return Sample(p, gates, gates, z=slope / concentration(logits))  # d alpha / alpha


def mean_row(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = dirichlet(logits)
    return Sample(p, p, np.ones_like(p))


def score(probabilities: Any, gates: Any, z: Any, loss: Any, baseline: Any) -> Any:
    """(L - b) d log p(a) / d logits."""
    return (loss - baseline)[..., None, None] * z * (gates - probabilities)


DIRICHLET = Draw(sample, edge_noise, dirichlet, gives=("z",))
MINE = Method("dirichlet", "Dirichlet", score, draw=DIRICHLET, baseline=LOSS_AVERAGE)


def expected_loss(landscape: Any, logits: Any) -> float:
    choices = architectures.choices(*logits.shape)
    weight = architectures.probability(dirichlet(logits), choices)
    return float((weight * landscape.loss(architectures.one_hot(choices, logits.shape[1]))).sum())


def differences(landscape: Any, logits: Any) -> Any:
    found = np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        moved = np.zeros(logits.shape)
        moved[place] = 1e-5
        found[place] = (expected_loss(landscape, logits + moved) - expected_loss(landscape, logits - moved)) / 2e-5
    return found


@pytest.mark.parametrize("landscape", ["quadratic", "heavy_tailed"])
def test_a_dirichlet_policy_is_pulled_back_through_its_own_jacobian(landscape: str) -> None:
    land = make(landscape, 2, 3, seed=1)
    found = exact.moments(MINE, land, P)
    np.testing.assert_allclose(found.gradient, differences(land, np.log(P)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.probabilities, dirichlet(np.log(P)), rtol=1e-14)
    assert found.expected_loss == pytest.approx(expected_loss(land, np.log(P)))
    assert found.bias_norm < 12 * found.error < 0.05 * np.linalg.norm(found.gradient)
    shrunk = replace(
        MINE, estimator=lambda probabilities, gates, loss, baseline: score(probabilities, gates, 1, loss, baseline)
    )
    assert exact.moments(shrunk, land, P).bias_norm > 0.1 * np.linalg.norm(found.gradient)  # the control: no d alpha
    told = card(MINE, land, P)
    assert told.relative_bias < 0.05
    assert told.cosine > 0.999
    assert not told.softmax
    assert told.variance_ratio is None  # what is said of K logits of a softmax does not apply


def test_the_binomial_stays_exact_and_a_softmax_under_another_name_is_the_same() -> None:
    land = make("quadratic", 2, 3, seed=1)

    def named(logits: Any) -> Any:
        return policy.softmax(logits)

    own = exact._pull_back(replace(METHODS["reinforce"], draw=Draw(sample, edge_noise, named)),
                           exact.truth(land, P).gradient, P, policy.logits(P))  # fmt: skip
    np.testing.assert_allclose(own, exact.truth(land, P).gradient, rtol=0, atol=1e-11)
    binomial = exact.moments(replace(METHODS["binomial_reinforce"], draw=BINOMIAL), land, P)
    assert binomial.bias_norm < 1e-12
    assert (binomial.gradient[:, 1:] == 0).all()


def test_a_policy_that_ignores_its_logits_has_no_gradient() -> None:
    even = Method("even", "Even", lambda probabilities, gates, loss: gates - probabilities, draw=UNIFORM)
    assert (exact.moments(even, make("quadratic", 2, 3, seed=1), P).gradient == 0).all()


def test_what_is_not_drawn_from_its_policy_is_refused() -> None:
    other = replace(MINE, draw=replace(DIRICHLET, probabilities=lambda logits: policy.softmax(2 * logits)))
    with pytest.raises(ValueError, match=r"draws operation 0 of edge 0 with probability .*Draw\.probabilities says"):
        exact.moments(other, make("quadratic", 2, 3, seed=1), P)
    zero = np.array([[0.0, 0.5, 0.5], [0.6, 0.1, 0.3]])
    with (
        pytest.raises(ValueError, match="cannot be differentiated here: is a probability zero"),
        np.errstate(all="ignore"),
    ):
        exact.moments(MINE, make("quadratic", 2, 3, seed=1), zero)


def test_the_objective_that_is_descended_is_named() -> None:
    land = make("quadratic", 2, 3, seed=1)
    named = {name: card(METHODS[name], land, P).objective for name in ("reinforce", "gdas", "snas", "darts")}
    assert named == {
        "reinforce": "E[L(a)] over architectures",
        "gdas": "E[L(a)] over architectures",
        "snas": "E[L(z)] over relaxed gates",
        "darts": "L(p) at the mean gates",
    }
    from theory.card import table

    text = table([card(METHODS[name], land, P) for name in ("reinforce", "snas")])
    assert "snas: bias is against the gradient of E[L(a)] over architectures; its steps descend E[L(z)]" in text
    assert "reinforce: bias is against" not in text
