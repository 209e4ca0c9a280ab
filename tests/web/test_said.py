"""What is said by hand-made requests: kept once, for what was shown, by whoever said their name; or refused."""

from __future__ import annotations

import html
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest

from rewardgen.store import MAX_WORDS, Judgements, Store, Waiting, write_progress
from tests.replay.made import make_run
from tests.web.conftest import RUN, Site
from tests.web.test_guard import token_in


def enter(client: httpx2.Client, name: str = "Ada", **more: str) -> httpx2.Response:
    csrf = token_in(client.get("/").text)
    client.headers["X-CSRF-Token"] = csrf
    return client.post("/you", data={"name": name, "to": "/", **more}, follow_redirects=False)


def form_of(page: str, ident: str) -> dict[str, str]:
    """The hidden fields of the form with that id."""
    body = re.search(rf'<form[^>]*id="{ident}".*?</form>', page, re.DOTALL)
    assert body is not None, page
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', body[0])
    return {name: html.unescape(value) for name, value in fields}


def test_what_is_sent_twice_is_kept_once_and_what_was_not_shown_is_refused(site: Site, runs_dir: Path) -> None:
    shutil.copytree(runs_dir / RUN, runs_dir / "other")
    with sqlite3.connect(runs_dir / "other" / "run.sqlite") as connection:
        connection.execute("UPDATE meta SET value = '\"2020-01-01T00:00:00+00:00\"' WHERE key = 'created'")
    connection.close()
    with site.client() as client:
        assert client.get(f"/runs/{RUN}/judge", follow_redirects=False).headers["location"].startswith("/you?to=")
        assert client.post(f"/runs/{RUN}/judgements", data={"csrf": "x"}).status_code == 403
        assert enter(client).status_code == 303
        form = form_of(client.get(f"/runs/{RUN}/judge").text, "pair") | {"answer": "left", "words": "", "id": "a" * 16}

        def send(run: str = RUN, **changes: Any) -> int:
            data = {key: value for key, value in (form | changes).items() if value is not None}
            return client.post(f"/runs/{run}/judgements", data=data, follow_redirects=False).status_code

        assert send("other") == 403  # the same names exist there, but that run was not what was shown
        assert send(left=form["right"], right=form["left"]) == 403  # the sides are those of the showing
        assert send(left="r0g0c9.0") == send(left="winner.0") == send("nowhere") == 404
        assert send(left="r0g0c0.99") in (400, 403, 404)
        assert send(left="../../etc/passwd.0") == send(answer="mine") == send(id="x") == send(id="<b>" * 9) == 400
        assert send(seal="") == send(seal="0" * 64) == send(seal="\u00e4") == 403
        assert send(words="x" * (MAX_WORDS + 1)) == 400
        assert not (runs_dir / RUN / "judgements.sqlite").exists()
        assert send() == send() == send(answer="right") == 303
        kept = Judgements(runs_dir / RUN).judgements()
        assert [(each.id, each.answer, each.judge) for each in kept] == [("a" * 16, "left", "Ada")]
        assert client.post(f"/runs/{RUN}/undo", data={"last": "a" * 16}).status_code == 303
        assert Judgements(runs_dir / RUN).judgements() == ()

        order = form_of(client.get(f"/runs/{RUN}/order/r0g0").text, "ordering")
        for wrong in ("", "r0g0c0", "r0g0c0,r0g0c0,r0g0c1,r0g0c2", order["candidates"] + ",r0g0c9", "a,b,c,d"):
            assert client.post(f"/runs/{RUN}/orders", data=order | {"candidates": wrong}).status_code == 400
        assert client.post("/runs/other/orders", data=order).status_code == 403
        assert client.get(f"/runs/{RUN}/order/r7g7").status_code == 404
        remark = {"replay": "r0g0c0.0", "words": "hm", "seal": "0" * 64}
        assert client.post(f"/runs/{RUN}/remarks", data=remark).status_code == 403
        assert Judgements(runs_dir / RUN).orders() == Judgements(runs_dir / RUN).remarks() == ()


