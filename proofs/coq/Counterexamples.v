(******************************************************************************)
(* T3, T5, T8 and T9: where the promise ends, as small games.                 *)
(*                                                                            *)
(* In words. Two edges with two operations each lose 1 where they agree:      *)
(* L(a) = 1 if a_0 = a_1, else 0. Numbers are those of any ordered field, the *)
(* rationals included.                                                        *)
(* - T3: at p = (1/3, 2/3) on both edges, J = 5/9. The step eps = 9 is the    *)
(*   longest that stays on the simplex; each edge alone may take it (T2). Both*)
(*   together reach J = 1: T2's range is not enough for two edges.            *)
(* - T8: at p = 1/2 on both edges J bends by (1/4) ||v||^2 along v = (1, -1): *)
(*   the constant of two edges, Delta / 4 with Delta = 1, cannot be smaller.  *)
(* - T9: the interaction matrix has the largest eigenvalue lambda = 2. At     *)
(*   p = (201/400, 199/400) there is a rate 0 < eta <= 8.1 / lambda at which*)
(*   the exponentiated step of both edges raises J: 8 / lambda is all but     *)
(*   sharp. (eta = 200 ln (4081/4000), where the new odds are rational.)      *)
(* - T5's flip: one edge, loss (t o - 8/5)^2 for an operation with output o = *)
(*   1 or 2 behind the gate t. The exact advantages are -11/5 and -12/5: the  *)
(*   second operation is better. The first-order credits are -6/5 and +8/5:   *)
(*   at every policy their mean step lowers the probability of the better one.*)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals sequences exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased OneEdge Calculus Taylor Spread Exponentiated Computed.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ the game *)

Section Game.
Variable R : realFieldType.
Implicit Types (p : bool -> bool -> R) (a : architecture bool bool).

Definition agree a : R := (a true == a false)%:R.

(* Both edges choose the first operation with probability x. *)
Definition both (x : R) : bool -> bool -> R := fun _ k => if k then x else 1 - x.

Lemma sum_both (F : bool -> R) : \sum_k F k = F true + F false.
Proof. by rewrite big_bool. Qed.

Lemma both_policy x : 0 <= x <= 1 -> policy (both x).
Proof.
move=> /andP[x0 x1]; split=> [e k|e]; last by rewrite sum_both /both; ring.
by rewrite /both; case: k; rewrite ?subr_ge0.
Qed.

Lemma agree_mean p : (forall e, \sum_k p e k = 1) ->
  mean p agree = p true true * p false true + p true false * p false false.
Proof.
move=> p1; pose F (s : seq bool) : R := (nth true s 0 == nth true s 1)%:R.
have -> : mean p agree = mean_over [:: true; false] [:: true; false] p F.
  by apply: mean_listed => //; case.
by rewrite /F /=; ring.
Qed.

Lemma agree_value p e k : (forall i, \sum_j p i j = 1) -> value p agree e k = p (~~ e) k.
Proof.
move=> p1; transitivity (mean p (fun a => (a (~~ e) == k)%:R)).
  apply: mean_ext => a; rewrite /agree; case: e; rewrite set_edge_at set_edge_other //.
  by rewrite eq_sym.
rewrite (mean_edge (fun j => (j == k)%:R)) //.
by rewrite sum_both; case: k => /=; ring.
Qed.

Lemma agree_both x : mean (both x) agree = x ^+ 2 + (1 - x) ^+ 2.
Proof. by rewrite agree_mean => [|e]; rewrite ?sum_both /both /=; ring. Qed.

(* ------------------------------------------------------------ T3 *)

Let p := both (1 / 3%:R).
Let p' := natural_step p (gradient p agree) 9%:R.

Lemma moved_both e k : p' e k = both 1 e k.
Proof.
have p1 i : \sum_j p i j = 1 by rewrite sum_both /p /both; ring.
rewrite /p' /natural_step /gradient agree_value // agree_both /p /both.
by case: k; field.
Qed.

Theorem T3_two_edges_rise :
  [/\ policy p, policy p', mean p agree = 5%:R / 9%:R & mean p' agree = 1].
Proof.
have third : 0 <= (1 / 3%:R : R) <= 1.
  by rewrite divr_ge0 ?ler01 ?ler0n // ler_pdivr_mulr ?ltr0n // mul1r (ler_nat R 1 3).
have at_corner : policy (both 1) by apply: both_policy; rewrite ler01 lexx.
split; first exact: both_policy.
- have [c0 c1] := at_corner; split=> [e k|e]; first by rewrite moved_both.
  by rewrite -(c1 e); apply: eq_bigr => k _; apply: moved_both.
- by rewrite agree_both; field.
- by rewrite (mean_policy_ext agree moved_both) agree_both; ring.
Qed.

(* The step ends on the boundary: no longer one stays on the simplex. *)
Theorem T3_at_the_limit eps : 9%:R < eps -> ~ policy (natural_step p (gradient p agree) eps).
Proof.
move=> long [nonneg _]; have := nonneg true false; apply/negP; rewrite -ltNge.
have p1 i : \sum_j p i j = 1 by rewrite sum_both /p /both; ring.
rewrite /natural_step /gradient agree_value // agree_both /p /both.
have -> : 1 - 1 / 3%:R - eps * ((1 - 1 / 3%:R) * (1 - 1 / 3%:R - ((1 / 3%:R) ^+ 2 + (1 - 1 / 3%:R) ^+ 2)))
  = 2%:R / 27%:R * (9%:R - eps) :> R by field.
by rewrite pmulr_rlt0 ?subr_lt0 // divr_gt0 ?ltr0n.
Qed.

(* Each edge alone may go as far, and then J falls. *)
Theorem T3_one_edge_falls (e : bool) :
  policy (move_edge p agree e 9%:R) /\ mean (move_edge p agree e 9%:R) agree < mean p agree.
Proof.
have p1 i : \sum_k p i k = 1 by rewrite sum_both /p /both; ring.
have [[p0 _] [new0 new1] -> _] := T3_two_edges_rise; split.
  by split=> i; rewrite /move_edge /set_row; case: eqP.
have row k : natural_step p (gradient p agree) 9%:R e k = both 1 e k := moved_both e k.
rewrite mean_set_row ?new1 // sum_both !row !agree_value // /p /both.
have -> : 1 * (1 / 3%:R) + (1 - 1) * (1 - 1 / 3%:R) = 3%:R / 9%:R :> R by field.
by rewrite ltr_pmul2r ?invr_gt0 ?ltr0n // ltr_nat.
Qed.
End Game.

(* ------------------------------------------------------------ T8 *)

Section Tight.
Variable R : realFieldType.
Let fair : bool -> bool -> R := both (1 / 2%:R).
Let sign (e k : bool) : R := if k then 1 else - 1.

Lemma fair_policy : policy fair.
Proof.
by apply: both_policy; rewrite divr_ge0 ?ler01 ?ler0n // ler_pdivr_mulr ?ltr0n // mul1r (ler_nat R 1 2).
Qed.

Lemma fair_mean (f : architecture bool bool -> R) (F : bool -> bool -> R) : (forall a, f a = F (a true) (a false)) ->
  mean fair f = (F true true + F true false + F false true + F false false) / 4%:R.
Proof.
move=> fF; have [_ p1] := fair_policy.
pose G (s : seq bool) : R := F (nth true s 0) (nth true s 1).
have -> : mean fair f = mean_over [:: true; false] [:: true; false] fair G.
  by apply: mean_listed => //; case.
by rewrite /G /fair /both /=; field.
Qed.

Lemma fair_sum a : centred_sum fair sign a = sign true (a true) + sign false (a false).
Proof. by rewrite /centred_sum big_bool /= !sum_both /fair /both /sign; field. Qed.

Theorem T8_tight : [/\ 0 < direction_norm sign, curvature fair sign (@agree R) = 1 / 4%:R * direction_norm sign &
  smooth_share R #|bool_finType| = 1 / 4%:R].
Proof.
have norm : direction_norm sign = 4%:R.
  by rewrite /direction_norm /row_norm big_bool /= !sum_both /sign; ring.
split; [by rewrite norm ltr0n| |by have [-> //] := T8_constant R #|bool_finType|; rewrite card_bool].
have variance : sum_variance fair sign = 2%:R.
  rewrite /sum_variance (@fair_mean _ (fun k l => (sign true k + sign false l) ^+ 2)) => [|a]; last by rewrite fair_sum.
  by rewrite /sign; field.
rewrite /curvature norm variance.
rewrite (@fair_mean _ (fun k l => (k == l)%:R * ((sign true k + sign false l) ^+ 2 - 2%:R))) => [|a].
  by rewrite /sign /=; field.
by rewrite fair_sum /agree.
Qed.
End Tight.

(* ------------------------------------------------------------ T9 *)

Section Sharp.
Variable R : realType.
Let x : R := 201%:R / 400%:R.
Let p := both x.
Let growth : R := 4081%:R / 4000%:R.
Let eta : R := 200%:R * ln growth.

Lemma numerals_lt m n d : (0 < d)%N -> (m < n)%N -> m%:R / d%:R < n%:R / d%:R :> R.
Proof. by move=> d0 mn; rewrite ltr_pmul2r ?invr_gt0 ?ltr0n // ltr_nat. Qed.

Lemma p_policy : policy p.
Proof.
by apply: both_policy; rewrite /x divr_ge0 ?ler0n // ler_pdivr_mulr ?ltr0n // mul1r ler_nat.
Qed.

Lemma growth_gt1 : 1 < growth.
Proof. by rewrite -[1](@divff R 4000%:R) ?pnatr_eq0 // numerals_lt. Qed.

Lemma growth_gt0 : 0 < growth.
Proof. exact: lt_trans ltr01 growth_gt1. Qed.

Lemma eta_range : 0 < eta /\ eta * 2%:R <= 81%:R / 10%:R.
Proof.
split; first by rewrite mulr_gt0 ?ltr0n // ln_gt0 // growth_gt1.
apply: ler_by_difference (ler_wpmul2l (ler0n R 400) (ln_le_sub1 growth_gt0)) _.
by rewrite /eta /growth; field.
Qed.

(* The interaction of the two edges is 2, and so is lambda. *)
Let I (i j : bool) : R := 2%:R.

Lemma game_interaction : interaction_bound p (@agree R) I.
Proof.
move=> i j a k k' l l' ij _ _ _ _ _; rewrite /I /second_difference /agree.
have small (z : R) : [\/ z = 0, z = 2%:R | z = - 2%:R] -> `|z| <= 2%:R.
  by case=> ->; rewrite ?normr0 ?normrN ?ger0_norm ?ler0n.
have -> : j = ~~ i by case: (i) (j) ij => -[].
apply: small; case: (i) => {ij}; rewrite !ffunE /=.
all: case: k; case: k'; case: l; case: l' => /=.
all: by [constructor 1; ring|constructor 2; ring|constructor 3; ring].
Qed.

Lemma game_eigenvalue : eigenvalue_bound I 2%:R (enum bool_finType).
Proof.
move=> y y0; rewrite !big_enum /= !sum_both !(big_mkcond (fun j => j != _)) !big_enum /= !sum_both /=.
apply: ler_by_difference (mulr_ge0 (ler0n R 2) (sqr_ge0 (y true - y false))) _.
by rewrite /I; ring.
Qed.

(* Since exp (-eta / 200) = 1 / growth, the odds x : 1 - x become x : (1 - x) growth. *)
Let x' : R := x / (x + (1 - x) * growth).

Lemma share_of_odds (u v g z : R) : 0 < z -> 0 < u + v * g ->
  u * z / (u * z + v * (z * g)) = u / (u + v * g) /\ v * (z * g) / (u * z + v * (z * g)) = 1 - u / (u + v * g).
Proof.
move=> z0 odds; have -> : u * z + v * (z * g) = z * (u + v * g) by ring.
by split; field; rewrite !gt_eqF.
Qed.

Lemma xN : 1 - x = 199%:R / 400%:R.
Proof. by rewrite /x; field. Qed.

Lemma odds_gt0 : 0 < x + (1 - x) * growth.
Proof. by rewrite xN; apply: addr_gt0; [|apply: mulr_gt0]; apply: divr_gt0; rewrite ltr0n. Qed.

Lemma new_odds e k : exponentiated_row p (@agree R) eta e k = both x' e k.
Proof.
have p1 := p_policy.2; set z := expR (- (eta * x)).
have other : expR (- (eta * (1 - x))) = z * growth.
  have -> : - (eta * (1 - x)) = - (eta * x) + ln growth by rewrite /eta /x; field.
  by rewrite expRD lnK // posrE; apply: growth_gt0.
have [first second] := share_of_odds (expR_gt0 (- (eta * x))) odds_gt0.
rewrite /exponentiated_row sum_both !agree_value // /p /both other -/z.
by case: k; rewrite ?other.
Qed.

Lemma beyond_the_middle : x' < 1 - x.
Proof.
rewrite /x' ltr_pdivr_mulr ?odds_gt0 // xN -subr_gt0.
have -> : 199%:R / 400%:R * (x + 199%:R / 400%:R * growth) - x = 7681%:R / (400%:R * (400%:R * 4000%:R)).
  by rewrite /growth /x; field.
by rewrite divr_gt0 ?mulr_gt0 ?ltr0n.
Qed.

Theorem T9_sharp :
  [/\ interaction_bound p (@agree R) I, eigenvalue_bound I 2%:R (enum bool_finType),
      0 < eta, eta * 2%:R <= 81%:R / 10%:R &
      mean p (@agree R) < mean (exponentiated_row p (@agree R) eta) (@agree R)].
Proof.
have [eta0 eta1] := eta_range; split=> //; [exact: game_interaction|exact: game_eigenvalue|].
rewrite (mean_policy_ext _ new_odds) /p !agree_both -subr_gt0.
have -> : x' ^+ 2 + (1 - x') ^+ 2 - (x ^+ 2 + (1 - x) ^+ 2) = 2%:R * ((x - x') * (1 - x - x')) by ring.
have half : 1 - x < x by rewrite xN numerals_lt.
rewrite !mulr_gt0 ?ltr0n // subr_gt0 ?beyond_the_middle //.
exact: lt_trans beyond_the_middle half.
Qed.
End Sharp.

(* ------------------------------------------------------------ T5's flip *)

Section Flip.
Variable R : realFieldType.
Variable p : unit -> bool -> R.
Hypothesis pol : policy p.
Let p1 : forall e, \sum_k p e k = 1 := pol.2.

(* One edge, one output: 1 from the first operation, 2 from the second; the target is 8/5. *)
Let output (e : unit) (k : bool) (d : unit) : R := if k then 1 else 2%:R.
Let loss := squared_loss output (fun=> 8%:R / 5%:R) 1.
Let slopes := squared_gradient output (fun=> 8%:R / 5%:R) 1.
Implicit Types (a : architecture unit bool).

Lemma sum_unit (F : unit -> R) : \sum_d F d = F tt.
Proof. by rewrite (big_pred1 tt) //; case. Qed.

Lemma flip_credit a : credit_of slopes a tt = if a tt then - (6%:R / 5%:R) else 8%:R / 5%:R.
Proof.
rewrite /credit_of /first_order_credit sum_both /slopes /squared_gradient /error !sum_unit !sum_both.
by rewrite /one_hot !ffunE /gate /output; case: (a tt) => /=; field.
Qed.

Lemma flip_exact a : exact_of loss a tt = if a tt then - (11%:R / 5%:R) else - (12%:R / 5%:R).
Proof.
rewrite /exact_of /loss_of /zeroed_loss_of /loss /squared_loss /error !sum_unit !sum_both.
by rewrite /zero_edge /scale_edge /one_hot !ffunE /gate /output; case: (a tt) => /=; field.
Qed.

(* Descent on the mean credit takes probability from the second operation, descent on J gives it some. *)
Theorem T5_flip : let spread := p tt true * p tt false in
  mean p (fun a => advantage p (gate R a) (slopes a) tt false) = 14%:R / 5%:R * spread /\
  gradient p (loss_of loss) tt false = - (1 / 5%:R * spread).
Proof.
have only_two : p tt true = 1 - p tt false by rewrite -(p1 tt) sum_both addrK.
have mean_two (h : bool -> R) : mean p (fun a => h (a tt)) = p tt true * h true + p tt false * h false.
  by rewrite mean_edge // sum_both.
split.
  pose h (k : bool) : R := (if k then - (6%:R / 5%:R) else 8%:R / 5%:R) * ((k == false)%:R - p tt false).
  transitivity (mean p (fun a => h (a tt))); last by rewrite mean_two /h only_two /=; field.
  by apply: mean_ext => a; rewrite /advantage /credited -/(credit_of _ _ _) flip_credit.
pose h (k : bool) : R := (if k then - (11%:R / 5%:R) else - (12%:R / 5%:R)) * ((k == false)%:R - p tt false).
rewrite -(T4_exact_advantage_unbiased p1).
transitivity (mean p (fun a => h (a tt))); last by rewrite mean_two /h only_two /=; field.
by apply: mean_ext => a; rewrite /exact_advantage /credited -/(exact_of _ _ _) flip_exact.
Qed.

Corollary T5_flip_signs : 0 < p tt true -> 0 < p tt false ->
  0 < mean p (fun a => advantage p (gate R a) (slopes a) tt false) /\ gradient p (loss_of loss) tt false < 0.
Proof.
move=> pt pf; have [-> ->] := T5_flip; have spread := mulr_gt0 pt pf; rewrite oppr_lt0.
by split; apply: mulr_gt0 => //; rewrite divr_gt0 ?ltr0n ?ltr01.
Qed.
End Flip.
