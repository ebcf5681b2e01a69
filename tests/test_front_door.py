"""The front doors: every name is there, lazily, once, with an example that runs; nothing heavy comes in with it."""

import ast
import doctest
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nas
import simulate
import theory

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (nas, theory, simulate)
NAMES = [(package, name) for package in PACKAGES for name in package.__all__]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documented(package: ModuleType, name: str) -> Any:
    """What holds the example: a callable module's is its function's, a table's its package's."""
    thing = getattr(package, name)
    if isinstance(thing, ModuleType):
        return type(thing).__call__
    return thing if inspect.isclass(thing) or inspect.isroutine(thing) else package


def examples(package: ModuleType, name: str) -> list[doctest.DocTest]:
    """The examples for a name, each with the lines that use it."""
    thing = documented(package, name)
    space = vars(sys.modules[thing.__module__]) if hasattr(thing, "__module__") else {}
    found = doctest.DocTestFinder(recurse=False).find(thing, name, globs=dict(space), module=False)  # type: ignore[arg-type]
    own = thing.__name__.rpartition(".")[2].lower()
    return [test for test in found if any(own in example.source.lower() for example in test.examples)]


def failures(test: doctest.DocTest) -> str:
    said: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=said.append)
    return "".join(said)


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[f"{package.__name__}.{name}" for package, name in NAMES])
def test_every_name_has_an_example_that_runs(package: ModuleType, name: str) -> None:
    found = examples(package, name)
    assert found, f"{package.__name__}.{name} has no example in its docstring"
    for test in found:
        said = failures(test)
        assert not said, said


@pytest.mark.parametrize("package", PACKAGES)
def test_tables_are_shown_in_the_package(package: ModuleType) -> None:
    for name in package.__all__:
        if documented(package, name) is package:
            assert f"{package.__name__}.{name}" in str(package.__doc__), name


def test_control_a_name_without_an_example_and_a_wrong_one_are_found() -> None:
    def bare() -> None:
        """Nothing to see."""

    def wrong() -> int:
        """One.

        >>> wrong = lambda: 1
        >>> wrong()
        2
        """
        return 1

    door = ModuleType("door")
    door.bare, door.wrong = bare, wrong  # type: ignore[attr-defined]
    assert examples(door, "bare") == []
    assert "Expected:\n    2\nGot:\n    1" in failures(examples(door, "wrong")[0])


def test_what_pages_call_by_its_short_name_is_there() -> None:
    """Also in running text, which nothing runs."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"\bnas\.([A-Z]\w+)", page.read_text(encoding="utf-8"))}
    assert {"Descent", "Supernet"} <= named
    assert named <= {*nas.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_three_lists_of_names_are_one(package: ModuleType) -> None:
    """What mypy sees, what is fetched, and `__all__`."""
    seen = set()
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    (branch,) = (node for node in tree.body if isinstance(node, ast.If))
    for node in branch.body:
        if isinstance(node, ast.ImportFrom):
            seen |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            seen.add(node.target.id)
    modules = {name for name in seen if name.endswith("Module")}  # the types of callable modules, for mypy alone
    assert seen - modules == {*package.__all__, "__version__"}
    assert {*package.__all__, "__version__"} <= set(dir(package))
    assert package.__all__ == sorted(package.__all__, key=lambda name: (not name.isupper(), name.islower(), name))
    assert 10 <= len(package.__all__) <= 20


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nonsense'"):
        package.nonsense  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_the_version_has_one_source(package: ModuleType) -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert package.__version__ == tomllib.load(file)["project"]["version"]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = "print([name for name in ('torch', 'sympy', 'scipy', 'matplotlib', 'numpy') if name in sys.modules])"


@pytest.mark.parametrize("package", [package.__name__ for package in PACKAGES])
def test_the_front_door_imports_nothing_heavy(package: str) -> None:
    assert python(f"import sys, {package}; dir({package}); {HEAVY}") == "[]"


def test_the_estimators_need_neither_torch_nor_sympy() -> None:
    assert python(f"import sys, nas.estimators; from nas import advantage; {HEAVY}") == "[]"
    assert python(f"import sys, nas; nas.SearchSettings; {HEAVY}").startswith("['torch'")  # the control


@pytest.mark.parametrize(
    "imports",
    [
        "import nas",
        "import nas.search",
        "from nas import search; import nas",
        "from nas.settings import SearchSettings; import nas",
        "import nas.search as searching; import nas; assert searching is nas.search",
        "from nas import *; import nas; assert search is nas.search",
        "import nas.running.searching, nas",
        "import nas; nas.search; from nas.search import search as call; assert type(nas.search).__call__ is call",
    ],
)
def test_search_is_a_call_and_a_module_whatever_is_imported_first(imports: str) -> None:
    asked = (
        "from nas import search as module; from nas.search import steps; "
        "assert module is nas.search and module.steps is steps; "
        "print(callable(nas.search), nas.search.steps is steps)"
    )
    assert python(f"{imports}; {asked}") == "True True"
