"""The audit on losses whose answers are known in closed form, and on a real run folder."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.judging import audit
from nas.methods import METHODS
from nas.objective import Gradients
from nas.running import runs
from nas.spaces.space import Space

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
HEIGHTS = torch.tensor([[1.0, -2.0, 0.5], [0.3, 2.0, -1.0]]).double()
SPACE = Space("known", ((0, 1), (0, 2)), ("a", "b", "c"), str, lambda text: (0, 0))
UNIFORM = torch.full((2, 3), 1 / 3).double()


@dataclass
class Known:
    """A parent network without weights: the loss is a polynomial of the sum of the chosen heights."""

    power: int
    target: float = 1.6
    space: Space = SPACE
    device: str = "cpu"
    zero_operation: int | None = None

    def objective(self) -> "Known":
        return self

    def loss(self, gates: Tensor) -> Tensor:
        return ((gates * HEIGHTS).sum(dim=(-2, -1)) - self.target) ** self.power

    def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
        off = (gates * HEIGHTS).sum(dim=(-2, -1)) - self.target
        slope = self.power * off ** (self.power - 1)
        gate = slope[..., None, None] * HEIGHTS * (runs != 0)
        return Gradients(self.loss(gates), gate, slope[..., None].expand(gate.shape[:-1]))


def measure(power: int, samples: int = 200) -> audit.Measured:
    network: Any = Known(power)
    return audit.measure(network, UNIFORM, samples, samples, 0)


def test_the_quadratic_by_hand() -> None:
    """L = (S - y)^2: credit = 2 h (S - y), exact = h (2 (S - y) - h), so credit - exact = h^2 (T5)."""
    found = measure(2)
    heights = (found.gates * HEIGHTS.numpy()).sum(axis=2)
    off = heights.sum(axis=1, keepdims=True) - 1.6
    np.testing.assert_allclose(found.credit, 2 * heights * off, atol=1e-12)
    np.testing.assert_allclose(found.exact, heights * (2 * off - heights), atol=1e-12)
    t5 = audit.taylor(found)
    assert t5 is not None
    assert t5["measured"] == pytest.approx(float(np.sqrt((heights**4).mean())))
    for name in ("predicted", "quadratic"):
        assert t5[name]["error"] < 1e-12
    bias = audit.gradient_bias(found, found.credit)
    score = found.gates - 1 / 3
    assert bias["bias"] == pytest.approx(float(np.linalg.norm((heights[..., None] ** 2 * score).mean(axis=0))))


def test_an_affine_loss_has_no_bias() -> None:
    found = measure(1)
    np.testing.assert_allclose(found.credit, found.exact, atol=1e-12)
    assert audit.gradient_bias(found, found.credit)["bias"] < 1e-12
    assert audit.gradient_bias(found, found.credit)["cosine"] == pytest.approx(1)
    agreed = audit.agreement(found.credit.ravel(), found.exact.ravel())
    assert agreed["correlation"] == pytest.approx(1)
    assert agreed["same_sign"] == 1


def test_an_edge_that_drew_zero_counts_in_its_own_row_only() -> None:
    found = measure(2)
    without = audit.summary(found, SPACE)
    zeroed = audit.summary(found, replace(SPACE, zero="c"))
    drew = int((found.gates[:, :, 2] > 0).sum())
    assert without["all"]["n"] == 400
    assert zeroed["all"]["n"] == sum(edge["n"] for edge in zeroed["edges"]) == 400 - drew
    assert zeroed["operations"] == without["operations"]
    assert zeroed["operations"]["c"]["n"] == drew > 0


def test_the_figure_is_drawn_from_the_points_that_the_summary_keeps() -> None:
    found = measure(2)
    kept = audit.summary(found, SPACE)
    assert sum(map(len, kept["points"].values())) == found.credit.size
    for k, name in enumerate(SPACE.operations):
        chosen = found.gates[:, :, k] > 0
        assert kept["points"][name] == [[x, y] for x, y in zip(found.exact[chosen], found.credit[chosen], strict=True)]
    axes = audit.figure(json.loads(json.dumps(kept))).axes[0]
    drawn = {str(line.get_label()): np.stack(line.get_data(), axis=1) for line in axes.get_lines()}
    for name, pairs in kept["points"].items():
        assert np.array_equal(drawn[name], pairs)
    one = {**kept, "points": {**kept["points"], "a": []}}  # an operation that was never drawn
    assert len(audit.figure(one).axes[0].get_lines()) == len(SPACE.operations) + 1


@pytest.mark.parametrize("stored", sorted(RESULTS.glob("*-audit*.json")), ids=lambda path: path.stem)
def test_a_stored_audit_s_points_have_its_means(stored: Path) -> None:
    audited = json.loads(stored.read_text(encoding="utf-8"))
    for name, pairs in audited["points"].items():
        exact, credit = np.mean(pairs, axis=0)
        assert len(pairs) == audited["operations"][name]["n"]
        assert exact == pytest.approx(audited["operations"][name]["exact"], abs=1e-7)
        assert credit == pytest.approx(audited["operations"][name]["credit"], abs=1e-7)


def test_a_quartic_is_predicted_by_gauss_and_not_by_a_parabola() -> None:
    t5 = audit.taylor(measure(4))
    assert t5 is not None
    assert t5["predicted"]["error"] < 1e-9 * t5["measured"]
    assert t5["quadratic"]["error"] > 0.01 * t5["measured"]  # the control


def test_credits_into_a_node_are_summed_by_what_leaves_it() -> None:
    """T12's rows by hand: two samples, edge 0 -> 1 and 1 -> 2, of which operation "b" normalises."""
    space = Space("chain", ((0, 1), (1, 2)), ("a", "b"), str, lambda text: (0, 0), normalising=("b",))
    gates = np.eye(2)[[[0, 1], [1, 0], [0, 0]]]
    credit, exact = np.array([[0.0, 9.0], [3.0, 9.0], [4.0, 9.0]]), np.array([[-1.0, 9.0], [6.0, 9.0], [8.0, 9.0]])
    measured = audit.Measured(np.full((2, 2), 0.5), gates, np.zeros(3), credit, exact, np.zeros((0, 2, 4)))
    hidden, seen = audit.cancelling(measured, space)
    assert hidden == {"node": 1, "hidden": True, "n": 1, "credit": 0.0, "exact": 1.0}
    assert seen == {
        "node": 1,
        "hidden": False,
        "n": 2,
        "credit": pytest.approx(math.sqrt(12.5)),
        "exact": pytest.approx(math.sqrt(50.0)),
    }
    assert audit.cancelling(measured, replace(space, normalising=())) == []


