(******************************************************************************)
(* T9 from the largest eigenvalue of the interactions.                        *)
(*                                                                            *)
(* In words. I is the matrix of pair interactions: 0 on the diagonal, and for *)
(* edges i != j the largest |L(k,l) - L(k',l) - L(k,l') + L(k',l')| over all  *)
(* operations k, k' of i and l, l' of j and over what the other edges do. If  *)
(* no eigenvalue of I exceeds lambda and eta lambda <= 8, the exponentiated   *)
(* step of all edges does not raise J. For a block of edges the block of I.   *)
(*                                                                            *)
(* Exponentiated.v asks that x I x' <= lambda ||x||^2. For a symmetric matrix *)
(* A that follows from its eigenvalues (`largest_eigenvalue`). Proof. Let mu  *)
(* be the least number with x A x' <= mu ||x||^2 for all x, and P = mu - A.   *)
(* If P had an inverse, ||x|| <= g ||x P|| for some g, and                    *)
(* ||x P||^2 <= b x P x', because P >= 0 at x - x P / b. So                   *)
(* ||x||^2 <= g^2 b x P x', and a smaller mu would do. P has none: mu is an   *)
(* eigenvalue.                                                                *)
(*                                                                            *)
(* Edge after edge, any rates (`T9_edge_after_edge`): T9_one_edge repeated.   *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import mathcomp_extra boolp classical_sets reals.
From mathcomp Require Import ring.
From NAS Require Import Policy Exponentiated.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.
Local Open Scope classical_set_scope.

(* ------------------------------------------------------------ forms *)

Section Forms.
Variables (R : realType) (n : nat).
Implicit Types (A M P : 'M[R]_n) (x y z : 'rV[R]_n).

Definition form M x y : R := (x *m M *m y^T) 0 0.
Definition square x : R := (x *m x^T) 0 0.

Lemma formE M x : form M x x = \sum_i \sum_j M i j * x 0 i * x 0 j.
Proof.
rewrite /form mxE; under eq_bigr do rewrite !mxE mulr_suml.
rewrite exchange_big; apply: eq_bigr => i _; apply: eq_bigr => j _ /=.
by rewrite [x 0 i * _]mulrC.
Qed.

Lemma squareE x : square x = \sum_i x 0 i ^+ 2.
Proof. by rewrite /square mxE; apply: eq_bigr => i _; rewrite mxE expr2. Qed.

Lemma square_ge0 x : 0 <= square x.
Proof. by rewrite squareE; apply: sumr_ge0 => i _; apply: sqr_ge0. Qed.

Lemma formDl M x y z : form M (x + y) z = form M x z + form M y z.
Proof. by rewrite /form !mulmxDl [LHS]mxE. Qed.

Lemma formZl M t x z : form M (t *: x) z = t * form M x z.
Proof. by rewrite /form -!scalemxAl [LHS]mxE. Qed.

Lemma form_sym M x y : M^T = M -> form M x y = form M y x.
Proof.
move=> sym; have -> : form M x y = (x *m M *m y^T)^T 0 0 by rewrite [RHS]mxE.
by rewrite !trmx_mul trmxK sym mulmxA.
Qed.

Lemma form_line M t x y : M^T = M ->
  form M (x + t *: y) (x + t *: y) = form M x x + 2%:R * t * form M x y + t ^+ 2 * form M y y.
Proof.
move=> sym; rewrite formDl formZl !(form_sym _ (_ + _) sym) !formDl !formZl (form_sym y x sym).
by ring.
Qed.

Lemma formB M N x : form (M - N) x x = form M x x - form N x x.
Proof. by rewrite /form mulmxBr mulmxBl [LHS]mxE [X in _ + X]mxE. Qed.

Lemma form_scalar mu x : form mu%:M x x = mu * square x.
Proof. by rewrite /form mul_mx_scalar -scalemxAl [LHS]mxE. Qed.

(* Every form is bounded, and so is every map. *)
Lemma form_bound M : exists2 b, 0 < b & forall x, form M x x <= b * square x.
Proof.
exists (1 + \sum_i \sum_j `|M i j|) => [|x].
  by rewrite ltr_paddr ?ltr01 // sumr_ge0 // => i _; apply: sumr_ge0.
have at_most i : x 0 i ^+ 2 <= square x.
  by rewrite squareE (bigD1 i) //= ler_addl; apply: sumr_ge0 => j _; apply: sqr_ge0.
apply: (@le_trans _ _ ((\sum_i \sum_j `|M i j|) * square x)); last first.
  by rewrite ler_wpmul2r ?square_ge0 // ler_addr ler01.
rewrite formE mulr_suml; apply: ler_sum => i _; rewrite mulr_suml; apply: ler_sum => j _.
rewrite -mulrA; apply: le_trans (ler_norm _) _; rewrite normrM ler_wpmul2l //.
have half : 0 <= (2%:R^-1 : R) by rewrite invr_ge0 ler0n.
apply: (@le_trans _ _ (2%:R^-1 * (x 0 i ^+ 2 + x 0 j ^+ 2))).
  rewrite ler_norml; apply/andP; split.
    by apply: ler_by_difference (ler_wpmul2l half (sqr_ge0 (x 0 i + x 0 j))) _; field.
  by apply: ler_by_difference (ler_wpmul2l half (sqr_ge0 (x 0 i - x 0 j))) _; field.
apply: ler_by_difference (ler_wpmul2l half (ler_add (at_most i) (at_most j))) _.
by field.
Qed.

Lemma map_bound M : exists2 b, 0 < b & forall x, square (x *m M) <= b * square x.
Proof.
have [b b0 bound] := form_bound (M *m M^T); exists b => // x.
by apply: le_trans (bound x); rewrite /square /form trmx_mul !mulmxA.
Qed.

(* ||x P||^2 <= b x P x' for a form P >= 0 that b bounds. *)
Lemma square_of_form P b : P^T = P -> 0 < b -> (forall x, 0 <= form P x x) -> (forall x, form P x x <= b * square x) ->
  forall x, square (x *m P) <= b * form P x x.
Proof.
move=> sym b0 P0 bound x; set y := x *m P.
have cross : form P x y = square y by [].
have := P0 (x + (- b^-1) *: y); rewrite form_line // cross => room.
have b2 : 0 <= (- b^-1) ^+ 2 by apply: sqr_ge0.
have := ler_add room (ler_wpmul2l b2 (bound y)); rewrite add0r => all.
have := ler_wpmul2l (ltW b0) all; rewrite -subr_ge0 => final; rewrite -subr_ge0.
apply: le_trans final _; rewrite le_eqVlt; apply/orP; left; apply/eqP.
move: (form P x x) (form P y y) (square y) => u v s.
by field; rewrite gt_eqF.
Qed.
End Forms.

(* ------------------------------------------------------------ the largest eigenvalue *)

Section Largest.
Variables (R : realType) (n : nat) (A : 'M[R]_n.+1).
Hypothesis symmetric : A^T = A.

Let above : set R := [set m | forall x, form A x x <= m * square x].
Let mu := inf above.

Lemma above_bounded : has_inf above.
Proof.
split; first by have [b _ bound] := form_bound A; exists b.
have [b _ bound] := form_bound (- A); exists (- b) => m above_m.
pose x : 'rV[R]_n.+1 := delta_mx 0 0.
have one : square x = 1.
  rewrite squareE (bigD1 0) //= big1 ?addr0 => [|i /negPf i0]; first by rewrite mxE !eqxx expr1n.
  by rewrite mxE i0 andbF expr0n.
have := bound x; have := above_m x; rewrite one !mulr1 => high.
rewrite -[- A]add0r formB; have -> : form 0 x x = 0 by rewrite /form mulmx0 mul0mx mxE.
by rewrite sub0r ler_oppl => low; apply: le_trans low high.
Qed.

Lemma least_above x : form A x x <= mu * square x.
Proof.
have [b _ bound] := form_bound A.
have := square_ge0 x; rewrite le_eqVlt => /orP [/eqP s0|s0].
  by have := bound x; rewrite -s0 !mulr0.
rewrite -ler_pdivr_mulr //; apply: lb_le_inf; first by exists b.
by move=> m above_m; rewrite ler_pdivr_mulr //; apply: above_m.
Qed.

Lemma least_is_eigenvalue : eigenvalue A mu.
Proof.
rewrite /eigenvalue /eigenspace kermx_eq0 row_free_unit; apply/negP => unit.
pose B := A - mu%:M; pose P := mu%:M - A.
have PB : P = - B by rewrite opprB.
have sym : P^T = P by rewrite /P linearB /= tr_scalar_mx symmetric.
have P0 x : 0 <= form P x x by rewrite formB form_scalar subr_ge0 least_above.
have [b b0 bound] := form_bound P; have [c c0 back] := map_bound (invmx B).
have gap x : square x <= c * b * form P x x.
  have home : x *m B *m invmx B = x by rewrite mulmxK.
  have same : square (x *m B) = square (x *m P) by rewrite PB mulmxN /square linearN /= mulmxN mulNmx opprK.
  apply: le_trans (_ : c * square (x *m P) <= _); first by rewrite -same -[in X in X <= _]home.
  by rewrite -mulrA ler_wpmul2l ?(ltW c0) // square_of_form.
have cb : 0 < c * b by rewrite mulr_gt0.
have smaller : above (mu - (c * b)^-1).
  move=> x; rewrite mulrBl ler_subr_addl -ler_subr_addr -(form_scalar mu) -formB -/P.
  by rewrite mulrC ler_pdivr_mulr // mulrC gap.
have := inf_lower_bound above_bounded smaller; rewrite -/mu ler_subr_addr -ler_subr_addl subrr.
by rewrite leNgt invr_gt0 cb.
Qed.

Theorem largest_eigenvalue : exists lambda,
  [/\ eigenvalue A lambda, (forall m, eigenvalue A m -> m <= lambda) & forall x, form A x x <= lambda * square x].
Proof.
exists mu; split; [exact: least_is_eigenvalue| |exact: least_above].
move=> m /eigenvalueP [x xA x0]; have pos : 0 < square x.
  rewrite lt0r square_ge0 andbT; apply: contraNneq x0 => s0; apply/eqP/rowP => i; rewrite mxE.
  have zero := s0; rewrite squareE in zero.
  have /psumr_eq0P all := zero; apply/eqP; rewrite -sqrf_eq0; apply/eqP; apply: all => // j _.
  exact: sqr_ge0.
rewrite -(ler_pmul2r pos); apply: le_trans (least_above x).
by rewrite /form xA -scalemxAl [X in _ <= X]mxE.
Qed.
End Largest.

Lemma form_at_most (R : realType) n (A : 'M[R]_n) (lambda : R) : A^T = A ->
  (forall m, eigenvalue A m -> m <= lambda) -> forall x, form A x x <= lambda * square x.
Proof.
case: n A => [|n] A sym top x; first by rewrite formE squareE !big_ord0 mulr0.
have [mu [eigen _ bound]] := largest_eigenvalue sym.
by apply: le_trans (bound x) _; rewrite ler_wpmul2r ?square_ge0 ?top.
Qed.

(* ------------------------------------------------------------ T9 *)

Section Exponentiated.
Variables (R : realType) (E K : finType) (p : E -> K -> R) (L : architecture E K -> R) (eta : R).
Hypotheses (pol : policy p) (eta0 : 0 < eta).

(* The matrix of a block of edges. *)
Definition interaction_matrix (I : E -> E -> R) (moved : seq E) : 'M[R]_(size moved) :=
  \matrix_(i, j) if i == j then 0 else I (tnth (in_tuple moved) i) (tnth (in_tuple moved) j).

Lemma eigenvalues_bound I lambda moved : uniq moved -> (forall i j, I i j = I j i) ->
  (forall m, eigenvalue (interaction_matrix I moved) m -> m <= lambda) -> eigenvalue_bound I lambda moved.
Proof.
move=> um sym top y _; set M := interaction_matrix I moved; pose t i := tnth (in_tuple moved) i.
have symM : M^T = M by apply/matrixP => i j; rewrite !mxE eq_sym sym.
have injt i j : (t i == t j) = (i == j).
  by rewrite /t !(tnth_nth (tnth_default (in_tuple moved) i)) nth_uniq.
pose x : 'rV[R]_(size moved) := \row_i y (t i).
have := form_at_most symM top x; rewrite formE squareE; congr (_ <= _).
  rewrite [RHS]big_tnth; apply: eq_bigr => i _; rewrite [RHS]big_tnth [RHS]big_mkcond; apply: eq_bigr => j _.
  rewrite !mxE -/(t i) -/(t j) injt eq_sym; case: ifP => _ /=; rewrite ?mul0r //.
by congr (_ * _); rewrite [RHS]big_tnth; apply: eq_bigr => i _; rewrite mxE.
Qed.

Theorem T9_block_eigenvalue I lambda moved : uniq moved -> interaction_bound p L I -> (forall i j, I i j = I j i) ->
  (forall m, eigenvalue (interaction_matrix I moved) m -> m <= lambda) -> eta * lambda <= 8%:R ->
  mean (exponentiated p L eta moved) L <= mean p L.
Proof.
move=> um bound sym top small.
exact: (T9_block pol eta0 bound sym um (eigenvalues_bound um sym top) small).
Qed.

(* theory.claims.t9_exponentiated.interactions: the largest, over all operations and architectures. *)
Definition largest_interaction (i j : E) : R :=
  \big[Num.max/0]_(x : architecture E K * (K * K) * (K * K))
    `|second_difference L x.1.1 i j x.1.2.1 x.1.2.2 x.2.1 x.2.2|.
Definition interactions := interaction_matrix largest_interaction (enum E).

Lemma largest_interaction_ge i j a k k' l l' : `|second_difference L a i j k k' l l'| <= largest_interaction i j.
Proof. exact: (le_bigmax _ _ (a, (k, k'), (l, l'))). Qed.

Lemma largest_interaction_sym i j : largest_interaction i j = largest_interaction j i.
Proof.
suff half e f : largest_interaction e f <= largest_interaction f e by apply/le_anti; rewrite !half.
have [->//|ef] := eqVneq e f.
apply/bigmax_leP; split=> [|[[a [k k']] [l l']] _ /=]; first by rewrite /largest_interaction bigmax_idl le_maxr lexx.
apply: le_trans (largest_interaction_ge f e a l l' k k').
have swap i' j' : set_edge (set_edge a e i') f j' = set_edge (set_edge a f j') e i'.
  by apply/ffunP => h; rewrite !ffunE; case: (h =P f) => [->|//]; rewrite eq_sym (negPf ef).
rewrite /second_difference !swap le_eqVlt; apply/orP; left; apply/eqP; congr `|_|.
by ring.
Qed.

Theorem T9_largest_eigenvalue lambda : (forall m, eigenvalue interactions m -> m <= lambda) -> eta * lambda <= 8%:R ->
  mean (exponentiated_row p L eta) L <= mean p L.
Proof.
move=> top small.
have bound : interaction_bound p L largest_interaction by move=> i j a k k' l l' *; apply: largest_interaction_ge.
exact: (T9_all_edges pol eta0 bound largest_interaction_sym
  (eigenvalues_bound (enum_uniq E) largest_interaction_sym top) small).
Qed.
End Exponentiated.

(* ------------------------------------------------------------ edge after edge *)

Section EdgeAfterEdge.
Variables (R : realType) (E K : finType) (L : architecture E K -> R).

(* One edge after the other, each at a rate of its own, from the policy that the edges before have left. *)
Fixpoint edge_after_edge (p : E -> K -> R) (steps : seq (E * R)) : E -> K -> R :=
  if steps is (e, eta) :: rest then edge_after_edge (exponentiated p L eta [:: e]) rest else p.

Theorem T9_edge_after_edge p steps : policy p -> (forall step, step \in steps -> 0 < step.2) ->
  mean (edge_after_edge p steps) L <= mean p L.
Proof.
elim: steps p => [|[e eta] rest step] p pol pos //=.
have eta0 : 0 < eta by apply: (pos (e, eta)); rewrite mem_head.
apply: le_trans (step _ (exponentiated_policy L eta pol [:: e]) _) (T9_one_edge L pol eta0 e) => s srest.
by apply: pos; rewrite in_cons srest orbT.
Qed.
End EdgeAfterEdge.
