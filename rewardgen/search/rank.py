"""Selection: the race, the bounds that candidates are ranked by, fresh seeds for the leader, the parent, the winner.

Methods with islands draw parents by the rules in ``islands`` instead.

The best of many noisy scores is picked partly for its luck. A candidate is therefore ranked by the lower end of the
interval that its seeds and episodes leave, and the leader of a generation is trained again on seeds that played no part
in making it the leader. Only then does it become the parent of the next generation, or the winner.

While a generation trains, those who fall behind stop (successive halving): at each rung, a checkpoint of the one
training program, the better ones (``racing.keep`` of them) go on, and so does everyone whose interval overlaps one of
theirs, for as long as ``racing.share`` of the steps can carry them all. Decisions follow from the checkpoints alone: a
race that is run again ends the same.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rewardgen.config import Config, RacingConfig
from rewardgen.evaluation import Bounds, bounds
from rewardgen.records import Checkpoint, TrainingResult, Verdict
from rewardgen.search import events
from rewardgen.search.candidate import Candidate, History, Place
from rewardgen.search.method import Method
from rewardgen.search.services import Services
from rewardgen.store import AGAIN
from rewardgen.text import number as shown
from rewardgen.text import unit_suffix
from rewardgen.training import checkpoint_steps
from rewardgen.training.episodes import Collector

OnStop = Callable[[str, int, int, str], None]
MOST_CONFIRMED = 2
"""Candidates of a generation that may be measured on fresh seeds: the leader, and whoever leads if that one falls."""


# --------------------------------------------------------------------------------------------------------------------
# training a generation


def planned_steps(config: Config) -> int:
    """Return the most environment steps that a generation takes. What a race saves goes into further seeds, no more."""
    search = config.search
    return (search.candidates * search.seeds + MOST_CONFIRMED * search.remeasure) * config.training.steps


def train(services: Services, place: Place, history: History, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with their trainings, scores and bounds.

    A race over the selection seeds comes first, then further seeds for those that reached its end.

    Raises:
        BudgetExceeded: the trainings would need more steps or time than are left.
    """
    config, search = services.config, services.config.search
    programs = {each.key: each.program for each in candidates if each.program is not None}
    former = former_points(services, history)
    races = search.racing.enabled and services.trainer.batched

    # Selection seeds, the same for all candidates
    results = services.train(
        programs,
        dict.fromkeys(programs, place.selection_seeds(search.seeds)),
        "generation",
        race=race_of(services, programs, former) if races else None,
        collector=_collector(services, place),
    )

    # Further seeds, from the steps that the race saved
    if races:
        keys, each_gets = further_seeds(config, results, former)
        further = place.selection_seeds(search.seeds + each_gets)[search.seeds :]
        more = services.train({key: programs[key] for key in keys}, dict.fromkeys(keys, further), "further")
        results = {key: [*found, *more.get(key, ())] for key, found in results.items()}
    return bounded(config, [each.trained(results.get(each.key, ())) for each in candidates], former)


def _collector(services: Services, place: Place) -> Collector | None:
    """Return what keeps some of the generation's episodes; None where they cannot be collected or nobody needs them."""
    screening = services.config.search.screening
    return Collector(place.key, screening.episodes) if screening.enabled and services.trainer.batched else None


def race_of(services: Services, keys: Collection[str], former: Sequence[Sequence[Checkpoint]]) -> Race:
    """Return the race between some candidates, which reports who stops."""
    forecasts = {key: services.store.forecast(key) for key in keys}
    promise = {key: each.agreement for key, each in forecasts.items() if each and each.agreement is not None}

    def report(key: str, seed: int, steps: int, reason: str) -> None:
        """Report a member that stops."""
        services.reporter.say(events.MemberStopped(key, seed, steps, reason))

    return Race(services.config, services.task.fitness_unit, promise, former, report)


# --------------------------------------------------------------------------------------------------------------------
# bounds


