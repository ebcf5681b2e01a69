#!/usr/bin/env python3
"""Are the theorems proved? Compiles proofs/coq from clean and says what every main theorem rests on.

    python3 proofs/check.py [--install] [--require] [--json FILE]

A main theorem is one named T<number>_...; the table in proofs/README.md names them all. The check fails (status 1)
if a file does not compile, if its text admits or assumes anything, if a main theorem is missing from the table or
from the development, or if one rests on an axiom that it may not rest on (`allowed`). Each run leaves what it found in
runs/proofs.json, from which `python -m theory verify` fills its column; `--json FILE` writes the same elsewhere.

Where Coq is missing the check is SKIPPED, with the reason and status 0; --require, or ADVANTAGE_NAS_REQUIRE_PROOFS=1
in the environment, makes that status 3. --install first installs Debian's packages, where it may.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROOFS = Path(__file__).resolve().parent
RECORD = PROOFS.parent / "runs" / "proofs.json"
PACKAGES = ("coq", "libcoq-mathcomp", "libcoq-mathcomp-analysis", "libcoq-mathcomp-algebra-tactics")
OPTIONS = ("-Q", ".", "NAS", "-w", "-all")
PROCESSES = 2
FAILED, REFUSED, SKIPPED = 1, 2, 3

# What a theorem may rest on (`allowed`): nothing in the claims about finite sums, classical analysis in the others, and
# the axioms of Coq's own real numbers only in Reals.v, which speaks of them.
FINITE_SUMS = ("T2", "T3", "T4", "T7", "T11", "T16", "T17")
ANALYSIS = {
    "boolp.propositional_extensionality": "mathcomp-analysis: equivalent propositions are equal",
    "boolp.functional_extensionality_dep": "mathcomp-analysis: functions with equal values are equal",
    "boolp.constructive_indefinite_description": "mathcomp-analysis: choice, what exists can be picked",
}
COQ_REALS = {
    "ClassicalDedekindReals.sig_not_dec": "Coq's reals: excluded middle",
    "ClassicalDedekindReals.sig_forall_dec": "Coq's reals: a sequence of decidable facts holds or has an exception",
    "FunctionalExtensionality.functional_extensionality_dep": "Coq's reals: functions with equal values are equal",
    "Epsilon.epsilon_statement": "mathcomp-analysis over Coq's reals: choice",
    "Classical_Prop.classic": "Coq's Riemann integral: excluded middle",
}

# Words that assume instead of proving, or that take a check of the kernel away.
FORBIDDEN = (
    r"\b(Admitted|admit|give_up|Axioms?|Parameters?|Conjecture|Admit\s+Obligations|Abort|Load|Declare\s+ML"
    r"|bypass_check|Unset\s+(?:Guard|Positivity|Universe)\s+Checking|type_in_type)\b"
)

# Names of the releases that the proofs are written for; later ones have renamed them.
PROBE = """From mathcomp Require Import all_ssreflect all_algebra ring.
From mathcomp Require Import boolp reals topology normedtype sequences derive realfun exp Rstruct.
Check Num.Theory.ler_subl_addr. Check @MVT_segment. Check @ler_expR. Check @is_derive_expR.
"""
NEEDED = "Coq 8.16, mathcomp 1.15, mathcomp-analysis 0.6 and algebra-tactics 1.0 (Debian 12)"


@dataclass(frozen=True)
class Theorem:
    """A main theorem as the table names it: claim T1, file Monotone, name T1_monotone."""

    claim: str
    file: str
    name: str


@dataclass(frozen=True)
class Report:
    """What was found: the files as they were read, the axioms under each theorem, and every complaint."""

    files: Mapping[str, str]
    theorems: Sequence[Theorem]
    assumptions: Mapping[Theorem, tuple[str, ...]]
    complaints: tuple[str, ...]
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, record. Exit status: 0 proved or skipped, 1 not proved, 2 refused, 3 skipped but required."""
    parser = argparse.ArgumentParser(prog="proofs/check.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--install", action="store_true", help="install Debian's packages if Coq is missing")
    parser.add_argument("--require", action="store_true", help="a skip is a failure (status 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the record here too")
    parser.add_argument("--proofs", type=Path, metavar="DIR", default=PROOFS, help="the folder of README.md and coq/")
    options = parser.parse_args(arguments)
    if not (options.proofs / "README.md").is_file() or not (options.proofs / "coq").is_dir():
        return refuse(f"{options.proofs} has no README.md and coq/")
    if options.json and not (options.json.parent.is_dir() and os.access(options.json.parent, os.W_OK)):
        return refuse(f"cannot write {options.json}: no writable folder {options.json.parent}")
    reason = missing()
    if reason and options.install:
        reason = install() or missing()
    if reason:
        required = options.require or os.environ.get("ADVANTAGE_NAS_REQUIRE_PROOFS") == "1"
        print(f"proofs SKIPPED: {reason}")
        return SKIPPED if required else 0
    report = check(options.proofs)
    show(report)
    content = json.dumps(record(report), indent=2) + "\n"
    if options.proofs.resolve() == PROOFS:
        RECORD.parent.mkdir(exist_ok=True)
        write(RECORD, content)
    if options.json:
        write(options.json, content)
    return FAILED if report.complaints else 0


