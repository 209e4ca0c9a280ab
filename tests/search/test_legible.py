"""A search that cannot read its own scores says so, once, in time, and again the same when it is resumed."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rewardgen import search
from rewardgen.cli.output import jsonable
from rewardgen.cli.summary import summary
from rewardgen.config import load
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.report.choices import legibility_of
from rewardgen.report.page import render
from rewardgen.search import Event
from rewardgen.search.candidate import Place
from rewardgen.search.report_scores import warn_if_unreadable
from rewardgen.store import AGAIN, RunView, Store, read
from tests.search import tiny

SEARCH: dict[str, Any] = {
    **tiny.SEARCH,
    "task": "reacher/reach",
    "llm.model": "offline",
    "search.generations": 3,
    "search.candidates": 6,
    "search.seeds": 3,
    "search.racing.enabled": False,
    "search.remeasure": 0,
    "training.steps": 256,  # policies that hardly learned: which reward they learned from decides little
}


def said(view: RunView) -> list[str]:
    return [e.data["message"] for e in view.events if "do not tell the candidates apart" in str(e.data.get("message"))]


def warnings_of(store: Store, generations: dict[int, np.ndarray], **changes: Any) -> list[tuple[int, str]]:
    """(generation, warning) of a search whose generations have these scores ``(candidates, seeds)``.

    The last seed of a generation is one on which its first candidate alone was measured again.
    """
    config = load(overrides={**SEARCH, "search.candidates": 12, "search.seeds": 2, "search.generations": 4, **changes})
    warned: list[tuple[int, str]] = []
    for number, scores in generations.items():
        for i, (*chosen, again) in enumerate(scores.tolist()):
            key = f"r0g{number}c{i}"
            store.add_trainings([(key, training(score, seed)) for seed, score in enumerate(chosen)])
            if i == 0:
                store.add_trainings([(key + AGAIN, training(again, 99))])
        reporter = SimpleNamespace(warn=lambda message, at=number: warned.append((at, message)))
        services: Any = SimpleNamespace(config=config, store=store, reporter=reporter)
        warn_if_unreadable(services, Place(0, number))
        before = list(warned)
        warn_if_unreadable(services, Place(0, number))  # as a resumed run does
        assert warned[len(before) :] == [each for each in before if each[0] == number]
        del warned[len(before) :]
    return warned


def training(score: float, seed: int) -> TrainingResult:
    points = (Checkpoint(256, score, 0.0, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, 8),)
    return TrainingResult("", seed, "done", "", points, None, 256, 1.0)


def test_it_warns_after_the_first_generation_that_cannot_be_read_and_not_again(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    drawn = [generator.normal(size=(12, 3)) for _ in range(4)]
    noise = [scores - 0.7 * scores[:, :2].mean(1, keepdims=True) for scores in drawn]  # rewards differ next to nothing
    left_open = np.array([[0.0, 1.0, 0.0], [1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [1.0, 0.5, 0.0]])
    clear = np.arange(12.0)[:, None] * 3.0 + 0.1 * noise[0]
    with Store(tmp_path / "noise", new=True) as store:
        ((at, message),) = warnings_of(store, dict(enumerate(noise)))
    assert at == 0 and message.startswith("after generation 0: ") and "Seeds explain" in message
    with Store(tmp_path / "clear", new=True) as store:
        assert warnings_of(store, {0: clear, 1: clear}) == []
    # four candidates leave it open; with the next generation's it is known
    with Store(tmp_path / "few", new=True) as store:
        found = warnings_of(store, {0: left_open, 1: noise[1], 2: noise[2]})
    assert [at for at, _ in found] == [1]
    # after the last generation there is nothing to change
    with Store(tmp_path / "last", new=True) as store:
        assert warnings_of(store, {0: noise[0]}, **{"search.generations": 1}) == []


@pytest.mark.slow
def test_a_search_says_what_its_trainings_say_and_so_when_resumed(tmp_path: Path) -> None:
    events: list[Event] = []

    def stop(event: Event) -> None:
        events.append(event)
        if event.kind == "selected" and event.data["generation"] == 1:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        search.run(load(overrides=SEARCH), tmp_path / "run", listener=stop)
    before = said(read(tmp_path / "run"))
    view = search.resume(tmp_path / "run")
    # what the trainings say of the generations that a further one follows
    so_far = [legibility_of(replace(view, generations=view.generations[: n + 1])) for n in range(2)]
    expected = [
        f"after generation {n}: the scores do not tell the candidates apart. {found.sentence} "
        for n, found in enumerate(so_far)
        if found.unreadable
    ][:1]
    assert [message[: len(begin)] for message, begin in zip(said(view), expected, strict=True)] == expected
    assert said(view) == before
    heard = [event.data["message"] for event in events if event.kind == "warning"]
    assert [message for message in heard if "tell the candidates apart" in message] == before
    # at the end all generations together: in the report, and as JSON
    told = legibility_of(view)
    assert told.estimate is not None and told.estimate.scores == sum(len(c.trainings) for c in view.candidates.values())
    document = jsonable(summary(view))["legibility"]
    assert document["sentence"] == told.sentence and document["seeds_share"] == told.seeds_share
    assert document["estimate"]["within_df"] == told.estimate.within_df and document["seeds"] == 3
    assert told.sentence in render(view)


@pytest.mark.slow
def test_one_seed_cannot_tell_and_nobody_is_warned(tmp_path: Path) -> None:
    view = search.run(
        load(overrides=SEARCH | {"search.generations": 2, "search.seeds": 1, "search.candidates": 3}), tmp_path / "run"
    )
    assert not said(view)
    assert "cannot be told yet" in legibility_of(view).sentence
    assert jsonable(summary(view))["legibility"]["seeds_share"] is None
