"""Every method, as a real search with the offline author: small, but with all that the method does."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rewardgen import prompting, search
from rewardgen.errors import ConfigError
from rewardgen.export import export_run
from rewardgen.llm.recording import Recorder
from rewardgen.records import Checkpoint, Message, Reply
from rewardgen.report import write_report
from rewardgen.request import Request
from rewardgen.search import Event, configure, load_method, method_names
from rewardgen.store import RunView, read
from rewardgen.store.database import from_json, to_json
from rewardgen.tasks import load_task
from rewardgen.training import Member
from rewardgen.training.record import Record
from tests.sampling import few
from tests.search import tiny
from tests.search.content import content
from tests.search.model_server import model_server


def run(folder: Path, method: str, **changes: Any) -> RunView:
    return search.run(configure(None, tiny.of_method(method, **changes)), folder)


@pytest.mark.parametrize("method", few(method_names(), 2))
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
    component = re.search(r"^(- )?component [^:\n]+: ", told, re.MULTILINE)
    assert (component is not None) == bool({"components", "episodes"} & set(chosen.feedback))
    assert ("; share " in told) == ("components" in chosen.feedback and chosen.form == "reward")
    assert ("this reward's return" in told) == ("return" in chosen.feedback)
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


@pytest.mark.slow
@pytest.mark.parametrize("method", ["progress", "lare"])
def test_what_is_no_reward_is_never_read_as_one(tmp_path: Path, method: str) -> None:
    """Screened by nothing, kept by nothing that is paid, told by its components, exported with a warning."""
    view = run(tmp_path / "run", method, search__screening=True, training__keep="own")
    assert view.form == load_method(method).form
    config = view.config
    assert not config["search"]["screening"]["enabled"]
    assert config["training"]["keep"] == ("best" if method == "progress" else "own")
    for candidate in view.candidates.values():
        assert candidate.forecast is None
        assert "share" not in candidate.reflection and "return" not in candidate.reflection
    winner = view.final("winner")
    assert winner is not None and winner.evaluation is not None
    own = [point.own_return for training in winner.trainings for point in training.curve]
    sums = [sum(p.components.values()) * p.episode_length for t in winner.trainings for p in t.curve]
    assert own != pytest.approx(sums, rel=1e-3)  # what was paid is not the total that the program returned
    reward = export_run(view, tmp_path / "exported").reward
    assert reward.read_text(encoding="utf-8").startswith("# No reward: the components are ")
    readme = (reward.parent / "README.md").read_text(encoding="utf-8")
    assert "There is no environment with this reward: the components are" in readme and "# A reward" not in readme
    page = write_report(view, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "It is no reward: its components are" in page and "The winning program" in page


@pytest.mark.slow
@pytest.mark.parametrize("method", ["progress", "lare"])
def test_a_program_without_components_goes_back_before_training(tmp_path: Path, method: str) -> None:
    head = "```python\ndef compute_reward(state, action, next_state):\n    up = action[:, 0]\n    return up, "
    manner = load_method(method).manner
    asked = prompting.generation(load_task(tiny.SEARCH["task"]), [], (), None, manner)
    said, better = head + "{}\n```", head + '{"up": up}\n```'
    recorder = Recorder(tmp_path / "recording.jsonl")
    recorder.add("a-model", asked, 1, 0, [Reply(said, "a-model")])
    again = Request("repair", (*asked.messages, Message("assistant", said), Message("user", "It cannot be used.")))
    recorder.add("a-model", again, 1, 0, [Reply(better, "a-model")])
    one = {"search__generations": 1, "search__candidates": 1, "search__repairs": 1}
    view = run(tmp_path / "run", method, llm__model=f"replay:{tmp_path / 'recording.jsonl'}", **one)
    (candidate,) = view.generations[0].candidates
    first, second = candidate.attempts
    assert [problem.stage for problem in first.problems] == ["smoke"] and "no components" in first.problems[0].message
    assert not second.problems and candidate.status == "trained"


class Cut(BaseException):
    """What ends a run in the middle, as Ctrl-C would."""


@pytest.mark.slow
def test_a_method_with_several_roles_goes_on_where_it_was_cut_and_asks_nothing_twice(tmp_path: Path) -> None:
    whole = search.run(configure(None, tiny.of_method("auto_mc")), tmp_path / "whole" / "run")
    cut, cuts = tmp_path / "cut" / "run", []

    def stopping(event: Event) -> None:
        asked = event.data.get("purpose") if event.kind == "replied" else None
        if asked in ("review", "analysis") and asked not in cuts:
            cuts.append(asked)
            raise Cut

    with pytest.raises(Cut):
        search.run(configure(None, tiny.of_method("auto_mc")), cut, listener=stopping)
    with pytest.raises(Cut):
        search.resume(cut, listener=stopping)
    view = search.resume(cut, listener=stopping)
    assert cuts == ["review", "analysis"] and view.status == "finished"
    assert content(cut) == content(whole.path)
    lines = [json.loads(line) for line in (cut / "recording.jsonl").read_text().splitlines()]
    assert {line["purpose"] for line in lines} >= {"generation", "review", "analysis"}
    assert max(Counter((line["hash"], line["seed"]) for line in lines).values()) == 1
    assert len(lines) == len(whole.calls) == view.cost.calls  # and all of it counts


@pytest.mark.slow
@pytest.mark.parametrize("method", ["progress", "lare"])
def test_trainings_with_a_memory_come_to_the_same_after_a_cut(tmp_path: Path, method: str) -> None:
    """Cut in the middle of a generation's trainings, whose counts or decoder were in memory alone."""
    chosen = configure(None, tiny.of_method(method))
    whole = search.run(chosen, tmp_path / "whole" / "run")
    cut, seen = tmp_path / "cut" / "run", []

    def stopping(event: Event) -> None:
        seen.append(event.kind)
        if event.kind == "checkpoint" and seen.count("checkpoint") == 3:
            raise Cut

    with pytest.raises(Cut):
        search.run(chosen, cut, listener=stopping)
    assert not any(candidate.trainings for candidate in read(cut).candidates.values())
    assert search.resume(cut).status == "finished"
    assert content(cut) == content(whole.path)


@pytest.mark.slow
def test_a_run_goes_on_by_the_method_that_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsummary: as it began\nfeedback: [fitness]\n")

    def stopping(event: Event) -> None:
        if event.kind == "replied":
            raise Cut

    with pytest.raises(Cut):
        run_by = configure(None, tiny.of_method(str(path)))
        search.run(run_by, tmp_path / "run", listener=stopping)
    path.write_text("name: mine\nsummary: changed\nform: progress\nfeedback: [components]\n")
    view = search.resume(tmp_path / "run")
    told = view.generations[1].messages[-1].content
    assert view.form == "reward" and "fitness:" in told and "\ncomponent " not in told


@pytest.mark.slow
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


def test_a_training_too_short_for_a_decoder_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no episode of reacher/reach ends before step 1,600"):
        run(tmp_path / "run", "lare", training__worlds=32)
    assert not (tmp_path / "run").exists()


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
