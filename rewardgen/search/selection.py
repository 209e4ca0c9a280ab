"""Which candidate is best, when every score is noisy: by lower bounds, and on fresh seeds before it counts.

The best of many noisy scores is picked partly for its luck. A candidate is therefore ranked by the lower end of the
interval that its seeds and episodes leave, and the leader of a generation is trained again on seeds that played no part
in making it the leader. Only then does it become the parent of the next generation, or the winner.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rewardgen.config import Config
from rewardgen.evaluation import Bounds, bounds
from rewardgen.records import Checkpoint, RewardProgram, TrainingResult
from rewardgen.search import seeds
from rewardgen.search.racing import Race, best_points, further_seeds
from rewardgen.search.run import Run
from rewardgen.search.trainings import train_rewards
from rewardgen.store import AGAIN
from rewardgen.text import number, unit_suffix

ELITES = 2
"""Candidates of a generation that are measured again at most: the leader, and who leads once the leader has fallen."""


@dataclass(frozen=True)
class Scored:
    """A candidate at the end of its generation; ``score`` is None unless every one of its trainings has one.

    ``low`` and ``high`` bound its fitness; the lower one is what it is ranked by. ``stopped`` candidates have their
    best score so far, and stand behind all that trained to the end. ``again`` is the mean on fresh seeds: None if it
    was not measured again, NaN if that failed. ``standing`` is what it is ranked by instead once it has been judged.
    """

    key: str
    source: str | None
    score: float | None
    success_rate: float
    reflection: str
    low: float | None = None
    high: float | None = None
    stopped: bool = False
    again: float | None = None
    standing: float | None = None

    @property
    def measured(self) -> float:
        """The fitness that counts: the lower bound, where there is one; NaN without a score."""
        value = self.low if self.low is not None else self.score
        return math.nan if value is None or self.score is None else value

    @property
    def rank(self) -> tuple[bool, float]:
        """Higher is better; what has no finite score has a rank of NaN."""
        return not self.stopped, self.measured if self.standing is None else self.standing


def best_of(candidates: Iterable[Scored]) -> Scored | None:
    """The candidate with the highest rank, the first of equals; None when none has a finite score."""
    finite = [item for item in candidates if math.isfinite(item.rank[1]) and math.isfinite(item.score or 0.0)]
    return max(finite, key=lambda item: item.rank, default=None)


def winner_of(candidates: Iterable[Scored]) -> Scored | None:
    """The best of those that were judged; else of those that fresh seeds have confirmed; else of all.

    Of judged ones that nobody told apart it is the last: it was written knowing what was said of those before it.
    """
    everyone = list(candidates)
    if judged := [item for item in everyone if item.standing is not None]:
        return best_of(reversed(judged))
    return best_of(item for item in everyone if item.again is not None) or best_of(everyone)


def compete(
    run: Run, restart: int, generation: int, programs: Mapping[str, RewardProgram]
) -> dict[str, list[TrainingResult]]:
    """Train a generation: a race over the selection seeds, then further seeds for those that reached its end.

    Returns:
        key → its trainings, those on the selection seeds first.
    """
    search = run.config.search
    chosen = seeds.selection_seeds(run.config.seed, restart, generation, search.seeds)
    racing = search.racing.enabled and run.config.training.trainer == "population"
    results = train_rewards(
        run,
        programs,
        chosen,
        what="generation",
        judge=race_of(run, programs) if racing else None,
        collector=run.episodes.collector(restart, generation),
    )
    if racing:
        keys, each = further_seeds(run.config, results, former(run, programs))
        further = {key: programs[key] for key in keys}
        more = seeds.selection_seeds(run.config.seed, restart, generation, search.seeds + each)[search.seeds :]
        for key, found in train_rewards(run, further, more, what="further").items():
            results[key] += found
    return results


def elect(
    run: Run,
    restart: int,
    generation: int,
    scored: Sequence[Scored],
    results: Mapping[str, Sequence[TrainingResult]],
) -> list[Scored]:
    """Measure the leader again on fresh seeds until the leader is one that has been, ``ELITES`` times at most.

    Its rank is from then on that of all its trainings together, old and fresh.

    Returns:
        ``scored`` with what was learned.
    """
    standing = {item.key: item for item in scored}
    trainings = {key: list(of_key) for key, of_key in results.items()}
    fresh_seeds = seeds.fresh_seeds(run.config.seed, restart, generation, run.config.search.remeasure)
    for _ in range(ELITES if fresh_seeds else 0):
        leader = best_of(standing.values())
        if leader is None or leader.source is None or leader.again is not None:
            break
        owner = leader.key + AGAIN
        found = train_rewards(run, {owner: RewardProgram(leader.source)}, fresh_seeds, what="again")[owner]
        trainings[leader.key] += found
        again = [training.score for training in found]
        mean = math.fsum(again) / len(again)
        told = f"measured again with {len(again)} fresh seeds: {number(mean)}"
        told += unit_suffix(run.task.fitness_unit)
        known = f"{leader.reflection}\n{told}" if "fitness" in run.method.feedback else leader.reflection
        standing[leader.key] = replace(leader, again=mean, reflection=known)
        # what fresh seeds tell of the spread between seeds, they tell of everyone
        measured = intervals(run, trainings)
        standing = {
            key: replace(item, low=measured[key].low, high=measured[key].high) if key in measured else item
            for key, item in standing.items()
        }
        run.say("remeasured", candidate=leader.key, score=leader.score, again=mean)
    return list(standing.values())


def intervals(run: Run, results: Mapping[str, Sequence[TrainingResult]]) -> dict[str, Bounds]:
    """Each candidate's interval from the best checkpoints of all its trainings; NaN where one of them has no score."""
    points = {key: best_points(of_key) for key, of_key in results.items()}
    return bounds(points, run.config.search.confidence, former(run, results))


def former(run: Run, present: Collection[str]) -> list[list[Checkpoint]]:
    """The best checkpoints of this restart's candidates but the ``present`` ones: they tell how much seeds differ."""
    keys = [key for key in run.accepted if key not in present]
    return [best_points([*run.store.trainings(key), *run.store.trainings(key + AGAIN)]) for key in keys]


def planned_steps(config: Config) -> int:
    """The most environment steps that a generation takes. What a race saves, and no more, goes into further seeds."""
    search = config.search
    return (search.candidates * search.seeds + ELITES * search.remeasure) * config.training.steps


def race_of(run: Run, keys: Collection[str]) -> Race:
    """The judge of the trainings of some candidates, which tells those who watch."""
    forecasts = {key: run.store.forecast(key) for key in keys}
    promise = {key: found.agreement for key, found in forecasts.items() if found and found.agreement is not None}

    def on_stop(key: str, seed: int, steps: int, reason: str) -> None:
        run.say("stopped", candidate=key, seed=seed, steps=steps, message=reason)

    return Race(run.config, run.task.fitness_unit, promise, former(run, keys), on_stop)
