"""Would the tests notice? One small change at a time to a source file, and the tests that belong to it must fail.

    python tests/mutants.py nas/policy.py theory/claims       every change to these
    python tests/mutants.py --sample 60 --seed 3 nas/step.py   a seeded sample of 60
    python tests/mutants.py --json all.jsonl theory            goes on from there when it is stopped
    make mutants                                               the sample that CI affords

A change is made in the syntax tree: an operator or a comparison turned, a term dropped, a condition negated, a number
moved, a minus removed, a statement or a refusal deleted, min and max exchanged. Docstrings, annotations, decorators and
texts are left alone, and so are drawings (`@styled`) and the looks of progress bars, which are looked at, the -1 of a
reshape, for which any number below zero stands, and the `strict` of a zip, which speaks of lengths that are equal by
construction. The tests of a file are those that mirror its path (nas/step.py -> tests/nas/test_step*.py) and those that
`ALSO` names; a test that is run claim by claim is asked for its own claim's file alone.

A test that never comes to the changed lines runs as it did before, and need not run again. So every test runs once on
the unchanged file, in a fork of its own, and the lines that it comes to are written down. A change is tried on the
tests that come to its lines, the quickest first, until one fails. They run in a fork of the process that has collected
them, where the changed code has taken the place of the old in every function that is there. What ran while the tests
were collected cannot be changed afterwards: such a change is imported by a fresh process, and asks all tests of the
file. Each fork has a limit of processor time, so that a busy machine kills nothing. Hypothesis draws the same examples
every time (as many as a test says), keeps none and shrinks none.

A change that cannot be noticed, because the program still means the same, stands in equivalent_mutants.toml with the
reason. It is found again by file, function and text, not by line; an entry that fits no change any more is an error.
Exit status: 0 all noticed, 1 some survived or an entry is stale, 2 refused (one line says why).
"""

import argparse
import ast
import copy
import functools
import gc
import hashlib
import json
import mmap
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENTS = Path(__file__).with_name("equivalent_mutants.toml")
ALSO = {  # tests beyond the mirrored ones, in the order in which they are asked
    "nas/policy.py": ["tests/nas/test_samples.py"],
    "nas/samples.py": ["tests/nas/test_step.py"],
    "nas/methods.py": ["tests/nas/test_step.py"],
    "nas/step.py": ["tests/nas/test_controller.py", "tests/nas/test_population.py"],
    "nas/objective.py": ["tests/nas/test_step.py"],
    "theory/quantities.py": ["tests/theory/claims/test_t13_sampled_steps.py", "tests/theory/test_claims.py"],
    "theory/repairs.py": ["tests/theory/claims/test_t16_budgeted.py"],
    "theory/exact.py": ["tests/theory/test_own_policies.py"],
    "theory/landscapes/truth.py": ["tests/theory/landscapes/test_kinds.py"],
    "theory/symbols.py": ["tests/theory/test_claims.py"],
    "theory/architectures.py": ["tests/theory/test_exact.py"],
    "theory/cases.py": ["tests/theory/test_claims.py"],
    "theory/claim.py": ["tests/theory/test_claims_teeth.py"],
    "theory/__main__.py": ["tests/theory/test_ledger.py", "tests/theory/test_card.py"],
    "theory/properties.py": ["tests/theory/test_testing.py"],
    "theory/outcomes.py": ["tests/theory/test_exact.py"],
    "simulate/__main__.py": ["tests/simulate/test_searchers.py", "tests/simulate/test_study.py"],
    "simulate/experiments.py": ["tests/simulate/test_demo.py", "tests/simulate/test_study.py"],
    "simulate/plot.py": ["tests/simulate/test_evidence.py", "tests/simulate/test_study.py"],
    "simulate/study.py": ["tests/simulate/test_evidence.py"],
    "simulate/report.py": ["tests/simulate/test_evidence.py", "tests/simulate/test_study.py"],
    "nas/found.py": ["tests/nas/test_search.py"],
    "nas/supernets/edge.py": ["tests/nas/supernets/test_own_networks.py"],
    "nas/supernets/alone.py": ["tests/nas/tasks/digits/test_scratch.py"],
    "nas/supernets/parent.py": ["tests/nas/test_search.py"],
    "nas/supernets/recorded.py": ["tests/nas/supernets/test_cuda.py"],
    "nas/supernets/supernet.py": ["tests/nas/supernets/test_own_networks.py", "tests/nas/supernets/test_ahead.py"],
    "nas/supernets/descent.py": ["tests/nas/supernets/test_supernet.py"],
    "nas/supernets/batches.py": ["tests/nas/supernets/test_supernet.py"],
    "nas/search.py": [
        "tests/nas/test_zero_policy.py",
        "tests/nas/test_ending.py",
        "tests/nas/running/test_searching.py",
    ],
    "nas/derive.py": ["tests/nas/running/test_searching.py"],
}
SLOW = "not compile and not subprocess"  # pytest -k: minutes of compilation would be paid for every survivor
GRACE = 10.0  # seconds of processor time beyond three times what the tests take unchanged
PATIENCE = 30  # seconds on the clock for each of them: only what waits for something that never comes takes so long


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, its text `old -> new`, which of the same changes in its function it is, and the tree.

    lines: from the first of its statement, or of its lambda, to the last of its own. Nothing gets to it but by these.
    """

    file: str
    function: str
    line: int
    change: str
    occurrence: int
    tree: ast.Module
    lines: range

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
            found.append(Mutant(file, function, node.lineno, change, number, changed, _lines(tree, path)))
    return found


def _lines(tree: ast.Module, path: Sequence[Any]) -> range:
    """From the first line of the innermost statement or lambda on the way to a node, to the node's last."""
    way: list[Any] = [_at(tree, path[:length]) for length in range(len(path) + 1)]
    first = [node.lineno for node in way if isinstance(node, ast.stmt | ast.Lambda)][-1]
    last = way[-1].test if isinstance(way[-1], ast.If | ast.While) else way[-1]
    return range(first, last.end_lineno + 1)


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


