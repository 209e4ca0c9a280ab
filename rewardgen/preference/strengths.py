"""Bradley-Terry strengths of a run's candidates by people's judgements, with ties and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from rewardgen.records import Judgement, Order, Standing, candidate_of

_PRIOR_STD = 2.0
"""Prior standard deviation of a strength, in log-odds: 95 % of all pairs have odds within 250 to 1. It keeps the
strength of a candidate that never lost finite."""
_LOG_TIE_MEAN, _LOG_TIE_STD = -1.0, 1.5
"""Prior of the logarithm of Davidson's ν: about one answer in six between equals is a tie."""


@dataclass(frozen=True)
class Strengths:
    """``values`` ``(n,)`` and their ``covariance`` ``(n, n)`` for ``candidates``, with intervals at ``confidence``."""

    candidates: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    comparisons: tuple[int, ...]
    confidence: float

    def ranking(self) -> list[Standing]:
        """Return the candidates, strongest first; of equals, the one named first."""
        width = float(stats.norm.ppf(0.5 + self.confidence / 2.0))
        errors = width * np.sqrt(np.diag(self.covariance))
        standings = [
            Standing(key, float(value), float(value - error), float(value + error), count)
            for key, value, error, count in zip(self.candidates, self.values, errors, self.comparisons, strict=True)
        ]
        return sorted(standings, key=lambda standing: -standing.value)

    def gap(self, first: str, second: str) -> tuple[float, float]:
        """Return the difference of two strengths, and its variance."""
        i, j = self.candidates.index(first), self.candidates.index(second)
        variance = self.covariance[i, i] + self.covariance[j, j] - 2.0 * self.covariance[i, j]
        return float(self.values[i] - self.values[j]), float(max(variance, 0.0))


def strengths(
    candidates: Sequence[str],
    judgements: Iterable[Judgement] = (),
    orders: Iterable[Order] = (),
    *,
    confidence: float = 0.95,
) -> Strengths:
    """Fit the strengths of ``candidates`` to the judgements of them; other candidates are ignored.

    Davidson's extension of the Bradley-Terry model ("On Extending the Bradley-Terry Model to Accommodate Ties in
    Paired Comparison Experiments", 1970): with strengths s, first wins : tie : second wins as
    exp(s₁) : ν exp((s₁ + s₂)/2) : exp(s₂). The maximum a posteriori under weak normal priors; intervals from the
    curvature there (Laplace). "Both bad" is a tie; "can't tell" says nothing. An order of n candidates counts as all
    of its pairs, each with weight 2/n: together as much as its n − 1 neighbouring pairs, without favouring those.

    Raises:
        ValueError: fewer than one candidate.
    """
    if not candidates:
        raise ValueError("strengths need at least one candidate")
    # Collect comparisons: indices, outcome (first, tie or second), weight
    index = {key: number for number, key in enumerate(candidates)}
    first, second, outcome, weight = [], [], [], []
    counts = dict.fromkeys(candidates, 0)
    for judgement in judgements:
        left, right = candidate_of(judgement.left), candidate_of(judgement.right)
        if judgement.answer == "unsure" or left not in index or right not in index or left == right:
            continue
        first.append(index[left])
        second.append(index[right])
        outcome.append({"left": 0, "right": 2}.get(judgement.answer, 1))
        weight.append(1.0)
        counts[left] += 1
        counts[right] += 1
    # A ranking is a comparison of each of its pairs
    for order in orders:
        known = [key for key in order.candidates if key in index]
        for place, better in enumerate(known):
            counts[better] += len(known) > 1
            for worse in known[place + 1 :]:
                first.append(index[better])
                second.append(index[worse])
                outcome.append(0)
                weight.append(2.0 / len(known))
    values, covariance = _fit(
        len(candidates), np.array(first, int), np.array(second, int), np.array(outcome, int), np.array(weight, float)
    )
    return Strengths(tuple(candidates), values, covariance, tuple(counts[key] for key in candidates), confidence)


def _fit(
    count: int, first: np.ndarray, second: np.ndarray, outcome: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the strengths ``(count,)`` and their covariance, centred on their mean."""
    # The logits of the three outcomes are linear in (s, log ν)
    design = np.zeros((len(first), 3, count + 1))
    rows = np.arange(len(first))
    design[rows, 0, first] = 1.0
    design[rows, 2, second] = 1.0
    design[rows, 1, first] = design[rows, 1, second] = 0.5
    design[:, 1, count] = 1.0
    # Normal priors
    mean = np.zeros(count + 1)
    mean[count] = _LOG_TIE_MEAN
    precision = np.full(count + 1, _PRIOR_STD**-2)
    precision[count] = _LOG_TIE_STD**-2

    def probabilities(theta: np.ndarray) -> np.ndarray:
        """Return the probabilities of the three outcomes, ``(comparisons, 3)``."""
        logits = design @ theta
        raised = np.exp(logits - logits.max(1, keepdims=True))
        return raised / raised.sum(1, keepdims=True)

    def loss(theta: np.ndarray) -> float:
        """Return the negative log posterior, up to a constant."""
        likelihood = np.log(np.maximum(probabilities(theta)[rows, outcome], 1e-300))
        return float(0.5 * (precision * (theta - mean) ** 2).sum() - (weight * likelihood).sum())

    def gradient(theta: np.ndarray) -> np.ndarray:
        """Return its gradient."""
        expected = np.einsum("ro,rop->rp", probabilities(theta), design)
        return precision * (theta - mean) - (weight[:, None] * (design[rows, outcome] - expected)).sum(0)

    def hessian(theta: np.ndarray) -> np.ndarray:
        """Return its matrix of second derivatives."""
        shares = probabilities(theta)
        expected = np.einsum("ro,rop->rp", shares, design)
        second_moment = np.einsum("r,ro,rop,roq->pq", weight, shares, design, design)
        return np.diag(precision) + second_moment - np.einsum("r,rp,rq->pq", weight, expected, expected)

    # Maximise the posterior; its curvature gives the covariance. Only differences of strengths have a meaning
    solution = optimize.minimize(loss, mean, jac=gradient, hess=hessian, method="trust-exact")
    covariance = np.linalg.inv(hessian(solution.x))[:count, :count]
    centre = np.eye(count) - 1.0 / count
    return centre @ solution.x[:count], centre @ covariance @ centre


def agreement(ranking: Sequence[Standing], fitness: Mapping[str, float]) -> float:
    """Return Kendall's τ_b between people's strengths and the fitness of the same candidates, in [-1, 1].

    NaN if fewer than two candidates have both, or if either is the same for all.
    """
    both = [
        (each.value, fitness[each.candidate])
        for each in ranking
        if math.isfinite(fitness.get(each.candidate, math.nan))
    ]
    if len(both) < 2:
        return math.nan
    liked, measured = zip(*both, strict=True)
    if len(set(liked)) < 2 or len(set(measured)) < 2:
        return math.nan
    return float(stats.kendalltau(liked, measured).statistic)
