"""Apply Landlock: a ruleset that handles every right the kernel knows and grants none.

The system calls are made through ctypes: the bindings on PyPI that need no compiler cover neither the network nor the
scopes. Source: the kernel's ``Documentation/userspace-api/landlock.rst``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_CREATE, _RESTRICT = 444, 446  # the same numbers on every architecture
_VERSION = 1  # a flag of _CREATE

# the file rights by ABI version that introduced them: 13 in the first, then refer, truncate and ioctl
_FILES = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_TCP = (4, 0b11)  # bind, connect
_SCOPES = (6, 0b11)  # abstract Unix sockets and signals to processes outside of the ruleset


def version() -> int:
    """Return the kernel's Landlock ABI version; 0 if it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE, None, 0, _VERSION))


def restrict() -> None:
    """Drop every right that Landlock handles from this thread, irrevocably. Needs no_new_privs.

    Raises:
        OSError: the kernel has no Landlock, or it is disabled.
    """
    known = version()
    files = sum(rights for since, rights in _FILES if known >= since)
    tcp, scopes = (rights if known >= since else 0 for since, rights in (_TCP, _SCOPES))
    # Pass only the part of the structure that this ABI version has
    size = 24 if known >= _SCOPES[0] else 16 if known >= _TCP[0] else 8
    attributes = struct.pack("=QQQ", files, tcp, scopes)[:size]
    ruleset = _checked(_call(_CREATE, attributes, size, 0))
    try:
        _checked(_call(_RESTRICT, ruleset, 0, 0))
    finally:
        os.close(ruleset)


def _call(number: int, first: bytes | int | None, second: int, third: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    given = ctypes.c_long(first) if isinstance(first, int) else ctypes.c_char_p(first)
    return int(libc.syscall(ctypes.c_long(number), given, ctypes.c_size_t(second), ctypes.c_uint32(third)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
