"""Every benchmark starts as its first lines say, from this checkout; what it measures is its own business."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_it_starts(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script), "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert f"python benchmarks/{script.name}" in script.read_text(encoding="utf-8")


def test_none_hides_a_package() -> None:
    """Python looks beside the script first: benchmarks/theory.py would be what `import theory` finds there."""
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not names & {"nas", "simulate", "theory", *sys.stdlib_module_names}
