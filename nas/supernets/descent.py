"""How do the weights of a parent network move? By Nesterov SGD along a cosine, only those that ran.

Or by any optimiser of `torch.optim`, along the same cosine.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nas.schedule import cosine


@dataclass(frozen=True)
class Descent:
    """Nesterov SGD with a cosine rate that ends at zero. clip: the largest norm of the whole gradient, before decay.

    Raises: ValueError in one line for numbers with which nothing descends.

    >>> weight, slope, velocity = torch.ones(1), torch.ones(1), torch.zeros(1)
    >>> Descent(rate=0.1, momentum=0.5, decay=0.0).step([weight], [slope], [velocity], at=0.0)
    >>> weight  # 1 - 0.1 (1 + 0.5)
    tensor([0.8500])
    """

    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.rate < math.inf and 0 <= self.momentum < 1 and 0 <= self.decay < math.inf):
            raise ValueError(
                f"need 0 < rate, 0 <= momentum < 1, 0 <= decay, not {self.rate}, {self.momentum}, {self.decay}"
            )
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, or none, not {self.clip}")

    def step(
        self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], velocity: Sequence[Tensor], at: float
    ) -> None:
        """Move parameters in place; `at` in [0, 1] is the position in the schedule."""
        gradients = list(gradients)
        if self.clip is not None:
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            gradients = torch._foreach_mul(gradients, _clip_scale(norm, self.clip))
        gradients = torch._foreach_add(gradients, list(parameters), alpha=self.decay)
        torch._foreach_mul_(list(velocity), self.momentum)
        torch._foreach_add_(list(velocity), gradients)
        torch._foreach_add_(gradients, list(velocity), alpha=self.momentum)
        torch._foreach_add_(list(parameters), gradients, alpha=-self.rate_at(at))

    def masked_step(self, parameters: Tensor, gradients: Tensor, velocity: Tensor, ran: Tensor, rate: Tensor) -> None:
        """`step` on flat arrays, in place, where `ran` is one; nothing is read on the host."""
        if self.clip is not None:
            gradients = gradients * _clip_scale(gradients.norm(), self.clip)
        gradients = gradients + self.decay * parameters
        velocity += ran * (self.momentum * velocity + gradients - velocity)
        parameters -= rate * ran * (gradients + self.momentum * velocity)

    def rate_at(self, position: float) -> float:
        """The learning rate at a position in [0, 1] of the schedule."""
        return self.rate * cosine(position)


class TorchDescent:
    """Any optimiser of `torch.optim` as the weights', each group's rate times a cosine that ends at zero.

    factory: parameters -> optimiser, such as functools.partial(torch.optim.AdamW, lr=1e-3). Gradients are not clipped.
    Weights that did not run have no gradient, which `torch.optim` takes as: not moved, decayed or slowed.
    Raises: ValueError for an optimiser that asks the loss again within a step, as LBFGS does.
    """

    def __init__(self, factory: "Factory", parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        if not callable(factory):
            raise _no_descent(factory)
        self.optimiser = factory(list(self.parameters.values())) if self.parameters else None
        if not isinstance(self.optimiser, torch.optim.Optimizer | None) or isinstance(
            self.optimiser, torch.optim.LBFGS
        ):
            raise _no_descent(self.optimiser)
        self.rates = [float(group["lr"]) for group in self._groups()]
        told = [{name: part for name, part in group.items() if name != "params"} for group in self._groups()]
        self.about = f"{type(self.optimiser).__name__} {told}"

    def step(self, gradients: Mapping[str, Tensor], at: float) -> None:
        """Move the parameters that have a gradient; `at` in [0, 1] is the position in the schedule."""
        if self.optimiser is None:
            return
        for group, rate in zip(self._groups(), self.rates, strict=True):
            group["lr"] = rate * cosine(at)
        for name, parameter in self.parameters.items():
            parameter.grad = gradients.get(name)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers of each parameter, as "parameter:entry"; nothing of those that never ran."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            remembered = self.optimiser.state.get(parameter, {}) if self.optimiser is not None else {}
            for entry, value in remembered.items():
                if value is not None and not isinstance(value, Tensor):
                    kind = type(self.optimiser).__name__
                    raise ValueError(f"{kind} remembers {entry!r} as a {type(value).__name__}: only tensors are kept")
                if value is not None:
                    found[f"{name}:{entry}"] = value
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state()`. Raises: ValueError in one line if it is of parameters that do not train here."""
        for key in state:
            if (name := key.rpartition(":")[0]) not in self.parameters:
                raise ValueError(f"this checkpoint is not of this network: {name!r} does not train here")
        if self.optimiser is None:
            return
        self.optimiser.state.clear()
        for key, value in state.items():
            name, _, entry = key.rpartition(":")
            parameter = self.parameters[name]
            there = value.clone() if value.ndim == 0 else value.to(parameter.device, copy=True)
            self.optimiser.state[parameter][entry] = there

    def _groups(self) -> list[dict[str, Any]]:
        return [] if self.optimiser is None else self.optimiser.param_groups


Factory = Callable[[Iterable[Any]], torch.optim.Optimizer]


def _clip_scale(norm: Tensor, largest: float) -> Tensor:
    """As `nas.optimisers.clip_scale`, with PyTorch's 1e-6 on the norm, as the published weights' SGD clips."""
    return (largest / (norm + 1e-6)).clamp(max=1.0)


def _no_descent(given: object) -> ValueError:
    made = type(given).__name__
    return ValueError(
        f"descent is a Descent or makes an optimiser of torch.optim that steps once a minibatch, not {made}"
    )
