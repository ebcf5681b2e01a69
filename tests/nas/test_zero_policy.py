"""The zero policy of a method of one's own is the one that the settings say, or the search is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import nas
from nas import estimators, methods, optimisers, samples, step
from nas.methods import Method
from nas.objective import Gradients
from nas.running import runs
from nas.running.searching import search_in
from nas.supernets import Batches, Edge, EdgeNetwork, Supernet


def mine(probabilities, gates, gate_gradient):  # type: ignore[no-untyped-def]
    return estimators.advantage(probabilities, gates, gate_gradient)


def of_losses(probabilities, gates, loss):  # type: ignore[no-untyped-def]
    return loss[..., None, None] * (gates - probabilities)


WORST = Method("worst_of_mine", "Mine", mine, zero_policy="worst")
HERE = "tests.nas.test_zero_policy"


def made(zero: bool = True) -> Supernet:
    torch.manual_seed(0)
    inputs = torch.randn(40, 3)
    edge = Edge([nn.Linear(3, 4), None if zero else nn.Linear(3, 4)], "e")
    model = EdgeNetwork(nn.Sequential(edge, nn.Linear(4, 2)))
    batches = Batches(inputs, (inputs[:, 0] > 0).long(), 10)
    return Supernet(model.space("mine"), model, functional.cross_entropy, batches, batches, batches)


def test_a_credit_method_of_ones_own_is_refused_where_the_settings_say_otherwise() -> None:
    for method in (mine, Method("mine", "Mine", mine)):
        with pytest.raises(
            ValueError, match=r"leaves the credit of a drawn '1' at zero, but search\.zero_policy is worst"
        ):
            nas.search(made(), method, epochs=2)
        assert nas.search(made(), method, epochs=2, zero_policy="plain").result["zero_policy"] == "plain"
        assert nas.search(made(zero=False), method, epochs=2).result["zero_policy"] is None  # nothing to charge
    worst = nas.search(made(), mine, epochs=2, zero_policy="worst")
    assert worst.result["zero_policy"] == "worst"
    assert worst.probabilities == nas.search(made(), WORST, epochs=2).probabilities
    assert nas.search(made(), of_losses, epochs=2).records  # reads no credit
    assert nas.search(made(), "gdas", epochs=2).records  # the registry's say it themselves


def test_config_and_result_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_this_module(name: str, what: str) -> object:
        return globals()[name.partition(":")[2]]

    monkeypatch.setattr(methods.plugins, "load", of_this_module)
    refused = nas.SearchSettings(method=f"{HERE}:mine", epochs=2, warmup_epochs=1)
    with (
        runs.open_run(tmp_path / "refused", refused) as run,
        pytest.raises(ValueError, match=r'or say zero_policy="worst" in a nas\.methods\.Method'),
    ):
        search_in(run, made(), refused, 0)
    for name, policy in (("mine", "plain"), ("WORST", "worst"), ("WORST", "plain")):
        settings = nas.SearchSettings(method=f"{HERE}:{name}", epochs=2, warmup_epochs=1, zero_policy=policy)  # type: ignore[arg-type]
        folder = tmp_path / f"{name} {policy}"
        with runs.open_run(folder, settings) as run:
            search_in(run, made(), settings, 0)
        assert runs.result(folder)["zero_policy"] == policy
        assert f'zero_policy = "{policy}"' in (folder / runs.CONFIG).read_text()


class Quadratic:
    """(sum of the chosen outputs - 1)^2, of which operation 0 is zero."""

    zero_operation = 0
    outputs = np.array([0.0, 0.5, 0.9])

    def loss(self, gates):  # type: ignore[no-untyped-def]
        return ((gates * self.outputs).sum(axis=(-1, -2)) - 1) ** 2

    def gradients(self, gates, runs):  # type: ignore[no-untyped-def]
        slope = 2 * ((gates * self.outputs).sum(axis=(-1, -2)) - 1)[..., None]
        return Gradients(self.loss(gates), slope[..., None] * self.outputs * runs, slope + 0 * gates[..., 0])


def test_averages_of_a_method_with_several_samples_keep_their_shape() -> None:
    """Whatever the axes before (E, K); each replicate is charged its own average, as if it were alone."""

    def several(probabilities, gates, gate_gradient):  # type: ignore[no-untyped-def]
        return estimators.advantage(probabilities[..., None, :, :] + 0 * gates, gates, gate_gradient).mean(axis=-3)

    method = Method("several", "Several", several, draw=samples.SEVERAL, zero_policy="worst")
    sgd, count = optimisers.sgd(), samples.SAMPLES
    for replicates in (3, count):  # as many as samples: what is broadcast wrongly has the right shape
        uniforms = np.random.default_rng(0).random((6, replicates, count, 2))
        together = step.start(method, sgd, np.zeros((replicates, 2, 3)))
        alone = [step.start(method, sgd, np.zeros((2, 3))) for _ in range(replicates)]
        for now in uniforms:
            together, _ = step.architecture_step(method, sgd, together, Quadratic(), now, 0.1)
            for place, state in enumerate(alone):
                alone[place], _ = step.architecture_step(method, sgd, state, Quadratic(), now[place], 0.1)
        assert {values.shape for values in together.memory.values()} == {(replicates, 2, 3)}
        np.testing.assert_allclose(together.logits, np.stack([state.logits for state in alone]), rtol=0, atol=1e-13)
        assert len(np.unique(together.logits[:, 0, 0])) > 1
