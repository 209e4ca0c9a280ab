"""``rewardgen methods``: the list, one method, and two beside each other."""

from __future__ import annotations

from pathlib import Path

from rewardgen.search import load_method, method_names
from tests.cli.commands import rewardgen


def test_the_list_names_every_method_with_a_line() -> None:
    listed = rewardgen("methods")
    assert listed.code == 0
    for name in method_names():
        assert f"{name} " in listed.out
    document = rewardgen("methods", "--json").json
    assert document["default"] == "eureka"
    assert [method["name"] for method in document["methods"]] == method_names()
    assert all(len(method["summary"]) > 20 for method in document["methods"])


def test_one_is_shown_with_its_sources() -> None:
    shown = rewardgen("methods", "revolve")
    assert shown.code == 0 and "RishiHazra/Revolve" in shown.out and "crossover: 0.5" in shown.out
    assert rewardgen("methods", "revolve", "--json").json["islands"]["count"] == 15


def test_two_are_held_against_each_other(tmp_path: Path) -> None:
    found = rewardgen("methods", "--diff", "eureka", "icpl", "--json").json["differences"]
    assert found["show"] == ["best", "best and worst"]
    assert found["settings.search.racing.enabled"] == [True, False]  # a default against what a method brings
    assert found["settings.search.judge"] == ["fitness", "people"]
    assert "settings.search.repairs" not in found and "summary" not in found
    for key, (one, other) in found.items():
        assert one != other, key
    text = rewardgen("methods", "--diff", "eureka", "icpl").out
    assert "settings.search.judge" in text and "best and worst" in text
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\nsummary: as Eureka\n")
    assert "differ only in name" in rewardgen("methods", "--diff", "eureka", mine).out


def test_every_file_says_where_it_is_from_and_carries_its_own_name() -> None:
    for name in method_names():
        assert load_method(name).name == name
        assert rewardgen("methods", name).out.startswith("# ")


def test_the_prompt_is_the_methods() -> None:
    shown = {
        name: rewardgen("prompt", "cartpole/swingup", "--method", name).out for name in ("eureka", "progress", "lare")
    }
    assert [("not reward" in text) for text in shown.values()] == [False, True, True]
    assert "# Factors, not reward" in shown["lare"] and shown["eureka"] == rewardgen("prompt", "cartpole/swingup").out
    told = rewardgen("prompt", "cartpole/swingup", "--method", "progress", "--json").json["messages"]
    assert "# Progress, not reward" in told[0]["content"]
    assert "there is no search method" in rewardgen("prompt", "cartpole/swingup", "--method", "eureca").err
