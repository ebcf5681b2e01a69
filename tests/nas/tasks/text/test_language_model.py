"""Perplexity against known answers: a unigram model's closed form, and reading word by word."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.tasks.text import language_model as language
from nas.tasks.text.language_model import State, Weights, Window

VOCABULARY, UNITS = 7, 4


class Leaky:
    """A small recurrent core: h = leak h + x."""

    def __init__(self, leak: float) -> None:
        self.leak = leak

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(batch, UNITS),)

    def forward(self, weights: Weights, x: Tensor, state: State, record: bool) -> tuple[Tensor, State, Any]:
        hidden, h = [], state[0]
        for word in x:
            h = self.leak * h + word
            hidden.append(h)
        return torch.stack(hidden), (h,), None

    def backward(self, weights: Weights, tape: Any, grad: Tensor, with_weights: bool) -> tuple[Tensor, Weights, Any]:
        raise NotImplementedError


def some_text(words: int) -> Tensor:
    return torch.multinomial(
        torch.arange(1.0, VOCABULARY + 1), words, replacement=True, generator=torch.Generator().manual_seed(0)
    )


def some_weights() -> Weights:
    shapes = language.shapes(VOCABULARY, UNITS)
    return {name: w * 10 for name, w in language.initial(shapes, 0, torch.float64, "cpu").items()}


@pytest.mark.parametrize("length", [2, 255, 1000, 70_001])
def test_unigram_closed_form(length: int) -> None:
    """A model that knows only word frequencies, on its own text: perplexity is exp(entropy of the counts), exactly."""
    words = some_text(length)
    counts = torch.bincount(words, minlength=VOCABULARY).double()
    share = counts / length
    weights = {name: torch.zeros_like(w) for name, w in some_weights().items()}
    weights["bias"] = share.clamp_min(1e-300).log()
    closed = math.exp(-sum(float(p) * math.log(p) for p in share if p > 0))
    found = language.whole_stream(Leaky(0.5), weights, words, weights["output"])
    assert found == pytest.approx(closed, rel=1e-12)
    weights["bias"] = weights["bias"].roll(1)  # control: other frequencies are worse
    assert not language.whole_stream(Leaky(0.5), weights, words, weights["output"]) <= closed * 1.0001


@pytest.mark.parametrize("leak", [0.0, 0.9, 0.999, 1.0])
def test_pieces_side_by_side_equal_one_reading_word_by_word(leak: float) -> None:
    """Also where the state never forgets (leak 1): then there are as many readings as pieces."""
    words, weights = some_text(1111), some_weights()
    weights["embedding"] -= weights["embedding"][words].mean(0)
    core, state, total = Leaky(leak), Leaky(leak).start(1, weights["output"]), 0.0
    for before, word in zip([torch.tensor(0), *words[:-1]], words, strict=True):
        y, state, _ = core.forward(weights, weights["embedding"][before].view(1, 1, -1), state, False)
        scores = weights["output"] @ y[0, 0] + weights["bias"]
        total += float(torch.logsumexp(scores, 0) - scores[word])
    assert language.whole_stream(core, weights, words, weights["output"]) == pytest.approx(
        math.exp(total / len(words)), rel=1e-6
    )


def test_a_model_that_broke_says_nan() -> None:
    weights = {name: w * math.nan for name, w in some_weights().items()}
    assert math.isnan(language.whole_stream(Leaky(0.5), weights, some_text(2000), weights["output"]))


def test_the_output_layer_in_chunks_equals_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "CHUNK", VOCABULARY * 3)
    weights, words = some_weights(), some_text(10)
    x = torch.randn(10, UNITS, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    leaves = {name: weights[name].clone().requires_grad_() for name in ("output", "bias")}
    loss = torch.nn.functional.cross_entropy(x @ leaves["output"].T + leaves["bias"], words, reduction="sum") / 2
    of_x, of_weight, of_bias = torch.autograd.grad(loss, [x, leaves["output"], leaves["bias"]])
    found = language._output_layer(x.detach(), weights, words, 2, True)
    for mine, theirs in (
        (found.loss, loss.detach()),
        (found.x, of_x),
        (found.weight, of_weight),
        (found.bias, of_bias),
    ):
        torch.testing.assert_close(mine, theirs)
    rows = language.log_likelihoods(x.detach(), weights, words)
    torch.testing.assert_close(-rows.sum() / 2, loss.detach())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_loss_alone_is_the_loss_beside_gradients(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: estimators subtract the one from the other. In 16 bits a wide softmax would not do (the control)."""
    monkeypatch.setattr(language, "CHUNK", VOCABULARY * 30)
    words, weights = some_text(100), {name: weight.float() for name, weight in some_weights().items()}
    given = {**weights, "output": weights["output"].to(dtype)}
    x = torch.randn(100, UNITS, generator=torch.Generator().manual_seed(0))
    alone = language._output_loss(x, given, words, 2)
    assert torch.equal(alone, language._output_layer(x, given, words, 2, False).loss)
    wide = {**given, "output": given["output"].float()}
    in_32_bits = -language.log_likelihoods(x.to(dtype).float(), wide, words).sum() / 2
    assert abs(float(alone - in_32_bits)) < (1e-3 if dtype == torch.float32 else 0.5)
    assert dtype == torch.float32 or abs(float(alone - in_32_bits)) > 1e-3


def test_sgd_clips_the_norm_over_all_weights() -> None:
    """Gradients (3, 4): norm 5, clipped to 1: (0.6, 0.8); times rate 2."""
    weights = {"a": torch.zeros(1), "b": torch.zeros(1)}
    language.sgd(weights, {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}, 2.0, 1.0)
    assert weights["a"].item() == pytest.approx(-1.2)
    assert weights["b"].item() == pytest.approx(-1.6)
    language.sgd(weights, {"a": torch.tensor([0.3]), "b": torch.tensor([0.4])}, 1.0, 1.0)  # short enough: as it is
    assert weights["a"].item() == pytest.approx(-1.5)


def test_window_without_masks_has_no_dropout() -> None:
    weights, words = some_weights(), some_text(12).view(6, 2)
    core = Leaky(0.3)
    state = core.start(2, weights["output"])
    plain = language.loss_of(core, weights, Window(words, words), state).loss
    ones = torch.ones(6, 2, UNITS, dtype=torch.float64)
    assert torch.equal(plain, language.loss_of(core, weights, Window(words, words, (ones, ones)), state).loss)
