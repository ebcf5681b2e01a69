(******************************************************************************)
(* T16: the exact advantage, looked up only now and then.                     *)
(*                                                                            *)
(* In words. Let x_e = L - b_e be a credit whose baseline b_e does not depend *)
(* on a_e but costs a pass (the loss with edge e zeroed, or any set of edges  *)
(* that holds e), and h_e a control: anything that is known without that      *)
(* pass, such as alpha_e times first-order credit. Edge e's baseline is       *)
(* looked up with a chance pi_e > 0, which may depend on the gates; edges may *)
(* be looked up jointly by any law. Then the credit                           *)
(*     h_e + (1[e looked up] / pi_e) (x_e - h_e)                              *)
(* is unbiased and costs, with w_e = ||a_e - p_e||^2,                         *)
(*     V_e = V_e(x) + E[w_e (x_e - h_e)^2 (1 / pi_e - 1)].                    *)
(* For h = alpha c and a fixed pi what counts is R(alpha) = E[w (x - alpha    *)
(* c)^2]. With alpha* = E[w x c] / E[w c^2],                                  *)
(*     R(alpha) = R(alpha* ) + E[w c^2] (alpha - alpha* )^2,                  *)
(*     R(alpha* ) = E[w x^2] - E[w x c]^2 / E[w c^2]:                         *)
(* the bias of c does not matter, its weighted correlation with x does.       *)
(* Under a budget sum_i cost_i pi_i the sum of R_i / pi_i is smallest where   *)
(* R_i = lambda cost_i pi_i^2, or pi_i = 1 and R_i >= lambda cost_i: chances  *)
(* in proportion to sqrt(R_i / cost_i), capped at one.                        *)
(* And c - E[c - x | a_e] is unbiased without any lookup: all the bias of     *)
(* first-order credit is a table of E K numbers (which hold as much of the    *)
(* gradient as the bias took away, so they are not free).                     *)
(* Finite sums: no axiom.                                                     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased Variance.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ one edge *)

Section LookedUp.
Variables (R : realFieldType) (E K W : finType) (p : E -> K -> R) (e : E).
Hypothesis p1 : forall i, \sum_k p i k = 1.
Implicit Types (a : architecture E K) (L b c h x : architecture E K -> R) (alpha : R).

(* What is looked up: w with probability law a w, given the gates; `looked w i` says whether edge i is among it. *)
Variables (law : architecture E K -> W -> R) (looked : W -> E -> bool).
Hypothesis law1 : forall a, \sum_w law a w = 1.
Definition chance a i : R := \sum_w law a w * (looked w i)%:R.
Hypothesis chance_positive : forall a, chance a e != 0.

(* Edge e's credit, as `budgeted_advantage` charges it. *)
Definition budgeted x h a w : R := h a + (looked w e)%:R / chance a e * (x a - h a).

(* Mean over the architecture and what is looked up. *)
Definition mean_over_both (f : architecture E K -> W -> R) := mean p (fun a => \sum_w law a w * f a w).

Lemma budgeted_mean x h a : \sum_w law a w * budgeted x h a w = x a.
Proof.
transitivity (\sum_w (h a * law a w + (x a - h a) / chance a e * (law a w * (looked w e)%:R))).
  by apply: eq_bigr => w _; rewrite /budgeted; ring.
by rewrite big_split /= -!mulr_sumr law1 -/(chance a e) divfK // mulr1 addrC subrK.
Qed.

Lemma budgeted_square x h a :
  \sum_w law a w * budgeted x h a w ^+ 2 = x a ^+ 2 + (x a - h a) ^+ 2 * ((chance a e)^-1 - 1).
Proof.
have square w : (looked w e)%:R ^+ 2 = (looked w e)%:R :> R by case: (looked w e); rewrite ?expr1n ?expr0n.
pose slope := 2%:R * h a * ((x a - h a) / chance a e) + ((x a - h a) / chance a e) ^+ 2.
transitivity (\sum_w (h a ^+ 2 * law a w + slope * (law a w * (looked w e)%:R))).
  apply: eq_bigr => w _.
  transitivity (law a w * (h a ^+ 2 + 2%:R * h a * ((x a - h a) / chance a e) * (looked w e)%:R
      + ((x a - h a) / chance a e) ^+ 2 * (looked w e)%:R ^+ 2)); first by rewrite /budgeted; ring.
  by rewrite square /slope; ring.
have c0 := chance_positive a.
by rewrite big_split /= -!mulr_sumr law1 -/(chance a e) /slope; field.
Qed.

Theorem T16_unbiased L (b control : architecture E K -> E -> R) k : free_of e (b^~ e) ->
  mean_over_both (fun a w => budgeted_advantage p (gate R a) (control a) (fun i => L a - b a i)
    (fun i => (looked w i)%:R) (chance a) e k) = gradient p L e k.
Proof.
move=> be; rewrite -(T4_credit_unbiased (p1 e) L k be); apply: mean_ext => a.
transitivity (\sum_w law a w * budgeted (fun a => L a - b a e) (control^~ e) a w * score p a e k).
  by apply: eq_bigr => w _; rewrite /budgeted_advantage /credited /budgeted /score mulrA.
by rewrite -mulr_suml budgeted_mean.
Qed.

(* Total variance of edge e's estimate. *)
Definition budgeted_variance x h : R :=
  \sum_k (mean_over_both (fun a w => (budgeted x h a w * score p a e k) ^+ 2)
          - mean_over_both (fun a w => budgeted x h a w * score p a e k) ^+ 2).

Theorem T16_variance x h : budgeted_variance x h = estimate_variance p e x
  + mean p (fun a => score_norm p e (a e) * (x a - h a) ^+ 2 * ((chance a e)^-1 - 1)).
Proof.
rewrite estimate_varianceE /budgeted_variance sumrB addrAC; congr (_ - _); last first.
  apply: eq_bigr => k _; congr (_ ^+ 2); apply: mean_ext => a.
  by under eq_bigr do rewrite mulrA; rewrite -mulr_suml budgeted_mean.
rewrite -meanD -mean_sum; apply: mean_ext => a.
transitivity ((\sum_w law a w * budgeted x h a w ^+ 2) * score_norm p e (a e)).
  rewrite /score_norm mulr_sumr; apply: eq_bigr => k _; rewrite mulr_suml; apply: eq_bigr => w _.
  by rewrite /score /gate; ring.
by rewrite budgeted_square; ring.
Qed.
End LookedUp.

(* ------------------------------------------------------------ all the bias is a table *)

Section Table.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R) (e : E).
Hypothesis p1 : forall i, \sum_k p i k = 1.
Implicit Types (L b c : architecture E K -> R).

(* E[c - (L - b) | a_e = j]: E K numbers, the conditional means of what first-order credit misses. *)
Definition residual_table L b c j : R := value p (fun a => c a - (L a - b a)) e j.

Theorem T16_table L b c k : free_of e b ->
  mean p (fun a => (c a - residual_table L b c (a e)) * score p a e k) = gradient p L e k.
Proof.
move=> be; rewrite -(T4_credit_unbiased (p1 e) L k be) /credited -/(score p _ e k).
rewrite (T4_score_identity (p1 e)) [RHS](_ : _ = gradient p (fun a => L a - b a) e k); last first.
  by rewrite -(T4_score_identity (p1 e)); apply: mean_ext => a; rewrite /score.
have same j : value p (fun a => c a - residual_table L b c (a e)) e j = value p (fun a => L a - b a) e j.
  rewrite /value meanB; under [X in _ - X]mean_ext do rewrite set_edge_at.
  by rewrite mean_const // /residual_table /value meanB opprB addrCA subrr addr0.
rewrite /gradient same !(mean_value _ (p1 e)); congr (_ * (_ - _)).
by apply: eq_bigr => j _; rewrite same.
Qed.
End Table.

(* ------------------------------------------------------------ the scale *)

Section Scale.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R) (e : E).
Implicit Types (a : architecture E K) (x c : architecture E K -> R) (alpha : R).

Definition weighted f g : R := mean p (fun a => score_norm p e (a e) * f a * g a).
Definition missed x c alpha : R := weighted (fun a => x a - alpha * c a) (fun a => x a - alpha * c a).
Definition best_scale x c : R := weighted x c / weighted c c.

Lemma missedE x c alpha : missed x c alpha = weighted x x - 2%:R * alpha * weighted x c + alpha ^+ 2 * weighted c c.
Proof. by rewrite /missed /weighted -!meanZ -meanB -meanD; apply: mean_ext => a; ring. Qed.

Theorem T16_scale x c alpha : weighted c c != 0 ->
  missed x c alpha = missed x c (best_scale x c) + weighted c c * (alpha - best_scale x c) ^+ 2.
Proof. by move=> c0; rewrite !missedE /best_scale; field. Qed.

Theorem T16_correlation x c : weighted c c != 0 ->
  missed x c (best_scale x c) = weighted x x - weighted x c ^+ 2 / weighted c c.
Proof. by move=> c0; rewrite missedE /best_scale; field. Qed.
End Scale.

(* ------------------------------------------------------------ the budget *)

Section Budget.
Variables (R : realFieldType) (I : finType) (rest cost best : I -> R) (lambda : R).
Hypotheses (cost0 : forall i, 0 <= cost i) (lambda0 : 0 <= lambda) (best0 : forall i, 0 < best i).
Hypothesis capped : forall i,
  rest i = lambda * cost i * best i ^+ 2 \/ best i = 1 /\ lambda * cost i <= rest i.

Theorem T16_budget (pi : I -> R) : (forall i, 0 < pi i <= 1) ->
  \sum_i cost i * pi i <= \sum_i cost i * best i -> \sum_i rest i / best i <= \sum_i rest i / pi i.
Proof.
move=> pi01 within.
have rest0 i : 0 <= rest i.
  have base : 0 <= lambda * cost i by rewrite mulr_ge0.
  case: (capped i) => [->|[_ small]]; last exact: le_trans base small.
  by rewrite mulr_ge0 ?sqr_ge0.
have tangent i : rest i / best i - lambda * (cost i * pi i - cost i * best i) <= rest i / pi i.
  have /andP[pi0 pi1] := pi01 i.
  have b0 : best i != 0 by rewrite gt_eqF.
  have p0 : pi i != 0 by rewrite gt_eqF.
  have curve : 0 <= rest i / pi i - rest i / best i + rest i / best i ^+ 2 * (pi i - best i).
    have -> : rest i / pi i - rest i / best i + rest i / best i ^+ 2 * (pi i - best i) =
        rest i * (pi i - best i) ^+ 2 / (pi i * best i ^+ 2) by field; rewrite b0 p0.
    apply: divr_ge0; first by rewrite mulr_ge0 ?sqr_ge0.
    by rewrite mulr_ge0 ?sqr_ge0 ?(ltW pi0).
  have slope : lambda * (cost i * (best i - pi i)) <= rest i / best i ^+ 2 * (best i - pi i).
    case: (capped i) => [->|[-> small]]; first by rewrite mulfK ?expf_neq0 // mulrA.
    by rewrite expr1n divr1 mulrA ler_wpmul2r // subr_ge0.
  rewrite -subr_ge0 in slope; have both := addr_ge0 curve slope.
  rewrite -subr_ge0; apply: le_trans both _; rewrite le_eqVlt; apply/orP; left; apply/eqP.
  by ring.
apply: le_trans (ler_sum _ (fun i _ => tangent i)); rewrite sumrB -mulr_sumr sumrB.
by rewrite ler_addl oppr_ge0 mulr_ge0_le0 // subr_le0.
Qed.
End Budget.

(* ------------------------------------------------------------ several edges zeroed together *)

Section Groups.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R) (loss : array R E K -> R) (S : pred E).
Hypothesis p1 : forall e, \sum_k p e k = 1.

Definition zero_edges (g : array R E K) : array R E K := [ffun i => [ffun k => (if S i then 0 else 1) * g i k]].
Lemma zero_one_edge e g : S =1 pred1 e -> zero_edges g = zero_edge g e.
Proof. by move=> Se; apply/ffunP => i; apply/ffunP => k; rewrite !ffunE Se. Qed.

Definition group_loss (a : architecture E K) : R := loss (zero_edges (one_hot R a)).

Lemma group_loss_free e : S e -> free_of e group_loss.
Proof.
move=> Se a k; congr loss; apply/ffunP => i; apply/ffunP => j; rewrite !ffunE.
have [->|ie] := eqVneq i e; first by rewrite Se !mul0r.
by rewrite /gate set_edge_other.
Qed.

(* One pass serves every edge of the group. *)
Theorem T16_group e k : S e ->
  mean p (fun a => credited p (gate R a) (fun=> loss_of loss a - group_loss a) e k) = gradient p (loss_of loss) e k.
Proof. by move=> Se; apply: T4_credit_unbiased => //; apply: group_loss_free. Qed.
End Groups.
