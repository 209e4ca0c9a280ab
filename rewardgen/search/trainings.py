"""Train rewards as one program, or one after another with the reference trainer; what is stored is not done again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import zip_longest
from typing import Any, cast

from rewardgen.errors import RewardFailed
from rewardgen.records import Checkpoint, RewardProgram, TrainingResult
from rewardgen.search import baselines, saving
from rewardgen.search.run import Run
from rewardgen.search.shards import Workers, opened, order_for
from rewardgen.search.trajectories import Collector
from rewardgen.training import Judge, Member, Reward, Saves, credit_of, train, train_sb3


def train_rewards(
    run: Run,
    rewards: Mapping[str, RewardProgram | Reward],
    seeds: Sequence[int] | Mapping[str, Sequence[int]],
    *,
    what: str,
    judge: Judge | None = None,
    collector: Collector | None = None,
) -> dict[str, list[TrainingResult]]:
    """Train every reward with every seed and keep the results.

    Args:
        rewards: owner's key → its program (run in the sandbox) or a reward of the task's own.
        seeds: training seeds, the same for every reward, or each owner's own.
        what: "generation", "further" (seeds), "again" (on fresh seeds) or "final", for those who watch.
        judge: stops those that fall behind; not asked by the reference trainer.
        collector: keeps some of the checkpoints' episodes, which are stored together with the results.

    Returns:
        owner's key → its results in the order of its seeds, without the policies' weights.

    Raises:
        BudgetExceeded: the trainings would need more steps or time than are left.
    """
    wanted = seeds if isinstance(seeds, Mapping) else dict.fromkeys(rewards, seeds)
    stored = {key: {result.seed: result for result in run.store.trainings(key)} for key in rewards}
    missing = {key: [seed for seed in wanted[key] if seed not in stored[key]] for key in rewards}
    if any(missing.values()):
        with ExitStack() as workers:
            members = _members(run, rewards, missing, workers, stored)
            sources = {key: reward.source for key, reward in rewards.items() if isinstance(reward, RewardProgram)}
            _train_members(run, members, sources, what, stored, judge, collector)
    return {key: [stored[key][seed] for seed in wanted[key]] for key in rewards}


def _members(
    run: Run,
    rewards: Mapping[str, RewardProgram | Reward],
    missing: Mapping[str, Sequence[int]],
    workers: ExitStack,
    stored: dict[str, dict[int, TrainingResult]],
) -> list[Member]:
    members = []
    for key, reward in rewards.items():
        credit = credit_of(run.method.form, run.config.credit) if isinstance(reward, RewardProgram) else None
        if isinstance(reward, RewardProgram) and _elsewhere(run) is None:
            count = max(1, len(missing[key]))
            try:
                reward = opened(reward, run.task, run.config, count, run.sandbox, workers)
            except RewardFailed as failure:
                _keep(run, [(key, TrainingResult.unopened(key, seed, failure)) for seed in missing[key]], stored)
                continue
        # what trains elsewhere is opened there
        members += [Member(key, seed, cast(Reward, reward), credit) for seed in missing[key]]
    return members


def _elsewhere(run: Run) -> Workers | None:
    """The machines that train instead of this one; the reference trainer stays here."""
    return run.workers if run.config.training.trainer == "population" else None


def _train_members(
    run: Run,
    members: Sequence[Member],
    sources: Mapping[str, str],
    what: str,
    stored: dict[str, dict[int, TrainingResult]],
    judge: Judge | None,
    collector: Collector | None,
) -> None:
    if not members:
        return
    config = run.config.training
    total = len(members) * config.steps
    run.budget.check_steps(total)
    watched = _Watched(judge, config.steps) if judge is not None else None
    run.tracking.begin((member.key, member.seed) for member in members)
    run.say("training_started", members=len(members), steps=total, what=what)
    began = time.monotonic()

    saves: Saves | None = None

    def on_progress(steps: int, before: int = 0) -> None:
        steps += before
        run.budget.check_hours()
        taken = steps - (saves.resumed_steps if saves is not None else 0)
        rate = taken / max(time.monotonic() - began, 1e-9)
        if taken:
            run.budget.measured(rate)
        left = total - (watched.saved if watched is not None else 0)
        run.say("training_progress", steps=steps, total=left, steps_per_second=rate, what=what)

    def on_checkpoint(key: str, seed: int, point: Checkpoint) -> None:
        run.tracking.point(key, seed, point)
        run.say(
            "checkpoint",
            candidate=key,
            seed=seed,
            steps=point.steps,
            fitness=point.fitness,
            success_rate=point.success_rate,
        )

    if config.trainer == "sb3":
        for number, member in enumerate(members):
            result = train_sb3(
                run.task,
                member,
                config,
                threads=run.config.threads,
                on_progress=partial(on_progress, before=number * config.steps),
                on_checkpoint=on_checkpoint,
            )
            _keep(run, [(member.key, result)], stored)
    elif (workers := _elsewhere(run)) is not None:
        order = order_for(
            run.config,
            [(m.key, m.seed, m.reward) for m in members],
            run.envs,
            episodes=collector is not None,
            form=run.method.form,
        )
        came = workers.train(
            order,
            run.task,
            judge=watched,
            on_progress=on_progress,
            on_checkpoint=on_checkpoint,
            on_note=lambda message: run.say("note", message=message),
        )
        if collector is not None:
            for point in zip_longest(*came.episodes):  # checkpoint by checkpoint, as they would have come here
                for episode in (each for each in point if each is not None):
                    collector.keep(episode)
        _keep(run, [(result.key, result) for result in came.results], stored, collector)
    else:
        saves = saving.in_run(run.store.run_dir, members, _about(run, members, sources), collector)
        results = train(
            run.task,
            members,
            config,
            threads=run.config.threads,
            arrangement=run.arrangement,
            on_progress=on_progress,
            on_checkpoint=on_checkpoint,
            on_note=lambda message: run.say("note", message=message),
            on_episodes=collector.take if collector is not None else None,
            judge=watched,
            saves=saves,
        )
        kept = [(member.key, result) for member, result in zip(members, results, strict=True)]
        _keep(run, kept, stored, collector)
        saves.delete()


def _about(run: Run, members: Sequence[Member], sources: Mapping[str, str]) -> dict[str, Any]:
    """All that the results of ``members`` follow from: their saved state is of use while none of it changes."""
    return {
        **baselines.origin(run.task, run.config),
        "rewards": {member.key: sources.get(member.key, "") for member in members},
        "form": run.method.form,
        "credit": run.config.credit.model_dump(mode="json"),
    }


class _Watched:
    """A judge that counts the steps that its decisions save, for those who wait."""

    def __init__(self, judge: Judge, steps: int) -> None:
        self._judge, self._steps = judge, steps
        self.saved = 0

    def __call__(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        reasons = self._judge(steps, results)
        stopped = [result.steps for result in results if result.status == "stopped"] + [steps] * len(reasons)
        self.saved = sum(max(0, self._steps - each) for each in stopped)
        return reasons


def _keep(
    run: Run,
    results: Sequence[tuple[str, TrainingResult]],
    stored: dict[str, dict[int, TrainingResult]],
    collector: Collector | None = None,
) -> None:
    for key, result in results:
        run.tracking.end(key, result)
    run.tracking.settle()
    run.store.add_trainings(results, (collector.place, collector.content()) if collector is not None else None)
    run.tick()
    for key, result in results:
        stored[key][result.seed] = result
        if result.status == "failed":
            run.say("member_failed", candidate=key, seed=result.seed, message=result.message)
