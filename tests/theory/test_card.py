"""The report card: right numbers, a stranger's estimator, clear refusals."""

import json
import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import estimators, methods
from nas.methods import ASIDE, METHODS, find
from nas.running import plugins
from nas.samples import ONE_HOT_AND_EDGE
from theory import card, exact
from theory.__main__ import main
from theory.claims.t5_taylor_bias import FLIP
from theory.landscapes import Table, make

STRANGER = """
from nas import estimators, methods
from nas.methods import METHODS
from dataclasses import replace

def plain(probabilities, gates, loss):
    return loss[..., None, None] * (gates - probabilities)

def centred(probabilities, gates, loss, baseline):
    return (loss - baseline)[..., None, None] * (gates - probabilities)

def half(probabilities, gates, loss, zeroed_loss):
    return estimators.exact_advantage(probabilities, gates, loss, zeroed_loss) / 2

def for_two_candidates(probabilities, gates, loss):
    return loss[..., None, None] * (gates - probabilities) * 2 / gates.shape[-1]

def for_small_cells(probabilities, gates, loss):
    return loss[..., None, None] * (gates - probabilities) * (2 if gates.shape[-2] > 3 else 1)

def odd(probabilities, weather):
    return probabilities

whole = replace(METHODS["reinforce"], name="mine")
number = 3
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"stranger_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    file = tmp_path / "card.json"
    assert main(["card", *arguments, "--json", str(file), "--figure", str(tmp_path / "card.png")]) == 0
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_one_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, "advantage", "--edges", "2", "--candidates", "3", "--seed", "4")
    land, p = make("quadratic", 2, 3, 4), np.full((2, 3), 1 / 3)
    moments = exact.moments(METHODS["advantage"], land, p)
    assert found["expected_loss"] == pytest.approx(moments.expected_loss)
    np.testing.assert_allclose(found["gradient"], moments.gradient)
    np.testing.assert_allclose(found["mean"], moments.mean)
    assert found["bias_norm"] == pytest.approx(np.linalg.norm(moments.mean - moments.gradient))
    assert found["total_variance"] == pytest.approx(np.trace(moments.covariance))
    assert found["methods"]["advantage"]["bias_norm"] == found["bias_norm"]
    assert not found["unbiased"]
    assert not found["t1_applies"]
    shown = capsys.readouterr().out
    assert "biased where the loss is curved in a gate" in shown


OF_NETWORKS = {"enas", "enas_critic", "evolution", "darts_second_order"}


@pytest.mark.parametrize("name", [*METHODS, *ASIDE])
def test_every_name_has_a_card_or_one_line_that_says_why_not(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an additive loss every mean points along the gradient; NASP's is of a policy that its gates do not draw."""
    words = [name, "--landscape", "additive", "--edges", "3", "--candidates", "2"]  # two, for `disarm`
    if name == "random" or name in OF_NETWORKS:
        assert main(["card", *words]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"method {name} " in said
        assert ("has no gradient" if name == "random" else "it searches networks (`python -m nas search`)") in said
        return
    found = run(tmp_path, *words)
    assert found["label"] == find(name, landscape=True).label
    assert found["cosine"] > (0.5 if name == "nasp" else 0.999)
    assert found["known"] != "not a function"
    affine = {"advantage", "advantage_with_baseline", "darts", "proxyless", "reinmax"}
    if name in affine or find(name, landscape=True).unbiased_by:
        assert found["relative_bias"] < 1e-12
    assert found["total_variance"] >= 0
    assert found["forward"] >= 1
    assert name in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["turned", "raises"])
