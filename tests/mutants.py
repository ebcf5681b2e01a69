"""Would the tests notice? One small change at a time to a source file, and the tests that belong to it must fail.

    python tests/mutants.py nas/policy.py theory/claims       every change to these
    python tests/mutants.py --sample 60 --seed 3 nas/step.py   a seeded sample of 60
    make mutants                                               the sample that CI affords

A change is made in the syntax tree: an operator or a comparison turned, a term dropped, a condition negated, a number
moved, a minus removed, a statement or a refusal deleted, min and max exchanged. Docstrings, annotations, decorators and
texts are left alone. The tests of a file are those that mirror its path (nas/step.py -> tests/nas/test_step*.py) and
those that `ALSO` names. They run in a process forked from one that has loaded the libraries, under a limit of processor
time, so that a busy machine kills nothing.

A change that cannot be noticed, because the program still means the same, stands in equivalent_mutants.toml with the
reason. It is found again by file, function and text, not by line; an entry that fits no change any more is an error.
Exit status: 0 all noticed, 1 some survived or an entry is stale, 2 refused (one line says why).
"""

import argparse
import ast
import copy
import json
import os
import random
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENTS = Path(__file__).with_name("equivalent_mutants.toml")
ALSO = {  # tests beyond the mirrored ones, in the order in which they are asked
    "nas/samples.py": ["tests/nas/test_step.py"],
    "nas/methods.py": ["tests/nas/test_step.py"],
    "nas/objective.py": ["tests/nas/test_step.py"],
    "theory/quantities.py": ["tests/theory/test_claims.py"],
    "theory/symbols.py": ["tests/theory/test_claims.py"],
    "theory/architectures.py": ["tests/theory/test_exact.py"],
    "theory/cases.py": ["tests/theory/test_claims.py"],
    "theory/claim.py": ["tests/theory/test_claims_teeth.py"],
    "theory/__main__.py": ["tests/theory/test_ledger.py", "tests/theory/test_card.py"],
    "theory/properties.py": ["tests/theory/test_testing.py"],
    "theory/outcomes.py": ["tests/theory/test_exact.py"],
    "nas/supernets/supernet.py": ["tests/nas/supernets/test_own_networks.py"],
    "nas/supernets/descent.py": ["tests/nas/supernets/test_supernet.py"],
    "nas/supernets/batches.py": ["tests/nas/supernets/test_supernet.py"],
    "nas/search.py": ["tests/nas/running/test_searching.py"],
    "nas/derive.py": ["tests/nas/running/test_searching.py"],
}
SLOW = "not compile and not subprocess"  # pytest -k: minutes of compilation would be paid for every survivor
GRACE = 10.0  # seconds of processor time beyond three times what the tests take unchanged
PATIENCE = 30  # seconds on the clock for each of them: only what waits for something that never comes takes so long


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, its text `old -> new`, which of the same changes in its function it is, and the tree."""

    file: str
    function: str
    line: int
    change: str
    occurrence: int
    tree: ast.Module

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What finds the same change again after other lines have moved."""
        return self.file, self.function, self.change, self.occurrence

    def __str__(self) -> str:
        number = f" (number {self.occurrence + 1} of its kind)" if self.occurrence else ""
        return f"{self.file}:{self.line} in {self.function}: {self.change}{number}"


# ------------------------------------------------------------------ the changes


def mutants(file: str, source: str) -> list[Mutant]:
    """All changes to a file, in the order of its lines."""
    tree = ast.parse(source)
    found: list[Mutant] = []
    seen: dict[tuple[str, str], int] = {}
    for path, node, function in list(_places(tree)):
        for new in _changes(node):
            changed = _replaced(tree, path, new)
            # a number says little by itself: it is shown in the expression or statement that holds it
            shown = path
            while isinstance(node, ast.Constant) and isinstance(
                _at(tree, shown), ast.Constant | ast.UnaryOp | ast.keyword
            ):
                shown = shown[:-1]
            change = f"{_text(_at(tree, shown))} -> {_text(_at(changed, shown))}"
            number = seen.get((function, change), 0)
            seen[function, change] = number + 1
            found.append(Mutant(file, function, node.lineno, change, number, changed))
    return found


