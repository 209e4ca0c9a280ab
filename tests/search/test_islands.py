"""Islands by hand: who has children, where they live, who has to go."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from rewardgen.search.islands import Birth, births, settle
from rewardgen.search.method import Islands

THREE = Islands(count=3, size=2, crossover=0.5)
EMPTY = ((), (), ())
SCORES = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 0.0, "e": 2.5, "f": 1.5}


def lot(seed: int = 0) -> random.Random:
    return random.Random(seed)


def test_the_first_generation_fills_the_islands_in_turn() -> None:
    found = births(THREE, EMPTY, {}, 5, lot())
    assert found == [Birth(place, "new") for place in (0, 1, 2, 0, 1)]
    born = {"a": 0, "b": 1, "c": 2, "d": 0, "e": 1}
    # everyone stays on an empty island, the best first
    assert settle(THREE, EMPTY, born, SCORES, lot()) == (("a", "d"), ("b", "e"), ("c",))


def test_a_newcomer_stays_if_it_is_no_worse_than_its_islands_mean() -> None:
    islands = (("a", "d"), ("b",), ())
    # island 0: mean 0.5, so f (1.5) stays and d (0) is the third and goes; island 1: mean 3, so c (2) does not stay
    assert settle(THREE, islands, {"f": 0, "c": 1, "e": 2}, SCORES, lot()) == (("f", "a"), ("b",), ("e",))
    # the bar is the mean before the generation: both newcomers of one island are held to the same
    assert settle(THREE, (("a",), (), ()), {"f": 0, "c": 0}, SCORES, lot()) == (("c", "f"), (), ())


def test_parents_live_on_one_island_and_only_pairs_cross() -> None:
    islands = (("a", "d"), ("b",), ("c",))
    for seed in range(50):
        for birth in births(THREE, islands, SCORES, 8, lot(seed)):
            assert set(birth.parents) <= set(islands[birth.island])
            assert len(set(birth.parents)) == len(birth.parents) == {"mutate": 1, "cross": 2}[birth.operator]
            assert birth.operator == "mutate" or birth.island == 0  # the only island where there are two
    alone = Islands(count=2, size=2, crossover=1.0)
    assert {birth.operator for birth in births(alone, (("a",), ("b",)), SCORES, 20, lot())} == {"mutate"}


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.8808), (2.0, 0.7311)])
def test_parents_are_drawn_by_the_softmax_of_their_standardised_scores(temperature: float, share: float) -> None:
    # two parents at ±1 standard deviation: exp(1/t) against exp(-1/t), whatever the scores' unit
    settings = Islands(count=1, size=2, crossover=0.0, temperature=temperature)
    for scale in (1.0, 1000.0):
        scores = {"a": scale, "b": 3.0 * scale}
        count = Counter(birth.parents[0] for birth in births(settings, (("a", "b"),), scores, 20_000, lot(3)))
        assert count["b"] / 20_000 == pytest.approx(share, abs=0.01)


def test_the_weaker_half_starts_again_with_its_best_and_a_stranger() -> None:
    settings = Islands(count=2, size=3, migration=1.0)
    islands = (("a", "f", "d"), ("b", "e", "c"))  # a..: best 1.5 (f); b..: best 3
    left = settle(settings, islands, {}, SCORES, lot())
    weak, strong = left
    assert "f" in weak and len(weak) == 2  # its own best, and one that moved over
    moved = next(key for key in weak if key != "f")
    assert moved in ("e", "c") and set(strong) == {"b", "e", "c"} - {moved}  # never the other's best
    never = Islands(count=2, size=3, migration=0.0)
    assert settle(never, islands, {}, SCORES, lot()) == (("f", "a", "d"), ("b", "e", "c"))


def test_the_same_seed_draws_the_same() -> None:
    islands = (("a", "d"), ("b", "e"), ("c", "f"))
    assert births(THREE, islands, SCORES, 6, lot(7)) == births(THREE, islands, SCORES, 6, lot(7))
    assert births(THREE, islands, SCORES, 6, lot(7)) != births(THREE, islands, SCORES, 6, lot(8))
