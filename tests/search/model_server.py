"""A real HTTP server that speaks the chat-completions protocol and writes rewards for cartpole/swingup.

Its answers follow from the request alone, so that two runs with the same prompts get the same replies. It remembers
every request it answered.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REWARD = """Here is a reward.
```python
def compute_reward(state, action, next_state):
    speed = torch.tanh({speed} * next_state.{field}.reshape(len(next_state), -1)[:, 0])
    effort = -{effort} * action.square().sum(-1)
    return speed + effort, {{"speed": speed, "effort": effort}}
```
"""
BROKEN = "```python\ndef compute_reward(state, action, next_state):\n    return open('/etc/passwd'), {}\n```"

Writer = Callable[[list[dict[str, str]], int, str], list[str]]
"""Messages, how many replies, and the name of a state field → the replies."""


@dataclass
class Answered:
    request: str
    """Digest of the request's body."""
    at: float
    """``time.monotonic()`` once the whole answer was sent."""


@dataclass
class ModelServer:
    url: str
    answered: list[Answered] = field(default_factory=list)


@contextmanager
def model_server(field_name: str, writer: Writer | None = None) -> Iterator[ModelServer]:
    """Serve replies of ``writer`` (by default ``write``), which must follow from the request alone."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            choices = [
                {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                for i, text in enumerate((writer or write)(request["messages"], request.get("n") or 1, field_name))
            ]
            answer = json.dumps(
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 0,
                    "model": request["model"],
                    "choices": choices,
                    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            try:
                self.wfile.write(answer)
                self.wfile.flush()
            except OSError:  # the client was killed meanwhile
                return
            server.answered.append(Answered(hashlib.sha256(body).hexdigest(), time.monotonic()))

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ModelServer(f"http://127.0.0.1:{http.server_port}/v1")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def write(messages: list[dict[str, str]], n: int, field_name: str) -> list[str]:
    """``n`` replies that follow from the messages; the first of a generation is broken, so that it needs a repair."""
    seed = int(hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest(), 16)
    replies = [
        REWARD.format(
            speed=0.1 + (seed >> 8 * i) % 97 / 50, effort=0.001 * (1 + (seed >> 4 * i) % 89), field=field_name
        )
        for i in range(n)
    ]
    return [BROKEN, *replies[1:]] if n > 1 else replies
