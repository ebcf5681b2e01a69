(******************************************************************************)
(* What the newer theorems do not say.                                        *)
(*                                                                            *)
(* In words. Each statement is written out once more, free of its file's      *)
(* sections, with the relation of its conclusion left open. With <= (or =)    *)
(* the theorem is of that type. Turned round, or with a hypothesis dropped, it*)
(* is not: `Fail` compiles only if what follows does not.                     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals sequences exp.
From NAS Require Import Policy Estimators Spread Smooth Information Monotone Exponentiated Eigenvalue Ragged.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Relations.
Variables (R : realType) (E K : finType).
Let le (x y : R) : Prop := x <= y.
Let ge (x y : R) : Prop := y <= x.
Let lt (x y : R) : Prop := x < y.

(* ------------------------------------------------------------ T8 *)

Definition bends (rel : R -> R -> Prop) (mask_asked : Prop) := forall mask : E -> K -> R,
  (forall e k, 0 <= mask e k) -> (mask_asked -> forall e, 0 < \sum_k mask e k) ->
  forall theta v (L : architecture E K -> R) lo hi, (forall a, allowed mask a -> lo <= L a <= hi) ->
  forall t, rel `|line_curvature mask theta v L t| (smoothness E lo hi * direction_norm v).

Definition t8_bends : bends le True :=
  fun mask m0 m1 theta v L lo hi range t => T8_smooth m0 (m1 I) theta v range t.
Fail Definition t8_turned : bends ge True :=
  fun mask m0 m1 theta v L lo hi range t => T8_smooth m0 (m1 I) theta v range t.
Fail Definition t8_strict : bends lt True :=
  fun mask m0 m1 theta v L lo hi range t => T8_smooth m0 (m1 I) theta v range t.
Fail Definition t8_without_mass : bends le False :=
  fun mask m0 m1 theta v L lo hi range t => T8_smooth m0 (m1 I) theta v range t.

(* C is what theory.claims.t8_logit_step.smoothness says, no less. *)
Definition constant (numerator : R -> R) := forall m, (2 <= m)%N ->
  smooth_share R m = numerator m%:R / (3%:R * m%:R - 2%:R).

Definition t8_share : constant (fun n => n - 1).
Proof. by move=> m m2; have [_ share _] := T8_constant R m; exact: share. Qed.
Fail Definition t8_smaller_share : constant (fun n => n - 2%:R) := t8_share.

(* ------------------------------------------------------------ T6 *)

Definition travels (rel : R -> R -> Prop) (lower_asked : Prop) (bound : R -> R -> R -> R) :=
  forall (p_ : nat -> E -> K -> R) (L : architecture E K -> R) c lowest eps_, let J t := mean (p_ t) L in
  policy (p_ 0%N) -> J 0%N < c ->
  (forall a, 0 < probability (p_ 0%N) a -> (lower_asked -> lowest <= L a) /\ L a <= c) ->
  (forall t, 0 < eps_ t /\ eps_ t * (c - J t) <= 1) ->
  (forall t e k, p_ t.+1 e k = joint_step (p_ t) L (eps_ t) e k) ->
  forall d n, (forall t, eps_ t * (c - J t) <= d) ->
  rel (\sum_(0 <= t < n) policy_kl (p_ t.+1) (p_ t)) (bound d (c - lowest) (c - J 0%N)).

Definition logarithm (d x y : R) : R := d * ln (x / y).

Lemma t6_travels : travels le True logarithm.
Proof.
move=> p_ L c lowest eps_ J pol gap range steps moves d n shares.
by apply: (T6_kl_logarithm pol gap _ steps moves) => // a /range [low high]; rewrite (low I) high.
Qed.
Fail Definition t6_turned : travels ge True logarithm := t6_travels.
Fail Definition t6_without_lowest : travels le False logarithm := t6_travels.
Fail Definition t6_half : travels le True (fun d x y => d / 2%:R * ln (x / y)) := t6_travels.

(* ------------------------------------------------------------ T9 *)

Definition lowers (rel : R -> R -> Prop) (range : R) (eigen_asked : Prop) :=
  forall (p : E -> K -> R) (L : architecture E K -> R) eta, policy p -> 0 < eta -> forall lambda,
  (eigen_asked -> forall m, eigenvalue (interactions L) m -> m <= lambda) -> eta * lambda <= range ->
  rel (mean (exponentiated_row p L eta) L) (mean p L).

Definition t9_lowers : lowers le 8%:R True :=
  fun p L eta pol eta0 lambda top small => T9_largest_eigenvalue pol eta0 (top I) small.
Fail Definition t9_turned : lowers ge 8%:R True :=
  fun p L eta pol eta0 lambda top small => T9_largest_eigenvalue pol eta0 (top I) small.
Fail Definition t9_longer : lowers le 9%:R True :=
  fun p L eta pol eta0 lambda top small => T9_largest_eigenvalue pol eta0 (top I) small.
Fail Definition t9_without_eigenvalues : lowers le 8%:R False :=
  fun p L eta pol eta0 lambda top small => T9_largest_eigenvalue pol eta0 (top I) small.

Definition one_by_one (rel : R -> R -> Prop) (least : R) := forall (L : architecture E K -> R) p steps, policy p ->
  (forall step, step \in steps -> least < step.2) -> rel (mean (edge_after_edge L p steps) L) (mean p L).

Definition t9_one_by_one : one_by_one le 0 := @T9_edge_after_edge R E K.
Fail Definition t9_one_by_one_turned : one_by_one ge 0 := @T9_edge_after_edge R E K.
Fail Definition t9_uphill_rates : one_by_one le (- 1) := @T9_edge_after_edge R E K.
End Relations.

(* ------------------------------------------------------------ edges with operations of their own *)

Section Ragged.
Variables (R : realType) (E : finType) (K : E -> finType) (L : ragged K -> R).

Definition keeps (rel : R -> R -> Prop) (longest : R) (bound_asked : Prop) :=
  forall (p : forall e, K e -> R) (c eps : R), ragged_policy p ->
  (bound_asked -> forall a, 0 < ragged_probability p a -> L a <= c) ->
  0 <= eps -> eps * (c - ragged_mean p L) <= longest ->
  let p' e k := ragged_step p L eps k in ragged_policy p' /\ rel (ragged_mean p' L) (ragged_mean p L).

Definition t1_keeps : keeps (fun x y => x <= y) 1 True :=
  fun p c eps pol bound eps0 small => T1_ragged pol (bound I) eps0 small.
Fail Definition t1_turned : keeps (fun x y => y <= x) 1 True :=
  fun p c eps pol bound eps0 small => T1_ragged pol (bound I) eps0 small.
Fail Definition t1_longer : keeps (fun x y => x <= y) 2%:R True :=
  fun p c eps pol bound eps0 small => T1_ragged pol (bound I) eps0 small.
Fail Definition t1_without_bound : keeps (fun x y => x <= y) 1 False :=
  fun p c eps pol bound eps0 small => T1_ragged pol (bound I) eps0 small.

Definition scores (f : R -> R) := forall (p : forall e, K e -> R) e (k : K e), ragged_policy p ->
  ragged_mean p (fun a => L a * ((a e == k)%:R - p e k)) = f (ragged_gradient p L k).

Definition t4_scores : scores (fun x => x) := fun p e k => T4_ragged L k.
Fail Definition t4_upside_down : scores (fun x => - x) := fun p e k => T4_ragged L k.

Definition gains (rel : R -> R -> Prop) (part : R) := forall lo hi, (forall e, (0 < #|K e|)%N) ->
  (forall a, lo <= L a <= hi) -> forall theta eta, 0 <= eta ->
  rel (ragged_loss_at L (fun e k => theta e k - eta * ragged_gradient_at L theta k))
    (ragged_loss_at L theta
      - eta * (1 - eta * smoothness E lo hi / part) * ragged_norm2 (ragged_gradient_at L theta)).

Definition t8_gains : gains (fun x y => x <= y) 2%:R :=
  fun lo hi inhabited range theta eta eta0 => T8_ragged inhabited range theta eta0.
Fail Definition t8_gains_turned : gains (fun x y => y <= x) 2%:R :=
  fun lo hi inhabited range theta eta eta0 => T8_ragged inhabited range theta eta0.
Fail Definition t8_gains_more : gains (fun x y => x <= y) 4%:R :=
  fun lo hi inhabited range theta eta eta0 => T8_ragged inhabited range theta eta0.

Definition falls (rel : R -> R -> Prop) (range : R) (eigen_asked : Prop) :=
  forall (p : forall e, K e -> R) (I : E -> E -> R) (lambda eta : R), ragged_policy p -> 0 < eta ->
  ragged_interactions L I -> (forall i j, I i j = I j i) ->
  (eigen_asked -> forall m, eigenvalue (interaction_matrix I (enum E)) m -> m <= lambda) -> eta * lambda <= range ->
  rel (ragged_mean (fun e k => ragged_exponentiated L p eta k) L) (ragged_mean p L).

Definition t9_falls : falls (fun x y => x <= y) 8%:R True :=
  fun p J lambda eta pol eta0 bounded sym top small => T9_ragged pol eta0 bounded sym (top I) small.
Fail Definition t9_falls_turned : falls (fun x y => y <= x) 8%:R True :=
  fun p J lambda eta pol eta0 bounded sym top small => T9_ragged pol eta0 bounded sym (top I) small.
Fail Definition t9_falls_further : falls (fun x y => x <= y) 9%:R True :=
  fun p J lambda eta pol eta0 bounded sym top small => T9_ragged pol eta0 bounded sym (top I) small.
Fail Definition t9_falls_without_eigenvalues : falls (fun x y => x <= y) 8%:R False :=
  fun p J lambda eta pol eta0 bounded sym top small => T9_ragged pol eta0 bounded sym (top I) small.
End Ragged.
