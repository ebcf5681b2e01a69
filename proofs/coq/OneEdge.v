(******************************************************************************)
(* T2: the natural-gradient step of one edge lowers J by exactly eps Var(q).  *)
(*                                                                            *)
(* In words. Move row e alone, p'_e = p_e - eps p_e (q_e - J). J is affine in *)
(* each row, J = sum_k p_ek q_ek with q_e free of row e, so                   *)
(*     J(p') = J(p) - eps sum_k p_ek (q_ek - J)^2.                            *)
(* This is an identity for every eps; p' is a policy as long as               *)
(* eps (q_ek - J) <= 1 for every k that p can draw.                           *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* Var_r(g) = sum_k r_k (g_k - E_r[g])^2. *)
Definition variance (R : realFieldType) (K : finType) (r g : K -> R) : R :=
  \sum_k r k * (g k - \sum_j r j * g j) ^+ 2.

Lemma variance_ge0 (R : realFieldType) (K : finType) (r g : K -> R) :
  (forall k, 0 <= r k) -> 0 <= variance r g.
Proof. by move=> r0; apply: sumr_ge0 => k _; rewrite mulr_ge0 ?sqr_ge0. Qed.

Section OneEdge.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (e : E).

(* p with row e moved by eps. *)
Definition move_edge (eps : R) := set_row p e (natural_step p (gradient p L) eps e).

Lemma moved_row_sum eps : \sum_k p e k = 1 -> \sum_k natural_step p (gradient p L) eps e k = 1.
Proof.
move=> p1; rewrite sumrB p1 -mulr_sumr gradient_sum_zero //.
by rewrite mulr0 subr0.
Qed.

Theorem T2_one_edge_step eps : \sum_k p e k = 1 ->
  mean (move_edge eps) L = mean p L - eps * variance (p e) (value p L e).
Proof.
move=> p1; rewrite mean_set_row ?moved_row_sum // /variance -mean_value //.
set J := mean p L; set q := value p L e.
have centred : \sum_k p e k * (q k - J) = 0 by rewrite -[RHS](gradient_sum_zero p1 L).
transitivity (\sum_k (p e k * q k - eps * (p e k * (q k - J) ^+ 2 + J * (p e k * (q k - J))))).
  by apply: eq_bigr => k _; rewrite /natural_step /gradient -/J -/q; ring.
rewrite sumrB -mulr_sumr big_split /= -mulr_sumr centred mulr0 addr0.
by rewrite [J](mean_value L p1).
Qed.

Corollary T2_one_edge_monotone eps : policy p -> 0 <= eps -> mean (move_edge eps) L <= mean p L.
Proof.
move=> [p0 p1] eps0; rewrite T2_one_edge_step // ler_subl_addr ler_addl.
by rewrite mulr_ge0 // variance_ge0.
Qed.

Lemma T2_stays_policy eps : policy p ->
  (forall k, 0 < p e k -> eps * (value p L e k - mean p L) <= 1) -> policy (move_edge eps).
Proof.
move=> [p0 p1] small; split=> [i k|i]; rewrite /move_edge /set_row; case: eqP => // _; last exact: moved_row_sum.
rewrite /natural_step /gradient mulrCA -{1}[p e k]mulr1 -mulrBr.
have [/small ok|/le_gtF np] := ltP 0 (p e k); first by rewrite mulr_ge0 // subr_ge0.
by move: (p0 e k); rewrite le_eqVlt np orbF => /eqP <-; rewrite mul0r.
Qed.
End OneEdge.

(* A cell with one edge only: the step of all its edges. *)
Corollary T2_single_edge_cell (R : realFieldType) (K : finType) (p : unit -> K -> R) (L : architecture _ K -> R) eps :
  \sum_k p tt k = 1 ->
  mean (natural_step p (gradient p L) eps) L = mean p L - eps * variance (p tt) (value p L tt).
Proof.
move=> p1; rewrite -T2_one_edge_step //; apply: eq_bigr => a _; congr (_ * _).
by apply: eq_bigr => -[] _; rewrite /move_edge /set_row eqxx.
Qed.
