"""The progress of a running sweep from its events: as plain lines, or as a live view on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rewardgen.cli.output import safe, table
from rewardgen.cli.progress import Progress, cost_text
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.search import Event
    from rewardgen.search.events import Evaluated
    from rewardgen.sweep import Job, Plan, Rates, Watch

INTERVAL = 30.0
"""Seconds between two lines that only report progress."""
MAX_SHOWN = 12
"""Max. number of running searches that the view shows."""
_SUMS = ("calls", "prompt_tokens", "completion_tokens", "dollars", "steps")


class SweepProgress:
    """Receives events; knows how far the sweep is, its cost so far and an estimate of the remaining time.

    Args:
        threads: CPU threads of each search.
        slots: number of concurrent searches.
        clock: seconds, monotonic.
    """

    def __init__(
        self, plan: Plan, rates: Rates, threads: int, slots: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from rewardgen.sweep import of_planned

        self.plan, self._slots, self._clock, self._began = plan, max(1, slots), clock, clock()
        # What is expected, and what has happened so far
        self._expected = {p.key: of_planned(p, rates, threads).hours * 3600 for p in plan.searches}
        self._started: dict[str, float] = {}
        self._durations: list[tuple[float, float]] = []
        """Of searches that ran from start to end here: expected seconds, actual seconds."""
        self._cost: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Progress] = {}
        self._measured: dict[str, tuple[int, int]] = {}
        """Of each job that measures baselines: environment steps so far, and in total."""
        self.ended: dict[str, str] = {}
        """Search → how it ended; without those that were finished before this process began."""
        self.before = 0
        self._waiting = set(self._expected)

    @property
    def total(self) -> int:
        """Number of searches."""
        return len(self._expected)

    @property
    def done(self) -> int:
        """Number of searches that are over, however they ended."""
        return self.before + len(self.ended)

    @property
    def seconds(self) -> float:
        """Seconds since this process began."""
        return self._clock() - self._began

    def update(self, job: Job | None, event: Event) -> None:
        """Update from one event, of a job or, if that is None, of the sweep itself."""
        from rewardgen.search import events as of_search
        from rewardgen.sweep import events

        # Events of the sweep
        if job is None:
            match event:
                case events.SweepStarted():
                    self.before = event.finished
                    self._waiting -= set(event.reused)
                case events.SearchLeftOut():
                    self._waiting.discard(event.search)
                    self.ended[event.search] = "left out"
            return
        # Events of a job
        match event:
            case events.JobStarted():
                self._start_job(job)
            case events.BaselineSteps() if job.key in self._measured:
                self._measured[job.key] = event.steps, self._measured[job.key][1]
            case events.JobRetried():
                self.running.pop(job.key, None)
                self._waiting.add(job.key)
            case events.JobEnded():
                self.running.pop(job.key, None)
                if job.kind == "search":
                    self.ended[job.key] = event.status
                    if event.status == "finished":
                        self._durations.append((self._expected[job.key], self._clock() - self._started[job.key]))
            case _ if job.key in self.running:
                self.running[job.key].update(event)
                if isinstance(event, of_search.CostSoFar):
                    self._cost[job.key] = event.data

    def _start_job(self, job: Job) -> None:
        """Begin to follow a job."""
        from rewardgen.sweep import Rates, of_baselines

        self.running[job.key] = Progress(job.config, self._clock)
        self._started[job.key] = self._clock()
        self._waiting.discard(job.key)
        if job.kind == "baselines":
            trainings = of_baselines(job.config, Rates(), 1).trainings
            self._measured[job.key] = 0, trainings * job.config.training.steps

    @property
    def cost(self) -> dict[str, Any]:
        """Cost so far of the searches of this process, together."""
        running = {key: progress.cost_so_far for key, progress in self.running.items() if progress.cost}
        costs = {**self._cost, **running}
        if not costs:
            return {}
        return {name: sum(cost.get(name, 0) for cost in costs.values()) for name in _SUMS}

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds left, corrected by the searches that are over or running; None if nothing is known."""
        # Compare expected and actual times, of searches that are over and of those whose end can be estimated
        now = self._clock()
        searches = [
            (self._expected[key], now - self._started[key], progress.seconds_left)
            for key, progress in self.running.items()
            if key in self._expected
        ]
        known = [*self._durations, *((expected, past + left) for expected, past, left in searches if left is not None)]
        expected, took = (sum(column) for column in zip(*known, strict=True)) if known else (1.0, 1.0)
        factor = took / expected if expected > 0 else 1.0
        # Scale the rest; the sweep takes at least as long as the slowest search that runs
        waiting = sum(self._expected[key] for key in self._waiting) * factor
        under_way = [max(0.0, each * factor - past if left is None else left) for each, past, left in searches]
        if not under_way and not self._waiting:
            return None
        return max([(waiting + sum(under_way)) / self._slots, *under_way])

    def activity(self, key: str) -> str:
        """Return what a running job does now, in a few words."""
        if key not in self._measured:
            return activity(self.running[key])
        steps, most = self._measured[key]
        return f"measuring {steps / max(1, most):.0%}"


