"""How is a parent network trained, and asked about its gates, whatever it computes?

`Supernet` makes a `ParentNetwork` (see nas/supernets/parent.py) of any network that maps (inputs, `Choice`) to
predictions, a loss, and minibatches. With several processes (torchrun), each computes on its share of every minibatch
and gradients and losses are averaged, so that all processes hold the same weights and see the same numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nas.objective import Gradients
from nas.running import processes
from nas.spaces.space import Space
from nas.supernets import fingerprint
from nas.supernets.ahead import look_ahead
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent, Factory, TorchDescent
from nas.supernets.edge import Choice, choose, versions
from nas.supernets.parent import COSTS_UNKNOWN

Loss = Callable[[Tensor, Tensor], Tensor]


class Supernet:
    """A `ParentNetwork` of a model, its losses and its minibatches.

    model: (inputs, Choice) -> predictions; loss: (predictions, targets) -> mean loss; weights, architecture, held_out:
    the minibatches of the three uses. An operation with gate zero does not run in a weight step, and is not moved,
    decayed or slowed; nor is a frozen weight (requires_grad off).
    descent: how weights move, a `Descent` or what makes an optimiser of `torch.optim` from parameters (`TorchDescent`).
    figures: more about an architecture for the record, from its operation indices. about: the data, for people; by
    default its size. held_out_unseen: whether no step of the search sees the held-out data, so that it may rank.
    running_statistics: whether `validate` normalises by running averages. Those mix all paths that were drawn, so the
    default is each held-out minibatch's own statistics, as in training.
    costs: what each operation costs, (E, K), for `search.penalty`; by default its parameters, which modules of the
    model say in a method of this name.
    Raises: ValueError if several processes cannot share a minibatch evenly, for an optimiser that cannot serve, or for
    minibatches that are no `Batches`, such as a DataLoader.

    >>> from nas.supernets.edge import Edge, EdgeNetwork
    >>> model = EdgeNetwork(nn.Sequential(Edge([nn.Linear(3, 2), None])))  # is this layer needed?
    >>> batches = Batches(torch.randn(100, 3), torch.arange(100) % 2, size=20)
    >>> space = model.space("example", ["linear", "nothing"])
    >>> network = Supernet(space, model, nn.functional.cross_entropy, batches, batches, batches)
    >>> sorted(network.validate(torch.tensor([[0.0, 1.0]])).items())  # without it: chance, and the loss is ln 2
    [('accuracy', 50.0), ('loss', 0.693147...)]
    """

    def __init__(
        self,
        space: Space,
        model: nn.Module,
        loss: Loss,
        weights: Batches,
        architecture: Batches,
        held_out: Batches,
        descent: Descent | Factory | None = None,
        figures: Callable[[list[int]], dict[str, float]] | None = None,
        about: str | None = None,
        held_out_unseen: bool = True,
        running_statistics: bool = False,
        costs: Tensor | None = None,
    ) -> None:
        self.own_costs = costs
        self.held_out_unseen = held_out_unseen
        self.space, self.model, self.loss = space, model, loss
        self.weights, self.architecture, self.held_out = weights, architecture, held_out
        for use, batches in (("weights", weights), ("architecture", architecture), ("held_out", held_out)):
            if not isinstance(batches, Batches):
                raise ValueError(
                    f"{use} is a {type(batches).__name__}: give nas.Batches, whose examples lie in memory, or in "
                    "nas.Stored on the disk, so that a minibatch is a function of its number and a run goes on"
                )
        for size in (weights.size, architecture.size, held_out.size):
            if size % processes.count():
                raise ValueError(f"a minibatch of {size} cannot be shared evenly by {processes.count()} processes")
        self.running_statistics = running_statistics
        self.figures = figures
        sizes = f"{len(weights.targets):,} examples for the weights, {len(architecture.targets):,} for the architecture"
        self.about = sizes if about is None else about
        self.parameters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.descent: Descent | TorchDescent = Descent()
        if descent is not None:
            self.descent = descent if isinstance(descent, Descent) else TorchDescent(descent, self.parameters)
        kept = self.parameters if isinstance(self.descent, Descent) else {}
        self.velocity = {name: torch.zeros_like(parameter) for name, parameter in kept.items()}
        self.weight_steps = self.architecture_steps = 0
        self.position = 0.0  # of the last weight step, in the schedule
        self.device = str(weights.inputs.device)

    @property
    def steps_per_epoch(self) -> int:
        return self.weights.steps

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        inputs, targets = self.weights.at(self.weight_steps)
        noise = self.weights.noise(self.weight_steps)
        self.weight_steps += 1
        self.position = progress
        self.model.train()
        choice = choose(gates, gates != 0)
        with torch.enable_grad():
            with seeded(noise, inputs.device):
                loss = _one_number(self.loss(self.model(inputs, choice), targets))
            reached = list(self.parameters.values()) if loss.requires_grad else []
            of_all = torch.autograd.grad(loss, reached, allow_unused=True) if reached else [None] * len(self.parameters)
        ran = {name: gradient for name, gradient in zip(self.parameters, of_all, strict=True) if gradient is not None}
        loss, *gradients = processes.average([loss.detach(), *ran.values()])
        with torch.no_grad():
            if isinstance(self.descent, TorchDescent):
                self.descent.step(dict(zip(ran, gradients, strict=True)), progress)
            elif ran:
                self.descent.step(
                    [self.parameters[name] for name in ran], gradients, [self.velocity[name] for name in ran], progress
                )
        return loss

    def costs(self) -> Tensor:
        """What each operation costs, (E, K): as given, else how many parameters all edges together spend on it.

        Raises: ValueError in one line if neither this network nor its model knows.
        """
        if self.own_costs is not None:
            return self.own_costs
        said: list[Any] = [part for part in self.model.modules() if callable(getattr(part, "costs", None))]
        if not said:
            raise ValueError(COSTS_UNKNOWN)
        parts = said[:1] if said[0] is self.model else said  # the whole knows better than its parts
        return torch.stack([part.costs() for part in parts]).sum(dim=0)

    def objective(self) -> "NetworkObjective":
        inputs, targets = self.architecture.at(self.architecture_steps)
        noise = self.architecture.noise(self.architecture_steps)
        self.architecture_steps += 1
        return NetworkObjective(self.model, self.loss, inputs, targets, self.space.zero_operation, noise, self)

    def validate(self, gates: Tensor) -> dict[str, float]:
        """The mean held-out loss; the accuracy in percent where targets are classes; and `figures`."""
        choice = choose(gates, gates)
        total = torch.zeros(2, dtype=torch.float64, device=gates.device)
        labelled = True
        self.model.eval()
        with torch.no_grad(), self._normalised():
            for position in range(self.held_out.steps):
                inputs, targets = self.held_out.at(position)
                predictions = self.model(inputs, choice)
                labelled = labelled and _are_classes(predictions, targets)
                right = (predictions.argmax(dim=-1) == targets).double().mean() * 100 if labelled else total[1]
                total += torch.stack((_one_number(self.loss(predictions, targets)).double(), right))
        (total,) = processes.average([total])
        loss, accuracy = (total / self.held_out.steps).tolist()
        more = self.figures(gates.argmax(dim=-1).tolist()) if self.figures is not None else {}
        return {"loss": loss, **({"accuracy": accuracy} if labelled else {})} | {k: float(v) for k, v in more.items()}

    def reached(self, gates: Tensor) -> list[Tensor]:
        """The weights that a weight step under these gates would move."""
        inputs, targets = self.weights.at(0)
        self.model.train()
        with torch.enable_grad(), _Still(self.model, frozen=False), seeded(0, inputs.device):
            loss = _one_number(self.loss(self.model(inputs, choose(gates, gates != 0)), targets))
            weights = list(self.parameters.values()) if loss.requires_grad else []
            of_all = torch.autograd.grad(loss, weights, allow_unused=True) if weights else ()
        return [weight for weight, gradient in zip(weights, of_all, strict=True) if gradient is not None]

    def fingerprint(self) -> dict[str, str]:
        """What a run's checkpoint says of this network beside its weights: a resume with another one is refused."""
        uses = {"weights": self.weights, "architecture": self.architecture, "held-out": self.held_out}
        return {
            "model": fingerprint.of_model(self.model),
            "loss": fingerprint.of_callable(self.loss),
            "descent": repr(self.descent) if isinstance(self.descent, Descent) else self.descent.about,
            **{f"{use} data": fingerprint.of_batches(batches) for use, batches in uses.items()},
            **({} if self.own_costs is None else {"costs": str(self.own_costs.tolist())}),
        }

    def state(self) -> dict[str, Tensor]:
        position = torch.tensor([self.weight_steps, self.architecture_steps])
        weights = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        moved = {f"velocity.{name}": tensor for name, tensor in self.velocity.items()}
        if isinstance(self.descent, TorchDescent):
            moved = {OPTIMISER + name: tensor for name, tensor in self.descent.state().items()}
        return weights | moved | {"position": position}

    def load(self, state: dict[str, Tensor]) -> None:
        mine = {name: tensor for name, tensor in self.state().items() if not name.startswith(OPTIMISER)}
        remembered = {name: tensor for name, tensor in state.items() if name.startswith(OPTIMISER)}
        if isinstance(self.descent, TorchDescent):  # of weights that ran until then, and so known to it alone
            state = {name: tensor for name, tensor in state.items() if name not in remembered}
        if apart := sorted(mine.keys() ^ state.keys()):
            raise ValueError(f"this checkpoint is not of this network: {apart[0]!r} is in only one of them")
        for name, tensor in mine.items():
            if tensor.shape != state[name].shape:
                raise ValueError(f"checkpoint: {name} has shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}")
        if isinstance(self.descent, TorchDescent):
            self.descent.load({name.removeprefix(OPTIMISER): tensor for name, tensor in remembered.items()})
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                tensor.copy_(state[f"model.{name}"])
            for name, tensor in self.velocity.items():
                tensor.copy_(state[f"velocity.{name}"])
        self.weight_steps, self.architecture_steps = (int(count) for count in state["position"])

    @contextmanager
    def _normalised(self) -> Iterator[None]:
        """While entered, layers with running statistics use the minibatch's own, unless running ones are asked for."""
        layers = [layer for layer in self.model.modules() if isinstance(layer, _NormBase) and layer.track_running_stats]
        if self.running_statistics or not layers:
            yield
            return
        with _Still(self.model):
            for layer in layers:
                layer.train()
            yield


