(******************************************************************************)
(* T1 and T5 over Coq's own real numbers.                                     *)
(*                                                                            *)
(* In words. The theorems hold over every complete ordered field (`realType`).*)
(* Here the paper's promise is stated once more over the reals of Coq's       *)
(* standard library, which are such a field: a joint step of length at most   *)
(* 1 / (c - J) leads to a policy and does not raise the expected loss (T1).   *)
(*                                                                            *)
(* T5's integral is that library's Riemann integral. Let phi(t) be the loss as*)
(* edge e's gate goes from 0 to 1, with a continuous second derivative. What  *)
(* credit phi'(1) departs from the exact advantage phi(1) - phi(0) is         *)
(*     r = integral from 0 to 1 of t phi''(t) dt,                             *)
(* since t phi' - phi has the derivative t phi''.                             *)
(******************************************************************************)
From Coq Require Import Reals.
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals Rstruct.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased Taylor Monotone.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Corollary T1_over_the_reals (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (c eps : R) :
  policy p -> (forall a, 0 < probability p a -> L a <= c) -> 0 <= eps -> eps * (c - mean p L) <= 1 ->
  policy (joint_step p L eps) /\ mean (joint_step p L eps) L <= mean p L.
Proof. by move=> pol Lc eps0 small; exact: (T1_monotone pol Lc eps0 small). Qed.

Section Integral.
Variables (E K : finType) (loss : array [realFieldType of R] E K -> R) (g : architecture E K -> E -> K -> R) (e : E).
Variables (slope curvature : architecture E K -> R -> R).

(* phi, phi' and phi'' along edge e's gate; credit is the slope at t = 1. *)
Let phi a t := loss (scale_edge (one_hot _ a) e t).
Hypotheses (slopes : forall a t, derivable_pt_lim (phi a) t (slope a t))
  (curvatures : forall a t, derivable_pt_lim (slope a) t (curvature a t))
  (continuous : forall a, continuity (curvature a))
  (credit_is_slope : forall a, credit_of g a e = slope a 1).

Let integrand a (t : R) : R := t * curvature a t.

Lemma integrand_continuous a : continuity (integrand a).
Proof. by apply: continuity_mult; [exact: derivable_continuous derivable_id|exact: continuous]. Qed.

Lemma antiderivative a t : derivable_pt_lim (fun u => u * slope a u - phi a u) t (integrand a t).
Proof.
have D := derivable_pt_lim_minus _ _ t _ _
  (derivable_pt_lim_mult id (slope a) t _ _ (derivable_pt_lim_id t) (curvatures a t)) (slopes a t).
have -> : integrand a t = Rminus (Rplus (Rmult 1 (slope a t)) (Rmult (id t) (curvature a t))) (slope a t).
  by rewrite /integrand /id; change (t * curvature a t = 1 * slope a t + t * curvature a t - slope a t); ring.
exact: D.
Qed.

Definition remainder_potential a : C1_fun := mkC1
  (c1 := fun u => u * slope a u - phi a u) (diff0 := fun t => exist _ (integrand a t) (antiderivative a t))
  (integrand_continuous a).

Theorem T5_integral a :
  {integrable : Riemann_integrable (fun t => t * curvature a t) 0 1 | remainder loss g e a = RiemannInt integrable}.
Proof.
have integrable : Riemann_integrable (integrand a) 0 1.
  by apply: continuity_implies_RiemannInt => [|t _]; [exact: Rle_0_1|exact: integrand_continuous].
exists integrable; rewrite (@FTC_Riemann (remainder_potential a) 0 1 integrable) /=.
rewrite /remainder credit_is_slope /exact_of /loss_of /zeroed_loss_of /zero_edge -/(phi a 0).
rewrite -[one_hot _ a](scale_edge1 _ e) -/(phi a 1).
change (slope a 1 - (phi a 1 - phi a 0) = 1 * slope a 1 - phi a 1 - (0 * slope a 0 - phi a 0)).
by ring.
Qed.
End Integral.

(* A control, in the manner of Controls.v: the weight is t, not 1 - t, which belongs to the other end. *)
Definition integral_with (weight : R -> R) := forall (E K : finType) (loss : array [realFieldType of R] E K -> R)
  (g : architecture E K -> E -> K -> R) (e : E) (slope curvature : architecture E K -> R -> R),
  (forall a t, derivable_pt_lim (fun u => loss (scale_edge (one_hot _ a) e u)) t (slope a t)) ->
  (forall a t, derivable_pt_lim (slope a) t (curvature a t)) -> (forall a, continuity (curvature a)) ->
  (forall a, credit_of g a e = slope a 1) ->
  forall a, {integrable : Riemann_integrable (fun t => weight t * curvature a t) 0 1 |
    remainder loss g e a = RiemannInt integrable}.

Definition integral_from_zero : integral_with (fun t => t) := @T5_integral.
Fail Definition integral_from_one : integral_with (fun t => 1 - t) := @T5_integral.
