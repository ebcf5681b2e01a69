"""The tests mirror the folders: nas/step.py is tested in tests/nas/test_step.py, or stands below with where it is.

A test file of a module may be split: tests/nas/test_step.py and tests/nas/test_step_by_hand.py both belong to
nas/step.py. What has no file of its own is tested through what uses it, and says through which.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("nas", "theory", "simulate", "proofs")

# A module without a file of its own: the test file that reaches it, by importing it or something that imports it.
THROUGH = {
    "nas/arrays.py": "tests/nas/test_policy.py",
    "nas/found.py": "tests/nas/test_search.py",
    "nas/data/cifar100.py": "tests/nas/data/test_cifar.py",
    "nas/progress.py": "tests/nas/test_search.py",
    "nas/schedule.py": "tests/nas/supernets/test_supernet.py",
    "nas/tasks/cells/source.py": "tests/nas/judging/test_export.py",
    "nas/tasks/cells/network.py": "tests/nas/tasks/cifar10/test_network.py",
    "nas/tasks/cifar10/export.py": "tests/nas/judging/test_export.py",
    "nas/tasks/text/export.py": "tests/nas/judging/test_export.py",
    "nas/front_door.py": "tests/test_front_door.py",
    "nas/tasks/experiments.py": "tests/nas/tasks/test_task.py",
    "nas/judging/colours.py": "tests/nas/judging/test_figures.py",
    "nas/judging/evaluate.py": "tests/nas/tasks/text/test_scratch.py",
    "nas/spaces/space.py": "tests/nas/spaces/test_recurrent.py",
    "nas/supernets/parent.py": "tests/nas/test_search.py",
    "nas/tasks/text/lstm.py": "tests/nas/tasks/text/test_scratch.py",
    "theory/__main__.py": "tests/theory/test_card.py",
    "theory/architectures.py": "tests/theory/test_exact.py",
    "theory/cases.py": "tests/theory/test_claims.py",
    "theory/claim.py": "tests/theory/test_claims.py",
    "theory/claims/t1_monotone.py": "tests/theory/test_claims.py",
    "theory/claims/t2_one_edge.py": "tests/theory/test_claims.py",
    "theory/claims/t3_not_enough.py": "tests/theory/test_claims.py",
    "theory/claims/t4_unbiased.py": "tests/theory/test_claims.py",
    "theory/claims/t5_taylor_bias.py": "tests/theory/test_claims.py",
    "theory/claims/t6_convergence.py": "tests/theory/test_claims.py",
    "theory/claims/t7_variance.py": "tests/theory/test_claims.py",
    "theory/claims/t8_logit_step.py": "tests/theory/test_claims.py",
    "theory/claims/t9_exponentiated.py": "tests/theory/test_claims.py",
    "theory/claims/t10_biased_steps.py": "tests/theory/test_claims.py",
    "theory/claims/t11_best_baseline.py": "tests/theory/test_claims.py",
    "theory/claims/t12_scale.py": "tests/theory/test_claims.py",
    "theory/outcomes.py": "tests/theory/test_exact.py",
    "theory/properties.py": "tests/theory/test_claims.py",
    "theory/quantities.py": "tests/theory/test_claims.py",
    "theory/symbols.py": "tests/theory/test_claims.py",
    "simulate/__main__.py": "tests/simulate/test_study.py",
    "simulate/experiments.py": "tests/simulate/test_demo.py",
    "simulate/plot.py": "tests/simulate/test_evidence.py",
    "simulate/report.py": "tests/simulate/test_evidence.py",
}

# A test file of no module: what it is about instead.
OF_NO_MODULE = {
    "tests/docs/test_architecture.py": "ARCHITECTURE.md",
    "tests/docs/test_blocks.py": "docs",
    "tests/docs/test_lengths.py": "docs",
    "tests/docs/test_results.py": "docs/results",
    "tests/docs/test_notebook.py": "docs/site/notebook.py",
    "tests/examples/test_a_strangers_draw.py": "theory/testing.py",
    "tests/examples/test_a_strangers_estimator.py": "theory/testing.py",
    "tests/docs/test_site.py": "docs/site",
    "tests/docs/test_systems.py": "docs",
    "tests/examples/test_examples.py": "examples",
    "tests/fuzz/test_readers.py": "tests/fuzz",
    "tests/nas/supernets/test_own_networks.py": "nas/supernets",
    "tests/nas/tasks/cifar100/test_task.py": "nas/tasks/cifar100/task.py",
    "tests/nas/tasks/digits/test_task.py": "nas/tasks/digits/task.py",
    "tests/nas/test_zero_policy.py": "nas/step.py",
    "tests/theory/test_own_policies.py": "theory/exact.py",
    "tests/nas/supernets/test_cuda.py": "nas/supernets",
    "tests/nas/supernets/test_on_a_device.py": "tests/nas/supernets/on_a_device.py",
    "tests/proofs/test_definitions.py": "proofs/coq",
    "tests/proofs/test_mutants.py": "proofs/coq",
    "tests/proofs/test_readme.py": "proofs/README.md",
    "tests/test_benchmarks.py": "benchmarks",
    "tests/test_front_door.py": "nas/__init__.py",
    "tests/test_layout.py": "nas",
    "tests/test_mirror.py": "tests",
    "tests/test_mutants.py": "tests/mutants.py",
    "tests/theory/test_claims.py": "theory/claims",
    "tests/theory/test_claims_again.py": "theory/claims",
    "tests/theory/test_claims_teeth.py": "theory/claims",
}


def modules(root: Path) -> list[str]:
    """Files of the floors that define something."""
    files = [path for floor in FLOORS for path in sorted((root / floor).rglob("*.py"))]
    kinds = (ast.FunctionDef, ast.ClassDef)
    defining = [path for path in files if any(isinstance(node, kinds) for node in ast.walk(parsed(path)))]
    return [path.relative_to(root).as_posix() for path in defining if path.name != "__init__.py"]


def own_tests(root: Path, module: str) -> list[str]:
    """Test files that mirror a module's path."""
    path = Path(module)
    stem = "main" if path.stem == "__main__" else path.stem
    folder = root / "tests" / path.parent
    files = [*folder.glob(f"test_{stem}.py"), *folder.glob(f"test_{stem}_*.py")]
    return [file.relative_to(root).as_posix() for file in files]


