"""What is the gradient of the expected loss with respect to the logits, from one sampled architecture?

Every estimator here is a pure function that returns the gradient which the update *descends*, shape (..., E, K),
for E edges with K candidate operations each. Notation (docs/notation.md): probabilities p, one-hot gates a,
loss L(a), gate gradient g = dL/da. Leading dimensions are replicates or samples and broadcast.

The heart is one line: an edge's gradient is its *credit* times its score a_e - p_e. REINFORCE credits every edge
with the whole loss; AdvantageNAS credits each edge with its own share.

These are rational functions (see `nas.arrays`), so the same code is proved on SymPy symbols, summed exactly on
`Fraction`, simulated in NumPy and run on a GPU in torch. Shapes that do not fit are refused at the door (`nas.shapes`).
"""

from typing import Any

from nas.arrays import A, expand
from nas.shapes import shaped

# ------------------------------------------------------------------ credit times score


@shaped(probabilities="E K", gates="E K", credit="E/1")
def credited(probabilities: A, gates: A, credit: A) -> A:
    """Score-function gradient in which edge e is charged `credit_e`.

    gradient_e = credit_e (a_e - p_e)                                   (docs/notation.md, eq. 1)

    Args: probabilities, gates (..., E, K); credit (..., E), or (..., 1) to charge every edge the same, in loss units.
    Returns: (..., E, K), each row summing to zero. Unbiased for E[L] if credit_e = L - b_e with b_e independent
    of a_e (theorem T4).
    """
    return expand(credit, 1) * (gates - probabilities)


@shaped(probabilities="E K", gates="E K", gate_gradient="E K")
def advantage(probabilities: A, gates: A, gate_gradient: A) -> A:
    """AdvantageNAS: credit of an edge to first order, from one backward pass.

    credit_e = sum_k a_ek dL/da_ek,  gradient_e = credit_e (a_e - p_e)  (Sato et al. 2021; docs/notation.md, eq. 3)

    Args: probabilities, gates, gate_gradient (..., E, K); gate_gradient in loss units per gate; only the entries of
    operations that ran are read.
    Returns: (..., E, K). Its bias is the Taylor remainder of theorem T5: zero where the loss is affine in each
    edge's output, and possibly fatal elsewhere.

    >>> import numpy as np
    >>> advantage(np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]]))  # credit 2
    array([[ 1.5, -1.5]])
    """
    return credited(probabilities, gates, first_order_credit(gates, gate_gradient))


@shaped(probabilities="E K", gates="E K", gate_gradient="E K", baseline="E/1")
def advantage_with_baseline(probabilities: A, gates: A, gate_gradient: A, baseline: A) -> A:
    """AdvantageNAS with a per-edge baseline, usually a moving average of the edge's credit.

    gradient_e = (credit_e - b_e)(a_e - p_e)                            (docs/notation.md, eq. 4)

    Args: as `advantage`; baseline (..., E), in loss units, independent of this step's a_e.
    Returns: (..., E, K), with the same mean as `advantage` (T4), another variance (T11).
    """
    return credited(probabilities, gates, first_order_credit(gates, gate_gradient) - baseline)


@shaped(probabilities="E K", gates="E K", loss="", baseline="")
def reinforce(probabilities: A, gates: A, loss: A, baseline: A) -> A:
    """REINFORCE: every edge is charged the whole loss.

    gradient_e = (L - b)(a_e - p_e)                                     (Williams 1992; docs/notation.md, eq. 2)

    Args: probabilities, gates (..., E, K); loss and baseline (...,), baseline independent of this step's gates.
    Returns: (..., E, K), unbiased.

    >>> import numpy as np
    >>> reinforce(np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]]), loss=np.array(3.0), baseline=np.array(1.0))
    array([[ 1.5, -1.5]])
    """
    return (expand(loss, 2) - expand(baseline, 2)) * (gates - probabilities)


