"""In which order does a network see its data? Each minibatch is a function of the seed and its number alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nas.data.stored import Stored
from nas.running import processes


@dataclass(frozen=True)
class Batches:
    """Minibatches of a data set that stays where it is, as a function of the seed and the position alone.

    inputs (N, …), a tensor on one device or `nas.Stored` on the disk, and targets (N,), of which each epoch takes all
    once in a new order, whole minibatches only; transform (inputs, generator) -> inputs, such as augmentation. In order
    and untransformed with `shuffle` off.

    >>> batches = Batches(torch.arange(6.0), torch.arange(6), size=2, shuffle=False)
    >>> batches.steps, batches.at(4)  # the second minibatch of the second epoch
    (3, (tensor([2., 3.]), tensor([2, 3])))
    """

    inputs: Any  # a Tensor or Stored
    targets: Tensor
    size: int
    seed: int = 0
    transform: Callable[[Tensor, torch.Generator], Tensor] | None = None
    shuffle: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, Tensor | Stored):
            raise ValueError(
                f"inputs are one tensor or nas.Stored, not a {type(self.inputs).__name__}: put several into one, "
                "and take it apart in the network"
            )
        if not 1 <= self.size <= len(self.targets):
            raise ValueError(f"a minibatch of {self.size} does not fit {len(self.targets)} examples")
        if isinstance(self.inputs, Stored) and len(self.inputs) != len(self.targets):
            raise ValueError(f"{len(self.inputs)} stored examples have {len(self.targets)} targets; give one each")

    @property
    def steps(self) -> int:
        """Minibatches an epoch."""
        return len(self.targets) // self.size

    def at(self, position: int) -> tuple[Tensor, Tensor]:
        """Minibatch number `position`, counted from 0 over all epochs: this process's share of it."""
        epoch, place = divmod(position, self.steps)
        chosen = self._order(epoch)[place * self.size : (place + 1) * self.size]
        inputs: Tensor = self.inputs.at(chosen) if isinstance(self.inputs, Stored) else self.inputs[chosen]
        if self.transform is not None:
            inputs = self.transform(inputs, self._generator(2 * position + 1))
        share = slice(processes.rank(), None, processes.count())
        return inputs[share], self.targets[chosen][share]

    def noise(self, position: int) -> int:
        """A seed for what the network itself draws at random on minibatch `position`, such as dropout masks."""
        return self._mixed(-1 - position)

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return self._in_order
        if self._orders.get("epoch") != epoch:
            order = torch.randperm(len(self.targets), generator=self._generator(2 * epoch), device=self.inputs.device)
            self._orders.update(epoch=epoch, order=order)
        return self._orders["order"]  # type: ignore[no-any-return]

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator(device=self.inputs.device).manual_seed(self._mixed(stream))

    def _mixed(self, stream: int) -> int:
        # Odd multipliers: PyTorch's generator for the CPU takes 32 bits, and there near seeds still lie far apart.
        return (self.seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 1) % (1 << 63)

    @cached_property
    def _orders(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _in_order(self) -> Tensor:
        return torch.arange(len(self.targets), device=self.inputs.device)
