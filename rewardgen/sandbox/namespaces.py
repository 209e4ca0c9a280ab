"""Enter namespaces for the server and all its workers: no network, other processes, named shared memory or files.

They are entered once, when the server starts and before torch is loaded, so that they cost nothing per worker. The
kernel or a container's profile may forbid them; a child tries every step first, because a process that has taken only
some of the steps cannot undo them. Root is not needed: an ordinary user gets them through a user namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable

_NEW_MOUNT, _NEW_HOST, _NEW_IPC, _NEW_USER, _NEW_PROCESS, _NEW_NETWORK = (
    0x00020000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 1 << 14, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_LOOK_UP_SECONDS = 2.0  # interval at which the keeper checks that its parent is alive

NAMES = {
    _NEW_NETWORK: "network namespace",
    _NEW_PROCESS: "process namespace",
    _NEW_IPC: "ipc namespace",
    _NEW_MOUNT: "mount namespace",
}
_WANTED = (
    _NEW_NETWORK | _NEW_IPC | _NEW_HOST | _NEW_MOUNT | _NEW_PROCESS,
    _NEW_NETWORK | _NEW_IPC | _NEW_HOST | _NEW_MOUNT,  # where /proc cannot be mounted again, as in most containers
    _NEW_NETWORK | _NEW_IPC | _NEW_HOST,
)


class Entered:
    """Describe the namespaces that this process has entered.

    Attributes:
        names: the namespaces entered.
        parent: the parent's process id as seen from here; 0 if it lies outside the process namespace.
        empty_root: a descriptor of an empty, read-only file system to be the workers' root, or None.
    """

    def __init__(self, names: tuple[str, ...], parent: int, empty_root: int | None) -> None:
        self.names, self.parent, self.empty_root = names, parent, empty_root


def enter(parent: int, control: int) -> Entered:
    """Enter every namespace that this kernel allows.

    With a process namespace, the caller continues in a child, which is the first process of the namespace. The original
    process becomes its keeper: it exits with the child, and kills the child when ``parent`` is gone. ``control`` is
    closed in the keeper.
    """
    if sys.platform != "linux":
        return Entered((), parent, None)
    # From most to least isolation; with a user namespace only if it does not work without
    for flags in _WANTED:
        for extra in (0, _NEW_USER):
            if _works(flags | extra):
                return _enter(flags | extra, parent, control)
    return Entered((), parent, None)


def own_user_namespace() -> bool:
    """Put this process into a user namespace where no user is known, its own included; whether that worked.

    What it can do there it can do to nothing outside, and it gives that up next.
    """
    return _call("unshare", _NEW_USER) == 0


def enter_root(descriptor: int) -> bool:
    """Make the directory ``descriptor`` the root of this process; return whether it worked."""
    try:
        os.fchdir(descriptor)
        os.chroot(".")
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def drop_capabilities() -> bool:
    """Drop every capability; return whether none is left."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this thread
    none = (ctypes.c_uint32 * 6)()
    if _call("capset", header, none) != 0:
        return False
    # Read the capabilities back; the 1s show whether capget wrote anything
    left = (ctypes.c_uint32 * 6)(*[1] * 6)
    return _call("capget", header, left) == 0 and not any(left)


def _works(flags: int) -> bool:
    """Return whether a child process can take every step of ``_enter``."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _unshare(flags)
            if flags & _NEW_PROCESS:
                inner = os.fork()
                if inner == 0:
                    _mounts(flags)
                    os._exit(0)
                code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
            else:
                _mounts(flags)
                code = 0
        finally:
            os._exit(code & 0xFF)
    return os.waitpid(child, 0)[1] == 0


def _enter(flags: int, parent: int, control: int) -> Entered:
    _unshare(flags)
    if flags & _NEW_PROCESS:
        _keep(parent, control)
        parent = 0
    empty_root = _mounts(flags)
    names = tuple(name for flag, name in NAMES.items() if flags & flag)
    return Entered(names, parent, empty_root)


def _unshare(flags: int) -> None:
    user, group = os.geteuid(), os.getegid()
    if _call("unshare", flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if flags & _NEW_USER:  # map this user and group to themselves; all others are unknown inside
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)


def _mounts(flags: int) -> int | None:
    """Mount /proc in an own process namespace, and an empty root; return the only descriptor that reaches the root."""
    if not flags & _NEW_MOUNT:
        return None
    # Make all mounts private, so that ours do not propagate to the host
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    safe = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    if flags & _NEW_PROCESS:
        _mount("proc", "/proc", "proc", safe)
    folder = tempfile.mkdtemp(prefix="rewardgen-")
    try:
        _mount("none", folder, "tmpfs", safe | _MS_RDONLY)
        try:
            return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            _call("umount2", os.fsencode(folder), _MNT_DETACH)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    if _call("mount", *encoded, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def _keep(parent: int, control: int) -> None:
    """Fork: return in the child; the parent stays as the keeper and never returns."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != 0 or keeper == os.getpid():  # the keeper has died already, or this is not a new namespace
            os._exit(1)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.close(control)
    # Wait for the child to end; look for the parent at every timeout
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, _LOOK_UP_SECONDS)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)  # as a shell reports a signal
        if os.getppid() != parent:
            os.kill(child, signal.SIGKILL)


def _call(name: str, *arguments: object) -> int:
    function: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    return function(*arguments)