@shaped(probabilities="E K", gates="E K", loss="", log_probability="", baseline="", weight="")
def reinforce_with_entropy(probabilities: A, gates: A, loss: A, log_probability: A, baseline: A, weight: Any) -> A:
    """REINFORCE whose policy is paid for its entropy H: descends E[L] - w H.

    gradient_e = (L + w ln P(a) - b)(a_e - p_e)                         (Pham et al. 2018; docs/notation.md, eq. 28)

    E[ln P (a - p)] is the gradient of E[ln P] = -H, because that of ln P itself is zero on average.

    Args: as `reinforce`, the baseline of L + w ln P(a); log_probability ln P(a) (...,) of the gates; weight w, in loss
    units per nat.
    Returns: (..., E, K), unbiased. Of a policy whose edges see those before them, `probabilities` are the conditional
    ones, and the gradient is that of their logits.
    """
    return reinforce(probabilities, gates, loss + weight * log_probability, baseline)


@shaped(probabilities="E K", gates="E K", loss="", critic="E K")
def actor_critic(probabilities: A, gates: A, loss: A, critic: A) -> A:
    """REINFORCE whose baseline is a learned critic: what the edge could expect, given what others chose.

    gradient_e = (L - V_e)(a_e - p_e),  V_e = <p_e, w_e> + sum_{f != e} <a_f - p_f, w_f>
                                    (Konda & Tsitsiklis 2000, with the critic as baseline; docs/notation.md, eq. 29)

    The critic Q(a) = c + sum_f <a_f - p_f, w_f> is linear in the policy's scores, their compatible features; V_e is its
    mean over edge e's own choice. With w_fk = E[L | a_fk = 1] it is the best such critic of a product policy.

    Args: probabilities, gates (..., E, K); loss (...,); critic w (..., E, K), in loss units, independent of this step's
    gates. Returns: (..., E, K), unbiased whatever w is, because V_e does not see a_e (T4). Where edges see those before
    them and p are the conditional rows, a_f - p_f of a later edge has mean zero whatever e chose: unbiased as well.

    >>> import numpy as np
    >>> p, a = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> w = np.array([[3.0, 5.0], [2.0, 6.0]])  # V = (4 + 2, 4 - 1): edge 1 chose its worse operation, edge 0 did not
    >>> actor_critic(p, a, np.array(5.0), w)
    array([[-0.5,  0.5],
           [-1. ,  1. ]])
    """
    expected, surprise = (probabilities * critic).sum(axis=-1), ((gates - probabilities) * critic).sum(axis=-1)
    others = surprise.sum(axis=-1, keepdims=True) - surprise
    return credited(probabilities, gates, expand(loss, 1) - expected - others)


@shaped(probabilities="E K", gates="E K", loss="", zeroed_loss="E")
def exact_advantage(probabilities: A, gates: A, loss: A, zeroed_loss: A) -> A:
    """The quantity that AdvantageNAS approximates: what the loss loses when the edge's output is zeroed.

    gradient_e = (L(a) - L(a, edge e zeroed))(a_e - p_e)                (docs/notation.md, eq. 5)

    Args: probabilities, gates (..., E, K); loss (...,); zeroed_loss (..., E), from E more forward passes.
    Returns: (..., E, K), unbiased, because the zeroed loss does not depend on a_e (T4).

    >>> import numpy as np
    >>> p, a = np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> exact_advantage(p, a, loss=np.array(3.0), zeroed_loss=np.array([1.0, 2.0]))  # worth 2 and 1
    array([[ 1.5, -1.5],
           [-0.5,  0.5]])
    """
    return credited(probabilities, gates, expand(loss, 1) - zeroed_loss)


# ------------------------------------------------------------------ repairs of first-order credit


