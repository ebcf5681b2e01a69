"""Does the verdict say no more than it knows? Faulty estimators of every kind, and what must be said of each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas import estimators
from nas.methods import DISARM, EXACT, METHODS, Method, method_of
from theory import card, exact, verdict
from theory.landscapes import Landscape, make

LAND, P = make("quadratic", 2, 3, seed=4), np.full((2, 3), 1 / 3)


def judged(estimator: Callable[..., Any] | Method, land: Landscape = LAND, p: Any = P) -> verdict.Verdict:
    method = estimator if isinstance(estimator, Method) else method_of(estimator, estimator.__name__)
    return verdict.judge(method, land, exact.moments(method, land, p))


def plain(probabilities: Any, gates: Any, loss: Any) -> Any:
    return loss[..., None, None] * (gates - probabilities)


# ------------------------------------------------------------------ what is no function of its sample


def averages_over_the_batch(probabilities: Any, gates: Any, loss: Any) -> Any:
    return (loss - loss.mean())[..., None, None] * (gates - probabilities)


def centres_over_replicates(probabilities: Any, gates: Any, loss: Any) -> Any:
    """As before, but it survives a loss without axes."""
    return plain(probabilities, gates, loss) - np.mean(loss) * (gates - probabilities)


class Counting:
    """A fresh one behaves; each call adds a little."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, probabilities: Any, gates: Any, loss: Any) -> Any:
        self.calls += 1
        return (loss - self.calls)[..., None, None] * (gates - probabilities)


def edits_its_inputs(probabilities: Any, gates: Any, loss: Any) -> Any:
    gates -= probabilities
    return loss[..., None, None] * gates


def draws_noise(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss) + NOISE.normal()


def first_of_the_batch(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss - (loss if np.ndim(loss) == 0 else loss[..., :1]))


def needs_a_batch(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss) * (len(loss) > 0)


NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("estimator", "fault"),
    [
        (averages_over_the_batch, "a batch is not its rows one by one"),
        (centres_over_replicates, "a batch is not its rows one by one"),
        (Counting(), "two calls with the same inputs differ"),
        (draws_noise, "two calls with the same inputs differ"),
        (edits_its_inputs, "it edits its inputs"),
        (first_of_the_batch, "a batch in another order has other gradients"),
        (needs_a_batch, "it fails on one sample alone: TypeError"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_is_no_function_of_its_sample(estimator: Any, fault: str) -> None:
    method = method_of(estimator, "faulty")
    assert any(text.startswith(fault) for text in verdict.impurities(method))
    # the moments of such a thing mean nothing: no theorem is quoted for it
    if estimator is not edits_its_inputs:
        found = card.card(method, LAND, P)
        assert (found.known, found.unbiased) == ("not a function", False)
        assert found.verdict.startswith("not a function of its sample: ")
        assert not found.t1_applies
        assert not found.t8_applies
        assert found.t10_descends is None
        assert found.sampled_step is None
        assert found.samples_95 is None


@pytest.mark.parametrize("method", [*(m for m in METHODS.values() if m.estimator), EXACT], ids=lambda m: m.name)
def test_control_every_shipped_method_is_a_function(method: Method) -> None:
    assert verdict.impurities(method) == []


def test_a_method_for_two_operations_is_probed_with_two() -> None:
    assert verdict.impurities(DISARM) == []
    probes = verdict.probe(DISARM)
    assert {one.size for one in probes.tried} == {(1, 2), (2, 2), (3, 2)}
    assert probes.zero == "exactly zero"
    assert not probes.refuted("table")
    assert not probes.refuted("quadratic")
    doubled = replace(DISARM, estimator=disarm_without_a_half)
    assert verdict.probe(doubled).refuted("table")  # control


def disarm_without_a_half(largest: Any, gates: Any, loss: Any) -> Any:
    return 2 * estimators.disarm(largest, gates, loss)


def misses_an_axis(probabilities: Any, gates: Any, loss: Any) -> Any:
    return (plain(probabilities, gates, loss)).sum(axis=0) if gates.ndim == 3 else plain(probabilities, gates, loss)


def one_number_an_edge(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss)[..., :1]


def transposed(probabilities: Any, gates: Any, loss: Any) -> Any:
    return np.swapaxes(plain(probabilities, gates, loss), -1, -2)


@pytest.mark.parametrize("estimator", [misses_an_axis, one_number_an_edge, transposed])
def test_shapes_are_not_broadcast(estimator: Any) -> None:
    assert "returned the shape" in verdict.impurities(method_of(estimator, "faulty"))[0]
    with pytest.raises(ValueError, match="returned the shape"):
        card.card(method_of(estimator, "faulty"), LAND, P)


def test_on_a_square_of_edges_and_operations_a_transposed_gradient_is_found_out_as_well() -> None:
    found = judged(transposed, make("quadratic", 2, 2, seed=4), np.full((2, 2), 1 / 2))
    assert (found.known, found.unbiased) == ("not a function", False)
    assert "returned the shape (6, 3, 2)" in found.text


# ------------------------------------------------------------------ proved, not refuted, refuted


PROVED = ("reinforce", "exact_advantage", "debiased_advantage", "counterfactual", "marginalised", "muprop")


@pytest.mark.parametrize("name", PROVED)
def test_proved_on_symbols(name: str) -> None:
    found = judged(METHODS[name])
    assert (found.known, found.unbiased) == ("proved", True)
    assert "proved for all policies, losses, slopes and baselines at (E, K) = (1, 2), (2, 2), (1, 3)" in found.text
    assert "not refuted: exactly zero on 26 probes, E to 3, K to 5" in found.text
    assert "measured here: below rounding" in found.text


def affine_only(probabilities: Any, gates: Any, loss: Any, gate_gradient: Any, zeroed_loss: Any) -> Any:
    """Unbiased whatever the slopes: what it adds and takes away cancels on average, and only there."""
    return estimators.exact_advantage(probabilities, gates, loss, zeroed_loss)


def test_a_proof_where_the_loss_is_affine_is_no_proof_elsewhere() -> None:
    credit = METHODS["advantage"]
    assert verdict.proof(credit).text == (
        "proved for all policies, losses, baselines, the loss affine in every gate at (E, K) = (1, 2), (2, 2), (1, 3)"
    )
    assert "slopes and baselines" in str(verdict.proof(METHODS["exact_advantage"]).text)
    assert judged(credit).known == "biased"


@pytest.mark.parametrize(("name", "why"), [("reinforce_leave_one_out", "its draw is not one architecture"),
                                           ("binomial_reinforce", "its draw is not one architecture")])  # fmt: skip
def test_not_refuted_is_not_proved(name: str, why: str) -> None:
    found = judged(METHODS[name])
    assert found.known == "not refuted"
    assert f"not proved: {why}" in found.text


def test_what_cannot_be_probed_is_not_called_unbiased() -> None:
    found = judged(METHODS["ars"])
    assert (found.known, found.unbiased) == ("not probed", None)
    assert found.text.startswith("not probed: its draw has continuous noise")
    assert judged(METHODS["snas"]).known == "biased"


@pytest.mark.parametrize(("errors", "known"), [(5.9, "not probed"), (6.1, "biased")])
def test_a_bias_within_six_standard_errors_is_none(errors: float, known: str) -> None:
    """Of the six entries' largest error e the norm may be 6 e sqrt 6."""
    method, error = METHODS["ars"], 1e-3
    found = exact.moments(method, LAND, P)
    away = np.zeros((2, 3))
    away[0] = errors * error * 6**0.5 * np.array([0.6, 0.0, 0.8])
    found = replace(found, mean=found.gradient + away, error=error)
    assert verdict.judge(method, LAND, found).known == known


def test_a_proof_that_is_too_long_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "LARGEST_EXPRESSION", 3)
    trouble = verdict.proof(METHODS["reinforce"]).trouble
    assert trouble.startswith("ValueError: its mean on symbols has")
    assert trouble.endswith("operations: too many to reduce")


def test_what_counts_as_rounding() -> None:
    assert verdict.rounding(3.0) == pytest.approx(4e-9)


def wrong_from_five(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss) * (1 if gates.shape[-1] < 5 else 2)


def clips_probabilities(probabilities: Any, gates: Any, loss: Any) -> Any:
    """Right wherever no probability is below 1/100,000."""
    least = (0 * probabilities + 1) / 100_000
    safe = np.where(probabilities < least, least, probabilities)
    return plain(safe, gates, loss)


def keeps_half(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss) / 2


def turned(probabilities: Any, gates: Any, loss: Any) -> Any:
    return -1 * plain(probabilities, gates, loss)


def forgets_the_score(probabilities: Any, gates: Any, loss: Any) -> Any:
    return loss[..., None, None] * gates


def divides_by_chance(probabilities: Any, gates: Any, loss: Any) -> Any:
    return loss[..., None, None] * (gates / probabilities - 1)


def own_mean_as_baseline(probabilities: Any, gates: Any, loss: Any) -> Any:
    """Each edge subtracts a number that depends on its own operation."""
    return (loss[..., None] - gates[..., 0])[..., None] * (gates - probabilities)


def swaps_edges(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss)[..., ::-1, :]


def first_gate_for_all(probabilities: Any, gates: Any, loss: Any) -> Any:
    """(..., E, 1) is broadcast against (..., E, K)."""
    return plain(probabilities, gates[..., :1], loss)


@pytest.mark.parametrize(
    ("estimator", "where"),
    [
        (wrong_from_five, "3 of 13 probes, the first at E, K = 1, 5"),
        (clips_probabilities, "4 of 13 probes, the first at E, K = 2, 2 with probabilities from"),
        (keeps_half, "13 of 13 probes"),
        (turned, "13 of 13 probes"),
        (forgets_the_score, "13 of 13 probes"),
        (divides_by_chance, "13 of 13 probes"),
        (own_mean_as_baseline, "13 of 13 probes"),
        (first_gate_for_all, "13 of 13 probes"),
        (swaps_edges, "the first at E, K = 2, 2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bias_is_found_wherever_it_is(estimator: Any, where: str) -> None:
    found = judged(estimator)
    assert (found.known, found.unbiased) == ("biased", False)
    assert found.text.startswith("biased, also where the loss is affine in every gate")
    assert where in found.text


def test_a_bias_that_does_not_show_here_is_said_to_be_below_rounding() -> None:
    found = judged(wrong_from_five)  # three candidates at hand
    assert "measured here: below rounding" in found.text
    shown = card.card(method_of(wrong_from_five, "wrong"), LAND, P)
    assert shown.t1_applies  # at this policy the mean is the gradient
    assert shown.unbiased is False


# ------------------------------------------------------------------ probes that crash


def not_rational(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, loss) * np.exp(0 * np.asarray(loss)[..., None, None])


def not_rational_and_biased(probabilities: Any, gates: Any, loss: Any) -> Any:
    return plain(probabilities, gates, np.exp(-np.asarray(loss) / 10))


def crashes_at_five(probabilities: Any, gates: Any, loss: Any) -> Any:
    if gates.shape[-1] == 5:
        raise KeyError("no table for five candidates")
    return plain(probabilities, gates, loss)


def test_what_is_not_rational_is_probed_in_floats_and_said_so() -> None:
    found = judged(not_rational)
    assert found.known == "not refuted"
    assert "zero to rounding (in floats: ValueError: method not_rational is not rational here" in found.text
    assert "not proved: TypeError" in found.text
    assert judged(not_rational_and_biased).known == "biased"


def test_a_crash_is_said_and_nothing_is_called_unbiased() -> None:
    found = judged(crashes_at_five)
    assert (found.known, found.unbiased) == ("not probed", None)
    assert "it fails at E, K = 1, 5: KeyError: 'no table for five candidates'" in found.text


# ------------------------------------------------------------------ a landscape's own slopes


class WrongSlope(Landscape):
    """A quadratic landscape whose gate gradient is half of what it should be."""

    @property
    def shape(self) -> tuple[int, int]:
        return LAND.shape

    def loss(self, gates: Any) -> Any:
        return LAND.loss(gates)

    def slopes(self, gates: Any) -> Any:
        return LAND.slopes(gates) / 2


@pytest.mark.parametrize("name", ["quadratic", "saturating", "normalised", "heavy_tailed", "xor"])
def test_shipped_landscapes_have_the_slopes_of_their_losses(name: str) -> None:
    assert verdict.slope_error(make(name, 3, 3, seed=1)) < 1e-6


def test_five_explains_nothing_where_the_gate_gradient_is_not_the_slope() -> None:
    assert verdict.slope_error(WrongSlope()) > 0.01
    found = judged(METHODS["advantage"], WrongSlope())
    assert "T5 explains nothing here" in found.text
    assert "(T5: p_k" in judged(METHODS["advantage"]).text
