(******************************************************************************)
(* Sums that compute.                                                         *)
(*                                                                            *)
(* In words. The library's sums are sealed: nothing can be evaluated through  *)
(* them. Here a sum over a finite type is the sum over a list of all its      *)
(* elements, and a mean E_p[f] is a nested sum, edge after edge, for an f     *)
(* that is given on lists of operations. Counterexamples.v and the tests      *)
(* evaluate the definitions by rewriting with these two equalities.           *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From NAS Require Import Policy.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Computed.
Variables (R : realFieldType) (E K : finType).

(* ------------------------------------------------------------ sums *)


Fixpoint sum_over (T : Type) (s : seq T) (F : T -> R) : R := if s is t :: s' then F t + sum_over s' F else 0.

Lemma sum_overE (T : Type) (s : seq T) (F : T -> R) : \sum_(t <- s) F t = sum_over s F.
Proof. by elim: s => [|t s step]; rewrite ?big_nil // big_cons step. Qed.

Lemma sum_listed (T : finType) (s : seq T) (F : T -> R) : uniq s -> (forall t, t \in s) -> \sum_t F t = sum_over s F.
Proof.
move=> us whole; rewrite -sum_overE; apply: perm_big; apply: uniq_perm => //.
  exact: index_enum_uniq.
by move=> t; rewrite whole mem_index_enum.
Qed.

(* ------------------------------------------------------------ means *)

(* E[F(operations of the edges es)], the edges drawn one after the other. *)
Fixpoint mean_over (es : seq E) (ks : seq K) (p : E -> K -> R) (F : seq K -> R) : R :=
  if es is e :: es' then sum_over ks (fun k => p e k * mean_over es' ks p (fun s => F (k :: s))) else F [::].

Definition operations (es : seq E) (a : architecture E K) : seq K := map a es.

Theorem mean_listed es ks (p : E -> K -> R) (f : architecture E K -> R) (F : seq K -> R) :
  uniq es -> uniq ks -> (forall k, k \in ks) -> (forall e, \sum_k p e k = 1) -> (forall a, f a = F (operations es a)) ->
  mean p f = mean_over es ks p F.
Proof.
move=> + uk whole p1; elim: es f F => [f F _ fF|e es step f F /= /andP[fresh us] fF].
  by rewrite /= -[RHS](mean_const _ p1); apply: mean_ext.
rewrite (resample _ (p1 e)) mean_sum (sum_listed _ uk whole) -!sum_overE; apply: eq_bigr => k _.
rewrite meanZ; congr (_ * _); apply: (step _ (fun s => F (k :: s)) us) => a.
rewrite fF /operations /= set_edge_at; congr (F (_ :: _)); apply/eq_in_map => i ies.
by rewrite set_edge_other //; apply: contraNneq fresh => <-.
Qed.
End Computed.