def _is_left_alone(node: ast.AST, value: ast.AST) -> bool:
    """Whether a value is the -1 of a reshape, the `strict` of a zip, or how a progress bar looks."""
    if isinstance(value, ast.keyword):
        return value.arg == "strict" or getattr(getattr(node, "func", None), "id", "") == "tqdm"
    name = getattr(getattr(node, "func", None), "attr", "")
    return name == "reshape" and isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub)


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)


def _places(tree: ast.Module) -> Iterator[tuple[tuple[Any, ...], Any, str]]:
    """(path from the root, node, enclosing function) of everything that may be changed."""

    def walk(node: ast.AST, path: tuple[Any, ...], function: str) -> Iterator[tuple[tuple[Any, ...], Any, str]]:
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(word) == "styled" for word in node.decorator_list):
            return
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
                    if (
                        isinstance(item, ast.AST)
                        and not isinstance(item, ast.JoinedStr)
                        and not _is_left_alone(node, item)
                    ):
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
        self.code = _compiled(file, tree)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        code = self.code

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> Any:
                return code

        return spec_from_file_location(name, self.file, loader=Loader(name, str(self.file)))


def _compiled(file: str, tree: ast.Module) -> CodeType:
    code: CodeType = compile(ast.fix_missing_locations(tree), str(ROOT / file), "exec")
    return code


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
    phases, checks = [hypothesis.Phase.explicit, hypothesis.Phase.generate], list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile(  # no deadlines: a busy machine and a trace take longer
        "mutants", derandomize=True, database=None, phases=phases, deadline=None, suppress_health_check=checks
    )
    hypothesis.settings.load_profile("mutants")
    gc.freeze()  # a fork that collects would look at all of it, and copy it by doing so


def in_forks(works: Iterable[tuple[Any, Callable[[], int], float]], jobs: int) -> Iterator[tuple[Any, str, float]]:
    """(key, verdict, seconds of processor time) of each (key, work, limit of these seconds), `jobs` at a time.

    A work runs in a silent fork of this process and returns 0 ("passed") or 1 ("failed"); "timeout" where it goes
    beyond its limit, "broken" where it returns anything else.
    """
    left = iter(works)
    running: dict[int, tuple[Any, float, str]] = {}
    while True:
        for key, work, limit in islice(left, jobs - len(running)):
            scratch = tempfile.mkdtemp(prefix="mutant-")
            running[_forked(work, limit, scratch)] = key, time.monotonic() + PATIENCE * limit, scratch
        if not running:
            return
        for child, (key, end, scratch) in list(running.items()):
            done, status, usage = os.wait4(child, os.WNOHANG)
            if not done and time.monotonic() > end:  # a child that sleeps for ever spends no processor time
                os.killpg(child, signal.SIGKILL)
                done, status, usage = os.wait4(child, 0)
            if done:
                del running[child]
                shutil.rmtree(scratch, ignore_errors=True)
                yield key, _verdict(status), usage.ru_utime + usage.ru_stime
        time.sleep(0.005)


def _forked(work: Callable[[], int], limit: float, scratch: str) -> int:
    if child := os.fork():
        return child
    code = 3
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
        os.environ["PYTEST_DEBUG_TEMPROOT"] = scratch  # pytest would keep the folders of every one
        _be_silent()
        code = work()
    finally:
        os._exit(code)


