"""``rewardgen mcp``: a Model Context Protocol server for coding agents, on standard input and output or over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Envs, RunsDir, folders
from rewardgen.cli.output import note, write
from rewardgen.cli.web import TOKEN
from rewardgen.errors import MissingPackage


def mcp(
    skill: Annotated[
        bool, typer.Option("--skill", help="Print the agent's guide to the tools, as Markdown, and exit.")
    ] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP on this machine instead of standard input and output.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of --http; 0 takes one that is free.")] = 8422,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar=TOKEN, show_default=False, help="Of --http: what clients must send."),
    ] = None,
    out: RunsDir = Path("runs"),
    envs: Envs = None,
) -> None:
    """Serve tools for coding agents: check and train rewards, and answer a search's requests.

    An agent's configuration names this command, as docs/agents.md shows. The server ends with its client; with --http,
    by Ctrl-C.
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
    from rewardgen.mcp import make_http_server, make_server

    if not http:
        make_server(out, folders(envs)).run()
        return
    server = make_http_server(out, folders(envs), port=port, token=token)
    write(server.url)
    write(f"header: Authorization: Bearer {server.token}")
    sys.stdout.flush()
    note("whoever has the token can check code, train and start searches on this machine; Ctrl-C ends the server")
    server.run()
