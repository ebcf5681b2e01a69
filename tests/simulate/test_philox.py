"""The counter-based generator against its published vectors, in both worlds, and its uniforms."""

import numpy as np
import pytest
import torch
from scipy import stats

from simulate.philox import philox, uniforms

# Known answers of Philox 4x32-10 as published with the generator (Random123, kat_vectors): counter, key -> words.
PUBLISHED = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), PUBLISHED)
def test_published_vectors(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    a, b, c, d = (np.array([word], dtype=np.int64) for word in counter)
    assert tuple(int(word[0]) for word in philox((a, b, c, d), key)) == words
    e, f, g, h = (torch.tensor([word]) for word in counter)
    assert tuple(int(word[0]) for word in philox((e, f, g, h), key)) == words
    wrong = philox((a, b, c, d ^ 1), key)
    assert all(int(w[0]) != known for w, known in zip(wrong, words, strict=True))


def test_a_replicates_numbers_depend_on_its_number_alone_and_are_the_same_in_both_worlds() -> None:
    many = uniforms(5, 9, np.arange(100), 3, (4, 3), np.float64)
    assert np.array_equal(uniforms(5, 9, np.array([41]), 3, (4, 3), np.float64)[0], many[41])
    assert np.array_equal(uniforms(5, 9, torch.arange(100), 3, (4, 3), torch.float64).numpy(), many)
    assert np.array_equal(uniforms(5, 9, np.arange(100), 3, (4, 3), np.float32), many.astype(np.float32))
    others = [uniforms(6, 9, np.arange(100), 3, (4, 3), np.float64), uniforms(5, 8, np.arange(100), 3, (4, 3), float)]
    others.append(uniforms(5, 9, np.arange(100), 4, (4, 3), np.float64))
    for other in others:
        assert not np.any(other == many)


def test_uniforms_are_uniform_and_uncorrelated_between_neighbours() -> None:
    values = uniforms(1, 2, np.arange(20_000), 0, (5,), np.float64)
    assert values.min() >= 0
    assert values.max() < 1
    # Five Kolmogorov-Smirnov tests and one correlation bound, each at one in a million.
    for column in values.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-6
    next_step = uniforms(1, 2, np.arange(20_000), 1, (5,), np.float64)
    for other in (np.roll(values, 1, axis=0), np.roll(values, 1, axis=1), next_step):
        assert abs(np.corrcoef(values.ravel(), other.ravel())[0, 1]) < 4.9 / np.sqrt(values.size)


def test_every_word_stands_where_it_is_counted() -> None:
    """Number 4 b + w of replicate r is word w of the counter (r, b, step, stream), under the two halves of the seed."""
    found = uniforms(5 + (7 << 32), 9, np.array([3, 11]), 2, (3, 2), np.float64)
    for row, replicate in zip(found, (3, 11), strict=True):
        counters = [tuple(np.array([number]) for number in (replicate, block, 2, 9)) for block in (0, 1)]
        words = [int(word[0]) for counter in counters for word in philox(counter, (5, 7))]  # type: ignore[arg-type]
        assert row.ravel().tolist() == [(word >> 8) / 2**24 for word in words[:6]]


def test_the_numbers_are_made_where_the_replicates_are() -> None:
    """A tensor on torch's meta device meets only its like."""
    assert uniforms(0, 0, torch.arange(3, device="meta"), 1, (2, 3), torch.float32).shape == (3, 2, 3)
