"""A real browser, where this machine has one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.web.conftest import RUN, Site

expect.set_options(timeout=120_000)  # of a machine that has much else to do
PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATH = next((found for name in PLACES if (found := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(
    PATH is None, reason="there is no Chromium here: `apt-get install chromium` (make test does it where it may)"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=PATH,
            args=["--enable-unsafe-swiftshader", "--disable-dev-shm-usage"],  # WebGL without a graphics card
            chromium_sandbox=False,  # it needs a kernel setting that containers lack
        )
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody at a browser of their own, who notices what goes wrong on a page."""

    def __init__(self, browser: Browser, site: Site, *, width: int = 1200, state: object = None) -> None:
        self.site = site
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 800},
            storage_state=state,
            reduced_motion="reduce",  # type: ignore[arg-type]
        )
        site.visitors.append(self.context)
        self.context.set_default_timeout(240_000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on(
            "console", lambda line: self.complaints.append(line.text) if "Content Security" in line.text else None
        )

    def show_token(self) -> Page:
        """Open the address with the token, which makes the browser one that may act."""
        self.page.goto(self.site.pages.url)
        self.page.wait_for_url(lambda url: "token" not in url)
        return self.page

    def open(self, path: str) -> Page:
        self.page.goto(self.site.url + path)
        return self.page

    def enter(self, name: str, path: str = f"/runs/{RUN}/judge") -> Page:
        """Open a page that asks who one is, and say so."""
        self.open(path)
        self.page.get_by_label("Your name").fill(name)
        self.page.keyboard.press("Enter")
        self.wait_until_in()
        return self.page

    def wait_until_in(self) -> None:
        """Until the page that asked for a name has led on to the one that was wanted."""
        self.page.wait_for_url(lambda url: "/you" not in url)

    def wait_for_replays(self, count: int = 2) -> None:
        self.page.wait_for_function(
            "count => document.querySelectorAll('[data-player][data-ready]').length === count", arg=count
        )

    def answered(self) -> int:
        """How many pairs the page says were judged."""
        told = re.search(r"judged (\d+) of", self.page.locator("#count").inner_text())
        assert told is not None
        return int(told[1])

    def wait_for_answered(self, count: int) -> None:
        self.page.wait_for_function(
            "count => document.querySelector('#count').textContent.includes(`judged ${count} of`)", arg=count
        )
