"""Routes that show runs: the list, a run, a candidate, two candidates side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from rewardgen.errors import UsageError
from rewardgen.preference import heard
from rewardgen.records import candidate_of
from rewardgen.replay import replay_ids
from rewardgen.report import code, facts, figures
from rewardgen.report.choices import choice_reason, legibility_sentence
from rewardgen.report.replays import leader_replay
from rewardgen.report.result import TONES, result, status_word
from rewardgen.report.svg import Picture
from rewardgen.store import GenerationView, Glance, RunView, read_progress
from rewardgen.text import number, percent
from rewardgen.web.context import candidate_in, generation_of, launcher_of, recorder_of, replay_of, runs_of
from rewardgen.web.dialogs import shown_requests
from rewardgen.web.downloads import DRAWING, files_of
from rewardgen.web.people import people_rows, remarks_on
from rewardgen.web.rendering import page
from rewardgen.web.rows import changes, generation_rows, score_text
from rewardgen.web.searchform import MAX_GENERATIONS, generations_at_least

router = APIRouter(default_response_class=HTMLResponse)

USAGE_ERROR = 2
"""Exit code of a process that rejected its arguments; the run is unchanged."""
THUMBNAILS = 100
"""Max. thumbnails on a run's page, of the latest candidates."""
RUN_FIGURES: Mapping[str, Callable[[RunView], Picture | None]] = {
    "finals": figures.final_curves,
    "candidates": figures.candidate_curves,
    "lineage": figures.lineage,
}


@router.get("/")
def index(request: Request) -> str:
    """Show the list of runs."""
    return page("runs.html.j2", request, **_list_values(request))


@router.get("/live")
def index_live(request: Request) -> str:
    """Update the list of runs."""
    return page("runs_live.html.j2", request, **_list_values(request))


@router.get("/runs/{run}")
def run_page(request: Request, run: str) -> str:
    """Show a run."""
    return page("run.html.j2", request, **_run_values(request, run))


@router.get("/runs/{run}/live")
def run_live(request: Request, run: str) -> str:
    """Update a run's page."""
    return page("run_live.html.j2", request, **_run_values(request, run))


@router.get("/runs/{run}/figures")
def run_figures(request: Request, run: str) -> str:
    """Draw a run's figures; the page loads them separately, because they take longer."""
    runs = runs_of(request)
    view = runs.view(run)

    def draw() -> dict[str, Picture | None]:
        with DRAWING:
            return {name: figure(view) for name, figure in RUN_FIGURES.items()}

    pictures = runs.cached("figures", view.path, runs.mark(view.path), draw)
    return page("run_figures.html.j2", request, run=run, view=view, pictures=pictures)


@router.get("/runs/{run}/candidates/{key}")
def candidate_page(request: Request, run: str, key: str) -> str:
    """Show a candidate."""
    runs = runs_of(request)
    view = runs.view(run)
    candidate = candidate_in(view, key)

    # Drawn once for each state of the run
    def draw() -> tuple[Picture | None, Picture | None]:
        with DRAWING:
            return figures.training_curves(view, candidate), figures.components(candidate, "components")

    curves, components = runs.cached(f"figures of {key}", view.path, runs.mark(view.path), draw)
    generation = generation_of(view, key)
    unit = facts.unit_of(view)
    replay = replay_of(view, key)
    return page(
        "candidate.html.j2",
        request,
        run=run,
        view=view,
        candidate=candidate,
        generation=generation,
        code=code.highlighted(candidate.source) if candidate.source is not None else None,
        diff=changes(view, candidate),
        curves=curves,
        components=components,
        score=score_text(candidate, unit),
        interval=facts.interval(view, candidate),
        again=number(candidate.again_score) + unit if candidate.again_score is not None else "",
        success=facts.success(candidate.trainings),
        reason=choice_reason(view, candidate),
        children=[each.key for each in view.candidates.values() if each.parent == key],
        siblings=_neighbours(generation, key),
        **(remarks_on(request, view, replay) if replay else {"replay": None}),
    )


