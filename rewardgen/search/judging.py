"""People, or who stands in for them, judge a generation: the search asks, waits, and ranks by what was said.

``judge`` is called once for each generation, when everything in it is trained. What it comes to, the verdict, is kept
in the run's store before anything follows from it: a run that is taken up again asks nothing twice, and whatever is
said later counts for later generations.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rewardgen import preference
from rewardgen.config import Config
from rewardgen.records import Judgement, Order, Remark, Verdict
from rewardgen.search import seeds
from rewardgen.search.run import Run
from rewardgen.search.selection import Scored, winner_of
from rewardgen.store import Judgements, Waiting
from rewardgen.store.database import now

POLL_SECONDS = 2.0
"""Between two looks at whether anything came in: one query on a small file."""


@dataclass(frozen=True)
class Said:
    """All that was said in a run so far."""

    judgements: tuple[Judgement, ...]
    orders: tuple[Order, ...]
    remarks: tuple[Remark, ...]

    @classmethod
    def of(cls, kept: Judgements) -> Said:
        return cls(kept.judgements(), kept.orders(), kept.remarks())

    def of_candidates(self, candidates: Sequence[str]) -> int:
        return preference.heard(candidates, self.judgements, self.orders, self.remarks)

    def __len__(self) -> int:
        return len(self.judgements) + len(self.orders) + len(self.remarks)


def judge(
    run: Run, restart: int, number: int, scored: Sequence[Scored], everyone: Mapping[str, Scored]
) -> tuple[Verdict | None, dict[str, Scored]]:
    """Have a generation judged as the settings say.

    Args:
        scored: the generation's candidates.
        everyone: all candidates of the run so far, those of this generation among them.

    Returns:
        The verdict, and ``everyone`` with the standings that it gives; None, and everyone as they were, where nobody is
        asked or nobody has a policy to show.
    """
    if run.config.search.judge == "fitness":
        return None, dict(everyone)
    verdict = run.store.verdict(restart, number)
    if verdict is None:
        shown = [item.key for item in scored if item.score is not None]
        if not shown:
            return None, dict(everyone)
        leader = winner_of(item for item in everyone.values() if item.key not in shown and item.standing is not None)
        against = (leader.key,) if leader is not None else ()
        verdict = _hear(run, restart, number, shown, against, everyone)
        run.store.add_verdict(verdict)
    best = verdict.ranking[0]
    run.say(
        "judged",
        restart=restart,
        generation=number,
        candidate=best.candidate,
        heard=verdict.heard,
        wanted=verdict.wanted,
        words=len(verdict.words),
    )
    return verdict, ranked(run.config, verdict, everyone)


def _hear(
    run: Run, restart: int, number: int, shown: Sequence[str], against: tuple[str, ...], everyone: Mapping[str, Scored]
) -> Verdict:
    """Ask for what is wanted, and put together what was said."""
    kept = Judgements(run.store.run_dir)
    judging = run.config.search.judging
    count = len(shown)
    # the best so far is up for comparison too, so that generations have a common scale
    wanted = max(1, min(judging.pairs, count * (count - 1) // 2 + count * len(against)))
    if judging.by == "simulated":
        _simulate(run, kept, restart, number, shown, against, wanted, everyone)
        said = Said.of(kept)
    else:
        said = _wait(run, kept, restart, number, shown, against, wanted)
    judged = [*(key for key, item in everyone.items() if item.standing is not None), *shown]
    overall = preference.strengths(list(dict.fromkeys(judged)), said.judgements, said.orders).ranking()
    verdict = Verdict(
        restart=restart,
        generation=number,
        ranking=tuple(standing for standing in overall if standing.candidate in shown),
        overall=tuple(overall),
        words=preference.words_about(shown, said.judgements, said.orders, said.remarks),
        judgements=len(said),
        heard=said.of_candidates(shown),
        wanted=wanted,
    )
    if not verdict.heard:
        run.warn(f"nobody said anything of generation {number}: its candidates count as equally good")
    return verdict


def _simulate(
    run: Run,
    kept: Judgements,
    restart: int,
    number: int,
    shown: Sequence[str],
    against: Sequence[str],
    wanted: int,
    everyone: Mapping[str, Scored],
) -> None:
    """Answers from the true fitness. Each answer's chance is its own, so that a stopped run goes on the same."""
    judging = run.config.search.judging
    for index in range(wanted):
        answer_id = f"simulated-{restart}-{number}-{index}"
        before = Said.of(kept)
        if any(judgement.id == answer_id for judgement in before.judgements):
            continue
        generator = random.Random(seeds.derive(run.config.seed, "judging", restart, number, index))
        judge = preference.SimulatedJudge(judging.error_rate, generator)
        pair = preference.next_pair([*shown, *against], before.judgements, before.orders, judge.name, generator)
        if pair is None:
            break
        start = index % judging.starts
        answer = judge.answer(*(everyone[key].score or 0.0 for key in pair))
        left, right = (f"{key}.{start}" for key in pair)
        kept.add(Judgement(answer_id, left, right, answer, "", judge.name, "simulated", now(), 0.0))


