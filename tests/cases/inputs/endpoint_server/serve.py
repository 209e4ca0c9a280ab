"""Answer chat completions on 127.0.0.1 as one kind of endpoint does: python serve.py KIND PORT."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KIND, PORT = sys.argv[1], int(sys.argv[2])
REWARD = """def compute_reward(state, action, next_state):
    up = 0.5 * (1.0 + next_state.pole_upright)
    middle = {weight} * proximity(next_state.cart_position.abs(), 1.0)
    return up + middle, {{"up": up, "middle": middle}}
"""
WRONG = "def compute_reward(state, action, next_state):\n    return next_state.no_such_field, {}\n"
WAIT = 3.0  # seconds that a loading model and a limit per minute take
slot, count, began = threading.Lock(), iter(range(1, 1000)), []


def block(code):
    return f"Hold it up.\n\n```python\n{code}```\n"


def answer(texts, finish="stop", **message):
    choices = [
        {"index": index, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 2000, "completion_tokens": 200, "total_tokens": 2200}
    return 200, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}


def error(status, message, /, **more):
    return status, {"error": {"message": message, **more}}


def good(n):
    return answer([block(REWARD.format(weight=f"{0.1 + 0.01 * next(count):.2f}")) for _ in range(n)])


def reply(body):
    n = body.get("n", 1)
    past = [message["content"] for message in body["messages"] if message["role"] == "assistant"]
    system = any(message["role"] == "system" for message in body["messages"])
    began.append(time.monotonic())
    early = began[-1] - began[0] < WAIT
    match KIND:
        case "llama-cpp-n" if n > 1:
            return error(500, "Only one completion choice is allowed", type="server_error")
        case "gemini-n" if n > 1:
            return 400, [{"error": {"code": 400, "message": "Multiple candidates is not enabled for this model"}}]
        case "only-n-1" if n > 1:
            return error(400, "only n=1 is supported", type="invalid_request_error")
        case "no-system-role" if system:
            return 400, {"object": "error", "message": "System role not supported", "code": 400}
        case "stream-only" if not body.get("stream"):
            return error(400, "This model only supports stream mode; enable the stream parameter")
        case "sse-anyway":
            return 200, b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\ndata: [DONE]\n\n'
        case "error-in-200":
            return error(200, "Insufficient credits: add some on the billing page", code=402)
        case "error-in-choice":
            failed = {"code": 502, "message": "the provider is overloaded"}
            return 200, {"id": "c", "choices": [{"error": failed, "message": {"role": "assistant", "content": ""}}]}
        case "quota":
            return error(429, "You exceeded your current quota", code="insufficient_quota")
        case "rate-per-minute" if early:
            return error(429, f"Quota exceeded. Please retry in {WAIT:.0f}s.", status="RESOURCE_EXHAUSTED")
        case "loading" if early:
            return error(503, "Loading model", type="unavailable_error")
        case "one-slot":
            with slot:
                time.sleep(2.5)
            return good(1)
        case "all-thought":
            return answer([""] * n, "length", reasoning_content="Let me think. " * 300)
        case "filtered":
            return answer([None] * n, "content_filter")
        case "tool-call":
            call = {"name": "python", "arguments": json.dumps({"code": REWARD.format(weight=1)})}
            return answer([None] * n, "tool_calls", tool_calls=[{"id": "x", "type": "function", "function": call}])
        case "stop-token":
            status, made = good(n)
            for choice in made["choices"]:
                choice["message"]["content"] = choice["message"]["content"].rstrip() + "<|eot_id|>"
            return status, made
        case "thoughts-come-back" if not past:
            return answer(["<think>\n" + "Energy? " * 700 + "\n</think>\n" + block(WRONG)] * n)
        case "channels-come-back" if not past:
            start = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>"
            return answer([start + block(WRONG)] * n)
    if any("<|channel|>" in text or "<think>" in text for text in past):
        return error(500, "a message holds what is no answer", type="server_error")
    return good(n)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        status, content = reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        stream = isinstance(content, bytes)
        raw = content if stream else json.dumps(content).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if stream else "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except ConnectionError:
            pass


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
