"""Several models in order, and what of an endpoint's settings may be stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rewardgen import config, search
from rewardgen.config import LLMConfig, validate
from rewardgen.errors import BudgetExceeded, ConfigError, LLMError
from rewardgen.llm import Author, Budget, check, make_author
from rewardgen.records import Message
from rewardgen.request import Request
from tests.llm.server import Handler, ModelServer, answers, fails
from tests.search import tiny

ASK = Request("generation", (Message("user", "Write one."),))
KEYS = {"OPENAI_API_KEY": "sk-the-first-key", "OTHER_KEY": "sk-the-other-key"}


def make(
    settings: dict[str, Any],
    warnings: list[str] | None = None,
    budget: Budget | None = None,
    recording: Path | None = None,
) -> Author:
    made = validate(LLMConfig, {"retries": 0, **settings}, "the settings")
    told = [] if warnings is None else warnings
    return make_author(made, environ=KEYS, cache_dir=None, recording=recording, budget=budget, on_warning=told.append)


def models(first: ModelServer, second: ModelServer, **more: Any) -> dict[str, Any]:
    return {"models": ["a", {"model": "b", "base_url": second.url, **more}], "base_url": first.url}


def test_the_next_one_is_asked_where_the_first_is_down_and_from_then_on() -> None:
    warnings: list[str] = []
    with ModelServer(default=fails(503, "down for repairs")) as first, ModelServer() as second:
        author = make(models(first, second), warnings)
        assert author.name == "a, then b"
        assert len(author.reply(ASK, 2, seed=1)) == 2
        author.reply(ASK, 1, seed=2)
    assert (len(first.requests), len(second.requests)) == (1, 2)
    (told,) = [warning for warning in warnings if "from now on" in warning]
    assert told.startswith("b is asked from now on") and "down for repairs" in told


def test_a_resumed_run_begins_with_the_one_that_was_in_use(tmp_path: Path) -> None:
    recording = tmp_path / "recording.jsonl"
    with ModelServer(default=fails(503)) as first, ModelServer() as second:
        settings = models(first, second)
        make(settings, recording=recording).reply(ASK, 1, seed=1)
        resumed = make(settings, recording=recording)
        assert resumed.name == "a, then b"
        resumed.reply(ASK, 1, seed=2)
        assert (len(first.requests), len(second.requests)) == (1, 2)
        second.default = fails(404, "gone")
        first.default = answers()
        make(settings, recording=recording).reply(ASK, 1, seed=3)  # those before it come last
        assert (len(first.requests), len(second.requests)) == (2, 3)
        make(settings, recording=recording).reply(ASK, 1, seed=4)
        assert (len(first.requests), len(second.requests)) == (3, 3)


def test_a_key_goes_only_where_it_was_named_for() -> None:
    for more, sent in (({}, None), ({"key_variable": "OTHER_KEY"}, "Bearer sk-the-other-key")):
        with ModelServer(default=fails(503)) as first, ModelServer() as second:
            make(models(first, second, **more)).reply(ASK, 1, seed=1)
        assert first.keys == ["Bearer sk-the-first-key"]
        assert second.keys == [sent]


def test_the_next_one_is_asked_where_the_first_would_exceed_the_budget(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("models:\n  a: {input: 1, output: 1000}\n  b: {input: 0, output: 0}\n")
    with ModelServer() as first, ModelServer() as second:
        author = make({**models(first, second), "prices": prices}, budget=Budget(dollars=1.0))
        author.reply(ASK, 1, seed=1)
        with pytest.raises(BudgetExceeded):
            make({**models(first, second), "prices": prices}, budget=Budget(calls=0)).reply(ASK, 1, seed=1)
    assert (len(first.requests), len(second.requests)) == (0, 1)


def test_the_last_ones_error_is_the_end() -> None:
    with ModelServer(default=fails(404, "one")) as first, ModelServer(default=fails(404, "two")) as second:
        author = make(models(first, second))
        for _ in range(2):
            with pytest.raises(LLMError, match="two"):
                author.reply(ASK, 1, seed=1)
    assert len(first.requests) == 1


def test_further_fields_are_those_of_the_model() -> None:
    with ModelServer(default=fails(404)) as first, ModelServer() as second:
        shared = {**models(first, second), "extra": {"top_p": 0.9}}
        make(shared).reply(ASK, 1, seed=1)
        own = {
            **models(first, second, extra={"chat_template_kwargs": {"enable_thinking": False}}),
            "extra": {"top_p": 1},
        }
        make(own).reply(ASK, 1, seed=1)
    assert [body.get("top_p") for body in first.requests] == [0.9, 1]
    assert second.requests[0]["top_p"] == 0.9
    assert second.requests[1]["chat_template_kwargs"] == {"enable_thinking": False}
    assert "top_p" not in second.requests[1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"models": ["a"], "model": "b"}, "llm.models"),
        ({"models": ["offline"]}, "not a language model"),
        ({"models": [{"model": "a", "base_url": "http://me:hunter22@host/v1"}]}, "environment variable"),
        ({"base_url": "http://host/v1?key=hunter22"}, "environment variable"),
        ({"base_url": "hunter22@host"}, "base URL"),
        ({"key_variable": "sk-hunter22"}, "never the key itself"),
        ({"extra": {"api_key": "hunter22"}}, "llm.key_variable"),
        ({"extra": {"headers": {"Authorization": "hunter22"}}}, "llm.key_variable"),
        ({"extra": {"n": 4}}, "n: set by rewardgen itself"),
        ({"extra": {"when": object()}}, "JSON"),
        ({"base_url": "http://me:hunter22@host/v1", "models": ["a"], "model": "b"}, "environment variable"),
    ],
)
def test_settings_that_are_refused_without_showing_what_they_hold(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        validate(config.Config, {"task": "cartpole/balance", "llm": settings}, "the settings")
    assert "hunter22" not in str(caught.value) + repr(caught.value.problems) + repr(caught.value.__cause__)


@pytest.mark.parametrize("where", ["key", "base_url", "proxy"])
def test_no_secret_reaches_a_runs_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    settings = {**tiny.SEARCH, "llm.model": "m", "llm.base_url": "http://127.0.0.1:9/v1", "llm.retries": 0}
    if where == "key":
        monkeypatch.setenv("OPENAI_API_KEY", "sk-first-line\nhunter22")
    elif where == "base_url":
        monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter22@127.0.0.1:9/v1")
        settings["llm.base_url"] = None
    else:
        monkeypatch.setenv("HTTP_PROXY", "http://me:hunter22@127.0.0.1:9")
    with pytest.raises((ConfigError, LLMError)) as caught:
        search.run(config.load(overrides=settings), tmp_path / "run")
    assert "hunter22" not in str(caught.value)
    if where != "proxy":  # refused before there is a folder
        assert not (tmp_path / "run").exists()
        return
    with sqlite3.connect(tmp_path / "run" / "run.sqlite") as database:
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() is not None
    database.close()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"hunter22" in path.read_bytes()]


def test_a_model_is_checked_by_one_small_request() -> None:
    def one_at_a_time(handler: Handler, body: dict[str, Any]) -> None:
        (fails(400, "only n=1 is supported") if body.get("n", 1) > 1 else answers(text="ready"))(handler, body)

    with ModelServer(default=one_at_a_time) as good, ModelServer(default=fails(401, "Incorrect API key")) as bad:
        found = check(validate(LLMConfig, models(good, bad), "the settings"), KEYS)
    assert [(each.model, each.error == "") for each in found] == [("a", True), ("b", False)]
    assert found[0].answer.startswith("ready")
    assert any("one at a time" in notice for notice in found[0].notices)
    assert "asks for a key" in found[1].error
