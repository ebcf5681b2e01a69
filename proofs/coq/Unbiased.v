(******************************************************************************)
(* T4: which estimators have the gradient of the expected loss as their mean. *)
(*                                                                            *)
(* In words. The score a_e - p_e has mean zero and E[L (a_e - p_e)] is the    *)
(* gradient p_e (q_e - J). A baseline b that does not depend on what edge e   *)
(* does is independent of a_e, so E[b (a_e - p_e)] = 0 and any such b may be  *)
(* subtracted from the loss. The loss with edge e's output taken away does    *)
(* not depend on a_e: the exact advantage is unbiased. First-order credit     *)
(* repaired on one edge chosen with probability q_e > 0, and weighted by      *)
(* 1 / q_e, has the same mean as the exact advantage.                         *)
(*                                                                            *)
(* Needs only that the row of edge e sums to one (not p >= 0).                *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Unbiased.
Variables (R : realFieldType) (E K : finType).
Variables (p : E -> K -> R) (e : E).
Hypothesis p1 : \sum_k p e k = 1.
Implicit Types (a : architecture E K) (L b : architecture E K -> R).

(* E[b (a_e - p_e)] = 0 for a baseline that does not depend on a_e. *)
Theorem T4_baseline_mean_zero b k : free_of e b -> mean p (fun a => b a * score p a e k) = 0.
Proof.
move=> be; under mean_ext do rewrite mulrC.
by rewrite (mean_split (fun j => (j == k)%:R - p e k) p1 be) mean_indicator_centred ?mul0r.
Qed.

(* E[L (a_e - p_e)] = p_e (q_e - J). *)
Theorem T4_score_identity L k : mean p (fun a => L a * score p a e k) = gradient p L e k.
Proof.
under mean_ext do rewrite mulrBr.
by rewrite meanB mean_gate // meanZr /gradient; ring.
Qed.

Lemma gradient_sum_zero L : \sum_k gradient p L e k = 0.
Proof.
under eq_bigr do rewrite /gradient mulrBr.
by rewrite sumrB -mean_value // -mulr_suml p1 mul1r subrr.
Qed.

(* Any credit L - b with such a baseline is unbiased. *)
Theorem T4_credit_unbiased L b k : free_of e b ->
  mean p (fun a => credited p (gate R a) (fun=> L a - b a) e k) = gradient p L e k.
Proof.
move=> be; rewrite -T4_score_identity -[RHS]subr0 -(T4_baseline_mean_zero k be) -meanB.
by apply: mean_ext => a; rewrite /credited mulrBl.
Qed.

Corollary T4_reinforce_unbiased L c k :
  mean p (fun a => reinforce p (gate R a) (L a) c e k) = gradient p L e k.
Proof. exact: (@T4_credit_unbiased L (fun=> c)). Qed.

Lemma alternatives_free L : free_of e (fun a => \sum_j p e j * L (set_edge a e j)).
Proof. by move=> a j; apply: eq_bigr => i _; rewrite set_edge_twice. Qed.

Corollary T4_counterfactual_unbiased L k :
  mean p (fun a => counterfactual p (gate R a) (L a) (fun i j => L (set_edge a i j)) e k) = gradient p L e k.
Proof. exact: T4_credit_unbiased (alternatives_free L). Qed.

Corollary T4_marginalised_unbiased L k :
  mean p (fun a => marginalised p (fun i j => L (set_edge a i j)) e k) = gradient p L e k.
Proof.
rewrite /marginalised /softmax_pullback meanZ /gradient meanB; congr (_ * (_ - _)).
by rewrite -resample.
Qed.

(* A baseline that does not depend on a_e changes no estimator's mean, biased or not. *)
Corollary T4_baseline_keeps_mean (g : architecture E K -> E -> K -> R) (b : architecture E K -> E -> R) k :
  free_of e (b^~ e) ->
  mean p (fun a => advantage_with_baseline p (gate R a) (g a) (b a) e k) =
  mean p (fun a => advantage p (gate R a) (g a) e k).
Proof.
move=> be; rewrite -[RHS]subr0 -(T4_baseline_mean_zero k be) -meanB.
by apply: mean_ext => a; rewrite /advantage_with_baseline /advantage /credited mulrBl.
Qed.
End Unbiased.

Section ExactAdvantage.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R).
Hypothesis p1 : forall e, \sum_k p e k = 1.
Variable loss : array R E K -> R.

(* The loss of an architecture, and with edge e's output taken away. *)
Definition loss_of (a : architecture E K) : R := loss (one_hot R a).
Definition zeroed_loss_of (a : architecture E K) e : R := loss (zero_edge (one_hot R a) e).

Lemma zeroed_loss_free e : free_of e (zeroed_loss_of^~ e).
Proof. by move=> a k; apply: zero_edge_free. Qed.

Theorem T4_exact_advantage_unbiased e k :
  mean p (fun a => exact_advantage p (gate R a) (loss_of a) (zeroed_loss_of a) e k) = gradient p loss_of e k.
Proof. exact: (T4_credit_unbiased (p1 e) loss_of k (@zeroed_loss_free e)). Qed.

(* The mean over the architecture and over the edge c that is really zeroed. *)
Theorem T4_debiased_advantage_unbiased (g : architecture E K -> E -> K -> R) (q : E -> R) e k :
  \sum_c q c = 1 -> q e != 0 ->
  \sum_c q c * mean p (fun a =>
    debiased_advantage p (gate R a) (g a) (loss_of a) (zeroed_loss_of a c) (fun i => (c == i)%:R) q e k)
  = gradient p loss_of e k.
Proof.
move=> q1 qe; rewrite -T4_exact_advantage_unbiased.
pose credit a := first_order_credit (gate R a) (g a) e.
pose repair a := loss_of a - zeroed_loss_of a e - credit a.
have term c a : q c * debiased_advantage p (gate R a) (g a) (loss_of a) (zeroed_loss_of a c)
    (fun i => (c == i)%:R) q e k = q c * (credit a * score p a e k) + (c == e)%:R * (repair a * score p a e k).
  rewrite /debiased_advantage /credited -/(credit a) -/(score p a e k).
  case: eqP => [->|_]; last by rewrite mul0r !mul0r !addr0 mulrA.
  by rewrite !mul1r -/(repair a) mulrDl mulrDr mulrA [q e * (_ * _)]mulrA mulVKf.
under eq_bigr => c _ do rewrite -meanZ; rewrite -mean_sum; apply: mean_ext => a.
under eq_bigr do rewrite term.
rewrite big_split /= -mulr_suml q1 mul1r -mulr_suml.
rewrite -[\sum_i _]/(\sum_i (i == e)%:R) (bigD1 e) //= eqxx big1 => [|i /negPf -> //].
by rewrite addr0 mul1r -mulrDl /exact_advantage /credited /repair /score; ring.
Qed.
End ExactAdvantage.
