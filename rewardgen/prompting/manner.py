"""How a method speaks to its author: which of the things that are known a prompt carries, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from rewardgen.records import Form
from rewardgen.request import Ask


@dataclass(frozen=True)
class Manner:
    """What a method's prompts are like.

    ``ask`` names the template ``ask_NAME.j2`` that ends a prompt with history. ``history`` is how many turns are shown
    with their code, the latest. ``words`` tells what people wrote, ``changes`` how the code changed from each turn to
    the next, those included that are no longer shown. ``form`` is what a program returns.
    """

    ask: Ask = "improve"
    history: int = 16
    words: bool = False
    changes: bool = False
    form: Form = "reward"
