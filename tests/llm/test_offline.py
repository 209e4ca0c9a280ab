"""The author without a language model: what it writes is always a reward, and follows from the messages alone."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch

import rewardgen.llm.offline as offline_room
from rewardgen import prompting
from rewardgen.config import LLMConfig
from rewardgen.errors import ProgramRejected
from rewardgen.llm import make_author
from rewardgen.llm.offline import OfflineAuthor
from rewardgen.llm.offline.brief import read_brief
from rewardgen.llm.offline.designs import designs, understand
from rewardgen.llm.offline.improving import guided
from rewardgen.llm.offline.terms import Term, read, write
from rewardgen.program import check, extract
from rewardgen.records import Field, Layout, Message, Problem, Reply, State, Turn
from rewardgen.tasks import Task, load_task
from tests.ours import TASKS

AUTHOR = OfflineAuthor()

REFLECTION = """fitness: 0.12 → 0.85 → 1.91 m/s over training, best 1.91 at 700000 steps; success rate 0 %
component fast: mean 0.10 → 0.53 → 0.80 per step; share 20 %; correlation with fitness +0.92
component posture: mean 0.90 → 0.91 → 0.90 per step; share 75 %; correlation with fitness -0.05
component effort: mean -0.05 → -0.04 → -0.03 per step; share 5 %; correlation with fitness n/a
episode length: 1000 → 1000 of 1000 steps
other rewards tried at the same time reached 0.80, 0.75; this one came 1st"""


def sources(replies: Sequence[Reply]) -> list[str]:
    return [extract(reply.text) for reply in replies]


def body(source: str) -> str:
    """The code without its docstring."""
    return source.split('"""', 2)[2]


def run(source: str, layout: Layout, rows: int = 64, seed: int = 0, action_size: int = 3, scale: float = 1.0):  # type: ignore[no-untyped-def]
    """The reward of random transitions, computed here and now."""
    generator = torch.Generator().manual_seed(seed)
    now, then = (State(layout, scale * torch.randn(rows, layout.width, generator=generator)) for _ in range(2))
    action = torch.rand(rows, action_size, generator=generator) * 2 - 1
    space: dict[str, object] = {"torch": torch}
    exec(source, space)  # noqa: S102 - code that rewardgen itself wrote
    return space["compute_reward"], (now, action, then)  # type: ignore[return-value]


@cache
def the_task(name: str) -> Task:
    return load_task(name)


@cache
def first_prompt(name: str) -> tuple[Message, ...]:
    return tuple(prompting.messages(the_task(name), []))


def prompt_for(description: str, fields: Sequence[Field], unit: str = "1", action: int = 3) -> list[Message]:
    """A prompt in the form of ``prompting``'s, for a task that does not exist."""
    lines = [
        f"    {f.name}: Tensor  # (n{''.join(f', {s}' for s in f.shape) or ','}) {f.unit}: {f.meaning}" for f in fields
    ]
    typed = "\n".join(["class State:", *lines, "", f"action: Tensor  # (n, {action}) each in [-1.0, 1.0]"])
    told = f"# The task: x/y\n\n{description}\n\n# What the reward sees\n\n```python\n{typed}\n```\n\n"
    return [
        Message("system", "You write rewards."),
        Message(
            "user", f"{told}- The task's own yardstick is measured over whole episodes, in {unit}; more is better."
        ),
    ]


# ---- it reads what the prompt says


@pytest.mark.parametrize("name", TASKS)
def test_the_brief_holds_the_task_as_declared(name: str) -> None:
    task = the_task(name)
    brief = read_brief(first_prompt(name))
    assert [(f.name, f.shape, f.unit) for f in brief.fields] == [(f.name, f.shape, f.unit) for f in task.fields]
    assert brief.description == " ".join(task.description.split())
    assert brief.action_size == task.action_size
    assert brief.control_step == pytest.approx(task.control_step, rel=1e-4)
    limits = torch.maximum(task.action_low.abs(), task.action_high.abs())
    assert brief.action_limit == pytest.approx(float(limits.max()))
    assert brief.yardstick_unit == task.fitness_unit
    assert "tolerance" in brief.helpers


