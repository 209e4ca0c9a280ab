"""The fields as quantities: one ``(n,)`` number each, with what its name, unit and meaning suggest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewardgen.llm.offline.words import (
    ANGLE,
    BODY,
    HEIGHT,
    MOVER,
    OFFSET,
    PART,
    PLACE,
    SIDE_AXES,
    TARGET,
    UP_NUMBER,
    shared,
    stems,
)
from rewardgen.records import Field
from rewardgen.request import TaskFacts

# Weights of the score that ranks quantities
AXIS_FITS = 3.0
IS_BODY = 2.0
IS_PART = -4.0
SHARED_WORD = 0.5
IS_SIDEWAYS = -3.0

_AXIS = re.compile(r"(?<![a-zA-Z0-9_])([xyz])(?![a-zA-Z0-9_])")
# Phrases such as "1 upright", "1 when the pole is vertical", "zero: hanging": a value and its meaning
_MEANS = r"\s*(?:is|when|if|at|for|=|:|means|while)?\s*(?:it |the \w+ )?(?:is |are )?"
_ONE_IS_UP = re.compile(rf"(?<![-\d.])1(?:\.0)?{_MEANS}(?:upright|vertical|up|stand)")
_ONE_IS_DOWN = re.compile(rf"(?<![-\d.])1(?:\.0)?{_MEANS}(?:hang|down)")
_ZERO_IS_DOWN = re.compile(rf"(?<![-\d.])(?:0|zero)(?:\.0)?{_MEANS}(?:hang|down)")


@dataclass(frozen=True)
class Quantity:
    """One number of the state. ``code`` is an expression with ``{s}`` in place of the state's name."""

    label: str
    code: str
    field: Field
    axis: str
    words: frozenset[str]

    def of(self, state: str = "next_state") -> str:
        """Return its expression for a state."""
        return self.code.replace("{s}", state)


def components(field: Field) -> list[Quantity]:
    """Return each number of a field with up to four; larger and nested fields are only used as norms."""
    words = stems(f"{field.name} {field.meaning}")
    if field.shape == ():
        named = _AXIS.findall(field.meaning)
        axis = named[0] if len(named) == 1 else "x" if "forward" in field.meaning.lower() else ""
        return [Quantity(field.name, f"{{s}}.{field.name}", field, axis, words)]
    if len(field.shape) > 1 or field.shape[0] > 4:
        return []
    axes = _axes(field)
    return [
        Quantity(f"{field.name}_{axis}", f"{{s}}.{field.name}[:, {index}]", field, axis, words)
        for index, axis in enumerate(axes)
    ]


def _axes(field: Field) -> list[str]:
    """Return the name of each component: letters that the meaning lists, if their number fits, else x, y, z."""
    size = field.shape[0]
    named = list(dict.fromkeys(_AXIS.findall(field.meaning)))
    if len(named) == size:
        return named
    return ["x", "y", "z"][:size] if size <= 3 else [str(index) for index in range(size)]


def mean_square(field: Field, state: str = "next_state") -> str:
    """Return the mean of a field's squares, ``(n,)``."""
    code = f"{state}.{field.name}.square()"
    if field.shape == ():
        return code
    return f"{code}.mean(-1)" if len(field.shape) == 1 else f"{code}.flatten(1).mean(-1)"


@dataclass(frozen=True)
class Distance:
    """The distance between two positions, as an expression with ``{s}``; ``score``: how likely it matters."""

    label: str
    code: str
    score: float

    def of(self, state: str = "next_state") -> str:
        """Return its expression for a state."""
        return self.code.replace("{s}", state)


@dataclass(frozen=True)
class Quantities:
    """What a task's fields offer, the likeliest first in each list."""

    speeds: tuple[Quantity, ...]
    places: tuple[Quantity, ...]
    upright: tuple[tuple[str, str], ...]
    heights: tuple[Quantity, ...]
    centred: tuple[Quantity, ...]
    turning: tuple[Quantity, ...]
    sideways: tuple[Quantity, ...]
    distances: tuple[Distance, ...]
    scalars: tuple[Quantity, ...]


