"""Films of environments that draw themselves, in a real browser: there is no 3-D view of them to fall back from."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rewardgen.replay import ensure
from tests.replay.made import make_run
from tests.replay.test_filming import declare
from tests.web.browser import Person, needs_browser
from tests.web.conftest import RUN, open_site

pytestmark = [needs_browser, pytest.mark.slow]

LOADED = """film => new Promise(done => {
  if (film.readyState > 0 || film.error) done();
  else film.onloadedmetadata = film.onerror = () => done();
})"""
"""Resolves once the browser knows a film's size, or that it cannot play it."""


def test_two_films_play_beside_each_other(browser: Browser, tmp_path: Path) -> None:
    declare(tmp_path / "envs", "CartPole-v1", 200)
    run_dir = make_run(tmp_path / "runs" / RUN, task="drawn/here", candidates=3, envs=[tmp_path / "envs"])
    for key in ("r0g0c0", "r0g0c1"):
        ensure(run_dir, key)
    site = open_site(tmp_path / "runs")
    try:
        ada = Person(browser, site)
        page = ada.open(f"/runs/{RUN}/compare?left=r0g0c0&right=r0g0c1")
        expect(page.locator("[data-player][data-ready] video")).to_have_count(2)
        for film in page.locator("video").all():
            film.evaluate(LOADED)
            assert film.evaluate("film => film.error === null && film.videoWidth") == 600
        assert not ada.complaints
        ada.context.close()
    finally:
        site.end()
