"""The scores that are reported: fresh training seeds and fresh episodes, which no selection has seen."""

from __future__ import annotations

import math

from rewardgen.config import Config
from rewardgen.evaluation import evaluate
from rewardgen.records import Evaluation, RewardProgram, TrainingResult
from rewardgen.search import seeds
from rewardgen.search.run import Run
from rewardgen.search.trainings import train_rewards
from rewardgen.store.reader import FINALS
from rewardgen.training import Population, Reward, TaskReward


def planned_steps(config: Config) -> int:
    """Environment steps that the reported scores will train for."""
    return len(FINALS) * config.evaluation.report_seeds * config.training.steps


def measure(run: Run, winner: str | None) -> None:
    """Train the winner's, the expert's and the sparse reward on the report seeds and evaluate them.

    Args:
        winner: the winning program's source, or None when no candidate has a score.
    """
    rewards: dict[str, RewardProgram | Reward] = {
        "final/expert": TaskReward(run.task.expert_reward, run.task.layout),
        "final/sparse": TaskReward(run.task.sparse_reward, run.task.layout),
    }
    if winner is not None:
        rewards = {"final/winner": RewardProgram(winner), **rewards}
    if not all(run.store.evaluation(owner.removeprefix("final/")) for owner in rewards):
        train_rewards(
            run, rewards, seeds.report_seeds(run.config.seed, run.config.evaluation.report_seeds), what="final"
        )
    for owner in rewards:
        name = owner.removeprefix("final/")
        evaluation = run.store.evaluation(name)
        if evaluation is None:
            evaluation = _evaluate(run, run.store.trainings(owner, weights=True))
            run.store.add_evaluation(name, evaluation)
        run.say(
            "evaluated",
            name=name,
            mean=evaluation.mean,
            low=evaluation.low,
            high=evaluation.high,
            success_rate=evaluation.success_rate,
        )


def _evaluate(run: Run, trainings: list[TrainingResult]) -> Evaluation:
    """A training that failed makes the whole score NaN: it never wins and never hides."""
    settings = run.config.evaluation
    weights = [training.weights for training in trainings if training.weights is not None]
    if len(weights) < len(trainings) or any(training.status == "failed" for training in trainings):
        nothing = tuple((math.nan,) for _ in trainings)
        return Evaluation(nothing, math.nan, math.nan, math.nan, math.nan, settings.confidence)
    population = Population.from_weights(weights, run.task, run.config.training)
    return evaluate(
        run.task,
        population.act,
        policies=len(weights),
        episodes=settings.report_episodes,
        seed=seeds.report_episode_seed(run.config.seed),
        threads=run.config.threads,
        confidence=settings.confidence,
        resamples=settings.resamples,
    )
