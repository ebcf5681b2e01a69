"""How does an experiment with a known answer run, from its settings to a finished run folder with its figures?"""

import platform
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path

from nas.judging import style
from nas.running import runs
from nas.tasks.task import never
from simulate import plot, prices, report, study, toy
from simulate.run import Setting
from simulate.study import StudySettings
from simulate.toy import ToySettings


def toy_in(
    root: Path,
    settings: ToySettings,
    seed: int = 0,
    device: str = "cpu",
    tell: Callable[[str], None] = print,
    stopped: Callable[[], bool] = never,
) -> Path | None:
    """Run the toy regression, or go on with it, and draw it. Returns: its run folder, with toy.svg and toy.png.

    Args: root, where run folders go; tell, hears what is begun; stopped, asked all the time: when true, None is
    returned, and the same call goes on. Raises: RunError if it is finished already.
    """
    folder = runs.folder_of(root, "toy", settings, seed)
    with runs.open_run(folder, settings, device) as run:
        tell(f"{'resuming' if run.resumed else 'running'} {settings.trials} trials in {folder}")
        result = toy.run_toy(settings, run, seed, device, stopped)
        if result is None:
            return None
        figure = plot.toy_figure(
            toy.curves(runs.records(folder)), min(settings.block, settings.trials), machine_of(device)
        )
        style.save(figure, folder / "toy")
        run.finish(result)
    return folder


def study_in(
    root: Path,
    settings: StudySettings,
    cells: list[Setting],
    executor: Callable[[], AbstractContextManager[Executor]],
    tell: Callable[[str], None] = print,
    stopped: Callable[[], bool] = never,
) -> Path | None:
    """Run the cells of a study that are not finished, and write its page. Returns: its run folder, with report.html.

    Args: executor, makes one (`nas.running.pool`); stopped, asked all the time: when true, None is returned, and the
    same call goes on. Raises: RunError if it is finished already, or cannot be.
    """
    folder = study_folder(root, settings)
    with runs.open_run(folder, settings) as run:
        tell(f"{len(cells)} cells, {sum(map(study.work, cells)):,} replicate-steps in {folder}")
        result = study.run_study(cells, settings.machine, run, executor, stopped)
        if result is None:
            return None
        prices.write(folder, cells, tell)
        report.write(folder)
        run.finish(result)
    return folder


def study_folder(root: Path, settings: StudySettings) -> Path:
    """The run folder of a study."""
    return runs.folder_of(root, settings.name, settings, 0)


def machine_of(device: str) -> str:
    """What a figure's axis of seconds says of the machine."""
    if device == "cpu":
        return f"{platform.machine()} CPU"
    import torch

    return torch.cuda.get_device_name()
