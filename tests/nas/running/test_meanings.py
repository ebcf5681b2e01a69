"""What is said of every setting: something, its default as --set takes it, its values; and nothing of what is none."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

import pytest

from nas import SearchSettings, tasks
from nas.__main__ import main
from nas.running import config, meanings
from nas.running.meanings import Row
from simulate.__main__ import main as simulate
from simulate.run import Machine, Setting
from simulate.study import StudySettings

NETWORKS = {name: tasks.find(name).settings for name in tasks.BUILT_IN}
ALL = [SearchSettings, *NETWORKS.values(), Setting, StudySettings, Machine]


@dataclass(frozen=True)
class Sample:
    """A sample.

    It has a head of two paragraphs.

    - size: how large it is,
      on two lines.
    - low, high: the ends.

    - kind: of it.
    >>> Sample(kind="odd").size
    3
    """

    kind: Literal["odd", "even"]
    size: int = 3
    low: float | None = None
    high: float = 1.0
    words: tuple[str, ...] = ()
    on: bool = True
    table: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize("settings", ALL, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_of_every_setting_something_is_said(settings: type) -> None:
    assert meanings.unsaid(settings) == []
    assert len(meanings.rows(settings)) == len(fields(settings)) > 4
    assert meanings.head(settings)


def test_control_an_unsaid_field_and_a_stale_name_are_seen() -> None:
    @dataclass
    class Stale:
        """- size: how large.
        - gone: what it was.
        """

        size: int = 3
        new: int = 4

    assert meanings.unsaid(Stale) == ["gone", "new"]
    assert [row.meaning for row in meanings.rows(Stale)] == ["how large.", ""]


def test_rows_by_hand() -> None:
    assert meanings.rows(Sample, "sample")[:4] == [
        Row("sample.kind", "odd | even", None, "of it."),
        Row("sample.size", "whole number", "3", "how large it is, on two lines."),
        Row("sample.low", "number or none", "none", "the ends."),
        Row("sample.high", "number", "1.0", "the ends."),
    ]
    assert [(row.name, row.kind, row.default) for row in meanings.rows(Sample)[4:]] == [
        ("words", "list of text", "[]"),
        ("on", "true | false", "true"),
        ("table", "table of anything", "{}"),
    ]
    assert meanings.head(Sample) == "A sample.\n\nIt has a head of two paragraphs."


@pytest.mark.parametrize("settings", ALL, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_shown_default_is_what_set_takes_and_changes_nothing(settings: type) -> None:
    shown = {row.name: row.default for row in meanings.rows(settings) if row.default}
    sets = [f"{name}={default}" for name, default in shown.items() if default != "{}"]
    assert len(sets) >= 2
    assert config.load(settings, sets=sets) == settings()
    assert all(field.default is not MISSING or field.default_factory is not MISSING for field in fields(settings))


def test_control_another_default_would_be_seen() -> None:
    assert config.load(SearchSettings, sets=["rate=0.0004"]) != SearchSettings()


@pytest.mark.parametrize("task", NETWORKS)
def test_the_command_shows_every_key_that_a_search_has(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", task, "--dry-run"]) == 0
    resolved = tomllib.loads(capsys.readouterr().out)
    assert main(["settings", task]) == 0
    said = capsys.readouterr().out
    keys = [f"{part}.{key}" for part in ("search", "network") for key in resolved[part]]
    assert len(keys) > 15
    assert [key for key in keys if f"\n  {key} = " not in said] == []
    assert "\n  search.derive = argmax " in said  # one that is not written at its default
    assert "network.lrr" not in said
    others = [name for name in NETWORKS if name != task]
    assert f"of the task {task}\n" in said
    assert not [name for name in others if f"of the task {name}\n" in said]
    assert main(["settings", "nope"]) == 2


def test_a_simulation_has_such_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(["settings"]) == 0
    said = capsys.readouterr().out
    assert [field.name for field in fields(Setting) if f"\n  {field.name} = " not in said] == []
    assert "\n  machine.chunk = 512 " in said
