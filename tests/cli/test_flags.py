"""Flags that stand for one setting say what the setting says of itself."""

from __future__ import annotations

import pytest
import typer
from typer.core import TyperOption

from rewardgen.cli import baseline, resume, run, train
from rewardgen.cli.app import app
from rewardgen.cli.flags import SettingFlag, given
from tests.cli.commands import rewardgen

SIZE, BUDGET = "Size of the search", "Budget"
RUN = {
    "--llm": "Language model",
    "--base-url": "Language model",
    "--temperature": "Language model",
    "--method": SIZE,
    "--generations": SIZE,
    "--candidates": SIZE,
    "--seeds": SIZE,
    "--restarts": SIZE,
    "--judge": SIZE,
    "--steps": SIZE,
    "--report-seeds": SIZE,
    "--trainer": SIZE,
    "--seed": SIZE,
    "--threads": SIZE,
    "--sim": None,
    "--device": None,
    "--sandbox": None,
    "--budget-dollars": BUDGET,
    "--budget-tokens": BUDGET,
    "--budget-calls": BUDGET,
    "--budget-steps": BUDGET,
    "--budget-hours": BUDGET,
    "--config": None,
    "--set": None,
    "--name": "Places",
    "--out": None,
    "--envs": None,
    "--prompts": None,
    "--json": None,
}
"""The flags of ``rewardgen run`` and the group that shows each: people's scripts and habits depend on the names."""


def options(command: str) -> dict[str, TyperOption]:
    group = typer.main.get_command(app)
    return {each.opts[0]: each for each in group.commands[command].params if isinstance(each, TyperOption)}  # type: ignore[attr-defined]


def test_the_names_and_groups_of_the_flags_of_run() -> None:
    assert {name: option.rich_help_panel for name, option in options("run").items()} == RUN


def test_help_bounds_and_values_are_those_of_the_setting() -> None:
    flags = options("run")
    assert flags["--candidates"].help == "Rewards requested in each generation."
    assert flags["--trainer"].metavar == "population|sb3"
    assert flags["--trainer"].help == "sb3: Stable-Baselines3's PPO as a reference, one training at a time."
    assert flags["--sandbox"].metavar == "strict|basic"
    for flag, value in (("--candidates", 257), ("--candidates", 0), ("--budget-dollars", -1), ("--temperature", 2.1)):
        refused = rewardgen("run", "cartpole/swingup", flag, value)
        assert refused.code == 2 and f"Invalid value for '{flag}'" in refused.err


def test_a_flag_of_no_setting_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        SettingFlag("search.candidats")


@pytest.mark.parametrize(
    ("command", "values", "settings"),
    [
        (
            run.run,
            {"seeds": 3, "steps": 0, "sandbox": "basic"},
            {"search.seeds": 3, "training.steps": 0, "sandbox.level": "basic"},
        ),
        (resume.resume, {"budget_hours": 0.0}, {"budget.hours": 0.0}),
        (train.train, {"seed": 4, "trainer": "sb3"}, {"training.trainer": "sb3"}),  # its --seed is no setting's flag
        (baseline.baseline, {"seeds": 2}, {"evaluation.report_seeds": 2}),
    ],
)
def test_what_was_given(command, values, settings) -> None:  # type: ignore[no-untyped-def]
    nothing = dict.fromkeys(command.__annotations__)
    assert given(command, nothing) == {}
    assert given(command, nothing | values) == settings