@shaped(
    probabilities="E K", gates="E K", gate_gradient="E K", loss="", zeroed_loss="", chosen="E", chosen_probability="E/1"
)
def debiased_advantage(
    probabilities: A, gates: A, gate_gradient: A, loss: A, zeroed_loss: A, chosen: A, chosen_probability: Any = None
) -> A:
    """First-order credit, corrected on one randomly chosen edge that is really zeroed: unbiased for one more pass.

    credit_e + (1[e = chosen] / q_e)(L - L(chosen edge zeroed) - credit_e), charged to (a_e - p_e)
                                                                        (docs/notation.md, eq. 6)

    Args: probabilities, gates, gate_gradient (..., E, K); loss and zeroed_loss (...,), the latter with the one chosen
    edge zeroed; chosen (..., E) one-hot; chosen_probability q (..., E), by default 1/E for every edge.
    Returns: (..., E, K), unbiased for every q > 0, one that depends on the gates included (T16).

    >>> import numpy as np
    >>> p, a = np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> g = np.array([[1.0, 0.0], [0.0, 1.0]])  # credit 1 each; edge 0, really zeroed, is worth 2
    >>> debiased_advantage(p, a, g, np.array(3.0), zeroed_loss=np.array(1.0), chosen=np.array([1.0, 0.0]))
    array([[ 2.25, -2.25],
           [-0.5 ,  0.5 ]])
    """
    credit = first_order_credit(gates, gate_gradient)
    weight = chosen * gates.shape[-2] if chosen_probability is None else chosen / chosen_probability
    return credited(probabilities, gates, credit + weight * (expand(loss, 1) - expand(zeroed_loss, 1) - credit))


@shaped(probabilities="E K", gates="E K", control="E/1", worth="E/1", looked_up="E", looked_up_probability="E/1")
def budgeted_advantage(probabilities: A, gates: A, control: A, worth: A, looked_up: A, looked_up_probability: A) -> A:
    """An unbiased credit that is looked up on some edges only, corrected by a control that every edge has.

    control_e + (1[e looked up] / pi_e)(worth_e - control_e), charged to (a_e - p_e)
                                                                        (T16; docs/notation.md, eq. 22)

    Args: probabilities, gates (..., E, K); control (..., E), for instance a scale times `first_order_credit`; worth
    (..., E), L - b_e with b_e independent of a_e, read where looked_up is one; looked_up (..., E) of zeros and ones;
    looked_up_probability pi (..., E), each edge's chance > 0 of being looked up, given the gates.
    Returns: (..., E, K), unbiased if control and pi are known before it is drawn which edges are looked up.
    """
    return credited(probabilities, gates, control + looked_up / looked_up_probability * (worth - control))


@shaped(probabilities="E K", gates="E K", gate_gradient="E K", reference="E K")
def reference_advantage(probabilities: A, gates: A, gate_gradient: A, reference: A) -> A:
    """Credit of an edge to first order against a reference output, a mixture of its operations', instead of nothing.

    credit_e = sum_k (a_ek - m_ek) dL/da_ek, charged to (a_e - p_e)     (T17; docs/notation.md, eq. 23)

    Args: probabilities, gates, gate_gradient (..., E, K), the latter dense; reference m (..., E, K), weights
    independent of a_e: p for the mean output, zeros for `advantage`. Returns: (..., E, K). Its bias is set by how far
    the outputs lie from the reference: for a loss quadratic in the edge's output zero where all lie equally far,
    whatever the policy.
    """
    return credited(probabilities, gates, ((gates - reference) * gate_gradient).sum(axis=-1))


@shaped(probabilities="E K", gates="E K", gate_gradients="Q E K", weights="Q/1")
def quadrature_advantage(probabilities: A, gates: A, gate_gradients: A, weights: A) -> A:
    """Exact advantage by quadrature along each edge's own gate: L(a) - L(a, e zeroed) = int_0^1 dL/dt_e dt.

    credit_e = sum_q w_q sum_k a_ek g_qek                               (docs/notation.md, eq. 7)

    Args: probabilities, gates (..., E, K); gate_gradients (..., Q, E, K), row e of node q taken with edge e's gates
    scaled by that node and the other edges as they are; weights (..., Q) of a rule on [0, 1].
    Returns: (..., E, K). Two equal weights at 0 and 1 are exact for losses quadratic in the gate; Gauss-Legendre with
    Q nodes for degree 2Q.
    """
    credit = expand(weights, 2) * gates[..., None, :, :] * gate_gradients
    return credited(probabilities, gates, credit.sum(axis=-1).sum(axis=-2))


