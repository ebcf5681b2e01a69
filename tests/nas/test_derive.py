"""What a search stands for: the argmax, the best that was seen, the best of a ranking."""

import itertools
import math
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas import derive, policy
from nas.progress import Seen
from nas.running import config, runs
from nas.running.searching import search_in
from nas.samples import Sample
from nas.settings import SearchSettings
from tests.nas.tiny import SPACE, Tiny

SETTINGS = SearchSettings(rate=0.0, decay=0.0, epochs=4, warmup_epochs=1)


def searched(folder: Path, settings: SearchSettings, network: Tiny | None = None, **more: Any) -> Any:
    with runs.open_run(folder, settings) as run:
        return search_in(run, network or Tiny(), settings, 3, **more)


def one_hot(*choices: int) -> Tensor:
    return torch.eye(3)[list(choices)]


def test_seen_keeps_the_lowest_loss_of_all_samples() -> None:
    start = Seen(torch.tensor(2.0), one_hot(2, 2))
    worse = Sample(None, one_hot(1, 1), None, loss=torch.tensor(2.5))
    assert torch.equal(start.or_better(worse).gates, one_hot(2, 2))
    several = Sample(None, torch.stack([one_hot(0, 1), one_hot(1, 0)]), None, loss=torch.tensor([1.5, 1.0]))
    better = start.or_better(several)
    assert better.loss == 1.0
    assert torch.equal(better.gates, one_hot(1, 0))


def test_an_equal_loss_does_not_displace_the_first_that_was_seen() -> None:
    start = Seen(torch.tensor(2.0), one_hot(2, 2))
    tied = Sample(None, one_hot(1, 1), None, loss=torch.tensor(2.0))
    assert torch.equal(start.or_better(tied).gates, one_hot(2, 2))
    several = Sample(None, torch.stack([one_hot(0, 1), one_hot(1, 0)]), None, loss=torch.tensor([1.0, 1.0]))
    assert torch.equal(start.or_better(several).gates, one_hot(0, 1))


