"""Which author a configuration asks for, what it records, and how a recording is replayed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from rewardgen.config import LLMConfig, validate
from rewardgen.errors import ConfigError, DiskFull, LLMError
from rewardgen.llm import Author, Budget, make_author
from rewardgen.llm.conversation import messages_hash
from rewardgen.llm.offline.author import ANSWERED
from rewardgen.llm.recording import Recorder, read_recording
from rewardgen.llm.replay import BY_ORDER, ReplayAuthor
from rewardgen.records import Message, Reply
from rewardgen.request import Purpose, Request
from tests.llm.conftest import KEY
from tests.llm.server import ModelServer, answers, fails

SYSTEM = Message("system", "You write rewards.")
FIRST = Request("generation", (SYSTEM, Message("user", "Write one.")))
CODE = Message("assistant", "```python\npass\n```")


def second(fitness: float) -> Request:
    """The request of a second generation, which differs with the training before it."""
    told = Message("user", f"What happened:\n\nfitness: 0 → {fitness} m/s over training")
    return Request("generation", (*FIRST.messages, CODE, told))


def repair_of(request: Request, reply: str) -> Request:
    told = Message("user", "This cannot be used:\n- line 3: no such field")
    return Request("repair", (*request.messages, Message("assistant", reply), told))


def make(
    model: str, environ: dict[str, str] | None = None, recording: Path | None = None, **settings: object
) -> Author:
    config = validate(LLMConfig, {"model": model, **settings}, "the settings")
    return make_author(config, environ=environ or {}, cache_dir=None, recording=recording)


# ---- which author


@pytest.mark.parametrize("model", ["offline", "auto"])
def test_without_a_key_no_model_is_involved_and_it_says_so(model: str) -> None:
    author = make(model)
    assert author.offline
    assert "no language model" in author.name
    assert isinstance(author, Author)


def test_auto_with_a_key_asks_for_a_model() -> None:
    with pytest.raises(ConfigError, match="--llm MODEL"):
        make("auto", {"OPENAI_API_KEY": KEY})


def test_a_model_without_a_key_says_which_variable_to_set() -> None:
    with pytest.raises(ConfigError, match="MY_KEY"):
        make("gpt-5-mini", {"OPENAI_API_KEY": KEY}, key_variable="MY_KEY")


def test_an_endpoint_of_ones_own_needs_no_key() -> None:
    with ModelServer() as server:
        author = make("llama", base_url=server.url)
        assert not author.offline
        assert author.name == "llama"
        assert author.reply(FIRST, 1, seed=0)[0].text == "reply 1.0"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        make("m", base_url=url)


def test_a_base_url_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as caught:
        make("m", base_url=f"http://me:{KEY}@host/v1")
    assert KEY not in str(caught.value)


def test_a_model_without_a_price_costs_an_unknown_amount_and_says_so() -> None:
    warnings: list[str] = []
    config = LLMConfig(model="unheard-of", base_url="http://localhost:1/v1")
    make_author(config, environ={}, cache_dir=None, recording=None, on_warning=warnings.append)
    assert len(warnings) == 1
    assert "unheard-of" in warnings[0]
    with pytest.raises(ConfigError, match="no price is known"):
        make_author(config, environ={}, cache_dir=None, recording=None, budget=Budget(dollars=1.0))


# ---- recording


def test_every_call_is_recorded_without_the_key(tmp_path: Path) -> None:
    path = tmp_path / "run" / "recording.jsonl"
    with ModelServer(answers(), default=fails(400, f"bad {KEY}")) as server:
        author = make("m", {"OPENAI_API_KEY": KEY}, path, base_url=server.url, cache=False)
        replies = author.reply(FIRST, 2, seed=5)
        with pytest.raises(LLMError):
            author.reply(second(1.0), 1, seed=6)
        assert server.keys[0] == f"Bearer {KEY}"
    assert KEY not in path.read_text()
    good, bad = read_recording(path)
    assert good.messages == FIRST.messages
    assert (good.n, good.seed, good.purpose, good.error) == (2, 5, "generation", "")
    assert list(good.replies) == replies
    assert bad.replies == ()
    assert "bad ***" in bad.error
    assert json.loads(path.read_text().splitlines()[0])["hash"] == good.hash


def test_a_line_cut_short_by_a_kill_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    recorder = Recorder(path)
    recorder.add("m", FIRST, 1, 0, [Reply("one", "m")])
    recorder.add("m", FIRST, 1, 1, [Reply("two", "m")])
    path.write_bytes(path.read_bytes()[:-20])
    Recorder(path).add("m", FIRST, 1, 2, [Reply("three", "m")])
    assert [call.replies[0].text for call in read_recording(path)] == ["one", "three"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_called_that() -> None:
    with pytest.raises(DiskFull, match="no room left"):
        Recorder(Path("/dev/full")).add("m", FIRST, 1, 0, [Reply("text", "m")])


def test_a_request_is_recorded_with_its_purpose_whatever_its_words(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    told = Message("user", "Da lief etwas.")  # neither a fitness nor a problem is spelled as ours are
    talk = (*FIRST.messages, CODE, told)
    author = make("offline", None, path)
    purposes = [purpose for purpose in get_args(Purpose) if purpose in ANSWERED]
    for purpose in purposes:
        author.reply(Request(purpose, talk), 1, seed=0)
    assert [call.purpose for call in read_recording(path)] == purposes
    assert {call.hash for call in read_recording(path)} == {messages_hash(talk)}


# ---- replay


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two generations of three replies; the second reply of the first needed two repairs."""
    path = tmp_path / "recorded.jsonl"
    recorder = Recorder(path)

    def add(request: Request, seed: int, *texts: str) -> None:
        replies = [Reply(text, "model-x", 10, 20, 0.5, 3.0) for text in texts]
        recorder.add("model-x", request, len(texts), seed, replies)

    add(FIRST, 11, "a", "b", "c")
    add(repair_of(FIRST, "b"), 12, "b fixed")
    add(repair_of(repair_of(FIRST, "b"), "b fixed"), 13, "b fixed again")
    recorder.add("model-x", second(1.0), 3, 14, [], error="LLMUnavailable: down")
    add(second(1.0), 14, "d", "e", "f")
    return path


