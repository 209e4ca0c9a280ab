"""Successive halving while a generation trains: who falls behind stops, and the steps go where they matter.

At each rung, a checkpoint of the one training program, the candidates stand in the order of their best true fitness so
far. The better ones (``racing.keep`` of them) go on, and so does everyone whose interval overlaps one of theirs, for as
long as ``racing.share`` of the steps can carry them all. Decisions follow from the checkpoints alone: a race that is
run again ends the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rewardgen.config import Config, RacingConfig
from rewardgen.evaluation import Bounds, bounds
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.text import number as shown
from rewardgen.text import unit_suffix
from rewardgen.training import checkpoint_steps

OnStop = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Rung:
    """``number`` of ``count``, reached at ``steps`` of each training."""

    number: int
    count: int
    steps: int


def rungs(config: Config) -> list[Rung]:
    """Where a race decides: the checkpoints nearest after keep^rungs, …, keep², keep of the steps, never the last."""
    racing, points = config.search.racing, checkpoint_steps(config.training)
    places: list[int] = []
    for power in range(racing.rungs, 0, -1):
        wanted = racing.keep**power * points[-1]
        place = next(steps for steps in points if steps >= wanted)
        if place != points[-1] and place not in places:
            places.append(place)
    return [Rung(i + 1, len(places), steps) for i, steps in enumerate(places)]


def best_points(results: Sequence[TrainingResult]) -> list[Checkpoint]:
    """Each training's best checkpoint; nothing where one failed or has none: such a candidate has no score."""
    points = [result.best for result in results if result.status != "failed"]
    finite = [point for point in points if point is not None]
    return finite if len(finite) == len(results) else []


class Race:
    """The judge of one training: give it to ``train``.

    Args:
        unit: of the fitness, for the reasons that are given.
        promise: key → what is foreseen of a candidate; decides between those whose fitness is the same.
        former: the best checkpoints of candidates before these, which tell how much seeds differ.
        on_stop: told key, seed, steps and reason of every member that stops.
    """

    def __init__(
        self,
        config: Config,
        unit: str = "",
        promise: Mapping[str, float] | None = None,
        former: Sequence[Sequence[Checkpoint]] = (),
        on_stop: OnStop | None = None,
    ) -> None:
        self._racing = config.search.racing
        self._rungs = rungs(config)
        self._total = checkpoint_steps(config.training)[-1]
        self._unit = unit_suffix(unit)
        self._promise, self._former, self._on_stop = promise or {}, former, on_stop

    def __call__(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        rung = next((rung for rung in self._rungs if rung.steps == steps), None)
        if rung is None:
            return {}
        of_key: dict[str, list[int]] = {}
        for index, result in enumerate(results):
            of_key.setdefault(result.key, []).append(index)
        running = {key: [k for k in members if results[k].status == "done"] for key, members in of_key.items()}
        running = {key: members for key, members in running.items() if members}
        points = {key: best_points([results[k] for k in of_key[key]]) for key in running}
        standings = bounds(points, self._racing.confidence, self._former)
        spent = sum(result.steps for result in results)
        left = self._racing.share * len(results) * self._total - spent
        seeds = max(len(members) for members in of_key.values())
        reasons = self._decide(rung, standings, affordable(self._racing, rung, self._rungs, self._total, left / seeds))
        stopping = {k: reason for key, reason in reasons.items() for k in running[key]}
        if self._on_stop is not None:
            for k, reason in stopping.items():
                self._on_stop(results[k].key, results[k].seed, steps, reason)
        return stopping

    def _decide(self, rung: Rung, standings: Mapping[str, Bounds], most: int) -> dict[str, str]:
        """Who stops at this rung → why, when ``most`` candidates can be carried on."""
        where = f"stopped at rung {rung.number} of {rung.count} ({rung.steps:,} of {self._total:,} steps)"
        order = sorted(
            standings, key=lambda key: (_or_least(standings[key].mean), self._promise.get(key, 0.0)), reverse=True
        )
        scored = [key for key in order if math.isfinite(standings[key].mean)]
        if not scored:
            return {}
        ahead = scored[: max(self._racing.finalists, math.ceil(self._racing.keep * len(order)))]
        staying = [key for key in scored if any(key == a or standings[key].overlaps(standings[a]) for a in ahead)]
        carried = staying[:most]
        last = standings[ahead[-1]]
        reasons = {}
        for key in order:
            if key in carried:
                continue
            told = f"{where}: {self._told(standings[key])}, place {order.index(key) + 1} of {len(order)}"
            if key not in scored:
                reasons[key] = f"{where}: one of its trainings has no score"
            elif key not in staying:
                reasons[key] = f"{told}, below the {len(ahead)} ahead, of which the last has {self._told(last)}"
            else:
                reasons[key] = f"{told}; not told apart from those ahead, but the race has steps for {most}"
        return reasons

    def _told(self, standing: Bounds) -> str:
        return f"{shown(standing.mean)}{self._unit} [{shown(standing.low)}, {shown(standing.high)}]"


def affordable(racing: RacingConfig, rung: Rung, rungs: Sequence[Rung], total: int, left: float) -> int:
    """How many candidates the steps ``left`` for each seed carry beyond ``rung``, if later rungs keep their share."""
    ends = [later.steps for later in rungs if later.steps > rung.steps] + [total]

    def cost(count: int) -> int:
        steps, begin = 0, rung.steps
        for end in ends:
            steps += count * (end - begin)
            begin, count = end, max(1, math.ceil(racing.keep * count))
        return steps

    count = 1
    while cost(count + 1) <= left:
        count += 1
    return count


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


# --------------------------------------------------------------------------------------------------------------------
# what a race saves


def further_seeds(
    config: Config, results: Mapping[str, Sequence[TrainingResult]], former: Sequence[Sequence[Checkpoint]] = ()
) -> tuple[list[str], int]:
    """Whom the saved steps go to, and how many further training seeds each of them gets.

    What remains after the steps that measuring the elite again will take is dealt out evenly to the candidates that
    reached the end, ``racing.further_seeds`` for each at most; where it is not enough for all, to the best of them.
    """
    total = checkpoint_steps(config.training)[-1]
    everyone = [result for of_key in results.values() for result in of_key]
    saved = len(everyone) * total - sum(result.steps for result in everyone)
    whole = saved // total - config.search.remeasure
    points = {key: best_points(of_key) for key, of_key in results.items() if is_done(of_key)}
    standings = bounds(points, config.search.confidence, former)
    able = [key for key in points if math.isfinite(standings[key].low)]
    able.sort(key=lambda key: standings[key].low, reverse=True)
    most = config.search.racing.further_seeds
    if whole < 1 or most < 1 or not able:
        return [], 0
    each = min(most, whole // len(able))
    return (able, each) if each > 0 else (able[:whole], 1)


def is_done(results: Sequence[TrainingResult]) -> bool:
    return bool(results) and all(result.status == "done" for result in results)
