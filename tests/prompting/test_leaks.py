"""Nothing of the expert reward, the sparse reward or the fitness gets into a prompt, whatever the task.

A prompt consists of the templates' own text, which is the same for every task, and of what a task declares for the
model to read: its description, its fields, what ends an episode, what its actuators are called. The first must say
nothing of the task's secrets at all. The second is written by the task's author, who must name quantities there (a fall
"below 0.7 m" ends the episode, and the expert reward pays for staying above): a number of the secret code may stand
there as a quantity with a unit and in no other way, and of the names in the secret code only those of fields.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rewardgen.program import shaping_reference
from rewardgen.prompting import Manner, analysis, default_prompts_dir, generation, review, revision, task_view
from rewardgen.records import Checkpoint, Message, Outcome, Problem, TrainingResult, Verdict, Words
from rewardgen.reflection import reflect
from rewardgen.request import Turn
from rewardgen.search import load_method, method_names
from rewardgen.tasks import Task, load_task
from tests.envs.source import code_behind
from tests.ours import TASKS, loaded
from tests.sampling import few

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"
SECRET = ("fitness", "expert_reward", "sparse_reward")
SECRET_TEXTS = ("expert_source", "fitness_meaning")
EVERYWHERE = {0.0, 0.5, 1.0, 2.0}  # halves, squares, switches: they tell nothing
UNIT = r"(?:mm|cm|m|km|s|ms|min|rad|degrees?|°|kg|g|N|Nm|N m|Hz|J|W|%)(?:/(?:s|m))?(?:\^?2|²)?\b"
NUMBER = r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?"
QUANTITY = re.compile(rf"({NUMBER})(?:\s*(?:,|and|or|to|by)\s*{NUMBER})*\s*{UNIT}")
RANGE = re.compile(rf"\[({NUMBER}), ({NUMBER})\]|(?:from|between|in) ({NUMBER}) (?:to|and) ({NUMBER})")


def messages(*args: Any) -> list[Message]:
    return list(generation(*args).messages)


def numbers_in(text: str) -> set[float]:
    return {abs(float(token)) for token in re.findall(NUMBER, text)}


def words_in(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def leaks(task: Task, conversation: str) -> list[str]:
    """What of ``task``'s secrets stands in ``conversation``, each in words."""
    code = code_behind(task, SECRET)
    numbers = (code.numbers | {abs(float(task.success_threshold))}) - EVERYWHERE
    view = task_view(task)
    authored = [task.description, *(field.meaning for field in task.fields), *view.causes]
    flat = [" ".join(text.split()) for text in authored]
    units = [field.unit for field in task.fields]
    names = [*view.action_names, *(field.name for field in task.fields), *task.name.split("/"), view.fitness_unit]
    common = shaping_reference() + "".join(path.read_text() for path in default_prompts_dir().glob("*.j2"))
    found = []

    # What is measured by simulating, and what stands in the list of fields' shapes and the actions' bounds, may happen
    # to be equal to a constant of the code: nothing is read from there for it.
    rest = re.sub(r"# Sizes at the start.*?(?=\n# )", "", conversation, flags=re.DOTALL)
    rest = re.sub(r"(# )?\(n,[^)]*\)( each)?( in (\[[^\]]*\](, )?)+)?", "", rest)
    for text in sorted(flat, key=len, reverse=True):
        rest = rest.replace(text, " ")
    timing = {view.control_step, float(view.horizon), view.seconds}
    found += [f"the number {number:g}" for number in numbers_in(rest) & (numbers - timing - numbers_in(common))]
    known = words_in(common) | words_in(" ".join([*names, *units]))
    found += [f"the name {name}" for name in words_in(rest) & (code.identifiers - known)]

    for text in flat:
        quantities = numbers_in(" ".join(match[0] for match in QUANTITY.finditer(text)))
        quantities |= numbers_in(" ".join(match[0] for match in RANGE.finditer(text)))
        bare = numbers_in(text) & numbers - quantities
        found += [f"the number {number:g} in {text!r}" for number in bare]
        telling = {name for name in code.identifiers if "_" in name or name.isupper()} - set(names) - words_in(common)
        found += [f"the name {name} in {text!r}" for name in words_in(text) & telling]
    found += [f"its {name}" for name in SECRET_TEXTS if getattr(task, name) in conversation]
    return found


def told(task: Task, prompts_dir: Path | None = None) -> str:
    """All that a model is told of ``task``: at the start, after a generation that failed, and of a trained reward."""
    point = Checkpoint(
        steps=777, fitness=7.77, fitness_std=7.7, success_rate=0.0, own_return=7.7, components={"term": 7.7},
        correlations={"term": 0.77}, episode_length=77.0, causes={"time limit": 1.0}, goal_reached=0.0, episodes=7,
    )  # fmt: skip
    result = TrainingResult("r0g0c0", 0, "done", "", (point, point), None, 777, 7.7)
    reflection = reflect(task, [result])
    # Of a task it may know two things, neither of them secret.
    only = SimpleNamespace(fitness_unit=task.fitness_unit, horizon=task.horizon)
    assert reflect(only, [result]) == reflection  # type: ignore[arg-type]
    turns = [Turn("def compute_reward(state, action, next_state):\n    ...", "reflection")]
    failed = [Outcome("r0g0c1", None, (Problem("check", "problem"),))]
    both = [*messages(task, turns, failed, prompts_dir), *messages(task, (), failed, prompts_dir)]
    return "\n".join(message.content for message in [*both, *to_others(task, turns, prompts_dir)])


