"""What an estimator's fields make a step ask, by hand; and every question fills what it says."""

import numpy as np
import pytest

from nas import questions
from nas.methods import METHODS
from nas.questions import QUESTIONS, needs
from nas.samples import ONE_HOT_AND_EDGE, PAIR
from theory.landscapes import make


@pytest.mark.parametrize(
    ("fields", "given", "asked"),
    [
        ({"gates", "loss"}, (), {"loss"}),
        ({"gates", "gate_gradient"}, (), {"gradients"}),  # whose pass has the loss, too
        ({"loss", "gate_gradient", "output_gradient"}, (), {"gradients"}),
        ({"loss", "zeroed_loss"}, (), {"loss", "zeroed_losses"}),  # every edge
        ({"loss", "zeroed_loss", "gate_gradient"}, ("chosen",), {"gradients", "zeroed_loss"}),  # the chosen one
        ({"alternative_losses"}, (), {"alternative_losses", "loss"}),  # the loss is recorded whatever is credited
        ({"mean_loss", "mean_gate_gradient", "loss"}, (), {"mean", "loss"}),
        ({"stepped_gate_gradient", "virtual_rate"}, (), {"virtual_step", "loss"}),
        ({"expected_gradient"}, (), {"expected_gradient"}),
    ],
)
def test_needs_by_hand(fields: set[str], given: tuple[str, ...], asked: set[str]) -> None:
    assert needs(fields, given) == asked


OF_WEIGHTS = "virtual_step"  # which a landscape cannot answer: tests/nas/supernets/test_ahead.py


@pytest.mark.parametrize("name", sorted(set(QUESTIONS) - {OF_WEIGHTS}))
def test_a_question_fills_what_it_says(name: str) -> None:
    draw = {"zeroed_loss": ONE_HOT_AND_EDGE, "relaxations": METHODS["rebar"].draw}.get(name, PAIR)
    landscape = make("quadratic", 2, 3)
    uniforms = np.random.default_rng(0).random((4, *draw.noise(2, 3)))
    sample = draw.sample(np.zeros((4, 2, 3)), uniforms, 0.5)
    answer = QUESTIONS[name].ask(landscape, sample)
    assert tuple(answer) == QUESTIONS[name].fills
    assert all(np.isfinite(values).all() for values in answer.values())


def test_control_an_unknown_field_asks_nothing_but_the_loss() -> None:
    assert needs({"gates", "temperature"}, ()) == {"loss"}
    assert set().union(*(method.needs for method in METHODS.values())) == set(QUESTIONS) - {
        "expected_gradient",
        OF_WEIGHTS,
    }
    assert tuple(dict.fromkeys(questions.ANSWERS)) == questions.ANSWERS
