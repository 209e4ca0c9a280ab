"""Define what a method's prompts contain and ask for."""

from __future__ import annotations

from dataclasses import dataclass

from rewardgen.records import Form
from rewardgen.request import Ask


@dataclass(frozen=True)
class Manner:
    """Configure a method's prompts.

    Attributes:
        ask: NAME of the template ``ask_NAME.j2`` that ends a prompt with history.
        history: number of turns shown with their code, the latest.
        words: show what people wrote.
        changes: show how the code changed from each turn to the next, including turns that are no longer shown.
        form: what a program returns.
    """

    ask: Ask = "improve"
    history: int = 16
    words: bool = False
    changes: bool = False
    form: Form = "reward"
