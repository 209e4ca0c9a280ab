"""The real client against a real server that misbehaves."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rewardgen.errors import BudgetExceeded, LLMAuthError, LLMError, LLMUnavailable, Stopped
from rewardgen.llm.answers import MAX_TEXT
from rewardgen.llm.budget import Budget
from rewardgen.records import Message
from rewardgen.request import Request
from tests.llm.conftest import KEY, Clock, MakeClient
from tests.llm.server import ModelServer, answers, completion, fails, hangs, resets, sends

ASK = Request("generation", (Message("system", "You write rewards."), Message("user", "Write one.")))
USAGE = {"prompt_tokens": 50, "completion_tokens": 20, "total_tokens": 70}


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that hangs on it."""
    todo, seen = [error], set[int]()
    while todo:
        current = todo.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            todo += [linked for linked in (current.__cause__, current.__context__) if linked is not None]


def holds(value: object, secret: str, depth: int = 4) -> bool:
    """Whether the secret is anywhere in what an object shows or carries."""
    if secret in repr(value) or secret in str(value):
        return True
    if depth == 0:
        return False
    inner = list(getattr(value, "__dict__", {}).values())
    inner += list(value.values()) if isinstance(value, dict) else []
    inner += list(value) if isinstance(value, list | tuple | set) else []
    inner += [value.raw] if hasattr(value, "raw") else []
    return any(holds(item, secret, depth - 1) for item in inner)


# ---- as many replies as were asked for


def test_one_request_where_the_server_honours_n(client: MakeClient) -> None:
    with ModelServer(default=answers(usage=USAGE)) as server:
        replies = client(server).reply(ASK, 5, seed=1)
    assert [request["n"] for request in server.requests] == [5]
    assert len({reply.text for reply in replies}) == 5
    assert sum(reply.prompt_tokens for reply in replies) == 50
    assert sum(reply.completion_tokens for reply in replies) == 20
    assert sum(reply.dollars for reply in replies) == pytest.approx((50 * 1.0 + 20 * 10.0) / 1e6)
    assert [reply.prompt_tokens for reply in replies[1:]] == [0, 0, 0, 0]
    assert not any(reply.estimated or reply.cached for reply in replies)


def test_a_server_that_ignores_n_is_asked_again_for_one_at_a_time(client: MakeClient) -> None:
    with ModelServer(default=answers(count=1)) as server:
        replies = client(server).reply(ASK, 4, seed=1)
    assert len({reply.text for reply in replies}) == 4
    assert [request.get("n", 1) for request in server.requests] == [4, 1, 1, 1]
    assert len({request["seed"] for request in server.requests}) == 4, "equal seeds could bring equal replies"


@pytest.mark.parametrize("count", [2, 3])
def test_missing_replies_are_topped_up(client: MakeClient, count: int) -> None:
    with ModelServer(answers(count=count)) as server:
        replies = client(server).reply(ASK, 5, seed=1)
    assert len({reply.text for reply in replies}) == 5
    assert len(server.requests) == 1 + 5 - count


def test_more_replies_than_asked_for_are_paid_but_left_out(client: MakeClient) -> None:
    budget = Budget(tokens=10_000)
    with ModelServer(answers(count=4, usage=USAGE)) as server:
        replies = client(server, budget=budget).reply(ASK, 2, seed=1)
    assert len(replies) == 2
    assert budget.spent[1] == 70
    assert sum(reply.completion_tokens for reply in replies) == 20


def test_a_large_batch_falls_into_requests_of_bounded_size_under_bounded_concurrency(client: MakeClient) -> None:
    together = threading.Barrier(2)  # two requests wait for each other: both must be under way at once

    def meet(handler, body):  # type: ignore[no-untyped-def]
        together.wait(timeout=20)
        answers()(handler, body)

    with ModelServer(default=meet) as server:
        replies = client(server, concurrency=2).reply(ASK, 64, seed=1)
    assert len({reply.text for reply in replies}) == 64
    assert [request["n"] for request in server.requests] == [16] * 4
    assert server.most_at_once == 2