OPTIMISER = "optimiser."  # names in a checkpoint of what an optimiser of torch.optim remembers


class NetworkObjective:
    """The loss of one minibatch as a function of gates, an `nas.objective.Objective`; computes no weight gradient.

    noise: a seed for what the network itself draws at random, the same for every question. parent: whose next weight
    step `virtual_step` takes; None where it is not asked for.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        inputs: Tensor,
        targets: Tensor,
        zero_operation: int | None = None,
        noise: int = 0,
        parent: Supernet | None = None,
    ) -> None:
        self.parent = parent
        self.model, self.minibatch_loss, self.inputs, self.targets = model, loss, inputs, targets
        self.zero_operation, self.noise = zero_operation, noise

    def loss(self, gates: Tensor) -> Tensor:
        self.model.train()
        with torch.no_grad(), self._still():
            losses = torch.stack([self._loss(row) for row in gates.reshape(-1, *gates.shape[-2:])])
        return processes.average([losses])[0].reshape(gates.shape[:-2])

    def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
        self.model.train()
        shape = (gates + runs).shape
        rows = zip(*(part.expand(shape).reshape(-1, *shape[-2:]) for part in (gates, runs)), strict=True)
        with self._still():
            single = [self._gradients(row, run) for row, run in rows]
        parts = processes.average([torch.stack(part) for part in zip(*single, strict=True)])
        return Gradients(*(part.reshape(shape[:-2] + part.shape[1:]) for part in parts))

    def virtual_step(self, gates: Tensor) -> dict[str, Tensor]:
        """What second-order DARTS asks at dense gates (E, K); see `nas.supernets.ahead`.

        Raises: ValueError where the weights do not move by plain steps, or there are none to move.
        """
        network = self.parent
        if network is None or not isinstance(network.descent, Descent) or not network.parameters:
            raise ValueError(
                "second-order DARTS steps weights ahead by their gradient: it needs weights and descent=Descent(...)"
            )
        weights = list(network.parameters.values())
        inputs, targets = network.weights.at(network.weight_steps)
        noise = network.weights.noise(network.weight_steps)
        ahead = NetworkObjective(self.model, self.minibatch_loss, inputs, targets, self.zero_operation, noise)
        rate = network.descent.rate_at(network.position)
        self.model.train()
        with _Still(self.model, frozen=False), torch.no_grad():
            return look_ahead(
                weights,
                partial(ahead._slopes, gates, weights),
                partial(self._slopes, gates, weights),
                rate,
                network.descent.clip,
            )

    def _slopes(self, gates: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Gradients of gates (E, K) and of weights, all operations running."""
        choice = choose(gates, torch.ones_like(gates), gradients=True)
        with torch.enable_grad():
            loss = self._of(choice)
            found = torch.autograd.grad(loss, (choice.gates, *weights), allow_unused=True)
        like = (gates, *weights)
        filled = [torch.zeros_like(w) if g is None else g for g, w in zip(found, like, strict=True)]
        gate, *slopes = processes.average(filled)
        return gate, slopes

    def _loss(self, gates: Tensor) -> Tensor:
        return self._of(choose(gates, gates != 0))

    def _gradients(self, gates: Tensor, runs: Tensor) -> tuple[Tensor, ...]:
        choice = choose(gates, runs, gradients=True)
        with torch.enable_grad():
            loss = self._of(choice)
            if not loss.requires_grad:  # no edge reaches the output
                return loss, torch.zeros_like(gates), torch.zeros_like(gates[..., 0])
            gate, output = torch.autograd.grad(loss, (choice.gates, choice.probe), allow_unused=True)
        empty = torch.zeros_like(gates)
        return loss.detach(), empty if gate is None else gate, empty[..., 0] if output is None else output

    def _of(self, choice: Choice) -> Tensor:
        before = versions(self.inputs)
        with seeded(self.noise, self.inputs.device):
            loss = _one_number(self.minibatch_loss(self.model(self.inputs, choice), self.targets))
        if versions(self.inputs) != before:
            raise ValueError("the network changes its minibatch in place, and would be asked about another one next")
        return loss

    def _still(self) -> "_Still":
        return _Still(self.model)


def _one_number(loss: Tensor) -> Tensor:
    if loss.ndim:
        raise ValueError(f"the loss must be one number, a minibatch's mean, not of the shape {tuple(loss.shape)}")
    return loss


def _are_classes(predictions: Any, targets: Tensor) -> bool:
    """Whether targets are class numbers and predictions hold a score for each class in their last axis."""
    whole = not (targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool)
    return whole and isinstance(predictions, Tensor) and predictions.shape[:-1] == targets.shape


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """While entered, PyTorch's own random numbers are those of `seed`; afterwards they go on as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class _Still:
    """While entered, running statistics keep their values, and frozen weights ask for no gradient."""

    def __init__(self, model: nn.Module, frozen: bool = True) -> None:
        self.model, self.frozen = model, frozen

    def __enter__(self) -> None:
        asked = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.asked = asked if self.frozen else []
        self.kept = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        for parameter in self.asked:
            parameter.requires_grad_(False)

    def __exit__(self, *error: object) -> None:
        for parameter in self.asked:
            parameter.requires_grad_(True)
        for buffer, value in self.kept:
            buffer.copy_(value)
