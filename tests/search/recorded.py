"""Replay races on recorded curves: `python -m tests.search.recorded [SHARE]` prints the numbers of docs/legibility.md.

``curves.json`` holds populations of 8 rewards that trained to the end on 3 or 4 seeds each, with the trainer before the
recipe of docs/learning.md; ``pools.json`` holds whole pools of ``bench --discrimination``, with it. A race only stops
trainings, so the curves tell what any race on any of those seeds would have done.

`python -m tests.search.recorded add FOLDER` adds the curves of a task's folder in ``runs/discrimination``.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from rewardgen.bench.discrimination import RewardCurve
from rewardgen.bench.racing import mean_score, over_rounds, pick
from rewardgen.bench.storage import read_record
from rewardgen.config import Config, load
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.search.rank import Race, further_seeds, rungs

CURVES = Path(__file__).with_name("curves.json")
POOLS = Path(__file__).with_name("pools.json")
GENERATION, DRAWS = 8, 20
"""Candidates of a generation that is drawn from a pool, and how many generations are drawn from each."""


@dataclass(frozen=True)
class Population:
    """``trainings`` of a population: key → its seeds, in order. ``half``: what it served for."""

    name: str
    half: str
    config: Config
    trainings: dict[str, list[TrainingResult]]
    whole: Population | None = None
    """The pool that this population was drawn from."""

    @property
    def deviation(self) -> float:
        """The standard deviation of all scores: what differences are measured in."""
        trainings = (self.whole or self).trainings
        scores = [training.score for mine in trainings.values() for training in mine]
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
                _done(key, seed, _curve(each["steps"], points, each["episodes"])) for seed, points in enumerate(seeds)
            ]
            for key, seeds in each["curves"].items()
        }
        yield Population(each["name"], each["half"], load(overrides=settings), trainings)


def pools(**changes: Any) -> Iterator[Population]:
    """Whole pools of rewards, with the settings that they were trained with, changed."""
    for each in json.loads(POOLS.read_text()):
        settings = {"task": each["task"]} | {f"training.{name}": value for name, value in each["training"].items()}
        trainings = {
            name: [
                _done(name, seed, _marked(_curve(each["steps"], one["points"], each["episodes"]), one["chosen"]))
                for seed, one in enumerate(seeds)
            ]
            for name, seeds in each["rewards"].items()
        }
        yield Population(each["task"], "pools", load(overrides=settings | changes), trainings)


def _done(key: str, seed: int, curve: tuple[Checkpoint, ...]) -> TrainingResult:
    """Return a training that went to the end of its curve."""
    return TrainingResult(key, seed, "done", "", curve, None, curve[-1].steps, 0.0)


def _marked(curve: tuple[Checkpoint, ...], chosen: int) -> tuple[Checkpoint, ...]:
    """Return the curve with its chosen checkpoint, which holds what the kept policy scored on fresh episodes."""
    return tuple(replace(point, chosen=index == chosen) for index, point in enumerate(curve))


def generations(pool: Population) -> Iterator[Population]:
    """Generations of ``GENERATION`` candidates, drawn from a pool; of the spread that the pool has."""
    generator = random.Random(0)
    names = sorted(pool.trainings)
    for _ in range(DRAWS):
        drawn = generator.sample(names, min(GENERATION, len(names)))
        yield replace(pool, trainings={name: pool.trainings[name] for name in drawn}, whole=pool)


def add(folder: Path) -> None:
    """Add the stored curves of ``folder``, a task's and settings' of ``bench --discrimination``, to ``pools.json``."""
    rewards: dict[str, list[dict[str, Any]]] = {}
    steps: list[int] = []
    for path in sorted(folder.glob("*/*.json")):
        curve = read_record(path, RewardCurve)
        assert curve is not None, path
        if curve.failed or len(curve.deviations) != len(curve.points):
            continue
        task, settings, steps = curve.task, curve.settings, [point[0] for point in curve.points]
        fitness = [point[1] for point in curve.points]
        chosen = fitness.index(curve.score) if curve.score in fitness else fitness.index(max(fitness))
        points = [[round(a, 5), round(b, 5)] for a, b in zip(fitness, curve.deviations, strict=True)]
        rewards.setdefault(curve.reward, []).append({"points": points, "chosen": chosen})
    most = max(len(seeds) for seeds in rewards.values())
    rewards = {name: seeds for name, seeds in rewards.items() if len(seeds) == most}
    record = {"task": task, "training": settings, "episodes": settings["checkpoint_episodes"], "steps": steps}
    others = [each for each in json.loads(POOLS.read_text()) if each["task"] != task] if POOLS.exists() else []
    POOLS.write_text(json.dumps([*others, record | {"rewards": rewards}]) + "\n")


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


def means(*populations: Population) -> Replay:
    """The means over all orders of the seeds."""
    found = [replay for population in populations for replay in replays(population)]
    return Replay(
        *(
            math.fsum(getattr(each, name) for each in found) / len(found)
            for name in ("race", "whole", "gain", "gain_further")
        )
    )


def main() -> None:
    if sys.argv[1:2] == ["add"]:
        add(Path(sys.argv[2]))
        return
    halves: dict[str, list[Replay]] = {}
    changes = {"search.racing.share": float(sys.argv[1])} if len(sys.argv) > 1 else {}
    measured = [(population, means(population)) for population in populations(**changes)]
    measured += [(pool, means(*generations(pool))) for pool in pools(**changes)]
    for population, replay in measured:
        halves.setdefault(population.half, []).append(replay)
        print(
            f"{population.half:13} {population.name:28} steps {replay.race:.2f}, with further seeds {replay.whole:.2f};"
            f" gain {replay.gain:+.2f}, with further seeds {replay.gain_further:+.2f}"
        )
    everything = [each for found in halves.values() for each in found]
    for half, found in [*halves.items(), ("all", everything)]:
        for name in ("race", "whole", "gain", "gain_further"):
            mean, low, high = over_rounds([getattr(each, name) for each in found])
            print(f"{half:13} {name:13} {mean:+.3f} [{low:+.3f}, {high:+.3f}] over {len(found)} populations")


if __name__ == "__main__":
    main()
