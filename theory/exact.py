"""What does an estimator really compute? Mean, bias, covariance and cost, by summing over everything it can draw.

`moments` takes any `nas.methods.Method` on any `nas.objective.Objective`, asks and credits it exactly as one search
step does (`nas.step.measure`, `nas.step.gradient_of`), and weighs the outcomes by their probabilities. With policy and
landscape in `Fraction` the results are rational and can be compared with ``==``.

A method's moving averages are set to what they estimate, their exact expectations: `reinforce` has the baseline J.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from nas import policy, step
from nas.methods import Memory, Method
from nas.objective import Gradients, Objective
from nas.samples import ALL_DENSE, ONE_HOT, Sample, binomial_probabilities
from theory import architectures
from theory.outcomes import Outcomes, outcomes

CHUNK_NUMBERS = 1 << 18  # largest array of one chunk: 2 MiB in float64, so that it stays in the cache


@dataclass(frozen=True)
class Truth:
    """J = E[L] and its gradient with respect to the logits of a product of softmaxes, p (q - J).

    >>> from theory.landscapes import make
    >>> known: Truth = truth(make("trap", edges=2, candidates=2), np.full((2, 2), 0.5))
    >>> known.gradient.shape
    (2, 2)
    """

    expected_loss: Any
    gradient: Any  # (E, K)


@dataclass(frozen=True)
class Cost:
    """Passes through the network for one step; operations: how many an average pass runs on an edge."""

    forward: int
    backward: int
    operations: float


@dataclass(frozen=True)
class Moments:
    """Exact moments of one step's gradient, (E, K) in loss units; covariance (E K, E K).

    error, variance_error: standard errors of the mean's least certain entry and of the total variance; both are zero
    where all outcomes were summed. Rational (`Fraction`) where policy and landscape are, except norms and the cosine.

    >>> from fractions import Fraction
    >>> from nas.methods import find
    >>> from theory.landscapes import make
    >>> half = np.full((2, 2), Fraction(1, 2))
    >>> found: Moments = moments(find("advantage"), make("additive", 2, 2, exact=True), half)
    >>> bool((found.bias == 0).all())  # exactly: first-order credit is unbiased where the loss is affine in the gates
    True
    """

    method: str
    probabilities: Any
    expected_loss: Any
    gradient: Any
    mean: Any
    covariance: Any
    outcomes: int
    cost: Cost
    error: float = 0.0
    variance_error: float = 0.0

    @property
    def bias(self) -> Any:
        """mean - gradient, (E, K)."""
        return self.mean - self.gradient

    @property
    def bias_norm(self) -> float:
        """Euclidean norm of the bias."""
        return math.sqrt((self.bias * self.bias).sum())

    @cached_property
    def total_variance(self) -> Any:
        """Trace of the covariance of one step's gradient."""
        return np.trace(self.covariance)

    @property
    def edge_variances(self) -> Any:
        """Trace of each edge's block of the covariance, (E,)."""
        return np.diagonal(self.covariance).reshape(self.mean.shape).sum(axis=-1)

    @property
    def cosine(self) -> float:
        """Cosine between the mean and the true gradient; nan where one of them vanishes."""
        norms = math.sqrt((self.mean * self.mean).sum() * (self.gradient * self.gradient).sum())
        return float((self.mean * self.gradient).sum()) / norms if norms > 0 else math.nan


# ------------------------------------------------------------------ the engine


