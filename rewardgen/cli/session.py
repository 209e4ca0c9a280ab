"""What ``run`` and ``resume`` share: watching a search, stopping it cleanly, and handing over what it found."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rewardgen.cli.output import console, note, print_json
from rewardgen.cli.progress import Progress
from rewardgen.errors import RewardgenError, Stopped, UsageError

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.export import Exported
    from rewardgen.search import Listener
    from rewardgen.store import RunView


def search(
    work: Callable[[Listener], RunView],
    run_dir: Path,
    config: Config | None,
    *,
    json: bool = False,
) -> None:
    """Run ``work`` while showing how it goes, then write the report and the export and print how it ended.

    Raises:
        Stopped: Ctrl-C, or SIGTERM; the message is the line that resumes.
        RewardgenError: what ``work`` raised, with the line that resumes where that helps.
        typer.Exit: with 1, where no reward was found or the report or the export could not be written.
    """
    go_on = f"rewardgen resume {shlex.quote(str(run_dir))}"
    try:
        with terminable(), _watched(Progress(config), json=json) as listener:
            view = work(listener)
    except KeyboardInterrupt as stop:
        if not (run_dir / "run.sqlite").exists():
            raise Stopped("stopped before the run began") from stop
        raise Stopped(f"stopped; nothing that was done is lost. To go on:\n  {go_on}") from stop
    except UsageError:
        raise
    except RewardgenError:
        if (run_dir / "run.sqlite").exists():
            note(f"what was done is kept. To go on once the cause is gone:\n  {go_on}")
        raise
    report, exported, problems = hand_over(view)
    from rewardgen.cli.summary import show_ending, summary

    if json:
        files = None if exported is None else exported
        print_json({**summary(view), "report": report, "export": files, "problems": problems})
    else:
        for problem in problems:
            note(problem)
        show_ending(view, report, exported)
    if view.winner is None or problems:
        raise typer.Exit(1)


def hand_over(view: RunView) -> tuple[Path | None, Exported | None, list[str]]:
    """Write the report and the export of a finished run. What cannot be written is told in the list."""
    from rewardgen.export import export_run
    from rewardgen.report import write_report

    problems: list[str] = []
    report: Path | None = None
    exported: Exported | None = None
    if view.winner is not None:  # before the report, which carries the exported files
        try:
            exported = export_run(view, view.path / "export")
        except (OSError, RewardgenError) as error:
            problems.append(f"the reward could not be exported ({error}); try `rewardgen export {view.path}`")
    try:
        report = write_report(view, view.path / "report.html", film=True)
    except (OSError, RewardgenError) as error:
        problems.append(f"the report could not be written ({error}); try `rewardgen report {view.path}`")
    return report, exported, problems


@contextmanager
def _watched(progress: Progress, *, json: bool) -> Iterator[Listener]:
    """A listener: a live view on a terminal, plain lines elsewhere, plain lines on standard error beside ``--json``."""
    from rewardgen.cli.lines import Lines

    if json:
        yield Lines(progress, console(stderr=True))
        return
    screen = console()
    if not screen.is_terminal or screen.is_dumb_terminal:
        yield Lines(progress, screen)
        return
    from rewardgen.cli.live import LiveView

    with LiveView(progress, screen) as view:
        yield view


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, as a scheduler sends it, stops as Ctrl-C does."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
