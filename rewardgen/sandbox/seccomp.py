"""Compile the table in ``syscalls`` to a seccomp filter, a BPF program that the kernel runs before every call."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

from rewardgen.sandbox.syscalls import ALLOWED, AUDIT, KILLED, NUMBERS, PROCESS, REFUSED, Check, checked

# classic BPF: load a word, and with a constant, jump if equal, jump if at least, return
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
# offsets in struct seccomp_data: the call's number, the architecture, six arguments of 64 bits
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000  # bit of the x32 ABI's call numbers on x86-64, which would bypass the table

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_Instruction = bytes


def architecture() -> str | None:
    """Return this machine's key into the table; None if it has no entry or the system is not Linux."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    known = sys.platform == "linux" and machine in NUMBERS and sys.maxsize > 2**32 and sys.byteorder == "little"
    return machine if known else None


def build(machine: str, pid: int, readable: tuple[int, ...], writable: tuple[int, ...]) -> bytes:
    """Build the filter for process ``pid``, which may read from and write to the given descriptors only."""
    numbers = NUMBERS[machine]
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, AUDIT[machine], 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32, 0, 1),
        _instruction(_RETURN, _KILL_PROCESS),
    ]
    # One section per call: its number selects the section, whose body returns what to do
    sections: list[tuple[str, list[_Instruction]]] = [
        *((check.name, _arguments(check, _ALLOW, _refusal(check))) for check in checked(pid, readable, writable)),
        *((name, [_instruction(_RETURN, _ALLOW)]) for name in ALLOWED),
        (PROCESS.name, _arguments(PROCESS, _KILL_PROCESS, _refusal(PROCESS))),
        *((name, [_instruction(_RETURN, _ERRNO | error)]) for name, error in REFUSED.items()),
        *((name, [_instruction(_RETURN, _KILL_PROCESS)]) for name in KILLED),
    ]
    for name, body in sections:  # each body ends in a return: other call numbers jump past it
        if name in numbers:
            program += [_instruction(_EQUAL, numbers[name], 0, len(body)), *body]
    # Every call that is not in the table: as on a kernel that lacks it
    program.append(_instruction(_RETURN, _ERRNO | errno.ENOSYS))
    return b"".join(program)


def install(program: bytes) -> None:
    """Install ``program`` for this thread, irrevocably. Needs no_new_privs.

    Raises:
        OSError: the kernel has no filters or rejects this one.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    described = Program(len(program) // 8, program)
    pointer = ctypes.c_void_p(ctypes.addressof(described))
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), pointer, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _instruction(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> _Instruction:
    return struct.pack("=HBBI", code, if_true, if_false, constant)


def _refusal(check: Check) -> int:
    return _KILL_PROCESS if check.error is None else _ERRNO | check.error


def _arguments(check: Check, met: int, otherwise: int) -> list[_Instruction]:
    body: list[_Instruction] = []
    for alternative in check.alternatives:
        # seccomp arguments are 64 bits, BPF compares 32: a wide condition takes two tests
        tests: list[tuple[int, int, int]] = []  # offset, mask, value
        for condition in alternative:
            at = _ARGUMENTS + 8 * condition.argument
            tests.append((at, condition.mask & 0xFFFFFFFF, condition.value & 0xFFFFFFFF))
            if condition.wide:
                tests.append((at + 4, condition.mask >> 32, condition.value >> 32))
        # A failed test jumps over the rest of this alternative, to the next one
        left = 3 * len(tests) + 1
        for at, mask, value in tests:
            left -= 3
            body += [_instruction(_LOAD, at), _instruction(_AND, mask), _instruction(_EQUAL, value, 0, left)]
        body.append(_instruction(_RETURN, met))
    body.append(_instruction(_RETURN, otherwise))
    return body
