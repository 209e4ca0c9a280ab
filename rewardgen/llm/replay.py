"""The author that answers from a recording.

How a call finds its answer:

1. By its messages: the recorded call with the same conversation answers. If the recording holds that conversation
several times, they answer in turn, one for each new seed.
2. A repair, by the program it mends: what was recorded as the answer to the same faulty reply. The conversation
   around it may differ.
3. By order, with a warning: the k-th generation of the run is answered by the k-th recorded one, the k-th repair by
   the k-th recorded repair. A shortened run needs this: its reflections, and so its later prompts, are not those of
   the recorded run. Such replies carry the finish reason "replayed by order". ``strict`` switches it off.

A call may ask for fewer replies than were recorded, never for more. The same messages with the same seed get the same
answer however often they are asked, also after a run was killed and resumed: the calls that the run itself has
recorded so far (``earlier``) tell which answers it was given.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from rewardgen.errors import LLMError
from rewardgen.llm.conversation import messages_hash, text_hash
from rewardgen.llm.recording import RecordedCall, read_recording
from rewardgen.program import without_thoughts
from rewardgen.records import Message, Reply
from rewardgen.request import Purpose, Request

BY_ORDER = "replayed by order"


class ReplayAuthor:
    """Answers from the recording ``path``; replies cost nothing and count as cached, with the recorded token counts.

    Raises:
        LLMError: the recording cannot be read, or holds no answered call.
    """

    offline = True

    def __init__(
        self,
        path: Path,
        *,
        strict: bool = False,
        earlier: Sequence[RecordedCall] = (),
        on_warning: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._path, self._strict, self._warn = path, strict, on_warning
        # Only calls with replies can answer
        self._calls = [call for call in read_recording(path) if not call.error and call.replies]
        if not self._calls:
            raise LLMError(f"the recording {path} holds no answered call; record a run first")
        self._lock = threading.Lock()
        # (messages, seed) → the recorded call that answers, and whether it was found by order
        self._given: dict[tuple[str, int], tuple[int, bool]] = {}
        # A resumed run gets the answers again that it got before
        for call in earlier:
            if call.source is not None and 0 <= call.source < len(self._calls):
                by_order = any(reply.finish_reason == BY_ORDER for reply in call.replies)
                self._given[call.hash, call.seed] = call.source, by_order
        answered = {(call.hash, call.seed): call.purpose for call in earlier if call.source is not None}
        self._asked: dict[Purpose, int] = dict.fromkeys(get_args(Purpose), 0)
        for purpose in answered.values():
            self._asked[purpose] += 1

    @property
    def name(self) -> str:
        """The recording and the model in it."""
        return f"replay:{self._path.name} ({self._calls[0].replies[0].model})"

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return ``n`` recorded replies.

        Raises:
            LLMError: the recording has no answer to these messages, or fewer than ``n``; the message says which.
        """
        with self._lock:
            index, by_order = self._find(request, seed)
        recorded = self._calls[index].replies
        if n > len(recorded):
            raise LLMError(
                f"{self._path}: call {index + 1} was recorded with {len(recorded)} replies and {n} are asked for; "
                f"set search.candidates to {len(recorded)} or fewer"
            )
        return [
            dataclasses.replace(
                reply, dollars=0.0, seconds=0.0, cached=True,
                finish_reason=BY_ORDER if by_order else reply.finish_reason,
            )
            for reply in recorded[:n]
        ]  # fmt: skip

    def close(self) -> None:
        """Nothing is ever under way."""

    def source(self, request: Request, seed: int) -> int | None:
        """Return the recorded call that answered a request, for the run's own recording."""
        with self._lock:
            given = self._given.get((messages_hash(request.messages), seed))
        return given[0] if given else None

    def _find(self, request: Request, seed: int) -> tuple[int, bool]:
        """Return the index of the recorded call that answers, and whether it was found by order only."""
        messages, purpose = request.messages, request.purpose
        key = messages_hash(messages), seed
        # The same question has the same answer
        if key in self._given:
            return self._given[key]
        # Search by messages, then by the faulty reply, then by order
        taken = {index for index, _ in self._given.values()}
        index = self._by_messages(key[0], taken)
        if index is None and purpose in ("repair", "revision"):
            index = self._by_faulty_reply(messages, taken, purpose)
        by_order = index is None
        if index is None:
            index = self._by_order(messages, purpose)
        self._asked[purpose] += 1
        self._given[key] = index, by_order
        return index, by_order

    def _by_messages(self, wanted: str, taken: set[int]) -> int | None:
        """Return a call with the same messages; one that has not answered yet, if possible."""
        same = [index for index, call in enumerate(self._calls) if call.hash == wanted]
        fresh = [index for index in same if index not in taken]
        # All have answered: this is another seed than the recorded ones, and the last answer serves again
        return next(iter(fresh or same[-1:]), None)

    def _by_faulty_reply(self, messages: Sequence[Message], taken: set[int], purpose: Purpose) -> int | None:
        """Return a call about the same faulty reply, whatever the conversation around it."""
        wanted = text_hash(_faulty_reply(messages))
        same = [
            index
            for index, call in enumerate(self._calls)
            if call.purpose == purpose and text_hash(_faulty_reply(call.messages)) == wanted
        ]
        fresh = [index for index in same if index not in taken]
        return next(iter(fresh or same[-1:]), None)

    def _by_order(self, messages: Sequence[Message], purpose: Purpose) -> int:
        """Return the next recorded call for the purpose, with a warning.

        Raises:
            LLMError: there is none, or the replay is strict.
        """
        # The next recorded call with this purpose, if there is one
        number = self._asked[purpose]
        same = [index for index, call in enumerate(self._calls) if call.purpose == purpose]
        shown = _shown(messages[-1].content)
        if self._strict or number >= len(same):
            reason = "" if self._strict else f" and it is {purpose} number {number + 1} of {len(same)} recorded"
            raise LLMError(
                f"the recording {self._path} has no answer to this {purpose} (messages {messages_hash(messages)[:12]}, "
                f"{len(messages)} of them, the last begins {shown!r}){reason}; record the run again"
            )
        self._warn(
            f"{self._path.name} has no answer to exactly this {purpose} (its last message begins {shown!r}); "
            f"recorded {purpose} number {number + 1} answers in its place"
        )
        return same[number]


def _faulty_reply(messages: Sequence[Message]) -> str:
    """Return the reply that a repair is about: the assistant's last message (old recordings include its thoughts)."""
    last_message = next((message.content for message in reversed(messages) if message.role == "assistant"), "")
    return without_thoughts(last_message).strip()


def _shown(text: str, width: int = 60) -> str:
    """Return text on one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
