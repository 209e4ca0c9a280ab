"""The pages that show: all runs, a run, a candidate, two candidates side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from rewardgen.errors import UnknownName
from rewardgen.reflection import number
from rewardgen.report import code, facts, figures
from rewardgen.report.svg import Picture
from rewardgen.store import CandidateView, GenerationView, RunView
from rewardgen.web.rendering import page
from rewardgen.web.rows import changes, generation_rows, interval_text, score_text
from rewardgen.web.runs import Runs

router = APIRouter(default_response_class=HTMLResponse)

_DRAWING = threading.Lock()  # matplotlib's settings are the process's
RUN_FIGURES: Mapping[str, Callable[[RunView], Picture | None]] = {
    "scores": figures.scores,
    "finals": figures.final_curves,
    "candidates": figures.candidate_curves,
    "lineage": figures.lineage,
}


@router.get("/")
def index(request: Request) -> str:
    return page("runs.html.j2", request, **_lines(request))


@router.get("/live")
def index_live(request: Request) -> str:
    return page("runs_live.html.j2", request, **_lines(request))


@router.get("/runs/{run}")
def run_page(request: Request, run: str) -> str:
    return page("run.html.j2", request, **_run(request, run))


@router.get("/runs/{run}/live")
def run_live(request: Request, run: str) -> str:
    return page("run_live.html.j2", request, **_run(request, run))


@router.get("/runs/{run}/figures")
def run_figures(request: Request, run: str) -> str:
    """The figures apart from the page: it should not wait for them."""
    runs = runs_of(request)
    view = runs.view(run)

    def draw() -> dict[str, Picture | None]:
        with _DRAWING:
            return {name: figure(view) for name, figure in RUN_FIGURES.items()}

    pictures = runs.kept("figures", view.path, runs.mark(view.path), draw)
    return page("run_figures.html.j2", request, run=run, view=view, pictures=pictures)


@router.get("/runs/{run}/candidates/{key}")
def candidate_page(request: Request, run: str, key: str) -> str:
    runs = runs_of(request)
    view = runs.view(run)
    candidate = candidate_in(view, key)

    def draw() -> tuple[Picture | None, Picture | None]:
        with _DRAWING:
            return figures.training_curves(view, candidate), figures.components(candidate, "components")

    curves, components = runs.kept(f"figures of {key}", view.path, runs.mark(view.path), draw)
    generation = generation_of(view, key)
    unit = facts.unit_of(view)
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
        interval=interval_text(candidate),
        again=number(candidate.again_score) + unit if candidate.again_score is not None else "",
        success=facts.success(candidate.trainings),
        children=[each.key for each in view.candidates.values() if each.parent == key],
        siblings=_beside(generation, key),
    )


def runs_of(request: Request) -> Runs:
    return request.app.state.runs


def candidate_in(view: RunView, key: str) -> CandidateView:
    """Raises UnknownName where the run has no such candidate."""
    if key not in view.candidates:
        raise UnknownName("candidate", key, view.candidates, hint=f"(in the run {view.name})")
    return view.candidates[key]


def generation_of(view: RunView, key: str) -> GenerationView:
    return next(g for g in view.generations if any(candidate.key == key for candidate in g.candidates))


def _beside(generation: GenerationView, key: str) -> tuple[str | None, str | None]:
    """The candidates before and after it."""
    keys = [candidate.key for candidate in generation.candidates]
    place = keys.index(key)
    return (keys[place - 1] if place else None), (keys[place + 1] if place + 1 < len(keys) else None)


def _lines(request: Request) -> dict[str, Any]:
    runs = runs_of(request)
    return {"folder": runs.folder, "lines": [(name, line, hasattr(line, "status")) for name, line in runs.glances()]}


def _run(request: Request, run: str) -> dict[str, Any]:
    runs = runs_of(request)
    view = runs.view(run)
    mark = runs.mark(view.path)
    return {
        "run": run,
        "view": view,
        "unit": facts.unit_of(view),
        "headline": facts.headline(view),
        "generations": runs.kept("rows", view.path, mark, lambda: generation_rows(view)),
        "cost": facts.cost_rows(view),
        "warnings": [str(e.data["message"]) for e in view.events if e.kind == "warning" and e.data.get("message")],
        "version": abs(hash(mark)),
    }
