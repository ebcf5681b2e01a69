"""Do the claims hold? One row a claim: derived with SymPy, checked exactly, searched widely, and its controls caught.

Every claim is tried five ways: its symbolic derivation must reduce to zero; its checker must hold in `Fraction` on
random cases and, where Hypothesis is installed, on a structured property test; it must hold in float64 on as many
random cases as are asked for; and each of its negative controls, a false statement next to it, must be refuted.
Counterexamples are minimised and printed as Python that makes them again. All of it is counted in cases, so that the
evidence is the same on a busy machine and an idle one; seconds are printed beside it.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nas.running.files import read_json
from nas.running.pool import workers
from nas.running.runs import write_atomically
from theory.cases import Case, Domain, minimise, random_case
from theory.claim import Checker, Claim, Control, holds, try_case
from theory.claims import CLAIMS, t8_logit_step

DEFAULT_CASES = 2000  # float cases a claim: with the exact ones about 100 s of processor time for T1 to T17
PROOFS = Path(__file__).resolve().parents[1] / "proofs"
PROOF_RECORD = PROOFS.parent / "runs" / "proofs.json"
NOT_CHECKED = "not checked here"
NO_PROOF = "none"  # which proofs/README.md says why
EXACT_SHARE = 12  # float cases that cost about as much as one exact case
STARTS_SHARE = 100  # float cases for one start of T8's search on each of its sizes
FEWEST_EXACT, FEWEST_EXISTS, PROPERTY_EXAMPLES, CONTROL_TRIES = 10, 300, 25, 2000


@dataclass(frozen=True)
class Caught:
    """A control: the false statement, whether it was refuted, and by which minimal case."""

    statement: str
    caught: bool
    counterexample: str | None


@dataclass(frozen=True)
class Row:
    """What became of one claim. Times in seconds; worst_slack in the checker's units, dimensionless or a loss."""

    id: str
    title: str
    statement: str
    conditions: str
    constant: str
    holds: bool
    symbolic: bool
    exact_cases: int
    exact_worst: float
    property_examples: int | None
    searched: int
    worst_slack: float
    controls: int
    controls_caught: int
    control_details: tuple[Caught, ...]
    counterexample: str | None
    seconds: float
    proofs: str = NOT_CHECKED
    notes: tuple[str, ...] = field(default=())


# ------------------------------------------------------------------ the ledger


def verify(only: Sequence[str], seed: int = 0, cases: int = DEFAULT_CASES, proofs: Path | None = None) -> list[Row]:
    """The rows of the claims in `only`, each on `cases` float cases, on as many processes as there are cores.

    proofs: the JSON that `proofs/check.py --json` recorded, by default what its last run here left in runs/.
    Raises: ValueError for an unknown claim or a number of cases that is not positive.

    >>> passed(verify(["T2"], cases=12))
    True
    """
    for name in only:
        if name not in CLAIMS:
            raise ValueError(f"unknown claim {name!r}; known: {', '.join(CLAIMS)}")
    if cases < 1:
        raise ValueError(f"a claim needs at least one case, not {cases}")
    recorded = _recorded_proofs(proofs)
    otherwise = NO_PROOF if recorded else NOT_CHECKED
    processes = max(1, min(os.cpu_count() or 1, len(only)))
    rows: dict[str, Row] = {}
    with workers(processes) as executor:
        running = [executor.submit(examine, name, seed, cases, recorded.get(name, otherwise)) for name in only]
        for done in tqdm(as_completed(running), total=len(running), desc="claims", leave=False, disable=None):
            rows[done.result().id] = done.result()
    return [rows[name] for name in only]


