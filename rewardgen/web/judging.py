"""Routes for judging replays: pairs, the order of a whole generation, and remarks on one replay.

These pages show no scores and no programs. Each form carries a signature on what was shown, so that nothing can be said
of another run's replays, and an id, so that a form that is sent twice is stored once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from rewardgen.errors import UnknownName, UsageError
from rewardgen.preference import heard, next_pair
from rewardgen.records import Answer, Judgement, Order, Remark, candidate_of
from rewardgen.report import facts
from rewardgen.store import MAX_WORDS, GenerationView, Judgements, RunView
from rewardgen.web.access import Visitor, usable_name
from rewardgen.web.context import check_replay, check_seal, identity, key_of, new_id, replays_of, runs_of, seal
from rewardgen.web.guard import visitor_cookie
from rewardgen.web.people import remarks_on
from rewardgen.web.rendering import page
from rewardgen.web.rows import generation_name

router = APIRouter(default_response_class=HTMLResponse)

ANSWERS: tuple[tuple[Answer, str, str, str], ...] = (
    ("left", "Left", "←", "ArrowLeft"),
    ("equal", "Equal", "↓", "ArrowDown"),
    ("right", "Right", "→", "ArrowRight"),
    ("unsure", "Can't tell", "?", "?"),
    ("both_bad", "Both bad", "x", "x"),
)
"""The possible answers: value, label, key as shown, and key as browsers name it."""


@dataclass(frozen=True)
class JudgeableGeneration:
    """A generation to judge.

    Attributes:
        generation: the generation; ``name`` stands in URLs ("r0g1"), ``title`` on pages.
        candidates: those with a policy, and the best one before them while a search waits for this generation.
        starts: how many start states replays are shown from.
        waiting: a live search waits for it.
    """

    generation: GenerationView
    name: str
    title: str
    candidates: tuple[str, ...]
    starts: int
    waiting: bool


# ---- the visitor's name


@router.get("/you")
def you(request: Request, to: str = "/") -> str:
    """Ask for the visitor's name."""
    return page("you.html.j2", request, to=_local(to), taken="", wrong=False, max_name=60)


@router.post("/you")
def enter_name(request: Request) -> Response:
    """Store the visitor's name in the cookie; ask for confirmation if somebody else uses that name."""
    # Check the name
    form, visitor = request.state.form, request.state.visitor
    to, name = _local(form.get("to", "/")), usable_name(form.get("name", ""))
    if name is None:
        return HTMLResponse(page("you.html.j2", request, to=to, taken="", wrong=True, max_name=60), 400)
    # Names in use, by whom this server has seen and by the runs' judgements
    people: dict[str, str] = request.app.state.people
    elsewhere = people[name] != visitor.id if name in people else _has_judged(request, name)
    if elsewhere and name not in (form.get("mine"), visitor.name):
        return HTMLResponse(page("you.html.j2", request, to=to, taken=name, wrong=False, max_name=60), 409)
    # The cookie keeps the name for later visits
    people[name] = visitor.id
    response = RedirectResponse(to, 303)
    response.headers.append("Set-Cookie", visitor_cookie(Visitor(visitor.id, name), request.app.state.rules.key))
    return response


# ---- pairs


@router.get("/runs/{run}/judge")
def judge_page(request: Request, run: str, generation: str = "") -> Response:
    """Show two replays to compare."""
    if not request.state.visitor.name:
        return RedirectResponse(f"/you?to=/runs/{run}/judge", 303)
    return HTMLResponse(page("judge.html.j2", request, **_pair_values(request, run, generation)))


@router.get("/runs/{run}/judge/pair")
def judge_pair(request: Request, run: str, generation: str = "") -> str:
    """Show the next pair, as a part of the page."""
    return page("pair.html.j2", request, **_pair_values(request, run, generation))


@router.get("/runs/{run}/judge/later")
def judge_later(request: Request, run: str, generation: str = "") -> str:
    """Show whether a later generation can be judged; polled by the page while the search continues."""
    view = runs_of(request).view(run)
    judgeable = _judgeable(view)
    asked = _generation_to_judge(view, judgeable, generation)
    return page("later.html.j2", request, run=run, view=view, asked=asked, later=_newer_generation(judgeable, asked))


