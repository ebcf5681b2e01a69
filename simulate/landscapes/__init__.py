"""On which problems do the methods run? On theory's landscapes, the same objects, and on some with noise or state."""

from simulate.landscapes.environment import Drifting, Environment, Noisy, Visits
from simulate.landscapes.named import make, names
from simulate.landscapes.toy import Toy, toy

__all__ = ["Drifting", "Environment", "Noisy", "Toy", "Visits", "make", "names", "toy"]
