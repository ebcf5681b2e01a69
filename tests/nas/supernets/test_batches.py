"""Minibatches: each epoch takes everything once, and each minibatch follows from the seed and its number alone."""

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from nas.data.stored import Stored
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


class Watched(Batches):
    """Writes down the seed of every generator that it makes."""

    seeds: ClassVar[list[int]] = []

    def _generator(self, stream: int) -> torch.Generator:
        generator = super()._generator(stream)
        self.seeds.append(generator.initial_seed())
        return generator


def test_no_two_generators_begin_alike() -> None:
    """Of 40 epochs' orders, of their 80 transforms, and of the network's own noise on each minibatch."""
    batches = Watched(torch.zeros(7), NUMBERS, 3, transform=added)
    Watched.seeds.clear()
    for position in range(80):
        batches.at(position)
    assert len(Watched.seeds) == 40 + 80
    assert len({*Watched.seeds, *(batches.noise(position) for position in range(80))}) == 40 + 80 + 80


def odd(power: int) -> int:
    """The odd number next to 2^64 / x, where x^power = x + 1, x > 1: by halving, in whole numbers of 2^-80."""
    low, high = 1 << 80, 2 << 80
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power < (middle + (1 << 80)) << 80 * (power - 1) else (low, middle)
    return (1 << 144) // low // 2 * 2 + 1


def test_a_seed_means_the_same_minibatches_in_every_version() -> None:
    """So that a run goes on as it began. The multipliers belong to the golden ratio and to the root of x^4 = x + 1."""
    golden, other = odd(2), odd(4)
    for seed in (0, 3):
        batches = Watched(torch.zeros(7), NUMBERS, 3, seed=seed, transform=added)
        Watched.seeds.clear()
        batches.at(5)  # of epoch 2, whose order comes first
        own = [(seed * golden + stream * other + 1) % 2**63 for stream in (4, 11, -6)]
        assert [*Watched.seeds, batches.noise(5)] == own


def test_what_lies_on_the_disk_gives_the_minibatches_of_what_lies_in_memory() -> None:
    halves = NUMBERS / 2
    stored = Stored(lambda numbers: halves.numpy()[numbers], (7,), "halves")
    memory, disk = (Batches(inputs, NUMBERS, 3, seed=2) for inputs in (halves, stored))
    for position in range(4):
        for one, other in zip(memory.at(position), disk.at(position), strict=True):
            assert torch.equal(one, other)


def test_stored_examples_without_a_target_are_refused() -> None:
    stored = Stored(lambda numbers: numbers, (8,), "numbers")
    with pytest.raises(ValueError, match="8 stored examples have 7 targets; give one each"):
        Batches(stored, NUMBERS, 3)
    assert Batches(stored, torch.arange(8), 3).steps == 2  # the control


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
