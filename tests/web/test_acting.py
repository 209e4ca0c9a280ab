"""Attempts to start, stop or take away what one may not: refused, with no process begun and nothing written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from rewardgen.store import Store, held, read_holder
from rewardgen.web.guard import MAX_BODY
from rewardgen.web.launching import MAX_RUNNING, STARTED_FOLDER
from tests.web.conftest import RUN, Site, open_site
from tests.web.test_guard import token_in

GOOD = {"task": "cartpole/swingup", "llm": "offline", "candidates": "2", "generations": "1", "steps": "4000"}


@pytest.fixture
def admitted(site: Site) -> Iterator[httpx2.Client]:
    """A browser that has shown the token."""
    with site.client() as client:
        assert client.get(site.pages.url, follow_redirects=True).status_code == 200
        yield client


def post(client: httpx2.Client, path: str, **form: str) -> httpx2.Response:
    return client.post(path, data={"csrf": token_in(client.get("/").text), **form})


def nothing_began(folder: Path) -> bool:
    return not (folder / STARTED_FOLDER).exists() and [path.name for path in folder.iterdir() if path.is_dir()] == [RUN]


def test_without_the_token_one_may_look_and_not_act(site: Site, runs_dir: Path) -> None:
    with site.client() as client:
        assert "Start a search" not in client.get("/").text
        assert "/export" not in client.get(f"/runs/{RUN}").text
        for path in ("/start", "/starts/x", "/tasks/cartpole~swingup/picture"):
            assert client.get(path).status_code == 403, path
        for path in ("/start", "/start/cost", f"/runs/{RUN}/stop", f"/runs/{RUN}/resume", f"/runs/{RUN}/export"):
            assert post(client, path, **(GOOD if "start" in path else {})).status_code == 403, path
        assert client.get("/", params={"token": "not the right one"}).status_code == 401
        assert post(client, "/start", **GOOD, token="not the right one").status_code == 401
    assert nothing_began(runs_dir) and not (runs_dir / RUN / "export").exists()


def test_where_control_is_off_the_token_does_not_help(runs_dir: Path) -> None:
    site = open_site(runs_dir, control=False, token="a token of 24 characters")
    try:
        with site.client() as client:
            client.get(site.pages.url, follow_redirects=True)
            assert client.get(f"/runs/{RUN}").status_code == 200
            assert client.get("/start").status_code == post(client, "/start", **GOOD).status_code == 403
    finally:
        site.end()
    assert nothing_began(runs_dir)


def test_another_sites_page_starts_nothing(admitted: httpx2.Client, runs_dir: Path) -> None:
    csrf = token_in(admitted.get("/").text)
    for path in ("/start", f"/runs/{RUN}/export", f"/runs/{RUN}/stop", f"/runs/{RUN}/resume"):
        form = GOOD  # an empty one has no type, and is refused for that
        assert admitted.post(path, data=form).status_code == 403  # no form token
        assert admitted.post(path, data={**form, "csrf": csrf[:-1] + "x"}).status_code == 403
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert admitted.post(path, data={**form, "csrf": csrf}, headers=headers).status_code == 403
        assert admitted.get(path).status_code in (404, 405) or path == "/start"
    assert nothing_began(runs_dir) and not (runs_dir / RUN / "export").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../elsewhere"},
        {"name": "/etc/passwd"},
        {"name": ".."},
        {"name": "a/b"},
        {"name": "latest"},
        {"name": "-x"},
        {"name": ".hidden"},
        {"name": "x" * 65},
        {"name": RUN},  # taken
        {"task": "../../etc/passwd"},
        {"task": "no/such"},
        {"task": ""},
        {"llm": "--config=/etc/passwd"},
        {"llm": "replay:/etc/passwd"},
        {"llm": "replay-strict:/etc/passwd"},
        {"llm": "dialog:/tmp/x"},
        {"llm": "a b"},
        {"llm": "m\n--out=/tmp"},
        {"llm": "x" * 201},
        {"method": "/tmp/evil.yaml"},
        {"method": "nothing"},
        {"judge": "vlm:model"},
        {"candidates": "0"},
        {"candidates": "257"},
        {"candidates": "-1"},
        {"candidates": "1e3"},
        {"candidates": "9" * 10},
        {"steps": "$(id)"},
        {"dollars": "-1"},
        {"dollars": "nan"},
        {"envs": "/tmp"},
        {"prompts": "/tmp"},
        {"base_url": "http://evil.example/v1"},
        {"set": "sandbox.level=basic"},
        {"do": "anything"},
    ],
)
def test_what_the_form_does_not_offer_is_refused(
    admitted: httpx2.Client, runs_dir: Path, change: dict[str, str]
) -> None:
    answer = post(admitted, "/start", **{**GOOD, **change})
    assert answer.status_code == 400 and "Traceback" not in answer.text
    assert nothing_began(runs_dir)


def test_too_much_is_refused(admitted: httpx2.Client, runs_dir: Path) -> None:
    assert post(admitted, "/start", **GOOD, padding="x" * MAX_BODY).status_code == 413
    assert post(admitted, "/start", **{f"f{n}": "" for n in range(300)}).status_code == 400
    assert nothing_began(runs_dir)


@pytest.mark.parametrize("name", ["..%2f..", "%2e%2e%2fx", "nothing", f"{RUN}%2f..%2f{RUN}", "~", ".started"])
def test_only_runs_that_are_there_are_acted_on(admitted: httpx2.Client, runs_dir: Path, name: str) -> None:
    for what in ("stop", "resume", "export"):
        assert post(admitted, f"/runs/{name}/{what}").status_code in (404, 405)
    assert admitted.get(f"/starts/{name}").status_code == 404
    assert nothing_began(runs_dir)


def test_a_process_that_the_pages_did_not_start_is_not_stopped(admitted: httpx2.Client, runs_dir: Path) -> None:
    with Store(runs_dir / RUN) as store:  # this very process holds the run
        store.set_meta(status="running")
        assert held(runs_dir / RUN) and read_holder(runs_dir / RUN) == os.getpid()
        answer = post(admitted, f"/runs/{RUN}/stop")
        assert answer.status_code == 400 and "was not started from these pages" in answer.text
        assert post(admitted, f"/runs/{RUN}/resume").status_code == 400
        kept = runs_dir / STARTED_FOLDER
        kept.mkdir()
        for told in ('{"pid": 1}', '{"pid": "x"}', "[]", '{"pid": -1}', "\0"):  # records that are stale or damaged
            (kept / f"{RUN}.json").write_text(told)
            assert post(admitted, f"/runs/{RUN}/stop").status_code == 400
    (kept / f"{RUN}.json").write_text(f'{{"pid": {os.getpid()}}}')  # its number may be another process's by now
    answer = post(admitted, f"/runs/{RUN}/stop")
    assert answer.status_code == 400 and "is not running" in answer.text


def test_a_search_of_a_sweep_is_left_to_the_sweep(site: Site, runs_dir: Path, admitted: httpx2.Client) -> None:
    (runs_dir / "sweep").mkdir()
    (runs_dir / RUN).rename(runs_dir / "sweep" / RUN)
    for what in ("stop", "resume"):
        answer = post(admitted, f"/runs/sweep~{RUN}/{what}")
        assert answer.status_code == 400 and "belongs to a sweep" in answer.text


def test_so_many_searches_run_at_once_and_no_more(admitted: httpx2.Client, runs_dir: Path) -> None:
    kept = runs_dir / STARTED_FOLDER
    kept.mkdir()
    for number in range(MAX_RUNNING):  # on their way, as this process is
        (kept / f"other-{number}.json").write_text(f'{{"pid": {os.getpid()}}}')
    answer = post(admitted, "/start", **GOOD)
    assert answer.status_code == 400 and f"{MAX_RUNNING} searches that were started here are running" in answer.text
    assert len(list(kept.iterdir())) == MAX_RUNNING
    assert "Starting" in admitted.get("/starts/other-0").text


def test_only_what_was_exported_can_be_downloaded(admitted: httpx2.Client, runs_dir: Path) -> None:
    assert admitted.get(f"/runs/{RUN}/files/reward.py").status_code == 404
    assert post(admitted, f"/runs/{RUN}/export").status_code == 303
    answer = admitted.get(f"/runs/{RUN}/files/reward.py")
    assert answer.content == (runs_dir / RUN / "export" / "reward.py").read_bytes()
    assert answer.headers["content-disposition"].startswith("attachment")
    for name in ("run.sqlite", "..%2frun.sqlite", "../run.sqlite", "%2fetc%2fpasswd", "export"):
        assert admitted.get(f"/runs/{RUN}/files/{name}").status_code == 404
    (runs_dir / RUN / "export" / "policy.py").unlink()
    (runs_dir / RUN / "export" / "policy.py").symlink_to("/etc/passwd")
    assert admitted.get(f"/runs/{RUN}/files/policy.py").status_code == 404


def test_a_report_cannot_act_as_these_pages_do(admitted: httpx2.Client) -> None:
    answer = admitted.get(f"/runs/{RUN}/report")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and policy.startswith("sandbox ") and "allow-scripts" not in policy
    assert "allow-same-origin" not in policy and "default-src 'none'" in policy


def test_the_cost_is_that_of_the_dry_run(admitted: httpx2.Client) -> None:
    told = post(admitted, "/start/cost", **GOOD).text
    # 2 candidates and one leader measured again, 3 reported seeds of winner, expert and sparse: 3 + 3 × 3
    assert "<dt>trainings</dt><dd>12</dd>" in told and "No language model is asked" in told
    # (2 + 2 of those measured again at most + 9) × 4,000
    assert "<dd>52,000</dd>" in told
    assert "there is no task named" in post(admitted, "/start/cost", **{**GOOD, "task": "cartpole/swing"}).text
