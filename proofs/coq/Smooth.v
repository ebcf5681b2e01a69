(******************************************************************************)
(* T8 and T10: gradient descent on the logits, exact and biased.              *)
(*                                                                            *)
(* In words. Let p = softmax(theta) row by row, J(theta) = E_p[L], and        *)
(* lo <= L <= hi with Delta = hi - lo. Along any direction v, with            *)
(* S = sum_e v_e . (a_e - p_e) under the current p and any constant c,        *)
(*     d/dt J    = E[L S] = sum_e v_e . gradient_e,                           *)
(*     d2/dt2 J  = E[(L - c) (S^2 - E[S^2])].                                 *)
(* With c the mid-range and Spread.v's bound on E|S^2 - E S^2|, J is C-smooth *)
(* with C = Delta (n - 1) / (3n - 2), n = max(E, 2), which is Delta / 4 for   *)
(* one or two edges and less than Delta / 3 for any number, whatever K:       *)
(*     J(theta + v) <= J(theta) + <gradient, v> + (C / 2) ||v||^2.            *)
(* T8: a step eta <= 1 / C lowers J by at least (eta / 2) ||gradient||^2, and *)
(* no step eta <= 2 / C raises J.                                             *)
(* T10: a step along gradient + bias, eta <= 1 / C, gives                     *)
(*     J' <= J - (eta / 2) ||gradient||^2 + (eta / 2) ||bias||^2.             *)
(*                                                                            *)
(* The proof needs no derivative of a product: along a line, a product of     *)
(* softmaxes is one exponential family, P_t(a) proportional to                *)
(* P_0(a) exp(t s(a)) with s(a) = sum_e v_e(a_e).                             *)
(*                                                                            *)
(* `mask` holds a one for each candidate that an edge has, a zero for padding *)
(* (logit minus infinity in the code); any non-negative weights will do.      *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import boolp classical_sets functions reals topology normedtype sequences derive realfun exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased Calculus Spread.
Import GRing.Theory Num.Theory Order.TTheory numFieldNormedType.Exports.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ exponential families *)

Section ExponentialFamily.
Variables (R : realType) (T : finType) (w s : T -> R).

Definition weighted_sum (f : T -> R) (t : R) := \sum_a w a * expR (t * s a) * f a.

Lemma derivative_sum (F dF : T -> R -> R) : (forall a, has_derivative (F a) (dF a)) ->
  has_derivative (fun t => \sum_a F a t) (fun t => \sum_a dF a t).
Proof.
move=> FdF t; elim: (index_enum T) => [|a r step].
  rewrite (_ : (fun t => _) = cst 0); last by apply: funext => u; rewrite big_nil.
  by rewrite big_nil; apply: is_derive_cst.
rewrite (_ : (fun t => _) = F a \+ (fun t => \sum_(b <- r) F b t)); last first.
  by apply: funext => u; rewrite big_cons.
by rewrite big_cons; exact: is_deriveD (FdF a t) step.
Qed.

Lemma derivative_exp_line (c u : R) : has_derivative (fun t => c * expR (t * u)) (fun t => c * expR (t * u) * u).
Proof.
move=> t; have inner : is_derive t 1 (fun t => t * u) u.
  have -> : (fun t => t * u) = u *: (id : R -> R) by apply: funext => x; rewrite /GRing.scale /= mulrC.
  by apply: is_derive_eq; rewrite /GRing.scale /= mulr1.
have outer := @is_derive1_comp R expR (fun t => t * u) t _ _ (is_derive_expR (t * u)) inner.
have -> : (fun t => c * expR (t * u)) = c *: (expR \o (fun t => t * u)) by [].
by apply: is_derive_eq; rewrite /GRing.scale /=; ring.
Qed.

Lemma derivative_weighted_sum f : has_derivative (weighted_sum f) (weighted_sum (fun a => f a * s a)).
Proof.
move=> t; rewrite /weighted_sum.
have := derivative_sum (fun a => derivative_exp_line (w a * f a) (s a)) t.
have -> : (fun t => \sum_a w a * f a * expR (t * s a)) = (fun t => \sum_a w a * expR (t * s a) * f a).
  by apply: funext => u; apply: eq_bigr => a _; rewrite mulrAC.
have -> // : \sum_a w a * f a * expR (t * s a) * s a = \sum_a w a * expR (t * s a) * (f a * s a).
by apply: eq_bigr => a _; ring.
Qed.

Hypothesis positive : forall t, 0 < weighted_sum (fun=> 1) t.

Definition tilted_mean f t := weighted_sum f t / weighted_sum (fun=> 1) t.

(* d/dt E_t[f] = E_t[f s] - E_t[f] E_t[s]. *)
Lemma derivative_tilted_mean f : has_derivative (tilted_mean f)
  (fun t => tilted_mean (fun a => f a * s a) t - tilted_mean f t * tilted_mean s t).
Proof.
move=> t; have Z0 : weighted_sum (fun=> 1) t != 0 by rewrite gt_eqF.
have Z' : is_derive t 1 (weighted_sum (fun=> 1)) (weighted_sum s t).
  have -> : s = (fun a => 1 * s a) by apply: funext => a; rewrite mul1r.
  exact: derivative_weighted_sum.
have D := is_deriveM (derivative_weighted_sum f t) (is_deriveV Z0 Z').
apply: (is_derive_eq D); rewrite /tilted_mean /GRing.scale /=.
by field.
Qed.
End ExponentialFamily.

(* ------------------------------------------------------------ softmax along a line *)

Section Softmax.
Variables (R : realType) (E K : finType) (mask : E -> K -> R).
Hypotheses (mask0 : forall e k, 0 <= mask e k) (mask1 : forall e, 0 < \sum_k mask e k).
Implicit Types (theta v : E -> K -> R) (a : architecture E K).

Definition softmax theta e k := mask e k * expR (theta e k) / \sum_j mask e j * expR (theta e j).
Definition move_logits theta v t : E -> K -> R := fun e k => theta e k + t * v e k.
Definition inner (g v : E -> K -> R) : R := \sum_e \sum_k g e k * v e k.

(* C, from the least and the largest loss. *)
Definition smoothness (lo hi : R) := (hi - lo) * smooth_share R #|E|.

Lemma normaliser_gt0 theta e : 0 < \sum_j mask e j * expR (theta e j).
Proof.
have term j : 0 <= mask e j * expR (theta e j) by rewrite mulr_ge0 // ltW ?expR_gt0.
rewrite lt0r sumr_ge0 ?andbT //; apply/negP => /eqP /psumr_eq0P zero.
have := mask1 e; rewrite big1 ?ltxx // => j _; apply/eqP.
have := zero (fun j _ => term j) j isT => /eqP.
by rewrite mulf_eq0 [expR _ == 0]gt_eqF ?expR_gt0 // orbF.
Qed.

Lemma softmax_policy theta : policy (softmax theta).
Proof.
split=> [e k|e]; last by rewrite -mulr_suml divff // gt_eqF // normaliser_gt0.
by rewrite divr_ge0 ?mulr_ge0 // ltW ?expR_gt0 ?normaliser_gt0.
Qed.

(* At logarithms of weights: the weights, normalised. *)
Lemma softmax_of_logs theta (weight : E -> K -> R) : (forall e k, 0 < weight e k) ->
  (forall e k, theta e k = ln (weight e k)) -> forall e k,
  softmax theta e k = mask e k * weight e k / \sum_j mask e j * weight e j.
Proof.
move=> pos logs e k; rewrite /softmax logs lnK ?posrE //; congr (_ / _).
by apply: eq_bigr => j _; rewrite logs lnK ?posrE.
Qed.

(* What the softmax can draw is what the mask allows. *)
Definition allowed a := forall e, 0 < mask e (a e).

Lemma softmax_allowed theta a : 0 < probability (softmax theta) a -> allowed a.
Proof.
move=> Pa e; have := probability_gt0 (softmax_policy theta).1 Pa e; rewrite /softmax.
rewrite pmulr_lgt0 ?invr_gt0 ?normaliser_gt0 // pmulr_lgt0 ?expR_gt0 //.
Qed.

Lemma allowed_softmax theta a : allowed a -> 0 < probability (softmax theta) a.
Proof.
move=> ok; apply: prodr_gt0 => e _; apply: divr_gt0; last exact: normaliser_gt0.
by apply: mulr_gt0; [exact: ok|exact: expR_gt0].
Qed.

Lemma expR_sum (I : finType) (f : I -> R) : expR (\sum_i f i) = \prod_i expR (f i).
Proof. by apply: (big_morph expR) => [x y|]; rewrite ?expRD ?expR0. Qed.

Section Line.
Variables (theta v : E -> K -> R) (L : architecture E K -> R).
Let p t := softmax (move_logits theta v t).
Let w a := \prod_e (mask e (a e) * expR (theta e (a e))).
Let s a := \sum_e v e (a e).

Lemma weightE t a : \prod_e (mask e (a e) * expR (move_logits theta v t e (a e))) = w a * expR (t * s a).
Proof.
rewrite /s mulr_sumr expR_sum -big_split; apply: eq_bigr => e _ /=.
by rewrite /move_logits expRD mulrA.
Qed.

Lemma normaliserE t : \prod_e (\sum_j mask e j * expR (move_logits theta v t e j)) = weighted_sum w s (fun=> 1) t.
Proof. by rewrite bigA_distr_bigA; apply: eq_bigr => a _; rewrite weightE mulr1. Qed.

Lemma weighted_sum_gt0 t : 0 < weighted_sum w s (fun=> 1) t.
Proof. by rewrite -normaliserE; apply: prodr_gt0 => e _; apply: normaliser_gt0. Qed.

Lemma mean_softmax f t : mean (p t) f = tilted_mean w s f t.
Proof.
rewrite /tilted_mean -normaliserE mulr_suml; apply: eq_bigr => a _.
rewrite /probability /p /softmax big_split /= weightE prodfV.
by rewrite mulrAC.
Qed.

Definition line_loss t := mean (p t) L.
Definition line_slope t := inner v (gradient (p t) L).
Definition line_curvature t := curvature (p t) v L.

Lemma centred_sumE t a : centred_sum (p t) v a = s a - mean (p t) s.
Proof.
rewrite /centred_sum sumrB; congr (_ - _); rewrite mean_sum.
by apply: eq_bigr => e _; rewrite mean_edge //; have [] := softmax_policy (move_logits theta v t).
Qed.

(* The score identity in the logits: <v, gradient> = E[L S]. *)
Lemma slopeE t : line_slope t = mean (p t) (fun a => L a * s a) - mean (p t) L * mean (p t) s.
Proof.
have [p0 p1] := softmax_policy (move_logits theta v t); rewrite -/(p t) in p0 p1.
rewrite -meanZ -meanB.
transitivity (mean (p t) (fun a => L a * centred_sum (p t) v a)); last first.
  under mean_ext do rewrite centred_sumE mulrBr.
  by rewrite !meanB meanZr meanZ.
rewrite /line_slope /inner.
transitivity (\sum_e \sum_k mean (p t) (fun a => L a * (v e k * score (p t) a e k))).
  apply: eq_bigr => e _; apply: eq_bigr => k _; rewrite -T4_score_identity // -meanZ.
  by apply: mean_ext => a; rewrite mulrCA.
under eq_bigr do rewrite -mean_sum; rewrite -mean_sum; apply: mean_ext => a.
under eq_bigr do rewrite -mulr_sumr; rewrite -mulr_sumr; congr (_ * _).
apply: eq_bigr => e _; under eq_bigr do rewrite /score mulrBr.
rewrite sumrB; congr (_ - _); last by apply: eq_bigr => k _; rewrite mulrC.
by under eq_bigr do rewrite mulrC; rewrite sum_indicator.
Qed.

Theorem T8_slope : has_derivative line_loss line_slope.
Proof.
move=> t; have := derivative_tilted_mean weighted_sum_gt0 L t; rewrite -!mean_softmax -slopeE.
by have -> : tilted_mean w s L = line_loss by apply: funext => u; rewrite -mean_softmax.
Qed.

Theorem T8_curvature : has_derivative line_slope line_curvature.
Proof.
move=> t; have D := derivative_tilted_mean weighted_sum_gt0.
have D2 := is_deriveB (D (fun a => L a * s a) t) (is_deriveM (D L t) (D s t)).
have -> : line_slope = tilted_mean w s (fun a => L a * s a) - tilted_mean w s L * tilted_mean w s s.
  by apply: funext => u; rewrite slopeE !mean_softmax.
apply: (is_derive_eq D2); rewrite /GRing.scale /= -!mean_softmax /line_curvature /curvature.
have [p0 p1] := softmax_policy (move_logits theta v t); rewrite -/(p t) in p0 p1.
set m := mean (p t) s.
have variance : sum_variance (p t) v = mean (p t) (fun a => s a * s a) - m * m.
  rewrite /sum_variance.
  transitivity (mean (p t) (fun a => s a * s a - (2%:R * m * s a - m ^+ 2))).
    by apply: mean_ext => a; rewrite centred_sumE -/m; ring.
  by rewrite !meanB meanZ mean_const // -/m; ring.
transitivity (mean (p t) (fun a =>
    (L a * s a * s a) - (2%:R * m * (L a * s a) - (m ^+ 2 - sum_variance (p t) v) * L a)));
  last by apply: mean_ext => a; rewrite centred_sumE -/m; ring.
by rewrite !meanB !meanZ variance; ring.
Qed.

(* Any constant may be taken off the loss. *)
Lemma curvature_centred c t : line_curvature t =
  mean (p t) (fun a => (L a - c) * (centred_sum (p t) v a ^+ 2 - sum_variance (p t) v)).
Proof.
have [_ p1] := softmax_policy (move_logits theta v t).
under [RHS]mean_ext do rewrite mulrBl.
by rewrite meanB meanZ meanB mean_const // subrr mulr0 subr0.
Qed.

Variables (lo hi : R).
Hypothesis range : forall a, allowed a -> lo <= L a <= hi.

Theorem T8_smooth t : `|line_curvature t| <= smoothness lo hi * direction_norm v.
Proof.
have pol := softmax_policy (move_logits theta v t); rewrite -/(p t) in pol.
have [a0 Pa0] := some_positive (fun a => probability_ge0 a pol.1) (sum_probability pol.2).
have Delta0 : 0 <= hi - lo.
  by rewrite subr_ge0; have /andP[] := range (softmax_allowed Pa0); apply: le_trans.
rewrite (curvature_centred ((lo + hi) / 2%:R)).
apply: le_trans (mean_norm _ _) _; first by case: pol.
apply: (@le_trans _ _ (mean (p t) (fun a =>
    (hi - lo) / 2%:R * `|centred_sum (p t) v a ^+ 2 - sum_variance (p t) v|))).
  apply: mean_le => [|a Pa]; first by case: pol.
  rewrite normrM ler_wpmul2r // ler_norml.
  have /andP[low high] := range (softmax_allowed Pa).
  have -> : - ((hi - lo) / 2%:R) = lo - (lo + hi) / 2%:R by field.
  have -> : (hi - lo) / 2%:R = hi - (lo + hi) / 2%:R by field.
  by rewrite !ler_add2r low.
