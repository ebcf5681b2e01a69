(******************************************************************************)
(* T17: credit against a reference other than nothing.                        *)
(*                                                                            *)
(* In words. Replace edge e's output not by zero but by a reference, a        *)
(* mixture sum_k m_ek h_ek of its operations' outputs that does not depend on *)
(* a_e (it may depend on the other edges). Then                               *)
(* - L(a) - L(a, e at its reference) is an unbiased credit;                   *)
(* - its first-order form, sum_k (a_ek - m_ek) dL/da_ek, has the bias         *)
(*   p_ek (E[r | a_e = k] - E[r]), r = first order - exact, as in T5;         *)
(* - for L = mean over D outputs of (sum_i h_i - y)^2, r = ||h_e - rho_e||^2  *)
(*   / D: the bias is set by how far the outputs lie from the reference, not  *)
(*   by their size, and is zero at every policy if all lie equally far (at    *)
(*   the midpoint of two).                                                    *)
(* Finite sums: no axiom.                                                     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased Taylor.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Reference.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R).
Variables (loss : array R E K -> R) (g : architecture E K -> E -> K -> R).
Hypothesis pol : policy p.
Let p1 : forall e, \sum_k p e k = 1 := pol.2.

(* The reference of edge e may look at the other edges. *)
Variable (m : architecture E K -> E -> K -> R).
Hypothesis blind : forall e k, free_of e (fun a => m a e k).

Definition referred_loss a e : R := loss (with_row a e (m a e)).
Definition exact_reference a e := loss_of loss a - referred_loss a e.
Definition reference_remainder e a := reference_credit (gate R a) (m a) (g a) e - exact_reference a e.

Lemma referred_loss_free e : free_of e (referred_loss^~ e).
Proof.
move=> a k; congr loss; apply/ffunP => i; apply/ffunP => j; rewrite !ffunE.
by have [ie|ie] := eqVneq i e; [rewrite (blind e j a k)|rewrite /gate set_edge_other].
Qed.

Theorem T17_unbiased e k :
  mean p (fun a => credited p (gate R a) (exact_reference a) e k) = gradient p (loss_of loss) e k.
Proof. exact: (T4_credit_unbiased (p1 e) (loss_of loss) k (@referred_loss_free e)). Qed.

Definition reference_bias e k :=
  mean p (fun a => reference_advantage p (gate R a) (g a) (m a) e k) - gradient p (loss_of loss) e k.

Lemma reference_bias_is_mean e k : reference_bias e k = mean p (fun a => reference_remainder e a * score p a e k).
Proof.
rewrite /reference_bias -T17_unbiased -meanB; apply: mean_ext => a.
by rewrite /reference_advantage /credited -mulrBl.
Qed.

Theorem T17_bias e k : reference_bias e k = p e k * (value p (reference_remainder e) e k - mean p (reference_remainder e)).
Proof. by rewrite reference_bias_is_mean T4_score_identity. Qed.
End Reference.

(* ------------------------------------------------------------ the quadratic loss *)

Section Quadratic.
Variables (R : realFieldType) (E K D : finType) (outputs : E -> K -> D -> R) (y : D -> R) (size : R).
Variables (p : E -> K -> R) (m : E -> K -> R).
Hypothesis pol : policy p.

(* ||h_ek - rho_e||^2 / D, rho_e the reference output. *)
Definition distance e k : R := (\sum_d (outputs e k d - \sum_j m e j * outputs e j d) ^+ 2) / size.

Lemma reference_quadratic_remainder e a :
  reference_remainder (squared_loss outputs y size) (squared_gradient outputs y size) (fun=> m) e a = distance e (a e).
Proof.
rewrite /reference_remainder /exact_reference /referred_loss squared_expansion /loss_of /reference_credit.
have -> : \sum_k (m e k - gate R a e k) * squared_gradient outputs y size a e k =
    - \sum_k (gate R a e k - m e k) * squared_gradient outputs y size a e k.
  by rewrite -sumrN; apply: eq_bigr => k _; ring.
have -> : \sum_d (\sum_k (m e k - gate R a e k) * outputs e k d) ^+ 2 =
    \sum_d (outputs e (a e) d - \sum_j m e j * outputs e j d) ^+ 2.
  apply: eq_bigr => d _; under eq_bigr do rewrite mulrBl.
  by rewrite sumrB sum_indicator -sqrrN opprB.
by rewrite /distance; ring.
Qed.

Theorem T17_quadratic e k :
  reference_bias p (squared_loss outputs y size) (squared_gradient outputs y size) (fun=> m) e k =
  mean p (fun a => distance e (a e) * score p a e k).
Proof.
rewrite reference_bias_is_mean //.
by apply: mean_ext => a; rewrite reference_quadratic_remainder.
Qed.

Theorem T17_equidistant e k c : (forall j, distance e j = c) ->
  reference_bias p (squared_loss outputs y size) (squared_gradient outputs y size) (fun=> m) e k = 0.
Proof.
move=> same; rewrite T17_quadratic; under mean_ext do rewrite same.
by apply: T4_baseline_mean_zero => //; case: pol => _ p1; apply: p1.
Qed.
End Quadratic.
