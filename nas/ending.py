"""When does a search end before its schedule does? When its time is up, or when its architecture has settled.

`search.seconds` is a budget by the clock: the one setting that makes a search depend on the machine. `search.patience`
counts epochs after the warm-up at whose ends the architecture was the same: it depends on the search alone. Either way
the search ends inside its schedule, at a record and a checkpoint, and stands for what it has found by then.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from nas import policy, step
from nas.methods import Method
from nas.progress import Progress
from nas.running import processes
from nas.settings import SearchSettings


@dataclass(frozen=True)
class Standing:
    """How long the architecture has stood: its operations, and the epochs since the end of one at which it was new."""

    choices: list[int] | None = None
    epochs: int = 0

    def after(self, choices: list[int]) -> "Standing":
        """One more epoch, at whose end the architecture is `choices`.

        >>> Standing().after([0, 1]).after([0, 1]).after([0, 1])
        Standing(choices=[0, 1], epochs=2)
        >>> Standing([0, 1], 2).after([0, 2])
        Standing(choices=[0, 2], epochs=0)
        """
        return Standing(choices, self.epochs + 1 if choices == self.choices else 0)


def stood(
    standing: Standing, settings: SearchSettings, steps_per_epoch: int, method: Method, now: Progress
) -> Standing:
    """`standing` after the step at which a search stands: another one at the end of an epoch of architecture steps."""
    warmup, _ = settings.lengths(steps_per_epoch)
    if settings.patience is None or now.step <= warmup or now.step % steps_per_epoch:
        return standing
    return standing.after(policy.choices(step.architecture(method, now.state)).tolist())


def clock(settings: SearchSettings, begun: float, device: str) -> Callable[[], bool]:
    """Whether the budget is used up, asked after every step. begun: when it was whole, on `time.perf_counter`.

    Several processes are told so at the same step.
    """
    if (most := settings.seconds) is None:
        return _never
    return processes.agreed(lambda: time.perf_counter() - begun >= most, device)


def early(settings: SearchSettings, standing: Standing, time_is_up: bool) -> str | None:
    """The setting that ends a search here, "seconds" or "patience"; None where it goes on."""
    if time_is_up:
        return "seconds"
    if settings.patience is not None and standing.epochs >= settings.patience:
        return "patience"
    return None


def check(settings: SearchSettings, steps_per_epoch: int, now: Progress, ended: str | None) -> None:
    """Refuse to derive what was never searched. Raises: ValueError if the time was up before an architecture step."""
    warmup, total = settings.lengths(steps_per_epoch)
    if ended == "seconds" and now.step <= warmup < total:
        raise ValueError(
            f"search.seconds = {settings.seconds} were over after step {now.step}, in the warm-up of {warmup}: no "
            "architecture step was made; allow more seconds, or fewer search.warmup_epochs"
        )


def _never() -> bool:
    return False
