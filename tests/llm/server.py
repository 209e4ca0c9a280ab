"""A real HTTP server that speaks the chat completions API and misbehaves on demand."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]
"""Answers one request, given its JSON body."""


class ModelServer:
    """Answers the k-th request by the k-th behaviour of ``script``, and all after those by ``default``.

    ``requests`` are the bodies received, ``keys`` their Authorization headers. ``released`` ends what hangs.
    """

    def __init__(self, *script: Behaviour, default: Behaviour | None = None) -> None:
        self.script = list(script)
        self.default = default or answers()
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.models: list[str | dict[str, Any]] | None = None
        """What it lists, as names or as whole entries; None for a server without a list."""
        self.arrived = threading.Semaphore(0)
        self.released = threading.Event()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        owner = self

        class Bound(Handler):
            server_owner = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server_owner: ModelServer
    number: int
    """Which request this is, from 1."""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        owner = self.server_owner
        owner.paths.append(self.path)
        if owner.models is None or self.path.partition("?")[0] != "/v1/models":
            self.send(404, b'{"detail": "Not Found"}')
        else:
            entries = [each if isinstance(each, dict) else {"id": each} for each in owner.models]
            self.send(200, json.dumps({"object": "list", "data": entries}).encode())

    def do_POST(self) -> None:
        owner = self.server_owner
        owner.paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with owner.lock:
            owner.requests.append(body)
            self.number = len(owner.requests)
            owner.keys.append(self.headers["Authorization"])
            owner.at_once += 1
            owner.most_at_once = max(owner.most_at_once, owner.at_once)
        owner.arrived.release()
        try:
            (owner.script[self.number - 1] if self.number <= len(owner.script) else owner.default)(self, body)
        except ConnectionError:
            self.close_connection = True  # the client gave up first
        finally:
            with owner.lock:
                owner.at_once -= 1

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def completion(texts: list[str], usage: dict[str, Any] | None = None, model: str = "test-model") -> bytes:
    choices = [
        {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        for index, text in enumerate(texts)
    ]
    content: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": choices}
    if usage is not None:
        content["usage"] = usage
    return json.dumps(content).encode()


def answers(count: int | None = None, text: str = "reply", usage: dict[str, Any] | None = None) -> Behaviour:
    """``count`` choices (as many as asked for if None), each with a text of its own."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        wanted = body.get("n", 1) if count is None else count
        handler.send(200, completion([f"{text} {handler.number}.{index}" for index in range(wanted)], usage))

    return behave


def fails(status: int, message: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Behaviour:
    content = json.dumps({"error": {"message": message, "type": "t", **more}}).encode()
    return lambda handler, body: handler.send(status, content, headers)


def sends(raw: bytes, headers: dict[str, str] | None = None, length: int | None = None) -> Behaviour:
    """The bytes as they are; a ``length`` beyond theirs makes the connection break off."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(200, raw, headers, length)
        handler.close_connection = length is not None

    return behave


def resets(handler: Handler, body: dict[str, Any]) -> None:
    """The connection is reset without an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def hangs(handler: Handler, body: dict[str, Any]) -> None:
    """Headers, a first byte of the body, and then nothing until the server is released."""
    handler.send(200, b"{", length=100)
    handler.wfile.flush()
    handler.server_owner.released.wait()
    handler.close_connection = True
