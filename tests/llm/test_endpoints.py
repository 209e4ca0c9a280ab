"""What public endpoints do differently, each kind as a real server: found out once, remembered, and said."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from rewardgen.errors import LLMAuthError, LLMError, LLMUnavailable
from rewardgen.llm import Budget
from rewardgen.llm.capabilities import Slots
from rewardgen.llm.patience import asked_wait, duration
from rewardgen.records import Message
from rewardgen.request import Request
from tests.llm.conftest import NOW, Clock, MakeClient
from tests.llm.server import Behaviour, Handler, ModelServer, answers, fails, hangs, sends

ASK = Request("generation", (Message("system", "You write rewards."), Message("user", "Write one.")))


def refuses(when: Any, status: int, content: Any, headers: dict[str, str] | None = None) -> Behaviour:
    """Answers ``content`` to each request for which ``when(body)`` holds, and replies to the others."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if when(body):
            handler.send(status, raw, headers)
        else:
            answers()(handler, body)

    return behave


def many(body: dict[str, Any]) -> bool:
    return bool(body.get("n", 1) > 1)


def choice(finish_reason: str, **message: Any) -> dict[str, Any]:
    return {"finish_reason": finish_reason, "message": {"role": "assistant", "content": None, **message}}


def sends_choices(*choices: dict[str, Any]) -> Behaviour:
    return sends(json.dumps({"choices": list(choices), "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode())


# ---- what an endpoint does not take

SEVERAL = {
    "llama.cpp": (
        500,
        {"error": {"message": "Only one completion choice is allowed", "code": 500, "type": "server_error"}},
    ),
    "Gemini": (400, [{"error": {"code": 400, "message": "Multiple candidates is not enabled for this model"}}]),
    "named with a sign": (400, {"error": {"message": "only n=1 is supported", "param": None}}),
    "llama.cpp, beyond its slots": (
        400,
        {"error": {"message": "Field 'n': Value must be between 1 <= value <= 2, but got 4", "code": 400}},
    ),
    "vLLM at temperature 0": (
        400,
        {"error": {"message": "n must be 1 when using greedy sampling, got 4.", "code": 400}},
    ),
    "named at the end": (422, {"detail": "unsupported value for n."}),
    "in brackets": (400, {"error": {"message": "number of completions (n) must be 1"}}),
    "by the parameter": (400, {"error": {"message": "unsupported", "param": "n"}}),
    "unnamed": (400, {"error": {"message": "the request is not valid here"}}),
    "unnamed, another status": (422, {"error": "no"}),
    "not implemented": (501, {"error": "n > 1 is not implemented"}),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_an_endpoint_that_gives_one_answer_per_request(client: MakeClient, clock: Clock, name: str) -> None:
    status, content = SEVERAL[name]
    with ModelServer(default=refuses(many, status, content)) as server:
        author = client(server)
        replies = author.reply(ASK, 4, seed=1)
        author.reply(ASK, 3, seed=2)
    assert len({reply.text for reply in replies}) == 4
    assert sum(many(body) for body in server.requests) == 1, "it was told once and remembered"
    assert len({body["seed"] for body in server.requests[1:]}) == len(server.requests) - 1
    assert clock.slept == []
    assert len(clock.notices) == 1
    assert "one at a time" in clock.notices[0]


def test_what_is_refused_without_a_name_is_found_step_by_step(client: MakeClient, clock: Clock) -> None:
    with ModelServer(default=refuses(lambda body: "seed" in body, 400, {"error": "bad request"})) as server:
        author = client(server)
        author.reply(ASK, 3, seed=1)
        author.reply(ASK, 3, seed=2)
    tried = [(body.get("n", 1), "seed" in body) for body in server.requests]
    assert tried[:3] == [(3, True), (1, True), (1, False)]
    assert not any(seed for _, seed in tried[2:])


def test_a_request_that_fails_whatever_is_left_out_keeps_its_first_words(client: MakeClient, clock: Clock) -> None:
    with ModelServer(fails(400, "the first words"), default=fails(400, "other words")) as server:
        with pytest.raises(LLMError, match="the first words"):
            client(server).reply(ASK, 2, seed=1)
        assert len(server.requests) == 3
        client_of_one = client(server, cache=False)
        server.default = answers()
        client_of_one.reply(ASK, 2, seed=1)
    assert server.requests[-1]["n"] == 2, "what did not help is not remembered"
    assert clock.notices == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "System role not supported"), (500, "Jinja Exception: System role not supported"),
     (400, "Conversation roles must alternate user/assistant/user"), (400, "Developer instruction is not enabled")],
)  # fmt: skip
def test_a_system_message_goes_before_the_first_users(client: MakeClient, status: int, words: str) -> None:
    def has_system(body: dict[str, Any]) -> bool:
        return any(message["role"] == "system" for message in body["messages"])

    with ModelServer(default=refuses(has_system, status, {"error": {"message": words}})) as server:
        assert len(client(server).reply(ASK, 2, seed=1)) == 2
    assert server.requests[1]["messages"] == [{"role": "user", "content": "You write rewards.\n\nWrite one."}]


def test_a_limit_that_is_too_large_is_not_taken_for_a_name_that_is_unknown(client: MakeClient) -> None:
    words = "max_tokens is too large: 100. This model supports at most 50 completion tokens"
    with (
        ModelServer(default=fails(400, words, param="max_tokens")) as server,
        pytest.raises(LLMError, match="lower llm.max_tokens"),
    ):
        client(server).reply(ASK, 1, seed=1)
    assert all(body["max_tokens"] == 100 for body in server.requests)


# ---- streams

CHUNKS: list[Any] = [
    {"model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]},
    {"choices": [{"index": 0, "delta": {"content": "re"}}, {"index": 1, "delta": {"content": "other"}}]},
    {"choices": [{"index": 0, "delta": {"content": "ply"}, "finish_reason": "stop"}]},
    {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}},
]


def stream(*chunks: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return (": a comment\n\n" + "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


@pytest.mark.parametrize(
    "words", ["This model only supports stream mode; enable the stream parameter", "stream must be true"]
)
def test_an_endpoint_that_only_streams(client: MakeClient, words: str) -> None:
    events = {"Content-Type": "text/event-stream; charset=utf-8"}

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            fails(400, words)(handler, body)
        elif "stream_options" in body:
            fails(400, "stream_options: extra fields not permitted")(handler, body)
        else:
            handler.send(200, stream(*CHUNKS), events)

    with ModelServer(default=behave) as server:
        replies = client(server).reply(ASK, 2, seed=1)
    assert [(reply.text, reply.finish_reason) for reply in replies] == [("reply", "stop"), ("other", "length")]
    assert (replies[0].model, replies[0].prompt_tokens) == ("m-1", 5)
    assert sum(reply.completion_tokens for reply in replies) == 7
    assert len(server.requests) == 3


def test_a_stream_that_nobody_asked_for_is_read(client: MakeClient, clock: Clock) -> None:
    broken = stream(*CHUNKS[:3], end="")
    with ModelServer(sends(broken), sends(stream(*CHUNKS), {"Content-Type": "text/event-stream"})) as server:
        assert client(server).reply(ASK, 1, seed=1)[0].text == "reply"
    assert len(clock.slept) == 1, "a stream that breaks off is no answer"


# ---- patience


def test_a_limit_per_minute_and_a_model_that_loads_are_outlasted_by_the_defaults(client: MakeClient) -> None:
    for failure in (fails(429), fails(503, "Loading model")):
        clock = Clock()
        waited = {"seconds": 0.0}

        async def sleep(seconds: float, waited: dict[str, float] = waited) -> None:
            waited["seconds"] += seconds

        def behave(handler: Handler, body: dict[str, Any], failure: Behaviour = failure, waited: Any = waited) -> None:
            (failure if waited["seconds"] < 60 else answers())(handler, body)

        with ModelServer(default=behave) as server:
            author = client(server, retries=8, cache=False)
            author._sleep, author._uniform = sleep, lambda low, high: low  # the shortest waits there can be
            assert author.reply(ASK, 1, seed=1)[0].text.startswith("reply")
        assert clock.slept == []


def test_every_try_again_is_said_with_the_servers_words(client: MakeClient, clock: Clock) -> None:
    with ModelServer(fails(503, "Loading model"), fails(429, "slow down")) as server:
        client(server).reply(ASK, 1, seed=1)
    assert ["Loading model" in clock.notices[0], "slow down" in clock.notices[1]] == [True, True]
    assert "try 2 of 4" in clock.notices[0]


def test_patience_is_bounded_by_its_setting(client: MakeClient, clock: Clock) -> None:
    with (
        ModelServer(default=fails(503, "Loading model")) as server,
        pytest.raises(LLMUnavailable, match="Loading model"),
    ):
        client(server, retries=100, patience=10).reply(ASK, 1, seed=1)
    assert sum(clock.slept) <= 10
    assert len(server.requests) == len(clock.slept) + 1


@pytest.mark.parametrize(
    ("headers", "error", "words", "seconds"),
    [
        ({"retry-after": "20"}, None, "", 20),
        ({"retry-after": "1.5"}, None, "", 1.5),
        ({"retry-after": "Wed, 02 Jan 2030 03:04:25 GMT"}, None, "", 20),
        ({"retry-after": "Wed, 02 Jan 2030 03:00:00 GMT"}, None, "", 0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, None, "", 1.5),
        ({"retry-after": "30s"}, None, "", 30),
        ({}, {"details": [{"@type": "x"}, {"@type": "google.rpc.RetryInfo", "retryDelay": "39.5s"}]}, "", 39.5),
        ({}, None, "Rate limit reached. Please try again in 20s. Visit …", 20),
        ({}, None, "Please try again in 350ms.", 0.35),
        ({}, None, "Please try again in 1m30.5s.", 90.5),
        ({}, None, "Please retry after 7 seconds", 7),
        ({}, None, "Quota exceeded. Please retry in 39.5s.", 39.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "1s",
          "x-ratelimit-remaining-requests": "12", "x-ratelimit-remaining-tokens": "0"}, None, "", 1),
        ({"x-ratelimit-reset": str(int((NOW + timedelta(seconds=25)).timestamp() * 1000)),
          "x-ratelimit-remaining": "0"}, None, "", 25),
        ({"x-ratelimit-reset": str(int((NOW + timedelta(seconds=25)).timestamp()))}, None, "", 25),
        ({"x-ratelimit-reset-requests": "17ms"}, None, "", 0.017),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "3"}, None, "", None),
        ({"retry-after": "soon"}, {"details": "none"}, "try again later", None),
        ({"retry-after": "nan"}, None, "the model has 7 B parameters", None),
    ],
)  # fmt: skip
def test_where_servers_say_how_long_to_wait(headers: Any, error: Any, words: str, seconds: float | None) -> None:
    assert asked_wait(headers, error, words, NOW) == (seconds if seconds is None else pytest.approx(seconds))