def best_points(results: Sequence[TrainingResult]) -> list[Checkpoint]:
    """Return each training's best checkpoint; none at all where one failed or has none: there is no score then."""
    points = [result.best for result in results if result.status != "failed"]
    finite = [point for point in points if point is not None]
    return finite if len(finite) == len(results) else []


def former_points(services: Services, history: History) -> list[list[Checkpoint]]:
    """Return the best checkpoints of this restart's earlier candidates: they tell how much seeds differ."""
    store = services.store
    return [best_points([*store.trainings(key), *store.trainings(key + AGAIN)]) for key in history.tried]


def bounded(config: Config, candidates: Sequence[Candidate], former: Sequence[Sequence[Checkpoint]]) -> list[Candidate]:
    """Return the candidates with the bounds that all their trainings, old and fresh, leave.

    The variance between seeds is estimated from all candidates, so fresh seeds of one change the bounds of all.
    """
    points = {each.key: best_points([*each.trainings, *each.fresh]) for each in candidates if each.program is not None}
    intervals = bounds(points, config.search.confidence, former)
    return [
        replace(each, low=intervals[each.key].low, high=intervals[each.key].high) if each.score is not None else each
        for each in candidates
    ]


# --------------------------------------------------------------------------------------------------------------------
# the race


@dataclass(frozen=True)
class Rung:
    """``number`` of ``count``, reached at ``steps`` of each training."""

    number: int
    count: int
    steps: int


def rungs(config: Config) -> list[Rung]:
    """Return where a race decides: the first checkpoints after keep^rungs, …, keep², keep of the steps, never the last.

    With 3 rungs and ``keep`` ½ these are the first checkpoints after ⅛, ¼ and ½ of the steps. Where two of them fall on
    one checkpoint, that is one rung.
    """
    racing, checkpoints = config.search.racing, checkpoint_steps(config.training)
    chosen: list[int] = []
    for power in range(racing.rungs, 0, -1):
        share = racing.keep**power * checkpoints[-1]
        steps = next(steps for steps in checkpoints if steps >= share)
        if steps != checkpoints[-1] and steps not in chosen:
            chosen.append(steps)
    return [Rung(i + 1, len(chosen), steps) for i, steps in enumerate(chosen)]