def _be_silent() -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def _verdict(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "failed"
    return {0: "passed", 1: "failed", 2: "failed"}.get(os.WEXITSTATUS(status), "broken")


def _pytest(tests: Sequence[str], plugin: Any) -> int:
    """pytest on test files of the project, in this process: its exit status."""
    import pytest

    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    loaded = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is there already, and stays as it is
    options = ["-x", "-q", "-k", SLOW, "-p", "no:cacheprovider", "--capture=sys", "-W", loaded]
    return int(pytest.main([*options, *tests], plugins=[plugin]))


def verdicts(file: str, changed: Sequence[Mutant], jobs: int) -> Iterator[tuple[Mutant, str]]:
    """What becomes of each change to one file: "failed" and "timeout" are noticed, "passed" survived.

    Raises: ValueError where the tests of the file do not pass unchanged, or do not run.
    """
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    host = context.Process(target=_host, args=(file, changed, jobs, there))
    host.start()
    there.close()
    order: list[str] = []
    spent, afresh = 0.0, []
    try:
        while True:
            name, what = here.recv()
            if name == "tests":
                for seconds, test, verdict in what:
                    if verdict != "passed":
                        raise ValueError(f"{test}, which belongs to {file}, does not pass unchanged")
                    order.append(test)
                    spent += seconds
            elif what == "afresh":
                afresh.append(changed[name])
            else:
                yield changed[name], _known(changed[name], what)
    except EOFError:
        host.join()
    if not order:
        raise ValueError(f"{' '.join(tests_of(file))}, which belong to {file}, do not run unchanged")
    limit = 3 * spent + GRACE
    works = ((mutant, functools.partial(_imported, mutant, order), limit) for mutant in afresh)
    for mutant, verdict, _ in in_forks(works, jobs):
        yield mutant, _known(mutant, verdict)


def _known(mutant: Mutant, verdict: str) -> str:
    if verdict == "broken":
        raise ValueError(f"no tests ran for {mutant}")
    return verdict


def _imported(mutant: Mutant, order: Sequence[str]) -> int:
    """All tests of a file, in this order, in a process that imports the changed file."""
    sys.meta_path.insert(0, _Changed(mutant.file, mutant.tree))
    place = {test: number for number, test in enumerate(order)}

    class Ordered:
        def pytest_collection_modifyitems(self, items: list[Any]) -> None:
            items.sort(key=lambda item: place.get(item.nodeid, len(place)))

    return _pytest(tests_of(mutant.file), Ordered())


def _host(file: str, changed: Sequence[Mutant], jobs: int, report: Any) -> None:
    """Collects the tests of the unchanged file, then tries the changes that it can; a process of its own."""
    _be_silent()
    lines = (ROOT / file).read_text(encoding="utf-8").count("\n") + 2
    loading = bytearray(lines)
    trace = _writes_down(ROOT / file, loading)

    class Host:
        def pytest_collection_modifyitems(self, items: list[Any]) -> None:
            items[:] = [item for item in items if not _is_of_another_claim(item.name, file)]

        def pytest_runtestloop(self, session: Any) -> bool | None:
            threading.settrace(None)
            sys.settrace(None)
            if session.testsfailed:
                return None  # pytest says so
            swap = _swapping(file)
            gc.freeze()
            tests = _recorded(session.items, ROOT / file, lines, jobs)
            report.send(("tests", [(test.seconds, test.item.nodeid, test.verdict) for test in tests]))
            if all(test.verdict == "passed" for test in tests):
                for number, verdict, _ in in_forks(works(tests, swap), jobs):
                    report.send((number, verdict))
            return True

    def works(tests: list[_Test], swap: Any) -> Iterator[tuple[int, Callable[[], int], float]]:
        for number, mutant in enumerate(changed):
            new = None if any(loading[line] for line in mutant.lines) else swap(mutant.tree)
            if new is None:
                report.send((number, "afresh"))
                continue
            asked = [test for test in tests if any(test.lines[line] for line in mutant.lines)]
            limit = 3 * sum(test.seconds for test in asked) + GRACE
            yield number, functools.partial(_exchanged, new, [test.item for test in asked]), limit

    threading.settrace(trace)
    sys.settrace(trace)
    _pytest(tests_of(file), Host())
    report.close()


def _is_of_another_claim(test: str, file: str) -> bool:
    """Whether a test that is run for each claim, test_it_holds[T5], is run for another one than this file's."""
    claim = re.match(r"theory/claims/t(\d+)_", file)
    named = re.findall(r"\bT(\d+)\b", test)
    return claim is not None and bool(named) and claim[1] not in named


@dataclass(frozen=True)
class _Test:
    """A collected test, the seconds and the verdict of its run on the unchanged file, and the lines it came to."""

    seconds: float
    item: Any
    verdict: str
    lines: Any


def _recorded(items: Sequence[Any], file: Path, lines: int, jobs: int) -> list[_Test]:
    """Each test once, in a fork of its own: what one test left in a cache would hide lines from the next."""
    came = [mmap.mmap(-1, lines) for _ in items]  # shared with the forks, and theirs

    def alone(number: int) -> int:
        trace = _writes_down(file, came[number])
        threading.settrace(trace)
        sys.settrace(trace)
        return _exchanged([], [items[number]])

    works = ((number, functools.partial(alone, number), 3600.0) for number in range(len(items)))
    found = sorted((seconds, number, verdict) for number, verdict, seconds in in_forks(works, jobs))
    return [_Test(seconds, items[number], verdict, bytes(came[number])) for seconds, number, verdict in found]


def _writes_down(file: Path, lines: Any) -> Any:
    """A trace function that sets lines[n] where line n of the file runs."""
    name = str(file)

    def inside(frame: Any, event: str, _: Any) -> Any:
        if event == "line":
            lines[frame.f_lineno] = 1
        return inside

    return lambda frame, event, _: inside if frame.f_code.co_filename == name else None


def _exchanged(new: Iterable[tuple[FunctionType, CodeType]], items: Sequence[Any]) -> int:
    """Collected tests, one after another until one fails, with the code of these functions exchanged: 0 or 1."""
    for function, code in new:
        function.__code__ = code
    for item, following in zip(items, [*items[1:], None], strict=False):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


def _swapping(file: str) -> Callable[[ast.Module], list[tuple[FunctionType, CodeType]] | None]:
    """A function of a changed tree: what code every living function of the file is to get.

    It returns None where that cannot be told or done: then the file has to be imported again.
    """
    old = list(_codes(_compiled(file, ast.parse((ROOT / file).read_text(encoding="utf-8")))))
    places: dict[CodeType, list[int]] = {}
    for place, code in enumerate(old):
        places.setdefault(code, []).append(place)
    living = [thing for thing in gc.get_objects() if type(thing) is FunctionType]
    living = [function for function in living if function.__code__.co_filename == str(ROOT / file)]

    def swap(tree: ast.Module) -> list[tuple[FunctionType, CodeType]] | None:
        new = list(_codes(_compiled(file, tree)))
        if [code.co_qualname for code in new] != [code.co_qualname for code in old]:
            return None
        exchanged = []
        for function in living:
            codes = {new[place] for place in places.get(function.__code__, [])}
            if len(codes) != 1 or len(function.__code__.co_freevars) != len(next(iter(codes)).co_freevars):
                return None
            exchanged.append((function, codes.pop()))
        return exchanged

    return swap


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all within it, in the order of the source."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


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
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="add a line a change and what became of it; what is there of the same file and tests is not tried again",
    )
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
    stored = _stored(options.json) if options.json else {}
    every_verdict: list[str] = []
    for file in dict.fromkeys(mutant.file for mutant in chosen):
        state = _state(file)
        own = {mutant.key: mutant for mutant in chosen if mutant.file == file}
        became = {key: stored[state, key] for key in own if (state, key) in stored}
        for key, verdict in became.items():
            if verdict == "passed":
                print(f"survived  {own[key]}", flush=True)
        left = [mutant for key, mutant in own.items() if key not in became]
        for mutant, verdict in verdicts(file, left, max(1, options.jobs)) if left else ():
            became[mutant.key] = verdict
            if verdict == "passed":
                print(f"survived  {mutant}", flush=True)
            if options.json:
                _store(options.json, state, mutant, verdict)
        every_verdict += became.values()
        by_time = list(became.values()).count("timeout")
        print(f"{file}: {_noticed(became.values())}, {by_time} by time", flush=True)
    print(f"all: {_noticed(every_verdict)}")
    return 1 if stale or "passed" in every_verdict else 0


