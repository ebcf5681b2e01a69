"""Where does a simulation's randomness come from? From keyed streams, so that no number depends on the order of work.

A stream is named by integers and texts (seed, trial, purpose, block of steps ...). The same name gives the same
numbers on every machine, however the work is batched, split over processes, or stopped and resumed.
"""

import zlib

import numpy as np


def stream(*name: int | str) -> np.random.Generator:
    """A counter-based generator (Philox) of its own for every name; equal names give equal numbers.

    Names of one purpose have one length, and integers are below 2^32: a name and the same with zeros after it are one.
    """
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in name]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))
