"""Pages and report on a phone, and what stays as it was while a page follows its run."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rewardgen.report import write_report
from rewardgen.store import Store, read
from tests.web.browser import Person, needs_browser
from tests.web.conftest import RUN, Site

pytestmark = [needs_browser, pytest.mark.slow]

PHONE = 390
WIDER = """() => [...document.querySelectorAll('main *')].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !each.closest('.scroll, .wide-figure, nav, pre, svg');
}).map((each) => each.outerHTML.slice(0, 120))"""


def test_nothing_is_cut_off_on_a_phone(browser: Browser, site: Site, runs_dir: Path, tmp_path: Path) -> None:
    report = write_report(read(runs_dir / RUN), tmp_path / "report.html")
    ada = Person(browser, site, width=PHONE)
    page = ada.show_token()
    here = f"{site.url}/runs/{RUN}"
    places = ["/", "/start", f"/runs/{RUN}", f"/runs/{RUN}/compare", f"/runs/{RUN}/candidates/r0g0c0"]
    for address in [*(site.url + place for place in places), report.as_uri()]:
        page.goto(address)
        if address == here:
            expect(page.get_by_role("heading", name="Learning")).to_be_visible()  # drawn after the page
        assert page.evaluate("() => document.documentElement.scrollWidth") == PHONE, address
        assert page.evaluate(WIDER) == [], address
    assert not ada.complaints


def test_what_was_unfolded_stays_so_while_the_page_follows_the_run(
    browser: Browser, site: Site, runs_dir: Path
) -> None:
    with Store(runs_dir / RUN) as store:
        store.set_meta(status="running", winner=None)
        ada = Person(browser, site)
        page = ada.open(f"/runs/{RUN}")
        place = {"restart": 0, "generation": 0, "candidates": ["r0g0c0", "r0g0c1"], "against": []}
        store.set_meta(waiting={**place, "wanted": 1, "starts": 1, "since": "", "until": "2026-03-03T10:00:00+00:00"})
        expect(page.locator("#status")).to_have_text("waiting for you")
        folded = page.locator("#generations details")
        expect(page.get_by_role("link", name="r0g0c1")).to_be_hidden()  # with its score
        folded.locator("summary").first.click()
        expect(page.get_by_role("link", name="r0g0c1")).to_be_visible()
        for _ in range(2):
            with page.expect_response("**/live"):
                pass
        expect(page.get_by_role("link", name="r0g0c1")).to_be_visible()
        assert not ada.complaints
