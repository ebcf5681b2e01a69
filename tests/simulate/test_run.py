"""The runner: the same paths in both worlds, however replicates are batched or split; records; refusals."""

import math
import zlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nas.methods import METHODS
from nas.running import plugins
from simulate import run
from simulate.philox import uniforms
from simulate.run import START, Machine, Setting, method_of, problem_of, record_steps, simulate, try_estimator
from theory.landscapes import UNKNOWN, Truth

SMALL = Setting(edges=3, candidates=4, steps=30, replicates=11, every=10)
NUMPY, TORCH = Machine("numpy", dtype="float64"), Machine("torch", dtype="float64")


def differences(ours: Any, theirs: Any) -> float:
    return max(float(np.nanmax(np.abs(ours.values[n] - theirs.values[n]), initial=0)) for n in ours.values)


@pytest.mark.parametrize("method", [*METHODS, "exact"])
def test_worlds_and_batches_agree_for_every_method(method: str) -> None:
    setting = replace(SMALL, method=method)
    whole = simulate(setting, NUMPY)
    assert differences(whole, simulate(setting, replace(TORCH, chunk=4))) < 1e-10
    other = simulate(replace(setting, seed=1), NUMPY)
    assert method in ("exact", "darts", "nasp", "random") or differences(whole, other) > 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_takes_the_same_paths(method: str) -> None:
    setting = replace(SMALL, method=method)
    assert differences(simulate(setting, NUMPY), simulate(setting, replace(TORCH, device="cuda"))) < 1e-10


@pytest.mark.parametrize(
    "landscape", ["noisy", "drifting", "nk", "heavy_tailed", "plateau", "saturating", "normalised", "toy"]
)
@pytest.mark.parametrize("method", ["advantage", "parsec"])
def test_worlds_and_batches_agree_on_every_kind_of_landscape(landscape: str, method: str) -> None:
    setting = replace(SMALL, method=method, landscape=landscape)
    assert differences(simulate(setting, replace(NUMPY, chunk=5)), simulate(setting, TORCH)) < 1e-10


def test_split_in_parts_it_is_the_same_trace() -> None:
    setting = replace(SMALL, start="random", samples=2)
    machine = replace(NUMPY, chunk=2)
    whole, n = simulate(setting, machine), setting.replicates
    parts = [simulate(setting, machine, part) for part in (range(2), range(2, n))]
    for name, values in whole.values.items():
        np.testing.assert_array_equal(values, np.concatenate([part.values[name] for part in parts], axis=1))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rate": math.nan}, "rate must be finite"),
        ({"beta1": 1.0}, r"beta1 and beta2 must be in \[0, 1\)"),
        ({"beta2": 1.0}, r"beta1 and beta2 must be in \[0, 1\)"),
        ({"landscape": "flat", "optimiser": "sgd", "bound": "T8"}, "divides by the range of the loss"),
        ({"landscape": "nk", "options": {"neighbours": "two"}}, "do not suit landscape nk"),
        ({"landscape": "nk", "options": {"neighbors": 2}}, "unknown option .neighbors. of landscape nk"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        problem_of(replace(SMALL, **wrong))


@pytest.mark.slow
def test_compiled_it_is_the_same_up_to_float32() -> None:
    setting = replace(SMALL, landscape="quadratic", steps=20)
    eager = simulate(setting, Machine(chunk=8))
    assert differences(eager, simulate(setting, Machine(chunk=8, compiled=True))) < 1e-3


def test_common_numbers_are_common_and_otherwise_methods_draw_their_own() -> None:
    # One edge of an additive loss: the credit is the loss, so the same draws make the same path.
    names = ("advantage", "reinforce_without_baseline")
    for common in (True, False):
        setting = replace(SMALL, landscape="additive", edges=1, common=common)
        one, other = (simulate(replace(setting, method=name), NUMPY) for name in names)
        assert (differences(one, other) < 1e-12) is common


@pytest.mark.parametrize("method", ["exact", "advantage"])
def test_noise_reaches_what_is_sampled_and_not_the_exact_gradient(method: str) -> None:
    setting = replace(SMALL, method=method, landscape="noisy", steps=5)
    calm, wild = (simulate(replace(setting, options={"size": size}), NUMPY) for size in (0.5, 5.0))
    assert (differences(calm, wild) == 0) is (method == "exact")


def test_averaging_many_samples_nears_the_true_gradient() -> None:
    from nas import optimisers, step
    from nas.policy import softmax

    landscape = problem_of(SMALL).landscape.placed(TORCH.array)
    method, optimiser = METHODS["reinforce_without_baseline"], optimisers.sgd()
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 4, generator=generator, dtype=torch.float64)
    state = step.start(method, optimiser, logits)
    drawn = torch.rand(1, 40_000, 3, generator=generator, dtype=torch.float64)
    many, _ = step.architecture_step(method, optimiser, state, landscape, drawn, 1.0, samples=40_000)
    truth = landscape.expected_gradient(softmax(logits))
    error = (logits - many.logits - truth).abs().max()
    # |L (a - p)| < 40 here: five standard deviations of the mean of 40,000 such numbers.
    assert error < 5 * 40 / 200
    assert error < truth.abs().max()