def moments(
    method: Method,
    problem: Objective[Any],
    probabilities: Any,
    progress: float = 0.0,
    points: int = 1024,
    seed: int = 0,
) -> Moments:
    """Mean and covariance of `method`'s gradient on `problem` at probabilities (E, K).

    The gradient it is held against is that of E[L] over architectures, with respect to the method's own logits. Of a
    policy that is not a softmax the logits are log p, its probabilities what `Draw.probabilities` makes of them.

    progress in [0, 1] sets temperatures; points and seed: quasi-Monte Carlo where the noise is continuous.
    Raises: ValueError for a method without a gradient, a policy off the simplex, a problem that answers nan, too many
    architectures, an exact sum over a draw that has no finite list of outcomes, or a policy of one's own that cannot be
    differentiated or is not drawn from.

    >>> from nas.methods import find
    >>> from theory.landscapes import make
    >>> found = moments(find("reinforce"), make("pairwise", edges=2, candidates=2), np.full((2, 2), 0.5))
    >>> found.outcomes, found.bias_norm < 1e-12, float(found.total_variance) > 0
    (4, True, True)
    """
    check_policy(probabilities)
    if method.estimator is None:
        raise ValueError(f"method {method.name} has no gradient: it has no moments")
    temperature = method.temperature(progress) if method.temperature else None
    drawn = outcomes(method.draw, probabilities, temperature, points, seed)
    p = drawn.probabilities
    true = truth(problem, p)
    target = true.gradient
    if method.draw.probabilities is binomial_probabilities:  # an ordered family: one logit, not K, an edge
        target = _pull_back_binomial(problem, p)
    elif method.draw.probabilities is not policy.softmax:
        _check_drawn(method, drawn)
        target = _pull_back(method, true.gradient, p, policy.logits(probabilities))
    first: list[Any] = [0] * drawn.replicates
    second: list[Any] = [0] * drawn.replicates
    for replicate, weight, gradient in _gradients(method, problem, drawn):
        centred = (gradient - target).reshape(len(weight), p.size)
        first[replicate] = first[replicate] + weight @ centred
        second[replicate] = second[replicate] + centred.T @ (weight[:, None] * centred)
    means, seconds = np.stack(first), np.stack(second)
    mean = means.sum(axis=0) / drawn.replicates
    covariance = seconds.sum(axis=0) / drawn.replicates - mean[:, None] * mean[None, :]
    error = variance_error = 0.0
    if drawn.replicates > 1:
        error = float(means.std(axis=0, ddof=1).max()) / math.sqrt(drawn.replicates)
        traces = np.trace(seconds, axis1=1, axis2=2) - (means * means).sum(axis=1)
        variance_error = float(traces.std(ddof=1)) / math.sqrt(drawn.replicates)
    return Moments(
        method.name,
        p,
        true.expected_loss,
        target,
        target + mean.reshape(p.shape),
        covariance,
        drawn.number,
        cost(method, problem, *p.shape),
        error,
        variance_error,
    )


def weighted_gradients(method: Method, problem: Objective[Any], probabilities: Any) -> Iterator[tuple[Any, Any]]:
    """(probability (n,), gradient (n, E, K)) of everything that one step can draw, in chunks.

    Raises: ValueError as `moments`, and for a draw that has no finite list of outcomes.
    """
    check_policy(probabilities)
    drawn = outcomes(method.draw, probabilities)
    if drawn.replicates > 1:
        raise ValueError(f"method {method.name} draws continuous noise: it has no list of outcomes")
    for _, weight, gradient in _gradients(method, problem, drawn):
        yield weight, gradient


def sample_gradients(method: Method, problem: Objective[Any], probabilities: Any) -> Any:
    """The gradient (n, E, K) of each of the n = K^E architectures, for a method that draws one of them a step.

    Raises: ValueError for a method that draws anything else.
    """
    if method.draw not in (ONE_HOT, ALL_DENSE):
        raise ValueError(f"method {method.name} does not draw one architecture a step")
    check_policy(probabilities)
    drawn = outcomes(method.draw, probabilities)
    memory = Expectations(method, problem, drawn)
    gates = architectures.one_hot(
        architectures.choices(*probabilities.shape), probabilities.shape[1], probabilities.dtype == object
    )
    runs = gates if method.draw == ONE_HOT else gates * 0 + 1
    sample = Sample(np.broadcast_to(probabilities, gates.shape), gates, runs)
    return _estimate(method, problem, sample, memory)


def truth(problem: Objective[Any], probabilities: Any) -> Truth:
    """J and its gradient at probabilities (E, K), from the definition: gradient_ek = p_ek (E[L | a_ek = 1] - J).

    >>> from fractions import Fraction
    >>> from theory.landscapes import make
    >>> truth(make("xor", 2, 2, exact=True), np.full((2, 2), Fraction(1, 2))).expected_loss
    Fraction(1, 2)
    """
    check_policy(probabilities)
    losses, scores = 0, 0
    for weight, gates, loss in weighted_losses(problem, probabilities):
        losses = losses + (weight * loss).sum()
        scores = scores + ((weight * loss)[:, None, None] * gates).sum(axis=0)
    return Truth(losses, scores - losses * probabilities)


def answering(method: Method, problem: Objective[Any], probabilities: Any) -> Objective[Any]:
    """The problem, which can also tell its expected gradient at probabilities (E, K) if `method` takes that."""
    if "expected_gradient" not in method.needs:
        return problem
    return _Known(problem, truth(problem, probabilities).gradient)


