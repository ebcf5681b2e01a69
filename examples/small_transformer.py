"""A small Transformer whose blocks choose: attention, a convolution along the sequence, or the identity.

Does a sequence's last sign stand in it before? It does in 61 % of them. Attention can see that; a convolution of width
3 sees its neighbours.

    python examples/small_transformer.py

    block1=attention,block2=attention answer 82.6 % of questions that no step saw
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

import nas
from nas.tasks.judged import from_scratch
from nas.tasks.task import Task


@dataclass(frozen=True)
class Settings:  # the table [network] of a TOML file
    width: int = 32


class Attention(nn.Conv1d):  # (N, width, T) -> the same; one head, whose queries, keys and values are one product
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(*super().forward(x).mT.chunk(3, dim=-1)).mT


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(nn.functional.layer_norm(x.mT, x.shape[1:2]).mT)


def model(w):  # signs and places (N, 16, 8), one-hot -> scores of no and yes (N, 2); w channels
    edges = [nas.Edge([Attention(w, 3 * w, 1), nn.Conv1d(w, w, 3, 1, 1), nn.Identity()], f"block{n}") for n in (1, 2)]
    blocks = [Residual(*some) for edge in edges for some in ([edge], [nn.Conv1d(w, w, 1), nn.GELU()])]
    return nas.EdgeNetwork(nn.Sequential(nn.Conv1d(16, w, 1), *blocks, nn.Flatten(), nn.Linear(8 * w, 2)))


def space(settings):
    return model(settings.width).space("small-transformer", ["attention", "convolution", "identity"])


def build(settings, data, device, seed):
    signs = torch.randint(8, (3, 1000, 8), generator=torch.Generator().manual_seed(0)).to(device)
    inputs = torch.cat((torch.eye(8).to(device)[signs].mT, torch.eye(8).to(device).expand(3, 1000, 8, 8)), dim=2)
    answers = (signs[:, :, :-1] == signs[:, :, -1:]).any(-1).long()
    batches = [nas.Batches(*part, 50, seed) for part in zip(inputs, answers, strict=True)]
    torch.manual_seed(seed)
    adam = partial(torch.optim.AdamW, lr=5e-3)
    return nas.Supernet(space(settings), model(settings.width).to(device), nn.CrossEntropyLoss(), *batches, adam)


TASK = from_scratch(Task("small-transformer", Settings, space, build), epochs=20)
if __name__ == "__main__":
    found = nas.search(build(Settings(), None, "cpu", seed=0), epochs=40, seed=0)
    print(f"{found.architecture} answer {found.figures['accuracy']:.1f} % of questions that no step saw")
