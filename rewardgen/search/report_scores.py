"""The reported scores, on fresh training seeds and episodes that no selection has seen; and a warning in time.

The warning says when the scores of a search do not tell its candidates apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from rewardgen import baselines, replay
from rewardgen.evaluation import Legibility, legibility
from rewardgen.records import Evaluation, RewardProgram, TrainingResult
from rewardgen.search import events
from rewardgen.search.candidate import Place
from rewardgen.search.services import Services
from rewardgen.seeds import baseline_episode_seed, report_episode_seed, report_seeds
from rewardgen.store import AGAIN, Baseline
from rewardgen.store.reader import FINALS
from rewardgen.training import Reward, task_rewards


def planned_steps(services: Services) -> int:
    """Return the environment steps that the reported scores will train for.

    The baselines of a run that grows are stored already; its winner may change.
    """
    config = services.config
    missing = [name for name in FINALS if name == "winner" or not services.store.trainings(_owner(name))]
    return len(missing) * config.evaluation.report_seeds * config.training.steps


def measure(services: Services, winner: RewardProgram) -> None:
    """Train the winner's, the expert's and the sparse reward on the report seeds and evaluate them.

    The last two are taken from the machine's baselines if they are there, and kept there if they are not. Where they
    are one function, the expert's trainings and score are the sparse reward's too. Their steps count as the run's own
    either way: what a run comes to must not depend on what was run before it.
    """
    config = services.config
    if services.store.evaluation("winner") is None:
        replay.remove(services.store.run_dir, "winner")  # those of an earlier winner, if the run has grown
    if services.store.has_earlier_winner():
        # Trackers already have curves under the usual name
        services.tracking.rename(_owner("winner"), f"{_owner('winner')}-{services.store.meta('winner')}")
    rewards: dict[str, RewardProgram | Reward] = {"winner": winner, **task_rewards(services.task)}
    seeds = {
        "winner": report_seeds(config.seed, config.evaluation.report_seeds),
        **dict.fromkeys(baselines.REWARDS, baselines.training_seeds(config)),
    }

    # Take what was measured before on this machine
    known = _take(services, [name for name in baselines.REWARDS if not services.store.trainings(_owner(name))])

    # Train what is missing
    twins = {"sparse": "expert"} if baselines.shared_reward(services.task) else {}
    if not all(services.store.evaluation(name) for name in rewards):
        services.train(
            {_owner(name): reward for name, reward in rewards.items() if name not in twins},
            {_owner(name): own for name, own in seeds.items()},
            "final",
        )
        for name, twin in twins.items():
            if not services.store.trainings(_owner(name)):
                _add(services, name, services.store.trainings(_owner(twin), weights=True))

    # Evaluate
    for name in rewards:
        evaluation = services.store.evaluation(name)
        if evaluation is None:
            evaluation = known[name].evaluation if name in known else _evaluate(services, name, twins.get(name))
            services.store.add_evaluation(name, evaluation)
        services.reporter.say(
            events.Evaluated(name, evaluation.mean, evaluation.low, evaluation.high, evaluation.success_rate)
        )


def _owner(name: str) -> str:
    return f"final/{name}"


def _take(services: Services, names: list[str]) -> dict[str, Baseline]:
    """Copy the trainings of the baselines ``names`` that were measured before into the run's store."""
    found: dict[str, Baseline] = {}
    if names:
        folder, task, config = services.baselines, services.task, services.config
        with baselines.locked(folder, task, config):  # not while another process is measuring them
            found = baselines.find(folder, task, config)
    known = {name: found[name] for name in names if name in found}
    for name, baseline in known.items():
        _add(services, name, baseline.trainings)
        services.reporter.say(events.BaselineFound(name))
    return known


def _add(services: Services, name: str, trainings: Sequence[TrainingResult]) -> None:
    """Keep trainings that did not take place in this run as those of ``name``."""
    for training in trainings:
        services.tracking.whole(_owner(name), training)
    services.tracking.settle()
    services.store.add_trainings([(_owner(name), training) for training in trainings])


def _evaluate(services: Services, name: str, twin: str | None) -> Evaluation:
    """Return the score of ``name``; ``twin`` has the same reward and was evaluated before."""
    task, config = services.task, services.config
    trainings = services.store.trainings(_owner(name), weights=True)
    if name not in baselines.REWARDS:
        return baselines.evaluate_trainings(task, config, trainings, report_episode_seed(config.seed))
    evaluation = services.store.evaluation(twin) if twin is not None else None
    if evaluation is None:
        evaluation = baselines.evaluate_trainings(task, config, trainings, baseline_episode_seed())
    baselines.keep(services.baselines, task, config, name, trainings, evaluation)
    return evaluation


def warn_if_unreadable(services: Services, place: Place) -> None:
    """Warn after the first generation of a restart by which the scores so far are known to be mostly due to seeds.

    The restart's scores are looked at together, so later generations may show what the first ones leave open. Whether
    an earlier generation warned follows from the store too: a resumed run says the same.
    """
    if place.generation + 1 == services.config.search.generations:
        return  # nothing is left to change, and the report says it
    found = _legibility(services, place)
    if not found.unreadable or any(_legibility(services, earlier).unreadable for earlier in place.earlier()):
        return
    services.reporter.warn(
        f"after generation {place.generation}: the scores do not tell the candidates apart. {found.sentence} "
        "Stop and start a new search with that, or go on knowing that the choice is mostly chance."
    )


def _legibility(services: Services, place: Place) -> Legibility:
    """Return the legibility of the generations of a restart up to this one."""
    search, training, store = services.config.search, services.config.training, services.store
    trainings = [
        [[*store.trainings(key), *store.trainings(key + AGAIN)] for key in generation.candidates(search.candidates)]
        for generation in [*place.earlier(), place]
    ]
    return legibility(trainings, seeds=search.seeds, steps=training.steps, keep=training.keep)