EXCHANGED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
TURNED = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
PAIRS = (("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("minimum", "maximum"), ("all", "any"),
         ("zeros_like", "ones_like"), ("sum", "prod"), ("floor", "ceil"))  # fmt: skip
RENAMED = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What one node may turn into."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in EXCHANGED:
            yield _with(node, op=EXCHANGED[type(node.op)]())
        if isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
            yield node.left
        if isinstance(node.op, ast.Add | ast.Mult):
            yield node.right
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=EXCHANGED[type(node.op)]())
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in EXCHANGED:
            yield _with(node, op=EXCHANGED[type(node.op)]())
        yield ast.copy_location(ast.Pass(), node)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for turned in TURNED[type(node.ops[0])]:
            yield _with(node, ops=[turned()])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes) and node.value is not ...:
        if isinstance(node.value, bool):
            yield _with(node, value=not node.value)
        elif isinstance(node.value, int | float):
            yield _with(node, value=node.value * 2 if isinstance(node.value, float) and node.value else node.value + 1)
    elif isinstance(node, ast.Call):
        name = node.func
        if isinstance(name, ast.Attribute) and name.attr in RENAMED:
            yield _with(node, func=_with(name, attr=RENAMED[name.attr]))
        elif isinstance(name, ast.Name) and name.id in RENAMED and name.id != "sum":
            yield _with(node, func=_with(name, id=RENAMED[name.id]))
    elif isinstance(node, ast.Raise | ast.Break | ast.Continue) or _is_call(node):
        yield ast.copy_location(ast.Pass(), node)


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _places(tree: ast.Module) -> Iterator[tuple[tuple[Any, ...], Any, str]]:
    """(path from the root, node, enclosing function) of everything that may be changed."""

    def walk(node: ast.AST, path: tuple[Any, ...], function: str) -> Iterator[tuple[tuple[Any, ...], Any, str]]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            function = node.name if function == "<module>" else f"{function}.{node.name}"
        if isinstance(node, ast.Call | ast.Expr | ast.stmt | ast.expr):
            yield path, node, function
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "type_params", "exc", "cause", "msg"):
                continue
            if isinstance(value, ast.AST):
                if not isinstance(value, ast.JoinedStr):
                    yield from walk(value, (*path, field), function)
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.AST) and not isinstance(item, ast.JoinedStr):
                        yield from walk(item, (*path, (field, index)), function)

    return walk(tree, (), "<module>")


def _with(node: Any, **fields: Any) -> Any:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _replaced(tree: ast.Module, path: Sequence[Any], new: ast.AST) -> ast.Module:
    """The tree with one node exchanged; only the nodes on the way to it are copied."""

    def at(node: Any, rest: Sequence[Any]) -> Any:
        if not rest:
            return new
        step = rest[0]
        if isinstance(step, str):
            return _with(node, **{step: at(getattr(node, step), rest[1:])})
        field, index = step
        items = list(getattr(node, field))
        items[index] = at(items[index], rest[1:])
        return _with(node, **{field: items})

    changed: ast.Module = at(tree, path)
    return changed


def _at(tree: ast.AST, path: Sequence[Any]) -> Any:
    found: Any = tree
    for step in path:
        found = getattr(found, step) if isinstance(step, str) else getattr(found, step[0])[step[1]]
    return found


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return text if len(text) <= 160 else f"{text[:157]}..."


# ------------------------------------------------------------------ running the tests on one


def tests_of(file: str) -> list[str]:
    """The test files of a source file, those nearest to it first. Raises: ValueError where there are none."""
    path = Path(file)
    found = []
    while path.parent != Path():
        found += sorted((ROOT / "tests" / path.parent).glob(f"test_{path.stem}.py"))
        found += sorted((ROOT / "tests" / path.parent).glob(f"test_{path.stem}_*.py"))
        path = path.parent
    names = [str(test.relative_to(ROOT)) for test in found]
    for parent in (file, *map(str, Path(file).parents)):
        names += [name for name in ALSO.get(parent, []) if name not in names and (ROOT / name).is_file()]
    if not names:
        raise ValueError(f"no test mirrors {file}: name its tests in ALSO of tests/mutants.py")
    return names


