"""Writing a report's files: whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

from rewardgen import files
from rewardgen.errors import DiskFull, StoreError


def write_whole(text: str, out: Path) -> Path:
    """``text`` as the file ``out``, whose folder is made. An older file is replaced at once or not at all.

    Returns:
        ``out``.

    Raises:
        DiskFull: no room to write.
        StoreError: the file cannot be written.
    """
    try:
        files.write_text(out, text, errors="replace")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"no room to write the report {out}; free some space, then run `rewardgen report`"
            ) from error
        raise StoreError(f"cannot write the report {out}: {error}; name another place") from error
    return out