# ------------------------------------------------------------------ several samples or alternatives


@shaped(probabilities="E K", gates="S E K", loss="S")
def reinforce_leave_one_out(probabilities: A, gates: A, loss: A) -> A:
    """REINFORCE on S samples, each with the mean loss of the others as its baseline (RLOO).

    gradient = 1/(S-1) sum_s (L_s - mean L)(a_s - p)                    (Kool et al. 2019; docs/notation.md, eq. 8)

    Args: probabilities (..., E, K); gates (..., S, E, K); loss (..., S), S >= 2.
    Returns: (..., E, K), unbiased. Raises: ValueError for S < 2.
    """
    samples = gates.shape[-3]
    if samples < 2:
        raise ValueError(f"leave-one-out needs at least 2 samples, got {samples}")
    centred = loss - loss.sum(axis=-1, keepdims=True) / samples
    return (expand(centred, 2) * (gates - probabilities[..., None, :, :])).sum(axis=-3) / (samples - 1)


@shaped(probabilities="E K", gates="2 E K", loss="2")
def unordered_set(probabilities: A, gates: A, loss: A) -> A:
    """Two different architectures, as a set: neither the order in which they were drawn nor a repeat is left to chance.

    gradient_e = (1 - P_a)(1 - P_b) / (2 - P_a - P_b) (L_a - L_b)(a_e - b_e), P_a the probability of all of a
                                                                        (Kool et al. 2020; docs/notation.md, eq. 25)

    The paper's estimator with its built-in baseline, for sets of two: there it has this closed form.

    Args: probabilities (..., E, K); gates (..., 2, E, K), drawn without replacement; loss (..., 2).
    Returns: (..., E, K), unbiased. Zero if the two are the same, as where only one architecture can be drawn.
    """
    kept = (probabilities[..., None, :, :] * gates).sum(axis=-1)
    equal = (gates[..., 0, :, :] * gates[..., 1, :, :]).sum(axis=-1)
    chance, same = kept[..., 0], equal[..., 0]
    for edge in range(1, gates.shape[-2]):
        chance, same = chance * kept[..., edge], same * equal[..., edge]
    one, other = 1 - chance[..., 0], 1 - chance[..., 1]
    weight = one * other / (one + other + same)
    return expand(weight * (loss[..., 0] - loss[..., 1]), 2) * (gates[..., 0, :, :] - gates[..., 1, :, :])


@shaped(largest="E", gates="2 E 2", loss="2")
def disarm(largest: A, gates: A, loss: A) -> A:
    """DisARM for two operations an edge: an antithetic pair, its noise integrated out as far as the pair allows.

    gradient_e = max_k p_ek (L_a - L_b)(a_e - b_e) / 2      (Dong et al. 2020, eq. 8, for logits of both operations;
                                                                        docs/notation.md, eq. 26)

    Args: largest (..., E), the larger of each edge's two probabilities; gates (..., 2, E, 2), a drawn from uniforms u
    and b from 1 - u; loss (..., 2). Returns: (..., E, 2), unbiased.
    """
    half = expand(largest, 1) * expand(loss[..., 0] - loss[..., 1], 2) / 2
    return half * (gates[..., 0, :, :] - gates[..., 1, :, :])


@shaped(probabilities="E K", gates="E K", loss="", alternative_losses="E K")
def counterfactual(probabilities: A, gates: A, loss: A, alternative_losses: A) -> A:
    """Advantage over the marginal of the edge itself, all other edges held (COMA's baseline).

    gradient_e = (L - sum_k p_ek L(a with a_e = k))(a_e - p_e)          (Foerster et al. 2018; docs/notation.md, eq. 9)

    Args: probabilities, gates (..., E, K); loss (...,); alternative_losses (..., E, K), entry (e, k) with edge e at k.
    Returns: (..., E, K), unbiased (T4).
    """
    return credited(probabilities, gates, expand(loss, 1) - (probabilities * alternative_losses).sum(axis=-1))