@pytest.mark.parametrize(("common", "stream"), [(False, zlib.crc32(b"reinforce")), (True, 0)])
def test_a_run_is_the_shipped_step_taken_again_and_again(common: bool, stream: int) -> None:
    from nas import optimisers, step

    setting = replace(SMALL, method="reinforce", steps=7, every=7, common=common)
    landscape, method, optimiser = problem_of(setting).landscape, METHODS["reinforce"], optimisers.adam(0.5, 0.999)
    rows = np.arange(11)
    state = step.start(method, optimiser, np.zeros((11, 3, 4)))
    for t in range(7):
        drawn = uniforms(setting.seed, stream, rows, t, (3,), np.float64)
        state, _ = step.architecture_step(method, optimiser, state, landscape, drawn, setting.rate)
    found = simulate(setting, NUMPY).values["expected_loss"][-1]
    np.testing.assert_allclose(found, landscape.expected(step.probabilities(method, state)), rtol=1e-12)
    slower = simulate(replace(setting, beta2=0.9), NUMPY).values["expected_loss"][-1]
    assert np.abs(found - slower).max() > 1e-4


def test_exact_gradients_under_the_theorems_steps_never_raise_the_expected_loss_and_longer_steps_do() -> None:
    base = replace(SMALL, method="exact", start="random", watch=True, steps=60, replicates=20)
    natural, plain = replace(base, bound="T1", optimiser="natural"), replace(base, bound="T8", optimiser="sgd")
    for setting in (natural, plain):
        for landscape in ("quadratic", "xor", "trap", "nk"):
            assert simulate(replace(setting, rate=1.0, landscape=landscape), NUMPY).values["rises"][-1].max() == 0
    wild = replace(plain, landscape="xor", rate=50.0)
    assert simulate(wild, NUMPY).values["rises"][-1].max() > 0


def one_exact_step(setting: Setting) -> tuple[Any, Any, Any]:
    """(policies (R, E, K) before and after the one step of the exact method that a bound names, the landscape)."""
    land = problem_of(setting).landscape
    drawn = uniforms(setting.seed, START, np.arange(setting.replicates), 0, land.shape, np.float64)
    weights = -np.log1p(-drawn) + 2.0**-24  # exponential, so that the rows are uniform on the simplex
    p = weights / weights.sum(axis=-1, keepdims=True) if setting.start == "random" else np.full(drawn.shape, 1 / 4)
    gradient = land.expected_gradient(p)
    if setting.bound == "T1":
        room = (land.max_loss - land.expected(p))[:, None, None]
        return p, p - setting.rate * gradient / room, land
    moved = p * np.exp(-setting.rate * 2 / (land.max_loss - land.min_loss) * gradient)
    return p, moved / moved.sum(axis=-1, keepdims=True), land


