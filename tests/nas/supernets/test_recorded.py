"""Recording and replaying on a pretended CUDA: a replay is the recorded work again, on what its inputs hold by then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.supernets.recorded import Recorder


class Pretended:
    """Streams and graphs that write down what they are told, and work that a replay does again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.total = torch.zeros(1)
        self.on = "main"
        self.again: Any = None
        told = self.told

        class Stream:
            def __init__(self, name: str = "side") -> None:
                self.name = name

            def wait_stream(self, other: Any) -> None:
                told.append(f"{self.name} waits for {other.name}")

        for name, part in (
            ("Stream", Stream),
            ("current_stream", lambda: Stream("main")),
            ("stream", lambda stream: self.entered(stream.name)),
            ("CUDAGraph", lambda: self),
            ("graph", lambda graph: self.entered("graph")),
        ):
            monkeypatch.setattr(torch.cuda, name, part)

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        self.on = name
        yield
        self.on = "main"

    def work(self, number: Tensor) -> tuple[Tensor, ...]:
        """Adds a number to the total and answers with twice the total."""
        self.told.append(f"work on {self.on}")
        self.total += number
        answer = 2 * self.total
        if self.on == "graph":
            self.again = lambda: answer.copy_(2 * self.total.add_(number))
        return (answer,)

    def replay(self) -> None:
        self.told.append("replay")
        self.again()


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return Pretended(monkeypatch)


def test_what_is_recorded_is_undone_and_then_replayed_at_every_call(pretended: Pretended) -> None:
    recorder = Recorder("cuda:0", (pretended.total,))
    step = recorder.replayed("add", pretended.work)
    assert pretended.told == []
    (first,) = step(torch.tensor([2.0]))
    # Three times beforehand on a stream of their own, as PyTorch's documentation does.
    runs, waits = ["work on side"] * 3, ("side waits for main", "main waits for side")
    assert pretended.told == [waits[0], *runs, waits[1], "work on graph", "replay"]
    assert (first.item(), pretended.total.item()) == (4, 2)
    (second,) = step(torch.tensor([3.0]))
    assert pretended.told[6:] == ["replay", "replay"]
    assert (second.item(), pretended.total.item()) == (10, 5)
    assert first.item() == 4  # an answer is not changed by the next


def test_a_name_has_one_recording_and_on_the_cpu_there_is_none(pretended: Pretended) -> None:
    recorder = Recorder("cuda", ())
    assert recorder.replayed("add", pretended.work) is recorder.replayed("add", pretended.work)
    assert recorder.replayed("other", pretended.work) is not recorder.replayed("add", pretended.work)
    work = pretended.work
    assert Recorder("cpu", ()).replayed("add", work) is work
