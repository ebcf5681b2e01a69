(******************************************************************************)
(* T5: a bound on the curvature bounds the bias of first-order credit.        *)
(*                                                                            *)
(* In words. Let phi(t) be the loss as edge e's gate goes from 0 to 1.        *)
(* Credit is the slope phi'(1), the exact advantage is phi(1) - phi(0). If    *)
(* |phi''| <= M on [0, 1], their difference r is at most M / 2 in size        *)
(* (Taylor from t = 1), and so ||bias_e||^2 <= (M / 2)^2 (1 - ||p_e||^2).     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals topology normedtype derive.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased Calculus Taylor.
Import GRing.Theory Num.Theory Order.TTheory numFieldNormedType.Exports.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Curvature.
Variables (R : realType) (E K : finType) (p : E -> K -> R).
Variables (loss : array R E K -> R) (g : architecture E K -> E -> K -> R) (e : E) (M : R).
Variables (slope curvature : architecture E K -> R -> R).

(* phi, phi' and phi'' along edge e's gate; credit is the slope at t = 1. *)
Let phi a t := loss (scale_edge (one_hot R a) e t).
Hypotheses (slopes : forall a, has_derivative (phi a) (slope a))
  (curvatures : forall a, has_derivative (slope a) (curvature a))
  (credit_is_slope : forall a, credit_of g a e = slope a 1)
  (curvature_bound : forall a t, 0 <= t <= 1 -> `|curvature a t| <= M).

Theorem T5_remainder a : `|remainder loss g e a| <= M / 2%:R.
Proof.
have -> : remainder loss g e a = slope a 1 - (phi a 1 - phi a 0).
  by rewrite /remainder credit_is_slope /exact_of /loss_of /phi scale_edge1.
rewrite ler_norml (taylor_from_one (@slopes a) (@curvatures a)) ?andbT; last first.
  by move=> t /(curvature_bound a); rewrite ler_norml => /andP[].
rewrite ler_oppl.
have -> : - (slope a 1 - (phi a 1 - phi a 0)) = - slope a 1 - (- phi a 1 - - phi a 0) by ring.
apply: taylor_from_one (has_derivativeN (@slopes a)) (has_derivativeN (@curvatures a)) _ => t.
by move/(curvature_bound a); rewrite ler_norml ler_oppl => /andP[].
Qed.

Theorem T5_norm_smooth : policy p -> 0 <= M ->
  \sum_k bias p loss g e k ^+ 2 <= (M / 2%:R) ^+ 2 * (1 - \sum_k p e k ^+ 2).
Proof.
move=> pol M0; apply: T5_norm => // [|a _]; first by rewrite divr_ge0 ?ler0n.
exact: T5_remainder.
Qed.
End Curvature.
