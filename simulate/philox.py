"""Which uniforms does replicate r use at step t? A fixed function of (seed, stream, r, t), computed where it is needed.

Philox 4x32-10 (Salmon et al., SC 2011): ten rounds of multiplication and exclusive-or turn a counter and a key into
four random words. There is no state, so the numbers do not depend on the size or order of batches, on how replicates
are split over processes, or on what ran before; and the function fuses into a compiled step. The same code runs on
NumPy arrays and torch tensors of int64, whose products wrap around as the algorithm wants.
"""

import math
from typing import Any

from nas.arrays import namespace

MULTIPLIERS = (0xD2511F53 - (1 << 32), 0xCD9E8D57 - (1 << 32))  # as signed: same low words, and products fit int64
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF
ROUNDS = 10


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Four random 32-bit words for each counter; all words are int64 arrays holding 0 .. 2^32 - 1, and broadcast."""
    a, b, c, d = counter
    left, right = key
    for _ in range(ROUNDS):
        high_a, low_a = _product(0, a)
        high_c, low_c = _product(1, c)
        a, b, c, d = high_c ^ b ^ left, low_c, high_a ^ d ^ right, low_a
        left, right = (left + WEYL[0]) & MASK, (right + WEYL[1]) & MASK
    return a, b, c, d


def uniforms(seed: int, stream: int, replicates: Any, step: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniforms in [0, 1) on the 2^24 grid of float32, (R, *shape), of `replicates` (R,) int64 at `step`.

    seed below 2^64 and stream below 2^32 name the sequence; step is a number or a 0-d int64 array below 2^32. dtype is
    NumPy's or torch's float32 or float64, of the same world as `replicates`.

    >>> import numpy as np
    >>> together = uniforms(0, 0, np.arange(5), 7, (2,), np.float64)
    >>> bool((together[3:4] == uniforms(0, 0, np.array([3]), 7, (2,), np.float64)).all())  # replicate 3, alone
    True
    """
    xp = namespace(replicates)
    count = math.prod(shape)
    blocks = xp.arange(-(-count // 4), **({} if xp.__name__ == "numpy" else {"device": replicates.device}))
    row = replicates[:, None]
    zero = 0 * (row + blocks)
    words = philox((row + zero, blocks + zero, zero + step, zero + stream), (seed & MASK, seed >> 32 & MASK))
    table = xp.stack(words, axis=-1).reshape(row.shape[0], -1)[:, :count] >> 8
    floats = table.astype(dtype) if hasattr(table, "astype") else table.to(dtype)
    return (floats * 2.0**-24).reshape(row.shape[0], *shape)


def _product(which: int, word: Any) -> tuple[Any, Any]:
    """High and low 32 bits of MULTIPLIER * word, with M = m + 2^32 and m negative, so that nothing overflows."""
    product = MULTIPLIERS[which] * word
    return ((product >> 32) + word) & MASK, product & MASK
