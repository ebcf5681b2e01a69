"""What is a method? How gates are drawn, which estimator credits them, and what is remembered.

`METHODS` is the one registry: the loop of `simulate` and the search of `nas` both take a method from it and call
`nas.step.architecture_step`. A user's own method is a `Method` in any importable module:
``--method package.module:name``.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nas import estimators, policy
from nas.arrays import expand, namespace
from nas.samples import (
    ALL_DENSE,
    ARGMAX,
    BINOMIAL,
    GUMBEL_HARD,
    GUMBEL_SOFT,
    MEAN,
    ONE_HOT,
    ONE_HOT_AND_EDGE,
    PAIR,
    SEVERAL,
    SWAPPED,
    UNIFORM,
    Draw,
    Sample,
)
from nas.schedule import cosine

Memory = dict[str, Any]


@dataclass(frozen=True)
class Average:
    """A moving average that a method keeps: of `value(sample)`, updated where `where(sample)` is one.

    axes: how many of the trailing (E, K) the value has: 0, 1 or 2. charged: whether the value is of the sample as the
    estimator sees it, a drawn zero operation charged by the method's policy.
    """

    value: Callable[[Sample], Any]
    axes: int
    where: Callable[[Sample], Any] | None = None
    charged: bool = False


@dataclass(frozen=True)
class Method:
    """A named method of architecture search.

    estimate: (sample, memory) -> gradient that the update descends, or None for a search without one.
    needs: which questions the objective answers, names of `QUESTIONS`.
    averages: what `memory` holds; the estimator sees the averages *before* this step.
    temperature: of progress in [0, 1]. constrain: (old logits, new logits, sample) -> logits, after each update.
    zero_policy: "worst" charges a sampled zero operation the largest moving average of its edge (the paper's rule,
    biased); "plain" leaves its credit at zero.
    """

    name: str
    label: str
    draw: Draw
    estimate: Callable[[Sample, Memory], Any] | None
    needs: frozenset[str]
    propagation: Literal["sparse", "two-path", "dense"] = "sparse"
    averages: Mapping[str, Average] = field(default_factory=dict)
    temperature: Callable[[float], float] | None = None
    constrain: Callable[[Any, Any, Sample], Any] | None = None
    zero_policy: Literal["worst", "plain"] = "plain"
    source: str = ""


# ------------------------------------------------------------------ the pieces of single methods

LOSS_AVERAGE = Average(lambda s: s.loss, 0)
CREDIT_AVERAGE = Average(lambda s: estimators.first_order_credit(s.gates, s.gate_gradient), 1, charged=True)
EXACT_AVERAGE = Average(lambda s: expand(s.loss, 1) - s.zeroed_loss, 1)
GATE_AVERAGE = Average(lambda s: s.gate_gradient, 2, lambda s: s.gates)


def _linear_temperature(progress: float) -> float:
    return 10.0 - 9.9 * progress


def _cosine_temperature(progress: float) -> float:
    return max(cosine(progress), 0.01)  # 0 itself has no gradient


def parsec_weights(loss: Any) -> Any:
    """Importance weights of S samples: softmax of -loss, (..., S) -> (..., S)."""
    return policy.softmax(-loss)


def _gdas(sample: Sample, memory: Memory) -> Any:
    filled = estimators.fill_idle(sample.gates, sample.gate_gradient, sample.output_gradient)
    return estimators.relaxed(sample.z, filled, sample.temperature)


def _proxyless(sample: Sample, memory: Memory) -> Any:
    q = (sample.pair * sample.probabilities[..., None, :]).sum(axis=-1)
    g = (sample.pair * sample.gate_gradient[..., None, :]).sum(axis=-1)
    gradient = estimators.proxyless(q / q.sum(axis=-1, keepdims=True), g)
    return (sample.pair * expand(gradient, 1)).sum(axis=-2)


def _rescale_pair(old: Any, new: Any, sample: Sample) -> Any:
    """Keep the undrawn probabilities: undrawn logits stay, the drawn pair keeps its total weight."""
    xp = namespace(old)
    drawn = sample.runs > 0

    def weight(logits: Any) -> Any:
        inside = xp.where(drawn, logits, -xp.inf)
        top = xp.amax(inside, axis=-1, keepdims=True)
        return xp.log(xp.exp(inside - top).sum(axis=-1, keepdims=True)) + top

    return xp.where(drawn, new - weight(new) + weight(old), old)


def _box(old: Any, new: Any, sample: Sample) -> Any:
    return namespace(new).clip(new, 0.0, 1.0)


def _binomial_gradient(sample: Sample, credit: Any) -> Any:
    order = policy.positions(sample.gates)
    trials = sample.gates.shape[-1] - 1
    success = (sample.probabilities * order).sum(axis=-1) / max(trials, 1)
    count = (sample.gates * order).sum(axis=-1)
    return expand(estimators.binomial(success, count, trials, credit), 1) * (order == 0)


def _quadrature(sample: Sample, memory: Memory) -> Any:
    weights = (0 * sample.path_gradients[..., 0, 0] + 1) / 2  # Gauss-Legendre with two nodes: equal weights
    return estimators.quadrature_advantage(sample.probabilities, sample.gates, sample.path_gradients, weights)


# ------------------------------------------------------------------ the registry

LOSS, GRADIENTS = frozenset({"loss"}), frozenset({"gradients"})

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "advantage",
            "AdvantageNAS",
            ONE_HOT,
            lambda s, m: estimators.advantage(s.probabilities, s.gates, s.gate_gradient),
            GRADIENTS,
            averages={"gate_gradient": GATE_AVERAGE},
            zero_policy="worst",
            source="Sato et al. 2021",
        ),
        Method(
            "advantage_with_baseline",
            "AdvantageNAS with baseline",
            ONE_HOT,
            lambda s, m: estimators.advantage_with_baseline(s.probabilities, s.gates, s.gate_gradient, m["credit"]),
            GRADIENTS,
            averages={"gate_gradient": GATE_AVERAGE, "credit": CREDIT_AVERAGE},
            zero_policy="worst",
            source="Sato et al. 2021",
        ),
        Method(
            "reinforce",
            "REINFORCE",
            ONE_HOT,
            lambda s, m: estimators.reinforce(s.probabilities, s.gates, s.loss, m["loss"]),
            LOSS,
            averages={"loss": LOSS_AVERAGE},
            source="Williams 1992",
        ),
        Method(
            "parsec",
            "PARSEC",
            SEVERAL,
            lambda s, m: estimators.parsec(s.probabilities, s.gates, parsec_weights(s.loss)),
            LOSS,
            source="Casale et al. 2019",
        ),
        Method(
            "gdas",
            "GDAS",
            GUMBEL_HARD,
            _gdas,
            GRADIENTS,
            temperature=_linear_temperature,
            source="Dong & Yang 2019",
        ),
        Method(
            "proxyless",
            "ProxylessNAS",
            PAIR,
            _proxyless,
            GRADIENTS,
            propagation="two-path",
            constrain=_rescale_pair,
            source="Cai et al. 2019",
        ),
        Method(
            "snas",
            "SNAS",
            GUMBEL_SOFT,
            lambda s, m: estimators.relaxed(s.z, s.gate_gradient, s.temperature),
            GRADIENTS,
            propagation="dense",
            temperature=_cosine_temperature,
            source="Xie et al. 2019",
        ),
        Method(
            "darts",
            "DARTS",
            MEAN,
            lambda s, m: estimators.darts(s.probabilities, s.gate_gradient),
            GRADIENTS,
            propagation="dense",
            source="Liu et al. 2019",
        ),
        Method(
            "nasp",
            "NASP",
            ARGMAX,
            lambda s, m: estimators.nasp(s.gate_gradient),
            GRADIENTS,
            propagation="dense",
            constrain=_box,
            source="Yao et al. 2020",
        ),
        Method("random", "Random search", UNIFORM, None, LOSS, source="Li & Talwalkar 2019"),
        Method(
            "exact_advantage",
            "Exact advantage",
            ONE_HOT,
            lambda s, m: estimators.exact_advantage(s.probabilities, s.gates, s.loss, s.zeroed_loss),
            frozenset({"loss", "zeroed_losses"}),
            source="difference reward: Wolpert & Tumer 2002; Sato et al. 2021",
        ),
        Method(
            "exact_advantage_with_baseline",
            "Exact advantage with baseline",
            ONE_HOT,
            lambda s, m: estimators.exact_advantage(
                s.probabilities, s.gates, s.loss, s.zeroed_loss + m["exact_advantage"]
            ),
            frozenset({"loss", "zeroed_losses"}),
            averages={"exact_advantage": EXACT_AVERAGE},
        ),
        Method(
            "debiased_advantage",
            "Debiased credit",
            ONE_HOT_AND_EDGE,
            lambda s, m: estimators.debiased_advantage(
                s.probabilities, s.gates, s.gate_gradient, s.loss, s.zeroed_loss, s.chosen
            ),
            frozenset({"gradients", "zeroed_loss"}),
        ),
        Method(
            "quadrature_advantage",
            "Gate quadrature",
            ONE_HOT,
            _quadrature,
            frozenset({"path_gradients", "loss"}),
            source="integrated gradients, along one gate: Sundararajan et al. 2017",
        ),
        Method(
            "reinforce_leave_one_out",
            "RLOO",
            SEVERAL,
            lambda s, m: estimators.reinforce_leave_one_out(s.probabilities, s.gates, s.loss),
            LOSS,
            source="Kool et al. 2019",
        ),
        Method(
            "counterfactual",
            "Counterfactual baseline",
            ONE_HOT,
            lambda s, m: estimators.counterfactual(s.probabilities, s.gates, s.loss, s.alternative_losses),
            frozenset({"loss", "alternative_losses"}),
            source="Foerster et al. 2018",
        ),
        Method(
            "marginalised",
            "Rao-Blackwellised",
            ONE_HOT,
            lambda s, m: estimators.marginalised(s.probabilities, s.alternative_losses),
            frozenset({"loss", "alternative_losses"}),
            source="local expectation gradient: Titsias & Lázaro-Gredilla 2015",
        ),
        Method(
            "reinmax",
            "ReinMax",
            ALL_DENSE,
            lambda s, m: estimators.reinmax(s.probabilities, s.gates, s.gate_gradient),
            GRADIENTS,
            propagation="dense",
            source="Liu et al. 2023",
        ),
        Method(
            "muprop",
            "MuProp",
            ONE_HOT,
            lambda s, m: estimators.muprop(s.probabilities, s.gates, s.loss, s.mean_loss, s.mean_gate_gradient),
            frozenset({"loss", "mean"}),
            propagation="dense",
            source="Gu et al. 2016",
        ),
        Method(
            "ars",
            "ARS",
            SWAPPED,
            lambda s, m: estimators.ars(s.reference, s.loss),
            LOSS,
            source="Yin et al. 2019",
        ),
        Method(
            "binomial_advantage",
            "AdvantageNAS, binomial",
            BINOMIAL,
            lambda s, m: _binomial_gradient(s, estimators.first_order_credit(s.gates, s.gate_gradient)),
            GRADIENTS,
            source="Sato et al. 2021",
        ),
        Method(
            "binomial_reinforce",
            "REINFORCE, binomial",
            BINOMIAL,
            lambda s, m: _binomial_gradient(s, expand(s.loss, 1) - expand(m["loss"], 1)),
            LOSS,
            averages={"loss": LOSS_AVERAGE},
        ),
    )
}

PAPER_METHODS = ("advantage", "reinforce", "parsec", "gdas", "proxyless", "snas", "darts", "nasp")


def find(name: str) -> Method:
    """The method called `name`, from the registry or, as `package.module:name`, from a user's own module.

    Raises: ValueError with the known names, or with what is wrong with the user's object.
    """
    if name in METHODS:
        return METHODS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"unknown method {name!r}; known: {', '.join(METHODS)}, or your own as package.module:name")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: a name relative to nothing
        raise ValueError(f"cannot load method {name!r}: {error}") from error
    if not isinstance(found, Method):
        raise ValueError(f"{name!r} is a {type(found).__name__}, not a nas.methods.Method")
    return found
