"""``rewardgen web``: serve the live pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import RunsDir
from rewardgen.cli.output import note, write
from rewardgen.errors import UsageError

TOKEN = "REWARDGEN_WEB_TOKEN"  # rewardgen.web.launching has this name too, but takes a second to import


def web(
    out: RunsDir = Path("runs"),
    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen on; a token is needed beyond this machine."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free port.")] = 8421,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar=TOKEN, show_default=False, help="Secret that each browser must present once."),
    ] = None,
    control: Annotated[
        bool | None,
        typer.Option(
            "--control/--no-control",
            show_default=False,
            help="Let browsers with the token start, stop, resume and export runs. "
            "Default: only if the server listens on this machine alone.",
        ),
    ] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option("--host-name", metavar="NAME", help="Another name that browsers use for this server; repeatable."),
    ] = None,
) -> None:
    """Show runs in the browser while they are running, and let people judge replays. Ctrl-C stops the server."""
    # The pages are an extra
    try:
        from rewardgen.web import pages
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("rewardgen"):
            raise
        raise UsageError(
            f"the pages need {error.name}, which is not installed: run pip install 'rewardgen[web]'"
        ) from error
    server = pages(out, host=host, port=port, token=token, host_names=host_name or (), control=control)
    # Print every address, then serve
    write(f"open {server.url}")
    for other in server.urls[1:]:
        write(f"or   {other}")
    # The address must appear now, even in a pipe: the server runs until it is stopped
    sys.stdout.flush()
    for each in server.notes:
        note(each)
    note("Ctrl-C stops the server; runs go on without it")
    server.run()
