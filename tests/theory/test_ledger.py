"""The ledger: all claims hold, a broken claim is found and minimised, the command keeps its contract."""

import itertools
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from theory import ledger
from theory.__main__ import main
from theory.claim import ANYWHERE, Control
from theory.claims import CLAIMS, t9_exponentiated


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_holds_and_its_controls_are_caught(name: str) -> None:
    row = ledger.examine(name, seed=1, cases=100)
    assert row.holds
    assert row.symbolic
    assert row.controls_caught == row.controls >= 1
    assert row.counterexample is None
    assert row.searched == 100
    assert row.exact_cases == (ledger.FEWEST_EXISTS if CLAIMS[name].exists else ledger.FEWEST_EXACT)


def test_a_false_claim_is_refuted_with_a_minimal_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """T1 with its own control's checker: wrong, and the ledger must say so."""
    wrong = replace(CLAIMS["T1"], slack=CLAIMS["T1"].controls[0].slack)
    monkeypatch.setitem(CLAIMS, "T1", wrong)
    row = ledger.examine("T1", seed=0, cases=100)
    assert not row.holds
    assert not ledger.passed([row])
    assert row.counterexample is not None
    assert row.counterexample.startswith("Case('table', np.array([")
    assert "T1 is violated by" in ledger.table([row])


def test_a_false_derivation_and_an_uncaught_control_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CONTROL_TRIES", 20)
    monkeypatch.setitem(CLAIMS, "T2", replace(CLAIMS["T2"], symbolic=lambda: [1]))
    assert not ledger.examine("T2", 0, 100).holds
    harmless = Control("a true statement", CLAIMS["T4"].slack)
    monkeypatch.setitem(CLAIMS, "T4", replace(CLAIMS["T4"], controls=(harmless,)))
    row = ledger.examine("T4", 0, 100)
    assert row.holds
    assert (row.controls_caught, row.controls) == (0, 1)
    assert not ledger.passed([row])
    assert "NOT REFUTED" in ledger.table([row])


def only_in(exactly: bool) -> Any:
    """A checker that is violated in fractions alone, or in floats alone."""

    def checker(problem: Any, p: Any, share: Any, direction: Any) -> Any:
        return -1 if (p.dtype == object) is exactly else 0 * share

    return checker


@pytest.mark.parametrize("exactly", [True, False])
def test_a_claim_must_hold_in_fractions_and_in_floats(exactly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_property", lambda claim, seed: (0, None))
    honest = CLAIMS["T2"].slack
    slack, exact_slack = (honest, only_in(True)) if exactly else (only_in(False), honest)
    wrong = replace(CLAIMS["T2"], slack=slack, exact_slack=exact_slack, controls=())
    monkeypatch.setitem(CLAIMS, "T2", wrong)
    row = ledger.examine("T2", 0, 100)
    assert not row.holds
    assert row.counterexample == SMALLEST
    assert (row.exact_worst, row.worst_slack) == ((-1, row.worst_slack) if exactly else (row.exact_worst, -1))
    assert (row.searched == 1) is (not exactly)  # the search ends at the first violation


SMALLEST = "Case('table', np.array([0, 0, 0]), np.array([[1, 1]]), Fraction(1, 1), np.array([[0, 0]]))"


def test_what_the_property_test_finds_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_property", lambda claim, seed: (7, "Case(found by Hypothesis)"))
    monkeypatch.setitem(CLAIMS, "T2", replace(CLAIMS["T2"], controls=()))
    row = ledger.examine("T2", 0, 100)
    assert (row.holds, row.property_examples, row.counterexample) == (False, 7, "Case(found by Hypothesis)")


def test_the_property_test_itself_finds_and_shrinks() -> None:
    tried, found = ledger._property(replace(CLAIMS["T2"], slack=only_in(True)), 0)
    assert tried is not None
    assert tried >= 1
    assert found is not None
    assert found.startswith("Case('table', np.array([0, 0, 0])")
    assert ledger._property(CLAIMS["T2"], 0) == (ledger.PROPERTY_EXAMPLES, None)
    assert ledger._property(CLAIMS["T3"], 0) == (0, None)


def test_an_existence_needs_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CLAIMS, "T3", replace(CLAIMS["T3"], slack=lambda *case: 0, controls=()))
    row = ledger.examine("T3", 0, 100)
    assert not row.holds
    assert row.notes == ()
    assert (row.exact_cases, row.exact_worst) == (ledger.FEWEST_EXISTS, 0)


