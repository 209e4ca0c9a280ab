"""Where replays are stored. They are made when they are first requested, once, whoever requests them at a time.

RUN/replays/geometry.safetensors    the visible part of the task's model
RUN/replays/r0g1c3.0.safetensors    candidate r0g1c3 from start state 0: how its bodies move
RUN/replays/r0g1c3.0.png            a thumbnail, if this machine can render
RUN/replays/r0g1c3.0.mp4            a film, if one was requested

Gymnasium environments draw themselves: their replays are films, without poses and geometry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from rewardgen.errors import ReplayError, SimulationFailed, UnknownName, UsageError
from rewardgen.files import replacing, write_bytes
from rewardgen.records import TrainingResult
from rewardgen.replay import drawing, filming, formats
from rewardgen.replay.geometry import geometry_of
from rewardgen.replay.recording import Replay, model_of, record
from rewardgen.store import RunView, read, read_weights
from rewardgen.tasks import EnvironmentTask, Task, load_task

FOLDER = "replays"
GEOMETRY = "geometry.safetensors"
MAX_STARTS = 16
"""Max. number of start states of a run's replays."""
FINALS = ("winner", "expert", "sparse")
"""The rewards whose reported trainings have replays, too, by these names."""
_CANDIDATE = re.compile(rf"r\d{{1,4}}g\d{{1,4}}c\d{{1,4}}|{'|'.join(FINALS)}")
_ID = re.compile(rf"({_CANDIDATE.pattern})\.(\d{{1,2}})")
_PNG, _MP4 = b"\x89PNG\r\n\x1a\n", b"ftyp"


@dataclass(frozen=True)
class ReplayFiles:
    """One replay and its files. ``thumbnail`` and ``video`` are None if there are none.

    ``seconds`` is the episode's length, ``length`` the same in control steps; ``fitness`` is its fitness (NaN: it has
    none) and ``cause`` says how it ended. ``note`` says why something that was requested is missing. A replay that is
    only a film has no ``geometry``.
    """

    id: str
    candidate: str
    start: int
    seconds: float
    length: int
    fitness: float
    cause: str
    geometry: Path | None
    poses: Path
    thumbnail: Path | None
    video: Path | None
    note: str = ""


def ensure(
    run_dir: Path, candidate: str, *, starts: int = 1, video: bool = False, envs: Sequence[Path] = ()
) -> tuple[ReplayFiles, ...]:
    """Return the replays of a candidate from the start states 0 to ``starts`` - 1; make those that are missing.

    All candidates of the same generation are played along with the requested one: in one batch they cost little more.
    Threads and processes may call this at the same time.

    Args:
        run_dir: the run's folder.
        candidate: a candidate's key, or "winner", "expert" or "sparse" for the trainings of the reported scores.
        starts: how many start states, the same for all candidates of the run.
        video: also make films, which can take half a minute each.
        envs: folders of task files, if the run's own have moved.

    Raises:
        UsageError: the run has no such candidate, or ``starts`` is out of range.
        ReplayError: it has no policy (yet), the task has no replays, or they cannot be written.
        StoreError: the run cannot be read.
    """
    if not 1 <= starts <= MAX_STARTS:
        raise UsageError(f"a candidate has replays from 1 to {MAX_STARTS} start states, not {starts}")
    # Everything may be there already
    present = find(run_dir, candidate, starts=starts)
    if len(present) == starts and all(files.thumbnail and (files.video or not video) for files in present):
        return present
    # Record what is missing, then render it
    view = read(run_dir)
    if len(present) < starts:
        _record(run_dir, view, candidate, starts, envs)
    note = _draw(run_dir, view, candidate, starts, envs, video=video)
    ready = find(run_dir, candidate, starts=starts)
    if len(ready) < starts:
        raise ReplayError(
            f"the replays of {candidate} were removed from {run_dir / FOLDER} while they were made; try again"
        )
    return tuple(replace(files, note=note) for files in ready)


def find(run_dir: Path, candidate: str, *, starts: int = 1) -> tuple[ReplayFiles, ...]:
    """Return those replays of a candidate that exist and are valid; make none."""
    if not _CANDIDATE.fullmatch(candidate):
        return ()
    candidates_files = (_read_files(run_dir, candidate, start) for start in range(min(starts, MAX_STARTS)))
    return tuple(files for files in candidates_files if files is not None)


def remove(run_dir: Path, candidate: str) -> None:
    """Delete the replays of a candidate, or of the "winner" when that becomes another one."""
    for path in (run_dir / FOLDER).glob(f"{candidate}.*"):
        path.unlink(missing_ok=True)


def replay_ids(view: RunView, restart: int, generation: int) -> list[str]:
    """Return the replay from the first start state of every candidate of a generation that has a policy."""
    return [f"{key}.0" for key in _companions(view, restart, generation)]


