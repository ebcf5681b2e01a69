(******************************************************************************)
(* T9: exponentiated gradient, one edge, a block of edges, or all of them.    *)
(*                                                                            *)
(* In words. Move a set of edges at once, p'_e proportional to                *)
(* p_e exp(-eta q_e), the others stay. Let I_ij bound the pair interaction    *)
(* |L(k,l) - L(k',l) - L(k,l') + L(k',l')| of edges i and j, all else held,   *)
(* and let sum_(i != j) I_ij x_i x_j <= lambda sum_i x_i^2 on the moved edges *)
(* (lambda is the largest eigenvalue of the matrix I). Then eta lambda <= 8   *)
(* suffices for J(p') <= J(p). One edge has no pair, lambda = 0: any eta > 0. *)
(*                                                                            *)
(* Proof. Let d = p' - p, n_i = ||d_i||_1, r = p' / p. Since                  *)
(* eta q = const - ln r on each row, eta <q, d> = - sum (r - 1) p ln r, at    *)
(* most - sum_i n_i^2 (Pinsker's inequality, symmetric form). Changing the    *)
(* edges one after the other, what J departs from its linear part is a sum of *)
(* second differences, at most I_ij n_i n_j / 4 a pair, so                    *)
(* (lambda / 8) sum_i n_i^2 in all.                                           *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals sequences exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Calculus.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ one row *)

Section OneRow.
Variables (R : realType) (K : finType) (r : K -> R).
Hypotheses (r0 : forall k, 0 <= r k) (r1 : \sum_k r k = 1).

(* A zero-sum change d, supported where r is, against a function of small oscillation. *)
Lemma zero_sum_bound (d g : K -> R) (w : R) : \sum_k d k = 0 -> (forall k, r k = 0 -> d k = 0) ->
  (forall j k, 0 < r j -> 0 < r k -> `|g j - g k| <= w) ->
  2%:R * `|\sum_k d k * g k| <= (\sum_k `|d k|) * w.
Proof.
move=> d0 supp osc; have [k0 rk0] := some_positive r0 r1.
have [hi rhi max] := @arg_maxP _ _ _ k0 (fun k => 0 < r k) g rk0.
have [lo rlo min] := @arg_minP _ _ _ k0 (fun k => 0 < r k) g rk0.
pose c := (g hi + g lo) / 2%:R.
have -> : \sum_k d k * g k = \sum_k d k * (g k - c).
  under [RHS]eq_bigr do rewrite mulrBr.
  by rewrite sumrB -mulr_suml d0 mul0r subr0.
apply: (@le_trans _ _ (2%:R * \sum_k `|d k * (g k - c)|)).
  by rewrite ler_wpmul2l ?ler0n // ler_norm_sum.
rewrite mulr_sumr mulr_suml; apply: ler_sum => k _; rewrite normrM mulrCA.
have := r0 k; rewrite le_eqVlt => /orP [/eqP/esym/supp ->|rk]; first by rewrite normr0 !mul0r.
rewrite ler_wpmul2l //; apply: (@le_trans _ _ (g hi - g lo)).
  rewrite -[2%:R]ger0_norm ?ler0n // -normrM ler_norml; apply/andP; split.
    by apply: ler_by_difference (ler_wpmul2l (ler0n R 2) (min k rk)) _; rewrite /c; field.
  by apply: ler_by_difference (ler_wpmul2l (ler0n R 2) (max k rk)) _; rewrite /c; field.
by apply: le_trans (ler_norm _) (osc _ _ rhi rlo).
Qed.

(* sum (x - 1) r ln x >= (sum r |x - 1|)^2 when r and r x are distributions. *)
Lemma symmetric_pinsker (x : K -> R) : (forall k, 0 < x k) -> \sum_k r k * x k = 1 ->
  (\sum_k `|r k * x k - r k|) ^+ 2 <= \sum_k (r k * x k - r k) * ln (x k).
Proof.
move=> x0 x1; set n := \sum_k `|r k * x k - r k|.
have -> : n ^+ 2 = \sum_k (2%:R * n * `|r k * x k - r k| - n ^+ 2 / 2%:R * (r k * x k + r k)).
  by rewrite sumrB -!mulr_sumr big_split /= x1 r1 -/n; field.
apply: ler_sum => k _.
have -> : `|r k * x k - r k| = r k * `|x k - 1|.
  by rewrite -[X in _ - X]mulr1 -mulrBr normrM ger0_norm.
have -> : 2%:R * n * (r k * `|x k - 1|) - n ^+ 2 / 2%:R * (r k * x k + r k) =
    r k * (2%:R * n * `|x k - 1| - n ^+ 2 / 2%:R * (x k + 1)) by ring.
have -> : (r k * x k - r k) * ln (x k) = r k * ((x k - 1) * ln (x k)) by ring.
rewrite ler_wpmul2l // -(ler_pmul2r (addr_gt0 (x0 k) ltr01)).
apply: le_trans (ln_chord (x0 k)).
have sq : (x k - 1) ^+ 2 = `|x k - 1| ^+ 2 by rewrite real_normK ?num_real.
rewrite sq -subr_ge0; have : 0 <= (2%:R * `|x k - 1| - n * (x k + 1)) ^+ 2 / 2%:R by rewrite divr_ge0 ?sqr_ge0 ?ler0n.
by congr (_ <= _); field.
Qed.
End OneRow.

(* ------------------------------------------------------------ the step *)

Section Exponentiated.
Variables (R : realType) (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (eta : R).
Hypotheses (pol : policy p) (eta0 : 0 < eta).
Let p0 : forall e k, 0 <= p e k := pol.1.
Let p1 : forall e, \sum_k p e k = 1 := pol.2.
Let q := value p L.

(* p'_e proportional to p_e exp(-eta q_e), on the edges of `moved`. *)
Definition exponentiated_row e k :=
  p e k * expR (- (eta * q e k)) / \sum_j p e j * expR (- (eta * q e j)).
Definition exponentiated (moved : seq E) e k := if e \in moved then exponentiated_row e k else p e k.

Let Z e := \sum_j p e j * expR (- (eta * q e j)).
Let x e k := expR (- (eta * q e k)) / Z e.
Let d e k := exponentiated_row e k - p e k.
Let n e := \sum_k `|d e k|.

Lemma Z_gt0 e : 0 < Z e.
Proof.
have [k pk] := some_positive (p0 e) (p1 e); rewrite /Z (bigD1 k) //= ltr_paddr ?mulr_gt0 ?expR_gt0 //.
by apply: sumr_ge0 => j _; rewrite mulr_ge0 // ltW ?expR_gt0.
Qed.

Lemma rowE e k : exponentiated_row e k = p e k * x e k.
Proof. by rewrite /exponentiated_row /x mulrA. Qed.

Lemma x_gt0 e k : 0 < x e k.
Proof. by rewrite divr_gt0 ?expR_gt0 ?Z_gt0. Qed.

Lemma row_sum e : \sum_k exponentiated_row e k = 1.
Proof. by rewrite -mulr_suml divff // gt_eqF // Z_gt0. Qed.

Lemma exponentiated_policy moved : policy (exponentiated moved).
Proof.
split=> [e k|e]; rewrite /exponentiated; case: (e \in moved) => //; last exact: row_sum.
by rewrite rowE mulr_ge0 // ltW // x_gt0.
Qed.

Lemma exponentiated_support moved a : 0 < probability (exponentiated moved) a -> 0 < probability p a.
Proof.
move=> Pa; apply: prodr_gt0 => e _.
have := probability_gt0 (exponentiated_policy moved).1 Pa e; rewrite /exponentiated; case: ifP => // _.
by rewrite rowE pmulr_lgt0 ?x_gt0.
Qed.

Lemma change_sum e : \sum_k d e k = 0.
Proof. by rewrite sumrB row_sum p1 subrr. Qed.

Lemma change_support e k : p e k = 0 -> d e k = 0.
Proof. by rewrite /d rowE => ->; rewrite mul0r subrr. Qed.

(* The linear part: eta <q, d> <= - sum n^2. *)
Lemma linear_part e : eta * (\sum_k d e k * q e k) <= - n e ^+ 2.
Proof.
have lnx k : ln (x e k) = - (eta * q e k) - ln (Z e) by rewrite ln_div ?posrE ?expR_gt0 ?Z_gt0 // expK.
have px : \sum_k p e k * x e k = 1 by rewrite -[RHS](row_sum e); apply: eq_bigr => k _; rewrite rowE.
have := symmetric_pinsker (p0 e) (p1 e) (x_gt0 e) px.
have -> : \sum_k (p e k * x e k - p e k) * ln (x e k) = - (eta * (\sum_k d e k * q e k)).
  under eq_bigr do rewrite -rowE -/(d e _) lnx mulrBr.
  rewrite sumrB -mulr_suml change_sum mul0r subr0 mulr_sumr -sumrN.
  by apply: eq_bigr => k _; rewrite mulrN mulrCA.
have -> : \sum_k `|p e k * x e k - p e k| = n e by apply: eq_bigr => k _; rewrite -rowE.
by rewrite ler_oppr.
Qed.

(* ------------------------------------------------------------ interactions *)

Variables (I : E -> E -> R) (lambda : R).

Definition second_difference a i j k k' l l' :=
  L (set_edge (set_edge a i k) j l) - L (set_edge (set_edge a i k') j l)
  - L (set_edge (set_edge a i k) j l') + L (set_edge (set_edge a i k') j l').

(* I_ij bounds the interaction of i and j wherever p can go. *)
Definition interaction_bound := forall i j a k k' l l', i != j -> 0 < probability p a ->
  0 < p i k -> 0 < p i k' -> 0 < p j l -> 0 < p j l' -> `|second_difference a i j k k' l l'| <= I i j.

Definition eigenvalue_bound (moved : seq E) := forall y : E -> R, (forall e, 0 <= y e) ->
  \sum_(i <- moved) \sum_(j <- moved | j != i) I i j * y i * y j <= lambda * \sum_(i <- moved) y i ^+ 2.

Hypotheses (bounded : interaction_bound) (symmetric : forall i j, I i j = I j i).

(* Moving one more edge changes a mean by the linear term, at the policy reached. *)
Lemma move_one moved j (f : architecture E K -> R) : j \notin moved ->
  mean (exponentiated (j :: moved)) f - mean (exponentiated moved) f =
  \sum_k d j k * value (exponentiated moved) f j k.
Proof.
move=> fresh; have [s0 s1] := exponentiated_policy moved.
have -> : mean (exponentiated (j :: moved)) f = mean (set_row (exponentiated moved) j (exponentiated_row j)) f.
  apply: mean_policy_ext => i k; rewrite /exponentiated /set_row inE.
  by case: eqP => [->|_] //; case: ifP.
rewrite mean_set_row ?row_sum // [X in _ - X](mean_value f (s1 j)) -sumrB; apply: eq_bigr => k _.
by rewrite -mulrBl /exponentiated (negPf fresh).
Qed.

(* How far moving `moved` bends q_j between two operations of edge j. *)
Lemma bend_bound moved j k k' : uniq moved -> j \notin moved -> 0 < p j k -> 0 < p j k' ->
  2%:R * `|(value (exponentiated moved) L j k - q j k) - (value (exponentiated moved) L j k' - q j k')|
  <= \sum_(i <- moved) n i * I i j.
Proof.
move=> + + pk pk'; elim: moved => [_ _|i moved step /= /andP[im um]].
  have none f : mean (exponentiated [::]) f = mean p f by [].
  by rewrite big_nil /value !none !subrr normr0 mulr0.
rewrite inE negb_or => /andP[ji jm]; rewrite big_cons.
pose h l := value (exponentiated moved) (fun a => L (set_edge a j k) - L (set_edge a j k')) i l.
have -> : value (exponentiated (i :: moved)) L j k - q j k - (value (exponentiated (i :: moved)) L j k' - q j k') =
    \sum_l d i l * h l +
    (value (exponentiated moved) L j k - q j k - (value (exponentiated moved) L j k' - q j k')).
  rewrite /h -move_one // !meanB /value.
  by move: (mean _ _) (mean _ _) (mean _ _) (mean _ _) => *; ring.
apply: (@le_trans _ _ (2%:R * `|\sum_l d i l * h l| + 2%:R *
    `|value (exponentiated moved) L j k - q j k - (value (exponentiated moved) L j k' - q j k')|)).
  by rewrite -mulrDr ler_wpmul2l ?ler0n // ler_norm_add.
apply: ler_add _ (step um jm).
have := @zero_sum_bound R K (p i) (p0 i) (p1 i) (d i) h (I i j) (change_sum i) (@change_support i).
apply=> l l' pl pl'.
have [s0 s1] := exponentiated_policy moved.
rewrite /h /value -meanB -(mean_const (I i j) s1); apply: le_trans (mean_norm _ s0) _.
apply: mean_le => // a /exponentiated_support Pa.
have ij : i != j by rewrite eq_sym.
apply: le_trans (bounded ij Pa pl pl' pk pk'); rewrite /second_difference.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; congr `|_|; ring.
Qed.

(* What J departs from its linear part. *)
Lemma departure moved : uniq moved ->
  8%:R * (mean (exponentiated moved) L - mean p L - \sum_(j <- moved) \sum_k d j k * q j k) <=
  \sum_(i <- moved) \sum_(j <- moved | j != i) I i j * n i * n j.
Proof.
elim: moved => [_|j moved step /= /andP[jm um]].
  by rewrite !big_nil /= (mean_policy_ext (p' := p)) // !subrr mulr0.
have [s0 s1] := exponentiated_policy moved.
have one : 4%:R * (\sum_k d j k * (value (exponentiated moved) L j k - q j k)) <= n j * \sum_(i <- moved) n i * I i j.
  apply: (@le_trans _ _ (2%:R * (2%:R * `|\sum_k d j k * (value (exponentiated moved) L j k - q j k)|))).
    rewrite mulrA -natrM ler_wpmul2l ?ler0n //; exact: ler_norm.
  pose w := (\sum_(i <- moved) n i * I i j) / 2%:R.
  have -> : n j * (\sum_(i <- moved) n i * I i j) = 2%:R * (n j * w) by rewrite /w; field.
  rewrite ler_wpmul2l ?ler0n //.
  pose bend k := value (exponentiated moved) L j k - q j k.
  apply: (@zero_sum_bound R K (p j) (p0 j) (p1 j) (d j) bend w (change_sum j) (@change_support j)) => k k' pk pk'.
  by rewrite ler_pdivl_mulr ?ltr0n // mulrC bend_bound.
have linear : mean (exponentiated (j :: moved)) L = mean (exponentiated moved) L +
    \sum_k d j k * (value (exponentiated moved) L j k - q j k) + \sum_k d j k * q j k.
  rewrite -addrA -big_split /= -[LHS](subrK (mean (exponentiated moved) L)) addrC move_one //.
  by congr (_ + _); apply: eq_bigr => k _; rewrite -mulrDr subrK.
have pairs : \sum_(i <- j :: moved) \sum_(i' <- j :: moved | i' != i) I i i' * n i * n i' =
    \sum_(i <- moved) \sum_(i' <- moved | i' != i) I i i' * n i * n i' + 2%:R * (n j * \sum_(i <- moved) n i * I i j).
  have skip i : \sum_(i' <- j :: moved | i' != i) I i i' * n i * n i' =
      (if j != i then I i j * n i * n j else 0) + \sum_(i' <- moved | i' != i) I i i' * n i * n i'.
    by rewrite big_cons; case: ifP; rewrite ?add0r.
  rewrite big_cons skip eqxx add0r; under [X in _ + X]eq_bigr do rewrite skip.
  rewrite big_split /= mulr_sumr [2%:R * _]mulr_sumr.
  have -> : \sum_(i <- moved) (if j != i then I i j * n i * n j else 0) = \sum_(i <- moved) n j * (n i * I i j).
    apply: eq_big_seq => i im; have -> : j != i by apply: contraNneq jm => ->.
    by ring.
  have -> : \sum_(i' <- moved | i' != j) I j i' * n j * n i' = \sum_(i <- moved) n j * (n i * I i j).
    rewrite big_mkcond /=; apply: eq_big_seq => i im; have -> : i != j by apply: contraNneq jm => <-.
    by rewrite symmetric; ring.
  rewrite addrA addrC; congr (_ + _); rewrite -big_split; apply: eq_bigr => i _ /=.
  by ring.
rewrite pairs linear big_cons.
apply: ler_by_difference (ler_add (step um) (ler_wpmul2l (ler0n R 2) one)) _.
by rewrite /=; ring.
Qed.

Theorem T9_block moved : uniq moved -> eigenvalue_bound moved -> eta * lambda <= 8%:R ->
  mean (exponentiated moved) L <= mean p L.
Proof.
move=> um eigen small; rewrite -subr_le0 -(pmulr_rle0 _ eta0) -(pmulr_rle0 _ (ltr0Sn R 7)).
set N := \sum_(i <- moved) n i ^+ 2.
have N0 : 0 <= N by apply: sumr_ge0 => i _; apply: sqr_ge0.
have n0 e : 0 <= n e by apply: sumr_ge0.
have lin : eta * (\sum_(j <- moved) \sum_k d j k * q j k) <= - N.
  by rewrite mulr_sumr -sumrN; apply: ler_sum => j _; apply: linear_part.
have bend := ler_wpmul2l (ltW eta0) (le_trans (departure um) (eigen n n0)).
have gain := ler_wpmul2r N0 small.
have := ler_add (ler_add bend gain) (ler_wpmul2l (ler0n R 8) lin) => all.
apply: ler_by_difference all _; rewrite -/N.
by ring.
Qed.

(* All edges at once. *)
Corollary T9_all_edges : eigenvalue_bound (enum E) -> eta * lambda <= 8%:R ->
  mean exponentiated_row L <= mean p L.
Proof.
move=> eigen small; have := T9_block (enum_uniq E) eigen small.
by rewrite (mean_policy_ext (p' := exponentiated_row)) // => e k; rewrite /exponentiated mem_enum.
Qed.
End Exponentiated.

(* ------------------------------------------------------------ lambda from the range of losses *)

Section Range.
Variables (R : realType) (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (eta : R).
Hypotheses (pol : policy p) (eta0 : 0 < eta).

(* The crude bound: |second difference| <= 2 (hi - lo), so lambda <= 2 (hi - lo) (E - 1). *)
Theorem T9_crude (lo hi : R) : (forall a, 0 < probability p a -> lo <= L a <= hi) ->
  eta * ((#|E|%:R - 1) * (hi - lo)) <= 4%:R -> mean (exponentiated_row p L eta) L <= mean p L.
Proof.
move=> range small; pose I (i j : E) := 2%:R * (hi - lo).
apply: (@T9_all_edges R E K p L eta pol eta0 I (2%:R * (hi - lo) * (#|E|%:R - 1))) => //.
- move=> i j a k k' l l' _ Pa pk pk' pl pl'; rewrite /second_difference /I ler_norml.
  have seen x y : 0 < p i x -> 0 < p j y -> lo <= L (set_edge (set_edge a i x) j y) <= hi.
    move=> px py; apply: range; apply: (probability_set_edge_gt0 pol.1 _ py).
    exact: (probability_set_edge_gt0 pol.1 Pa px).
  move: (seen _ _ pk pl) (seen _ _ pk' pl) (seen _ _ pk pl') (seen _ _ pk' pl').
  move=> /andP[low3 high3] /andP[low4 high4] /andP[low1 high1] /andP[low2 high2]; apply/andP; split.
    by apply: ler_by_difference (ler_add (ler_add low3 low2) (ler_add high4 high1)) _; ring.
  by apply: ler_by_difference (ler_add (ler_add high3 high2) (ler_add low4 low1)) _; ring.
- have [a0 Pa0] := some_positive (fun a => probability_ge0 a pol.1) (sum_probability pol.2).
  have gap : 0 <= hi - lo by rewrite subr_ge0; have /andP[low] := range a0 Pa0; apply: le_trans.
  move=> y y0; rewrite !big_enum /=; under eq_bigr do rewrite big_enum_cond /=.
  set N := \sum_i y i ^+ 2.
  have pairs : \sum_i \sum_(j | j != i) (y i ^+ 2 + y j ^+ 2) = 2%:R * ((#|E|%:R - 1) * N).
    have all i : \sum_(j | j != i) (y i ^+ 2 + y j ^+ 2) = #|E|%:R * y i ^+ 2 + N - 2%:R * y i ^+ 2.
      have : \sum_j (y i ^+ 2 + y j ^+ 2) = #|E|%:R * y i ^+ 2 + N by rewrite big_split /= sumr_const mulr_natl.
      by rewrite (bigD1 i) //= => <-; ring.
    under eq_bigr do rewrite all.
    by rewrite sumrB big_split /= -!mulr_sumr sumr_const -/N -[N *+ _]mulr_natl -[#|_|]/(#|E|); ring.
  have : \sum_i \sum_(j | j != i) I i j * y i * y j <= (hi - lo) * \sum_i \sum_(j | j != i) (y i ^+ 2 + y j ^+ 2).
    rewrite mulr_sumr; apply: ler_sum => i _; rewrite mulr_sumr; apply: ler_sum => j _.
    by apply: ler_by_difference (mulr_ge0 gap (sqr_ge0 (y i - y j))) _; rewrite /I; ring.
  rewrite pairs => {pairs}; move: (#|E|%:R - 1) N => c n low; apply: le_trans low _.
  by rewrite le_eqVlt; apply/orP; left; apply/eqP; ring.
- by apply: ler_by_difference (ler_wpmul2l (ler0n R 2) small) _; ring.
Qed.
End Range.

(* ------------------------------------------------------------ one edge *)

Section OneEdge.
Variables (R : realType) (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (eta : R).
Hypotheses (pol : policy p) (eta0 : 0 < eta).

(* Any step on one edge, whatever its size. *)
Theorem T9_one_edge e : mean (exponentiated p L eta [:: e]) L <= mean p L.
Proof.
have [p0 p1] := pol; rewrite -subr_le0 (mean_policy_ext (p' := set_row p e (exponentiated_row p L eta e))); last first.
  by move=> i k; rewrite /exponentiated /set_row inE; case: eqP => [->|].
rewrite mean_set_row ?row_sum // [X in _ - X](mean_value L (p1 e)) -sumrB -(pmulr_rle0 _ eta0).
under eq_bigr do rewrite -mulrBl.
apply: le_trans (linear_part L eta pol e) _.
by rewrite oppr_le0 sqr_ge0.
Qed.
End OneEdge.
