(******************************************************************************)
(* The product policy, and resampling one edge.                               *)
(*                                                                            *)
(* In words. An architecture gives each edge e of the cell one candidate      *)
(* operation k. A policy p draws the edges independently: edge e takes k with *)
(* probability p e k, so an architecture a has probability                    *)
(* P(a) = prod_e p e (a e), and the mean of f is E_p[f] = sum_a P(a) f(a).    *)
(* `value p L e k` is q_ek, the mean loss when edge e is set to k.            *)
(*                                                                            *)
(* One fact carries the whole development (`resample`): drawing an            *)
(* architecture and then drawing edge e once more changes no mean.            *)
(*                                                                            *)
(* Domain. E and K are any finite types; R is any ordered field: the reals of *)
(* the theorems and the rationals of the computed examples alike.             *)
(* All edges share the type K of candidates, as the arrays (..., E, K) of the *)
(* code do. An edge with fewer candidates pads its row with operations of     *)
(* probability zero: every theorem of the development holds for p >= 0, zeros *)
(* included, and asks nothing of losses at architectures of probability zero, *)
(* except where it speaks of gates that are not one-hot (Curvature, and T5's  *)
(* affine_in_edge). Ragged.v proves that such a table says the same as edges  *)
(* with types of candidates of their own.                                     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ definitions *)

Notation architecture E K := {ffun E -> K}.

Section Definitions.
Variables (R : realFieldType) (E K : finType).
Implicit Types (p : E -> K -> R) (a : architecture E K) (L f : architecture E K -> R).

(* Each row of p is a probability vector. *)
Definition policy p := (forall e k, 0 <= p e k) /\ (forall e, \sum_k p e k = 1).

(* P(a), and E_p[f]. *)
Definition probability p a : R := \prod_e p e (a e).
Definition mean p f : R := \sum_a probability p a * f a.

(* a with edge e set to k. *)
Definition set_edge a e k : architecture E K := [ffun i => if i == e then k else a i].

(* q_ek = E[L | a_e = k], also where p e k = 0. *)
Definition value p L e k : R := mean p (fun a => L (set_edge a e k)).

(* The gradient in the logits = the natural gradient in the probabilities. *)
Definition gradient p L e k : R := p e k * (value p L e k - mean p L).

(* a as one-hot gates, and the score of edge e, gates - p. *)
Definition gate a e k : R := (a e == k)%:R.
Definition score p a e k : R := gate a e k - p e k.

(* f does not depend on what edge e does. *)
Definition free_of e (f : architecture E K -> R) := forall a k, f (set_edge a e k) = f a.

(* p with row e replaced by r. *)
Definition set_row p e (r : K -> R) : E -> K -> R := fun i => if i == e then r else p i.
End Definitions.

(* ------------------------------------------------------- sums over one row *)

Section OneRow.
Variables (R : realFieldType) (K : finType).
Implicit Types (r g : K -> R).

Lemma sum_indicator g j : \sum_k (j == k)%:R * g k = g j.
Proof.
rewrite (bigD1 j) //= eqxx mul1r big1 ?addr0 // => k /negPf.
by rewrite eq_sym => ->; rewrite mul0r.
Qed.

Lemma sum_indicator_sym g k : \sum_j g j * (j == k)%:R = g k.
Proof.
rewrite -(sum_indicator g k); apply: eq_bigr => j _.
by rewrite mulrC eq_sym.
Qed.

(* E_r[1[j = k] - r_k] = 0. *)
Lemma mean_indicator_centred r k : \sum_j r j = 1 -> \sum_j r j * ((j == k)%:R - r k) = 0.
Proof.
move=> r1; under eq_bigr do rewrite mulrBr.
by rewrite sumrB sum_indicator_sym -mulr_suml r1 mul1r subrr.
Qed.

(* Something has positive probability. *)
Lemma some_positive r : (forall k, 0 <= r k) -> \sum_k r k = 1 -> exists k, 0 < r k.
Proof.
move=> r0 r1; apply/existsP; rewrite -[X in is_true X]negbK negb_exists; apply/negP => /forallP none.
have := r1; rewrite big1 => [/esym/eqP|k _]; first by rewrite oner_eq0.
by apply/eqP; rewrite eq_le r0 andbT leNgt none.
Qed.

(* One inequality follows from another when the difference of its sides does. *)
Lemma ler_by_difference (x y u v : R) : x <= y -> v - u = y - x -> u <= v.
Proof. by move=> xy same; rewrite -subr_ge0 same subr_ge0. Qed.
End OneRow.

(* ------------------------------------------------------------ set_edge *)

Section SetEdge.
Variables (E K : finType).
Implicit Types (a : architecture E K).

Lemma set_edge_at a e k : set_edge a e k e = k.
Proof. by rewrite ffunE eqxx. Qed.

Lemma set_edge_other a e k f : f != e -> set_edge a e k f = a f.
Proof. by rewrite ffunE => /negPf ->. Qed.

Lemma set_edge_id a e : set_edge a e (a e) = a.
Proof. by apply/ffunP => f; rewrite ffunE; case: eqP => [->|]. Qed.

Lemma set_edge_twice a e j k : set_edge (set_edge a e j) e k = set_edge a e k.
Proof. by apply/ffunP => f; rewrite !ffunE; case: eqP. Qed.
End SetEdge.

(* ------------------------------------------------------------ means *)

Section Means.
Variables (R : realFieldType) (E K : finType).
Implicit Types (p : E -> K -> R) (a : architecture E K) (L f g : architecture E K -> R).

Lemma mean_ext p f g : (forall a, f a = g a) -> mean p f = mean p g.
Proof. by move=> fg; apply: eq_bigr => a _; rewrite fg. Qed.

Lemma mean_policy_ext p p' f : (forall e k, p e k = p' e k) -> mean p f = mean p' f.
Proof. by move=> same; apply: eq_bigr => a _; congr (_ * _); apply: eq_bigr => e _. Qed.

