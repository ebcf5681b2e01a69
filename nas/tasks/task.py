"""What is a task? A network with its data: how it is built, and how what a search finds on it is judged.

`Task` holds one function for each question that the programs ask; their types are the protocols below, generic in the
task's own settings, a frozen dataclass. Only settings, space and build must be there: what is missing is refused in one
line by the command that needs it. docs/own_network.md makes one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from torch import Tensor

from nas.methods import Method
from nas.running import config, pool
from nas.settings import SearchSettings
from nas.spaces.space import Space
from nas.supernets.parent import ParentNetwork

S = TypeVar("S")  # a task's settings
S_contra = TypeVar("S_contra", contravariant=True)

Row: TypeAlias = dict[str, Any]  # see `Evaluate`
Points: TypeAlias = list[tuple[float, float]]  # (seconds of search, measure), ascending in time
Training: TypeAlias = tuple[str, int]  # an architecture, or another name that the measure knows, and a seed
MOST = 10_000  # seeds, or random architectures: more is a mistake


def never() -> bool:
    """The answer of a `stopped` that nobody asked to stop."""
    return False


# ------------------------------------------------------------------ what a program asks with


@dataclass(frozen=True)
class Experiment(Generic[S]):
    """All settings of one search: the network's (with its data), the architecture's, and the task's name.

    Written to a run folder's config.toml; its digest names the folder.
    """

    network: S
    search: SearchSettings = field(default_factory=SearchSettings)
    task: str = field(kw_only=True)


@dataclass(frozen=True)
class Request:
    """What is asked of an evaluation. seeds: trainings of each model; randoms: random architectures beside them.

    train: whether to train also where a table has the answer. epochs: of each training; None: as the settings say.
    """

    seeds: int = 1
    randoms: int = 1
    train: bool = False
    epochs: int | None = None
    data: Path | None = None
    device: str = "cpu"
    stopped: Callable[[], bool] = never

    def __post_init__(self) -> None:
        config.within(self, seeds=(1, MOST), randoms=(0, MOST))
        if self.epochs is not None:
            config.within(self, epochs=(1, 1_000_000))


@dataclass(frozen=True)
class Comparison(Generic[S]):
    """What is compared. seeds: 0 to seeds - 1 for each method; root: where the run folders go.

    jobs: searches or trainings side by side, each in a process of its own, where one does not fill the device. They
    slow each other down, but all methods alike. scheduler: address of a Dask cluster whose workers do them instead.
    trackers: that are told of each search (`nas.running.trackers`).
    """

    experiment: Experiment[S]
    methods: tuple[str, ...]
    seeds: int = 3
    root: Path = Path("runs")
    data: Path | None = None
    device: str = "cpu"
    stopped: Callable[[], bool] = never
    jobs: int = 1
    scheduler: str | None = None
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        config.within(self, seeds=(1, MOST))
        pool.one_place(self.jobs, self.scheduler)


# ------------------------------------------------------------------ what a task answers


class SpaceOf(Protocol[S_contra]):
    """The search space of a network with these settings, found without its data."""

    def __call__(self, settings: S_contra, /) -> Space: ...


class Build(Protocol[S_contra]):
    """The parent network with its data, which lies under `data` if that is given, on a device.

    Everything random in it comes from `seed`. Raises: ValueError in one line if the data is missing or damaged.
    """

    def __call__(self, settings: S_contra, data: Path | None, device: str, seed: int, /) -> ParentNetwork: ...


class Form(Protocol[S]):
    """The settings with which the network serves a method: the given ones, or changed where they cannot.

    Raises: ValueError in one line if no form of the network serves it.
    """

    def __call__(self, settings: S, method: Method, /) -> S: ...


class Audited(Protocol[S]):
    """The settings of the form that is asked about every edge, several operations at once, and rounds least.

    A checkpoint of the network in the given form must load into it.
    """

    def __call__(self, settings: S, /) -> S: ...


class Evaluate(Protocol[S_contra]):
    """Judge the result (content of result.json) of the finished search in `folder`; None if stopped.

    A row is one trained or looked-up model: "model" (rows of one name are averaged), "architecture", "parameters", and
    what is known of "validation" and "test". A training's run folder lies in `folder`, so that it goes on where it
    stopped. Raises: ValueError in one line if data is missing.
    """

    def __call__(
        self, folder: Path, settings: S_contra, result: Mapping[str, Any], request: Request, /
    ) -> list[Row] | None: ...


@dataclass(frozen=True)
class Exported:
    """What a search found, to be taken away. edges: (source, target, operation) of the cell.

    source: a Python module that builds the network with PyTorch alone, and whose load(FILE) gives it weights; tensors:
    its `state_dict`, where weights are wanted. asked: two inputs of the network, (2, …), for ONNX, wherever it has one;
    None where it loops over its input.
    """

    edges: tuple[tuple[int, int, str], ...]
    source: str = ""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    asked: Tensor | None = None


class Export(Protocol[S_contra]):
    """The network that a result (content of result.json) stands for.

    weights: a run folder, of the search or of a training from scratch, whose checkpoint's weights are wanted, too.
    data: the data folder that was asked for, if the network's form depends on data.
    Raises: ValueError in one line if it does not hold the weights of this network.
    """

    def __call__(
        self, settings: S_contra, result: Mapping[str, Any], weights: Path | None, data: Path | None, /
    ) -> Exported: ...


def _no_trainings(comparison: Comparison[Any], folders: list[Path], equal_seconds: float) -> list[Training]:
    return []


def _no_training(comparison: Comparison[Any], architecture: str, seed: int) -> Row | None:
    raise ValueError(f"task {comparison.experiment.task} trains nothing from scratch: its measure has no `train`")


def _no_references(comparison: Comparison[Any]) -> dict[str, list[float]]:
    return {}


@dataclass(frozen=True)
class Measure(Generic[S]):
    """What the searches of a comparison are judged by.

    label: the measure and its unit, for an axis.
    describe: what is searched on, for people; asked first. Raises: ValueError in one line if data is missing.
    points: (comparison, finished run folder, equal time in seconds) -> what the search stood for, and when.
    trainings: all that must be trained from scratch for `points` and `references`; done first, side by side.
    train: (comparison, architecture, seed) -> figures of one training, never done twice; None if stopped, and at once
    if `comparison.stopped()` says so before its first step.
    references: what else belongs beside the methods, name -> one value a seed.
    """

    label: str
    larger_is_better: bool
    describe: Callable[[Comparison[S]], str]
    points: Callable[[Comparison[S], Path, float], Points]
    trainings: Callable[[Comparison[S], list[Path], float], list[Training]] = _no_trainings
    train: Callable[[Comparison[S], str, int], Row | None] = _no_training
    references: Callable[[Comparison[S]], dict[str, list[float]]] = _no_references


def _as_given(settings: S, method: Method) -> S:
    return settings


def _as_searched(settings: S) -> S:
    return settings


# ------------------------------------------------------------------ the task


@dataclass(frozen=True)
class Task(Generic[S]):
    """A network with its data that can be searched, under a name for run folders and figures.

    settings: the frozen dataclass of the network's settings, the table [network] of a TOML file; every one has a
    default. form and audited are needed where one form of the network cannot answer everything. presets: a folder of
    TOML files, each a preset named by its stem, with the tables [network] and [search].
    Raises: ValueError if the name cannot name a folder.

    >>> from nas.spaces import nasbench201
    >>> from nas.tasks.cifar10.network import Settings, build
    >>> task = Task("cells", Settings, lambda settings: nasbench201.cell_space(settings.zero), build)
    >>> task.space(Settings(zero=True)).shape  # E edges, K operations
    (6, 5)
    """

    name: str
    settings: type[S]
    space: SpaceOf[S]
    build: Build[S]
    form: Form[S] = _as_given
    audited: Audited[S] = _as_searched
    evaluate: Evaluate[S] | None = None
    measure: Measure[S] | None = None
    presets: Path | None = None
    export: Export[S] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise ValueError(f"a task's name names a folder: letters, digits, - and _, not {self.name!r}")

    def fits(self, settings: S, method: Method) -> bool:
        """Whether the network with these settings serves the method as it is."""
        return self.form(settings, method) == settings

    def known_presets(self) -> dict[str, Path]:
        """The presets' files by name."""
        files = [] if self.presets is None else sorted(self.presets.glob("*.toml"))
        return {file.stem: file for file in files}