def load_replay(run_dir: Path, replay_id: str) -> Replay:
    """Return an existing replay.

    Raises:
        UsageError: this is not the id of a replay.
        ReplayError: there is none, or it is damaged.
    """
    candidate, start = split_id(replay_id)
    replay = formats.parse_replay(formats.read_file(run_dir / FOLDER / f"{replay_id}.safetensors"))
    if (replay.candidate, replay.start) != (candidate, start):
        raise ReplayError(f"{run_dir / FOLDER / replay_id}.safetensors holds the replay {replay.id[:80]!r}")
    return replay


def split_id(replay_id: str) -> tuple[str, int]:
    """ "r0g1c3.0" as candidate and start.

    Raises:
        UsageError: this is not the id of a replay.
    """
    matched = _ID.fullmatch(replay_id)
    if matched is None:
        raise UsageError(f"{replay_id[:80]!r} is not a replay: give candidate and start, such as r0g1c3.0")
    return matched[1], int(matched[2])


def stills(run_dir: Path, replay_id: str, count: int, envs: Sequence[Path] = ()) -> list[bytes]:
    """Return ``count`` pictures of an existing replay, evenly spaced in time, as PNG files of 320 by 240.

    Raises:
        SimulationFailed: this machine cannot render; the message says what to install.
    """
    replay = load_replay(run_dir, replay_id)
    if replay.filmed:
        return filming.film_stills(run_dir / FOLDER / f"{replay.id}.mp4", count, drawing.STILL_SIZE)
    return drawing.stills(model_of(_task(read(run_dir), envs)), replay, count)


def _read_files(run_dir: Path, candidate: str, start: int) -> ReplayFiles | None:
    """Return a replay's files if they exist and are valid."""
    folder = run_dir / FOLDER
    path = folder / f"{candidate}.{start}.safetensors"
    if not path.is_file():
        return None
    video = _valid(path.with_suffix(".mp4"), 4, _MP4)
    try:
        replay = load_replay(run_dir, f"{candidate}.{start}")
        if not replay.filmed:
            formats.parse_geometry(formats.read_file(folder / GEOMETRY))
        elif video is None:
            return None
    except ReplayError:
        return None
    return ReplayFiles(
        id=replay.id,
        candidate=candidate,
        start=start,
        seconds=replay.seconds,
        length=replay.length,
        fitness=replay.fitness,
        cause=replay.cause,
        geometry=None if replay.filmed else folder / GEOMETRY,
        poses=path,
        thumbnail=_valid(path.with_suffix(".png"), 0, _PNG),
        video=video,
    )


