"""A real sandbox for the whole module, a layout, transitions, and a way to open programs that were never checked."""

from __future__ import annotations

import pytest
import torch

from rewardgen.records import Field, Layout, RewardProgram
from rewardgen.sandbox import Sandbox, SandboxLimits

LAYOUT = Layout((Field("height", (), "m", "height"), Field("velocity", (3,), "m/s", "velocity")))
ROWS, ACTIONS = 64, 2


@pytest.fixture(scope="package")
def sandbox():
    with Sandbox(SandboxLimits(call_seconds=5.0, program_seconds=60.0, memory_gb=1.0)) as opened:
        yield opened


@pytest.fixture(scope="package")
def impatient():
    with Sandbox(SandboxLimits(call_seconds=1.0, program_seconds=60.0, memory_gb=1.0)) as opened:
        yield opened


@pytest.fixture
def layout():
    return LAYOUT


@pytest.fixture
def transitions():
    generator = torch.Generator().manual_seed(5)
    columns = (LAYOUT.width, ACTIONS, LAYOUT.width)
    return tuple(torch.randn(ROWS, count, generator=generator) for count in columns)


@pytest.fixture
def start(sandbox):
    """Open workers on programs given as the body of compute_reward, or as a whole module; closes them afterwards."""
    opened = []

    def start(text, *, box=sandbox, layout=LAYOUT, action_size=ACTIONS, capacity=ROWS):
        if "def compute_reward" not in text:
            text = "def compute_reward(state, action, next_state):\n" + "".join(f"    {x}\n" for x in text.split("\n"))
        worker = box.open(RewardProgram(text), layout, action_size, capacity)
        opened.append(worker)
        return worker

    yield start
    for worker in opened:
        worker.close()
