"""Pictures of what candidates do, for the page: a thumbnail of each, and strips of the leaders."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from rewardgen.errors import RewardgenError
from rewardgen.records import candidate_of
from rewardgen.replay import ReplayFiles, ensure, find, replay_ids, stills
from rewardgen.report import facts
from rewardgen.report.downloads import data_url
from rewardgen.store import RunView
from rewardgen.text import number

THUMBNAILS = 60
"""Max. number of thumbnails on a page: those of the candidates with the highest scores."""
STRIPS = 8
"""Max. number of strips on a page, including the winner's."""
FRAMES = 6
_WIDTH = 200
_COLOURS = 64
"""Colours per palette: a strip takes about 30 kB of the page."""


@dataclass(frozen=True)
class Strip:
    """Frames of one replay side by side, as a data URL, with a caption."""

    key: str
    picture: str
    caption: str


@dataclass(frozen=True)
class Replays:
    """``thumbnails``: candidate → data URL. ``note``: why something is missing, or ""."""

    strips: tuple[Strip, ...]
    thumbnails: Mapping[str, str]
    note: str


@dataclass(frozen=True)
class Film:
    """A replay that plays in the page: an MP4 as a data URL, its still picture, and a caption.

    ``video`` and ``poster`` are "" if there is none; ``note`` says why something is missing.
    """

    key: str
    video: str
    poster: str
    caption: str
    note: str = ""


MAX_FILM = 6 << 20
"""Max. size of a film on a page, in bytes."""


def leader_replay(view: RunView) -> str | None:
    """Return whose replay represents the run: "winner" (the trainings behind its reported score) or a candidate's key.

    If people alone judged, it is the policy that they saw. Without a winner, it is the candidate carried on last.
    """
    # The trainings of the reported score, unless people judged another policy
    final = view.final("winner")
    judged = (view.config.get("search") or {}).get("judge") == "people"
    if final is not None and not judged and any(facts.finite(training.score) for training in final.trainings):
        return "winner"
    chosen = [each.key for generation in view.generations for each in generation.candidates if each.selected]
    for key in [*([view.winner] if view.winner else []), *reversed(chosen)]:
        candidate = view.candidates.get(key)
        if candidate is not None and any(facts.finite(training.score) for training in candidate.trainings):
            return key
    return None


def film(view: RunView, *, make: bool) -> Film | None:
    """Return the film of the replay that represents the run; ``make`` renders it if it is missing.

    None if no policy was trained, or if there is neither film nor picture and none is to be made.
    """
    key = leader_replay(view)
    if key is None:
        return None
    note = ""
    # Find the film, or make it
    existing = find(view.path, key)
    if make and not (existing and existing[0].video):
        try:
            existing = ensure(view.path, key, video=True)
            note = existing[0].note
        except RewardgenError as error:
            note = str(error)
    if not existing:
        return Film(key, "", "", "", note) if note else None
    # Embed what is small enough
    files = existing[0]
    fits = files.video is not None and files.video.stat().st_size <= MAX_FILM
    video = data_url(files.video.read_bytes(), "video/mp4") if files.video is not None and fits else ""
    poster = _data(files.thumbnail.read_bytes()) if files.thumbnail is not None else ""
    if not (video or poster or note):
        return None
    return Film(key, video, poster, film_caption(view, files), note)


def film_caption(view: RunView, files: ReplayFiles) -> str:
    """Return a caption: whose episode it is, its fitness and its length."""
    who = "A policy trained with the winning reward" if files.candidate == "winner" else files.candidate
    return f"{who}: {number(files.fitness)}{facts.unit_of(view)} in this episode of {number(files.seconds)} s"


def replays(view: RunView, *, draw: bool) -> Replays | None:
    """Return the pictures of a run; ``draw`` renders those that are missing. None if there are none."""
    # The candidates with the highest scores, the winner first
    ids = [replay for each in view.generations for replay in replay_ids(view, each.restart, each.index)]
    keys = [candidate_of(replay) for replay in ids]
    keys = sorted(keys, key=lambda key: (key != view.winner, -(view.candidates[key].score or 0.0)))[:THUMBNAILS]
    strips: list[Strip] = []
    notes: list[str] = []
    # Strips of leaders
    if draw:
        for key in _render_missing(view, keys, notes):
            files = ensure(view.path, key)[0]
            strips.append(Strip(key, _strip(stills(view.path, files.id, FRAMES)), _caption(view, files)))
    # Thumbnails
    thumbnails = {}
    for key in keys:
        existing = find(view.path, key)
        if existing and existing[0].thumbnail is not None:
            thumbnails[key] = _data(existing[0].thumbnail.read_bytes())
    if not strips and not thumbnails and not notes:
        return None
    return Replays(tuple(strips), thumbnails, notes[0] if notes else "")


def _render_missing(view: RunView, keys: Sequence[str], notes: list[str]) -> list[str]:
    """Render the pictures of ``keys``; return those that a strip can be drawn of. ``notes`` gets what failed."""
    for key in keys:
        try:
            note = ensure(view.path, key)[0].note
        except RewardgenError as error:
            note = str(error)
        if note:  # what fails for one, such as rendering, fails for all
            notes.append(note)
            return []
    return [key for key in _leaders(view) if key in keys]


def _leaders(view: RunView) -> list[str]:
    """Return the leader of each generation, in order, and the winner; if there are too many, evenly spaced ones."""
    led = [candidate.key for each in view.generations for candidate in each.candidates if candidate.selected]
    led = [key for key in dict.fromkeys(led) if key != view.winner]
    room = STRIPS - 1
    if len(led) > room:
        led = [led[round(place * (len(led) - 1) / (room - 1))] for place in range(room)]
    return [*led, *([view.winner] if view.winner else [])]


def _caption(view: RunView, files: ReplayFiles) -> str:
    """Return the caption of a strip."""
    role = "the winner" if files.candidate == view.winner else "carried forward"
    ended = f", {files.cause}" if files.cause else ""
    return (
        f"{files.candidate}, {role}: {number(files.fitness)}{facts.unit_of(view)} in this episode of "
        f"{number(files.seconds)} s{ended}; {FRAMES} moments at equal distances, the first state on the left"
    )


def _strip(pictures: Iterable[bytes]) -> str:
    """Return frames side by side as a data URL."""
    frames = [Image.open(io.BytesIO(png)).convert("RGB") for png in pictures]
    size = _WIDTH, round(_WIDTH * frames[0].height / frames[0].width)
    strip = Image.new("RGB", (size[0] * len(frames), size[1]))
    for place, frame in enumerate(frames):
        strip.paste(frame.resize(size, Image.Resampling.LANCZOS), (place * size[0], 0))
    buffer = io.BytesIO()
    strip.quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    return _data(buffer.getvalue())


def _data(png: bytes) -> str:
    """Return a picture as a data URL."""
    return data_url(png, "image/png")
