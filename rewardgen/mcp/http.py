"""The Model Context Protocol server over streamable HTTP, on this machine alone.

Each request must carry the token as ``Authorization: Bearer TOKEN``. Host and Origin must be the server's own: a page
in a browser could otherwise reach it under another name (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rewardgen.errors import UsageError
from rewardgen.mcp.server import make_server
from rewardgen.serving import ClosingServer, ListeningServer
from rewardgen.signing import load_key, same, server_token, state_folder

_ADDRESS = "127.0.0.1"
_PATH = "/mcp"
_MAX_BODY = 1 << 20  # bytes: the longest argument, with every character written as an escape, fits
_MAX_SESSIONS = 64


@dataclass(frozen=True)
class HttpServer(ListeningServer):
    """The tools' server: where clients find it, and the token that they must send."""

    url: str
    token: str


def make_http_server(runs: Path, envs: Sequence[Path] = (), *, port: int = 0, token: str | None = None) -> HttpServer:
    """Make a server for the runs below ``runs`` and the tasks of ``envs``, listening on the loopback address.

    Args:
        runs: as ``make_server``.
        envs: as ``make_server``.
        port: 0 takes a free one.
        token: what clients must send; None takes the token of this user on this machine, as ``rewardgen web`` does.

    Raises:
        UsageError: the port cannot be listened on, or the token is too short.
    """
    key, _ = load_key(state_folder())
    token = server_token(key, token)
    try:
        listening = socket.create_server((_ADDRESS, port))
    except OSError as error:
        raise UsageError(f"cannot listen on {_ADDRESS}, port {port}: {error}; name another with --port") from error
    port = listening.getsockname()[1]
    names = [f"{name}:{port}" for name in (_ADDRESS, "localhost")]
    app = make_server(runs, envs).streamable_http_app(
        streamable_http_path=_PATH,
        max_request_body_size=_MAX_BODY,
        max_sessions=_MAX_SESSIONS,
        transport_security=TransportSecuritySettings(
            allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names]
        ),
    )
    config = uvicorn.Config(
        _TokenGuard(app, token),
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody is believed about where a request came from
        timeout_graceful_shutdown=2,
    )
    return HttpServer(ClosingServer(config), listening, f"http://{_ADDRESS}:{port}{_PATH}", token)


class _TokenGuard:
    """Refuses every request without the token, before anything else looks at it."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._wanted = app, f"Bearer {token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":  # no tool uses a WebSocket
            await send({"type": "websocket.close", "code": 1008})
        elif not same(Headers(scope=scope).get("authorization", ""), self._wanted):
            refusal = PlainTextResponse(
                "send the token that `rewardgen mcp --http` printed, as the header `Authorization: Bearer TOKEN`\n",
                401,
                {"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)