def test_durations() -> None:
    assert duration("1h2m3s") == 3723
    assert duration("2 minutes") == 120
    assert duration("3 apples") is None


def test_searches_side_by_side_wait_differently_and_each_the_same_again(client: MakeClient) -> None:
    def waits(jitter: str) -> list[float]:
        clock = Clock()
        with ModelServer(fails(500), fails(500), fails(500)) as server:
            author = client(server, cache=False)
            author._sleep, author._uniform = clock.sleep, random.Random(jitter).uniform
            author.reply(ASK, 1, seed=1)
        return clock.slept

    assert waits("a/0") == waits("a/0") != waits("b/0")


# ---- errors where an answer should be

LASTING: dict[str, tuple[Behaviour, str]] = {
    "no credit, in a 200": (
        sends(b'{"error": {"message": "Insufficient credits: add some", "code": 402}}'),
        "Insufficient credits: add some.*add credit",
    ),
    "no credit, without a code": (
        sends(b'{"error": {"message": "Insufficient balance"}}'),
        "Insufficient balance.*add credit",
    ),
    "a quota that is used up": (
        fails(429, "You exceeded your current quota", code="insufficient_quota"),
        "current quota.*add credit",
    ),
    "payment required": (fails(402, "Payment Required"), "Payment Required.*llm.models"),
    "a web page": (
        sends(b"<!DOCTYPE html><title>Open WebUI</title>", {"Content-Type": "text/html"}),
        "web page, 'Open WebUI'.*base URL",
    ),
    "another path": (
        sends(b'{"error": "Unexpected endpoint or method. (POST /chat/completions)"}'),
        "Unexpected endpoint",
    ),
    "a context that is too short": (
        fails(400, "This model's maximum context length is 2048 tokens"),
        "raise the context length",
    ),
    "llama.cpp's context that is too short": (
        fails(400, "request (8692 tokens) exceeds the available context size (8192 tokens), try increasing it"),
        "raise the context length",
    ),
    "vLLM's context that is too short": (
        fails(400, "The decoder prompt (length 8692) is longer than the maximum model length of 8192."),
        "raise the context length",
    ),
}


