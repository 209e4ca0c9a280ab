"""Islands: populations that evolve beside each other, so that one early success does not fill all of them.

After REvolve (Hazra et al., 2025) and its released code, which adapts FunSearch's. ``births`` chooses the parents of
new candidates, ``settled`` who lives on the islands once a generation is over.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rewardgen.search.candidate import Candidate, History, IslandKeys, Place
from rewardgen.search.method import Islands


@dataclass(frozen=True)
class Birth:
    """Where a new program comes to live, and from which candidates it is made: none, one or two."""

    island: int
    operator: Literal["new", "mutate", "cross"]
    parents: tuple[str, ...] = ()


def births(
    settings: Islands, islands: IslandKeys, scores: Mapping[str, float], count: int, chance: random.Random
) -> list[Birth]:
    """Choose the parents of the next ``count`` programs.

    Where all islands are empty, new programs fill them in turn. Otherwise an island is drawn by the softmax of its mean
    score, the operator by ``crossover``, and the parents by the softmax of their scores, no two the same. Scores are
    standardised first, so that a temperature of 1 means the same for every task.
    """
    if not any(islands):
        return [Birth(number % settings.count, "new") for number in range(count)]
    born = []
    for _ in range(count):
        cross = chance.random() < settings.crossover
        able = [place for place, keys in enumerate(islands) if len(keys) >= (2 if cross else 1)]
        if not able:  # nobody has a partner yet
            cross, able = False, [place for place, keys in enumerate(islands) if keys]
        # Draw the island, then the parents on it
        means = [statistics.fmean(scores[key] for key in islands[place]) for place in able]
        island = able[draw(means, settings.temperature, chance)]
        keys = list(islands[island])
        first = keys.pop(draw([scores[key] for key in keys], settings.temperature, chance))
        second = keys[draw([scores[key] for key in keys], settings.temperature, chance)] if cross else None
        born.append(Birth(island, "cross", (first, second)) if second else Birth(island, "mutate", (first,)))
    return born


def settled(settings: Islands, place: Place, history: History, candidates: Sequence[Candidate]) -> IslandKeys:
    """Return who lives on the islands once the generation at ``place`` is over.

    Args:
        history: with the generation's ``candidates`` in it.
    """
    islands = history.islands or ((),) * settings.count
    keys = [*(key for island in islands for key in island), *(each.key for each in candidates)]
    scores = finite_ranks(history, keys)
    born = {each.key: each.island for each in candidates if each.key in scores}
    return settle(settings, islands, born, scores, random.Random(place.migration_seed()))


def finite_ranks(history: History, keys: Iterable[str]) -> dict[str, float]:
    """Return what candidates are ranked by, without those that have no such number."""
    return {key: value for key in keys if math.isfinite(value := history.candidates[key].rank[1])}


def settle(
    settings: Islands, islands: IslandKeys, born: Mapping[str, int], scores: Mapping[str, float], chance: random.Random
) -> IslandKeys:
    """Return who lives on the islands once a generation is over.

    A newcomer stays if it is no worse than its island's mean before the generation; on an empty island everyone stays.
    Then each island keeps its ``size`` best. With the chance ``migration`` the weaker half of the islands starts again,
    each with its own best and one that moves over from a stronger island, not that one's best.

    Args:
        born: the generation's candidates with a score → the island that each was made for.
        scores: of everyone who lives on an island, and of the newborn.
        chance: draws migrations.
    """
    # Take in newcomers and keep the best
    settled = []
    for index, keys in enumerate(islands):
        bar = statistics.fmean(scores[key] for key in keys) if keys else -math.inf
        newcomers = [key for key, home in born.items() if home == index and scores[key] >= bar]
        settled.append(_fittest([*keys, *newcomers], scores)[: settings.size])

    # Let the weaker half start again now and then
    if len(settled) > 1 and chance.random() < settings.migration:
        settled = _migrated(settled, scores, chance)
    return tuple(tuple(keys) for keys in settled)


def _migrated(islands: Sequence[list[str]], scores: Mapping[str, float], chance: random.Random) -> list[list[str]]:
    order = sorted(range(len(islands)), key=lambda index: _best(islands[index], scores))
    weak, strong = order[: len(order) // 2], order[len(order) // 2 :]
    migrated = [list(keys) for keys in islands]
    for index in weak:
        migrated[index] = migrated[index][:1]
        able = [other for other in strong if len(migrated[other]) > 1]
        if able:
            # One moves over, but not the best of the stronger island
            stronger = migrated[chance.choice(able)]
            others = stronger[1:]
            moving = others[draw([scores[key] for key in others], 1.0, chance)]
            stronger.remove(moving)
            migrated[index] = _fittest([*migrated[index], moving], scores)
    return migrated


def _fittest(keys: Sequence[str], scores: Mapping[str, float]) -> list[str]:
    return sorted(keys, key=lambda key: scores[key], reverse=True)


def _best(keys: Sequence[str], scores: Mapping[str, float]) -> float:
    return max((scores[key] for key in keys), default=-math.inf)


def draw(values: Sequence[float], temperature: float, chance: random.Random) -> int:
    """Draw an index by the softmax of the standardised values."""
    mean, deviation = statistics.fmean(values), statistics.pstdev(values)
    weights = [math.exp((value - mean) / (deviation or 1.0) / temperature) for value in values]
    return chance.choices(range(len(values)), weights)[0]
