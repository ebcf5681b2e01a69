(******************************************************************************)
(* The little analysis that the theorems need.                                *)
(*                                                                            *)
(* In words. ln x <= x - 1; ln x >= 2 (x - 1) / (x + 1) for x >= 1; and       *)
(* Taylor to second order on [0, 1]: if h'' <= M then                         *)
(* h(1) <= h(0) + h'(0) + M / 2. All three are the mean value theorem.        *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import boolp classical_sets functions reals topology normedtype sequences derive realfun exp.
From mathcomp Require Import ring.
Import GRing.Theory Num.Theory Order.TTheory numFieldNormedType.Exports.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Calculus.
Variable R : realType.
Implicit Types (f df : R -> R) (a b c x y t : R).

(* f' = df everywhere. *)
Definition has_derivative f df := forall x, is_derive x 1 f (df x).

Lemma has_derivativeN f df : has_derivative f df -> has_derivative (fun t => - f t) (fun t => - df t).
Proof. by move=> fdf t; exact: (is_deriveN (fdf t)). Qed.

Lemma mean_value_theorem f df a b : has_derivative f df -> a <= b ->
  exists2 c, a <= c <= b & f b - f a = df c * (b - a).
Proof.
move=> fdf ab; have [] := @MVT_segment R f df a b ab (fun x _ => fdf x); last by move=> c cab; exists c.
by apply: continuous_subspaceT => x; apply/differentiable_continuous/derivable1_diffP; apply: ex_derive.
Qed.

Lemma exp_ge1D x : 1 + x <= expR x.
Proof.
have [x0|x0] := leP 0 x; first exact: expR_ge1Dx.
have [c /andP[_ c0]] := mean_value_theorem (@is_derive_expR R) (ltW x0).
rewrite expR0 sub0r => fc; rewrite addrC -ler_subr_addr -ler_opp2 opprB fc.
by rewrite ler_pimull ?oppr_ge0 ?(ltW x0) // -[1](@expR0 R) ler_expR.
Qed.

Lemma ln_le_sub1 x : 0 < x -> ln x <= x - 1.
Proof. by move=> x0; rewrite ler_subr_addl; have := exp_ge1D (ln x); rewrite lnK. Qed.

(* 2 (e^u - 1) <= u (e^u + 1) for u >= 0. *)
Lemma exp_chord (u : R) : 0 <= u -> 2%:R * (expR u - 1) <= u * (expR u + 1).
Proof.
move=> u0; pose g (t : R) := t * (expR t + 1) - 2%:R * expR t.
have g1 : has_derivative g (fun t => 1 + (t - 1) * expR t).
  move=> t; have -> : g = (id * (@expR R + cst 1) - 2%:R *: @expR R : R -> R) by [].
  by apply: is_derive_eq; rewrite /GRing.scale /= -[(_ + cst 1) t]/(expR t + 1); ring.
have [c /andP[c0 _]] := mean_value_theorem g1 u0; rewrite /g expR0 subr0 => diff.
have slope0 : 0 <= 1 + (c - 1) * expR c.
  have -> : 1 + (c - 1) * expR c = expR c * (expR (- c) - (1 - c)) by rewrite mulrBr expRxMexpNx_1; ring.
  by rewrite mulr_ge0 ?subr_ge0 ?exp_ge1D // ltW ?expR_gt0.
rewrite -subr_ge0; have := mulr_ge0 slope0 u0; rewrite -diff; congr (_ <= _).
by ring.
Qed.

(* (x - 1) ln x >= 2 (x - 1)^2 / (x + 1), the pointwise form of Pinsker's inequality. *)
Lemma ln_chord x : 0 < x -> 2%:R * (x - 1) ^+ 2 <= (x - 1) * ln x * (x + 1).
Proof.
have above y : 1 <= y -> 2%:R * (y - 1) ^+ 2 <= (y - 1) * ln y * (y + 1).
  move=> y1; have y0 : 0 < y := lt_le_trans ltr01 y1.
  have := exp_chord (ln_ge0 y1); rewrite lnK ?posrE // => chord.
  have -> : 2%:R * (y - 1) ^+ 2 = (y - 1) * (2%:R * (y - 1)) by ring.
  by rewrite -mulrA ler_wpmul2l // subr_ge0.
move=> x0; have [|x1] := leP 1 x; first exact: above.
have xV : 1 <= x^-1 by rewrite invf_ge1 // ltW.
have := ler_wpmul2r (exprn_ge0 2 (ltW x0)) (above _ xV); rewrite lnV ?posrE //.
have -> : 2%:R * (x^-1 - 1) ^+ 2 * x ^+ 2 = 2%:R * (x - 1) ^+ 2 by field; rewrite gt_eqF.
by have -> : (x^-1 - 1) * - ln x * (x^-1 + 1) * x ^+ 2 = (x - 1) * ln x * (x + 1) by field; rewrite gt_eqF.
Qed.

Lemma derivative_quadratic (u v w x : R) : is_derive x 1 (fun t => u + v * t + w * t ^+ 2) (v + w * (2%:R * x)).
Proof.
have -> : (fun t => u + v * t + w * t ^+ 2) = (cst u + v *: id + w *: (id ^+ 2) : R -> R) by [].
by apply: is_derive_eq; rewrite /GRing.scale /=; ring.
Qed.

Theorem taylor_second_order (h dh ddh : R -> R) (M : R) :
  has_derivative h dh -> has_derivative dh ddh -> (forall t, 0 <= t <= 1 -> ddh t <= M) ->
  h 1 <= h 0 + dh 0 + M / 2%:R.
Proof.
move=> h1 h2 bound.
have dh_bound t : 0 <= t <= 1 -> dh t <= dh 0 + M * t.
  move=> /andP[t0 t1]; have [c /andP[c0 ct]] := mean_value_theorem h2 t0.
  rewrite subr0 -ler_subl_addl => ->; rewrite ler_wpmul2r // bound // c0.
  exact: le_trans ct t1.
pose k t := h t - (0 + dh 0 * t + M / 2%:R * t ^+ 2).
have k1 : has_derivative k (fun t => dh t - (dh 0 + M * t)).
  move=> t; have := is_deriveB (h1 t) (derivative_quadratic 0 (dh 0) (M / 2%:R) t).
  have -> : M / 2%:R * (2%:R * t) = M * t by rewrite mulrA divfK ?pnatr_eq0.
  exact.
have [c c01] := mean_value_theorem k1 (ler01 : 0 <= 1 :> R).
have := dh_bound _ c01; rewrite -subr_le0 subr0 mulr1 => neg fc; move: neg; rewrite -fc /k.
by rewrite -[h 1 <= _]subr_le0; congr (_ <= _); ring.
Qed.

(* The same from the other end: h(1) - h(0) - h'(1) >= - M / 2. *)
Theorem taylor_from_one (h dh ddh : R -> R) (M : R) :
  has_derivative h dh -> has_derivative dh ddh -> (forall t, 0 <= t <= 1 -> ddh t <= M) ->
  dh 1 - (h 1 - h 0) <= M / 2%:R.
Proof.
move=> h1 h2 bound.
have dh_bound t : 0 <= t <= 1 -> dh 1 - dh t <= M * (1 - t).
  move=> /andP[t0 t1]; have [c /andP[tc c1] ->] := mean_value_theorem h2 t1.
  by rewrite ler_wpmul2r ?subr_ge0 // bound // c1 (le_trans t0 tc).
pose k t := h t - (0 + (dh 1 - M) * t + M / 2%:R * t ^+ 2).
have k1 : has_derivative k (fun t => dh t - (dh 1 - M + M * t)).
  move=> t; have := is_deriveB (h1 t) (derivative_quadratic 0 (dh 1 - M) (M / 2%:R) t).
  have -> : M / 2%:R * (2%:R * t) = M * t by rewrite mulrA divfK ?pnatr_eq0.
  exact.
have [c c01] := mean_value_theorem k1 (ler01 : 0 <= 1 :> R).
have := dh_bound _ c01; rewrite -subr_ge0 subr0 mulr1.
have -> : M * (1 - c) - (dh 1 - dh c) = dh c - (dh 1 - M + M * c) by ring.
move=> nonneg fc; move: nonneg; rewrite -fc /k -[_ - _ <= M / _]subr_ge0.
by congr (_ <= _); move: (M / 2%:R) (splitr M) => m ->; ring.
Qed.
End Calculus.