# ---- failures that pass


def test_retry_after_in_seconds_is_waited_for(client: MakeClient, clock: Clock) -> None:
    with ModelServer(fails(429, headers={"Retry-After": "7"}), fails(429, headers={"Retry-After": "2.5"})) as server:
        assert len(client(server).reply(ASK, 1, seed=1)) == 1
    assert clock.slept == [7.5, 3.0], "what was asked for, and half of a second of jitter"


def test_retry_after_as_a_date_is_waited_for(client: MakeClient, clock: Clock) -> None:
    with ModelServer(fails(503, headers={"Retry-After": "Wed, 02 Jan 2030 03:04:25 GMT"})) as server:
        client(server).reply(ASK, 1, seed=1)
    assert clock.slept == [20.5]


def test_a_date_that_has_passed_asks_for_no_wait(client: MakeClient, clock: Clock) -> None:
    with ModelServer(fails(503, headers={"Retry-After": "Wed, 02 Jan 2030 03:00:00 GMT"})) as server:
        client(server).reply(ASK, 1, seed=1)
    assert clock.slept == [0.5]


def test_without_a_word_from_the_server_the_wait_doubles(client: MakeClient, clock: Clock) -> None:
    with ModelServer(fails(500), fails(502), fails(429, headers={"Retry-After": "soon"})) as server:
        client(server).reply(ASK, 1, seed=1)
    assert clock.slept == [0.75, 1.5, 3.0]


