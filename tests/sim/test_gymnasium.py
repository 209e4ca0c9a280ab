"""Environments in worker processes against the same environments in this one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from rewardgen.errors import SimulationFailed
from rewardgen.sim import EnvironmentSpec, GymnasiumSim, Source

PENDULUM = EnvironmentSpec("Pendulum-v1", {"g": 9.0}, sources=(Source(("observation",), 2, 3),))
OWN = '''
import gymnasium, numpy as np
from gymnasium.spaces import Box, Dict

class Counter(gymnasium.Env):
    """Counts its steps, says so in a dict, and gives up after three."""
    observation_space = Dict({"count": Box(-9, 9, (2,), np.float32), "goal": Box(-9, 9, (1,), np.float32)})
    action_space = Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.goal = self.np_random.uniform(-1, 1, 1)
        print("this must not get between the messages")
        return self.seen(), {}

    def seen(self):
        return {"count": np.array([self.steps, -self.steps], np.float32), "goal": self.goal.astype(np.float32)}

    def step(self, action):
        self.steps += 1
        if action[0] > 0.9:
            raise RuntimeError("the arm came off")
        return self.seen(), float(action[0]), self.steps == 3, self.steps == 2, {"success": self.steps > 1}

gymnasium.register("Counter-v0", Counter)
'''


def test_worlds_do_what_the_environments_themselves_do() -> None:
    sim = GymnasiumSim(PENDULUM, 3, workers=2)
    reference = [gymnasium.make("Pendulum-v1", g=9.0) for _ in range(3)]
    sim.begin(torch.arange(3), torch.tensor([5, 6, 7]))
    expected = np.stack(
        [environment.reset(seed=seed)[0] for environment, seed in zip(reference, (5, 6, 7), strict=True)]
    )
    assert np.array_equal(sim.field("observation").numpy(), expected)
    actions = torch.rand(20, 3, 1, generator=torch.Generator().manual_seed(0)) * 6 - 3  # beyond its range too
    for action in actions:
        sim.step(action, 1)
        results = [
            environment.step(np.clip(own.numpy(), -2, 2)) for environment, own in zip(reference, action, strict=True)
        ]
        assert np.array_equal(sim.field("observation").numpy(), np.stack([result[0] for result in results]))
        assert np.allclose(sim.field("reward").numpy(), [result[1] for result in results])
        assert torch.equal(sim.field("quantities")[:, 0], sim.field("observation")[:, 2])
    sim.begin(torch.tensor([2]), torch.tensor([6]))  # one world begins anew, the others stay where they are
    assert np.array_equal(sim.field("observation")[2].numpy(), reference[1].reset(seed=6)[0])
    assert np.array_equal(sim.field("observation")[0].numpy(), results[0][0])
    sim.close()
    assert sim.about["horizon"] == 200 and sim.about["high"] == [2.0]


def test_dicts_infos_and_ends_come_through(tmp_path: Path) -> None:
    (tmp_path / "counter_of_mine.py").write_text(OWN)
    spec = EnvironmentSpec(
        "Counter-v0",
        imports=("counter_of_mine",),
        python=sys.executable,
        folder=str(tmp_path),
        sources=(Source(("observation", "count"), 1, 2), Source(("info", "success"), 0, 1)),
    )
    sim = GymnasiumSim(spec, 2)
    sim.begin(torch.arange(2), torch.tensor([1, 2]))
    assert sim.field("observation").shape == (2, 3) and not torch.equal(*sim.field("observation"))
    told = []
    for _ in range(3):
        sim.step(torch.tensor([[0.5], [-0.5]]), 1)
        told.append(
            (*sim.field("quantities")[0].tolist(), *(float(sim.field(n)[0]) for n in ("terminated", "truncated")))
        )
    assert told == [(-1.0, 0.0, 0.0, 0.0), (-2.0, 1.0, 0.0, 1.0), (-3.0, 1.0, 1.0, 0.0)]
    with pytest.raises(SimulationFailed, match="the arm came off"):
        sim.step(torch.ones(2, 1), 1)
    sim.close()


def test_keys_in_the_environment_do_not_reach_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    (tmp_path / "curious.py").write_text("import os; assert 'OPENAI_API_KEY' not in os.environ, 'it is there'\n" + OWN)
    sim = GymnasiumSim(EnvironmentSpec("Counter-v0", imports=("curious",), folder=str(tmp_path)), 1)
    sim.close()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (EnvironmentSpec("NoSuchThing-v0"), "NoSuchThing"),
        (EnvironmentSpec("Pendulum-v1", imports=("no_such_module",)), "no_such_module"),
        (EnvironmentSpec("Pendulum-v1", python="/no/such/python"), "cannot be started"),
        (EnvironmentSpec("Pendulum-v1", python="/bin/true"), "ended with status 0"),
    ],
)
def test_what_cannot_be_started_is_said(spec: EnvironmentSpec, says: str) -> None:
    with pytest.raises(SimulationFailed, match=says):
        GymnasiumSim(spec, 1)


def test_a_killed_worker_is_an_error_and_none_is_left_behind() -> None:
    sim = GymnasiumSim(PENDULUM, 2, workers=2)
    processes = [worker._process for worker in sim._workers]
    sim.begin(torch.arange(2), torch.tensor([1, 2]))
    os.kill(processes[1].pid, signal.SIGKILL)
    with pytest.raises(SimulationFailed, match="ended with status -9"):
        sim.step(torch.zeros(2, 1), 1)
    sim.close()
    assert all(process.poll() is not None for process in processes)
    with pytest.raises(SimulationFailed, match="no field 'qpos'"):
        sim.field("qpos")
