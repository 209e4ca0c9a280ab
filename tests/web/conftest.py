"""A folder with a small real run, and the real server in front of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from filelock import FileLock

from rewardgen.web import Pages, pages
from tests.cli.commands import small_search

RUN = "small"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One generation of four candidates, searched once for all processes that test."""
    shared = tmp_path_factory.getbasetemp()
    shared = (shared if worker_id == "master" else shared.parent) / "web"
    with FileLock(str(shared) + ".lock"):
        if not shared.exists():
            made = small_search(shared.with_name("web-being-made"), RUN, "--candidates", 4)
            assert made.code == 0, made.err
            (shared.with_name("web-being-made")).rename(shared)
    return shared / RUN


@pytest.fixture
def runs_dir(finished_run: Path, tmp_path: Path) -> Path:
    """A folder of one's own with a copy of the run."""
    shutil.copytree(finished_run, tmp_path / "runs" / RUN)
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@dataclass(frozen=True)
class Site:
    """A server that answers, in a thread."""

    pages: Pages
    thread: threading.Thread

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
    thread = threading.Thread(target=made.run)
    thread.start()
    return Site(made, thread)


@pytest.fixture
def site(runs_dir: Path) -> Iterator[Site]:
    opened = open_site(runs_dir)
    yield opened
    opened.end()
