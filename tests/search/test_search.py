"""Whole searches, small: real replies over HTTP, the real sandbox, real trainings, the real store."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rewardgen import config, search
from rewardgen.errors import BudgetExceeded, ConfigError, LLMUnavailable
from rewardgen.search import Event
from rewardgen.store import RunView, Store, read
from tests.search import tiny
from tests.search.model_server import ModelServer, model_server

EUREKA: dict[str, Any] = {
    "search.racing": False,
    "search.screening": False,
    "search.confidence": 0,
    "search.remeasure": 0,
}
"""The method as it was published: all candidates train to the end, the highest mean wins, nothing is tried before."""

SMALL: dict[str, Any] = {
    **tiny.SEARCH,
    "search.generations": 2,
    "search.candidates": 2,
    **EUREKA,
    "evaluation.report_seeds": 2,
}

Start = Callable[..., RunView]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-tests")

    def run(server: ModelServer | None = None, name: str = "run", **changes: Any) -> RunView:
        author = {"llm.model": "a-model", "llm.base_url": server.url} if server else {"llm.model": "offline"}
        settings = SMALL | author | {key.replace("__", "."): value for key, value in changes.items()}
        return search.run(config.load(overrides=settings), tmp_path / name)

    return run


def test_the_whole_way_through(tmp_path: Path) -> None:
    events: list[Event] = []
    more = {"search.seeds": 2, "search.restarts": 2, "training.score_episodes": 0}  # the best checkpoint is the score
    overrides = SMALL | {"llm.model": "offline"} | more
    view = search.run(config.load(overrides=overrides), tmp_path / "run", listener=events.append)

    assert view.status == "finished" and len(view.generations) == 4 and len(view.calls) >= 4
    trained = [c for c in view.candidates.values() if c.status == "trained"]
    assert trained and all(len(c.trainings) == 2 for c in trained)
    for candidate in trained:  # the selection score is the mean over its seeds of the best checkpoint
        bests = [max(p.fitness for p in t.curve) for t in candidate.trainings]
        assert candidate.score == pytest.approx(sum(bests) / 2)
    best = max(trained, key=lambda c: c.score if c.score is not None else -math.inf)
    assert view.winner is not None and view.candidates[view.winner].score == best.score
    for generation in view.generations:
        chosen = [c.key for c in generation.candidates if c.selected]
        assert len(chosen) == 1
        if generation.index == 1:  # the second generation was shown the first one's best, of its own restart
            before = next(g for g in view.generations if (g.restart, g.index) == (generation.restart, 0))
            parent = next(c for c in before.candidates if c.selected)
            assert {c.parent for c in generation.candidates} == {parent.key}
            assert generation.messages[2].role == "assistant" and parent.source is not None
            assert parent.source.strip() in generation.messages[2].content
            assert parent.reflection in generation.messages[3].content
    # selection and report share neither seeds nor policies
    selection = {t.seed for c in trained for t in c.trainings}
    report = {t.seed for final in view.finals for t in final.trainings}
    assert {final.name for final in view.finals} == {"winner", "expert", "sparse"} and not selection & report
    assert view.cost.steps == sum(t.steps for c in trained for t in c.trainings) + 6 * 1024
    kinds = [event.kind for event in events]
    assert kinds[0] == "run_started" and kinds[-1] == "finished" and "checkpoint" in kinds


@pytest.mark.slow
def test_the_same_seed_gives_the_same_search(start: Start) -> None:
    first, second, other = start(name="a/run"), start(name="b/run"), start(name="c/run", seed=1)

    def told(view: RunView) -> list[tuple[str, str | None, float | None]]:
        return [(c.key, c.source, c.score) for c in view.candidates.values()]

    assert told(first) == told(second) != told(other)
    assert first.finals[0].evaluation == second.finals[0].evaluation


def test_a_broken_program_goes_back_and_every_attempt_is_kept(start: Start) -> None:
    with model_server("fingertip_position") as server:
        view = start(server, search__generations=1)
    repaired = view.candidates["r0g0c0"]
    assert repaired.status == "trained" and [bool(a.problems) for a in repaired.attempts] == [True, False]
    repair = next(call for call in view.calls if call.purpose == "repair")
    assert "open" in repair.messages[-1].content  # it was told what was wrong


@pytest.mark.slow
def test_when_all_fail_the_next_generation_is_told_why(start: Start) -> None:
    with model_server("no_such_field") as server:
        view = start(server, search__repairs=0)
    assert view.status == "finished" and view.winner is None
    assert {c.status for c in view.candidates.values()} == {"rejected"}
    assert "no_such_field" in view.generations[1].messages[-1].content
    assert not view.finals and view.cost.steps == 0  # nothing is trained that could only be compared with nothing
    assert any("no reward found: no candidate could be trained" in str(event.data["message"]) for event in view.events)


def test_a_budget_of_zero_starts_nothing_and_a_larger_one_goes_on(start: Start, tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded, match="budget of 0 environment steps"):
        start(budget__steps=0)
    stopped = read(tmp_path / "run")
    assert stopped.status == "failed" and "budget" in stopped.message and stopped.cost.steps == 0
    with pytest.raises(ConfigError, match=r"only search.generations, budget\.\*, llm\.\* and threads may differ"):
        search.resume(tmp_path / "run", overrides={"training.steps": 10})
    view = search.resume(tmp_path / "run", overrides={"budget.steps": 20 * 1024})
    assert view.status == "finished" and view.cost.steps <= 20 * 1024


@pytest.mark.slow
def test_a_budget_ends_the_search_while_the_report_still_fits(start: Start) -> None:
    # one generation of two and six reported trainings fit; a second generation would not
    view = start(budget__steps=9 * 1024)
    assert view.status == "finished" and view.cost.steps == 8 * 1024
    assert [c.status for c in view.generations[1].candidates] == ["writing", "writing"]
    assert any("no further generation" in str(event.data["message"]) for event in view.events)
    assert view.final("winner") is not None


@pytest.mark.slow
def test_an_endpoint_that_is_down_leaves_a_run_to_resume(start: Start, tmp_path: Path) -> None:
    with model_server("fingertip_position") as server:
        pass  # the address of a server that is gone
    with pytest.raises(LLMUnavailable):
        start(server, llm__retries=0)
    view = read(tmp_path / "run")
    assert view.status == "failed" and view.calls[0].error
    with model_server("fingertip_position") as again:
        view = search.resume(tmp_path / "run", overrides={"llm.base_url": again.url})
    assert view.status == "finished" and not any(call.error for call in view.calls)


@pytest.mark.slow
def test_the_reference_trainer_runs_a_search(start: Start) -> None:
    view = start(training__trainer="sb3", search__generations=1, evaluation__report_seeds=1)
    assert view.status == "finished" and view.winner is not None
    assert all(t.status == "done" for final in view.finals for t in final.trainings)


@pytest.mark.slow
def test_a_task_file_of_the_users_own_works_the_same_way(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[1] / "tasks" / "example"
    overrides = SMALL | {"task": "slider/park", "llm.model": "offline", "search.generations": 1}
    view = search.run(config.load(overrides=overrides), tmp_path / "run", envs=[example])
    assert view.status == "finished" and view.task["name"] == "slider/park" and view.winner is not None
    assert all(final.evaluation is not None for final in view.finals)
    assert search.resume(tmp_path / "run") == view  # the folder is remembered


def test_a_finished_run_is_only_read_and_a_changed_task_is_refused(start: Start, tmp_path: Path) -> None:
    view = start(search__generations=1)
    assert search.resume(tmp_path / "run") == read(tmp_path / "run") == view
    with Store(tmp_path / "run") as store:
        store.set_meta(status="failed", task={**store.meta("task"), "horizon": 1})
    from rewardgen.errors import StoreError

    with pytest.raises(StoreError, match="has changed since"):
        search.resume(tmp_path / "run")