def test_a_server_that_asks_for_an_hour_counts_as_down(client: MakeClient, clock: Clock) -> None:
    with (
        ModelServer(fails(429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(LLMUnavailable, match="3600"),
    ):
        client(server).reply(ASK, 1, seed=1)
    assert clock.slept == []


PASSING = {
    "internal error": fails(500),
    "reset": resets,
    "no JSON": sends(b"busy", {"Content-Type": "text/plain"}),
    "truncated JSON": sends(completion(["half a reply"])[:-30]),
    "truncated body": sends(completion(["half a reply"])[:40], length=400),
    "empty choices": sends(completion([])),
    "no choices": sends(b'{"id": "x", "object": "chat.completion"}'),
    "another form": sends(b'["reply"]'),
    "empty body": sends(b""),
    "choices of nothing": sends(b'{"choices": [null]}'),
    "deeply nested": sends(b"[" * 100_000),
}


@pytest.mark.parametrize("name", PASSING)
def test_passing_failures_are_tried_again(client: MakeClient, clock: Clock, name: str) -> None:
    with ModelServer(PASSING[name], PASSING[name]) as server:
        replies = client(server).reply(ASK, 1, seed=1)
    assert [reply.text for reply in replies] == ["reply 3.0"]
    assert len(clock.slept) == 2


@pytest.mark.parametrize("name", PASSING)
def test_retries_end(client: MakeClient, clock: Clock, name: str) -> None:
    with ModelServer(default=PASSING[name]) as server, pytest.raises(LLMUnavailable) as caught:
        client(server, retries=2).reply(ASK, 1, seed=1)
    assert len(server.requests) == 3
    assert server.url in str(caught.value)
    assert "test-model" in str(caught.value)
    assert "3 tries" in str(caught.value)


def test_a_slow_body_runs_into_the_time_limit(client: MakeClient) -> None:
    with ModelServer(hangs) as server:
        replies = client(server, timeout=0.3).reply(ASK, 1, seed=1)
    assert replies[0].text == "reply 2.0"


def test_a_body_that_drips_runs_into_the_total_time_limit(client: MakeClient) -> None:
    def drips(handler, body):  # type: ignore[no-untyped-def]
        handler.send(200, b"", length=10_000)
        while not handler.server_owner.released.wait(0.02):
            handler.wfile.write(b" ")

    with ModelServer(drips) as server:
        assert client(server, timeout=0.3).reply(ASK, 1, seed=1)[0].text == "reply 2.0"


def test_an_endpoint_that_is_down(client: MakeClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(LLMUnavailable, match="no connection") as caught:
            client(url, retries=1).reply(ASK, 1, seed=1)
    assert url in str(caught.value)


# ---- failures that last


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(client: MakeClient, clock: Clock, status: int) -> None:
    with ModelServer(default=fails(status, f"Incorrect API key provided: {KEY}")) as server:
        author = client(server)
        with pytest.raises(LLMAuthError, match="OPENAI_API_KEY") as caught:
            author.reply(ASK, 1, seed=1)
    assert server.keys == [f"Bearer {KEY}"], "the key did reach the server, once"
    assert clock.slept == []
    assert "***" in str(caught.value)
    for error in chain(caught.value):
        assert not holds(error, KEY)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in repr(author)
    assert not holds(author, KEY, depth=1)


@pytest.mark.parametrize("behaviour", [fails(500, f"trouble with {KEY}"), resets, sends(b"{")])
def test_the_key_is_in_no_other_failure_either(client: MakeClient, behaviour) -> None:  # type: ignore[no-untyped-def]
    with ModelServer(default=behaviour) as server, pytest.raises(LLMUnavailable) as caught:
        client(server, retries=1).reply(ASK, 1, seed=1)
    for error in chain(caught.value):
        assert not holds(error, KEY)


def test_a_reply_that_repeats_the_key_is_masked(client: MakeClient) -> None:
    with ModelServer(sends(completion([f"your key is {KEY}"]))) as server:
        reply = client(server).reply(ASK, 1, seed=1)[0]
    assert reply.text == "your key is ***"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refused_request_names_model_and_url(client: MakeClient, clock: Clock, status: int) -> None:
    with ModelServer(default=fails(status, "The model does not exist")) as server:
        with pytest.raises(LLMError, match="test-model") as caught:
            client(server).reply(ASK, 1, seed=1)
        assert server.url in str(caught.value)
    assert "The model does not exist" in str(caught.value)
    assert not isinstance(caught.value, LLMUnavailable | LLMAuthError)
    assert len(server.requests) == 1
    assert clock.slept == []


def test_a_redirect_is_not_followed_with_the_key(client: MakeClient) -> None:
    with ModelServer() as elsewhere, ModelServer(fails(307, headers={"Location": elsewhere.url})) as server:
        with pytest.raises(LLMError, match="redirected"):
            client(server).reply(ASK, 1, seed=1)
        assert elsewhere.requests == []


# ---- parameters that some endpoints do not take


@pytest.mark.parametrize(
    ("refusal", "gone", "there"),
    [
        (
            fails(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                param="max_tokens",
            ),
            "max_tokens",
            "max_completion_tokens",
        ),
        (
            fails(400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
            "max_tokens",
            "max_completion_tokens",
        ),
        (
            fails(400, "Unsupported value: 'temperature' does not support 0.3", param="temperature"),
            "temperature",
            "seed",
        ),
        (fails(422, "seed: extra fields not permitted"), "seed", "temperature"),
        (fails(400, "n: must be exactly 1"), "n", "seed"),
    ],
)
def test_a_refused_parameter_is_left_out(client: MakeClient, clock: Clock, refusal, gone, there) -> None:  # type: ignore[no-untyped-def]
    with ModelServer(refusal) as server:
        author = client(server, concurrency=1)
        assert len(author.reply(ASK, 2, seed=1)) == 2
        assert len(author.reply(ASK, 2, seed=2)) == 2
    assert gone in server.requests[0]
    assert all(gone not in request for request in server.requests[1:])
    assert all(there in request for request in server.requests[1:])
    assert clock.slept == []


# ---- large bodies


def test_a_reply_of_10_mb_is_cut(client: MakeClient) -> None:
    with ModelServer(sends(completion(["x" * 10_000_000]))) as server:
        reply = client(server).reply(ASK, 1, seed=1)[0]
    assert len(reply.text) == MAX_TEXT
    assert reply.finish_reason == "cut"


def test_an_endless_body_is_refused(client: MakeClient) -> None:
    def endless(handler, body):  # type: ignore[no-untyped-def]
        handler.send(200, b"", length=10**12)
        while True:
            handler.wfile.write(b" " * 2**20)

    with ModelServer(endless) as server, pytest.raises(LLMError, match="larger than 32 MiB"):
        client(server).reply(ASK, 1, seed=1)
    assert len(server.requests) == 1


def test_a_compressed_body_is_unpacked_up_to_the_same_bound(client: MakeClient) -> None:
    packed = {"Content-Encoding": "gzip"}
    with ModelServer(sends(gzip.compress(completion(["small"])), packed)) as server:
        assert client(server).reply(ASK, 1, seed=1)[0].text == "small"
    with (
        ModelServer(sends(gzip.compress(b" " * (33 * 2**20)), packed)) as server,
        pytest.raises(LLMError, match="larger than"),
    ):
        client(server).reply(ASK, 1, seed=2)


# ---- nothing is paid twice


def test_the_cache_answers_what_was_paid_for(client: MakeClient) -> None:
    with ModelServer(default=answers(usage=USAGE)) as server:
        first = client(server).reply(ASK, 3, seed=1)
        again = client(server).reply(ASK, 3, seed=1)
        assert len(server.requests) == 1
        longer = client(server).reply(ASK, 5, seed=1)
        assert server.requests[1]["n"] == 2
        client(server).reply(ASK, 3, seed=2)
        client(server, temperature=0.2).reply(ASK, 3, seed=1)
        client(server, max_tokens=101).reply(ASK, 3, seed=1)
        client(server).reply(Request("generation", (*ASK.messages, Message("user", "Please."))), 3, seed=1)
        assert len(server.requests) == 6
    assert [reply.text for reply in again] == [reply.text for reply in first]
    assert [reply.text for reply in longer[:3]] == [reply.text for reply in first]
    assert all(reply.cached and reply.dollars == 0 for reply in again)
    assert [reply.cached for reply in longer] == [True, True, True, False, False]


def test_without_the_cache_every_call_is_made(client: MakeClient) -> None:
    with ModelServer() as server:
        for _ in range(2):
            client(server, cache=False).reply(ASK, 1, seed=1)
    assert len(server.requests) == 2


def test_an_error_in_the_middle_of_a_batch_loses_nothing(client: MakeClient) -> None:
    one = answers(count=1)
    with ModelServer(one, one, one, fails(404, "the third top-up is refused"), default=one) as server:
        with pytest.raises(LLMError, match="third top-up"):
            client(server, concurrency=1).reply(ASK, 6, seed=1)
        asked = len(server.requests)
        replies = client(server).reply(ASK, 6, seed=1)
    paid = asked - 1
    assert sum(reply.cached for reply in replies) == paid
    assert len({reply.text for reply in replies}) == 6
    assert paid + sum(not reply.cached for reply in replies) == 6, "each reply was asked for exactly once"


def test_a_damaged_cache_entry_is_asked_for_again(client: MakeClient, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with ModelServer() as server:
        client(server).reply(ASK, 1, seed=1)
        (entry,) = (tmp_path / "cache").rglob("*.json")
        entry.write_text(entry.read_text()[:-5])
        assert not client(server).reply(ASK, 1, seed=1)[0].cached
        assert client(server).reply(ASK, 1, seed=1)[0].cached
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".part"]


# ---- what it costs


def test_missing_usage_is_estimated_and_said_to_be(client: MakeClient) -> None:
    with ModelServer(sends(completion(["y" * 400]))) as server:
        reply = client(server).reply(ASK, 1, seed=1)[0]
    assert reply.estimated
    assert reply.completion_tokens == 100
    assert 5 <= reply.prompt_tokens <= 30


def test_prompt_tokens_from_the_providers_cache_cost_less(client: MakeClient) -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 40}}
    with ModelServer(answers(usage=usage)) as server:
        reply = client(server).reply(ASK, 1, seed=1)[0]
    assert reply.dollars == pytest.approx((10 * 1.0 + 40 * 0.1 + 20 * 10.0) / 1e6)


@pytest.mark.parametrize("limit", [{"dollars": 0.0}, {"tokens": 0}, {"calls": 0}])
def test_a_budget_of_zero_allows_nothing(client: MakeClient, limit: dict[str, int]) -> None:
    with ModelServer() as server, pytest.raises(BudgetExceeded):
        client(server, budget=Budget(**limit)).reply(ASK, 1, seed=1)
    assert server.requests == []


def test_the_budget_stops_before_it_is_exceeded(client: MakeClient) -> None:
    # a request costs at most about 15 prompt and 100 reply tokens, and in fact 70
    budget = Budget(tokens=250)
    with ModelServer(default=answers(usage=USAGE)) as server:
        author = client(server, budget=budget)
        for seed in (1, 2):
            author.reply(ASK, 1, seed=seed)
        with pytest.raises(BudgetExceeded, match="110 are left"):
            author.reply(ASK, 1, seed=3)
        assert author.reply(ASK, 1, seed=2)[0].cached, "what is in the cache needs no budget"
    assert len(server.requests) == 2
    assert budget.spent == (pytest.approx(2 * 250e-6), 140, 2)


def test_an_attempt_of_unknown_cost_counts_as_the_dearest(client: MakeClient) -> None:
    budget = Budget(tokens=1000)
    with ModelServer(sends(b"{"), fails(500), answers(usage=USAGE)) as server:
        client(server, budget=budget).reply(ASK, 1, seed=1)
    _, tokens, calls = budget.spent
    assert 70 + 100 < tokens < 70 + 150
    assert calls == 3


# ---- stopping


def test_close_stops_requests_in_other_threads(client: MakeClient) -> None:
    with ModelServer(default=hangs) as server, ThreadPoolExecutor(2) as pool:
        author = client(server)
        waiting = [pool.submit(author.reply, ASK, 1, seed=seed) for seed in (1, 2)]
        for _ in waiting:
            assert server.arrived.acquire(timeout=20)
        author.close()
        for future in waiting:
            with pytest.raises(Stopped):
                future.result(timeout=20)
        with pytest.raises(Stopped):
            author.reply(ASK, 1, seed=3)
    assert len(server.requests) == 2


INTERRUPTED = """
import sys
from rewardgen.config import LLMConfig
from rewardgen.llm import make_author
from rewardgen.records import Message
from rewardgen.request import Request
author = make_author(LLMConfig(model="test-model", base_url=sys.argv[1]), environ={}, cache_dir=None, recording=None)
try:
    author.reply(Request("generation", (Message("user", "hello"),)), 3, seed=1)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_stops_promptly() -> None:
    with ModelServer(default=hangs) as server:
        process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, server.url], stderr=subprocess.PIPE, text=True)
        assert server.arrived.acquire(timeout=60)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr


def test_several_threads_may_share_an_author(client: MakeClient) -> None:
    with ModelServer(default=answers(count=1)) as server, ThreadPoolExecutor(4) as pool:
        author = client(server)
        batches = list(pool.map(lambda seed: author.reply(ASK, 3, seed=seed), range(6)))
    assert len({reply.text for batch in batches for reply in batch}) == 18


def test_what_is_sent(client: MakeClient) -> None:
    with ModelServer() as server:
        client(server, temperature=0.5).reply(ASK, 1, seed=1)
    (request,) = server.requests
    assert request["model"] == "test-model"
    assert request["temperature"] == 0.5
    assert request["max_tokens"] == 100
    assert request["messages"] == [{"role": message.role, "content": message.content} for message in ASK.messages]
    assert KEY not in json.dumps(request)