def imported(root: Path, file: str) -> set[str]:
    """Paths of modules of the floors that a file imports."""
    names: set[str] = set()
    for node in ast.walk(parsed(root / file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    paths = {name.replace(".", "/") for name in names}
    return {f"{path}{end}" for path in paths for end in (".py", "/__init__.py") if (root / f"{path}{end}").exists()}


def reaches(root: Path, test: str, module: str) -> bool:
    """Whether a test imports a module, or something that imports it."""
    first = imported(root, test)
    return module in first or any(module in imported(root, one) for one in first)


def untested(root: Path, through: dict[str, str]) -> list[str]:
    """Modules without a test of their own that are not said to be tested through one that reaches them."""
    missing = []
    for module in modules(root):
        test = through.get(module)
        if own_tests(root, module):
            continue
        if test is None or not (root / test).exists() or not reaches(root, test, module):
            missing.append(module)
    return missing


def stale(root: Path, through: dict[str, str]) -> list[str]:
    """Entries of `THROUGH` that are no longer needed: the module is gone, or has a test of its own."""
    known = modules(root)
    return [module for module in through if module not in known or own_tests(root, module)]


def orphans(root: Path, of_no_module: dict[str, str]) -> list[str]:
    """Test files that mirror no module and do not say what they are about."""
    mirrored = {test for module in modules(root) for test in own_tests(root, module)}
    files = [path.relative_to(root).as_posix() for path in sorted((root / "tests").rglob("test_*.py"))]
    said = {test for test, about in of_no_module.items() if (root / about).exists()}
    return [file for file in files if file not in mirrored | said]


def test_every_module_is_tested_where_one_looks_for_it() -> None:
    assert untested(ROOT, THROUGH) == []
    assert stale(ROOT, THROUGH) == []
    assert len(modules(ROOT)) > 80


def test_no_test_is_an_orphan() -> None:
    assert orphans(ROOT, OF_NO_MODULE) == []
    assert not [test for test in OF_NO_MODULE if not (ROOT / test).exists()]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small house: one module with a test, one tested through another's, one that nobody reaches."""
    for file, text in {
        "nas/step.py": "from nas.policy import draw\ndef step(): ...\n",
        "nas/policy.py": "def draw(): ...\n",
        "nas/lost.py": "def lost(): ...\n",
        "nas/names.py": "A = 1\n",
        "tests/nas/test_step.py": "from nas import step\n",
        "tests/nas/test_gone.py": "",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def test_control_a_missing_test_a_false_word_and_an_orphan_are_seen(house: Path) -> None:
    through = {"nas/policy.py": "tests/nas/test_step.py"}
    assert untested(house, through) == ["nas/lost.py"]
    assert untested(house, {}) == ["nas/lost.py", "nas/policy.py"]
    assert untested(house, {**through, "nas/lost.py": "tests/nas/test_step.py"}) == ["nas/lost.py"]  # it does not
    assert untested(house, {**through, "nas/lost.py": "tests/nas/test_lost.py"}) == ["nas/lost.py"]  # there is none
    assert stale(house, {**through, "nas/step.py": "tests/nas/test_step.py", "nas/old.py": "x"}) == [
        "nas/step.py",
        "nas/old.py",
    ]
    assert orphans(house, {}) == ["tests/nas/test_gone.py"]
    assert orphans(house, {"tests/nas/test_gone.py": "nas/gone"}) == ["tests/nas/test_gone.py"]
    assert orphans(house, {"tests/nas/test_gone.py": "nas"}) == []


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
