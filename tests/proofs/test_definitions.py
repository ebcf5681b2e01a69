"""Are Coq's definitions those of the code? Evaluated by Coq on rational numbers, compared with Python's, `==`.

Two edges, three operations, so that no transposed index goes unseen. Estimators are compared on arbitrary rational
arrays (they are rational functions, not only of one-hot gates); means over all nine architectures.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import estimators, objective, policy
from nas.methods import METHODS
from theory import exact, quantities, repairs
from theory.architectures import choices, one_hot
from theory.claims import t7_variance, t8_logit_step, t9_exponentiated, t11_best_baseline, t17_reference
from theory.landscapes import Quadratic, Table

COQ = Path(__file__).resolve().parents[2] / "proofs" / "coq"
E, K, D = 2, 3, 2
ARCHITECTURES = list(itertools.product(range(K), repeat=E))
CHOSEN = (1, 2)  # the architecture at which single-architecture quantities are taken
Values = dict[str, list[Fraction]]
Evaluate = Callable[[Path, str, Mapping[str, str]], Values]

# ------------------------------------------------------------------ one instance, in Python and in Coq

_rng = np.random.default_rng(4)


def _random(*shape: int) -> Any:
    numbers = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        numbers[index] = Fraction(int(_rng.integers(-9, 10)), int(_rng.integers(1, 8)))
    return numbers


def _policy() -> Any:
    weights = np.array([[Fraction(int(w)) for w in row] for row in _rng.integers(1, 8, (E, K))], dtype=object)
    return weights / weights.sum(axis=-1, keepdims=True)


P, V, G, GATES, ALTERNATIVES, COSTS = _policy(), *(_random(E, K) for _ in range(5))
LOSS, BASELINE, STEP, FADE = (_random(1)[0] for _ in range(4))
ZEROED, BASELINES = _random(E), _random(E)
CHOICE = np.array([Fraction(2, 7), Fraction(5, 7)], dtype=object)
SECOND = np.array([Fraction(0), Fraction(1)], dtype=object)
TABLE = Table(_random(K + 1, K + 1))
OUTPUTS, TARGET = _random(E, K, D), _random(D)
NETWORK = Quadratic(OUTPUTS, TARGET)
ONE_HOT = one_hot(np.array([CHOSEN]), K, True)[0]
ALL = one_hot(choices(E, K), K, True)
TRUTH = exact.truth(TABLE, P)
BEST = t11_best_baseline.best_baseline(P, objective.alternative_losses(TABLE, ALL))  # (9, E)


def coq(value: Any) -> str:
    """A number, or nested lists of numbers, in Coq."""
    if np.ndim(value):
        return f"[:: {'; '.join(coq(entry) for entry in value)}]"
    number = Fraction(value)
    return f"(({number.numerator})//{number.denominator})"


DEFINITIONS = f"""
From Coq Require Import ZArith QArith Qcanon. From mathcomp Require Import all_ssreflect all_algebra. From NAS Require
Import Policy Estimators Unbiased OneEdge Taylor Spread Variance Budgeted Reference Rationals Computed Evaluate. Local
Open Scope ring_scope. Definition p := entry {coq(P)}. Lemma p1 e : \\sum_k p e k = 1. Proof. move: e; rows_sum_to_one.
Qed. Definition table := {coq(TABLE.table[:K, :K])}. Definition loss (a : architecture E K) : Qc := nth 0 (nth [::]
table (a e0)) (a e1). Definition best (e : E) (a : architecture E K) : Qc :=
  nth 0 (if e == e0 then {coq(BEST.reshape(K, K, E)[0, :, 0])} else {coq(BEST.reshape(K, K, E)[:, 0, 1])})
    (if e == e0 then a e1 else a e0).
