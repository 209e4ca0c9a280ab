"""What a run has at hand: replies and trainings, from the store or new, a budget, and those who watch.

Nothing here decides what the search does next. Replies and trainings are what costs; each is looked up in the store
first and kept there as soon as it is there, which is why resuming a run is running it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rewardgen.config import BudgetConfig, Config
from rewardgen.errors import BudgetExceeded, LLMError
from rewardgen.llm import Author
from rewardgen.llm.dialog import Dialog
from rewardgen.records import Checkpoint, Reply, RewardProgram, TrainingResult
from rewardgen.request import Purpose, Request
from rewardgen.sandbox import Sandbox
from rewardgen.screening import Archive, Transitions, random_transitions
from rewardgen.search import events
from rewardgen.search.events import Event, Listener, Trained
from rewardgen.search.method import Method
from rewardgen.seeds import smoke_seed
from rewardgen.sim import Arrangement
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.store import Store, write_progress
from rewardgen.tasks import Task
from rewardgen.tracking import Tracking
from rewardgen.training import Reward, Trainer, TrainingSpec, Watcher, save_folders
from rewardgen.training.episodes import Collector

PROGRESS_SECONDS = 1.0
"""Between two writes of how far a training is, for those who watch from other processes."""
NOTICE_SECONDS = 0.2
"""Between two looks at whether the author has notices, while it is waited for."""


# --------------------------------------------------------------------------------------------------------------------
# the budget


class WorkBudget:
    """Stops new work before the budget of environment steps or hours is exceeded.

    Dollars, tokens and calls are limited where they are spent, in ``llm``.

    Args:
        limits: the settings; None is no limit.
        steps_spent: returns the environment steps that the run has paid for.
        seconds_before: wall-clock seconds that earlier processes of this run took.
    """

    def __init__(self, limits: BudgetConfig, steps_spent: Callable[[], int], seconds_before: float) -> None:
        self._limits = limits
        self._steps_spent = steps_spent
        self._before = seconds_before
        self._began = time.monotonic()
        self._rate: float | None = None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the whole run, earlier processes included."""
        return self._before + time.monotonic() - self._began

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Do not count the time within: people take as long as they take."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._began += time.monotonic() - began

    def measured(self, steps_per_second: float) -> None:
        """Take note of how fast this machine trains, from which hours are estimated."""
        self._rate = steps_per_second

    def check_steps(self, steps: int, *, reserve: int = 0) -> None:
        """Check that ``steps`` more may be taken while ``reserve`` stay for later.

        Raises:
            BudgetExceeded: they would exceed the limit on steps, or, at the measured speed, the one on hours.
        """
        # Steps are known exactly
        limit = self._limits.steps
        if limit is not None:
            left = limit - self._steps_spent()
            if steps + reserve > left:
                raise BudgetExceeded(
                    f"the budget of {limit:,} environment steps has {max(left, 0):,} left, and this needs {steps:,}"
                    + (f" with {reserve:,} kept for the reported scores" if reserve else "")
                    + "; raise --budget-steps or lower --steps"
                )

        # Hours are estimated by the measured speed
        self.check_hours()
        hours = self._limits.hours
        if hours is not None and self._rate:
            needed = (steps + reserve) / self._rate
            if self.seconds + needed > hours * 3600:
                raise BudgetExceeded(
                    f"the budget of {hours:g} hours has {max(hours * 3600 - self.seconds, 0) / 60:.0f} minutes left, "
                    f"and this would take about {needed / 60:.0f}; raise --budget-hours or lower --steps"
                )

    def check_hours(self) -> None:
        """Check that the run has hours left.

        Raises:
            BudgetExceeded: it has taken those it was given.
        """
        hours = self._limits.hours
        if hours is not None and self.seconds >= hours * 3600:
            raise BudgetExceeded(f"the budget of {hours:g} hours is used up; raise --budget-hours and resume")


# --------------------------------------------------------------------------------------------------------------------
# those who watch