def activity(progress: Progress) -> str:
    """Return what a search does now, in a few words."""
    if progress.asking:
        return f"generation {progress.generation}, {progress.asking}"
    if progress.training is None:
        return f"generation {progress.generation}" if progress.started else "starting"
    what = "reported scores" if progress.training.what == "final" else f"generation {progress.generation}, training"
    return f"{what} {progress.training.steps / max(1, progress.training.total):.0%}"


def status_line(progress: SweepProgress) -> str:
    """Return searches done, time, remaining time and cost in one line."""
    parts = [f"{progress.done} of {progress.total} searches", clock(progress.seconds)]
    left = progress.seconds_left
    if left is not None:
        parts.append(f"about {clock(left)} to go")
    cost = cost_text(progress.cost)
    return safe("; ".join([*parts, cost] if cost else parts))


class SweepLines:
    """Prints one line per event.

    Args:
        steady: also print the progress every ``INTERVAL`` seconds; a live view shows it anyway.
    """

    def __init__(
        self,
        progress: SweepProgress,
        screen: Console,
        *,
        steady: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._screen, self._clock, self._steady = progress, screen, clock, steady
        self._last_line = clock()
        self._warned: set[str] = set()

    def __call__(self, job: Job | None, event: Event) -> None:
        # A search's scores are gone from the progress once its job has ended
        scores = dict(self._progress.running[job.key].finals) if job and job.key in self._progress.running else {}
        self._progress.update(job, event)
        line, style = self._line(job, event, scores)
        if not line and self._steady and self._clock() - self._last_line >= INTERVAL and self._progress.running:
            now = ", ".join(f"{key}: {self._progress.activity(key)}" for key in self._progress.running)
            line = f"{status_line(self._progress)}; now {now}"
        if line:
            self._last_line = self._clock()
            self._screen.print(Text(safe(line), style=style))

    def _line(self, job: Job | None, event: Event, scores: dict[str, Evaluated]) -> tuple[str, str]:
        """Return the line for an event and its style; "" for none."""
        from rewardgen.search import events as of_search
        from rewardgen.sweep import events

        progress = self._progress
        place = f"[{progress.done}/{progress.total}]"
        key = job.key if job is not None else ""
        match event:
            case events.SearchLeftOut():
                return f"{place} left out {event.search}: {event.message}", "yellow"
            case events.SweepStarted():
                before = f", {event.finished} of them finished before" if event.finished else ""
                more = f", baselines of {event.baselines} kinds first" if event.baselines > 1 else ""
                return f"sweep {progress.plan.name}: {event.searches} searches{before}{more}; {event.where}", "bold"
            case events.JobStarted():
                return f"{place} starting {key}", ""
            case events.JobRetried():
                return f"{place} {key} failed and is retried: {event.error}: {event.message}", "yellow"
            case of_search.RunWarning() if event.message not in self._warned:  # most concern all searches alike
                self._warned.add(event.message)
                return f"{place} note on {key}: {event.message}", "yellow"
            case events.JobEnded() if event.status == "failed":
                return f"{place} failed {key}: {event.error}: {event.message}", "red"
            case events.JobEnded():
                parts = [f"{place} finished {key}"]
                if (winner := scores.get("winner")) is not None:
                    parts.append(
                        f": {short_number(winner.mean)} [{short_number(winner.low)}, {short_number(winner.high)}]"
                    )
                left = progress.seconds_left
                return "".join(parts) + (f"; about {clock(left)} to go" if left is not None else ""), ""
        return "", ""


class SweepView:
    """A live view and context manager: events scroll by as lines, running searches are redrawn in place."""

    def __init__(self, progress: SweepProgress, screen: Console) -> None:
        self._progress = progress
        self._live = Live(console=screen, refresh_per_second=2, get_renderable=self._draw, transient=True)
        self._lines = SweepLines(progress, screen, steady=False)

    def __enter__(self) -> SweepView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, job: Job | None, event: Event) -> None:
        self._lines(job, event)

    def _draw(self) -> RenderableType:
        # One row per running search
        progress = self._progress
        listing = table("running", "", "best so far", "left", right=("best so far", "left"))
        running = list(progress.running.items())
        for key, each in running[:MAX_SHOWN]:
            best, left = each.best, each.seconds_left
            listing.add_row(
                Text(safe(key)),
                Text(safe(progress.activity(key)), style="cyan"),
                short_number(best[1]) if best is not None else "–",
                clock(left) if left is not None else "",
            )
        # The whole sweep
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=max(1, progress.total), completed=progress.done, width=30), status_line(progress))
        parts: list[RenderableType] = [listing] if running else []
        if len(running) > MAX_SHOWN:
            parts.append(Text(f"… and {len(running) - MAX_SHOWN} more", style="dim"))
        return Group(*parts, bar)


@contextmanager
def watched(progress: SweepProgress, screen: Console) -> Iterator[Watch]:
    """Yield a live view on a terminal, plain lines elsewhere."""
    if not screen.is_terminal or screen.is_dumb_terminal:
        yield SweepLines(progress, screen)
        return
    with SweepView(progress, screen) as view:
        yield view