Definition mean_loss : Qc := {coq(TRUTH.expected_loss)}.
Definition v := entry {coq(V)}.
Definition g := entry {coq(G)}.
Definition gates := entry {coq(GATES)}.
Definition alternatives := entry {coq(ALTERNATIVES)}.
Definition costs := entry {coq(COSTS)}.
Definition zeroed := row {coq(ZEROED)}.
Definition baselines := row {coq(BASELINES)}.
Definition choice := row {coq(CHOICE)}.
Definition second := row {coq(SECOND)}.
Definition L : Qc := {coq(LOSS)}.
Definition b : Qc := {coq(BASELINE)}.
Definition eps : Qc := {coq(STEP)}.
Definition t : Qc := {coq(FADE)}.
Definition a := of_list [:: k{CHOSEN[0]}; k{CHOSEN[1]}].
Definition outputs (e : E) (k : K) (d : D) : Qc :=
  nth 0 (nth [::] (nth [::] {coq(OUTPUTS)} e) k) (if d then 0%N else 1%N).
Definition target (d : D) : Qc := nth 0 {coq(TARGET)} (if d then 0%N else 1%N).
Definition network := squared_loss outputs target {coq(D)}.
Definition slopes := squared_gradient outputs target {coq(D)}.
Ltac evaluate := intro; cbv delta [loss best a network slopes]; evaluate_with p1.
"""


def per_entry(term: str) -> str:
    """`term` at e0 k0, e0 k1, ..."""
    return f"[:: {'; '.join(f'{term} e{e} k{k}' for e in range(E) for k in range(K))}]"


def per_edge(term: str) -> str:
    """`term` with its EDGE at e0, e1."""
    return f"[:: {'; '.join(term.replace('EDGE', f'e{e}') for e in range(E))}]"


def per_architecture(term: str) -> str:
    """`term` applied to each architecture."""
    return f"[:: {'; '.join(f'{term} (of_list [:: k{j}; k{k}])' for j, k in ARCHITECTURES)}]"


# ------------------------------------------------------------------ what Coq says, what the code says


def _one_edge_moved() -> Any:
    moved = P.copy()
    moved[1] = policy.natural_step(P, TRUTH.gradient, STEP)[1]
    return moved


def _remainders(gates: Any) -> Any:
    measured = NETWORK.gradients(gates, gates)
    credit = estimators.first_order_credit(gates, measured.gate_gradient)
    return credit - (NETWORK.loss(gates)[..., None] - objective.zeroed_losses(NETWORK, gates))


def _variances(method: Any) -> Any:
    return exact.moments(method, TABLE, P).edge_variances


def _corrections() -> repairs.Corrections:
    """Those of the loss as the credit and T11's b* as its control: what `missed` and `best_scale` are made of."""
    every = [(w, gates, loss[:, None]) for w, gates, loss in exact.weighted_losses(TABLE, P)]
    weight, gates, x = (np.concatenate(parts) for parts in zip(*every, strict=True))
    spread = weight[:, None] * ((gates - P) ** 2).sum(axis=-1)
    worth, product, control = (((spread * v)[..., None] * gates).sum(axis=0) for v in (x * x, x * BEST, BEST * BEST))
    return repairs.Corrections(worth, product, control, P, worth.sum())


