"""A search whose author is a person at the page: started from the form, answered, finished, grown, answered again."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rewardgen.llm.dialog import requests
from rewardgen.store import read
from tests.web.browser import Person, needs_browser
from tests.web.conftest import open_site

pytestmark = [needs_browser, pytest.mark.slow]

NAME = "by-hand"
REWARD = """<b>The pole has to come up.</b>

```python
def compute_reward(state, action, next_state):
    up = (0.5 + 0.5 * next_state.pole_upright.clamp(-1.0, 1.0)) ** {power}
    return up, {{"up": up}}
```
"""


def test_a_person_writes_the_rewards_at_the_page(browser: Browser, folder: Path) -> None:
    site = open_site(folder)
    try:
        ada = Person(browser, site)
        ada.show_token()
        page = ada.open("/start")
        page.get_by_label("Rewards written by").select_option("dialog")
        for label, value in (
            ("Candidates per generation", "2"),
            ("Generations", "1"),
            ("Steps per training", "4000"),
            ("Seeds for the reported scores", "1"),
            ("Name of the run", NAME),
        ):
            page.get_by_label(label, exact=True).fill(value)
        page.keyboard.press("Tab")
        expect(page.locator("#cost")).to_contain_text("waits whenever an answer is due")
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_url(f"**/runs/{NAME}")

        # Two answers are wanted; what is typed stays while the page follows the run
        expect(page.locator("#status")).to_have_text("waiting for answers")
        expect(page.locator(".request-text")).to_contain_text("pole_upright")
        page.get_by_label("Answer 1").fill(REWARD.format(power=1))
        page.get_by_label("Answer 2").fill("half of it")
        for _ in range(2):
            with page.expect_response("**/live"):
                pass
        expect(page.get_by_label("Answer 2")).to_have_value("half of it")
        page.get_by_role("button", name="Send answer 1").click()
        expect(page.get_by_text("Answer 1 is in.")).to_be_visible()
        expect(page.get_by_label("Answer 2")).to_have_value("half of it")
        ada.open("/")
        expect(page.get_by_text("waiting for answers")).to_be_visible()
        page = ada.open(f"/runs/{NAME}")
        page.get_by_label("Answer 2").fill(REWARD.format(power=2))
        page.get_by_role("button", name="Send answer 2").click()
        expect(page.locator("#requests")).to_have_count(0)
        add = page.get_by_role("button", name="Add generations")
        expect(add).to_be_visible()
        first = read(folder / NAME)
        assert first.status == "finished" and len(first.candidates) == 2 and first.author == "dialog"
        assert all(each.source for each in first.candidates.values())
        assert len(requests(folder / NAME / "dialog")) == 1

        # A generation more: its request shows what became of the first one
        expect(page.get_by_label("Generations in total")).to_have_value("2")
        add.click()
        expect(page.locator("#status")).to_have_text("waiting for answers")
        for number in (1, 2):
            page.get_by_label(f"Answer {number}").fill(REWARD.format(power=2 + number))
            page.get_by_role("button", name=f"Send answer {number}").click()
        expect(page.get_by_text("Continued from 1 to 2 generations")).to_be_visible()
        expect(add).to_be_visible()
        view = read(folder / NAME)
        assert view.status == "finished" and [each.finished for each in view.generations] == [True, True]
        assert view.grown[0].winner == first.winner and view.final("winner") is not None
        assert view.final("expert") == first.final("expert")
        assert len(requests(folder / NAME / "dialog")) == 2

        # The reply is in the conversation of its candidate, as text
        page = ada.open(f"/runs/{NAME}/candidates/r0g1c0")
        expect(page.get_by_text("<b>The pole has to come up.</b>").first).to_be_attached()
        assert not ada.complaints
    finally:
        for context in site.visitors:
            context.close()
        site.end()
