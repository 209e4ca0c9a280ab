"""What is written for cards, run on the processor that pretends to be one; and no tensor made on a wrong device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import SimulationFailed
from rewardgen.records import Labels
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds
from rewardgen.training import Member, TaskReward, devices, train
from rewardgen.training.advantages import advantages, standardise
from rewardgen.training.labelling import Labelling
from rewardgen.training.networks import Body, Shape, zeros
from rewardgen.training.normalise import RewardScale, RunningMoments
from rewardgen.training.population import Population
from rewardgen.training.ppo import Columns, clip_gradients, loss_gradient
from rewardgen.training.rollout import Rollout

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def as_if_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "on_card", lambda device: True)


@pytest.fixture
def as_if_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "apart", lambda source, target: True)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


# ---- batched operations against those that take one member at a time


def test_batched_moments_are_those_of_each_member(monkeypatch: pytest.MonkeyPatch) -> None:
    each, batched = RunningMoments(3, 2), RunningMoments(3, 2)
    for seed in range(3):
        rows = 3.0 + drawn(3, 500, 2, seed=seed)
        each.update(rows)
        with monkeypatch.context() as pretended:
            pretended.setattr(devices, "on_card", lambda device: True)
            batched.update(rows)
    torch.testing.assert_close(batched.mean, each.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(batched.variance, each.variance, rtol=1e-5, atol=1e-6)
    assert batched.count == each.count == 1500


def test_batched_standardising_is_that_of_each_member(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 5.0 + 2.0 * drawn(3, 8, 16)
    expected = standardise(values)
    monkeypatch.setattr(devices, "on_card", lambda device: True)
    torch.testing.assert_close(standardise(values), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("as_if_on_a_card")
def test_permutations_are_orders_that_depend_on_their_own_generator_alone() -> None:
    def orders(seeds: list[int]) -> Tensor:
        return devices.permutations(100, [Generator().manual_seed(seed) for seed in seeds], CPU)

    found = orders([1, 2, 3])
    assert torch.equal(found.sort(1).values, torch.arange(100).expand(3, 100))
    assert not torch.equal(found[0], found[1])
    assert torch.equal(orders([3])[0], found[2])
    own = [Generator().manual_seed(1)]
    assert not torch.equal(devices.permutations(100, own, CPU), devices.permutations(100, own, CPU))


def test_valuing_all_that_steps_led_to_gives_what_valuing_the_truncated_gives(
    task: Task, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    population = Population.fresh(task, config, [Generator().manual_seed(k) for k in range(2)])
    worlds = Worlds(task, MujocoSim(task.model, 2 * config.worlds, 1), torch.arange(2 * config.worlds))
    worlds.start()
    config = config.model_copy(update={"rollout": 30})  # episodes end after 20 steps at the latest
    rollout = Rollout(population, worlds, config, [Generator().manual_seed(9 + k) for k in range(2)])
    rollout.collect(30)
    values, following = rollout.values()
    monkeypatch.setattr(devices, "on_card", lambda device: True)
    values_at_once, following_at_once = rollout.values()
    assert (rollout.ended & ~rollout.terminated).any()
    torch.testing.assert_close(values_at_once, values)
    counts = ~rollout.terminated  # a terminated step's next value is never used
    torch.testing.assert_close(following_at_once[counts], following[counts], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("as_if_on_a_card")
def test_the_batched_training_learns_too(task: Task, config: TrainingConfig, member: Callable[[int], Member]) -> None:
    config = config.model_copy(
        update={"steps": 16_000, "epochs": 5, "checkpoints": 4, "checkpoint_episodes": 16, "score_episodes": 0}
    )
    for result in train(task, [member(0), member(1)], config, threads=2):
        assert result.score > -0.3  # doing nothing scores about -0.5


# ---- copies between devices


@pytest.mark.usefixtures("as_if_apart")
def test_copies_change_nothing(
    task: Task,
    config: TrainingConfig,
    counted_reward: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bit for bit the training without them, rewards of this process and others, with a failure among them."""

    def fail() -> Labels:
        return Labels(torch.full((256,), torch.nan), torch.zeros(256, 1), ("near",))

    def members() -> list[Member]:
        trusted = TaskReward(task.expert_reward, task.layout)
        others = [counted_reward(), counted_reward(2, fail)]
        return [Member("expert", 0, trusted), *(Member(f"c{k}", k, reward) for k, reward in enumerate(others))]  # type: ignore[arg-type]

    # rollouts of 15 and 16 steps, so that the buffers are used in part
    config = config.model_copy(update={"steps": 16 * 47})
    copied = train(task, members(), config)
    monkeypatch.undo()
    plain = train(task, members(), config)
    assert [result.status for result in plain] == ["done", "done", "failed"]
    for mine, theirs in zip(copied, plain, strict=True):
        assert (mine.status, mine.weights, mine.curve) == (theirs.status, theirs.weights, theirs.curve)


