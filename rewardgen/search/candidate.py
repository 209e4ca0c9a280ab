"""A candidate, its place in the run, and what a generation hands to the next.

Every stage takes candidates and returns them enriched: ``propose`` fills in what is asked, ``write`` the reply,
``screen`` the program, ``train`` the results and scores, ``confirm_leader`` the fresh ones, ``judge`` the standing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rewardgen.records import Outcome, Problem, Reply, RewardProgram, TrainingResult
from rewardgen.request import Request, Turn
from rewardgen.seeds import derive

_NOTHING = Request("generation", ())

IslandKeys = tuple[tuple[str, ...], ...]
"""The keys of the candidates that live on each island."""


@dataclass(frozen=True)
class Place:
    """A generation of a restart of the run with the seed ``run_seed``. All its keys and seeds are made here.

    Keys name candidates, calls and judgements in the store: "r0g1" is generation 1 of restart 0, and "r0g1c2" its
    candidate 2; then "i" is a call for one candidate alone, "a" an attempt after the first, "v" a review and "w" the
    revision after it. A seed is a 31-bit number that depends on the run's seed, on what it is for and on the place;
    ``index`` is a candidate's number within its generation.
    """

    restart: int
    generation: int
    run_seed: int = 0

    # ---- keys

    @property
    def key(self) -> str:
        """The generation's key, which is also that of the one call that asks for all its programs."""
        return f"r{self.restart}g{self.generation}"

    def candidate(self, index: int) -> str:
        """Return the key of a candidate: "r0g1c2"."""
        return f"{self.key}c{index}"

    def candidates(self, count: int) -> list[str]:
        """Return the keys of the generation's candidates."""
        return [self.candidate(index) for index in range(count)]

    def own_call(self, index: int) -> str:
        """Return the key of the call that asks for one candidate alone, because it has parents of its own."""
        return f"{self.key}i{index}"

    def repair_call(self, index: int, attempt: int) -> str:
        """Return the key of the call after the failed ``attempt`` (from 0): a repair, or a fresh program."""
        return f"{self.candidate(index)}a{attempt + 1}"

    def review_call(self, index: int, round_: int) -> str:
        """Return the key of the call in which the critic reviews a candidate."""
        return f"{self.candidate(index)}v{round_}"

    def revision_call(self, index: int, round_: int) -> str:
        """Return the key of the call in which the author answers the critic."""
        return f"{self.candidate(index)}w{round_}"

    @property
    def analysis_call(self) -> str:
        """The key of the call in which the analyser reads the best candidate's episodes."""
        return f"{self.key}analysis"

    def judgement(self, kind: str, index: int) -> str:
        """Return the key of an answer of a judge that is not a person: "vlm-0-1-2"."""
        return f"{kind}-{self.restart}-{self.generation}-{index}"

    def earlier(self) -> list[Place]:
        """Return the generations before this one. Those of other restarts are none: restarts share nothing."""
        return [replace(self, generation=generation) for generation in range(self.generation)]

    # ---- seeds

    def selection_seeds(self, count: int) -> list[int]:
        """Return the training seeds that all candidates share, so that they differ by their rewards alone."""
        return [self._seed("selection", number) for number in range(count)]

    def fresh_seeds(self, count: int) -> list[int]:
        """Return the training seeds on which the leader is measured again, once it has been chosen."""
        return [self._seed("fresh", number) for number in range(count)]

    def replies_seed(self, call: int | None = None) -> int:
        """Return the seed of the call for programs, or of the ``call``-th where there are several."""
        return self._seed("replies", *([] if call is None else [call]))

    def repair_seed(self, index: int, attempt: int) -> int:
        """Return the seed of ``repair_call``."""
        return self._seed("repair", index, attempt)

    def review_seed(self, index: int, round_: int) -> int:
        """Return the seed of ``review_call``."""
        return self._seed("review", index, round_)

    def revision_seed(self, index: int, round_: int) -> int:
        """Return the seed of ``revision_call``."""
        return self._seed("revision", index, round_)

    def analysis_seed(self) -> int:
        """Return the seed of ``analysis_call``."""
        return self._seed("analysis")

    def births_seed(self) -> int:
        """Return the seed of the draw of islands and parents."""
        return self._seed("births")

    def migration_seed(self) -> int:
        """Return the seed of the draw of migrations between islands."""
        return self._seed("migration")

    def probes_seed(self) -> int:
        """Return the seed of the stored transitions on which rewards are compared."""
        return self._seed("probes")

    def audit_seed(self, index: int, attempt: int) -> int:
        """Return the seed that decides whether a copy is trained anyway."""
        return self._seed("audit", index, attempt)

    def pair_seed(self, index: int) -> int:
        """Return the seed of the choice of the ``index``-th pair of replays."""
        return self._seed("pairs", index)

    def simulated_judge_seed(self, index: int) -> int:
        """Return the seed of a simulated judge's errors on the ``index``-th pair."""
        return self._seed("simulated judge", index)

    def vision_seed(self, index: int) -> int:
        """Return the seed of the call to a vision model on the ``index``-th pair."""
        return self._seed("vision", index)

    def _seed(self, purpose: str, *rest: int) -> int:
        return derive(self.run_seed, purpose, self.restart, self.generation, *rest)


