"""The recurrent parent network: its loss and gradients are right, its windows are frozen, its state resumes exactly."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas import objective
from nas.data.places import DataError
from nas.data.ptb import Corpus
from nas.policy import gates_of
from nas.tasks.text import language_model as language
from nas.tasks.text.language_model import Window
from nas.tasks.text.network import Settings, TextNetwork

SETTINGS = Settings(units=6, batch=4, window=5, rate=1.0)
VOCABULARY = 11


def text(words: int, seed: int) -> Tensor:
    return torch.randint(VOCABULARY, (words,), generator=torch.Generator().manual_seed(seed))


CORPUS = Corpus("letters", tuple("abcdefghijk"), text(300, 1), text(40, 2), text(50, 3))


def network(settings: Settings = SETTINGS, seed: int = 0, dtype: torch.dtype = torch.float32) -> TextNetwork:
    return TextNetwork(settings, CORPUS, "cpu", seed, dtype)


def one_hot(*choices: int) -> Tensor:
    return gates_of(torch.tensor(choices), 5, torch.zeros(6, 5))


GATES = one_hot(0, 1, 2, 3, 4, 1)
OTHER = one_hot(1, 1, 3, 0, 2, 2)


def finite_difference(network: TextNetwork, name: str, index: tuple[int, ...], window: Window, state: Any) -> float:
    step, losses = 1e-6, []
    for sign in (1, -1):
        network.weights[name][index] += sign * step
        losses.append(float(network.loss(GATES.double(), window, state).loss))
        network.weights[name][index] -= sign * step
    return (losses[0] - losses[1]) / (2 * step)


def test_weight_gradients_agree_with_finite_differences() -> None:
    """Through embedding, dropout, cell and output layer, for entries of every weight, in float64."""
    net = network(dtype=torch.float64)
    stream = net.weight_stream
    window = stream.next(6, 0.5, net.weights["output"])
    passed = net.gradients(GATES.double(), GATES != 0, window, stream.state, with_weights=True)
    assert passed.gradients.keys() == net.weights.keys()
    word = int(window.words[0, 0])
    for name, gradient in passed.gradients.items():
        largest = gradient.abs().flatten().argmax()
        for flat in (int(largest), 3):
            index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), gradient.shape))
            index = (word, *index[1:]) if name == "embedding" and flat == 3 else index
            expected = finite_difference(net, name, index, window, stream.state)
            assert float(gradient[index]) == pytest.approx(expected, rel=1e-5, abs=1e-8), (name, index)


def test_gate_gradients_agree_with_finite_differences() -> None:
    net = network(dtype=torch.float64)
    asked = net.objective()
    gates = GATES.double() * 0.7
    found = asked.gradients(gates, torch.ones_like(gates)).gate_gradient
    for edge in range(6):
        for k in range(5):
            moved = torch.zeros_like(gates)
            moved[edge, k] = 1e-6
            slope = (asked.loss(gates + moved) - asked.loss(gates - moved)) / 2e-6
            assert float(found[edge, k]) == pytest.approx(float(slope), rel=1e-5, abs=1e-7)


def test_loss_is_the_sum_over_steps_of_batch_means() -> None:
    """With all weights zero every word has probability 1 / V: the loss is T ln V."""
    net = network()
    net.weights = {name: torch.zeros_like(w) for name, w in net.weights.items()}
    assert float(net.objective().loss(GATES)) == pytest.approx(5 * math.log(VOCABULARY), rel=1e-6)


def test_a_window_is_frozen_and_many_samples_are_one_after_another() -> None:
    net = network()
    asked = net.objective()
    first, other = asked.loss(GATES), asked.loss(OTHER)
    assert torch.equal(asked.loss(GATES), first)
    assert torch.equal(asked.loss(torch.stack((GATES, OTHER))), torch.stack((first, other)))
    assert first != other
    both = asked.gradients(torch.stack((GATES, OTHER)), torch.stack((GATES, OTHER)))
    assert both.gate_gradient.shape == (2, 6, 5)
    assert both.output_gradient.shape == (2, 6)
    torch.testing.assert_close(both.loss, torch.stack((first, other)))
    assert torch.equal(net.architecture_stream.state[0], net.loss(GATES, asked.window, asked.state).state[0])
    assert not torch.equal(net.objective().window.words, asked.window.words)


def test_a_zeroed_edge_is_the_zero_operation() -> None:
    net = network(dtype=torch.float64)
    asked = net.objective()
    zeroed = objective.zeroed_losses(asked, OTHER.double())
    by_operation = objective.alternative_losses(asked, OTHER.double())[:, 4]
    torch.testing.assert_close(zeroed, by_operation)
    assert len(set(zeroed.tolist())) == 6


def test_architecture_steps_leave_the_weights_and_the_other_stream_alone() -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state().items()}
    asked = net.objective()
    asked.gradients(GATES, GATES)
    after = net.state()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"architecture_stream.{part}" for part in ("position", "generator", "hidden")}


def test_the_two_streams_read_different_halves_by_default_and_the_same_text_as_published() -> None:
    net = network()
    assert torch.equal(net.weight_stream.words, CORPUS.train[:150])
    assert torch.equal(net.architecture_stream.words, CORPUS.train[150:])
    assert net.steps_per_epoch == 150 // (4 * 5)
    same = network(replace(SETTINGS, architecture_text="training"))
    assert torch.equal(same.weight_stream.words, CORPUS.train)
    assert torch.equal(same.architecture_stream.words.sort().values, CORPUS.train.sort().values)
    assert same.steps_per_epoch == 300 // (4 * 5) // 2


def test_windows_follow_each_other_in_the_text() -> None:
    stream = network().weight_stream
    first, second = stream.next(6, 0.5, torch.zeros(())), stream.next(6, 0.5, torch.zeros(()))
    assert torch.equal(first.words[:, 1], CORPUS.train[37:42])  # the second of four places in 150 words
    assert torch.equal(first.following[:, 1], CORPUS.train[38:43])
    assert torch.equal(second.words[:, 1], CORPUS.train[42:47])
    assert first.masks is not None
    assert second.masks is not None
    assert not torch.equal(first.masks[0], second.masks[0])
    assert not torch.equal(first.masks[0], first.masks[1])


def test_dropout_keeps_the_stated_share() -> None:
    """n = 10^6, p = 1/2: the share kept is within 5 standard deviations of 5e-4."""
    mask = language.drop_masks((10**6,), 0.5, torch.Generator().manual_seed(0), torch.zeros(()))
    assert set(mask.tolist()) == {0.0, 2.0}
    assert abs(float((mask > 0).float().mean()) - 0.5) < 5 * 0.5 / 1000


def train(net: TextNetwork, steps: int, first: int = 0) -> list[float]:
    losses = []
    for step in range(first, first + steps):
        losses.append(float(net.weight_step(GATES, step / 20)))
        losses.append(float(net.objective().gradients(OTHER, OTHER).loss))
    return losses


def test_resumed_anywhere_it_goes_on_bit_identical() -> None:
    whole = network()
    losses = train(whole, 20)
    for stop in (1, 7, 13):
        first = network()
        start = train(first, stop)
        saved = {name: tensor.clone() for name, tensor in first.state().items()}
        second = network(seed=5)
        second.load(saved)
        assert start + train(second, 20 - stop, stop) == losses
        for name, tensor in whole.state().items():
            assert torch.equal(tensor, second.state()[name]), name


def test_control_without_the_hidden_state_it_does_not() -> None:
    whole, first = network(), network()
    losses, start = train(whole, 20), train(first, 7)
    saved = first.state()
    second = network()
    second.load({name: tensor * 0 if name.endswith("hidden") else tensor for name, tensor in saved.items()})
    assert start + train(second, 13, 7) != losses


def test_a_foreign_checkpoint_is_refused() -> None:
    state = network().state()
    with pytest.raises(ValueError, match="another text"):
        network().load({**state, "text": state["text"] + 1})
    with pytest.raises(ValueError, match=r"weights\.hidden is \(3, 3\), not \(6, 12\)"):
        network().load({**state, "weights.hidden": torch.zeros(3, 3)})
    with pytest.raises(ValueError, match=r"another network: it has 'extra'"):
        network().load({**state, "extra": torch.zeros(1)})


def test_a_text_too_short_is_refused() -> None:
    with pytest.raises(DataError, match=r"letters is too short: 150 words for 100 places"):
        network(replace(SETTINGS, batch=100))


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"units": 0}, {"dropout": 1.0}, {"held_out": 0.0}, {"rate": -1.0}):
        with pytest.raises(ValueError, match=r"must be|need 0"):
            Settings(**wrong)


def test_bfloat16_products_stay_near_float32() -> None:
    """Matrix products alone are rounded: 8 bits of mantissa, so losses agree to about 2^-8 relative."""
    exact, rounded = network(), network(replace(SETTINGS, precision="bfloat16"))
    one, two = exact.objective().gradients(GATES, GATES), rounded.objective().gradients(GATES, GATES)
    torch.testing.assert_close(two.loss, one.loss, rtol=2**-7, atol=0)
    torch.testing.assert_close(two.gate_gradient, one.gate_gradient, rtol=0.1, atol=0.02)
    assert not torch.equal(one.loss, two.loss)


# ------------------------------------------------------------------ the choice on the device


class Asked(Exception):
    """The host was asked for a number."""


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise Asked

    for name in ("tolist", "item", "__bool__", "__float__", "__int__", "__index__", "numpy", "nonzero"):
        monkeypatch.setattr(Tensor, name, refuse)


def two_networks() -> list[TextNetwork]:
    return [network(replace(SETTINGS, static=static), dtype=torch.float64) for static in (False, True)]


def test_static_steps_are_the_sparse_ones() -> None:
    sparse, static = two_networks()
    for progress, choice in ((0.0, GATES), (0.3, OTHER), (0.7, GATES)):
        gates = choice.double()
        losses = [net.weight_step(gates, progress) for net in (sparse, static)]
        assert losses[1] == pytest.approx(float(losses[0]), rel=1e-12)
        one, two = (net.objective().gradients(gates, gates) for net in (sparse, static))
        torch.testing.assert_close(two.gate_gradient, one.gate_gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(two.output_gradient, one.output_gradient, rtol=1e-9, atol=1e-12)
    for name, weight in sparse.weights.items():
        torch.testing.assert_close(static.weights[name], weight, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(static.weight_stream.state[0], sparse.weight_stream.state[0], rtol=1e-9, atol=1e-12)


def test_static_gates_that_mix_and_two_paths_are_the_dense_ones() -> None:
    sparse, static = two_networks()
    mixed = torch.softmax(torch.randn(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64), -1)
    two_paths = (GATES + OTHER > 0).double()
    for gates, runs in ((mixed, torch.ones_like(mixed)), (GATES.double(), two_paths)):
        one, two = (net.objective().gradients(gates, runs) for net in (sparse, static))
        torch.testing.assert_close(two.gate_gradient, one.gate_gradient, rtol=1e-9, atol=1e-12)


def test_a_static_step_asks_the_host_nothing_and_a_sparse_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, static = two_networks()
    gates = GATES.double()
    forbid(monkeypatch)
    static.weight_step(gates, 0.0)
    static.objective().gradients(gates, gates)
    static.objective().loss(gates)
    with pytest.raises(Asked):
        sparse.weight_step(gates, 0.0)
