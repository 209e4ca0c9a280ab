"""The requests of a search whose author answers in files (``llm.dialog``), and the form that answers them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from rewardgen.errors import LLMError, RewardgenError, UnknownName, UsageError
from rewardgen.llm.dialog import answer, requests
from rewardgen.store import RunView
from rewardgen.web.context import check_acting, runs_of
from rewardgen.web.rendering import page

router = APIRouter(default_response_class=HTMLResponse)

MAX_TEXT = 400_000
"""Characters of a request that a page shows."""
_NUMBER = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True)
class OpenRequest:
    """A request that a live search waits for.

    ``text`` are the messages as its file has them, in Markdown. It wants the answers 1 to ``wanted``; those in
    ``missing`` are not there yet.
    """

    name: str
    purpose: str
    text: str
    wanted: int
    missing: tuple[int, ...]


def open_requests(view: RunView) -> list[OpenRequest]:
    """Read the requests that a run waits for. Those that have all their answers are left out.

    Raises:
        LLMError: the dialog's folder cannot be read.
    """
    # Read each folder once; a run may wait for several requests
    found = []
    for folder in dict.fromkeys(path.parent for path in view.asking):
        for each in requests(folder):
            if each.path in view.asking and each.missing:
                text = each.path.read_text(encoding="utf-8", errors="replace")[:MAX_TEXT]
                # What comes before the first rule tells where the files of the answers go
                messages = text.partition("\n---\n")[2].strip() or text
                found.append(OpenRequest(each.name, each.purpose, messages, each.wanted, each.missing))
    return found


def shown_requests(view: RunView) -> tuple[list[OpenRequest], str]:
    """Return the open requests for a page, or why they cannot be read."""
    try:
        return open_requests(view), ""
    except (LLMError, OSError) as error:
        return [], str(error)


@router.post("/runs/{run}/requests/{name}/answers")
def add_answer(request: Request, run: str, name: str) -> Response:
    """Write one answer to an open request beside it, and return to the run's page.

    A page with scripts (htmx) gets the place of the answer instead, with what was wrong and the text as it was sent.
    """
    check_acting(request)
    view = runs_of(request).view(run)
    form = request.state.form
    # Browsers send text fields with Windows line ends
    number, text = form.get("number", ""), form.get("text", "").replace("\r\n", "\n")
    # Write the answer, which must not exist yet
    try:
        folder = _folder_of(view, name)
        if not _NUMBER.fullmatch(number):
            raise UsageError("the form has no number of an answer")
        answer(folder, name, int(number), text)
        problem = ""
    except (UnknownName, UsageError) as error:
        problem = str(error)
        if "hx-request" not in request.headers:
            raise
    except OSError as error:
        raise RewardgenError(f"the answer could not be written: {error}") from error
    # Show the run's page, or the place of this answer
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/runs/{run}#requests", 303)
    values = {"run": run, "name": name[:80], "number": number[:3], "text": text, "problem": problem}
    return HTMLResponse(page("answer.html.j2", request, **values))


def _folder_of(view: RunView, name: str) -> Path:
    """Look up the folder of an open request; names and folders from the browser are never used as paths.

    Raises:
        UnknownName: the run waits for no such request.
    """
    # Requests of other runs may be in the same folder
    folders = {path.stem: path.parent for path in view.asking}
    if name not in folders:
        raise UnknownName("open request", name[:80], folders, hint=f"(in the run {view.name})")
    return folders[name]