Lemma meanD p f g : mean p (fun a => f a + g a) = mean p f + mean p g.
Proof. by rewrite -big_split; apply: eq_bigr => a _; rewrite mulrDr. Qed.

Lemma meanN p f : mean p (fun a => - f a) = - mean p f.
Proof. by rewrite -sumrN; apply: eq_bigr => a _; rewrite mulrN. Qed.

Lemma meanB p f g : mean p (fun a => f a - g a) = mean p f - mean p g.
Proof. by rewrite meanD meanN. Qed.

Lemma meanZ p c f : mean p (fun a => c * f a) = c * mean p f.
Proof. by rewrite mulr_sumr; apply: eq_bigr => a _; rewrite mulrCA. Qed.

Lemma meanZr p c f : mean p (fun a => f a * c) = mean p f * c.
Proof. by rewrite mulr_suml; apply: eq_bigr => a _; rewrite mulrA. Qed.

Lemma mean_sum (I : finType) p (F : I -> architecture E K -> R) :
  mean p (fun a => \sum_i F i a) = \sum_i mean p (F i).
Proof. by rewrite exchange_big; apply: eq_bigr => a _; rewrite mulr_sumr. Qed.

Lemma sum_probability p : (forall e, \sum_k p e k = 1) -> \sum_a probability p a = 1.
Proof. by move=> p1; rewrite /probability -bigA_distr_bigA big1. Qed.

Lemma mean_const p c : (forall e, \sum_k p e k = 1) -> mean p (fun=> c) = c.
Proof. by move=> p1; rewrite /mean -mulr_suml sum_probability // mul1r. Qed.

Lemma probability_ge0 p a : (forall e k, 0 <= p e k) -> 0 <= probability p a.
Proof. by move=> p0; apply: prodr_ge0. Qed.

(* Where P(a) > 0, every edge's operation has positive probability. *)
Lemma probability_gt0 p a : (forall e k, 0 <= p e k) -> 0 < probability p a -> forall e, 0 < p e (a e).
Proof.
move=> p0 Pa e; rewrite lt0r p0 andbT; apply/eqP => pe0.
by move: Pa; rewrite /probability (bigD1 e) //= pe0 mul0r ltxx.
Qed.

Lemma mean_ge0 p f : (forall e k, 0 <= p e k) -> (forall a, 0 < probability p a -> 0 <= f a) -> 0 <= mean p f.
Proof.
move=> p0 f0; apply: sumr_ge0 => a _; have := probability_ge0 a p0.
by rewrite le_eqVlt => /orP [/eqP <-|Pa]; rewrite ?mul0r // mulr_ge0 ?f0 // ltW.
Qed.

Lemma mean_le p f g : (forall e k, 0 <= p e k) -> (forall a, 0 < probability p a -> f a <= g a) ->
  mean p f <= mean p g.
Proof. by move=> p0 fg; rewrite -subr_ge0 -meanB mean_ge0 // => a /fg; rewrite subr_ge0. Qed.

Lemma mean_norm p f : (forall e k, 0 <= p e k) -> `|mean p f| <= mean p (fun a => `|f a|).
Proof.
move=> p0; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => a _.
by rewrite normrM ger0_norm ?probability_ge0.
Qed.

(* ------------------------------------------------------------ resampling *)

(* P(a with e at k) p_e(a_e) = P(a) p_e(k): the involution behind `resample`. *)
Lemma probability_set_edge p a e k : probability p (set_edge a e k) * p e (a e) = probability p a * p e k.
Proof.
rewrite /probability (bigD1 e) //= [\prod_i p i (a i)](bigD1 e) //= set_edge_at.
rewrite (eq_bigr (fun i => p i (a i))) => [|i ie]; first by ring.
by rewrite set_edge_other.
Qed.

Lemma probability_set_edge_gt0 p a e k : (forall e k, 0 <= p e k) -> 0 < probability p a -> 0 < p e k ->
  0 < probability p (set_edge a e k).
Proof.
move=> p0 Pa pk; rewrite -(pmulr_lgt0 _ (probability_gt0 p0 Pa e)) probability_set_edge.
by rewrite mulr_gt0.
Qed.

