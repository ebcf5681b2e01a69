"""How does a question become a grid of runs, in parallel, that survives being killed?

A study is a TOML file: `[base]` holds settings (`simulate.run.Setting`), `[grid]` lists of values to combine, and
`[[cases]]`, if any, tables of settings that belong together (a method with its optimiser); the cells are base x cases
x grid. Each finished cell is one Parquet file in the run folder, written whole or not at all, one row a record: start
the same study again and only the missing cells run. Workers return their records to the parent, which writes them, so
a cluster needs no common disk. Any executor of `concurrent.futures` will do; Dask's is used for `--scheduler`.
"""

import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from nas.running import config, plugins, runs
from nas.running.files import parse_json
from nas.running.pool import DEATHS, lost
from nas.running.runs import Run, RunError
from simulate import prices
from simulate.prices import Price
from simulate.run import Machine, Setting, check_method, problem_of, record_steps, simulate, try_estimator
from theory.landscapes import UNKNOWN, Truth

VERSION = "advantage-nas records 1"
LARGEST = 10_000  # cells; more is a mistake in the grid, or several studies
ATTENTION = 1.0  # seconds after which a study that is asked to stop does


@dataclass(frozen=True)
class StudySettings:
    """A study file.

    - name: of the folder of its runs.
    - about: the question, in a sentence; it heads the report.
    - base: settings that all cells have.
    - grid: lists of values to combine.
    - cases: tables of settings that belong together, such as a method with its optimiser.
    - machine: where to compute.

    >>> StudySettings(name="rates", grid={"rate": [0.01, 0.1]}).machine.dtype
    'float64'
    """

    name: str = "study"
    about: str = ""
    base: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)
    machine: Machine = field(default_factory=lambda: Machine(dtype="float64", chunk=2048))

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"setting name: {self.name!r} must be letters, digits and underscores")


def bundled() -> dict[str, Path]:
    """The studies that come with the toolkit: name -> file."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "studies").glob("*.toml"))}


def find(word: Path) -> Path:
    """The study file at a path or, where there is none, the toolkit's study of that name.

    Raises: ValueError in one line, with the known names, for a word that is neither.
    """
    if word.exists() or not str(word).isidentifier():
        return word
    if (name := str(word)) not in bundled():
        raise ValueError(f"no study {name!r}: neither a file, nor one of {', '.join(bundled())}")
    return bundled()[name]


def about(file: Path) -> str:
    """The question of a study file, whose landscapes need not be at hand."""
    return config.load(StudySettings, file).about


def load(file: Path) -> StudySettings:
    """A study file, its cells checked. Raises: ValueError in one line: the file and the first setting that is wrong."""
    try:
        settings = config.load(StudySettings, file)
        cells(settings)
    except ValueError as error:
        raise ValueError(f"study {file}: {error}") from error
    return settings


def cells(settings: StudySettings) -> list[Setting]:
    """All cells of the grid, checked. Raises: ValueError if there are none, too many, or a setting is wrong.

    >>> [(cell.method, cell.rate) for cell in cells(StudySettings(grid={"method": ["advantage"], "rate": [0.1, 1.0]}))]
    [('advantage', 0.1), ('advantage', 1.0)]
    """
    count = len(settings.cases or [{}])
    for name, values in settings.grid.items():
        if not values:
            raise ValueError(f"grid.{name} is empty, so the grid has no cells")
        if name in settings.base or any(name in case for case in settings.cases):
            raise ValueError(f"{name} is in the grid and in base or cases; keep one")
        count *= len(values)
    if count > LARGEST:
        raise ValueError(f"the grid has {count:,} cells, more than {LARGEST:,}: split the study")
    checked, named = [], set()
    for case in settings.cases or [{}]:
        for chosen in itertools.product(*settings.grid.values()):
            setting = {**settings.base, **case, **dict(zip(settings.grid, chosen, strict=True))}
            cell = config.load(Setting, base=setting)
            if (name := repr(cell)) in named:
                raise ValueError(f"a cell of {cell.method} on {cell.landscape} is there twice ({chosen}); keep one")
            check_method(cell)
            _check_memory(cell, settings.machine)
            problem_of(cell)
            named.add(name)
            checked.append(cell)
    for cell in {cell.method: cell for cell in checked if plugins.is_own(cell.method)}.values():
        try_estimator(cell, dataclasses.replace(settings.machine, device="cpu"))
    return checked


def _check_memory(cell: Setting, machine: Machine) -> None:
    """Logits, the optimiser's moments and the gates of every sample: a chunk holds more."""
    rows = min(machine.chunk, cell.replicates)
    numbers = rows * cell.edges * cell.candidates * (3 + cell.samples)
    what = f"{rows} replicates at once of {cell.edges} edges with {cell.candidates} candidates"
    config.fits(what, numbers * np.dtype(machine.dtype).itemsize)


# ------------------------------------------------------------------ running


