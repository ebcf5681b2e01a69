"""Shapes at the door: every argument of every estimator is refused in one line if it does not fit, and only then."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from nas import estimators
from nas.shapes import shaped

PUBLIC: dict[str, Callable[..., Any]] = {
    name: function
    for name, function in vars(estimators).items()
    if inspect.isfunction(function) and function.__module__ == "nas.estimators"
}
SIZES = {"E": 2, "K": 3, "S": 4, "Q": 5, "M": 8}
Shapes = dict[str, tuple[int, ...]]


def rules(name: str) -> dict[str, list[str]]:
    """The axes of each argument."""
    return {argument: axes.split() for argument, axes in PUBLIC[name].shapes.items()}  # type: ignore[attr-defined]


def size(axis: str) -> int:
    label = axis.partition("/")[0]
    return int(label) if label.isdigit() else SIZES[label]


def fitting(name: str, lead: tuple[int, ...] = ()) -> Shapes:
    return {argument: (*lead, *map(size, axes)) for argument, axes in rules(name).items()}


def arrays(axes: dict[str, list[str]]) -> list[str]:
    """The arguments that set the leading axes."""
    found = [argument for argument, own in axes.items() if len(own) > 1 and own[0] != "1"]
    return found or list(axes)


def called(name: str, shapes: Shapes, **others: Any) -> Any:
    return PUBLIC[name](**{argument: np.ones(shape) for argument, shape in shapes.items()} | others)


def misfits(name: str, argument: str) -> Iterator[tuple[str, Shapes]]:
    """Calls in which one argument alone is wrong, and how."""
    axes, right = rules(name), fitting(name)
    own, others = axes[argument], [axis for other, named in axes.items() if other != argument for axis in named]
    if own and not all(axis == "1" or axis.endswith("/1") for axis in own):
        yield "an axis is missing", {**right, argument: right[argument][1:]}
    for place, axis in enumerate(own):
        label = axis.partition("/")[0]
        if label.isdigit() or any(other.partition("/")[0] == label for other in others):
            shape = list(right[argument])
            shape[place] += 1
            yield f"axis {axis} is too long", {**right, argument: tuple(shape)}
            if not axis.endswith("/1") and axis != "1":
                shape[place] = 1
                yield f"axis {axis} is one", {**right, argument: tuple(shape)}
    leads = arrays(axes)
    if argument not in leads:
        yield "a leading axis that no architecture has", {**right, argument: (6, *right[argument])}
        yield "another leading axis", {**fitting(name, (6,)), argument: (7, *right[argument])}
        yield "one leading axis too many", {**fitting(name, (6,)), argument: (1, 6, *right[argument])}
    elif len(leads) > 1:
        yield "another leading axis", {**fitting(name, (6,)), argument: (7, *right[argument])}


EVERY = [(name, argument) for name in PUBLIC for argument in PUBLIC[name].shapes]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "argument"), EVERY)
def test_a_wrong_argument_is_refused_in_one_line(name: str, argument: str) -> None:
    wrong = list(misfits(name, argument))
    assert wrong
    for what, shapes in wrong:
        try:
            called(name, shapes)
        except ValueError as error:
            said = str(error)
        else:
            pytest.fail(f"accepted, though {what}: {shapes}")
        assert re.match(rf"{name}: \w+ (has the shape|is) .*it must be [^\n]*$", said), said


def test_two_arguments_that_agree_on_a_wrong_size_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"proxyless: pair_probabilities has the shape \(2, 5\), it must be \(..., E, 2\)"
    ):
        estimators.proxyless(np.ones((2, 5)), np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"darts: probabilities has the shape \(3,\)"):
        estimators.darts(np.ones(3), np.ones(3))


@pytest.mark.parametrize(("name", "argument"), EVERY)
def test_what_is_no_array_is_refused(name: str, argument: str) -> None:
    for value, says in ((None, "is None"), ([1.0, 2.0], "is a list")):
        if value is None and argument == "chosen_probability":
            continue  # by default each edge has the same
        with pytest.raises(ValueError, match=f"{name}: {argument} {says}, it must be "):
            called(name, fitting(name), **{argument: value})


@pytest.mark.parametrize("lead", [(), (6,), (6, 7)])
@pytest.mark.parametrize("name", PUBLIC)
def test_what_fits_is_not_refused(name: str, lead: tuple[int, ...]) -> None:
    """With leading axes, and with every argument in turn the same for all of them: one policy, one rule of weights."""
    expected = called(name, fitting(name, lead))
    for argument in rules(name):
        if arrays(rules(name)) == [argument] and len(rules(name)) > 1:
            continue  # the one argument that says which architectures there are
        shared = called(name, {**fitting(name, lead), argument: fitting(name)[argument]})
        if len(rules(name)) > 1:
            assert shared.shape == expected.shape
        np.testing.assert_array_equal(np.broadcast_to(shared, expected.shape), expected)


@pytest.mark.parametrize("number", [2, 0.5, Fraction(1, 3), np.float64(2.0), np.array(3.0)])
@pytest.mark.parametrize(
    ("name", "argument"),
    [(n, a) for n, a in EVERY if all(axis == "1" or axis.endswith("/1") for axis in rules(n)[a])],
)
def test_a_plain_number_is_the_same_for_all(name: str, argument: str, number: Any) -> None:
    axes = rules(name)[argument]
    plain = called(name, fitting(name, (6,)), **{argument: number})
    full = called(name, fitting(name, (6,)), **{argument: np.full((6, *map(size, axes)), float(number))})
    np.testing.assert_allclose(np.asarray(plain, dtype=float), full)
    if axes and axes != ["1"]:
        one_each = called(name, fitting(name, (6,)), **{argument: np.full((6, *(1 for _ in axes)), float(number))})
        np.testing.assert_allclose(one_each, full)


def test_control_without_the_door_wrong_shapes_give_numbers() -> None:
    """The two calls that were found in the open: a gate gradient of one edge, and two losses of one architecture."""
    p, loss = np.full((2, 3), 1 / 3), np.ones(2)
    open_advantage, open_reinforce = (inspect.unwrap(f) for f in (estimators.advantage, estimators.reinforce))
    assert open_reinforce(p, p, loss, 0.0).shape == (2, 2, 3)
    with pytest.raises(ValueError, match="advantage: gate_gradient"):
        estimators.advantage(p, p, np.ones(3))
    with pytest.raises(
        ValueError, match=r"reinforce: loss has the shape \(2,\), it must be \(\.\.\.\) with leading axes"
    ):
        estimators.reinforce(p, p, loss, 0.0)
    with pytest.raises(ValueError, match="first_order_credit: gate_gradient"):  # its own door, the next one
        open_advantage(p, p, np.ones(3))


@pytest.mark.parametrize("convert", [torch.tensor, lambda x: np.array(x, dtype=object)], ids=["torch", "object"])
def test_in_every_world(convert: Callable[[Any], Any]) -> None:
    p, g = convert(np.full((2, 3), 0.5)), convert(np.ones(3))
    assert tuple(estimators.advantage(p, p, p).shape) == (2, 3)
    with pytest.raises(ValueError, match=r"advantage: gate_gradient has the shape \(3,\), it must be \(\.\.\., E, K\)"):
        estimators.advantage(p, p, g)


def test_by_position_or_by_name_and_what_is_missing_is_said_by_python() -> None:
    p = np.full((2, 3), 0.5)
    np.testing.assert_array_equal(estimators.darts(p, gate_gradient=p), estimators.darts(p, p))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'gate_gradient'"):
        estimators.darts(p)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="darts: gate_gradient"):
        estimators.darts(p, gate_gradient=p[0])


def test_the_docstring_shows_the_shapes() -> None:
    for name, function in PUBLIC.items():
        text = inspect.getdoc(function)
        assert text is not None
        shown = text.splitlines()[-1]
        assert shown.startswith("Shapes: ")
        for argument in rules(name):
            assert f"{argument} (" in shown
    assert "credit (..., E or 1)" in (inspect.getdoc(estimators.credited) or "")


def test_a_rule_for_a_parameter_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="plain has no parameter 'gate'"):

        @shaped(gate="E K")
        def plain(gates: Any) -> Any:
            return gates


def test_the_door_loads_nothing() -> None:
    code = "import sys, nas.shapes, nas.estimators; print(sorted({'torch', 'sympy', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
