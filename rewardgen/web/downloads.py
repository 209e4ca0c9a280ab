"""Downloads of a run: the report, the exported files and the winner's film."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from rewardgen.replay import find
from rewardgen.report.downloads import exported_files
from rewardgen.report.page import render
from rewardgen.report.replays import leader_replay
from rewardgen.store import RunView
from rewardgen.web.context import runs_of
from rewardgen.web.guard import POLICY, REPORT_POLICY

router = APIRouter(default_response_class=HTMLResponse)

DRAWING = threading.Lock()  # matplotlib's settings are global to the process
FILM = "winner.mp4"


def files_of(view: RunView) -> Mapping[str, Path]:
    """Return the files that the run's page offers, by name."""
    found = dict(exported_files(view))
    # The film, if it was rendered
    key = leader_replay(view)
    films = find(view.path, key) if key is not None else ()
    if films and films[0].video is not None:
        found[FILM] = films[0].video
    return found


@router.get("/runs/{run}/files/{name}")
def download(request: Request, run: str, name: str) -> Response:
    """Return one of the files that ``files_of`` lists; names are never used as paths."""
    found = files_of(runs_of(request).view(run))
    if name not in found:
        raise HTTPException(404)
    return FileResponse(found[name], media_type="application/octet-stream", filename=name)


@router.get("/runs/{run}/report")
def report(request: Request, run: str) -> Response:
    """Render the report from the current store, with a policy that runs no scripts in it."""
    runs = runs_of(request)
    view = runs.view(run)

    # Rendered once for each state of the run
    def draw() -> str:
        with DRAWING:
            return render(view)

    text = runs.cached("report", view.path, runs.mark(view.path), draw)
    return HTMLResponse(text, headers={POLICY: REPORT_POLICY})