def texts(replies: list[Reply]) -> list[str]:
    return [reply.text for reply in replies]


def test_the_same_messages_get_the_recorded_replies_for_nothing(recording: Path) -> None:
    author = make(f"replay:{recording}")
    assert author.offline
    assert "model-x" in author.name
    replies = author.reply(FIRST, 3, seed=99)
    assert texts(replies) == ["a", "b", "c"]
    assert all(reply.cached and reply.dollars == 0 and reply.completion_tokens == 20 for reply in replies)
    assert texts(author.reply(repair_of(FIRST, "b"), 1, seed=98)) == ["b fixed"]
    assert texts(author.reply(second(1.0), 3, seed=97)) == ["d", "e", "f"]


def test_a_shortened_run_takes_fewer_replies(recording: Path) -> None:
    author = make(f"replay:{recording}")
    assert texts(author.reply(FIRST, 2, seed=1)) == ["a", "b"]
    assert texts(author.reply(FIRST, 2, seed=1)) == ["a", "b"], "the same call again gets the same answer"


def test_more_replies_than_recorded_are_refused(recording: Path) -> None:
    with pytest.raises(LLMError, match=r"search\.candidates to 3"):
        make(f"replay:{recording}").reply(FIRST, 4, seed=1)


def test_prompts_that_differ_are_answered_by_order_with_a_warning(recording: Path) -> None:
    warnings: list[str] = []
    author = ReplayAuthor(recording, on_warning=warnings.append)
    author.reply(FIRST, 2, seed=1)
    replies = author.reply(second(0.3), 2, seed=2)
    assert texts(replies) == ["d", "e"]
    assert {reply.finish_reason for reply in replies} == {BY_ORDER}
    assert len(warnings) == 1
    assert "generation number 2" in warnings[0]
    with pytest.raises(LLMError, match="generation number 3 of 2"):
        author.reply(second(0.4), 2, seed=3)


def test_a_repair_is_found_by_the_reply_that_it_mends(recording: Path) -> None:
    warnings: list[str] = []
    author = ReplayAuthor(recording, on_warning=warnings.append)
    assert texts(author.reply(repair_of(second(0.1), "b fixed"), 1, seed=1)) == ["b fixed again"]
    assert texts(author.reply(repair_of(second(0.1), "b"), 1, seed=2)) == ["b fixed"]
    assert warnings == []


def test_strict_replay_says_which_prompt_was_not_recorded(recording: Path) -> None:
    author = make(f"replay-strict:{recording}")
    author.reply(FIRST, 2, seed=1)
    with pytest.raises(LLMError, match="no answer to this generation") as caught:
        author.reply(second(0.3), 2, seed=2)
    assert "0.3 m/s" in str(caught.value)
    assert str(recording) in str(caught.value)


def test_a_resumed_replay_goes_on_where_the_killed_one_was(recording: Path, tmp_path: Path) -> None:
    own = tmp_path / "run.jsonl"
    before = make(f"replay:{recording}", recording=own)
    before.reply(FIRST, 2, seed=1)
    whole = before.reply(second(0.3), 2, seed=2)
    resumed = make(f"replay:{recording}", recording=own)
    assert resumed.reply(second(0.3), 2, seed=2) == whole, "answered before the kill, asked again after it"
    later = tmp_path / "later.jsonl"
    make(f"replay:{recording}", recording=later).reply(FIRST, 2, seed=1)
    resumed = make(f"replay:{recording}", recording=later)
    assert texts(resumed.reply(second(0.3), 2, seed=2)) == ["d", "e"]


def test_a_conversation_recorded_twice_answers_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    for seed, text in enumerate("xy"):
        Recorder(path).add("m", FIRST, 1, seed, [Reply(text, "m")])
    author = ReplayAuthor(path, strict=True)
    assert [texts(author.reply(FIRST, 1, seed=seed)) for seed in (7, 8, 7)] == [["x"], ["y"], ["x"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no answered call"),
        ("hello\n", "not JSON"),
        ('{"form": 99}\n', "newer"),
        ('{"form": 1}\n', "no recorded call"),
    ],
)
def test_a_file_that_is_no_recording(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(content)
    with pytest.raises(LLMError, match=said):
        make(f"replay:{path}")
    with pytest.raises(LLMError, match="cannot read"):
        make(f"replay:{tmp_path / 'missing.jsonl'}")


def test_a_run_that_was_recorded_can_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    with ModelServer() as server:
        live = make("m", None, path, base_url=server.url).reply(FIRST, 3, seed=4)
    assert make(f"replay:{path}").reply(FIRST, 3, seed=4) == [
        replace(reply, cached=True, dollars=0.0, seconds=0.0) for reply in live
    ]