def test_variances_are_those_of_the_single_gradients() -> None:
    found = measure(2, 4_000)
    values = audit.variances(found)
    score = found.gates - 1 / 3
    drawn = np.random.default_rng(0).integers(0, 2, len(score))
    chosen = np.eye(2)[drawn]
    credit = found.credit + 2 * chosen * (found.exact - found.credit)
    sampled = (credit[..., None] * score).var(axis=0, ddof=1).sum()
    assert values["debiased_advantage"] == pytest.approx(sampled, rel=0.1)  # n = 4,000; relative error about 2 %
    assert values["debiased_advantage"] > values["exact_advantage"]


def test_credit_against_the_mean_output_by_hand() -> None:
    """L = (S - y)^2, rho the mean height: reference credit = 2 (S - y)(h - rho), its remainder (h - rho)^2 (T17)."""
    found = measure(2)
    heights = (found.gates * HEIGHTS.numpy()).sum(axis=2)
    off, rho = heights.sum(axis=1, keepdims=True) - 1.6, (UNIFORM * HEIGHTS).sum(dim=1).numpy()
    assert found.reference is not None
    np.testing.assert_allclose(found.reference, 2 * off * (heights - rho), atol=1e-12)
    worth = (heights - rho) * (2 * off - (heights - rho))  # L - L(the edge at rho)
    np.testing.assert_allclose(found.reference - worth, (heights - rho) ** 2, atol=1e-12)
    score = found.gates - UNIFORM.numpy()
    summed = audit.summary(found, SPACE)
    apart = ((found.reference - found.exact)[..., None] * score).mean(axis=0)
    assert summed["reference_bias"]["bias"] == pytest.approx(float(np.linalg.norm(apart)))
    own = (found.reference[..., None] * score).var(axis=0, ddof=1).sum()
    assert summed["variance"]["reference_advantage"] == pytest.approx(own)
    without = audit.summary(replace(found, reference=None), SPACE)
    assert without["reference_bias"] is None
    assert "reference_advantage" not in without["variance"]


