"""What can be set of a search? All but the network: which method, its optimiser's rate, how long, and how it ends.

Defaults are those of Sato et al. (2021). What the names ask for is built here, too: the method and the optimiser.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_origin

from nas import derive, methods, optimisers, step
from nas.methods import Method
from nas.optimisers import Optimiser
from nas.running import config


@dataclass(frozen=True)
class SearchSettings:
    """The architecture's side of a search; defaults are the CIFAR-10 settings of Sato et al. (2021).

    - method: which one; a name of `nas.methods`, or package.module:name for your own.
    - optimiser: of the logits (`nas.optimisers`).
    - rate: the step size of the logits' optimiser.
    - beta1, beta2: how much Adam keeps of its two moments a step.
    - decay: of the logits, for Adam and SGD; the other optimisers have none.
    - clip: the largest norm of the logits' gradient; without it gradients keep their length.
    - schedule: cosine takes the rate to zero over the architecture steps.
    - zero_policy: what a drawn zero operation is charged (`nas.methods.Method`); it matters only where the space has
      one and the method credits gates.
    - epochs: all of them, the warm-up's too.
    - warmup_epochs: of these, the first ones, which train weights only.
    - record_every: steps between two records; there is one at every epoch's end anyway.
    - until: the epoch at which the search ends early, inside the schedule of `epochs`.
    - warmup: own draws the warm-up's gates as the method does; shared evenly, one operation an edge, whatever the
      method, so that many searches can go on from one warm-up (`nas.running.warmup`).
    - derive: what the search stands for: argmax, best_seen, ranked:N, tuned:N:M:E or climbed:N (`nas.derive`).
    - seconds: the search ends when so many have passed, at a checkpoint, inside the schedule of `epochs`; those of
      earlier starts and of a shared warm-up count. The one setting that makes a search depend on the machine.
    - patience: the search ends when the architecture was the same for so many epochs after the warm-up.
    - penalty: what the dearest architecture pays beside its loss; others pay in proportion to the parameters of their
      operations (or what the network says that these cost).

    >>> SearchSettings(epochs=20, warmup_epochs=5).lengths(steps_per_epoch=10)  # steps of the warm-up, and in all
    (50, 200)
    """

    method: str = "advantage"
    optimiser: Literal["adam", "sgd", "natural", "asng", "exponentiated"] = "adam"
    rate: float = 3e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay: float = 3e-3
    clip: float | None = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    zero_policy: Literal["worst", "plain"] = "worst"
    epochs: int = 100
    warmup_epochs: int = 50
    record_every: int = 100
    until: float | None = config.later(None)
    warmup: Literal["own", "shared"] = config.later("own")
    derive: str = config.later("argmax")
    seconds: float | None = config.later(None)
    patience: int | None = config.later(None)
    penalty: float = config.later(0.0)

    def __post_init__(self) -> None:
        config.within(self, epochs=(1, 10_000_000), record_every=(1, 1 << 40))
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise ValueError(
                f"warmup_epochs, the first of all epochs, must be 0 to epochs = {self.epochs}, not "
                f"{self.warmup_epochs}: set both"
            )
        if not (0 <= self.rate < math.inf and 0 <= self.decay < math.inf) or self.record_every < 1:
            raise ValueError("rate and decay must be finite and not negative, record_every at least 1")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"need 0 <= beta1, beta2 < 1, not {self.beta1}, {self.beta2}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, or none, not {self.clip}")
        if self.until is not None and not 0 < self.until <= self.epochs:
            raise ValueError(f"need 0 < until <= epochs, not {self.until} and {self.epochs}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds must be positive and finite, or none, not {self.seconds}")
        if self.patience is not None:
            config.within(self, patience=(1, 10_000_000))
        if not 0 <= self.penalty < math.inf:
            raise ValueError(f"penalty must be finite and not negative, not {self.penalty}")
        if derive.ranking_of(self.derive) and self.penalty:
            raise ValueError(f"derive = {self.derive} ranks by the loss alone: with a penalty take another, as argmax")
        if self.derive == "best_seen" and self.warmup_epochs >= (self.until or self.epochs):
            raise ValueError("derive = best_seen: no architecture step has seen one; it needs epochs after the warm-up")
        for setting in fields(self):
            if get_origin(setting.type) is Literal and getattr(self, setting.name) not in get_args(setting.type):
                choices = ", ".join(get_args(setting.type))
                raise ValueError(f"{setting.name} is one of {choices}, not {getattr(self, setting.name)!r}")

    def lengths(self, steps_per_epoch: int) -> tuple[int, int]:
        """Steps of the warm-up, and of the whole search."""
        return self.warmup_epochs * steps_per_epoch, self.epochs * steps_per_epoch

    def end(self, steps_per_epoch: int) -> int:
        """The step after which the search is over."""
        return round((self.epochs if self.until is None else self.until) * steps_per_epoch)

    def recorded(self, step: int, steps_per_epoch: int) -> bool:
        """Whether there is a record after so many steps: every `record_every`, at an epoch's end and at the last."""
        return step % self.record_every == 0 or self.kept(step, steps_per_epoch)

    def kept(self, step: int, steps_per_epoch: int) -> bool:
        """Whether there is a validation and a checkpoint after so many steps: at an epoch's end and at the last."""
        return step % steps_per_epoch == 0 or step == self.end(steps_per_epoch)


def build_method(settings: SearchSettings) -> Method:
    """The method of the settings, with their policy where it has a rule for the zero operation.

    Raises: ValueError if it is unknown, asks what a network cannot answer, or has weights that the optimiser does not
    move.
    """
    found = methods.find(settings.method)
    step.check_optimiser(found, build_optimiser(settings))
    return replace(found, zero_policy=settings.zero_policy) if found.zero_policy == "worst" else found


def build_optimiser(settings: SearchSettings) -> Optimiser:
    """The logits' optimiser of the settings."""
    return optimisers.build(settings.optimiser, settings.beta1, settings.beta2, settings.decay)
