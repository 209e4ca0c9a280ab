"""The web application: routes, static files and error pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from rewardgen.errors import RewardgenError, UnknownName, UsageError
from rewardgen.report import code
from rewardgen.report.page import styles
from rewardgen.web import acting, dialogs, downloads, judging, replays, showing
from rewardgen.web.guard import Guard, Rules
from rewardgen.web.launching import Launcher
from rewardgen.web.recording import ReplayRecorder
from rewardgen.web.rendering import page
from rewardgen.web.runs import Runs

STATIC = Path(__file__).parent / "static"


def make_app(folder: Path, rules: Rules) -> FastAPI:
    """Make the application for the runs in ``folder``; ``rules`` decide who may use it."""
    app = FastAPI(title="rewardgen", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan)
    # Shared by all requests
    app.state.runs, app.state.rules = Runs(folder), rules
    app.state.recorder, app.state.people = ReplayRecorder(), {}
    app.state.launcher = Launcher(folder)
    # Routes and files
    for room in (showing, replays, judging, downloads, acting, dialogs):
        app.include_router(room.router)
    app.add_api_route("/static/code.css", _code_styles, methods=["GET"])
    app.add_api_route("/static/report.css", _report_styles, methods=["GET"])
    app.mount("/static", StaticFiles(directory=STATIC))
    # Errors as pages, and the guard in front of everything
    app.add_exception_handler(RewardgenError, _failed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Guard, rules=rules)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """End the rendering process when the server stops."""
    yield
    app.state.recorder.close()


def _failed(request: Request, error: Exception) -> Response:
    """Show an error of rewardgen: 404 for unknown names, 400 for wrong input, otherwise 500."""
    status = 404 if isinstance(error, UnknownName) else 400 if isinstance(error, UsageError) else 500
    return _error(request, status, str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(request, error.status_code, "There is no such page." if error.status_code == 404 else error.detail)


def _error(request: Request, status: int, what: str) -> Response:
    return HTMLResponse(page("refusal.html.j2", request, what=what, then="", status=status), status)


def _code_styles() -> Response:
    return Response(str(code.styles()), media_type="text/css")


def _report_styles() -> Response:
    return Response(str(styles()), media_type="text/css")
