"""A Model Context Protocol server: a coding agent designs rewards with rewardgen's tools, also as a search's author.

``make_server`` makes the server that ``rewardgen mcp`` runs on standard input and output, ``make_http_server`` the one
over HTTP on this machine; ``skill`` is the text that teaches an agent to use it. Every tool runs a command of
``rewardgen`` in a process of its own, so whatever protects a person who types it protects here too: checks, sandbox,
budgets. What an agent gives is checked first (``arguments``); paths are never taken from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from rewardgen.mcp.http import HttpServer


def skill() -> str:
    """What an agent should know to design rewards with these tools, as Markdown."""
    return (files("rewardgen.mcp") / "skill.md").read_text(encoding="utf-8")


def make_server(runs: Path, envs: Sequence[Path] = ()) -> MCPServer[Any]:
    """A server for the runs below ``runs`` and the tasks of ``envs``; see ``rewardgen.mcp.server``.

    Raises:
        ImportError: the extra ``mcp`` is not installed.
    """
    from rewardgen.mcp import server

    return server.make_server(runs, envs)


def make_http_server(runs: Path, envs: Sequence[Path] = (), *, port: int = 0, token: str | None = None) -> HttpServer:
    """A server over HTTP, listening on the loopback address; see ``rewardgen.mcp.http``.

    Raises:
        ImportError: the extra ``mcp`` is not installed.
        UsageError: the port cannot be listened on, or the token is too short.
    """
    from rewardgen.mcp import http

    return http.make_http_server(runs, envs, port=port, token=token)


__all__ = ["make_http_server", "make_server", "skill"]
