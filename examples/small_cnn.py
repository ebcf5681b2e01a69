"""A small convolutional network as a task of one's own: three layers, each one of three, on handwritten digits.

    python examples/small_cnn.py

    599 examples for the weights, 599 for the architecture
    found three layers; their shared weights read 65.8 % of images that no step saw

Every command takes it by name: `python -m nas search examples.small_cnn:TASK`, then evaluate, compare, draw, export.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

import nas
from nas.data import digits
from nas.tasks.judged import from_scratch
from nas.tasks.task import Task


@dataclass(frozen=True)
class Settings:  # the table [network] of a TOML file, and --set network.channels=…
    channels: int = 12
    batch: int = 50
    rate: float = 0.01


def model(settings):
    """Images (N, 1, 8, 8) -> class scores (N, 10), under gates."""
    width, layers = settings.channels, []
    for number in (1, 2, 3):
        small, large = (nn.Conv2d(width, width, side, padding=side // 2) for side in (1, 3))
        norm = nn.BatchNorm2d(width, track_running_stats=False)  # without it, layers that take turns do not learn
        layers += [nas.Edge([small, large, nn.AvgPool2d(3, 1, 1)], name=f"layer{number}"), norm, nn.ReLU()]
    ends = nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(4 * width, 10)
    return nas.EdgeNetwork(nn.Sequential(nn.Conv2d(1, width, 1), *layers, *ends))


def space(settings):
    return model(settings).space("small-cnn", ["conv1x1", "conv3x3", "pool3x3"])


def build(settings, data, device, seed):
    """The network with three parts of the images: for the weights, for the architecture, and for neither."""
    torch.manual_seed(seed)
    parts = zip(*(part.to(device).split(599) for part in digits.load()), strict=True)
    batches = [nas.Batches(*part, settings.batch, seed + number) for number, part in enumerate(parts)]
    descent = partial(torch.optim.AdamW, lr=settings.rate)
    return nas.Supernet(space(settings), model(settings).to(device), nn.functional.cross_entropy, *batches, descent)


TASK = from_scratch(Task("small-cnn", Settings, space, build), epochs=20)

if __name__ == "__main__":
    network = build(Settings(), None, "cpu", seed=0)
    accuracy = nas.search(network, epochs=40, seed=0).figures["accuracy"]
    print(f"{network.about}\nfound three layers; their shared weights read {accuracy:.1f} % of images that no step saw")