def weighted_losses(problem: Objective[Any], probabilities: Any, size: int = 1 << 12) -> Iterator[tuple[Any, Any, Any]]:
    """(P(a) (n,), gates (n, E, K), L(a) (n,)) of all architectures, in chunks. Raises: ValueError for nan losses."""
    edges, candidates = probabilities.shape
    for choice in architectures.chunks(edges, candidates, size, "losses"):
        gates = architectures.one_hot(choice, candidates, probabilities.dtype == object)
        loss = problem.loss(gates)
        _check_losses(loss, choice)
        yield architectures.probability(probabilities, choice), gates, loss


class Expectations(Memory):
    """A method's memory in which every moving average has its exact expectation, computed when first asked for."""

    def __init__(self, method: Method, problem: Objective[Any], drawn: Outcomes) -> None:
        super().__init__()
        self._of = (method, problem, drawn)

    def __missing__(self, name: str) -> Any:
        method, problem, drawn = self._of
        if name not in method.averages:
            raise KeyError(f"method {method.name} remembers no {name!r}")
        average = method.averages[name]
        total: Any = 0
        seen: Any = 0
        for _, weight, sample in drawn.chunks(chunk_size(method, drawn.probabilities.shape)):
            sample = step.measure(method, sample, problem)
            value = average.value(step.charged(method, sample, self) if average.charged else sample)
            where = average.where(sample) if average.where else value * 0 + 1
            spread = weight.reshape(-1, *(1,) * (value.ndim - 1))
            total = total + (spread * where * value).sum(axis=0)
            seen = seen + (spread * where).sum(axis=0)
        self[name] = total / np.where(seen == 0, 1 + 0 * seen, seen) if np.shape(seen) else total / seen
        while np.ndim(self[name]) > average.axes:  # several samples share one average
            self[name] = self[name].sum(axis=0) / len(self[name])
        return self[name]


def cost(method: Method, problem: Objective[Any], edges: int, candidates: int) -> Cost:
    """Passes of one step, counted while the method takes one."""
    counter = _Counter(problem)
    even = np.full((1, edges, candidates), 1 / candidates)
    uniforms = np.full((1, *method.draw.noise(edges, candidates)), 0.5)
    temperature = method.temperature(0.0) if method.temperature else None
    step.measure(method, method.draw.sample(np.log(even), uniforms, temperature), counter)
    return Cost(counter.forward, counter.backward, counter.operations / max(1, counter.forward) / edges)


# ------------------------------------------------------------------ helpers


def check_policy(probabilities: Any) -> None:
    """Raises: ValueError unless probabilities (E, K) are rows on the simplex; float rows may miss one by 1e-9."""
    if np.ndim(probabilities) != 2:
        raise ValueError(f"a policy has E rows of K probabilities, not the shape {np.shape(probabilities)}")
    slack = 0 if probabilities.dtype == object else 1e-9
    for edge, row in enumerate(probabilities):
        if not all(0 <= value <= 1 for value in row) or not abs(row.sum() - 1) <= slack:
            shown = ", ".join(str(value) for value in row)
            raise ValueError(f"row {edge} of the policy is off the simplex: [{shown}] must be >= 0 and sum to 1")