CORRECTIONS = _corrections()
Q = quantities.conditional_losses(TABLE, P)
POLICY: dict[str, tuple[str, Any]] = {
    "probability": (
        per_architecture("probability p"),
        np.concatenate([weight for weight, _, _ in exact.weighted_losses(TABLE, P)]),
    ),
    "mean": ("[:: mean p loss]", quantities.expected_loss(TABLE, P)),
    "value": (per_entry("value p loss"), Q),
    "gradient": (per_entry("gradient p loss"), TRUTH.gradient),
    "alternative_losses": (
        f"[:: {'; '.join(f'loss (set_edge a e{e} k{k})' for e in range(E) for k in range(K))}]",
        objective.alternative_losses(TABLE, ONE_HOT[None])[0],
    ),
    "gate": (per_entry("gate [realFieldType of Qc] a"), ONE_HOT),
    "score": (per_entry("score p a"), ONE_HOT - P),
    "natural_step": (per_entry("natural_step p g eps"), policy.natural_step(P, G, STEP)),
    "move_edge": (per_entry("move_edge p loss e1 eps"), _one_edge_moved()),
    "variance": (
        per_edge("OneEdge.variance (p EDGE) (value p loss EDGE)"),
        (P * Q * Q).sum(axis=-1) - TRUTH.expected_loss * TRUTH.expected_loss,
    ),
}
ESTIMATORS: dict[str, tuple[str, Any]] = {
    "credited": (per_entry("credited p gates baselines"), estimators.credited(P, GATES, BASELINES)),
    "first_order_credit": (per_edge("first_order_credit gates g EDGE"), estimators.first_order_credit(GATES, G)),
    "advantage": (per_entry("advantage p gates g"), estimators.advantage(P, GATES, G)),
    "advantage_with_baseline": (
        per_entry("advantage_with_baseline p gates g baselines"),
        estimators.advantage_with_baseline(P, GATES, G, BASELINES),
    ),
    "reinforce": (
        per_entry("reinforce p gates L b"),
        estimators.reinforce(P, GATES, np.array(LOSS, dtype=object), np.array(BASELINE, dtype=object)),
    ),
    "exact_advantage": (
        per_entry("exact_advantage p gates L zeroed"),
        estimators.exact_advantage(P, GATES, np.array(LOSS, dtype=object), ZEROED),
    ),
    "debiased_advantage": (
        per_entry("debiased_advantage p gates g L (zeroed e1) second choice"),
        estimators.debiased_advantage(
            P, GATES, G, np.array(LOSS, dtype=object), np.array(ZEROED[1], dtype=object), SECOND, CHOICE
        ),
    ),
    "budgeted_advantage": (
        per_entry("budgeted_advantage p gates baselines zeroed second choice"),
        estimators.budgeted_advantage(P, GATES, BASELINES, ZEROED, SECOND, CHOICE),
    ),
    "reference_advantage": (
        per_entry("reference_advantage p gates g alternatives"),
        estimators.reference_advantage(P, GATES, G, ALTERNATIVES),
    ),
    "softmax_pullback": (per_entry("softmax_pullback p g"), estimators.softmax_pullback(P, G)),
    "counterfactual": (
        per_entry("counterfactual p gates L alternatives"),
        estimators.counterfactual(P, GATES, np.array(LOSS, dtype=object), ALTERNATIVES),
    ),
    "marginalised": (per_entry("marginalised p alternatives"), estimators.marginalised(P, ALTERNATIVES)),
}
NETWORKS: dict[str, tuple[str, Any]] = {
    "squared_loss": (per_architecture("loss_of network"), NETWORK.loss(ALL)),
    "zeroed_losses": (
        per_edge("zeroed_loss_of network a EDGE"),
        objective.zeroed_losses(NETWORK, ONE_HOT[None])[0],
    ),
    "faded_losses": (
        per_edge("network (scale_edge (one_hot _ a) EDGE t)"),
        [
            NETWORK.loss(ONE_HOT[None] * np.array([[FADE if i == e else 1] for i in range(E)], dtype=object))
            for e in range(E)
        ],
    ),
    "squared_gradient": (per_entry("slopes a"), NETWORK.gradients(ONE_HOT[None], 1 + 0 * ONE_HOT[None]).gate_gradient),
    "remainder": (per_edge("remainder network slopes EDGE a"), _remainders(ONE_HOT[None])[0]),
    "edge_energy": (
        per_edge(f"edge_energy outputs {coq(D)} EDGE a"),
        [(OUTPUTS[e, k] * OUTPUTS[e, k]).sum() / D for e, k in enumerate(CHOSEN)],
    ),
    "distance": (per_entry(f"distance outputs {coq(D)} alternatives"), t17_reference.distances(OUTPUTS, ALTERNATIVES)),
    "bias": (per_entry("bias p network slopes"), exact.moments(METHODS["advantage"], NETWORK, P).bias),
}
VARIANCES: dict[str, tuple[str, Any]] = {
    "score_norm": (
        f"[:: {'; '.join(f'score_norm p e{e} k{k}' for e in range(E) for k in range(K))}]",
        quantities.score_norms(P),
    ),
    "spread": (per_edge("Variance.spread p EDGE"), 1 - (P * P).sum(axis=-1)),
    "best_baseline": (
        per_edge("best_baseline p EDGE loss a"),
        t11_best_baseline.best_baseline(P, objective.alternative_losses(TABLE, ONE_HOT[None]))[0],
    ),
    "estimate_variance": (
        f"[:: {'; '.join(f'estimate_variance p e{e} (fun a => loss a - mean_loss)' for e in range(E))};"
        f" {'; '.join(f'estimate_variance p e{e} (fun a => loss a - best e{e} a)' for e in range(E))}]",
        [*_variances(METHODS["reinforce"]), *_variances(t11_best_baseline.BEST)],
    ),
    "additive_boundary": (
        "[:: "
        + "; ".join(
            f"edge_variance p costs e{1 - e} * Variance.spread p e{e} - (2%:R * edge_mean p costs e{e} * "
            f"(\\sum_k p e{e} k * (costs e{e} k * score_norm p e{e} k)) - edge_mean p costs e{e} ^+ 2 "
            f"* Variance.spread p e{e})"
            for e in range(E)
        )
        + "]",
        t7_variance.boundary(COSTS, P),
    ),
    "missed": (
        f"[:: {'; '.join(f'missed p e{e} loss (best e{e}) t' for e in range(E))}]",
        repairs.missed(CORRECTIONS, FADE).sum(axis=-1),
    ),
    "best_scale": (
        f"[:: {'; '.join(f'best_scale p e{e} loss (best e{e})' for e in range(E))}]",
        repairs.best_scale(CORRECTIONS)[:, 0],
    ),
    "centred_sum": ("[:: centred_sum p v a]", ((ONE_HOT - P) * V).sum()),
    "curvature": ("[:: curvature p v loss]", t8_logit_step.curvature(TABLE, P, V)),
}
QUANTITIES = POLICY | ESTIMATORS | NETWORKS | VARIANCES


