"""What a search carries from one generation to the next, and the conversations that follow from it."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rewardgen import prompting
from rewardgen.records import Outcome, Verdict
from rewardgen.request import Turn
from rewardgen.search import islands, seeds, telling
from rewardgen.search.authoring import Order
from rewardgen.search.islands import Population
from rewardgen.search.method import Method
from rewardgen.search.run import Run
from rewardgen.search.selection import Scored

MOST_TURNS = 16
"""Turns that are kept, for the changes between them, however few of them a prompt shows with their code."""


@dataclass(frozen=True)
class History:
    """``parent`` is the candidate that the next generation follows from, ``turns`` what a prompt shows, oldest first.

    ``failures`` says why the last generation had no best. ``population`` is who lives on the islands, for methods that
    have some; their prompts show parents instead of turns.
    """

    parent: Scored | None = None
    turns: tuple[Turn, ...] = ()
    failures: tuple[Outcome, ...] = ()
    population: Population = ()

    def orders(
        self, run: Run, restart: int, generation: int, keys: Sequence[str], everyone: Mapping[str, Scored]
    ) -> list[Order]:
        """The conversations that the generation's programs come from: one for all, or one for each of an island's."""
        call = f"r{restart}g{generation}"
        manner, parents = run.method.manner, (self.parent.key,) if self.parent else ()
        if run.method.islands is None or not any(self.population):
            request = prompting.generation(run.task, self.turns, self.failures, run.prompts_dir, manner)
            count = run.method.islands.count if run.method.islands is not None else 1
            return [Order(call, tuple(keys), request, parents, tuple(i % count for i in range(len(keys))))]
        lot = random.Random(seeds.derive(run.config.seed, "births", restart, generation))
        scores = _scores(everyone, [key for island in self.population for key in island])
        found = []
        births = islands.births(run.method.islands, self.population, scores, len(keys), lot)
        for number, (key, birth) in enumerate(zip(keys, births, strict=True)):
            asked = replace(manner, ask=birth.operator if birth.operator != "new" else manner.ask, history=2)
            request = prompting.generation(
                run.task, telling.of_parents(run, birth.parents, everyone), self.failures, run.prompts_dir, asked
            )
            found.append(Order(f"{call}i{number}", (key,), request, birth.parents, (birth.island,)))
        return found

    def after(
        self,
        run: Run,
        restart: int,
        generation: int,
        orders: Sequence[Order],
        best: Scored | None,
        outcomes: Sequence[Outcome],
        everyone: Mapping[str, Scored],
        verdict: Verdict | None = None,
    ) -> History:
        """The history once a generation is over: with its best, or, when all failed, with the reasons."""
        if best is None:
            return replace(self, failures=tuple(outcomes))
        keys = [key for order in orders for key in order.keys]
        if run.method.islands is not None:
            homes = dict(zip(keys, (home for order in orders for home in order.homes), strict=True))
            return History(best, (), (), self._settled(run, restart, generation, homes, everyone))
        parent = everyone[self.parent.key] if self.parent is not None else None
        if keeps_parent(run.method, parent, best):
            return replace(self, parent=parent, failures=())
        own = [everyone[key] for key in keys]
        return self.with_turn(best, telling.turn(run, restart, generation, best, own, verdict))

    def with_turn(self, best: Scored, turn: Turn) -> History:
        return History(best, (*self.turns, turn)[-MOST_TURNS:], (), self.population)

    def _settled(
        self, run: Run, restart: int, generation: int, homes: Mapping[str, int], everyone: Mapping[str, Scored]
    ) -> Population:
        settings = run.method.islands
        assert settings is not None
        population = self.population or islands.empty(settings)
        scores = _scores(everyone, [*(key for island in population for key in island), *homes])
        born = {key: home for key, home in homes.items() if key in scores}
        lot = random.Random(seeds.derive(run.config.seed, "migration", restart, generation))
        return islands.settle(settings, population, born, scores, lot)


def keeps_parent(method: Method, parent: Scored | None, best: Scored) -> bool:
    """Whether the former parent stays, because the method carries on the best of the run and this is no better."""
    return method.parent == "run" and parent is not None and parent.rank >= best.rank


def _scores(everyone: Mapping[str, Scored], keys: Sequence[str]) -> dict[str, float]:
    """What the candidates ``keys`` are ranked by, without those that have no such number."""
    return {key: value for key in keys if math.isfinite(value := everyone[key].rank[1])}
