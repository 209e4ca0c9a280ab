"""Separates a model's answer from what surrounds it: thoughts, channel marks, stop tokens.

Servers without a reasoning parser leave a reasoning model's thoughts in the reply, in the marks of its template. Code
inside of them is a draft.
"""

from __future__ import annotations

import re

# Pairs of marks as the models' chat templates write them.
_MARKS = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning
)
# gpt-oss: <|channel|>analysis<|message|>… <|end|><|start|>assistant<|channel|>final<|message|>…
_CHANNEL = re.compile(r"<\|channel\|>[ \t]*+(\w{1,20})[^<\n]{0,80}(?:<\|constrain\|>[^<\n]{0,80})?<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
# The same where the server removed the special tokens: "analysis… assistantfinal…"
_BARE_CHANNEL = re.compile(r"\A\s*analysis")
_BARE_THOUGHT = re.compile(r"\A\s*analysis(?=[A-Z])")
_BARE_FINAL = "assistantfinal"
_STOP_TOKEN = re.compile(r"(?:<\|[\w ]{1,40}\|>|</s>|<end_of_turn>|<eos>|<｜end▁of▁sentence｜>|\[/?INST\])\Z")
_STOP_TOKENS = 8
"""Max. number of stop tokens at the end of a reply."""


def without_thoughts(text: str) -> str:
    """Return the answer in ``text`` without thoughts, channel marks and stop tokens.

    Return "" if the text ends inside a thought, or has nothing but thoughts.
    """
    text = _without_stop_tokens(_final_channel(text))
    for opening, closing in _MARKS:
        # The closing mark decides: templates that begin the reply inside a thought leave the opening one out.
        _, mark, tail = text.rpartition(closing)
        text = tail if mark else text
        # An opening mark that is left was never closed. Inside a line it is a word that the answer mentions.
        unclosed = re.search(rf"^[ \t]*+{re.escape(opening)}", text, re.MULTILINE)
        text = text[: unclosed.start()] if unclosed else text
    return text if text.strip() else ""


def _final_channel(text: str) -> str:
    """Return the final channel of a reply in OpenAI's harmony format; "" if it has only other channels."""
    channels = list(_CHANNEL.finditer(text))
    if channels:
        final = next((channel for channel in reversed(channels) if channel[1] == "final"), None)
        if final is None:
            return text[: channels[0].start()]
        end = _CHANNEL_END.search(text, final.end())
        return text[final.end() : end.start() if end else len(text)]
    if _BARE_CHANNEL.match(text) and _BARE_FINAL in text:
        return text.rpartition(_BARE_FINAL)[2]
    return "" if _BARE_THOUGHT.match(text) else text


def _without_stop_tokens(text: str) -> str:
    """Return text without the stop tokens at its end."""
    for _ in range(_STOP_TOKENS):
        stripped = text.rstrip()
        token = _STOP_TOKEN.search(stripped[-50:])
        if token is None:
            break
        text = stripped[: len(stripped) - len(token[0])]
    return text