def read_quantities(task: TaskFacts, axis: str) -> Quantities:
    """Sort the task's quantities by possible use; ``axis`` is the direction that the task speaks of."""
    described = stems(task.description)
    numbers = [quantity for field in task.fields for quantity in components(field)]

    def moving(quantity: Quantity) -> float:
        """Return how likely a quantity is the one that should move."""
        score = AXIS_FITS if quantity.axis == axis else IS_SIDEWAYS if quantity.axis else 0.0
        score += IS_BODY if quantity.words & BODY else 0.0
        score += IS_PART if quantity.words & PART else 0.0
        return score + SHARED_WORD * shared(described, quantity.words)

    def ranked(found: list[Quantity]) -> tuple[Quantity, ...]:
        """Return the likely ones, best first."""
        scored = [(moving(quantity), -place, quantity) for place, quantity in enumerate(found)]
        return tuple(quantity for score, _, quantity in sorted(scored, key=lambda s: s[:2], reverse=True) if score >= 0)

    # Units tell speeds from positions
    metres = [quantity for quantity in numbers if quantity.field.unit == "m"]
    speeds = [quantity for quantity in numbers if quantity.field.unit == "m/s"]
    lone = [quantity for quantity in metres if quantity.field.shape == () and not quantity.words & TARGET]
    speeds = list(ranked(speeds))
    return Quantities(
        speeds=tuple(speeds),
        places=ranked([q for q in metres if not q.words & TARGET]),
        upright=tuple(_upright(task.fields, described)),
        heights=tuple(q for q in metres if q.axis == "z" or (q.field.shape == () and q.words & HEIGHT)),
        centred=tuple(q for q in lone if q.words & PLACE and not q.words & HEIGHT - {"z"}),
        turning=tuple(q for q in numbers if q.field.unit == "rad/s"),
        sideways=tuple(
            q for q in numbers if speeds and q.field is speeds[0].field and q is not speeds[0] and q.axis in SIDE_AXES
        ),
        distances=tuple(sorted(_distances(task.fields), key=lambda d: -d.score)),
        scalars=tuple(numbers),
    )


def _upright(fields: tuple[Field, ...], described: frozenset[str]) -> list[tuple[str, str]]:
    """Return (label, expression in [-1, 1] that is 1 when upright), those that the description mentions first."""
    scored: list[tuple[float, str, str]] = []
    for place, field in enumerate(fields):
        words, meaning = stems(f"{field.name} {field.meaning}"), field.meaning.lower()
        score = SHARED_WORD * shared(described, words) - 0.01 * place
        value = f"next_state.{field.name}"
        # A cosine, an angle, a quaternion, or an up vector
        if field.unit in ("1", "") and field.shape == () and words & UP_NUMBER and "sin" not in words:
            sign = "-" if _ONE_IS_DOWN.search(meaning) and not _ONE_IS_UP.search(meaning) else ""
            scored.append((score + 2.0, field.name, f"{sign}torch.clamp({value}, -1.0, 1.0)"))
        elif field.unit == "rad" and field.shape == () and words & ANGLE:
            sign = "-" if _ZERO_IS_DOWN.search(meaning) else ""
            scored.append((score + (1.0 if "upright" in words else 0.0), field.name, f"{sign}torch.cos({value})"))
        elif field.shape == (4,) and field.unit in ("1", "") and words & stems("quaternion orientation"):
            scored.append((score + 1.0, field.name, f"(1.0 - 2.0 * {value}[:, 1:3].square().sum(-1))"))
        elif field.shape == (3,) and field.unit in ("1", "") and words & stems("up upright vertical"):
            scored.append((score, field.name, f"torch.clamp({value}[:, 2], -1.0, 1.0)"))
    distinct, seen = [], set[frozenset[str]]()
    for _, name, code in sorted(scored, key=lambda item: -item[0]):
        # pole_upright and pole_angle tell the same about one thing: keep the first
        thing = stems(name) - stems("angle upright cos cosine pitch")
        if thing not in seen:
            distinct.append((name, code))
        seen.add(thing)
    return distinct


def _distances(fields: tuple[Field, ...]) -> list[Distance]:
    """Return distances to a target: fields that are offsets, and differences of two positions."""
    distances = []
    metres = [field for field in fields if field.unit == "m"]
    described = {field.name: stems(f"{field.name} {field.meaning}") for field in metres}
    for field in metres:
        words = described[field.name]
        if words & TARGET and words & OFFSET:
            distances.append(Distance(field.name, _length(f"{{s}}.{field.name}", field), 2.5))
    # Pairs of positions, one of which is a target
    for place, one in enumerate(metres):
        for other in metres[place + 1 :]:
            if one.shape != other.shape or one.shape == ():
                continue
            marks = (bool(described[one.name] & TARGET) + bool(described[other.name] & TARGET)) == 1
            movers = bool((described[one.name] | described[other.name]) & MOVER)
            if marks:
                code = _length(f"({{s}}.{one.name} - {{s}}.{other.name})", one)
                distances.append(Distance(f"{one.name}_{other.name}", code, 2.0 + movers))
    return distances


def _length(code: str, field: Field) -> str:
    """Return an expression for the length of a vector."""
    if field.shape == ():
        return f"torch.abs({code})"
    flat = code if len(field.shape) == 1 else f"{code}.flatten(1)"
    return f"torch.linalg.vector_norm({flat}, dim=-1)"