def test_the_brief_holds_the_history() -> None:
    messages = [*first_prompt(TASKS[0]), Message("assistant", "x\n```python\na = 1\n```"), Message("user", REFLECTION)]
    (attempt,) = read_brief(messages).attempts
    assert attempt.source == "a = 1\n"
    told = attempt.reflection
    assert told.fitness == (0.12, 0.85, 1.91)
    assert (told.best, told.success) == (1.91, 0.0)
    assert told.components["fast"].means == (0.10, 0.53, 0.80)
    assert (told.components["fast"].share, told.components["fast"].correlation) == (20.0, 0.92)
    assert told.components["effort"].correlation is None
    assert told.others == (0.80, 0.75)
    assert not told.flat


# ---- what it writes is a reward


@pytest.mark.parametrize("name", TASKS)
def test_every_program_for_every_task_passes_the_check_and_gives_a_reward(name: str) -> None:
    task = the_task(name)
    messages = first_prompt(name)
    (parent,) = sources(AUTHOR.reply(messages, 1, seed=3))
    later = prompting.messages(task, [Turn(parent, REFLECTION)])
    written = sources(AUTHOR.reply(messages, 16, seed=0)) + sources(AUTHOR.reply(later, 16, seed=1))
    for source in written:
        check(source, task.layout)
        for scale in (1.0, 1e4):
            reward, inputs = run(source, task.layout, action_size=task.action_size, scale=scale)
            total, components = reward(*inputs)
            assert total.shape == (64,)
            assert total.dtype == torch.float32
            assert total.isfinite().all()
            assert all(component.shape == (64,) and component.isfinite().all() for component in components.values())
            torch.testing.assert_close(sum(components.values()), total)
        reward, (now, action, then) = run(source, task.layout, action_size=task.action_size)
        total, _ = reward(now, action, then)
        assert total.std() > 1e-6, "a constant teaches nothing"
        order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
        shuffled = [State(task.layout, state._matrix[order]) for state in (now, then)]
        again, _ = reward(shuffled[0], action[order], shuffled[1])
        torch.testing.assert_close(again, total[order])


UNITS = ("m", "m/s", "rad", "rad/s", "1", "N", "N m", "s")
WORDS = re.findall(
    r"\w+", "torso pole cart target fingertip offset angle upright height forward quaternion of the x y z force joint"
)


def test_programs_for_random_fields_are_rewards() -> None:
    random_ = random.Random(7)
    for case in range(60):
        fields = tuple(
            Field(
                f"{random_.choice(WORDS)}_{number}",
                random_.choice([(), (), (1,), (2,), (3,), (4,), (7,), (2, 3)]),
                random_.choice(UNITS),
                " ".join(random_.choices(WORDS, k=5)),
            )
            for number in range(random_.randint(1, 6))
        )
        description = " ".join(random_.choices([*WORDS, "run", "swing", "balance", "reach", "hold", "jump"], k=8))
        messages = prompt_for(description, fields, unit=random_.choice(["1", "m/s", "s"]))
        layout = Layout(fields)
        for source in sources(AUTHOR.reply(messages, 8, seed=case)):
            check(source, layout)
            reward, inputs = run(source, layout)
            total, _ = reward(*inputs)
            assert total.shape == (64,)
            assert total.isfinite().all()
            assert total.std() > 1e-6


def test_a_prompt_without_anything_to_read_still_gets_an_answer() -> None:
    for messages in ([Message("user", "")], [Message("user", "hello"), Message("assistant", ""), Message("user", "?")]):
        replies = AUTHOR.reply(messages, 3, seed=0)
        assert len(replies) == 3
        assert all("def compute_reward" in reply.text for reply in replies)


# ---- it says what it is


def test_each_reply_says_that_no_language_model_is_involved_and_costs_nothing() -> None:
    replies = AUTHOR.reply(first_prompt(TASKS[0]), 8, seed=0)
    assert "no language model" in AUTHOR.name
    for reply in replies:
        assert "no language model" in reply.text
        assert "no language model" in reply.model
        assert (reply.prompt_tokens, reply.completion_tokens, reply.dollars) == (0, 0, 0.0)
        assert len(re.findall("```", reply.text)) == 2
        assert not reply.text.startswith("```"), "a line of prose first"


