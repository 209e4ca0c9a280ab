"""Weights files: what is written is what is read, and nothing else is read."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import load, save

from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.tasks import Task
from rewardgen.training import Population


@pytest.fixture
def population(task: Task, config: TrainingConfig) -> Population:
    made = Population.fresh(task, config, [torch.Generator().manual_seed(k) for k in range(3)])
    made.parameters.mean_weight.mul_(3000.0)  # actions that reach the ends of their range
    made.scale.update(torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(1)))
    return made


def observations() -> torch.Tensor:
    return torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(2))


def test_a_round_trip_acts_the_same(task: Task, population: Population) -> None:
    blobs = [population.weights(k) for k in (2, 0, 1)]
    back = Population.from_weights(blobs, task)
    acted = population.act(observations())
    torch.testing.assert_close(back.act(observations()[[2, 0, 1]]), acted[[2, 0, 1]], rtol=1e-6, atol=1e-6)
    assert [back.weights(k) for k in range(3)] == blobs


def test_the_file_says_what_it_is(population: Population) -> None:
    data = population.weights(0)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    about = json.loads(header["__metadata__"]["rewardgen_policy"])
    assert about["task"] == "test/point"
    assert about["hidden"] == [16, 16]
    # several entries would be written in an order that changes from one process to the next
    assert len(header["__metadata__"]) == 1


def test_actions_are_in_actuator_units_and_range_in_both_forms(task: Task, population: Population) -> None:
    acted = population.act(observations())
    assert acted.shape == (3, 6, 1)
    torch.testing.assert_close(population.act(observations().view(18, 2)), acted.view(18, 1))
    assert acted.min() == -1.0
    assert acted.max() == 3.0


def test_a_file_is_enough_to_rebuild_the_policy_with_plain_torch(population: Population) -> None:
    tensors = load(population.weights(1))
    seen = (observations()[1] - tensors["observation.mean"]) / torch.sqrt(tensors["observation.variance"] + 1e-8)
    flow = seen.clamp(-10, 10)
    for i in range(2):
        flow = torch.tanh(torch.nn.functional.linear(flow, tensors[f"policy.{i}.weight"], tensors[f"policy.{i}.bias"]))
    raw = torch.nn.functional.linear(flow, tensors["policy.mean.weight"], tensors["policy.mean.bias"])
    command = (tensors["action.centre"] + tensors["action.half_range"] * raw).clamp(-1.0, 3.0)
    torch.testing.assert_close(population.act(observations())[1], command, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"\xff" * 64, pickle.dumps({"a": 1})], ids=["empty", "text", "ones", "pickle"]
)
def test_bytes_that_are_no_weights_are_refused(task: Task, data: bytes) -> None:
    with pytest.raises(UsageError, match="no policy"):
        Population.from_weights([data], task)


def test_a_torn_file_is_refused(task: Task, population: Population) -> None:
    with pytest.raises(UsageError, match="no policy"):
        Population.from_weights([population.weights(0)[:-10]], task)


def test_no_file_at_all_is_refused(task: Task) -> None:
    with pytest.raises(UsageError, match="at least one"):
        Population.from_weights([], task)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("policy.0.weight", None, "lacks.*policy.0.weight|no arrays policy.0.weight"),
        ("value.out.bias", None, "lacks.*value.out.bias"),
        ("policy.7.extra", torch.zeros(2), "policy.7.extra"),
        ("policy.1.bias", torch.zeros(3), "policy.1.bias must be float32 of shape"),
        ("policy.mean.bias", torch.zeros(1, dtype=torch.float64), "policy.mean.bias must be float32"),
        ("value.0.bias", torch.full((16,), float("nan")), "value.0.bias holds a NaN"),
    ],
)
def test_arrays_that_are_not_a_policys_are_refused(
    task: Task, population: Population, name: str, value: torch.Tensor | None, said: str
) -> None:
    tensors = load(population.weights(0))
    tensors.pop(name, None)
    if value is not None:
        tensors[name] = value
    with pytest.raises(UsageError, match=said):
        Population.from_weights([save(tensors)], task)


def test_a_policy_of_another_size_is_refused(task: Task, population: Population, config: TrainingConfig) -> None:
    other = Population(task, 1, (8,))
    with pytest.raises(UsageError, match="weights file 1 has"):
        Population.from_weights([population.weights(0), other.weights(0)], task)
    with pytest.raises(UsageError, match="weights file 0 has"):
        Population.from_weights([other.weights(0)], task, config)


def test_no_hidden_layers_is_refused(task: Task) -> None:
    with pytest.raises(UsageError, match="hidden"):
        Population(task, 1, ())
