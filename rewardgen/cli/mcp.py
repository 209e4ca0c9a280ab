"""``rewardgen mcp``: a Model Context Protocol server for coding agents, on standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Envs, RunsDir, folders
from rewardgen.errors import MissingPackage


def mcp(
    skill: Annotated[
        bool, typer.Option("--skill", help="Print the agent's guide to the tools, as Markdown, and exit.")
    ] = False,
    out: RunsDir = Path("runs"),
    envs: Envs = None,
) -> None:
    """Serve tools for coding agents: check and train rewards, and answer a search's requests.

    An agent's configuration names this command, as docs/agents.md shows. The server ends with its client.
    """
    from rewardgen.mcp import skill as text

    if skill:
        print(text())
        return
    # The server is an extra
    try:
        import mcp as _installed  # noqa: F401
    except ImportError as error:
        command = "pip install 'rewardgen[mcp]'"
        raise MissingPackage(f"the server needs the package mcp; run {command}", command) from error
    from rewardgen.mcp import make_server

    make_server(out, folders(envs)).run()