def test_control_a_method_that_breaks_is_seen(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
        if fault == "raises":
            raise ZeroDivisionError
        return -estimators.reinforce(probabilities, gates, loss, baseline)

    monkeypatch.setitem(METHODS, "reinforce", replace(METHODS["reinforce"], estimator=broken))
    with pytest.raises(AssertionError):
        test_every_name_has_a_card_or_one_line_that_says_why_not("reinforce", tmp_path, capsys)


def test_several_methods_and_a_policy_file(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps([["1/3", "2/3"], [0.25, 0.75]]))
    names = ["reinforce", "exact_advantage", "debiased_advantage", "snas"]
    found = run(tmp_path, *names, "--edges", "2", "--candidates", "2", "--policy", str(policy))
    assert list(found["methods"]) == names
    land, p = make("quadratic", 2, 2), np.array([[1 / 3, 2 / 3], [0.25, 0.75]])
    for name in names[:3]:
        assert found["methods"][name]["unbiased"]
        assert found["methods"][name]["t1_step"] == pytest.approx(1 / (land.max_loss - found["expected_loss"]))
        assert found["methods"][name]["bias_norm"] == pytest.approx(0, abs=1e-12)
    assert not found["methods"]["snas"]["unbiased"]
    assert found["methods"]["snas"]["bias_error"] > 0
    np.testing.assert_allclose(found["policy"], p)


def test_a_strangers_estimators(tmp_path: Path, stranger: str) -> None:
    small = ["--edges", "2", "--candidates", "2"]
    names = [f"{stranger}:{name}" for name in ("plain", "centred", "half", "whole")]
    found = run(tmp_path, *names, *small)["methods"]
    assert [found[name]["unbiased"] for name in ("plain", "centred", "half", "mine")] == [True, True, False, True]
    assert found["centred"]["total_variance"] == pytest.approx(found["mine"]["total_variance"])
    assert found["half"]["relative_bias"] == pytest.approx(0.5)
    land, p = make("quadratic", 2, 2), np.full((2, 2), 0.5)
    halved = exact.moments(METHODS["exact_advantage"], land, p).total_variance / 4
    assert found["half"]["total_variance"] == pytest.approx(halved)


def test_a_card_by_hand() -> None:
    """One edge, losses 0 and 1, zeroed 0, p = (1/4, 3/4): J = 3/4, gradient (-3/16, 3/16), squared 9/128, C = 1/4.

    The exact advantage charges 0 or 1: second moment 3/4 (1/8) = 12/128, V = 3/128. REINFORCE with baseline 3/4: 1/4
    (9/16)(9/8) + 3/4 (1/16)(1/8) = 21/128, V = 12/128. The best baseline is (3/4)(1/8) / (3/8) = 1/4, and leaves none:
    1/4 (1/16)(9/8) + 3/4 (9/16)(1/8) = 9/128. Longest steps 1 / (1 - J), 2 / C, 2 (9/128) / (C 12/128); samples (3/128)
    / (9/128 / 20). A step of 4 multiplies the odds 3 by exp(-4 (3/8)).
    """
    land, p = Table(np.array([0.0, 1.0, 0.0])), np.array([[0.25, 0.75]])
    found = card.card(METHODS["exact_advantage"], land, p)
    odds = 3 * math.exp(-1.5)
    expected = {
        "expected_loss": 3 / 4,
        "bias_norm": 0.0,
        "relative_bias": 0.0,
        "cosine": 1.0,
        "total_variance": 3 / 128,
        "variance_of_reinforce": 12 / 128,
        "variance_ratio": 1 / 4,
        "variance_of_best_baseline": 0.0,
        "edges_won": 1,
        "t1_step": 4.0,
        "t8_step": 8.0,
        "expected_step_changes_loss": odds / (1 + odds) - 3 / 4,
        "sampled_step": 6.0,
        "samples_95": 20 / 3,
        "outcomes": 2,
        "forward": 2,
        "backward": 0,
    }
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, abs=1e-12)
    assert (found.t1_applies, found.t8_applies, found.t10_descends, found.t7_boundary) == (True, True, True, None)
    assert [found.gradient, found.mean] == [[[-3 / 16, 3 / 16]]] * 2
    shown = {line[:26].strip(): line[26:].strip() for line in card.table([found]).splitlines()}
    assert shown["against REINFORCE"] == "0.250x"
    assert shown["T8, largest logit step"] == "8"
    assert shown["T10, mean step descends"] == "promised"
    assert shown["samples for 95 % (1/C)"] == "7"
    assert shown["edges with less (T7)"] == "1 of 1"


def test_the_card_of_the_flip_promises_nothing() -> None:
    """T5's flip: the mean of credit climbs, so no step of any length, and no number of samples."""
    found = card.card(METHODS["advantage"], FLIP.problem(False), FLIP.policy(False))
    assert (found.t10_descends, found.sampled_step, found.samples_95) == (False, 0.0, None)
    assert found.expected_step_changes_loss is not None
    assert found.expected_step_changes_loss > 0
    assert found.cosine == pytest.approx(-1)
    shown = card.table([found])
    assert "not promised" in shown
    assert "none suffice" in shown
    assert "does not apply" in shown  # T1 and T8


