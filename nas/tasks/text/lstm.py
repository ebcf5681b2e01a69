"""What is a searched recurrent cell compared with? One layer of `torch.nn.LSTM`."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.tasks.text.language_model import Core, State, Weights

LSTM = "lstm"


@dataclass(frozen=True)
class LSTMModel:
    """One layer of `torch.nn.LSTM`."""

    units: int
    name: str = LSTM
    unused: int = 0

    @property
    def core(self) -> Core:
        return LSTMCore(self.units)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Named and shaped as torch.nn.LSTM's."""
        units = self.units
        return {
            "weight_ih_l0": (4 * units, units),
            "weight_hh_l0": (4 * units, units),
            "bias_ih_l0": (4 * units,),
            "bias_hh_l0": (4 * units,),
        }


@dataclass(frozen=True)
class LSTMCore:
    """See `language.Core`. Its weights stay in 32 bits whatever the precision; that is the output layer's alone."""

    units: int

    def start(self, batch: int, like: Tensor) -> State:
        return (like.new_zeros(1, batch, self.units), like.new_zeros(1, batch, self.units))

    def forward(self, weights: Weights, x: Tensor, state: State, record: bool) -> tuple[Tensor, State, Any]:
        own = [weights[name] for name in LSTMModel(self.units).shapes()]
        if not record:
            with torch.no_grad():
                y, h, c = torch.lstm(x, state, own, True, 1, 0.0, False, False, False)
            return y, (h, c), None
        leaves = [x.detach().requires_grad_(), *(weight.detach().requires_grad_() for weight in own)]
        with torch.enable_grad():
            y, h, c = torch.lstm(leaves[0], state, leaves[1:], True, 1, 0.0, True, False, False)
        return y.detach(), (h.detach(), c.detach()), (leaves, y)

    def backward(self, weights: Weights, tape: Any, grad: Tensor, with_weights: bool) -> tuple[Tensor, Weights, Any]:
        leaves, y = tape
        x, *own = torch.autograd.grad(y, leaves, grad)
        return x, dict(zip(LSTMModel(self.units).shapes(), own, strict=True)), None


def lstm_units(parameters: int, vocabulary: int) -> int:
    """The units at which an LSTM language model comes nearest to so many parameters: (2 V + 8) n + V + 8 n^2."""
    root = (-(2 * vocabulary + 8) + math.sqrt((2 * vocabulary + 8) ** 2 + 32 * (parameters - vocabulary))) / 16
    return max(1, round(root))
