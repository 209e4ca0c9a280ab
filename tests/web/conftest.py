"""A folder with a small real run, and the real server in front of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from rewardgen.store import held, read_holder
from rewardgen.web import Pages, pages
from tests.replay.made import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RUN = "small"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A folder with a run of one generation: four candidates with policies, and a fifth that failed in training."""
    make_run(tmp_path / "runs" / RUN, task="cartpole/swingup", candidates=5)
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.web.browser import chromium  # which looks at this module's site

    with chromium() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder of runs, in which no process is left behind."""
    runs = tmp_path / "runs"
    runs.mkdir()
    yield runs
    for run in runs.iterdir():
        pid = read_holder(run)
        if pid is not None and held(run):
            os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Site:
    """A server that answers, in a thread. ``visitors`` are the browser contexts that look at it."""

    pages: Pages
    thread: threading.Thread
    visitors: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Without a token."""
        return self.pages.url.partition("?")[0].rstrip("/")

    def client(self) -> httpx2.Client:
        """A browser without a window: it keeps cookies."""
        return httpx2.Client(base_url=self.url, timeout=30, trust_env=False)

    def end(self) -> None:
        self.pages.stop()
        self.thread.join()


def open_site(folder: Path, **options: Any) -> Site:
    """Serve ``folder`` as ``rewardgen web`` does."""
    made = pages(folder, **{"port": 0, **options})
    thread = threading.Thread(target=made.run, daemon=True)  # a test that failed must not keep the others waiting
    thread.start()
    return Site(made, thread)


@pytest.fixture
def site(runs_dir: Path) -> Iterator[Site]:
    opened = open_site(runs_dir)
    yield opened
    for context in opened.visitors:  # a page that goes on asking may come in just when the server has stopped listening
        context.close()
    opened.end()