@router.post("/runs/{run}/judgements")
def add_judgement(request: Request, run: str) -> Response:
    """Store an answer and show the next pair."""
    form, judge, view = request.state.form, _visitor_name(request), runs_of(request).view(run)
    # Check that this pair was shown
    left, right, answer = form.get("left", ""), form.get("right", ""), form.get("answer", "")
    for replay in (left, right):
        check_replay(view, replay)
    check_seal(request, view, "pair", left, right)
    if answer not in get_args(Answer):
        raise UsageError(f"{answer[:40]!r} is not a valid answer")
    # Store the answer; the same id is stored once
    judgement = Judgement(
        id=_id(form),
        left=left,
        right=right,
        answer=answer,
        words=_remark(form),
        judge=judge,
        kind="person",
        created=_now(),
        seconds=_seconds(form),
    )
    Judgements(view.path).add(judgement)
    return _respond(
        request, f"/runs/{run}/judge", "pair.html.j2", _pair_values(request, run, form.get("generation", ""))
    )


@router.post("/runs/{run}/undo")
def undo(request: Request, run: str) -> Response:
    """Remove the visitor's own last answer and show its pair again."""
    form, judge, view = request.state.form, _visitor_name(request), runs_of(request).view(run)
    # Only the visitor's own answers can be undone
    kept = Judgements(view.path)
    found = [each for each in kept.judgements() if each.id == form.get("last") and each.judge == judge]
    again = (found[0].left, found[0].right, found[0].words) if found else None
    if found:
        kept.undo(found[0].id, judge)
    values = _pair_values(request, run, form.get("generation", ""), again)
    return _respond(request, f"/runs/{run}/judge", "pair.html.j2", values)


# ---- orders of a generation


@router.get("/runs/{run}/order/{generation}")
def order_page(request: Request, run: str, generation: str) -> Response:
    """Show a generation's replays to put in order."""
    if not request.state.visitor.name:
        return RedirectResponse(f"/you?to=/runs/{run}/order/{generation}", 303)
    return HTMLResponse(page("order.html.j2", request, **_order_values(request, run, generation, saved=False)))


@router.post("/runs/{run}/orders")
def add_order(request: Request, run: str) -> Response:
    """Store an order; it replaces an earlier one of the same person for the same generation."""
    form, judge, view = request.state.form, _visitor_name(request), runs_of(request).view(run)
    asked = _generation_to_judge(view, _judgeable(view), form.get("generation", ""))
    candidates = tuple(form.get("candidates", "").split(","))
    # Check that these candidates were shown
    if sorted(candidates) != sorted(asked.candidates):
        raise UsageError("the order does not list the generation's candidates; reload the page and try again")
    check_seal(request, view, "order", *sorted(candidates))
    order = Order(
        id=_id(form),
        restart=asked.generation.restart,
        generation=asked.generation.index,
        candidates=candidates,
        words=_remark(form),
        judge=judge,
        kind="person",
        created=_now(),
        seconds=_seconds(form),
    )
    # Replace an earlier order
    kept = Judgements(view.path)
    earlier = _orders_of(kept, asked, judge)
    if kept.add(order):
        for each in earlier:
            kept.undo(each.id, judge)
    values = _order_values(request, run, asked.name, saved=True)
    return _respond(request, f"/runs/{run}/order/{asked.name}", "ordered.html.j2", values)


# ---- remarks


@router.post("/runs/{run}/remarks")
def add_remark(request: Request, run: str) -> Response:
    """Store a remark on one replay."""
    form, judge, view = request.state.form, _visitor_name(request), runs_of(request).view(run)
    replay, words = form.get("replay", ""), _remark(form)
    # Check that this replay was shown
    candidate, _ = check_replay(view, replay)
    check_seal(request, view, "replay", replay)
    if words.strip():
        Judgements(view.path).add(Remark(_id(form), replay, words, judge, "person", _now()))
    return _respond(request, f"/runs/{run}/candidates/{candidate}", "remarks.html.j2",
                  {"run": run, **remarks_on(request, runs_of(request).view(run), replay)})  # fmt: skip


