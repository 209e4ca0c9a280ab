"""Writes a run as one HTML file that anyone can open, keep or send: it loads nothing and runs no script.

It reads only a ``RunView``, so it can be written for a run that is running, interrupted or failed. ``choices`` has the
sentences on races, leaders and screening, for the page and the terminal; ``task_page`` describes tasks and what their
own rewards reach.
"""

from __future__ import annotations

from pathlib import Path

from rewardgen.store.view import RunView


def write_report(view: RunView, out: Path, *, draw: bool = False, film: bool = False) -> Path:
    """Write the report of a run as one HTML file.

    Args:
        view: the run, finished or not.
        out: the HTML file to write; its folder is made. An older file is replaced as a whole.
        draw: render the pictures of replays that are missing; otherwise the page shows those that exist.
        film: render the winner's film if it is missing.

    Returns:
        ``out``.

    Raises:
        DiskFull: no room to write.
        StoreError: the file cannot be written.
    """
    # Drawing takes a second to import, and sentences need none of it
    from rewardgen.report import page

    return page.write_report(view, out, draw=draw, film=film)


def write_figures(view: RunView, folder: Path) -> tuple[Path, ...]:
    """Write a run's figures as SVG and PDF files; see ``rewardgen.report.papers.write_figures``."""
    from rewardgen.report import papers

    return papers.write_figures(view, folder)


__all__ = ["write_figures", "write_report"]
