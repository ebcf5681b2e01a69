(******************************************************************************)
(* Rational numbers that compute.                                             *)
(*                                                                            *)
(* In words. The definitions of this development are over any ordered field.  *)
(* To evaluate them on numbers, the reduced fractions of Coq's standard       *)
(* library (binary integers) are given as such a field; mathcomp's own        *)
(* rationals count in unary. No theorem depends on this file: it lets         *)
(* tests/proofs put the Coq definitions beside the Python functions.          *)
(******************************************************************************)
From Coq Require Import ZArith QArith Qcanon.
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import ssrZ.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.

Definition fraction (n : Z) (d : positive) : Qc := Q2Qc (Qmake n d).

(* ------------------------------------------------------------ a field *)

Definition equal (x y : Qc) := Qeq_bool x y.
Lemma equalP : Equality.axiom equal.
Proof.
move=> x y; rewrite /equal; apply: (iffP idP) => [/Qeq_bool_iff|->]; first exact: Qc_is_canon.
exact/Qeq_bool_iff/Qeq_refl.
Qed.
Canonical Qc_eqType := EqType Qc (EqMixin equalP).

Definition parts (x : Qc) : Z * Z := (Qnum x, Z.pos (Qden x)).
Definition whole (x : Z * Z) : Qc := fraction x.1 (Z.to_pos x.2).
Lemma partsK : cancel parts whole.
Proof. by case=> -[n d] reduced; apply: Qc_is_canon; apply: Qred_correct. Qed.
Canonical Qc_choiceType := ChoiceType Qc (CanChoiceMixin partsK).

Definition zmod := ZmodMixin Qcplus_assoc Qcplus_comm Qcplus_0_l
  (fun x => etrans (Qcplus_comm _ _) (Qcplus_opp_r x)).
Canonical Qc_zmodType := ZmodType Qc zmod.

Lemma one_neq_zero : 1%Qc != 0%Qc.
Proof. by []. Qed.
Definition ring := ComRingMixin Qcmult_assoc Qcmult_comm Qcmult_1_l Qcmult_plus_distr_l one_neq_zero.
Canonical Qc_ringType := RingType Qc ring.
Canonical Qc_comRingType := ComRingType Qc Qcmult_comm.

Lemma inverse_left : GRing.Field.axiom Qcinv.
Proof. by move=> x /eqP x0; apply: Qcmult_inv_l. Qed.
Lemma inverse_zero : Qcinv 0%Qc = 0%Qc.
Proof. exact: Qc_is_canon. Qed.
Definition unit_mixin := FieldUnitMixin inverse_left inverse_zero.
Canonical Qc_unitRingType := UnitRingType Qc unit_mixin.
Canonical Qc_comUnitRingType := [comUnitRingType of Qc].
Lemma field_axiom : GRing.Field.mixin_of Qc_unitRingType.
Proof. exact: FieldMixin. Qed.
Canonical Qc_idomainType := IdomainType Qc (FieldIdomainMixin field_axiom).
Canonical Qc_fieldType := FieldType Qc field_axiom.

(* ------------------------------------------------------------ and its order *)

Definition below (x y : Qc) := Qle_bool x y.
Definition strictly (x y : Qc) := ~~ below y x.
Definition absolute (x : Qc) := if below 0%Qc x then x else Qcopp x.

Lemma belowP x y : reflect (x <= y)%Qc (below x y).
Proof. by rewrite /below; apply: (iffP idP) => /Qle_bool_iff. Qed.

Lemma total x y : below x y || below y x.
Proof.
apply/orP; case: (Qclt_le_dec y x) => yx; last by left; apply/belowP.
by right; apply/belowP; apply: Qclt_le_weak.
Qed.

Lemma below_add x y : below 0%Qc x -> below 0%Qc y -> below 0%Qc (x + y)%Qc.
Proof. by move=> /belowP x0 /belowP y0; apply/belowP; apply: (Qcplus_le_compat 0 x 0 y). Qed.

Lemma below_mul x y : below 0%Qc x -> below 0%Qc y -> below 0%Qc (x * y)%Qc.
Proof.
move=> /belowP x0 /belowP y0; apply/belowP.
by have := Qcmult_le_compat_r 0 x y x0 y0; rewrite Qcmult_0_l.
Qed.

Lemma below_anti x : below 0%Qc x -> below x 0%Qc -> x = 0%Qc.
Proof. by move=> /belowP x0 /belowP x1; apply: Qcle_antisym. Qed.

Lemma below_sub x y : below 0%Qc (y - x)%Qc = below x y.
Proof.
apply/belowP/belowP => h.
  have := Qcplus_le_compat 0 (y - x) x x h (Qcle_refl x).
  by rewrite Qcplus_0_l /Qcminus -Qcplus_assoc [(- x + x)%Qc]Qcplus_comm Qcplus_opp_r Qcplus_0_r.
have := Qcplus_le_compat x y (- x) (- x) h (Qcle_refl (- x)%Qc).
by rewrite Qcplus_opp_r.
Qed.

Lemma below_opp x : below 0%Qc (- x)%Qc = below x 0%Qc.
Proof. by rewrite -(below_sub x 0%Qc) /Qcminus Qcplus_0_l. Qed.

Lemma absolute_opp x : absolute (- x)%Qc = absolute x.
Proof.
rewrite /absolute below_opp Qcopp_involutive; case: ifP => x0; case: ifP => x1 //.
  by rewrite (below_anti x1 x0).
by have := total 0%Qc x; rewrite x0 x1.
Qed.

Lemma absolute_pos x : below 0%Qc x -> absolute x = x.
Proof. by rewrite /absolute => ->. Qed.

Lemma strictlyE x y : strictly x y = (y != x) && below x y.
Proof.
rewrite /strictly; apply/idP/andP => [yx|[yx xy]].
  have xy : below x y by have := total x y; rewrite (negPf yx) orbF.
  by split=> //; apply: contraNneq yx => ->; apply/belowP; apply: Qcle_refl.
apply: contraNN yx => /belowP yx; apply/eqP; apply: Qcle_antisym => //.
exact/belowP.
Qed.

Definition order : realLeMixin Qc_idomainType :=
  RealLeMixin below_add below_mul below_anti below_sub (@total 0%Qc) absolute_opp absolute_pos strictlyE.
Canonical Qc_porderType := POrderType ring_display Qc order.
Canonical Qc_latticeType := LatticeType Qc order.
Canonical Qc_distrLatticeType := DistrLatticeType Qc order.
Canonical Qc_orderType := OrderType Qc total.
Canonical Qc_numDomainType := NumDomainType Qc order.
Canonical Qc_normedZmodType := NormedZmodType Qc Qc order.
Canonical Qc_numFieldType := [numFieldType of Qc].
Canonical Qc_realDomainType := [realDomainType of Qc].
Canonical Qc_realFieldType := [realFieldType of Qc].