class Race:
    """Decides who stops in one training: see ``Watcher.stop``.

    Args:
        unit: of the fitness, for the reasons that are given.
        promise: key → how promising stored episodes found a candidate; decides between those of equal fitness.
        former: the best checkpoints of earlier candidates, which tell how much seeds differ.
        on_stop: called with key, seed, steps and reason of every member that stops.
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

        # Bound the fitness of every candidate that still runs
        members: dict[str, list[int]] = {}
        for index, result in enumerate(results):
            members.setdefault(result.key, []).append(index)
        running = {key: [k for k in indices if results[k].status == "done"] for key, indices in members.items()}
        running = {key: indices for key, indices in running.items() if indices}
        points = {key: best_points([results[k] for k in members[key]]) for key in running}
        intervals = bounds(points, self._racing.confidence, self._former)

        # Count how many of them the remaining steps can carry on
        spent = sum(result.steps for result in results)
        left = self._racing.share * len(results) * self._total - spent
        seeds = max(len(indices) for indices in members.values())
        most = affordable(self._racing, rung, self._rungs, self._total, left / seeds)

        # Stop all members of a candidate together
        reasons = self._decide(rung, intervals, most)
        stopping = {k: reason for key, reason in reasons.items() for k in running[key]}
        if self._on_stop is not None:
            for k, reason in stopping.items():
                self._on_stop(results[k].key, results[k].seed, steps, reason)
        return stopping

    def _decide(self, rung: Rung, intervals: Mapping[str, Bounds], most: int) -> dict[str, str]:
        """Return who stops at this rung and why, when ``most`` candidates can be carried on."""
        # Order them by fitness, the most promising first among equals
        order = sorted(
            intervals, key=lambda key: (or_least(intervals[key].mean), self._promise.get(key, 0.0)), reverse=True
        )
        scored = [key for key in order if math.isfinite(intervals[key].mean)]
        if not scored:
            return {}

        # The better part goes on, and whoever cannot be told apart from them, as far as the steps go
        ahead = scored[: max(self._racing.finalists, math.ceil(self._racing.keep * len(order)))]
        staying = [key for key in scored if any(key == a or intervals[key].overlaps(intervals[a]) for a in ahead)]
        carried = staying[:most]

        # Give the others a reason
        where = f"stopped at rung {rung.number} of {rung.count} ({rung.steps:,} of {self._total:,} steps)"
        last = self._text(intervals[ahead[-1]])
        reasons = {}
        for key in order:
            if key in carried:
                continue
            position = f"{where}: {self._text(intervals[key])}, place {order.index(key) + 1} of {len(order)}"
            if key not in scored:
                reasons[key] = f"{where}: one of its trainings has no score"
            elif key not in staying:
                reasons[key] = f"{position}, below the {len(ahead)} ahead, of which the last has {last}"
            else:
                reasons[key] = f"{position}; not told apart from those ahead, but the race has steps for {most}"
        return reasons

    def _text(self, interval: Bounds) -> str:
        return f"{shown(interval.mean)}{self._unit} [{shown(interval.low)}, {shown(interval.high)}]"


def affordable(racing: RacingConfig, rung: Rung, rungs: Sequence[Rung], total: int, left: float) -> int:
    """Return how many candidates the steps ``left`` for each seed carry beyond ``rung``; at least one is carried on.

    Later rungs are assumed to keep their share. The cost grows with the count, so the largest is found by counting up.
    """
    ends = [later.steps for later in rungs if later.steps > rung.steps] + [total]

    def cost(count: int) -> int:
        """Return the steps of a seed from here to the end if ``count`` candidates go on."""
        steps, begin = 0, rung.steps
        for end in ends:
            steps += count * (end - begin)
            begin, count = end, max(1, math.ceil(racing.keep * count))
        return steps

    count = 1
    while cost(count + 1) <= left:
        count += 1
    return count


def or_least(value: float) -> float:
    """Return ``value``, or minus infinity where it is not finite: for sorting."""
    return value if math.isfinite(value) else -math.inf


# --------------------------------------------------------------------------------------------------------------------
# what a race saves


def further_seeds(
    config: Config, results: Mapping[str, Sequence[TrainingResult]], former: Sequence[Sequence[Checkpoint]] = ()
) -> tuple[list[str], int]:
    """Return whom the saved steps go to, and how many further training seeds each of them gets.

    What remains after the steps that measuring the leader again will take is dealt out evenly to the candidates that
    reached the end, at most ``racing.further_seeds`` to each; where it is not enough for all, to the best of them.
    """
    # Count the whole trainings that the saved steps pay for
    total = checkpoint_steps(config.training)[-1]
    everyone = [result for trainings in results.values() for result in trainings]
    saved = len(everyone) * total - sum(result.steps for result in everyone)
    affordable_trainings = saved // total - config.search.remeasure

    # Rank the finalists
    points = {key: best_points(trainings) for key, trainings in results.items() if is_done(trainings)}
    intervals = bounds(points, config.search.confidence, former)
    finalists = [key for key in points if math.isfinite(intervals[key].low)]
    finalists.sort(key=lambda key: intervals[key].low, reverse=True)

    # Deal the trainings out
    most = config.search.racing.further_seeds
    if affordable_trainings < 1 or most < 1 or not finalists:
        return [], 0
    each = min(most, affordable_trainings // len(finalists))
    return (finalists, each) if each > 0 else (finalists[:affordable_trainings], 1)


def is_done(results: Sequence[TrainingResult]) -> bool:
    """Return whether all trainings of a candidate reached their end."""
    return bool(results) and all(result.status == "done" for result in results)


# --------------------------------------------------------------------------------------------------------------------
# who leads


def best_of(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the candidate with the highest rank, the first of equals; None when none has a finite score."""
    finite = [each for each in candidates if math.isfinite(each.rank[1]) and math.isfinite(each.score or 0.0)]
    return max(finite, key=lambda each: each.rank, default=None)


