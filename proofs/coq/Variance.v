(******************************************************************************)
(* T7 and T11: what a baseline costs, and when credit beats REINFORCE.        *)
(*                                                                            *)
(* In words. The variance of edge e's gradient estimate c_e (a_e - p_e) is    *)
(* E[c_e^2 w] - ||E[c_e (a_e - p_e)]||^2 with w = ||a_e - p_e||^2.            *)
(* T11: over all baselines b that do not depend on a_e the best is            *)
(* b* = E[L w | other edges] / (1 - ||p_e||^2), and any other costs           *)
(* V(b) = V(b* ) + (1 - ||p_e||^2) E[(b - b* )^2]. (E[w] = 1 - ||p_e||^2.)    *)
(* T7: both estimators have the same mean, so the exact advantage A_e has the *)
(* smaller variance exactly where E[(L - b)^2 w] > E[A_e^2 w]. For an         *)
(* additive loss L = sum_i l_i(a_i) and b = E[L] that is                      *)
(*     sum_(f != e) Var(l_f) E[w] > 2 m_e E[l_e w] - m_e^2 E[w].              *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased OneEdge.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Variance.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R) (e : E).
Hypothesis p1 : forall i, \sum_k p i k = 1.
Implicit Types (a : architecture E K) (L b c : architecture E K -> R).

(* w as a function of edge e's operation, and its mean. *)
Definition score_norm (j : K) : R := \sum_k ((j == k)%:R - p e k) ^+ 2.
Definition spread : R := 1 - \sum_k p e k ^+ 2.

Lemma score_normE j : score_norm j = 1 - 2%:R * p e j + \sum_k p e k ^+ 2.
Proof.
transitivity (\sum_k ((j == k)%:R * (1 - 2%:R * p e k) + p e k ^+ 2)).
  by apply: eq_bigr => k _; case: (j == k); rewrite ?mulr1n ?mulr0n; ring.
by rewrite big_split /= sum_indicator.
Qed.

Lemma score_norm_sum : \sum_k p e k * score_norm k = spread.
Proof.
under eq_bigr do rewrite score_normE mulrDr mulrBr mulr1.
rewrite big_split sumrB /= p1 -mulr_suml p1 mul1r /spread.
have -> : \sum_i p e i * (2%:R * p e i) = 2%:R * \sum_k p e k ^+ 2.
  by rewrite mulr_sumr; apply: eq_bigr => k _; ring.
by move: (\sum_k p e k ^+ 2) => s; ring.
Qed.

(* Total variance of the estimate c_e (a_e - p_e), all components summed. *)
Definition estimate_variance c : R :=
  \sum_k (mean p (fun a => (c a * score p a e k) ^+ 2) - mean p (fun a => c a * score p a e k) ^+ 2).

Lemma estimate_varianceE c : estimate_variance c =
  mean p (fun a => c a ^+ 2 * score_norm (a e)) - \sum_k mean p (fun a => c a * score p a e k) ^+ 2.
Proof.
rewrite /estimate_variance sumrB -mean_sum; congr (_ - _); apply: mean_ext => a.
by rewrite mulr_sumr; apply: eq_bigr => k _; rewrite exprMn.
Qed.

Lemma credit_mean L b k : free_of e b -> mean p (fun a => (L a - b a) * score p a e k) = gradient p L e k.
Proof. exact: (T4_credit_unbiased (p1 e)). Qed.

Lemma variance_difference L b b' : free_of e b -> free_of e b' ->
  estimate_variance (fun a => L a - b a) - estimate_variance (fun a => L a - b' a) =
  mean p (fun a => (L a - b a) ^+ 2 * score_norm (a e)) - mean p (fun a => (L a - b' a) ^+ 2 * score_norm (a e)).
Proof.
move=> be be'; rewrite !estimate_varianceE.
under eq_bigr do rewrite credit_mean //; under [X in _ - (_ - X)]eq_bigr do rewrite credit_mean //.
by ring.
Qed.

(* ------------------------------------------------------------ T11 *)

(* E[L w | other edges] / (1 - ||p_e||^2). *)
Definition best_baseline L a : R := (\sum_k p e k * (L (set_edge a e k) * score_norm k)) / spread.

Lemma best_baseline_free L : free_of e (best_baseline L).
Proof.
move=> a k; congr (_ / _); apply: eq_bigr => j _.
by rewrite set_edge_twice.
Qed.

(* (L - b* ) w has mean zero against everything that is free of edge e. *)
Lemma best_baseline_orthogonal L b : spread != 0 -> free_of e b ->
  mean p (fun a => b a * ((L a - best_baseline L a) * score_norm (a e))) = 0.
Proof.
move=> s0 be; rewrite (resample _ (p1 e)); apply: big1 => a _.
have -> : \sum_k p e k * (b (set_edge a e k) * ((L (set_edge a e k) - best_baseline L (set_edge a e k))
    * score_norm (set_edge a e k e))) =
    b a * (\sum_k p e k * (L (set_edge a e k) * score_norm k) - best_baseline L a * spread).
  rewrite -score_norm_sum mulr_sumr -sumrB mulr_sumr; apply: eq_bigr => k _.
  by rewrite be best_baseline_free set_edge_at; ring.
by rewrite /best_baseline divfK // subrr !mulr0.
Qed.

Theorem T11_baseline_cost L b : spread != 0 -> free_of e b ->
  estimate_variance (fun a => L a - b a) =
  estimate_variance (fun a => L a - best_baseline L a) + spread * mean p (fun a => (b a - best_baseline L a) ^+ 2).
Proof.
move=> s0 be; have bestf := best_baseline_free L; apply/eqP; rewrite -subr_eq0 opprD addrA subr_eq0; apply/eqP.
rewrite variance_difference // -meanB -score_norm_sum -(mean_split score_norm (p1 e)); last first.
  by move=> a k; rewrite be bestf.
pose gap a := b a - best_baseline L a; have gapf : free_of e gap by move=> a k; rewrite /gap be bestf.
rewrite -[RHS]subr0 -[X in _ - X](mulr0 2%:R) -(best_baseline_orthogonal L s0 gapf) -meanZ -meanB.
by apply: mean_ext => a; rewrite /gap; ring.
Qed.

Corollary T11_best L b : policy p -> spread != 0 -> free_of e b ->
  estimate_variance (fun a => L a - best_baseline L a) <= estimate_variance (fun a => L a - b a).
Proof.
move=> [p0 _] s0 be; rewrite (T11_baseline_cost L s0 be) ler_addl mulr_ge0 //.
  rewrite -score_norm_sum; apply: sumr_ge0 => k _; rewrite mulr_ge0 //.
  by apply: sumr_ge0 => j _; apply: sqr_ge0.
by apply: mean_ge0 => // a _; apply: sqr_ge0.
Qed.

(* ------------------------------------------------------------ T7 *)

(* Exact advantage L - b', b' the zeroed loss, against REINFORCE L - b. *)
Theorem T7_boundary L b b' : free_of e b -> free_of e b' ->
  (estimate_variance (fun a => L a - b' a) < estimate_variance (fun a => L a - b a)) =
  (mean p (fun a => (L a - b' a) ^+ 2 * score_norm (a e)) < mean p (fun a => (L a - b a) ^+ 2 * score_norm (a e))).
Proof. by move=> be be'; rewrite -subr_gt0 variance_difference // subr_gt0. Qed.

Section Additive.
Variable l : E -> K -> R.
Definition additive_loss a : R := \sum_i l i (a i).
Definition others_loss a : R := \sum_(i | i != e) l i (a i).
Definition edge_mean i : R := \sum_k p i k * l i k.
Definition edge_variance i : R := variance (p i) (l i).
Let centred i a := l i (a i) - edge_mean i.

Lemma centred_mean i : \sum_k p i k * (l i k - edge_mean i) = 0.
Proof.
under eq_bigr do rewrite mulrBr.
by rewrite sumrB -mulr_suml p1 mul1r subrr.
Qed.

(* A centred edge is orthogonal to whatever does not depend on it. *)
Lemma centred_orthogonal i b : free_of i b -> mean p (fun a => centred i a * b a) = 0.
Proof.
move=> bi; rewrite (mean_split (fun k => l i k - edge_mean i) (p1 i) bi).
by rewrite centred_mean mul0r.
Qed.

Lemma free_edge i f (h : K -> R) : i != f -> free_of f (fun a => h (a i)).
Proof. by move=> fi a k; rewrite set_edge_other. Qed.

Lemma additive_mean : mean p additive_loss = \sum_i edge_mean i.
Proof. by rewrite mean_sum; apply: eq_bigr => i _; rewrite mean_edge. Qed.

(* The square of the other edges' sum, against w. *)
Lemma others_square :
  mean p (fun a => score_norm (a e) * (\sum_(i | i != e) centred i a) ^+ 2) =
  spread * \sum_(i | i != e) edge_variance i.
Proof.
transitivity (\sum_(i | i != e) \sum_(j | j != e) mean p (fun a => centred i a * (centred j a * score_norm (a e)))).
  rewrite /mean; under [RHS]eq_bigr do rewrite exchange_big.
  rewrite [RHS]exchange_big; apply: eq_bigr => a _ /=.
  under [RHS]eq_bigr do rewrite -mulr_sumr.
  rewrite -mulr_sumr expr2 [score_norm _ * _]mulrC -mulrA big_distrl /=; congr (_ * _).
  by apply: eq_bigr => i _; rewrite -big_distrr /= -big_distrl.
rewrite mulr_sumr; apply: eq_bigr => i ie; rewrite (bigD1 i) //= big1 ?addr0 => [|j /andP[je ji]].
  transitivity (mean p (fun a => (l i (a i) - edge_mean i) ^+ 2 * score_norm (a e))).
    by apply: mean_ext => a; rewrite /centred; ring.
  rewrite (mean_split (fun k => (l i k - edge_mean i) ^+ 2) (p1 i)).
    by rewrite mulrC mean_edge // score_norm_sum.
  by apply: free_edge; rewrite eq_sym.
apply: centred_orthogonal => a k.
by rewrite /centred !set_edge_other // eq_sym.
Qed.

Lemma reinforce_second_moment :
  mean p (fun a => (additive_loss a - mean p additive_loss) ^+ 2 * score_norm (a e)) =
  mean p (fun a => centred e a ^+ 2 * score_norm (a e)) + spread * \sum_(i | i != e) edge_variance i.
Proof.
pose rest a := \sum_(i | i != e) centred i a.
have restf : free_of e rest by move=> a k; apply: eq_bigr => i ie; rewrite /centred set_edge_other.
have whole a : additive_loss a - mean p additive_loss = centred e a + rest a.
  by rewrite additive_mean /additive_loss -sumrB (bigD1 e).
rewrite -others_square.
have cross : mean p (fun a => rest a * (centred e a * score_norm (a e))) = 0.
  rewrite /mean; under eq_bigr do rewrite mulr_suml mulr_sumr.
  rewrite exchange_big; apply: big1 => i ie; apply: centred_orthogonal => a k.
  by rewrite /centred !set_edge_other // eq_sym.
transitivity (mean p (fun a => centred e a ^+ 2 * score_norm (a e)) +
    mean p (fun a => score_norm (a e) * rest a ^+ 2) +
    2%:R * mean p (fun a => rest a * (centred e a * score_norm (a e)))); last by rewrite cross mulr0 addr0.
rewrite -meanZ -!meanD; apply: mean_ext => a.
by rewrite whole; move: (rest a) (centred e a) => s t; ring.
Qed.

(* Credit wins on edge e exactly when the other edges vary enough. *)
Theorem T7_additive :
  (estimate_variance (fun a => additive_loss a - others_loss a) <
   estimate_variance (fun a => additive_loss a - mean p additive_loss)) =
  (2%:R * edge_mean e * (\sum_k p e k * (l e k * score_norm k)) - edge_mean e ^+ 2 * spread <
   (\sum_(i | i != e) edge_variance i) * spread).
Proof.
have othersf : free_of e others_loss by move=> a k; apply: eq_bigr => i ie; rewrite set_edge_other.
rewrite T7_boundary // reinforce_second_moment.
have own : mean p (fun a => (additive_loss a - others_loss a) ^+ 2 * score_norm (a e)) =
    \sum_k p e k * (l e k ^+ 2 * score_norm k).
  rewrite -mean_edge //; apply: mean_ext => a.
  by rewrite /additive_loss (bigD1 e) //= addrK.
have centred_own : mean p (fun a => centred e a ^+ 2 * score_norm (a e)) =
    \sum_k p e k * (l e k ^+ 2 * score_norm k) -
    (2%:R * edge_mean e * (\sum_k p e k * (l e k * score_norm k)) - edge_mean e ^+ 2 * spread).
  rewrite /centred; move: (edge_mean e) => m.
  rewrite -score_norm_sum !mulr_sumr -!sumrB.
  rewrite (mean_edge (fun k => (l e k - m) ^+ 2 * score_norm k)) //.
  by apply: eq_bigr => k _; ring.
rewrite own centred_own [spread * _]mulrC -addrA ltr_addl.
by rewrite addrC subr_gt0.
Qed.
End Additive.
End Variance.
