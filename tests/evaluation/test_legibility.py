"""What a search can say of its own scores: the sentence for several situations, and where it advises steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
import torch

from rewardgen.evaluation import Legibility, legibility, scores_along
from rewardgen.evaluation.legibility import Keep
from rewardgen.records import Checkpoint, Layout, TrainingResult
from rewardgen.training import Member, TaskReward
from rewardgen.training.trainer import Record


def training(*fitness: float, seed: int = 0, status: Any = "done") -> TrainingResult:
    """A training with a checkpoint every 100 steps."""
    points = tuple(
        Checkpoint(100 * (i + 1), value, 0.0, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, 8) for i, value in enumerate(fitness)
    )
    return TrainingResult("c", seed, status, "", points, None, 100 * len(fitness), 1.0)


def found(*generations: Sequence[Sequence[float]], seeds: int = 1) -> Legibility:
    """Of candidates that are given by their scores, each with seeds of its own."""
    own = count()
    trainings = [
        [[training(score, seed=next(own)) for score in candidate] for candidate in each] for each in generations
    ]
    return legibility(trainings, seeds=seeds, steps=1000)


NOISE = [[0.0, 3.0], [3.0, 0.0], [1.0, 2.5], [2.0, 1.0], [0.5, 2.0], [2.5, 0.2], [1.5, 1.4], [0.4, 2.9]]
"""Eight rewards that differ less than their seeds."""
CLEAR = [[0.0, 0.2], [1.0, 1.2], [2.0, 2.1], [3.0, 3.2], [4.0, 4.1]]


def test_clear_scores_can_be_read() -> None:
    told = found(CLEAR)
    # mean squares by hand: 5.05 between, 0.07/5 within; (5.05 − 0.014) / (5.05 + 0.014)
    assert told.seeds_share == pytest.approx(1.0 - 5.036 / 5.064, abs=5e-4)
    assert "the order of the candidates can be read" in told.sentence and "Seeds explain 1 %" in told.sentence
    assert not told.unreadable and told.needed_seeds == 1


def test_more_seeds_are_asked_for_by_spearman_brown() -> None:
    # means 0 to 7 have a variance of 6; 6 within and 6 − 6/2 between: a third is the rewards', and 3 seeds make it 0.6
    rewards = [[mean - math.sqrt(3.0), mean + math.sqrt(3.0)] for mean in range(8)]
    told = found(rewards)
    assert told.estimate is not None and told.estimate.icc == pytest.approx(1.0 / 3.0)
    assert told.needed_seeds == 3 and told.needed_steps is None
    assert told.sentence.startswith("Seeds explain 67 % (80 % interval ")
    assert told.sentence.endswith("of the differences between these scores: 3 seeds (--seeds 3) would tell them apart.")
    # the scores of a search with two seeds are means of two: half of the variance is the rewards'
    assert found(rewards, seeds=2).seeds_share == pytest.approx(0.5)
    assert "3 seeds (--seeds 3)" in found(rewards, seeds=2).sentence


def test_what_a_seed_adds_to_all_candidates_alike_moves_none_past_another() -> None:
    """Seed 1 begins on episodes that are 100 harder for everyone."""
    scores = [(0.0, -100.1), (1.0, -98.9), (2.0, -98.0), (3.0, -97.2)]
    generation = [[training(one, seed=0), training(other, seed=1)] for one, other in scores]
    told = legibility([generation], seeds=2, steps=1000)
    assert told.estimate is not None and told.estimate.within_df == 3
    assert told.seeds_share < 0.02 and "can be read" in told.sentence
    apart = [[training(one, seed=2 * i), training(other, seed=2 * i + 1)] for i, (one, other) in enumerate(scores)]
    assert legibility([apart], seeds=2, steps=1000).seeds_share == 1.0


def test_what_no_number_of_seeds_would_tell_apart() -> None:
    told = found(NOISE)
    assert told.unreadable and told.needed_seeds is None and told.seeds_share == 1.0
    assert "not even 64 seeds" in told.sentence and "--steps" in told.sentence


def test_few_degrees_of_freedom_say_so() -> None:
    told = found([[0.0, 1.0], [2.0, 2.5], [1.5]])
    assert told.vague and not told.unreadable
    assert told.sentence.endswith("too few seeds to say more. --seeds 2 would tell more.")


@pytest.mark.parametrize(
    ("generations", "says"),
    [
        ([[[1.0], [2.0], [3.0]]], "has a second seed. --seeds 2 would tell."),
        ([[[1.0, 2.0]]], "no generation has two candidates that trained to the end."),
        ([], "no generation has two candidates"),
        ([[[1.0, 1.0], [1.0, 1.0]]], "all of them are equal."),
    ],
)
def test_what_cannot_be_told_yet(generations: list[list[list[float]]], says: str) -> None:
    told = found(*generations)
    assert "cannot be told yet" in told.sentence and says in told.sentence
    assert math.isnan(told.seeds_share) and not told.unreadable
    assert told.needed_seeds is None and told.needed_steps is None


def test_only_what_trained_to_the_end_counts() -> None:
    own = count()
    whole = [[training(score, seed=next(own)) for score in candidate] for candidate in CLEAR]
    stopped = [training(9.0, status="stopped"), training(-9.0, status="stopped")]
    failed = [training(9.0), training(status="failed")]
    unscored = [training(1.0), training(math.nan)]
    told = legibility([[*whole, stopped, failed, unscored, []]], seeds=1, steps=1000)
    assert told.estimate == found(CLEAR).estimate


def shares(*values: float, df: int = 20) -> Legibility:
    """With these shares at checkpoints every 100 steps; the last is the estimate."""
    base = found(NOISE, NOISE, NOISE).estimate
    assert base is not None
    estimate = type(base)(values[-1], 0.0, 0.55, 0.8, 1.0, 1.0, 8, 16, 7, df)
    by_steps = tuple((100 * (i + 1), value) for i, value in enumerate(values))
    return Legibility(1, 100 * len(values), estimate, by_steps)


def test_steps_are_advised_only_where_the_curves_carry_it() -> None:
    rising = shares(0.1, 0.2, 0.3, 0.4, 0.5)
    assert rising.needed_steps == 600  # 0.1 for each checkpoint
    assert "2 seeds (--seeds 2) or 600 steps (--steps 600)" in rising._advice()
    assert shares(0.1, 0.2, 0.3, 0.4, 0.5, df=7).needed_steps is None  # shares of so few seeds are noise
    assert shares(0.1, 0.2, 0.35, 0.3, 0.5).needed_steps is None  # no steady rise
    assert shares(0.01, 0.02, 0.03, 0.04).needed_steps is None  # more than twice the steps
    assert shares(0.3, 0.4, 0.5).needed_steps is None  # too few points
    # it was reached before, and lost: where two neighbours agree on it
    assert shares(0.3, 0.7, 0.65, 0.5, 0.4).needed_steps == 300
    assert shares(0.3, 0.7, 0.5, 0.5, 0.4).needed_steps is None
    # reached at the end: since when
    assert shares(0.7, 0.5, 0.65, 0.7, 0.8).needed_steps == 300


def test_shares_by_steps_come_from_the_curves() -> None:
    """At the first checkpoint seeds differ more than rewards, at the second less; a fall later counts for nothing."""
    generation = [
        [training(0.0, 10.0 * r, -5.0, seed=2 * r), training(1.0, 10.0 * r + 1.0, -9.0, seed=2 * r + 1)]
        for r in range(5)
    ]
    told = legibility([generation], seeds=1, steps=300)
    assert [steps for steps, _ in told.by_steps] == [100, 200, 300]
    first, second, third = (share for _, share in told.by_steps)
    assert first < 0.0 and second > 0.99 and third == second
    assert told.estimate is not None and told.estimate.icc == third
    assert told.needed_steps == 200
    assert told.sentence.endswith("can be read; so it could at 200 steps.")


@pytest.mark.parametrize("keep", ["best", "own", "last"])
def test_scores_along_a_curve_are_those_that_the_trainer_gives(keep: Keep) -> None:
    """Against the trainer's own record of a member, read at every checkpoint."""
    points = [(1.0, 5.0), (3.0, 2.0), (2.0, 7.0), (4.0, 7.0), (3.5, 6.0), (0.5, 9.0)]
    record = Record(Member("c", 0, TaskReward(lambda *_: (torch.zeros(0), {}), Layout(()))), keep=keep)
    expected = []
    for i, (fitness, own) in enumerate(points):
        record.add(Checkpoint(i, fitness, 0.0, 0.0, own, {}, {}, 1.0, {}, 0.0, 8), bytes)
        expected.append(record.result(0.0).score)
    assert scores_along(points, keep) == expected
