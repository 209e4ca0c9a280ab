"""Islands: populations that evolve beside each other, so that one early success does not fill all of them.

After REvolve (Hazra et al., 2025) and its released code, which adapts FunSearch's. Everything here is a function of
scores and of a generator that the run's seed gives, so that a resumed run draws the same parents.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rewardgen.search.method import Islands

Population = tuple[tuple[str, ...], ...]
"""The keys of the candidates that live on each island."""


@dataclass(frozen=True)
class Birth:
    """Where a new program comes to live, and from which candidates it is made: none, one or two."""

    island: int
    operator: Literal["new", "mutate", "cross"]
    parents: tuple[str, ...] = ()


def empty(settings: Islands) -> Population:
    return ((),) * settings.count


def births(
    settings: Islands, population: Population, scores: Mapping[str, float], count: int, lot: random.Random
) -> list[Birth]:
    """Who makes the next ``count`` programs.

    Where an island is still empty, new programs fill the islands in turn. Else an island is drawn by the softmax of its
    mean score, the operator by ``crossover``, and parents by the softmax of theirs, no two the same. Scores are
    standardised before, so that a temperature of 1 means the same for every task.
    """
    if not any(population):
        return [Birth(number % settings.count, "new") for number in range(count)]
    found = []
    for _ in range(count):
        cross = lot.random() < settings.crossover
        able = [place for place, keys in enumerate(population) if len(keys) >= (2 if cross else 1)]
        if not able:  # nobody has a partner yet
            cross, able = False, [place for place, keys in enumerate(population) if keys]
        means = [statistics.fmean(scores[key] for key in population[place]) for place in able]
        island = able[_draw(means, settings.temperature, lot)]
        keys = list(population[island])
        first = keys.pop(_draw([scores[key] for key in keys], settings.temperature, lot))
        second = keys[_draw([scores[key] for key in keys], settings.temperature, lot)] if cross else None
        found.append(Birth(island, "cross", (first, second)) if second else Birth(island, "mutate", (first,)))
    return found


def settle(
    settings: Islands, population: Population, born: Mapping[str, int], scores: Mapping[str, float], lot: random.Random
) -> Population:
    """The islands once a generation is over.

    Args:
        born: the generation's candidates with a score → the island that each was made for.
        scores: of everyone who lives, and of the newborn.

    A newcomer stays if it is no worse than its island's mean before the generation; on an empty island everyone stays.
    Then each island keeps its ``size`` best. With the chance ``migration`` the weaker half starts again, each with its
    own best and one that moves over from a stronger island, not that one's best.
    """
    islands = []
    for place, keys in enumerate(population):
        bar = statistics.fmean(scores[key] for key in keys) if keys else -math.inf
        newcomers = [key for key, home in born.items() if home == place and scores[key] >= bar]
        islands.append(_fittest([*keys, *newcomers], scores)[: settings.size])
    if len(islands) > 1 and lot.random() < settings.migration:
        islands = _migrated(islands, scores, lot)
    return tuple(tuple(keys) for keys in islands)


def _migrated(islands: Sequence[list[str]], scores: Mapping[str, float], lot: random.Random) -> list[list[str]]:
    order = sorted(range(len(islands)), key=lambda place: _best(islands[place], scores))
    weak, strong = order[: len(order) // 2], order[len(order) // 2 :]
    left = [list(keys) for keys in islands]
    for place in weak:
        left[place] = left[place][:1]
        founders = [other for other in strong if len(left[other]) > 1]
        if founders:
            founder = left[lot.choice(founders)]
            rest = founder[1:]
            moving = rest[_draw([scores[key] for key in rest], 1.0, lot)]
            founder.remove(moving)
            left[place] = _fittest([*left[place], moving], scores)
    return left


def _fittest(keys: Sequence[str], scores: Mapping[str, float]) -> list[str]:
    return sorted(keys, key=lambda key: scores[key], reverse=True)


def _best(keys: Sequence[str], scores: Mapping[str, float]) -> float:
    return max((scores[key] for key in keys), default=-math.inf)


def _draw(values: Sequence[float], temperature: float, lot: random.Random) -> int:
    """A place, by the softmax of the standardised values."""
    mean, deviation = statistics.fmean(values), statistics.pstdev(values)
    weights = [math.exp((value - mean) / (deviation or 1.0) / temperature) for value in values]
    return lot.choices(range(len(values)), weights)[0]
