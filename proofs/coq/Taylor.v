(******************************************************************************)
(* T5: the bias of first-order credit.                                        *)
(*                                                                            *)
(* In words. AdvantageNAS charges edge e with credit_e = sum_k a_ek dL/da_ek, *)
(* the slope at t = 1 of phi(t), the loss as e's gate goes from 0 to 1. The   *)
(* exact advantage is phi(1) - phi(0). Let r = credit - exact.                *)
(* - Component k of the bias is p_ek (E[r | a_e = k] - E[r]).                 *)
(* - If |r| <= B, then ||bias_e||^2 <= B^2 (1 - ||p_e||^2); Curvature.v gives *)
(*   B = M / 2 where |phi''| <= M.                                            *)
(* - If the loss is affine in edge e's gates, the two gradients are equal.    *)
(* - For L = mean over D outputs of (sum_i h_i - y)^2: r = ||h_e||^2 / D, so  *)
(*   the bias is E[(||h_e||^2 / D) (a_e - p_e)].                              *)
(* Counterexamples.v shows that this bias can turn the choice around.         *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ring.
From NAS Require Import Policy Estimators Unbiased.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

(* ------------------------------------------------------------ the bias *)

Section Bias.
Variables (R : realFieldType) (E K : finType) (p : E -> K -> R).
Variables (loss : array R E K -> R) (g : architecture E K -> E -> K -> R).
Hypothesis pol : policy p.
Let p0 : forall e k, 0 <= p e k := pol.1.
Let p1 : forall e, \sum_k p e k = 1 := pol.2.

Definition credit_of a e := first_order_credit (gate R a) (g a) e.
Definition exact_of a e := loss_of loss a - zeroed_loss_of loss a e.
Definition remainder e a := credit_of a e - exact_of a e.

(* bias_e = E[credit_e (a_e - p_e)] - gradient_e. *)
Definition bias e k := mean p (fun a => advantage p (gate R a) (g a) e k) - gradient p (loss_of loss) e k.

Lemma bias_is_mean e k : bias e k = mean p (fun a => remainder e a * score p a e k).
Proof.
rewrite /bias -(T4_exact_advantage_unbiased p1) -meanB; apply: mean_ext => a.
by rewrite -mulrBl.
Qed.

Theorem T5_bias e k : bias e k = p e k * (value p (remainder e) e k - mean p (remainder e)).
Proof. by rewrite bias_is_mean T4_score_identity. Qed.

(* ------------------------------------------------------------ its size *)

Lemma square_of_mean f : mean p f ^+ 2 <= mean p (fun a => f a ^+ 2).
Proof.
rewrite -subr_ge0; have : 0 <= mean p (fun a => (f a - mean p f) ^+ 2).
  by apply: mean_ge0 => // a _; apply: sqr_ge0.
congr (_ <= _); set m := mean p f.
transitivity (mean p (fun a => f a ^+ 2 + (m ^+ 2 - 2%:R * m * f a))).
  by apply: mean_ext => a; ring.
by rewrite meanD meanB meanZ -/m mean_const //; ring.
Qed.

(* E||a_e - p_e||^2 = 1 - ||p_e||^2. *)
Lemma mean_score_square e : mean p (fun a => \sum_k score p a e k ^+ 2) = 1 - \sum_k p e k ^+ 2.
Proof.
rewrite mean_sum -[in RHS](p1 e) -sumrB; apply: eq_bigr => k _.
transitivity (mean p (fun a => gate R a e k * (1 - 2%:R * p e k) + p e k ^+ 2)).
  apply: mean_ext => a; rewrite /score /gate.
  by case: (a e == k); rewrite ?mulr1n ?mulr0n; ring.
rewrite meanD mean_const // meanZr.
have -> : mean p (fun a => gate R a e k) = p e k.
  by rewrite (mean_edge (fun j => (j == k)%:R)) // sum_indicator_sym.
by ring.
Qed.

Theorem T5_norm e B : 0 <= B -> (forall a, 0 < probability p a -> `|remainder e a| <= B) ->
  \sum_k bias e k ^+ 2 <= B ^+ 2 * (1 - \sum_k p e k ^+ 2).
Proof.
move=> B0 rB; rewrite -mean_score_square -meanZ.
apply: (@le_trans _ _ (\sum_k mean p (fun a => (remainder e a * score p a e k) ^+ 2))).
  by apply: ler_sum => k _; rewrite bias_is_mean square_of_mean.
rewrite -mean_sum; apply: mean_le => // a Pa.
under eq_bigr do rewrite exprMn; rewrite -mulr_sumr ler_wpmul2r //.
  by apply: sumr_ge0 => k _; apply: sqr_ge0.
by rewrite -real_normK ?num_real // ler_expn2r ?nnegrE // rB.
Qed.

(* ------------------------------------------------------------ affine losses *)

(* The gates a with row e replaced by anything. *)
Definition with_row a e (row : K -> R) : array R E K :=
  [ffun i => [ffun k => if i == e then row k else gate R a i k]].

(* Affine in the gates of edge e, with g its slopes there. *)
Definition affine_in_edge e := forall a row,
  loss (with_row a e row) = loss (with_row a e (fun=> 0)) + \sum_k row k * g a e k.

Lemma one_hot_row a e : one_hot R a = with_row a e (gate R a e).
Proof. by apply/ffunP => i; apply/ffunP => k; rewrite !ffunE; case: eqP => [->|]. Qed.

Lemma zero_edge_row a e : zero_edge (one_hot R a) e = with_row a e (fun=> 0).
Proof.
by apply/ffunP => i; apply/ffunP => k; rewrite !ffunE; case: eqP => _; rewrite ?mul0r ?mul1r.
Qed.

Theorem T5_affine e : affine_in_edge e -> forall a k,
  advantage p (gate R a) (g a) e k = exact_advantage p (gate R a) (loss_of loss a) (zeroed_loss_of loss a) e k.
Proof.
move=> affine a k; rewrite /advantage /exact_advantage /credited; congr (_ * _).
by rewrite /loss_of /zeroed_loss_of zero_edge_row [in loss (one_hot _ _)](one_hot_row a e) affine addrC addKr.
Qed.

Corollary T5_affine_unbiased e k : affine_in_edge e ->
  mean p (fun a => advantage p (gate R a) (g a) e k) = gradient p (loss_of loss) e k.
Proof.
move=> affine; rewrite -(T4_exact_advantage_unbiased p1); apply: mean_ext => a.
exact: T5_affine.
Qed.
End Bias.

(* ------------------------------------------------------------ the quadratic loss *)

Section Quadratic.
Variables (R : realFieldType) (E K : finType) (D : finType).
Variables (outputs : E -> K -> D -> R) (y : D -> R) (size : R).
Implicit Types (G : array R E K) (a : architecture E K).

(* Mean over D outputs of (sum_i h_i - y)^2; `size` is the D of the formula. *)
Definition error G d := \sum_i \sum_k G i k * outputs i k d - y d.
Definition squared_loss G := (\sum_d error G d ^+ 2) / size.
Definition squared_gradient a e k := (\sum_d 2%:R * error (one_hot R a) d * outputs e k d) / size.

Lemma error_with_row a e row d :
  error (with_row a e row) d = error (one_hot R a) d + \sum_k (row k - gate R a e k) * outputs e k d.
Proof.
rewrite /error (bigD1 e) //= [X in _ = X - _ + _](bigD1 e) //=.
rewrite (eq_bigr (fun i => \sum_k one_hot R a i k * outputs i k d)); last first.
  by move=> i /negPf ie; apply: eq_bigr => k _; rewrite !ffunE ie.
under eq_bigr do rewrite !ffunE eqxx; under [X in _ = X + _ - _ + _]eq_bigr do rewrite !ffunE.
under [X in _ = _ + X]eq_bigr do rewrite mulrBl; rewrite sumrB.
by rewrite [RHS]addrC addrA [in RHS]addrA subrK.
Qed.

(* squared_gradient is the gradient: what is left is of second order. *)
Theorem squared_expansion a e row : let v k := row k - gate R a e k in
  squared_loss (with_row a e row) = squared_loss (one_hot R a) + \sum_k v k * squared_gradient a e k
    + (\sum_d (\sum_k v k * outputs e k d) ^+ 2) / size.
Proof.
move=> v; rewrite /squared_loss.
have -> : \sum_k v k * squared_gradient a e k =
    (\sum_d 2%:R * error (one_hot R a) d * \sum_k v k * outputs e k d) / size.
  rewrite /squared_gradient; under eq_bigr do rewrite mulrA.
  rewrite -mulr_suml; congr (_ / _); under eq_bigr do rewrite mulr_sumr.
  rewrite exchange_big; apply: eq_bigr => d _; rewrite mulr_sumr; apply: eq_bigr => k _.
  by ring.
rewrite -!mulrDl -!big_split; congr (_ / _); apply: eq_bigr => d _ /=.
rewrite error_with_row -[\sum_k (row k - _) * _]/(\sum_k v k * outputs e k d).
by move: (\sum_k _) (error _ d) => s t; ring.
Qed.

(* ||h_e||^2 / D, h_e the output of edge e's operation. *)
Definition edge_energy e a := (\sum_d outputs e (a e) d ^+ 2) / size.

Lemma quadratic_remainder e a : remainder squared_loss squared_gradient e a = edge_energy e a.
Proof.
rewrite /remainder /exact_of /zeroed_loss_of zero_edge_row squared_expansion /loss_of /credit_of.
have -> : \sum_k (0 - gate R a e k) * squared_gradient a e k =
    - first_order_credit (gate R a) (squared_gradient a) e.
  by rewrite -sumrN; apply: eq_bigr => k _; rewrite sub0r mulNr.
have -> : \sum_d (\sum_k (0 - gate R a e k) * outputs e k d) ^+ 2 = \sum_d outputs e (a e) d ^+ 2.
  apply: eq_bigr => d _; under eq_bigr do rewrite sub0r mulNr.
  by rewrite sumrN sum_indicator sqrrN.
by rewrite /edge_energy; ring.
Qed.

Theorem T5_quadratic (p : E -> K -> R) e k : policy p ->
  bias p squared_loss squared_gradient e k = mean p (fun a => edge_energy e a * score p a e k).
Proof.
move=> pol; rewrite bias_is_mean //; apply: mean_ext => a.
by rewrite quadratic_remainder.
Qed.
End Quadratic.