@shaped(probabilities="E K", alternative_losses="E K")
def marginalised(probabilities: A, alternative_losses: A) -> A:
    """Rao-Blackwellised gradient: edge e is summed out, the other edges are sampled.

    gradient_ek = p_ek (L(a with a_e = k) - sum_j p_ej L(a with a_e = j))   (docs/notation.md, eq. 10)

    Args: probabilities, alternative_losses (..., E, K). Returns: (..., E, K), unbiased, never more variance than
    `counterfactual`, whose conditional mean it is.
    """
    return softmax_pullback(probabilities, alternative_losses)


@shaped(probabilities="E K", gates="S E K", weights="S/1")
def parsec(probabilities: A, gates: A, weights: A) -> A:
    """PARSEC: importance-weighted empirical Bayes over S samples.

    gradient = -sum_s w_s (a_s - p)                                     (Casale et al. 2019; docs/notation.md, eq. 11)

    Args: probabilities (..., E, K); gates (..., S, E, K); weights (..., S), the softmax of -loss over the samples.
    Returns: (..., E, K): descends -log of the mean likelihood, not the expected loss.
    """
    return (expand(weights, 2) * (probabilities[..., None, :, :] - gates)).sum(axis=-3)


@shaped(reference="E", swapped_losses="K")
def ars(reference: A, swapped_losses: A) -> A:
    """ARS, the categorical form of ARM: K antithetic passes that swap every operation with a reference operation.

    gradient_ek = (L_k - mean_j L_j)(1 - K r_e)                         (Yin et al. 2019; docs/notation.md, eq. 12)

    Args: reference r (..., E), the flat-Dirichlet noise of the reference operation on each edge; swapped_losses
    (..., K), entry k with the noise of operation k and of the reference swapped on all edges.
    Returns: (..., E, K), unbiased.
    """
    candidates = swapped_losses.shape[-1]
    centred = swapped_losses - swapped_losses.sum(axis=-1, keepdims=True) / candidates
    return centred[..., None, :] * (1 - candidates * expand(reference, 1))


@shaped(probabilities="E K", gates="E K", loss="", mean_loss="", mean_gate_gradient="E K")
def muprop(probabilities: A, gates: A, loss: A, mean_loss: A, mean_gate_gradient: A) -> A:
    """REINFORCE with the first-order expansion at the mean gates as control variate (MuProp).

    gradient_e = (L(a) - L(p) - <g(p), a - p>)(a_e - p_e) + p_e (g_e(p) - <p_e, g_e(p)>)
                                                                        (Gu et al. 2016; docs/notation.md, eq. 13)

    Args: probabilities, gates (..., E, K); loss, mean_loss = L(p) (...,); mean_gate_gradient g(p) (..., E, K), dense.
    Returns: (..., E, K), unbiased.
    """
    linear = (mean_gate_gradient * (gates - probabilities)).sum(axis=-1).sum(axis=-1)
    remainder = expand(loss, 2) - expand(mean_loss, 2) - expand(linear, 2)
    return remainder * (gates - probabilities) + softmax_pullback(probabilities, mean_gate_gradient)


# ------------------------------------------------------------------ relaxations


@shaped(probabilities="E K", gate_gradient="E K")
def darts(probabilities: A, gate_gradient: A) -> A:
    """DARTS: the loss at the mean gates, differentiated through the softmax.

    gradient_ek = p_ek (g_ek - sum_j p_ej g_ej), g taken at a = p       (Liu et al. 2019; docs/notation.md, eq. 14)

    Args: probabilities, gate_gradient (..., E, K), the latter dense. Returns: (..., E, K); the gradient of L(E[a]),
    which is the gradient of E[L(a)] only for losses affine in each edge's gates.
    """
    return softmax_pullback(probabilities, gate_gradient)


