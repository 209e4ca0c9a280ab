"""Strengths against values worked out from the model's own formula, and against data drawn from it."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import numpy as np
import pytest

from rewardgen.preference import SimulatedJudge, agreement, next_pair, strengths
from rewardgen.records import Answer, Judgement, Order, Standing

KEYS = ("r0g0c0", "r0g0c1", "r0g0c2", "r0g0c3")
NUMBERS = itertools.count()


def said(left: str, right: str, answer: Answer, judge: str = "ada") -> Judgement:
    return Judgement(f"judgement-{next(NUMBERS)}", f"{left}.0", f"{right}.1", answer, "", judge, "person", "", 1.0)


def order(*keys: str) -> Order:
    return Order(f"order-{next(NUMBERS)}", 0, 0, keys, "", "ada", "person", "", 1.0)


def log_posterior(difference: float, log_tie: float, wins: int, ties: int, losses: int) -> float:
    """Davidson's model for two, strengths ±difference/2, with priors N(0, 2²) for each and N(−1, 1.5²) for log ν."""
    parts = (math.exp(difference / 2), math.exp(log_tie), math.exp(-difference / 2))
    total = sum(parts)
    likelihood = sum(n * math.log(p / total) for n, p in zip((wins, ties, losses), parts, strict=True))
    return likelihood - 2 * (difference / 2) ** 2 / (2 * 2.0**2) - (log_tie + 1) ** 2 / (2 * 1.5**2)


@pytest.mark.parametrize(("wins", "ties", "losses"), [(3, 0, 1), (5, 2, 1), (4, 0, 0), (0, 3, 0)])
def test_two_candidates_have_the_strengths_of_a_search_over_a_grid(wins: int, ties: int, losses: int) -> None:
    judgements = [said(KEYS[0], KEYS[1], "left")] * wins + [said(KEYS[1], KEYS[0], "left")] * losses
    judgements += [said(KEYS[0], KEYS[1], "equal")] * ties
    fitted = strengths(KEYS[:2], judgements)
    grid = [(d, t) for d in np.arange(-1.0, 6.0, 0.01) for t in np.arange(-4.0, 3.0, 0.05)]
    best = max(grid, key=lambda point: log_posterior(*point, wins, ties, losses))
    assert fitted.values[0] - fitted.values[1] == pytest.approx(best[0], abs=0.02)
    assert fitted.values.sum() == pytest.approx(0.0, abs=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(0)
    held = tried = 0
    for _ in range(60):
        truth = draw.normal(0.0, 1.0, 4)
        judgements = []
        for i, j in itertools.combinations(range(4), 2):
            for _ in range(6):
                weights = np.exp([truth[i], (truth[i] + truth[j]) / 2 - 1.0, truth[j]])
                answer: Answer = ("left", "equal", "right")[draw.choice(3, p=weights / weights.sum())]  # type: ignore[assignment]
                judgements.append(said(KEYS[i], KEYS[j], answer))
        centred = truth - truth.mean()
        for strength in strengths(KEYS, judgements, confidence=0.9).ranking():
            held += strength.low <= centred[KEYS.index(strength.candidate)] <= strength.high
            tried += 1
    assert 0.84 <= held / tried <= 0.97  # 240 intervals of 90 %


def test_more_answers_narrow_the_intervals_and_one_that_never_lost_stays_finite() -> None:
    few = strengths(KEYS, [said(KEYS[0], key, "left") for key in KEYS[1:]]).ranking()
    many = strengths(KEYS, [said(KEYS[0], key, "left") for key in KEYS[1:] for _ in range(20)]).ranking()
    assert few[0].candidate == many[0].candidate == KEYS[0] and math.isfinite(many[0].value)
    assert many[0].value > few[0].value and few[0].comparisons == 3
    assert [strength.comparisons for strength in many[1:]] == [20, 20, 20]


def test_can_t_tell_and_other_generations_say_nothing() -> None:
    nothing = strengths(KEYS).values
    heard = strengths(KEYS, [said(KEYS[0], KEYS[1], "unsure"), said("r0g5c0", KEYS[1], "left")])
    assert np.allclose(heard.values, nothing) and heard.comparisons == (0, 0, 0, 0)


def test_an_order_counts_as_its_pairs_and_as_much_as_its_neighbours() -> None:
    pair = strengths(KEYS[:2], [], [order(KEYS[1], KEYS[0])])
    assert np.allclose(pair.values, strengths(KEYS[:2], [said(KEYS[1], KEYS[0], "left")]).values)
    whole = strengths(KEYS, [], [order(*KEYS)] * 3).ranking()
    assert [strength.candidate for strength in whole] == list(KEYS)
    steps = [a.value - b.value for a, b in itertools.pairwise(whole)]
    assert steps[0] == pytest.approx(steps[2], rel=1e-3)  # the model cannot tell the two ends apart


def test_agreement_is_kendalls_tau() -> None:
    ranking = [Standing(key, float(-place), 0.0, 0.0, 1) for place, key in enumerate(KEYS)]
    fitness = {KEYS[0]: 4.0, KEYS[1]: 2.0, KEYS[2]: 3.0, KEYS[3]: 1.0}  # one of six pairs the other way
    assert agreement(ranking, fitness) == pytest.approx((5 - 1) / 6)
    assert math.isnan(agreement(ranking, {KEYS[0]: 1.0}))
    assert math.isnan(agreement(ranking, dict.fromkeys(KEYS, 1.0)))


def test_each_judge_sees_every_pair_once_and_either_on_each_side() -> None:
    generator = random.Random(0)
    judgements: list[Judgement] = []
    while (pair := next_pair(KEYS, judgements, [], "ada", generator)) is not None:
        judgements.append(said(*pair, "left"))
    shown = [frozenset((j.left[:6], j.right[:6])) for j in judgements]
    assert len(shown) == len(set(shown)) == 6
    assert next_pair(KEYS, judgements, [], "ben", generator) is not None
    first = Counter(next_pair(KEYS[:2], [], [], "ada", generator) for _ in range(400))
    assert 150 <= first[KEYS[0], KEYS[1]] <= 250 and sum(first.values()) == 400


def test_the_next_pair_is_one_whose_answer_is_open() -> None:
    """0 beats all by far and 3 loses by far; 1 and 2 are near each other: others' answers make theirs the open one."""
    heard = [said(KEYS[0], key, "left", "ben") for key in KEYS[1:] for _ in range(12)]
    heard += [said(key, KEYS[3], "left", "ben") for key in KEYS[:3] for _ in range(12)]
    pair = next_pair(KEYS, heard, [], "ada", random.Random(1))
    assert pair is not None and set(pair) == {KEYS[1], KEYS[2]}
    assert next_pair(KEYS[:1], [], [], "ada", random.Random(0)) is None


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_a_simulated_judge_is_wrong_as_often_as_it_says(rate: float) -> None:
    judge = SimulatedJudge(rate, random.Random(3))
    answers = Counter(judge.answer(2.0, 1.0) for _ in range(2000))
    assert answers["right"] / 2000 == pytest.approx(rate, abs=0.04)
    assert judge.answer(1.0, 1.0) == "equal"
    assert SimulatedJudge(0.0, random.Random(0)).answer(math.nan, -5.0) == "right"
    with pytest.raises(ValueError, match="between 0 and"):
        SimulatedJudge(0.7, random.Random(0))
