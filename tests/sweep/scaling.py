"""What a Ray cluster gives and takes: ``python -m tests.sweep.scaling [--searches N] [--steps N]``.

The same small sweep on this machine without Ray, on a local cluster with one worker of one processor, with two, and
with two of which one is killed on the way: how many searches an hour, whether all come to the same stores, and what the
head needs for a search. Then what travels, by size, and how fast the mailbox and the store take it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.cluster_utils import Cluster

from rewardgen.config import Config
from rewardgen.records import Checkpoint, RewardProgram, TrainingResult
from rewardgen.remote import carry_out, order_for, sent
from rewardgen.search import Event
from rewardgen.store import Store
from rewardgen.store.database import to_json
from rewardgen.sweep import Executor, Job, LocalExecutor, Plan, Share, make_plan, rates_of, run_sweep
from rewardgen.sweep.mailbox import Mailbox
from rewardgen.sweep.ray import RayExecutor
from rewardgen.training import TrainingSpec, Watcher
from tests.sweep.specs import written
from tests.sweep.sweeps import contents

SPEC = """
tasks: [cartpole/swingup]
seeds: {searches}
settings:
  llm.model: offline
  search: {{generations: 1, candidates: 4}}
  training: {{steps: {steps}}}
  evaluation: {{report_seeds: 2}}
"""
REWARD = RewardProgram("""def compute_reward(state, action, next_state):
    up = torch.cos(next_state.pole_angle)
    return up, {"up": up}
""")
MESSAGES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=4)
    parser.add_argument("--steps", type=int, default=40_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray") as name:
        os.environ["RAY_TMPDIR"] = name  # Ray puts sockets there: a short path
        folder = Path(name)
        spec = written(folder, SPEC.format(searches=given.searches, steps=given.steps))
        baselines = folder / "baselines"
        # the first sweep measures the baselines; the others find them, so all are timed without
        swept(make_plan(spec, folder / "first"), LocalExecutor(Share(threads=1), wanted=2), baselines)
        plan = make_plan(spec, folder / "local")
        told(
            "without Ray, 2 at once", swept(plan, LocalExecutor(Share(threads=1), wanted=2), baselines), given.searches
        )
        expected = contents(plan.folder)
        for title, workers, lose in (("1 worker", 1, False), ("2 workers", 2, False), ("2 workers, one lost", 2, True)):
            with cluster(workers) as made:
                plan = make_plan(spec, folder / title.replace(" ", "-"))
                executor = RayExecutor(Share(threads=1), made.address, jobs=workers, shards=1)
                watch = losing(made) if lose else None
                told(title, swept(plan, executor, baselines, watch), given.searches)
                print(f"    the same stores: {contents(plan.folder) == expected}", flush=True)
        config = make_plan(spec, folder / "sizes").searches[0].config
        travelling(config.model_copy(update={"threads": 1, "sim": "mujoco", "device": "cpu"}), folder)


# ---- searches an hour


def swept(
    plan: Plan, executor: Executor, baselines: Path, watch: Callable[[Job | None, Event], None] | None = None
) -> tuple[float, float]:
    """Seconds by the clock, and processor seconds of the searches' own processes."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = run_sweep(
        plan,
        executor,
        baselines=baselines,
        rates=rates_of(plan, plan.folder),
        threads=1,
        watch=watch or (lambda job, event: None),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert all(each.status == "finished" for each in ended), ended
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, used


def told(title: str, took: tuple[float, float], searches: int) -> None:
    print(
        f"{title}: {took[0]:.0f} s, {3600 * searches / took[0]:.0f} searches an hour; processes of the searches on the "
        f"head used {took[1] / searches:.1f} s of a processor each",
        flush=True,
    )


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A head that trains nothing, and ``workers`` nodes of one processor."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(workers):
            made.add_node(num_cpus=1)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def losing(made: Any) -> Callable[[Job | None, Event], None]:
    """A watch that kills a node in the middle of a training, and adds another."""
    lost: list[Any] = []

    def watch(job: Job | None, event: Event) -> None:
        if event.kind == "training_progress" and not lost:
            lost.append(made.list_all_nodes()[-1])
            made.remove_node(lost[0], allow_graceful=False)
            print("    a node is killed", flush=True)
            made.add_node(num_cpus=1)

    return watch


# ---- what travels


def travelling(config: Config, folder: Path) -> None:
    order = order_for(config, [TrainingSpec(f"r0g0c{n}", 1, REWARD) for n in range(4)], (), episodes=True)
    said: list[tuple[str, int]] = []

    class Measured(Watcher):
        races = True

        def progress(self, steps: int) -> None:
            said.append(("progress", len(cloudpickle.dumps({"steps": steps}))))

        def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
            said.append(("checkpoint", len(to_json(point, Checkpoint))))

        def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
            said.append(("report to the race", plain(results)))
            return {}

    came = carry_out(order, Measured())
    print(f"an order of 4 members: {len(cloudpickle.dumps(order)):,} bytes")
    for kind in dict.fromkeys(kind for kind, _ in said):
        sizes = [size for each, size in said if each == kind]
        print(f"{kind}: {len(sizes)} messages, {statistics.mean(sizes):,.0f} bytes each")
    document = sent(came)
    for part, values in document.items():
        print(f"{part} of a member: {statistics.mean(map(len, values)):,.0f} bytes")
    print(f"what comes back in all: {len(cloudpickle.dumps(document)):,} bytes")
    with Store(folder / "store", new=True) as store:
        began = time.monotonic()
        for number, result in enumerate(came.results * 50):
            store.add_trainings([(f"r0g{number}c0", result)])
        print(f"store: {len(came.results) * 50 / (time.monotonic() - began):,.0f} trainings a second")
    with cluster(1) as made:
        ray.init(made.address, log_to_driver=False, configure_logging=False)
        mailbox = ray.remote(Mailbox).options(num_cpus=0).remote()
        size = next(size for kind, size in said if kind == "checkpoint")
        message = {"kind": "checkpoint", "shard": 0, "point": "x" * size}
        ray.get(mailbox.tell.remote(message))
        began = time.monotonic()
        ray.get([mailbox.tell.remote(message) for _ in range(MESSAGES)])
        print(f"a mailbox: {MESSAGES / (time.monotonic() - began):,.0f} messages a second", flush=True)


def plain(results: Sequence[TrainingResult]) -> int:
    """Bytes of a report to the judge."""
    return len(to_json([replace(result, weights=None) for result in results], list[TrainingResult]))


if __name__ == "__main__":
    main()