def test_it_imports_neither_tasks_nor_environments() -> None:
    code = "import sys, rewardgen.llm.offline; print(*sorted(m for m in sys.modules if m.startswith('rewardgen')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.split(".")[1:2] in (["tasks"], ["sim"], ["prompting"], ["training"])]
    for path in Path(offline_room.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith("rewardgen") or name.startswith(("rewardgen.llm", "rewardgen.records"))


# ---- diversity and determinism


@pytest.mark.parametrize("name", TASKS)
def test_replies_differ_and_follow_from_messages_and_seed(name: str) -> None:
    messages = first_prompt(name)
    replies = AUTHOR.reply(messages, 16, seed=5)
    assert len({body(source) for source in sources(replies)}) == 16
    assert OfflineAuthor().reply(messages, 16, seed=5) == replies
    assert AUTHOR.reply(messages, 4, seed=5) == replies[:4]
    assert sources(AUTHOR.reply(messages, 16, seed=6)) != sources(replies)


def test_the_configured_author_is_this_one() -> None:
    author = make_author(LLMConfig(model="offline"), environ={}, cache_dir=None, recording=None)
    messages = first_prompt(TASKS[0])
    assert author.reply(messages, 3, seed=2) == AUTHOR.reply(messages, 3, seed=2)


# ---- it thinks of what a person would


def test_running_forward_is_paid_by_the_forward_speed() -> None:
    for source in sources(AUTHOR.reply(first_prompt("cheetah/run"), 4, seed=0)):
        assert "next_state.torso_velocity[:, 0]" in source


def test_swinging_up_is_paid_by_uprightness_near_the_middle() -> None:
    written = sources(AUTHOR.reply(first_prompt("cartpole/swingup"), 4, seed=0))
    assert all("next_state.pole_upright" in source for source in written)
    assert any("next_state.cart_position" in source for source in written)


def test_reaching_is_paid_by_the_distance_of_tip_and_target() -> None:
    for source in sources(AUTHOR.reply(first_prompt("reacher/reach"), 4, seed=0)):
        assert re.search(r"next_state\.fingertip_position - next_state\.target_position", source)


@pytest.mark.parametrize(
    ("description", "field", "good", "bad"),
    [
        ("The pole should stand upright.", Field("lean", (), "rad", "angle of the pole, 0 upright"), 0.0, 3.1416),
        ("The pole should stand upright.", Field("lean", (), "rad", "angle of the pole, 0 hanging down"), 3.1416, 0.0),
        ("Balance the pole upright.", Field("level", (), "1", "cosine of the pole's angle: 1 upright"), 1.0, -1.0),
        ("Balance the pole upright.", Field("level", (), "1", "cosine of the pole's angle: 1 hanging"), -1.0, 1.0),
        ("The car should drive backward fast.", Field("speed", (), "m/s", "speed of the car"), -3.0, 3.0),
        ("Run in the -x direction.", Field("speed", (), "m/s", "speed of the body along x"), -3.0, 3.0),
        ("Run forward.", Field("speed", (), "m/s", "speed of the body"), 3.0, -3.0),
    ],
)
def test_the_sense_of_a_field_comes_from_its_meaning(description: str, field: Field, good: float, bad: float) -> None:
    layout = Layout((field,))
    (source,) = sources(AUTHOR.reply(prompt_for(description, [field]), 1, seed=0))
    reward, _ = run(source, layout)
    states = State(layout, torch.tensor([[good], [bad]]))
    total, _ = reward(states, torch.zeros(2, 3), states)
    assert total[0] > total[1] + 0.1


def test_the_words_of_the_task_decide_between_its_fields() -> None:
    fields = (
        Field("arm_velocity", (3,), "m/s", "velocity of the arm's hand"),
        Field("hull_velocity", (3,), "m/s", "velocity of the hull of the boat: x forward, y left, z up"),
    )
    (source,) = sources(AUTHOR.reply(prompt_for("The boat should travel forward.", fields, "m/s"), 1, seed=0))
    assert "hull_velocity[:, 0]" in source
    assert "arm_velocity" not in source


# ---- it improves


PARENT = '''def compute_reward(state, action, next_state):
    """A parent."""
    fast = 1.0 * torch.clamp(next_state.torso_velocity[:, 0], -10.0, 10.0)
    posture = 2.0 * torch.exp(-torch.square(next_state.torso_pitch / 0.5))
    effort = -0.1 * action.square().mean(-1)
    reward = fast + posture + effort
    return reward, {"fast": fast, "posture": posture, "effort": effort}
'''


def improvements(reflection: str, n: int = 8, seed: int = 0, parent: str = PARENT) -> list[str]:
    return sources(AUTHOR.reply(prompting.messages(the_task("cheetah/run"), [Turn(parent, reflection)]), n, seed=seed))


def weight(source: str, name: str) -> float:
    found = re.search(rf"^    {name} = \(?\s*(-?[\d.e-]+)", source, re.MULTILINE)
    assert found
    return float(found.group(1))


def test_the_first_variant_follows_the_reflection() -> None:
    variant = improvements(REFLECTION, n=1)[0]
    assert weight(variant, "fast") > 1.0, "goes with fitness and has a small share: more of it"
    assert weight(variant, "posture") < 2.0, "drowns the others without going with fitness: less of it"
    assert weight(variant, "effort") == -0.1, "nothing is known of it"


def test_every_variant_differs_from_the_parent_and_most_keep_its_idea() -> None:
    variants = improvements(REFLECTION)
    assert len({body(v) for v in variants}) == 8
    assert body(PARENT) not in {body(v) for v in variants}
    assert sum("torso_velocity[:, 0]" in v for v in variants) >= 6


def test_a_reward_that_nothing_is_to_be_changed_of_is_not_tried_again() -> None:
    silent = REFLECTION.split("component", 1)[0]
    for seed in range(3):
        (variant,) = improvements(silent, n=1, seed=seed)
        assert body(variant) != body(PARENT)


def test_where_nothing_was_learned_half_of_the_variants_start_afresh() -> None:
    flat = REFLECTION.replace("0.12 → 0.85 → 1.91", "0.01 → 0.01 → 0.01").replace("best 1.91", "best 0.01")
    kept = sum("torso_pitch / 0.5" in variant for variant in improvements(flat))
    assert kept <= 4


@pytest.mark.parametrize("name", [TASKS[0], TASKS[len(TASKS) // 2], TASKS[-1], "adroit/hammer"])
def test_measures_and_factors_are_written_as_the_prompt_asks(name: str) -> None:
    task = the_task(name)
    for form in ("progress", "factors"):
        manner = prompting.Manner(form=form)  # type: ignore[arg-type]
        shown = [Turn(PARENT, REFLECTION.replace("; share 20 %", ""))]
        for messages in (prompting.messages(task, history, (), None, manner) for history in ([], shown)):
            written = sources(AUTHOR.reply(messages, 4, seed=1))
            assert len(set(written)) == 4
            for source in written:
                check(source, task.layout)  # it is still a program
                terms = read(source, {field.name for field in task.fields}, read_brief(messages).helpers)
                assert terms is not None
                if form == "progress":
                    assert len(terms) <= 3 and all("next_state." in term.code for term in terms)
                    assert "action." not in source  # no effort, or any other penalty
                else:
                    assert all(term.weight > 0 for term in terms)


def test_two_programs_are_crossed() -> None:
    other = PARENT.replace("next_state.torso_pitch / 0.5", "next_state.pitch_rate / 2.0").replace("posture", "calm")
    task = the_task("cheetah/run")
    messages = prompting.messages(task, [Turn(other, REFLECTION), Turn(PARENT, REFLECTION)])
    crosses = [
        source
        for seed in range(6)
        for source in sources(AUTHOR.reply(messages, 8, seed=seed))
        if "pitch_rate / 2.0" in source and "torso_velocity[:, 0]" in source
    ]
    assert crosses


def test_what_it_wrote_it_reads_back() -> None:
    for name in TASKS:
        task = the_task(name)
        fields = {field.name for field in task.fields}
        for idea, program in designs(understand(read_brief(first_prompt(name)))):
            source = write(program, idea)
            again = read(source, fields, ())
            assert again is not None
            assert [term.name for term in again] == [term.name for term in program]
            one, two = (run(text, task.layout, action_size=task.action_size) for text in (source, write(again, idea)))
            torch.testing.assert_close(one[0](*one[1])[0], two[0](*two[1])[0])


FOREIGN = '''
SCALE = 0.5
LIMIT = 2 * SCALE

def compute_reward(state, action, next_state):
    """Written by somebody else."""
    velocity: torch.Tensor = next_state.torso_velocity[:, 0]
    gain = torch.tanh(velocity / SCALE) * 3.0
    cost = -(0.1 * action.square().sum(-1))
    parts = {"Speed gain!": gain, "cost": cost, "both": gain + cost}
    return gain + cost, parts
'''


def test_programs_of_others_are_read_where_they_run_in_a_straight_line() -> None:
    program = read(FOREIGN, {"torso_velocity"}, ())
    assert program is not None
    assert [(term.name, term.weight) for term in program] == [("speed_gain", 3.0), ("cost", -0.1), ("both", 1.0)]
    assert program[0].code == "torch.tanh(next_state.torso_velocity[:, 0] / 0.5)"


@pytest.mark.parametrize(
    "source",
    [
        "def compute_reward(state, action, next_state):\n    for i in range(3): pass\n    return 0, {}",
        "def compute_reward(state, action, next_state):\n    x = helper(state.a)\n    return x, {'x': x}",
        "def other(): pass",
        "def compute_reward(:",
        "",
        "class Reward:\n    pass",
        "def compute_reward(state, action, next_state):\n    x = state.unknown\n    return x, {'x': x}",
        "x = 1\n" + "".join(f"x{i} = x{i - 1} + x{i - 1}\n" for i in range(1, 40)),
    ],
)
def test_other_programs_are_left_alone(source: str) -> None:
    assert read(source, {"a"}, ()) is None


def test_a_parent_that_it_cannot_read_leads_to_fresh_rewards() -> None:
    strange = (
        "def compute_reward(state, action, next_state):\n    total = 0\n    for i in range(2):\n"
        "        total = total + action[:, i]\n    return total, {'total': total}\n"
    )
    for source in improvements(REFLECTION, parent=strange):
        check(source, the_task("cheetah/run").layout)


def test_guidance_needs_no_complete_reflection() -> None:
    reflection = read_brief([Message("assistant", PARENT), Message("user", "component fast: nothing")]).attempts[0]
    program = (Term("fast", 1.0, "next_state.speed"),)
    assert guided(program, reflection.reflection) == program


# ---- it repairs


def test_a_repair_leaves_out_what_was_wrong() -> None:
    task = the_task("cheetah/run")
    wrong = PARENT.replace("next_state.torso_pitch / 0.5", "next_state.torso_pitch.mean() / 0.5")
    problem = Problem("smoke", "component posture: row 3 depends on other rows", line=4)
    messages = prompting.repair(prompting.messages(task, []), f"```python\n{wrong}```", [problem])
    (mended,) = sources(AUTHOR.reply(messages, 1, seed=0))
    check(mended, task.layout)
    assert "posture" not in mended
    assert "fast = " in mended


def test_a_copy_is_repaired_by_another_reward() -> None:
    task = the_task("cheetah/run")
    first = sources(AUTHOR.reply(prompting.messages(task, []), 3, seed=0))
    problem = Problem("copy", "this pays for the same as r0g0c0, which is tried already: change what is paid for")
    messages = prompting.repair(prompting.messages(task, []), f"```python\n{first[1]}```", [problem])
    assert "Write another reward" in messages[-1].content and "Keep the idea" not in messages[-1].content
    (other,) = sources(AUTHOR.reply(messages, 1, seed=0))
    check(other, task.layout)
    assert other not in first


def test_a_reply_without_a_program_is_repaired_by_a_fresh_one() -> None:
    task = the_task("cheetah/run")
    with pytest.raises(ProgramRejected) as caught:
        extract("I cannot help with that.")
    messages = prompting.repair(prompting.messages(task, []), "I cannot help with that.", caught.value.problems)
    mended = sources(AUTHOR.reply(messages, 2, seed=0))
    assert len(set(mended)) == 2
    for source in mended:
        check(source, task.layout)
