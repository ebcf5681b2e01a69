"""Does proofs/check.py catch what it is there to catch? On a development of one theorem, sound and then doctored."""

import os
from pathlib import Path
from types import ModuleType

import pytest

COQ = Path(__file__).resolve().parents[2] / "proofs" / "coq"
README = "| claim | Coq statement |\n| --- | --- |\n| T1 | `Toy.T1_toy` |\n"
SOUND = "(* Nothing is Admitted here. *)\nTheorem T1_toy : 1 + 1 = 2.\nProof. reflexivity. Qed.\n"
EXTENSIONAL = (
    "From mathcomp Require Import boolp.\nTheorem T1_toy (P Q : Prop) : (P <-> Q) -> P = Q.\n"
    "Proof. exact (@propositional_extensionality P Q). Qed.\n"
)
DOCTORED = {
    "admitted": (SOUND.replace("reflexivity. Qed.", "Admitted."), README, "Toy.v, line 3: Admitted"),
    "admit": (SOUND.replace("reflexivity. Qed.", "admit. Admitted."), README, "Toy.v, line 3: admit"),
    "an axiom": ("Axiom easy : 1 + 1 = 2.\n" + SOUND.replace("reflexivity", "exact easy"), README, "line 1: Axiom"),
    "an axiom by another word": (
        "Hypothesis easy : 1 + 1 = 2.\n" + SOUND.replace("reflexivity", "exact easy"),
        README,
        "T1_toy rests on Toy.easy, which is no axiom",
    ),
    "an axiom of another library": (
        "Require Import Classical.\nTheorem T1_toy : forall P : Prop, P \\/ ~ P.\nProof. exact classic. Qed.\n",
        README,
        "T1_toy rests on Classical_Prop.classic",
    ),
    "an axiom of analysis under finite sums": (
        EXTENSIONAL.replace("T1_toy", "T2_toy"),
        README.replace("T1", "T2"),
        "T2_toy rests on boolp.propositional_extensionality",
    ),
    "Coq's reals outside Reals.v": (
        "Require Import Reals.\nTheorem T1_toy : (1 + 1 = 2)%R.\nProof. reflexivity. Qed.\n",
        README,
        "T1_toy rests on ClassicalDedekindReals.sig_",
    ),
    "a false statement": (SOUND.replace("= 2", "= 3"), README, "Toy.v does not compile"),
    "a missing theorem": (SOUND.replace("T1_toy", "toy"), README, "Toy.T1_toy is in the table, not in coq/Toy.v"),
    "a theorem nobody lists": (SOUND + SOUND.replace("T1_toy", "T2_new"), README, "Toy.T2_new is not in the table"),
    "no table": (SOUND, "", "README.md has no table"),
    "a kernel check taken away": ("Unset Guard Checking.\n" + SOUND, README, "line 1: Unset Guard Checking"),
}


def _development(folder: Path, text: str, readme: str) -> Path:
    (folder / "coq").mkdir()
    (folder / "coq" / "Toy.v").write_text(text)
    (folder / "README.md").write_text(readme)
    return folder


def test_a_sound_development_passes(check: ModuleType, with_coq: None, tmp_path: Path) -> None:
    report = check.check(_development(tmp_path, SOUND, README))
    assert report.complaints == ()
    assert list(report.assumptions.values()) == [()]
    assert not list((tmp_path / "coq").glob("*.vo"))  # nothing is left in the tree


def test_analysis_may_rest_on_its_axioms(check: ModuleType, with_coq: None, tmp_path: Path) -> None:
    report = check.check(_development(tmp_path, EXTENSIONAL, README))
    assert report.complaints == ()
    assert list(report.assumptions.values()) == [("boolp.propositional_extensionality",)]


@pytest.mark.parametrize("name", DOCTORED)
def test_control_a_doctored_development_fails(name: str, check: ModuleType, with_coq: None, tmp_path: Path) -> None:
    text, readme, complaint = DOCTORED[name]
    report = check.check(_development(tmp_path, text, readme))
    assert any(complaint in found for found in report.complaints), report.complaints
    assert not any(claim["proved"] for claim in check.record(report)["claims"].values())


def test_control_the_theorems_catch_a_wrong_sign_in_the_credit(
    check: ModuleType, compiled: Path, tmp_path: Path
) -> None:
    right = (COQ / "Estimators.v").read_text(encoding="utf-8")
    wrong = right.replace("credit e * (gates e k - p e k)", "credit e * (p e k - gates e k)")
    assert wrong != right
    sources = {"Estimators": wrong, "Unbiased": (COQ / "Unbiased.v").read_text(encoding="utf-8")}
    (tmp_path / "Policy.vo").write_bytes((compiled / "Policy.vo").read_bytes())
    for name, text in sources.items():
        (tmp_path / f"{name}.v").write_text(text, encoding="utf-8")
    broken = check.compile_all(tmp_path, sources)
    assert list(broken) == ["Unbiased"]


# ------------------------------------------------------------------ without Coq


def test_which_theorem_may_rest_on_which_axioms(check: ModuleType) -> None:
    """Nothing under finite sums, the axioms of analysis elsewhere, those of Coq's reals in Reals.v alone."""
    theorems = check.table((COQ.parent / "README.md").read_text(encoding="utf-8"))
    largest = {t.name: len(check.allowed(t)) for t in theorems}
    assert {largest.pop(name) for name in ("T1_over_the_reals", "T5_integral")} == {8}
    assert {name.split("_")[0] for name, number in largest.items() if number == 0} == {
        "T2",
        "T3",
        "T4",
        "T7",
        "T11",
        "T16",
        "T17",
    }
    assert set(largest.values()) == {0, 3}


def _without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("ADVANTAGE_NAS_REQUIRE_PROOFS", raising=False)


def test_without_coq_it_skips_and_says_so(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without(monkeypatch)
    assert check.main([]) == 0
    assert "proofs SKIPPED: no coqc" in capsys.readouterr().out
    assert check.main(["--install"]) == 0
    assert "proofs SKIPPED: no apt-get" in capsys.readouterr().out


def test_a_skip_fails_where_proofs_are_required(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch)
    assert check.main(["--require"]) == check.SKIPPED
    monkeypatch.setenv("ADVANTAGE_NAS_REQUIRE_PROOFS", "1")
    assert check.main([]) == check.SKIPPED


def test_another_coq_is_one_clear_line(check: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "coqc"
    other.write_text("#!/bin/sh\necho 8.20.0 5.2.0\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert check.missing().startswith("found Coq 8.20.0; needed: Coq 8.16")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--json", "/nowhere/at/all.json"], "no writable folder"), (["--proofs", "/nowhere"], "no README.md and coq/")],
)
def test_bad_input_is_refused(
    arguments: list[str], message: str, check: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main(arguments) == check.REFUSED
    assert message in capsys.readouterr().err
