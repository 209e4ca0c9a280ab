"""Trainings in shards, without a cluster: the same to the last bit, checked on their way back, and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rewardgen.config import Config, CreditConfig, load
from rewardgen.errors import ClusterError
from rewardgen.records import Episodes, Form, RewardProgram, TrainingResult
from rewardgen.remote import ShardMember, ShardOrder, ShardResult, carry_out, order_for, received, sent
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.tasks import load_task
from rewardgen.training import Member, TrainingSpec, credit_of, label_rows, task_rewards, train
from rewardgen.training.episodes import Collector, trajectory
from tests.search import tiny

UPRIGHT = """def compute_reward(state, action, next_state):
    up = torch.cos(next_state.joint_angles[:, 0])
    return up, {"up": up}
"""
NEAR = """def compute_reward(state, action, next_state):
    gap = (next_state.fingertip_position - next_state.target_position).norm(dim=-1)
    return -gap, {"near": torch.exp(-gap / 0.1), "speed": next_state.joint_velocities.norm(dim=-1)}
"""
CRASHES = """def compute_reward(state, action, next_state):
    up = torch.cos(next_state.joint_angles[:, 0])
    return up[:1], {"up": up}
"""
SECRET = "a-private-host"


@pytest.fixture(scope="module")
def config() -> Config:
    return load(
        None,
        {
            **tiny.TRAINING,
            "task": "reacher/reach",
            "threads": 1,
            "sim": "mujoco",
            "device": "cpu",
            "llm.base_url": f"https://{SECRET}.example.org/v1",
            "llm.key_variable": "A_KEY_OF_MINE",
        },
    )


@pytest.fixture(scope="module")
def order(config: Config) -> ShardOrder:
    task = load_task(config.task)
    rewards = {"a": RewardProgram(UPRIGHT), "b": RewardProgram(CRASHES), "final/expert": task_rewards(task)["expert"]}
    members = [TrainingSpec(key, seed, reward) for key, reward in rewards.items() for seed in (1, 2)]
    return order_for(config, members, (), episodes=True)


@pytest.fixture(scope="module")
def whole(order: ShardOrder) -> ShardResult:
    return carry_out(order)


def timeless(results: tuple[TrainingResult, ...]) -> list[TrainingResult]:
    return [replace(result, seconds=0.0) for result in results]


def test_shards_come_to_what_the_whole_comes_to(order: ShardOrder, whole: ShardResult) -> None:
    parts = [carry_out(part) for part in order.split(2)]
    assert repr(timeless(sum((part.results for part in parts), ()))) == repr(timeless(whole.results))  # NaN is not NaN
    assert [result.weights for part in parts for result in part.results] == [r.weights for r in whole.results]
    assert [r.status for r in whole.results] == ["done", "done", "failed", "failed", "done", "done"]
    mine, theirs = [e for part in parts for e in part.episodes], whole.episodes
    assert [len(each) for each in mine] == [len(each) for each in theirs] == [2, 2, 0, 0, 2, 2]
    for one, other in zip(mine[0] + mine[4], theirs[0] + theirs[4], strict=True):
        assert torch.equal(one.states, other.states) and one.fitness == other.fitness


def test_members_of_one_reward_stay_together(order: ShardOrder) -> None:
    for shards, sizes in ((1, [6]), (2, [4, 2]), (3, [2, 2, 2]), (9, [2, 2, 2])):
        parts = order.split(shards)
        assert [len(part.members) for part in parts] == sizes
        assert sum((part.members for part in parts), ()) == order.members


def test_an_order_holds_no_secret(order: ShardOrder) -> None:
    text = repr(order)
    assert SECRET not in text and "A_KEY_OF_MINE" not in text and "llm" not in order.config
    json.dumps(order.config)  # plain values
    assert order.members[-1] == ShardMember("final/expert", 2, "expert")


def test_what_comes_back_is_what_was_sent(order: ShardOrder, whole: ShardResult, config: Config) -> None:
    came = received(order, sent(whole), load_task(config.task), config)
    assert sent(came) == sent(whole)  # names of components come back sorted, as the store has them
    assert [len(each) for each in came.episodes] == [len(each) for each in whole.episodes]


@pytest.mark.parametrize("damage", ["members", "weights", "text", "status", "count", "episodes", "nothing"])
def test_what_was_not_ordered_is_refused(order: ShardOrder, whole: ShardResult, config: Config, damage: str) -> None:
    document = sent(whole)
    if damage == "members":
        document["results"][0] = document["results"][1]
    elif damage == "weights":
        document["weights"][0] = document["weights"][0][:-8]
    elif damage == "text":
        document["results"][0] = "not JSON"
    elif damage == "status":
        document["results"][0] = document["results"][0].replace('"done"', '"splendid"')
    elif damage == "count":
        document["results"] = document["results"][:-1]
    elif damage == "episodes":
        document["episodes"][0] = b"\x80\x04N."  # a pickle
    else:
        document = {}
    with pytest.raises(ClusterError, match="not what was ordered"):
        received(order, document, load_task(config.task), config)


def test_other_versions_are_refused(order: ShardOrder) -> None:
    with pytest.raises(ClusterError, match="torch .* here, 0.1 there"):
        carry_out(replace(order, versions={**order.versions, "torch": "0.1"}))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["progress", "factors"])
def test_the_form_of_programs_and_their_credit_travel(config: Config, form: Form) -> None:
    """A shard comes to what a training here comes to, bit for bit, and credit is what makes it differ from a reward."""
    training = config.training.model_copy(update={"keep": "last"})
    config = config.model_copy(update={"training": training})
    chosen = config.model_copy(update={"credit": CreditConfig(bins=7, count_weight=0.5, decoder_steps=3)})
    task, program = load_task(config.task), RewardProgram(NEAR)
    own = task_rewards(task)["sparse"]
    wanted = [
        TrainingSpec("a", 1, program),
        TrainingSpec("a", 2, program),
        TrainingSpec("final/sparse", 1, own),
    ]
    came = carry_out(order_for(chosen, wanted, (), episodes=False, form=form))
    with Sandbox(SandboxLimits(5.0, 60.0, 4.0), "basic") as sandbox:
        worker = sandbox.open(program, task.layout, task.action_size, label_rows(training, 2))
        credit = credit_of(form, chosen.credit)
        members = [Member("a", 1, worker, credit), Member("a", 2, worker, credit), Member("final/sparse", 1, own)]
        here = train(task, members, training, threads=1)
        worker.close()
    assert repr(timeless(came.results)) == repr(timeless(tuple(here)))
    assert [result.weights for result in came.results] == [result.weights for result in here]
    assert [result.status for result in here] == ["done"] * 3
    for changed in (order_for(chosen, wanted, (), False), order_for(config, wanted, (), False, form)):
        assert carry_out(changed).results[0].weights != here[0].weights  # form and credit both matter


@pytest.mark.slow
def test_task_files_travel_and_stay_in_their_folder(tmp_path: Path, config: Config) -> None:
    own = Path(__file__).parents[1] / "tasks" / "example"
    settings = config.model_copy(update={"task": "slider/park"})
    expert = task_rewards(load_task("slider/park", [own]))["expert"]
    packed = order_for(settings, [TrainingSpec("expert", 1, expert)], [own], False)
    assert "my_tasks.py" in packed.envs[0]
    assert carry_out(packed).results[0].status == "done"
    with pytest.raises(ClusterError, match="outside of its folder"):
        carry_out(replace(packed, envs=({"../evil.py": b""},)))


def test_which_episode_is_kept_does_not_depend_on_who_trains_beside() -> None:
    task = load_task("cartpole/swingup")
    width = task.layout.width
    played = Episodes(
        layout=task.layout,
        states=torch.zeros(3, 2, width),
        actions=torch.zeros(2, 2, 1),
        length=torch.tensor([2, 2]),
        terminated=torch.zeros(2, dtype=torch.bool),
        control_step=task.control_step,
    )
    fitness = torch.tensor([1.0, 2.0])
    alone, beside = Collector("alone", 8), Collector("beside", 8)
    for _ in range(3):
        alone.take("a", 1, played, fitness)
        beside.take("b", 1, played, fitness)
        beside.take("a", 1, played, fitness)
    kept = [item.fitness for item in alone._kept]
    assert kept == [item.fitness for item in beside._kept][1::2]
    assert set(kept) == {trajectory(played, fitness, n).fitness for n in (0, 1)}  # another each time