# ---- values of the templates


def _pair_values(request: Request, run: str, name: str, again: tuple[str, str, str] | None = None) -> dict[str, Any]:
    """Return the values of the pair page; ``again``: the pair of an answer that was removed, and its remark."""
    view, judge = runs_of(request).view(run), request.state.visitor.name
    judgeable = _judgeable(view)
    asked = _generation_to_judge(view, judgeable, name)
    kept = Judgements(view.path)
    judgements, orders = kept.judgements(), kept.orders()
    mine = [each for each in judgements if each.judge == judge]
    # Count the visitor's answers on this generation, and choose the pair
    here = [each for each in mine if {candidate_of(each.left), candidate_of(each.right)} <= set(asked.candidates)]
    shown = again[:2] if again is not None else _next(request, view, asked, judgements, orders, judge, len(mine))
    alone = f"{asked.candidates[0]}.0" if len(asked.candidates) == 1 else None
    return {
        **(remarks_on(request, view, alone) if alone else {}),
        "alone": alone,
        "run": run,
        "view": view,
        "asked": asked,
        "judgeable": judgeable,
        "later": _newer_generation(judgeable, asked),
        "shown": shown,
        "words": again[2] if again is not None else "",
        **({"seal": seal(request, view, "pair", *shown)} if shown else {}),
        "id": new_id(),
        "last": mine[-1].id if mine else "",
        "answered": len(here),
        "pairs": len(asked.candidates) * (len(asked.candidates) - 1) // 2,
        "answers": ANSWERS,
        "max_words": MAX_WORDS,
        "waiting": view.waiting,
        "heard": heard(view.waiting.candidates, judgements, orders, kept.remarks()) if view.waiting else 0,
    }


def _next(
    request: Request,
    view: RunView,
    asked: JudgeableGeneration,
    judgements: Sequence[Judgement],
    orders: Sequence[Order],
    judge: str,
    answered: int,
) -> tuple[str, str] | None:
    """Choose the pair to show. It depends on the visitor's number of answers, so reloading shows the same one."""
    generator = random.Random(key_of(request).sign("draw", *identity(view), asked.name, judge, str(answered)))
    pair = next_pair(asked.candidates, judgements, orders, judge, generator)
    if pair is None:
        return None
    # Go through the start states in turn
    start = answered % asked.starts
    return f"{pair[0]}.{start}", f"{pair[1]}.{start}"


def _order_values(request: Request, run: str, name: str, *, saved: bool) -> dict[str, Any]:
    """Return the values of the order page."""
    view, judge = runs_of(request).view(run), request.state.visitor.name
    judgeable = _judgeable(view)
    asked = _generation_to_judge(view, judgeable, name)
    kept = Judgements(view.path)
    # What this visitor has said before, and what the search waits for
    before = _orders_of(kept, asked, judge)
    waiting = view.waiting if asked.waiting else None
    said = kept.judgements(), kept.orders(), kept.remarks()
    # Letters in a random order, the same for this visitor each time
    labels = list(asked.candidates)
    random.Random(key_of(request).sign("draw", *identity(view), asked.name, judge)).shuffle(labels)
    order = before[-1].candidates if before and set(before[-1].candidates) == set(labels) else tuple(labels)
    letters = {candidate: _label(place) for place, candidate in enumerate(labels)}
    return {
        "run": run,
        "view": view,
        "asked": asked,
        "items": [(candidate, letters[candidate], f"{candidate}.0") for candidate in order],
        "seal": seal(request, view, "order", *sorted(labels)),
        "id": new_id(),
        "words": before[-1].words if before else "",
        "ordered": bool(before),
        "saved": saved,
        "wanted": waiting.wanted if waiting is not None else 0,
        "heard": heard(waiting.candidates, *said) if waiting is not None else 0,
        "judgeable": judgeable,
        "max_words": MAX_WORDS,
    }


