"""Minibatches: each epoch takes everything once, and each minibatch follows from the seed and its number alone."""

import pytest
import torch
from torch import Tensor

from nas.running import processes
from nas.supernets.batches import Batches

NUMBERS = torch.arange(7)


def test_an_epoch_takes_whole_minibatches_and_nothing_twice() -> None:
    batches = Batches(NUMBERS.float(), NUMBERS, 3)
    assert batches.steps == 2
    orders = []
    for epoch in range(6):
        seen = torch.cat([batches.at(2 * epoch + place)[1] for place in range(2)])
        assert len(seen.unique()) == 6
        orders.append(tuple(seen.tolist()))
    assert len(set(orders)) == 6  # 5,040 orders: each epoch has its own
    inputs, targets = batches.at(5)
    assert torch.equal(inputs, targets.float())


def test_asked_in_any_order_it_is_the_same_minibatch() -> None:
    batches = Batches(NUMBERS.float(), NUMBERS, 3, seed=4)
    there = [batches.at(n)[1].tolist() for n in range(6)]
    assert [batches.at(n)[1].tolist() for n in (5, 0, 4, 1, 3, 2)] == [there[n] for n in (5, 0, 4, 1, 3, 2)]
    assert [Batches(NUMBERS.float(), NUMBERS, 3, seed=5).at(n)[1].tolist() for n in range(6)] != there


def test_in_order_it_begins_again() -> None:
    batches = Batches(NUMBERS.float(), NUMBERS, 3, shuffle=False)
    assert [batches.at(n)[1].tolist() for n in range(3)] == [[0, 1, 2], [3, 4, 5], [0, 1, 2]]


def added(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs + torch.rand(len(inputs), generator=generator)


def test_every_minibatch_has_random_numbers_of_its_own() -> None:
    """Of its transform, of the order and of the network: all differ, and all follow from the seed and the number."""
    batches = Batches(torch.zeros(7), NUMBERS, 3, transform=added)
    noises = [batches.at(n)[0] for n in range(6)]
    assert len({tuple(noise.tolist()) for noise in noises}) == 6
    assert torch.equal(batches.at(3)[0], noises[3])
    streams = [batches._mixed(2 * n) for n in range(6)] + [batches._mixed(2 * n + 1) for n in range(6)]
    streams += [batches.noise(n) for n in range(6)]
    assert len(set(streams)) == 18
    assert all(0 <= stream < 1 << 63 for stream in streams)
    assert len({stream % (1 << 32) for stream in streams}) == 18  # what torch's generator takes
    other = Batches(torch.zeros(7), NUMBERS, 3, seed=1)
    assert not {other.noise(n) for n in range(6)} & set(streams)


def test_processes_share_a_minibatch_without_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Batches(NUMBERS.float(), NUMBERS, 4, seed=2).at(0)[1]
    monkeypatch.setattr(processes, "count", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        inputs, targets = Batches(NUMBERS.float(), NUMBERS, 4, seed=2).at(0)
        assert torch.equal(inputs, targets.float())
        shares.append(targets)
    assert [share.tolist() for share in shares] == [whole[::2].tolist(), whole[1::2].tolist()]


@pytest.mark.parametrize("size", [0, -1, 8])
def test_a_size_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a minibatch of {size} does not fit 7 examples"):
        Batches(NUMBERS.float(), NUMBERS, size)
    assert Batches(NUMBERS.float(), NUMBERS, 7).steps == 1
    assert Batches(NUMBERS.float(), NUMBERS, 1).steps == 7


def test_several_inputs_are_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"inputs are one tensor or nas\.Stored, not a tuple: put several into one"
    ) as refused:
        Batches((NUMBERS, NUMBERS), NUMBERS, 2)
    assert "\n" not in str(refused.value)