def _wait(
    run: Run,
    kept: Judgements,
    restart: int,
    number: int,
    shown: Sequence[str],
    against: tuple[str, ...],
    wanted: int,
) -> Said:
    """Wait until enough was said of ``shown``, or until the time is over; say so meanwhile where others can read it."""
    begun = datetime.now(UTC)
    until = begun + timedelta(hours=run.config.search.judging.wait_hours)
    waiting = Waiting(
        restart=restart,
        generation=number,
        candidates=tuple(shown),
        against=against,
        wanted=wanted,
        starts=run.config.search.judging.starts,
        since=begun.isoformat(timespec="seconds"),
        until=until.isoformat(timespec="seconds"),
    )
    mark, said = kept.mark(), Said.of(kept)
    if said.of_candidates(shown) >= wanted:
        return said
    run.store.set_waiting(waiting)
    run.rest()
    try:
        with run.budget.idle():
            while (told := said.of_candidates(shown)) < wanted:
                run.say("waiting", **waiting.facts, heard=told)
                while (present := kept.mark()) == mark:
                    if datetime.now(UTC) >= until:
                        return said
                    time.sleep(POLL_SECONDS)
                mark, said = present, Said.of(kept)
        return said
    finally:
        run.store.set_waiting(None)


def ranked(config: Config, verdict: Verdict, everyone: Mapping[str, Scored]) -> dict[str, Scored]:
    """``everyone`` with the standings of a verdict: people's own, or, mixed, theirs weighed with the fitness.

    Mixed, both are standardised over all that were judged, so that the weight is one between equals; the fitness is the
    lower bound that candidates are ranked by otherwise.
    """
    liked = {standing.candidate: standing.value for standing in verdict.overall if standing.candidate in everyone}
    if config.search.judge == "mixed":
        weight = config.search.judging.weight
        fit = _standard({key: everyone[key].measured for key in liked})
        liked = {key: weight * value + (1.0 - weight) * fit[key] for key, value in _standard(liked).items()}
    return {key: replace(item, standing=liked.get(key)) for key, item in everyone.items()}


def _standard(values: Mapping[str, float]) -> dict[str, float]:
    """Values with mean 0 and standard deviation 1; all 0 where they do not differ."""
    mean, deviation = statistics.fmean(values.values()), statistics.pstdev(values.values())
    return {key: (value - mean) / deviation if deviation > 0 else 0.0 for key, value in values.items()}


def blinded(config: Config) -> Config:
    """The settings of a run that people alone judge: nothing in it decides by the fitness.

    Nobody is stopped for falling behind or trained again for leading, no program is left out because stored episodes
    speak against it, and what is shown of a training is its last policy, not its fittest.
    """
    if config.search.judge != "people":
        return config
    racing = config.search.racing.model_copy(update={"enabled": False})
    screening = config.search.screening.model_copy(update={"keep": 1.0, "agreement": 0.0})
    search = config.search.model_copy(update={"racing": racing, "screening": screening, "remeasure": 0})
    training = config.training.model_copy(update={"keep": "last"})
    return config.model_copy(update={"search": search, "training": training})
