"""A search on a terminal: finished generations scroll by, the current one is redrawn in place."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rewardgen.cli.lines import arrangement_text, how_to_judge, judged_text, no_model_note, waiting_text
from rewardgen.cli.output import safe, table
from rewardgen.cli.progress import Progress, Row, Training, cost_text
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.search import Event
    from rewardgen.search.events import Evaluated, RunStarted

STYLES = {
    "accepted": "green",
    "training": "cyan",
    "trained": "green",
    "sent back": "yellow",
    "rejected": "red",
    "failed": "red",
    "stopped": "dim",
}
PROBLEM_WIDTH = 60


class LiveView:
    """A listener and context manager: the view is shown while it is entered."""

    def __init__(self, progress: Progress, screen: Console) -> None:
        self._progress, self._screen = progress, screen
        self._live = Live(console=screen, refresh_per_second=4, get_renderable=self._draw, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        from rewardgen.search import events

        progress = self._progress
        progress.update(event)
        # Print what stays; everything else is drawn from the progress
        match event:
            case events.RunStarted():
                self._print_head(event)
            case events.Selected():
                self._screen.print(generation_table(progress), soft_wrap=False)
                progress.rows = {}
            case events.Judged():
                self._screen.print(Text(safe(judged_text(event))))
            case events.Evaluated():
                self._screen.print(final_line(event))
            case events.Note() | events.EndpointNotice():
                self._screen.print(Text(safe(event.message), style="dim"))
            case events.RunWarning():
                self._screen.print(Text(safe(f"note: {event.message}"), style="yellow"))

    def _print_head(self, event: RunStarted) -> None:
        """Print the task, the size of the run, and where it takes place."""
        # Task and size, then place and arrangement
        steps = f"{event.generations} generations of {event.candidates} candidates, {event.steps:,} steps each"
        self._screen.print(
            Text.assemble(
                ("resuming " if event.resumed else "searching a reward for ", ""),
                (safe(event.task), "bold"),
                f": {steps}",
            )
        )
        self._screen.print(Text(safe(f"run {event.path}, rewards written by {event.author}"), style="dim"))
        self._screen.print(Text(safe(arrangement_text(event)), style="dim"))
        if event.offline:
            self._screen.print(Text(no_model_note(event.author), style="yellow"))
        self._screen.print()

    def _draw(self) -> RenderableType:
        """Return the current generation, request and training; rich calls this to redraw."""
        progress = self._progress
        parts: list[RenderableType] = []
        if progress.rows:
            parts.append(generation_table(progress))
        # What the search is waiting for
        if progress.waiting is not None:
            parts.append(Spinner("dots", Text(safe(f"{waiting_text(progress.waiting)}; {how_to_judge(progress)}"))))
        if progress.asking:
            parts.append(Spinner("dots", Text(progress.asking)))
        if progress.training is not None:
            parts.append(training_line(progress.training))
        parts.append(Text(status_line(progress), style="dim"))
        return Group(*parts)


def generation_table(progress: Progress) -> Table:
    """Return the current generation's candidates as a table."""
    listing = table("candidate", "verdict", "fitness", "score", "success", "", right=("fitness", "score", "success"))
    place = f"generation {progress.generation}" + (f", restart {progress.restart}" if progress.restart else "")
    listing.title = Text(place + (f", improving on {progress.parent}" if progress.parent else ""), style="bold")
    listing.title_justify = "left"
    for row in progress.rows.values():
        listing.add_row(*_cells(row))
    return listing


def _cells(row: Row) -> tuple[Text, ...]:
    """Return the cells of a candidate's row."""
    # Text from programs is untrusted, and may have many lines
    verdict = row.status + (f" ({row.attempts - 1} repairs)" if row.attempts > 1 else "")
    problem = safe(" ".join(row.problem.split()))
    if len(problem) > PROBLEM_WIDTH:
        problem = problem[: PROBLEM_WIDTH - 1] + "…"
    bold = "bold" if row.selected else ""
    return (
        Text(safe(row.key), style=bold),
        Text(verdict, style=STYLES.get(row.status, "")),
        Text(short_number(row.latest)),
        Text(short_number(row.score), style=bold),
        Text("–" if row.success_rate is None or row.score is None else f"{row.success_rate:.0%}"),
        Text("◀ best of the generation" if row.selected else problem, style="green" if row.selected else "dim"),
    )


def training_line(training: Training) -> Table:
    """Return the current training: what it is for, a bar, its speed and the time left."""
    # What is trained, how far it is, how fast, and how long it takes
    line = Table.grid(padding=(0, 1))
    what = {"final": "reported scores", "again": "measuring again", "further": "further seeds"}.get(
        training.what, "training"
    )
    left = training.seconds_left
    line.add_row(
        Text(f"{what}, {training.members} policies"),
        ProgressBar(total=max(training.total, 1), completed=training.steps, width=30),
        Text(f"{training.steps / max(training.total, 1):4.0%}"),
        Text(f"{training.rate:,.0f} steps/s", style="cyan"),
        Text(f"{clock(left)} left" if left is not None else ""),
    )
    return line


def status_line(progress: Progress) -> str:
    """Return time, remaining time, best candidate and cost of a run in one line."""
    parts = [clock(progress.seconds)]
    left = progress.seconds_left
    if left is not None:
        parts.append(f"about {clock(left)} to go for the whole run")
    if progress.best is not None:
        parts.append(f"best so far {progress.best[0]} with {short_number(progress.best[1])}")
    cost = cost_text(progress.cost_so_far)
    return safe("; ".join([*parts, cost] if cost else parts))


def final_line(event: Evaluated) -> Text:
    """Return the reported score of one reward."""
    return Text.assemble(
        (f"{event.name:>8} ", "bold"),
        f"{short_number(event.mean)} [{short_number(event.low)}, {short_number(event.high)}]",
        (f"  success rate {short_number(event.success_rate)}", "dim"),
    )
