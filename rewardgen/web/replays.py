"""Routes of replays: the player as a part of a page, and the files that it loads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from rewardgen.replay import find
from rewardgen.web.context import check_replay, recorder_of, runs_of
from rewardgen.web.rendering import page

router = APIRouter(default_response_class=HTMLResponse)

_KINDS = {"poses": "application/octet-stream", "thumbnail": "image/png", "video": "video/mp4"}


@router.get("/runs/{run}/replays/{replay}")
def player(
    request: Request,
    run: str,
    replay: str,
    label: Annotated[str, Query(max_length=40)] = "",
    group: Annotated[str, Query(pattern=r"^[a-z]{0,12}$")] = "",
    film: bool = False,
    play: bool = False,
) -> str:
    """Show a replay; while it is rendered, a line that polls for it."""
    # Only replays that the run can have are rendered
    view = runs_of(request).view(run)
    check_replay(view, replay)
    made = recorder_of(request).ask(view.path, replay, video=film)
    return page(
        "player.html.j2", request, run=run, replay=replay, made=made, label=label, group=group, film=film, play=play
    )


@router.get("/runs/{run}/replays/{replay}/{kind}")
def replay_file(request: Request, run: str, replay: str, kind: str) -> Response:
    """Return a file of a replay: poses, thumbnail or video, or the geometry of the run's model."""
    view = runs_of(request).view(run)
    candidate, start = check_replay(view, replay)
    files = next((each for each in find(view.path, candidate, starts=start + 1) if each.id == replay), None)
    # Only known kinds are attributes to look up
    path = None
    if files is not None and kind in (*_KINDS, "geometry"):
        path = getattr(files, kind)
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, media_type=_KINDS.get(kind, _KINDS["poses"]), headers={"Cache-Control": "no-cache"})
