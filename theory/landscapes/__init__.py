"""On which losses is the truth known? The one library of landscapes: theory enumerates them, simulate runs them."""

from theory.landscapes.kinds import (
    Affine,
    Bilinear,
    Blocks,
    Enumerated,
    Function,
    Landscape,
    Neighbours,
    Normalised,
    OfSum,
    Power,
    Quadratic,
    Saturating,
)
from theory.landscapes.named import LANDSCAPES, make, names
from theory.landscapes.own import from_function
from theory.landscapes.table import Table
from theory.landscapes.truth import UNKNOWN, Truth

__all__ = [
    "LANDSCAPES",
    "UNKNOWN",
    "Affine",
    "Bilinear",
    "Blocks",
    "Enumerated",
    "Function",
    "Landscape",
    "Neighbours",
    "Normalised",
    "OfSum",
    "Power",
    "Quadratic",
    "Saturating",
    "Table",
    "Truth",
    "from_function",
    "make",
    "names",
]