def _noticed(every: Iterable[str]) -> str:
    verdicts = list(every)
    number = len(verdicts) - verdicts.count("passed")
    return f"{number} of {len(verdicts)} noticed ({number / len(verdicts):.1%})"


def _state(file: str) -> str:
    """What a verdict rests on, as a digest: the text of the file and of its tests."""
    texts = [(ROOT / name).read_bytes() for name in (file, *tests_of(file))]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def _store(record: Path, state: str, mutant: Mutant, verdict: str) -> None:
    names = ("file", "function", "line", "change", "occurrence")
    entry = {name: getattr(mutant, name) for name in names} | {"verdict": verdict, "state": state}
    with record.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry) + "\n")


def _stored(record: Path) -> dict[tuple[str, tuple[str, str, str, int]], str]:
    """(state, key of a change) -> what became of it. Raises: ValueError for a line that is none of `_store`'s."""
    found = {}
    for number, line in enumerate(record.read_text(encoding="utf-8").splitlines() if record.is_file() else [], 1):
        try:
            entry = json.loads(line)
            key = entry["file"], entry["function"], entry["change"], entry["occurrence"]
            found[entry["state"], key] = entry["verdict"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{record}:{number} is no line that --json has written") from error
    return found


if __name__ == "__main__":
    sys.exit(main())
