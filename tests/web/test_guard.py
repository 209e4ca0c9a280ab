"""Attempts to get in, from elsewhere, with too much, or past the folder of runs."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path

import pytest

from rewardgen.errors import UsageError
from rewardgen.signing import SigningKey, load_key
from rewardgen.web import pages
from rewardgen.web.access import Visitor, from_cookie, to_cookie
from rewardgen.web.guard import MAX_BODY, TOKEN_COOKIE
from tests.web.conftest import RUN, Site, open_site

TOKEN = "a token of 24 characters"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8421", "localhost.evil.example", "10.0.0.1", "", "[a"])
def test_a_foreign_name_for_our_address_is_refused(site: Site, host: str) -> None:
    with site.client() as client:
        assert client.get("/", headers={"Host": host}).status_code == 421
        for ours in ("localhost", "LOCALHOST:1234", "127.0.0.1:80", "[::1]:8421"):
            assert client.get("/", headers={"Host": ours}).status_code == 200


def test_every_answer_forbids_what_is_inline_or_from_elsewhere(site: Site) -> None:
    with site.client() as client:
        for path in ("/", f"/runs/{RUN}", "/static/web.css", "/nowhere"):
            answer = client.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|<style|\son\w+=|https?://(?!www\.w3)", answer.text)


@pytest.mark.parametrize(
    "name",
    ["..", "../..", "%2e%2e", "..%2f..%2fetc", "%2Fetc", "small%00", "small/../x", "~", "small~..", "x" * 999],
)
def test_a_run_is_looked_up_and_never_made_into_a_path(site: Site, name: str) -> None:
    assert asked_by_hand(site, f"/runs/{name}") == 404


@pytest.mark.parametrize(
    "path", ["../guard.py", "%2e%2e/guard.py", "..%2fguard.py", "", "/etc/passwd", "%2Fetc%2Fhosts"]
)
def test_nothing_but_the_static_files_is_given_out(site: Site, path: str) -> None:
    assert asked_by_hand(site, f"/static/{path}") == 404


def test_what_is_not_asked_by_a_page_of_ours_changes_nothing(site: Site) -> None:
    with site.client() as client:
        csrf = token_in(client.get("/").text)
        form = {"csrf": csrf, "name": "Ada"}
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert client.post("/you", data=form, headers=headers).status_code == 403, headers
        assert client.post("/you", data={"name": "Ada"}).status_code == 403
        assert client.post("/you", data={"name": "Ada", "csrf": csrf[:-1] + "x"}).status_code == 403
        assert client.post("/you", json=form).status_code == 415
        assert client.request("PUT", "/you").status_code == client.request("DELETE", f"/runs/{RUN}").status_code == 405
        with site.client() as other:  # another visitor's page is worth nothing here
            other.get("/")
            assert other.post("/you", data=form).status_code == 403


def test_a_huge_body_is_refused_said_or_unsaid(site: Site) -> None:
    with site.client() as client:
        csrf = token_in(client.get("/").text)
        form = {"csrf": csrf, "name": "x" * MAX_BODY}
        assert client.post("/you", data=form).status_code == 413

        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        unsaid = iter([b"csrf=x&name=", b"x" * MAX_BODY])  # in chunks, without a length
        assert client.post("/you", content=unsaid, headers=kind).status_code == 413
        assert client.post("/you", content="&".join("a=b" for _ in range(1000)), headers=kind).status_code == 400
        assert client.post("/you", content=b"name=%ff%fe", headers=kind).status_code == 400


def test_another_address_needs_a_token_and_a_refused_one_sees_nothing(runs_dir: Path) -> None:
    site = open_site(runs_dir, token=TOKEN)
    try:
        with site.client() as client:
            for path in ("/", f"/runs/{RUN}", f"/runs/{RUN}/live", "/static/web.css", "/nowhere"):
                answer = client.get(path)
                assert answer.status_code == 401 and "cartpole" not in answer.text
            for wrong in ("", "a", TOKEN[:-1], TOKEN + "x", "ä"):
                assert client.get("/", params={"token": wrong}).status_code == 401
            assert client.get("/", headers={"Cookie": f"{TOKEN_COOKIE}={TOKEN}"}).status_code == 401
        with site.client() as client:
            answer = client.get(f"/runs/{RUN}", params={"token": TOKEN, "a": "b"})
            assert answer.status_code == 200 and TOKEN not in answer.text and f"/runs/{RUN}?a=b" in answer.text
            cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(TOKEN_COOKIE))
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
            assert client.get("/").status_code == 200
            again = client.get("/", params={"token": TOKEN}, follow_redirects=False)
            assert again.status_code == 303 and again.headers["location"] == "/"
        with site.client() as client:
            assert client.post("/", data={"token": TOKEN}).status_code == 200
            assert client.get("/").status_code == 200
    finally:
        site.end()


def test_beyond_loopback_there_is_always_a_token_and_the_same_after_a_restart(runs_dir: Path) -> None:
    addresses = []
    for _ in range(2):
        made = pages(runs_dir, host="0.0.0.0", port=0)
        made.listening.close()
        addresses.append(made.url.partition("?token=")[2])
        _, *others = made.urls  # the first is by name, the others by number, for machines that cannot resolve it
        found = [re.fullmatch(r"http://([0-9.]+):\d+/\?token=(\w+)", each) for each in others]
        assert all(each is not None and each[2] == addresses[-1] for each in found)
        assert not any(each is not None and ipaddress.ip_address(each[1]).is_loopback for each in found)
    assert len(addresses[0]) == 32 and addresses[0] == addresses[1]
    with pytest.raises(UsageError, match="can be guessed"):
        pages(runs_dir, token="short")
    with pytest.raises(UsageError, match="no folder"):
        pages(runs_dir / "nothing")


def test_a_visitor_is_known_again_and_nobody_can_be_made_up(tmp_path: Path) -> None:
    key, kept = load_key(tmp_path / "a")
    assert kept and (tmp_path / "a" / "web.key").stat().st_mode & 0o077 == 0
    again, _ = load_key(tmp_path / "a")
    ada = Visitor("some-id", "Ada")
    cookie = to_cookie(ada, key)
    assert from_cookie(cookie, again) == ada
    assert from_cookie(cookie, SigningKey(b"x" * 32)) is None
    text, _, signature = cookie.partition(".")
    assert from_cookie(f"{text[:-4]}AAA=.{signature}", key) is None
    assert from_cookie("", key) is None and from_cookie("é.é", key) is None
    (tmp_path / "file").write_text("")
    assert load_key(tmp_path / "file")[1] is False  # no folder can be made there


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" content="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def asked_by_hand(site: Site, path: str) -> int:
    """The status that ``path`` is answered with, exactly as it stands: a client would tidy it."""
    with socket.create_connection(site.pages.listening.getsockname()[:2], timeout=30) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with raw.makefile("rb") as answer:
            return int(answer.readline().split()[1])
