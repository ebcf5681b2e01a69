"""Does the mutation tool find what it says? On a small module whose tests see some changes and miss others."""

import ast
import json
from pathlib import Path

import pytest

from tests import mutants

SOURCE = '''"""A module."""


def share(part, whole=1):
    """Never changed: a text."""
    if whole < 0:
        raise ValueError("negative")
    return part / whole
'''


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants.mutants("some/file.py", source)]


def test_the_changes_of_a_small_function() -> None:
    assert changes(SOURCE) == [
        "part, whole=1 -> part, whole=2",
        "whole < 0 -> whole <= 0",
        "whole < 0 -> whole >= 0",
        "whole < 0 -> whole < 1",
        "raise ValueError('negative') -> pass",
        "part / whole -> part * whole",
        "part / whole -> part",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = -a", ["-a -> a"]),
        ("x = a and not b", ["a and (not b) -> a or not b", "not b -> b"]),
        ("x = a if b else c", ["a if b else c -> a if not b else c"]),
        ("x = a.sum(axis=2)", ["a.sum(axis=2) -> a.prod(axis=2)", "a.sum(axis=2) -> a.sum(axis=3)"]),
        ("x = np.amin(a)", ["np.amin(a) -> np.amax(a)"]),
        ("check(a)", ["check(a) -> pass"]),
        ("x += a", ["x += a -> x -= a", "x += a -> pass"]),
        ("x: int = f('text', f'{a + 1}')", []),
    ],
)
def test_each_kind_of_change(line: str, expected: list[str]) -> None:
    assert changes(line) == expected


def test_a_change_leaves_everything_else_alone() -> None:
    tree = ast.parse("def f(a, b):\n    return a + b, a + b\n")
    found = mutants.mutants("f.py", ast.unparse(tree))
    assert [(m.change, m.occurrence) for m in found if m.change.endswith("a - b")] == [
        ("a + b -> a - b", 0),
        ("a + b -> a - b", 1),
    ]
    assert [ast.unparse(m.tree).splitlines()[1] for m in found if m.change.endswith("a - b")] == [
        "    return (a - b, a + b)",
        "    return (a + b, a - b)",
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module whose test never asks for a negative whole, nor for the default."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "__init__.py").write_text("")
    (tmp_path / "some" / "file.py").write_text(SOURCE)
    (tmp_path / "tests" / "some").mkdir(parents=True)
    (tmp_path / "tests" / "some" / "test_file.py").write_text(
        "import sys\nsys.path.insert(0, '.')\nfrom some.file import share\n\n"
        "def test_share():\n    assert share(6, 3) == 2\n    assert share(0, 5) == 0\n"
    )
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "EQUIVALENTS", tmp_path / "equivalent_mutants.toml")
    monkeypatch.setattr(mutants, "_load_libraries", lambda: None)
    return tmp_path


def test_survivors_are_named_and_equivalents_are_not_tried(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = project / "record.json"
    (project / "equivalent_mutants.toml").write_text(
        '[[equivalent]]\nfile = "some/file.py"\nfunction = "share"\nchange = "whole < 0 -> whole <= 0"\n'
        'reason = "of an example: a whole of zero is never asked for"\n'
    )
    assert mutants.main(["some/file.py", "--jobs", "1", "--json", str(record)]) == 1
    shown = capsys.readouterr().out
    assert "7 changes, 1 of them equivalent; trying 6 of 6" in shown
    assert "survived  some/file.py:7 in share: raise ValueError('negative') -> pass" in shown
    verdicts = {entry["change"]: entry["verdict"] for entry in json.loads(record.read_text())}
    assert verdicts == {
        "part, whole=1 -> part, whole=2": "passed",
        "whole < 0 -> whole >= 0": "failed",
        "whole < 0 -> whole < 1": "passed",
        "raise ValueError('negative') -> pass": "passed",
        "part / whole -> part * whole": "failed",
        "part / whole -> part": "failed",
    }


def test_a_sample_is_drawn_by_its_seed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for seed in ("1", "1", "2"):
        mutants.main(["some", "--sample", "3", "--seed", seed, "--list"])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]
    assert "trying 3 of 7" in shown[0]


def test_a_loop_without_end_is_noticed_by_its_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "GRACE", 1.0)
    endless = ast.parse("def share(part, whole=1):\n    while True:\n        pass\n")
    assert mutants.run(["tests/some/test_file.py"], ("some/file.py", endless), 1.0)[0] == "timeout"


def test_one_that_sleeps_for_ever_is_noticed_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "PATIENCE", 3)
    asleep = ast.parse("import time\ndef share(part, whole=1):\n    time.sleep(1000)\n")
    assert mutants.run(["tests/some/test_file.py"], ("some/file.py", asleep), 1.0)[0] == "timeout"


def test_refusals(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = '[[equivalent]]\nfile = "some/file.py"\nfunction = "share"\nchange = "a -> b"\n'
    (project / "equivalent_mutants.toml").write_text(entry + 'reason = "a change that is no more"\n')
    assert mutants.main(["some/file.py", "--list"]) == 1
    assert "stale entry" in capsys.readouterr().out
    (project / "equivalent_mutants.toml").write_text(entry)
    assert mutants.main(["some/file.py"]) == 2
    assert "has no reason" in capsys.readouterr().err
    (project / "equivalent_mutants.toml").unlink()
    assert mutants.main(["other"]) == 2
    assert "neither a source file nor a folder" in capsys.readouterr().err
    (project / "some" / "untested.py").write_text("x = 1 + 1\n")
    assert mutants.main(["some/untested.py"]) == 2
    assert "no test mirrors some/untested.py" in capsys.readouterr().err
    (project / "tests" / "some" / "test_file.py").write_text("def test():\n    assert False\n")
    assert mutants.main(["some/file.py"]) == 2
    assert "does not pass unchanged" in capsys.readouterr().err


def test_every_equivalent_still_fits_a_change() -> None:
    known = mutants.equivalents()
    for file in {key[0] for key in known}:
        keys = {m.key for m in mutants.mutants(file, (mutants.ROOT / file).read_text(encoding="utf-8"))}
        assert not [key for key in known if key[0] == file and key not in keys]