def test_the_search_keeps_the_worst_and_takes_a_nan_for_one() -> None:
    slacks = iter([3.0, 1.0, 2.0, 5.0])
    rng = np.random.default_rng(0)
    found = ledger._search(lambda *case: next(slacks), ANYWHERE, rng, False, 4, False)
    assert (found.number, found.worst) == (4, 1.0)
    slacks = iter([3.0, 1.0, 5.0, 2.0])
    assert ledger._search(lambda *case: next(slacks), ANYWHERE, rng, False, 4, True).worst == 5.0
    slacks = iter([3.0, math.nan, 2.0])
    found = ledger._search(lambda *case: next(slacks), ANYWHERE, rng, False, 3, False)
    assert (found.number, math.isnan(found.worst)) == (2, True)
    slacks = iter([3.0, -1.0, -2.0])
    assert ledger._search(lambda *case: next(slacks), ANYWHERE, rng, False, 3, False).worst == -1.0


def test_a_control_is_refuted_where_it_says_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """In floats and, unless it says otherwise, exactly; one that asks for an example, by finding none."""
    monkeypatch.setattr(ledger, "CONTROL_TRIES", 20)
    rng = np.random.default_rng(0)
    for exactly in (True, False):
        in_floats = Control("violated in floats alone", only_in(False), exact=exactly)
        assert ledger._try_control(in_floats, rng).caught is (not exactly)
    for found, caught in ((1, False), (0, True)):
        asks = Control("some case has room", lambda *case, found=found: found, exists=True)
        assert ledger._try_control(asks, rng).caught is caught
    game = t9_exponentiated.game(2, [1, 1])
    assert next(ledger._control_cases(Control("", only_in(True), example=game), rng)) is game


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, proofs = tmp_path / "ledger.json", _record(tmp_path, {"T4": True, "T2": True})
    arguments = ["verify", "--only", "T4,T2", "--seed", "3", "--cases", "300", "--json", str(file)]
    assert main([*arguments, "--proofs", str(proofs)]) == 0
    written: dict[str, Any] = json.loads(file.read_text())
    assert [claim["id"] for claim in written["claims"]] == ["T4", "T2"]
    assert [written["cases"], *(claim["searched"] for claim in written["claims"])] == [300] * 3
    for claim in written["claims"]:
        assert claim["holds"] is True
        assert claim["controls_caught"] == claim["controls"]
        assert -1e-9 <= claim["worst_slack"] <= 0
    assert [claim["proofs"] for claim in written["claims"]] == ["proved", "proved"]
    assert "T4 the exact advantage is unbiased" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["T4", "T8"])
def test_the_evidence_does_not_depend_on_how_busy_the_machine_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same clock and one that says that every look at it is an hour later: the same row, but for the time shown."""
    monkeypatch.setattr(ledger, "CONTROL_TRIES", 50)
    quick = ledger.examine(name, 3, 200)
    hours = itertools.count(0, 3600)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(hours)))
    slow = ledger.examine(name, 3, 200)
    assert slow.seconds > quick.seconds
    assert replace(slow, seconds=0.0) == replace(quick, seconds=0.0)
    assert (quick.searched, quick.exact_cases) == (200, 16)
    assert name != "T8" or "of 8 BFGS searches" in quick.notes[0]


def _record(folder: Path, proved: dict[str, bool], **changed: str) -> Path:
    """What proofs/check.py would leave for the files as they are, some of them changed."""
    file = folder / "proofs.json"
    claims = {name: {"proved": value} for name, value in proved.items()}
    file.write_text(json.dumps({"files": ledger._proof_digests() | changed, "claims": claims}))
    return file


def test_the_proofs_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PROOF_RECORD", tmp_path / "proofs.json")
    assert ledger._recorded_proofs(None) == {}
    record = _record(tmp_path, {"T4": True, "T2": False})
    assert ledger._recorded_proofs(None) == {"T4": "proved", "T2": "not proved"}
    rows = ledger.verify(["T2", "T15"], cases=20)
    assert [row.proofs for row in rows] == ["not proved", ledger.NO_PROOF]
    assert "make proofs" not in ledger.table(rows)
    row = ledger.examine("T4", 0, 100)
    assert row.proofs == ledger.NOT_CHECKED
    assert "make proofs" in ledger.table([row])
    assert ledger.passed([replace(row, proofs="proved")])
    assert not ledger.passed([replace(row, proofs="not proved")])
    _record(tmp_path, {"T4": True}, **{"README.md": "another digest"})
    assert ledger._recorded_proofs(None) == {}
    with pytest.raises(ValueError, match="older than proofs/"):
        ledger._recorded_proofs(record)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "T99"], "unknown claim 'T99'; known: T1, T2"),
        (["--cases", "0"], "a claim needs at least one case, not 0"),
        (["--seed", "-1"], "--seed must not be negative"),
        (["--json", "/nowhere/at/all.json"], "cannot write /nowhere/at/all.json: no writable folder"),
        (["--proofs", "/nowhere/at/all.json"], "is not a record of proofs/check.py"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
