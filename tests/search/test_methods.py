"""Every method, as a real search with the offline author: small, but with all that the method does."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rewardgen import search
from rewardgen.records import Checkpoint
from rewardgen.search import Event, configure, load_method, method_names
from rewardgen.store import RunView
from rewardgen.store.database import from_json, to_json
from rewardgen.training import Member
from rewardgen.training.trainer import Record
from tests.search.model_server import model_server
from tests.search.test_resume import content

TINY: dict[str, Any] = {
    "task": "cartpole/swingup",
    "threads": 1,
    "llm.model": "offline",
    "search.generations": 2,
    "search.seeds": 1,
    "training.steps": 512,
    "training.worlds": 8,
    "training.rollout": 32,
    "training.epochs": 1,
    "training.minibatches": 2,
    "training.checkpoints": 2,
    "training.checkpoint_episodes": 2,
    "evaluation.report_seeds": 1,
    "evaluation.report_episodes": 2,
    "evaluation.resamples": 100,
}


def settings(method: str, **changes: Any) -> dict[str, Any]:
    """A tiny search by a method; judged, where it asks people, by a simulation of them."""
    overrides = TINY | {"search.judging.by": "simulated", "search.method": method}
    if load_method(method).settings.get("search", {}).get("candidates", 8) > 3:
        overrides["search.candidates"] = 3
    return overrides | {key.replace("__", "."): value for key, value in changes.items()}


def run(folder: Path, method: str, **changes: Any) -> RunView:
    return search.run(configure(None, settings(method, **changes)), folder)


@pytest.mark.parametrize("method", method_names())
def test_every_method_finds_a_reward_offline(tmp_path: Path, method: str) -> None:
    view = run(tmp_path / "run", method)
    assert view.status == "finished" and view.winner is not None
    assert [generation.finished for generation in view.generations] == [True, True]
    later = view.generations[1].candidates
    assert all(candidate.parent is not None for candidate in later)
    assert any(candidate.status == "trained" for candidate in later)
    told = "\n".join(message.content for message in view.generations[1].messages[2:])
    chosen = load_method(method)
    assert ("fitness:" in told) == ("fitness" in chosen.feedback)
    assert ("component " in told) == bool({"components", "episodes"} & set(chosen.feedback))
    assert ("its state, as means over the episodes" in told) == ("behaviour" in chosen.feedback)
    assert ("the best of 8 episodes" in told) == ("episodes" in chosen.feedback)
    purposes = {call.purpose for call in view.calls}
    assert ("review" in purposes) == (chosen.roles.critic is not None)
    assert ("analysis" in purposes) == (chosen.roles.analyser is not None)
    assert ("> finding: " in told) == (chosen.roles.analyser is not None)
    if chosen.islands is not None:  # each of the second generation has a conversation of its own
        keys = {call.key for call in view.calls if call.purpose == "generation"}
        assert {"r0g0", "r0g1i0", "r0g1i1", "r0g1i2"} <= keys
        assert all(candidate.parent in view.candidates for candidate in later)


class Cut(BaseException):
    """What ends a run in the middle, as Ctrl-C would."""


def test_a_method_with_several_roles_goes_on_where_it_was_cut_and_asks_nothing_twice(tmp_path: Path) -> None:
    whole = search.run(configure(None, settings("auto_mc")), tmp_path / "whole" / "run")
    cut, cuts = tmp_path / "cut" / "run", []

    def stopping(event: Event) -> None:
        asked = event.data.get("purpose") if event.kind == "replied" else None
        if asked in ("review", "analysis") and asked not in cuts:
            cuts.append(asked)
            raise Cut

    with pytest.raises(Cut):
        search.run(configure(None, settings("auto_mc")), cut, listener=stopping)
    with pytest.raises(Cut):
        search.resume(cut, listener=stopping)
    view = search.resume(cut, listener=stopping)
    assert cuts == ["review", "analysis"] and view.status == "finished"
    assert content(cut) == content(whole.path)
    lines = [json.loads(line) for line in (cut / "recording.jsonl").read_text().splitlines()]
    assert {line["purpose"] for line in lines} >= {"generation", "review", "analysis"}
    assert max(Counter((line["hash"], line["seed"]) for line in lines).values()) == 1
    assert len(lines) == len(whole.calls) == view.cost.calls  # and all of it counts


def test_a_program_that_orders_known_episodes_badly_goes_back_and_is_trained_in_the_end(tmp_path: Path) -> None:
    view = run(tmp_path / "run", "card", search__generations=1, search__screening__agreement=0.999, search__repairs=1)
    (candidate,) = view.generations[0].candidates
    first, last = candidate.attempts
    assert [problem.stage for problem in first.problems] == ["preference"]
    assert "pairs of stored episodes" in first.problems[0].message and "99.9 %" in first.problems[0].message
    repair = next(call for call in view.calls if call.purpose == "repair")
    assert first.problems[0].message[:60] in repair.messages[-1].content
    assert not last.problems and candidate.status == "trained"


def test_a_method_that_wants_all_its_programs_to_run_asks_for_fresh_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsummary: fills up\nfill: 1\n")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-tests")
    one = {"search__generations": 1, "search__candidates": 1, "search__repairs": 1}
    with model_server("no_such_field") as server:  # whose model never writes a program that runs
        view = run(tmp_path / "run", str(path), llm__model="a-model", llm__base_url=server.url, **one)
    assert [call.purpose for call in view.calls] == ["generation", "repair", "generation", "repair"]
    first, repair, fresh, second = (call.messages for call in view.calls)
    assert fresh == first and repair[: len(first)] == first and second[: len(first)] == first  # it begins anew
    (candidate,) = view.generations[0].candidates
    assert candidate.status == "rejected" and len(candidate.attempts) == 4


def test_the_peak_of_its_own_reward_is_what_a_training_stands_for() -> None:
    record = Record(Member("a", 0, reward=None), keep="own")  # type: ignore[arg-type]
    for steps, (fitness, own) in enumerate([(1.0, 5.0), (9.0, 4.0), (3.0, 6.0), (2.0, 6.0), (7.0, math.nan)], start=1):
        point = Checkpoint(steps, fitness, 0.0, 0.0, own, {}, {}, 1.0, {}, 0.0, 1)
        record.add(point, lambda steps=steps: str(steps).encode())
    result = record.result(0.0)
    assert [point.chosen for point in result.curve] == [False, False, True, False, False]
    assert result.score == 3.0 and result.weights == b"3"  # the third, though the second is the fittest
    # kept in a store and read again
    again = from_json(to_json(list(result.curve), list[Checkpoint]), list[Checkpoint])
    assert [point.chosen for point in again] == [point.chosen for point in result.curve]
