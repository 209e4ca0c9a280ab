"""What a method brings lies beneath what a task, a file and flags say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen.config import load
from rewardgen.errors import ConfigError
from rewardgen.search import configure, load_method

METHOD = """
name: mine
summary: brings settings
settings:
  search: {candidates: 3, generations: 5, seeds: 2, racing: {enabled: false, rungs: 2}}
  training: {epochs: 7, gamma: 0.5}
"""


@pytest.fixture
def method(tmp_path: Path) -> str:
    (tmp_path / "mine.yaml").write_text(METHOD)
    return str(tmp_path / "mine.yaml")


def test_each_layer_goes_before_those_beneath_it(tmp_path: Path, method: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("search: {generations: 6, seeds: 4}\n")
    config = configure(file, {"task": "cartpole/swingup", "search.method": method, "search.seeds": 8})
    assert config.search.candidates == 3  # the method's
    assert config.search.generations == 6  # the file's over the method's
    assert config.search.seeds == 8  # the flag's over both
    assert not config.search.racing.enabled and config.search.racing.rungs == 2
    assert config.search.racing.keep == 0.5  # the default
    from rewardgen.tasks import load_task

    task = dict(load_task("cartpole/swingup").training)
    assert task  # or this tells nothing
    assert config.training.epochs == task.get("epochs", 7) and config.training.gamma == task.get("gamma", 0.5)
    for key, value in task.items():  # the task's over the method's
        assert getattr(config.training, key) == value


def test_a_switch_and_its_section_are_put_together() -> None:
    beneath = {"search": {"racing": {"rungs": 2}, "screening": False}}
    config = load(None, {"task": "x", "search.racing": False, "search.screening.keep": 0.5}, method_defaults=beneath)
    assert not config.search.racing.enabled and config.search.racing.rungs == 2
    assert not config.search.screening.enabled and config.search.screening.keep == 0.5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("search: {candidats: 3}", "did you mean search.candidates"),
        ("search: {candidates: 0}", "search.candidates"),
        ("search: {method: icpl}", "cannot choose the method"),
        ("llm: {base_url: 'http://elsewhere'}", "may bring settings of .*, not of 'llm'"),
    ],
)
def test_a_method_brings_no_settings_that_are_wrong_or_none_of_its_business(
    tmp_path: Path, settings: str, says: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"name: x\nsummary: y\nsettings: {{{settings}}}\n")
    with pytest.raises(ConfigError, match=says):
        load_method(str(path))


def test_without_a_task_there_is_no_configuration(method: str) -> None:
    with pytest.raises(ConfigError, match="name a task"):
        configure(None, {"search.method": method})
