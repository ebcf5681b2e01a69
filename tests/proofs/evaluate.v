(* How the Coq definitions are evaluated: two edges e, three operations k, two outputs d, rational numbers. The tests  *)
(* append the data and one goal for each quantity. `evaluate` unrolls every sum, turns every mean over architectures    *)
(* into the nested sum of Computed.v, computes, and prints what it found.                                               *)
From Coq Require Import ZArith QArith Qcanon.
From mathcomp Require Import all_ssreflect all_algebra.
From NAS Require Import Policy Estimators Unbiased OneEdge Taylor Spread Variance Budgeted Reference Rationals Computed.
Import GRing.Theory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.
Delimit Scope Z_scope with coqZ.
Notation "n // d" := (fraction n%coqZ d%positive) (at level 40).

Notation E := 'I_2. Notation K := 'I_3. Notation D := bool.
Definition e0 : E := @Ordinal 2 0 isT. Definition e1 : E := @Ordinal 2 1 isT.
Definition k0 : K := @Ordinal 3 0 isT. Definition k1 : K := @Ordinal 3 1 isT. Definition k2 : K := @Ordinal 3 2 isT.
Definition edges : seq E := [:: e0; e1].
Definition operations_ : seq K := [:: k0; k1; k2].
Definition entry (t : seq (seq Qc)) (e : E) (k : K) : Qc := nth 0 (nth [::] t e) k.
Definition row (t : seq Qc) (e : E) : Qc := nth 0 t e.

Lemma all_edges (e : E) : e \in edges.
Proof. by case: e => -[|[|]]. Qed.

Lemma all_operations (k : K) : k \in operations_.
Proof. by case: k => -[|[|[|]]]. Qed.

Lemma sum_operationsE (F : K -> Qc) : \sum_k F k = F k0 + (F k1 + F k2).
Proof. by rewrite (sum_listed (s := operations_)); [rewrite /= addr0|by []|exact: all_operations]. Qed.

Lemma sum_edgesE (F : E -> Qc) : \sum_e F e = F e0 + F e1.
Proof. by rewrite (sum_listed (s := edges)); [rewrite /= addr0|by []|exact: all_edges]. Qed.

Lemma prod_edgesE (F : E -> Qc) : \prod_e F e = F e0 * F e1.
Proof. by rewrite !big_ord_recl big_ord0 mulr1; congr (F _ * F _); apply: val_inj. Qed.

Lemma sum_outputsE (F : D -> Qc) : \sum_d F d = F true + F false.
Proof. by rewrite big_bool. Qed.

Lemma mean_listE (p : E -> K -> Qc) (f : architecture E K -> Qc) (F : seq K -> Qc) :
  (forall e : E, \sum_k p e k = 1) -> (forall a, f a = F (operations edges a)) ->
  mean p f = mean_over edges operations_ p F.
Proof. by move=> p1 fF; apply: mean_listed; [by []|by []|exact: all_operations|exact: p1|exact: fF]. Qed.