def run_study(
    cells: list[Setting],
    machine: Machine,
    run: Run,
    pool: Callable[[], contextlib.AbstractContextManager[Executor]],
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Run the cells that are not finished yet.

    Args: pool, makes an executor; asked again when one loses its workers, at most `DEATHS` times; stopped, asked all
    the time: when true, cells that are under way are given up, and None is returned.
    A finished cell that is damaged is kept aside and computed again; this is known before any other cell is computed.
    Returns: the result, for `Run.finish`. Raises: RunError when workers keep dying, or a cell fails, naming it;
    finished cells are kept.
    """
    folder = run.folder / "cells"
    folder.mkdir(exist_ok=True)
    named = {file_name(cell): cell for cell in cells}
    todo = {name: cell for name, cell in named.items() if not _whole(folder / name)}
    deaths = 0
    total = sum(work(cell) for cell in cells)
    done = total - sum(work(cell) for cell in todo.values())
    with tqdm(total=total, initial=done, disable=None, unit="replicate-step", unit_scale=True) as bar:
        while todo:
            broken = _one_pool(todo, machine, folder, pool, bar, stopped)
            if todo and stopped():
                return None
            deaths += broken is not None
            if deaths > DEATHS:
                raise RunError(
                    f"workers died {deaths} times; {len(todo)} cells are left, the others are kept"
                ) from broken
            if broken is not None:
                bar.write(f"a worker died; {len(cells) - len(todo)} cells are kept, {len(todo)} go on")
    return {"cells": len(cells), "replicate_steps": total, "version": VERSION}


def _one_pool(
    todo: dict[str, Setting],
    machine: Machine,
    folder: Path,
    pool: Callable[[], contextlib.AbstractContextManager[Executor]],
    bar: Any,
    stopped: Callable[[], bool],
) -> Exception | None:
    """Run what is to do on one executor, taking it off `todo` as it is written. Returns what killed the executor."""
    broken: Exception | None = None
    failed: dict[str, Exception] = {}
    try:
        with pool() as executor:
            waiting = {executor.submit(run_cell, cell, machine, plugins.allowed()): name for name, cell in todo.items()}
            for future in _completed(waiting, stopped):
                name = waiting[future]
                try:
                    content = future.result()
                except Exception as error:  # others may have finished before: go on collecting
                    if lost(error):
                        broken = error
                    else:
                        failed[name] = error
                    continue
                runs.write_atomically(folder / name, content)
                bar.update(work(todo.pop(name)))
    except _Stopped:
        return None
    except BrokenExecutor as error:
        broken = error
    for name, why in failed.items():
        raise RunError(f"cell {name} failed, what others found is kept: {type(why).__name__}: {why}") from why
    return broken


class _Stopped(Exception):
    """Leaves an executor's block, so that it ends what its workers do."""


def _completed(futures: Iterable[Future[bytes]], stopped: Callable[[], bool]) -> Iterator[Future[bytes]]:
    """Futures as they complete. Raises: _Stopped when asked to stop before all have."""
    waiting = set(futures)
    while waiting:
        with contextlib.suppress(TimeoutError):
            for future in as_completed(waiting, timeout=ATTENTION):
                waiting.discard(future)
                yield future
                if waiting and stopped():
                    raise _Stopped
        if waiting and stopped():
            raise _Stopped


def run_cell(cell: Setting, machine: Machine, allowed: tuple[str, ...] = ()) -> bytes:
    """One cell as the bytes of a Parquet file. allowed: modules of the user's own that this process may load."""
    import torch

    plugins.allow(*allowed)
    torch.set_num_threads(1)  # a cluster's workers are not begun by `nas.running.pool`
    trace = simulate(cell, machine)
    points, replicates = trace.values["expected_loss"].shape
    columns: dict[str, Any] = {
        "step": np.repeat(trace.steps, replicates),
        "replicate": np.tile(np.arange(replicates), points),
    }
    columns |= {
        # Regrets are differences of J: what is left of them must not be the rounding of J.
        name: values.astype(np.float64 if name == "expected_loss" else np.float32).ravel()
        for name, values in trace.values.items()
    }
    truth = problem_of(cell).truth
    known = {"optimum": truth.optimum, "min_loss": float(truth.min_loss), "max_loss": float(truth.max_loss)}
    facts = {"setting": dataclasses.asdict(cell), "truth": known}
    about = {name.encode(): json.dumps(fact, default=int).encode() for name, fact in facts.items()}
    about[b"version"] = VERSION.encode()
    buffer = io.BytesIO()
    about[b"sha256"] = _digest(columns, about)
    table = pa.table(columns).replace_schema_metadata(about)
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


# ------------------------------------------------------------------ reading


@dataclass(frozen=True)
class Cell:
    """One finished cell: its setting, the recorded steps (P,), and arrays (P, R) by name.

    seeds: those of its replicates; cells that differ in nothing else are one cell with the replicates of all. truth: of
    the landscape, as the worker knew it; None in older files. price: of a step, where it was measured.

    >>> Cell(Setting(), np.array([0]), {"entropy": np.ones((1, 2))}).values["entropy"].mean()
    np.float64(1.0)
    """

    setting: Setting
    steps: Any
    values: Mapping[str, Any]
    seeds: tuple[int, ...] = ()
    truth: Truth | None = None
    price: Price | None = None


def read(folder: Path) -> list[Cell]:
    """All finished cells of a study's run folder, in a fixed order.

    Raises: RunError if there are none, or a file is damaged or of another version.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:  # what `python -m simulate study` leaves there
    ...     cell = Setting(steps=20, replicates=3)
    ...     (Path(folder) / "cells").mkdir()
    ...     _ = (Path(folder) / "cells" / file_name(cell)).write_bytes(run_cell(cell, Machine("numpy")))
    ...     [found] = read(Path(folder))
    >>> found.setting == cell, found.values["entropy"].shape
    (True, (2, 3))
    """
    files = sorted((folder / "cells").glob("*.parquet"))
    if not files:
        raise RunError(f"no finished cells in {folder / 'cells'}; run the study first")
    pooled: dict[str, Cell] = {}
    for cell in map(_read_cell, files):
        same = config.digest(dataclasses.replace(cell.setting, seed=0))
        pooled[same] = _pooled(pooled[same], cell) if same in pooled else cell
    known = prices.read(folder)
    return [dataclasses.replace(cell, price=known.get(prices.key_of(cell.setting))) for cell in pooled.values()]


def _whole(file: Path) -> bool:
    """Whether a cell is there; one that is damaged is kept aside, said, and counts as missing."""
    if not file.exists():
        return False
    try:
        _read_cell(file)
    except RunError as error:
        file.replace(file.with_suffix(".damaged"))
        runs.say(f"{error.args[0].partition('; delete')[0]}; it is kept as {file.stem}.damaged, and computed again")
        return False
    return True


def truth_of(cell: Cell) -> Truth:
    """What is known of the cell's landscape; unknown in an older file of a user's own, which reading does not load."""
    if cell.truth is not None:
        return cell.truth
    return UNKNOWN if plugins.is_own(cell.setting.landscape) else problem_of(cell.setting).truth


def _pooled(one: Cell, other: Cell) -> Cell:
    values = {name: np.concatenate([one.values[name], other.values[name]], axis=1) for name in one.values}
    replicates = one.setting.replicates + other.setting.replicates
    setting = dataclasses.replace(one.setting, replicates=replicates)
    return Cell(setting, one.steps, values, (*one.seeds, *other.seeds), one.truth)


def _read_cell(file: Path) -> Cell:
    """One cell, every part of it checked. Raises: RunError: the file, and what is wrong with it."""
    try:
        return _checked(file)
    except RunError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError, RecursionError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise RunError(f"{file} is damaged ({why}); delete it and run the study again") from error


def _checked(file: Path) -> Cell:
    with pq.ParquetFile(file, page_checksum_verification=True) as opened:
        about = opened.schema_arrow.metadata or {}
        version = about.get(b"version", b"no version").decode("utf-8", errors="replace")
        if version != VERSION:
            raise RunError(f"{file} holds {version!r}, this program reads {VERSION!r}; run the study again")
        setting = config.load(Setting, base=parse_json(about[b"setting"], dict[str, Any], "its setting"))
        truth = None
        if b"truth" in about:
            truth = config.load(Truth, base=parse_json(about[b"truth"], dict[str, Any], "its truth"))
        rows = len(record_steps(setting)) * setting.replicates
        if opened.metadata.num_rows != rows:  # known before any of them is in memory
            raise ValueError(f"it has {opened.metadata.num_rows} rows, not {rows}")
        table = opened.read()
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if b"sha256" in about and about[b"sha256"] != _digest(columns, about):
        raise ValueError("its digest is not that of what it holds")
    arrays = {name: column.reshape(-1, setting.replicates) for name, column in columns.items()}
    steps = arrays.pop("step")[:, 0]
    del arrays["replicate"]
    return Cell(setting, steps, arrays, (setting.seed,), truth)


def _digest(columns: Mapping[str, Any], about: Mapping[bytes, bytes]) -> bytes:
    """SHA-256 of all columns, and of the facts that stand beside them."""
    found = hashlib.sha256()
    for name in (b"version", b"setting", b"truth"):
        found.update(name + b"\0" + about.get(name, b"") + b"\0")
    for column, values in sorted(columns.items()):
        found.update(f"{column}\0{values.dtype}\0{len(values)}\0".encode())
        found.update(np.ascontiguousarray(values).data)
    return found.hexdigest().encode()


def file_name(cell: Setting) -> str:
    """The file of a cell: named by its settings, so that a changed cell is another file."""
    return f"{cell.method.replace(':', '.')}-{cell.landscape.replace(':', '.')}-{config.digest(cell)}.parquet"


def work(cell: Setting) -> int:
    """Replicate-steps of a cell, for progress."""
    return cell.replicates * cell.steps * cell.samples
