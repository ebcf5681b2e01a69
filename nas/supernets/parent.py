"""What does the search loop need of a parent network and its data?

A `ParentNetwork` owns its weights, their optimiser, its minibatches and their position; the search loop (`nas.search`)
owns the architecture: logits, method, schedule, records, checkpoints. One architecture step asks for an
`nas.objective.Objective` on the next architecture minibatch; one weight step trains under given gates.

A network may also say in `costs()`, (E, K) numbers, what its operations cost, for `search.penalty`; and in
`fingerprint()`, words by name, what its numbers depend on beside the weights: a run is gone on from only with the same
words (`nas.running.searching`).
"""

from typing import Protocol

from torch import Tensor

from nas.objective import Objective
from nas.spaces.space import Space

COSTS_UNKNOWN = (
    "search.penalty: this network does not say what its operations cost; leave the penalty at 0, or give a network of "
    "your own `costs`, (E, K) numbers"
)


class ParentNetwork(Protocol):
    """A weight-sharing network with its data, on one device. Reproducible from its seed and its state alone."""

    @property
    def space(self) -> Space:
        """The cell that is searched."""

    @property
    def device(self) -> str:
        """'cpu' or 'cuda' (with an index): where gates are expected."""

    @property
    def about(self) -> str:
        """What is searched on which data, in one line for people."""

    @property
    def steps_per_epoch(self) -> int:
        """Weight steps an epoch; an architecture step may follow each."""

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        """Train the weights on the next minibatch under gates (E, K); an operation with gate zero does not train.

        progress in [0, 1] is the position in the whole search, for the weights' learning-rate schedule. Returns the
        minibatch loss, 0-d, not read on the host. The order of minibatches depends only on the seed and the position.
        """

    def objective(self) -> Objective[Tensor]:
        """The loss on the next architecture minibatch as a function of gates (..., E, K); no weight gradients."""

    def validate(self, gates: Tensor) -> dict[str, float]:
        """Figures of the architecture `gates` (E, K) with the shared weights on held-out data, for the record.

        `nas.derive` ranks by "loss" or "perplexity", unless an attribute `held_out_unseen` says False: then steps of
        the search see the held-out data, too.
        """

    def state(self) -> dict[str, Tensor]:
        """Weights, optimiser buffers, random state and position in the data: everything an exact resume needs."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore `state()`. Raises ValueError where a name or shape does not fit."""