def worst_of(candidates: Iterable[Candidate], best: Candidate) -> Candidate | None:
    """Return who ranks last of those with a score; None where that is the best itself."""
    ranked = [each for each in candidates if each.key != best.key and best_of([each]) is not None]
    return min(ranked, key=lambda each: each.rank, default=None)


def winner_of(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the best of those that were judged; else of those that fresh seeds have confirmed; else of all."""
    everyone = list(candidates)
    if judged := [each for each in everyone if each.standing is not None]:
        # Of equals the last: it was written knowing what was said of those before it
        return best_of(reversed(judged))
    return best_of(each for each in everyone if each.fresh_score is not None) or best_of(everyone)


def confirm_leader(
    services: Services, place: Place, history: History, candidates: Sequence[Candidate]
) -> list[Candidate]:
    """Measure the leader again on fresh seeds until the leader is one that has been, at most ``MOST_CONFIRMED`` times.

    From then on it ranks by all its trainings together, old and fresh.

    Returns:
        The candidates with what was learned.
    """
    current = {each.key: each for each in candidates}
    former = former_points(services, history)
    fresh_seeds = place.fresh_seeds(services.config.search.remeasure)
    for _ in range(MOST_CONFIRMED if fresh_seeds else 0):
        leader = best_of(current.values())
        if leader is None or leader.program is None or leader.fresh_score is not None:
            break  # nobody has a score, or the leader is confirmed
        # Train the leader on the fresh seeds
        owner = leader.key + AGAIN
        fresh = services.train({owner: leader.program}, {owner: fresh_seeds}, "again")[owner]
        again = math.fsum(training.score for training in fresh) / len(fresh)
        # Rank again: the fresh seeds change the bounds of all candidates
        current[leader.key] = replace(leader, fresh=tuple(fresh), fresh_score=again)
        current = {each.key: each for each in bounded(services.config, list(current.values()), former)}
        services.reporter.say(events.Remeasured(leader.key, leader.score, again))
    return list(current.values())


def next_parent(method: Method, history: History, best: Candidate) -> Candidate:
    """Return the parent of the next generation: ``best``, the best of this one, or the former parent.

    A method with ``parent: run`` carries on the best of the whole run: there the former parent stays unless ``best``
    ranks above it.
    """
    former = history.candidates[history.parent] if history.parent is not None else None
    if method.parent == "run" and former is not None and former.rank >= best.rank:
        return former
    return best


# --------------------------------------------------------------------------------------------------------------------
# by what judges said


def with_standings(config: Config, verdict: Verdict, history: History) -> History:
    """Return the history with the standings of a verdict: the judges' own, or, mixed, weighed with the fitness.

    Mixed, both are standardised over all that were judged, so that the weight is one between equals; the fitness is the
    lower bound that candidates are ranked by otherwise.
    """
    known = history.candidates
    # Take the judges' strengths, and standardise them with the fitness if both count
    liked = {standing.candidate: standing.value for standing in verdict.overall if standing.candidate in known}
    if config.search.judge == "mixed":
        weight = config.search.judging.weight
        fitness = _standardised({key: known[key].lower_bound for key in liked})
        liked = {key: weight * value + (1.0 - weight) * fitness[key] for key, value in _standardised(liked).items()}
    # what differs by rounding alone is equal
    standings = {key: round(value, 9) for key, value in liked.items()}
    return replace(history, candidates={key: replace(each, standing=standings.get(key)) for key, each in known.items()})


def _standardised(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values with mean 0 and standard deviation 1; all 0 where they do not differ."""
    mean, deviation = statistics.fmean(values.values()), statistics.pstdev(values.values())
    return {key: (value - mean) / deviation if deviation > 0 else 0.0 for key, value in values.items()}