def chunk_size(method: Method, shape: tuple[int, int]) -> int:
    """Outcomes a chunk, so that the arrays that its questions need stay within `CHUNK_NUMBERS` numbers."""
    edges, candidates = shape
    factor = {"zeroed_losses": edges, "alternative_losses": edges * candidates, "path_gradients": 2 * edges}
    widest = max([factor.get(question, 1) for question in method.needs], default=1)
    samples = math.prod(method.draw.noise(edges, candidates)) // max(1, edges) or 1
    return max(1, CHUNK_NUMBERS // (edges * candidates * widest * samples))


def _gradients(method: Method, problem: Objective[Any], drawn: Outcomes) -> Iterator[tuple[int, Any, Any]]:
    """(replicate, weight (n,), gradient (n, E, K)) of every outcome, in chunks."""
    p = drawn.probabilities
    problem = answering(method, problem, p)
    memory = Expectations(method, problem, drawn)
    for replicate, weight, sample in drawn.chunks(chunk_size(method, p.shape)):
        yield (
            replicate,
            weight,
            np.broadcast_to(_estimate(method, problem, sample, memory), (len(weight), *p.shape)),
        )


def _estimate(method: Method, problem: Objective[Any], sample: Sample, memory: Memory) -> Any:
    try:
        return step.gradient_of(method, step.measure(method, sample, problem), memory)
    except TypeError as error:
        if sample.probabilities.dtype == object:
            raise ValueError(f"method {method.name} is not rational here ({error}); take a float policy") from error
        raise


def _check_losses(loss: Any, choice: Any) -> None:
    wrong = loss != loss
    if np.any(wrong):
        raise ValueError(f"the loss of architecture {tuple(choice[np.argmax(wrong)].tolist())} is nan")


def _pull_back_binomial(problem: Objective[Any], p: Any) -> Any:
    """E[L (k - E k)] an edge, in column 0: the gradient with respect to phi of k ~ Binomial(K - 1, sigmoid(phi))."""
    order = np.arange(p.shape[1])
    average = (p * order).sum(axis=-1)
    slope: Any = 0
    for weight, gates, loss in weighted_losses(problem, p):
        slope = slope + ((weight * loss)[:, None] * ((gates * order).sum(axis=-1) - average)).sum(axis=0)
    return slope[:, None] * np.eye(p.shape[1], dtype=int)[0]


STEP = 1e-3  # of the differences: the error is STEP^4 / 30 of a fifth derivative, and 1e-16 / STEP of rounding


def _pull_back(method: Method, of_softmax: Any, p: Any, logits: Any) -> Any:
    """The gradient (E, K) with respect to the logits of any policy: dJ/dp through the Jacobian of `Draw.probabilities`.

    of_softmax: p (q - J), so that divided by p it is dJ/dp but for a constant an edge, and p sums to one. The Jacobian
    is taken by central differences of fourth order.
    """
    slope = of_softmax / np.where(p > 0, p, np.nan)
    gradient = np.zeros(p.shape)
    for place in np.ndindex(p.shape):
        moved = np.zeros(p.shape)
        moved[place] = STEP
        near, far = (
            method.draw.probabilities(logits + n * moved) - method.draw.probabilities(logits - n * moved)
            for n in (1, 2)
        )
        gradient[place] = (slope * (8 * near - far)).sum() / (12 * STEP)
    if not np.isfinite(gradient).all():
        raise ValueError(f"the policy of method {method.name} cannot be differentiated here: is a probability zero?")
    return gradient


def _check_drawn(method: Method, drawn: Outcomes) -> None:
    """Refuse a draw whose architectures do not have the probabilities that it says. Raises: ValueError in one line."""
    p = drawn.probabilities
    means: list[Any] = [0] * drawn.replicates
    for replicate, weight, sample in drawn.chunks(1 << 12):
        gates = sample.gates.reshape(len(weight), -1, *p.shape).mean(axis=1)  # several samples: any of them
        means[replicate] = means[replicate] + (weight[:, None, None] * gates).sum(axis=0)
    found = np.mean(means, axis=0)
    error = np.std(means, axis=0, ddof=1) / math.sqrt(drawn.replicates)
    wrong = np.abs(found - p) > 8 * error + 1e-3
    if wrong.any():
        edge, operation = np.argwhere(wrong)[0]
        raise ValueError(
            f"method {method.name} draws operation {operation} of edge {edge} with probability "
            f"{found[edge, operation]:.3g}, where its Draw.probabilities says {p[edge, operation]:.3g}"
        )


class _Known:
    """An objective that also knows the expected gradient at one policy."""

    def __init__(self, problem: Objective[Any], gradient: Any) -> None:
        self.problem, self.gradient, self.zero_operation = problem, gradient, problem.zero_operation

    def loss(self, gates: Any) -> Any:
        return self.problem.loss(gates)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        return self.problem.gradients(gates, runs)

    def expected_gradient(self, probabilities: Any) -> Any:
        return np.broadcast_to(self.gradient, probabilities.shape)


class _Counter:
    """An objective that counts what it is asked."""

    def __init__(self, problem: Objective[Any]) -> None:
        self.problem, self.zero_operation = problem, problem.zero_operation
        self.forward = self.backward = 0
        self.operations = 0.0

    def loss(self, gates: Any) -> Any:
        self.forward += math.prod(gates.shape[:-2])
        self.operations += float((gates != 0).sum())
        return self.problem.loss(gates)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        passes = math.prod(gates.shape[:-2])
        self.forward += passes
        self.backward += passes
        self.operations += float((np.broadcast_to(runs, gates.shape) != 0).sum())
        return self.problem.gradients(gates, runs)

    def expected_gradient(self, probabilities: Any) -> Any:
        edges, candidates = probabilities.shape[-2:]
        self.forward += candidates**edges
        self.operations += float(edges * candidates**edges)
        return 0 * probabilities
