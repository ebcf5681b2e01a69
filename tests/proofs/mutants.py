"""Would Coq notice? One small change at a time to a definition, a hypothesis or a main theorem's statement.

    python tests/proofs/mutants.py --sample 40 --seed 1

An inequality is turned, made strict or weak, a sign or a product exchanged, a hypothesis dropped. The changed file,
and then the files that import it, must fail to compile; or the tests that hold the definitions against the code
(tests/proofs/test_definitions.py) must fail on it. What still compiles and passes is printed: a definition that nothing
pins, or a theorem whose statement may be weakened unseen. A theorem that holds with a stronger conclusion, or without a
hypothesis, survives rightly, and is worth a look. Exit status: 0 all noticed, 1 some survived, 2 refused.
"""

import argparse
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
COQ = ROOT / "proofs" / "coq"
SENTENCE = re.compile(r"^(?:Theorem T\w+|Definition|Hypothes[ie]s|Fixpoint)\b.*?\.(?=\s)", re.MULTILINE | re.DOTALL)
EXCHANGED = ((" <= ", " < "), (" < ", " <= "), (" <= ", " >= "), (" - ", " + "), (" + ", " - "), (" * ", " + "))


@dataclass(frozen=True)
class Mutant:
    """One change: the file without its suffix, the line, what it was and what it is, and the whole changed text."""

    file: str
    line: int
    change: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}.v:{self.line}: {self.change}"


def mutants(file: str, text: str, plain: str) -> Iterator[Mutant]:
    """All changes to a text; plain: the same with its comments blanked, place for place or line for line."""
    for sentence in SENTENCE.finditer(plain):
        whole = sentence.group()
        if text.count(whole) != 1:
            continue  # a comment stands inside
        head = " ".join(whole.split())[:60]
        for start, end, new in _changes(whole):
            changed = whole[:start] + new + whole[end:]
            line = text[: text.index(whole)].count("\n") + 1
            shown = " ".join(whole[max(0, start - 20) : end + 20].split())
            yield Mutant(file, line, f"{head}: at `{shown}`: {whole[start:end].strip()!r} -> {new.strip()!r}",
                         text.replace(whole, changed))  # fmt: skip


def _changes(sentence: str) -> Iterator[tuple[int, int, str]]:
    for old, new in EXCHANGED:
        for found in re.finditer(re.escape(old), sentence):
            yield found.start(), found.end(), new
    if sentence.startswith("Theorem"):
        body = sentence.index(":", sentence.index(" T"))
        depth, start = 0, body + 1
        for place in range(body + 1, len(sentence)):
            depth += (sentence[place] in "([{") - (sentence[place] in ")]}")
            if depth == 0 and sentence.startswith("->", place):
                if not re.search(r"\bforall\b|\bexists\b", sentence[start:place]):
                    yield start, place + 2, " "
                start = place + 2


def _check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("proofs_check", ROOT / "proofs" / "check.py")
    if spec is None or spec.loader is None:
        raise ValueError("proofs/check.py cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def dependents(file: str, imports: dict[str, set[str]]) -> list[str]:
    """The files that import a file, directly or not, in the order of `imports`."""
    touched = {file}
    for name, needed in imports.items():
        if needed & touched:
            touched.add(name)
    return [name for name in imports if name in touched and name != file]


def compiles(check: ModuleType, base: Path, mutant: Mutant, imports: dict[str, set[str]]) -> bool:
    """Whether the changed file and everything that imports it still compile."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        folder = Path(place)
        for file in [*base.glob("*.v"), *base.glob("*.vo")]:
            os.symlink(file, folder / file.name)
        for name in [mutant.file, *dependents(mutant.file, imports)]:
            (folder / f"{name}.vo").unlink(missing_ok=True)
        (folder / f"{mutant.file}.v").unlink()
        (folder / f"{mutant.file}.v").write_text(mutant.text, encoding="utf-8")
        return all(not check.coqc(folder, f"{name}.v") for name in [mutant.file, *dependents(mutant.file, imports)])


def passes(mutant: Mutant) -> bool:
    """Whether the tests of the definitions pass on a copy of the project with the changed file."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        folder = Path(place)
        for name in ("nas", "theory", "proofs", "tests/proofs", "pyproject.toml"):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        (folder / "proofs" / "coq" / f"{mutant.file}.v").write_text(mutant.text, encoding="utf-8")
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/proofs/test_definitions.py",
        ]
        done = subprocess.run(words, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True)
        return done.returncode == 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit status as the head of this file says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="names in proofs/coq without .v (default: all)")
    parser.add_argument("--sample", type=int, metavar="N", help="N changes drawn evenly (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    options = parser.parse_args(arguments)
    check = _check()
    reason = check.missing()
    if reason:
        print(f"mutants of the proofs SKIPPED: {reason}")
        return 0
    order = [line[:-2] for line in (COQ / "_CoqProject").read_text().split() if line.endswith(".v")]
    sources = {name: (COQ / f"{name}.v").read_text(encoding="utf-8") for name in order}
    unknown = [name for name in options.files if name not in sources]
    if unknown:
        print(f"mutants: {unknown[0]} is not in proofs/coq; known: {', '.join(sources)}", file=sys.stderr)
        return 2
    every = [
        m for name in options.files or sources for m in mutants(name, sources[name], check.uncommented(sources[name]))
    ]
    chosen = every
    if options.sample is not None and options.sample < len(every):
        places = sorted(random.Random(options.seed).sample(range(len(every)), options.sample))
        chosen = [every[place] for place in places]
    print(f"trying {len(chosen)} of {len(every)} changes", flush=True)
    imports = {name: check.imported(text) & set(sources) for name, text in sources.items()}
    survived = 0
    with tempfile.TemporaryDirectory(prefix="proofs-") as place:
        base = Path(place)
        for name, text in sources.items():
            (base / f"{name}.v").write_text(text, encoding="utf-8")
        broken = check.compile_all(base, sources)
        if broken:
            print(f"mutants: unchanged, {next(iter(broken.values()))}", file=sys.stderr)
            return 2
        for mutant in chosen:
            if compiles(check, base, mutant, imports) and passes(mutant):
                survived += 1
                print(f"survived  {mutant}", flush=True)
    noticed = len(chosen) - survived
    print(f"proofs: {noticed} of {len(chosen)} noticed ({noticed / max(1, len(chosen)):.1%})")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
