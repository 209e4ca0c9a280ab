"""Generations added to a run: the same store as a run that had them from the start, and nothing trained twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from rewardgen import search
from rewardgen.config import load
from rewardgen.errors import UsageError
from rewardgen.records import Evaluation
from rewardgen.search import Event
from rewardgen.search.events import TrainingStarted
from rewardgen.store import RunView, Store, read
from tests.replay.made import trained
from tests.search import tiny
from tests.search.content import content
from tests.search.model_server import model_server

SMALL: dict[str, Any] = {
    **tiny.SEARCH,
    "task": "reacher/reach",  # whose fitness tells candidates apart from the first step
    "llm.model": "offline",
    "search.generations": 2,
    "search.candidates": 2,
    "search.racing.enabled": False,
    "search.remeasure": 1,
    "training.steps": 512,
    "tracking": False,
    "seed": 0,  # with which the third generation has another winner than the first two
}


def run(folder: Path, **changes: Any) -> RunView:
    overrides = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return search.run(load(overrides=overrides), folder)


def grow(folder: Path, generations: int, listener: Any = lambda event: None, **changes: Any) -> RunView:
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return search.resume(folder, listener=listener, overrides={"search.generations": generations} | overrides)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run "whole" of three generations and the run "short" of two."""
    folder = tmp_path_factory.mktemp("runs")
    run(folder / "whole", search__generations=3)
    run(folder / "short")
    return folder


