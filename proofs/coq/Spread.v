(******************************************************************************)
(* How far the square of a centred sum strays from its mean (for T8).         *)
(*                                                                            *)
(* In words. Let S = sum_e (v_e(a_e) - E[v_e]) under a product policy, and    *)
(* V = E[S^2]. Then V = sum_e Var(v_e) <= ||v||^2 / 2 and                     *)
(*     E |S^2 - V| <= (2/3) ||v||^2.                                          *)
(* Proof. 9 V |x - V| <= 2 x^2 - 3 V x + 9 V^2 for x >= 0. For independent    *)
(* centred terms X_e, E[S^4] = 3 V^2 + sum_e (E[X_e^4] - 3 E[X_e^2]^2). With  *)
(* an independent copy Y of X_e, (X_e - Y)^2 <= 2 ||v_e||^2, so               *)
(* E[(X_e - Y)^4] <= 2 ||v_e||^2 E[(X_e - Y)^2], which is                     *)
(* E[X_e^4] + 3 E[X_e^2]^2 <= 2 ||v_e||^2 E[X_e^2]. Put together.             *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ one edge *)

Section OneRow.
Variables (R : realFieldType) (K : finType) (r v : K -> R).
Hypotheses (r0 : forall k, 0 <= r k) (r1 : \sum_k r k = 1).

Let x k := v k - \sum_j r j * v j.
Definition row_moment n := \sum_k r k * x k ^+ n.
Definition row_norm := \sum_k v k ^+ 2.

Lemma row_moment1 : row_moment 1 = 0.
Proof.
rewrite /row_moment; under eq_bigr do rewrite expr1 mulrBr.
by rewrite sumrB -mulr_suml r1 mul1r subrr.
Qed.

Lemma row_norm_ge0 : 0 <= row_norm.
Proof. by apply: sumr_ge0 => k _; apply: sqr_ge0. Qed.

Lemma row_moment2_ge0 : 0 <= row_moment 2.
Proof. by apply: sumr_ge0 => k _; rewrite mulr_ge0 ?sqr_ge0. Qed.

(* Two draws differ by at most sqrt(2) ||v||. *)
Lemma difference_bound j k : (x j - x k) ^+ 2 <= 2%:R * row_norm.
Proof.
have -> : x j - x k = v j - v k by rewrite /x; ring.
have [->|jk] := eqVneq j k; first by rewrite subrr expr0n mulr_ge0 ?ler0n ?row_norm_ge0.
apply: (@le_trans _ _ (2%:R * (v j ^+ 2 + v k ^+ 2))).
  rewrite -subr_ge0; have -> : 2%:R * (v j ^+ 2 + v k ^+ 2) - (v j - v k) ^+ 2 = (v j + v k) ^+ 2 by ring.
  exact: sqr_ge0.
rewrite ler_wpmul2l ?ler0n // /row_norm (bigD1 j) //= (bigD1 k) 1?eq_sym //= addrA ler_addl.
by apply: sumr_ge0 => i _; apply: sqr_ge0.
Qed.

(* The independent copy: E[f(X) g(Y)] = E[f(X)] E[g(Y)]. *)
Lemma two_copies (f g : K -> R) :
  \sum_j \sum_k r j * r k * (f j * g k) = (\sum_j r j * f j) * (\sum_k r k * g k).
Proof.
rewrite big_distrl; apply: eq_bigr => j _; rewrite big_distrr; apply: eq_bigr => k _ /=.
by ring.
Qed.

Lemma two_copies_square : \sum_j \sum_k r j * r k * (x j - x k) ^+ 2 = 2%:R * row_moment 2.
Proof.
pose one := fun _ : K => 1 : R.
transitivity (\sum_j \sum_k r j * r k * (x j ^+ 2 * one k) + \sum_j \sum_k r j * r k * (one j * x k ^+ 2)
  - 2%:R * \sum_j \sum_k r j * r k * (x j ^+ 1 * x k ^+ 1)).
  rewrite mulr_sumr -big_split -sumrB; apply: eq_bigr => j _ /=.
  by rewrite mulr_sumr -big_split -sumrB; apply: eq_bigr => k _ /=; rewrite /one; ring.