@shaped(gate_gradient="E K", gate_gradient_plus="E K", gate_gradient_minus="E K", weight_step="1 1", radius="1 1")
def unrolled(gate_gradient: A, gate_gradient_plus: A, gate_gradient_minus: A, weight_step: Any, radius: Any) -> A:
    """Second-order DARTS: the validation gate gradient after one weight step, corrected for that step.

    g - eta (g_plus - g_minus) / (2 r)                                  (Liu et al. 2019; docs/notation.md, eq. 15)

    Args: gate_gradient (..., E, K) of the validation loss at the stepped weights w - eta dw; plus and minus, of the
    training loss at w +- r dw', with dw' the validation gradient at the stepped weights; weight_step eta, radius r > 0.
    Returns: (..., E, K), a gate gradient for `darts`.
    """
    return gate_gradient - weight_step * (gate_gradient_plus - gate_gradient_minus) / (2 * radius)


@shaped(z="E K", gate_gradient="E K", temperature="1 1")
def relaxed(z: A, gate_gradient: A, temperature: Any) -> A:
    """GDAS, SNAS and straight-through Gumbel-softmax: the gradient through a relaxed sample, or straight through it.

    gradient_e = (1 / temperature) z_e (g_e - <z_e, g_e>)               (docs/notation.md, eq. 16)

    with z = softmax((logits + Gumbel noise) / temperature).

    Args: z, gate_gradient (..., E, K); temperature > 0, a number or (..., 1, 1). GDAS takes g at the one-hot argmax
    of z with idle entries filled by `fill_idle`, SNAS at z itself;
    straight-through Gumbel-softmax (Jang et al. 2017) at the argmax, dense.
    Returns: (..., E, K), biased for the expected loss.
    """
    return softmax_pullback(z, gate_gradient) / temperature


@shaped(z="M E K", gate_gradient="E K", temperature="1 1")
def gumbel_rao(z: A, gate_gradient: A, temperature: Any) -> A:
    """Gumbel-Rao: straight through, averaged over M relaxed samples that all have the drawn gates as their argmax.

    gradient_e = 1/(M tau) sum_m z_me (g_e - <z_me, g_e>)               (Paulus et al. 2021; docs/notation.md, eq. 24)

    Args: z (..., M, E, K), independent given the gates; gate_gradient (..., E, K), dense at the gates; temperature > 0.
    Returns: (..., E, K), with the mean of the straight-through estimator and never more variance; biased as that is.
    """
    through = softmax_pullback(z, gate_gradient[..., None, :, :]).sum(axis=-3)
    return through / z.shape[-3] / temperature


@shaped(
    probabilities="E K",
    gates="E K",
    loss="",
    z="E K",
    relaxed_gate_gradient="E K",
    conditioned="E K",
    slope="E K",
    conditioned_loss="",
    conditioned_gate_gradient="E K",
    temperature="1 1",
)
def rebar(
    probabilities: A,
    gates: A,
    loss: A,
    z: A,
    relaxed_gate_gradient: A,
    conditioned: A,
    slope: A,
    conditioned_loss: A,
    conditioned_gate_gradient: A,
    temperature: Any,
) -> A:
    """REBAR: REINFORCE with the loss of a relaxed sample, given the drawn gates, as control variate.

    (L(a) - L(z'))(a_e - p_e) + dL(z)/dlogits_e - dL(z')/dlogits_e      (Tucker et al. 2017; docs/notation.md, eq. 27)

    with dL(z)/dlogits by eq. 16, and dL(z')/dlogits_e = t_e s_e - p_e <t_e, s_e>, t_e that same equation at z'.

    Args: probabilities, one-hot gates, z (whose argmax the gates are) and conditioned z', drawn again given the gates,
    (..., E, K); slope s (..., E, K), of z'_k's perturbed log-probability in log p_k; the losses (...,); the relaxed and
    conditioned gate gradients (..., E, K), dense at z and z'; temperature > 0.
    Returns: (..., E, K), unbiased at every temperature.
    """
    through = softmax_pullback(conditioned, conditioned_gate_gradient) * slope
    given = through - probabilities * through.sum(axis=-1, keepdims=True)
    score = (expand(loss, 2) - expand(conditioned_loss, 2)) * (gates - probabilities)
    return score + (softmax_pullback(z, relaxed_gate_gradient) - given) / temperature


