"""A race against training all to the end: the same rewards, the same seeds, the steps to the same best fitness."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from rewardgen import prompting
from rewardgen.config import Config, LLMConfig
from rewardgen.errors import UsageError
from rewardgen.llm import make_author
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.search import seeds
from rewardgen.search.racing import Race
from rewardgen.search.screening import random_transitions, screen_source
from rewardgen.tasks import Task
from rewardgen.training import Judge, Member, train


def compare_racing(
    task: Task,
    config: Config,
    *,
    rounds: int = 1,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train generations of rewards twice, raced and all to the end, and count the steps to the same best fitness.

    The rewards are the offline author's first generation, as its first search with that seed would get them; each of
    ``rounds`` has other rewards and other training seeds. What a race would spend its savings on is left out.

    Args:
        config: ``search.candidates``, ``search.seeds``, ``search.racing``, ``training``, ``seed``, ``threads`` and
            ``sandbox`` are used.
        say: told what is being trained next.

    Returns:
        For each round in ``rounds``: ``candidates``, ``stopped``; ``steps_all`` and ``steps_racing``, of the trainings
        as a whole; ``best_all`` and ``best_racing``, the highest mean over its seeds that a candidate reached (of those
        that a race may select); ``to_best_all`` and ``to_best_racing``, the steps of all members together when the
        trainings to the end, and then the race, first reached ``best_all`` (NaN where the race never did);
        ``shortfall``, how much of the best's lead over the average candidate the race lost (with a single seed the best
        is partly lucky, and an exact match is much to ask); ``seconds_all`` and ``seconds_racing``.

        Beside them ``same_best``, the share of rounds in which the race found the same best; the mean ``shortfall``;
        ``ratio``, the race's steps to the same best over the others' steps to it, in those rounds; ``ratio_whole``, the
        same of the whole trainings, in all rounds.

    Raises:
        UsageError: ``rounds`` is not positive, or no reward passes its checks.
    """
    if rounds < 1:
        raise UsageError("a comparison needs at least one round")
    tell = say or (lambda _: None)
    found = []
    limits = SandboxLimits(config.sandbox.call_seconds, config.sandbox.program_seconds, config.sandbox.memory_gb)
    with Sandbox(limits, config.sandbox.level) as sandbox:
        for number in range(rounds):
            programs = _programs(task, config, sandbox, number)
            chosen = seeds.selection_seeds(config.seed, number, 0, config.search.seeds)
            tell(f"round {number + 1} of {rounds}: {len(programs)} rewards with a race")
            raced, seconds_racing = _train(task, config, sandbox, programs, chosen, Race(config, task.fitness_unit))
            tell(f"round {number + 1} of {rounds}: the same rewards, all to the end")
            whole, seconds_all = _train(task, config, sandbox, programs, chosen, None)
            found.append({**compared(whole, raced), "seconds_all": seconds_all, "seconds_racing": seconds_racing})
    return {**summed_up(found), "rounds": found}


def compared(whole: Sequence[TrainingResult], raced: Sequence[TrainingResult]) -> dict[str, float]:
    """What one round came to, from the results of both trainings of the same members."""
    best, at = best_reached(whole)
    best_racing, _ = best_reached([result for result in raced if result.status == "done"])
    reached = first_reaching(raced, best)
    return {
        "candidates": len({result.key for result in whole}),
        "stopped": len({result.key for result in raced if result.status == "stopped"}),
        "steps_all": sum(result.steps for result in whole),
        "steps_racing": sum(result.steps for result in raced),
        "best_all": best,
        "best_racing": best_racing,
        "shortfall": shortfall(whole, best, best_racing),
        "to_best_all": steps_until(whole, at),
        "to_best_racing": steps_until(raced, reached) if reached is not None else math.nan,
    }


