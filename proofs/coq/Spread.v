(******************************************************************************)
(* How far the square of a centred sum strays from its mean (for T8).         *)
(*                                                                            *)
(* In words. Let S = sum_e (v_e(a_e) - E[v_e]) under a product policy of E    *)
(* edges, V = E[S^2] and n = max(E, 2). Then V = sum_e Var(v_e) <= ||v||^2/2, *)
(*     E |S^2 - V| <= (2n - 2) / (3n - 2) ||v||^2.                            *)
(* Proof. Let t = E[X^2] and y = ||v_e||^2 for an edge's centred term X. With *)
(* an independent copy X', (X - X')^2 <= 2 y, so                              *)
(* E[(X - X')^4] <= 2 y E[(X - X')^2], which is E[X^4] + 3 t^2 <= 2 y t.      *)
(* For independent centred terms E[S^4] = 3 V^2 + sum (E[X^4] - 3 t^2), hence *)
(* E[S^4] <= M = V^2 + k Y^2 / 2 with Y = ||v||^2, k = 1 - 1/n (`crossed`: of *)
(* all ways to spread the sum of w = y - 2 t over the edges, one edge with it *)
(* all is the worst, and there the room is a square and more). Since          *)
(* M >= 2 V^2, for y >= 0                                                     *)
(*     M^2 |y - V| <= M^2 V + (M^2 - 4 V^2 M) y + 2 V^3 y^2.                  *)
(* At y = S^2, on average: M E|S^2 - V| <= k V Y^2. Put together.             *)
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

(* ------------------------------------------------------------ the constant *)

(* (n - 1) / (3n - 2) for n = max(edges, 2): theory.claims.t8_logit_step.smoothness as a share of max L - min L. *)
Definition smooth_share (R : realFieldType) (edges : nat) : R :=
  ((maxn edges 2)%:R - 1) / (3%:R * (maxn edges 2)%:R - 2%:R).

Section Constant.
Variable R : realFieldType.

Lemma share_parts m : let n : R := (maxn m 2)%:R in [/\ 2%:R <= n, 0 < n, 0 < n - 1 & 0 < 3%:R * n - 2%:R].
Proof.
have two : 2%:R <= (maxn m 2)%:R :> R by rewrite ler_nat leq_maxr.
split=> //; [by apply: lt_le_trans two; rewrite ltr0n|by rewrite subr_gt0; apply: lt_le_trans two; rewrite ltr1n|].
rewrite subr_gt0; apply: lt_le_trans (ler_wpmul2l (ler0n R 3) two).
by rewrite -natrM ltr_nat.
Qed.

(* A quarter for one and two edges, more beyond, never a third. *)
Theorem T8_constant m : [/\ ((m <= 2)%N -> smooth_share R m = 1 / 4%:R),
  ((2 <= m)%N -> smooth_share R m = (m%:R - 1) / (3%:R * m%:R - 2%:R)) & 1 / 4%:R <= smooth_share R m < 1 / 3%:R].
Proof.
have [two n0 n1 n3] := share_parts m; split=> [m2|m2|].
- by rewrite /smooth_share (maxn_idPr m2); field.
- by rewrite /smooth_share (maxn_idPl m2).
rewrite /smooth_share; move: ((maxn m 2)%:R : R) two n1 n3 => n two n1 n3 {n0}.
rewrite ler_pdivl_mulr // ltr_pdivr_mulr //; apply/andP; split.
  have part : 0 <= (n - 2%:R) / 4%:R by rewrite divr_ge0 ?ler0n ?subr_ge0.
  by apply: ler_by_difference part _; field.
rewrite -subr_gt0; have -> : 1 / 3%:R * (3%:R * n - 2%:R) - (n - 1) = 1 / 3%:R :> R by field.
by rewrite divr_gt0 ?ltr0n ?ltr01.
Qed.
End Constant.

(* ------------------------------------------------------------ how edges add up *)

