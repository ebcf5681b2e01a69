"""A step's seconds: measured on the network that it says, of the work alone, and read back or refused in a line."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.running import plugins
from nas.running.runs import RunError
from simulate import prices, regression
from simulate.prices import Price
from simulate.run import Setting
from theory.streams import stream


def test_every_kind_of_step_has_a_price_once() -> None:
    """Sparse, dense, with samples, with further passes, without a gradient; what costs the same is one."""
    kinds = [("advantage", 1), ("advantage", 3), ("darts", 1), ("exact_advantage", 1), ("random", 1), ("rebar", 1)]
    asked = [Setting(method=name, samples=samples, edges=2, candidates=3) for name, samples in kinds]
    found = prices.measured([*asked, Setting(edges=2, candidates=3, rate=0.5)])
    assert [price.key for price in found] == [(name, 2, 3, samples) for name, samples in kinds]
    assert all(0 < price.lower <= price.seconds <= price.upper and price.rounds >= prices.ENOUGH for price in found)


def test_what_no_network_serves_has_none() -> None:
    assert prices.measured([Setting(method="exact"), Setting(edges=40, candidates=40)]) == []


def steady(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    return (gates * gate_gradient).sum(axis=-1)[..., None] * (gates - probabilities)


def large(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    if gates.shape[-2] > 1:
        raise RuntimeError("a table of one edge\nis all that I have")
    return steady(probabilities, gates, gate_gradient)


def test_a_method_of_ones_own_that_fails_is_named_with_the_reason(tmp_path: Path) -> None:
    """In one line, where another size of it and another method of one's own have their price."""
    said: list[str] = []
    mine, failing = f"{__name__}:steady", f"{__name__}:large"
    asked = [(mine, 2, 1), (failing, 1, 1), (failing, 2, 1), (failing, 2, 2)]
    with plugins.allowing([__name__]):
        prices.write(tmp_path, [Setting(method=m, edges=e, candidates=2, samples=s) for m, e, s in asked], said.append)
    assert list(prices.read(tmp_path)) == [(mine, 2, 2, 1), (failing, 1, 2, 1)]
    assert said == [
        f"no seconds for {failing} (2 edges of 2 operations{samples}): its step fails on the toy regression, "
        "in float32 of torch, with RuntimeError: a table of one edge is all that I have"
        for samples in ("", ", 2 samples")
    ]


def test_seconds_are_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a busy machine is no work: a clock that stands still but for work, and one that runs ahead."""
    work, waited = itertools.count(), itertools.count(step=20)
    monkeypatch.setattr(time, "thread_time", lambda: float(next(work)))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(waited)))
    (price,) = prices.measured([Setting(edges=2, candidates=2)])
    assert (price.seconds, price.lower, price.upper) == (1, 1, 1)
    assert price.rounds == prices.ENOUGH  # patience is of the clock on the wall


@pytest.mark.parametrize(("pace", "rounds"), [(0, 15), (10, 6), (11, 5)])
def test_after_ten_seconds_five_measurements_must_do(pace: int, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is asked from the sixth on: 10 s after the beginning is not too late yet. One call is not measured."""
    calls: list[int] = []
    clock = itertools.count(7, pace) if pace else itertools.repeat(7)
    monkeypatch.setattr(prices, "_step", lambda *_: lambda: calls.append(1))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    (price,) = prices.measured([Setting(edges=2, candidates=2)])
    assert (price.rounds, len(calls)) == (rounds, rounds + 1)


def test_one_thread_is_taken_and_as_many_as_before_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    with prices._one_thread():
        assert asked == [1]
    assert asked == [1, torch.get_num_threads()]


def test_the_largest_network_that_is_timed() -> None:
    assert callable(prices._step("advantage", 32, 32, 1))
    with pytest.raises(ValueError, match="1025 operations, where at most 1024 are timed"):
        prices._step("advantage", 25, 41, 1)


def test_the_step_that_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 1,000 inputs uniform on [-1, 1) from the equal policy, halfway; the same numbers on every machine."""
    taken: list[Any] = []
    monkeypatch.setattr(prices.step, "architecture_step", lambda *given, **more: taken.append((given, more)))
    prices._step("reinforce", 2, 3, 4)()
    (((method, _, state, problem, uniforms, rate, progress), more),) = taken
    assert (method.name, rate, progress, more) == ("reinforce", 0.01, 0.5, {"samples": 4})
    assert torch.equal(state.logits, torch.zeros(1, 2, 3))
    random = stream(0, "prices")
    inputs = torch.from_numpy(2 * random.random((1, 13, 13, 1000), dtype=np.float32) - 1)
    same = regression.minibatch(regression.cells(0, [0], 2, 3), inputs)
    assert torch.equal(problem.patches, same.patches)
    assert torch.equal(problem.target, same.target)
    assert torch.equal(uniforms, torch.from_numpy(random.random((1, 4, 2), dtype=np.float32)))


def test_why_a_file_is_damaged_is_said_in_short(tmp_path: Path) -> None:
    (tmp_path / prices.FILE).write_text("{}")
    with pytest.raises(RunError, match=r"damaged \('steps'\); delete it"):
        prices.read(tmp_path)
    (tmp_path / prices.FILE).write_text(json.dumps({"steps": [{"long" * 100: 1}]}))
    with pytest.raises(RunError, match=r"damaged \(.{200}\); delete it"):
        prices.read(tmp_path)


def test_written_and_read(tmp_path: Path) -> None:
    assert prices.read(tmp_path) == {}  # an older study
    prices.write(tmp_path, [Setting(edges=2, candidates=2)])
    ((key, price),) = prices.read(tmp_path).items()
    assert key == price.key == ("advantage", 2, 2, 1)
    assert json.loads((tmp_path / prices.FILE).read_text())["about"]["machine"] in price.machine
    text = (tmp_path / prices.FILE).read_text()
    assert text.startswith('{\n "about": {')
    assert text.endswith("\n}\n")
    (tmp_path / prices.FILE).write_text('{"steps": [{"method": "advantage"}]}')
    with pytest.raises(RunError, match="delete it: without it a report has no seconds"):
        prices.read(tmp_path)


def test_a_price_of_another_size_is_not_taken() -> None:
    price = Price("advantage", 2, 2, 1, 0.1, 0.1, 0.1, 15, "some CPU")
    assert price.key == prices.key_of(Setting(edges=2, candidates=2))
    assert price.key != prices.key_of(Setting(edges=2, candidates=2, samples=2))