@dataclass(frozen=True)
class Candidate:
    """One candidate, as far as the search has come with it.

    Attributes:
        key: unique in the run; ``index`` is its number within its generation.
        parents: the candidates whose code its prompt shows; ``island`` is where it will live, for methods with islands.
        asked: the first request for its program.
        request: the latest request: ``asked``, or that for a repair or a revision.
        reply: the reply to ``request``: number ``reply_index`` of those of the call with the key ``call``.
        program: what passed screening in attempt ``attempt``; None, and ``problems``, if no attempt did.
        trainings: the results on selection seeds and further seeds; ``fresh`` are those on fresh seeds. No weights.
        score: the mean over selection seeds and further seeds; None unless every training has one.
        low, high: bounds of its fitness.
        stopped: a race ended its trainings; it ranks behind all that trained to the end.
        fresh_score: the mean on fresh seeds; None if it was not measured again, NaN if that failed.
        feedback: what the next prompt tells of its trainings.
        standing: what it is ranked by instead of the fitness, once it has been judged.
    """

    key: str
    index: int = 0
    # what is asked, and from what it follows
    parents: tuple[str, ...] = ()
    island: int = 0
    asked: Request = _NOTHING
    # the reply
    call: str = ""
    reply_index: int = 0
    request: Request = _NOTHING
    reply: Reply | None = None
    # screening
    program: RewardProgram | None = None
    attempt: int = 0
    problems: tuple[Problem, ...] = ()
    # training and selection
    trainings: tuple[TrainingResult, ...] = ()
    fresh: tuple[TrainingResult, ...] = ()
    score: float | None = None
    success_rate: float = 0.0
    low: float | None = None
    high: float | None = None
    stopped: bool = False
    fresh_score: float | None = None
    # what others are told, and what judges said
    feedback: str = ""
    standing: float | None = None

    @property
    def source(self) -> str | None:
        """The source of its program."""
        return self.program.source if self.program is not None else None

    @property
    def status(self) -> str:
        """How it ended, as the store has it: "rejected", "trained" or "failed"."""
        return "rejected" if self.program is None else "trained" if self.score is not None else "failed"

    @property
    def lower_bound(self) -> float:
        """The lower bound of its fitness, or its score where no bound is known; NaN without a score."""
        value = self.low if self.low is not None else self.score
        return math.nan if value is None or self.score is None else value

    @property
    def rank(self) -> tuple[bool, float]:
        """The sort key of candidates, higher is better: first whether it trained to the end, then standing or bound.

        The bound is NaN without a finite score.
        """
        return not self.stopped, self.lower_bound if self.standing is None else self.standing

    @property
    def outcome(self) -> Outcome:
        """How it ended, for the prompts of others."""
        return Outcome(self.key, self.score, self.problems, self.stopped)

    def trained(self, results: Sequence[TrainingResult]) -> Candidate:
        """Return it with the results of its selection seeds and further seeds, and with the score of these."""
        scores = [result.score for result in results]
        mean = sum(scores) / len(scores) if scores else math.nan
        failures = tuple(Problem("train", result.message) for result in results if result.status == "failed")
        best = [result.best for result in results if result.best is not None]
        return replace(
            self,
            trainings=tuple(results),
            score=mean if math.isfinite(mean) else None,
            success_rate=sum(point.success_rate for point in best) / len(best) if best else 0.0,
            problems=self.problems + failures,
            stopped=any(result.status == "stopped" for result in results),
        )


@dataclass(frozen=True)
class History:
    """What a search carries from one generation to the next.

    Attributes:
        candidates: every candidate of the run that has been trained or rejected, by key, in order.
        tried: key → program of this restart's accepted candidates, in the order in which they were accepted.
        parent: the candidate that the next generation follows from.
        turns: what the next prompt shows, oldest first.
        failures: why the last generation had no best candidate; empty if it had one.
        islands: who lives on the islands, for methods that have some; their prompts show parents instead of turns.
    """

    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    tried: Mapping[str, RewardProgram] = field(default_factory=dict)
    parent: str | None = None
    turns: tuple[Turn, ...] = ()
    failures: tuple[Outcome, ...] = ()
    islands: IslandKeys = ()

    def restarted(self) -> History:
        """Return the history that a restart begins with: the candidates alone, because restarts share nothing else."""
        return History(self.candidates)

    def extended(self, candidates: Iterable[Candidate]) -> History:
        """Return the history with the candidates of a generation added."""
        new = list(candidates)
        # In the order of acceptance, which decides which program a later copy is said to repeat: those of the first
        # attempt come before repaired ones
        accepted = sorted((each for each in new if each.program is not None), key=lambda each: each.attempt)
        tried = {each.key: each.program for each in accepted if each.program is not None}
        return replace(
            self,
            candidates={**self.candidates, **{each.key: each for each in new}},
            tried={**self.tried, **tried},
        )

    def of(self, keys: Iterable[str]) -> list[Candidate]:
        """Return the candidates of these keys, as they stand now."""
        return [self.candidates[key] for key in keys]

    @property
    def everyone(self) -> list[Candidate]:
        """All candidates of the run, in order."""
        return list(self.candidates.values())
