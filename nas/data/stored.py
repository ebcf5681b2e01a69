"""What if the examples do not fit in memory? They stay on the disk, and a minibatch is read when it is asked for.

Nothing is read ahead, so that a minibatch stays a function of its number and a stopped run goes on.
"""

import hashlib
import tokenize
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas.data.places import DataError

# What NumPy's reader of heads raises on damaged ones.
NO_HEAD = (
    *(ValueError, LookupError, TypeError, EOFError, SyntaxError, tokenize.TokenError),
    *(OverflowError, RecursionError, MemoryError, AttributeError),
)
Numbers = npt.NDArray[np.int64]


class Stored:
    """Examples (N, …) on the disk, in the place of a tensor in `nas.Batches`.

    Args: read, numbers (B,) -> the array (B, …) of these examples, in their order, the same each time; shape, of all
    of them; digest, a text that names their content: a run goes on with the same one only; device, of minibatches.

    >>> stored = Stored(lambda numbers: numbers[:, None] / 2, shape=(6, 1), digest="halves")
    >>> stored.at(torch.tensor([4, 1]))
    tensor([[2.0000],
            [0.5000]], dtype=torch.float64)
    >>> stored.part(np.array([5, 4, 3])).at(torch.tensor([0])), len(stored)  # of the numbers 5, 4, 3 the first
    (tensor([[2.5000]], dtype=torch.float64), 6)
    """

    def __init__(
        self, read: Callable[[Numbers], Any], shape: tuple[int, ...], digest: str, device: str | torch.device = "cpu"
    ) -> None:
        self.read, self.shape, self.digest, self.device = read, tuple(shape), digest, torch.device(device)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: Numbers | slice) -> npt.NDArray[Any]:
        """The examples with these numbers, in memory. Raises: DataError if what is read has another shape."""
        numbers = np.arange(len(self))[chosen] if isinstance(chosen, slice) else chosen
        found = np.asarray(self.read(numbers))
        if found.shape != (len(numbers), *self.shape[1:]):
            raise DataError(
                f"{len(numbers)} examples of {self.digest} were read as {found.shape}, not as "
                f"{(len(numbers), *self.shape[1:])}; did their files change?"
            )
        return found

    def at(self, chosen: Tensor) -> Tensor:
        """The examples with these numbers, on the device."""
        found = np.require(self[chosen.cpu().numpy()], requirements=("C", "W"))
        return torch.from_numpy(found).to(self.device)

    def part(self, chosen: Numbers) -> "Stored":
        """The examples with these numbers, in their order; nothing is read."""
        named = hashlib.sha256(np.ascontiguousarray(chosen, np.int64).data).hexdigest()[:10]
        digest, shape = f"{self.digest}, of these {len(chosen):,} {named}", (len(chosen), *self.shape[1:])
        return Stored(lambda numbers: self[chosen[numbers]], shape, digest, self.device)

    def to(self, device: str | torch.device) -> "Stored":
        """The same, with minibatches on another device."""
        return Stored(self.read, self.shape, self.digest, device)

    @classmethod
    def mapped(cls, file: Path | str, device: str | torch.device = "cpu") -> "Stored":
        """The rows of a .npy file, which is mapped into memory and read once for its digest.

        Raises: DataError in one line if it is no array of numbers with an axis of examples.
        """
        array = mapped_array(file)
        if not array.ndim:
            raise DataError(f"cannot map {file}: it holds one number, and no array with an axis of examples")
        with Path(file).open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()[:10]
        return cls(lambda numbers: array[numbers], array.shape, digest, device)


def mapped_array(file: Path | str) -> npt.NDArray[Any]:
    """The array of a .npy file, on the disk; an archive or a pickle of that name is not opened.

    Raises: DataError in one line if it is damaged, holds Python objects, or is something else.
    """
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except (OSError, *NO_HEAD) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(f"{file} is damaged or no .npy file: {why}; save an array by numpy.save") from error
