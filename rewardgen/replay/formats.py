"""Replays and geometries as safetensors files: arrays and one JSON text each, which a browser reads directly.

Rotations are stored as int16, in units of 1/32767. What is read is checked: a run's folder may come from anywhere.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rewardgen.errors import ReplayError
from rewardgen.replay.geometry import KINDS, Camera, Geom, Geometry, Mesh, Tendon
from rewardgen.replay.recording import Replay

FORMAT = "1"
"""Version of the format; files of another version are made again."""
MAX_BYTES = 256 << 20
_TURN = 32767.0
_ARRAYS = {
    "times": (np.float32, 1),
    "positions": (np.float32, 3),
    "rotations": (np.int16, 3),
    "look_at": (np.float32, 2),
    "cords": (np.float32, 4),
    "cord_of": (np.int32, 1),
    "coordinates": (np.float32, 2),
    "mocap": (np.float32, 3),
}
_FACTS = tuple(field.name for field in fields(Replay) if field.name not in _ARRAYS)
_TEXT = 200  # max. length of a name or a cause


def dump_replay(replay: Replay) -> bytes:
    """Return a replay as the content of its file."""
    facts = {name: getattr(replay, name) for name in _FACTS}
    facts["fitness"] = replay.fitness if math.isfinite(replay.fitness) else None  # JSON has no NaN
    arrays = {name: getattr(replay, name) for name in _ARRAYS}
    arrays["rotations"] = np.round(replay.rotations * _TURN)
    return _dump("replay", facts, {name: np.asarray(arrays[name], kind) for name, (kind, _) in _ARRAYS.items()})


def parse_replay(content: bytes) -> Replay:
    """Return the replay in ``content``.

    Raises:
        ReplayError: it is not a replay, or damaged; the message says how.
    """
    facts, arrays = _parse("replay", content)
    # Types and shapes of the arrays
    for name, (kind, dimensions) in _ARRAYS.items():
        if name not in arrays or arrays[name].dtype != kind or arrays[name].ndim != dimensions:
            raise ReplayError(f"this is no replay: {name} is missing or of another form")
    frames, bodies, pieces = len(arrays["times"]), arrays["positions"].shape[1], len(arrays["cord_of"])
    shapes = {
        "positions": (frames, bodies, 3),
        "rotations": (frames, bodies, 4),
        "look_at": (frames, 3),
        "cords": (frames, pieces, 2, 3),
        "coordinates": (frames, arrays["coordinates"].shape[1]),
        "mocap": (frames, arrays["mocap"].shape[1], 7),
    }
    wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
    wrong += [name for name, values in arrays.items() if not np.isfinite(values).all()]
    if wrong or frames < 1 or (np.diff(arrays["times"]) < 0).any():
        raise ReplayError(f"this is no replay: {', '.join(sorted(set(wrong))) or 'times'} cannot be right")
    # Facts about the episode
    facts = {name: facts.get(name) for name in _FACTS}
    if facts["fitness"] is None:
        facts["fitness"] = math.nan
    texts = [facts[name] for name in ("task", "candidate", "cause")]
    numbers = [facts[name] for name in ("control_step", "fitness")]
    counts = [facts[name] for name in ("start", "length")]
    if (
        not all(isinstance(text, str) and len(text) <= _TEXT for text in texts)
        or not all(isinstance(value, float | int) for value in numbers)
        or not all(isinstance(count, int) and 0 <= count < 10**9 for count in counts)
    ):
        raise ReplayError("this is no replay: what it says of its episode is of another form")
    values: dict[str, Any] = {**facts, **{name: arrays[name] for name in _ARRAYS}}
    values["rotations"] = arrays["rotations"].astype(np.float32) / _TURN
    return Replay(**values)


def dump_geometry(geometry: Geometry) -> bytes:
    """Return a geometry as the content of its file."""
    facts = {
        "task": geometry.task,
        "shapes": [asdict(shape) for shape in geometry.shapes],
        "tracks": list(geometry.tracks),
        "cords": [asdict(cord) for cord in geometry.cords],
        "look": asdict(geometry.look),
    }
    # Meshes have arrays of their own
    arrays = {}
    for number, mesh in enumerate(geometry.meshes):
        arrays[f"vertices.{number}"] = np.asarray(mesh.vertices, np.float32)
        arrays[f"faces.{number}"] = np.asarray(mesh.faces, np.int32)
    return _dump("geometry", facts, arrays)


def parse_geometry(content: bytes) -> Geometry:
    """Return the geometry in ``content``.

    Raises:
        ReplayError: it is not a geometry, or damaged.
    """
    facts, arrays = _parse("geometry", content)
    try:
        geometry = Geometry(
            task=TypeAdapter(str).validate_python(facts.get("task"), strict=True),
            shapes=TypeAdapter(tuple[Geom, ...]).validate_python(facts.get("shapes")),
            tracks=TypeAdapter(tuple[str, ...]).validate_python(facts.get("tracks")),
            cords=TypeAdapter(tuple[Tendon, ...]).validate_python(facts.get("cords")),
            look=TypeAdapter(Camera).validate_python(facts.get("look")),
            meshes=tuple(_mesh(arrays, number) for number in range(len(arrays) // 2)),
        )
    except (ValidationError, KeyError) as error:
        raise ReplayError(f"this is no geometry of a replay: {str(error).splitlines()[0]}") from error
    # References between its parts
    for shape in geometry.shapes:
        meant = range(len(geometry.meshes)) if shape.kind == "mesh" else (-1,)
        if shape.kind not in KINDS or shape.mesh not in meant or not -1 <= shape.track < len(geometry.tracks):
            raise ReplayError(f"this is no geometry of a replay: a {shape.kind[:20]} in it cannot be drawn")
    return geometry


def _mesh(arrays: dict[str, np.ndarray], number: int) -> Mesh:
    """Return a mesh, checked."""
    vertices, faces = arrays[f"vertices.{number}"], arrays[f"faces.{number}"]
    sound = vertices.dtype == np.float32 and faces.dtype == np.int32 and vertices.ndim == faces.ndim == 2
    if not sound or vertices.shape[1] != 3 or faces.shape[1] != 3 or not np.isfinite(vertices).all():
        raise ReplayError(f"this is no geometry of a replay: mesh {number} is of another form")
    if faces.size and not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise ReplayError(f"this is no geometry of a replay: mesh {number} names vertices that it lacks")
    return Mesh(vertices, faces)


def _dump(kind: str, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Return arrays and a JSON text as a safetensors file."""
    return save(
        {name: np.ascontiguousarray(values) for name, values in arrays.items()},
        {"format": FORMAT, kind: json.dumps(facts, allow_nan=False)},
    )


def _parse(kind: str, content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON text and the arrays of a file."""
    try:
        arrays = load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
        facts = json.loads(metadata.get(kind, "null"))
    except (SafetensorError, ValueError, RecursionError, TypeError, KeyError) as error:
        raise ReplayError(f"this is no {kind} that rewardgen wrote: {str(error)[:200]}") from error
    if metadata.get("format") != FORMAT or not isinstance(facts, dict):
        raise ReplayError(f"this is no {kind} of a form that this rewardgen writes")
    return facts, arrays


def read_file(path: Path) -> bytes:
    """The content of a file that is there of itself: a link could lead anywhere.

    Raises:
        ReplayError: it is a link, too large, or cannot be read.
    """
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise ReplayError(f"{path} is no file of a replay")
        return path.read_bytes()
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error}") from error
