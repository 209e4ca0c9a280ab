"""Writing a report's files: whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

from rewardgen import files
from rewardgen.errors import DiskFull, StoreError


def write_whole(content: str | bytes, out: Path) -> Path:
    """``content``, text as UTF-8, as the file ``out``, whose folder is made.

    An older file is replaced at once or not at all.

    Returns:
        ``out``.

    Raises:
        DiskFull: no room to write.
        StoreError: the file cannot be written.
    """
    try:
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        files.write_bytes(out, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no room to write the report {out}; free some space, then run `rewardgen report`"
            ) from error
        raise StoreError(f"cannot write the report {out}: {error}; name another place") from error
    return out