def test_the_figure_stacks_squared_bias_on_variance() -> None:
    land, p = make("quadratic", 2, 2), np.full((2, 2), 0.5)
    cards = [card.card(METHODS[name], land, p) for name in ("advantage", "exact_advantage")]
    axes = card._error_figure(cards).axes[0]
    variance, bias = axes.containers
    assert [bar.get_width() for bar in variance] == [c.total_variance for c in cards]
    assert [bar.get_x() for bar in bias] == [c.total_variance for c in cards]
    assert [bar.get_width() for bar in bias] == [c.bias_norm**2 for c in cards]
    assert axes.lines[0].get_xdata()[0] == cards[0].variance_of_reinforce


def test_the_objective_that_a_draw_asks_about() -> None:
    p = np.full((2, 3), 1 / 3)
    said = {name: card._objective(METHODS[name], p, 0.5) for name in ("advantage", "gdas", "snas", "darts")}
    assert said == {
        "advantage": card.ARCHITECTURES,
        "gdas": card.ARCHITECTURES,
        "snas": card.RELAXED,
        "darts": card.MEAN,
    }


@pytest.mark.parametrize("candidates", ["2", "3"])
def test_a_factor_that_is_right_for_two_candidates_is_a_bias(candidates: str, tmp_path: Path, stranger: str) -> None:
    found = run(tmp_path, f"{stranger}:for_two_candidates", "--edges", "2", "--candidates", candidates)
    assert not found["unbiased"]
    assert found["verdict"].startswith("biased, also where the loss is affine in every gate")
    assert found["t1_applies"] == (candidates == "2")


def test_a_bias_that_only_the_landscape_at_hand_shows(tmp_path: Path, stranger: str) -> None:
    """Right on every probe, twice the gradient on four edges: the measured bias decides."""
    found = run(tmp_path, f"{stranger}:for_small_cells", "--edges", "4", "--candidates", "2")
    assert found["relative_bias"] == pytest.approx(1)
    assert not found["unbiased"]
    assert not found["t1_applies"]
    assert found["verdict"].startswith("biased here, though exactly zero on 26 probes, E to 3, K to 5")


@pytest.mark.parametrize(
    ("name", "affine", "formula"),
    [
        ("advantage", True, True),
        ("advantage_with_baseline", True, True),
        ("darts", True, False),
        ("reinmax", True, False),
        ("binomial_advantage", True, False),
        ("quadrature_advantage", True, False),
        ("proxyless", False, False),
        ("nasp", False, False),
    ],
)
def test_the_verdict_on_biased_methods(name: str, affine: bool, formula: bool) -> None:
    """On which landscapes they are unbiased, and T5's formula for first-order credit of one-hot gates alone."""
    found = card.card(METHODS[name], make("saturating", 2, 3), np.full((2, 3), 1 / 3))
    assert not found.unbiased
    assert ("on all 13 affine probes" in found.verdict) == affine
    assert ("T5" in found.verdict) == formula


