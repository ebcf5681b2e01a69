"""Your own network: two `Edge` layers in plain PyTorch, and one call that searches them.

Which two of three sensors does this network need? The target depends on sensor 2, and half as much on sensor 0; sensor
1 is noise. Each of the two edges offers all three; a method runs one operation an edge and step. (First-order credit,
`advantage`, is biased where the network is curved, and chose sensors 1 and 2 under one of the first four seeds.)

    python examples/own_network.py

    debiased_advantage: reads sensors 0 and 2, accuracy 99.0 %
    reinforce: reads sensors 0 and 2, accuracy 99.0 %
"""

import torch
from torch import nn
from torch.nn import functional

import nas


class Sensor(nn.Module):
    """Reads one column of the input: (N, 3) -> (N, 8)."""

    def __init__(self, column):
        super().__init__()
        self.column, self.layer = column, nn.Linear(1, 8)

    def forward(self, inputs):
        return torch.tanh(self.layer(inputs[:, self.column, None]))


class Net(nn.Module):
    """Two sensors, chosen by the search, and a linear layer: (N, 3) -> (N, 2)."""

    def __init__(self):
        super().__init__()
        self.left, self.right = (nas.Edge([Sensor(0), Sensor(1), Sensor(2)]) for _ in range(2))
        self.out = nn.Linear(16, 2)

    def forward(self, inputs):
        return self.out(torch.cat((self.left(inputs), self.right(inputs)), dim=1))


for method in ("debiased_advantage", "reinforce"):
    torch.manual_seed(0)
    inputs = torch.randn(2000, 3)
    targets = (inputs[:, 2] + 0.5 * inputs[:, 0] > 0).long()
    weights, architecture = (nas.Batches(inputs[half::2], targets[half::2], size=50) for half in (0, 1))
    model = nas.EdgeNetwork(Net())
    space = model.space("sensors", ["0", "1", "2"])
    network = nas.Supernet(space, model, functional.cross_entropy, weights, architecture, held_out=architecture)
    found = nas.search(network, method, epochs=20, seed=0)
    accuracy = found.figures["accuracy"]
    sensors = " and ".join(str(sensor) for sensor in sorted(found.choices))
    print(f"{method}: reads sensors {sensors}, accuracy {accuracy:.1f} %")
