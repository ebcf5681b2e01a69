(******************************************************************************)
(* The estimators, letter by letter as in nas/estimators.py.                  *)
(*                                                                            *)
(* In words. Every estimator is a rational function of p (E, K), of gates     *)
(* (E, K), and of what was measured; it returns entry (e, k) of a gradient.   *)
(* Names and arguments are those of the Python functions, and                 *)
(* tests/proofs/test_definitions.py holds the two against each other.         *)
(*                                                                            *)
(* A loss is a function of the whole array of gates, not only of one-hot      *)
(* ones: `zero_edge` takes an edge's output away, `scale_edge` fades it.      *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Estimators.
Variables (R : realFieldType) (E K : finType).
Implicit Types (p gates gate_gradient alternative_losses : E -> K -> R).
Implicit Types (credit baseline chosen chosen_probability : E -> R) (loss : R).

Definition credited p gates credit e k := credit e * (gates e k - p e k).

Definition first_order_credit gates gate_gradient e := \sum_k gates e k * gate_gradient e k.

Definition advantage p gates gate_gradient := credited p gates (first_order_credit gates gate_gradient).

Definition advantage_with_baseline p gates gate_gradient baseline :=
  credited p gates (fun e => first_order_credit gates gate_gradient e - baseline e).

Definition reinforce p gates loss (b : R) e k := (loss - b) * (gates e k - p e k).

Definition exact_advantage p gates loss (zeroed_loss : E -> R) :=
  credited p gates (fun e => loss - zeroed_loss e).

Definition debiased_advantage p gates gate_gradient loss (zeroed_loss : R) chosen chosen_probability :=
  let credit := first_order_credit gates gate_gradient in
  credited p gates (fun e => credit e + chosen e / chosen_probability e * (loss - zeroed_loss - credit e)).

Definition budgeted_advantage p gates (control worth looked_up looked_up_probability : E -> R) :=
  credited p gates (fun e => control e + looked_up e / looked_up_probability e * (worth e - control e)).

Definition reference_credit gates (reference gate_gradient : E -> K -> R) e :=
  \sum_k (gates e k - reference e k) * gate_gradient e k.

Definition reference_advantage p gates gate_gradient (reference : E -> K -> R) :=
  credited p gates (reference_credit gates reference gate_gradient).

Definition softmax_pullback p (g : E -> K -> R) e k := p e k * (g e k - \sum_j p e j * g e j).

Definition counterfactual p gates loss alternative_losses :=
  credited p gates (fun e => loss - \sum_k p e k * alternative_losses e k).

Definition marginalised p alternative_losses := softmax_pullback p alternative_losses.

(* nas.policy.natural_step, the step of T1. *)
Definition natural_step p (g : E -> K -> R) (step : R) e k := p e k - step * g e k.
End Estimators.

(* ------------------------------------------------------------ losses on gates *)

Section Gates.
Variables (R : realFieldType) (E K : finType).
Implicit Types (a : architecture E K).

Definition array := {ffun E -> {ffun K -> R}}.
Implicit Types (g : array).

Definition one_hot a : array := [ffun e => [ffun k => gate R a e k]].
Definition scale_edge g e (t : R) : array := [ffun i => [ffun k => (if i == e then t else 1) * g i k]].
Definition zero_edge g e := scale_edge g e 0.

Lemma scale_edge1 g e : scale_edge g e 1 = g.
Proof. by apply/ffunP => i; apply/ffunP => k; rewrite !ffunE; case: eqP => _; rewrite mul1r. Qed.

(* With edge e's output taken away, what e had chosen leaves no trace. *)
Lemma zero_edge_free (T : Type) (F : array -> T) e a k :
  F (zero_edge (one_hot (set_edge a e k)) e) = F (zero_edge (one_hot a) e).
Proof.
congr F; apply/ffunP => i; apply/ffunP => j; rewrite !ffunE.
by case: eqP => [|/eqP ie]; rewrite ?mul0r // /gate set_edge_other.
Qed.
End Gates.