@pytest.mark.parametrize("name", ["binomial_advantage", "binomial_reinforce"])
def test_what_is_said_of_k_logits_does_not_apply_to_one(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["reinforce", name]
    found = run(tmp_path, *names, "--edges", "2", "--candidates", "3")["methods"]
    fields = ("t1_step", "t8_step", "t10_descends", "samples_95", "sampled_step", "expected_step_changes_loss")
    about_variance = ("variance_ratio", "variance_of_reinforce", "variance_of_best_baseline", "edges_won")
    for field in (*fields, *about_variance):
        assert found[name][field] is None, field
        assert found["reinforce"][field] is not None, field
    assert found["reinforce"]["softmax"]
    assert not any(found[name][field] for field in ("softmax", "t1_applies", "t8_applies"))
    assert found[name]["unbiased"] == (name == "binomial_reinforce")
    shown = capsys.readouterr().out
    assert sum(line.endswith("does not apply") for line in shown.splitlines()) == 10
    assert run(tmp_path, name, "--edges", "2", "--candidates", "3")["samples_95"] is None


def test_the_shipped_estimators_are_methods_by_their_parameter_names() -> None:
    """find() builds from a plain function what METHODS registers by hand."""
    land, p = make("quadratic", 2, 2, exact=True), np.full((2, 2), Fraction(1, 2))
    for name in ("advantage", "reinforce", "exact_advantage", "counterfactual", "muprop", "debiased_advantage"):
        built = methods.method_of(getattr(estimators, name), name)
        ours, registered = (exact.moments(m, land, p) for m in (built, METHODS[name]))
        np.testing.assert_allclose(ours.covariance.astype(float), registered.covariance.astype(float), atol=1e-12)
    assert methods.method_of(estimators.debiased_advantage, "d").draw == ONE_HOT_AND_EDGE


def test_additive_landscapes_have_the_t7_boundary(tmp_path: Path) -> None:
    found = run(tmp_path, "advantage", "--landscape", "additive", "--edges", "3", "--candidates", "3")
    gap = np.array(found["reinforce_edge_variances"]) - found["edge_variances"]
    np.testing.assert_allclose(found["t7_boundary"], gap, atol=1e-12)
    assert found["t1_applies"]


@pytest.mark.parametrize("landscape", ["additive", "pairwise", "xor", "trap", "quadratic", "heavy_tailed"])
def test_every_landscape_has_cards(landscape: str, tmp_path: Path) -> None:
    found = run(tmp_path, "exact_advantage", "--landscape", landscape, "--edges", "3", "--candidates", "2")
    assert found["bias_norm"] == pytest.approx(0, abs=1e-12)


@pytest.mark.skipif("ADVANTAGE_NAS_DATA" not in os.environ, reason="ADVANTAGE_NAS_DATA is not set")
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16_120"])
def test_nasbench201(dataset: str, tmp_path: Path) -> None:
    """Unbiased to rounding; at the uniform policy credit has less variance than REINFORCE on every edge."""
    names = ["reinforce", "exact_advantage", "exact_advantage_with_baseline"]
    found = run(tmp_path, *names, "--landscape", "nasbench201", "--dataset", dataset)["methods"]
    for name in names:
        assert found[name]["bias_norm"] < 1e-12 * found[name]["expected_loss"]
    variances = [found[name]["total_variance"] for name in names]
    assert variances[0] > variances[1] > variances[2]
    assert found["exact_advantage"]["edges_won"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "unknown method 'nonsense'; known: advantage"),
        (["no.such:thing"], "cannot load method 'no.such:thing'"),
        (["random"], "random has no gradient"),
        (["advantage", "--landscape", "hills"], "unknown landscape 'hills'"),
        (["advantage", "--dataset", "cifar10"], "--dataset belongs to --landscape nasbench201"),
        (["advantage", "--landscape", "nasbench201", "--dataset", "mnist"], "unknown data set 'mnist'"),
        (["advantage", "--edges", "30"], r"4^30 = 1.15e+18 architectures are too many"),
        (["advantage", "--edges", "0"], "at least one edge"),
        (["advantage", "--policy", "/nowhere.json"], "cannot read /nowhere.json: No such file"),
        (["advantage", "--progress", "2"], "--progress must lie in 0 to 1"),
        (["advantage", "--json", "/nowhere/card.json"], "no writable folder /nowhere"),
        (["advantage", "--figure", "/nowhere/card.png"], "no writable folder /nowhere"),
    ],
)
def test_refusals(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[0.5, 0.5]]", "has the shape (1, 2), the landscape (2, 2)"),
        ("[[0.5, 0.5], [0.9, 0.2]]", "row 1 of the policy is off the simplex"),
        ("[[0.5, 0.5], [NaN, 0.5]]", "row 1 of the policy is off the simplex"),
        ("half and half", "is not JSON with 2 rows of 2 numbers"),
        ('[["1/0", "1"], [1, 0]]', "is not JSON with 2 rows of 2 numbers"),
        (f"[[1{'0' * 400}, 1], [1, 0]]", "is not JSON with 2 rows of 2 numbers"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"p": 1}', "is not JSON with 2 rows of 2 numbers"),
        ("[[0.5, 0.5], [1]]", "is not JSON with 2 rows of 2 numbers"),
    ],
)
def test_bad_policies(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(content)
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        card.read_policy(str(tmp_path / "policy.json"), 2, 2)


def test_bad_strangers(stranger: str) -> None:
    with pytest.raises(ValueError, match=f"add --allow {stranger}"):
        methods.find(f"{stranger}:odd")
    plugins.allow(stranger)
    with pytest.raises(ValueError, match="takes 'weather', which no sample has"):
        methods.find(f"{stranger}:odd")
    with pytest.raises(ValueError, match="is a int, not a"):
        methods.find(f"{stranger}:number")
    with pytest.raises(ValueError, match="cannot load method"):
        methods.find(f"{stranger}:absent")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--json", "."], "cannot write .: it is a folder"),
        (["--figure", "card.nope"], "no figure has the ending .nope"),
        (["--figure", "."], "it is a folder"),
        (["--data", "."], "--data belongs to --landscape nasbench201"),
    ],
)
def test_what_could_not_be_written_or_is_not_asked_is_refused_before_a_card_is_made(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(card, "card", lambda *_: pytest.fail("it was made"))
    assert main(["card", "advantage", *words]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
