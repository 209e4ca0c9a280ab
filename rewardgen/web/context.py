"""Helpers of all routes: the shared objects, lookups by name, and signatures on what a page has shown."""

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
    """Return the runs of this server."""
    return request.app.state.runs


def recorder_of(request: Request) -> ReplayRecorder:
    """Return what renders replays."""
    return request.app.state.recorder


def key_of(request: Request) -> SigningKey:
    """Return the server's signing key."""
    return request.app.state.rules.key


# ---- lookups


def candidate_in(view: RunView, key: str) -> CandidateView:
    """Look up a candidate of a run.

    Raises:
        UnknownName: the run has no such candidate.
    """
    if key not in view.candidates:
        raise UnknownName("candidate", key, view.candidates, hint=f"(in the run {view.name})")
    return view.candidates[key]


def generation_of(view: RunView, key: str) -> GenerationView:
    """Return the generation of one of the run's candidates."""
    return next(g for g in view.generations if any(candidate.key == key for candidate in g.candidates))


def replays_of(view: RunView) -> list[str]:
    """Return the first replay of every candidate that has a policy."""
    return [each for generation in view.generations for each in replay_ids(view, generation.restart, generation.index)]


def check_acting(request: Request) -> None:
    """Check that this browser may act on runs.

    Raises:
        HTTPException: it may only look (403).
    """
    if not request.state.may_act:
        raise HTTPException(403, "To do this, open the address with its token that `rewardgen web` printed.")


def launcher_of(request: Request) -> Launcher:
    """Return what starts and stops processes of searches."""
    return request.app.state.launcher


def replay_of(view: RunView, key: str) -> str | None:
    """Return the first replay of a candidate or of the "winner"'s reported trainings; None if it has no policy."""
    if key in FINALS:
        final = view.final(key)
        # A score that is NaN differs from itself: that training has no policy worth showing
        scored = final is not None and any(training.score == training.score for training in final.trainings)
        return f"{key}.0" if scored else None
    return next((replay for replay in replays_of(view) if candidate_of(replay) == key), None)


def check_replay(view: RunView, replay: str) -> tuple[str, int]:
    """Return the candidate and the start state of a replay of this run.

    Raises:
        UsageError: the id is malformed.
        UnknownName: the run has no such replay.
    """
    candidate, start = split_id(replay)
    if replay_of(view, candidate) is None:
        raise UnknownName("replay", replay, replays_of(view), hint=f"(in the run {view.name})")
    return candidate, start


# ---- signatures on what was shown


def identity(view: RunView) -> tuple[str, str]:
    """Identify a run; a later run with the same name has another creation time."""
    return str(view.path.resolve()), view.created


def seal(request: Request, view: RunView, purpose: Shown, *shown: str) -> str:
    """Sign that this server has shown these items of a run, for one purpose."""
    return key_of(request).sign(purpose, *identity(view), *shown)


def check_seal(request: Request, view: RunView, purpose: Shown, *shown: str) -> None:
    """Check the form's signature on the items that it says were shown.

    Raises:
        HTTPException: the signature is missing or wrong (403).
    """
    if not key_of(request).signed(request.state.form.get("seal", ""), purpose, *identity(view), *shown):
        raise HTTPException(
            403, "The form does not match what this run's pages have shown; nothing was saved. Reload the page."
        )


def new_id() -> str:
    """Return a new id for an answer; scripts in the browser make their own."""
    return secrets.token_urlsafe(16)
