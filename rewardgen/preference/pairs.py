"""Chooses which two replays to show next."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

from rewardgen.preference.strengths import strengths
from rewardgen.records import Judgement, Order, candidate_of


def next_pair(
    candidates: Sequence[str],
    judgements: Sequence[Judgement],
    orders: Sequence[Order],
    judge: str,
    generator: random.Random,
) -> tuple[str, str] | None:
    """Return the two candidates whose comparison tells ``judge`` most, left and right; None if all were seen.

    A comparison is the more informative, the less is known of the difference and the closer it is: the Fisher
    information of the answer, p(1 − p), times the variance of the difference. The generator decides between equals, and
    on the sides.
    """
    if len(candidates) < 2:
        return None
    # Pairs that this judge has not seen, by their information
    seen = {
        frozenset((candidate_of(judgement.left), candidate_of(judgement.right)))
        for judgement in judgements
        if judgement.judge == judge
    }
    present = strengths(candidates, judgements, orders)
    best: list[tuple[str, str]] = []
    most = -math.inf
    for pair in itertools.combinations(candidates, 2):
        if frozenset(pair) in seen:
            continue
        difference, variance = present.gap(*pair)
        gain = variance / (2.0 + 2.0 * math.cosh(difference))  # p(1 − p) of the logistic is 1 / (2 + 2 cosh)
        if gain > most * (1.0 + 1e-9):
            best, most = [pair], gain
        elif gain >= most * (1.0 - 1e-9):
            best.append(pair)
    if not best:
        return None
    # Draw one of the best, and its sides
    left, right = generator.choice(best)
    return (left, right) if generator.random() < 0.5 else (right, left)
