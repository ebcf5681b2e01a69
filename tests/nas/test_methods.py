"""The one door: a registry name, a user's `Method` or a plain function is the same method in all three programs."""

import inspect
import json
import pickle
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas.__main__
import simulate.__main__
import theory.__main__
from nas import estimators, methods, objective, optimisers, questions, step
from nas.data.places import VARIABLE
from nas.judging import colours
from nas.methods import CREDIT_AVERAGE, EXACT, GATE_AVERAGE, LOSS_AVERAGE, METHODS, Method
from nas.running import plugins
from nas.samples import GUMBEL_HARD, ONE_HOT, ONE_HOT_AND_EDGE, SEVERAL

OWN = """
from dataclasses import replace
from nas.methods import LOSS_AVERAGE, METHODS, Method
from nas import estimators

def plain(probabilities, gates, gate_gradient):
    return estimators.advantage(probabilities, gates, gate_gradient)

def centred(probabilities, gates, loss, baseline):
    return (loss - baseline)[..., None, None] * (gates - probabilities)

def with_options(probabilities, *, gates, loss=None, power=1, temperature=2.0):
    assert loss is not None and temperature == 2.0
    return loss[..., None, None] ** power * (gates - probabilities)

def truth(expected_gradient):
    return expected_gradient

def forgetful(probabilities, gates, loss):
    pass

mine = Method("mine", "My method", centred, baseline=LOSS_AVERAGE, colour="#123456", source="me")
old = replace(METHODS["darts"], name="old")
number = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)  # without data a search takes the small text that is in the house
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plugins.allow(name, "no_such_module")
    return name


# ------------------------------------------------------------------ the registry


def functions(part: Any) -> Iterator[Any]:
    """Every function that a method holds, however deep."""
    if is_dataclass(part) and not isinstance(part, type):
        for entry in fields(part):
            yield from functions(getattr(part, entry.name))
    elif isinstance(part, dict):
        for value in part.values():
            yield from functions(value)
    elif inspect.isfunction(part):
        yield part


@pytest.mark.parametrize("method", [*METHODS.values(), EXACT], ids=lambda m: m.name)
def test_a_method_is_stored_and_its_functions_have_names(method: Method) -> None:
    assert pickle.loads(pickle.dumps(method)) == method
    found = list(functions(method))
    assert found
    assert not [function for function in found if "<lambda>" in function.__qualname__]


def test_control_a_lambda_is_found_and_cannot_be_stored() -> None:
    careless = replace(METHODS["darts"], constrain=lambda old, new, sample: new)
    assert any("<lambda>" in function.__qualname__ for function in functions(careless))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(careless)


def test_questions_have_names() -> None:
    for name, question in questions.QUESTIONS.items():
        assert question.ask.__name__ == name


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda m: m.name)
def test_what_is_asked_fills_what_the_estimator_takes(method: Method) -> None:
    """And no question is asked in vain: each fills something that is taken, or the loss, which is recorded."""
    assert {"loss", "gradients"} & method.needs
    filled = {name for question in method.needs for name in questions.QUESTIONS[question].fills}
    assert {*method.takes} <= {*methods.GIVEN, *method.draw.gives, *filled, "baseline"}
    for question in method.needs:
        assert {*questions.QUESTIONS[question].fills} & {*method.takes, "loss"}


def test_needs_by_hand() -> None:
    expected = {
        "advantage": {"gradients"},
        "reinforce": {"loss"},
        "exact_advantage": {"loss", "zeroed_losses"},
        "debiased_advantage": {"gradients", "zeroed_loss"},
        "quadrature_advantage": {"loss", "path_gradients"},
        "marginalised": {"loss", "alternative_losses"},
        "muprop": {"loss", "mean"},
        "gdas": {"gradients"},
        "random": {"loss"},
    }
    assert {name: set(METHODS[name].needs) for name in expected} == expected
    assert EXACT.needs == {"expected_gradient"}


def test_memory_has_the_names_of_old_checkpoints() -> None:
    """memory/loss, memory/gate_gradient, ...: what a search of an earlier version left can go on."""
    kept = {name: list(method.averages) for name, method in METHODS.items() if method.averages}
    assert kept == {
        "advantage": ["gate_gradient"],
        "advantage_with_baseline": ["gate_gradient", "credit"],
        "reinforce": ["loss"],
        "actor_critic": ["critic"],
        "exact_advantage_with_baseline": ["exact_advantage"],
        "tabulated_advantage": ["residual"],
        "binomial_reinforce": ["loss"],
    }
    assert not replace(METHODS["advantage"], zero_policy="plain").averages


def test_temperatures_by_hand() -> None:
    assert [METHODS["gdas"].temperature(t) for t in (0, 0.5, 1)] == [10, 10 - 9.9 / 2, pytest.approx(0.1)]  # type: ignore[misc]
    assert [METHODS["snas"].temperature(t) for t in (0, 1)] == [1, 0.01]  # type: ignore[misc]


# ------------------------------------------------------------------ a plain function


def test_the_shipped_estimators_are_methods_by_their_parameter_names() -> None:
    assert methods.method_of(estimators.debiased_advantage, "d").draw == ONE_HOT_AND_EDGE
    assert methods.method_of(estimators.debiased_advantage, "d").needs == METHODS["debiased_advantage"].needs
    assert methods.method_of(estimators.reinforce, "r").averages == {"loss": LOSS_AVERAGE}
    assert methods.method_of(estimators.advantage_with_baseline, "a").averages == {"credit": CREDIT_AVERAGE}
    assert methods.method_of(estimators.advantage, "first_order").label == "first order"
    assert methods.method_of(estimators.advantage, "a").draw == ONE_HOT


def test_a_parameter_that_names_something_gets_it_and_others_keep_their_default(own: str) -> None:
    found = methods.find(f"{own}:with_options")
    assert found.takes == ("probabilities", "gates", "loss")
    state = step.start(found, optimisers.sgd(), np.zeros((2, 3)))
    moved, sample = step.architecture_step(found, optimisers.sgd(), state, Slope(), np.array([0.1, 0.9]), 1.0)
    np.testing.assert_allclose(moved.logits, -sample.loss * (sample.gates - 1 / 3))


class Slope:
    """A loss that is linear in the gates: 1, 2, 3 an edge."""

    zero_operation = None

    def loss(self, gates: Any) -> Any:
        return (gates * np.arange(1.0, 4.0)).sum(axis=(-1, -2))

    def gradients(self, gates: Any, runs: Any) -> objective.Gradients[Any]:
        return objective.Gradients(self.loss(gates), np.arange(1.0, 4.0) * runs, 0 * gates[..., 0])


def weather(probabilities: Any, weather: Any) -> Any:
    return probabilities


def wants_noise(z: Any, gate_gradient: Any) -> Any:
    return z


def anything(*arguments: Any) -> Any:
    return arguments


def keywords(probabilities: Any, **others: Any) -> Any:
    return probabilities


def positional(probabilities: Any, gates: Any, /) -> Any:
    return probabilities


def of_nothing(probabilities: Any, baseline: Any) -> Any:
    return probabilities


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (weather, "takes 'weather', which no sample has; known: probabilities, gates, runs"),
        (wants_noise, "takes 'z', which its draw does not give; known: "),
        (anything, r"takes `\*arguments.*` without a usable name"),
        (keywords, r"takes `\*\*others.*` without a usable name"),
        (positional, "takes `probabilities.*` without a usable name"),
        (of_nothing, "takes a baseline but neither loss nor gate_gradient"),
        (np.add, "does not say what it takes|without a usable name"),
    ],
)
def test_what_cannot_be_a_method_is_refused_in_one_line(function: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        methods.method_of(function, "mine")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"baseline": LOSS_AVERAGE}, "has no parameter named baseline"),
        ({"estimator": estimators.reinforce}, "say of what, as in baseline="),
        ({"estimator": estimators.marginalised, "zero_policy": "worst"}, "its zero_policy can only be 'plain'"),
        ({"estimator": estimators.relaxed}, "takes 'z', which its draw does not give"),
    ],
)
def test_a_block_that_contradicts_itself_is_refused(block: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Method(**{"name": "mine", "label": "Mine", "estimator": estimators.advantage, **block})
    assert Method("mine", "Mine", estimators.relaxed, draw=GUMBEL_HARD, temperature=float).takes[0] == "z"


# ------------------------------------------------------------------ the door


def test_find(own: str) -> None:
    assert methods.find("darts") is METHODS["darts"]
    assert methods.find(f"{own}:old").name == "old"
    assert methods.find(f"{own}:mine").label == "My method"
    assert methods.find(f"{own}:centred").averages == {"loss": LOSS_AVERAGE}
    for name, message in [
        ("dart", "unknown method 'dart'; known: advantage, "),
        (f"{own}:none", f"cannot load method '{own}:none'"),
        ("no_such_module:x", "cannot load method 'no_such_module:x'"),
        (f"{own}:number", "is a int, not a nas.methods.Method"),
        (f"{own}:Method", "is a class, not a nas.methods.Method"),
    ]:
        with pytest.raises(ValueError, match=message):
            methods.find(name)


def test_the_expected_gradient_is_for_landscapes(own: str) -> None:
    for name in ("exact", f"{own}:truth"):
        assert methods.find(name, landscape=True).needs == {"expected_gradient"}
        with pytest.raises(ValueError, match=f"method {name} needs the exact expected gradient, .* all K\\^E architec"):
            methods.find(name)


def test_what_searches_networks_is_no_method_of_landscapes_and_has_its_label_all_the_same(own: str) -> None:
    for name in ("enas", "evolution", "darts_second_order"):
        assert methods.find(name) is methods.ASIDE[name]
        with pytest.raises(ValueError, match=f"method {name} .*: it searches networks"):
            methods.find(name, landscape=True)
        assert methods.label(name) == methods.ASIDE[name].label
    assert methods.find("disarm", landscape=True) is methods.DISARM  # the control
    for name, label in (("mine", "My method"), ("truth", "truth")):
        assert methods.known_as(f"{own}:{name}") is not None
        assert methods.label(f"{own}:{name}") == label
    assert methods.known_as(f"{own}:none") is None


SIZE = ["--edges", "2", "--candidates", "3"]
CELLS = ["edges=2", "candidates=3", "steps=20", "replicates=6", "every=10"]
TINY = ["network.units=6", "network.batch=20", "network.window=8", "network.least=60", "search.epochs=1"]
TINY += ["search.warmup_epochs=0"]


def sets(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.mark.parametrize("what", ["plain", "centred", "mine"])
def test_a_users_method_runs_in_all_three_programs(what: str, own: str, tmp_path: Path) -> None:
    name = f"{own}:{what}"
    assert theory.__main__.main(["card", name, *SIZE, "--json", "card.json", "--figure", "card.png"]) == 0
    assert what in json.loads(Path("card.json").read_text())["methods"]
    compare = ["compare", "quadratic", name, "advantage", "--runs", "simulated", "--workers", "1"]
    assert simulate.__main__.main([*compare, *sets(CELLS)]) == 0
    (page,) = Path("simulated").rglob("report.html")
    assert ("My method" if what == "mine" else f"{what}") in page.read_text(encoding="utf-8")
    policy = ["--set", "search.zero_policy=plain"]  # what a drawn zero operation is charged is said, not guessed
    assert nas.__main__.main(["search", "ptb", "--method", name, *policy, "--runs", "searched", *sets(TINY)]) == 0
    (result,) = Path("searched").rglob("result.json")
    assert json.loads(result.read_text())["method"] == name
    assert nas.__main__.main(["audit", str(result.parent), "--samples", "2", "--methods", name]) == 0
    assert what in json.loads((result.parent / "audit.json").read_text())["methods"]


def test_the_exact_gradient_runs_where_it_is_known_and_is_refused_where_not(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert theory.__main__.main(["card", "exact", *SIZE, "--json", "card.json", "--figure", "card.png"]) == 0
    card = json.loads(Path("card.json").read_text())
    assert card["unbiased"]
    assert card["bias_norm"] == card["total_variance"] == 0
    assert card["forward"] == 3**2
    assert simulate.__main__.main(["compare", "xor", "exact", "--runs", "runs", "--workers", "1", *sets(CELLS)]) == 0
    assert simulate.__main__.main(["moments", "exact", "--draws", "20000"]) == 0
    capsys.readouterr()
    for command in (
        ["search", "ptb", "--method", "exact", *sets(TINY)],
        ["compare", "ptb", "--methods", "exact,advantage"],
    ):
        assert nas.__main__.main(command) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "method exact needs the exact expected gradient, which takes the losses of all K^E" in said
    assert simulate.__main__.main(["run", "toy", "--methods", "exact"]) == 2


def test_a_policy_with_weights_searches_networks_and_is_refused_elsewhere(
    own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nas.__main__.main(["search", "ptb", "--method", "enas", "--runs", "searched", *sets(TINY)]) == 0
    (result,) = Path("searched").rglob("result.json")
    assert nas.__main__.main(["draw", str(result.parent)]) == 0
    capsys.readouterr()
    searching = ["search", "ptb", "--method", "enas", *sets([*TINY, "search.optimiser=natural"])]
    for main, command, says in (
        (theory.__main__.main, ["card", "enas", *SIZE], "does not draw from a product of E softmaxes"),
        (
            simulate.__main__.main,
            ["compare", "xor", "enas", *sets(CELLS)],
            "does not draw from a product of E softmaxes",
        ),
        (
            simulate.__main__.main,
            ["run", "toy", "--methods", "evolution"],
            "does not draw from a product of E softmaxes",
        ),
        (nas.__main__.main, ["audit", str(result.parent)], "an audit draws from a product of E softmaxes"),
        (nas.__main__.main, ["audit", str(result.parent), "--methods", "enas"], "no gradient at the policy of another"),
        (nas.__main__.main, searching, "optimiser natural moves E rows of logits alone"),
    ):
        assert main(command) == 2, command
        said = capsys.readouterr().err.strip()
        assert says in said.splitlines()[-1]
    assert len([*Path().rglob("config.toml")]) == 1  # nothing was begun


def test_a_forgotten_return_is_one_line_in_all_three_programs(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{own}:forgetful"
    compare = ["compare", "quadratic", name, "--runs", "runs", "--workers", "1"]
    for main, command in (
        (theory.__main__.main, ["card", name, *SIZE]),
        (simulate.__main__.main, [*compare, *sets(CELLS)]),
        (nas.__main__.main, ["search", "ptb", "--method", name, *sets(TINY)]),
    ):
        assert main(command) == 2
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert "estimator forgetful returned None; it must return the gradient" in said


def test_adding_a_method_touches_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Listed in the registry, and nowhere else, it has its label and colour on the card, in simulations, in figures."""
    from simulate.run import Machine, Setting, simulate
    from theory import card
    from theory.landscapes import make

    new = Method(
        "fresh",
        "Fresh from the press",
        estimators.reinforce,
        baseline=LOSS_AVERAGE,
        unbiased_by="T4",
        source="nobody",
        colour="#010203",
    )
    assert methods.label("fresh") == "fresh"  # the control: not yet
    monkeypatch.setitem(METHODS, "fresh", new)
    found = card.card(methods.find("fresh"), make("quadratic", 2, 2), np.full((2, 2), 0.5))
    assert found.label == "Fresh from the press"
    assert found.verdict.startswith("unbiased (T4)")
    assert methods.label("fresh") == "Fresh from the press"
    assert colours.of_method("fresh") == "#010203"
    setting = Setting(method="fresh", edges=2, candidates=2, steps=2, replicates=2)
    assert simulate(setting, Machine("numpy", dtype="float64")).values["expected_loss"].shape == (2, 2)


def test_gates_move_the_average_that_the_zero_rule_reads() -> None:
    assert METHODS["advantage"].averages == {"gate_gradient": GATE_AVERAGE}
    assert SEVERAL.noise(3, 5) == (8, 3)