rewrite meanZ; have half : 0 <= (hi - lo) / 2%:R by rewrite divr_ge0 // ler0n.
apply: ler_by_difference (ler_wpmul2l half (spread_bound v pol)) _; rewrite /smoothness.
by field.
Qed.
End Line.

(* ------------------------------------------------------------ T8: descent *)

Section Descent.
Variables (L : architecture E K -> R) (lo hi : R).
Hypothesis range : forall a, allowed a -> lo <= L a <= hi.
Let C := smoothness lo hi.

Definition loss_at theta := mean (softmax theta) L.
Definition gradient_at theta := gradient (softmax theta) L.
Definition norm2 v := inner v v.

(* theta' = theta + v. *)
Definition add_logits theta v : E -> K -> R := fun e k => theta e k + v e k.
Definition scale_logits (c : R) v : E -> K -> R := fun e k => c * v e k.

Lemma softmax_ext theta theta' : (forall e k, theta e k = theta' e k) ->
  forall e k, softmax theta e k = softmax theta' e k.
Proof.
move=> same e k; rewrite /softmax same; congr (_ / _).
by apply: eq_bigr => j _; rewrite same.
Qed.

Lemma loss_ext theta theta' : (forall e k, theta e k = theta' e k) -> loss_at theta = loss_at theta'.
Proof.
move=> same; apply: eq_bigr => a _; congr (_ * _).
by apply: eq_bigr => e _; apply: softmax_ext.
Qed.

