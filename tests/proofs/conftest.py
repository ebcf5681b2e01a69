"""What do the tests of the proofs share? The check as a module, and Coq's values of the definitions."""

import importlib.util
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
COQ = ROOT / "proofs" / "coq"
WITHOUT_ANALYSIS = (
    "Policy",
    "Estimators",
    "Unbiased",
    "OneEdge",
    "Taylor",
    "Spread",
    "Variance",
    "Budgeted",
    "Reference",
    "Rationals",
    "Computed",
)
Values = dict[str, list[Fraction]]


@pytest.fixture(scope="session")
def check() -> ModuleType:
    """proofs/check.py."""
    spec = importlib.util.spec_from_file_location("proofs_check", ROOT / "proofs" / "check.py")
    if spec is None or spec.loader is None:
        raise ImportError("proofs/check.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def with_coq(check: ModuleType) -> None:
    """Skip, with the reason, where Coq is missing."""
    reason = check.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def compiled(check: ModuleType, with_coq: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that need no analysis and evaluate.v, compiled once for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shared / "development", shared / "development.done"
    try:
        folder.mkdir()
    except FileExistsError:  # another worker is at it
        end = time.monotonic() + 300
        while not done.exists() and time.monotonic() < end:
            time.sleep(0.2)
    else:
        sources = {name: (COQ / f"{name}.v").read_text(encoding="utf-8") for name in WITHOUT_ANALYSIS}
        sources["Evaluate"] = (Path(__file__).parent / "evaluate.v").read_text(encoding="utf-8")
        for name, text in sources.items():
            (folder / f"{name}.v").write_text(text, encoding="utf-8")
        broken = check.compile_all(folder, sources)
        done.write_text("\n".join(broken.values()))
    assert done.read_text() == ""
    return folder


@pytest.fixture(scope="session")
def evaluate(check: ModuleType) -> Callable[[Path, str, Mapping[str, str]], Values]:
    """Coq's values, in a compiled folder: definitions, and name -> a list of terms, give name -> Fractions."""

    def values(folder: Path, definitions: str, terms: Mapping[str, str]) -> Values:
        goals = [
            f'Goal forall printed, [seq parts x | x <- {term}] = printed.\nRedirect "{name}" evaluate.\nAbort.'
            for name, term in terms.items()
        ]
        file = f"Values{abs(hash(definitions))}.v"
        (folder / file).write_text("\n".join([definitions, *goals, ""]), encoding="utf-8")
        complaint = check.coqc(folder, file)
        if complaint:
            raise RuntimeError(complaint)
        return {name: _fractions((folder / f"{name}.out").read_text()) for name in terms}

    return values


def _fractions(printed: str) -> list[Fraction]:
    """Coq prints [:: (155%coqZ, 588%coqZ); ...]."""
    pairs = re.findall(r"\(\s*\(?(-?\d+)\)?%coqZ,\s*(\d+)%coqZ\)", printed)
    if not pairs:
        raise ValueError(f"no fractions in {printed[:200]!r}")
    return [Fraction(int(n), int(d)) for n, d in pairs]
