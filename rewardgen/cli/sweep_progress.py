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
        from rewardgen.sweep import Rates, of_baselines

        if job is None:
            if event.kind == "sweep_started":
                self.before = event.data["finished"]
                self._waiting -= set(event.data["reused"])
            elif event.kind == "left_out":
                self._waiting.discard(event.data["search"])
                self.ended[event.data["search"]] = "left out"
            return
        if event.kind == "started":
            self.running[job.key] = Progress(job.config, self._clock)
            self._started[job.key] = self._clock()
            self._waiting.discard(job.key)
            if job.kind == "baselines":
                trainings = of_baselines(job.config, Rates(), 1).trainings
                self._measured[job.key] = 0, trainings * job.config.training.steps
        elif event.kind == "steps" and job.key in self._measured:
            self._measured[job.key] = event.data["steps"], self._measured[job.key][1]
        elif event.kind == "retried":
            self.running.pop(job.key, None)
            self._waiting.add(job.key)
        elif event.kind == "ended":
            self.running.pop(job.key, None)
            if job.kind == "search":
                self.ended[job.key] = event.data["status"]
                if event.data["status"] == "finished":
                    self._took.append((self._expected[job.key], self._clock() - self._started[job.key]))
        elif job.key in self.running:
            self.running[job.key].take(event)
            if event.kind == "cost":
                self._cost[job.key] = dict(event.data)

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

    def _line(self, job: Job | None, event: Event, scores: dict[str, Any]) -> tuple[str, str]:
        data, progress = event.data, self._progress
        place = f"[{progress.done}/{progress.total}]"
        if job is None:
            if event.kind == "left_out":
                return f"{place} left out {data['search']}: {data['message']}", "yellow"
            before = f", {data['finished']} of them finished before" if data["finished"] else ""
            more = f", baselines of {data['baselines']} kinds first" if data["baselines"] > 1 else ""
            return f"sweep {progress.plan.name}: {data['searches']} searches{before}{more}; {data['where']}", "bold"
        if event.kind == "started":
            return f"{place} starting {job.key}", ""
        if event.kind == "retried":
            return f"{place} {job.key} failed and is tried again: {data['error']}: {data['message']}", "yellow"
        if event.kind == "warning" and data["message"] not in self._warned:  # most hold for all searches alike
            self._warned.add(data["message"])
            return f"{place} note on {job.key}: {data['message']}", "yellow"
        if event.kind == "ended" and data["status"] == "failed":
            return f"{place} failed {job.key}: {data['error']}: {data['message']}", "red"
        if event.kind == "ended":
            told = [f"{place} finished {job.key}"]
            if "winner" in scores:
                found = scores["winner"]
                told.append(
                    f": {short_number(found['mean'])} [{short_number(found['low'])}, {short_number(found['high'])}]"
                )
            left = progress.seconds_left
            return "".join(told) + (f"; about {clock(left)} to go" if left is not None else ""), ""
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
