"""How fast do the methods find the teacher of the toy regression? Figure of Sato et al. (2021), any number of trials.

Every trial has its own frozen weights, teacher and minibatches; within a trial all methods see the same minibatches.
Every tenth iteration the loss at each method's derived architecture is taken on a fresh minibatch.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from nas import methods, optimisers, policy, step
from nas.judging.statistics import median_interval, quartiles, wilson_interval
from nas.methods import PAPER_METHODS, Method
from nas.optimisers import Optimiser
from nas.running import config, plugins, runs
from nas.running.runs import Run, RunError
from nas.step import State
from simulate import regression
from theory.streams import stream

SHOWN = 600  # iterations on the published figure's axis


@dataclass(frozen=True)
class NetworkSettings:
    """The regression's size: edges x candidates, inputs a minibatch."""

    edges: int = 10
    candidates: int = 10
    batch: int = 100

    def __post_init__(self) -> None:
        config.within(self, edges=(1, 4096), candidates=(1, 4096), batch=(1, 1 << 16))


@dataclass(frozen=True)
class MethodSettings:
    """Adam on the logits. horizon: the iterations over which temperatures are lowered, also when a run is shorter."""

    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    start: float = 1.0
    horizon: int = 2000

    def __post_init__(self) -> None:
        config.within(self, horizon=(1, 1 << 40))
        if not (0 <= self.rate < math.inf and math.isfinite(self.start)):
            raise ValueError(f"rate must be finite and not negative, start finite, not {self.rate}, {self.start}")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"need 0 <= beta1, beta2 < 1, not {self.beta1}, {self.beta2}")


@dataclass(frozen=True)
class ToySettings:
    """The published setting. block: how many trials run side by side; it changes memory and time, not what is drawn."""

    trials: int = 10
    iterations: int = 2000
    methods: tuple[str, ...] = PAPER_METHODS
    record_every: int = 10
    block: int = 10
    network: NetworkSettings = field(default_factory=NetworkSettings)
    method: MethodSettings = field(default_factory=MethodSettings)

    def __post_init__(self) -> None:
        config.within(self, trials=(1, 1 << 20), iterations=(1, 1 << 40), record_every=(1, 1 << 40), block=(1, 1 << 20))
        if twice := [name for name in self.methods if self.methods.count(name) > 1]:
            raise ValueError(f"setting methods names {twice[0]} twice")
        if not self.methods:
            raise ValueError(f"setting methods is empty; known: {', '.join(methods.METHODS)}")
        for name in self.methods:
            if not plugins.is_own(name):  # reading a run must not load a user's module: `check` does
                _find(name)


def check(settings: ToySettings) -> None:
    """Raises: ValueError if a method of the settings cannot be loaded; known before a run folder is made."""
    for name in settings.methods:
        _find(name)


def _find(name: str) -> Method:
    found = methods.find(name)
    methods.check_landscape(found)
    return found


