"""Atomic writes: a file either has all of its new content or is as it was before.

Every file is written next to its place under another name, flushed to the disk, and only then renamed. A process that
is killed at any moment leaves the old file, and at worst a hidden one ending in ``.part`` next to it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600
"""Permissions of a file that only its owner may read."""
SHARED = 0o666
"""Permissions of any other file; the umask removes what the user does not want to share."""
_NAME_LENGTH = 40
"""Characters of the file's own name that its partial file keeps: names may have 255 bytes."""


def write_text(path: Path, text: str, *, errors: str = "strict", mode: int = SHARED) -> None:
    """Write ``text`` as UTF-8 to ``path``; make its folder.

    Args:
        errors: how to treat characters that UTF-8 cannot hold (lone surrogates), as in ``str.encode``.
        mode: permissions of the file, less the umask.

    Raises:
        OSError: the file cannot be written; an older one is as it was.
        UnicodeEncodeError: ``errors`` is "strict" and the text cannot be encoded.
    """
    write_bytes(path, text.encode("utf-8", errors), mode=mode)


def write_bytes(path: Path, content: bytes, *, mode: int = SHARED) -> None:
    """Write ``content`` to ``path``; make its folder.

    Raises:
        OSError: the file cannot be written; an older one is as it was.
    """
    with replacing(path, mode=mode) as part:
        part.write_bytes(content)


def write_new(path: Path, content: bytes, *, mode: int = SHARED) -> bool:
    """Write ``content`` to ``path`` unless the file exists, perhaps because another process has written it.

    Returns:
            False where it exists; it stays as it is.

    Raises:
        OSError: the file cannot be written.
    """
    with _partial(path, mode) as part:
        part.write_bytes(content)
        _flush(part)
        try:
            os.link(part, path)  # unlike a rename, it fails where the name is taken
        except FileExistsError:
            return False
    return True


@contextmanager
def replacing(path: Path, *, mode: int = SHARED) -> Iterator[Path]:
    """Yield an empty file next to ``path``, for libraries that write files by name; it becomes ``path`` at the end.

    If the block raises, ``path`` stays as it was. The yielded name has the suffix of ``path``.

    Raises:
        OSError: the file cannot be made, flushed or renamed.
    """
    with _partial(path, mode) as part:
        yield part
        _flush(part)
        os.replace(part, path)


@contextmanager
def _partial(path: Path, mode: int) -> Iterator[Path]:
    """Yield a new empty file next to ``path``; delete it at the end if it still has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem[:_NAME_LENGTH]}.{secrets.token_hex(6)}.part{path.suffix}")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until the content of ``path`` is on the disk."""
    descriptor = os.open(path, os.O_RDWR)  # Windows flushes only what is open for writing
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