@pytest.mark.parametrize("name", LASTING)
def test_lasting_failures_are_told_once_in_the_servers_words(client: MakeClient, clock: Clock, name: str) -> None:
    behaviour, told = LASTING[name]
    with ModelServer(default=behaviour) as server, pytest.raises(LLMError, match=told) as caught:
        client(server).reply(ASK, 1, seed=1)
    assert not isinstance(caught.value, LLMUnavailable)
    assert len(server.requests) == 1
    assert clock.slept == []


def test_a_limit_per_minute_that_is_called_a_quota_passes(client: MakeClient, clock: Clock) -> None:
    words = "You exceeded your current quota, please check your plan and billing details. Please retry in 39s."
    with ModelServer(fails(429, words)) as server:
        client(server).reply(ASK, 1, seed=1)
    assert clock.slept == [39.5]


def test_an_error_inside_a_choice_is_no_reply(client: MakeClient, clock: Clock) -> None:
    broken = {"error": {"message": "the provider is overloaded", "code": 502}, **choice("error", content="")}
    whole = choice("stop", content="a reply")
    with ModelServer(sends_choices(broken), sends_choices(broken, whole), default=answers(count=1)) as server:
        replies = client(server).reply(ASK, 2, seed=1)
    assert sorted(reply.text.split()[0] for reply in replies) == ["a", "reply"]
    assert len(clock.slept) == 1
    assert "the provider is overloaded" in clock.notices[0]
    with (
        ModelServer(default=sends_choices(broken)) as server,
        pytest.raises(LLMUnavailable, match="provider is overloaded"),
    ):
        client(server, cache=False).reply(ASK, 1, seed=1)