Lemma gradient_ext theta theta' : (forall e k, theta e k = theta' e k) ->
  forall e k, gradient_at theta e k = gradient_at theta' e k.
Proof.
move=> same e k; rewrite /gradient_at /gradient (softmax_ext same) -/(loss_at theta) (loss_ext same).
congr (_ * (_ - _)); apply: eq_bigr => a _; congr (_ * _).
by apply: eq_bigr => i _; apply: softmax_ext.
Qed.

Theorem T8_upper_bound theta v :
  loss_at (add_logits theta v) <= loss_at theta + inner v (gradient_at theta) + C / 2%:R * norm2 v.
Proof.
have at0 e k : move_logits theta v 0 e k = theta e k by rewrite /move_logits mul0r addr0.
have at1 e k : move_logits theta v 1 e k = add_logits theta v e k by rewrite /move_logits mul1r.
have bound t : 0 <= t <= 1 -> line_curvature theta v L t <= C * direction_norm v.
  by move=> _; have := T8_smooth theta v range t; rewrite ler_norml => /andP[].
have := taylor_second_order (T8_slope theta v L) (T8_curvature theta v L) bound.
rewrite /line_loss -/(loss_at _) -/(loss_at _) (loss_ext at0) (loss_ext at1) /line_slope.
have -> : inner v (gradient (softmax (move_logits theta v 0)) L) = inner v (gradient_at theta).
  by apply: eq_bigr => e _; apply: eq_bigr => k _; rewrite -/(gradient_at _) (gradient_ext at0).
