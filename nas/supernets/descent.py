"""How do the weights of a parent network move? By Nesterov SGD along a cosine, only those that ran."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nas.schedule import cosine


@dataclass(frozen=True)
class Descent:
    """Nesterov SGD with a cosine rate that ends at zero. clip: the largest norm of the whole gradient, before decay."""

    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    clip: float | None = 1.0

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


def _clip_scale(norm: Tensor, largest: float) -> Tensor:
    """As `nas.optimisers.clip_scale`, with PyTorch's 1e-6 on the norm, as the published weights' SGD clips."""
    return (largest / (norm + 1e-6)).clamp(max=1.0)