def test_a_gateways_page_with_a_5xx_passes_and_its_title_is_told(client: MakeClient, clock: Clock) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head></html>"

    def gateway(handler: Handler, body: dict[str, Any]) -> None:
        handler.send(502, page, {"Content-Type": "text/html"})

    with ModelServer(gateway) as server:
        client(server).reply(ASK, 1, seed=1)
    assert "'502 Bad Gateway'" in clock.notices[0]


def test_a_403_blames_the_key_and_what_else_may_refuse(client: MakeClient) -> None:
    with (
        ModelServer(default=fails(403, "unsupported_country_region_territory")) as server,
        pytest.raises(LLMAuthError, match=r"unsupported_country.*OPENAI_API_KEY.*firewall"),
    ):
        client(server).reply(ASK, 1, seed=1)


def test_a_server_that_is_found_below_v1(client: MakeClient) -> None:
    with ModelServer() as server:
        server.models = ["test-model"]
        with pytest.raises(LLMError, match=f"give the base URL {server.url}"):
            client(server.url.removesuffix("/v1")).reply(ASK, 1, seed=1)
        assert server.requests == [], "nothing was asked of the model"


def test_a_model_that_the_endpoint_does_not_list_is_a_remark(client: MakeClient, clock: Clock) -> None:
    with ModelServer() as server:
        server.models = ["test-modle", "other"]
        client(server).reply(ASK, 1, seed=1)
    assert "does not list test-model; it has test-modle" in clock.notices[0]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"max_model_len": 4096}, "4,096"),  # vLLM, SGLang
        ({"meta": {"n_ctx": 2048, "n_ctx_train": 131072}}, "2,048"),  # llama.cpp: the share of one slot
        ({"context_length": 8192}, ""),
        ({"context_length": "8k", "meta": []}, ""),
        ({"max_model_len": None}, ""),
    ],
)
def test_a_context_that_is_too_short_is_a_remark(
    client: MakeClient, clock: Clock, entry: dict[str, Any], told: str
) -> None:
    with ModelServer() as server:
        server.models = [{"id": "org/test-model", **entry}, {"id": "other", "max_model_len": 16}]
        client(server).reply(ASK, 1, seed=1)
    assert [told in notice for notice in clock.notices] == [True] * bool(told)
    assert not told or "raise the context length at the server" in clock.notices[0]


def test_a_query_in_the_base_url_goes_with_each_request(client: MakeClient) -> None:
    with ModelServer() as server:
        client(f"{server.url}?api-version=2024-10-21").reply(ASK, 1, seed=1)
    assert set(server.paths) == {"/v1/models?api-version=2024-10-21", "/v1/chat/completions?api-version=2024-10-21"}


def test_extra_fields_are_sent_and_make_another_cache_entry(client: MakeClient) -> None:
    with ModelServer() as server:
        client(server).reply(ASK, 1, seed=1)
        client(server, extra={"reasoning_effort": "low"}).reply(ASK, 1, seed=1)
        client(server, extra={"reasoning_effort": "low"}).reply(ASK, 1, seed=1)
    assert [body.get("reasoning_effort") for body in server.requests] == [None, "low"]


# ---- replies that are no answers