have -> : C * direction_norm v / 2%:R = C / 2%:R * norm2 v by rewrite mulrAC.
by [].
Qed.

Lemma innerZ c v g : inner (scale_logits c v) g = c * inner v g.
Proof.
rewrite mulr_sumr; apply: eq_bigr => e _; rewrite mulr_sumr; apply: eq_bigr => k _.
by rewrite /scale_logits mulrA.
Qed.

Lemma norm2_ge0 v : 0 <= norm2 v.
Proof. by apply: sumr_ge0 => e _; apply: sumr_ge0 => k _; rewrite -expr2 sqr_ge0. Qed.

Lemma norm2Z c v : norm2 (scale_logits c v) = c ^+ 2 * norm2 v.
Proof.
rewrite mulr_sumr; apply: eq_bigr => e _; rewrite mulr_sumr; apply: eq_bigr => k _.
by rewrite /scale_logits; ring.
Qed.

(* T10: the step along gradient + bias. *)
Theorem T10_biased_step theta bias eta : 0 <= eta -> eta * C <= 1 ->
  loss_at (add_logits theta (scale_logits (- eta) (fun e k => gradient_at theta e k + bias e k))) <=
  loss_at theta - eta / 2%:R * norm2 (gradient_at theta) + eta / 2%:R * norm2 bias.