# ------------------------------------------------------------------ the check


def check(proofs: Path) -> Report:
    """Texts, table, compilation, assumptions, in a folder of its own that is removed again."""
    start = time.monotonic()
    contents = {path: path.read_bytes() for path in [proofs / "README.md", *sorted((proofs / "coq").glob("*.v"))]}
    files = {path.relative_to(proofs).as_posix(): hashlib.sha256(text).hexdigest() for path, text in contents.items()}
    sources = {path.stem: text.decode() for path, text in contents.items() if path.suffix == ".v"}
    theorems = table(contents[proofs / "README.md"].decode())
    complaints = [complaint for name, text in sources.items() for complaint in forbidden(name, text)]
    complaints += differences(theorems, sources)
    assumptions: dict[Theorem, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="proofs-") as folder:
        for name, text in sources.items():
            (Path(folder) / f"{name}.v").write_text(text, encoding="utf-8")
        broken = compile_all(Path(folder), sources)
        complaints += broken.values()
        if not broken:
            assumptions = assumed(Path(folder), sources, [t for t in theorems if t.name in main_names(sources)])
    for theorem, axioms in assumptions.items():
        for axiom in axioms:
            if axiom not in allowed(theorem):
                complaints.append(f"{theorem.name} rests on {axiom}, which is no axiom allowed to it")
    return Report(files, theorems, assumptions, tuple(complaints), time.monotonic() - start)


def allowed(theorem: Theorem) -> Mapping[str, str]:
    """The axioms that a theorem may rest on."""
    if theorem.claim in FINITE_SUMS:
        return {}
    return ANALYSIS | COQ_REALS if theorem.file == "Reals" else ANALYSIS


def table(readme: str) -> list[Theorem]:
    """The rows `| T1 | `Monotone.T1_monotone` | ...` of the README."""
    rows = re.findall(r"^\| (\w+) +\| `(\w+)\.(\w+)` +\|", readme, re.MULTILINE)
    return [Theorem(*row) for row in rows]


def main_names(sources: Mapping[str, str]) -> dict[str, str]:
    """Main theorems in the sources: name -> file."""
    pattern = r"^\s*(?:Theorem|Lemma|Corollary|Fact|Proposition|Remark)\s+(T\d+_\w+)"
    return {
        name: file for file, text in sources.items() for name in re.findall(pattern, uncommented(text), re.MULTILINE)
    }


def differences(theorems: Iterable[Theorem], sources: Mapping[str, str]) -> list[str]:
    """Main theorems that the table or the development lacks."""
    theorems, found = list(theorems), main_names(sources)
    lacking = [
        f"{t.file}.{t.name} is in the table, not in coq/{t.file}.v" for t in theorems if found.get(t.name) != t.file
    ]
    named = {t.name for t in theorems}
    lacking += [f"{file}.{name} is not in the table of README.md" for name, file in found.items() if name not in named]
    return lacking if theorems else [*lacking, "README.md has no table of theorems"]


def forbidden(name: str, text: str) -> list[str]:
    """Where a text, its comments aside, admits or assumes something."""
    plain = uncommented(text)
    return [
        f"{name}.v, line {plain.count(chr(10), 0, found.start()) + 1}: {' '.join(found[0].split())}"
        for found in re.finditer(FORBIDDEN, plain)
    ]


def uncommented(text: str) -> str:
    """The text with its (nested) comments blanked, line for line."""
    depth, kept, position = 0, [], 0
    while position < len(text):
        pair = text[position : position + 2]
        if pair == "(*" or (pair == "*)" and depth):
            depth += 1 if pair == "(*" else -1
            position += 2
            continue
        kept.append(text[position] if not depth or text[position] == "\n" else " ")
        position += 1
    return "".join(kept)


def compile_all(folder: Path, sources: Mapping[str, str]) -> dict[str, str]:
    """Compile in the order of the imports, two at a time. Returns what went wrong: file -> complaint."""
    imports = {name: imported(text) & set(sources) for name, text in sources.items()}
    done: set[str] = set()
    broken: dict[str, str] = {}
    running: dict[Future[str], str] = {}
    with ThreadPoolExecutor(PROCESSES) as pool:
        while True:
            for name in sources:
                if name not in done | set(broken) | set(running.values()) and imports[name] <= done:
                    running[pool.submit(coqc, folder, f"{name}.v")] = name
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, complaint = running.pop(future), future.result()
                if complaint:
                    broken[name] = f"{name}.v does not compile: {complaint}"
                else:
                    done.add(name)
    waiting = set(sources) - done - set(broken)
    return broken | {name: f"{name}.v was not compiled: it needs what failed" for name in sorted(waiting)}


def imported(text: str) -> set[str]:
    """Names after `From NAS Require Import`."""
    return set(" ".join(re.findall(r"From\s+NAS\s+Require\s+(?:Import|Export)\s+([^.]*)\.", uncommented(text))).split())