Section Crossed.
Variables (R : realFieldType) (E : finType) (n : R) (z w : E -> R).
Hypotheses (many : #|E|%:R <= n) (two : 2%:R <= n) (w0 : forall e, 0 <= w e) (z0 : forall e, 0 <= z e).
Let Z := \sum_e z e.
Let W := \sum_e w e.
Let k := 1 - n^-1.
Let squares := \sum_e z e ^+ 2.

Lemma count_gt0 : 0 < n.
Proof. by apply: lt_le_trans two; rewrite ltr0n. Qed.

Lemma others_gt0 : 0 < n - 1.
Proof. by rewrite subr_gt0; apply: lt_le_trans two; rewrite ltr1n. Qed.

Lemma sum_around c : squares = \sum_e (z e - c) ^+ 2 + 2%:R * c * Z - #|E|%:R * c ^+ 2.
Proof.
have -> : \sum_e (z e - c) ^+ 2 = \sum_e (z e ^+ 2 - 2%:R * c * z e + c ^+ 2) by apply: eq_bigr => e _; ring.
rewrite big_split sumrB /= -mulr_sumr sumr_const -[c ^+ 2 *+ _]mulr_natl -/squares -/Z -[#|_|]/(#|E|).
by move: squares Z (#|E|%:R : R) => s y i; ring.
Qed.

Lemma squares_at_least : Z ^+ 2 / n <= squares.
Proof.
have n0 := count_gt0; pose c := Z / n.
have all : 0 <= \sum_e (z e - c) ^+ 2 by apply: sumr_ge0 => e _; apply: sqr_ge0.
have more : 0 <= (n - #|E|%:R) * c ^+ 2 by rewrite mulr_ge0 ?sqr_ge0 ?subr_ge0.
apply: ler_by_difference (addr_ge0 all more) _; rewrite (sum_around c).
move: (\sum_e _) (#|E|%:R : R) => s i; rewrite /c; move: Z => y.
by field; rewrite gt_eqF.
Qed.

Lemma squares_around e : z e ^+ 2 + (Z - z e) ^+ 2 / (n - 1) <= squares.
Proof.
have n1 := others_gt0; pose c := (Z - z e) / (n - 1).
have others : 0 <= \sum_(f | f != e) (z f - c) ^+ 2 by apply: sumr_ge0 => f _; apply: sqr_ge0.
have more : 0 <= (n - #|E|%:R) * c ^+ 2 by rewrite mulr_ge0 ?sqr_ge0 ?subr_ge0.
apply: ler_by_difference (addr_ge0 others more) _; rewrite (sum_around c) (bigD1 e) //=.
move: (\sum_(f | f != e) _) (#|E|%:R : R) => s i; rewrite /c; move: (z e) Z => m y.
by field; rewrite gt_eqF.
Qed.

(* All of W at edge e. *)
Lemma crossed_at e : 0 <= k * (Z + W) ^+ 2 - Z ^+ 2 + squares - 2%:R * z e * W.
Proof.
have n0 := count_gt0; have n1 := others_gt0.
have Z0 : 0 <= Z by apply: sumr_ge0.
have W0 : 0 <= W by apply: sumr_ge0.
have square : 0 <= n / (n - 1) * (z e - Z / n - (n - 1) / n * W) ^+ 2.
  by rewrite mulr_ge0 ?sqr_ge0 // divr_ge0 // ltW.
have rest : 0 <= 2%:R * (W * Z) * ((n - 2%:R) / n).
  by rewrite !mulr_ge0 ?ler0n ?invr_ge0 ?subr_ge0 // ltW.
apply: ler_by_difference (ler_add (addr_ge0 square rest) (squares_around e)) _.
move: squares (z e) Z W => s m y x; rewrite /k.
by field; rewrite !gt_eqF.
Qed.

Lemma crossed : 0 <= k * (Z + W) ^+ 2 - Z ^+ 2 + squares - 2%:R * \sum_e z e * w e.
Proof.
have W0 : 0 <= W by apply: sumr_ge0.
move: (W0); rewrite le_eqVlt => /orP [/eqP none|W1]; last first.
  rewrite -(pmulr_rge0 _ W1).
  set A := _ + squares; have : 0 <= \sum_e w e * (A - 2%:R * z e * W).
    by apply: sumr_ge0 => e _; rewrite mulr_ge0 ?crossed_at.
  congr (_ <= _); transitivity (\sum_e (A * w e - 2%:R * W * (z e * w e))); first by apply: eq_bigr => e _; ring.
  by rewrite sumrB -!mulr_sumr -/W; ring.
have nothing e : w e = 0 by have /psumr_eq0P zero : \sum_i w i = 0 := esym none; apply: zero.
rewrite -none addr0 big1 ?mulr0 ?subr0 => [|e _]; last by rewrite nothing mulr0.
have := squares_at_least; rewrite -subr_ge0; congr (_ <= _).
by rewrite /k; ring.
Qed.
End Crossed.

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

Lemma variance_at_most : 2%:R * sum_variance <= direction_norm.
Proof. by rewrite sum_varianceE mulr_sumr; apply: ler_sum => e _; apply: row_variance_bound. Qed.

Let n : R := (maxn #|E| 2)%:R.
Let k := 1 - n^-1.

Lemma fourth_moment : mean p (fun a => centred_sum a ^+ 4) <= sum_variance ^+ 2 + k * direction_norm ^+ 2 / 2%:R.
Proof.
apply: le_trans fourth_moment_bound _; pose z e := 2%:R * s2 e; pose w e := row_norm (v e) - z e.
have z0 e : 0 <= z e by rewrite mulr_ge0 ?ler0n ?row_moment2_ge0.
have w0 e : 0 <= w e by rewrite subr_ge0 row_variance_bound.
have many : #|E|%:R <= n by rewrite ler_nat leq_maxl.
have two : 2%:R <= n by rewrite ler_nat leq_maxr.
have half : 0 <= (2%:R^-1 : R) by rewrite invr_ge0 ler0n.
have := ler_wpmul2l half (crossed many two w0 z0); rewrite mulr0 -/k.
have sumZ : \sum_e z e = 2%:R * sum_variance by rewrite sum_varianceE mulr_sumr.
have sumW : \sum_e w e = direction_norm - 2%:R * sum_variance by rewrite sumrB -/direction_norm sumZ.
have sum2 : \sum_e z e ^+ 2 = 4%:R * \sum_e s2 e ^+ 2.
  by rewrite mulr_sumr; apply: eq_bigr => e _; rewrite /z; ring.
have sumzw : \sum_e z e * w e = 2%:R * (\sum_e row_norm (v e) * s2 e) - 4%:R * \sum_e s2 e ^+ 2.
  by rewrite !mulr_sumr -sumrB; apply: eq_bigr => e _; rewrite /w /z; ring.
have -> : \sum_e (2%:R * row_norm (v e) * s2 e - 6%:R * s2 e ^+ 2) =
    2%:R * (\sum_e row_norm (v e) * s2 e) - 6%:R * \sum_e s2 e ^+ 2.
  by rewrite !mulr_sumr -sumrB; apply: eq_bigr => e _; ring.
rewrite sumZ sumW sum2 sumzw => room; apply: ler_by_difference room _.
move: (\sum_e row_norm (v e) * s2 e) (\sum_e s2 e ^+ 2) sum_variance direction_norm => a b V Y.
by field.
Qed.

Lemma parabola (V M y : R) : 0 <= V -> 0 <= y -> 2%:R * V ^+ 2 <= M ->
  M ^+ 2 * `|y - V| <= M ^+ 2 * V + (M ^+ 2 - 4%:R * V ^+ 2 * M) * y + 2%:R * V ^+ 3 * y ^+ 2.
Proof.
move=> V0 y0 VM; have M0 : 0 <= M by apply: le_trans VM; rewrite mulr_ge0 ?ler0n ?sqr_ge0.
have [Vy|yV] := leP V y.
  have sq : 0 <= 2%:R * V * (M - V * y) ^+ 2 by rewrite mulr_ge0 ?sqr_ge0 // mulr_ge0 ?ler0n.
  by rewrite ger0_norm ?subr_ge0 //; apply: ler_by_difference sq _; ring.
have le : 0 <= 2%:R * y * M * (M - 2%:R * V ^+ 2) + 2%:R * V ^+ 3 * y ^+ 2.
  apply: addr_ge0; first by rewrite mulr_ge0 ?subr_ge0 // mulr_ge0 // mulr_ge0 ?ler0n.
  by rewrite mulr_ge0 ?sqr_ge0 // mulr_ge0 ?ler0n ?exprn_ge0.
by rewrite ltr0_norm ?subr_lt0 //; apply: ler_by_difference le _; ring.
Qed.

Theorem spread_bound :
  mean p (fun a => `|centred_sum a ^+ 2 - sum_variance|) <= 2%:R * smooth_share R #|E| * direction_norm.
Proof.
have [two n0 n1 n3] := share_parts R #|E|; rewrite -/n in two n0 n1 n3.
have n2 : 0 <= n - 2%:R by rewrite subr_ge0.
have Y0 : 0 <= direction_norm by apply: sumr_ge0 => e _; apply: row_norm_ge0.
have room := variance_at_most; rewrite -subr_ge0 in room.
have := sum_variance_ge0; rewrite le_eqVlt => /orP [/eqP V0|V0].
  rewrite -V0 (@mean_ext _ _ _ p _ (fun a => centred_sum a ^+ 2)); last first.
    by move=> a; rewrite subr0 ger0_norm ?sqr_ge0.
  by rewrite -/sum_variance -V0 mulr_ge0 // mulr_ge0 ?ler0n // divr_ge0 ?(ltW n3) // ltW.
set V := sum_variance in V0 room *; set Y := direction_norm in Y0 room *.
pose M := V ^+ 2 + k * Y ^+ 2 / 2%:R.
have k_half : 0 <= k - 2%:R^-1.
  have -> : k - 2%:R^-1 = (n - 2%:R) / (2%:R * n) by rewrite /k; field; rewrite gt_eqF.
  by rewrite divr_ge0 // mulr_ge0 ?ler0n // ltW.
have VM : 2%:R * V ^+ 2 <= M.
  have up : 0 <= (k - 2%:R^-1) * Y ^+ 2 / 2%:R + (Y - 2%:R * V) * (Y + 2%:R * V) / 4%:R.
    apply: addr_ge0; first by rewrite divr_ge0 ?ler0n // mulr_ge0 ?sqr_ge0.
    by rewrite divr_ge0 ?ler0n // mulr_ge0 // addr_ge0 // mulr_ge0 ?ler0n // ltW.
  by apply: ler_by_difference up _; rewrite /M; field.
have M0 : 0 < M by apply: lt_le_trans VM; rewrite mulr_gt0 ?exprn_gt0 ?ltr0n.
set D := mean p _.
have averaged : M * D <= V * k * Y ^+ 2.
  rewrite -(ler_pmul2l M0).
  have : M ^+ 2 * D <= M ^+ 2 * V + (M ^+ 2 - 4%:R * V ^+ 2 * M) * V + 2%:R * V ^+ 3 * M.
    rewrite /D -meanZ; apply: le_trans (mean_le p0 (fun a _ => parabola (ltW V0) (sqr_ge0 (centred_sum a)) VM)) _.
    have cube : 0 <= 2%:R * V ^+ 3 by rewrite mulr_ge0 ?ler0n ?exprn_ge0 ?(ltW V0).
    rewrite !meanD !meanZ mean_const // -/sum_variance -/V ler_add2l ler_wpmul2l //.
    rewrite (@mean_ext _ _ _ p (fun a => (centred_sum a ^+ 2) ^+ 2) (fun a => centred_sum a ^+ 4)); last first.
      by move=> a; rewrite -exprM.
    exact: fourth_moment.
  by move=> bound; apply: ler_by_difference bound _; rewrite /M; field.
rewrite -(ler_pmul2l M0); apply: le_trans averaged _.
have last : 0 <= (n - 1) * Y / (3%:R * n - 2%:R) * ((Y - 2%:R * V) * ((k - 2%:R^-1) * Y + (Y - 2%:R * V) / 2%:R)).
  have front : 0 <= (n - 1) * Y / (3%:R * n - 2%:R) by rewrite divr_ge0 ?(ltW n3) // mulr_ge0 // ltW.
  rewrite mulr_ge0 // mulr_ge0 //; apply: addr_ge0; first by rewrite mulr_ge0.
  by rewrite divr_ge0 ?ler0n.
apply: ler_by_difference last _; rewrite /smooth_share -/n /M /k.
by field; rewrite ?gt_eqF.
Qed.
End Spread.
