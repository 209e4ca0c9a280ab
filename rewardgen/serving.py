"""The HTTP server of the pages and of the tools for agents."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import uvicorn


class ClosingServer(uvicorn.Server):
    """A uvicorn server that leaves no connection open when it stops.

    uvicorn waits ``timeout_graceful_shutdown`` seconds for clients that keep a connection, then leaves it as it is.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        await asyncio.sleep(0)  # sockets are closed in the loop's next round


@dataclass(frozen=True)
class ListeningServer:
    """A server that is ready to run. Its socket listens already, so early requests are answered once it runs."""

    server: uvicorn.Server
    listening: socket.socket

    def run(self) -> None:
        """Serve until Ctrl-C, or until ``stop`` is called from another thread."""
        with self.listening:
            self.server.run(sockets=[self.listening])

    def stop(self) -> None:
        """Stop the server, from any thread."""
        self.server.should_exit = True
