"""The tests of on_a_device.py, in a process of their own: PyTorch must know a device before its first backward pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


@pytest.mark.slow
def test_steps_on_a_pretended_device() -> None:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", str(HERE / "on_a_device.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    if " passed" not in done.stdout:
        pytest.skip("this PyTorch cannot pretend a device")
    assert re.search(r"=+ [1-9]\d* passed(, \d+ warnings?)? in", done.stdout), done.stdout[-400:]
