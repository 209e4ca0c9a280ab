"""Every call of an author as one JSON line: what was asked, what came back, what went wrong. Never a key."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rewardgen.errors import LLMError
from rewardgen.llm.cache import disk_error, reply_from_json, reply_to_json
from rewardgen.llm.conversation import messages_hash
from rewardgen.records import Message, Reply
from rewardgen.request import Purpose, Request

FORM = 1


@dataclass(frozen=True)
class RecordedCall:
    """One line of a recording. ``source``: the line of another recording that it was answered from, if any.

    ``endpoint``: of several that are asked in order, the index and name of the one that was asked last.
    """

    purpose: Purpose
    messages: tuple[Message, ...]
    seed: int
    n: int
    replies: tuple[Reply, ...]
    error: str = ""
    source: int | None = None
    endpoint: str = ""

    @property
    def hash(self) -> str:
        """Hash of its messages."""
        return messages_hash(self.messages)


class Recorder:
    """Appends calls to a JSONL file, with one ``write`` each, so that lines of several threads never mix."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(
        self, author: str, request: Request, n: int, seed: int, replies: Sequence[Reply], error: str = "",
        source: int | None = None, endpoint: str = "",
    ) -> None:  # fmt: skip
        """Append one call.

        Raises:
            DiskFull, StoreError: the file cannot be written.
        """
        line: dict[str, Any] = {
            "form": FORM,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "author": author,
            "purpose": request.purpose,
            "hash": messages_hash(request.messages),
            "seed": seed,
            "n": n,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "replies": [reply_to_json(reply) for reply in replies],
            "error": error,
        }
        if source is not None:
            line["source"] = source
        if endpoint:
            line["endpoint"] = endpoint
        # One write, after a line break if a kill cut the last line short
        content = (json.dumps(line, ensure_ascii=True) + "\n").encode()
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
                try:
                    if _ends_midway(handle):
                        content = b"\n" + content
                    written = os.write(handle, content)
                    if written != len(content):
                        os.write(handle, content[written:])
                finally:
                    os.close(handle)
            except OSError as error_:
                raise disk_error(error_, self._path) from error_


def read_recording(path: Path) -> list[RecordedCall]:
    """Return the calls of a recording, in order. A line that was cut short by a kill is skipped.

    Raises:
        LLMError: the file cannot be read, or a line is not a call.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LLMError(f"cannot read the recording {path}: {error}; give a JSONL file of recorded calls") from error
    calls = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError as error:
            if line.lstrip().startswith('{"form"'):
                continue  # the process was killed while it wrote this line
            raise LLMError(f"{path}, line {number} is not JSON; a recording has one call in each line") from error
        calls.append(_call(content, f"{path}, line {number}"))
    return calls


def _call(content: Any, where: str) -> RecordedCall:
    """Return one line as a call; the file may have been edited, so everything is checked."""
    try:
        if content["form"] > FORM:
            raise LLMError(f"{where} was written by a newer rewardgen; update yours to replay it")
        # Check each part of the line by building the records
        messages = tuple(Message(item["role"], item["content"]) for item in content["messages"])
        return RecordedCall(
            purpose=content["purpose"],
            messages=messages,
            seed=int(content["seed"]),
            n=int(content["n"]),
            replies=tuple(reply_from_json(item) for item in content["replies"]),
            error=str(content.get("error", "")),
            source=content.get("source"),
            endpoint=str(content.get("endpoint", "")),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        needs = "it needs form, purpose, messages, seed, n and replies"
        raise LLMError(f"{where} is no recorded call: {error!r}; {needs}") from error


def _ends_midway(handle: int) -> bool:
    """Return whether the file's last line was cut short, so that the next one needs a new line."""
    size = os.lseek(handle, 0, os.SEEK_END)
    if size == 0:
        return False
    return os.pread(handle, 1, size - 1) != b"\n"
