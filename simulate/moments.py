"""Do the shipped estimators have, by Monte Carlo, the mean and variance that theory computes by exact summation?

One step's gradient is drawn many times at a fixed policy, through the same code as a search, and its mean and total
variance are compared with `theory.exact`. The verdict is a test at a stated level, corrected for how many entries are
tested; a deliberately wrong estimator must fail it.
"""

import math
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from nas import estimators, policy, step
from nas.judging.statistics import standard_error
from nas.methods import METHODS, Method
from simulate.philox import uniforms
from theory import exact, landscapes
from theory.outcomes import outcomes

LEVEL = 1e-4  # the chance that a right estimator is rejected, where every operation is drawn often
OFTEN = 20  # times that the rarest operation must be expected


# AdvantageNAS with half of the score on the drawn operation: (1 - p) / 2 instead of 1 - p there.
def half_the_score(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    """A deliberate error that the test must find."""
    return estimators.advantage(probabilities, gates, gate_gradient) * (1 - gates / 2)


WRONG = replace(METHODS["advantage"], name="wrong", label="deliberately wrong", estimator=half_the_score)


@dataclass(frozen=True)
class Comparison:
    """Measured beside exact. worst: the largest |z| of the mean's entries, allowed: its bound at LEVEL.

    variance_z likewise for the total variance.

    >>> compared: Comparison = compare(METHODS["reinforce"], "additive", n=20_000)
    >>> compared.n, compared.agrees
    (20000, True)
    """

    method: str
    landscape: str
    n: int
    bias_norm: float
    measured_bias_norm: float
    variance: float
    measured_variance: float
    worst: float
    allowed: float
    variance_z: float
    variance_allowed: float

    @property
    def agrees(self) -> bool:
        """Whether mean and variance are within their intervals."""
        return self.worst <= self.allowed and abs(self.variance_z) <= self.variance_allowed


def compare(
    method: Method, landscape: str, n: int = 100_000, seed: int = 0, edges: int = 3, candidates: int = 3
) -> Comparison:
    """Draw `n` gradients of `method` and compare their moments with its exact ones.

    The exact side of `WRONG` is AdvantageNAS's: what it claims to be.
    Raises: ValueError if `n` draws are too few for the rarest operation to be drawn `OFTEN`: then a standard error says
    nothing, and a right estimator can look wrong.

    >>> compare(METHODS["advantage"], "quadratic", n=20_000).agrees, compare(WRONG, "quadratic", n=20_000).agrees
    (True, False)
    """
    problem = landscapes.make(landscape, edges, candidates, seed)
    p = np.random.default_rng(seed).dirichlet(np.ones(candidates), size=edges)
    if n < (least := math.ceil(OFTEN / p.min())):
        rare = f"the rarest operation has probability {p.min():.2g}"
        raise ValueError(f"{n:,} draws are too few to tell right from wrong: {rare}; take {least:,} or more")
    known = exact.moments(METHODS["advantage"] if method is WRONG else method, problem, p)
    draws = _gradients(method, problem, p, n, seed).reshape(n, -1)
    target = known.mean.reshape(-1)
    error = np.hypot(standard_error(draws), known.error)
    off = np.abs(draws.mean(axis=0) - target)
    # An entry that never varies has no standard error; it must be right to rounding.
    z = np.where(error > 1e-12, off / np.maximum(error, 1e-12), np.where(off < 1e-9, 0.0, math.inf))
    squares = ((draws - draws.mean(axis=0)) ** 2).sum(axis=1)
    spread = math.hypot(standard_error(squares), known.variance_error)
    variance, measured = float(known.total_variance), float(squares.sum() / (n - 1))
    return Comparison(
        method.name, landscape, n, known.bias_norm, float(np.linalg.norm(draws.mean(axis=0) - known.gradient.ravel())),
        variance, measured, float(z.max()), float(stats.norm.isf(LEVEL / 4 / len(z))),
        0.0 if spread < 1e-12 and abs(measured - variance) < 1e-9 else (measured - variance) / max(spread, 1e-12),
        float(stats.norm.isf(LEVEL / 4)),
    )  # fmt: skip


def _gradients(method: Method, problem: Any, p: Any, n: int, seed: int) -> Any:
    """n independent gradients (n, E, K), moving averages at their expectations, as theory has them."""
    temperature = method.temperature(0.0) if method.temperature else None
    possible = outcomes(method.draw, p, temperature)
    memory = exact.Expectations(method, problem, possible)
    logits = np.broadcast_to(_logits(method, possible.probabilities), (n, *p.shape))
    shape = step.noise_shape(method, *p.shape)
    drawn = uniforms(seed, zlib.crc32(method.name.encode()), np.arange(n), 0, shape, np.float64)
    problem = exact.answering(method, problem, p)
    sample = step.measure(method, step.draw(method, logits, drawn, 0.0), problem)
    return np.broadcast_to(step.gradient_of(method, sample, memory), (n, *p.shape))


def _logits(method: Method, p: Any) -> Any:
    """Logits of a policy: ln p, or for an ordered family the logit of its success probability in column 0."""
    if method.draw.probabilities is policy.softmax:
        return np.log(p)
    success = (p * np.arange(p.shape[-1])).sum(axis=-1) / (p.shape[-1] - 1)
    return np.log(success / (1 - success))[:, None] * (np.arange(p.shape[-1]) == 0)