def examine(name: str, seed: int, cases: int, proofs: str = NOT_CHECKED) -> Row:
    """One claim on `cases` float cases and a twelfth of that exact ones (at least `FEWEST_EXACT`), however long."""
    claim = CLAIMS[name]
    start = time.monotonic()
    stream = np.random.default_rng([seed, list(CLAIMS).index(name)])
    symbolic = all(expression == 0 for expression in claim.symbolic())
    controls = tuple(_try_control(control, stream) for control in claim.controls)
    examples, broken = _property(claim, seed)
    exact_slack, exact_domain = claim.exact_slack or claim.slack, claim.exact_domain or claim.domain
    fewest = FEWEST_EXISTS if claim.exists else FEWEST_EXACT
    exactly = _search(exact_slack, exact_domain, stream, True, max(fewest, cases // EXACT_SHARE), claim.exists)
    floating = _search(claim.slack, claim.domain, stream, False, cases, claim.exists)
    counterexample: str | None = None
    notes: tuple[str, ...] = ()
    if claim.exists:
        sound = exactly.worst > 0
        notes = (
            (f"minimal example: {minimise(exactly.case, lambda c: try_case(claim.slack, c, True) > 0)}",)
            if sound
            else ()
        )
    else:
        sound = holds(exactly.worst, True) and holds(floating.worst, False) and broken is None
        counterexample = broken
        if not holds(exactly.worst, True):
            counterexample = str(minimise(exactly.case, lambda c: _violates(exact_slack, c, True)))
        elif not holds(floating.worst, False):
            counterexample = str(minimise(floating.case, lambda c: _violates(claim.slack, c, False)))
    if name == "T8":
        notes += (_open_question(seed, cases),)
    return Row(
        claim.id,
        claim.title,
        claim.statement,
        claim.conditions,
        claim.constant,
        sound and symbolic,
        symbolic,
        exactly.number,
        float(exactly.worst),
        examples,
        floating.number,
        float(floating.worst),
        len(controls),
        sum(control.caught for control in controls),
        controls,
        counterexample,
        round(time.monotonic() - start, 2),
        proofs,
        notes,
    )


def passed(rows: Sequence[Row]) -> bool:
    """Whether all claims hold, all controls are caught, and no machine proof was checked and found wanting."""
    return all(row.holds and row.controls_caught == row.controls and row.proofs != "not proved" for row in rows)


# ------------------------------------------------------------------ showing it


def table(rows: Sequence[Row]) -> str:
    """The ledger as text."""
    head = (
        "claim",
        "holds",
        "symbolic",
        "exact rational",
        "property",
        "random search: worst slack",
        "controls",
        "proofs",
        "s",
    )
    lines = [head]
    for row in rows:
        lines.append(
            (
                f"{row.id} {row.title}",
                "yes" if row.holds else "NO",
                "derived" if row.symbolic else "FAILED",
                f"{row.exact_cases}: {row.exact_worst:.3g}",
                "no hypothesis" if row.property_examples is None else str(row.property_examples),
                f"{row.searched}: {row.worst_slack:.2g}",
                f"{row.controls_caught}/{row.controls}",
                row.proofs,
                f"{row.seconds:.1f}",
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "-+-".join("-" * width for width in widths))
    for row in rows:
        if row.counterexample:
            text.append(f"{row.id} is violated by\n    {row.counterexample}")
        for control in row.control_details:
            verdict = "refuted" if control.caught else "NOT REFUTED"
            by = f" by {control.counterexample}" if control.counterexample else ""
            by = f": no such case among {CONTROL_TRIES // 10} random ones" if control.caught and not by else by
            text.append(f"{row.id} control, {verdict}: {control.statement}{by}")
        text.extend(f"{row.id}: {note}" for note in row.notes)
    if any(row.proofs == NOT_CHECKED for row in rows):
        text.append("machine proofs: not checked here, or changed since; `make proofs` checks them")
    return "\n".join(text)


def write(path: Path, rows: Sequence[Row], seed: int, cases: int) -> None:
    """The ledger as JSON: {"seed", "cases", "passed", "claims": [one object a claim]}."""
    content = {"seed": seed, "cases": cases, "passed": passed(rows), "claims": [asdict(row) for row in rows]}
    write_atomically(path, json.dumps(content, indent=2) + "\n")


# ------------------------------------------------------------------ helpers


@dataclass(frozen=True)
class _Found:
    number: int
    worst: Any
    case: Case


def _search(slack: Checker, domain: Domain, rng: np.random.Generator, exact: bool, cases: int, largest: bool) -> _Found:
    """The smallest slack (or the largest) over random cases; it ends at the first violation."""
    where = random_case(rng, domain)
    number, worst = 1, try_case(slack, where, exact)
    while (largest or holds(worst, exact)) and number < cases:
        case = random_case(rng, domain)
        found = try_case(slack, case, exact)
        number += 1
        if found != found or (found > worst if largest else found < worst):
            worst, where = found, case
    return _Found(number, worst, where)


def _violates(slack: Checker, case: Case, exact: bool) -> bool:
    return not holds(try_case(slack, case, exact), exact)


def _try_control(control: Control, rng: np.random.Generator) -> Caught:
    if control.exists:
        found = any(
            try_case(control.slack, random_case(rng, control.domain), True) > 0 for _ in range(CONTROL_TRIES // 10)
        )
        return Caught(control.name, not found, None)
    for case in _control_cases(control, rng):
        if _violates(control.slack, case, False) and (not control.exact or _violates(control.slack, case, True)):
            smallest = minimise(case, lambda c: _violates(control.slack, c, control.exact))
            return Caught(control.name, True, str(smallest))
    return Caught(control.name, False, None)


def _control_cases(control: Control, rng: np.random.Generator) -> Iterator[Case]:
    if control.example is not None:
        yield control.example
    for _ in range(CONTROL_TRIES):
        yield random_case(rng, control.domain)


def _property(claim: Claim, seed: int) -> tuple[int | None, str | None]:
    """(examples tried, a minimal failing case or None); None examples where Hypothesis is not installed."""
    if claim.exists:
        return 0, None
    try:
        import hypothesis

        from theory.properties import cases
    except ImportError:
        return None, None
    tried = 0
    failing: Case | None = None
    slack, domain = claim.exact_slack or claim.slack, claim.exact_domain or claim.domain

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=PROPERTY_EXAMPLES, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(cases(domain))
    def holds_everywhere(case: Case) -> None:
        nonlocal tried, failing
        tried += 1
        if _violates(slack, case, True):
            failing = case  # the last one is the shrunk one
            raise ArithmeticError

    try:
        holds_everywhere()
    except ArithmeticError:
        return tried, str(failing)
    return tried, None


def _open_question(seed: int, cases: int) -> str:
    """T8 for E >= 3: the largest ratio of the hard search, and the cases that attain 1/2."""
    starts = max(2, cases // STARTS_SHARE)
    best, sizes = 0.0, ((3, 2), (3, 3), (4, 2), (5, 2))
    for edges, candidates in sizes:
        best = max(best, t8_logit_step.hard_search(edges, candidates, starts, seed)[0])
    attained = [n for n in range(2, 8) if t8_logit_step.ratio(*_equal_signs(n)) == Fraction(1, 2)]
    return (
        f"open for E >= 3: is C = D/4, that is sup E|S^2 - var| / ||v||^2 = 1/2? Largest of {starts * len(sizes)} "
        f"BFGS searches: {best:.9f}; exactly 1/2 for {attained} binary edges at p = 1/2 with equal v"
    )


def _equal_signs(edges: int) -> tuple[Any, Any]:
    half = np.full((edges, 2), Fraction(1, 2), dtype=object)
    return half, np.array([[Fraction(1), Fraction(-1)]] * edges, dtype=object)


def _recorded_proofs(path: Path | None) -> dict[str, str]:
    """Claim -> "proved" or "not proved", from the record of `proofs/check.py`; nothing where it is missing or outdated.

    path: the record, by default the one that every run of the check leaves. It holds a digest of each file it checked.
    Raises: ValueError for a file that is not such a record, or for an outdated one that was asked for by name.
    """
    if path is None and not PROOF_RECORD.is_file():
        return {}
    file = path or PROOF_RECORD
    try:
        record = read_json(file, dict[str, Any])
        checked, claims = dict(record["files"]), dict(record["claims"])
        proved = {name: "proved" if claims[name]["proved"] is True else "not proved" for name in claims}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is not a record of proofs/check.py --json: {error}") from error
    if checked != _proof_digests():
        if path:
            raise ValueError(f"{file} is older than proofs/: run python3 proofs/check.py --json {file} again")
        return {}
    return proved


def _proof_digests() -> dict[str, str]:
    """SHA-256 of the table and of every file of the development as they are now."""
    paths = [PROOFS / "README.md", *sorted((PROOFS / "coq").glob("*.v"))]
    return {path.relative_to(PROOFS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
