"""Confine a worker: drop every right that it does not need, in the order in which this must happen.

``confine`` is the last thing that runs in a worker before the program's text is read:

    1. its own user, where the server is root, and a user namespace of its own: it owns nothing and can signal nobody
    2. an empty root, where the server has a mount namespace; then no capability is left
    3. no new privileges, no core dumps, not traceable by its like, dies with the server
    4. Landlock: no file, no TCP, no signal to others. It covers this thread, which is the only one
    5. limits on address space, CPU time, processes, file sizes; no further descriptor, hence no files or sockets
    6. the system-call filter, last, because it forbids all of the above

On Windows there is one step instead, a job object.

Each step returns whether it is in force; the worker reports this before it runs anything. Steps that the platform
lacks are skipped; the parent decides whether the rest is enough.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType

from rewardgen.sandbox import landlock, namespaces, seccomp, windows
from rewardgen.sandbox.layers import flags_of
from rewardgen.sandbox.protocol import FLAGS

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 4, 38, 36
_OWN_USERS = 0x70000000  # far above the users of any system; the worker's process id is added
_NOBODY = 65534

_prctl: Callable[..., int] | None = None
if sys.platform == "linux":
    _prctl = ctypes.CDLL(None, use_errno=True).prctl


def confine(
    memory: int,
    cpu_seconds: int,
    server: int,
    around: tuple[str, ...],
    empty_root: int | None,
    requests: int,
    answers: int,
) -> int:
    """Confine this process irrevocably.

    Args:
        memory: bytes of address space beyond what it has now.
        cpu_seconds: CPU time after which the kernel kills it.
        server: the process id of the server, or of the process that started this one.
        around: the namespaces that the server has entered.
        empty_root: a descriptor of an empty file system, or None.
        requests: the descriptor that may be read from, and no other.
        answers: the descriptor that may be written to, and no other but those of standard output and error.

    Returns:
        A bit for each of the layers that is in force.

    Raises:
        OSError: a step that this platform supports failed.
    """
    # Measured before Landlock and the limits, which forbid opening /proc/self/statm
    address_space = _address_space()
    # A dict evaluates its entries in order: each step must come before those that forbid it
    done = {
        "own user": _own_user(),
        "user namespace": sys.platform == "linux" and namespaces.own_user_namespace(),
        "empty root": empty_root is not None and namespaces.enter_root(empty_root),
        "no capabilities": sys.platform == "linux" and namespaces.drop_capabilities(),
        "no new privileges": _no_new_privileges(),
        "dies with the server": _die_with(server),
        "landlock": _landlock(),
        "limits": _limits(address_space + memory if address_space else None, cpu_seconds),
        "system-call filter": _filter((0, requests), (1, 2, answers)),
        "job object": sys.platform == "win32" and windows.limit(memory, cpu_seconds),
    }
    return flags_of({name for name, in_force in done.items() if in_force} | set(around))


def probe(server: int, around: tuple[str, ...], empty_root: int | None, requests: int, answers: int) -> None:
    """Confine this process as a worker and write to ``answers`` which layers are in force. Never returns."""
    try:
        os.write(answers, FLAGS.pack(confine(2**30, 60, server, around, empty_root, requests, answers)))
    except BaseException as error:
        print(f"a worker cannot be confined: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(0)


def adopt_orphans() -> None:
    """Make this process the reaper of its workers' orphaned children, so that it can end them."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _own_user() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    for user in (_OWN_USERS + os.getpid(), _NOBODY):  # a user namespace may not map the first
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
    # The server may have died before the prctl: then no signal would ever come
    if os.getppid() != server:
        os._exit(1)
    return True


def _landlock() -> bool:
    if landlock.version() == 0:
        return False
    landlock.restrict()
    try:
        os.close(os.open("/", os.O_RDONLY))  # check that it has an effect: success of the call proves nothing
    except PermissionError:
        return True
    return False


def _filter(readable: tuple[int, ...], writable: tuple[int, ...]) -> bool:
    machine = seccomp.architecture()
    if machine is None:
        return False
    try:
        seccomp.install(seccomp.build(machine, os.getpid(), readable, writable))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOSYS):  # the kernel was built without filters
            return False
        raise
    try:
        os.stat("/")
    except PermissionError:  # nothing but the filter refuses this
        return True
    return False


def _address_space() -> int:
    """Return the bytes of address space that this process has mapped; 0 if the system does not report it."""
    if resource is None:
        return 0
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _limits(address_space: int | None, cpu_seconds: int) -> bool:
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", 0)
    _limit("RLIMIT_MEMLOCK", 0)
    _limit("RLIMIT_MSGQUEUE", 0)
    _limit("RLIMIT_CPU", cpu_seconds, grace=1)  # SIGXCPU, which tells why, and SIGKILL a second later
    _limit("RLIMIT_NPROC", 0)  # no effect on root
    if address_space is not None:
        _limit("RLIMIT_AS", address_space)
    _limit("RLIMIT_NOFILE", 0)  # last: what is open stays usable, nothing can be opened
    return address_space is not None


def _limit(name: str, value: int, grace: int = 0) -> None:
    number = getattr(resource, name, None)
    if resource is None or number is None:
        return
    hard = resource.getrlimit(number)[1]
    bound = value + grace if hard == resource.RLIM_INFINITY else min(value + grace, hard)
    resource.setrlimit(number, (min(value, bound), bound))