def assumed(folder: Path, sources: Iterable[str], theorems: Sequence[Theorem]) -> dict[Theorem, tuple[str, ...]]:
    """What Coq's `Print Assumptions` says of each theorem."""
    lines = [f"From NAS Require {' '.join(sources)}."]
    lines += [f'Redirect "{t.name}" Print Assumptions NAS.{t.file}.{t.name}.' for t in theorems]
    (folder / "Assumptions_.v").write_text("\n".join(lines) + "\n", encoding="utf-8")
    complaint = coqc(folder, "Assumptions_.v")
    if complaint:
        raise RuntimeError(f"Print Assumptions failed: {complaint}")
    return {t: axioms((folder / f"{t.name}.out").read_text(encoding="utf-8")) for t in theorems}


def axioms(printed: str) -> tuple[str, ...]:
    """The names in an answer of `Print Assumptions`; a line of another form comes back whole, so that it is seen."""
    unindented = [line for line in printed.splitlines() if line.strip() and not line.startswith(" ")]
    if unindented == ["Closed under the global context"]:
        return ()
    if not unindented or unindented[0] != "Axioms:":
        return (printed.strip() or "no answer",)
    return tuple(sorted(line.split(" : ")[0].strip() for line in unindented[1:]))


def coqc(folder: Path, file: str) -> str:
    """Compile one file; an empty string if it went well, else Coq's words on one line."""
    done = subprocess.run(["coqc", *OPTIONS, file], cwd=folder, capture_output=True, text=True)
    return "" if done.returncode == 0 else " ".join((done.stderr or done.stdout or "coqc failed").split())[:600]


# ------------------------------------------------------------------ what is there, and installing it


def missing() -> str:
    """Why the proofs cannot be checked here, in one line; an empty string if they can."""
    if not shutil.which("coqc"):
        return f"no coqc; needed: {NEEDED}: apt-get install {' '.join(PACKAGES)}"
    version = subprocess.run(["coqc", "--print-version"], capture_output=True, text=True).stdout.split()[:1]
    if not version or not version[0].startswith("8.16"):
        return f"found Coq {version[0] if version else 'of unknown version'}; needed: {NEEDED}"
    with tempfile.TemporaryDirectory(prefix="proofs-") as folder:
        (Path(folder) / "Probe.v").write_text(PROBE, encoding="utf-8")
        complaint = coqc(Path(folder), "Probe.v")
    return f"mathcomp is missing or another release ({complaint[:160]}); needed: {NEEDED}" if complaint else ""


def install() -> str:
    """Install Debian's packages. Returns why it could not, or an empty string."""
    if not shutil.which("apt-get"):
        return f"no apt-get to install with; needed: {NEEDED}"
    prefix: list[str] = []
    if os.geteuid() != 0:
        if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode:
            return f"neither root nor sudo without a password; needed: {' '.join(PACKAGES)}"
        prefix = ["sudo", "-n", "env"]
    quiet = [*prefix, "DEBIAN_FRONTEND=noninteractive"] if prefix else ["env", "DEBIAN_FRONTEND=noninteractive"]
    print(f"proofs: installing {' '.join(PACKAGES)}", flush=True)
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run([*quiet, "apt-get", *command], capture_output=True, text=True)
        if done.returncode:
            words = (done.stderr or done.stdout).strip().splitlines()
            return f"apt-get {command[0]} failed: {words[-1] if words else done.returncode}"
    return ""


# ------------------------------------------------------------------ showing and recording


def show(report: Report) -> None:
    """One line a theorem, then what the axioms are, then the verdict."""
    for theorem, names in report.assumptions.items():
        print(f"{theorem.claim:>4}  {theorem.file}.{theorem.name}: {', '.join(names) or 'no axiom'}")
    for name in sorted({name for names in report.assumptions.values() for name in names}):
        print(f"      {name}: {(ANALYSIS | COQ_REALS).get(name, 'UNEXPECTED')}")
    for complaint in report.complaints:
        print(f"proofs FAILED: {complaint}")
    if not report.complaints:
        print(f"proofs: {len(report.assumptions)} main theorems checked by Coq in {report.seconds:.0f} s")


def record(report: Report) -> dict[str, Any]:
    """What was checked, SHA-256 file by file (`theory.ledger` asks whether it is still so), and what became of it."""
    return {
        "files": dict(report.files),
        "seconds": round(report.seconds, 1),
        "complaints": list(report.complaints),
        "claims": {
            claim: {
                "proved": not report.complaints,
                "theorems": {
                    f"{t.file}.{t.name}": list(report.assumptions.get(t, ()))
                    for t in report.theorems
                    if t.claim == claim
                },
            }
            for claim in dict.fromkeys(t.claim for t in report.theorems)
        },
    }


def write(path: Path, content: str) -> None:
    """Aside first, then renamed: never half a record."""
    aside = path.with_name(path.name + ".part")
    with aside.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def refuse(why: str) -> int:
    """One clear line, status 2."""
    print(f"proofs/check.py: {why}", file=sys.stderr)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
