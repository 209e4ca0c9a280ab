"""Events: one record for each kind, which crosses from process to process as plain JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from rewardgen.request import Purpose, asked_for
from rewardgen.search import Event
from rewardgen.search.events import CheckpointReached, Trained
from rewardgen.sweep import events as sweep_events

KINDS = sorted(kind for kind in Event.kinds if kind != "something_new")  # which another test adds


def example(hint: Any) -> Any:
    """A value of a field's type."""
    if get_origin(hint) is tuple:
        return ("a", "b")
    if hint in (Purpose, Trained):
        return get_args(hint)[0]
    return {int: 3, float: 0.5, bool: True, str: "text", str | None: None, float | None: 0.25}[hint]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_from_another_process_as_it_was(kind: str) -> None:
    record = Event.kinds[kind]
    hints = get_type_hints(record)
    event = record(**{field.name: example(hints[field.name]) for field in dataclasses.fields(record)})
    assert event.kind == kind
    assert Event.of(kind, json.loads(json.dumps(event.data))) == event
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.kind_of_change = 1  # type: ignore[attr-defined]


def test_what_another_version_says_is_no_event() -> None:
    assert Event.of("something_else", {"a": 1}) is None
    assert Event.of("warning", {"text": "a field of another name"}) is None
    assert Event.of("checkpoint", {"candidate": "r0g0c0", "seed": "many"}) is None


def test_a_fitness_that_is_no_number_survives() -> None:
    event = CheckpointReached("r0g0c0", 1, 250, math.nan, 0.0)
    found = Event.of("checkpoint", json.loads(json.dumps(event.data)))
    assert isinstance(found, CheckpointReached) and math.isnan(found.fitness)


def test_every_purpose_of_a_call_has_words() -> None:
    assert all(asked_for(purpose, 1) and asked_for(purpose, 2) for purpose in get_args(Purpose))
    assert asked_for("review", 4) == "4 reviews"
    assert {sweep_events.JobStarted.kind, sweep_events.BaselineSteps.kind} <= set(KINDS)