@pytest.fixture(scope="module")
def values(compiled: Path, evaluate: Evaluate) -> Values:
    return evaluate(compiled, DEFINITIONS, {name: term for name, (term, _) in QUANTITIES.items()})


@pytest.mark.parametrize("name", QUANTITIES)
def test_the_definition_is_the_code(name: str, values: Values) -> None:
    assert values[name] == list(np.asarray(QUANTITIES[name][1], dtype=object).ravel())


def test_control_a_wrong_sign_in_the_credit_is_another_definition(compiled: Path, evaluate: Evaluate) -> None:
    right = re.search(r"^Definition credited .*$", (COQ / "Estimators.v").read_text(encoding="utf-8"), re.MULTILINE)
    assert right is not None
    wrong = right[0].replace("gates e k - p e k", "p e k - gates e k")
    assert wrong != right[0]
    term, expected = ESTIMATORS["credited"]
    for definition, same in ((right[0], True), (wrong, False)):
        typed = definition.replace(
            "credited", "credited (p gates : E -> K -> Qc) (credit : E -> Qc) (e : E) (k : K)", 1
        )
        typed = typed.replace(" p gates credit e k :=", " :=")
        found = evaluate(compiled, DEFINITIONS + typed, {"doctored": term})["doctored"]
        assert (found == list(expected.ravel())) is same


# ------------------------------------------------------------------ no rational functions: closed forms that Coq proves


def test_softmax_of_logarithms_is_the_weights_normalised() -> None:
    weights = np.array([[1.0, 2.0, 5.0], [3.0, 0.25, 4.0]])
    assert "Lemma softmax_of_logs" in (COQ / "Smooth.v").read_text(encoding="utf-8")
    found = policy.softmax(np.log(weights))
    assert np.abs(found - weights / weights.sum(axis=-1, keepdims=True)).max() < 1e-15
    masked = policy.softmax(np.log(weights) + np.array([0.0, -np.inf, 0.0]))  # what the Coq text calls a mask
    kept = weights * np.array([1.0, 0.0, 1.0])
    assert np.abs(masked - kept / kept.sum(axis=-1, keepdims=True)).max() < 1e-15