def _valid(path: Path, offset: int, mark: bytes) -> Path | None:
    """Return ``path`` if it is a file that begins as its kind does, and not a link."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        # The first bytes tell the kind
        with path.open("rb") as file:
            return path if file.read(offset + len(mark))[offset:] == mark else None
    except OSError:
        return None


# ---- recording


def _record(run_dir: Path, view: RunView, candidate: str, starts: int, envs: Sequence[Path]) -> None:
    """Play and store what is missing of a candidate, and of the others of its generation."""
    policies = _policies(view, candidate)
    task = _task(view, envs)
    if isinstance(task, EnvironmentTask):
        _film(run_dir, view, candidate, policies[candidate], starts, task)
        return
    model = model_of(task)
    with _locked(run_dir, "recording"):
        missing = {name: place for name, place in policies.items() if len(find(run_dir, name, starts=starts)) < starts}
        if candidate not in missing:  # another process has made it in the meantime
            return
        # Only those with a stored policy can be played
        weights = {name: read_weights(run_dir, *place) for name, place in missing.items()}
        known = {name: content for name, content in weights.items() if content is not None}
        if candidate not in known:
            raise ReplayError(f"{candidate} has no stored policy, so there is nothing to play")
        seed, threads = int(view.config.get("seed", 0)), int(view.config.get("threads", 0))
        played = record(task, list(known.values()), starts, seed, threads)
        geometry = formats.dump_geometry(geometry_of(model, task.name))
        write_bytes(run_dir / FOLDER / GEOMETRY, geometry)
        for name, replays in zip(known, played, strict=True):
            for ready in replays:
                named = replace(ready, candidate=name)
                if _read_files(run_dir, name, named.start) is None:  # a replay that was shown or judged never changes
                    write_bytes(run_dir / FOLDER / f"{named.id}.safetensors", formats.dump_replay(named))


def _film(
    run_dir: Path, view: RunView, candidate: str, place: tuple[str, int], starts: int, task: EnvironmentTask
) -> None:
    """Have an environment draw what is missing of a candidate alone: one step of it takes as long as the next."""
    with _locked(run_dir, "recording"):
        if len(find(run_dir, candidate, starts=starts)) == starts:  # another process made it meanwhile
            return
        weights = read_weights(run_dir, *place)
        if weights is None:
            raise ReplayError(f"{candidate} has no stored policy, so there is nothing to play")
        seed, threads = int(view.config.get("seed", 0)), int(view.config.get("threads", 0))
        for filmed in filming.record_film(task, weights, starts, seed, threads):
            named = replace(filmed.replay, candidate=candidate)
            if _read_files(run_dir, candidate, named.start) is not None:  # a shown one never changes
                continue
            path = run_dir / FOLDER / f"{named.id}.safetensors"
            with replacing(path.with_suffix(".mp4")) as part:
                filmed.write_film(part)
            write_bytes(path.with_suffix(".png"), filmed.thumbnail())
            write_bytes(path, formats.dump_replay(named))


def _policies(view: RunView, candidate: str) -> dict[str, tuple[str, int]]:
    """Return the candidate and those that are played along: name → owner and seed of the training with the policy.

    Raises:
        UnknownName: the run has no such candidate.
        ReplayError: it has no policy.
    """
    # Trainings of the reported scores, or a candidate's own
    if candidate in FINALS:
        finals = {final.name: _best_place(f"final/{final.name}", final.trainings) for final in view.finals}
        with_policy = {name: place for name, place in finals.items() if place is not None}
    elif candidate in view.candidates:
        home = next(each for each in view.generations if any(own.key == candidate for own in each.candidates))
        with_policy = _companions(view, home.restart, home.index)
    else:
        raise UnknownName("candidate", candidate, [*view.candidates, *FINALS], hint=f"(in {view.path})")
    if candidate not in with_policy:
        state = "" if candidate in FINALS else f" ({view.candidates[candidate].status})"
        raise ReplayError(f"{candidate}{state} has no trained policy, so there is nothing to play")
    return with_policy


def _companions(view: RunView, restart: int, generation: int) -> dict[str, tuple[str, int]]:
    """Return the candidates of a generation that have a policy: key → owner and seed of its training."""
    places = {
        candidate.key: _place(candidate.key, candidate.trainings)
        for each in view.generations
        if (each.restart, each.index) == (restart, generation)
        for candidate in each.candidates
    }
    return {key: place for key, place in places.items() if place is not None}


def _place(owner: str, trainings: Sequence[TrainingResult]) -> tuple[str, int] | None:
    """Return the first training with a score; its policy is that of its best checkpoint."""
    seeds = (training.seed for training in trainings if training.score == training.score)
    seed = next(seeds, None)
    return None if seed is None else (owner, seed)


def _best_place(owner: str, trainings: Sequence[TrainingResult]) -> tuple[str, int] | None:
    """Return the training with the highest score, the first of equals; an export uses the same policy."""
    scored = [training for training in trainings if training.score == training.score]
    return (owner, max(scored, key=lambda training: training.score).seed) if scored else None


def _task(view: RunView, envs: Sequence[Path]) -> Task:
    """Load a run's task."""
    return load_task(str(view.task.get("name", "")), tuple(envs) or view.envs)


# ---- drawing


def _draw(run_dir: Path, view: RunView, candidate: str, starts: int, envs: Sequence[Path], *, video: bool) -> str:
    """Render thumbnails and, if requested, films; return why that failed, or ""."""
    with _locked(run_dir, "drawing"):
        present = [files for files in find(run_dir, candidate, starts=starts) if files.geometry is not None]
        thumbnails = [files for files in present if files.thumbnail is None]
        films = [files for files in present if video and files.video is None]
        if not thumbnails and not films:
            return ""
        model = model_of(_task(view, envs))
        try:
            if thumbnails:
                with drawing.Painter(model, drawing.THUMBNAIL_SIZE) as painter:
                    for files in thumbnails:
                        picture = drawing.thumbnail(painter, load_replay(run_dir, files.id))
                        write_bytes(files.poses.with_suffix(".png"), picture)
            if films:
                with drawing.Painter(model, drawing.VIDEO_SIZE, shadows=False) as painter:
                    for files in films:
                        replay = load_replay(run_dir, files.id)
                        with replacing(files.poses.with_suffix(".mp4")) as part:
                            drawing.film(painter, replay, part)
        except (SimulationFailed, ReplayError) as error:
            return str(error)
    return ""


# ---- files


@contextmanager
def _locked(run_dir: Path, what: str) -> Iterator[None]:
    """Hold a lock in the folder of replays, which is made."""
    folder = run_dir / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        with FileLock(folder / f".{what}.lock"):
            yield
    except OSError as error:
        raise ReplayError(
            f"replays cannot be written to {folder}: {error}; copy the run to a writable place"
        ) from error
