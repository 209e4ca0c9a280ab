"""Shared by ``run`` and ``resume``: show a running search, stop it cleanly, write its outputs."""

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
    """Run ``work`` while showing its progress; then write the report and the export, and print the result.

    Raises:
        Stopped: Ctrl-C or SIGTERM; the message has the command that resumes.
        RewardgenError: raised by ``work``; the command that resumes is printed if it can help.
        typer.Exit: with 1 if no reward was found, or if the report or the export could not be written.
    """
    resume_command = f"rewardgen resume {shlex.quote(str(run_dir))}"
    # Search
    try:
        with sigterm_interrupts(), _watched(Progress(config), json=json) as listener:
            view = work(listener)
    except KeyboardInterrupt as interrupt:
        if not (run_dir / "run.sqlite").exists():
            raise Stopped("stopped before the run began; nothing was stored") from interrupt
        raise Stopped(f"stopped; everything that was done is stored. To continue:\n  {resume_command}") from interrupt
    except UsageError:  # the command itself is wrong: resuming would not help
        raise
    except RewardgenError:
        if (run_dir / "run.sqlite").exists():
            note(f"everything that was done is stored. Once the cause is fixed, continue with:\n  {resume_command}")
        raise
    # Write the outputs
    report, exported, problems = write_outputs(view)
    from rewardgen.cli.summary import show_result, summary

    # Print the result
    if json:
        files = None if exported is None else exported
        print_json({**summary(view), "report": report, "export": files, "problems": problems})
    else:
        for problem in problems:
            note(problem)
        show_result(view, report, exported)
    if view.winner is None or problems:
        raise typer.Exit(1)


def write_outputs(view: RunView) -> tuple[Path | None, Exported | None, list[str]]:
    """Write the report and the export of a finished run.

    Returns:
        The report, the exported files (None for what could not be written), and messages on what went wrong.
    """
    from rewardgen.export import export_run
    from rewardgen.report import write_report

    problems: list[str] = []
    report: Path | None = None
    exported: Exported | None = None
    if view.winner is not None:  # the export comes first, because the report embeds its files
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
    """Yield a listener: a live view on a terminal, else plain lines; with ``--json`` those go to standard error."""
    from rewardgen.cli.lines import Lines

    if json:
        yield Lines(progress, console(stderr=True))
        return
    # A pipe or a terminal without cursor movement gets lines
    screen = console()
    if not screen.is_terminal or screen.is_dumb_terminal:
        yield Lines(progress, screen)
        return
    from rewardgen.cli.live import LiveView

    with LiveView(progress, screen) as view:
        yield view


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, which schedulers send, so that it stops cleanly as Ctrl-C does."""

    def interrupt(number: int, frame: Any) -> None:
        """Raise as Ctrl-C does."""
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