def _generation_to_judge(view: RunView, judgeable: Sequence[JudgeableGeneration], name: str) -> JudgeableGeneration:
    """Return the generation of that name; without a name, the one that the search waits for, or the latest.

    Raises:
        UnknownName: no generation of that name can be judged.
        UsageError: no generation can be judged.
    """
    names = {each.name: each for each in judgeable}
    if name and name not in names:
        raise UnknownName("generation to judge", name, names)
    if not judgeable:
        raise UsageError(f"nothing in {view.name} can be judged yet: a generation needs two trained candidates")
    waiting = next((each for each in judgeable if each.waiting), None)
    return names[name] if name else waiting or judgeable[-1]


def _judgeable(view: RunView) -> list[JudgeableGeneration]:
    """Return the generations with at least two replays, and the one that a search waits for even with a single one."""
    ready = {candidate_of(replay) for replay in replays_of(view)}
    found = []
    for generation in view.generations:
        candidates = [candidate.key for candidate in generation.candidates if candidate.key in ready]
        # While the search waits, the best of earlier generations is compared too
        waiting, starts = view.waiting, 1
        waits = waiting is not None and (waiting.restart, waiting.generation) == (generation.restart, generation.index)
        if waits and waiting is not None:
            candidates += [key for key in waiting.against if key in ready and key not in candidates]
            starts = max(1, waiting.starts)
        if len(candidates) > 1 or (waits and candidates):
            name, title = generation_name(generation), facts.generation_title(view, generation)
            found.append(JudgeableGeneration(generation, name, title, tuple(candidates), starts, waits))
    return found


def _newer_generation(
    judgeable: Sequence[JudgeableGeneration], asked: JudgeableGeneration
) -> JudgeableGeneration | None:
    """Return the latest generation that can be judged; None if that is the present one."""
    return judgeable[-1] if judgeable[-1].name != asked.name else None


def _orders_of(kept: Judgements, asked: JudgeableGeneration, judge: str) -> list[Order]:
    """Return a judge's orders of a generation."""
    place = asked.generation.restart, asked.generation.index
    return [each for each in kept.orders() if each.judge == judge and (each.restart, each.generation) == place]


# ---- values of the forms


def _visitor_name(request: Request) -> str:
    """Return the visitor's name.

    Raises:
        HTTPException: none was entered (403).
    """
    name: str = request.state.visitor.name
    if not name:
        raise HTTPException(403, "Enter your name first.")
    return name


def _has_judged(request: Request, name: str) -> bool:
    """Return whether somebody of that name has judged any run in this folder."""
    # Judgements are beside each run, so this reads all of them
    for path in runs_of(request).names().values():
        kept = Judgements(path)
        said: list[Judgement | Order | Remark] = [*kept.judgements(), *kept.orders(), *kept.remarks()]
        if any(each.judge == name for each in said):
            return True
    return False


def _remark(form: dict[str, str]) -> str:
    """Return the remark in a form, with Unix line ends."""
    return form.get("words", "").replace("\r\n", "\n").replace("\0", "").strip()


def _id(form: dict[str, str]) -> str:
    return form.get("id") or new_id()


def _seconds(form: dict[str, str]) -> float:
    """Return the seconds from showing to answering, as the browser measured them; 0 if the value is not plausible."""
    # NaN fails both comparisons below
    try:
        seconds = float(form.get("seconds", "0"))
    except ValueError:
        return 0.0
    return round(seconds, 3) if 0 <= seconds < 1e6 else 0.0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _local(path: str) -> str:
    """Return ``path`` if it is on this server, otherwise "/"."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


def _label(place: int) -> str:
    """Return the label of an index: A, B, … Z, AA, AB, …"""
    return (_label(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def _respond(request: Request, to: str, template: str, values: dict[str, Any]) -> Response:
    """Return the changed part of the page if a script asked for it, otherwise redirect to the page."""
    if request.headers.get("x-part") == "1":
        return HTMLResponse(page(template, request, **values))
    return RedirectResponse(to, 303)
