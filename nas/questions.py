"""What can a method ask of an objective, and which fields of the sample does each answer fill?

An estimator's parameters are named as fields of `nas.samples.Sample`; `needs` reads from `QUESTIONS` what must be asked
to fill them, and `nas.step.measure` asks it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from nas import objective, quadrature
from nas.arrays import namespace
from nas.objective import Objective
from nas.samples import Sample

Answer = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """ask: (objective, sample) -> the fields `fills` of the sample."""

    ask: Callable[[Any, Sample], Answer]
    fills: tuple[str, ...]


# ------------------------------------------------------------------ the questions


def loss(problem: Objective[Any], sample: Sample) -> Answer:
    """The loss of the drawn gates: one forward pass."""
    return {"loss": problem.loss(sample.gates)}


def gradients(problem: Objective[Any], sample: Sample) -> Answer:
    """The loss of the drawn gates and its gradients: one forward and one backward pass."""
    measured = problem.gradients(sample.gates, sample.runs)
    return {
        "loss": measured.loss,
        "gate_gradient": measured.gate_gradient,
        "output_gradient": measured.output_gradient,
    }


def zeroed_losses(problem: Objective[Any], sample: Sample) -> Answer:
    """The loss with each edge zeroed in turn: E forward passes."""
    return {"zeroed_loss": objective.zeroed_losses(problem, sample.gates)}


def zeroed_loss(problem: Objective[Any], sample: Sample) -> Answer:
    """The loss with the one chosen edge zeroed: one forward pass."""
    return {"zeroed_loss": objective.zeroed_loss(problem, sample.gates, sample.chosen)}


def alternative_losses(problem: Objective[Any], sample: Sample) -> Answer:
    """The loss with each edge at each of its operations: E K forward passes."""
    return {"alternative_losses": objective.alternative_losses(problem, sample.gates)}


def path_gradients(problem: Objective[Any], sample: Sample) -> Answer:
    """Gate gradients along each edge's own gate, at the nodes of `quadrature.GAUSS_2`: 2 E backward passes."""
    nodes = quadrature.GAUSS_2.nodes
    return {"path_gradients": objective.path_gradients(problem, sample.gates, sample.runs, nodes)}


def mean(problem: Objective[Any], sample: Sample) -> Answer:
    """The loss at the mean gates a = p and its dense gate gradient: one forward and one backward pass."""
    measured = problem.gradients(sample.probabilities, namespace(sample.gates).ones_like(sample.gates))
    return {"mean_loss": measured.loss, "mean_gate_gradient": measured.gate_gradient}


def relaxations(problem: Objective[Any], sample: Sample) -> Answer:
    """Dense gate gradients at two relaxed samples, z and the conditioned one: two forward and two backward passes."""
    ones = namespace(sample.gates).ones_like(sample.gates)
    relaxed, conditioned = (problem.gradients(at, ones) for at in (sample.z, sample.conditioned))
    return {
        "relaxed_gate_gradient": relaxed.gate_gradient,
        "conditioned_loss": conditioned.loss,
        "conditioned_gate_gradient": conditioned.gate_gradient,
    }


def virtual_step(problem: Any, sample: Sample) -> Answer:
    """Gate gradients after a virtual weight step, and beside it: four forward and four backward passes."""
    ask = getattr(problem, "virtual_step", None)
    if ask is None:
        raise ValueError(
            "second-order DARTS takes a virtual step of the weights, and this problem offers none (`virtual_step`): "
            "search a supernet with it, or take darts"
        )
    answer: Answer = ask(sample.gates)
    return answer


def expected_gradient(problem: Any, sample: Sample) -> Answer:
    """The gradient of E[L] itself. Only a landscape that knows all its K^E losses can answer."""
    return {"expected_gradient": problem.expected_gradient(sample.probabilities)}


# The order in which they are asked: the drawn gates first, from which a recurrent network's state goes on.
QUESTIONS = {
    "loss": Question(loss, ("loss",)),
    "gradients": Question(gradients, ("loss", "gate_gradient", "output_gradient")),
    "zeroed_losses": Question(zeroed_losses, ("zeroed_loss",)),
    "zeroed_loss": Question(zeroed_loss, ("zeroed_loss",)),
    "alternative_losses": Question(alternative_losses, ("alternative_losses",)),
    "path_gradients": Question(path_gradients, ("path_gradients",)),
    "mean": Question(mean, ("mean_loss", "mean_gate_gradient")),
    "relaxations": Question(relaxations, ("relaxed_gate_gradient", "conditioned_loss", "conditioned_gate_gradient")),
    "virtual_step": Question(
        virtual_step,
        ("stepped_gate_gradient", "gate_gradient_plus", "gate_gradient_minus", "virtual_rate", "virtual_radius"),
    ),
    "expected_gradient": Question(expected_gradient, ("expected_gradient",)),
}
ANSWERS = tuple(dict.fromkeys(name for question in QUESTIONS.values() for name in question.fills))


def needs(fields: Collection[str], given: Collection[str]) -> frozenset[str]:
    """The questions that fill `fields` of a sample of which the draw gives `given`.

    The loss of the drawn gates is always among the answers, because every loop records it; a method that needs only the
    expected gradient draws none.
    """
    unasked = "zeroed_losses" if "chosen" in given else "zeroed_loss"
    beyond = {*fields} - {"loss"}
    asked = {name for name, question in QUESTIONS.items() if name != unasked and beyond & {*question.fills}}
    if "gradients" not in asked and ("loss" in fields or asked != {"expected_gradient"}):
        asked.add("loss")
    return frozenset(asked)