@pytest.mark.usefixtures("as_if_apart")
def test_a_crossing_has_a_buffer_for_each_shape_and_dtype_survives() -> None:
    crossing = devices.Crossing(CPU, CPU)
    first = crossing(torch.arange(6).view(2, 3))
    assert torch.equal(first, torch.arange(6).view(2, 3))
    second = crossing(torch.arange(6, 12).view(2, 3))
    assert second.data_ptr() == first.data_ptr()
    assert torch.equal(crossing(torch.ones(4)), torch.ones(4))
    assert torch.equal(second, torch.arange(6, 12).view(2, 3))


def test_a_crossing_to_another_device_arrives_there() -> None:
    assert devices.Crossing(CPU, META)(torch.ones(3)).device == META
    same = torch.ones(3)
    assert devices.Crossing(CPU, CPU)(same) is same


@pytest.mark.usefixtures("as_if_apart")
def test_rewards_of_other_processes_are_asked_for_after_the_copying(counted_reward: Callable[..., object]) -> None:
    other = counted_reward()
    labelling = Labelling([Member("other", 0, other), Member("other", 1, other)], 8)  # type: ignore[arg-type]
    states, actions = drawn(2, 8, 2), drawn(2, 8, 1, seed=1)
    labelling.submit(states, actions, states, [True, True])
    assert other.calls == []  # type: ignore[attr-defined]
    rewards = torch.empty(2, 8)
    assert labelling.collect(rewards) == {}
    assert other.calls == [16]  # type: ignore[attr-defined]
    torch.testing.assert_close(rewards, -states[..., 0].abs())


# ---- tensors made on a wrong device: meta tensors refuse to meet others


def test_an_update_is_made_where_the_parameters_are(config: TrainingConfig) -> None:
    shape = Shape(3, 2, (8, 8))
    parameters, gradient = zeros(shape, 2, META), zeros(shape, 2, META)
    rows = torch.empty(2, 16, Columns(shape).width, device=META)
    loss_gradient(Body(parameters, 16), parameters, gradient, rows, config)
    assert clip_gradients(gradient, 0.5).device == META


def test_policies_and_statistics_are_where_they_are_told_to_be(task: Task, config: TrainingConfig) -> None:
    population = Population(task, 2, config.hidden, META)
    assert population.act(torch.empty(2, 4, 2, device=META)).device == META
    population.scale.update(torch.empty(2, 4, 2, device=META))
    flags = torch.empty(2, 4, 3, dtype=torch.bool, device=META)
    rewards = torch.empty(2, 4, 3, device=META)
    scaled = RewardScale(2, 3, 0.99, META)(rewards, flags)
    gained = advantages(scaled, rewards, rewards, flags, flags, 0.99, 0.95)
    assert standardise(gained).device == META


def test_policies_answer_where_they_are_asked(task: Task, config: TrainingConfig) -> None:
    population = Population.fresh(task, config, [Generator().manual_seed(0)])
    assert population.act(torch.zeros(1, 4, 2)).device == CPU


# ---- memory that runs out


def test_an_error_is_known_by_what_it_says_and_by_what_led_to_it() -> None:
    assert devices.out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert devices.out_of_memory(MemoryError())
    assert devices.out_of_memory(RuntimeError("Failed to allocate 64 bytes on device 'cuda:0'"))
    assert not devices.out_of_memory(RuntimeError("a shape is wrong"))
    assert not devices.out_of_memory(ValueError("failed to allocate"))
    told = SimulationFailed("the worlds could not be made")
    told.__cause__ = RuntimeError("Failed to allocate 64 bytes on device 'cuda:0'")
    assert devices.out_of_memory(told)


def test_the_processors_memory_is_no_matter() -> None:
    assert devices.memory_available(CPU) is None
    devices.release_memory(CPU)
    devices.synchronise(CPU)
