"""Where there is neither fork nor what else only Unix has, as on Windows, what needs no sandbox works all the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Takes away what Windows lacks, as far as Python and torch get by without it here.
BARE = """
import os, select, signal, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"):
    sys.modules[name] = None
absent = {
    os: "fork forkpty memfd_create geteuid getuid setsid killpg waitid pidfd_open preadv sched_getaffinity",
    select: "poll epoll",
    signal: "SIGKILL SIGXCPU SIGSYS SIGCHLD SIGHUP sigtimedwait pthread_sigmask",
}
for module, names in absent.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""


def elsewhere(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BARE + program], capture_output=True, text=True, check=False)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return elsewhere(f"from rewardgen.cli import main\nmain({list(arguments)!r})")


def test_tasks_and_prompts_are_shown() -> None:
    listed = command("tasks", "--json")
    assert listed.returncode == 0 and "cartpole/swingup" in listed.stdout, listed.stderr
    asked = command("prompt", "cartpole/swingup")
    assert asked.returncode == 0 and "compute_reward" in asked.stdout, asked.stderr


def test_doctor_says_what_does_not_work_and_what_to_do() -> None:
    done = command("doctor", "--json")
    assert done.returncode == 1, done.stderr
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["checks"]}
    for name in ("sandbox", "confinement"):
        assert findings[name]["level"] == "fault" and "WSL 2" in findings[name]["found"]
    assert findings["tasks"]["level"] == findings["physics"]["level"] == "ok"


def test_everything_can_be_imported_and_a_sandbox_says_what_to_do() -> None:
    done = elsewhere(
        "import rewardgen, rewardgen.search, rewardgen.report, rewardgen.export\n"
        "from rewardgen.errors import SandboxError\n"
        "from rewardgen.sandbox import Sandbox\n"
        "try:\n    Sandbox().__enter__()\nexcept SandboxError as error:\n    print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "WSL 2" in done.stdout


def test_a_search_ends_with_what_to_do(tmp_path: Path) -> None:
    done = command("run", "cartpole/swingup", "--llm", "offline", "--out", str(tmp_path), "--json")
    assert done.returncode == 1, done.stderr
    assert "WSL 2" in json.loads(done.stdout)["error"]["message"]
