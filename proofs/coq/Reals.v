(******************************************************************************)
(* The promise over Coq's own real numbers.                                   *)
(*                                                                            *)
(* In words. The theorems hold over every complete ordered field (`realType`).*)
(* Here the paper's promise is stated once more over the reals of Coq's       *)
(* standard library, which are such a field: a joint step of length at most   *)
(* 1 / (c - J) leads to a policy and does not raise the expected loss (T1).   *)
(******************************************************************************)
From Coq Require Import Reals.
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals Rstruct.
From NAS Require Import Policy Estimators Monotone.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Corollary T1_over_the_reals (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (c eps : R) :
  policy p -> (forall a, 0 < probability p a -> L a <= c) -> 0 <= eps -> eps * (c - mean p L) <= 1 ->
  policy (joint_step p L eps) /\ mean (joint_step p L eps) L <= mean p L.
Proof. by move=> pol Lc eps0 small; exact: (T1_monotone pol Lc eps0 small). Qed.
