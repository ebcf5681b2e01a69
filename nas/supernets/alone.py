"""How is one architecture trained by itself? As a parent network with a single candidate an edge."""

import torch
from torch import Tensor

from nas.spaces.space import Edges, Space
from nas.supernets.supernet import Supernet


def space_of(edges: Edges, architecture: str) -> Space:
    """The space that holds one architecture."""
    return Space("one cell", edges, ("it",), lambda choices: architecture, lambda text: (0,) * len(edges))


class Alone:
    """A `nas.running.training.Trainee`: a supernet of one candidate an edge."""

    def __init__(self, network: Supernet) -> None:
        self.network, self.gates = network, torch.ones(network.space.shape, device=network.device)
        self.steps_per_epoch = network.steps_per_epoch
        self.state, self.load = network.state, network.load

    @property
    def parameters(self) -> int:
        """How many weights train."""
        return sum(parameter.numel() for parameter in self.network.parameters.values())

    def step(self, progress: float) -> Tensor:
        """One weight step."""
        return self.network.weight_step(self.gates, progress)

    def judged(self) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}

    def accuracy(self) -> float:
        """Percent right on the held-out minibatches."""
        return self.network.validate(self.gates)["accuracy"]
