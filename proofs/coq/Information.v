(******************************************************************************)
(* Kullback-Leibler divergence, Gibbs' and Jensen's inequalities.             *)
(*                                                                            *)
(* In words. kl r s = sum_k r_k ln (r_k / s_k) with 0 ln 0 = 0 (the library's *)
(* ln is 0 outside the positive numbers, and x / 0 = 0). Where s_k = 0 < r_k  *)
(* the divergence is infinite; no theorem below meets that case with a        *)
(* positive factor. Both inequalities follow from ln x <= x - 1.              *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Calculus.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Information.
Variables (R : realType).

Definition kl (K : finType) (r s : K -> R) : R := \sum_k r k * ln (r k / s k).

(* Of two product policies: the sum over the edges. *)
Definition policy_kl (E K : finType) (p p' : E -> K -> R) : R := \sum_e kl (p e) (p' e).

Theorem gibbs (K : finType) (r s : K -> R) :
  (forall k, 0 <= r k) -> (forall k, 0 <= s k) -> (forall k, s k = 0 -> r k = 0) ->
  \sum_k r k = 1 -> \sum_k s k = 1 -> 0 <= kl r s.
Proof.
move=> r0 s0 abs r1 s1.
have term k : r k - s k <= r k * ln (r k / s k).
  have := r0 k; rewrite le_eqVlt => /orP [/eqP <-|rk]; first by rewrite mul0r sub0r oppr_le0.
  have sk : 0 < s k by rewrite lt0r s0 andbT; apply/eqP => /abs rk0; rewrite rk0 ltxx in rk.
  rewrite -invf_div lnV ?posrE ?divr_gt0 // mulrN ler_oppr opprB.
  have := ler_wpmul2l (ltW rk) (ln_le_sub1 (divr_gt0 sk rk)).
  by rewrite mulrBr mulr1 mulrCA divff ?gt_eqF // mulr1.
by apply: le_trans (ler_sum _ (fun k _ => term k)); rewrite sumrB r1 s1 subrr.
Qed.

Section Jensen.
Variables (T : finType) (w x : T -> R).
Hypotheses (w0 : forall t, 0 <= w t) (w1 : \sum_t w t = 1) (x0 : forall t, 0 < w t -> 0 < x t).

Lemma weighted_mean_gt0 : 0 < \sum_t w t * x t.
Proof.
have wx0 t : 0 <= w t * x t.
  have := w0 t; rewrite le_eqVlt => /orP [/eqP <-|wt]; first by rewrite mul0r.
  by rewrite mulr_ge0 // ltW // x0.
rewrite lt0r sumr_ge0 ?andbT //; apply/negP => /eqP /psumr_eq0P zero.
have : \sum_t w t = 0.
  apply: big1 => t _; apply/eqP; case: eqP => // /eqP wt.
  have pos : 0 < w t by rewrite lt0r wt w0.
  by have := zero (fun t _ => wx0 t) t isT => /eqP; rewrite mulf_eq0 !gt_eqF // x0.
by rewrite w1 => /eqP; rewrite oner_eq0.
Qed.

Theorem jensen_ln : \sum_t w t * ln (x t) <= ln (\sum_t w t * x t).
Proof.
set m := \sum_t w t * x t; have m0 : 0 < m := weighted_mean_gt0.
have term t : w t * ln (x t) <= w t * ln m + (w t * x t / m - w t).
  have := w0 t; rewrite le_eqVlt => /orP [/eqP <-|wt]; first by rewrite !mul0r subrr addr0.
  have xt := x0 wt; have := ler_wpmul2l (ltW wt) (ln_le_sub1 (divr_gt0 xt m0)).
  by rewrite ln_div ?posrE // mulrBr ler_subl_addl mulrBr mulr1 mulrA.
apply: le_trans (ler_sum _ (fun t _ => term t)) _.
by rewrite big_split sumrB /= -!mulr_suml w1 mul1r -/m divff ?gt_eqF // subrr addr0.
Qed.
End Jensen.

(* A value to put beside the code's: between (1/3, 2/3) and (2/3, 1/3), ln 2 / 3. *)
Example kl_of_thirds : kl (fun k : bool => (if k then 1 else 2%:R) / 3%:R) (fun k => (if k then 2%:R else 1) / 3%:R)
  = ln 2%:R / 3%:R.
Proof.
have three : (3%:R : R) != 0 by rewrite pnatr_eq0.
have half : 1 / 3%:R / (2%:R / 3%:R) = (2%:R)^-1 :> R by field.
have double : 2%:R / 3%:R / (1 / 3%:R) = 2%:R :> R by field.
rewrite /kl big_bool /= half double lnV ?posrE ?ltr0n //.
by move: (ln 2%:R) => l; field.
Qed.
End Information.
