"""Worlds and whole episodes: time limits, ends, padding, and worlds that break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mujoco
import pytest
import torch
from torch import Tensor

from rewardgen.errors import SimulationFailed, TaskError
from rewardgen.records import Episodes, Field, State
from rewardgen.sim import MujocoSim, Simulator
from rewardgen.sim.warp import WarpSim
from rewardgen.tasks import RewardAndTerms, Task, WorldRandom, Worlds, load_task, play_episodes, validate
from rewardgen.tasks.worlds import CHECK_EVERY
from tests.gpu import needs_gpu

FALLING = """
<mujoco>
  <option timestep="0.01" gravity="0 0 0"/>
  <worldbody>
    <body name="cart">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom type="box" size="0.1 0.1 0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="rail" gear="1" ctrllimited="true" ctrlrange="-0.5 2"/></actuator>
</mujoco>
"""


class Drift(Task):
    """A cart that drifts with a known speed and no force: every number can be worked out by hand.

    World ``i`` of stream ``i`` starts at 0 with speed ``1 + i`` m/s; a step is 0.1 s; the end of the rail is at 1.04 m.
    """

    name = "drift/away"
    description = "Drift."
    fields = (Field("position", (), "m", "position"), Field("speed", (), "m/s", "speed"))
    frame_skip = 10
    horizon = 8
    fitness_unit = "m"
    fitness_meaning = "way"
    success_threshold = 1.0
    expert_source = "this test"
    nan_beyond = float("inf")

    def make_model(self) -> mujoco.MjModel:
        return mujoco.MjModel.from_xml_string(FALLING)

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        sim.field("qvel")[ids, 0] = 1.0 + ids.to(sim.dtype)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        position = sim.field("qpos")[:, 0]
        broken = torch.where(position > self.nan_beyond, float("nan"), position)
        return {"position": broken, "speed": sim.field("qvel")[:, 0]}

    def observation(self, state: State) -> Tensor:
        return torch.stack([state.position, state.speed], dim=-1)

    def terminations(self, state: State) -> dict[str, Tensor]:
        return {"end of the rail": state.position > 1.04}

    def fitness(self, episode: Episodes) -> Tensor:
        return episode.last("position")

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        return next_state.position, {"position": next_state.position}

    sparse_reward = expert_reward


class Nudged(Drift):
    """The same cart, moved by an action of its own: a number from -1 to 1 that changes its speed, in 0.5 m/s."""

    name = "drift/nudged"
    action_low, action_high = -torch.ones(1), torch.ones(1)
    action_names = ("speed",)

    def advance(self, sim: Simulator, action: Tensor) -> None:
        sim.field("qvel")[:] += 0.5 * action
        sim.step(torch.zeros(sim.num_worlds, 1), self.frame_skip)


Simulate = Callable[[mujoco.MjModel, int], Simulator]


def on_threads(model: mujoco.MjModel, count: int) -> Simulator:
    return MujocoSim(model, count, 1)


def on_device(model: mujoco.MjModel, count: int) -> Simulator:
    return WarpSim(model, count, "cpu")


def on_gpu(model: mujoco.MjModel, count: int) -> Simulator:
    return WarpSim(model, count, "cuda:0")


@pytest.fixture(params=[on_threads, on_device, pytest.param(on_gpu, marks=needs_gpu)])
def simulate(request: pytest.FixtureRequest) -> Simulate:
    return request.param


def make_worlds(task: Task, count: int, simulate: Simulate) -> Worlds:
    worlds = Worlds(task, simulate(task.model, count), torch.arange(count))
    worlds.start()
    return worlds


def play(task: Task, sim: Simulator, act: Callable[[Tensor], Tensor]) -> Episodes:
    """One episode in each world, in the processor's memory."""
    streams = torch.arange(sim.num_worlds)
    return play_episodes(task, sim, lambda seen: act(seen).to(sim.device), streams).on_host()


def no_push(count: int) -> Tensor:
    return torch.zeros(count, 1)