have r1' : \sum_j r j * one j = 1 by rewrite -r1; apply: eq_bigr => j _; rewrite mulr1.
rewrite !two_copies r1' -/(row_moment 1) row_moment1 -/(row_moment 2).
by ring.
Qed.

Lemma two_copies_fourth :
  \sum_j \sum_k r j * r k * (x j - x k) ^+ 4 = 2%:R * row_moment 4 + 6%:R * row_moment 2 ^+ 2.
Proof.
pose one := fun _ : K => 1 : R.
transitivity (\sum_j \sum_k r j * r k * (x j ^+ 4 * one k) + \sum_j \sum_k r j * r k * (one j * x k ^+ 4)
  + 6%:R * (\sum_j \sum_k r j * r k * (x j ^+ 2 * x k ^+ 2))
  - 4%:R * (\sum_j \sum_k r j * r k * (x j ^+ 3 * x k ^+ 1))
  - 4%:R * \sum_j \sum_k r j * r k * (x j ^+ 1 * x k ^+ 3)).
  rewrite !mulr_sumr -!big_split -!sumrB; apply: eq_bigr => j _ /=.
  by rewrite !mulr_sumr -!big_split -!sumrB; apply: eq_bigr => k _ /=; rewrite /one; ring.
have r1' : \sum_j r j * one j = 1 by rewrite -r1; apply: eq_bigr => j _; rewrite mulr1.
rewrite !two_copies r1' -/(row_moment 1) row_moment1 -/(row_moment 2) -/(row_moment 3) -/(row_moment 4).
by ring.
Qed.

Lemma row_fourth_moment : row_moment 4 + 3%:R * row_moment 2 ^+ 2 <= 2%:R * row_norm * row_moment 2.
Proof.
rewrite -(ler_pmul2l (ltr0Sn R 1)).
have -> : 2%:R * (row_moment 4 + 3%:R * row_moment 2 ^+ 2) = 2%:R * row_moment 4 + 6%:R * row_moment 2 ^+ 2 by ring.
rewrite [X in _ <= X]mulrCA -two_copies_square -two_copies_fourth mulr_sumr; apply: ler_sum => j _.
rewrite mulr_sumr; apply: ler_sum => k _; rewrite [X in _ <= X]mulrCA ler_wpmul2l ?mulr_ge0 //.
by rewrite (exprD _ 2 2) ler_wpmul2r ?sqr_ge0 ?difference_bound.
Qed.

(* E[X^2]^2 <= E[X^4]. *)
Lemma row_square_fourth : row_moment 2 ^+ 2 <= row_moment 4.
Proof.
rewrite -subr_ge0; have : 0 <= \sum_k r k * (x k ^+ 2 - row_moment 2) ^+ 2.
  by apply: sumr_ge0 => k _; rewrite mulr_ge0 ?sqr_ge0.
congr (_ <= _); move: (erefl (row_moment 2)); rewrite {1}/row_moment; move: (row_moment 2) => m xm.
transitivity (\sum_k (r k * x k ^+ 4 + (m ^+ 2 * r k - 2%:R * m * (r k * x k ^+ 2)))).
  by apply: eq_bigr => k _; ring.
rewrite big_split sumrB /= -!mulr_sumr xm r1 -/(row_moment 4).
by ring.
Qed.

(* Var(v_e) <= ||v_e||^2 / 2. *)
Lemma row_variance_bound : 2%:R * row_moment 2 <= row_norm.
Proof.
have := row_moment2_ge0; rewrite le_eqVlt => /orP [/eqP <-|m0]; first by rewrite mulr0 row_norm_ge0.
rewrite -(ler_pmul2r m0) -(ler_pmul2l (ltr0Sn R 1)).
apply: (@le_trans _ _ (row_moment 4 + 3%:R * row_moment 2 ^+ 2)); last first.
  by rewrite mulrA; exact: row_fourth_moment.
