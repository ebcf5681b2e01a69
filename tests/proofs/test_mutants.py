"""Does the tool that changes the proofs change what it says, and does it tell what compiles from what does not?"""

from types import ModuleType

import pytest

from tests.proofs import mutants

TEXT = """(* Definition of nothing : 1 - 1. *)
Definition gap (c j : nat) := c - j + 0.
Hypothesis small : 0 < 1.
Theorem T0_gap c j : (forall x, x <= c) -> 0 <= c -> gap c j <= c.
Proof. by []. Qed.
Lemma helper : 1 <= 2.
Proof. by []. Qed.
"""
PLAIN = TEXT.replace("(* Definition of nothing : 1 - 1. *)", " " * 36)


def test_the_changes_to_a_small_development() -> None:
    found = list(mutants.mutants("Small", TEXT, PLAIN))
    changed = {(m.line, *(line for line in m.text.splitlines() if line not in TEXT.splitlines())) for m in found}
    theorem = "Theorem T0_gap c j : (forall x, x <= c) -> 0 <= c -> gap c j <= c."
    assert changed == {
        (2, "Definition gap (c j : nat) := c + j + 0."),
        (2, "Definition gap (c j : nat) := c - j - 0."),
        (3, "Hypothesis small : 0 <= 1."),
        (4, theorem.replace("x <= c", "x < c")),
        (4, theorem.replace("x <= c", "x >= c")),
        (4, theorem.replace("0 <= c", "0 < c")),
        (4, theorem.replace("0 <= c", "0 >= c")),
        (4, theorem.replace("j <= c", "j < c")),
        (4, theorem.replace("j <= c", "j >= c")),
        (4, "Theorem T0_gap c j : (forall x, x <= c) ->  gap c j <= c."),
    }


def test_dependents_in_order() -> None:
    imports = {"A": set(), "B": {"A"}, "C": set(), "D": {"B", "C"}}
    assert mutants.dependents("A", imports) == ["B", "D"]
    assert mutants.dependents("D", imports) == []


@pytest.mark.parametrize(("old", "new", "noticed"), [("<= 2", "<= 0", True), ("<= 2", "<= 3", False)])
def test_what_still_compiles_is_told_from_what_does_not(
    check: ModuleType, with_coq: None, tmp_path: object, old: str, new: str, noticed: bool
) -> None:
    """A file and one that imports it: 1 <= 0 does not compile; 1 <= 3 does, and nobody asks."""
    from pathlib import Path

    base = Path(str(tmp_path))
    first = "From mathcomp Require Import all_ssreflect.\nLemma small : 1 <= 2. Proof. by []. Qed.\n"
    second = "From NAS Require Import First.\nCheck small.\n"
    sources = {"First": first, "Second": second}
    for name, text in sources.items():
        (base / f"{name}.v").write_text(text)
    assert check.compile_all(base, sources) == {}
    mutant = mutants.Mutant("First", 2, "", first.replace(old, new))
    assert mutants.compiles(check, base, mutant, {"First": set(), "Second": {"First"}}) != noticed
