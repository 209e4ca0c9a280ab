"""A sweep while it runs: what is known of it from its events, as plain lines or as a view on a terminal."""

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

EVERY = 30.0
"""Seconds between two lines that say only how far everything is."""
SHOWN = 12
"""Running searches that the view has lines for."""
_SUMS = ("calls", "prompt_tokens", "completion_tokens", "dollars", "steps")


class SweepProgress:
    """Takes events in; answers how far the sweep is, what it cost so far and how long it will take.

    Args:
        threads: processors of each search.
        slots: searches at once.
        clock: seconds, monotonic.
    """

    def __init__(
        self, plan: Plan, rates: Rates, threads: int, slots: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from rewardgen.sweep import of_planned

        self.plan, self._slots, self._clock, self._began = plan, max(1, slots), clock, clock()
        self._expected = {p.key: of_planned(p, rates, threads).hours * 3600 for p in plan.searches}
        self._started: dict[str, float] = {}
        self._took: list[tuple[float, float]] = []
        """Of searches that ran from start to end here: seconds expected, seconds taken."""
        self._cost: dict[str, dict[str, Any]] = {}
        self.running: dict[str, Progress] = {}
        self._measured: dict[str, tuple[int, int]] = {}
        """Of each task's baselines: environment steps that were taken, and all of them."""
        self.ended: dict[str, str] = {}
        """Search → how it ended; those that were finished before are not among them."""
        self.before = 0
        self._waiting = set(self._expected)

    @property
    def total(self) -> int:
        return len(self._expected)

    @property
    def done(self) -> int:
        """Searches that are over, however they ended."""
        return self.before + len(self.ended)

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    def take(self, job: Job | None, event: Event) -> None:
        """Learn from one event, of a job or, without one, of the sweep."""
        from rewardgen.search import events as of_search
        from rewardgen.sweep import events

        if job is None:
            match event:
                case events.SweepStarted():
                    self.before = event.finished
                    self._waiting -= set(event.reused)
                case events.SearchLeftOut():
                    self._waiting.discard(event.search)
                    self.ended[event.search] = "left out"
            return
        match event:
            case events.JobStarted():
                self._started_job(job)
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
                        self._took.append((self._expected[job.key], self._clock() - self._started[job.key]))
            case _ if job.key in self.running:
                self.running[job.key].take(event)
                if isinstance(event, of_search.CostSoFar):
                    self._cost[job.key] = event.data

    def _started_job(self, job: Job) -> None:
        from rewardgen.sweep import Rates, of_baselines

        self.running[job.key] = Progress(job.config, self._clock)
        self._started[job.key] = self._clock()
        self._waiting.discard(job.key)
        if job.kind == "baselines":
            trainings = of_baselines(job.config, Rates(), 1).trainings
            self._measured[job.key] = 0, trainings * job.config.training.steps

    @property
    def cost(self) -> dict[str, Any]:
        """What the searches of this process cost so far, together."""
        running = {key: progress.cost_so_far for key, progress in self.running.items() if progress.cost}
        everyone = {**self._cost, **running}
        if not everyone:
            return {}
        return {name: sum(cost.get(name, 0) for cost in everyone.values()) for name in _SUMS}

    @property
    def seconds_left(self) -> float | None:
        """An estimate of the rest, corrected by what is over and what is under way; None where nothing is known."""
        now = self._clock()
        searches = [
            (self._expected[key], now - self._started[key], progress.seconds_left)
            for key, progress in self.running.items()
            if key in self._expected
        ]
        known = [*self._took, *((expected, past + left) for expected, past, left in searches if left is not None)]
        expected, took = (sum(column) for column in zip(*known, strict=True)) if known else (1.0, 1.0)
        factor = took / expected if expected > 0 else 1.0
        waiting = sum(self._expected[key] for key in self._waiting) * factor
        under_way = [max(0.0, each * factor - past if left is None else left) for each, past, left in searches]
        if not under_way and not self._waiting:
            return None
        return max([(waiting + sum(under_way)) / self._slots, *under_way])

    def doing(self, key: str) -> str:
        """What a job that runs does now, in a few words."""
        if key not in self._measured:
            return doing(self.running[key])
        steps, most = self._measured[key]
        return f"measuring {steps / max(1, most):.0%}"


def doing(progress: Progress) -> str:
    """What one search does now, in a few words."""
    if progress.asking:
        return f"generation {progress.generation}, {progress.asking}"
    if progress.training is None:
        return f"generation {progress.generation}" if progress.started else "starting"
    what = "reported scores" if progress.training.what == "final" else f"generation {progress.generation}, training"
    return f"{what} {progress.training.steps / max(1, progress.training.total):.0%}"


def status_line(progress: SweepProgress) -> str:
    parts = [f"{progress.done} of {progress.total} searches", clock(progress.seconds)]
    left = progress.seconds_left
    if left is not None:
        parts.append(f"about {clock(left)} to go")
    cost = cost_text(progress.cost)
    return safe("; ".join([*parts, cost] if cost else parts))


class SweepLines:
    """A watch that writes one line for each thing that happens."""

    def __init__(
        self,
        progress: SweepProgress,
        screen: Console,
        *,
        steady: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._screen, self._clock, self._steady = progress, screen, clock, steady
        self._said = clock()
        self._warned: set[str] = set()

    def __call__(self, job: Job | None, event: Event) -> None:
        scores = dict(self._progress.running[job.key].finals) if job and job.key in self._progress.running else {}
        self._progress.take(job, event)
        line, style = self._line(job, event, scores)
        if not line and self._steady and self._clock() - self._said >= EVERY and self._progress.running:
            now = ", ".join(f"{key}: {self._progress.doing(key)}" for key in self._progress.running)
            line = f"{status_line(self._progress)}; now {now}"
        if line:
            self._said = self._clock()
            self._screen.print(Text(safe(line), style=style))

    def _line(self, job: Job | None, event: Event, scores: dict[str, Evaluated]) -> tuple[str, str]:
        """The line on an event and its style; "" where there is none."""
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
                return f"{place} {key} failed and is tried again: {event.error}: {event.message}", "yellow"
            case of_search.RunWarning() if event.message not in self._warned:  # most hold for all searches alike
                self._warned.add(event.message)
                return f"{place} note on {key}: {event.message}", "yellow"
            case events.JobEnded() if event.status == "failed":
                return f"{place} failed {key}: {event.error}: {event.message}", "red"
            case events.JobEnded():
                parts = [f"{place} finished {key}"]
                if (won := scores.get("winner")) is not None:
                    parts.append(f": {short_number(won.mean)} [{short_number(won.low)}, {short_number(won.high)}]")
                left = progress.seconds_left
                return "".join(parts) + (f"; about {clock(left)} to go" if left is not None else ""), ""
        return "", ""


class SweepView:
    """A watch and a context manager: what is over scrolls by as lines, what is under way is redrawn in place."""

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
        progress = self._progress
        listing = table("running", "", "best so far", "left", right=("best so far", "left"))
        running = list(progress.running.items())
        for key, each in running[:SHOWN]:
            best, left = each.best, each.seconds_left
            listing.add_row(
                Text(safe(key)),
                Text(safe(progress.doing(key)), style="cyan"),
                short_number(best[1]) if best is not None else "–",
                clock(left) if left is not None else "",
            )
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=max(1, progress.total), completed=progress.done, width=30), status_line(progress))
        parts: list[RenderableType] = [listing] if running else []
        if len(running) > SHOWN:
            parts.append(Text(f"… and {len(running) - SHOWN} more", style="dim"))
        return Group(*parts, bar)


@contextmanager
def watched(progress: SweepProgress, screen: Console) -> Iterator[Watch]:
    """A view on a terminal, plain lines elsewhere."""
    if not screen.is_terminal or screen.is_dumb_terminal:
        yield SweepLines(progress, screen)
        return
    with SweepView(progress, screen) as view:
        yield view
