"""Routes that act on runs: start, stop, resume, add generations, export. They need the token."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from rewardgen.errors import RewardgenError, UnknownName, UsageError
from rewardgen.export import export_run
from rewardgen.search import method_names
from rewardgen.sweep.rates import Rates, measured_rates
from rewardgen.tasks import Task, declared_tasks
from rewardgen.web.context import check_acting, launcher_of, recorder_of, runs_of
from rewardgen.web.rendering import page
from rewardgen.web.searchform import (
    AUTHORS,
    JUDGES,
    MAX_GENERATIONS,
    MAX_MODEL,
    NUMBER,
    check_form,
    cost_of,
    free_name,
    generations_at_least,
)

router = APIRouter(default_response_class=HTMLResponse)

FIRST_TASK = "cartpole/swingup"
_RATES_SECONDS = 60.0
"""How long measured training speeds are cached."""
_tasks_lock, _rates_lock = threading.Lock(), threading.Lock()


@router.get("/start")
def start_page(request: Request) -> str:
    """Show the form for a new search."""
    check_acting(request)
    first = FIRST_TASK if FIRST_TASK in _tasks(request) else next(iter(_tasks(request)), "")
    return page("start.html.j2", request, **_form_values(request, {"task": first}))


@router.post("/start/cost")
def start_cost(request: Request) -> str:
    """Show the cost of the search in the form, or what is wrong with it. Requested whenever a field changes."""
    check_acting(request)
    return page("start_cost.html.j2", request, **_form_values(request, request.state.form))


@router.post("/start")
def start(request: Request) -> Response:
    """Start the search in the form; with ``do=cost`` show the form again with its cost."""
    check_acting(request)
    # Without scripts a second button shows the cost
    form = dict(request.state.form)
    if (do := form.pop("do", "start")) not in ("start", "cost"):
        raise UsageError("the form has no such button")
    values = _form_values(request, form)
    if do == "cost" or values["problem"]:
        return HTMLResponse(page("start.html.j2", request, **values), 400 if values["problem"] else 200)
    # Start the process, whose page follows it until its run exists
    wanted = values["wanted"]
    name = wanted.name or free_name(runs_of(request).folder, wanted.config.task)
    try:
        launcher_of(request).start(name, wanted.arguments)
    except UsageError as error:
        return HTMLResponse(page("start.html.j2", request, **{**values, "problem": str(error)}), 400)
    return RedirectResponse(f"/starts/{name}", 303)


@router.get("/starts/{name}")
def started_page(request: Request, name: str) -> Response:
    """Show a search that is starting."""
    return _started(request, name, "started.html.j2")


@router.get("/starts/{name}/live")
def started_live(request: Request, name: str) -> Response:
    """Update the page of a search that is starting."""
    return _started(request, name, "started_live.html.j2")


@router.post("/runs/{run}/stop")
def stop(request: Request, run: str) -> Response:
    """Ask the run's process to stop; the run's page shows when it has stopped."""
    launcher_of(request).stop(_run_name(request, run))
    return RedirectResponse(f"/runs/{run}", 303)


@router.post("/runs/{run}/resume")
def resume(request: Request, run: str) -> Response:
    """Resume a run."""
    launcher_of(request).resume(_run_name(request, run))
    return RedirectResponse(f"/runs/{run}", 303)


@router.post("/runs/{run}/generations")
def add_generations(request: Request, run: str) -> Response:
    """Continue a run with the total number of generations that the form gives."""
    # Check the number against the run's own generations
    name = _run_name(request, run)
    given = request.state.form.get("generations", "").strip()
    if not NUMBER.fullmatch(given):
        raise UsageError(f"generations: {given[:40]!r} is not a whole number")
    least = generations_at_least(runs_of(request).view(run))
    if not least <= int(given) <= MAX_GENERATIONS:
        raise UsageError(f"generations: give a total from {least} to {MAX_GENERATIONS}, not {int(given)}")
    launcher_of(request).resume(name, int(given))
    return RedirectResponse(f"/runs/{run}", 303)


@router.post("/runs/{run}/export")
def export(request: Request, run: str) -> Response:
    """Export the run into its folder, as ``rewardgen export`` does."""
    check_acting(request)
    view = runs_of(request).view(run)
    export_run(view, view.path / "export")
    return RedirectResponse(f"/runs/{run}", 303)


@router.get("/tasks/{task}/picture")
def picture(request: Request, task: str) -> str:
    """Show a task's picture in the form; while it is rendered, a line that polls for it."""
    check_acting(request)
    name = _task_of(request, task)
    drawn = recorder_of(request).ask_task(runs_of(request).folder, name)
    return page("task_picture.html.j2", request, task=name, address=task, drawn=drawn)