def summed_up(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The shares and ratios over all rounds."""
    same = [each for each in rounds if not math.isnan(each["to_best_racing"])]

    def total(of: Sequence[dict[str, float]], name: str) -> float:
        return math.fsum(each[name] for each in of)

    short = [each["shortfall"] for each in rounds if not math.isnan(each["shortfall"])]
    return {
        "same_best": len(same) / len(rounds),
        "shortfall": math.fsum(short) / len(short) if short else math.nan,
        "ratio": total(same, "to_best_racing") / total(same, "to_best_all") if same else math.nan,
        "ratio_whole": total(rounds, "steps_racing") / total(rounds, "steps_all"),
    }


def best_reached(results: Sequence[TrainingResult]) -> tuple[float, int]:
    """The highest fitness that a candidate (the mean over its seeds) reached, and the steps of a member by then."""
    finite = [(value, -steps) for steps, value in _curves(results) if math.isfinite(value)]
    value, before = max(finite, default=(math.nan, 0))  # the earliest of equals
    return value, -before


def shortfall(results: Sequence[TrainingResult], best: float, reached: float) -> float:
    """How much of the lead of the best candidate over the average one is lost: 0 nothing, 1 all of it."""
    keys = {result.key for result in results}
    bests = [best_reached([result for result in results if result.key == key])[0] for key in keys]
    finite = [value for value in bests if math.isfinite(value)]
    lead = best - math.fsum(finite) / len(finite) if finite else math.nan
    return (best - reached) / lead if lead > 0 else math.nan if math.isnan(lead) else 0.0


def first_reaching(results: Sequence[TrainingResult], fitness: float) -> int | None:
    """The steps of a member at which a candidate that was not stopped first reached ``fitness``; None: none did."""
    running = [result for result in results if result.status == "done"]
    return min((steps for steps, value in _curves(running) if value >= fitness), default=None)


def steps_until(results: Sequence[TrainingResult], at: int) -> int:
    """Steps of all members together by the time that each of them had taken ``at``, or had ended."""
    return sum(min(result.steps, at) for result in results)


def _curves(results: Sequence[TrainingResult]) -> list[tuple[int, float]]:
    """(steps, the mean fitness over its seeds) of every candidate at every checkpoint that all its seeds have."""
    of_key: dict[str, list[TrainingResult]] = {}
    for result in results:
        of_key.setdefault(result.key, []).append(result)
    found = []
    for mine in of_key.values():
        if all(result.status != "failed" for result in mine):
            for points in zip(*(result.curve for result in mine), strict=False):
                found.append((points[0].steps, math.fsum(point.fitness for point in points) / len(points)))
    return found


def _programs(task: Task, config: Config, sandbox: Sandbox, number: int) -> list[RewardProgram]:
    """A first generation by the offline author."""
    author = make_author(LLMConfig(model="offline"), environ={}, cache_dir=None, recording=None)
    messages = prompting.messages(task, (), ())
    replies = author.reply(messages, config.search.candidates, seed=seeds.derive(config.seed, "replies", number, 0))
    transitions = random_transitions(
        task, config.sandbox.smoke_transitions, seeds.derive(config.seed, "smoke"), config.threads
    )
    trials = [
        screen_source(sandbox, task, transitions, reply.text, call_seconds=config.sandbox.smoke_seconds)
        for reply in replies
    ]
    programs = [trial.program for trial in trials if trial.program is not None]
    if not programs:
        raise UsageError(f"no reward for {task.name} passed its checks, so there is nothing to compare")
    return programs


def _train(
    task: Task,
    config: Config,
    sandbox: Sandbox,
    programs: Sequence[RewardProgram],
    chosen: Sequence[int],
    judge: Judge | None,
) -> tuple[list[TrainingResult], float]:
    training = config.training
    each = max(training.worlds * training.rollout, training.checkpoint_episodes * task.horizon)
    with ExitStack() as workers:
        members = []
        for number, program in enumerate(programs):
            worker = sandbox.open(program, task.layout, task.action_size, each * len(chosen))
            workers.callback(worker.close)
            members += [Member(f"c{number}", seed, worker) for seed in chosen]
        began = time.perf_counter()
        results = train(task, members, training, threads=config.threads, judge=judge)
        return results, time.perf_counter() - began
