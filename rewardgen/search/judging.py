"""Judges rank a generation: people, or who stands in for them. The search asks, waits, and ranks by the answers.

``judge`` is called once for each generation, when everything in it is trained. What it comes to, the verdict, is kept
in the run's store before anything follows from it: a run that is resumed asks nothing twice, and whatever is said later
counts for later generations. A vision model as the judge is shown frames of two replays.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rewardgen import preference, prompting, replay
from rewardgen.config import Config, JudgingConfig, is_language_model, validate
from rewardgen.errors import ConfigError
from rewardgen.program import without_thoughts
from rewardgen.quoting import one_line
from rewardgen.records import Answer, JudgeKind, Judgement, Order, Remark, Verdict
from rewardgen.search import events
from rewardgen.search.candidate import History, Place
from rewardgen.search.rank import winner_of, with_standings
from rewardgen.search.services import Call, Services
from rewardgen.store import GenerationView, Judgements, RunView, Waiting
from rewardgen.store.database import now
from rewardgen.tasks import Task

POLL_SECONDS = 2.0
"""Between two looks at whether anything came in: one query on a small file."""
FRAMES = 6
"""Frames of each replay that a vision model is shown, at equal distances in time."""
REASON_LIMIT = 600
"""Characters that are kept of a reason."""
_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n```\Z", re.DOTALL)


@dataclass(frozen=True)
class Said:
    """All that was said in a run so far."""

    judgements: tuple[Judgement, ...]
    orders: tuple[Order, ...]
    remarks: tuple[Remark, ...]

    @classmethod
    def of(cls, kept: Judgements) -> Said:
        """Read it from the run's file of judgements."""
        return cls(kept.judgements(), kept.orders(), kept.remarks())

    def of_candidates(self, candidates: Sequence[str]) -> int:
        """Count what bears on some candidates."""
        return preference.heard(candidates, self.judgements, self.orders, self.remarks)

    def __len__(self) -> int:
        return len(self.judgements) + len(self.orders) + len(self.remarks)


def judge(services: Services, place: Place, history: History) -> tuple[Verdict | None, History]:
    """Have a generation judged as the settings say.

    Args:
        history: with the generation's candidates in it.

    Returns:
        The verdict, and the history with the standings that it gives; None, and the history as it was, where nobody is
        asked or nobody has a policy to show.

    Raises:
        LLMError, BudgetExceeded, SimulationFailed, ReplayError: a vision model cannot be asked, or shown anything.
    """
    if services.config.search.judge == "fitness":
        return None, history
    verdict = services.store.verdict(place.restart, place.generation)
    if verdict is None:
        # Ask about those with a policy to show, beside the best so far, so that generations have a common scale
        candidates = history.of(place.candidates(services.config.search.candidates))
        shown = [each.key for each in candidates if each.score is not None]
        if not shown:
            return None, history
        leader = winner_of(each for each in history.everyone if each.key not in shown and each.standing is not None)
        against = (leader.key,) if leader is not None else ()
        verdict = _hear(services, place, shown, against, history)
        services.store.add_verdict(verdict)
    services.reporter.say(
        events.Judged(
            restart=place.restart,
            generation=place.generation,
            candidate=verdict.ranking[0].candidate,
            heard=verdict.heard,
            wanted=verdict.wanted,
            words=len(verdict.words),
        )
    )
    return verdict, with_standings(services.config, verdict, history)


def _hear(
    services: Services, place: Place, shown: Sequence[str], against: tuple[str, ...], history: History
) -> Verdict:
    """Ask for what is wanted, and put together what was said."""
    # Ask
    kept = Judgements(services.store.run_dir)
    judging = services.config.search.judging
    wanted = _wanted(judging, len(shown), bool(against))
    if judging.by == "people":
        said = _wait(services, place, kept, shown, against, wanted)
    else:
        _ask(services, place, kept, [*shown, *against], wanted, history)
        said = Said.of(kept)

    # Rank everyone who was ever judged by what was said, on one scale
    judged = [*(each.key for each in history.everyone if each.standing is not None), *shown]
    overall = preference.strengths(list(dict.fromkeys(judged)), said.judgements, said.orders).ranking()
    verdict = Verdict(
        restart=place.restart,
        generation=place.generation,
        ranking=tuple(standing for standing in overall if standing.candidate in shown),
        overall=tuple(overall),
        words=preference.words_about(shown, said.judgements, said.orders, said.remarks),
        judgements=len(said),
        heard=said.of_candidates(shown),
        wanted=wanted,
    )
    if not verdict.heard:
        services.reporter.warn(
            f"nobody said anything of generation {place.generation}: its candidates count as equally good"
        )
    return verdict


