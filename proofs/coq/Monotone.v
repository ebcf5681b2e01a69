(******************************************************************************)
(* T1 and T6: monotone improvement by a joint step of all edges, and          *)
(* convergence.                                                               *)
(*                                                                            *)
(* In words. Let J = E_p[L], q_ek = E[L | a_e = k], and move every edge at    *)
(* once, p' = p (1 - eps (q - J)). Let c be at least the loss of every        *)
(* architecture that p can draw, and delta = eps (c - J) in (0, 1]. Then      *)
(*     ln (c - J(p')) - ln (c - J(p))                                         *)
(*         >= (1 / delta) KL(p' || p) + (1 / delta - 1) KL(p || p') >= 0.     *)
(* So eps <= 1 / (max L - J) suffices for J(p') <= J(p), whatever the number  *)
(* of edges and candidates; and J falls by at least KL(p' || p) / eps.        *)
(*                                                                            *)
(* Proof. Let u = c - L, F = E_p[u] = c - J and w = P u / F, a distribution   *)
(* of architectures. Then p' = (1 - delta) p + delta E_w[a]. With r = p' / p, *)
(* (c - J(p')) / F = sum_a w(a) prod_e r_e(a_e), and Jensen's inequality      *)
(* for ln gives at least sum_e sum_k E_w[a_ek] ln r_ek, which is the bound.   *)
(*                                                                            *)
(* p may have zeros. With delta = 1, p' may vanish where p does not: then     *)
(* KL(p || p') is infinite, its factor 1 / delta - 1 is 0, and so is the term.*)
(*                                                                            *)
(* T6: along such steps J(p_t) falls and converges, and the sum of            *)
(* KL(p_{t+1} || p_t) over all t is finite: at most (J_0 - lo) / (c - J_0)    *)
(* and, if no step's delta exceeds d, at most d ln((c - lo) / (c - J_0)),     *)
(* where lo is at most any loss that p_0 can draw.                            *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import boolp classical_sets reals topology normedtype sequences exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased OneEdge Calculus Information.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section JointStep.
Variables (R : realType) (E K : finType).
Variables (p : E -> K -> R) (L : architecture E K -> R) (c eps : R).
Hypotheses (pol : policy p) (Lc : forall a, 0 < probability p a -> L a <= c).

Let p0 : forall e k, 0 <= p e k := pol.1.
Let p1 : forall e, \sum_k p e k = 1 := pol.2.
Let P := probability p.
Let J := mean p L.
Let q := value p L.
Let u a := c - L a.

(* The new policy, and its ratio to the old one. *)
Definition joint_step := natural_step p (gradient p L) eps.
Let p' := joint_step.
Let r e k := 1 - eps * (q e k - J).

Lemma joint_step_ratio e k : p' e k = p e k * r e k.
Proof. by rewrite /p' /joint_step /natural_step /gradient /r /q /J; ring. Qed.

Lemma joint_step_sum e : \sum_k p' e k = 1.
Proof. exact: moved_row_sum. Qed.

Lemma probability_joint_step a : probability p' a = P a * \prod_e r e (a e).
Proof. by rewrite /P /probability -big_split; apply: eq_bigr => e _; apply: joint_step_ratio. Qed.

(* ------------------------------------------------------------ u = c - L *)

Lemma u_ge0 a : 0 < P a -> 0 <= u a.
Proof. by move=> Pa; rewrite subr_ge0 Lc. Qed.

Lemma mean_u v : (forall e, \sum_k v e k = 1) -> mean v u = c - mean v L.
Proof. by move=> v1; rewrite /u meanB mean_const. Qed.

Lemma gap_ge0 : 0 <= c - J.
Proof. by rewrite -mean_u // mean_ge0 // => a; apply: u_ge0. Qed.

Lemma value_u e k : value p u e k = c - q e k.
Proof. by rewrite /value /u meanB mean_const. Qed.

Lemma value_u_ge0 e k : 0 < p e k -> 0 <= c - q e k.
Proof.
move=> pek; rewrite -value_u; apply: mean_ge0 => // a Pa; apply: u_ge0.
rewrite -(pmulr_lgt0 _ (probability_gt0 p0 Pa e)) probability_set_edge.
by rewrite mulr_gt0.
Qed.

(* q_ek is below c as soon as some architecture with a_e = k is. *)
Lemma value_u_gt0 a e : 0 < P a -> 0 < u a -> 0 < c - q e (a e).
Proof.
move=> Pa ua; rewrite -value_u /value /mean (bigD1 a) //= set_edge_id ltr_paddr ?mulr_gt0 //.
apply: sumr_ge0 => b _; have := probability_ge0 b p0; rewrite le_eqVlt => /orP [/eqP <-|Pb]; rewrite ?mul0r //.
apply: mulr_ge0; first exact: ltW.
apply: u_ge0; rewrite -(pmulr_lgt0 _ (probability_gt0 p0 Pb e)) probability_set_edge.
by rewrite mulr_gt0 // (probability_gt0 p0 Pa).
Qed.

(* ------------------------------------------------------------ r >= 0 *)

Lemma ratio_split e k : r e k = (1 - eps * (c - J)) + eps * (c - q e k).
Proof. by rewrite /r; ring. Qed.

Lemma ratio_ge0 e k : 0 <= eps -> eps * (c - J) <= 1 -> 0 < p e k -> 0 <= r e k.
Proof. by move=> eps0 small pek; rewrite ratio_split addr_ge0 ?subr_ge0 // mulr_ge0 ?value_u_ge0. Qed.

Lemma joint_step_policy : 0 <= eps -> eps * (c - J) <= 1 -> policy p'.
Proof.
move=> eps0 small; split=> [e k|]; last exact: joint_step_sum.
rewrite joint_step_ratio; have := p0 e k; rewrite le_eqVlt => /orP [/eqP <-|pek]; rewrite ?mul0r //.
by rewrite mulr_ge0 ?ratio_ge0.
Qed.

(* ------------------------------------------------------------ the bound *)

Let delta := eps * (c - J).
Definition improvement_bound := delta^-1 * policy_kl p' p + (delta^-1 - 1) * policy_kl p p'.

Section PositiveStep.
Hypotheses (delta0 : 0 < delta) (delta1 : delta <= 1).

Lemma gap_gt0 : 0 < c - J.
Proof. by rewrite lt0r gap_ge0 andbT; apply/eqP => gap; move: delta0; rewrite /delta gap mulr0 ltxx. Qed.

Lemma step_gt0 : 0 < eps.
Proof. by move: delta0; rewrite /delta pmulr_lgt0 // gap_gt0. Qed.

(* The distribution of architectures tilted by u, and its marginals. *)
Let w a := P a * u a / (c - J).

Lemma tilted_ge0 a : 0 <= w a.
Proof.
have := probability_ge0 a p0; rewrite /w -/(P a) le_eqVlt => /orP [/eqP <-|Pa]; first by rewrite !mul0r.
by rewrite divr_ge0 ?gap_ge0 // mulr_ge0 ?u_ge0 // ltW.
Qed.

Lemma tilted_sum : \sum_a w a = 1.
Proof. by rewrite -mulr_suml -/(mean p u) mean_u // divff // gt_eqF // gap_gt0. Qed.

Lemma tilted_gt0 a : 0 < w a -> 0 < P a /\ 0 < u a.
Proof.
move=> wa; have Pa : 0 < P a.
  by rewrite lt0r probability_ge0 // andbT; apply/eqP => Pa; move: wa; rewrite /w Pa !mul0r ltxx.
split=> //; rewrite lt0r u_ge0 // andbT; apply/eqP => ua.
by move: wa; rewrite /w ua mulr0 mul0r ltxx.
Qed.

Lemma ratio_gt0 a e : 0 < w a -> 0 < r e (a e).
Proof.
move=> /tilted_gt0 [Pa ua]; rewrite ratio_split ltr_paddl ?subr_ge0 //.
by rewrite mulr_gt0 ?step_gt0 ?value_u_gt0.
Qed.

(* p' = (1 - delta) p + delta E_w[a]. *)
Lemma tilted_marginal e k : \sum_a w a * gate R a e k = delta^-1 * (p' e k - (1 - delta) * p e k).
Proof.
have gap := gap_gt0; have step := step_gt0.
have -> : \sum_a w a * gate R a e k = mean p (fun a => u a * gate R a e k) / (c - J).
  by rewrite mulr_suml; apply: eq_bigr => a _; rewrite /w mulrAC mulrA.
rewrite mean_gate // value_u joint_step_ratio ratio_split /delta.
by field; rewrite !gt_eqF.
Qed.

(* (c - J(p')) / (c - J(p)) = sum_a w(a) prod_e r_e(a_e). *)
Lemma tilted_gain : \sum_a w a * \prod_e r e (a e) = (c - mean p' L) / (c - J).
Proof.
rewrite -mean_u; last exact: joint_step_sum.
rewrite mulr_suml; apply: eq_bigr => a _; rewrite probability_joint_step /w.
by ring.
Qed.

Lemma ln_prod (x : E -> R) : (forall e, 0 < x e) -> ln (\prod_e x e) = \sum_e ln (x e).
Proof.
move=> x0; suff [] : 0 < \prod_e x e /\ ln (\prod_e x e) = \sum_e ln (x e) by [].
apply: (big_ind2 (fun x y => 0 < x /\ ln x = y)) => [|x1 y1 x2 y2 [x10 <-] [x20 <-]|e _] //.
  by rewrite ltr01 ln1.
by rewrite mulr_gt0 // lnM ?posrE.
Qed.

Lemma sum_tilted_ln : \sum_a w a * ln (\prod_e r e (a e)) = \sum_e \sum_k (\sum_a w a * gate R a e k) * ln (r e k).
Proof.
transitivity (\sum_(a : architecture E K) \sum_e w a * ln (r e (a e))).
  apply: eq_bigr => a _; have := tilted_ge0 a; rewrite le_eqVlt => /orP [/eqP <-|wa].
    by rewrite mul0r big1 // => e _; rewrite mul0r.
  by rewrite ln_prod ?mulr_sumr // => e; apply: ratio_gt0.
rewrite exchange_big; apply: eq_bigr => e _.
under [RHS]eq_bigr do rewrite mulr_suml.
rewrite [RHS]exchange_big; apply: eq_bigr => a _.
under [RHS]eq_bigr do rewrite -mulrA.
by rewrite -mulr_sumr sum_indicator.
Qed.

Lemma bound_is_sum : improvement_bound = \sum_e \sum_k (\sum_a w a * gate R a e k) * ln (r e k).
Proof.
rewrite /improvement_bound /policy_kl !mulr_sumr -big_split; apply: eq_bigr => e _ /=.
rewrite /kl !mulr_sumr -big_split; apply: eq_bigr => k _ /=.
rewrite tilted_marginal joint_step_ratio.
have := p0 e k; rewrite le_eqVlt => /orP [/eqP <-|pek]; first by rewrite !(mul0r, mulr0) subrr !(mul0r, mulr0) addr0.
have -> : p e k * r e k / p e k = r e k by rewrite mulrAC divff ?mul1r ?gt_eqF.
have -> : p e k / (p e k * r e k) = (r e k)^-1 by rewrite invfM mulrA divff ?mul1r ?gt_eqF.
have := ratio_ge0 (ltW step_gt0) delta1 pek; rewrite le_eqVlt => /orP [/eqP <-|rek].
  by rewrite invr0 ln0 // !mulr0 addr0.
rewrite lnV ?posrE //; field.
by rewrite gt_eqF.
Qed.

Lemma new_gap_gt0 : 0 < c - mean p' L.
Proof.
have pos a : 0 < w a -> 0 < \prod_e r e (a e) by move=> wa; apply: prodr_gt0 => e _; apply: ratio_gt0.
have := weighted_mean_gt0 tilted_ge0 tilted_sum pos; rewrite tilted_gain.
by rewrite pmulr_lgt0 // invr_gt0 gap_gt0.
Qed.

Theorem T1_improvement : improvement_bound <= ln (c - mean p' L) - ln (c - mean p L).
Proof.
rewrite bound_is_sum -sum_tilted_ln -ln_div ?posrE ?new_gap_gt0 ?gap_gt0 // -tilted_gain.
apply: jensen_ln; [exact: tilted_ge0|exact: tilted_sum|].
by move=> a wa; apply: prodr_gt0 => e _; apply: ratio_gt0.
Qed.

(* ------------------------------------------------------------ its sign *)

Lemma kl_new_old_ge0 : 0 <= policy_kl p' p.
Proof.
have [new0 new1] := joint_step_policy (ltW step_gt0) delta1.
by apply: sumr_ge0 => e _; apply: gibbs => // k; rewrite joint_step_ratio => ->; rewrite mul0r.
Qed.

(* For delta < 1 no operation is lost. *)
Lemma kl_old_new_ge0 : delta < 1 -> 0 <= policy_kl p p'.
Proof.
move=> small; have [new0 new1] := joint_step_policy (ltW step_gt0) delta1.
apply: sumr_ge0 => e _; apply: gibbs => // k; rewrite joint_step_ratio => /eqP.
have := p0 e k; rewrite le_eqVlt => /orP [/eqP //|pek].
rewrite mulf_eq0 (gt_eqF pek) /= ratio_split gt_eqF // ltr_paddr ?subr_gt0 //.
by rewrite mulr_ge0 ?value_u_ge0 // ltW // step_gt0.
Qed.

Lemma second_term_ge0 : 0 <= (delta^-1 - 1) * policy_kl p p'.
Proof.
have [->|/eqP d1] := eqVneq delta 1; first by rewrite invr1 subrr mul0r.
rewrite mulr_ge0 ?subr_ge0 ?invf_ge1 // kl_old_new_ge0 //.
by rewrite lt_neqAle delta1 andbT; apply/eqP.
Qed.

Theorem T1_bound_ge0 : 0 <= improvement_bound.
Proof. by rewrite addr_ge0 ?second_term_ge0 // mulr_ge0 ?kl_new_old_ge0 // invr_ge0 ltW. Qed.

(* In loss: J falls by at least KL(p' || p) / eps. *)
Theorem T1_descent : policy_kl p' p <= eps * (mean p L - mean p' L).
Proof.
have gap := gap_gt0; have step := step_gt0.
have bound : improvement_bound <= (c - mean p' L) / (c - J) - 1.
  apply: le_trans T1_improvement _; rewrite -ln_div ?posrE ?new_gap_gt0 //.
  by rewrite ln_le_sub1 // divr_gt0 ?new_gap_gt0.
have first : delta^-1 * policy_kl p' p <= improvement_bound by rewrite ler_addl second_term_ge0.
have := le_trans first bound; rewrite mulrC ler_pdivr_mulr // => /le_trans -> //.
rewrite le_eqVlt -subr_eq0; apply/orP; left; apply/eqP; move: gap.
by rewrite /delta /J => gap; field; rewrite gt_eqF.
Qed.
End PositiveStep.

(* ------------------------------------------------------------ the promise *)

(* Where c = J every loss that p can draw is c, and the step does nothing. *)
Lemma no_gap_no_step : c - J = 0 -> forall e k, p' e k = p e k.
Proof.
move=> gap e k; suff : p e k * (c - q e k) = 0.
  by rewrite joint_step_ratio ratio_split gap mulr0 subr0 mulrDr mulr1 mulrCA => ->; rewrite mulr0 addr0.
have u0 a : P a * u a = 0.
  have Pu0 b : 0 <= P b * u b.
    have := probability_ge0 b p0; rewrite -/(P b) le_eqVlt => /orP [/eqP <-|Pb]; first by rewrite mul0r.
    by rewrite mulr_ge0 ?u_ge0 // ltW.
  have /psumr_eq0P : \sum_a P a * u a = 0 by rewrite -/(mean p u) mean_u.
  by apply.
rewrite -value_u -mean_gate //; apply: big1 => a _.
by rewrite mulrA u0 mul0r.
Qed.

Theorem T1_monotone : 0 <= eps -> eps * (c - mean p L) <= 1 -> policy p' /\ mean p' L <= mean p L.
Proof.
move=> eps0 small; split; first exact: joint_step_policy.
have := mulr_ge0 eps0 gap_ge0; rewrite le_eqVlt => /orP [/eqP d0|d0]; last first.
  have := le_trans (T1_bound_ge0 d0 small) (T1_improvement d0 small); rewrite subr_ge0.
  by rewrite ler_ln ?posrE ?gap_gt0 ?new_gap_gt0 // ler_add2l ler_opp2.
suff same : forall e k, p' e k = p e k.
  rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigr => a _; congr (_ * _).
  by apply: eq_bigr => e _.
move/esym/eqP: d0; rewrite mulf_eq0 => /orP [/eqP eps_0|/eqP]; last exact: no_gap_no_step.
by move=> e k; rewrite joint_step_ratio /r eps_0 mul0r subr0 mulr1.
Qed.

(* What p cannot draw, p' cannot draw. *)
Lemma support_shrinks a : 0 <= eps -> eps * (c - J) <= 1 -> 0 < probability p' a -> 0 < P a.
Proof.
move=> eps0 small; rewrite probability_joint_step => P'a; rewrite lt0r probability_ge0 // andbT.
by apply/eqP => Pa; move: P'a; rewrite -/(P a) Pa mul0r ltxx.
Qed.
End JointStep.

(* ------------------------------------------------------------ T6 *)

Section Convergence.
Variables (R : realType) (E K : finType).
Variables (p_ : nat -> E -> K -> R) (L : architecture E K -> R) (c lowest : R) (eps_ : nat -> R).
Let J_ t := mean (p_ t) L.
Hypotheses (pol0 : policy (p_ 0%N)) (gap0 : J_ 0%N < c).
Hypothesis bounds : forall a, 0 < probability (p_ 0%N) a -> lowest <= L a <= c.
Hypothesis steps : forall t, 0 < eps_ t /\ eps_ t * (c - J_ t) <= 1.
Hypothesis moves : forall t e k, p_ t.+1 e k = joint_step (p_ t) L (eps_ t) e k.

Lemma probability_moves t a : probability (p_ t.+1) a = probability (joint_step (p_ t) L (eps_ t)) a.
Proof. by apply: eq_bigr => e _; apply: moves. Qed.

Lemma mean_moves t : J_ t.+1 = mean (joint_step (p_ t) L (eps_ t)) L.
Proof. by apply: eq_bigr => a _; rewrite probability_moves. Qed.

(* Every p_t is a policy that draws nothing which p_0 cannot draw. *)
Lemma trajectory t : policy (p_ t) /\ (forall a, 0 < probability (p_ t) a -> lowest <= L a <= c).
Proof.
elim: t => [|t [pol bound]]; first by split.
have [eps0 small] := steps t; have Lc a : 0 < probability (p_ t) a -> L a <= c by move=> /bound /andP[].
have [[new0 new1] _] := T1_monotone pol Lc (ltW eps0) small.
split; first by split=> [e k|e]; [rewrite moves|rewrite -(new1 e); apply: eq_bigr => k _; rewrite moves].
move=> a; rewrite probability_moves => /(support_shrinks pol (ltW eps0) small); exact: bound.
Qed.

Lemma trajectory_bounded t a : 0 < probability (p_ t) a -> L a <= c.
Proof. by have [_ bound] := trajectory t => /bound /andP[]. Qed.

Theorem T6_nonincreasing t : J_ t.+1 <= J_ t.
Proof.
have [eps0 small] := steps t; have [pol _] := trajectory t; rewrite mean_moves.
by have [] := T1_monotone pol (@trajectory_bounded t) (ltW eps0) small.
Qed.

Lemma loss_nonincreasing : nonincreasing_seq J_.
Proof. by apply/nonincreasing_seqP; apply: T6_nonincreasing. Qed.

Lemma loss_above t : lowest <= J_ t.
Proof.
have [[p0 p1] bound] := trajectory t; rewrite -(mean_const lowest p1).
by apply: mean_le => // a /bound /andP[].
Qed.

Theorem T6_loss_converges : cvg (J_ : nat -> R^o).
Proof.
apply: nonincreasing_is_cvg; first exact: loss_nonincreasing.
by exists lowest => _ [t _ <-]; apply: loss_above.
Qed.

Lemma gap_stays t : c - J_ 0%N <= c - J_ t.
Proof. by rewrite ler_add2l ler_opp2; apply: loss_nonincreasing. Qed.

Lemma kl_step t : 0 <= policy_kl (p_ t.+1) (p_ t) <= (J_ t - J_ t.+1) / (c - J_ 0%N).
Proof.
have [eps0 small] := steps t; have [pol _] := trajectory t; have Lc := @trajectory_bounded t.
have gap : 0 < c - J_ t by apply: lt_le_trans (gap_stays t); rewrite subr_gt0.
have d0 : 0 < eps_ t * (c - J_ t) by rewrite mulr_gt0.
have -> : policy_kl (p_ t.+1) (p_ t) = policy_kl (joint_step (p_ t) L (eps_ t)) (p_ t).
  by apply: eq_bigr => e _; apply: eq_bigr => k _; rewrite moves.
rewrite (kl_new_old_ge0 pol Lc d0 small) /=; apply: le_trans (T1_descent pol Lc d0 small) _.
rewrite -mean_moves mulrC ler_wpmul2l ?subr_ge0 ?T6_nonincreasing //.
apply: (@le_trans _ _ (c - J_ t)^-1); first by rewrite -[_^-1]mul1r ler_pdivl_mulr.
by rewrite lef_pinv ?posrE ?gap_stays // subr_gt0.
Qed.

Theorem T6_kl_sum n : \sum_(0 <= t < n) policy_kl (p_ t.+1) (p_ t) <= (J_ 0%N - lowest) / (c - J_ 0%N).
Proof.
apply: (@le_trans _ _ (\sum_(0 <= t < n) (J_ t - J_ t.+1) / (c - J_ 0%N))).
  by apply: ler_sum => t _; have /andP[] := kl_step t.
rewrite -mulr_suml ler_wpmul2r ?invr_ge0 ?subr_ge0 ?(ltW gap0) //.
have -> : \sum_(0 <= t < n) (J_ t - J_ t.+1) = J_ 0%N - J_ n.
  elim: n => [|n step]; first by rewrite big_geq // subrr.
  by rewrite big_nat_recr // step /= addrA subrK.
by rewrite ler_add2l ler_opp2 loss_above.
Qed.

(* ln (c - J) telescopes. *)
Theorem T6_kl_logarithm d n : (forall t, eps_ t * (c - J_ t) <= d) ->
  \sum_(0 <= t < n) policy_kl (p_ t.+1) (p_ t) <= d * ln ((c - lowest) / (c - J_ 0%N)).
Proof.
move=> shares; have [eps00 _] := steps 0; have start : 0 < c - J_ 0%N by rewrite subr_gt0.
have gap t : 0 < c - J_ t by apply: lt_le_trans (gap_stays t).
have d0 : 0 <= d by apply: le_trans (shares 0%N); rewrite mulr_ge0 // ltW.
apply: (@le_trans _ _ (\sum_(0 <= t < n) d * (ln (c - J_ t.+1) - ln (c - J_ t)))).
  apply: ler_sum => t _; have [eps0 small] := steps t; have [pol _] := trajectory t.
  have Lc := @trajectory_bounded t; have delta0 : 0 < eps_ t * (c - J_ t) by rewrite mulr_gt0.
  have := T1_improvement pol Lc delta0 small; rewrite -mean_moves -/(J_ t) => gain.
  have gain0 := le_trans (T1_bound_ge0 pol Lc delta0 small) gain.
  apply: le_trans (ler_wpmul2r gain0 (shares t)); rewrite -ler_pdivr_mull //; apply: le_trans gain.
  have -> : policy_kl (p_ t.+1) (p_ t) = policy_kl (joint_step (p_ t) L (eps_ t)) (p_ t).
    by apply: eq_bigr => e _; apply: eq_bigr => k _; rewrite moves.
  by rewrite /improvement_bound ler_addl second_term_ge0.
rewrite -mulr_sumr ler_wpmul2l // ln_div ?posrE ?subr_gt0 //; last first.
  by apply: le_lt_trans (loss_above 0) gap0.
have -> : \sum_(0 <= t < n) (ln (c - J_ t.+1) - ln (c - J_ t)) = ln (c - J_ n) - ln (c - J_ 0%N).
  elim: n => [|n step]; first by rewrite big_geq // subrr.
  by rewrite big_nat_recr // step /= addrC addrA subrK.
rewrite ler_add2r ler_ln ?posrE ?gap //; first by rewrite ler_add2l ler_opp2 loss_above.
by rewrite subr_gt0; apply: le_lt_trans (loss_above 0) gap0.
Qed.

Theorem T6_kl_summable : cvg (series (fun t => policy_kl (p_ t.+1) (p_ t)) : nat -> R^o).
Proof.
apply: nondecreasing_is_cvg; last by exists ((J_ 0%N - lowest) / (c - J_ 0%N)) => _ [n _ <-]; apply: T6_kl_sum.
apply/nondecreasing_seqP => n; rewrite /series /= big_nat_recr //= ler_addl.
by have /andP[] := kl_step n.
Qed.
End Convergence.
