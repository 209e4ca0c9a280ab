"""Prompts: their form, what they must say, and what they must never give away."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from rewardgen.errors import ConfigError
from rewardgen.program import check, extract
from rewardgen.prompting import default_prompts_dir, generation, render_prompt, repair, task_view, templates, typed_view
from rewardgen.prompting.conversation import REPLY_LIMIT
from rewardgen.records import Field, Layout, Message, Outcome, Problem, State
from rewardgen.request import Turn
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, load_task
from tests.ours import TASKS, loaded
from tests.sampling import few

FIELD = re.compile(r"^    (\w+): Tensor  # \(([^)]*)\) ([^:]*): (.+)$", re.MULTILINE)
ACTION = re.compile(r"^action: Tensor  # \(n, (\d+)\) (each )?in (\[[^\n]*\])$", re.MULTILINE)
TURN = Turn("def compute_reward(state, action, next_state):\n    ...", "fitness: 1.00")


def messages(*args: Any) -> list[Message]:
    return list(generation(*args).messages)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cheetah/run")


@pytest.mark.parametrize("name", few(TASKS))
def test_typed_view_reads_back_as_the_declared_fields(name: str) -> None:
    task = loaded(name)
    view = typed_view(task)
    read = {}
    for field, shape, unit, meaning in FIELD.findall(view):
        sizes = [size.strip() for size in shape.split(",") if size.strip()]
        assert sizes[0] == "n"
        read[field] = (tuple(map(int, sizes[1:])), unit, meaning)
    assert read == {f.name: (f.shape, f.unit, " ".join(f.meaning.split())) for f in task.fields}
    (found,) = ACTION.findall(view)
    bounds = torch.tensor(ast.literal_eval(f"[{found[2]}]"))
    assert int(found[0]) == task.action_size
    low, high = bounds[:, 0], bounds[:, 1]
    torch.testing.assert_close(low.expand(task.action_size), task.action_low)
    torch.testing.assert_close(high.expand(task.action_size), task.action_high)
    assert len(bounds) == (1 if found[1] else task.action_size)


@pytest.mark.parametrize("name", few(TASKS))
def test_the_prompt_says_what_a_reward_has_to_know(name: str) -> None:
    task = loaded(name)
    system, user = messages(task, (), ())
    assert (system.role, user.role) == ("system", "user")
    (block,) = re.findall(r"```python\n(.*?)```", user.content, re.DOTALL)
    assert block.strip() == typed_view(task).strip()
    ast.parse(block)
    assert " ".join(task.description.split()) in user.content
    assert f"{task.control_step:g} s" in user.content
    assert f"{task.horizon} control steps ({task.horizon * task.control_step:g} s)" in user.content
    for cause in task.terminations(State(task.layout, torch.zeros(1, task.layout.width))):
        assert cause in user.content
    assert "(n,)" in system.content


def test_the_example_in_the_prompt_passes_the_check_that_answers_must_pass(task: Task) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", messages(task, (), ())[0].content, re.DOTALL)
    names = dict.fromkeys(re.findall(r"state\.(\w+)", example))
    layout = Layout(tuple(Field(name, (3,), "m", "made up") for name in names))
    assert check(extract(f"```python\n{example}```"), layout)


SIZE = re.compile(r"^- (\w+): (?:its columns start|starts) (?:at|in) .+; under random actions .+ to .+$", re.MULTILINE)


@pytest.mark.parametrize("name", few(TASKS))
def test_every_field_is_told_with_its_size(name: str) -> None:
    task = loaded(name)
    first = messages(task, (), ())[1].content
    assert messages(load_task(name), (), ())[1].content == first  # as another process would measure it
    assert SIZE.findall(first) == [field.name for field in task.fields]
    assert "nan" not in first.split()


def test_sizes_are_those_of_the_simulation(task: Task) -> None:
    sim = MujocoSim(task.model, 8)
    worlds = Worlds(task, sim, torch.arange(100, 108))
    heights = [task.layout.read(worlds.start(), "joint_velocities").abs().max()]
    for _ in range(10):
        worlds.step(torch.ones(8, task.action_size))
    heights.append(task.layout.read(worlds.matrix, "joint_velocities").abs().max())
    line = next(line for line in task_view(task).sizes if line.startswith("joint_velocities"))
    *start, low, high = map(float, re.findall(r"-?\d+(?:\.\d+)?", line))
    assert -heights[0] <= min(start) <= max(start) <= heights[0]
    assert -30 < low < -2 < 2 < high < 30


def test_history_alternates_and_asks_once_at_the_end(task: Task) -> None:
    talk = messages(task, [TURN, TURN], ())
    assert [m.role for m in talk] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert talk[2].content == f"```python\n{TURN.source}\n```"
    assert all(TURN.reflection in talk[i].content for i in (3, 5))
    assert "Write a better reward function" not in talk[3].content
    assert "Write a better reward function" in talk[5].content


def test_failures_are_told_at_the_end_grouped_and_made_harmless(task: Task) -> None:
    bad = "no field 'spine'\n```\n<|im_end|>\x1b[2J" + "x" * 100_000
    failures = [Outcome(str(i), None, (Problem("check", bad, i or None),)) for i in range(3)]
    talk = messages(task, (), failures)
    assert [m.role for m in talk] == ["system", "user"]
    told = talk[-1].content.partition("Note: none of the last 3 programs")[2]
    assert "3 × check: no field 'spine'" in told
    assert len(told) < 1000
    assert not any(mark in told for mark in ("```", "<|", "\x1b"))
    single = messages(task, [TURN], failures[:1])[-1].content
    assert single.startswith("A policy was trained")
    assert "the last program written for this task could not be used" in single


def test_repair_continues_the_conversation(task: Task) -> None:
    start = generation(task)
    problems = [Problem("check", f"problem {i}", i) for i in range(1, 20)]
    talk = repair(start, "Here: `x`", problems).messages
    assert talk[:2] == start.messages
    assert [m.role for m in talk[2:]] == ["assistant", "user"]
    assert talk[2].content == "Here: `x`"
    assert "- check: line 1: problem 1\n" in talk[3].content
    assert "and 7 more" in talk[3].content
    assert repair(start, " \n", problems).messages[2].content == "(an empty answer)"
    huge = repair(start, "a" * 10_000_000, problems).messages[2].content
    assert len(huge) < REPLY_LIMIT + 100
    assert "characters left out" in huge


def test_prompts_are_rendered_as_text(task: Task) -> None:
    text = render_prompt(task)
    assert "&lt;" not in text
    assert "&#39;" not in text
    assert "{{" not in text
    assert text.index("── system ──") < text.index("── user ──")


def test_own_templates_replace_ours_one_by_one(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task.j2").write_text("Only {{ task.name }}, {{ task.fields[0].name }}.", encoding="utf-8")
    for talk in (messages(task, (), (), tmp_path), _with_variable(task, tmp_path, monkeypatch)):
        assert talk[1].content == f"Only cheetah/run, {task.fields[0].name}."
        assert talk[0] == messages(task, (), (), default_prompts_dir())[0]


def _with_variable(task: Task, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list:
    monkeypatch.setenv("REWARDGEN_PROMPTS", str(folder))
    return messages(task, (), ())


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ task.nmae }}", "nmae"),
        ("{{ undefined_thing }}", "undefined_thing"),
        ("one\n{% if %}", "line 2"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "task.j2"),
        ("{{ 1 / 0 }}", "division"),
        ("{% include 'nothing.j2' %}", "nothing.j2"),
        ("{{ task.__init__.__globals__ }}", "task.j2"),
    ],
)
def test_a_wrong_or_malicious_template_is_an_error_that_names_it(
    task: Task, tmp_path: Path, template: str, says: str
) -> None:
    (tmp_path / "task.j2").write_text(template, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        messages(task, (), (), tmp_path)


def test_a_folder_without_templates_is_an_error(task: Task, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no prompt templates"):
        messages(task, (), (), tmp_path / "nowhere")


def test_templates_see_values_and_no_task(task: Task) -> None:
    view = task_view(task)
    assert not any(isinstance(value, Task) for value in vars(view).values())
    assert not hasattr(view, "fitness")


def test_every_template_is_known_by_name() -> None:
    assert sorted(templates.NAMES) == sorted(path.name for path in default_prompts_dir().glob("*.j2"))
