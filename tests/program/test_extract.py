"""Extraction from replies in all the shapes that models give them."""

from __future__ import annotations

import ast
import time

import pytest
import torch

from rewardgen.errors import ProgramRejected
from rewardgen.program import check, extract
from rewardgen.records import Field, Layout, RewardProgram

LAYOUT = Layout((Field("height", (), "m", "height"), Field("speed", (3,), "m/s", "speed")))

REWARD = """import torch

def compute_reward(state, action, next_state):
    # go up
    up = next_state.height
    return up, {"up": up}
"""
DRAFT = REWARD.replace("# go up", "# draft")


def functions(source):
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]


def rejected(text):
    with pytest.raises(ProgramRejected) as caught:
        extract(text)
    (problem,) = caught.value.problems
    assert problem.stage == "extract"
    return problem.message


@pytest.mark.parametrize(
    "reply",
    [
        REWARD,
        f"```python\n{REWARD}```",
        f"Here is the reward.\n\n```python\n{REWARD}```\nIt rewards height.",
        f"```py\n{REWARD}```",
        f"```\n{REWARD}\n```",
        f"~~~python\n{REWARD}~~~\nDone.",
        f"````markdown-ish\n{REWARD}````",
        f"```python title=reward.py\n{REWARD}```",
        f"The code: ```python\n{REWARD}```",
        f"```python\n{REWARD}",  # never closed
        f"\ufeff```python\n{REWARD}```".replace("\n", "\r\n"),
        f"<think>maybe\n```python\n{DRAFT}```\n</think>\n```python\n{REWARD}```",
        f"Draft:\n```python\n{DRAFT}```\nFinal:\n```python\n{REWARD}```",
        f"```python\n{REWARD}```\nUse it so:\n```python\nprint(compute_reward(s, a, n))\n```",
        f"```bash\npip install torch\n```\n```python\n{REWARD}```\n```json\n{{}}\n```",
        f"```python\n{REWARD}```\n```python\ndef compute_reward(state,\n```",
        "1. First\n   ```python\n" + "".join(f"   {line}\n" for line in REWARD.splitlines()) + "   ```\n",
        f"Sure! Here you are.\n\n{REWARD}\nThis gives a reward for height, as you asked.\n",
        '{"thought": "up", "code": "' + REWARD.replace('"', '\\"').replace("\n", "\\n") + '"}',
    ],
    ids=lambda reply: reply[:24],
)
def test_the_reward_is_found(reply):
    source = extract(reply)
    assert "# go up" in source
    assert "# draft" not in source
    assert functions(source) == ["compute_reward"]
    check(source, LAYOUT)


def test_helpers_constants_and_imports_come_along_unfenced():
    reply = (
        f"I use a helper.\n\nimport math\nGOAL = 1.0\n\ndef helper(x):\n    return x * math.pi\n\n{REWARD}\n\nEnjoy it!"
    )
    source = extract(reply)
    assert functions(source) == ["helper", "compute_reward"]
    assert "GOAL = 1.0" in source
    assert "import math" in source


def test_helpers_in_a_block_of_their_own_are_put_before():
    helper = "SCALE = 2.0\n\ndef helper(x):\n    return SCALE * x\n"
    reward = REWARD.replace("next_state.height", "helper(next_state.height)")
    source = extract(f"Helper:\n```python\n{helper}```\nReward:\n```python\n{reward}```")
    assert functions(source) == ["helper", "compute_reward"]
    check(source, LAYOUT)


def test_blocks_that_the_reward_does_not_need_stay_out():
    source = extract(f"```python\ndef unrelated():\n    return 1\n```\n```python\n{REWARD}```")
    assert functions(source) == ["compute_reward"]


@pytest.mark.parametrize(
    "head",
    [
        "    def compute_reward(self, state, action, next_state):",
        "    @staticmethod\n    def compute_reward(state, action, next_state):",
        "    @classmethod\n    def compute_reward(cls, state, action, next_state):",
        "    def compute_reward(self, state: State, action: Tensor,\n            next_state: State) -> tuple:",
        "    def compute_reward(\n        self,\n        state,\n        action,\n        next_state,\n    ):",
    ],
)
def test_a_method_that_does_not_use_its_object_becomes_a_function(head):
    body = "\n        up = next_state.height\n        return up, {'up': up}\n"
    source = extract(
        f"```python\nimport torch\nGOAL = 1\n\nclass Reward:\n    scale = 1\n\n{head}{body}\n\nAFTER = 2\n```"
    )
    assert functions(source) == ["compute_reward"]
    assert "class" not in source
    arguments = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)).args.args
    assert [item.arg for item in arguments] == ["state", "action", "next_state"]
    assert isinstance(check(source, LAYOUT), RewardProgram)


def test_a_method_that_uses_its_object_is_explained():
    text = (
        "class Reward:\n    def compute_reward(self, state, action, next_state):\n"
        "        return self.scale * next_state.height, {}\n"
    )
    assert "write it as a plain function" in rejected(text)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   \n\n",
        "I'm sorry, but I can't help with that.",
        "```\n```",
        '```json\n{"reward": 1}\n```',
        "{}",
        "<think>hm</think>",
    ],
)
def test_no_code_says_what_to_answer(reply):
    assert "```python" in rejected(reply)


def test_a_block_that_breaks_off_is_told():
    assert "breaks off" in rejected("```python\ndef compute_reward(state, action, next_state):\n    x = (next_state.")


def test_another_name_reaches_the_check():
    with pytest.raises(ProgramRejected, match="rename reward to compute_reward"):
        check(extract(f"```python\n{REWARD.replace('compute_reward', 'reward')}```"), LAYOUT)


@pytest.mark.parametrize("unit", ["x", "```python\n", "(", "def compute_reward(\n", "a = 1\n", "```\n~~~\n", "{"])
def test_a_reply_of_ten_megabytes_is_refused_at_once(unit):
    text = unit * (10_000_000 // len(unit))
    since = time.process_time()
    assert "10.0 million characters" in rejected(text)
    assert time.process_time() - since < 5  # it takes microseconds; a limit only against a pathological scan


@pytest.mark.parametrize(
    "unit", ["```python\n", "(", "def compute_reward(\n", "a = 1\n", "~~~\n", "    " * 9, "{", "`", "@x\n"]
)
def test_the_largest_reply_that_is_read_ends_in_an_answer(unit):
    text = unit * (390_000 // len(unit))
    with pytest.raises(ProgramRejected):
        check(extract(text), LAYOUT)


def test_what_is_extracted_runs():
    namespace = {"torch": torch}
    exec(extract(f"Well:\n```python\n{REWARD}```"), namespace)  # noqa: S102 - our own text
    assert callable(namespace["compute_reward"])
