(******************************************************************************)
(* T12: the credits of a normalised sum cancel.                               *)
(*                                                                            *)
(* In words. Let S be a set of edges whose outputs may be scaled together by  *)
(* any t > 0 without changing the loss, as where their sum is normalised.     *)
(* Where the slope of the loss along t = e^u at u = 0 is the sum of the       *)
(* credits of S (the chain rule: `slope_is_credit`, a hypothesis), that sum   *)
(* is therefore zero. With one edge in S its credit is zero, and first-order  *)
(* credit never moves it, whatever its worth.                                 *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import boolp classical_sets functions reals topology normedtype sequences derive realfun exp.
From NAS Require Import Policy Estimators Taylor.
Import GRing.Theory Num.Theory numFieldNormedType.Exports.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Scale.
Variables (R : realType) (E K : finType) (S : pred E).
Variables (loss : array R E K -> R) (g : architecture E K -> E -> K -> R).

(* The outputs of the edges in S, scaled together. *)
Definition scale_edges (G : array R E K) (t : R) : array R E K :=
  [ffun i => [ffun k => (if S i then t else 1) * G i k]].

Lemma scale_one_edge e G t : S =1 pred1 e -> scale_edges G t = scale_edge G e t.
Proof. by move=> Se; apply/ffunP => i; apply/ffunP => k; rewrite !ffunE Se. Qed.

Definition scale_free a := forall t, 0 < t -> loss (scale_edges (one_hot R a) t) = loss (one_hot R a).

Definition slope_is_credit a :=
  is_derive (0 : R) 1 (fun u => loss (scale_edges (one_hot R a) (expR u))) (\sum_(e | S e) credit_of g a e).

Theorem T12_credits_cancel a : slope_is_credit a -> scale_free a -> \sum_(e | S e) credit_of g a e = 0.
Proof.
move=> [_ <-] free.
have -> : (fun u => loss (scale_edges (one_hot R a) (expR u))) = cst (loss (one_hot R a)).
  by apply/funext => u; rewrite free ?expR_gt0.
exact: derive_val.
Qed.

Theorem T12_unmoved p a e k : S =1 pred1 e -> slope_is_credit a -> scale_free a ->
  advantage p (gate R a) (g a) e k = 0.
Proof.
move=> Se slope /(T12_credits_cancel slope); rewrite (eq_bigl _ _ Se) big_pred1_eq /credit_of => zero.
by rewrite /advantage /credited zero mul0r.
Qed.
End Scale.
