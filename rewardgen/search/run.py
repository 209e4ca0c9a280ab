"""What one run has at hand: its task, author, sandbox and store, and how it asks, tells and warns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewardgen.config import Config
from rewardgen.errors import LLMError
from rewardgen.llm import Author
from rewardgen.records import Reply, RewardProgram
from rewardgen.request import Purpose, Request
from rewardgen.sandbox import Sandbox
from rewardgen.search import seeds
from rewardgen.search.budget import WorkBudget
from rewardgen.search.events import Event, Listener
from rewardgen.search.method import Method
from rewardgen.sim import Arrangement
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.store import Store, write_progress
from rewardgen.tasks import Task
from rewardgen.tracking import Tracking

if TYPE_CHECKING:
    from rewardgen.search.screening import Transitions
    from rewardgen.search.shards import Workers
    from rewardgen.search.trajectories import Archive

PROGRESS_SECONDS = 1.0
"""Between two notes of how far a training is, for those who watch from elsewhere."""
NOTICE_SECONDS = 0.2
"""Between two looks at what the author wants said while it is waited for."""
LASTING = frozenset({"note", "warning"})
"""Kinds of events that the store keeps: those that stand in no other record."""


@dataclass(frozen=True)
class Call:
    """A request that is to be answered ``n`` times; ``key`` names it in the store."""

    key: str
    request: Request
    n: int
    seed: int


@dataclass
class Run:
    config: Config
    task: Task
    method: Method
    author: Author
    sandbox: Sandbox
    store: Store
    budget: WorkBudget
    listener: Listener
    tracking: Tracking
    baselines: Path
    """Where this machine's baselines are kept."""
    envs: tuple[Path, ...] = ()
    workers: Workers | None = None
    """Other machines, where trainings take place; None is this one."""
    prompts_dir: Path | None = None
    arrangement: Arrangement = ON_CPU
    accepted: dict[str, RewardProgram] = field(default_factory=dict)
    """The key of every candidate whose program this restart has accepted → that program, in order."""
    viewer: Author | None = None
    """Who looks at frames of replays, where a vision model judges."""
    progress_due: float = 0.0
    pending_warnings: list[str] = field(default_factory=list)
    """What the author or a tracker wants said; they may want so from any thread, so the loop says it."""
    pending_notices: list[str] = field(default_factory=list)
    """The same of what passes, such as a request that is tried again: shown, but not kept."""

    @cached_property
    def transitions(self) -> Transitions:
        """Real transitions that every program is tried on before it is trained."""
        from rewardgen.search.screening import random_transitions

        count = self.config.sandbox.smoke_transitions
        return random_transitions(self.task, count, seeds.derive(self.config.seed, "smoke"), self.config.threads)

    @cached_property
    def episodes(self) -> Archive:
        """Whole episodes that programs are tried on before they are trained."""
        from rewardgen.search.trajectories import Archive

        return Archive(self.task, self.config, self.store)

    def twin(self, program: RewardProgram) -> str | None:
        """The candidate that has this very program already."""
        return next((key for key, other in self.accepted.items() if other.digest == program.digest), None)

    def rest(self) -> None:
        """Give back what costs memory and processes while nothing is to be done; all of it comes again when asked."""
        self.sandbox.rest()
        self.__dict__.pop("transitions", None)
        self.__dict__.pop("episodes", None)

    # ---- asking

    def ask(self, key: str, request: Request, n: int, seed: int) -> list[Reply]:
        """``n`` replies, from the store if the call was answered before.

        Raises:
            LLMError: the author cannot be reached; the call is kept with its error and made again on resume.
            BudgetExceeded: the call would cost more than is left.
        """
        return self.ask_all([Call(key, request, n, seed)])[0]

    def ask_all(self, calls: Sequence[Call], author: Author | None = None) -> list[list[Reply]]:
        """The replies of several calls of one purpose made at once; each is stored as soon as those before it are.

        ``author`` answers instead of the run's own.
        """
        author = author or self.author
        answers = {call.key: self.store.replies(call.key) for call in calls}
        missing = [call for call in calls if answers[call.key] is None]
        if missing:
            self.say("calling", purpose=missing[0].request.purpose, n=sum(call.n for call in missing))
        with ThreadPoolExecutor(max_workers=max(1, self.config.llm.concurrency)) as pool:
            futures = [pool.submit(author.reply, call.request, call.n, seed=call.seed) for call in missing]
            try:
                for call, future in zip(missing, futures, strict=True):
                    purpose, messages = call.request.purpose, call.request.messages
                    try:
                        while wait([future], timeout=NOTICE_SECONDS).not_done:
                            self.tell_notices()
                        self.tell_notices()
                        replies = future.result()
                    except LLMError as error:
                        self.store.add_call(call.key, purpose, call.seed, messages, [], str(error))
                        raise
                    self.warn_pending()  # before the call is kept: after it, a resumed run would not ask again
                    self.store.add_call(call.key, purpose, call.seed, messages, replies)
                    answers[call.key] = replies
                    self._tell_replies(purpose, replies)
            except BaseException:
                # leaving the pool waits for its threads, and Ctrl-C must not wait for a language model
                author.close()
                raise
        return [answer for call in calls if (answer := answers[call.key]) is not None]

    def _tell_replies(self, purpose: Purpose, replies: Sequence[Reply]) -> None:
        self.say(
            "replied",
            purpose=purpose,
            replies=len(replies),
            prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            completion_tokens=sum(reply.completion_tokens for reply in replies),
            dollars=sum(reply.dollars for reply in replies),
            cached=sum(reply.cached for reply in replies),
        )
        self.tick()

    # ---- telling

    def say(self, kind: str, **data: Any) -> None:
        """Tell those who watch; what lasts is kept too."""
        if kind in LASTING:
            self.store.add_event(kind, data)
        if kind == "training_progress" and time.monotonic() >= self.progress_due:
            write_progress(self.store.run_dir, **data)
            self.progress_due = time.monotonic() + PROGRESS_SECONDS
        self.listener(Event(kind, data))

    def warn(self, message: str) -> None:
        self.say("warning", message=message)

    def tell_notices(self) -> None:
        while self.pending_notices:
            self.say("endpoint", message=self.pending_notices.pop(0))

    def warn_pending(self) -> None:
        while self.pending_warnings:
            self.warn(self.pending_warnings.pop(0))

    def tick(self) -> None:
        """Keep the time taken so far and say what the run has cost."""
        self.warn_pending()
        self.store.set_meta(seconds=round(self.budget.seconds, 3))
        spent = self.store.spent()
        self.say("cost", **spent, seconds=self.budget.seconds)
