(******************************************************************************)
(* Edges with different numbers of operations.                                *)
(*                                                                            *)
(* In words. The other files give every edge the same type of candidates.     *)
(* Here edge e has a type K e of its own, an architecture is a dependent      *)
(* function, and a policy has one distribution an edge. As in the code, such  *)
(* a cell is laid into a table: `code e` sends the operations of e, without   *)
(* confusing two, into one type T, and every entry that stands for no         *)
(* operation has probability zero. Then means, values, gradients, softmax and *)
(* steps are those of the table (`mean_pad` and what follows it), so what the *)
(* other files prove holds for ragged cells, too. Stated for them here:       *)
(* - T4: E[L (a_e - p_e)] = p_e (q_e - J);                                    *)
(* - T1: the joint step eps (c - J) <= 1 keeps a policy, J does not rise;     *)
(* - T8: J(theta - eta gradient) <= J - eta (1 - eta C / 2) ||gradient||^2    *)
(*   with C = Delta (n - 1) / (3n - 2), n = max(E, 2);                        *)
(* - T9: the exponentiated step of all edges does not raise J, eta lambda <= 8*)
(*   with no eigenvalue of the matrix of interactions above lambda.           *)
(* T is any finite type with room; one such is the type of all pairs of an    *)
(* edge and one of its operations (`tagged`), so none need be supposed.       *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import reals sequences exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased OneEdge Spread Monotone Smooth Exponentiated Eigenvalue.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ definitions *)

Notation ragged K := {dffun forall e, K e}.

Section Definitions.
Variables (R : realFieldType) (E : finType) (K : E -> finType).
Implicit Types (p : forall e, K e -> R) (a : ragged K) (L : ragged K -> R).

Definition ragged_policy p := (forall e k, 0 <= p e k) /\ (forall e, \sum_k p e k = 1).
Definition ragged_probability p a : R := \prod_e p e (a e).
Definition ragged_mean p L : R := \sum_a ragged_probability p a * L a.

(* a with edge e set to k. *)
Definition ragged_set a e (k : K e) : ragged K :=
  [ffun i => match e =P i with ReflectT same => eq_rect e (fun j => K j) k i same | ReflectF _ => a i end].

Definition ragged_value p L e (k : K e) : R := ragged_mean p (fun a => L (ragged_set a k)).
Definition ragged_gradient p L e (k : K e) : R := p e k * (ragged_value p L k - ragged_mean p L).
Definition ragged_step p L (eps : R) e (k : K e) : R := p e k - eps * ragged_gradient p L k.
End Definitions.

(* ------------------------------------------------------------ into one table *)

Section Pad.
Variables (R : realFieldType) (E T : finType) (K : E -> finType) (code : forall e, K e -> T).
Hypothesis code_inj : forall e, injective (@code e).
Implicit Types (p g : forall e, K e -> R) (a : ragged K) (b : architecture E T) (L : ragged K -> R).

Definition pad_choice a : architecture E T := [ffun e => code (a e)].
Definition pad g e (t : T) : R := \sum_(k | code k == t) g e k.
Definition pad_loss L b : R := if [pick a | pad_choice a == b] is Some a then L a else 0.

Lemma pad_code g e (k : K e) : pad g e (code k) = g e k.
Proof. by rewrite /pad (big_pred1 k) // => j; rewrite (inj_eq (@code_inj e)). Qed.

Lemma pad_nothing g e t : (forall k : K e, code k != t) -> pad g e t = 0.
Proof. by move=> none; rewrite /pad big1 // => k /eqP same; have := none k; rewrite same eqxx. Qed.

Lemma codeP e t : (exists k : K e, t = code k) \/ (forall k : K e, code k != t).
Proof.
have [/existsP [k /eqP <-]|/existsPn none] := boolP [exists k : K e, code k == t]; first by left; exists k.
by right.
Qed.

Lemma sum_pad e (F : T -> R) (h : K e -> R) : (forall k, F (code k) = h k) ->
  (forall t, (forall k : K e, code k != t) -> F t = 0) -> \sum_t F t = \sum_k h k.
Proof.
move=> here there; rewrite [RHS](partition_big (@code e) xpredT) //=; apply: eq_bigr => t _.
have [[k ->]|none] := codeP e t; last first.
  by rewrite there // big1 // => k /eqP same; have := none k; rewrite same eqxx.
by rewrite here (big_pred1 k) // => j; rewrite (inj_eq (@code_inj e)).
Qed.

Lemma pad_choice_inj : injective pad_choice.
Proof. by move=> a b /ffunP same; apply/ffunP => e; have := same e; rewrite !ffunE => /code_inj. Qed.

Lemma pad_lossE L a : pad_loss L (pad_choice a) = L a.
Proof. by rewrite /pad_loss; case: pickP => [b /eqP /pad_choice_inj ->|/(_ a)] //; rewrite eqxx. Qed.