class Reporter:
    """Passes events to the listener, and to the store where they last.

    ``pending_warnings`` and ``pending_notices`` are filled from any thread, by the author and the trackers; they are
    reported from the thread of the loop. Notices, such as that a request is tried again, are shown and not stored.
    Which requests of ``dialog`` wait for answers is kept in the store, for those who can answer.
    """

    def __init__(
        self,
        store: Store,
        budget: WorkBudget,
        listener: Listener,
        pending_warnings: list[str],
        pending_notices: list[str],
        dialog: Dialog,
    ) -> None:
        self._store, self._budget, self._listener = store, budget, listener
        self._warnings, self._notices = pending_warnings, pending_notices
        self._dialog = dialog
        self._asking: tuple[Path, ...] = ()
        self._progress_due = 0.0

    def say(self, event: Event) -> None:
        """Report an event."""
        if isinstance(event, events.LASTING):
            self._store.add_event(event.kind, event.data)
        # Those who watch from other processes read a file, which is not written at every update
        if isinstance(event, events.TrainingProgress) and time.monotonic() >= self._progress_due:
            write_progress(self._store.run_dir, **event.data)
            self._progress_due = time.monotonic() + PROGRESS_SECONDS
        self._listener(event)

    def warn(self, message: str) -> None:
        """Report a warning, and keep it."""
        self.say(events.RunWarning(message))

    def tell_notices(self) -> None:
        """Report the pending notices, and keep which requests wait for answers."""
        while self._notices:
            self.say(events.EndpointNotice(self._notices.pop(0)))
        if (asking := self._dialog.open_requests) != self._asking:
            self._store.set_meta(asking=[str(path.resolve()) for path in asking] or None)
            self._asking = asking

    def warn_pending(self) -> None:
        """Report the pending warnings."""
        while self._warnings:
            self.warn(self._warnings.pop(0))

    def tick(self) -> None:
        """Keep the time taken so far, and report what the run has cost."""
        self.warn_pending()
        self._store.set_meta(seconds=round(self._budget.seconds, 3))
        spent = self._store.spent()
        self.say(events.CostSoFar(**spent, seconds=self._budget.seconds))  # type: ignore[arg-type]  # counts are ints


# --------------------------------------------------------------------------------------------------------------------
# everything together


@dataclass(frozen=True)
class Call:
    """A request that is to be answered ``n`` times; ``key`` names it in the store."""

    key: str
    request: Request
    n: int
    seed: int


@dataclass(frozen=True)
class Services:
    """What every stage of a search is given.

    Attributes:
        author: writes programs; ``viewer`` looks at replays, where a vision model judges.
        trainer: carries out trainings, wherever that is; ``arrangement`` is where physics takes place on this machine.
        baselines: the folder where this machine's baselines are kept.
        prompts_dir: the user's own templates, if any.
    """

    config: Config
    task: Task
    method: Method
    author: Author
    sandbox: Sandbox
    trainer: Trainer
    store: Store
    budget: WorkBudget
    reporter: Reporter
    tracking: Tracking
    baselines: Path
    trials: Trials
    prompts_dir: Path | None = None
    arrangement: Arrangement = ON_CPU
    viewer: Author | None = None

    def ask(self, calls: Sequence[Call], author: Author | None = None) -> list[list[Reply]]:
        """Return the replies of several calls of one purpose made at once, from the store if they were answered before.

        Each is stored as soon as those before it are.

        Args:
            author: answers instead of the run's own.

        Raises:
            LLMError: the author cannot be reached; the call is kept with its error and made again on resume.
            BudgetExceeded: a call would cost more than is left.
        """
        # Look for stored answers
        author = author or self.author
        answers = {call.key: self.store.replies(call.key) for call in calls}
        missing = [call for call in calls if answers[call.key] is None]
        if missing:
            self.reporter.say(events.Calling(missing[0].request.purpose, sum(call.n for call in missing)))

        # Ask for the others at once, and keep each answer in its turn
        with ThreadPoolExecutor(max_workers=max(1, self.config.llm.concurrency)) as pool:
            futures = [pool.submit(author.reply, call.request, call.n, seed=call.seed) for call in missing]
            try:
                for call, future in zip(missing, futures, strict=True):
                    purpose, messages = call.request.purpose, call.request.messages
                    try:
                        while wait([future], timeout=NOTICE_SECONDS).not_done:
                            self.reporter.tell_notices()
                        self.reporter.tell_notices()
                        replies = future.result()
                    except LLMError as error:
                        self.store.add_call(call.key, purpose, call.seed, messages, [], str(error))
                        raise
                    # before the call is kept: after it, a resumed run would not ask again
                    self.reporter.warn_pending()
                    self.store.add_call(call.key, purpose, call.seed, messages, replies)
                    answers[call.key] = replies
                    self._report_replies(purpose, replies)
            except BaseException:
                # leaving the pool waits for its threads, and Ctrl-C must not wait for a language model
                author.close()
                raise
        return [answer for call in calls if (answer := answers[call.key]) is not None]

    def _report_replies(self, purpose: Purpose, replies: Sequence[Reply]) -> None:
        self.reporter.say(
            events.Replied(
                purpose=purpose,
                replies=len(replies),
                prompt_tokens=sum(reply.prompt_tokens for reply in replies),
                completion_tokens=sum(reply.completion_tokens for reply in replies),
                dollars=sum(reply.dollars for reply in replies),
                cached=sum(reply.cached for reply in replies),
            )
        )
        self.reporter.tick()

    def train(
        self,
        rewards: Mapping[str, RewardProgram | Reward],
        seeds: Mapping[str, Sequence[int]],
        what: Trained,
        *,
        race: StopRule | None = None,
        collector: Collector | None = None,
    ) -> dict[str, list[TrainingResult]]:
        """Return the trainings of every reward with its seeds, from the store if they took place before.

        Args:
            rewards: owner's key → its program (run in the sandbox) or a reward of the task's own.
            seeds: owner's key → its training seeds.
            what: what this is for.
            race: stops those that fall behind.
            collector: keeps some of the checkpoints' episodes, which are stored together with the results.

        Returns:
            owner's key → its results in the order of its seeds, without the policies' weights.

        Raises:
            BudgetExceeded: the trainings would need more steps or time than are left.
        """
        # Look for stored results
        stored = {key: {result.seed: result for result in self.store.trainings(key)} for key in rewards}
        specs = [
            TrainingSpec(key, seed, reward)
            for key, reward in rewards.items()
            for seed in seeds[key]
            if seed not in stored[key]
        ]

        # Train what is missing; results are stored by the report as they end
        if specs:
            for result in self.trainer.train(specs, _TrainingReport(self, what, race, collector)):
                stored[result.key][result.seed] = replace(result, weights=None)
            save_folders.remove(self.store.run_dir)  # the saved state: its results are kept now
        return {key: [stored[key][seed] for seed in seeds[key]] for key in rewards}

    def release(self) -> None:
        """Give back what costs memory and processes while nothing is to be done; it comes back when it is needed."""
        self.sandbox.rest()
        self.trials.release()


