"""A search on a terminal: finished generations scroll by, the one at hand is redrawn in place."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rewardgen.cli.lines import arranged, how_to_judge, judged_text, no_model_note, waiting_text
from rewardgen.cli.output import safe, table
from rewardgen.cli.progress import Progress, Row, Training, cost_text
from rewardgen.text import clock, short_number

if TYPE_CHECKING:
    from rewardgen.search import Event

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
    """A listener and a context manager: the view stands while it is entered."""

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
        progress = self._progress
        progress.take(event)
        if event.kind == "run_started":
            self._print_head()
        elif event.kind == "selected":
            self._screen.print(generation_table(progress), soft_wrap=False)
            progress.rows = {}
        elif event.kind == "judged":
            told = judged_text(*(event.data[name] for name in ("candidate", "heard", "words")))
            self._screen.print(Text(safe(told)))
        elif event.kind == "evaluated":
            self._screen.print(final_line(str(event.data["name"]), progress.finals[str(event.data["name"])]))
        elif event.kind in ("note", "endpoint"):
            self._screen.print(Text(safe(str(event.data["message"])), style="dim"))
        elif event.kind == "warning":
            self._screen.print(Text(safe(f"note: {event.data['message']}"), style="yellow"))

    def _print_head(self) -> None:
        data = self._progress.started
        self._screen.print(
            Text.assemble(
                ("resuming " if data["resumed"] else "searching a reward for ", ""),
                (safe(data["task"]), "bold"),
                f": {data['generations']} generations of {data['candidates']} candidates, {data['steps']:,} steps each",
            )
        )
        self._screen.print(Text(safe(f"run {data['path']}, rewards written by {data['author']}"), style="dim"))
        for line in arranged(data):
            self._screen.print(Text(safe(line), style="dim"))
        if data["offline"]:
            self._screen.print(Text(no_model_note(str(data["author"])), style="yellow"))
        self._screen.print()

    def _draw(self) -> RenderableType:
        progress = self._progress
        parts: list[RenderableType] = []
        if progress.rows:
            parts.append(generation_table(progress))
        if progress.waiting:
            wanted = waiting_text(*(progress.waiting[name] for name in ("generation", "heard", "wanted", "until")))
            parts.append(Spinner("dots", Text(safe(f"{wanted}; {how_to_judge(progress)}"))))
        if progress.asking:
            parts.append(Spinner("dots", Text(progress.asking)))
        if progress.training is not None:
            parts.append(training_line(progress.training))
        parts.append(Text(status_line(progress), style="dim"))
        return Group(*parts)


def generation_table(progress: Progress) -> Table:
    made = table("candidate", "verdict", "fitness", "score", "success", "", right=("fitness", "score", "success"))
    place = f"generation {progress.generation}" + (f", restart {progress.restart}" if progress.restart else "")
    made.title = Text(place + (f", improving on {progress.parent}" if progress.parent else ""), style="bold")
    made.title_justify = "left"
    for row in progress.rows.values():
        made.add_row(*_cells(row))
    return made


def _cells(row: Row) -> tuple[Text, ...]:
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
    parts = [clock(progress.seconds)]
    left = progress.seconds_left
    if left is not None:
        parts.append(f"about {clock(left)} to go for the whole run")
    if progress.best is not None:
        parts.append(f"best so far {progress.best[0]} with {short_number(progress.best[1])}")
    cost = cost_text(progress.cost_so_far)
    return safe("; ".join([*parts, cost] if cost else parts))


def final_line(name: str, data: dict[str, float]) -> Text:
    return Text.assemble(
        (f"{name:>8} ", "bold"),
        f"{short_number(data['mean'])} [{short_number(data['low'])}, {short_number(data['high'])}]",
        (f"  success rate {short_number(data['success_rate'])}", "dim"),
    )
