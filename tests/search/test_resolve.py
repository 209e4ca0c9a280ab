"""What a run's settings become before it begins, and that they are kept as they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rewardgen import search
from rewardgen.config import Config
from rewardgen.errors import ConfigError
from rewardgen.search import Event, Resolved, configure, load_method, resolve
from rewardgen.sim import Arrangement
from rewardgen.store import Change, read
from rewardgen.tasks import Task, load_task
from tests.cli.commands import small_search
from tests.search import tiny


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cartpole/swingup")


def given(**settings: Any) -> Config:
    return configure(None, {"task": "cartpole/swingup"} | {key.replace("__", "."): v for key, v in settings.items()})


def resolved(task: Task, config: Config) -> Resolved:
    return resolve(config, task, load_method(config.search.method), Arrangement(why="it is asked for"))


def told(changes: tuple[Change, ...]) -> dict[str, tuple[Any, Any]]:
    return {change.setting: (change.given, change.used) for change in changes}


WHERE = {"sim": ("auto", "mujoco"), "device": ("auto", "cpu")}
BLIND = {"search.racing.enabled": (True, False), "search.remeasure": (1, 0), "training.keep": ("best", "last")}


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({}, {}),
        ({"search__judge": "fitness", "search__screening__keep": 0.5}, {}),
        ({"search__judge": "people"}, BLIND),
        (
            {"search__judge": "people", "search__screening__keep": 0.5, "search__screening__agreement": 0.4},
            BLIND | {"search.screening.keep": (0.5, 1.0), "search.screening.agreement": (0.4, 0.0)},
        ),
        ({"search__judge": "people", "search__racing": False, "search__remeasure": 0, "training__keep": "own"}, {}),
        (
            {"search__judge": "simulated"},
            BLIND | {"search.judge": ("simulated", "people"), "search.judging.by": ("people", "simulated")},
        ),
        (
            {"search__judge": "vlm:looks:7b", "search__racing": False},
            {
                "search.judge": ("vlm:looks:7b", "people"),
                "search.judging.by": ("people", "vlm"),
                "search.judging.model": ("", "looks:7b"),
                "search.remeasure": (1, 0),
                "training.keep": ("best", "last"),
            },
        ),
        ({"search__judge": "mixed", "search__judging__by": "simulated"}, {}),
        (
            {"search__method": "progress", "search__screening": True, "training__keep": "own"},
            {"search.screening.enabled": (True, False), "training.keep": ("own", "best")},
        ),
        (
            {
                "search__method": "progress",
                "search__judge": "people",
                "search__racing": True,
                "training__keep": "own",
            },
            {"search.racing.enabled": (True, False), "training.keep": ("own", "last")},
        ),
    ],
)
def test_what_is_changed(task: Task, settings: dict[str, Any], changes: dict[str, tuple[Any, Any]]) -> None:
    config = given(**settings)
    found = resolved(task, config)
    first_and_last: dict[str, tuple[Any, Any]] = {}
    for change in found.changes:  # one setting may be changed twice
        before = first_and_last.get(change.setting, (change.given,))[0]
        first_and_last[change.setting] = (before, change.used)
        assert change.why
    assert first_and_last == WHERE | changes
    # everything else is as it was given
    back = found.config.model_dump(mode="json")
    for setting, (before, _) in first_and_last.items():
        section = back
        *path, name = setting.split(".")
        for part in path:
            section = section[part]
        section[name] = before
    assert back == config.model_dump(mode="json")
    assert resolved(task, found.config) == Resolved(found.config, ()), "resolved settings resolve to themselves"


def test_where_a_run_takes_place_may_be_left_open(task: Task) -> None:
    config = given(search__judge="people")
    assert resolve(config, task).config.sim == "auto"
    there = resolve(config, task, None, Arrangement("warp", torch.device("cuda", 1), "there is a card"))
    assert (there.config.sim, there.config.device) == ("warp", "cuda:1")
    assert there.changes[0] == Change("sim", "auto", "warp", "there is a card")
    assert str(there.changes[0]) == "sim is warp, not auto as given: there is a card"


def test_settings_that_cannot_go_with_a_method_are_refused() -> None:
    config = configure(None, {"task": "cheetah/run", "search.method": "lare", "training.steps": 1000})
    with pytest.raises(ConfigError, match=r"training\.steps.*learns from whole episodes"):
        resolve(config, load_task("cheetah/run"), load_method("lare"))


@pytest.mark.parametrize("judge", ["nobody", "vlm:", "vlm", ""])
def test_a_judge_that_is_none_is_refused(judge: str) -> None:
    with pytest.raises(ConfigError, match=r"search\.judge.*vlm:MODEL"):
        given(search__judge=judge)


@pytest.mark.slow
def test_a_run_keeps_what_was_given_tells_what_it_changed_and_goes_on_so(tmp_path: Path) -> None:
    settings = {**tiny.SEARCH, "llm.model": "offline", "search.generations": 1, "search.candidates": 2}
    config = configure(None, settings | {"search.judge": "simulated", "training.steps": 512})
    events: list[Event] = []

    class Cut(BaseException):
        pass

    def listener(event: Event) -> None:
        events.append(event)
        if event.kind == "training_started" and sum(each.kind == event.kind for each in events) == 1:
            raise Cut

    with pytest.raises(Cut):
        search.run(config, tmp_path / "run", listener=listener)
    view = search.resume(tmp_path / "run", listener=listener, overrides={"threads": 2})
    assert view.given == config.model_dump(mode="json") | {"threads": 2}
    assert view.given["search"]["judge"] == "simulated" and view.given["sim"] == "auto"
    assert (view.config["search"]["judge"], view.config["search"]["judging"]["by"]) == ("people", "simulated")
    assert told(view.changes).keys() >= {"sim", "device", "search.judge", "search.judging.by", *BLIND}
    started = [event.data["changes"] for event in events if event.kind == "run_started"]
    assert len(started) == 2 and started[0] == started[1]
    assert list(started[0]) == [str(each) for each in view.changes if each.setting not in ("sim", "device")]
    assert any(
        line.startswith("search.racing.enabled is false, not true as given: people alone") for line in started[0]
    )
    assert view.judgements and {said.kind for said in view.judgements} == {"simulated"}


@pytest.mark.slow
def test_a_judge_on_the_command_line_is_stored_as_it_was_written(tmp_path: Path) -> None:
    done = small_search(tmp_path, "alone", "--judge", "simulated")
    assert done.code == 0, done.err
    assert "search.judge is people, not simulated as given" in " ".join((done.out + done.err).split())
    assert read(tmp_path / "alone").given["search"]["judge"] == "simulated"
    assert small_search(tmp_path, "both", "--judge", "simulated", "--set", "search.judge=mixed").code == 0
    both = read(tmp_path / "both").given["search"]
    assert (both["judge"], both["judging"]["by"]) == ("mixed", "simulated")