def asked_for(view: RunView) -> Waiting | None:
    """Return what a person may be asked about: what the search waits for, else the newest generation with policies.

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
    """Return whom the last verdict before a generation puts first."""
    before = [g.verdict for g in view.generations if (g.restart, g.index) < (generation.restart, generation.index)]
    verdicts = [verdict for verdict in before if verdict is not None]
    return verdicts[-1].overall[0].candidate if verdicts else None


def _wanted(judging: JudgingConfig, count: int, beside: bool) -> int:
    """Return how many judgements are wanted of ``count`` candidates: the setting, or as many pairs as there are.

    ``beside``: the best so far is up for comparison too, so that generations have a common scale.
    """
    return max(1, min(judging.pairs, count * (count - 1) // 2 + count * beside))


# --------------------------------------------------------------------------------------------------------------------
# people


def _wait(
    services: Services,
    place: Place,
    kept: Judgements,
    shown: Sequence[str],
    against: tuple[str, ...],
    wanted: int,
) -> Said:
    """Wait until enough was said of ``shown``, or until the time is over; say so meanwhile where others can read it."""
    judging = services.config.search.judging
    begun = datetime.now(UTC)
    until = begun + timedelta(hours=judging.wait_hours)
    waiting = Waiting(
        restart=place.restart,
        generation=place.generation,
        candidates=tuple(shown),
        against=against,
        wanted=wanted,
        starts=judging.starts,
        since=begun.isoformat(timespec="seconds"),
        until=until.isoformat(timespec="seconds"),
    )
    mark, said = kept.mark(), Said.of(kept)
    if said.of_candidates(shown) >= wanted:
        return said

    # Say what is waited for where others can read it, and free the machine meanwhile
    services.store.set_waiting(waiting)
    services.release()
    try:
        with services.budget.idle():
            while (heard := said.of_candidates(shown)) < wanted:
                services.reporter.say(events.WaitingForPeople(**waiting.facts, heard=heard))
                while (present := kept.mark()) == mark:
                    if datetime.now(UTC) >= until:
                        return said
                    time.sleep(POLL_SECONDS)
                mark, said = present, Said.of(kept)
        return said
    finally:
        services.store.set_waiting(None)


# --------------------------------------------------------------------------------------------------------------------
# who stands in for people


def _ask(
    services: Services, place: Place, kept: Judgements, pool: Sequence[str], wanted: int, history: History
) -> None:
    """Have who stands in for people answer ``wanted`` pairs, one after another: each is chosen by those before it."""
    judging = services.config.search.judging
    kind: JudgeKind = "simulated" if judging.by == "simulated" else "vlm"
    name = (
        preference.SimulatedJudge(judging.error_rate, random.Random(0)).name
        if kind == "simulated"
        else one_line(f"vision model {judging.model}", 80)
    )
    for index in range(wanted):
        key = place.judgement(kind, index)
        said = Said.of(kept)
        if any(judgement.id == key for judgement in said.judgements):
            continue  # answered before the run was stopped
        generator = random.Random(place.pair_seed(index))
        pair = preference.next_pair(pool, said.judgements, said.orders, name, generator)
        if pair is None:
            break
        left, right = (f"{candidate}.{index % judging.starts}" for candidate in pair)
        if kind == "simulated":
            answer, words = _simulated(services, place, index, pair, history), ""
        else:
            answer, words = look(services, key, left, right, place.vision_seed(index))
        kept.add(Judgement(key, left, right, answer, words, name, kind, now(), 0.0))


def _simulated(services: Services, place: Place, index: int, pair: tuple[str, str], history: History) -> Answer:
    """Answer from the true fitness. Each answer's chance is its own, so that a stopped run goes on the same."""
    generator = random.Random(place.simulated_judge_seed(index))
    simulated = preference.SimulatedJudge(services.config.search.judging.error_rate, generator)
    left, right = (each.score for each in history.of(pair))
    return simulated.answer(math.nan if left is None else left, math.nan if right is None else right)


class _VisionAnswer(BaseModel):
    """The one form of a vision model's answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: Literal["left", "right", "equal", "unsure"]
    reason: str


def check_vision(config: Config, task: Task) -> None:
    """Check that a vision model is named, and that this machine can draw what it is to be shown.

    Raises:
        ConfigError: no vision model is named.
        SimulationFailed, ReplayError: nothing can be drawn here; the message says what to do.
    """
    model = config.search.judging.model
    if not is_language_model(model):
        raise ConfigError(f"{model or 'nothing'!r} is no vision model: name one with --judge vlm:MODEL")
    replay.check_shown(task, pictures=True)


def look(services: Services, key: str, left: str, right: str, seed: int) -> tuple[Answer, str]:
    """Return what the run's vision model says of two replays, and why; kept under ``key``, so never paid twice.

    An answer of another form than was asked for counts as "unsure" and is reported.

    Raises:
        LLMError, BudgetExceeded: the model cannot be asked.
        SimulationFailed, ReplayError: there are no frames to show.
    """
    assert services.viewer is not None  # made with the run, when its settings ask for a vision model
    if (replies := services.store.replies(key)) is None:
        frames = [_frames(services, shown) for shown in (left, right)]
        request = prompting.judging(services.task, frames[0], frames[1], services.prompts_dir)
        replies = services.ask([Call(key, request, 1, seed)], services.viewer)[0]
    found = parse(replies[0].text)
    if found is None:
        services.reporter.warn(
            f"what the vision model said of {left} and {right} is no answer: {one_line(replies[0].text, 120)}"
        )
        return "unsure", ""
    return found


def _frames(services: Services, shown: str) -> list[bytes]:
    candidate, _, start = shown.rpartition(".")
    replay.ensure(services.store.run_dir, candidate, starts=int(start) + 1)
    return replay.stills(services.store.run_dir, shown, FRAMES)


def parse(text: str) -> tuple[Answer, str] | None:
    """Return the answer and its reason, if ``text`` is one JSON object with just these, fenced or not; else None."""
    # Models think aloud and put JSON into fences
    bare = without_thoughts(text).strip()
    if fenced := _FENCE.match(bare):
        bare = fenced[1]
    try:
        said = _VisionAnswer.model_validate(json.loads(bare))
    except (ValueError, ValidationError, RecursionError):
        return None
    return said.answer, one_line(said.reason, REASON_LIMIT)