@router.get("/tasks/{task}/picture.png")
def picture_file(request: Request, task: str) -> Response:
    """Return a task's picture as PNG; 404 until it is rendered."""
    check_acting(request)
    drawn = recorder_of(request).ask_task(runs_of(request).folder, _task_of(request, task))
    if drawn.path is None:
        raise HTTPException(404)
    return FileResponse(drawn.path, media_type="image/png", headers={"Cache-Control": "no-cache"})


# ---- helpers


def _form_values(request: Request, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the form's templates: its fields, and the cost of the search or the problem."""
    tasks = _tasks(request)
    # The form's fields and choices
    values: dict[str, Any] = {
        "form": dict(form),
        "tasks": tasks,
        "task": tasks.get(form.get("task", "")),
        "methods": method_names(),
        "judges": JUDGES,
        "authors": AUTHORS,
        "max_model": MAX_MODEL,
        "problem": "",
        "wanted": None,
        "cost": None,
    }
    # The search and its cost, or the first problem
    try:
        values["wanted"] = check_form(form, tasks)
        values["cost"] = cost_of(values["wanted"], _rates(request))
    except RewardgenError as error:
        values["problem"] = str(error)
    return values


def _tasks(request: Request) -> Mapping[str, type[Task]]:
    """Return the tasks that can be trained on this machine, by name; cached."""
    # Task files are read once per server
    state = request.app.state
    with _tasks_lock:
        if not hasattr(state, "tasks"):
            state.tasks = {task.name: task for task in declared_tasks() if task.missing() is None}
        return state.tasks


def _task_of(request: Request, address: str) -> str:
    """Return the task that a URL names, with "~" in place of the slash."""
    name = address.replace("~", "/")
    if name not in _tasks(request):
        raise UnknownName("task", name[:80], _tasks(request))
    return name


def _rates(request: Request) -> Rates:
    """Return the training speeds measured on this machine; cached for ``_RATES_SECONDS``."""
    state = request.app.state
    with _rates_lock:
        if not hasattr(state, "rates") or time.monotonic() - state.rates[0] > _RATES_SECONDS:
            state.rates = time.monotonic(), measured_rates(runs_of(request).folder)
        return state.rates[1]


def _run_name(request: Request, run: str) -> str:
    """Return the name of a run directly in the runs folder; the runs of a sweep are managed by the sweep.

    Raises:
        HTTPException: this browser may not act (403).
        UnknownName, UsageError: there is no such run, or it is a sweep's.
    """
    check_acting(request)
    path = runs_of(request).path(run)
    if path.parent != runs_of(request).folder:
        raise UsageError(f"{path} belongs to a sweep; continue it with `rewardgen sweep`")
    return path.name


def _started(request: Request, name: str, template: str) -> Response:
    """Show a start whose run does not exist yet, or why it failed; lead to the run once it exists."""
    check_acting(request)
    if name in runs_of(request).names():
        # The part that is updated holds the address, which ``started.js`` opens
        to = f"/runs/{name}"
        if template == "started.html.j2":
            return RedirectResponse(to, 303)
        return HTMLResponse(page(template, request, name=name, started=None, to=to))
    started = launcher_of(request).find(name) if name in launcher_of(request).names() else None
    if started is None:
        raise HTTPException(404)
    return HTMLResponse(page(template, request, name=name, started=started, to=""))
