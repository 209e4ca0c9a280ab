"""How a worker gives up what it does not need, in the order in which it must happen.

``confine`` is the last thing that runs in a worker before the program's text is looked at:

    1. its own user, where the server is root: it can signal nobody and owns no file
    2. no new privileges, no core dumps, not traceable by its like, dies with the server
    3. limits on address space, processor time, processes, file sizes; no further descriptor, hence no files or sockets
    4. isolation by the kernel (Landlock, seccomp, namespaces): its place is here, after the limits, while the worker
       still has a single thread

Each step says whether it is in force; the worker reports it before it runs anything. Steps that a platform lacks are
left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 4, 38, 36
_OWN_USERS = 0x70000000  # far above the users of any system; the worker's process id is added
_NOBODY = 65534

STEPS = ("own user", "no new privileges", "dies with the server", "limits")

_prctl: Callable[..., int] | None = None
if sys.platform == "linux":
    _prctl = ctypes.CDLL(None, use_errno=True).prctl


def confine(memory: int, cpu_seconds: int, server: int) -> int:
    """Confine this process for good.

    Args:
        memory: bytes of address space beyond what it has now.
        cpu_seconds: processor time, after which the kernel kills it.
        server: the process id of the server.

    Returns:
        A bit for each of ``STEPS`` that is in force.

    Raises:
        OSError: a step that this platform has did not work.
    """
    in_force = [_own_user(), _no_new_privileges(), _die_with(server), _limits(memory, cpu_seconds)]
    # kernel-level isolation goes here
    return sum(1 << bit for bit, done in enumerate(in_force) if done)


def adopt_orphans() -> None:
    """Make this process the one that its workers' orphaned children go to, so that it can end them."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _own_user() -> bool:
    if os.geteuid() != 0 or sys.platform != "linux":
        return False
    for user in (_OWN_USERS + os.getpid(), _NOBODY):  # a user namespace may have no place for the first
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            return True
    return False


def _no_new_privileges() -> bool:
    if _prctl is None:
        return False
    _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0


def _die_with(server: int) -> bool:
    if _prctl is None:
        return False
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)  # after the change of user, which clears it
    if os.getppid() != server:
        os._exit(1)
    return True


def _limits(memory: int, cpu_seconds: int) -> bool:
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", 0)
    _limit("RLIMIT_MEMLOCK", 0)
    _limit("RLIMIT_CPU", cpu_seconds, grace=1)  # SIGXCPU, which tells why, and SIGKILL a second later
    _limit("RLIMIT_NPROC", 0)  # no effect on root
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:
            present = int(file.read().split()[0]) * resource.getpagesize()
        _limit("RLIMIT_AS", present + memory)
    _limit("RLIMIT_NOFILE", 0)  # last: what is open stays usable, nothing can be opened
    return True


def _limit(name: str, value: int, grace: int = 0) -> None:
    number = getattr(resource, name, None)
    if number is None:
        return
    hard = resource.getrlimit(number)[1]
    bound = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    resource.setrlimit(number, (min(value, bound), bound))
