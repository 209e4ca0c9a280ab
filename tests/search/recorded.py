"""Races replayed on recorded curves: `python -m tests.search.recorded [SHARE]` prints what docs/legibility.md says.

``curves.json`` holds populations of 8 rewards that trained to the end on 3 or 4 seeds each. A race stops trainings and
changes nothing else, so their curves tell what any race on any of those seeds would have done.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from rewardgen.bench.racing import mean_score, over_rounds, pick
from rewardgen.config import Config, load
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.search.rank import Race, further_seeds, rungs

CURVES = Path(__file__).with_name("curves.json")


@dataclass(frozen=True)
class Population:
    """``trainings`` of a population: key → its seeds, in order. ``half``: what it served for."""

    name: str
    half: str
    config: Config
    trainings: dict[str, list[TrainingResult]]

    @property
    def deviation(self) -> float:
        """The standard deviation of all scores: what differences are measured in."""
        scores = [training.score for mine in self.trainings.values() for training in mine]
        mean = math.fsum(scores) / len(scores)
        return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))


@dataclass(frozen=True)
class Replay:
    """Shares of the steps of training all to the end on one seed, without and with further seeds; and by how much the
    race's pick is better than the other's, before and after the further seeds, on seeds that picked neither."""

    race: float
    whole: float
    gain: float
    gain_further: float


def populations(**changes: Any) -> Iterator[Population]:
    """What was recorded, with the default settings, changed."""
    for each in json.loads(CURVES.read_text()):
        settings = {"task": each["task"], "training.steps": each["steps"][-1], "training.worlds": each["worlds"]}
        settings |= {"training.rollout": each["rollout"]} | changes
        trainings = {
            key: [
                TrainingResult(key, seed, "done", "", _curve(each["steps"], points, each["episodes"]), None,
                               each["steps"][-1], 0.0)
                for seed, points in enumerate(seeds)
            ]
            for key, seeds in each["curves"].items()
        }  # fmt: skip
        yield Population(each["name"], each["half"], load(overrides=settings), trainings)


def _curve(steps: Sequence[int], points: Sequence[Sequence[float]], episodes: int) -> tuple[Checkpoint, ...]:
    return tuple(
        Checkpoint(at, fitness, std, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, episodes)
        for at, (fitness, std) in zip(steps, points, strict=True)
    )


def raced(population: Population, seed: int) -> list[TrainingResult]:
    """The trainings with one seed as a race would have left them."""
    race = Race(population.config)
    left = [mine[seed] for mine in population.trainings.values()]
    stopped: dict[int, int] = {}
    for rung in rungs(population.config):
        so_far = [_until(each, stopped.get(k, rung.steps), k in stopped) for k, each in enumerate(left)]
        stopped |= dict.fromkeys(race(rung.steps, so_far), rung.steps)
    return [_until(each, stopped.get(k, each.steps), k in stopped) for k, each in enumerate(left)]


def _until(result: TrainingResult, steps: int, stopped: bool) -> TrainingResult:
    curve = tuple(point for point in result.curve if point.steps <= steps)
    return replace(result, curve=curve, steps=steps, status="stopped" if stopped else "done")


def replays(population: Population) -> Iterator[Replay]:
    """A round for each order of the seeds: the first one races, the next are the further ones, the rest compare."""
    everyone = population.trainings
    seeds = range(len(next(iter(everyone.values()))))
    races = [raced(population, seed) for seed in seeds]
    for order in permutations(seeds):
        whole, left = [mine[order[0]] for mine in everyone.values()], races[order[0]]
        keys, each = further_seeds(population.config, {result.key: [result] for result in left})
        further = [everyone[key][seed] for key in keys for seed in order[1 : 1 + each]]
        reference = pick(population.config, whole)

        def gain(
            chosen: str | None, used: int, order: Sequence[int] = order, reference: str | None = reference
        ) -> float:
            rest = [mine[seed] for mine in everyone.values() for seed in order[used:]]
            return (mean_score(rest, chosen) - mean_score(rest, reference)) / population.deviation

        full = sum(result.steps for result in whole)
        steps = sum(result.steps for result in left)
        yield Replay(
            race=steps / full,
            whole=(steps + sum(result.steps for result in further)) / full,
            gain=gain(pick(population.config, left), 1),
            gain_further=gain(pick(population.config, [*left, *further]), 1 + each),
        )


def means(population: Population) -> Replay:
    """The means over all orders of the seeds."""
    found = list(replays(population))
    return Replay(
        *(
            math.fsum(getattr(each, name) for each in found) / len(found)
            for name in ("race", "whole", "gain", "gain_further")
        )
    )


def main() -> None:
    halves: dict[str, list[Replay]] = {}
    changes = {"search.racing.share": float(sys.argv[1])} if len(sys.argv) > 1 else {}
    for population in populations(**changes):
        mean = means(population)
        halves.setdefault(population.half, []).append(mean)
        print(
            f"{population.half:13} {population.name:28} steps {mean.race:.2f}, with further seeds {mean.whole:.2f};"
            f" gain {mean.gain:+.2f}, with further seeds {mean.gain_further:+.2f}"
        )
    everything = [each for found in halves.values() for each in found]
    for half, found in [*halves.items(), ("all", everything)]:
        for name in ("race", "whole", "gain", "gain_further"):
            mean, low, high = over_rounds([getattr(each, name) for each in found])
            print(f"{half:13} {name:13} {mean:+.3f} [{low:+.3f}, {high:+.3f}] over {len(found)} populations")


if __name__ == "__main__":
    main()
