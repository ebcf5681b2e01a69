(******************************************************************************)
(* T13: what steps along a sampled gradient promise on average.               *)
(*                                                                            *)
(* In words. A step draws an outcome w with probability q w and moves the     *)
(* logits by - eta g(w). With m = E[g] and V = E||g - m||^2,                  *)
(*     E[J'] <= J - eta <m, gradient> + (C / 2) eta^2 (||m||^2 + V),          *)
(* since J is C-smooth (Smooth.v). If m is the gradient this is               *)
(*     J - eta (1 - eta C / 2) ||gradient||^2 + (C / 2) eta^2 V,              *)
(* and eta C (||gradient||^2 + V) <= 2 ||gradient||^2 suffices for            *)
(* E[J'] <= J. With m = gradient + bias and eta <= 1 / C it is T10 plus       *)
(* the noise.                                                                 *)
(* Now let every step draw anew, with chances and gradients that may depend   *)
(* on where it stands and on its number t, unbiased, and with step sizes      *)
(* eta_t that are fixed beforehand. Summed over n steps,                      *)
(*     sum_t E[eta_t (1 - eta_t C / 2) ||gradient_t||^2                       *)
(*             - (C / 2) eta_t^2 V_t] <= J_0 - lo.                            *)
(* If V never exceeds a bound, sum eta_t^2 is finite and sum eta_t is not,    *)
(* then for every epsilon > 0 there are arbitrarily late t with               *)
(* E||gradient_t||^2 < epsilon: the lower limit is zero. (Stationary, not     *)
(* optimal.)                                                                  *)
(* Expectations over several steps are finite sums, written as a recursion.   *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From mathcomp Require Import boolp classical_sets functions reals topology normedtype sequences derive realfun exp.
From mathcomp Require Import ring.
From NAS Require Import Policy Spread Smooth Variance.
Import GRing.Theory Num.Theory Order.TTheory.
Set Implicit Arguments. Unset Strict Implicit. Unset Printing Implicit Defensive.
Local Open Scope ring_scope.

Section Sampled.
Variables (R : realType) (E K W : finType) (mask : E -> K -> R).
Hypotheses (mask0 : forall e k, 0 <= mask e k) (mask1 : forall e, 0 < \sum_k mask e k).
Variables (L : architecture E K -> R) (lo hi : R).
Hypothesis range : forall a, allowed mask a -> lo <= L a <= hi.
Let C := smoothness E lo hi.
Let J := loss_at mask L.
Let grad := gradient_at mask L.
Implicit Types (theta : E -> K -> R) (q : W -> R) (g : W -> E -> K -> R) (F : W -> R).

Definition chances q := (forall w, 0 <= q w) /\ \sum_w q w = 1.
Definition expected q F := \sum_w q w * F w.
Definition mean_gradient q g e k := expected q (fun w => g w e k).
Definition total_variance q g := expected q (fun w => norm2 (fun e k => g w e k - mean_gradient q g e k)).
Definition sampled_step theta g eta w := add_logits theta (scale_logits (- eta) (g w)).

(* ------------------------------------------------------------ one step *)

Lemma expected_le q F F' : chances q -> (forall w, F w <= F' w) -> expected q F <= expected q F'.
Proof. by move=> [q0 _] FF'; apply: ler_sum => w _; rewrite ler_wpmul2l. Qed.

Lemma expected_const q c : chances q -> expected q (fun=> c) = c.
Proof. by move=> [_ q1]; rewrite /expected -mulr_suml q1 mul1r. Qed.

Lemma expectedD q F F' : expected q (fun w => F w + F' w) = expected q F + expected q F'.
Proof. by rewrite -big_split; apply: eq_bigr => w _; rewrite mulrDr. Qed.

Lemma expectedZ q c F : expected q (fun w => c * F w) = c * expected q F.
Proof. by rewrite mulr_sumr; apply: eq_bigr => w _; rewrite mulrCA. Qed.

Lemma expected_inner q g v : expected q (fun w => inner (g w) v) = inner (mean_gradient q g) v.
Proof.
rewrite /inner /mean_gradient /expected; under eq_bigr do rewrite mulr_sumr.
rewrite exchange_big; apply: eq_bigr => e _ /=; under eq_bigr do rewrite mulr_sumr.
rewrite exchange_big; apply: eq_bigr => k _ /=; rewrite mulr_suml.
by apply: eq_bigr => w _; rewrite mulrA.
Qed.

(* E||g||^2 = ||m||^2 + V. *)
Lemma expected_norm2 q g : chances q ->
  expected q (fun w => norm2 (g w)) = norm2 (mean_gradient q g) + total_variance q g.
Proof.
move=> qq; rewrite /total_variance; set m := mean_gradient q g.
have split w : norm2 (fun e k => g w e k - m e k) = norm2 (g w) + ((- 2%:R) * inner (g w) m + norm2 m).
  rewrite /norm2 /inner mulr_sumr -!big_split; apply: eq_bigr => e _ /=.
  by rewrite mulr_sumr -!big_split; apply: eq_bigr => k _ /=; ring.
have -> : expected q (fun w => norm2 (fun e k => g w e k - m e k)) =
    expected q (fun w => norm2 (g w) + ((- 2%:R) * inner (g w) m + norm2 m)).
  by apply: eq_bigr => w _; rewrite split.
rewrite !expectedD expectedZ expected_const // expected_inner -/m -/(norm2 m).
by ring.
Qed.

Theorem T13_expected_descent theta q g eta : chances q ->
  expected q (fun w => J (sampled_step theta g eta w)) <=
  J theta - eta * inner (mean_gradient q g) (grad theta)
    + C / 2%:R * eta ^+ 2 * (norm2 (mean_gradient q g) + total_variance q g).
Proof.
move=> qq; apply: le_trans (expected_le qq (fun w => T8_upper_bound mask0 mask1 range theta _)) _.
rewrite -expected_norm2 // -expected_inner -/J -/grad -/C.
have -> : expected q (fun w => J theta + inner (scale_logits (- eta) (g w)) (grad theta)
      + C / 2%:R * norm2 (scale_logits (- eta) (g w))) =
    expected q (fun w => J theta + ((- eta) * inner (g w) (grad theta) + C / 2%:R * eta ^+ 2 * norm2 (g w))).
  by apply: eq_bigr => w _; rewrite innerZ norm2Z; congr (_ * _); ring.
rewrite !expectedD expected_const // !expectedZ le_eqVlt; apply/orP; left; apply/eqP.
by ring.
Qed.

Definition unbiased theta q g := forall e k, mean_gradient q g e k = grad theta e k.

Lemma inner_ext (u v u' v' : E -> K -> R) : (forall e k, u e k = u' e k) -> (forall e k, v e k = v' e k) ->
  inner u v = inner u' v'.
Proof. by move=> uu vv; apply: eq_bigr => e _; apply: eq_bigr => k _; rewrite uu vv. Qed.

Theorem T13_unbiased theta q g eta : chances q -> unbiased theta q g ->
  expected q (fun w => J (sampled_step theta g eta w)) <=
  J theta - eta * (1 - eta * C / 2%:R) * norm2 (grad theta) + C / 2%:R * eta ^+ 2 * total_variance q g.
Proof.
move=> qq un; apply: le_trans (T13_expected_descent theta g eta qq) _.
have -> : inner (mean_gradient q g) (grad theta) = norm2 (grad theta) by apply: inner_ext.
have -> : norm2 (mean_gradient q g) = norm2 (grad theta) by apply: inner_ext.
by rewrite le_eqVlt; apply/orP; left; apply/eqP; field.
Qed.

Theorem T13_longest_step theta q g eta : chances q -> unbiased theta q g -> 0 <= eta ->
  eta * C * (norm2 (grad theta) + total_variance q g) <= 2%:R * norm2 (grad theta) ->
  expected q (fun w => J (sampled_step theta g eta w)) <= J theta.
Proof.
move=> qq un eta0 small; apply: le_trans (T13_unbiased eta qq un) _.
have half : 0 <= eta / 2%:R by rewrite divr_ge0 ?ler0n.
apply: ler_by_difference (ler_wpmul2l half small) _.
by field.
Qed.

(* T10 for one sample. *)
Theorem T13_biased theta q g bias eta : chances q -> (forall e k, mean_gradient q g e k = grad theta e k + bias e k) ->
  0 <= eta -> eta * C <= 1 ->
  expected q (fun w => J (sampled_step theta g eta w)) <=
  J theta - eta / 2%:R * norm2 (grad theta) + eta / 2%:R * norm2 bias + C / 2%:R * eta ^+ 2 * total_variance q g.
Proof.
move=> qq mb eta0 small; apply: le_trans (T13_expected_descent theta g eta qq) _.
set d := mean_gradient q g in mb *.
have bd : norm2 bias = norm2 d - 2%:R * inner d (grad theta) + norm2 (grad theta).
  rewrite /norm2 /inner mulr_sumr -sumrB -big_split; apply: eq_bigr => e _ /=.
  rewrite mulr_sumr -sumrB -big_split; apply: eq_bigr => k _ /=.
  have -> : bias e k = d e k - grad theta e k by rewrite mb; ring.
  by ring.
have curved : 0 <= (1 - eta * C) * (eta / 2%:R * norm2 d).
  by rewrite mulr_ge0 ?subr_ge0 // mulr_ge0 ?norm2_ge0 // divr_ge0 ?ler0n.
rewrite bd -subr_ge0; apply: le_trans curved _; rewrite le_eqVlt; apply/orP; left; apply/eqP.
by field.
Qed.

(* ------------------------------------------------------------ many steps *)

Section Run.
Variables (q : nat -> (E -> K -> R) -> W -> R) (g : nat -> (E -> K -> R) -> W -> E -> K -> R) (eta : nat -> R).
Hypotheses (qq : forall t theta, chances (q t theta)) (un : forall t theta, unbiased theta (q t theta) (g t theta)).
Implicit Types (G : nat -> (E -> K -> R) -> R).

Definition next t theta := sampled_step theta (g t theta) (eta t).

(* E[G s theta_s], n steps after theta_t = theta; and the sum of these over the first n steps. *)
Fixpoint after n t theta G : R :=
  if n is m.+1 then expected (q t theta) (fun w => after m t.+1 (next t theta w) G) else G t theta.
Fixpoint along n t theta G : R :=
  if n is m.+1 then G t theta + expected (q t theta) (fun w => along m t.+1 (next t theta w) G) else 0.

Lemma along_sum n t theta G : along n t theta G = \sum_(s < n) after s t theta G.
Proof.
elim: n t theta => [|n step] t theta; first by rewrite big_ord0.
rewrite big_ord_recl /=; congr (_ + _); rewrite /expected.
under eq_bigr do rewrite step mulr_sumr.
by rewrite exchange_big.
Qed.

Definition variance_at t theta := total_variance (q t theta) (g t theta).
Definition gained t theta :=
  eta t * (1 - eta t * C / 2%:R) * norm2 (grad theta) - C / 2%:R * eta t ^+ 2 * variance_at t theta.

Lemma loss_at_ge theta : lo <= J theta.
Proof.
have [p0 p1] := softmax_policy mask0 mask1 theta; rewrite -(mean_const lo p1); apply: mean_le => // a Pa.
by have /andP[] := range (softmax_allowed mask0 mask1 Pa).
Qed.

Theorem T13_summed n t theta : along n t theta gained <= J theta - lo.
Proof.
elim: n t theta => [|n step] t theta /=; first by rewrite subr_ge0 loss_at_ge.
have rest : expected (q t theta) (fun w => along n t.+1 (next t theta w) gained) <=
    expected (q t theta) (fun w => J (next t theta w) + - lo).
  by apply: expected_le => // w; apply: step.
apply: le_trans (ler_add (lexx _) rest) _; rewrite expectedD expected_const // addrA ler_add2r.
have descent := T13_unbiased (eta t) (qq t theta) (un t theta).
rewrite addrC -ler_subr_addr; apply: le_trans descent _; rewrite le_eqVlt; apply/orP; left; apply/eqP.
by rewrite /gained -/(variance_at t theta); ring.
Qed.

(* ------------------------------------------------------------ Robbins and Monro *)

Variable (most : R).
Hypothesis variance_bound : forall t theta, variance_at t theta <= most.
Hypotheses (eta0 : forall t, 0 <= eta t) (small : forall t, eta t * C <= 1).

Lemma after_le n t theta G G' : (forall s x, G s x <= G' s x) -> after n t theta G <= after n t theta G'.
Proof. by move=> GG; elim: n t theta => [|n step] t theta //=; apply: expected_le. Qed.

Lemma after_affine n t theta (c : nat -> R) (d : nat -> R) G :
  after n t theta (fun s x => c s * G s x - d s) = c (t + n)%N * after n t theta G - d (t + n)%N.
Proof.
elim: n t theta => [|n step] t theta /=; first by rewrite addn0.
rewrite -expectedZ -[X in _ - X](expected_const _ (qq t theta)) -[X in _ = _ - X]mul1r -mulNr -expectedZ -expectedD.
by apply: eq_bigr => w _; rewrite step addnS addSn mulN1r.
Qed.

Definition square_at (s : nat) (x : E -> K -> R) := norm2 (grad x).

Lemma smoothness_ge0 : 0 <= C.
Proof.
have [p0 p1] := softmax_policy mask0 mask1 (fun _ _ => 0).
have [a Pa] := some_positive (fun a => probability_ge0 a p0) (sum_probability p1).
have /andP[low high] := range (softmax_allowed mask0 mask1 Pa).
have [_ _ /andP[share _]] := T8_constant R #|E|.
rewrite mulr_ge0 ?subr_ge0 ?(le_trans low high) //; apply: le_trans share.
by rewrite divr_ge0 ?ler01 ?ler0n.
Qed.

Lemma most_ge0 : 0 <= most.
Proof.
apply: le_trans (variance_bound 0 (fun _ _ => 0)); apply: sumr_ge0 => w _.
by rewrite mulr_ge0 ?norm2_ge0 //; case: (qq 0 (fun _ _ => 0)).
Qed.

Theorem T13_sum_bound n theta :
  \sum_(s < n) eta s / 2%:R * after s 0 theta square_at <=
  J theta - lo + C / 2%:R * most * \sum_(s < n) eta s ^+ 2.
Proof.
have C0 := smoothness_ge0; rewrite -ler_subl_addr.
apply: le_trans (T13_summed n 0 theta); rewrite along_sum mulr_sumr -sumrB; apply: ler_sum => s _.
have := @after_affine s 0 theta (fun s => eta s / 2%:R) (fun s => C / 2%:R * most * eta s ^+ 2) square_at.
rewrite add0n => <-; apply: after_le => r x; rewrite /gained.
have part : eta r / 2%:R * square_at r x <= eta r * (1 - eta r * C / 2%:R) * norm2 (grad x).
  rewrite ler_wpmul2r ?norm2_ge0 // ler_wpmul2l //.
  rewrite -subr_ge0; have -> : 1 - eta r * C / 2%:R - 2%:R^-1 = (1 - eta r * C) / 2%:R by field.
  by rewrite divr_ge0 ?ler0n // subr_ge0.
apply: ler_sub part _; rewrite [X in _ <= X]mulrAC ler_wpmul2l //.
by rewrite mulr_ge0 ?sqr_ge0 // divr_ge0 ?ler0n.
Qed.

Theorem T13_stationary theta (squares : R) :
  (forall n, \sum_(s < n) eta s ^+ 2 <= squares) -> (forall bound, exists n, bound < \sum_(s < n) eta s) ->
  forall epsilon, 0 < epsilon -> forall late, exists2 s, (late <= s)%N & after s 0 theta square_at < epsilon.
Proof.
have C0 := smoothness_ge0; have m0 := most_ge0; move=> finite infinite epsilon eps0 late.
have [[s ls small_s]|none] := pselect (exists2 s, (late <= s)%N & after s 0 theta square_at < epsilon).
  by exists s.
have large s : (late <= s)%N -> epsilon <= after s 0 theta square_at.
  by move=> ls; rewrite leNgt; apply/negP => lt; apply: none; exists s.
have after_ge0 n t x : 0 <= after n t x square_at.
  elim: n t x => [|n step] t x /=; first exact: norm2_ge0.
  by apply: sumr_ge0 => w _; rewrite mulr_ge0 //; case: (qq t x).
pose total := J theta - lo + C / 2%:R * most * squares.
have [n] := infinite (\sum_(s < late) eta s + 2%:R * total / epsilon).
rewrite -ltr_subr_addl ltNge => /negP; case.
rewrite ler_pdivl_mulr // mulrC.
have bound : \sum_(s < n) eta s / 2%:R * after s 0 theta square_at <= total.
  apply: le_trans (T13_sum_bound n theta) _; rewrite ler_add2l ler_wpmul2l //.
  by rewrite mulr_ge0 // divr_ge0 ?ler0n.
apply: le_trans (ler_wpmul2l (ler0n _ 2) bound); rewrite mulr_sumr.
apply: (@le_trans _ _ (\sum_(s < n | (late <= s)%N) epsilon * eta s)).
  rewrite mulrBr ler_subl_addl -[\sum_(s < late) eta s](big_mkord xpredT) -(big_mkord xpredT eta).
  rewrite -mulr_sumr -mulrDr ler_wpmul2l ?(ltW eps0) //.
  rewrite -(big_mkord (fun s => late <= s)%N eta).
  have [nl|ln] := leqP n late.
    apply: (@le_trans _ _ (\sum_(0 <= s < late) eta s)); last first.
      by rewrite ler_addl; apply: sumr_ge0 => s _.
    by rewrite (big_cat_nat _ _ _ (leq0n n) nl) /= ler_addl; apply: sumr_ge0 => s _.
  rewrite (big_cat_nat _ _ _ (leq0n late) (ltnW ln)) /= ler_add2l.
  rewrite [X in _ <= X](big_cat_nat _ _ _ (leq0n late) (ltnW ln)) /=.
  apply: (@le_trans _ _ (\sum_(late <= s < n | (late <= s)%N) eta s)); last first.
    by rewrite ler_addr; apply: sumr_ge0 => s _.
  rewrite [X in X <= _]big_nat_cond [X in _ <= X]big_nat_cond.
  rewrite le_eqVlt; apply/orP; left; apply/eqP; apply: eq_bigl => s.
  by case: (late <= s)%N; rewrite ?andbT ?andbF.
rewrite big_mkcond; apply: ler_sum => s _; case: ifP => [ls|_].
  rewrite mulrA [2%:R * _]mulrC divfK ?pnatr_eq0 // mulrC ler_wpmul2l //.
  exact: large.
by rewrite !mulr_ge0 ?invr_ge0 ?ler0n.
Qed.
End Run.
End Sampled.

(* ------------------------------------------------------------ V of one sampled architecture *)

Section ClosedForm.
Variables (R : realType) (E K : finType) (p : E -> K -> R) (credit : E -> architecture E K -> R).
Hypothesis pol : policy p.

Lemma chances_of_policy : chances (probability p).
Proof. by split=> [a|]; [apply: probability_ge0; case: pol|apply: sum_probability; case: pol]. Qed.

(* V = sum_e (E[credit_e^2 ||a_e - p_e||^2] - ||m_e||^2), each edge being charged its credit. *)
Theorem T13_variance_in_closed_form :
  total_variance (probability p) (fun a e k => credit e a * score p a e k) =
  \sum_e (mean p (fun a => credit e a ^+ 2 * score_norm p e (a e))
          - \sum_k mean p (fun a => credit e a * score p a e k) ^+ 2).
Proof.
have := expected_norm2 (fun a e k => credit e a * score p a e k) chances_of_policy.
rewrite addrC => /eqP; rewrite -subr_eq => /eqP <-; rewrite sumrB; congr (_ - _).
rewrite /expected /mean exchange_big; apply: eq_bigr => a _ /=; rewrite -mulr_sumr; congr (_ * _).
apply: eq_bigr => e _; rewrite /score_norm mulr_sumr; apply: eq_bigr => k _.
by rewrite /score /gate; ring.
Qed.
End ClosedForm.
