"""Where are scikit-learn's handwritten digits? In the package itself: 1,797 grey images of 8 × 8 pixels, ten classes.

From the UCI repository's "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998), its test half.
"""

import torch
from torch import Tensor

from nas.data.places import DataError


def load() -> tuple[Tensor, Tensor]:
    """Pixels (1797, 1, 8, 8) float32 in [0, 1] and labels (1797,), in one fixed shuffled order.

    Raises: DataError if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the digits are scikit-learn's: pip install 'scikit-learn>=1.5'") from error
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))  # writers follow one another
    return (torch.from_numpy(pixels / 16).float().view(-1, 1, 8, 8))[order], torch.from_numpy(labels).long()[order]
