"""The house: imported from this checkout, ground floor first, nothing drags in what it must not."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import nas
import simulate
import theory

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"nas": set(), "theory": {"nas"}, "simulate": {"nas", "theory"}}


@pytest.mark.parametrize("package", [nas, theory, simulate])
def test_the_generic_names_are_ours(package: object) -> None:
    found = Path(package.__file__).resolve()  # type: ignore[attr-defined]
    assert found.is_relative_to(ROOT), f"{found} shadows this checkout: another package has the same name"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """What `pip install .` would install."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = builder.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(built)


def test_what_is_installed_is_typed_and_has_its_studies_presets_and_scripts(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    needed = {f"{package}/py.typed" for package in MAY_IMPORT}
    for kind in ("py", "toml"):
        needed |= {
            file.relative_to(ROOT).as_posix() for floor in MAY_IMPORT for file in (ROOT / floor).rglob(f"*.{kind}")
        }
    assert needed <= names, needed - names
    assert "simulate/studies/first.toml" in needed
    (scripts,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "advantage-nas = nas.__main__:main" in scripts
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/", "proofs/"))]


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_floors_import_only_what_lies_below(floor: str) -> None:
    others = {"nas", "theory", "simulate"} - {floor} - MAY_IMPORT[floor]
    for file in (ROOT / floor).rglob("*.py"):
        assert not imported(file) & others, file


def test_control_an_import_upwards_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def late():\n    from simulate.page import page\n    import theory.exact\n")
    assert imported(file) == {"simulate", "theory"}


def programs_imported(file: Path) -> bool:
    """Whether a file imports a `__main__`: a program, which reads words and prints."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if any("__main__" in name.split(".") for name in (*names, module)):
            return True
    return False


def test_the_library_imports_no_program() -> None:
    assert not [file for floor in MAY_IMPORT for file in (ROOT / floor).rglob("*.py") if programs_imported(file)]


@pytest.mark.parametrize(
    "line", ["from nas import __main__ as program", "import nas.__main__", "from nas.__main__ import main"]
)
def test_control_an_imported_program_is_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.py").write_text(f"def late():\n    {line}\n")
    assert programs_imported(tmp_path / "x.py")


def test_pickle_is_never_loaded() -> None:
    for floor in MAY_IMPORT:
        for file in (ROOT / floor).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "pickle.load" not in text, file
            assert "torch.load(" not in text, file


# What importing all of the house must leave as it was. Run alone, with the foreign packages imported first.
SETTINGS = """
import importlib, os, pkgutil, signal, sys, warnings
import matplotlib, matplotlib.figure, numpy, pyarrow.parquet, scipy.stats, sympy
import safetensors.torch, tensorboardX, torch, tqdm

def settings():
    return {
        "matplotlib": dict(matplotlib.rcParams), "backend": matplotlib.rcParams._get("backend"),
        "pyplot": "matplotlib.pyplot" in sys.modules,
        "threads": torch.get_num_threads(), "dtype": torch.get_default_dtype(), "gradients": torch.is_grad_enabled(),
        "matmul": torch.get_float32_matmul_precision(), "seed": torch.initial_seed(), "errors": numpy.geterr(),
        "random": numpy.random.get_state()[1].tolist(), "printing": numpy.get_printoptions(),
        "environment": dict(os.environ), "warnings": list(warnings.filters), "path": list(sys.path),
        "recursion": sys.getrecursionlimit(), "folder": os.getcwd(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
    }

before = settings()
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for entry in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        importlib.import_module(entry.name)
after = settings()
sys.exit(", ".join(key for key in before if before[key] != after[key]))
"""


def changed_by_importing(*names: str, path: Path = ROOT) -> str:
    """The settings that importing packages with all that is in them changes, by name."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, "-c", SETTINGS, *names]
    return subprocess.run(command, env=environment, capture_output=True, text=True).stderr.strip()


def test_importing_the_house_changes_no_setting_of_the_process() -> None:
    assert changed_by_importing("nas", "theory", "simulate") == ""


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("import matplotlib; matplotlib.rcParams['font.size'] = 9", "matplotlib"),
        ("import matplotlib; matplotlib.use('svg')", "matplotlib, backend"),
        ("import torch; torch.set_num_threads(7)", "threads"),
        ("import torch; torch.set_default_dtype(torch.float64)", "dtype"),
        ("import numpy; numpy.seterr(all='raise')", "errors"),
        ("import os; os.environ['OMP_NUM_THREADS'] = '9'", "environment"),
        ("import random_name_of_nothing", "ModuleNotFoundError"),
    ],
)
def test_control_a_changed_setting_is_named(tmp_path: Path, line: str, setting: str) -> None:
    (tmp_path / "intruder.py").write_text(line + "\n")
    assert setting in changed_by_importing("intruder", path=tmp_path)


def test_every_dependency_says_the_oldest_release_that_serves() -> None:
    """What `make lowest` installs: without a bound that would be the first release there ever was."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    needed = [one for group in groups for one in group if not one.startswith(project["name"])]
    assert len(needed) > 20
    assert not [one for one in needed if ">=" not in one]