Lemma pad_probability p a : probability (pad p) (pad_choice a) = ragged_probability p a.
Proof. by apply: eq_bigr => e _; rewrite ffunE pad_code. Qed.

(* What stands for no architecture has probability zero. *)
Lemma choiceP p b : (exists a, b = pad_choice a) \/ probability (pad p) b = 0.
Proof.
have [/existsP [e /forallP none]|/existsPn all] := boolP [exists e, [forall k : K e, code k != b e]].
  by right; rewrite /probability (bigD1 e) //= pad_nothing ?mul0r.
have some e : exists k : K e, code k == b e by have /forallPn [k] := all e; rewrite negbK; exists k.
left; exists [ffun e => xchoose (some e)]; apply/ffunP => e; rewrite !ffunE.
by rewrite (eqP (xchooseP (some e))).
Qed.

Theorem mean_pad p L (F : architecture E T -> R) : (forall a, F (pad_choice a) = L a) ->
  mean (pad p) F = ragged_mean p L.
Proof.
move=> same; rewrite /mean /ragged_mean [RHS](partition_big pad_choice xpredT) //=; apply: eq_bigr => b _.
have [[a ->]|none] := choiceP p b.
  by rewrite pad_probability same (big_pred1 a) // => a'; rewrite (inj_eq pad_choice_inj).
rewrite none mul0r big1 // => a /eqP ab.
by rewrite -pad_probability ab none mul0r.
Qed.

Lemma pad_policy p : ragged_policy p -> policy (pad p).
Proof.
move=> [p0 p1]; split=> [e t|e]; first by apply: sumr_ge0.
rewrite -(p1 e); apply: sum_pad => [k|t]; [exact: pad_code|exact: pad_nothing].
Qed.

Lemma pad_support p b : 0 < probability (pad p) b -> exists2 a, b = pad_choice a & 0 < ragged_probability p a.
Proof.
have [[a ->]|->] := choiceP p b; last by rewrite ltxx.
by rewrite pad_probability; exists a.
Qed.

Lemma pad_set a e (k : K e) : set_edge (pad_choice a) e (code k) = pad_choice (ragged_set a k).
Proof.
apply/ffunP => i; rewrite !ffunE eq_sym; case: (e =P i) => [same|//].
by case: _ / same.
Qed.

Lemma pad_value p L e (k : K e) : value (pad p) (pad_loss L) e (code k) = ragged_value p L k.
Proof. by apply: mean_pad => a; rewrite pad_set pad_lossE. Qed.

Lemma pad_gradient p L e (k : K e) : gradient (pad p) (pad_loss L) e (code k) = ragged_gradient p L k.
Proof. by rewrite /gradient pad_code pad_value (mean_pad _ (pad_lossE L)). Qed.

Lemma pad_gradient0 p L e t : (forall k : K e, code k != t) -> gradient (pad p) (pad_loss L) e t = 0.
Proof. by move=> none; rewrite /gradient pad_nothing ?mul0r. Qed.

(* E[L (a_e - p_e)] = p_e (q_e - J). *)
Lemma pad_score_identity p L e (k : K e) : ragged_policy p ->
  ragged_mean p (fun a => L a * ((a e == k)%:R - p e k)) = ragged_gradient p L k.
Proof.
move=> pol; have [_ p1] := pad_policy pol; rewrite -pad_gradient -T4_score_identity //.
apply: esym; apply: mean_pad => a.
by rewrite pad_lossE /score /gate pad_code ffunE (inj_eq (@code_inj e)).
Qed.

Lemma pad_step p L eps e t :
  natural_step (pad p) (gradient (pad p) (pad_loss L)) eps e t = pad (fun e k => ragged_step p L eps k) e t.
Proof.
rewrite /natural_step; have [[k ->]|none] := codeP e t; first by rewrite !pad_code pad_gradient.
by rewrite !pad_nothing // pad_gradient0 // mulr0 subrr.
Qed.

Lemma policy_of_pad p : policy (pad p) -> ragged_policy p.
Proof.
move=> [p0 p1]; split=> [e k|e]; first by have := p0 e (code k); rewrite pad_code.
rewrite -(p1 e); apply: esym; apply: sum_pad => [k|t]; [exact: pad_code|exact: pad_nothing].
Qed.
End Pad.

(* A table that is always there: all pairs of an edge and one of its operations. *)
Section Tagged.
Variables (E : finType) (K : E -> finType).
Definition tagged_code e (k : K e) : [finType of {e : E & K e}] := existT (fun j => K j : Type) e k.

Lemma tagged_code_inj e : injective (@tagged_code e).
Proof. by move=> j k /eqP same; apply/eqP; rewrite -(@eq_Tagged E (fun i => [eqType of K i]) (tagged_code j) k). Qed.
End Tagged.

(* ------------------------------------------------------------ T4 and T1 *)

Section Finite.
Variables (R : realFieldType) (E : finType) (K : E -> finType).

Theorem T4_ragged (p : forall e, K e -> R) (L : ragged K -> R) e (k : K e) : ragged_policy p ->
  ragged_mean p (fun a => L a * ((a e == k)%:R - p e k)) = ragged_gradient p L k.
Proof. exact: (pad_score_identity (@tagged_code_inj E K)). Qed.
End Finite.

Section Ragged.
Variables (R : realType) (E : finType) (K : E -> finType) (L : ragged K -> R).
Let code_inj := @tagged_code_inj E K.
Let table (g : forall e, K e -> R) := pad (@tagged_code E K) g.
Let loss := pad_loss (@tagged_code E K) L.

Lemma lossE a : loss (pad_choice (@tagged_code E K) a) = L a.
Proof. exact: (pad_lossE code_inj). Qed.

Theorem T1_ragged (p : forall e, K e -> R) (c eps : R) : ragged_policy p ->
  (forall a, 0 < ragged_probability p a -> L a <= c) -> 0 <= eps -> eps * (c - ragged_mean p L) <= 1 ->
  let p' e k := ragged_step p L eps k in ragged_policy p' /\ ragged_mean p' L <= ragged_mean p L.
Proof.
move=> pol Lc eps0 small p'.
have J : mean (table p) loss = ragged_mean p L := mean_pad code_inj p lossE.
have J' : mean (table p') loss = ragged_mean p' L := mean_pad code_inj p' lossE.
have bound b : 0 < probability (table p) b -> loss b <= c.
  by move=> /(pad_support code_inj) [a -> Pa]; rewrite lossE Lc.
