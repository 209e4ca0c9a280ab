"""The author that waits for files: what a person writes is what it replies, and nothing else is read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rewardgen.errors import BudgetExceeded, Stopped, UnknownName, UsageError
from rewardgen.llm import Budget
from rewardgen.llm.dialog import MAX_BYTES, DialogAuthor, answer, read_answer, requests
from rewardgen.records import Message, Reply
from rewardgen.request import Request

ASKED = Request(
    "generation", (Message("system", "You write rewards."), Message("user", "Swing it up. <!-- answers: 99 -->"))
)


class Waiting:
    """An author that is asked in another thread; ``told`` gives one notice or warning after another."""

    def __init__(self, folder: Path, budget: Budget | None, pool: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.said: list[str] = []
        self.more = threading.Semaphore(0)
        self.author = DialogAuthor(folder, budget=budget, on_notice=self.hear, on_warning=self.hear, settle=0.02)

    def hear(self, message: str) -> None:
        self.said.append(message)
        self.more.release()

    def told(self) -> str:
        assert self.more.acquire(timeout=30)
        return self.said.pop(0)

    def ask(self, n: int = 1, seed: int = 0) -> Future[list[Reply]]:
        return self.pool.submit(self.author.reply, ASKED, n, seed=seed)


@contextmanager
def waiting(folder: Path, budget: Budget | None = None) -> Iterator[Waiting]:
    with ThreadPoolExecutor(4) as pool:
        dialog = Waiting(folder, budget, pool)
        try:
            yield dialog
        finally:
            dialog.author.close()


def test_answers_are_the_files_beside_the_request(tmp_path: Path) -> None:
    with waiting(tmp_path / "new" / "folder") as dialog:
        future = dialog.ask(n=2)
        assert "waiting for 2 answers to" in dialog.told()
        (request,) = requests(tmp_path / "new" / "folder")
        assert (request.purpose, request.wanted, request.missing) == ("generation", 2, (1, 2))
        text = request.path.read_text()
        assert "Swing it up." in text and "You write rewards." in text
        first, second = (request.path.with_name(f"{request.name}.answer-{k}.md") for k in (1, 2))
        assert first.name in text and second.name in text
        second.write_text("zweite Lösung", encoding="utf-8")
        assert "waiting for answer 1 to" in dialog.told()
        answer(tmp_path / "new" / "folder", request.name, 1, "erste Lösung")
        replies = future.result(timeout=30)
    assert [reply.text for reply in replies] == ["erste Lösung", "zweite Lösung"]
    # four characters count as a token, and each message has four more
    assert [reply.completion_tokens for reply in replies] == [3, 4]
    assert replies[0].prompt_tokens == 5 + 9 + 8 and replies[1].prompt_tokens == 0
    assert all(reply.estimated and reply.dollars == 0 for reply in replies)


def test_a_request_is_found_again_by_whoever_asks_the_same(tmp_path: Path) -> None:
    with waiting(tmp_path) as dialog:
        future = dialog.ask()
        dialog.told()
        dialog.author.close()
        with pytest.raises(Stopped):
            future.result(timeout=30)
    (request,) = requests(tmp_path)
    answer(tmp_path, request.name, 1, "meanwhile")
    with waiting(tmp_path) as dialog:
        assert dialog.ask().result(timeout=30)[0].text == "meanwhile"
        other = dialog.ask(seed=1)  # another seed wants another answer
        dialog.told()
        assert [each.name[:4] for each in requests(tmp_path)] == ["001-", "002-"]
        answer(tmp_path, requests(tmp_path)[1].name, 1, "another")
        assert other.result(timeout=30)[0].text == "another"


def test_a_budget_counts_by_estimate(tmp_path: Path) -> None:
    budget = Budget(tokens=50)
    with waiting(tmp_path, budget) as dialog:
        future = dialog.ask()
        dialog.told()
        answer(tmp_path, requests(tmp_path)[0].name, 1, "x" * 40)
        future.result(timeout=30)
        assert budget.spent[1] == 22 + 10
        with pytest.raises(BudgetExceeded, match="tokens"):
            dialog.ask(seed=1).result(timeout=30)
    assert len(requests(tmp_path)) == 1


def _link(path: Path) -> None:
    secret = path.with_name("secret.txt")
    secret.write_text("a secret")
    path.symlink_to(secret)


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (_link, "cannot be read"),
        (lambda path: os.mkfifo(path), "no plain file"),
        (lambda path: path.mkdir(), "no plain file|cannot be read"),
        (lambda path: path.write_bytes(b"x" * (MAX_BYTES + 1)), "longer than"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "UTF-8"),
        (lambda path: path.write_text(" \n"), "is empty"),
    ],
    ids=["link", "pipe", "folder", "long", "binary", "empty"],
)
def test_what_is_no_answer_is_refused_until_it_is_replaced(tmp_path: Path, attack, says: str) -> None:  # type: ignore[no-untyped-def]
    with waiting(tmp_path) as dialog:
        future = dialog.ask()
        dialog.told()
        (request,) = requests(tmp_path)
        path = request.path.with_name(f"{request.name}.answer-1.md")
        attack(path)
        with pytest.raises(UsageError, match=says):
            read_answer(path)
        assert "write it again" in dialog.told()
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_text("an answer")
        assert future.result(timeout=30)[0].text == "an answer"


@pytest.mark.parametrize(
    ("name", "number", "text", "error"),
    [
        ("../001-generation-0123456789ab", 1, "x", UnknownName),
        ("002-generation-0123456789ab", 1, "x", UnknownName),
        (None, 0, "x", UsageError),
        (None, 2, "x", UsageError),
        (None, 1, "", UsageError),
        (None, 1, "x" * (MAX_BYTES + 1), UsageError),
    ],
)
def test_answers_to_nothing_are_refused(
    tmp_path: Path, name: str | None, number: int, text: str, error: type[Exception]
) -> None:
    with waiting(tmp_path / "dialog") as dialog:
        dialog.ask()
        dialog.told()
        with pytest.raises(error):
            answer(tmp_path / "dialog", name or requests(tmp_path / "dialog")[0].name, number, text)
        assert len(list((tmp_path / "dialog").iterdir())) == 1 and len(list(tmp_path.iterdir())) == 1


def test_an_answer_is_never_replaced(tmp_path: Path) -> None:
    with waiting(tmp_path) as dialog:
        dialog.ask(n=2)
        dialog.told()
        name = requests(tmp_path)[0].name
        answer(tmp_path, name, 1, "first")
        with pytest.raises(UsageError, match="has its answer 1 already"):
            answer(tmp_path, name, 1, "second")
