"""Does the mutation tool find what it says? On a small module whose tests see some changes and miss others."""

import ast
import json
import re
import types
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
        ("x = a.reshape(-1, 2)", ["a.reshape(-1, 2) -> a.reshape(-1, 3)"]),
        ("x = zip(a, b, strict=True)", []),
        ("x = tqdm(a, leave=False)", []),
        ("@styled\ndef figure(a):\n    return a + 1", []),
    ],
)
def test_each_kind_of_change(line: str, expected: list[str]) -> None:
    assert changes(line) == expected


def test_a_test_of_one_claim_is_asked_for_its_file() -> None:
    others = [mutants._is_of_another_claim(f"test_it_holds[{name}]", "theory/claims/t1_monotone.py")
              for name in ("T1", "T1-control", "T2", "T11", "T2-T1")]  # fmt: skip
    assert others == [False, False, True, True, False]
    assert not mutants._is_of_another_claim("test_by_hand", "theory/claims/t1_monotone.py")
    assert not mutants._is_of_another_claim("test_it_holds[T2]", "theory/exact.py")


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
    assert {entry["change"]: entry["verdict"] for entry in entries(record)} == {
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


def entries(record: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in record.read_text().splitlines()]


def test_what_was_tried_before_a_stop_is_not_tried_again(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = project / "record.jsonl"
    command = ["some/file.py", "--jobs", "1", "--json", str(record)]
    assert mutants.main(command) == 1
    whole, shown = record.read_text(), capsys.readouterr().out
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 7
    record.write_text("".join(lines[:4]))
    tried = []
    really = mutants.verdicts
    monkeypatch.setattr(mutants, "verdicts", lambda file, left, jobs: tried.extend(left) or really(file, left, jobs))
    assert mutants.main(command) == 1
    assert {mutant.change for mutant in tried} == {json.loads(line)["change"] for line in lines[4:]}
    assert sorted(record.read_text().splitlines()) == sorted(whole.splitlines())
    again = capsys.readouterr().out
    assert sorted(again.splitlines()) == sorted(shown.splitlines())

    # a test more, and nothing that was found before it holds
    test = project / "tests" / "some" / "test_file.py"
    test.write_text(test.read_text() + "    assert share(3) == 3\n")
    tried.clear()
    assert mutants.main(command) == 1
    assert len(tried) == 7
    assert "3 of 7 noticed" in again
    assert "4 of 7 noticed" in capsys.readouterr().out

    record.write_text(whole + "{")
    assert mutants.main(command) == 2
    assert "record.jsonl:8 is no line that --json has written" in capsys.readouterr().err


SELECTED = '''"""Code that comes to life in many ways; each is noticed by one test only."""

import functools
from concurrent.futures import ThreadPoolExecutor

LIMIT = 3
TWICE = lambda part: part * 2
TABLE = {
    "half": lambda part: part
    / 2,
}


def adder(more):
    def add(part):
        return part + more

    return add


plus_one = adder(1)


@functools.cache
def remembered(part):
    return part - 5


def lazy(number):
    return (k * 3 for k in range(number))


def in_a_thread(part):
    def work():
        return part % 7

    return ThreadPoolExecutor().submit(work).result()


class Box:
    size = 2

    def __init__(self, part):
        self.part = part

    @property
    def volume(self):
        return self.part ** self.size


def collected():
    return 2


def never(part):
    return part - 1
'''
NOTICING = """
import sys
sys.path.insert(0, '.')
from some import file

def test_limit(): assert file.LIMIT == 3
def test_lambda(): assert file.TWICE(3) == 6
def test_table(): assert file.TABLE['half'](3) == 1.5
def test_closure(): assert file.plus_one(4) == 5
def test_a_cache_is_filled(): file.remembered(9)
def test_a_cache_is_read(): assert file.remembered(9) == 4
def test_generator(): assert list(file.lazy(3)) == [0, 3, 6]
def test_thread(): assert file.in_a_thread(17) == 3
def test_class(): assert file.Box(3).volume == 9

COLLECTED = file.collected()
def test_collected(): assert COLLECTED == 2
"""


def noticing(tree: ast.Module) -> list[str]:
    """The tests that fail, each alone with a module of its own: no selection, no fork, no pytest."""
    names = re.findall(r"def (test_\w+)", NOTICING)
    return [name for name in names if fails(tree, name)]


def fails(tree: ast.Module, name: str) -> bool:
    module = types.ModuleType("file")
    tests = {"file": module}
    try:
        exec(compile(ast.fix_missing_locations(tree), "file", "exec"), vars(module))
        exec(NOTICING.split("from some import file")[1], tests)
        tests[name]()
    except Exception:
        return True
    return False


def test_the_selection_loses_no_test_that_would_notice(project: Path) -> None:
    (project / "some" / "file.py").write_text(SELECTED)
    (project / "tests" / "some" / "test_file.py").write_text(NOTICING)
    every = mutants.mutants("some/file.py", SELECTED)
    selected = {str(mutant): verdict for mutant, verdict in mutants.verdicts("some/file.py", every, 2)}
    expected = {str(mutant): noticing(mutant.tree) for mutant in every}
    assert selected == {change: "failed" if tests else "passed" for change, tests in expected.items()}
    assert {mutant.function for mutant in every if selected[str(mutant)] == "passed"} == {"never"}
    # one test each, so that to lose it would show; but what is found while they load stops them all
    alone = {tests[0] for tests in expected.values() if len(tests) == 1}
    assert alone >= set(re.findall(r"def (test_\w+)", NOTICING)) - {"test_a_cache_is_filled"}


def test_a_change_asks_only_the_tests_that_come_to_its_lines(project: Path) -> None:
    """The test that does not come there would fail whatever is changed, for it reads the code."""
    (project / "some" / "file.py").write_text("def here(x):\n    return x + 1\n\n\ndef there(x):\n    return x + 1\n")
    (project / "tests" / "some" / "test_file.py").write_text(
        "import sys\nsys.path.insert(0, '.')\nfrom some.file import here, there\n\n"
        "def test_here():\n    here(1)\n\n"
        "def code(of):\n    return of.__code__.co_code, of.__code__.co_consts\n\n"
        "def test_there():\n    there(1)\n    assert code(here) == code(there)\n"
    )
    every = mutants.mutants("some/file.py", (project / "some" / "file.py").read_text())
    became = {(mutant.function, verdict) for mutant, verdict in mutants.verdicts("some/file.py", every, 2)}
    assert became == {("here", "passed"), ("there", "failed")}


@pytest.mark.parametrize("before", ["def share(part, whole=1):\n    ", ""], ids=["in a call", "at import"])
@pytest.mark.parametrize("held", ["while True: pass", "import time; time.sleep(1000)"], ids=["endless", "asleep"])
def test_what_never_ends_is_noticed_by_its_time(
    project: Path, monkeypatch: pytest.MonkeyPatch, before: str, held: str
) -> None:
    monkeypatch.setattr(mutants, "GRACE", 1.0)
    monkeypatch.setattr(mutants, "PATIENCE", 3)
    tree = ast.parse(before + held)
    place = range(8, 9) if before else range(1, 2)
    mutant = mutants.Mutant("some/file.py", "share", place.start, "", 0, tree, place)
    assert list(mutants.verdicts("some/file.py", [mutant], 1)) == [(mutant, "timeout")]


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