def run_toy(
    settings: ToySettings, run: Run, seed: int, device: str = "cpu", stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """Run all trials, block by block, recording into the run folder; finished blocks are kept on a resume.

    Args: stopped, asked after every iteration. Returns: the result, for `Run.finish` once the figure is drawn, or None
    if stopped: the block that was under way is run again.
    """
    done = int(run.restore()[1]["trials"]) if run.resumed else 0
    if not run.resumed:
        run.checkpoint({}, {"trials": 0})
    with tqdm(total=settings.trials * settings.iterations, disable=None, unit="step") as bar, torch.no_grad():
        bar.update(done * settings.iterations)
        for first in range(done, settings.trials, settings.block):
            trials = range(first, min(first + settings.block, settings.trials))
            if not _run_block(settings, run, seed, trials, device, bar, stopped):
                return None
            run.checkpoint({}, {"trials": trials.stop})
    return {"seed": seed, **summary(settings, curves(runs.records(run.folder)))}


# ------------------------------------------------------------------ one block of trials


def _run_block(
    settings: ToySettings, run: Run, seed: int, trials: range, device: str, bar: Any, stopped: Callable[[], bool]
) -> bool:
    """Returns: whether the block came to its end; False if stopped."""
    network, method = settings.network, settings.method
    cells = regression.cells(seed, trials, network.edges, network.candidates, device)
    optimiser = optimisers.adam(method.beta1, method.beta2)
    logits = torch.full_like(cells.teacher, method.start)
    runners = {name: _Runner(methods.find(name), optimiser, logits) for name in settings.methods}
    for iteration in range(settings.iterations + 1):
        if iteration % settings.record_every == 0 or iteration == settings.iterations:
            fresh = regression.minibatch(cells, _inputs("evaluate", settings, seed, trials, iteration, device))
            for name, runner in runners.items():
                run.record(_record(iteration, trials, name, runner, fresh))
        if stopped():
            return False
        if iteration == settings.iterations:
            break
        problem = regression.minibatch(cells, _inputs("search", settings, seed, trials, iteration, device))
        for name, runner in runners.items():
            shape = step.noise_shape(runner.method, network.edges, network.candidates)
            uniforms = _uniforms((seed, name), shape, trials, iteration, device)
            runner.advance(problem, uniforms, method.rate, min(1.0, iteration / method.horizon))
        bar.update(len(trials))
    return True


class _Runner:
    """One method on a block of trials: its state and the seconds its steps have taken."""

    def __init__(self, method: Method, optimiser: Optimiser, logits: Tensor) -> None:
        self.method, self.optimiser = method, optimiser
        self.state: State = step.start(method, optimiser, logits)
        self.seconds = 0.0

    def advance(self, problem: regression.Regression, uniforms: Tensor, rate: float, progress: float) -> None:
        _synchronise(uniforms)
        clock = time.perf_counter()
        self.state, _ = step.architecture_step(
            self.method, self.optimiser, self.state, problem, uniforms, rate, progress
        )
        _synchronise(uniforms)
        self.seconds += time.perf_counter() - clock


def _record(iteration: int, trials: range, name: str, runner: _Runner, fresh: regression.Regression) -> dict[str, Any]:
    derived = step.architecture(runner.method, runner.state)
    loss = fresh.loss(derived)
    if not bool(torch.isfinite(loss).all()):
        raise RunError(f"{name}: the loss is not finite at iteration {iteration}; lower method.rate")
    if bool(runner.state.logits.isnan().any()):
        raise RunError(f"estimator {name}: the logits are not numbers at iteration {iteration}")
    return {
        "iteration": iteration,
        "method": name,
        "first_trial": trials.start,
        "seconds": round(runner.seconds, 5),
        "loss": loss.tolist(),
        "teacher_edges": (derived * fresh.cells.teacher).sum(dim=(-1, -2)).tolist(),
        "entropy": policy.entropy(step.probabilities(runner.method, runner.state)).sum(dim=-1).tolist(),
    }


def _inputs(purpose: str, settings: ToySettings, seed: int, trials: range, iteration: int, device: str) -> Tensor:
    """Inputs uniform on (-1, 1), (T, 13, 13, B)."""
    shape = (regression.INPUT, regression.INPUT, settings.network.batch)
    return 2 * _uniforms((seed, purpose), shape, trials, iteration, device) - 1


def _uniforms(key: tuple[int, str], shape: tuple[int, ...], trials: range, iteration: int, device: str) -> Tensor:
    draws = [stream(*key, trial, iteration).random(shape, dtype=np.float32) for trial in trials]
    return torch.from_numpy(np.stack(draws)).to(device)


def _synchronise(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


# ------------------------------------------------------------------ what came out


@dataclass(frozen=True)
class Curves:
    """Records of one method: iterations (P,), seconds a block (P,), loss and teacher_edges (trials, P)."""

    iterations: np.ndarray[Any, Any]
    seconds: np.ndarray[Any, Any]
    loss: np.ndarray[Any, Any]
    teacher_edges: np.ndarray[Any, Any]
    entropy: np.ndarray[Any, Any]


def curves(records: Sequence[dict[str, Any]]) -> dict[str, Curves]:
    """Records of a run, by method. seconds: the mean over blocks, for one block of trials."""
    found: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for record in records:
        found.setdefault(record["method"], {}).setdefault(record["iteration"], []).append(record)
    return {
        name: Curves(
            np.array(list(points)),
            np.array([statistics.fmean(record["seconds"] for record in blocks) for blocks in points.values()]),
            *(
                np.array([[value for record in blocks for value in record[key]] for blocks in points.values()]).T
                for key in ("loss", "teacher_edges", "entropy")
            ),
        )
        for name, points in found.items()
    }


def summary(settings: ToySettings, curves: Mapping[str, Curves]) -> dict[str, Any]:
    """Medians of 100 x loss per method with quartiles and 95 % intervals, and AdvantageNAS beside each other method."""
    result: dict[str, Any] = {"trials": settings.trials, "iterations": settings.iterations, "methods": {}}
    for name, curve in curves.items():
        early = curve.iterations <= SHOWN
        result["methods"][name] = {
            "propagation": methods.METHODS[name].propagation if name in methods.METHODS else "its own",
            f"loss100_mean_to_{SHOWN}": _spread(100 * curve.loss[:, early].mean(axis=1)),
            f"loss100_at_{int(curve.iterations[early][-1])}": _spread(100 * curve.loss[:, early][:, -1]),
            "loss100_at_end": _spread(100 * curve.loss[:, -1]),
            "teacher_edges_at_end": round(float(curve.teacher_edges[:, -1].mean()), 3),
            "seconds_per_iteration": round(float(curve.seconds[-1]) / settings.iterations, 6),
            "trials_at_once": min(settings.block, settings.trials),
        }
    if "advantage" in curves:
        result["advantage_beside"] = {name: beside(curves, name) for name in curves if name != "advantage"}
    return result


def beside(curves: Mapping[str, Curves], other: str) -> dict[str, Any]:
    """In what share of trials does AdvantageNAS have the lower mean loss: over 600 iterations, and over their time?

    Trials are paired: both methods see the same weights, teacher and minibatches. A tie counts half a win. Time is that
    of AdvantageNAS's own 600 iterations. Returns: shares with Wilson's 95 % interval.
    """
    ours, theirs = curves["advantage"], curves[other]
    early = ours.iterations <= SHOWN
    own = ours.loss[:, early].mean(axis=1)
    in_time = theirs.seconds <= ours.seconds[early][-1]
    found = {}
    for name, shown in (("iterations", theirs.iterations <= SHOWN), ("seconds", in_time)):
        lower = theirs.loss[:, shown].mean(axis=1) - own
        wins = wilson_interval((lower > 0).sum() + (lower == 0).sum() / 2, len(lower))
        found[f"lower_at_equal_{name}"] = {
            "share": round(wins.value, 4),
            "interval": [round(wins.lower, 4), round(wins.upper, 4)],
            "verdict": "AdvantageNAS" if wins.lower > 0.5 else other if wins.upper < 0.5 else "undecided",
        }
    return found


def rows(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """The summary as a table, one row a method; quartiles after medians, 95 % intervals after shares."""

    def spread(found: Mapping[str, Any]) -> str:
        return f"{found['median']:.3f} [{found['lower']:.3f}, {found['upper']:.3f}]"

    table = []
    for name, row in result["methods"].items():
        beside_it = result.get("advantage_beside", {}).get(name, {})
        line = {
            "method": methods.label(name),
            "propagation": row["propagation"],
            f"100 x loss, mean to {SHOWN}": spread(row[f"loss100_mean_to_{SHOWN}"]),
            "at the end": spread(row["loss100_at_end"]),
            "teacher edges": f"{row['teacher_edges_at_end']:.2f}",
        }
        for kind in ("iterations", "seconds"):
            wins = beside_it.get(f"lower_at_equal_{kind}")
            told = f"{wins['share']:.2f} [{wins['interval'][0]:.2f}, {wins['interval'][1]:.2f}]" if wins else ""
            line[f"AdvantageNAS lower, equal {kind}"] = told
        table.append(line)
    return table


def table(result: Mapping[str, Any]) -> str:
    """The result as text, best at the last iteration first."""
    lines = [f"{'method':<22}{'propagation':<13}{'100 x loss at the end':>24}{'teacher edges':>15}{'ms/iteration':>14}"]
    for name, row in sorted(result["methods"].items(), key=lambda item: float(item[1]["loss100_at_end"]["median"])):
        end = row["loss100_at_end"]
        loss = f"{end['median']:.4f} [{end['lower']:.4f}, {end['upper']:.4f}]"
        milliseconds = 1000 * row["seconds_per_iteration"]
        lines.append(
            f"{name:<22}{row['propagation']:<13}{loss:>24}{row['teacher_edges_at_end']:>15.2f}{milliseconds:>14.2f}"
        )
    for name, row in result.get("advantage_beside", {}).items():
        for kind in ("iterations", "seconds"):
            wins = row[f"lower_at_equal_{kind}"]
            low, high = wins["interval"]
            lines.append(
                f"AdvantageNAS lower than {name} at equal {kind}: {wins['share']:.2f} of trials [{low:.2f}, {high:.2f}]"
            )
    return "\n".join([*lines, f"median [quartiles] of {result['trials']} trials, {result['iterations']} iterations"])


def _spread(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Median, quartiles, and the median's 95 % interval."""
    low, middle, high = quartiles(values)
    sure = median_interval(values)
    return {
        "median": round(float(middle), 5),
        "lower": round(float(low), 5),
        "upper": round(float(high), 5),
        "interval": [round(sure.lower, 5), round(sure.upper, 5)],
    }
