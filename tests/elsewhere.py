"""A Python without what Windows lacks, as far as the standard library gets by without it here."""

from __future__ import annotations

import subprocess
import sys

# Popen.kill names the signal when it is called: it is told the number before the name goes.
WITHOUT_UNIX = """
import os, select, signal, socket, subprocess, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "_posixshmem"):
    sys.modules[name] = None
subprocess.Popen.kill = lambda process, number=int(signal.SIGKILL): process.send_signal(number)
absent = {
    os: "fork forkpty memfd_create geteuid getuid getegid getgid setsid setpgid killpg waitid pidfd_open pread preadv "
        "pwrite set_blocking sched_getaffinity fchdir chroot fchmod chown uname sysconf mkfifo nice sync "
        "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_PATH",
    select: "poll epoll",
    signal: "SIGKILL SIGXCPU SIGSYS SIGCHLD SIGHUP SIGALRM sigtimedwait pthread_sigmask alarm setitimer",
    socket: "AF_UNIX send_fds recv_fds",
}
for module, names in absent.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""

# Where the system has another name, none of the kernel's layers of confinement is there. What looks for the name, too,
# is loaded before it changes.
ANOTHER_SYSTEM = """
import ctypes, sys, torch
sys.platform = "elsewhere"
"""
_LOADED = "gymnasium, mujoco, openai, platformdirs, rich.console, ruamel.yaml, typer"

# Workers as such a system would start them.
_WORKERS = f"""
from rewardgen.sandbox import fresh
fresh.PRELUDE += {ANOTHER_SYSTEM + WITHOUT_UNIX!r}
"""


def elsewhere(program: str, *loaded: str) -> subprocess.CompletedProcess[str]:
    """Run ``program`` there, with the packages ``loaded`` before the system changes its name."""
    text = f"import {', '.join((_LOADED, *loaded))}\n" + ANOTHER_SYSTEM + WITHOUT_UNIX + _WORKERS + program
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