class _Changed(MetaPathFinder):
    """Imports one module from a changed tree, everything else as usual."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.file = ROOT / file
        parts = Path(file).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.code = compile(ast.fix_missing_locations(tree), str(self.file), "exec")

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        code = self.code

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> Any:
                return code

        return spec_from_file_location(name, self.file, loader=Loader(name, str(self.file)))


def _load_libraries() -> None:
    """What every child needs and no change touches: loaded once, before the forks."""
    import hypothesis
    import matplotlib.figure
    import numpy
    import pytest
    import scipy.stats
    import sympy
    import torch

    assert all((hypothesis, matplotlib.figure, numpy, pytest, scipy.stats, sympy, torch))
    ours = {name.split(".")[0] for name in sys.modules} & {"nas", "theory", "simulate"}
    if ours:
        raise ValueError(f"{', '.join(sorted(ours))} is loaded already: changes to it would not be seen")


def run(tests: Sequence[str], changed: tuple[str, ast.Module] | None, limit: float) -> tuple[str, float]:
    """("passed", "failed", "timeout" or "broken", seconds of processor time) of the tests in a fork."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            os.chdir(ROOT)
            sys.path.insert(0, str(ROOT))
            if changed:
                sys.meta_path.insert(0, _Changed(*changed))
            import pytest

            loaded = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is there already, and stays as it is
            code = int(pytest.main(["-x", "-q", "-k", SLOW, "-p", "no:cacheprovider", "-W", loaded, *tests]))
        finally:
            os._exit(code)
    end = time.monotonic() + PATIENCE * limit
    while not (done := os.wait4(child, os.WNOHANG))[0]:  # a child that sleeps for ever spends no processor time
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            done = os.wait4(child, 0)
            break
        time.sleep(0.02)
    _, status, usage = done
    spent = usage.ru_utime + usage.ru_stime
    if os.WIFSIGNALED(status):
        return ("timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "failed"), spent
    return {0: "passed", 1: "failed", 2: "failed"}.get(os.WEXITSTATUS(status), "broken"), spent


# ------------------------------------------------------------------ the command


def equivalents() -> dict[tuple[str, str, str, int], str]:
    """key -> reason, of equivalent_mutants.toml. Raises: ValueError for an entry without a reason."""
    if not EQUIVALENTS.is_file():
        return {}
    known = {}
    for entry in tomllib.loads(EQUIVALENTS.read_text(encoding="utf-8")).get("equivalent", []):
        if not entry.get("reason"):
            raise ValueError(f"{EQUIVALENTS.name}: {entry.get('change')!r} has no reason")
        changes = [entry["change"]] if isinstance(entry["change"], str) else entry["change"]
        for change in changes:
            known[entry["file"], entry["function"], change, entry.get("occurrence", 0)] = entry["reason"]
    return known


def files_of(names: Sequence[str]) -> list[str]:
    """Source files, relative to the root, of files and of folders but for __init__.py. Raises: ValueError if absent."""
    found: list[str] = []
    for name in names:
        path = (ROOT / name).resolve()
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py"]
            found += [str(file.relative_to(ROOT)) for file in inside]
        elif path.is_file():
            found.append(str(path.relative_to(ROOT)))
        else:
            raise ValueError(f"{name} is neither a source file nor a folder of this project")
    return list(dict.fromkeys(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit status as the head of this file says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", help="source files or folders")
    parser.add_argument("--sample", type=int, metavar="N", help="N changes drawn evenly from all files (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="default: one a core")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every change and what became of it")
    parser.add_argument("--list", action="store_true", help="only show the changes")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except ValueError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    known = equivalents()
    every: list[Mutant] = []
    for file in files_of(options.files):
        every += mutants(file, (ROOT / file).read_text(encoding="utf-8"))
    keys, files = {mutant.key for mutant in every}, {mutant.file for mutant in every}
    stale = [key for key in known if key[0] in files and key not in keys]
    for key in stale:
        print(f"stale entry of {EQUIVALENTS.name}: {key[0]} in {key[1]}: {key[2]}")
    chosen = [mutant for mutant in every if mutant.key not in known]
    number = len(chosen)
    if options.sample is not None and options.sample < number:
        places = sorted(random.Random(options.seed).sample(range(number), options.sample))
        chosen = [chosen[place] for place in places]
    print(f"{len(every)} changes, {len(every) - number} of them equivalent; trying {len(chosen)} of {number}")
    if options.list:
        print(*chosen, sep="\n")
        return 1 if stale else 0
    if not chosen:
        return 1 if stale else 0
    _load_libraries()
    seconds: dict[str, float] = {}
    tests, limits = {}, {}
    for file in dict.fromkeys(mutant.file for mutant in chosen):
        for test in tests_of(file):
            if test not in seconds:
                verdict, seconds[test] = run([test], None, 3600.0)
                if verdict != "passed":
                    raise ValueError(f"{test}, which belongs to {file}, does not pass unchanged")
        tests[file] = sorted(tests_of(file), key=seconds.__getitem__)  # the quickest to notice first
        limits[file] = 3 * sum(seconds[test] for test in tests[file]) + GRACE

    def tried(mutant: Mutant) -> str:
        verdict, _ = run(tests[mutant.file], (mutant.file, mutant.tree), limits[mutant.file])
        if verdict == "broken":
            raise ValueError(f"no tests ran for {mutant}")
        if verdict == "passed":
            print(f"survived  {mutant}", flush=True)
        return verdict

    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        verdicts = list(pool.map(tried, chosen))
    for file in limits:
        own = [verdict for mutant, verdict in zip(chosen, verdicts, strict=True) if mutant.file == file]
        noticed = len(own) - own.count("passed")
        print(f"{file}: {noticed} of {len(own)} noticed ({noticed / len(own):.1%}), {own.count('timeout')} by time")
    noticed = len(verdicts) - verdicts.count("passed")
    print(f"all: {noticed} of {len(verdicts)} noticed ({noticed / max(1, len(verdicts)):.1%})")
    if options.json:
        content = [
            {"file": m.file, "function": m.function, "line": m.line, "change": m.change, "verdict": v}
            for m, v in zip(chosen, verdicts, strict=True)
        ]
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 1 if stale or noticed < len(verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
