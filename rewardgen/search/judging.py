"""People, or who stands in for them, judge a generation: the search asks, waits, and ranks by what was said.

``judge`` is called once for each generation, when everything in it is trained. What it comes to, the verdict, is kept
in the run's store before anything follows from it: a run that is taken up again asks nothing twice, and whatever is
said later counts for later generations.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rewardgen import preference
from rewardgen.config import Config, JudgingConfig, validate
from rewardgen.quoting import one_line
from rewardgen.records import Answer, JudgeKind, Judgement, Order, Remark, Verdict
from rewardgen.search import seeds, vision
from rewardgen.search.run import Run
from rewardgen.search.selection import Scored, winner_of
from rewardgen.store import GenerationView, Judgements, RunView, Waiting
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
    wanted = _wanted(judging, len(shown), bool(against))
    if judging.by == "people":
        said = _wait(run, kept, restart, number, shown, against, wanted)
    else:
        _ask(run, kept, restart, number, [*shown, *against], wanted, everyone)
        said = Said.of(kept)
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


def asked_for(view: RunView) -> Waiting | None:
    """What a person may be asked about: what the search waits for, else the newest generation with policies to show.

    None where no candidate has a policy yet.
    """
    if view.waiting is not None:
        return view.waiting
    judging = validate(JudgingConfig, (view.config.get("search") or {}).get("judging") or {}, str(view.path))
    for generation in reversed(view.generations):
        shown = tuple(item.key for item in generation.candidates if item.score is not None)
        if shown:
            leader = _leader_before(view, generation)
            wanted = _wanted(judging, len(shown), leader is not None)
            against = () if leader is None else (leader,)
            return Waiting(generation.restart, generation.index, shown, against, wanted, judging.starts, "", "")
    return None


def _leader_before(view: RunView, generation: GenerationView) -> str | None:
    """Whom the last verdict before a generation puts first."""
    before = [g.verdict for g in view.generations if (g.restart, g.index) < (generation.restart, generation.index)]
    verdicts = [verdict for verdict in before if verdict is not None]
    return verdicts[-1].overall[0].candidate if verdicts else None


def _wanted(judging: JudgingConfig, count: int, beside: bool) -> int:
    """How many judgements are wanted of ``count`` candidates: the setting, or as many pairs as there are.

    ``beside``: the best so far is up for comparison too, so that generations have a common scale.
    """
    return max(1, min(judging.pairs, count * (count - 1) // 2 + count * beside))


def _simulated(run: Run, everyone: Mapping[str, Scored], place: tuple[int, ...], pair: tuple[str, str]) -> Answer:
    """An answer from the true fitness. Each answer's chance is its own, so that a stopped run goes on the same."""
    generator = random.Random(seeds.derive(run.config.seed, "simulated judge", *place))
    judge = preference.SimulatedJudge(run.config.search.judging.error_rate, generator)
    left, right = (everyone[key].score for key in pair)
    return judge.answer(math.nan if left is None else left, math.nan if right is None else right)


def _ask(
    run: Run,
    kept: Judgements,
    restart: int,
    number: int,
    pool: Sequence[str],
    wanted: int,
    everyone: Mapping[str, Scored],
) -> None:
    """Have who stands in for people answer ``wanted`` pairs, one after another: each is chosen by those before it."""
    judging = run.config.search.judging
    kind: JudgeKind = "simulated" if judging.by == "simulated" else "vlm"
    name = (
        preference.SimulatedJudge(judging.error_rate, random.Random(0)).name
        if kind == "simulated"
        else one_line(f"vision model {judging.model}", 80)
    )
    for index in range(wanted):
        place, key = (restart, number, index), f"{kind}-{restart}-{number}-{index}"
        said = Said.of(kept)
        if any(judgement.id == key for judgement in said.judgements):
            continue
        generator = random.Random(seeds.derive(run.config.seed, "pairs", *place))
        pair = preference.next_pair(pool, said.judgements, said.orders, name, generator)
        if pair is None:
            break
        left, right = (f"{candidate}.{index % judging.starts}" for candidate in pair)
        if kind == "simulated":
            answer, words = _simulated(run, everyone, place, pair), ""
        else:
            answer, words = vision.look(run, key, left, right, seeds.derive(run.config.seed, "vision", *place))
        kept.add(Judgement(key, left, right, answer, words, name, kind, now(), 0.0))


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
    # what differs by rounding alone is equal
    standings = {key: round(value, 9) for key, value in liked.items()}
    return {key: replace(item, standing=standings.get(key)) for key, item in everyone.items()}


def _standard(values: Mapping[str, float]) -> dict[str, float]:
    """Values with mean 0 and standard deviation 1; all 0 where they do not differ."""
    mean, deviation = statistics.fmean(values.values()), statistics.pstdev(values.values())
    return {key: (value - mean) / deviation if deviation > 0 else 0.0 for key, value in values.items()}
