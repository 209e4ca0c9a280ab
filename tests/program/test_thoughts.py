"""What a reply says beside its answer: thoughts, channel marks, stop tokens, and how the server says that it ended."""

from __future__ import annotations

import pytest

from rewardgen.errors import ProgramRejected
from rewardgen.program import extract, extract_reply, without_thoughts
from rewardgen.records import Reply

REWARD = '''def compute_reward(state, action, next_state):
    """Swing up."""
    up = 0.5 * (1.0 + next_state.pole_upright)
    return up, {"up": up}
'''
DRAFT = f"Try\n```python\n{REWARD.replace('Swing up.', 'Draft.')}```\nno."
FENCED = f"```python\n{REWARD}```"


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>\n", "\n</think>\n"),
        ("", "\n</think>\n"),  # the chat template begins the reply inside the thought
        ("<thinking>", "</thinking>"),
        ("<seed:think>", "</seed:think>"),
        ("[THINK]\n", "\n[/THINK]\n"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>\n", "\n<|end_of_thought|>\n"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("analysis", "assistantfinal"),
        ("<think>first</think>\n<think>", "</think>"),
    ],
)
@pytest.mark.parametrize("answer", [REWARD, FENCED, f"{FENCED}<|return|>", f"{FENCED}</s>\n"])
def test_the_answer_follows_the_thoughts(opening: str, closing: str, answer: str) -> None:
    assert extract(opening + DRAFT + closing + answer).strip() == REWARD.strip()


@pytest.mark.parametrize(
    "opening",
    ["<think>\n", "[THINK]\n", "◁think▷", "  <thinking>", "<|channel|>analysis<|message|>", "analysisDraft:\n"],
)
def test_a_thought_that_was_cut_off_is_no_answer(opening: str) -> None:
    with pytest.raises(ProgramRejected, match="breaks off inside its thoughts"):
        extract(f"{opening}{DRAFT} No, hanging is pai")
    assert without_thoughts(f"{opening}{DRAFT}") == ""


def test_a_mark_that_an_answer_mentions_hides_nothing() -> None:
    answer = f"I use no <think> tags; the analysis says enough.\n{FENCED}"
    assert without_thoughts(answer) == answer
    assert extract(answer) == REWARD


def test_a_reply_that_went_on_to_another_channel() -> None:
    final = "<|channel|>final<|message|>" + FENCED
    assert without_thoughts(f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{final}<|end|>") == FENCED
    call = "<|start|>assistant<|channel|>commentary to=functions.python <|constrain|>json<|message|>{}<|call|>"
    assert without_thoughts(f"{final}<|end|>{call}") == FENCED


@pytest.mark.parametrize("text", ["<think>" * 50_000, "</think>" * 40_000, "<|channel|>" * 30_000, " " * 390_000 + "x"])
def test_the_longest_replies_are_read_in_one_pass(text: str) -> None:
    assert len(without_thoughts(text)) <= len(text)


@pytest.mark.parametrize(
    "end",
    [
        "```<|eot_id|>",
        "```<|im_end|>\n",
        "``` This rewards the pole.",
        "```\nThis rewards the pole.",
        "```</s>",
        "```This.",
    ],
)
def test_where_the_block_ends(end: str) -> None:
    assert extract(f"```python\n{REWARD}{end}") == REWARD
    assert extract(f"```python\n{REWARD.rstrip()}{end}") == REWARD


def test_a_fence_inside_a_docstring_or_a_comment_is_code() -> None:
    for example in ("```\n    total, parts = compute_reward(s, a, n)\n    ```", "```python\n    x = 1\n    ```"):
        code = REWARD.replace("Swing up.", f"Swing up.\n\n    {example}\n    ")
        assert extract(f"Here:\n```python\n{code}```\nDone.\n```python\nprint(1)\n```") == code
    code = REWARD.replace("    return", "    # as ```up``` says\n    return")
    assert extract(f"```python\n{code}```") == code


def test_typeset_spaces_are_spaces() -> None:
    typeset = REWARD.replace("    ", "\u00a0\u2003\u202f ").replace("0.5 *", "0.5\u00a0*")
    assert extract(f"```python\n{typeset}```") == REWARD


def test_a_program_in_a_json_block() -> None:
    value = REWARD.replace("\n", "\\n").replace('"', '\\"')
    assert extract(f'Here:\n```json\n{{"thoughts": "swing", "code": "{value}"}}\n```').strip() == REWARD.strip()


@pytest.mark.parametrize(
    ("text", "finish_reason", "told"),
    [
        ("", "length", "used up by thoughts.*llm.max_tokens"),
        (f"<think>{DRAFT}", "length", "used up by thoughts.*llm.max_tokens"),
        (DRAFT, "length", "cut off at llm.max_tokens"),
        (FENCED, "length", "cut off at llm.max_tokens"),
        ("", "content_filter", "content filter"),
    ],
)
def test_a_reply_that_ended_early_is_no_answer_and_has_a_stage_of_its_own(
    text: str, finish_reason: str, told: str
) -> None:
    with pytest.raises(ProgramRejected, match=told) as caught:
        extract_reply(Reply(text, "m", finish_reason=finish_reason))
    assert [problem.stage for problem in caught.value.problems] == ["ended"]


def test_a_tool_call_is_told_and_may_be_repaired() -> None:
    with pytest.raises(ProgramRejected, match="call of a tool") as caught:
        extract_reply(Reply("", "m", finish_reason="tool_calls"))
    assert [problem.stage for problem in caught.value.problems] == ["extract"]
    assert extract_reply(Reply(FENCED, "m", finish_reason="tool_calls")) == REWARD
    assert extract_reply(Reply(FENCED, "m")) == REWARD