def test_first_ages_cut_the_first_episode_short_and_no_other() -> None:
    """Time limit 8: a world of age a is truncated after 8 - a steps, and every 8 steps from then on."""
    task = Drift()
    ages = torch.tensor([0, 3, 7])
    worlds = Worlds(task, MujocoSim(task.model, 3, threads=1), torch.arange(3))
    whole = Worlds(task, MujocoSim(task.model, 3, threads=1), torch.arange(3))
    assert torch.equal(worlds.start(ages), whole.start())  # the start states are the same
    truncated = []
    for step in range(1, 18):
        worlds.sim.field("qpos").zero_()  # nobody reaches the end of the rail
        ended = worlds.step(torch.zeros(3, 1)).truncated
        truncated += [(world, step) for world in ended.nonzero().squeeze(1).tolist()]
    assert truncated == [(2, 1), (1, 5), (0, 8), (2, 9), (1, 13), (0, 16), (2, 17)]


def test_ends_by_hand(simulate: Simulate) -> None:
    worlds = make_worlds(Drift(), 2, simulate)  # 0.1 m and 0.2 m a step
    seen = [worlds.step(no_push(2)) for _ in range(14)]
    positions = torch.stack([step.next_matrix[:, 0] for step in seen])
    # World 0 reaches 0.8 m at the time limit of 8 steps; world 1 goes beyond 1.04 m in its sixth step.
    expected_0 = [0.1 * k for k in range(1, 9)] + [0.1 * k for k in range(1, 7)]
    expected_1 = [0.2 * k for k in range(1, 7)] * 2 + [0.2, 0.4]
    torch.testing.assert_close(positions.T.cpu(), torch.tensor([expected_0, expected_1]))
    terminated = torch.stack([step.terminated for step in seen])
    truncated = torch.stack([step.truncated for step in seen])
    assert terminated.nonzero().tolist() == [[5, 1], [11, 1]]
    assert truncated.nonzero().tolist() == [[7, 0]]
    assert worlds.episode.tolist() == [1, 2]
    assert worlds.age.tolist() == [6, 2]


def test_a_task_may_say_itself_what_its_actions_do(simulate: Simulate) -> None:
    task = Nudged()
    validate(task)
    worlds = make_worlds(task, 2, simulate)
    reached = worlds.step(torch.tensor([[3.0], [-1.0]])).next_matrix  # the first is clipped to 1
    torch.testing.assert_close(reached.cpu(), torch.tensor([[0.15, 1.5], [0.15, 1.5]]))


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"action_high": torch.ones(2)}, "two float32 vectors of one size"),
        ({"action_high": torch.full((1,), float("inf"))}, "the range of speed, -1 to inf, must have two"),
        ({"action_names": ("speed", "heading")}, "names 2 components of an action that has 1"),
    ],
)
def test_an_action_of_a_tasks_own_is_checked(declared: dict[str, object], said: str) -> None:
    with pytest.raises(TaskError, match=said):
        validate(type("Wrong", (Nudged,), declared)(), "here")