NO_ANSWER = {
    "all thought": (
        choice("length", reasoning_content="Let me think. " * 99),
        r"100 tokens \(llm.max_tokens\).*thoughts.*llm.max_tokens=400",
    ),
    "a thought in the text": (choice("length", content="<think>Let me"), "thoughts"),
    "cut": (choice("length", content="```python\ndef compute"), "before the answer ended"),
    "filtered": (choice("content_filter"), "content filter"),
    "a tool call": (choice("tool_calls", tool_calls=[{"id": "x", "type": "function"}]), "call of a tool"),
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_an_endpoint_that_never_answers_ends_the_search_at_once(client: MakeClient, name: str) -> None:
    made, told = NO_ANSWER[name]
    with ModelServer(default=sends_choices(made, made)) as server:
        with pytest.raises(LLMError, match=told):
            client(server).reply(ASK, 2, seed=1)
        server.default = answers()
        assert client(server).reply(ASK, 2, seed=1)[0].text.startswith("reply"), "what is no answer is not kept"


def test_a_reply_that_is_cut_among_answers_is_handed_on_as_what_it_is(client: MakeClient) -> None:
    cut, whole = choice("length", content="<think>"), choice("stop", content="a reply")
    with ModelServer(default=sends_choices(cut, whole)) as server:
        author = client(server)
        assert [reply.finish_reason for reply in author.reply(ASK, 2, seed=1)] == ["length", "stop"]
        server.default = sends_choices(cut)
        assert author.reply(ASK, 1, seed=2)[0].finish_reason == "length", "it has answered before"


# ---- one slot


def test_a_server_with_one_slot_is_sent_what_it_can_do_in_time() -> None:
    """With a timeout of 10: a reply took 4 alone, so two fit one after the other."""
    slots = Slots(4, timeout=10.0)

    async def run() -> list[int]:
        limits = [slots.limit]
        first = await slots.enter()
        slots.leave(first, 4.0)
        limits.append(slots.limit)
        turns = [await slots.enter() for _ in range(2)]
        waiting = asyncio.ensure_future(slots.enter())
        await asyncio.sleep(0)
        assert not waiting.done()
        slots.leave(turns[0], 4.0)  # the first in a queue is as fast as one that is alone
        third = await waiting
        limits.append(slots.limit)
        slots.leave(turns[1], 8.0)
        fourth = await slots.enter()
        limits.append(slots.limit)
        slots.leave(fourth, 4.5)  # it overtook the third: the server works on several
        limits.append(slots.limit)
        slots.leave(third)
        return limits

    assert asyncio.run(run()) == [4, 2, 2, 2, 4]


def test_a_request_that_ran_out_of_time_beside_others_lowers_the_limit_for_good() -> None:
    slots = Slots(4, timeout=10.0)

    async def run() -> None:
        turns = [await slots.enter() for _ in range(4)]
        assert [turn.most for turn in turns] == [4] * 4
        assert slots.timed_out(turns[0])
        assert slots.limit == 2
        for turn in turns:
            slots.leave(turn)
        alone = await slots.enter()
        assert not slots.timed_out(alone)
        slots.leave(alone, 1.0)
        assert slots.limit == 2

    asyncio.run(run())


def test_a_cancelled_wait_gives_its_slot_to_the_next() -> None:
    slots = Slots(1, timeout=10.0)

    async def run() -> None:
        held = await slots.enter()
        waiting = [asyncio.ensure_future(slots.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        slots.leave(held)
        waiting[1].cancel()  # granted already, but not yet begun
        third = await waiting[2]
        slots.leave(third)
        slots.leave(await slots.enter())

    asyncio.run(asyncio.wait_for(run(), 20))


def test_slots_bound_all_threads_that_ask(client: MakeClient) -> None:
    together = threading.Barrier(2)

    def meet(handler: Handler, body: dict[str, Any]) -> None:
        together.wait(timeout=60)
        answers()(handler, body)

    with ModelServer(default=meet) as server, ThreadPoolExecutor(6) as pool:
        author = client(server, concurrency=2)
        list(pool.map(lambda seed: author.reply(ASK, 1, seed=seed), range(6)))
    assert server.most_at_once == 2


def test_a_timeout_beside_others_names_the_queue_and_the_setting(client: MakeClient, clock: Clock) -> None:
    with ModelServer(hangs, hangs) as server, ThreadPoolExecutor(2) as pool:
        author = client(server, timeout=1.0)
        author._probed = True
        list(pool.map(lambda seed: author.reply(ASK, 1, seed=seed), range(2)))
    assert any("one at a time" in notice and "llm.concurrency is 4" in notice for notice in clock.notices)


def test_timeouts_alone_are_not_tried_for_ever(client: MakeClient) -> None:
    budget = Budget()
    with ModelServer(default=hangs) as server, pytest.raises(LLMUnavailable, match="raise llm.timeout"):
        client(server, timeout=0.2, retries=50, budget=budget).reply(ASK, 1, seed=1)
    assert len(server.requests) == 3