@router.get("/runs/{run}/compare")
def compare_page(request: Request, run: str, left: str = "", right: str = "") -> str:
    """Show two candidates side by side; by default the winner and the best of the others."""
    runs = runs_of(request)
    view = runs.view(run)
    # Choose the pair
    ranked = sorted(view.candidates.values(), key=lambda c: (c.key != view.winner, -(c.score or 0.0)))
    keys = [candidate.key for candidate in ranked if candidate.key not in (left, right)]
    if len(ranked) < 2:
        raise UsageError(f"{view.name} does not have two candidates to compare yet")
    pair = candidate_in(view, left or keys.pop(0)), candidate_in(view, right or keys.pop(0))
    unit = facts.unit_of(view)

    def draw() -> list[Picture | None]:
        with DRAWING:
            return [figures.components(candidate, f"side-{side}") for side, candidate in enumerate(pair)]

    # Draw and describe both
    drawn = runs.cached(f"components of {pair[0].key}, {pair[1].key}", view.path, runs.mark(view.path), draw)
    sides = [
        {
            "candidate": candidate,
            "replay": replay_of(view, candidate.key),
            "score": score_text(candidate, unit),
            "interval": facts.interval(view, candidate),
            "success": percent(facts.success(candidate.trainings)) if candidate.trainings else "",
            "components": picture,
        }
        for candidate, picture in zip(pair, drawn, strict=True)
    ]
    # Compare their programs
    both = pair[0].source is not None and pair[1].source is not None and pair[0].key != pair[1].key
    diff = code.diff(pair[0].source or "", pair[1].source or "") if both else None
    return page("compare.html.j2", request, run=run, view=view, sides=sides, diff=diff, keys=list(view.candidates))


def _neighbours(generation: GenerationView, key: str) -> tuple[str | None, str | None]:
    """Return the keys of the candidates before and after ``key`` in its generation."""
    keys = [candidate.key for candidate in generation.candidates]
    place = keys.index(key)
    return (keys[place - 1] if place else None), (keys[place + 1] if place + 1 < len(keys) else None)


def _replays(view: RunView, generation: GenerationView) -> list[str]:
    """Return the first replay of each candidate of a generation that has a policy."""
    return replay_ids(view, generation.restart, generation.index)


def _list_values(request: Request) -> dict[str, Any]:
    """Return the values of the list of runs."""
    runs = runs_of(request)
    # An unreadable run has an error in place of its short view
    lines = [(name, line, status_word(line) if isinstance(line, Glance) else "failed") for name, line in runs.glances()]
    return {"folder": runs.folder, "tones": TONES, "lines": lines}


def _wanted(view: RunView) -> int:
    """Return the setting ``search.generations``, 0 if it was not kept."""
    # Settings of old or hand-made runs may lack anything
    search = view.config.get("search")
    wanted = search.get("generations") if isinstance(search, Mapping) else None
    return wanted if isinstance(wanted, int) else 0


def _run_values(request: Request, run: str) -> dict[str, Any]:
    """Return the values of a run's page."""
    runs = runs_of(request)
    view = runs.view(run)
    mark = runs.mark(view.path)
    # Result and winner
    found, leader = result(view), leader_replay(view)
    winner = view.candidates.get(view.winner or "")
    own = view.path.parent == runs.folder
    # Processes and requests; runs of a sweep are not managed here
    busy = own and view.status != "running" and launcher_of(request).is_busy(view.path.name)
    ended = launcher_of(request).find(view.path.name) if own and request.state.may_act else None
    requests, requests_problem = shown_requests(view)
    # Thumbnails of finished generations
    shown = [candidate_of(replay) for each in view.generations if each.finished for replay in _replays(view, each)]
    return {
        "run": run,
        "thumbnails": recorder_of(request).draw(view.path, shown[-THUMBNAILS:]),
        "view": view,
        "unit": facts.unit_of(view),
        "result": found,
        "leader": None if leader is None else replay_of(view, leader),
        "source": code.highlighted(winner.source) if winner is not None and winner.source is not None else None,
        "reason": choice_reason(view, winner) if winner is not None else "",
        "files": [name for name in files_of(view) if name not in ("README.md", "policy.py")],
        "may_stop": own and view.status == "running" and launcher_of(request).may_stop(view.path.name),
        "may_resume": own and not busy and view.status in ("interrupted", "failed"),
        "generations_least": generations_at_least(view) if own and not busy and view.status != "running" else None,
        "generations_wanted": max(generations_at_least(view), _wanted(view) + 1),
        "max_generations": MAX_GENERATIONS,
        "busy": busy,
        "refused": ended.log if ended is not None and not busy and ended.ended == USAGE_ERROR else "",
        "requests": requests,
        "requests_problem": requests_problem,
        "may_export": any(facts.finite(each.score) for each in view.candidates.values()),
        "legibility": legibility_sentence(view),
        "generations": runs.cached("rows", view.path, mark, lambda: generation_rows(view)),
        "cost": facts.cost_rows(view),
        "warnings": [str(e.data["message"]) for e in view.events if e.kind == "warning" and e.data.get("message")],
        "version": abs(hash(mark)),
        "progress": read_progress(view.path) if view.status == "running" else None,
        "people": runs.cached("people", view.path, mark, lambda: people_rows(view)),
        "judgeable": view.waiting is not None or any(len(_replays(view, each)) > 1 for each in view.generations),
        "heard": heard(view.waiting.candidates, view.judgements, view.orders, view.remarks) if view.waiting else 0,
    }