def test_a_name_that_is_taken_is_asked_about_also_after_a_restart(site: Site) -> None:
    with site.client() as ada, site.client() as ben:
        assert enter(ada).status_code == 303
        form = form_of(ada.get(f"/runs/{RUN}/judge").text, "pair")
        ada.post(f"/runs/{RUN}/judgements", data=form | {"answer": "equal"})
        site.pages.server.config.app.state.people.clear()  # type: ignore[union-attr]
        assert enter(ben, "Ada").status_code == 409
        assert enter(ben, "Ada", mine="Ada").status_code == 303
        for wrong in ("", " ", "a" * 61, "a\u202eb", "a\0b"):
            assert enter(ben, wrong).status_code == 400
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
            assert enter(ben, "Ben", to=elsewhere).headers["location"] == "/"


def test_a_live_search_of_one_candidate_asks_for_words_alone(site: Site, runs_dir: Path) -> None:
    make_run(runs_dir / "one", task="cartpole/swingup", candidates=2)  # the second of them failed
    since, until = "2026-03-02T10:00:00+00:00", "2026-03-03T10:00:00+00:00"
    with Store(runs_dir / "one") as store, site.client() as client:
        store.set_meta(status="running")
        write_progress(runs_dir / "one", "generation", 250_000, 1_000_000, 5_000.0)
        page = client.get("/runs/one").text
        assert "250,000 of 1,000,000 steps, 5,000 a second, 2 min 30 s left" in page and "waits for people" not in page
        store.set_waiting(Waiting(0, 0, ("r0g0c0",), (), 1, 1, since, until))
        assert "This search waits for people" in client.get("/runs/one").text
        enter(client)
        page = client.get("/runs/one/judge").text
        assert "How does it do?" in page and 'id="pair"' not in page and "<strong>0 of 1</strong>" in page
        form = form_of(page.replace('<form method="post" action="/runs/one/remarks"', '<form id="told"'), "told")
        answer = client.post("/runs/one/remarks", data=form | {"words": "lift your feet"}, follow_redirects=False)
        assert answer.status_code == 303
        kept = Judgements(runs_dir / "one").remarks()
        assert [(each.replay, each.words, each.judge) for each in kept] == [("r0g0c0.0", "lift your feet", "Ada")]
        page = client.get("/runs/one/judge").text
        assert "<strong>1 of 1</strong>" in page and "lift your feet" in page


ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{ 7*7 }}"


def test_script_in_names_programs_and_replies_is_shown_as_it_is(site: Site, runs_dir: Path) -> None:
    code = f"def compute_reward(state, action, next_state):\n    # {ATTACK}\n    return 0, {{}}\n"
    with sqlite3.connect(runs_dir / RUN / "run.sqlite") as connection:
        for field in ("name", "description", "fitness_unit"):
            connection.execute(f"UPDATE meta SET value = json_set(value, '$.{field}', ?) WHERE key = 'task'", (ATTACK,))
        connection.execute("UPDATE meta SET value = json_quote(?) WHERE key IN ('author', 'message')", (ATTACK,))
        connection.execute("UPDATE candidates SET source = ?, reflection = ?", (code, ATTACK))
        problem = "json_array(json_object('stage', ?1, 'message', ?1))"
        connection.execute(f"UPDATE attempts SET output = ?1, problems = {problem}", (ATTACK,))
        connection.execute("UPDATE replies SET text = ?1, model = ?1", (ATTACK,))
    connection.close()
    (runs_dir / RUN).rename(runs_dir / "<img src=x onerror=alert(3)>")
    run = "/runs/%3Cimg%20src%3Dx%20onerror%3Dalert(3)%3E"
    pages = ["", "/live", "/figures", "/candidates/r0g0c0", "/compare", "/judge", "/order/r0g0"]
    with site.client() as client:
        enter(client, "<img src=x onerror=alert(4)>")
        for path in ["/", "/you", *(run + page for page in pages)]:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "<img src=x" not in answer.text and "<script>" not in answer.text and "`49" not in answer.text, path
        assert html.escape("</script><script>alert(1)") in client.get(f"{run}/candidates/r0g0c0").text


KINDS = ["poses", "geometry", "thumbnail", "video", "..", "%2e%2e%2frun.sqlite", "__init__", "note", "id"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_replays_own_files_are_given_out(site: Site, kind: str) -> None:
    with site.client() as client:
        for replay in ("r0g0c0.0", "..", "r0g0c0.0%2f..", "run.sqlite", "r0g0c0.15"):
            answer = client.get(f"/runs/{RUN}/replays/{replay}/{kind}")
            assert answer.status_code in (400, 404)  # nothing was made yet