StopRule = Callable[[int, Sequence[TrainingResult]], Mapping[int, str]]
"""Says which members stop: see ``Watcher.stop``."""


class _TrainingReport(Watcher):
    """Follows the trainings of a run for the budget, the listener and the trackers, and stores the results."""

    def __init__(self, services: Services, what: Trained, race: StopRule | None, collector: Collector | None) -> None:
        self._services, self._what, self._race = services, what, race
        self.races, self.collector = race is not None, collector
        self._steps = services.config.training.steps
        self._total = self._saved = self._resumed = 0
        self._began = time.monotonic()

    def begin(self, members: Sequence[tuple[str, int]]) -> None:
        services = self._services
        self._total = len(members) * self._steps
        services.budget.check_steps(self._total)
        services.tracking.begin(members)
        services.reporter.say(events.TrainingStarted(len(members), self._total, self._what))
        self._began = time.monotonic()

    def resumed(self, steps: int) -> None:
        self._resumed += steps  # they took no time of this process

    def progress(self, steps: int) -> None:
        services = self._services
        services.budget.check_hours()
        taken = steps - self._resumed
        rate = taken / max(time.monotonic() - self._began, 1e-9)
        if taken:
            services.budget.measured(rate)
        services.reporter.say(events.TrainingProgress(steps, self._total - self._saved, rate, self._what))

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        self._services.tracking.point(key, seed, point)
        self._services.reporter.say(events.CheckpointReached(key, seed, point.steps, point.fitness, point.success_rate))

    def note(self, message: str) -> None:
        self._services.reporter.say(events.Note(message))

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        # count what is saved, so that the progress shown ends at its total
        reasons = self._race(steps, results) if self._race is not None else {}
        stopped = [result.steps for result in results if result.status == "stopped"] + [steps] * len(reasons)
        self._saved = sum(max(0, self._steps - each) for each in stopped)
        return reasons

    def end(self, results: Sequence[TrainingResult]) -> None:
        services, collector = self._services, self.collector
        episodes = (collector.place, collector.content()) if collector is not None else None
        for result in results:
            services.tracking.end(result.key, result)
        services.tracking.settle()  # what is stored next will not be told to the trackers again
        services.store.add_trainings([(result.key, result) for result in results], episodes)
        services.reporter.tick()
        for result in results:
            if result.status == "failed":
                services.reporter.say(events.MemberFailed(result.key, result.seed, result.message))


# --------------------------------------------------------------------------------------------------------------------
# what programs are tried on


@dataclass
class Trials:
    """What every program of a run is tried on before it is trained. Made when it is first needed."""

    task: Task
    config: Config
    store: Store
    _transitions: Transitions | None = field(default=None, init=False, repr=False)
    _episodes: Archive | None = field(default=None, init=False, repr=False)

    @property
    def transitions(self) -> Transitions:
        """Real transitions under random actions."""
        if self._transitions is None:
            config = self.config
            self._transitions = random_transitions(
                self.task, config.sandbox.smoke_transitions, smoke_seed(config.seed), config.threads
            )
        return self._transitions

    @property
    def episodes(self) -> Archive:
        """The run's stored episodes."""
        if self._episodes is None:
            self._episodes = Archive(self.task, self.config, self.store)
        return self._episodes

    def release(self) -> None:
        """Give back the memory."""
        self._transitions = self._episodes = None