def test_kl_of_thirds_is_a_third_of_ln_two() -> None:
    assert "Example kl_of_thirds" in (COQ / "Information.v").read_text(encoding="utf-8")
    found = policy.kl(np.array([[1 / 3, 2 / 3]]), np.array([[2 / 3, 1 / 3]]))
    assert abs(found.sum() - math.log(2) / 3) < 1e-15


def _game() -> Table:
    """1 where two edges agree; the third state, a zeroed edge, is never drawn."""
    return Table(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=object) + Fraction(0))


def test_the_exponentiated_step_just_outside_its_range_raises_the_loss() -> None:
    """T9_sharp and its new_odds: p = (201, 199) / 400, eta = 200 ln(4081 / 4000) <= 8.1 / 2."""
    game = Table(_game().table.astype(float))
    p, growth = np.array([[201.0, 199.0]] * 2) / 400, 4081 / 4000
    eta = 200 * math.log(growth)
    assert eta <= 8.1 / 2
    assert t9_exponentiated.largest_rate(game) == pytest.approx(8 / 2, rel=1e-12)
    moved = t9_exponentiated.together(game, p, eta)
    share = 201 / (201 + 199 * growth)
    assert np.abs(moved - np.array([[share, 1 - share]] * 2)).max() < 1e-14
    assert quantities.expected_loss(game, moved) > quantities.expected_loss(game, p)


def test_two_edges_rise_where_each_alone_falls() -> None:
    """T3_two_edges_rise, T3_at_the_limit, T3_one_edge_falls: p = (1/3, 2/3), step 9, J from 5/9 to 1, or to 1/3."""
    game, p = _game(), np.array([[Fraction(1, 3), Fraction(2, 3)]] * 2, dtype=object)
    known = exact.truth(game, p)
    assert known.expected_loss == Fraction(5, 9)
    assert quantities.simplex_step(p, known.gradient) == 9
    moved = policy.natural_step(p, known.gradient, 9)
    assert quantities.expected_loss(game, moved) == 1
    alone = np.stack([moved[0], p[1]])
    assert quantities.expected_loss(game, alone) == Fraction(1, 3)


def test_the_flip() -> None:
    """T5_flip: credits -6/5 and 8/5, exact advantages -11/5 and -12/5; mean credit 14/5 p q, gradient -1/5 p q."""
    outputs = np.array([[[Fraction(1)], [Fraction(2)]]], dtype=object)
    problem = Quadratic(outputs, np.array([Fraction(8, 5)], dtype=object))
    gates = np.array([[[1, 0]], [[0, 1]]], dtype=object)
    measured = problem.gradients(gates, gates)
    credit = estimators.first_order_credit(gates, measured.gate_gradient)[:, 0]
    assert list(credit) == [Fraction(-6, 5), Fraction(8, 5)]
    advantage = problem.loss(gates) - objective.zeroed_losses(problem, gates)[:, 0]
    assert list(advantage) == [Fraction(-11, 5), Fraction(-12, 5)]
    p = np.array([[Fraction(1, 4), Fraction(3, 4)]], dtype=object)
    found = exact.moments(METHODS["advantage"], problem, p)
    assert found.mean[0, 1] == Fraction(14, 5) * Fraction(3, 16)
    assert found.gradient[0, 1] == -Fraction(1, 5) * Fraction(3, 16)


CLOSED_FORMS = {
    "softmax": test_softmax_of_logarithms_is_the_weights_normalised,
    "kl": test_kl_of_thirds_is_a_third_of_ln_two,
    "exponentiated": test_the_exponentiated_step_just_outside_its_range_raises_the_loss,
    "two_edges_rise": test_two_edges_rise_where_each_alone_falls,
    "flip": test_the_flip,
}


def test_the_last_column_of_the_readme_is_compared_here_and_nothing_is_left_over() -> None:
    readme = (COQ.parent / "README.md").read_text(encoding="utf-8")
    named = {
        name
        for line in readme.splitlines()
        if line.startswith("| T")
        for name in re.findall(r"`(\w+)`", line.split("|")[-2])
    }
    helpers = {"probability", "gate", "centred_sum"}  # named in no claim of their own
    assert named == set(QUANTITIES) - helpers | set(CLOSED_FORMS)