Lemma sum_swap_edge (F : architecture E K -> K -> R) e :
  \sum_a \sum_k F (set_edge a e k) (a e) = \sum_a \sum_k F a k.
Proof.
pose swap (x : architecture E K * K) := (set_edge x.1 e x.2, x.1 e).
have swapK : involutive swap.
  by move=> [a k]; rewrite /swap /= set_edge_at set_edge_twice set_edge_id.
rewrite !pair_big /= [RHS](reindex swap) /=; first by apply: eq_bigr => -[a k].
by exists swap => x _; apply: swapK.
Qed.

(* E_p[f] = E_p[sum_k p_ek f(a with e at k)]. *)
Theorem resample p f e : \sum_k p e k = 1 ->
  mean p f = mean p (fun a => \sum_k p e k * f (set_edge a e k)).
Proof.
move=> p1.
transitivity (\sum_a \sum_k probability p a * p e k * f a).
  by apply: eq_bigr => a _; rewrite -mulr_suml -mulr_sumr p1 mulr1.
rewrite -(sum_swap_edge _ e); apply: eq_bigr => a _; rewrite mulr_sumr.
by apply: eq_bigr => k _; rewrite probability_set_edge mulrA.
Qed.

(* A function of edge e's operation alone, times one that is free of edge e. *)
Lemma mean_split p (h : K -> R) f e : \sum_k p e k = 1 -> free_of e f ->
  mean p (fun a => h (a e) * f a) = (\sum_k p e k * h k) * mean p f.
Proof.
move=> p1 fe; rewrite (resample _ p1) -meanZ; apply: mean_ext => a.
by rewrite mulr_suml; apply: eq_bigr => k _; rewrite set_edge_at fe mulrA.
Qed.

Lemma mean_edge p (h : K -> R) e : (forall i, \sum_k p i k = 1) ->
  mean p (fun a => h (a e)) = \sum_k p e k * h k.
Proof.
move=> p1; rewrite -[RHS]mulr1 -(mean_const 1 p1) -(mean_split h (p1 e)) //.
by apply: mean_ext => a; rewrite mulr1.
Qed.

(* E_p[L 1[a_e = k]] = p_ek q_ek. *)
Lemma mean_gate p L e k : \sum_j p e j = 1 -> mean p (fun a => L a * gate R a e k) = p e k * value p L e k.
Proof.
move=> p1; rewrite (resample _ p1) /value -meanZ; apply: mean_ext => a.
under eq_bigr do rewrite /gate set_edge_at mulrA.
by rewrite sum_indicator_sym.
Qed.

(* J is the mean of q_e under row e. *)
Lemma mean_value p L e : \sum_k p e k = 1 -> mean p L = \sum_k p e k * value p L e k.
Proof. by move=> p1; rewrite (resample _ p1) mean_sum; apply: eq_bigr => k _; rewrite meanZ. Qed.

(* The mean of a function that is free of edge e does not see row e of p. *)
Lemma mean_set_row_free p e r f : \sum_k p e k = 1 -> \sum_k r k = 1 -> free_of e f ->
  mean (set_row p e r) f = mean p f.
Proof.
move=> p1 r1 fe; have row a k : probability (set_row p e r) a * p e k = r (a e) * probability p (set_edge a e k).
  rewrite /probability (bigD1 e) //= [\prod_i p i _](bigD1 e) //= set_edge_at /set_row eqxx.
  rewrite (eq_bigr (fun i => p i (a i))) => [|i /negPf ie]; last by rewrite ie.
  rewrite [X in _ = _ * (_ * X)](eq_bigr (fun i => p i (a i))) => [|i ie]; first by ring.
  by rewrite set_edge_other.
transitivity (\sum_(a : architecture E K) \sum_k r (a e) * (probability p (set_edge a e k) * f (set_edge a e k))).
  apply: eq_bigr => a _; rewrite -[LHS]mulr1 -p1 mulr_sumr; apply: eq_bigr => k _.
  by rewrite fe !mulrA -row; ring.
rewrite (sum_swap_edge (fun a k => r k * (probability p a * f a)) e).
by apply: eq_bigr => a _; rewrite -mulr_suml r1 mul1r.
Qed.

(* q_e does not see row e of p, so J is affine in each row. *)
Lemma value_set_row p L e r k : \sum_j p e j = 1 -> \sum_j r j = 1 ->
  value (set_row p e r) L e k = value p L e k.
Proof. by move=> p1 r1; apply: mean_set_row_free => // a j; rewrite set_edge_twice. Qed.

Lemma mean_set_row p L e r : \sum_j p e j = 1 -> \sum_j r j = 1 ->
  mean (set_row p e r) L = \sum_k r k * value p L e k.
Proof.
move=> p1 r1; have r1' : \sum_k set_row p e r e k = 1 by rewrite /set_row eqxx.
rewrite (mean_value _ r1'); apply: eq_bigr => k _.
by rewrite value_set_row // /set_row eqxx.
Qed.
End Means.
