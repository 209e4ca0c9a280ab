"""Trainings on a real Ray cluster of several nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rewardgen.config import Config, load
from rewardgen.errors import ClusterError
from rewardgen.search import Event, run
from rewardgen.sweep.executor import Cluster as Place
from rewardgen.sweep.executor import Finished, Job
from rewardgen.sweep.spec import Share
from tests.search import tiny
from tests.sweep.sweeps import contents

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'rewardgen[ray]')", exc_type=ImportError)

pytestmark = [
    pytest.mark.slow,
    # Ray's own: sockets and processes of its daemons that it leaves to the end of the process, and what it plans
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
KEY = "A_KEY_THAT_STAYS"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that trains nothing, and two nodes with one processor each; all that they write goes with them."""
    from ray.cluster_utils import Cluster

    quickly = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quickly}
    # a short path: Ray puts sockets there
    with tempfile.TemporaryDirectory(prefix="ray") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        made = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            made.add_node(num_cpus=1)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search as it goes without Ray."""
    folder = tmp_path_factory.mktemp("here")
    run(settings(), folder / "run", baselines=folder / "baselines")
    return folder / "run"


def settings() -> Config:
    return load(
        None,
        {
            **tiny.SEARCH,
            "seed": 0,
            "sim": "mujoco",
            "device": "cpu",
            "llm.model": "offline",
            "search.generations": 2,
            "search.candidates": 3,
            "search.racing.share": 0.5,
            "training.checkpoints": 4,
        },
    )


def test_a_search_that_loses_a_node_ends_as_one_that_was_never_disturbed(
    cluster: Any, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rewardgen.remote import RemoteTrainer
    from rewardgen.sweep.ray import RayShards, connected

    lost, said = [], []

    def listener(event: Event) -> None:
        said.append((event.kind, event.data.get("candidate"), event.data.get("seed"), event.data.get("steps")))
        if event.kind == "checkpoint" and not lost:  # both shards are under way: one waits for the other
            lost.append(cluster.list_all_nodes()[-1])
            cluster.remove_node(lost[0], allow_graceful=False)
            with pytest.MonkeyPatch.context() as patch:  # a node has its own machine's environment
                patch.delenv(KEY)
                cluster.add_node(num_cpus=1)

    monkeypatch.setenv(KEY, "secret")
    with connected(cluster.address):
        remote = partial(RemoteTrainer, RayShards(Place(cluster.address, shards=2, threads=1)))
        run(settings(), tmp_path / "there", listener=listener, baselines=tmp_path / "baselines", remote=remote)
        # the key of who runs the search is in no process of any node
        looked = ray.remote(lambda: os.environ.get(KEY)).options(num_cpus=1, scheduling_strategy="SPREAD")
        assert ray.get([looked.remote() for _ in range(4)]) == [None] * 4
    assert lost
    assert contents(tmp_path / "there") == contents(here)
    points = [each for each in said if each[0] == "checkpoint"]
    assert len(points) == len(set(points))  # what a lost node had told is not told again


def test_a_search_as_a_job_of_the_executor(cluster: Any, here: Path, tmp_path: Path) -> None:
    from rewardgen.sweep.ray import RayExecutor

    executor = RayExecutor(Share(threads=1), cluster.address, wanted=2)
    assert executor.slots == 2 and executor.threads == 1 and "2 searches at once" in executor.describe()
    waiting = [Job("arm/cartpole/seed0", "search", settings(), tmp_path / "run", tmp_path / "baselines")]
    ended: list[Finished] = []
    ended.extend(executor.run(lambda: waiting.pop(0) if waiting else None, lambda job, event: None))
    assert [(each.error, each.message) for each in ended] == [("", "")]
    assert contents(tmp_path / "run") == contents(here)


def test_what_fails_on_a_node_is_said_here(cluster: Any) -> None:
    from dataclasses import replace

    from rewardgen.records import RewardProgram
    from rewardgen.remote import order_for
    from rewardgen.sweep.ray import RayShards, connected
    from rewardgen.tasks import load_task
    from rewardgen.training import TrainingSpec, Watcher

    specs = [TrainingSpec("a", 1, RewardProgram("def compute_reward(): pass"))]
    order = order_for(settings(), specs, (), episodes=False)
    with connected(cluster.address):
        shards = RayShards(Place(cluster.address, shards=1, threads=1))
        failed = shards.run(order, load_task("cartpole/swingup"), Watcher()).results[0]
        assert failed.status == "failed" and failed.message
        with pytest.raises(ClusterError, match="on a worker node: this node has other versions"):
            shards.run(replace(order, versions={"torch": "0.1"}), load_task("cartpole/swingup"), Watcher())


def test_no_cluster_is_an_error_that_says_so() -> None:
    from rewardgen.sweep.ray import RayExecutor

    with pytest.raises(ClusterError, match=r"refused.*ray start"):
        RayExecutor(Share(), "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"HOST:PORT"):
        RayExecutor(Share(), "ray://127.0.0.1:1")