(* What a function of an architecture may ask of it, answered by the list of its operations. *)
Lemma chosen_listE (a : architecture E K) e : a e = nth k0 (operations edges a) e.
Proof. by case: e => -[|[|//]] i /=; congr (a _); apply: val_inj. Qed.

Lemma set_edgeE (a : architecture E K) e k i : set_edge a e k i = if i == e then k else a i.
Proof. by rewrite ffunE. Qed.

(* The quadratic network of Taylor.v on plain functions, which compute. *)
Section Network.
Variables (outputs : E -> K -> D -> Qc) (y : D -> Qc) (size : Qc).
Definition plain_error (G : E -> K -> Qc) d :=
  sum_over edges (fun e => sum_over operations_ (fun k => G e k * outputs e k d)) - y d.
Definition plain_loss G := (plain_error G true ^+ 2 + plain_error G false ^+ 2) / size.
Definition plain_gradient G e k :=
  (2%:R * plain_error G true * outputs e k true + 2%:R * plain_error G false * outputs e k false) / size.
Definition plain_gates (a : architecture E K) e k : Qc := (nth k0 (operations edges a) e == k)%:R.

Lemma plain_errorE (G : array [realFieldType of Qc] [finType of E] [finType of K]) F d :
  (forall e k, G e k = F e k) -> error outputs y G d = plain_error F d.
Proof. by move=> GF; rewrite /error /plain_error sum_edgesE !sum_operationsE /= !GF !addr0. Qed.

Lemma one_hotE (a : architecture E K) e k : one_hot [realFieldType of Qc] a e k = plain_gates a e k.
Proof. by rewrite !ffunE /gate /plain_gates -chosen_listE. Qed.

Lemma one_hot_lossE a : squared_loss outputs y size (one_hot _ a) = plain_loss (plain_gates a).
Proof. by rewrite /squared_loss sum_outputsE !(plain_errorE _ (one_hotE a)). Qed.

Lemma faded_lossE a e t :
  squared_loss outputs y size (scale_edge (one_hot _ a) e t) =
  plain_loss (fun i k => (if i == e then t else 1) * plain_gates a i k).
Proof.
have faded i k : scale_edge (one_hot [realFieldType of Qc] a) e t i k = (if i == e then t else 1) * plain_gates a i k.
  by rewrite -one_hotE !ffunE.
by rewrite /squared_loss sum_outputsE !(plain_errorE _ faded).
Qed.

Lemma gradientE a e k : squared_gradient outputs y size a e k = plain_gradient (plain_gates a) e k.
Proof. by rewrite /squared_gradient sum_outputsE !(plain_errorE _ (one_hotE a)). Qed.
End Network.

Lemma set_rowE (p : E -> K -> Qc) e r i k : set_row p e r i k = if i == e then r k else p i k.
Proof. by rewrite /set_row; case: eqP. Qed.

Definition of_list (s : seq K) : architecture E K := [ffun e : E => nth k0 s e].
Lemma operations_of_list j k : operations edges (of_list [:: j; k]) = [:: j; k].
Proof. by rewrite /operations /= !ffunE. Qed.

Lemma operations_set_edge (a : architecture E K) e k :
  operations edges (set_edge a e k) = [:: if e0 == e then k else a e0; if e1 == e then k else a e1].
Proof. by rewrite /operations /= !set_edgeE. Qed.

(* The data comes with a proof that the policy's rows sum to one. *)
Ltac rows_sum_to_one := by move=> -[[|[|//]] i]; rewrite sum_operationsE; apply/eqP; vm_compute.

Ltac unroll :=
  cbv beta iota zeta delta [map move_edge]; rewrite ?set_rowE;
  cbv beta iota zeta delta [credited first_order_credit advantage advantage_with_baseline reinforce exact_advantage
    debiased_advantage budgeted_advantage reference_credit reference_advantage distance softmax_pullback counterfactual marginalised natural_step probability value gradient gate score
    OneEdge.variance loss_of zeroed_loss_of bias remainder credit_of exact_of edge_energy zero_edge score_norm Variance.spread estimate_variance
    best_baseline weighted missed best_scale  additive_loss others_loss edge_mean edge_variance centred_sum sum_variance curvature];
  rewrite ?(one_hot_lossE, faded_lossE, gradientE, sum_operationsE, sum_edgesE, prod_edgesE, sum_outputsE);
  cbv beta iota delta [plain_gates].

(* A mean of f: find F with f a = F (operations of a), and take the nested sum of F. *)
Ltac means rows :=
  repeat match goal with |- context [mean ?p ?f] =>
    let found := constr:(ltac:(eexists; let a := fresh in
      intro a; unroll; means rows; rewrite ?operations_set_edge ?set_edgeE ?chosen_listE;
      match goal with |- ?body = ?F ?s =>
        let applied := eval pattern s in body in match applied with ?G _ => unify F G end
      end; exact: erefl) : {F : seq K -> Qc | forall a : architecture E K, f a = F (operations edges a)}) in
    match found with exist _ _ ?same => rewrite (mean_listE rows same) end
  end.

Ltac evaluate_with rows :=
  unroll; means rows; rewrite ?operations_set_edge ?set_edgeE ?chosen_listE ?operations_of_list;
  match goal with |- ?x = _ => let v := eval vm_compute in x in idtac v end.