rewrite -subr_ge0; have := row_square_fourth; rewrite -subr_ge0; congr (_ <= _).
by ring.
Qed.
End OneRow.

(* ------------------------------------------------------------ all edges *)

Section Spread.
Variables (R : realFieldType) (E K : finType) (p v : E -> K -> R).
Hypothesis pol : policy p.
Let p0 : forall e k, 0 <= p e k := pol.1.
Let p1 : forall e, \sum_k p e k = 1 := pol.2.

Let x e k := v e k - \sum_j p e j * v e j.
Let s2 e := row_moment (p e) (v e) 2.
Let s4 e := row_moment (p e) (v e) 4.
Let part (s : seq E) (a : architecture E K) := \sum_(e <- s) x e (a e).

Definition centred_sum (a : architecture E K) := \sum_e (v e (a e) - \sum_j p e j * v e j).
Definition sum_variance := mean p (fun a => centred_sum a ^+ 2).
Definition direction_norm := \sum_e row_norm (v e).

(* The second derivative of J along v, as Smooth.v proves. *)
Definition curvature (L : architecture E K -> R) := mean p (fun a => L a * (centred_sum a ^+ 2 - sum_variance)).

Lemma part_free e s : e \notin s -> free_of e (part s).
Proof.
move=> es a k; apply: eq_big_seq => f fs; rewrite set_edge_other //.
by apply: contraNneq es => <-.
Qed.

Lemma part_split n m e s : e \notin s ->
  mean p (fun a => x e (a e) ^+ n * part s a ^+ m) = row_moment (p e) (v e) n * mean p (fun a => part s a ^+ m).
Proof.
move=> es; rewrite (mean_split (fun k => x e k ^+ n) (p1 e)) // => a k.
by rewrite part_free.
Qed.

Lemma part_mean s : mean p (part s) = 0.
Proof.
rewrite /mean /part; under eq_bigr do rewrite mulr_sumr.
rewrite exchange_big; apply: big1_seq => e _; rewrite -/(mean p (fun a => x e (a e))) mean_edge //.
rewrite -[RHS](row_moment1 (v e) (p1 e)); apply: eq_bigr => k _.
by rewrite expr1.
Qed.

Lemma part_square s : uniq s -> mean p (fun a => part s a ^+ 2) = \sum_(e <- s) s2 e.
Proof.
elim: s => [_|e s step /= /andP[es us]].
  by rewrite big_nil /mean big1 // => a _; rewrite /part big_nil expr0n mulr0.
rewrite big_cons -(step us).
have -> : s2 e = mean p (fun a => x e (a e) ^+ 2) by rewrite (mean_edge (fun k => x e k ^+ 2)).
have cross : mean p (fun a => x e (a e) ^+ 1 * part s a ^+ 1) = 0 by rewrite part_split // row_moment1 ?mul0r.
transitivity (mean p (fun a => x e (a e) ^+ 2) + mean p (fun a => part s a ^+ 2)
  + 2%:R * mean p (fun a => x e (a e) ^+ 1 * part s a ^+ 1)); last by rewrite cross mulr0 addr0.
rewrite -meanZ -!meanD; apply: mean_ext => a; rewrite /part big_cons; move: (\sum_(_ <- s) _) => t.
by ring.
Qed.

Lemma part_fourth s : uniq s -> mean p (fun a => part s a ^+ 4) =
  3%:R * (\sum_(e <- s) s2 e) ^+ 2 + \sum_(e <- s) (s4 e - 3%:R * s2 e ^+ 2).
Proof.
elim: s => [_|e s step /= /andP[es us]].
  by rewrite !big_nil expr0n mulr0 addr0 /mean big1 // => a _; rewrite /part big_nil expr0n mulr0.
