"""``rewardgen doctor --llm MODEL``: one small request to the model's endpoint, and nothing else."""

from __future__ import annotations

import pytest

from tests.cli.commands import rewardgen
from tests.llm.server import ModelServer, answers, fails

KEY = "sk-never-shown-7f3a91"


def test_a_model_that_answers_is_told_with_what_its_endpoint_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ModelServer(fails(400, "only n=1 is supported"), default=answers(text="ready")) as server:
        done = rewardgen("doctor", "--llm", "m", "--base-url", server.url, "--set", "llm.extra.top_p=0.9", "--json")
    (finding,) = done.json["checks"]
    assert (done.code, done.json["healthy"], finding["name"], finding["level"]) == (0, True, "m", "note")
    assert "answered 'ready" in finding["found"] and "one at a time" in finding["advice"]
    assert [body["top_p"] for body in server.requests] == [0.9] * 3
    assert KEY not in done.out + done.err


def test_a_model_that_does_not_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ModelServer(default=fails(401, f"Incorrect API key provided: {KEY}")) as server:
        done = rewardgen("doctor", "--llm", "m", "--base-url", server.url)
    assert done.code == 1
    assert "fault" in done.out and "OPENAI_API_KEY" in done.out
    assert KEY not in done.out + done.err


@pytest.mark.parametrize(
    "arguments", [["--base-url", "http://127.0.0.1:9/v1"], ["--llm", "offline"], ["--llm", "m", "--set", "seed=1"]]
)
def test_what_it_cannot_check_is_bad_usage(arguments: list[str]) -> None:
    done = rewardgen("doctor", *arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
