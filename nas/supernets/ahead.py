"""What would the architecture's gradient be after one more weight step? The passes of second-order DARTS.

The weights take a virtual step on their next minibatch, w' = w - eta dL_train/dw, and the architecture's minibatch is
asked there. How w' moves with the gates is a product with a second derivative, which two passes at w +- r dL_val/dw'
give as a difference (Liu et al. 2019, eqs. 7 and 8). Afterwards the weights have the bits that they had.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nas.optimisers import clip_scale

LENGTH = 0.01  # of the two moves along dL_val/dw': r = LENGTH / its norm, as published

Slopes = Callable[[], tuple[Tensor, Sequence[Tensor]]]


def look_ahead(
    weights: Sequence[Tensor], training: Slopes, validation: Slopes, rate: float, clip: float | None
) -> dict[str, Tensor]:
    """What `nas.questions.virtual_step` fills in: four forward and four backward passes.

    Args: weights, moved in place and put back; training, validation: the gate gradient (E, K) and the weights'
    gradients of a minibatch's loss at the weights as they are; rate, the weights'; clip, the largest norm of their
    gradient. The virtual step is plain gradient descent, clipped as the real one; the factor that clips is held fixed.
    """
    before = [weight.clone() for weight in weights]
    try:
        _, slope = training()
        step = torch.as_tensor(rate, dtype=slope[0].dtype, device=slope[0].device)
        if clip is not None:
            step = step * clip_scale(_norm(slope), clip)
        _put(weights, before, slope, -step)
        stepped, along = validation()
        norm = _norm(along)
        radius = LENGTH / torch.where(norm > 0, norm, torch.ones_like(norm))
        sides = []
        for side in (radius, -radius):
            _put(weights, before, along, side)
            sides.append(training()[0])
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)
    return {
        "stepped_gate_gradient": stepped,
        "gate_gradient_plus": sides[0],
        "gate_gradient_minus": sides[1],
        "virtual_rate": step,
        "virtual_radius": radius,
    }


def _put(weights: Sequence[Tensor], before: Sequence[Tensor], along: Sequence[Tensor], by: Tensor) -> None:
    for weight, value, direction in zip(weights, before, along, strict=True):
        weight.copy_(value + by * direction)


def _norm(parts: Sequence[Tensor]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(part) for part in parts]))
    return norm