rewrite !big_cons.
have m4 : mean p (fun a => x e (a e) ^+ 4) = s4 e by rewrite (mean_edge (fun k => x e k ^+ 4)).
have m31 : mean p (fun a => x e (a e) ^+ 3 * part s a ^+ 1) = 0.
  by rewrite part_split // (@mean_ext _ _ _ p _ (part s)) ?part_mean ?mulr0 // => a; rewrite expr1.
have m22 : mean p (fun a => x e (a e) ^+ 2 * part s a ^+ 2) = s2 e * \sum_(f <- s) s2 f.
  by rewrite part_split // part_square.
have m13 : mean p (fun a => x e (a e) ^+ 1 * part s a ^+ 3) = 0 by rewrite part_split // row_moment1 ?mul0r.
transitivity (mean p (fun a => x e (a e) ^+ 4) + 4%:R * mean p (fun a => x e (a e) ^+ 3 * part s a ^+ 1)
  + 6%:R * mean p (fun a => x e (a e) ^+ 2 * part s a ^+ 2)
  + 4%:R * mean p (fun a => x e (a e) ^+ 1 * part s a ^+ 3) + mean p (fun a => part s a ^+ 4)).
  rewrite -!meanZ -!meanD; apply: mean_ext => a; rewrite /part big_cons; move: (\sum_(_ <- s) _) => t.
  by ring.
rewrite m4 m31 m22 m13 (step us); move: (\sum_(_ <- s) _) (\sum_(_ <- s) _) => t u.
by ring.
Qed.

Lemma sum_varianceE : sum_variance = \sum_e s2 e.
Proof. by rewrite -(part_square (index_enum_uniq E)). Qed.

Lemma sum_variance_ge0 : 0 <= sum_variance.
Proof. by apply: mean_ge0 => // a _; apply: sqr_ge0. Qed.

Lemma fourth_moment_bound : mean p (fun a => centred_sum a ^+ 4) <=
  3%:R * sum_variance ^+ 2 + \sum_e (2%:R * row_norm (v e) * s2 e - 6%:R * s2 e ^+ 2).
Proof.
rewrite sum_varianceE (part_fourth (index_enum_uniq E)) ler_add2l; apply: ler_sum => e _.
apply: ler_by_difference (row_fourth_moment (v e) (p0 e) (p1 e)) _; rewrite -/(s2 e) -/(s4 e).
by ring.
Qed.

(* 12 sum_(e != f) s2_e s2_f <= 6 sum_(e != f) ||v_e||^2 s2_f. *)
Lemma cross_bound : 12%:R * sum_variance ^+ 2 - 12%:R * (\sum_e s2 e ^+ 2) <=
  6%:R * direction_norm * sum_variance - 6%:R * (\sum_e row_norm (v e) * s2 e).
Proof.
rewrite sum_varianceE; set V := \sum_e s2 e.
have -> : 12%:R * V ^+ 2 - 12%:R * (\sum_e s2 e ^+ 2) = \sum_e 6%:R * (2%:R * s2 e) * (V - s2 e).
  rewrite expr2 {1}/V mulrA mulr_sumr mulr_suml mulr_sumr -sumrB; apply: eq_bigr => e _.
  by move: (V) => W; ring.
have -> : 6%:R * direction_norm * V - 6%:R * (\sum_e row_norm (v e) * s2 e) =
    \sum_e 6%:R * row_norm (v e) * (V - s2 e).
  move: (V) => W; rewrite /direction_norm !mulr_sumr mulr_suml -sumrB; apply: eq_bigr => e _.
  by ring.
apply: ler_sum => e _; rewrite ler_wpmul2r //; last by rewrite ler_wpmul2l ?ler0n ?row_variance_bound.
rewrite subr_ge0 /V (bigD1 e) //= ler_addl; apply: sumr_ge0 => f _.
exact: row_moment2_ge0.
Qed.

