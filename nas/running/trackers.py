"""Who else is told what a run records? MLflow or Weights & Biases, if asked (`--tracker`).

metrics.jsonl stays the truth: it is written first, and a run is gone on from it alone. A tracker's package is imported
only where it is asked for. What a tracker cannot do is said in one line, and the run goes on without it.
"""

import importlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from nas.running import config, files, plugins, runs
from nas.running.runs import Run

KNOWN_AS = "trackers.json"  # in a run folder: what each tracker calls this run


@dataclass(frozen=True)
class Opened:
    """A run as a tracker has it.

    id: by which the tracker finds it again when the run goes on. log: numbers by name, and the step. end: the content
    of result.json, or None where the run is not finished.
    """

    id: str
    log: Callable[[dict[str, float], int], None]
    end: Callable[[Mapping[str, Any] | None], None]


# run folder, settings by their whole names, the id that it had before (None: it is new) -> Opened
Tracker: TypeAlias = Callable[[Path, dict[str, Any], str | None], Opened]


def mlflow(folder: Path, settings: dict[str, Any], known: str | None) -> Opened:
    """MLflow, where MLFLOW_TRACKING_URI says: an experiment for each task, a run for each run folder."""
    module = importlib.import_module("mlflow")
    module.set_experiment(folder.parent.name)
    begun = module.start_run(run_id=known, run_name=None if known else folder.name)
    if known is None:
        module.log_params(settings)

    def end(result: Mapping[str, Any] | None) -> None:
        if result is not None:
            module.set_tag("architecture", result["architecture"])
        module.end_run("KILLED" if result is None else "FINISHED")

    return Opened(begun.info.run_id, lambda numbers, step: module.log_metrics(numbers, step=step), end)


def wandb(folder: Path, settings: dict[str, Any], known: str | None) -> Opened:
    """Weights & Biases, as WANDB_MODE says: a project for each task, a run for each run folder."""
    module = importlib.import_module("wandb")
    begun = module.init(
        project=folder.parent.name, name=folder.name, id=known, resume="allow", config=settings, dir=str(folder)
    )

    def end(result: Mapping[str, Any] | None) -> None:
        if result is not None:
            begun.summary["architecture"] = result["architecture"]
        begun.finish(exit_code=1 if result is None else 0)

    return Opened(begun.id, lambda numbers, step: begun.log(numbers, step=step), end)


TRACKERS: dict[str, Tracker] = {"mlflow": mlflow, "wandb": wandb}


def find(name: str) -> Tracker:
    """The tracker of a name, or as `package.module:function` one of your own.

    Raises: ValueError in one line if there is none, or its package is not installed.
    """
    if plugins.is_own(name):
        own: Tracker = plugins.load(name, "tracker")
        return own
    if name not in TRACKERS:
        raise ValueError(f"unknown tracker {name!r}; known: {', '.join(TRACKERS)}, or package.module:function")
    if importlib.util.find_spec(name) is None:
        raise ValueError(f"--tracker {name} needs its package: pip install {name}")
    return TRACKERS[name]


@contextmanager
def open_run(folder: Path, settings: Any, device: str = "cpu", names: Sequence[str] = ()) -> Iterator[Run]:
    """`runs.open_run`, with trackers of these names told of its records. Raises: as there, and ValueError as `find`."""
    with runs.open_run(folder, settings, device) as run, opened(names, folder, settings) as hooks:
        yield replace(run, trackers=hooks)


@contextmanager
def opened(names: Sequence[str], folder: Path, settings: Any) -> "Iterator[tuple[Hook, ...]]":
    """Trackers of a run, for the time of a `with` block. Raises: ValueError, as `find`."""
    hooks = tuple(Hook(name, find(name), folder) for name in dict.fromkeys(names))
    for hook in hooks:
        hook.begin(config.flat(config.written(settings)))
    try:
        yield hooks
    finally:
        for hook in hooks:
            hook.end()


class Hook:
    """One tracker of one run, until its first failure."""

    def __init__(self, name: str, tracker: Tracker, folder: Path) -> None:
        self.name, self.tracker, self.folder = name, tracker, folder
        self.run: Opened | None = None
        self.result: Mapping[str, Any] | None = None

    def begin(self, settings: dict[str, Any]) -> None:
        """Open the tracker's run, the earlier one if there was one."""
        with self._surviving():
            file = self.folder / KNOWN_AS
            known = files.read_json(file, dict[str, str]) if file.exists() else {}
            self.run = self.tracker(self.folder, settings, known.get(self.name))
            runs.write_atomically(file, json.dumps({**known, self.name: self.run.id}) + "\n")

    def record(self, record: Mapping[str, Any]) -> None:
        """The numbers of a record of metrics.jsonl, by the names that TensorBoard has for them."""
        if self.run is not None:
            with self._surviving():
                self.run.log(dict(runs.numbers(record)), int(record["step"]))

    def finish(self, result: Mapping[str, Any]) -> None:
        """The run is finished."""
        self.result = result

    def end(self) -> None:
        """Close the tracker's run."""
        if self.run is not None:
            with self._surviving():
                self.run.end(self.result)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:  # whatever a tracker's package does, the run goes on
            self.run = None
            runs.say(f"tracker {self.name}: {plugins.why(error)}; {self.folder} goes on without it")