@pytest.mark.parametrize("start", ["uniform", "random"])
@pytest.mark.parametrize(("bound", "optimiser"), [("T1", "natural"), ("T8", "sgd")])
def test_one_step_of_a_bound_and_all_that_is_recorded_of_it(bound: Any, optimiser: Any, start: Any) -> None:
    """p - rate g / (max L - J), and p exp(-rate (2 / (max L - min L)) g): written out, with every record."""
    setting = replace(SMALL, method="exact", bound=bound, optimiser=optimiser, rate=0.7, steps=1, every=1, start=start)
    *policies, land = one_exact_step(setting)
    found = simulate(setting, NUMPY).values
    best = np.array(problem_of(setting).truth.optimum)
    for row, p in enumerate(policies):
        expected = {
            "expected_loss": land.expected(p),
            "derived_loss": land.loss(np.eye(4)[p.argmax(axis=-1)]),
            "entropy": -(p * np.log(p)).sum(axis=(1, 2)),
            "surest": p.max(axis=-1).min(axis=-1),
            "optimal_probability": np.stack([p[:, e, k] for e, k in enumerate(best)]).prod(axis=0),
            "correct": (p.argmax(axis=-1) == best).mean(axis=-1),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][row], values, rtol=1e-9, err_msg=name)
    assert np.abs(found["expected_loss"][1] - found["expected_loss"][0]).max() > 1e-3


def test_the_watch_counts_what_the_records_of_every_step_show() -> None:
    """Sampled steps on a rugged landscape: the rises of J from record to record, and the largest of them."""
    setting = replace(SMALL, landscape="xor", rate=0.5, optimiser="sgd", steps=40, every=1, watch=True, start="random")
    found = simulate(setting, replace(NUMPY, chunk=4)).values
    changes = np.diff(found["expected_loss"], axis=0)
    np.testing.assert_array_equal(found["rises"][1:], np.cumsum(changes > 1e-13, axis=0))
    worst = np.maximum.accumulate(np.maximum(changes, 0), axis=0)
    np.testing.assert_allclose(found["worst_rise"][1:], worst, atol=1e-15)
    assert found["rises"][-1].min() > 0
    assert found["rises"][-1].max() < 40
    assert (found["rises"][0] == 0).all()


@pytest.mark.parametrize(("method", "samples"), [("gdas", 1), ("advantage", 3), ("reinforce", 2)])
def test_temperatures_fall_and_samples_are_averaged_as_in_the_shipped_step(method: str, samples: int) -> None:
    """A run of seven steps, each of the shipped step at progress t / 7, with as many samples as asked for."""
    from nas import optimisers, step

    setting = replace(SMALL, method=method, samples=samples, steps=7, every=7, rate=0.05)
    environment = problem_of(setting)
    land, shipped, optimiser = environment.landscape, method_of(setting, environment), optimisers.adam(0.5, 0.999)
    state = step.start(shipped, optimiser, np.zeros((11, 3, 4)))
    shape = step.noise_shape(shipped, 3, 4, samples)
    for t in range(7):
        drawn = uniforms(setting.seed, zlib.crc32(method.encode()), np.arange(11), t, shape, np.float64)
        state, _ = step.architecture_step(shipped, optimiser, state, land, drawn, 0.05, t / 7, samples=samples)
    found = simulate(setting, NUMPY).values["expected_loss"][-1]
    np.testing.assert_allclose(found, land.expected(step.probabilities(shipped, state)), rtol=1e-10)