def test_the_state_after_an_end_is_a_fresh_start(simulate: Simulate) -> None:
    worlds = make_worlds(Drift(), 2, simulate)
    for _ in range(5):
        worlds.step(no_push(2))
    last = worlds.step(no_push(2))
    assert last.terminated.tolist() == [False, True]
    torch.testing.assert_close(last.next_matrix[:, 0].cpu(), torch.tensor([0.6, 1.2]))
    torch.testing.assert_close(worlds.matrix[:, 0].cpu(), torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(worlds.state.speed.cpu(), torch.tensor([1.0, 2.0]))


def test_termination_goes_before_the_time_limit(simulate: Simulate) -> None:
    task = Drift()
    task.horizon = 6  # type: ignore[misc]
    worlds = make_worlds(task, 2, simulate)
    for _ in range(5):
        worlds.step(no_push(2))
    last = worlds.step(no_push(2))
    assert last.terminated.tolist() == [False, True]
    assert last.truncated.tolist() == [True, False]


def test_actions_are_clipped_to_the_actuators_range(simulate: Simulate) -> None:
    worlds = make_worlds(Drift(), 3, simulate)
    worlds.step(torch.tensor([[-7.0], [0.25], [7.0]]))
    assert worlds.sim.field("ctrl")[:, 0].tolist() == [-0.5, 0.25, 2.0]


def test_what_was_handed_out_stays_as_it_was(simulate: Simulate) -> None:
    worlds = make_worlds(Drift(), 2, simulate)
    kept = [(worlds.matrix, worlds.matrix.clone())]
    for _ in range(10):
        step = worlds.step(no_push(2))
        kept += [(step.next_matrix, step.next_matrix.clone()), (worlds.matrix, worlds.matrix.clone())]
    assert all(torch.equal(given, copy) for given, copy in kept)


@pytest.mark.parametrize("how", ["a field of the task", "the physics"])
def test_a_broken_world_terminates_in_its_last_sound_state(how: str, simulate: Simulate) -> None:
    task = Drift()
    if how == "a field of the task":
        task.nan_beyond = 0.3
    worlds = make_worlds(task, 2, simulate)
    worlds.step(no_push(2))
    before = worlds.matrix.clone()
    if how == "the physics":
        worlds.sim.field("qvel")[1] = float("nan")
    step = worlds.step(no_push(2))
    assert step.terminated.tolist() == [False, True]
    assert not step.truncated.any()
    assert torch.equal(step.next_matrix[1], before[1])
    assert worlds.matrix.isfinite().all()
    assert worlds.matrix[1].tolist() == [0.0, 2.0]


def test_a_start_that_is_not_finite_is_an_error(simulate: Simulate) -> None:
    task = Drift()
    task.nan_beyond = -1.0
    with pytest.raises(SimulationFailed, match="drift/away began in a state that is not finite"):
        make_worlds(task, 1, simulate)


def test_streams_must_match_the_worlds() -> None:
    task = Drift()
    with pytest.raises(ValueError, match="as many streams"):
        Worlds(task, MujocoSim(task.model, 2, 1), torch.arange(3))


def test_whole_episodes_by_hand(simulate: Simulate) -> None:
    task = Drift()
    episodes = play(task, simulate(task.model, 3), lambda seen: no_push(len(seen)))
    # Speeds of 1, 2 and 3 m/s: to the time limit, 6 steps to 1.2 m, 4 steps to 1.2 m.
    assert episodes.length.tolist() == [8, 6, 4]
    assert episodes.terminated.tolist() == [False, True, True]
    assert {cause: held.tolist() for cause, held in episodes.causes.items()} == {
        "end of the rail": [False, True, True],
        "time limit": [True, False, False],
    }
    positions = torch.tensor(
        [
            [0.1 * k for k in range(9)],
            [0.2 * min(k, 6) for k in range(9)],
            [0.3 * min(k, 4) for k in range(9)],
        ]
    ).T
    torch.testing.assert_close(episodes.field("position"), positions)
    torch.testing.assert_close(task.fitness(episodes), torch.tensor([0.8, 1.2, 1.2]))
    assert episodes.states.shape == (9, 3, 2)
    assert episodes.mask.sum(0).tolist() == [8, 6, 4]
    assert episodes.control_step == pytest.approx(0.1)


def test_what_a_policy_does_after_an_end_does_not_count(simulate: Simulate) -> None:
    task = Drift()
    sim = simulate(task.model, 3)
    episodes = play(task, sim, lambda seen: torch.full((len(seen), 1), 2.0))
    assert (episodes.actions[episodes.mask] == 2.0).all()
    assert (episodes.actions[~episodes.mask] == 0.0).all()


def test_an_episode_that_breaks_says_so(simulate: Simulate) -> None:
    task = Drift()
    task.nan_beyond = 0.3
    episodes = play(task, simulate(task.model, 2), lambda seen: no_push(len(seen)))
    assert episodes.causes["simulation diverged"].tolist() == [True, True]
    assert episodes.terminated.all()
    assert episodes.states.isfinite().all()


class Blown(Drift):
    """Its goal is where MuJoCo's own reset puts a world that blows up."""

    def make_model(self) -> mujoco.MjModel:
        return mujoco.MjModel.from_xml_string(FALLING.replace('gear="1"', 'gear="1e12"'))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        sim.field("qpos")[ids, 0] = 0.5

    def fitness(self, episode: Episodes) -> Tensor:
        return ((episode.field("position")[1:].abs() < 0.1) & episode.mask).sum(0).float()


def test_a_blow_up_in_the_first_step_is_no_success() -> None:
    task = Blown()
    episodes = play_episodes(task, MujocoSim(task.model, 2, 1), lambda seen: no_push(len(seen)) + 1.0, torch.arange(2))
    assert episodes.causes["simulation diverged"].tolist() == [True, True]
    assert episodes.length.tolist() == [1, 1]
    assert episodes.field("position")[1].tolist() == [0.5, 0.5]
    assert task.fitness(episodes).tolist() == [0.0, 0.0]


def test_a_policy_sees_each_state_and_its_actions_are_kept() -> None:
    task = load_task("hopper/run")
    seen: list[Tensor] = []

    def act(observation: Tensor) -> Tensor:
        seen.append(observation.clone())
        return 3.0 * torch.tanh(observation[:, :3])

    episodes = play_episodes(task, MujocoSim(task.model, 4, 1), act, torch.arange(4))
    for step in range(int(episodes.length.min())):
        expected = task.observation(State(task.layout, episodes.states[step]))
        assert torch.equal(seen[step], expected)
        assert torch.equal(episodes.actions[step], (3.0 * torch.tanh(expected[:, :3])).clamp(-1, 1))
    assert len(seen) == int(episodes.length.max()) < task.horizon


def test_episodes_match_the_same_worlds_stepped_by_hand() -> None:
    """The hopper falls: until then both ways of stepping give the same states."""
    task = load_task("hopper/run")
    streams = torch.tensor([11, 12])
    episodes = play_episodes(task, MujocoSim(task.model, 2, 1), lambda seen: torch.zeros(len(seen), 3), streams)
    worlds = Worlds(task, MujocoSim(task.model, 2, 2), streams)
    assert torch.equal(worlds.start(), episodes.states[0])
    for step in range(int(episodes.length.min())):
        assert torch.equal(worlds.step(torch.zeros(2, 3)).next_matrix, episodes.states[step + 1])


def fresh_starts(worlds: Worlds, steps: int) -> dict[tuple[int, int], Tensor]:
    """The state that each episode of each world began in, by the world's number and the episode's."""
    generator = torch.Generator().manual_seed(0)
    starts = {(world, 0): row for world, row in enumerate(worlds.start())}
    for _ in range(steps):
        action = 2.0 * torch.rand(len(worlds.streams), worlds.task.action_size, generator=generator) - 1.0
        step = worlds.step(action)
        for world in (step.terminated | step.truncated).nonzero().squeeze(1).tolist():
            starts[world, int(worlds.episode[world])] = worlds.matrix[world]
    return starts


def test_fresh_starts_are_the_same_on_both_simulators() -> None:
    task = load_task("hopper/run")
    task.horizon = 30  # type: ignore[misc]
    streams = torch.tensor([7, 8, 9, 10])
    on_both = [fresh_starts(Worlds(task, sim(task.model, 4), streams), 80) for sim in (on_threads, on_device)]
    threads, device = on_both
    assert threads.keys() == device.keys()
    assert len(threads) >= 4 * 3
    for key, start in threads.items():
        torch.testing.assert_close(device[key], start, rtol=0, atol=1e-6)
    assert len({tuple(start.tolist()) for start in device.values()}) == len(device)


def test_what_waits_for_a_device_is_looked_at_now_and_then() -> None:
    task = Drift()
    worlds = make_worlds(task, 2, on_device)
    task.nan_beyond = -1.0  # from now on every episode begins broken
    for _ in range(CHECK_EVERY - 1):
        worlds.step(no_push(2))
    with pytest.raises(SimulationFailed, match="drift/away began in a state that is not finite"):
        worlds.step(no_push(2))


def test_example_lives_beside_this_file() -> None:
    task = load_task("slider/park", [Path(__file__).parent / "example"])
    assert task.control_step == pytest.approx(0.05)
