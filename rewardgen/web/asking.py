"""What every route needs of a request: the runs, a candidate, a seal on what was shown."""

from __future__ import annotations

import secrets
from typing import Literal

from fastapi import HTTPException, Request

from rewardgen.errors import UnknownName
from rewardgen.records import candidate_of
from rewardgen.replay import FINALS, replay_ids
from rewardgen.replay.files import split_id
from rewardgen.signing import SigningKey
from rewardgen.store import CandidateView, GenerationView, RunView
from rewardgen.web.launching import Launcher
from rewardgen.web.recording import ReplayRecorder
from rewardgen.web.runs import Runs

Shown = Literal["pair", "order", "replay"]


def runs_of(request: Request) -> Runs:
    return request.app.state.runs


def recorder_of(request: Request) -> ReplayRecorder:
    return request.app.state.recorder


def key_of(request: Request) -> SigningKey:
    return request.app.state.rules.key


def candidate_in(view: RunView, key: str) -> CandidateView:
    """Raises UnknownName where the run has no such candidate."""
    if key not in view.candidates:
        raise UnknownName("candidate", key, view.candidates, hint=f"(in the run {view.name})")
    return view.candidates[key]


def generation_of(view: RunView, key: str) -> GenerationView:
    """The generation of a candidate that the run has."""
    return next(g for g in view.generations if any(candidate.key == key for candidate in g.candidates))


def replays_of(view: RunView) -> list[str]:
    """The first replay of every candidate that has a policy."""
    return [each for generation in view.generations for each in replay_ids(view, generation.restart, generation.index)]


def check_acting(request: Request) -> None:
    """Raises HTTPException (403) where this browser may look, but not start or stop anything."""
    if not request.state.may_act:
        raise HTTPException(403, "Open the address with its token that `rewardgen web` printed to start and stop runs.")


def launcher_of(request: Request) -> Launcher:
    return request.app.state.launcher


def replay_of(view: RunView, key: str) -> str | None:
    """The first replay of a candidate, or of the "winner"'s reported trainings; None: it has no policy."""
    if key in FINALS:
        final = view.final(key)
        scored = final is not None and any(training.score == training.score for training in final.trainings)
        return f"{key}.0" if scored else None
    return next((replay for replay in replays_of(view) if candidate_of(replay) == key), None)


def check_replay(view: RunView, replay: str) -> tuple[str, int]:
    """The candidate and the start of a replay that this run can have.

    Raises:
        UsageError: this is no replay's id.
        UnknownName: the run has none of that name.
    """
    candidate, start = split_id(replay)
    if replay_of(view, candidate) is None:
        raise UnknownName("replay", replay, replays_of(view), hint=f"(in the run {view.name})")
    return candidate, start


def identity(view: RunView) -> tuple[str, str]:
    """Tells a run from others; one of the same name that is made later is another."""
    return str(view.path.resolve()), view.created


def seal(request: Request, view: RunView, purpose: Shown, *shown: str) -> str:
    """Says that this server showed this of this run."""
    return key_of(request).sign(purpose, *identity(view), *shown)


def check_seal(request: Request, view: RunView, purpose: Shown, *shown: str) -> None:
    """Raises HTTPException (403) where the form carries no seal of what it says was shown."""
    if not key_of(request).signed(request.state.form.get("seal", ""), purpose, *identity(view), *shown):
        raise HTTPException(403, "That was not shown on this run's pages, so nothing was kept.")


def new_id() -> str:
    """For a page that runs no script; with one, it makes its own."""
    return secrets.token_urlsafe(16)
