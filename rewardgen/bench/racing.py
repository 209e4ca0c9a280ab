"""Compares racing with training all to the end: the same rewards and seeds, the steps to the same best fitness.

With one or two seeds the best reward is partly the luckiest. So both picks are trained again on seeds that picked
neither, and what counts in the end is which of them scores higher there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from scipy import stats

from rewardgen import prompting
from rewardgen.config import Config, LLMConfig
from rewardgen.errors import UsageError
from rewardgen.evaluation import bounds
from rewardgen.llm import make_author
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.screening import random_transitions, screen_source
from rewardgen.search.candidate import Place
from rewardgen.search.rank import Race, best_points, further_seeds, is_done
from rewardgen.seeds import smoke_seed
from rewardgen.tasks import Task
from rewardgen.training import TrainingSetup, TrainingSpec, Watcher, arrangement_of, make_trainer

INTERVAL = 0.95
"""Confidence level of the intervals over rounds."""


def compare_racing(
    task: Task,
    config: Config,
    *,
    rounds: int = 1,
    fresh: int = 2,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train generations of rewards twice, raced and all to the end, and count the steps to the same best fitness.

    The rewards are the offline author's first generation, as its first search with that seed would get them; each of
    ``rounds`` has other rewards and other training seeds. The race spends its savings on further seeds, as in a search.

    Args:
        config: ``search.candidates``, ``search.seeds``, ``search.confidence``, ``search.racing``, ``training``,
            ``seed``, ``threads`` and ``sandbox`` are used.
        fresh: number of training seeds that picked neither, on which different picks are compared; 0: none.
        on_progress: called with what is being trained next.

    Returns:
        For each round in ``rounds``: ``candidates``, ``stopped``; ``steps_all`` and ``steps_racing``, of the trainings
        as a whole, and ``steps_further``, of further seeds after the race; ``best_all`` and ``best_racing``, the
        highest mean over its selection seeds that a candidate reached (of those that a race may select);
        ``to_best_all`` and ``to_best_racing``, the steps of all members together when the trainings to the end, and
        then the race, first reached ``best_all`` (NaN where the race never did); ``shortfall``, how much of the best's
        lead over the average candidate the race lost; ``pick_all`` and ``pick_racing``, the number of the reward that
        each would choose; ``gain``, by how much the race's pick does better than the other on fresh seeds, in the unit
        of fitness (0 where they are the same one, NaN where it was not tried); ``seconds_all`` and ``seconds_racing``.

        Beside them ``same_best``, the share of rounds in which the race found the same best; ``ratio``, the race's
        steps to the same best over the others' steps to it, in those rounds; and with their ``intervals``, means over
        the rounds: ``shortfall``, ``ratio_whole`` (all of the race's steps, further seeds included, over all of the
        others') and ``gain``.

    Raises:
        UsageError: ``rounds`` is not positive, ``fresh`` is negative, or no reward passes its checks.
    """
    if rounds < 1 or fresh < 0:
        raise UsageError("a comparison needs at least one round and no negative number of fresh seeds")

    def report(number: int, text: str) -> None:
        """Report what a round does."""
        if on_progress is not None:
            on_progress(f"round {number + 1} of {rounds}: {text}")

    limits = SandboxLimits(config.sandbox.call_seconds, config.sandbox.program_seconds, config.sandbox.memory_gb)
    with Sandbox(limits, config.sandbox.level) as sandbox:
        results_by_round = [
            _round(task, config, sandbox, number, fresh, partial(report, number)) for number in range(rounds)
        ]
    return {**summarise(results_by_round), "rounds": results_by_round}


def _round(
    task: Task, config: Config, sandbox: Sandbox, number: int, fresh: int, report: Callable[[str], None]
) -> dict[str, float]:
    """Run one comparison with its own rewards and seeds."""
    programs = _programs(task, config, sandbox, number)
    place = Place(number, 0, config.seed)
    chosen = place.selection_seeds(config.search.seeds)
    # The race, with its further seeds
    report(f"{len(programs)} rewards with a race")
    raced, seconds_racing = _train(task, config, sandbox, programs, chosen, Race(config, task.fitness_unit))
    keys, each = further_seeds(config, by_key(raced))
    more = place.selection_seeds(config.search.seeds + each)[config.search.seeds :]
    further, seconds = _train(task, config, sandbox, {key: programs[key] for key in keys}, more, None)
    # The same rewards, all to the end
    report("the same rewards, all to the end")
    whole, seconds_all = _train(task, config, sandbox, programs, chosen, None)
    # Compare the picks on fresh seeds if they differ
    picks = pick(config, whole), pick(config, [*raced, *further])
    gain = 0.0 if picks[0] == picks[1] else math.nan
    if picks[0] != picks[1] and fresh:
        report("both picks on fresh seeds")
        again = {key: programs[key] for key in picks if key is not None}
        tried, _ = _train(task, config, sandbox, again, place.fresh_seeds(fresh), None)
        gain = mean_score(tried, picks[1]) - mean_score(tried, picks[0])
    return {
        **compare_round(whole, raced),
        "steps_further": sum(result.steps for result in further),
        "pick_all": _number(picks[0]),
        "pick_racing": _number(picks[1]),
        "gain": gain,
        "seconds_all": seconds_all,
        "seconds_racing": seconds_racing + seconds,
    }