def test_a_ranking_does_not_move_the_searchs_random_numbers() -> None:
    """Its draws follow the search's own; the search's generator stays, and other draws come from another state."""
    from nas.methods import METHODS
    from nas.search import beginning

    now = beginning(Tiny(), SETTINGS, 3)
    before = now.generator.get_state()
    one, two = (derive.drawn(Tiny(), METHODS["advantage"], now, 16) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(now.generator.get_state(), before)
    torch.rand(1, generator=now.generator)
    assert not torch.equal(derive.drawn(Tiny(), METHODS["advantage"], now, 16), one)


def test_the_loss_is_asked_for_before_the_perplexity() -> None:
    assert derive.loss_of({"perplexity": 90.0, "loss": 4.5}) == 4.5
    assert derive.loss_of({"perplexity": 90.0}) == 90.0


def test_a_ranking_beats_an_argmax_that_knows_nothing(tmp_path: Path) -> None:
    # Rate 0: the policy stays even, so the argmax is the first cell, made the worst here; the ranking looks for itself.
    network = Tiny()
    network.best = network.best.flip(-1)
    assert searched(tmp_path / "argmax", SETTINGS, network)["architecture"] == "0-0"
    network = Tiny()
    network.best = network.best.flip(-1)
    result = searched(tmp_path / "ranked", replace(SETTINGS, derive="ranked:200"), network)
    assert result["architecture"] == "2-2"
    losses = [loss for _, loss in result["ranking"]]
    assert losses == sorted(losses)
    assert len(losses) == 9  # each different cell is asked about once
    assert {cell for cell, _ in result["ranking"]} == {f"{a}-{b}" for a in range(3) for b in range(3)}
    assert runs.records(tmp_path / "ranked")[-1]["architecture"] == "0-0"  # on the way, the argmax


def climbed(start: derive.Choices, losses: dict[derive.Choices, float]) -> dict[derive.Choices, float]:
    """What a climb judges, in its order."""
    judged: dict[derive.Choices, float] = {}
    for choices in derive.climb(start, 1 + max(map(max, losses)), judged):
        assert choices not in judged  # each is asked about once
        judged[choices] = losses[choices]
    return judged


def beside(choices: derive.Choices, operations: int) -> list[derive.Choices]:
    """All that differ on one edge."""
    return [
        (*choices[:edge], operation, *choices[edge + 1 :])
        for edge, operation in itertools.product(range(len(choices)), range(operations))
        if operation != choices[edge]
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_climb_ends_where_no_single_edge_helps(seed: int) -> None:
    cells, generator = list(itertools.product(range(3), repeat=4)), random.Random(seed)
    losses = {choices: generator.random() for choices in cells}
    start = generator.choice(cells)
    judged = climbed(start, losses)
    best = min(judged, key=judged.__getitem__)
    assert next(iter(judged)) == start
    assert all(losses[best] < losses[other] for other in beside(best, 3))
    assert set(beside(best, 3)) < set(judged)  # it knows so, because it has asked
    assert len(judged) < len(cells)  # control: not by asking about all


def test_a_climb_on_a_sum_over_edges_finds_the_best_after_one_round() -> None:
    shares = [[3, 1, 2], [5, 9, 4], [0, 1, 2]]
    losses = {
        cell: float(sum(row[k] for row, k in zip(shares, cell, strict=True)))
        for cell in itertools.product(range(3), repeat=3)
    }
    judged = list(climbed((0, 0, 0), losses))
    assert judged[:3] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]  # edge 0 takes operation 1
    assert judged[3:5] == [(1, 1, 0), (1, 2, 0)]  # edge 1 takes 2
    assert judged[5:7] == [(1, 2, 1), (1, 2, 2)]  # edge 2 stays
    assert judged[7:] == [(0, 2, 0), (2, 2, 0)]  # so does edge 0; of edge 1 all is known


def test_a_climb_may_end_short_of_the_best_where_edges_matter_together() -> None:
    losses = {(0, 0): 1.0, (0, 1): 2.0, (1, 0): 2.0, (1, 1): 0.0}
    assert min(climbed((0, 0), losses).values()) == 1.0
    assert min(climbed((0, 1), losses).values()) == 0.0  # control: from another start it is found


def test_of_equal_losses_a_climb_stays_where_it_is() -> None:
    assert list(climbed((1, 1), dict.fromkeys(itertools.product(range(2), repeat=2), 1.0))) == [(1, 1), (0, 1), (1, 0)]


def test_a_search_that_ends_with_a_climb(tmp_path: Path) -> None:
    # Rate 0: the argmax is the first cell, here the worst.
    network = Tiny()
    network.best = network.best.flip(-1)
    result = searched(tmp_path / "climbed", replace(SETTINGS, derive="climbed:200"), network)
    assert result["architecture"] == "2-2"
    assert [cell for cell, _ in result["ranking"]] == ["2-2", "2-1", "1-2", "2-0", "0-2", "1-0", "0-0"]
    short = searched(tmp_path / "short", replace(SETTINGS, derive="climbed:2"), network)
    assert {cell for cell, _ in short["ranking"]} == {"0-0", "1-0"}
    assert short["architecture"] == "1-0"  # the best of those that it could afford


class Broken(Tiny):
    """The architecture that a search at rate 0 begins with has no loss; of the others the last one is best."""

    def __init__(self) -> None:
        super().__init__()
        self.best = self.best.flip(-1)

    def validate(self, gates: Tensor) -> dict[str, float]:
        loss = float((gates * self.best).sum())
        return {"loss": math.nan if loss == 4.0 else loss}


@pytest.mark.parametrize("how", ["ranked:200", "climbed:200"])
def test_a_loss_that_is_no_number_is_the_worst(how: str, tmp_path: Path) -> None:
    result = searched(tmp_path / "r", replace(SETTINGS, derive=how), Broken())
    assert result["architecture"] == "2-2"
    assert result["ranking"][-1] == ("0-0", math.inf)


def test_a_climb_that_was_stopped_begins_again_to_the_same_end(tmp_path: Path) -> None:
    settings, calls = replace(SETTINGS, derive="climbed:20"), itertools.count(1)
    assert searched(tmp_path / "r", settings, OfWeights(), stopped=lambda: next(calls) == 43) is None
    assert not (tmp_path / "r" / runs.RESULT).exists()
    again = searched(tmp_path / "r", settings, OfWeights())
    assert again["ranking"] == searched(tmp_path / "whole", settings, OfWeights())["ranking"]


def test_without_an_architecture_step_there_is_no_best_seen() -> None:
    from nas.methods import METHODS
    from nas.search import beginning

    for settings in (SETTINGS, replace(SETTINGS, derive="best_seen")):  # nothing is kept, or nothing was seen yet
        now = beginning(Tiny(), settings, 3)
        with pytest.raises(ValueError, match="this search kept no best one"):
            derive.derive(Tiny(), METHODS["advantage"], now, "best_seen")


def test_a_progress_bar_knows_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A climb says the most there can be."""
    from nas.methods import METHODS
    from nas.search import beginning

    bars: list[tuple[str, int, int]] = []

    def counted(things: Iterable[Any], total: int, desc: str, **_: Any) -> list[Any]:
        return [(thing, bars.append((desc, total, number)))[0] for number, thing in enumerate(things, 1)]

    monkeypatch.setattr(derive, "tqdm", counted)
    now = beginning(Tiny(), SETTINGS, 3)
    derive.derive(Tiny(), METHODS["advantage"], now, "tuned:6:2:1")
    last = {title: (total, number) for title, total, number in bars}
    assert last == {"ranking": (7, 7), "candidate 1 of 2": (10, 10), "candidate 2 of 2": (10, 10)}
    monkeypatch.undo()
    monkeypatch.setattr(derive, "tqdm", lambda things, **known: bars.append(("climb", known["total"], 0)) or things)
    derive.derive(Tiny(), METHODS["advantage"], now, "climbed:8")
    assert bars[-1] == ("climb", 8, 0)


class OfWeights(Tiny):
    """Its held-out loss is that of its weights, so that training moves it."""

    def validate(self, gates: Tensor) -> dict[str, float]:
        return {"loss": float((gates * self.weights).sum())}


def test_candidates_that_train_alone_are_judged_by_where_that_takes_them() -> None:
    network = OfWeights()
    network.weights = torch.tensor([[0.5, 0.0, 0.4], [0.5, 0.0, 0.4]])  # "bad" is lowest now, "good" after training
    before = {name: tensor.clone() for name, tensor in network.state().items()}
    all_of_them = list(itertools.product(range(3), repeat=2))
    now = {choices: network.validate(one_hot(*choices))["loss"] for choices in all_of_them}
    assert min(now, key=now.__getitem__) == (1, 1)
    alone = derive.trained_alone(network, all_of_them, epochs=5)
    assert alone is not None
    assert min(alone, key=alone.__getitem__) == (0, 0)
    for choices, loss in alone.items():  # 50 steps of 0.2 towards best, under noise of 0.1: the mean is best itself
        assert loss == pytest.approx(float(network.best[0, list(choices)].sum()), abs=0.5)
    for name, tensor in network.state().items():  # as it was, the order of its minibatches, too
        assert torch.equal(tensor, before[name]), name


class InPlace(OfWeights):
    """Its weights are moved where they lie, as real ones are; "bad" is lowest now, "good" once they are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.tensor([[0.5, 0.0, 0.4], [0.5, 0.0, 0.4]])

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        own = self.weights
        loss = super().weight_step(gates, progress)
        own.copy_(self.weights)
        self.weights = own
        return loss


def test_a_search_stands_for_the_best_of_those_that_trained_and_not_for_the_first_of_the_ranking() -> None:
    from nas.methods import METHODS
    from nas.search import beginning

    network = InPlace()
    now, shared = beginning(network, SETTINGS, 3), network.weights.clone()
    ranked = derive.derive(network, METHODS["advantage"], now, "ranked:200")
    tuned = derive.derive(network, METHODS["advantage"], now, "tuned:200:9:5")
    assert ranked is not None
    assert tuned is not None
    assert ranked.choices == [1, 1]  # control: it is another one
    assert tuned.choices == [0, 0]
    assert torch.equal(network.weights, shared)


@pytest.mark.parametrize("at", [1, 7, 25])  # in the first candidate and in the third
def test_stopped_the_network_is_as_it_was(at: int) -> None:
    network, calls = InPlace(), itertools.count(1)
    before = {name: tensor.clone() for name, tensor in network.state().items()}
    assert derive.trained_alone(network, [(0, 0), (1, 2), (2, 2)], 1, lambda: next(calls) == at) is None
    for name, tensor in network.state().items():
        assert torch.equal(tensor, before[name]), name


def test_each_candidate_begins_with_the_shared_weights() -> None:
    """One alone, or after others: the same loss to the bit. Control: one more epoch is another loss."""
    others = derive.trained_alone(OfWeights(), [(1, 2), (0, 0)], epochs=2)
    alone = derive.trained_alone(OfWeights(), [(0, 0)], epochs=2)
    more = derive.trained_alone(OfWeights(), [(0, 0)], epochs=3)
    assert others is not None
    assert alone is not None
    assert others[0, 0] == alone[0, 0]
    assert alone != more


def test_training_alone_goes_along_the_last_quarter_of_the_schedule() -> None:
    asked: list[float] = []

    class Listening(Tiny):
        def weight_step(self, gates: Tensor, progress: float) -> Tensor:
            asked.append(progress)
            return super().weight_step(gates, progress)

    derive.trained_alone(Listening(), [(0, 0), (1, 0)], epochs=2)
    assert asked == [0.75 + 0.25 * done / 20 for done in range(20)] * 2


def test_a_search_that_stands_for_the_best_of_tuned_cells(tmp_path: Path) -> None:
    plain = searched(tmp_path / "ranked", replace(SETTINGS, derive="ranked:30"), OfWeights())
    result = searched(tmp_path / "tuned", replace(SETTINGS, derive="tuned:30:4:3"), OfWeights())
    assert result["ranking"] == plain["ranking"]
    assert "tuned" not in plain
    cells = [cell for cell, _ in result["tuned"]]
    assert set(cells) == {cell for cell, _ in result["ranking"][:4]}
    assert [loss for _, loss in result["tuned"]] == sorted(loss for _, loss in result["tuned"])
    assert result["architecture"] == cells[0]
    assert dict(result["tuned"]) != dict(result["ranking"][:4])  # control: training moved the losses
    assert result["figures"]["loss"] == dict(result["ranking"])[cells[0]]  # figures are of the shared weights


@pytest.mark.parametrize("at", [43, 60, 95])  # in the ranking, in the first candidate, in a later one
def test_tuning_that_was_stopped_begins_again_to_the_same_end(tmp_path: Path, at: int) -> None:
    settings = replace(SETTINGS, derive="tuned:20:3:3")
    calls = itertools.count(1)
    assert searched(tmp_path / "r", settings, OfWeights(), stopped=lambda: next(calls) == at) is None
    assert not (tmp_path / "r" / runs.RESULT).exists()
    again = searched(tmp_path / "r", settings, OfWeights())
    assert again["tuned"] == searched(tmp_path / "whole", settings, OfWeights())["tuned"]


def test_draws_of_a_ranking_follow_the_policy(tmp_path: Path) -> None:
    settings = replace(SETTINGS, rate=0.3, epochs=40, derive="ranked:50")
    result = searched(tmp_path / "r", settings)
    assert max(max(row) for row in result["probabilities"]) > 0.99
    assert len(result["ranking"]) < 9


@pytest.mark.parametrize("method", ["enas", "evolution"])
def test_what_keeps_weights_or_a_population_is_ranked_and_seen(tmp_path: Path, method: str) -> None:
    """Cells of a ranking come from the policy itself: of a settled one few, of one that never moved all."""
    settings = replace(SETTINGS, method=method, rate=0.05, epochs=40)
    ranked = searched(tmp_path / "ranked", replace(settings, derive="ranked:50"))
    assert ranked["ranking"][0][0] == ranked["architecture"] == "0-0"
    assert len(ranked["ranking"]) < 9
    assert searched(tmp_path / "seen", replace(settings, derive="best_seen"))["architecture"]
    if method == "enas":
        assert len(searched(tmp_path / "even", replace(settings, rate=0.0, derive="ranked:200"))["ranking"]) == 9


def test_best_seen_is_in_records_and_result_and_survives_a_stop(tmp_path: Path) -> None:
    settings = replace(SETTINGS, derive="best_seen")
    whole = searched(tmp_path / "whole", settings)
    records = runs.records(tmp_path / "whole")
    assert "best_seen" not in records[0]  # the warm-up has no architecture steps
    assert records[-1]["best_seen"] == whole["architecture"]
    calls = itertools.count(1)
    assert searched(tmp_path / "parts", settings, stopped=lambda: next(calls) == 25) is None
    searched(tmp_path / "parts", settings)
    one, other = (runs.read_checkpoint(tmp_path / part / runs.CHECKPOINT)[0] for part in ("whole", "parts"))
    assert torch.equal(one["seen/loss"], other["seen/loss"])
    assert torch.equal(one["seen/gates"], other["seen/gates"])
    assert torch.isfinite(one["seen/loss"])


def test_a_ranking_that_was_stopped_goes_on(tmp_path: Path) -> None:
    settings = replace(SETTINGS, derive="ranked:20")
    calls = itertools.count(1)
    assert searched(tmp_path / "r", settings, stopped=lambda: next(calls) == 45) is None  # after all 40 steps
    assert not (tmp_path / "r" / runs.RESULT).exists()
    again = searched(tmp_path / "r", settings)
    assert again["ranking"] == searched(tmp_path / "whole", settings)["ranking"]


def test_until_ends_inside_the_schedule(tmp_path: Path) -> None:
    settings = replace(SETTINGS, rate=0.1, record_every=5)
    searched(tmp_path / "whole", settings)
    result = searched(tmp_path / "part", replace(settings, until=2.5))
    assert result["steps"] == 25
    whole, part = (
        [{k: v for k, v in r.items() if k not in ("seconds", "validation")} for r in runs.records(tmp_path / name)]
        for name in ("whole", "part")
    )
    assert part == whole[: len(part)]
    assert "validation" in runs.records(tmp_path / "part")[-1]


def test_what_a_method_or_network_cannot_do_is_refused_before_the_search(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="method darts draws mixtures, never one"):
        searched(tmp_path / "a", replace(SETTINGS, method="darts", derive="best_seen"))
    network: Any = Tiny()
    network.held_out_unseen = False
    with pytest.raises(ValueError, match="data that no architecture step saw"):
        searched(tmp_path / "b", replace(SETTINGS, derive="ranked:8"), network)
    network = Tiny()
    network.cell_from_policy = True
    for how in ("best_seen", "ranked:8", "tuned:8:2:1", "climbed:8"):
        with pytest.raises(ValueError, match="single takes the cell from the policy"):
            searched(tmp_path / how, replace(SETTINGS, derive=how), network)
    assert searched(tmp_path / "e", SETTINGS, network)["architecture"]
    with pytest.raises(ValueError, match="no architecture step has seen one"):
        replace(SETTINGS, warmup_epochs=4, derive="best_seen")
    with pytest.raises(ValueError, match=r"a ranking needs one of loss, perplexity .* gave accuracy"):
        derive.loss_of({"accuracy": 1.0})


def test_the_figures_of_a_result_are_those_of_what_it_stands_for(tmp_path: Path) -> None:
    network = Tiny()
    network.best = network.best.flip(-1)
    result = searched(tmp_path / "ranked", replace(SETTINGS, derive="ranked:200"), network)
    last = runs.records(tmp_path / "ranked")[-1]
    assert result["figures"]["loss"] == result["ranking"][0][1]
    assert result["figures"]["loss"] < last["validation"]["loss"]  # control: those of the argmax are others
    plain = searched(tmp_path / "plain", SETTINGS)
    assert plain["figures"] == runs.records(tmp_path / "plain")[-1]["validation"]


@pytest.mark.parametrize(
    "how",
    [
        "",
        "ranked",
        "ranked:0",
        "ranked:-3",
        "ranked:1e3",
        "best",
        "ranked:9999999",
        "tuned:9",
        "tuned:9:2",
        "tuned:9:0:1",
        "tuned:9:2:1:1",
    ],
)
def test_an_unknown_way_is_refused(how: str) -> None:
    with pytest.raises(ValueError, match="derive must be argmax, best_seen, ranked:N, tuned:N:M:E or climbed:N"):
        replace(SETTINGS, derive=how)


@pytest.mark.parametrize("until", [0.0, -1.0, 4.5, float("nan")])
def test_an_end_outside_the_schedule_is_refused(until: float) -> None:
    with pytest.raises(ValueError, match="need 0 < until <= epochs"):
        replace(SETTINGS, until=until)


def test_settings_of_before_keep_their_digest() -> None:
    written = config.dump(SETTINGS)
    for name in ("until", "warmup", "derive"):
        assert f"{name} =" not in written
    assert "derive = " in config.dump(replace(SETTINGS, derive="best_seen"))
    assert config.load(SearchSettings, base={"until": 2.5, "derive": "ranked:4"}).derive == "ranked:4"
    assert config.digest(replace(SETTINGS, until=2.0)) != config.digest(SETTINGS)


def test_drawn_cells_are_one_hot() -> None:
    from nas.methods import METHODS
    from nas.search import beginning

    drawn = derive.drawn(Tiny(), METHODS["advantage"], beginning(Tiny(), SETTINGS, 0), 64)
    assert drawn.shape == (64, *SPACE.shape)
    assert torch.equal(drawn.sum(dim=-1), torch.ones(64, 2))
    assert len(policy.choices(drawn).unique()) == 3


@pytest.mark.parametrize(("gates", "one"), [([[1.0, 0.0], [0.0, 1.0]], True), ([[1.0, 0.0], [0.5, 0.5]], False)])
def test_one_mixed_edge_is_no_architecture(
    gates: list[list[float]], one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.methods import METHODS

    monkeypatch.setattr(derive.step, "draw", lambda *_, **__: Sample(None, torch.tensor(gates), None))
    assert derive._one_hot(METHODS["darts"], (2, 2)) is one
