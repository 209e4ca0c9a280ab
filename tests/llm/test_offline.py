"""The author without a language model: what it writes is always a reward, and follows from a request's facts."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch

import rewardgen.llm.offline as offline_room
from rewardgen import prompting
from rewardgen.config import LLMConfig
from rewardgen.errors import LLMError, ProgramRejected
from rewardgen.llm import make_author
from rewardgen.llm.offline import OfflineAuthor
from rewardgen.llm.offline.designs import designs, understand
from rewardgen.llm.offline.improving import guided
from rewardgen.llm.offline.terms import Term, read, write
from rewardgen.program import check, extract
from rewardgen.records import Field, Form, Layout, Message, Problem, Reply, State, Verdict, Words
from rewardgen.request import Ask, ComponentFacts, EpisodeFacts, Facts, Request, TaskFacts, TrainingFacts, Turn
from tests.ours import TASKS, loaded
from tests.sampling import few

AUTHOR = OfflineAuthor()

TRAINED = TrainingFacts(
    fitness=(0.12, 0.85, 1.91),
    success_rate=0.0,
    components={
        "fast": ComponentFacts((0.10, 0.53, 0.80), share=0.2, correlation=0.92),
        "posture": ComponentFacts((0.90, 0.91, 0.90), share=0.75, correlation=-0.05),
        "effort": ComponentFacts((-0.05, -0.04, -0.03), share=0.05),
    },
)


def turn(source: str, trained: TrainingFacts = TRAINED) -> Turn:
    """A program with what became of it; its text says nothing of that."""
    return Turn(source, "It was trained.", trained=trained)


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
def first_request(name: str) -> Request:
    return prompting.generation(loaded(name))


def request_for(description: str, fields: Sequence[Field], unit: str = "1", action: int = 3) -> Request:
    """A request for a task that does not exist."""
    facts = Facts(TaskFacts(description, tuple(fields), action, fitness_unit=unit))
    return Request("generation", (Message("user", description),), facts)


# ---- it is told what the prompt says


@pytest.mark.parametrize("name", few(TASKS))
def test_the_facts_hold_the_task_as_declared(name: str) -> None:
    task = loaded(name)
    facts = first_request(name).facts.task
    assert [(f.name, f.shape, f.unit) for f in facts.fields] == [(f.name, f.shape, f.unit) for f in task.fields]
    assert facts.description == " ".join(task.description.split())
    assert facts.action_size == task.action_size
    assert facts.control_step == pytest.approx(task.control_step, rel=1e-4)
    limits = torch.maximum(task.action_low.abs(), task.action_high.abs())
    assert facts.action_limit == pytest.approx(float(limits.max()))
    assert facts.fitness_unit == task.fitness_unit
    assert "tolerance" in facts.helpers


# ---- what it writes is a reward


@pytest.mark.parametrize("name", few(TASKS))
def test_every_program_for_every_task_passes_the_check_and_gives_a_reward(name: str) -> None:
    task = loaded(name)
    request = first_request(name)
    (parent,) = sources(AUTHOR.reply(request, 1, seed=3))
    later = prompting.generation(task, [turn(parent)])
    written = sources(AUTHOR.reply(request, 16, seed=0)) + sources(AUTHOR.reply(later, 16, seed=1))
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
        request = request_for(description, fields, unit=random_.choice(["1", "m/s", "s"]))
        layout = Layout(fields)
        for source in sources(AUTHOR.reply(request, 8, seed=case)):
            check(source, layout)
            reward, inputs = run(source, layout)
            total, _ = reward(*inputs)
            assert total.shape == (64,)
            assert total.isfinite().all()
            assert total.std() > 1e-6


def test_a_request_without_facts_still_gets_an_answer() -> None:
    talk = (Message("user", "hello"), Message("assistant", ""), Message("user", "?"))
    for request in (Request("trial", talk[:1]), Request("generation", talk), Request("repair", talk)):
        replies = AUTHOR.reply(request, 3, seed=0)
        assert len(replies) == 3
        assert all("def compute_reward" in reply.text for reply in replies)


# ---- it says what it is


def test_each_reply_says_that_no_language_model_is_involved_and_costs_nothing() -> None:
    replies = AUTHOR.reply(first_request(TASKS[0]), 8, seed=0)
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
                allowed = ("rewardgen.errors", "rewardgen.llm", "rewardgen.records", "rewardgen.request")
                assert not name.startswith("rewardgen") or name.startswith(allowed)


# ---- diversity and determinism


@pytest.mark.parametrize("name", few(TASKS))
def test_replies_differ_and_follow_from_request_and_seed(name: str) -> None:
    request = first_request(name)
    replies = AUTHOR.reply(request, 16, seed=5)
    assert len({body(source) for source in sources(replies)}) == 16
    assert OfflineAuthor().reply(request, 16, seed=5) == replies
    assert AUTHOR.reply(request, 4, seed=5) == replies[:4]
    assert sources(AUTHOR.reply(request, 16, seed=6)) != sources(replies)


def test_the_configured_author_is_this_one() -> None:
    author = make_author(LLMConfig(model="offline"), environ={}, cache_dir=None, recording=None)
    request = first_request(TASKS[0])
    assert author.reply(request, 3, seed=2) == AUTHOR.reply(request, 3, seed=2)


# ---- it thinks of what a person would


def test_running_forward_is_paid_by_the_forward_speed() -> None:
    for source in sources(AUTHOR.reply(first_request("cheetah/run"), 4, seed=0)):
        assert "next_state.torso_velocity[:, 0]" in source


def test_swinging_up_is_paid_by_uprightness_near_the_middle() -> None:
    written = sources(AUTHOR.reply(first_request("cartpole/swingup"), 4, seed=0))
    assert all("next_state.pole_upright" in source for source in written)
    assert any("next_state.cart_position" in source for source in written)


def test_reaching_is_paid_by_the_distance_of_tip_and_target() -> None:
    for source in sources(AUTHOR.reply(first_request("reacher/reach"), 4, seed=0)):
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
    (source,) = sources(AUTHOR.reply(request_for(description, [field]), 1, seed=0))
    reward, _ = run(source, layout)
    states = State(layout, torch.tensor([[good], [bad]]))
    total, _ = reward(states, torch.zeros(2, 3), states)
    assert total[0] > total[1] + 0.1


def test_the_words_of_the_task_decide_between_its_fields() -> None:
    fields = (
        Field("arm_velocity", (3,), "m/s", "velocity of the arm's hand"),
        Field("hull_velocity", (3,), "m/s", "velocity of the hull of the boat: x forward, y left, z up"),
    )
    (source,) = sources(AUTHOR.reply(request_for("The boat should travel forward.", fields, "m/s"), 1, seed=0))
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


def improvements(trained: TrainingFacts, n: int = 8, seed: int = 0, parent: str = PARENT) -> list[str]:
    request = prompting.generation(loaded("cheetah/run"), [turn(parent, trained)])
    return sources(AUTHOR.reply(request, n, seed=seed))


def weight(source: str, name: str) -> float:
    found = re.search(rf"^    {name} = \(?\s*(-?[\d.e-]+)", source, re.MULTILINE)
    assert found
    return float(found.group(1))


def test_the_first_variant_follows_the_training() -> None:
    variant = improvements(TRAINED, n=1)[0]
    assert weight(variant, "fast") > 1.0, "goes with fitness and has a small share: more of it"
    assert weight(variant, "posture") < 2.0, "drowns the others without going with fitness: less of it"
    assert weight(variant, "effort") == -0.1, "nothing is known of it"


def test_every_variant_differs_from_the_parent_and_most_keep_its_idea() -> None:
    variants = improvements(TRAINED)
    assert len({body(v) for v in variants}) == 8
    assert body(PARENT) not in {body(v) for v in variants}
    assert sum("torso_velocity[:, 0]" in v for v in variants) >= 6


def test_a_reward_that_nothing_is_to_be_changed_of_is_not_tried_again() -> None:
    silent = replace(TRAINED, components={})
    for seed in range(3):
        (variant,) = improvements(silent, n=1, seed=seed)
        assert body(variant) != body(PARENT)


def test_where_nothing_was_learned_half_of_the_variants_start_afresh() -> None:
    flat = replace(TRAINED, fitness=(0.01, 0.01, 0.01))
    kept = sum("torso_pitch / 0.5" in variant for variant in improvements(flat))
    assert kept <= 4


@pytest.mark.parametrize("name", [TASKS[0], TASKS[len(TASKS) // 2], TASKS[-1], "adroit/hammer"])
def test_measures_and_factors_are_written_as_the_prompt_asks(name: str) -> None:
    task = loaded(name)
    for form in ("progress", "factors"):
        manner = prompting.Manner(form=form)  # type: ignore[arg-type]
        shown = [turn(PARENT)]
        for request in (prompting.generation(task, history, (), None, manner) for history in ([], shown)):
            written = sources(AUTHOR.reply(request, 4, seed=1))
            assert len(set(written)) == 4
            for source in written:
                check(source, task.layout)  # it is still a program
                terms = read(source, {field.name for field in task.fields}, request.facts.task.helpers)
                assert terms is not None
                if form == "progress":
                    assert len(terms) <= 3 and all("next_state." in term.code for term in terms)
                    assert "action." not in source  # no effort, or any other penalty
                else:
                    assert all(term.weight > 0 for term in terms)


def test_two_programs_are_crossed() -> None:
    other = PARENT.replace("next_state.torso_pitch / 0.5", "next_state.pitch_rate / 2.0").replace("posture", "calm")
    task = loaded("cheetah/run")
    request = prompting.generation(task, [turn(other), turn(PARENT)])
    crosses = [
        source
        for seed in range(6)
        for source in sources(AUTHOR.reply(request, 8, seed=seed))
        if "pitch_rate / 2.0" in source and "torso_velocity[:, 0]" in source
    ]
    assert crosses


@pytest.mark.slow
def test_what_it_wrote_it_reads_back() -> None:
    for name in TASKS:
        task = loaded(name)
        fields = {field.name for field in task.fields}
        for idea, program in designs(understand(first_request(name).facts.task)):
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
    for source in improvements(TRAINED, parent=strange):
        check(source, loaded("cheetah/run").layout)


def test_guidance_needs_no_complete_facts() -> None:
    program = (Term("fast", 1.0, "next_state.speed"),)
    assert guided(program, TrainingFacts(components={"slow": ComponentFacts((1.0,), 0.5, 0.9)})) == program


# ---- it repairs


def test_a_repair_leaves_out_what_was_wrong() -> None:
    task = loaded("cheetah/run")
    wrong = PARENT.replace("next_state.torso_pitch / 0.5", "next_state.torso_pitch.mean() / 0.5")
    problem = Problem("smoke", "component posture: row 3 depends on other rows", line=4)
    request = prompting.repair(prompting.generation(task, []), f"```python\n{wrong}```", [problem])
    (mended,) = sources(AUTHOR.reply(request, 1, seed=0))
    check(mended, task.layout)
    assert "posture" not in mended
    assert "fast = " in mended


def test_a_copy_is_repaired_by_another_reward() -> None:
    task = loaded("cheetah/run")
    first = sources(AUTHOR.reply(prompting.generation(task, []), 3, seed=0))
    problem = Problem("copy", "this pays for the same as r0g0c0, which is tried already: change what is paid for")
    request = prompting.repair(prompting.generation(task, []), f"```python\n{first[1]}```", [problem])
    assert (
        "Write another reward" in request.messages[-1].content and "Keep the idea" not in request.messages[-1].content
    )
    (other,) = sources(AUTHOR.reply(request, 1, seed=0))
    check(other, task.layout)
    assert other not in first


def test_a_reply_without_a_program_is_repaired_by_a_fresh_one() -> None:
    task = loaded("cheetah/run")
    with pytest.raises(ProgramRejected) as caught:
        extract("I cannot help with that.")
    request = prompting.repair(prompting.generation(task, []), "I cannot help with that.", caught.value.problems)
    mended = sources(AUTHOR.reply(request, 2, seed=0))
    assert len(set(mended)) == 2
    for source in mended:
        check(source, task.layout)


# ---- the other roles


def test_a_critic_objects_where_penalties_outweigh_what_is_paid() -> None:
    task = loaded("cheetah/run")
    harsh = PARENT.replace("-0.1 *", "-9.0 *")
    (fine,) = AUTHOR.reply(prompting.review(task, PARENT), 1, seed=0)
    (objects,) = AUTHOR.reply(prompting.review(task, harsh), 1, seed=0)
    assert prompting.objections(fine.text) is None
    objected = prompting.objections(objects.text)
    assert objected is not None and "effort has the weight -9, and all that is paid for 3 together" in objected
    request = prompting.revision(prompting.generation(task), f"```python\n{harsh}```", objected)
    (revised,) = sources(AUTHOR.reply(request, 1, seed=0))
    assert "effort" not in revised and "fast = " in revised


def test_an_analysis_follows_from_the_episodes_as_values() -> None:
    best = EpisodeFacts(300, "time limit", {"fast": (0.5, 2.0), "alive": (1.0, 1.01)})
    worst = EpisodeFacts(40, "fell", {"fast": (0.1, 0.2), "alive": (1.0, 1.01)})
    request = prompting.analysis(loaded("cheetah/run"), PARENT, "(told in other words)", [best, worst])
    (reply,) = AUTHOR.reply(request, 1, seed=0)
    assert reply.text.splitlines() == [
        "finding: the best episode lasted 300 steps and was ended by time limit.",
        "finding: alive is most of the reward; what it pays for is what the policy does.",
        "finding: alive hardly changes within an episode; another scale would teach more.",
    ]
    (nothing,) = AUTHOR.reply(prompting.analysis(loaded("cheetah/run"), PARENT, ""), 1, seed=0)
    assert nothing.text == "finding: the numbers do not tell."


# ---- the words do not matter


def test_other_words_change_no_reply(tmp_path: Path) -> None:
    """Each template of the user's own says something else than ours, and nothing that could be read back."""
    for name in (path.name for path in prompting.default_prompts_dir().glob("*.j2")):
        (tmp_path / name).write_text("Etwas ganz anderes.", encoding="utf-8")
    task, source = loaded("cheetah/run"), f"```python\n{PARENT}```"
    problems = [Problem("smoke", "component posture: row 3 depends on other rows", line=4)]
    liked = Verdict(0, 0, (), (), (Words(("c",), "it should be calm", "ann"),), 1, 1, 1)
    turns = [turn(PARENT.replace("fast", "quick")), replace(turn(PARENT), candidate="c", verdict=liked)]
    asked = [prompting.Manner(ask, words=True) for ask in get_args(Ask)]

    def requests(folder: Path | None) -> list[Request]:
        first = prompting.generation(task, (), (), folder)
        later = [prompting.generation(task, turns, (), folder, manner) for manner in asked]
        forms = [prompting.generation(task, (), (), folder, prompting.Manner(form=form)) for form in get_args(Form)]
        return [
            first,
            *later,
            *forms,
            prompting.repair(first, source, problems, folder),
            prompting.repair(later[0], source, [Problem("copy", "it is tried already")], folder),
            prompting.revision(first, source, "posture is wrong", folder),
            prompting.review(task, PARENT, "reward", folder),
            prompting.analysis(task, PARENT, "", (EpisodeFacts(9, "fell", {"a": (1.0,)}),), folder),
        ]

    for ours, theirs in zip(requests(None), requests(tmp_path), strict=True):
        assert ours.messages != theirs.messages and "Etwas" in theirs.messages[-1].content
        assert ours.facts == theirs.facts
        assert AUTHOR.reply(ours, 3, seed=1) == AUTHOR.reply(theirs, 3, seed=1)


def test_what_it_cannot_answer_is_refused() -> None:
    with pytest.raises(LLMError, match="cannot answer a request for 2 judgements; choose a language model"):
        AUTHOR.reply(Request("judging", (Message("user", "which is better?"),)), 2, seed=0)
