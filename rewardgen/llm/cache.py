"""A cache of replies on disk: what was paid for once is never paid for again.

There is one small JSON file per reply, named by the hash of everything that the reply depends on. It is complete before
the reply is returned, so a kill at any moment loses at most the running requests.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewardgen import files
from rewardgen.errors import DiskFull, StoreError
from rewardgen.llm.conversation import messages_hash
from rewardgen.records import Message, Reply

_FORM = 1
_FIELDS = {field.name: field.type for field in dataclasses.fields(Reply)}


def reply_key(
    endpoint: str,
    model: str,
    messages: Sequence[Message],
    *,
    temperature: float,
    max_tokens: int,
    seed: int,
    index: int,
    extra: Mapping[str, Any],
) -> str:
    """Return the hash of everything that reply number ``index`` depends on."""
    # Extra fields only count if there are any, so that older keys stay valid
    parts: list[Any] = [_FORM, endpoint, model, messages_hash(messages), temperature, max_tokens, seed, index]
    if extra:
        parts.append(extra)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class ReplyCache:
    """Replies by key under ``folder``; None: no cache. Threads, processes and runs may share a folder.

    ``run`` names the run that asks: a reply that it paid for itself, but was killed before it could store, has its
    cost; one that another run paid for is free.
    """

    def __init__(self, folder: Path | None, run: str = "") -> None:
        self._folder = folder
        self._run = run

    def get(self, key: str) -> Reply | None:
        """Return the stored reply, marked as cached and free unless ``run`` paid for it; None if there is none."""
        if self._folder is None:
            return None
        try:
            content = json.loads(self._path(key).read_text(encoding="utf-8"))
            reply = reply_from_json(content)
        except (OSError, ValueError, TypeError, KeyError):
            # A damaged entry is treated as missing: the request is made again and the entry replaced
            return None
        if self._run and content.get("run") == self._run:
            return reply
        return dataclasses.replace(reply, cached=True, dollars=0.0)

    def put(self, key: str, reply: Reply) -> None:
        """Store ``reply``; it is on disk when this returns.

        Raises:
            DiskFull: no room to write.
            StoreError: the folder cannot be written.
        """
        if self._folder is None:
            return
        path, content = self._path(key), {**reply_to_json(reply), "run": self._run}
        try:
            files.write_text(path, json.dumps(content, ensure_ascii=True), mode=files.PRIVATE)
        except OSError as error:
            raise disk_error(error, path) from error

    def _path(self, key: str) -> Path:
        """Return the file of a reply; subfolders keep each folder small."""
        assert self._folder is not None
        return self._folder / key[:2] / f"{key}.json"


def reply_to_json(reply: Reply) -> dict[str, Any]:
    """Return a reply as plain values."""
    return dataclasses.asdict(reply)


def reply_from_json(content: Any) -> Reply:
    """Return a reply from plain values.

    Raises:
        TypeError, KeyError, ValueError: it has not that form.
    """
    if not isinstance(content, dict) or not isinstance(content["text"], str) or not isinstance(content["model"], str):
        raise ValueError("not a reply")
    return Reply(**{name: value for name, value in content.items() if name in _FIELDS})


def disk_error(error: OSError, path: Path) -> StoreError:
    """Return an error of the file system as ours."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no room left to write {path}; free some and resume the run")
    return StoreError(f"cannot write {path}: {error.strerror or error}; is the folder writable?")
