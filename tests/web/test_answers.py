"""Answers to requests and further generations by hand-made forms: what is offered is done, anything else refused."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from rewardgen.llm.dialog import MAX_BYTES, Dialog, DialogAuthor, answer_path
from rewardgen.records import Message, Reply
from rewardgen.request import Request
from rewardgen.store import Store, read
from rewardgen.web.guard import MAX_ANSWER_BODY, MAX_BODY
from rewardgen.web.launching import STARTED_FOLDER
from tests.web.conftest import RUN, Site, open_site
from tests.web.test_acting import admitted, post
from tests.web.test_guard import token_in

__all__ = ["admitted"]  # a fixture

PATIENCE = 120  # seconds after which a process that does not end is a failure
ASKED = Request("generation", (Message("user", "Swing it up. <script>alert(1)</script>"),))


@dataclass
class Asking:
    """A live run that waits for answers to ``name``; ``replies`` are those that its author comes to."""

    folder: Path
    name: str
    replies: Future[list[Reply]]

    @property
    def answers(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.answer-*"))


@pytest.fixture
def asking(runs_dir: Path) -> Iterator[Asking]:
    """This very process holds the run, and an author of it waits for two answers in another thread."""
    folder = runs_dir / RUN / "dialog"
    told, dialog = threading.Event(), Dialog(folder)
    author = DialogAuthor(folder, name="dialog", dialog=dialog, on_notice=lambda text: told.set(), settle=0.02)
    with Store(runs_dir / RUN) as store, ThreadPoolExecutor(1) as pool:
        replies = pool.submit(author.reply, ASKED, 2, seed=0)
        assert told.wait(30)
        (path,) = dialog.open_requests
        store.set_meta(status="running", author="dialog", asking=[str(path)])
        try:
            yield Asking(folder, path.stem, replies)
        finally:
            author.close()


def send(client: httpx2.Client, name: str, number: str = "1", text: str = "an answer") -> httpx2.Response:
    return post(client, f"/runs/{RUN}/requests/{name}/answers", number=number, text=text)


def test_what_is_sent_is_what_the_author_replies(admitted: httpx2.Client, asking: Asking) -> None:
    page = admitted.get(f"/runs/{RUN}").text
    assert "waiting for answers" in page and asking.name in page and "in a file of its own" not in page
    assert "Swing it up. &lt;script&gt;" in page and "<script>alert" not in page  # the messages as the file has them
    assert "waiting for answers" in admitted.get("/").text
    first = "```python\r\nx = 1\r\n```\r\n<b>it's</b> & more \u00e4\u4e16"  # as a browser sends lines
    answer = send(admitted, asking.name, "1", first)
    assert answer.status_code == 303 and answer.headers["location"] == f"/runs/{RUN}#requests"
    page = admitted.get(f"/runs/{RUN}").text
    assert "Answer 1 is in" in page and "Send answer 2" in page and "Send answer 1" not in page
    assert send(admitted, asking.name, "2", "second").status_code == 303
    texts = [reply.text for reply in asking.replies.result(timeout=30)]
    assert texts == [first.replace("\r\n", "\n"), "second"]
    assert 'class="request"' not in admitted.get(f"/runs/{RUN}").text  # all of its answers are there


def test_an_answer_is_shown_escaped_where_it_is_given_back(admitted: httpx2.Client, asking: Asking) -> None:
    evil = "</textarea><script>alert(1)</script>" * 2
    assert send(admitted, asking.name, "1", evil).status_code == 303
    admitted.headers["HX-Request"] = "true"
    again = send(admitted, asking.name, "1", evil)  # twice: what was typed comes back, with what is wrong
    assert again.status_code == 200 and "has its answer 1 already" in again.text
    assert "&lt;/textarea&gt;&lt;script&gt;" in again.text and "<script>" not in again.text
    assert "<script>" not in send(admitted, "<script>", "<b>", evil).text
    assert "Answer 2 is in" in send(admitted, asking.name, "2", evil).text
    assert asking.answers == [f"{asking.name}.answer-1.md", f"{asking.name}.answer-2.md"]


@pytest.mark.parametrize(
    "number", ["0", "3", "-1", "", "1.0", "x", "\u0661", "1" * 40, "../../1", "1/../../../escaped"]
)
def test_answers_that_are_not_wanted_are_refused(admitted: httpx2.Client, asking: Asking, number: str) -> None:
    assert send(admitted, asking.name, number).status_code == 400
    assert not asking.answers and not list(asking.folder.parent.glob("*escaped*"))


@pytest.mark.parametrize("text", ["", "  \n\t ", "x" * (MAX_BYTES + 1), "\u4e16" * (MAX_BYTES // 3 + 1)])
def test_answers_that_are_empty_or_too_long_are_refused(admitted: httpx2.Client, asking: Asking, text: str) -> None:
    assert send(admitted, asking.name, "1", text).status_code == 400
    assert not asking.answers


def test_the_longest_answer_is_taken_and_larger_forms_are_not(admitted: httpx2.Client, asking: Asking) -> None:
    assert send(admitted, asking.name, "1", "x" * MAX_ANSWER_BODY).status_code == 413
    assert post(admitted, f"/runs/{RUN}/generations", generations="9" * MAX_BODY).status_code == 413  # only answers
    assert send(admitted, asking.name, "1", "\u00e4" * (MAX_BYTES // 2)).status_code == 303
    assert answer_path(asking.folder / f"{asking.name}.md", 1).stat().st_size == MAX_BYTES


@pytest.mark.parametrize(
    "name",
    [
        "002-generation-0123456789ab",  # another run's, say
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "..",
        "%2fetc%2fpasswd",
        "{name}.md",
        "{name}.answer-1",
        "{name}%00",
        "../dialog/{name}",
        "%2e%2e%2fdialog%2f{name}",
    ],
)
def test_only_requests_that_are_open_are_answered(admitted: httpx2.Client, asking: Asking, name: str) -> None:
    # A request that lies in the folder and that nobody waits for
    text = (asking.folder / f"{asking.name}.md").read_text()
    (asking.folder / "002-generation-0123456789ab.md").write_text(text)
    before = sorted(path for path in asking.folder.parent.parent.rglob("*"))
    assert send(admitted, name.format(name=asking.name)).status_code in (400, 404, 405)
    assert sorted(path for path in asking.folder.parent.parent.rglob("*")) == before


def test_links_are_not_followed(admitted: httpx2.Client, asking: Asking, tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    answer_path(asking.folder / f"{asking.name}.md", 1).symlink_to(aim)
    assert send(admitted, asking.name, "1").status_code == 400 and not aim.exists()
    request = asking.folder / f"{asking.name}.md"
    request.rename(aim)
    request.symlink_to(aim)  # the request itself: it is not read, and nobody is asked to answer it
    assert "Swing it up" not in admitted.get(f"/runs/{RUN}").text
    assert send(admitted, asking.name, "2").status_code == 404 and len(asking.answers) == 1


def test_a_run_that_nobody_works_on_takes_no_answers(runs_dir: Path, admitted: httpx2.Client) -> None:
    folder = runs_dir / RUN / "dialog"
    folder.mkdir()
    path = folder / "001-generation-0123456789ab.md"
    path.write_text("<!-- answers: 1 -->\n")
    with Store(runs_dir / RUN) as store:  # as a process leaves it that was killed, or a run that came from elsewhere
        store.set_meta(status="running", asking=[str(path)])
    page = admitted.get(f"/runs/{RUN}").text
    assert "stopped" in page and path.stem not in page
    assert send(admitted, path.stem).status_code == 404 and [each.name for each in folder.iterdir()] == [path.name]


def test_without_the_token_one_may_read_and_not_answer(site: Site, asking: Asking) -> None:
    with site.client() as client:
        page = client.get(f"/runs/{RUN}").text
        assert "Swing it up" in page and "Send answer" not in page
        assert send(client, asking.name).status_code == 403
        assert post(client, f"/runs/{RUN}/generations", generations="2").status_code == 403
        long = "x" * (2 * MAX_BODY)  # more than others may send is for those who may act
        assert send(client, asking.name, "1", long).status_code == 413
    assert not asking.answers


def test_another_sites_page_answers_nothing(admitted: httpx2.Client, asking: Asking, runs_dir: Path) -> None:
    csrf = token_in(admitted.get("/").text)
    for path, form in (
        (f"/runs/{RUN}/requests/{asking.name}/answers", {"number": "1", "text": "mine"}),
        (f"/runs/{RUN}/generations", {"generations": "2"}),
    ):
        assert admitted.post(path, data=form).status_code == 403  # no form token
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert admitted.post(path, data={**form, "csrf": csrf}, headers=headers).status_code == 403
        assert admitted.get(path).status_code == 405
    assert not asking.answers and not (runs_dir / STARTED_FOLDER).exists()


def test_where_control_is_off_nobody_answers(runs_dir: Path, asking: Asking) -> None:
    site = open_site(runs_dir, control=False, token="a token of 24 characters")
    try:
        with site.client() as client:
            client.get(site.pages.url, follow_redirects=True)
            assert send(client, asking.name).status_code == 403 and not asking.answers
            assert "Send answer" not in client.get(f"/runs/{RUN}").text
    finally:
        site.end()


@pytest.mark.parametrize("total", ["", "0", "1", "-2", "1001", "9" * 10, "2.5", "two", "--set=seed=1", "2 --out=/tmp"])
def test_a_total_that_adds_nothing_is_refused(admitted: httpx2.Client, runs_dir: Path, total: str) -> None:
    assert 'min="2"' in admitted.get(f"/runs/{RUN}").text  # the run has one generation
    assert post(admitted, f"/runs/{RUN}/generations", generations=total).status_code == 400
    assert not (runs_dir / STARTED_FOLDER).exists()


def test_generations_are_added_to_runs_alone_that_nobody_works_on(admitted: httpx2.Client, runs_dir: Path) -> None:
    with Store(runs_dir / RUN) as store:
        store.set_meta(status="running")
        assert "Add generations" not in admitted.get(f"/runs/{RUN}").text
        answer = post(admitted, f"/runs/{RUN}/generations", generations="2")
        assert answer.status_code == 400 and "is running already" in answer.text
    (runs_dir / "sweep").mkdir()
    shutil.move(runs_dir / RUN, runs_dir / "sweep" / RUN)
    answer = post(admitted, f"/runs/sweep~{RUN}/generations", generations="2")
    assert answer.status_code == 400 and "belongs to a sweep" in answer.text
    assert post(admitted, "/runs/nothing/generations", generations="2").status_code == 404
    assert not (runs_dir / STARTED_FOLDER).exists()


def test_the_author_in_the_form_is_no_path(admitted: httpx2.Client, runs_dir: Path) -> None:
    form = {"task": "cartpole/swingup", "candidates": "1", "generations": "1"}
    for change in (
        {"author": "dialog:/tmp/x"},
        {"author": "offline"},
        {"author": "dialog", "llm": "gpt"},
        {"llm": "dialog"},
        {"dialog": "/tmp/x"},
    ):
        assert post(admitted, "/start", **{**form, **change}).status_code == 400
    told = post(admitted, "/start/cost", **form, author="dialog")
    assert told.status_code == 200 and "waits whenever an answer is due" in told.text
    assert not (runs_dir / STARTED_FOLDER).exists()


@pytest.mark.slow
def test_why_a_run_could_not_be_continued_is_shown(admitted: httpx2.Client, runs_dir: Path) -> None:
    """The process itself refuses: this run was made by hand, without most of its settings."""
    assert post(admitted, f"/runs/{RUN}/generations", generations="2").status_code == 303
    again = post(admitted, f"/runs/{RUN}/generations", generations="2")  # while the first process starts
    assert again.status_code == 400 and "is running already" in again.text
    began, page = time.monotonic(), admitted.get(f"/runs/{RUN}").text
    while "A process is at work" in page and time.monotonic() - began < PATIENCE:
        assert "Add generations" not in page  # not a second time
        time.sleep(0.2)  # a person who looks again
        page = admitted.get(f"/runs/{RUN}").text
    assert "The last attempt to continue this run was refused" in page and "Traceback" not in page
    assert "Add generations" in page and read(runs_dir / RUN).status == "finished"