def test_a_table_leaves_nothing_to_correct_on_the_quadratic() -> None:
    """Credit misses h^2 there, a number for each operation: the variance is the exact advantage's (T16)."""
    found = measure(2)
    values = audit.variances(found)
    assert values["tabulated_advantage"] == pytest.approx(values["exact_advantage"], rel=1e-12)
    assert values["debiased_advantage"] > 1.1 * values["exact_advantage"]
    cubic = audit.variances(measure(3))
    assert cubic["exact_advantage"] < cubic["tabulated_advantage"] < cubic["debiased_advantage"]


def test_the_table_does_not_see_the_sample_that_it_serves() -> None:
    """Four samples of one edge: operation 0 with 1, 3 and 8, operation 1 with 5 alone."""
    gates = np.eye(2)[[[0], [0], [1], [0]]]
    values = np.array([[1.0], [3.0], [5.0], [8.0]])
    assert audit.others_mean(gates, values).ravel().tolist() == [11 / 2, 9 / 2, 0, 2]


def test_methods_beside_have_the_moments_that_theory_enumerates() -> None:
    """On the quadratic, n = 4,000 draws at the uniform policy: variances within 10 % (relative error about 2 %)."""
    wanted = [METHODS[name] for name in ("advantage", "proxyless", "gdas", "reinforce")]
    network: Any = Known(2)
    found = audit.measure(network, UNIFORM, 4_000, 0, 0, wanted, progress=0.5)
    own = audit.variances(found)
    of = {name: audit.moments(gradient) for name, gradient in found.gradients.items()}
    assert of["advantage"]["variance"] == pytest.approx(own["advantage"], rel=0.1)
    assert of["reinforce"]["variance"] == pytest.approx(own["reinforce"], rel=0.15)  # its baseline moves
    exact = policy_gradient()
    mean = found.gradients["reinforce"].mean(axis=0)
    assert np.linalg.norm(mean - exact) < 5 * of["reinforce"]["noise"]
    assert np.linalg.norm(found.gradients["gdas"].mean(axis=0) - exact) > 5 * of["gdas"]["noise"]  # the control
    with pytest.raises(ValueError, match="no gradient at the policy"):
        audit._drawable("random")


def policy_gradient() -> Any:
    """dJ/dlogits of the quadratic at the uniform policy, by enumeration."""
    gradient = np.zeros((2, 3))
    for choice in np.ndindex(3, 3):
        gates = np.eye(3)[list(choice)]
        loss = float(((gates * HEIGHTS.numpy()).sum() - 1.6) ** 2)
        gradient += loss * (gates - 1 / 3) / 9
    return gradient


def test_a_real_run_folder(tmp_path: Path) -> None:
    import os

    from nas import __main__ as program
    from nas.data.places import VARIABLE

    if not (Path(os.environ.get(VARIABLE, "-")) / "cifar-10-batches-bin").exists():
        pytest.skip(f"{VARIABLE} names no folder with cifar-10-batches-bin")
    tiny = ["--set", "network.images=128", "--set", "network.held_out=64", "--set", "search.epochs=1"]
    tiny += ["--set", "search.warmup_epochs=0", "--set", "network.static=true"]  # whatever form it was searched in
    command = ["search", "cifar10", "--preset", "quick", "--runs", str(tmp_path), *tiny]
    assert program.main(command) == 0
    (folder,) = (tmp_path / "cifar10").iterdir()
    found = audit.audit(folder, samples=6, along=2)
    assert json.loads((folder / "audit.json").read_text())["all"]["n"] == 36
    assert sum(part["n"] for part in found["operations"].values()) == 36
    assert "first-order credit" in (folder / "audit.svg").read_text()
    assert (folder / "audit.png").read_bytes().startswith(b"\x89PNG")
    assert found["t5"]["predicted"]["error"] < found["t5"]["measured"]
    assert "mean update" in audit.report(found)
    hidden = [row for row in found["t12"] if row["hidden"] and row["n"]]
    assert hidden
    assert all(row["credit"] < 1e-3 * row["exact"] for row in hidden)
    assert sum(row["n"] for row in found["t12"] if row["node"] == 1) == 6
    assert set(found["methods"]) == set(audit.BESIDE)
    assert "proxyless" in audit.report(found)
    with pytest.raises(ValueError, match="samples >= 2"):
        audit.audit(folder, samples=1)
    (folder / runs.CHECKPOINT).unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        audit.audit(folder)
