"""What does this project do on the GPU of this machine? All that the docs leave open, by one command, in one report.

    python benchmarks/gpu.py [--out gpu] [--only NAME,…] [--minutes 60] [--data DIR] [--dry-run]

Runs the GPU's tests, the step benchmarks, one full search a task and a comparison, one after another, and writes
OUT/report.md: the machine, and for each its command, seconds, exit status and the end of what it printed. What failed
or was stopped at --minutes does not end the rest. Called again it goes on: what ended well is not repeated, and a
stopped search resumes. Needs CIFAR-10, the NAS-Bench-201 table and Penn Treebank (docs/howto/data.md).
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
FULL = "--preset paper --device cuda --set network.static=true --runs {out}/runs"
STEPS = {
    "tests": "-m pytest -q -rs tests/nas/supernets/test_cuda.py tests/nas/running/test_processes.py "
    "tests/simulate/test_run.py tests/simulate/test_toy.py",
    "images-step": "benchmarks/cifar_step.py --device cuda --static",
    "text-step": "benchmarks/ptb_step.py --device cuda",
    "memory": "benchmarks/memory.py --device cuda",
    "replicates": "benchmarks/replicates.py --device cuda",
    "images-search": f"-m nas search cifar10 --set network.precision=bfloat16 {FULL}",
    "text-search": f"-m nas search ptb {FULL}",
    "images-comparison": "-m nas compare cifar10 --preset small --device cuda --set network.static=true --jobs 4 "
    "--runs {out}/runs",
}
SHOWN = 40  # last lines of what a step printed


def main() -> int:
    """Run what has not ended well yet, and write the report. Returns: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--only", metavar="NAME,…", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--minutes", type=float, default=60.0, help="for each at most (default: 60)")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and stop")
    options = parser.parse_args()
    names = list(STEPS) if options.only is None else options.only.split(",")
    if unknown := [name for name in names if name not in STEPS]:
        parser.error(f"unknown {', '.join(unknown)}; known: {', '.join(STEPS)}")
    if options.dry_run:
        print("\n".join(shlex.join(["python", *words(name, options.out)]) for name in names))
        return 0
    if (about := machine()) is None:
        print("gpu.py: no GPU here: torch sees none (torch.cuda.is_available() is false)", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **({"ADVANTAGE_NAS_DATA": str(options.data)} if options.data else {})}
    for name in tqdm(names, disable=None, unit="step"):
        if (done := told(options.out, name)) is None or done["status"] != 0:
            step = run(words(name, options.out.resolve()), environment, 60 * options.minutes)
            file_of(options.out, name).write_text(json.dumps({**step, "about": about}, indent=1) + "\n")
        (options.out / "report.md").write_text(report(options.out), encoding="utf-8")
    print(options.out / "report.md")
    steps = [told(options.out, name) for name in names]
    return 0 if all(step is not None and step["status"] == 0 for step in steps) else 1


def words(name: str, out: Path) -> list[str]:
    """The words of a step's command after `python`."""
    return [word.replace("{out}", str(out)) for word in shlex.split(STEPS[name])]


def run(command: list[str], environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """Run one step from the project's root. At its time's end it is asked to stop: a search then keeps all it did."""
    begun, all_of_it = time.perf_counter(), {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, text=True, **all_of_it)
    try:
        printed, stopped = process.communicate(timeout=seconds)[0], False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        printed, stopped = process.communicate()[0], True
    lines = [line.rsplit("\r", 1)[-1] for line in printed.splitlines()]
    return {
        "command": shlex.join(["python", *command]),
        "seconds": round(time.perf_counter() - begun, 1),
        "status": None if stopped else process.returncode,
        "printed": lines[-SHOWN:],
    }


def report(out: Path) -> str:
    """The report as Markdown, of all steps that were ever run."""
    parts = ["# What ran on this GPU"]
    for name in STEPS:
        if (step := told(out, name)) is not None:
            status = step["status"]
            ended = {0: "ended well", None: "stopped at its time's end; call again to go on"}
            about = ", ".join(f"{key} {value}" for key, value in step["about"].items())
            printed = "\n".join(step["printed"])
            parts.append(f"## {name}: {ended.get(status, f'exit status {status}')}")
            parts.append(f"{step['seconds']} s; {about}")
            parts.append(f"```text\n{step['command']}\n\n{printed}\n```")
    return "\n\n".join(parts) + "\n"


# ------------------------------------------------------------------ helpers


def machine() -> dict[str, Any] | None:
    """GPU, its memory, driver and versions; None without a GPU."""
    import torch

    from nas.running import runs

    if not torch.cuda.is_available():
        return None
    about = runs.about_this_program("cuda")
    kept = {key: about[key] for key in ("device", "commit", "python", "numpy", "torch")}
    memory = torch.cuda.get_device_properties(0).total_memory
    return {**kept, "CUDA": torch.version.cuda, "GPU memory, GiB": round(memory / 2**30, 1)}


def file_of(out: Path, name: str) -> Path:
    """What a step said, kept."""
    return out / f"{name}.json"


def told(out: Path, name: str) -> dict[str, Any] | None:
    """What a step said when it was last run; None if it never was."""
    file = file_of(out, name)
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


if __name__ == "__main__":
    sys.exit(main())
