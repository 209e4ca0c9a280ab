"""The scores that are reported: fresh training seeds and fresh episodes, which no selection has seen."""

from __future__ import annotations

from collections.abc import Sequence

from rewardgen.config import Config
from rewardgen.records import Evaluation, RewardProgram, TrainingResult
from rewardgen.search import baselines, seeds
from rewardgen.search.run import Run
from rewardgen.search.trainings import train_rewards
from rewardgen.store import Baseline
from rewardgen.store.reader import FINALS
from rewardgen.training import Reward


def planned_steps(config: Config) -> int:
    """Environment steps that the reported scores will train for."""
    return len(FINALS) * config.evaluation.report_seeds * config.training.steps


def measure(run: Run, winner: str) -> None:
    """Train the winner's, the expert's and the sparse reward on the report seeds and evaluate them.

    The last two are taken from the machine's baselines if they are there, and kept there if they are not. Where they
    are one function, the expert's trainings and score are the sparse reward's too. Their steps count as the run's own
    either way: what a run comes to must not depend on what was run before it.

    Args:
        winner: the winning program's source.
    """
    rewards: dict[str, RewardProgram | Reward] = {"winner": RewardProgram(winner)}
    report_seeds = {"winner": seeds.report_seeds(run.config.seed, run.config.evaluation.report_seeds)}
    for name, reward in baselines.task_rewards(run.task).items():
        rewards[name] = reward
        report_seeds[name] = baselines.training_seeds(run.config)
    known = _take(run, [name for name in baselines.REWARDS if not run.store.trainings(_owner(name))])
    twins = {"sparse": "expert"} if baselines.shared_reward(run.task) else {}
    if not all(run.store.evaluation(name) for name in rewards):
        train_rewards(
            run,
            {_owner(name): reward for name, reward in rewards.items() if name not in twins},
            {_owner(name): own for name, own in report_seeds.items()},
            what="final",
        )
        for name, twin in twins.items():
            if not run.store.trainings(_owner(name)):
                _add(run, name, run.store.trainings(_owner(twin), weights=True))
    for name in rewards:
        evaluation = run.store.evaluation(name)
        if evaluation is None:
            evaluation = known[name].evaluation if name in known else _evaluate(run, name, twins.get(name))
            run.store.add_evaluation(name, evaluation)
        run.say(
            "evaluated",
            name=name,
            mean=evaluation.mean,
            low=evaluation.low,
            high=evaluation.high,
            success_rate=evaluation.success_rate,
        )


def _owner(name: str) -> str:
    return f"final/{name}"


def _take(run: Run, names: list[str]) -> dict[str, Baseline]:
    """Copy the trainings of the baselines ``names`` that were measured before into the run's store."""
    found: dict[str, Baseline] = {}
    if names:
        with baselines.alone(run.baselines, run.task, run.config):  # not while another process is measuring them
            found = baselines.find(run.baselines, run.task, run.config)
    known = {name: found[name] for name in names if name in found}
    for name, baseline in known.items():
        _add(run, name, baseline.trainings)
        run.say("baseline_found", name=name)
    return known


def _add(run: Run, name: str, trainings: Sequence[TrainingResult]) -> None:
    """Keep trainings that did not take place here as those of ``name``."""
    for training in trainings:
        run.tracking.whole(_owner(name), training)
    run.tracking.settle()
    run.store.add_trainings([(_owner(name), training) for training in trainings])


def _evaluate(run: Run, name: str, twin: str | None) -> Evaluation:
    """The score of ``name``; ``twin`` has the same reward and was evaluated before."""
    trainings = run.store.trainings(_owner(name), weights=True)
    if name not in baselines.REWARDS:
        return baselines.evaluate_trainings(run.task, run.config, trainings, seeds.report_episode_seed(run.config.seed))
    evaluation = run.store.evaluation(twin) if twin is not None else None
    if evaluation is None:
        evaluation = baselines.evaluate_trainings(run.task, run.config, trainings, seeds.baseline_episode_seed())
    baselines.keep(run.baselines, run.task, run.config, name, trainings, evaluation)
    return evaluation
