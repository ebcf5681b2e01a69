"""The smallest parent network, for tests of the search: two edges, three operations, one weight each."""

from typing import Self

import torch
from torch import Tensor

from nas.objective import Gradients
from nas.spaces.space import Space

SPACE = Space(
    "tiny",
    ((0, 1), (0, 2)),
    ("good", "bad", "worse"),
    lambda c: "-".join(map(str, c)),
    lambda s: tuple(map(int, s.split("-"))),
)


class Tiny:
    """One weight an operation, pulled to its own constant by noisy minibatches: `good` is best everywhere."""

    space, device, steps_per_epoch = SPACE, "cpu", 10
    zero_operation = None

    def __init__(self, seed: int = 0) -> None:
        self.weights = torch.zeros(2, 3)
        self.best = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
        self.generator = torch.Generator().manual_seed(seed)
        self.broken_at: int | None = None
        self.steps = 0

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        self.steps += 1
        noise = 0.1 * torch.randn(2, 3, generator=self.generator)
        self.weights = self.weights + 0.2 * gates * (self.best + noise - self.weights)
        loss = (gates * self.weights).sum()
        return loss * torch.nan if self.steps == self.broken_at else loss

    def objective(self) -> Self:
        self.noise = 0.1 * torch.randn(2, 3, generator=self.generator)
        return self

    def loss(self, gates: Tensor) -> Tensor:
        return (gates * (self.weights + self.noise)).sum(dim=(-1, -2)) ** 2

    def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
        total = (gates * (self.weights + self.noise)).sum(dim=(-1, -2))
        slope = 2 * total[..., None, None] * (self.weights + self.noise)
        return Gradients(total**2, slope * runs, (2 * total)[..., None].expand(gates.shape[:-1]))

    def validate(self, gates: Tensor) -> dict[str, float]:
        return {"loss": float((gates * self.best).sum())}

    def state(self) -> dict[str, Tensor]:
        return {"weights": self.weights, "generator": self.generator.get_state(), "steps": torch.tensor(self.steps)}

    def load(self, state: dict[str, Tensor]) -> None:
        self.weights, self.steps = state["weights"], int(state["steps"])
        self.generator.set_state(state["generator"])