(* 9 V |x - V| <= 2 x^2 - 3 V x + 9 V^2. *)
Lemma parabola (V y : R) : 0 <= V -> 0 <= y -> 9%:R * V * `|y - V| <= 2%:R * y ^+ 2 - 3%:R * V * y + 9%:R * V ^+ 2.
Proof.
move=> V0 y0; have [Vy|yV] := leP V y.
  rewrite ger0_norm ?subr_ge0 // -subr_ge0; have : 0 <= 2%:R * (y - 3%:R * V) ^+ 2 by rewrite mulr_ge0 ?ler0n ?sqr_ge0.
  by congr (_ <= _); ring.
rewrite ltr0_norm ?subr_lt0 // -subr_ge0; have : 0 <= 2%:R * y ^+ 2 + 6%:R * V * y.
  by rewrite addr_ge0 ?mulr_ge0 ?sqr_ge0 ?ler0n.
by congr (_ <= _); ring.
Qed.

Theorem spread_bound : 3%:R * mean p (fun a => `|centred_sum a ^+ 2 - sum_variance|) <= 2%:R * direction_norm.
Proof.
have := sum_variance_ge0; rewrite le_eqVlt => /orP [/eqP V0|V0].
  rewrite -V0 (@mean_ext _ _ _ p _ (fun a => centred_sum a ^+ 2)); last first.
    by move=> a; rewrite subr0 ger0_norm ?sqr_ge0.
  rewrite -/sum_variance -V0 mulr0 mulr_ge0 ?ler0n //; apply: sumr_ge0 => e _.
  exact: row_norm_ge0.
rewrite -(ler_pmul2l V0) -(ler_pmul2l (ltr0Sn R 2)).
apply: (@le_trans _ _ (2%:R * mean p (fun a => centred_sum a ^+ 4) + 6%:R * sum_variance ^+ 2)).
  have -> : 3%:R * (sum_variance * (3%:R * mean p (fun a => `|centred_sum a ^+ 2 - sum_variance|))) =
      mean p (fun a => 9%:R * sum_variance * `|centred_sum a ^+ 2 - sum_variance|) by rewrite meanZ; ring.
  apply: le_trans (mean_le p0 (fun a _ => parabola (ltW V0) (sqr_ge0 (centred_sum a)))) _.
  rewrite meanD meanB !meanZ mean_const // -/sum_variance.
  rewrite (@mean_ext _ _ _ p (fun a => (centred_sum a ^+ 2) ^+ 2) (fun a => centred_sum a ^+ 4)); last first.
    by move=> a; rewrite -exprM.
  by rewrite le_eqVlt; apply/orP; left; apply/eqP; move: (mean p _) sum_variance => m V; ring.
apply: (@le_trans _ _ (12%:R * sum_variance ^+ 2 +
    2%:R * \sum_e (2%:R * row_norm (v e) * s2 e - 6%:R * s2 e ^+ 2))).
  apply: ler_by_difference (ler_wpmul2l (ler0n R 2) fourth_moment_bound) _.
  move: (mean p _) (\sum_e (2%:R * row_norm (v e) * s2 e - 6%:R * s2 e ^+ 2)) sum_variance => m t V.
  by ring.
have -> : \sum_e (2%:R * row_norm (v e) * s2 e - 6%:R * s2 e ^+ 2) =
    2%:R * (\sum_e row_norm (v e) * s2 e) - 6%:R * \sum_e s2 e ^+ 2.
  by rewrite !mulr_sumr -sumrB; apply: eq_bigr => e _; ring.
have slack : 0 <= 2%:R * \sum_e row_norm (v e) * s2 e.
  by rewrite mulr_ge0 ?ler0n // sumr_ge0 // => e _; rewrite mulr_ge0 ?row_norm_ge0 ?row_moment2_ge0.
apply: ler_by_difference (ler_add slack cross_bound) _.
move: direction_norm sum_variance (\sum_e row_norm (v e) * s2 e) (\sum_e s2 e ^+ 2) => N V t u.
by ring.
Qed.
End Spread.