def to_others(task: Task, turns: list[Turn], prompts_dir: Path | None) -> list[Message]:
    """What else the methods say: to authors whom they ask for something else, and to critics and analysers."""
    words = Verdict(0, 0, (), (), (Words(("r0g0c0",), "said", "somebody"),), 1, 1, 1)
    judged = [replace(turn, candidate="r0g0c0", verdict=words, worst=turn, analysis="finding") for turn in turns]
    source = turns[0].source
    said = [message for name in method_names() for message in messages(task, judged, (), prompts_dir, manner(name))]
    for ask in ("mutate", "cross"):
        said += messages(task, [*judged, *judged], (), prompts_dir, Manner(ask=ask))
    said += review(task, source, "reward", prompts_dir).messages
    said += revision(generation(task, (), (), prompts_dir), source, "objection", prompts_dir).messages
    return [*said, *analysis(task, source, "watched", (), prompts_dir).messages]


def manner(method: str) -> Manner:
    return load_method(method).manner


@pytest.fixture(scope="module")
def system() -> str:
    """The system message of one of the tasks."""
    first = messages(load_task("cartpole/swingup"), (), ())[0]
    assert first.role == "system"
    return f"{first.content}\n"


@pytest.mark.parametrize("name", few([*TASKS, "slider/park"]))
def test_nothing_of_fitness_or_rewards_is_given_away(name: str, system: str) -> None:
    task = load_task(name, [EXAMPLE]) if name == "slider/park" else loaded(name)
    conversation = told(task)
    assert conversation.startswith(system)  # which is the same for every task
    assert task.description.split(".")[0].split(",")[0] in conversation.replace("\n", " ")
    assert leaks(task, conversation) == []


def test_methods_without_a_score_tell_nothing_of_it() -> None:
    point = Checkpoint(
        steps=777, fitness=7.654, fitness_std=7.7, success_rate=0.321, own_return=5.0, components={"term": 1.5},
        correlations={"term": 0.987}, episode_length=77.0, causes={"time limit": 1.0}, goal_reached=0.4, episodes=7,
    )  # fmt: skip
    result = TrainingResult("r0g0c0", 0, "done", "", (point, replace(point, steps=1554, fitness=8.0)), None, 777, 7.7)
    blind = [name for name in method_names() if "fitness" not in load_method(name).feedback]
    assert blind == ["icpl", "text2reward"]
    for name in blind:
        feedback = load_method(name).feedback
        text = reflect(load_task("cheetah/run"), [result], [Outcome("other", 6.543)], feedback)
        assert "fitness" not in text and "goal" not in text
        assert not any(told in text for told in ("7.65", "8.00", "6.54", "0.99", "32 %"))
        assert ("component term: mean 1.50 → 1.50 per step; share 100 %" in text) == ("components" in feedback)


PLACE = "It should come to rest at position 0 as soon as it can."


@pytest.mark.parametrize(
    ("old", "new", "leak"),
    [
        (PLACE, f"{PLACE} Speed costs 0.1 of that.", "the number 0.1 in"),
        (PLACE, f"{PLACE} Stay there 3.0 times.", "the number 3 in"),
        (PLACE, f"{PLACE} Mind next_state.", None),  # a word of the contract, which every prompt has
        ('"rate of change of position"', '"rate of change, with SPEED_COST"', "the name SPEED_COST in"),
        ('"position on the rail; the goal is 0"', '"position; it is good within 0.05"', "the number 0.05 in"),
        ('"position on the rail; the goal is 0"', '"position; it is good within 0.05 m"', None),
    ],
)
def test_what_an_author_gives_away_is_found(tmp_path: Path, old: str, new: str, leak: str | None) -> None:
    text = (EXAMPLE / "my_tasks.py").read_text(encoding="utf-8")
    assert old in text
    text = text.replace(old, new).replace("-0.1 * next_state", "-SPEED_COST * next_state")
    (tmp_path / "mine.py").write_text(text.replace("MODEL = ", "SPEED_COST = 0.1\nMODEL = "), encoding="utf-8")
    task = load_task("slider/park", [tmp_path])
    found = leaks(task, told(task))
    assert len(found) == (leak is not None)
    assert all(leak is not None and leak in each for each in found)


@pytest.mark.parametrize(
    ("line", "leak"),
    [
        ("Weigh the effort by 0.001.", "the number 0.001"),
        ("Use forward_speed.", "the name forward_speed"),
        ("{{ task.name }} pays HOPPING_SPEED", "the name HOPPING_SPEED"),
    ],
)
def test_what_a_template_gives_away_is_found(tmp_path: Path, line: str, leak: str) -> None:
    template = (default_prompts_dir() / "task.j2").read_text(encoding="utf-8")
    (tmp_path / "task.j2").write_text(f"{template}\n\n{line}\n", encoding="utf-8")
    task = load_task("hopper/run")
    assert leaks(task, told(task)) == []
    assert leaks(task, told(task, tmp_path)) == [leak]


def test_the_code_that_is_searched_for_is_all_of_it() -> None:
    """By hand: hopper's rewards lean on a helper, on constants, and through ``terminated`` on what ends an episode."""
    code = code_behind(load_task("hopper/run"), SECRET)
    assert {"forward_speed", "terminated", "terminations", "HOPPING_SPEED", "alive", "running"} <= code.identifiers
    assert {1.5, 0.001, 1.0, 0.7, 0.2, 100.0} <= code.numbers
    swingup = code_behind(load_task("cartpole/swingup"), ["fitness"])
    assert 20.0 in swingup.numbers  # UPRIGHT = math.cos(math.radians(20.0))
    assert any(abs(number - 0.9397) < 1e-4 for number in swingup.numbers)