def by_key(results: Sequence[TrainingResult]) -> dict[str, list[TrainingResult]]:
    """Return the trainings of each candidate."""
    grouped: dict[str, list[TrainingResult]] = {}
    for result in results:
        grouped.setdefault(result.key, []).append(result)
    return grouped


def pick(config: Config, results: Sequence[TrainingResult]) -> str | None:
    """Return whom a search would select: the highest lower bound among those that reached the end; None if nobody."""
    points = {key: best_points(trainings) for key, trainings in by_key(results).items() if is_done(trainings)}
    lows = {key: bound.low for key, bound in bounds(points, config.search.confidence).items()}
    return max((key for key in lows if math.isfinite(lows[key])), key=lambda key: lows[key], default=None)


def mean_score(results: Sequence[TrainingResult], key: str | None) -> float:
    """Return the mean score of a candidate's trainings; NaN if it has none."""
    scores = [result.score for result in results if result.key == key]
    return math.fsum(scores) / len(scores) if scores else math.nan


def compare_round(whole: Sequence[TrainingResult], raced: Sequence[TrainingResult]) -> dict[str, float]:
    """Compare both trainings of the same members in one round."""
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


def summarise(rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return shares, ratios and means over all rounds, with intervals for those that vary between rounds."""
    same = [each for each in rounds if not math.isnan(each["to_best_racing"])]

    def total(of: Sequence[Mapping[str, float]], name: str) -> float:
        """Return the sum over rounds."""
        return math.fsum(each[name] for each in of)

    each_round = {
        "shortfall": [each["shortfall"] for each in rounds],
        "ratio_whole": [(each["steps_racing"] + each["steps_further"]) / each["steps_all"] for each in rounds],
        "gain": [each["gain"] for each in rounds],
    }
    summaries = {name: over_rounds(values) for name, values in each_round.items()}
    return {
        "same_best": len(same) / len(rounds),
        "ratio": total(same, "to_best_racing") / total(same, "to_best_all") if same else math.nan,
        **{name: mean for name, (mean, _, _) in summaries.items()},
        "intervals": {name: [low, high] for name, (_, low, high) in summaries.items()},
    }


def over_rounds(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of the finite values and Student's interval for it; NaN if they are too few."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan, math.nan, math.nan
    mean = math.fsum(finite) / len(finite)
    if len(finite) < 2:
        return mean, math.nan, math.nan
    # Standard error of the mean
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / (len(finite) - 1) / len(finite))
    half = float(stats.t.ppf(0.5 + INTERVAL / 2.0, len(finite) - 1)) * error
    return mean, mean - half, mean + half


def best_reached(results: Sequence[TrainingResult]) -> tuple[float, int]:
    """Return the highest fitness that a candidate (mean over its seeds) reached, and a member's steps by then."""
    finite = [(value, -steps) for steps, value in _curves(results) if math.isfinite(value)]
    value, before = max(finite, default=(math.nan, 0))  # the earliest of equals
    return value, -before


def shortfall(results: Sequence[TrainingResult], best: float, reached: float) -> float:
    """Return how much of the best candidate's lead over the average one is lost: 0 nothing, 1 all of it."""
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
    curve = []
    for trainings in by_key(results).values():
        if all(result.status != "failed" for result in trainings):
            for points in zip(*(result.curve for result in trainings), strict=False):
                curve.append((points[0].steps, math.fsum(point.fitness for point in points) / len(points)))
    return curve


def _programs(task: Task, config: Config, sandbox: Sandbox, number: int) -> dict[str, RewardProgram]:
    """A first generation by the offline author: key → program."""
    author = make_author(LLMConfig(model="offline"), environ={}, cache_dir=None, recording=None)
    request = prompting.generation(task)
    replies = author.reply(request, config.search.candidates, seed=Place(number, 0, config.seed).replies_seed())
    transitions = random_transitions(task, config.sandbox.smoke_transitions, smoke_seed(config.seed), config.threads)
    trials = [
        screen_source(sandbox, task, transitions, reply.text, call_seconds=config.sandbox.smoke_seconds)
        for reply in replies
    ]
    programs = {f"c{i}": trial.program for i, trial in enumerate(trials) if trial.program is not None}
    if not programs:
        raise UsageError(f"no reward for {task.name} passed its checks, so there is nothing to compare")
    return programs


class _Raced(Watcher):
    """Lets a race stop members."""

    races = True

    def __init__(self, race: Race) -> None:
        self._race = race

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        return self._race(steps, results)


def _train(
    task: Task,
    config: Config,
    sandbox: Sandbox,
    programs: Mapping[str, RewardProgram],
    chosen: Sequence[int],
    race: Race | None,
) -> tuple[list[TrainingResult], float]:
    if not programs or not chosen:
        return [], 0.0
    trainer = make_trainer(TrainingSetup(task, config, arrangement_of(config, task), sandbox))
    specs = [TrainingSpec(key, seed, program) for key, program in programs.items() for seed in chosen]
    began = time.perf_counter()
    results = trainer.train(specs, _Raced(race) if race is not None else Watcher())
    return results, time.perf_counter() - began


def _number(key: str | None) -> float:
    return math.nan if key is None else int(key[1:])
