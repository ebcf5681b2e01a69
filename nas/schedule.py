"""How does a rate fall over a training?"""

import math


def cosine(progress: float) -> float:
    """Half a cosine: 1 at progress 0, 0 at 1 and beyond."""
    return 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))
