"""Writes a report's files atomically."""

from __future__ import annotations

import errno
from pathlib import Path

from rewardgen import files
from rewardgen.errors import DiskFull, StoreError


def write_whole(content: str | bytes, out: Path) -> Path:
    """Write ``content``, text as UTF-8, to ``out``, whose folder is made. An older file is replaced atomically.

    Returns:
        ``out``.

    Raises:
        DiskFull: no space left to write.
        StoreError: the file cannot be written.
    """
    try:
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        files.write_bytes(out, data)
    except OSError as error:
        # A full disk needs another advice than a wrong path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no space left for the report {out}; free some space, then run `rewardgen report`"
            ) from error
        raise StoreError(f"cannot write the report {out}: {error}; write it to another place with --to") from error
    return out
