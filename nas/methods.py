"""What is a method? An estimator, how its gates are drawn, and what is remembered for it.

`METHODS` is the one registry, and `find` the one door: the report card of `theory`, the simulator and the searches of
`nas` all take their methods here. An estimator's parameter names say what it needs of one step's sample (fields of
`nas.samples.Sample`) and of memory (`baseline`), so that nothing is said twice. Your own method is a plain function
with such parameters, or a `Method`, in any importable module: ``package.module:name``.
"""

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from nas import estimators, policy, questions
from nas.arrays import expand, namespace
from nas.controller import CONTROLLER
from nas.population import EVOLVED
from nas.running import plugins
from nas.samples import (
    ALL_DENSE,
    ANTITHETIC,
    ARGMAX,
    BINOMIAL,
    DISTINCT,
    GUMBEL_GIVEN,
    GUMBEL_HARD,
    GUMBEL_HARD_DENSE,
    GUMBEL_SOFT,
    GUMBEL_TWICE,
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
from nas.schedule import Cosine, Exponential, Linear

Memory = dict[str, Any]
GIVEN = ("probabilities", "gates", "runs", "zero_operation")  # fields of a sample that are there whatever is asked


@dataclass(frozen=True)
class Average:
    """A moving average that a method keeps: of `value(sample)`, updated where `where(sample)` is one.

    name: its place in memory and in checkpoints. axes: how many of the trailing (E, K) the value has: 0, 1 or 2.
    charged: whether the value is of the sample as the estimator sees it, a drawn zero operation charged by the method's
    policy. first: whether entries without an update have the value of the first sample, instead of zero (axes > 0).
    """

    name: str
    value: Callable[[Sample], Any]
    axes: int
    where: Callable[[Sample], Any] | None = None
    charged: bool = False
    first: bool = False


@dataclass(frozen=True)
class Method:
    """A named method of architecture search. All that any program knows of it stands in its block.

    estimator: returns the gradient (..., E, K) that the update descends; its parameters are named as what it needs.
    None for a search without a gradient, which keeps the best architecture that it saw.
    baseline: of what the parameter `baseline` is the moving average, as it was *before* this step.
    zero_policy: "worst" charges a sampled zero operation the largest moving average of its edge (the paper's rule,
    biased); "plain" leaves its credit at zero.
    temperature: of progress in [0, 1]. constrain: (old logits, new logits, sample) -> logits, after each update.
    unbiased_by: the theorem by which it is unbiased on every loss. source, colour: for tables and figures.

    averages, by name, and needs, names of `nas.questions.QUESTIONS`, follow from these.
    Raises: ValueError, at once, if the estimator takes what this method cannot give it.

    >>> def halved(probabilities, gates, gate_gradient):
    ...     return estimators.advantage(probabilities, gates, gate_gradient) / 2
    >>> sorted(Method("halved", "Half of the credit", halved).needs)
    ['gradients']
    """

    name: str
    label: str
    estimator: Callable[..., Any] | None
    draw: Draw = ONE_HOT
    baseline: Average | None = None
    zero_policy: Literal["worst", "plain"] = "plain"
    temperature: Callable[[float], float] | None = None
    constrain: Callable[[Any, Any, Sample], Any] | None = None
    propagation: Literal["sparse", "two-path", "dense"] = "sparse"
    unbiased_by: str = ""
    source: str = ""
    colour: str = ""
    takes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    needs: frozenset[str] = field(init=False, repr=False, compare=False)
    averages: dict[str, Average] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        takes = () if self.estimator is None else _taken(self.name, self.estimator, self.draw)
        if ("baseline" in takes) != (self.baseline is not None):
            raise ValueError(
                f"estimator {self.name} takes a baseline: say of what, as in baseline=nas.methods.LOSS_AVERAGE"
                if self.baseline is None
                else f"estimator {self.name} has no parameter named baseline to take the average"
            )
        needs = questions.needs(takes, self.draw.gives)
        if self.zero_policy == "worst" and "gradients" not in needs:
            raise ValueError(f"method {self.name} reads no gate gradient: its zero_policy can only be 'plain'")
        kept = (GATE_AVERAGE if self.zero_policy == "worst" else None, self.baseline)
        object.__setattr__(self, "takes", takes)
        object.__setattr__(self, "needs", needs)
        object.__setattr__(self, "averages", {average.name: average for average in kept if average is not None})

    def estimate(self, sample: Sample, memory: Memory) -> Any:
        """The estimator's gradient (..., E, K) of one measured sample. Exact for exact samples and memory."""
        if self.estimator is None:
            raise ValueError(f"method {self.name} has no gradient")
        remembered = {} if self.baseline is None else {"baseline": memory[self.baseline.name]}
        found = {name: remembered[name] if name in remembered else getattr(sample, name) for name in self.takes}
        return self.estimator(**found)


def _parameters(name: str, estimator: Callable[..., Any]) -> dict[str, bool]:
    """The parameters of an estimator, and whether each has a default. Raises: ValueError if one has no usable name."""
    try:
        parameters = inspect.signature(estimator).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(f"estimator {name} does not say what it takes: {error}") from error
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ValueError(
                f"estimator {name} takes `{parameter}` without a usable name; name what it needs, as in "
                f"def {name}(probabilities, gates, loss)"
            )
    return {parameter.name: parameter.default is not parameter.empty for parameter in parameters}


def _taken(name: str, estimator: Callable[..., Any], draw: Draw) -> tuple[str, ...]:
    """Which fields of the sample, and `baseline`, an estimator is given: every one that it names.

    A parameter of another name must have a default, and keeps it.
    """
    known = (*GIVEN, *draw.gives, *questions.ANSWERS, "baseline")
    parameters = _parameters(name, estimator)
    for parameter, has_default in parameters.items():
        if parameter not in known and not has_default:
            of_others = parameter in Sample.__dataclass_fields__
            why = "which its draw does not give" if of_others else "which no sample has"
            raise ValueError(f"estimator {name} takes {parameter!r}, {why}; known: {', '.join(known)}")
    return tuple(parameter for parameter in parameters if parameter in known)


# ------------------------------------------------------------------ what methods remember


def loss_of(sample: Sample) -> Any:
    """L(a), (...,)."""
    return sample.loss


def credit_of(sample: Sample) -> Any:
    """First-order credit of each edge, (..., E)."""
    return estimators.first_order_credit(sample.gates, sample.gate_gradient)


def exact_credit_of(sample: Sample) -> Any:
    """Exact advantage of each edge, (..., E)."""
    return expand(sample.loss, 1) - sample.zeroed_loss


def gate_gradient_of(sample: Sample) -> Any:
    """dL/da, (..., E, K)."""
    return sample.gate_gradient


def gates_of(sample: Sample) -> Any:
    """The drawn gates, (..., E, K)."""
    return sample.gates


def residual_of(sample: Sample) -> Any:
    """What first-order credit misses, credit - exact, as if every edge were the one that was zeroed, (..., E, K)."""
    missed = credit_of(sample) - expand(sample.loss, 1) + expand(sample.zeroed_loss, 1)
    return expand(missed, 1) + 0 * sample.gates


def zeroed_gates_of(sample: Sample) -> Any:
    """The drawn gate of the edge that was zeroed, (..., E, K): where `residual_of` is what it says."""
    return sample.gates * expand(sample.chosen, 1)


ENTROPY_WEIGHT = 1e-4  # in loss units per nat (ENAS's published settings)


def regularised_loss_of(sample: Sample) -> Any:
    """L(a) less the entropy bonus of the sample, (...,)."""
    return sample.loss + ENTROPY_WEIGHT * sample.log_probability


def loss_of_operations(sample: Sample) -> Any:
    """L(a), as if every operation were one that was drawn, (..., E, K)."""
    return expand(sample.loss, 2) + 0 * sample.gates


def regularised_loss_of_operations(sample: Sample) -> Any:
    """The same less the entropy bonus, (..., E, K)."""
    return expand(regularised_loss_of(sample), 2) + 0 * sample.gates


LOSS_AVERAGE = Average("loss", loss_of, 0)
CRITIC = Average("critic", loss_of_operations, 2, where=gates_of, first=True)
REGULARISED_CRITIC = Average("critic", regularised_loss_of_operations, 2, where=gates_of, first=True)
REGULARISED_AVERAGE = Average("regularised_loss", regularised_loss_of, 0)
CREDIT_AVERAGE = Average("credit", credit_of, 1, charged=True)
EXACT_AVERAGE = Average("exact_advantage", exact_credit_of, 1)
GATE_AVERAGE = Average("gate_gradient", gate_gradient_of, 2, where=gates_of)
RESIDUAL_AVERAGE = Average("residual", residual_of, 2, where=zeroed_gates_of)


# ------------------------------------------------------------------ where a sample is not yet what an estimator takes


def reinforce_without_baseline(probabilities: Any, gates: Any, loss: Any) -> Any:
    """`estimators.reinforce` with the baseline zero."""
    return estimators.reinforce(probabilities, gates, loss, 0 * loss)


def actor_critic(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
    """`estimators.actor_critic`, its critic the mean loss of each edge's operations."""
    return estimators.actor_critic(probabilities, gates, loss, baseline)


def exact_advantage_with_baseline(probabilities: Any, gates: Any, loss: Any, zeroed_loss: Any, baseline: Any) -> Any:
    """`estimators.exact_advantage`, the edge's average advantage subtracted."""
    return estimators.exact_advantage(probabilities, gates, loss, zeroed_loss + baseline)


def quadrature_advantage(probabilities: Any, gates: Any, path_gradients: Any) -> Any:
    """`estimators.quadrature_advantage` with the rule by which the path gradients were asked for."""
    weights = (0 * path_gradients[..., 0, 0] + 1) / 2  # those of quadrature.GAUSS_2, equal, in the world of the sample
    return estimators.quadrature_advantage(probabilities, gates, path_gradients, weights)


def reference_advantage(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    """`estimators.reference_advantage` against the mean output."""
    return estimators.reference_advantage(probabilities, gates, gate_gradient, probabilities)


def tabulated_advantage(
    probabilities: Any, gates: Any, gate_gradient: Any, loss: Any, zeroed_loss: Any, chosen: Any, baseline: Any
) -> Any:
    """`estimators.budgeted_advantage` with one edge looked up; the control is credit less what it misses on average."""
    control = estimators.first_order_credit(gates, gate_gradient) - (gates * baseline).sum(axis=-1)
    even = (0 * control + 1) / gates.shape[-2]
    worth = expand(loss, 1) - expand(zeroed_loss, 1) + 0 * control
    return estimators.budgeted_advantage(probabilities, gates, control, worth, chosen, even)


def enas(probabilities: Any, gates: Any, loss: Any, log_probability: Any, baseline: Any) -> Any:
    """`estimators.reinforce_with_entropy` with the published weight."""
    return estimators.reinforce_with_entropy(probabilities, gates, loss, log_probability, baseline, ENTROPY_WEIGHT)


def enas_critic(probabilities: Any, gates: Any, loss: Any, log_probability: Any, baseline: Any) -> Any:
    """`estimators.actor_critic` of the regularised loss, with the published weight."""
    return estimators.actor_critic(probabilities, gates, loss + ENTROPY_WEIGHT * log_probability, baseline)


def parsec_weights(loss: Any) -> Any:
    """Importance weights of S samples: softmax of -loss, (..., S) -> (..., S)."""
    return policy.softmax(-loss)


def parsec(probabilities: Any, gates: Any, loss: Any) -> Any:
    """`estimators.parsec` with its importance weights."""
    return estimators.parsec(probabilities, gates, parsec_weights(loss))


def ars(reference: Any, loss: Any) -> Any:
    """`estimators.ars`: the losses of the K drawn samples are those of the swaps."""
    return estimators.ars(reference, loss)


def gdas(z: Any, gates: Any, gate_gradient: Any, output_gradient: Any, temperature: Any) -> Any:
    """`estimators.relaxed`, idle gates filled by `estimators.fill_idle`."""
    return estimators.relaxed(z, estimators.fill_idle(gates, gate_gradient, output_gradient), temperature)


def proxyless(probabilities: Any, pair: Any, gate_gradient: Any) -> Any:
    """`estimators.proxyless` of the two drawn operations, put back among the K."""
    q = (pair * probabilities[..., None, :]).sum(axis=-1)
    g = (pair * gate_gradient[..., None, :]).sum(axis=-1)
    gradient = estimators.proxyless(q / q.sum(axis=-1, keepdims=True), g)
    return (pair * expand(gradient, 1)).sum(axis=-2)


def binomial_advantage(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    """`estimators.binomial` with first-order credit."""
    return _of_count(probabilities, gates, estimators.first_order_credit(gates, gate_gradient))


def binomial_reinforce(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
    """`estimators.binomial`, every edge charged L - b."""
    return _of_count(probabilities, gates, expand(loss, 1) - expand(baseline, 1))


def _of_count(probabilities: Any, gates: Any, credit: Any) -> Any:
    """The gradient with respect to phi, column 0 of the logits, of the count that the gates stand for."""
    order = policy.positions(gates)
    trials = gates.shape[-1] - 1
    success = (probabilities * order).sum(axis=-1) / max(trials, 1)
    count = (gates * order).sum(axis=-1)
    return expand(estimators.binomial(success, count, trials, credit), 1) * (order == 0)


def darts_second_order(
    probabilities: Any,
    stepped_gate_gradient: Any,
    gate_gradient_plus: Any,
    gate_gradient_minus: Any,
    virtual_rate: Any,
    virtual_radius: Any,
) -> Any:
    """`estimators.darts` with the gate gradient of `estimators.unrolled`."""
    gate_gradient = estimators.unrolled(
        stepped_gate_gradient, gate_gradient_plus, gate_gradient_minus, virtual_rate, virtual_radius
    )
    return estimators.darts(probabilities, gate_gradient)


def expected_gradient(expected_gradient: Any) -> Any:
    """The gradient of E[L] itself."""
    return expected_gradient


# ------------------------------------------------------------------ where an update must end


def rescale_pair(old: Any, new: Any, sample: Sample) -> Any:
    """Keep the undrawn probabilities: undrawn logits stay, the drawn pair keeps its total weight."""
    xp = namespace(old)
    drawn = sample.runs > 0

    def weight(logits: Any) -> Any:
        inside = xp.where(drawn, logits, -xp.inf)
        top = xp.amax(inside, axis=-1, keepdims=True)
        return xp.log(xp.exp(inside - top).sum(axis=-1, keepdims=True)) + top

    return xp.where(drawn, new - weight(new) + weight(old), old)


def box(old: Any, new: Any, sample: Sample) -> Any:
    """The logits are kept in [0, 1]."""
    return namespace(new).clip(new, 0.0, 1.0)


# ------------------------------------------------------------------ the registry

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "advantage",
            "AdvantageNAS",
            estimators.advantage,
            zero_policy="worst",
            source="Sato et al. 2021",
            colour="#d55e00",
        ),
        Method(
            "advantage_with_baseline",
            "AdvantageNAS with baseline",
            estimators.advantage_with_baseline,
            baseline=CREDIT_AVERAGE,
            zero_policy="worst",
            source="Sato et al. 2021",
            colour="#e69f00",
        ),
        Method(
            "reinforce",
            "REINFORCE",
            estimators.reinforce,
            baseline=LOSS_AVERAGE,
            unbiased_by="T4",
            source="Williams 1992",
            colour="#0072b2",
        ),
        Method(
            "parsec",
            "PARSEC",
            parsec,
            draw=SEVERAL,
            source="Casale et al. 2019",
            colour="#56b4e9",
        ),
        Method(
            "gdas",
            "GDAS",
            gdas,
            draw=GUMBEL_HARD,
            temperature=Linear(10, 0.1),
            source="Dong & Yang 2019",
            colour="#009e73",
        ),
        Method(
            "proxyless",
            "ProxylessNAS",
            proxyless,
            draw=PAIR,
            constrain=rescale_pair,
            propagation="two-path",
            source="Cai et al. 2019",
            colour="#cc79a7",
        ),
        Method(
            "snas",
            "SNAS",
            estimators.relaxed,
            draw=GUMBEL_SOFT,
            temperature=Cosine(least=0.01),  # 0 itself has no gradient
            propagation="dense",
            source="Xie et al. 2019",
            colour="#8c8c8c",
        ),
        Method(
            "darts",
            "DARTS",
            estimators.darts,
            draw=MEAN,
            propagation="dense",
            source="Liu et al. 2019",
            colour="#404040",
        ),
        Method(
            "nasp",
            "NASP",
            estimators.nasp,
            draw=ARGMAX,
            constrain=box,
            propagation="dense",
            source="Yao et al. 2020",
            colour="#b8a800",
        ),
        Method(
            "random",
            "Random search",
            None,
            draw=UNIFORM,
            source="Li & Talwalkar 2019",
            colour="#a0522d",
        ),
        Method(
            "actor_critic",
            "Actor-critic",
            actor_critic,
            baseline=CRITIC,
            unbiased_by="T4",
            source="Konda & Tsitsiklis 2000",
            colour="#3182bd",
        ),
        Method(
            "exact_advantage",
            "Exact advantage",
            estimators.exact_advantage,
            unbiased_by="T4",
            source="difference reward: Wolpert & Tumer 2002; Sato et al. 2021",
            colour="#7b3294",
        ),
        Method(
            "exact_advantage_with_baseline",
            "Exact advantage with baseline",
            exact_advantage_with_baseline,
            baseline=EXACT_AVERAGE,
            unbiased_by="T4",
            colour="#b07cc6",
        ),
        Method(
            "debiased_advantage",
            "Debiased credit",
            estimators.debiased_advantage,
            draw=ONE_HOT_AND_EDGE,
            unbiased_by="T4",
            colour="#1b7837",
        ),
        Method(
            "tabulated_advantage",
            "Debiased credit with a table",
            tabulated_advantage,
            draw=ONE_HOT_AND_EDGE,
            baseline=RESIDUAL_AVERAGE,
            unbiased_by="T16",
            colour="#5aae61",
        ),
        Method(
            "reference_advantage",
            "Credit against the mean output",
            reference_advantage,
            draw=ALL_DENSE,
            propagation="dense",
            colour="#b35806",
        ),
        Method(
            "quadrature_advantage",
            "Gate quadrature",
            quadrature_advantage,
            source="integrated gradients, along one gate: Sundararajan et al. 2017",
            colour="#1ce6c5",
        ),
        Method(
            "reinforce_without_baseline",
            "REINFORCE without baseline",
            reinforce_without_baseline,
            unbiased_by="T4",
            source="Williams 1992",
            colour="#6baed6",
        ),
        Method(
            "reinforce_leave_one_out",
            "RLOO",
            estimators.reinforce_leave_one_out,
            draw=SEVERAL,
            unbiased_by="T4",
            source="Kool et al. 2019",
            colour="#17becf",
        ),
        Method(
            "counterfactual",
            "Counterfactual baseline",
            estimators.counterfactual,
            unbiased_by="T4",
            source="Foerster et al. 2018",
            colour="#66a61e",
        ),
        Method(
            "marginalised",
            "Rao-Blackwellised",
            estimators.marginalised,
            unbiased_by="T4",
            source="local expectation gradient: Titsias & Lázaro-Gredilla 2015",
            colour="#98df8a",
        ),
        Method(
            "reinmax",
            "ReinMax",
            estimators.reinmax,
            draw=ALL_DENSE,
            propagation="dense",
            source="Liu et al. 2023",
            colour="#bcbd22",
        ),
        Method(
            "muprop",
            "MuProp",
            estimators.muprop,
            propagation="dense",
            source="Gu et al. 2016",
            colour="#c5b0d5",
        ),
        Method(
            "ars",
            "ARS",
            ars,
            draw=SWAPPED,
            source="Yin et al. 2019",
            colour="#ff9896",
        ),
        Method(
            "fbnet",
            "FBNet",
            estimators.relaxed,
            draw=GUMBEL_SOFT,
            temperature=Exponential(5, 0.087),  # 5 exp(-0.045 epoch), after 90 epochs
            propagation="dense",
            source="Wu et al. 2019",
            colour="#17a398",
        ),
        Method(
            "straight_through_gumbel",
            "Straight-through Gumbel",
            estimators.relaxed,
            draw=GUMBEL_HARD_DENSE,
            temperature=Linear(1, 0.5),
            propagation="dense",
            source="Jang et al. 2017",
            colour="#2ca02c",
        ),
        Method(
            "gumbel_rao",
            "Gumbel-Rao",
            estimators.gumbel_rao,
            draw=GUMBEL_GIVEN,
            temperature=Linear(1, 0.5),
            propagation="dense",
            source="Paulus et al. 2021",
            colour="#637939",
        ),
        Method(
            "unordered_set",
            "Unordered set of two",
            estimators.unordered_set,
            draw=DISTINCT,
            source="Kool et al. 2020",
            colour="#393b79",
        ),
        Method(
            "rebar",
            "REBAR",
            estimators.rebar,
            draw=GUMBEL_TWICE,
            temperature=Linear(1, 0.5),
            propagation="dense",
            source="Tucker et al. 2017",
            colour="#843c39",
        ),
        Method(
            "binomial_advantage",
            "AdvantageNAS, binomial",
            binomial_advantage,
            draw=BINOMIAL,
            source="Sato et al. 2021",
            colour="#8c2d04",
        ),
        Method(
            "binomial_reinforce",
            "REINFORCE, binomial",
            binomial_reinforce,
            draw=BINOMIAL,
            baseline=LOSS_AVERAGE,
            colour="#023858",
        ),
    )
}

PAPER_METHODS = ("advantage", "reinforce", "parsec", "gdas", "proxyless", "snas", "darts", "nasp")

# What the others estimate. Not in the registry: only a landscape that knows all its losses can be asked for it.
EXACT = Method("exact", "Exact gradient", expected_gradient, draw=MEAN, propagation="dense", colour="#000000")

# For two candidate operations an edge and no other number, so it stands beside the registry, whose methods take any.
DISARM = Method("disarm", "DisARM", estimators.disarm, draw=ANTITHETIC, source="Dong et al. 2020", colour="#e7298a")

# Their draws keep something beside E rows of logits, weights or a population: for networks, whose loss a search asks
# about; theory and simulator, which sum over a product of softmaxes, refuse them.
ENAS = Method(
    "enas", "ENAS", enas, draw=CONTROLLER, baseline=REGULARISED_AVERAGE, source="Pham et al. 2018", colour="#e6550d"
)
ENAS_CRITIC = Method(
    "enas_critic",
    "ENAS with a critic",
    enas_critic,
    draw=CONTROLLER,
    baseline=REGULARISED_CRITIC,
    source="Pham et al. 2018; Konda & Tsitsiklis 2000",
    colour="#fdae6b",
)
EVOLUTION = Method(
    "evolution", "Regularised evolution", None, draw=EVOLVED, source="Real et al. 2019", colour="#756bb1"
)
# Its question moves the weights of a network, which a landscape has none of.
SECOND_ORDER = Method(
    "darts_second_order",
    "DARTS, second order",
    darts_second_order,
    draw=MEAN,
    propagation="dense",
    source="Liu et al. 2019",
    colour="#636363",
)
ASIDE = {method.name: method for method in (EXACT, DISARM, ENAS, ENAS_CRITIC, EVOLUTION, SECOND_ORDER)}


# ------------------------------------------------------------------ the door


def find(name: str, landscape: bool = False) -> Method:
    """The method that a name means: of the registry, one of `ASIDE`, or your own, package.module:name.

    landscape: whether it is asked for by theory or simulator, where the losses of all architectures are at hand, so
    that there is an expected gradient, but a policy is E rows of logits.
    Raises: ValueError in one line, with the known names, or with what is wrong with the user's object.

    >>> find("reinforce").label
    'REINFORCE'
    >>> from nas.running import plugins
    >>> plugins.allow("nas.estimators")  # in a program of yours; on a command line the name is enough
    >>> find("nas.estimators:advantage").needs
    frozenset({'gradients'})
    """
    if name in METHODS:
        found = METHODS[name]
    elif name in ASIDE:
        found = ASIDE[name]
    elif plugins.is_own(name):
        found = _own(name)
    else:
        raise ValueError(
            f"unknown method {name!r}; known: {', '.join((*METHODS, *ASIDE))}, or your own as package.module:name"
        )
    if "expected_gradient" in found.needs and not landscape:
        raise ValueError(
            f"method {name} needs the exact expected gradient, which takes the losses of all K^E architectures: "
            "a landscape of `python -m theory` or `python -m simulate` has them, a network does not"
        )
    if landscape:
        check_landscape(found)
    return found


def check_landscape(method: Method) -> None:
    """Raises: ValueError unless the method draws from E rows of logits, and asks about gates alone."""
    why = None
    if method.draw.keeps is not None:
        why = "does not draw from a product of E softmaxes, of which theory and simulator speak"
    elif "virtual_step" in method.needs:
        why = "takes a virtual step of a network's weights, and the landscapes of theory and simulator have none"
    if why is not None:
        raise ValueError(f"method {method.name} {why}: it searches networks (`python -m nas search`)")


def known_as(name: str) -> Method | None:
    """The method called `name`, to label or draw it; None for a user's own, unless its module is allowed anyway."""
    if plugins.may_load(name):
        with contextlib.suppress(ValueError):  # gone since its results were written
            return find(name, landscape=True)
    return METHODS.get(name) or ASIDE.get(name)


def label(name: str) -> str:
    """The name of a method in figures and tables; a user's own is its own label."""
    found = known_as(name)
    return found.label if found else name


def method_of(estimator: Callable[..., Any], name: str) -> Method:
    """A method that credits one-hot samples with a plain function, whose parameters are named as what it needs.

    `baseline` is the mean loss where the function takes `loss`, else the mean first-order credit of each edge; `chosen`
    makes it draw one edge to zero. What else a method can be is said by a `Method`.

    >>> def centred(probabilities, gates, loss, baseline):
    ...     return (loss - baseline)[..., None, None] * (gates - probabilities)
    >>> method_of(centred, "centred").averages.keys()
    dict_keys(['loss'])
    """
    names = _parameters(name, estimator)
    baseline = None
    if "baseline" in names:
        if names.keys().isdisjoint({"loss", "gate_gradient"}):
            raise ValueError(f"estimator {name} takes a baseline but neither loss nor gate_gradient to average")
        baseline = LOSS_AVERAGE if "loss" in names else CREDIT_AVERAGE
    draw = ONE_HOT_AND_EDGE if "chosen" in names else ONE_HOT
    return Method(name, name.replace("_", " "), estimator, draw=draw, baseline=baseline)


def _own(name: str) -> Method:
    found = plugins.load(name, "method")
    if isinstance(found, Method):
        return found
    if isinstance(found, type) or not callable(found):
        kind = "class" if isinstance(found, type) else type(found).__name__
        raise ValueError(f"{name!r} is a {kind}, not a nas.methods.Method or an estimator function")
    return method_of(found, name.partition(":")[2])