@pytest.fixture
def short(runs: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the run of two generations, beside the others."""
    folder = runs / f"copy for {request.node.name}"
    shutil.copytree(runs / "short", folder)
    return folder


def comparable(folder: Path, *, but: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The store's content without the record of the growth and the reported trainings of the earlier winner ``but``."""
    tables = content(folder)
    tables["meta"] = [row for row in tables["meta"] if row["key"] != "grown"]
    tables["trainings"] = [row for row in tables["trainings"] if row["owner"] != f"final/{but}"]
    tables["evaluations"] = [row for row in tables["evaluations"] if row["name"] != but]
    return tables


@pytest.mark.slow
def test_a_grown_run_equals_one_that_was_as_long_from_the_start(runs: Path, short: Path) -> None:
    whole, before = read(runs / "whole"), read(short)
    assert before.winner is not None and before.winner != whole.winner  # else the seed shows something else
    reported = before.final("winner")
    assert reported is not None and reported.evaluation is not None

    started: list[TrainingStarted] = []
    view = grow(short, 3, lambda event: started.append(event) if isinstance(event, TrainingStarted) else None)
    assert comparable(short, but=before.winner) == comparable(runs / "whole")

    # Only the new winner is trained for the reported scores, not the baselines
    assert [event.members for event in started if event.what == "final"] == [1]
    assert view.final("expert") == before.final("expert") and view.final("winner") != reported

    # What happened is recorded, and the settings follow
    (growth,) = view.grown
    assert (growth.before, growth.after, growth.winner) == (2, 3, before.winner)
    assert growth.mean == reported.evaluation.mean
    assert f"to 3 generations on {growth.time[:10]}" in growth.sentence(" m") and before.winner in growth.sentence(" m")
    assert view.config["search"]["generations"] == view.given["search"]["generations"] == 3

    # The earlier winner's trainings are kept, and their steps count as spent
    with Store(short) as store:
        assert [training.steps for training in store.trainings(f"final/{before.winner}")] == [512]
        assert store.evaluation(before.winner) == reported.evaluation
    assert view.cost.steps == whole.cost.steps + 512


@pytest.mark.slow
def test_stopped_while_it_grows_a_run_comes_to_the_same(runs: Path, short: Path) -> None:
    earlier = read(short).winner
    stops = ["scored", "final"]

    def stopping(event: Event) -> None:
        what = event.what if isinstance(event, TrainingStarted) else event.kind
        if stops and what == stops[0] and (what != "scored" or event.data["candidate"].startswith("r0g2")):
            stops.pop(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grow(short, 3, stopping)
    stopped = read(short)
    assert stopped.status == "interrupted" and stopped.config["search"]["generations"] == 3
    assert stopped.winner == earlier and stopped.final("winner") is not None  # the result so far
    with pytest.raises(KeyboardInterrupt):
        search.resume(short, listener=stopping)
    assert read(short).winner != earlier and read(short).final("winner") is None  # not the earlier winner's score
    view = search.resume(short)
    assert len(view.grown) == 1 and not stops
    assert comparable(short, but=earlier) == comparable(runs / "whole")


@pytest.mark.slow
def test_fewer_generations_than_are_done_are_refused(short: Path) -> None:
    before = content(short)
    with pytest.raises(UsageError, match="has finished 2 generations, so it cannot end after 1; give --generations 3"):
        grow(short, 1)
    with pytest.raises(UsageError, match=r"search\.generations"):
        grow(short, 0)
    assert grow(short, 2).status == "finished"  # as many as there are: nothing to do
    assert content(short) == before


def test_scores_stay_with_their_winner(tmp_path: Path) -> None:
    def scored(mean: float) -> Evaluation:
        return Evaluation(((mean,),), mean, mean, mean, 0.0)

    with Store(tmp_path / "run", new=True) as store:
        store.set_winner("r0g0c0")
        store.add_trainings([("final/winner", trained("final/winner", 1, b"first"))])
        store.add_evaluation("winner", scored(1.0))
        store.add_evaluation("expert", scored(9.0))
        store.set_winner("r0g0c0")  # as a resumed run says it again
        assert store.evaluation("winner") == scored(1.0) and not store.has_earlier_winner()

        store.set_winner("r0g1c0")
        assert store.evaluation("winner") is None and not store.trainings("final/winner")
        assert store.evaluation("r0g0c0") == scored(1.0) and store.has_earlier_winner()
        store.add_evaluation("winner", scored(2.0))
        store.add_trainings([("final/winner", trained("final/winner", 1, b"second"))])

        store.set_winner("r0g0c0")  # it wins again after all
        assert store.evaluation("winner") == scored(1.0) and store.evaluation("r0g1c0") == scored(2.0)
        assert [each.weights for each in store.trainings("final/winner", weights=True)] == [b"first"]
        assert store.evaluation("expert") == scored(9.0)


@pytest.mark.slow
def test_a_search_that_found_nothing_may_find_something_later(tmp_path: Path) -> None:
    with model_server("no_such_field") as server:
        model = {"llm__model": "m", "llm__base_url": server.url}
        view = run(tmp_path / "run", search__generations=1, search__repairs=0, **model)
    assert view.winner is None and [event for event in view.events if event.kind == "warning"]
    with model_server("fingertip_position") as server:
        view = grow(tmp_path / "run", 2, llm__base_url=server.url)
    assert view.winner is not None and view.winner.startswith("r0g1")
    assert not [event for event in view.events if "no reward found" in str(event.data.get("message"))]
    assert view.grown[0].winner is None and view.final("expert") is not None


@pytest.mark.slow
def test_a_run_that_its_budget_ended_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    # Two generations of at most four trainings and three reported ones: the second generation does not fit
    view = run(tmp_path / "run", budget__steps=8 * 512)
    assert [generation.finished for generation in view.generations] == [True, False]
    view = grow(tmp_path / "run", 2, budget__steps=100 * 512)
    assert [generation.finished for generation in view.generations] == [True, True]
    assert (view.grown[0].before, view.grown[0].after) == (1, 2)
    assert not [event for event in view.events if "no further generation" in str(event.data.get("message"))]


@pytest.mark.slow
def test_a_budget_that_was_enough_is_enough_after_a_stop(tmp_path: Path) -> None:
    """Steps that finished generations took are not asked for again."""

    def stopping(event: Event) -> None:
        if isinstance(event, TrainingStarted) and event.what == "final":
            raise KeyboardInterrupt

    # Exactly a generation of two, with room for two second measurements, and three reported trainings
    settings = load(overrides=SMALL | {"search.generations": 1, "budget.steps": (4 + 3) * 512})
    with pytest.raises(KeyboardInterrupt):
        search.run(settings, tmp_path / "run", listener=stopping)
    view = search.resume(tmp_path / "run")
    assert view.status == "finished" and view.final("winner") is not None


@pytest.mark.slow
def test_restarts_that_were_judged_together_do_not_grow(tmp_path: Path) -> None:
    judged = {"search__judge": "people", "search__judging__by": "simulated"}
    run(tmp_path / "run", search__generations=1, search__restarts=2, search__candidates=1, **judged)
    with pytest.raises(UsageError, match="judged several restarts"):
        grow(tmp_path / "run", 2)
