"""The loop itself: which step comes when, on what, and that it goes on from anywhere as if it had never stopped."""

import copy
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import nas
from nas.methods import METHODS, method_of
from nas.progress import Progress
from nas.running.runs import Diverged, open_run, records
from nas.running.searching import search_in
from nas.samples import Sample
from nas.schedule import cosine
from nas.search import _chosen, beginning, penalty_of, steps, weight_gates
from nas.settings import SearchSettings, build_method
from tests.nas.tiny import Tiny

SETTINGS = SearchSettings(rate=0.1, decay=0.0, epochs=3, warmup_epochs=1)


class Watched(Tiny):
    """Writes down what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, float | None]] = []

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        assert gates.shape == (2, 3)
        assert torch.equal(gates.sum(dim=-1), torch.ones(2))
        self.asked.append(("weights", progress))
        return super().weight_step(gates, progress)

    def objective(self) -> "Watched":
        self.asked.append(("architecture", None))
        return super().objective()


def same(a: Progress, b: Progress) -> bool:
    return torch.equal(a.state.logits, b.state.logits) and torch.equal(a.generator.get_state(), b.generator.get_state())


@pytest.mark.parametrize("method", ["advantage", "parsec"])
def test_a_weight_step_then_after_the_warm_up_an_architecture_step(method: str) -> None:
    network = Watched()
    taken = list(steps(network, replace(SETTINGS, method=method), 0))
    expected: list[tuple[str, float | None]] = [("weights", n / 30) for n in range(10)]
    for n in range(10, 30):
        expected += [("weights", n / 30), ("architecture", None)]
    assert network.asked == expected
    assert [now.step for now in taken] == list(range(1, 31))
    assert [now.state.step for now in taken] == [*[0] * 10, *range(1, 21)]
    assert [now.architecture_loss is None for now in taken] == [True] * 10 + [False] * 20
    assert torch.equal(taken[9].state.logits, torch.zeros(2, 3))
    assert not torch.equal(taken[10].state.logits, torch.zeros(2, 3))


def test_nothing_happens_before_a_step_is_asked_for() -> None:
    network = Watched()
    taken = steps(network, SETTINGS, 0)
    assert network.asked == []
    next(taken)
    assert network.asked == [("weights", 0.0)]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_the_rate_falls_over_the_architecture_steps(schedule: str) -> None:
    """A gradient of ones moves every logit down by the sum of the rates: cosine(n / 20) / 10 each, or 1 / 10."""
    ones = method_of(ones_like, "ones")
    settings = replace(SETTINGS, optimiser="sgd", schedule=schedule, clip=None)
    *_, last = steps(Tiny(), settings, 0, method=ones)
    falls = [cosine(n / 20) if schedule == "cosine" else 1.0 for n in range(20)]
    torch.testing.assert_close(last.state.logits, torch.full((2, 3), -0.1 * sum(falls)))


def ones_like(probabilities: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(probabilities)


@pytest.mark.parametrize("method", ["advantage", "random", "gdas"])
@pytest.mark.parametrize("stop_at", [1, 10, 11, 29])
def test_it_goes_on_from_anywhere_as_if_it_had_never_stopped(method: str, stop_at: int) -> None:
    settings = replace(SETTINGS, method=method)
    *_, whole = steps(Tiny(), settings, 5)
    network = Tiny()
    *_, middle = itertools.islice(steps(network, settings, 5), stop_at)
    *_, joined = steps(copy.deepcopy(network), settings, start=middle)  # the seed is in the progress
    assert joined.step == whole.step == 30
    assert same(joined, whole)
    *_, other = steps(Tiny(), settings, 6)
    assert not same(other, whole)  # the control


def test_at_the_end_there_is_no_further_step() -> None:
    *_, last = steps(Tiny(), SETTINGS, 0)
    assert list(steps(Tiny(), SETTINGS, start=last)) == []


def test_the_beginning_is_even() -> None:
    begun = beginning(Tiny(), SETTINGS, 0)
    assert torch.equal(begun.state.logits, torch.zeros(2, 3))
    assert (begun.step, begun.state.step, begun.seen) == (0, 0, None)


def test_before_the_first_architecture_step_none_was_the_best() -> None:
    seen = beginning(Tiny(), replace(SETTINGS, derive="best_seen"), 0).seen
    assert seen is not None
    assert seen.loss == math.inf
    assert torch.equal(seen.gates, torch.zeros(2, 3))


@pytest.mark.parametrize(("warmup", "drawn"), [("own", 0), ("shared", 10)])
def test_a_shared_warm_up_draws_one_operation_an_edge_whatever_the_method(warmup: Any, drawn: int) -> None:
    """DARTS trains under the mean: every step of ten in a warm-up of its own, and every one after the warm-up."""
    one_hot = []

    class Asked(Tiny):
        def weight_step(self, gates: Tensor, progress: float) -> Tensor:
            one_hot.append(bool((gates == 1).any()))
            return super().weight_step(gates, progress)

    assert len(list(steps(Asked(), replace(SETTINGS, method="darts", warmup=warmup)))) == 30
    assert one_hot == [True] * drawn + [False] * (30 - drawn)


def test_a_weight_step_trains_under_the_first_of_several_samples() -> None:
    one, other = torch.eye(3)[[0, 1]], torch.eye(3)[[2, 2]]
    both, even = torch.stack((one, other)), torch.full((2, 3), 1 / 3)
    assert torch.equal(weight_gates(Sample(even, both, both)), one)
    assert torch.equal(weight_gates(Sample(even, other, other)), other)


def test_the_seed_is_zero_unless_it_is_given() -> None:
    *_, usual = steps(Tiny(), SETTINGS)
    *_, zero = steps(Tiny(), SETTINGS, 0)
    *_, one = steps(Tiny(), SETTINGS, 1)
    assert same(usual, zero)
    assert not same(usual, one)  # the control
    assert nas.search(Tiny(), epochs=1).seed == 0


# ------------------------------------------------------------------ in one call


def test_a_call_finds_what_a_run_folder_finds(tmp_path: Path) -> None:
    settings = SearchSettings(epochs=12, warmup_epochs=3, rate=0.1, record_every=7)
    with open_run(tmp_path / "run", settings) as run:
        result = search_in(run, Tiny(), settings, 4)
    called = nas.search(Tiny(), "advantage", 12, np.int64(4), rate=0.1, record_every=7)  # a quarter is warm-up
    assert result is not None
    assert {**called.result, "seconds": 0} == {**result, "seconds": 0}
    assert without_seconds(called.records) == without_seconds(records(tmp_path / "run"))
    other = nas.search(Tiny(), "advantage", 12, 5, rate=0.1, record_every=7)
    assert without_seconds(other.records) != without_seconds(called.records)  # the control


def without_seconds(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in told]


@pytest.mark.parametrize("method", ["advantage", "reinforce", "debiased_advantage", "parsec", "gdas", "random"])
def test_the_defaults_find_the_best_cell(method: str) -> None:
    found = nas.search(Tiny(), method, seed=1)
    assert found.architecture == "0-0"
    assert found.choices == [0, 0]
    assert "validation" in found.records[-1]


@pytest.mark.parametrize(("epochs", "rate"), [(40, 20 / 300), (8, 0.1)])
def test_a_call_takes_a_quarter_to_warm_up_and_a_rate_that_can_settle(epochs: int, rate: float) -> None:
    """Ten steps an epoch. 30 epochs after the warm-up: a cosine of 300 steps from 2 * 10 / 300 adds up to 10.

    6 epochs: 20 / 60 would be too fast, so 1 / 10.
    """
    _, chosen = _chosen(Tiny(), "advantage", epochs, {})
    assert (chosen.epochs, chosen.warmup_epochs, chosen.rate) == (epochs, epochs // 4, pytest.approx(rate))
    _, asked = _chosen(Tiny(), "advantage", epochs, {"rate": 0.5, "warmup_epochs": 1})
    assert (asked.warmup_epochs, asked.rate) == (1, 0.5)


def test_a_method_that_is_at_hand_is_taken_as_it_is() -> None:
    named, own = nas.search(Tiny()), nas.search(Tiny(), replace(METHODS["advantage"], name="mine"))
    assert (named.method, own.method) == ("advantage", "mine")
    assert named.probabilities == own.probabilities
    assert nas.search(Tiny(), METHODS["reinforce"]).probabilities != own.probabilities  # the control


def test_a_plain_function_is_a_method() -> None:
    def mine(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
        return (loss - baseline)[..., None, None] * (gates - probabilities)

    own = nas.search(Tiny(), mine)
    assert own.method == "mine"
    assert own.probabilities == nas.search(Tiny(), "reinforce").probabilities  # it is REINFORCE
    with pytest.raises(ValueError, match="takes 'x'"):
        nas.search(Tiny(), lambda x: x)


def test_a_zero_policy_is_the_methods_own_unless_asked_for() -> None:
    class WithZero(Tiny):
        space = replace(Tiny.space, zero="worse")
        zero_operation = 2

    plain = replace(METHODS["advantage"], zero_policy="plain")
    assert nas.search(WithZero(), plain, epochs=2).zero_policy == "plain"
    assert nas.search(WithZero(), plain, epochs=2, zero_policy="worst").zero_policy == "worst"
    assert nas.search(WithZero(), epochs=2, zero_policy="plain").zero_policy == "plain"
    assert nas.search(Tiny(), plain, epochs=2).zero_policy is None


def test_what_was_found_is_told_in_one_line() -> None:
    found = nas.search(Tiny(), epochs=8)
    assert str(found).startswith(f"{found.architecture} by advantage in 80 steps, ")
    assert str(found).endswith(f" s (loss {found.records[-1]['validation']['loss']:.4g})")
    assert "architecture='" in repr(found)
    assert "network" not in repr(found)


def test_a_call_with_what_does_not_go_is_refused() -> None:
    for asked, says in (
        ({"lr": 0.1}, "unknown setting 'lr' of a search; known: optimiser, rate,"),
        ({"optimiser": "natural"}, "optimiser 'natural' needs a rate"),
        ({"optimiser": "adm", "rate": 1.0}, "optimiser is one of adam, sgd, natural, asng, exponentiated, not 'adm'"),
        ({"schedule": "linear"}, "schedule is one of cosine, constant, not 'linear'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"warmup_epochs": 21}, "warmup_epochs, .* must be 0 to epochs = 20, not 21: set both"),
        ({"method": "advantag"}, "unknown method 'advantag'"),
    ):
        with pytest.raises(ValueError, match=says):
            nas.search(Tiny(), **asked)
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        nas.search(Tiny(), epochs=2, seed=0.5)  # type: ignore[arg-type]
    assert nas.search(Tiny(), epochs=2, optimiser="natural", rate=0.01).steps == 20  # the control


def test_what_its_end_could_not_do_is_refused_before_the_first_step() -> None:
    class Seen(Tiny):
        held_out_unseen = False

    network = Seen()
    with pytest.raises(ValueError, match="derive = ranked:4 ranks on data that no architecture step saw"):
        nas.search(network, epochs=2, derive="ranked:4")
    assert network.steps == 0
    assert nas.search(Tiny(), epochs=2, derive="ranked:4").ranking  # the control


def test_a_call_stops_at_a_loss_that_is_not_finite() -> None:
    network = Tiny()
    network.broken_at = 34
    with pytest.raises(Diverged, match="not finite at step 34;"):
        nas.search(network)


# ------------------------------------------------------------------ a price on operations


class Priced(Tiny):
    """The best operation is the only one that costs anything."""

    prices = torch.tensor([[30.0, 0.0, 0.0], [50.0, 0.0, 0.0]])

    def costs(self) -> Tensor:
        return self.prices


@pytest.mark.parametrize("method", ["advantage", "reinforce", "random", "gdas"])
def test_what_is_dear_is_not_chosen_and_without_a_penalty_it_is(method: str) -> None:
    asked: Any = {"method": method, "epochs": 30, "warmup_epochs": 5, "rate": 0.1}
    found = nas.search(Priced(), penalty=20.0, **asked)
    assert found.architecture == "1-1"  # the next best
    assert nas.search(Priced(), **asked).architecture == "0-0"  # the control
    paid = [record["penalty"] for record in found.records]
    assert paid[0] == pytest.approx(20 / 3)  # evenly drawn: a third of what the dearest pays
    assert method == "random" or paid[-1] < 2
    assert "penalty" not in nas.search(Priced(), **{**asked, "epochs": 6}).records[0]


def test_the_best_sample_is_the_best_after_payment() -> None:
    asked: Any = {"epochs": 30, "warmup_epochs": 5, "rate": 0.1, "derive": "best_seen"}
    assert nas.search(Priced(), penalty=20.0, **asked).architecture == "1-1"
    assert nas.search(Priced(), **asked).architecture == "0-0"


def test_the_dearest_architecture_pays_the_penalty() -> None:
    settings = replace(SETTINGS, penalty=7.0)
    price = penalty_of(Priced(), build_method(settings), settings)
    assert price is not None
    dear, half = torch.tensor([[1.0, 0, 0], [1, 0, 0]]), torch.tensor([[0.0, 1, 0], [1, 0, 0]])
    assert float(price.of(dear)) == pytest.approx(7)
    assert float(price.of(half)) == pytest.approx(7 * 50 / 80)
    assert penalty_of(Priced(), build_method(SETTINGS), SETTINGS) is None


@pytest.mark.parametrize(
    ("prices", "setting", "says"),
    [
        ([[1.0, 0.0, 0.0]], {}, r"of the shape \(2, 3\), not \(1, 3\)"),
        ([[-1.0, 0.0, 0.0]] * 2, {}, "finite and not negative"),
        ([[math.nan, 0.0, 0.0]] * 2, {}, "finite and not negative"),
        ([[0.0, 0.0, 0.0]] * 2, {}, "all operations of this network cost nothing"),
        ([[1.0, 0.0, 0.0]] * 2, {"method": "binomial_advantage"}, "binomial_advantage has none"),
        ([[1.0, 0.0, 0.0]] * 2, {"method": "proxyless"}, "proxyless has none"),
        ([[1.0, 0.0, 0.0]] * 2, {"derive": "ranked:4"}, "ranks by the loss alone"),
        ([[1.0, 0.0, 0.0]] * 2, {"penalty": -1.0}, "penalty must be finite and not negative, not -1.0"),
        ([[1.0, 0.0, 0.0]] * 2, {"penalty": math.inf}, "penalty must be finite"),
    ],
)
def test_a_penalty_that_cannot_be_is_refused(prices: list[list[float]], setting: dict[str, Any], says: str) -> None:
    network = Priced()
    network.prices = torch.tensor(prices)
    with pytest.raises(ValueError, match=says):
        nas.search(network, epochs=2, **{"penalty": 1.0, **setting})
    assert network.steps == 0
    if "penalty" not in setting:
        assert nas.search(network, epochs=2, **setting).steps == 20  # the control


def test_a_network_that_does_not_say_its_costs_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say what its operations cost; leave the penalty at 0, or give"):
        nas.search(Tiny(), epochs=2, penalty=1.0)


def test_stopped_and_resumed_a_search_with_a_penalty_ends_bit_identical(tmp_path: Path) -> None:
    settings = replace(SETTINGS, penalty=2.0)
    counted = itertools.count(1)
    for name, stopped in (("whole", lambda: False), ("parts", lambda: next(counted) == 17), ("parts", lambda: False)):
        with open_run(tmp_path / name, settings) as run:
            search_in(run, Priced(), settings, 3, stopped)
    told = [[{**record, "seconds": 0} for record in records(tmp_path / name)] for name in ("whole", "parts")]
    assert told[0] == told[1]
    assert told[0][-1]["penalty"] != told[0][0]["penalty"]


def test_an_estimators_nan_is_noticed_at_its_step_and_the_estimator_is_named() -> None:
    calls = 0

    def late(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
        nonlocal calls
        calls += 1
        return gates * gate_gradient * (math.nan if calls == 7 else 1.0)

    with pytest.raises(ValueError, match="estimator late returned a gradient with NaN, though the loss has none"):
        nas.search(Tiny(), method=late, epochs=3, warmup_epochs=1)
    assert calls == 7
