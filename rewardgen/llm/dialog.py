"""The author that is a person or a coding agent: requests and answers are files in a folder.

Each request becomes a Markdown file ``001-generation-0f3a….md`` that says where its answers go; each answer is a file
next to it, ``001-generation-0f3a….answer-1.md``. A request is named by its messages and seed, so a search that was
killed finds its own requests again, with the answers that were written meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rewardgen import files
from rewardgen.config.authors import DIALOG
from rewardgen.errors import LLMError, Stopped, UnknownName, UsageError
from rewardgen.llm.budget import Budget
from rewardgen.llm.cache import disk_error
from rewardgen.llm.conversation import estimated_prompt_tokens, estimated_tokens, messages_hash
from rewardgen.records import Message, Reply
from rewardgen.request import Request

MAX_BYTES = 200_000
"""Max. size of an answer, many times that of the longest program that is accepted."""
_REQUEST = re.compile(r"(\d{3,})-([a-z]+)-([0-9a-f]{12})\.md")
_ANSWERS = re.compile(r"<!-- answers: (\d+) -->")
_POLL_SECONDS = 0.5  # seconds between two looks at the folder
_SETTLE_SECONDS = 1.0  # seconds that a file must be unchanged before it is read: editors write in several steps


@dataclass(frozen=True)
class DialogRequest:
    """One request in a dialog's folder. ``wanted``: how many answers; ``missing``: the numbers of those not written."""

    name: str
    path: Path
    purpose: str
    wanted: int
    missing: tuple[int, ...]


class Dialog:
    """A run's own dialog: its folder, and which requests its authors wait for. Any thread may use it.

    Args:
        folder: where requests and answers are if the model is ``OWN_DIALOG``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._open: dict[Path, int] = {}

    @contextmanager
    def waiting(self, request: Path) -> Iterator[None]:
        """Count ``request`` among the open ones; several threads may wait for the same one."""
        with self._lock:
            self._open[request] = self._open.get(request, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._open[request] -= 1

    @property
    def open_requests(self) -> tuple[Path, ...]:
        """The requests that are waited for, in the order of their names."""
        with self._lock:
            return tuple(sorted(path for path, count in self._open.items() if count))


class DialogAuthor:
    """Writes each request to ``folder`` and waits until its answers are written, however long that takes.

    Args:
        name: what the author is called; None names the folder.
        dialog: is told which requests are waited for.
        budget: limits on calls and on estimated tokens.
        on_warning: called with a message about an answer that cannot be used.
        on_notice: called with a message on where a request waits for its answers.
    """

    offline = False

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        dialog: Dialog | None = None,
        budget: Budget | None = None,
        on_warning: Callable[[str], None] = lambda message: None,
        on_notice: Callable[[str], None] = lambda message: None,
        settle: float = _SETTLE_SECONDS,
    ) -> None:
        self._folder, self._budget = folder, budget or Budget()
        self._name, self._dialog = name, dialog or Dialog(folder)
        self._warn, self._notice, self._settle = on_warning, on_notice, settle
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The folder, or the name that was given."""
        return self._name or f"{DIALOG}{self._folder}"

    def close(self) -> None:
        """See ``Author``."""
        self._closed.set()

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return the ``n`` answers to a request, once all of them are written.

        Raises:
            LLMError: the request cannot be written.
            BudgetExceeded: no calls or tokens are left.
            Stopped: ``close`` was called.
        """
        began = time.monotonic()
        prompt = estimated_prompt_tokens(request.messages)
        reservation = self._budget.reserve(0.0, prompt)
        try:
            path = self._request_file(request, n, seed)
            with self._dialog.waiting(path):
                texts = self._answers(path, n)
        except BaseException:
            reservation.release()
            raise
        # Settle by estimated tokens; the prompt counts on the first answer
        tokens = [estimated_tokens(text) for text in texts]
        reservation.settle(0.0, prompt + sum(tokens))
        return [
            Reply(
                text,
                "dialog",
                prompt_tokens=prompt if number == 0 else 0,
                completion_tokens=tokens[number],
                seconds=time.monotonic() - began,
                estimated=True,
            )
            for number, text in enumerate(texts)
        ]

    def _request_file(self, request: Request, n: int, seed: int) -> Path:
        """Return the file of this request: the existing one, or a new one."""
        messages, purpose = request.messages, request.purpose
        key = hashlib.sha256(f"{messages_hash(messages)} {seed} {n}".encode()).hexdigest()[:12]
        with self._lock:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                names = [match for path in self._folder.iterdir() if (match := _REQUEST.fullmatch(path.name))]
            except OSError as error:
                raise disk_error(error, self._folder) from error
            # A resumed search finds its request by messages, seed and number of answers
            for match in names:
                if match[3] == key:
                    return self._folder / match[0]
            # Write a new one, with its pictures
            number = 1 + max((int(match[1]) for match in names), default=0)
            path = self._folder / f"{number:03}-{purpose}-{key}.md"
            try:
                pictures = _write_pictures(path, messages)
                files.write_text(path, _request_text(path, purpose, messages, n, pictures), errors="replace")
            except OSError as error:
                raise disk_error(error, path) from error
            return path

    def _answers(self, path: Path, n: int) -> list[str]:
        """Poll for the answers to a request until all are written; return their texts."""
        texts: dict[int, str] = {}
        seen: dict[int, tuple[tuple[int, int], float]] = {}
        refused: dict[int, tuple[int, int]] = {}
        reported: tuple[int, ...] = ()
        while True:
            # Read each answer once its file has settled; one that was refused counts again when it changes
            for number in range(1, n + 1):
                if number in texts:
                    continue
                answer = answer_path(path, number)
                state = _state(answer)
                if state is None or refused.get(number) == state:
                    continue
                refused.pop(number, None)
                if seen.get(number, ((), 0.0))[0] != state:
                    seen[number] = state, time.monotonic()
                if time.monotonic() - seen[number][1] < self._settle:
                    continue
                try:
                    texts[number] = read_answer(answer)
                except UsageError as error:
                    refused[number] = state
                    self._warn(f"{error}; write it again")
            if len(texts) == n:
                return [texts[number] for number in sorted(texts)]
            # Report what is missing, whenever that changes
            missing = tuple(k for k in range(1, n + 1) if k not in texts and (k in refused or k not in seen))
            if missing and missing != reported:
                which = f"{n} answers" if len(missing) == n and n > 1 else f"answer {', '.join(map(str, missing))}"
                self._notice(f"waiting for {which} to {path}, as {answer_path(path, missing[0]).name}")
                reported = missing
            if self._closed.wait(min(_POLL_SECONDS, self._settle)):
                raise Stopped("stopped while it waited for an answer")


def requests(folder: Path) -> list[DialogRequest]:
    """Return the requests in a dialog's folder, in the order in which they were made.

    Raises:
        LLMError: the folder cannot be read.
    """
    dialog_requests = []
    try:
        for path in sorted(folder.iterdir()):
            match = _REQUEST.fullmatch(path.name)
            if match and path.is_file() and not path.is_symlink():
                counted = _ANSWERS.search(path.read_text(encoding="utf-8", errors="replace"))
                wanted = int(counted[1]) if counted else 1
                missing = tuple(k for k in range(1, wanted + 1) if _state(answer_path(path, k)) is None)
                dialog_requests.append(DialogRequest(path.stem, path, match[2], wanted, missing))
    except OSError as error:
        raise LLMError(f"cannot read the dialog's folder {folder}: {error.strerror}") from error
    return dialog_requests


def answer(folder: Path, name: str, number: int, text: str) -> Path:
    """Write answer ``number`` to the request ``name``, atomically.

    Raises:
        UnknownName: the folder has no such request.
        UsageError: the request wants no such answer, has it already, or the text is empty or too long.
    """
    # The request must exist and want this answer
    known = {request.name: request for request in requests(folder)}
    if name not in known:
        raise UnknownName("request", name, known)
    request = known[name]
    if not 1 <= number <= request.wanted:
        raise UsageError(f"{name} wants answers 1 to {request.wanted}, not {number}")
    _checked(text, f"answer {number} to {name}")
    path = answer_path(request.path, number)
    try:
        if not files.write_new(path, text.encode("utf-8", "replace")):
            raise UsageError(f"{name} has its answer {number} already")
    except OSError as error:
        raise disk_error(error, path) from error
    return path


def answer_path(request: Path, number: int) -> Path:
    """Return the file of answer ``number`` to a request."""
    return request.with_name(f"{request.stem}.answer-{number}.md")


def read_answer(path: Path) -> str:
    """Return the text of an answer.

    Raises:
        UsageError: it is no plain file of UTF-8 text of a fitting length.
    """
    try:
        # Do not follow a link, and do not wait for a pipe
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags)
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UsageError(f"{path} is no plain file")
            content = opened.read(MAX_BYTES + 1)
        return _checked(content.decode("utf-8-sig"), str(path), len(content))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}") from error


def _checked(text: str, what: str, size: int | None = None) -> str:
    """Return an answer if it has a valid size.

    Raises:
        UsageError: it is empty or too long.
    """
    if not text.strip():
        raise UsageError(f"{what} is empty")
    if (len(text.encode("utf-8", "replace")) if size is None else size) > MAX_BYTES:
        raise UsageError(f"{what} is longer than {MAX_BYTES:,} bytes")
    return text


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes while a file is being written; None if there is no file."""
    try:
        held = path.lstat()
    except OSError:
        return None
    return held.st_size, held.st_mtime_ns


