"""A search whose answers are written by hand: killed, resumed, and ended as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rewardgen.llm.dialog import DialogRequest, answer, requests
from rewardgen.store import read
from tests.cli.commands import SMALL

REWARD = """The arm has to stretch out.

```python
def compute_reward(state, action, next_state):
    out = next_state.fingertip_position.norm(dim=-1) ** {power}
    return out, {{"out": out}}
```
"""
PATIENCE = 120  # seconds after which a search that asks for nothing is a failure
PROSE = "I would reward an arm that is stretched out."


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "rewardgen.cli", *command]
    return subprocess.Popen(program, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def open_requests(folder: Path, process: subprocess.Popen[bytes], purpose: str) -> list[DialogRequest]:
    """The requests that wait for an answer, as soon as there are some."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        if folder.is_dir():
            found = [each for each in requests(folder) if each.missing and each.purpose == purpose]
            if found:
                return found
        assert process.poll() is None, f"the search ended with {process.returncode}"
        time.sleep(0.05)  # a person who looks again
    process.kill()
    raise AssertionError(f"no {purpose} was asked for; there are {[each.name for each in requests(folder)]}")


@pytest.mark.slow
def test_a_search_by_hand_is_killed_and_resumed(tmp_path: Path) -> None:
    dialog = tmp_path / "answers"
    flags = [*SMALL, "--llm", "dialog:answers", "--out", "runs", "--name", "hand"]
    process = start(tmp_path, "run", "reacher/reach", "--generations", "2", "--candidates", "2", *flags)
    (first,) = open_requests(dialog, process, "generation")
    assert (first.wanted, first.missing) == (2, (1, 2))
    answer(dialog, first.name, 1, REWARD.format(power=1))
    process.kill()  # while it waits for the second answer
    assert process.wait() == -signal.SIGKILL
    answer(dialog, first.name, 2, PROSE)

    process = start(tmp_path, "resume", "runs/hand")
    (repair,) = open_requests(dialog, process, "repair")  # what is no program goes back, as any reply would
    answer(dialog, repair.name, 1, REWARD.format(power=2))
    (second,) = open_requests(dialog, process, "generation")
    assert second.name != first.name and len(requests(dialog)) == 3
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    for number in second.missing:
        answer(dialog, second.name, number, REWARD.format(power=2 + number))
    process = start(tmp_path, "resume", "runs/hand")
    assert process.wait(PATIENCE) == 0

    view = read(tmp_path / "runs" / "hand")
    assert view.status == "finished" and view.winner is not None
    assert view.author == "dialog:answers" and not [each for each in requests(dialog) if each.missing]
    assert len(view.candidates) == 4 and all(each.source for each in view.candidates.values())
    assert view.cost.dollars == 0 and view.cost.completion_tokens > 0
    assert (tmp_path / "runs" / "hand" / "export" / "reward.py").is_file()
