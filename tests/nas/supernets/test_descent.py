"""How weights move: Nesterov's step by hand and against torch's, flat and masked; any optimiser along the cosine."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.schedule import cosine
from nas.supernets.descent import Descent, TorchDescent


def one(value: float) -> list[Tensor]:
    return [torch.tensor([value], dtype=torch.float64)]


def test_two_steps_by_hand() -> None:
    """Rate 1/10, momentum 9/10, decay 1/10, without clipping, from 1.

    g = 1/2 + 1/10 = 0.6, v = 0.6, moved by -(0.6 + 0.9 * 0.6) / 10 = -0.114. Half way the rate is 1/20:
    g = -1 + 0.0886 = -0.9114, v = 0.54 - 0.9114 = -0.3714, moved by (0.9114 + 0.33426) / 20 = 0.062283.
    """
    weight, velocity, descent = one(1.0), one(0.0), Descent(0.1, 0.9, 0.1, None)
    descent.step(weight, one(0.5), velocity, 0.0)
    assert (weight[0].item(), velocity[0].item()) == pytest.approx((0.886, 0.6))
    descent.step(weight, one(-1.0), velocity, 0.5)
    assert (weight[0].item(), velocity[0].item()) == pytest.approx((0.948283, -0.3714))
    descent.step(weight, one(9.0), velocity, 1.0)  # at the end of the schedule nothing moves
    assert weight[0].item() == pytest.approx(0.948283)


@pytest.mark.parametrize("clip", [1.0, 6.0])
def test_it_clips_the_norm_of_all_gradients_together_and_before_decay(clip: float) -> None:
    """Norm 5 of (3, 4): shortened to 1, and left alone by 6; `torch.optim` and its clipping say the same."""
    mine, velocity = [*one(1.0), *one(2.0)], [*one(0.0), *one(0.0)]
    theirs = [torch.nn.Parameter(part.clone()) for part in mine]
    optimiser = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05)
    for _ in range(3):
        Descent(0.1, 0.9, 0.05, clip).step(mine, [*one(3.0), *one(4.0)], velocity, 0.0)
        for part, gradient in zip(theirs, (3.0, 4.0), strict=True):
            part.grad = one(gradient)[0]
        torch.nn.utils.clip_grad_norm_(theirs, clip)
        optimiser.step()
    torch.testing.assert_close(torch.cat(mine), torch.cat([part.detach() for part in theirs]))


def test_masked_on_flat_arrays_it_is_the_same_step_and_idle_weights_rest() -> None:
    rng = torch.Generator().manual_seed(0)
    flat, velocity = (torch.randn(6, generator=rng, dtype=torch.float64) for _ in range(2))
    gradient, ran = torch.randn(6, generator=rng, dtype=torch.float64), torch.tensor([1.0, 1, 0, 1, 0, 0]).double()
    gradient = gradient * ran
    descent, rate = Descent(0.1, 0.8, 0.03, 0.5), torch.tensor(0.07, dtype=torch.float64)
    moved, faster = flat.clone(), velocity.clone()
    descent.masked_step(moved, gradient, faster, ran, rate)
    chosen = ran > 0
    parts, slow = [flat[chosen].clone()], [velocity[chosen].clone()]
    Descent(0.07, 0.8, 0.03, 0.5).step(parts, [gradient[chosen]], slow, 0.0)
    torch.testing.assert_close(moved[chosen], parts[0])
    torch.testing.assert_close(faster[chosen], slow[0])
    assert torch.equal(moved[~chosen], flat[~chosen])
    assert torch.equal(faster[~chosen], velocity[~chosen])
    unclipped = flat.clone()
    Descent(0.1, 0.0, 0.0, None).masked_step(unclipped, gradient, 0 * velocity, ran, rate)
    torch.testing.assert_close(unclipped, flat - 0.07 * gradient)


def test_the_rate_is_half_way_down_in_the_middle() -> None:
    assert [Descent(0.4).rate_at(at) for at in (0.0, 0.5, 1.0)] == pytest.approx([0.4, 0.2, 0.0])


# ------------------------------------------------------------------ any optimiser of torch.optim


def two_rates(parameters: Any) -> torch.optim.Optimizer:
    first, second = list(parameters)
    return torch.optim.SGD([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.01}])


def leaves(*values: float) -> dict[str, Tensor]:
    return {f"w{n}": torch.nn.Parameter(torch.tensor([v], dtype=torch.float64)) for n, v in enumerate(values)}


def test_every_group_follows_the_cosine_from_its_own_rate() -> None:
    weights = leaves(1.0, 1.0)
    descent = TorchDescent(two_rates, weights)
    for at in (0.25, 0.25, 0.5):  # each from the group's own rate, not from the last one
        descent.step({"w0": one(1.0)[0], "w1": one(1.0)[0]}, at)
    fallen = 2 * cosine(0.25) + cosine(0.5)
    assert [w.item() for w in weights.values()] == pytest.approx([1 - 0.1 * fallen, 1 - 0.01 * fallen])


def test_what_did_not_run_is_not_moved_though_it_has_momentum() -> None:
    weights = leaves(1.0, 2.0)
    descent = TorchDescent(partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1), weights)
    descent.step({"w0": one(1.0)[0], "w1": one(1.0)[0]}, 0.0)
    before = weights["w1"].item()
    descent.step({"w0": one(1.0)[0]}, 0.0)
    assert weights["w1"].item() == before
    assert weights["w0"].item() < 0.85


def test_it_goes_on_from_its_state() -> None:
    make = partial(torch.optim.Adam, lr=0.1)
    whole, parts = leaves(1.0, 2.0), leaves(1.0, 2.0)
    one_go, first = TorchDescent(make, whole), TorchDescent(make, parts)
    gradients = {"w0": one(3.0)[0], "w1": one(-0.5)[0]}
    for descent in (one_go, one_go, first):
        descent.step(gradients, 0.0)
    kept = {name: value.clone() for name, value in first.state().items()}
    assert set(kept) == {f"{name}:{entry}" for name in parts for entry in ("step", "exp_avg", "exp_avg_sq")}
    second = TorchDescent(make, parts)
    assert second.state() == {}
    second.load(kept)
    second.step(gradients, 0.0)
    assert [w.item() for w in whole.values()] == [w.item() for w in parts.values()]
    assert not torch.equal(second.state()["w0:exp_avg"], kept["w0:exp_avg"])  # what was loaded is its own


def test_gradients_are_not_kept_after_a_step() -> None:
    weights = leaves(1.0, 2.0)
    TorchDescent(partial(torch.optim.SGD, lr=0.1), weights).step({"w0": one(1.0)[0], "w1": one(1.0)[0]}, 0.0)
    assert [weight.grad for weight in weights.values()] == [None, None]
    assert weights["w0"].item() == pytest.approx(0.9)  # the control: it has moved


def test_what_a_loaded_state_does_not_name_is_forgotten() -> None:
    descent = TorchDescent(partial(torch.optim.Adam, lr=0.1), leaves(1.0, 2.0))
    descent.step({"w0": one(1.0)[0]}, 0.0)
    only_one = {name: value.clone() for name, value in descent.state().items()}
    descent.step({"w0": one(1.0)[0], "w1": one(1.0)[0]}, 0.0)
    assert len(descent.state()) == 2 * len(only_one)
    descent.load(only_one)
    assert descent.state() == only_one


def test_a_state_of_what_does_not_train_here_is_refused_and_nothing_is_forgotten() -> None:
    descent, idle = TorchDescent(partial(torch.optim.Adam, lr=0.1), leaves(1.0)), TorchDescent(nothing, {})
    descent.step({"w0": one(1.0)[0]}, 0.0)
    before = {name: value.clone() for name, value in descent.state().items()}
    for other in (descent, idle):
        with pytest.raises(ValueError, match="not of this network: 'w1' does not train here"):
            other.load({"w1:step": torch.tensor(1.0)})
    assert descent.state() == before


def test_moments_go_to_their_weights_device_and_counts_stay_where_optimisers_read_them() -> None:
    weight = torch.nn.Parameter(torch.zeros(2, device="meta"))
    descent = TorchDescent(partial(torch.optim.Adam, lr=0.1), {"w": weight})
    descent.load({"w:step": torch.tensor(3.0), "w:exp_avg": torch.ones(2)})
    found = descent.state()
    assert (found["w:step"].device.type, found["w:step"].item()) == ("cpu", 3.0)
    assert found["w:exp_avg"].device.type == "meta"


class Remembering(torch.optim.SGD):
    """Plain SGD that remembers one thing more of every weight."""

    def __init__(self, parameters: Any, thing: Any) -> None:
        super().__init__(parameters, lr=0.1)
        self.thing = thing

    def step(self, closure: Any = None) -> None:
        super().step(closure)
        for group in self.param_groups:
            for weight in group["params"]:
                self.state[weight]["thing"] = self.thing


@pytest.mark.parametrize(("thing", "kept"), [(None, set()), (torch.ones(1), {"w0:thing"})])
def test_tensors_are_kept_and_none_is_nothing(thing: Any, kept: set[str]) -> None:
    descent = TorchDescent(partial(Remembering, thing=thing), leaves(1.0))
    descent.step({"w0": one(1.0)[0]}, 0.0)
    assert set(descent.state()) == kept


def test_what_no_checkpoint_can_hold_is_refused() -> None:
    descent = TorchDescent(partial(Remembering, thing=3), leaves(1.0))
    assert descent.state() == {}
    descent.step({"w0": one(1.0)[0]}, 0.0)
    with pytest.raises(ValueError, match="Remembering remembers 'thing' as a int: only tensors are kept"):
        descent.state()


def test_it_says_its_kind_and_settings_and_nothing_of_the_weights() -> None:
    descents = [
        TorchDescent(partial(torch.optim.SGD, lr=rate), leaves(at)) for rate, at in ((0.1, 1), (0.1, 2), (3, 1))
    ]
    first, moved, faster = (descent.about for descent in descents)
    assert first.startswith("SGD [{'lr': 0.1, 'momentum': 0")
    assert first == moved != faster


def lbfgs(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(list(parameters))


def nothing(parameters: Any) -> Any:
    return "an optimiser"


SGD = torch.optim.SGD([torch.zeros(1)], lr=0.1)  # an optimiser, where what makes one is asked for


@pytest.mark.parametrize(("factory", "made"), [(lbfgs, "LBFGS"), (nothing, "str"), (SGD, "SGD")])
def test_what_is_no_optimiser_of_one_step_is_refused(factory: Any, made: str) -> None:
    with pytest.raises(ValueError, match=f"steps once a minibatch, not {made}"):
        TorchDescent(factory, leaves(1.0))


def test_a_network_without_weights_needs_no_optimiser() -> None:
    descent = TorchDescent(nothing, {})
    descent.step({}, 0.0)
    descent.load({})
    assert descent.state() == {}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"rate": -0.1}, "need 0 < rate"),
        ({"rate": float("inf")}, "need 0 < rate"),
        ({"momentum": 1.0}, "0 <= momentum < 1"),
        ({"decay": -1e-4}, "0 <= decay"),
        ({"clip": 0.0}, "clip must be positive, or none"),
    ],
)
def test_what_does_not_descend_is_refused(wrong: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Descent(**wrong)
    assert Descent(clip=None).rate == 0.1  # control