@shaped(gates="E K", gate_gradient="E K", output_gradient="E")
def fill_idle(gates: A, gate_gradient: A, output_gradient: A) -> A:
    """GDAS's acceleration: an operation that did not run counts as if its output had been one everywhere.

    g_ek where a_ek = 1, else the sum of dL/d(output of edge e)         (Dong & Yang 2019; docs/notation.md, eq. 17)

    Args: gates one-hot, gate_gradient (..., E, K); output_gradient (..., E). Returns: (..., E, K).
    """
    return gates * gate_gradient + (1 - gates) * expand(output_gradient, 1)


@shaped(probabilities="E K", gates="E K", gate_gradient="E K")
def reinmax(probabilities: A, gates: A, gate_gradient: A) -> A:
    """ReinMax: a straight-through estimator that is exact for losses quadratic in the gates of one edge.

    2 m (g - <m, g>) - (1/2) p (g - <p, g>), m = (a + p) / 2            (Liu et al. 2023; docs/notation.md, eq. 18)

    Args: probabilities, one-hot gates, gate_gradient (..., E, K), the latter dense at the one-hot gates.
    Returns: (..., E, K).
    """
    midpoint = (gates + probabilities) / 2
    return softmax_pullback(midpoint, gate_gradient) * 2 - softmax_pullback(probabilities, gate_gradient) / 2


@shaped(pair_probabilities="E 2", pair_gate_gradient="E 2")
def proxyless(pair_probabilities: A, pair_gate_gradient: A) -> A:
    """ProxylessNAS: the two drawn paths of each edge against each other.

    gradient_i = sum_j g_j q_j (delta_ij - q_i), i, j in the pair  (Cai et al. 2019, eq. 4; docs/notation.md, eq. 19)

    Args: pair_probabilities q (..., E, 2), each row summing to one; pair_gate_gradient (..., E, 2).
    Returns: (..., E, 2), for the logits of the pair.
    """
    return softmax_pullback(pair_probabilities, pair_gate_gradient)


@shaped(gate_gradient="E K")
def nasp(gate_gradient: A) -> A:
    """NASP: the dense gate gradient at the one-hot argmax is itself the step; the method projects to [0, 1].

    gradient = g                                                        (Yao et al. 2020; docs/notation.md, eq. 20)

    Args: gate_gradient (..., E, K). Returns: the same array.
    """
    return gate_gradient


# ------------------------------------------------------------------ ordered candidates


@shaped(success="E", count="E", trials="1", credit="E/1")
def binomial(success: A, count: A, trials: Any, credit: A) -> A:
    """Ordered candidates (channel counts): k ~ Binomial(trials, success = sigmoid(phi)).

    gradient_e = credit_e (k_e - trials success_e), with respect to phi (docs/notation.md, eq. 21)

    Args: success (..., E); count k (..., E) in 0..trials; trials K - 1; credit (..., E), or (..., 1) for L - b.
    Returns: (..., E). Unbiased if credit_e = L - b_e with b_e independent of k_e.
    """
    return credit * (count - trials * success)


# ------------------------------------------------------------------ shared pieces


@shaped(gates="E K", gate_gradient="E K")
def first_order_credit(gates: A, gate_gradient: A) -> A:
    """credit_e = sum_k a_ek g_ek: (..., E, K) twice -> (..., E), in loss units. Equals <dL/doutput_e, output_e>."""
    return (gates * gate_gradient).sum(axis=-1)


@shaped(probabilities="E K", gradient="E K")
def softmax_pullback(probabilities: A, gradient: A) -> A:
    """Transposed Jacobian of softmax: p_e (g_e - <p_e, g_e>), (..., E, K) twice -> (..., E, K), rows sum to zero."""
    return probabilities * (gradient - (probabilities * gradient).sum(axis=-1, keepdims=True))
