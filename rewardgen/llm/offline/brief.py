"""What the messages say, as far as this author can read: the task, its fields, and what became of earlier rewards.

All of it is found by the fixed forms of the prompt's lines; what is missing is left empty, and prose is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rewardgen.records import Field, Message

DEFAULT_CONTROL_STEP = 0.05  # s, where the prompt names none

_FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)```", re.DOTALL)
_FIELD = re.compile(r"^\s+(\w+)\s*:\s*Tensor\s*#\s*\(n\s*,?([\d,\s]*)\)\s*([^:\n]*):\s*(.*)$", re.MULTILINE)
_ACTION = re.compile(r"^\s*action\s*:\s*Tensor\s*#\s*\(n\s*,\s*(\d+)\)(.*)$", re.MULTILINE)
_BOUNDS = re.compile(r"\[\s*(-?[\d.e+-]+)\s*,\s*(-?[\d.e+-]+)\s*\]")
_DESCRIPTION = re.compile(r"^#\s*The task[^\n]*\n(.*?)(?=^#\s|^```|\Z)", re.DOTALL | re.MULTILINE)
_CONTROL_STEP = re.compile(r"control step is ([\d.e-]+) s")
_YARDSTICK = re.compile(r"yardstick[^\n]*?,\s*in ([^;,\n]+)")
_CAUSES = re.compile(r"ends early when this happens:\s*([^\n]+?)\.?(?:\s+Nothing|\n|$)")
_SHAPING = re.compile(r"^#\s*The shaping library\s*\n(.*?)(?=^#\s|\Z)", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\(")

_NUMBER = r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|n/a)"
_FITNESS = re.compile(rf"^\s*fitness:\s*({_NUMBER}(?:\s*→\s*{_NUMBER})*)", re.MULTILINE)
_BEST = re.compile(rf"^\s*fitness:.*?best ({_NUMBER})", re.MULTILINE)
_SUCCESS = re.compile(r"^\s*fitness:.*?success rate <?([\d.]+) %", re.MULTILINE)
_COMPONENT = re.compile(
    rf"^\s*component (.+?): mean ({_NUMBER}(?:\s*→\s*{_NUMBER})*) per step(?:; share <?([\d.]+|n/a)(?: %)?)?"
    rf"(?:; correlation with fitness ({_NUMBER}))?",
    re.MULTILINE,
)
_OTHERS = re.compile(rf"^\s*other rewards tried at the same time reached ({_NUMBER}(?:, {_NUMBER})*)", re.MULTILINE)


_LIKED_LEAST = re.compile(r"^A policy was trained on this reward[^\n]*liked least", re.MULTILINE)
_SAID = re.compile(r"^What people who watched it said[^\n]*\n((?:(?!^(?:How|Write|Nobody)\b).*\n?)*)", re.MULTILINE)
_QUOTED = re.compile(r"^> (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Component:
    """What the reflection says of one component. None where it says n/a."""

    means: tuple[float, ...]
    share: float | None
    correlation: float | None


@dataclass(frozen=True)
class Reflection:
    fitness: tuple[float, ...]
    best: float | None
    success: float | None
    components: dict[str, Component]
    others: tuple[float, ...]

    @property
    def flat(self) -> bool:
        """Whether training hardly moved the fitness: no direction to follow."""
        if self.success is not None and self.success > 0:
            return False
        if len(self.fitness) < 2:
            return not self.fitness and not self.components
        size = max(abs(value) for value in self.fitness)
        return max(self.fitness) - self.fitness[0] <= 0.05 * size


@dataclass(frozen=True)
class Attempt:
    """A program in the conversation and what was said about it; ``disliked`` where people liked another one better."""

    source: str
    reflection: Reflection
    disliked: bool = False


@dataclass(frozen=True)
class Brief:
    """The task as the messages tell it. ``helpers`` are the names of the shaping library.

    ``said`` is what people wrote about the last program's behaviour.
    """

    description: str
    fields: tuple[Field, ...]
    action_size: int
    action_limit: float
    control_step: float
    yardstick_unit: str
    causes: tuple[str, ...]
    helpers: frozenset[str]
    attempts: tuple[Attempt, ...]
    said: str = ""


def read_brief(messages: Sequence[Message]) -> Brief:
    """Read all that can be read; never fails."""
    told = "\n\n".join(message.content for message in messages if message.role == "user")
    task = next((m.content for m in messages if m.role == "user" and _FIELD.search(m.content)), told)
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    action = _ACTION.search(task)
    bounds = [float(value) for pair in _BOUNDS.findall(action.group(2)) for value in pair] if action else []
    step = _CONTROL_STEP.search(task)
    unit = _YARDSTICK.search(task)
    causes = _CAUSES.search(task)
    shaping = _SHAPING.search(system)
    return Brief(
        description=_description(task),
        fields=tuple(_fields(task)),
        # of one-hot columns there is no effort to speak of
        action_size=int(action.group(1)) if action and "one-hot" not in action.group(2) else 0,
        action_limit=max((abs(value) for value in bounds if 0 < abs(value) < 1e6), default=1.0),
        control_step=_positive(step.group(1)) if step else DEFAULT_CONTROL_STEP,
        yardstick_unit=unit.group(1).strip() if unit else "",
        causes=tuple(part.strip() for part in causes.group(1).split(";")) if causes else (),
        helpers=frozenset(_CALL.findall(shaping.group(1))) if shaping else frozenset(),
        attempts=tuple(_attempts(messages)),
        said=_said(messages[-1].content) if messages else "",
    )


def code_of(text: str) -> str:
    """The code in an assistant's message: the longest fenced block, else the whole text."""
    return max(_FENCE.findall(text), key=len, default=text)


def _description(task: str) -> str:
    found = _DESCRIPTION.search(task)
    return " ".join((found.group(1) if found else task.split("```", 1)[0]).split())


def _fields(task: str) -> list[Field]:
    fields = []
    for name, shape, unit, meaning in _FIELD.findall(task):
        sizes = tuple(int(part) for part in shape.split(",") if part.strip())
        fields.append(Field(name, sizes, unit.strip(), meaning.strip()))
    return fields


def _attempts(messages: Sequence[Message]) -> list[Attempt]:
    found = []
    for place, message in enumerate(messages):
        if message.role == "assistant":
            after = messages[place + 1].content if place + 1 < len(messages) else ""
            disliked = _LIKED_LEAST.search(after) is not None
            found.append(Attempt(code_of(message.content), _reflection(after), disliked))
    return found


def _said(text: str) -> str:
    found = _SAID.search(text)
    return " ".join(_QUOTED.findall(found.group(1))) if found else ""


def _reflection(text: str) -> Reflection:
    fitness = _FITNESS.search(text)
    best = _BEST.search(text)
    success = _SUCCESS.search(text)
    others = _OTHERS.search(text)
    components = {
        name: Component(_numbers(means), _maybe(share), _maybe(correlation))
        for name, means, share, correlation in _COMPONENT.findall(text)
    }
    return Reflection(
        fitness=_numbers(fitness.group(1)) if fitness else (),
        best=_maybe(best.group(1)) if best else None,
        success=_maybe(success.group(1)) if success else None,
        components=components,
        others=_numbers(others.group(1).replace(",", "→")) if others else (),
    )


def _numbers(text: str) -> tuple[float, ...]:
    values = (_maybe(part.strip()) for part in text.split("→"))
    return tuple(value for value in values if value is not None)


def _maybe(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _positive(text: str) -> float:
    value = _maybe(text)
    return value if value is not None and value > 0 else DEFAULT_CONTROL_STEP
