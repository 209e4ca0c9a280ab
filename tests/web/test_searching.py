"""A search from the pages alone: started from the form, stopped, found again after a restart, resumed and exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rewardgen.store import held, read, read_holder
from tests.web.browser import Person, needs_browser
from tests.web.conftest import open_site

pytestmark = [needs_browser, pytest.mark.slow]

NAME = "mine"


def test_a_search_is_started_stopped_resumed_and_exported(browser: Browser, folder: Path) -> None:
    site = open_site(folder)
    try:
        ada = Person(browser, site)
        ada.show_token()
        page = ada.page
        page.get_by_role("link", name="Start a search").first.click()
        page.get_by_label("Task").select_option("reacher/reach")  # whose episodes are short
        for label, value in (
            ("Candidates per generation", "2"),
            ("Generations", "1"),
            ("Steps per training", "4000"),
            ("Seeds for the reported scores", "1"),
            ("Name of the run", NAME),
        ):
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_label("Judged by").select_option("people")  # it waits once it has trained, for as long as it takes
        expect(page.locator("#cost")).to_contain_text("reacher/reach")
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_url(f"**/runs/{NAME}")
        expect(page.locator("#status")).to_have_text("waiting for you")
        pid = read_holder(folder / NAME)

        site.end()  # the server goes; the search stays, and is found again by the next one
        assert held(folder / NAME) and read_holder(folder / NAME) == pid
        site = open_site(folder)
        ada = Person(browser, site)
        ada.show_token()
        page = ada.open(f"/runs/{NAME}")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#status")).to_have_text("stopped")
        assert not held(folder / NAME) and read(folder / NAME).message == "stopped by Ctrl-C or a signal"

        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#status")).to_have_text("waiting for you")
        assert held(folder / NAME) and read_holder(folder / NAME) != pid
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#status")).to_have_text("stopped")

        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="reward.py").click()
        exported = folder / NAME / "export" / "reward.py"
        assert download.value.path().read_bytes() == exported.read_bytes()
        assert "def compute_reward" in exported.read_text()
        assert not ada.complaints
    finally:
        for context in site.visitors:
            context.close()
        site.end()


def test_a_search_that_cannot_start_says_why(browser: Browser, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    site = open_site(folder)
    try:
        ada = Person(browser, site)
        ada.show_token()
        page = ada.open("/start")
        page.get_by_label("Task").select_option("hopper/run")  # what the form says follows its fields
        expect(page.locator("#cost h2")).to_have_text("hopper/run")
        page.get_by_label("Candidates per generation").fill("0")
        page.keyboard.press("Tab")
        expect(page.get_by_role("alert")).to_contain_text("search.candidates")
        page.get_by_label("Candidates per generation").fill("")
        page.get_by_label("Task").select_option("cartpole/swingup")
        expect(page.locator("#cost")).to_contain_text("What it will take")
        expect(page.get_by_alt_text("cartpole/swingup at the start")).to_be_visible()
        page.get_by_label("Language model").fill("gpt-nothing")  # without a key
        page.get_by_label("Name of the run").fill(NAME)
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.get_by_text("OPENAI_API_KEY").first).to_be_visible()
        expect(page.get_by_text("The search did not start").or_(page.get_by_text("failed").first).first).to_be_visible()
    finally:
        for context in site.visitors:
            context.close()
        site.end()