have same e t : joint_step (table p) loss eps e t = table p' e t := pad_step code_inj p L eps e t.
have small' : eps * (c - mean (table p) loss) <= 1 by rewrite J.
have [[new0 new1]] := T1_monotone (pad_policy code_inj pol) bound eps0 small'.
rewrite (mean_policy_ext loss same) J J' => fall; split=> //; apply: (policy_of_pad code_inj).
rewrite -/(table p'); split=> [e t|e]; first by rewrite -same.
by rewrite -(new1 e); apply: eq_bigr => t _; rewrite same.
Qed.

(* ------------------------------------------------------------ T8 *)

Hypothesis inhabited : forall e, (0 < #|K e|)%N.
Variables (lo hi : R).
Hypothesis range : forall a, lo <= L a <= hi.
Implicit Types (theta : forall e, K e -> R).

Definition ragged_softmax theta e (k : K e) : R := expR (theta e k) / \sum_j expR (theta e j).
Definition ragged_loss_at theta := ragged_mean (ragged_softmax theta) L.
Definition ragged_gradient_at theta e (k : K e) : R := ragged_gradient (ragged_softmax theta) L k.
Definition ragged_norm2 theta := \sum_e \sum_k theta e k ^+ 2.

Let mask := table (fun _ _ => 1).

Lemma mask_ge0 e t : 0 <= mask e t.
Proof. by apply: sumr_ge0 => k _; apply: ler01. Qed.

Lemma mask_sum_gt0 e : 0 < \sum_t mask e t.
Proof.
have -> : \sum_t mask e t = \sum_(k : K e) 1.
  by apply: (sum_pad code_inj) => [k|t]; [exact: (pad_code code_inj)|exact: pad_nothing].
by rewrite sumr_const ltr0n inhabited.
Qed.

Lemma softmax_pad theta e t : softmax mask (table theta) e t = table (ragged_softmax theta) e t.
Proof.
have denominator : \sum_j mask e j * expR (table theta e j) = \sum_j expR (theta e j).
  apply: (sum_pad code_inj) => [k|u none]; rewrite /mask /table.
    by rewrite !(pad_code code_inj) mul1r.
  by rewrite pad_nothing // mul0r.
rewrite /softmax denominator /mask /table.
have [[k ->]|none] := codeP (@tagged_code E K) e t; first by rewrite !(pad_code code_inj) mul1r.
by rewrite !pad_nothing // !mul0r.
Qed.

Theorem T8_ragged theta eta : 0 <= eta ->
  ragged_loss_at (fun e k => theta e k - eta * ragged_gradient_at theta k) <=
  ragged_loss_at theta - eta * (1 - eta * smoothness E lo hi / 2%:R) * ragged_norm2 (ragged_gradient_at theta).
Proof.
move=> eta0; pose g := ragged_gradient_at theta.
have J theta' : loss_at mask loss (table theta') = ragged_loss_at theta'.
  by rewrite /loss_at (mean_policy_ext loss (softmax_pad theta')); exact: (mean_pad code_inj _ lossE).
have bound b : allowed mask b -> lo <= loss b <= hi.
  move=> /(allowed_softmax mask_ge0 mask_sum_gt0 (table theta)).
  have -> : probability (softmax mask (table theta)) b = probability (table (ragged_softmax theta)) b.
    by apply: eq_bigr => e _; exact: softmax_pad.
  by move=> /(pad_support code_inj) [a -> _]; rewrite lossE.
have gE e t : gradient_at mask loss (table theta) e t = table g e t.
  have -> : gradient_at mask loss (table theta) e t = gradient (table (ragged_softmax theta)) loss e t.
    by rewrite /gradient_at /gradient /value softmax_pad !(mean_policy_ext _ (softmax_pad theta)).
  rewrite /table /loss; have [[k ->]|none] := codeP (@tagged_code E K) e t.
    by rewrite (pad_gradient code_inj) (pad_code code_inj).
  by rewrite pad_gradient0 // pad_nothing.
have norm : norm2 (gradient_at mask loss (table theta)) = ragged_norm2 g.
  rewrite /norm2 /inner /ragged_norm2; apply: eq_bigr => e _.
  apply: (sum_pad code_inj) => [k|t none]; rewrite !gE /table.
    by rewrite (pad_code code_inj) expr2.
  by rewrite pad_nothing // mul0r.
have step e t : gradient_step mask loss (table theta) eta e t = table (fun e k => theta e k - eta * g e k) e t.
  rewrite /gradient_step /add_logits /scale_logits gE /table.
  have [[k ->]|none] := codeP (@tagged_code E K) e t; first by rewrite !(pad_code code_inj) mulNr.
  by rewrite !pad_nothing // mulr0 addr0.
have := T8_any_step mask_ge0 mask_sum_gt0 bound (table theta) eta0.
by rewrite norm J (loss_ext mask loss step) J.
Qed.

(* ------------------------------------------------------------ T9 *)

Definition ragged_exponentiated (p : forall e, K e -> R) (eta : R) e (k : K e) : R :=
  p e k * expR (- (eta * ragged_value p L k)) / \sum_j p e j * expR (- (eta * ragged_value p L j)).

(* I bounds all pair interactions. *)
Definition ragged_interactions (I : E -> E -> R) := forall i j (a : ragged K) (k k' : K i) (l l' : K j), i != j ->
  `|L (ragged_set (ragged_set a k) l) - L (ragged_set (ragged_set a k') l)
    - L (ragged_set (ragged_set a k) l') + L (ragged_set (ragged_set a k') l')| <= I i j.

Theorem T9_ragged (p : forall e, K e -> R) (I : E -> E -> R) (lambda eta : R) : ragged_policy p -> 0 < eta ->
  ragged_interactions I -> (forall i j, I i j = I j i) ->
  (forall m, eigenvalue (interaction_matrix I (enum E)) m -> m <= lambda) -> eta * lambda <= 8%:R ->
  ragged_mean (fun e k => ragged_exponentiated p eta k) L <= ragged_mean p L.
Proof.
move=> pol eta0 bounded sym top small; pose p' e (k : K e) := ragged_exponentiated p eta k.
have J : mean (table p) loss = ragged_mean p L := mean_pad code_inj p lossE.
have J' : mean (table p') loss = ragged_mean p' L := mean_pad code_inj p' lossE.
have real i t : 0 < table p i t -> exists k : K i, t = tagged_code k.
  by case: (codeP (@tagged_code E K) i t) => [//|none]; rewrite /table pad_nothing // ltxx.
have bound : interaction_bound (table p) loss I.
  move=> i j b k k' l l' ij /(pad_support code_inj) [a -> _] /real [x ->] /real [x' ->] /real [y ->] /real [y' ->].
  by rewrite /second_difference !pad_set !lossE; apply: bounded.
have same e t : exponentiated (table p) loss eta (enum E) e t = table p' e t.
  have denominator : \sum_j table p e j * expR (- (eta * value (table p) loss e j)) =
      \sum_j p e j * expR (- (eta * ragged_value p L j)).
    apply: (sum_pad code_inj) => [k|u none]; rewrite /table /loss.
      by rewrite (pad_code code_inj) (pad_value code_inj).
    by rewrite pad_nothing // mul0r.
  have -> : exponentiated (table p) loss eta (enum E) e t = exponentiated_row (table p) loss eta e t.
    by rewrite /exponentiated mem_enum.
  rewrite /exponentiated_row denominator /table /loss.
  have [[k ->]|none] := codeP (@tagged_code E K) e t; first by rewrite !(pad_code code_inj) (pad_value code_inj).
  by rewrite !pad_nothing // !mul0r.
have := T9_block_eigenvalue (pad_policy code_inj pol) eta0 (enum_uniq E) bound sym top small.
by rewrite (mean_policy_ext loss same) J J'.
Qed.
End Ragged.