def test_records_are_where_they_should_be() -> None:
    assert record_steps(replace(SMALL, steps=25)) == [0, 10, 20, 25]
    trace = simulate(SMALL, NUMPY)
    assert trace.values["expected_loss"].shape == (4, 11)
    np.testing.assert_allclose(trace.values["entropy"][0], 3 * np.log(4))
    np.testing.assert_allclose(trace.values["optimal_probability"][0], 4.0**-3)
    seen: list[int] = []
    simulate(SMALL, NUMPY, progress=seen.append)
    assert sum(seen) == 30 * 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replicates": 0}, "^setting replicates must be at least 1, not 0$"),
        ({"method": "advantag"}, "unknown method 'advantag'"),
        ({"bound": "T1"}, "bound T1 belongs to optimiser 'natural', not 'adam'"),
        ({"method": "random", "samples": 2}, "no gradient to average"),
        ({"method": "exact", "samples": 2}, "nothing to average over samples"),
        ({"rate": -1.0}, "must not be negative"),
        ({"landscape_seed": -1}, "landscape_seed must be at least 0, not -1"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def hill(gates: Any) -> Any:
    return (gates[..., 0].sum(-1) - 3) ** 2  # of three edges


def test_a_users_function_runs_in_both_worlds() -> None:
    plugins.allow(__name__)
    setting = replace(SMALL, landscape=f"{__name__}:hill")
    ours, theirs = simulate(setting, TORCH), simulate(setting, NUMPY)
    assert differences(ours, theirs) < 1e-10
    assert ours.values["expected_loss"][0, 0] > ours.values["expected_loss"][-1].mean()


def test_a_bound_without_a_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the largest loss"):
        problem_of(Setting(edges=12, candidates=10, optimiser="natural", bound="T1"))


def wrong_commitment(rate: float, level: float, gap: float, points: int = 2001, sweeps: int = 1000) -> float:
    """P(end at the worse arm | start at 1/2) of natural steps without baseline on the bandit, by its Markov chain.

    p, the better arm's probability, goes to p - rate level (1 - p) with probability p, else to p + rate (level + gap)
    p; the chance of ending at 0 is harmonic for this chain, with 1 at p = 0 and 0 at p = 1.
    """
    p = np.linspace(0, 1, points)
    up, down = np.minimum(p - rate * level * (1 - p), 1), np.maximum(p + rate * (level + gap) * p, 0)
    chance = 1 - p
    for _ in range(sweeps):
        chance = p * np.interp(up, p, chance) + (1 - p) * np.interp(down, p, chance)
    return float(np.interp(0.5, p, chance))


@pytest.mark.parametrize(("rate", "gap"), [(0.4, 0.5), (0.5, 0.25), (0.8, 0.25)])
def test_commitment_without_a_baseline_is_that_of_the_markov_chain_and_a_baseline_avoids_it(
    rate: float, gap: float
) -> None:
    setting = Setting(
        method="reinforce_without_baseline", landscape="bandit", edges=1, candidates=2, options={"gap": gap},
        optimiser="natural", rate=rate, steps=150, every=150, replicates=2000,
    )  # fmt: skip
    exact = wrong_commitment(rate, -1.0, gap)
    assert exact > 0.05
    batch = replace(NUMPY, chunk=2000)
    wrong = (simulate(setting, batch).values["correct"][-1] < 1).mean()
    reach = 5 * np.sqrt(exact * (1 - exact) / 2000)
    assert abs(wrong - exact) < reach
    assert abs(wrong - wrong_commitment(rate / 2, -1.0, gap)) > reach
    for careful in ("reinforce_leave_one_out", "counterfactual"):
        assert (simulate(replace(setting, method=careful), batch).values["correct"][-1] == 1).mean() > 0.999


def test_on_a_flat_landscape_a_sampled_loss_fixates_and_an_exact_advantage_never_moves() -> None:
    setting = Setting(
        method="reinforce_without_baseline", landscape="flat", edges=1, candidates=2, optimiser="natural", rate=0.3,
        steps=300, every=300, replicates=500,
    )  # fmt: skip
    assert (simulate(setting, NUMPY).values["surest"][-1] > 0.99).mean() > 0.98
    for still in ("exact_advantage", "advantage", "counterfactual", "reinforce_leave_one_out"):
        assert simulate(replace(setting, method=still), NUMPY).values["surest"][-1].max() == pytest.approx(0.5)


# ------------------------------------------------------------------ estimators of a user's


def returns_nothing(probabilities: Any, gates: Any, gate_gradient: Any) -> None:
    pass


def a_column(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    return (gates * gate_gradient).sum(axis=-1, keepdims=True)


def for_all_replicates(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    return (gates * gate_gradient).sum(axis=0)


def mixing_replicates(probabilities: Any, gates: Any, loss: Any) -> Any:
    return (gates - probabilities) * loss.sum()


def always_nan(probabilities: Any, gates: Any, loss: Any) -> Any:
    return gates * math.nan


def one_nan(probabilities: Any, gates: Any, loss: Any) -> Any:
    gradient = 1 * gates
    gradient[..., 2, 3] = math.nan
    return gradient


CALLS: list[int] = []


def nan_in_time(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    CALLS.append(1)
    return gates * (math.nan if len(CALLS) > 25 else 1.0)


def dividing_by_zero(probabilities: Any, gates: Any, loss: Any) -> Any:
    return gates / (1 // 0)


def right(probabilities: Any, gates: Any, loss: Any) -> Any:
    return (gates - probabilities) * loss[..., None, None]


@pytest.mark.parametrize("machine", [NUMPY, replace(TORCH, compiled=True)], ids=["numpy", "compiled"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("returns_nothing", "estimator returns_nothing returned None; it must return the gradient"),
        ("a_column", r"estimator a_column returned the shape \(2, 3, 1\)"),
        ("for_all_replicates", r"estimator for_all_replicates returned the shape \(3, 4\)"),
        ("mixing_replicates", "estimator mixing_replicates mixes replicates"),
        ("dividing_by_zero", "estimator dividing_by_zero on landscape quadratic failed: ZeroDivisionError"),
        ("always_nan", "estimator always_nan: logits are not numbers after step 1$"),
        ("one_nan", "estimator one_nan: logits are not numbers after step 1$"),
    ],
)
def test_a_wrong_estimator_is_one_line_before_its_first_step(name: str, says: str, machine: Machine) -> None:
    """Also where steps are compiled: nothing is compiled for it."""
    plugins.allow(__name__)
    with pytest.raises(ValueError, match=says):
        simulate(replace(SMALL, method=f"{__name__}:{name}"), machine)


def test_control_a_right_estimator_runs() -> None:
    plugins.allow(__name__)
    setting = replace(SMALL, method=f"{__name__}:right", steps=10)
    assert np.isfinite(simulate(setting, NUMPY).values["entropy"]).all()


SEEN: list[tuple[Any, Any]] = []


def seeing(probabilities: Any, gates: Any, loss: Any) -> Any:
    SEEN.append((probabilities, gates))
    return right(probabilities, gates, loss)


def relaxed(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    SEEN.append((probabilities, gates))
    return gate_gradient


SOFT = replace(METHODS["snas"], name="soft", estimator=relaxed)


@pytest.mark.parametrize("name", ["seeing", "SOFT"])
def test_an_estimator_is_tried_on_its_first_step(name: str) -> None:
    """On two replicates, then on the first alone, as the run takes it; its last chunk has the three that are left."""
    plugins.allow(__name__)
    SEEN.clear()
    simulate(replace(SMALL, method=f"{__name__}:{name}", start="random", steps=1), replace(NUMPY, chunk=4))
    assert [len(gates) for _, gates in SEEN] == [2, 1, 4, 4, 3]
    both, alone, first, *_ = SEEN
    for part in (0, 1):
        np.testing.assert_array_equal(both[part], first[part][:2])
        np.testing.assert_array_equal(alone[part], first[part][:1])


APART: dict[str, float] = {}


def apart(probabilities: Any, gates: Any, loss: Any) -> Any:
    """Moves one logit: by `alone`, and beside another replicate by `more`."""
    gradient = 0 * gates
    gradient[..., 1, 2] = APART["alone"] + (len(gates) > 1) * APART["more"]
    return gradient


@pytest.mark.parametrize(
    ("alone", "more", "mixes"),
    [  # a 1,000th of the sum of both moves, and a millionth
        (0.0, 0.99e-6, False),
        (0.0, 1.01e-6, True),
        (0.0, -1.01e-6, True),
        (1.0, 2.00e-3, False),
        (1.0, 2.01e-3, True),
    ],
)
def test_how_much_a_replicate_may_move_otherwise_beside_another(alone: float, more: float, mixes: bool) -> None:
    plugins.allow(__name__)
    APART.update(alone=alone, more=more)
    setting = replace(SMALL, method=f"{__name__}:apart")
    if not mixes:
        try_estimator(setting, NUMPY)
        return
    with pytest.raises(ValueError, match="estimator apart mixes replicates"):
        try_estimator(setting, NUMPY)


def test_nan_in_mid_run_ends_an_own_estimator_and_is_nan_in_the_records_of_any_other() -> None:
    plugins.allow(__name__)
    CALLS.clear()
    with pytest.raises(ValueError, match="estimator nan_in_time: logits are not numbers after step 30"):
        simulate(replace(SMALL, method=f"{__name__}:nan_in_time"), NUMPY)
    wild = replace(SMALL, method="reinforce_without_baseline", landscape="flat", options={"level": 1e3})
    wild = replace(wild, optimiser="sgd", rate=1e308)
    values = simulate(wild, TORCH).values
    for name in ("entropy", "surest", "derived_loss"):
        assert np.isnan(values[name][-1]).all(), name  # NaN once counted as decided: entropy 0
    assert np.isfinite(simulate(replace(wild, rate=1e-6), TORCH).values["entropy"]).all()  # control


def test_relaxed_gates_on_a_table_of_one_edge() -> None:
    setting = replace(SMALL, method="snas", landscape="heavy_tailed", edges=1, candidates=3)
    assert differences(simulate(setting, NUMPY), simulate(setting, TORCH)) < 1e-10


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("edges", 1, 1 << 20),
        ("candidates", 1, 1 << 20),
        ("samples", 1, 1 << 20),
        ("every", 1, 1 << 20),
        ("steps", 1, 1 << 32),
        ("replicates", 1, 1 << 24),
        ("landscape_seed", 0, 1 << 63),
        ("chunk", 1, 1 << 24),
    ],
)
def test_the_ends_of_a_range_are_taken_and_what_is_beyond_them_refused(name: str, least: int, most: int) -> None:
    build = Machine if name == "chunk" else Setting
    for value in (least, most):
        assert getattr(build(**{name: value}), name) == value  # type: ignore[arg-type]
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=f"{name} must be at .*, not {value}"):
            build(**{name: value})  # type: ignore[arg-type]


def test_what_a_study_leaves_out() -> None:
    """A file of a study says only what differs from these: another default would make another study of an old file."""
    assert Setting() == Setting(
        method="advantage", landscape="quadratic", edges=6, candidates=4, landscape_seed=0, options={},
        optimiser="adam", rate=0.01, bound="none", beta1=0.5, beta2=0.999, samples=1, start="uniform", steps=1000,
        replicates=100, every=20, seed=0, common=False, watch=False,
    )  # fmt: skip
    assert Machine() == Machine(world="torch", device="cpu", dtype="float32", chunk=512, compiled=False)


# ------------------------------------------------------------------ parts


def test_a_machine_that_cannot_compute_is_refused() -> None:
    for world in ("numpy", "torch"):
        Machine(world).check()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="device 'cuda' needs world 'torch', not 'numpy'"):
        Machine("numpy", device="cuda").check()
    with pytest.raises(ValueError, match="device 'nowhere' cannot be used here"):
        Machine("torch", device="nowhere").check()


def test_only_torch_has_a_bookkeeping_to_switch_off() -> None:
    with TORCH.quietly():
        assert not torch.is_grad_enabled()
    with NUMPY.quietly():
        assert torch.is_grad_enabled()


def test_the_average_of_the_zero_operations_rule_is_left_out_where_there_is_no_such_operation() -> None:
    problems: list[Any] = [SimpleNamespace(landscape=SimpleNamespace(zero_operation=zero)) for zero in (0, None)]
    with_zero, without = (method_of(SMALL, problem) for problem in problems)
    assert with_zero is METHODS["advantage"]
    assert "worst" == with_zero.zero_policy != without.zero_policy
    assert without.averages == {}


def test_the_smallest_uniform_number_is_a_finite_logit_and_a_uniform_start_has_equal_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "uniforms", lambda *_: np.zeros((2, 3, 4)))
    problem, rows = problem_of(SMALL), np.arange(2)
    random, uniform = (run._logits(replace(SMALL, start=s), problem, rows, NUMPY) for s in ("random", "uniform"))  # type: ignore[arg-type]
    np.testing.assert_allclose(random, np.full((2, 3, 4), -24 * math.log(2)))
    np.testing.assert_array_equal(uniform, np.zeros((2, 3, 4)))


def test_a_rise_below_rounding_is_none() -> None:
    """64 units in the last place of the largest loss, or of one: here J is what is carried."""
    problem: Any = SimpleNamespace(now=lambda visits: SimpleNamespace(expected=lambda p: p))
    method: Any = SimpleNamespace(draw=SimpleNamespace(probabilities=lambda logits: logits))
    unit = 2.0**-52
    for truth, scale in ((Truth(None, -8.0, 4.0), 8), (Truth(None, 0.25, 0.5), 1), (UNKNOWN, 1)):
        watched = run._Watch(problem, truth, method, (np.zeros(4), {}, {}, {}))
        assert (watched.rises.tolist(), watched.worst.tolist()) == ([0.0] * 4, [0.0] * 4)
        highest = scale * unit * np.array([63.0, 64.0, 64.5, 65.0])
        for moved in (highest, 3 * highest, highest):
            watched.look((moved, {}, {}, {}))
        assert watched.rises.tolist() == [1, 1, 2, 2]  # twice 63 units are one
        np.testing.assert_array_equal(watched.worst, 2 * highest)


def test_a_replicate_that_lost_one_logit_is_lost_and_its_neighbours_are_not() -> None:
    problem, logits = problem_of(SMALL), torch.zeros(3, 3, 4, dtype=torch.float64)
    logits[1, 2, 3] = math.nan
    method, placed = METHODS["reinforce_without_baseline"], problem.placed(TORCH.array)
    found = run._record(method, placed, problem.truth, (logits, {}, {}, {}), None, 3)
    assert len(found) == 6
    for name, values in found.items():
        assert np.isnan(values).tolist() == [False, True, False], name


def test_where_no_architecture_alone_is_the_best_nobody_draws_it() -> None:
    found = simulate(replace(SMALL, landscape="xor", steps=1), NUMPY).values
    for name, values in found.items():
        assert np.isnan(values).all() == (name in ("optimal_probability", "correct")), name


def test_one_operation_an_edge_is_always_the_best() -> None:
    found = simulate(replace(SMALL, candidates=1, steps=1), NUMPY).values
    assert (found["entropy"] == 0).all()
    for name in ("optimal_probability", "correct", "surest"):
        assert (found[name] == 1).all(), name
    unknown = simulate(replace(SMALL, landscape="xor", candidates=1, steps=1), NUMPY).values
    assert np.isnan(unknown["correct"]).all()


def test_a_choice_is_placed_where_the_logits_are() -> None:
    assert run._like((1, 0), torch.zeros(2, 3, device="meta")).device.type == "meta"
    np.testing.assert_array_equal(run._like((1, 0), np.zeros((2, 3))), [1, 0])


def test_a_fused_step_is_made_once_a_setting_and_takes_whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch's compiler: what it would be given, and how often."""
    plugins.allow(__name__)
    made: list[dict[str, Any]] = []
    resets: list[int] = []

    def fused(function: Any, **how: Any) -> Any:
        made.append(how)
        return function

    monkeypatch.setattr(torch, "compile", fused)
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(len(made)))
    monkeypatch.setattr(run, "_LAST_COMPILED", {})
    machine, setting = replace(TORCH, chunk=4, compiled=True), replace(SMALL, method=f"{__name__}:seeing", steps=2)
    eager = simulate(setting, replace(machine, compiled=False))
    assert made == []
    SEEN.clear()
    assert differences(simulate(setting, machine), eager) == 0
    assert [len(gates) for _, gates in SEEN] == [2, 1, *[4] * 6]  # the trial, then two steps of three chunks
    assert made == [{"fullgraph": True, "dynamic": False}]  # one size, and a break of the graph is an error
    simulate(replace(setting, replicates=5, steps=3, every=3), machine)
    assert len(made) == 1
    simulate(replace(setting, rate=0.5), machine)
    assert (len(made), resets, len(run._LAST_COMPILED)) == (2, [0, 1], 1)
    simulate(replace(setting, landscape=f"{__name__}:hill"), machine)
    assert len(made) == 2  # a user's function is not