Proof.
move=> eta0 small; set g := gradient_at theta; set d := fun e k => g e k + bias e k.
apply: le_trans (T8_upper_bound theta (scale_logits (- eta) d)) _.
rewrite innerZ norm2Z -/g -!addrA ler_add2l.
have dg : norm2 d = norm2 bias + 2%:R * inner d g - norm2 g.
  rewrite /norm2 /inner mulr_sumr -big_split -sumrB; apply: eq_bigr => e _ /=.
  rewrite mulr_sumr -big_split -sumrB; apply: eq_bigr => k _ /=.
  by rewrite /d; ring.
have curved : C / 2%:R * ((- eta) ^+ 2 * norm2 d) <= eta / 2%:R * norm2 d.
  have -> : C / 2%:R * ((- eta) ^+ 2 * norm2 d) = eta * C * (eta / 2%:R * norm2 d) by field.
  by rewrite ler_pimull // mulr_ge0 ?norm2_ge0 // divr_ge0 ?ler0n.
apply: ler_by_difference curved _; rewrite dg.
by field.
Qed.

(* T8: the plain gradient step. *)
Definition gradient_step theta eta := add_logits theta (scale_logits (- eta) (gradient_at theta)).

Theorem T8_any_step theta eta : 0 <= eta ->
  loss_at (gradient_step theta eta) <= loss_at theta - eta * (1 - eta * C / 2%:R) * norm2 (gradient_at theta).
Proof.
move=> eta0; have := T8_upper_bound theta (scale_logits (- eta) (gradient_at theta)).
rewrite innerZ norm2Z -/(norm2 (gradient_at theta)) -/(gradient_step theta eta) => bound.
apply: ler_by_difference bound _.
by field.
Qed.

Theorem T8_descent theta eta : 0 <= eta -> eta * C <= 1 ->
  loss_at (gradient_step theta eta) <= loss_at theta - eta / 2%:R * norm2 (gradient_at theta).
Proof.
move=> eta0 small; apply: le_trans (T8_any_step theta eta0) _.
rewrite ler_add2l ler_opp2 ler_wpmul2r ?norm2_ge0 // ler_wpmul2l //.
rewrite -subr_ge0; have -> : 1 - eta * C / 2%:R - 2%:R^-1 = (1 - eta * C) / 2%:R by field.
by rewrite divr_ge0 ?ler0n // subr_ge0.
Qed.

Theorem T8_no_rise theta eta : 0 <= eta -> eta * C <= 2%:R -> loss_at (gradient_step theta eta) <= loss_at theta.
Proof.
move=> eta0 small; apply: le_trans (T8_any_step theta eta0) _.
rewrite ler_subl_addr ler_addl !mulr_ge0 ?norm2_ge0 // subr_ge0.
by rewrite ler_pdivr_mulr ?ltr0n // mul1r.
Qed.
End Descent.
End Softmax.
