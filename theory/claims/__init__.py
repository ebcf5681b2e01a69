"""The claims T1 to T17, one a file."""

from theory.claim import Claim
from theory.claims import (
    t1_monotone,
    t2_one_edge,
    t3_not_enough,
    t4_unbiased,
    t5_taylor_bias,
    t6_convergence,
    t7_variance,
    t8_logit_step,
    t9_exponentiated,
    t10_biased_steps,
    t11_best_baseline,
    t12_scale,
    t13_sampled_steps,
    t14_concentration,
    t15_moving_weights,
    t16_budgeted,
    t17_reference,
)

CLAIMS: dict[str, Claim] = {
    module.CLAIM.id: module.CLAIM
    for module in (
        t1_monotone,
        t2_one_edge,
        t3_not_enough,
        t4_unbiased,
        t5_taylor_bias,
        t6_convergence,
        t7_variance,
        t8_logit_step,
        t9_exponentiated,
        t10_biased_steps,
        t11_best_baseline,
        t12_scale,
        t13_sampled_steps,
        t14_concentration,
        t15_moving_weights,
        t16_budgeted,
        t17_reference,
    )
}