def _write_pictures(path: Path, messages: Sequence[Message]) -> list[list[str]]:
    """Write the pictures of messages next to the request; return the names for each message."""
    named: list[list[str]] = []
    for message in messages:
        first = sum(map(len, named)) + 1
        names = [f"{path.stem}.picture-{first + index}.png" for index in range(len(message.images))]
        for name, image in zip(names, message.images, strict=True):
            files.write_bytes(path.with_name(name), image)
        named.append(names)
    return named


def _request_text(path: Path, purpose: str, messages: Sequence[Message], n: int, pictures: list[list[str]]) -> str:
    """Return a request as Markdown: where the answers go, then the messages."""
    answers = [answer_path(path, number).name for number in range(1, n + 1)]
    # How to answer, then the messages themselves
    several = (
        f"{n} answers that differ in their idea, each in a file of its own" if n > 1 else "one answer, in the file"
    )
    lines = [
        f"<!-- answers: {n} -->",
        f"# Request {path.stem}",
        "",
        f"This {purpose} waits for {several} beside this one:",
        "",
        *(f"- `{name}`" for name in answers),
        "",
        "An answer is what a language model would reply to the messages below, in the form that they ask for. It is "
        "read once it has not changed for a second, and checked like any reply.",
    ]
    for message, names in zip(messages, pictures, strict=True):
        lines += [
            "",
            "---",
            "",
            f"**{message.role}**",
            "",
            message.content,
            *(f"\n![picture]({name})" for name in names),
        ]
    return "\n".join(lines) + "\n"
