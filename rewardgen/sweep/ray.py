"""Trainings on a Ray cluster: the head node runs the searches and their stores, every node trains what it is sent.

    executor = RayExecutor(share, address="auto", wanted=len(plan.searches))

Each search's loop is a process on the head node, as on one machine: it alone requests programs, screens, selects and
writes its store. Its trainings are sent out: a generation is cut into shards, each a Ray task with its share of CPUs
and GPUs, which runs the programs in that node's sandbox and reports through the search's mailbox, an actor on the head
node. Ray restarts a shard whose node is lost, from the beginning: it asks again which members stop, and the mailbox
returns the answers that were given before. Its results are stored once, when it ends.
"""

from __future__ import annotations

import math
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rewardgen.config import Config
from rewardgen.errors import ClusterError, MissingPackage, RewardgenError
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.remote import ShardOrder, ShardResult, carry_out, received, sent
from rewardgen.store.database import from_json, to_json
from rewardgen.sweep import mailbox as mailboxes
from rewardgen.sweep.executor import Cluster, Finished, Job, OnEvent, Take
from rewardgen.sweep.local import LocalExecutor
from rewardgen.sweep.mailbox import Mailbox
from rewardgen.sweep.spec import Share
from rewardgen.tasks import Task
from rewardgen.training import Watcher

try:
    import ray
    from ray import cloudpickle
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as missing:
    raise MissingPackage(
        "the executor ray needs Ray, which is not installed", "pip install 'rewardgen[ray]'"
    ) from missing

cloudpickle.register_pickle_by_value(mailboxes)

RETRIES = 10
"""Max. restarts of a shard after its node or process was lost."""
MAX_THREADS = 8
"""Max. CPUs of a shard if no number is given: small models gain little from more."""
PATIENCE = 1.0
"""Seconds between two checks for Ctrl-C, and between two progress reports of a shard."""

ANSWER_SECONDS = 10.0
"""Seconds within which a cluster must answer."""


class RayExecutor:
    """Runs searches whose trainings run on a Ray cluster.

    Args:
        share: the resources of each shard: ``threads`` CPUs and, if a search uses GPUs, ``gpus`` of one.
        address: of the cluster, as ``ray.init`` takes it; "auto" is the cluster that this machine belongs to.
        jobs: number of concurrent searches; None: as many as keep all CPUs busy.
        shards: parts into which a generation is cut; None: each search's part of the CPUs.
        wanted: number of searches to expect.

    Raises:
        ClusterError: there is no cluster at ``address``.
    """

    def __init__(
        self,
        share: Share,
        address: str = "auto",
        jobs: int | None = None,
        shards: int | None = None,
        wanted: int = 1,
    ) -> None:
        # Look at the nodes
        with connected(address):
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        if not cpus:
            raise ClusterError(f"the Ray cluster at {address} has no CPUs; start nodes with `ray start`")
        # How many shards fit on them?
        self._threads = share.threads or min(MAX_THREADS, *cpus)
        capacity = sum(count // self._threads for count in cpus)
        if not capacity:
            raise ClusterError(f"share.threads is {self._threads}, but the largest node has {max(cpus)} CPUs; lower it")
        # Divide them among the searches
        self._slots = jobs if jobs is not None else max(1, min(wanted, capacity))
        gpus = sum(node.get("GPU", 0.0) for node in nodes)
        # A GPU takes a whole generation at once, and a shard that waits for others would keep its GPU from them
        self._shards = shards or (1 if gpus else max(1, capacity // self._slots))
        self._cluster = Cluster(address, self._shards, self._threads, share.gpus if gpus else 0.0)
        self._description = f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'} with {sum(cpus)} CPUs"
        # On the head node, a loop mostly waits
        self._loops = LocalExecutor(share.model_copy(update={"threads": 1, "gpus": 0.0}), jobs=self._slots)

    @property
    def slots(self) -> int:
        """Number of concurrent searches."""
        return self._slots

    @property
    def threads(self) -> int:
        """CPUs of each shard."""
        return self._threads

    def describe(self) -> str:
        """Return how searches run, in one line."""
        searches = "one search at a time" if self._slots == 1 else f"{self._slots} searches at once"
        shards = "whole" if self._shards == 1 else f"in {self._shards} shards"
        return f"on a Ray cluster of {self._description}, {searches}, generations {shards} on {self._threads} CPUs each"

    def run(self, take: Take, on_event: OnEvent) -> Iterator[Finished]:
        """See ``Executor.run``."""

        def take_for_cluster() -> Job | None:
            """Return the next job, with the cluster that it trains on."""
            job = take()
            if job is None:
                return None
            threads = job.config.threads or self._threads
            config = job.config.model_copy(update={"threads": threads})
            return replace(job, config=config, cluster=replace(self._cluster, threads=threads))

        yield from self._loops.run(take_for_cluster, on_event)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to the cluster at ``address``; disconnect at the end unless the connection was there before.

    Raises:
        ClusterError: there is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        _check_reachable(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"there is no Ray cluster at {address} ({error}); start one with `ray start --head`, or give its --address"
        ) from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray replaces the handler by one that exits at once
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Check that something listens at HOST:PORT: without it, Ray would try for minutes.

    Raises:
        OSError: nothing does.
        ValueError: it is not a cluster's address.
    """
    if address.startswith("ray://"):
        raise ValueError("this is an address of Ray Client: give the cluster's own, HOST:PORT")
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()


class RayShards:
    """A ``remote.ShardRunner`` for one search; to be used while ``connected``."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self, order: ShardOrder, task: Task, watcher: Watcher) -> ShardResult:
        """See ``remote.ShardRunner``."""
        # Start the mailbox on this node, and one task per shard
        shards = order.split(self._cluster.shards)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here, max_concurrency=1000).remote()
        head = _Head(order, shards, watcher)
        wants_gpu = str(order.config["device"]).startswith("cuda")
        work = ray.remote(_train_shard).options(
            num_cpus=order.config["threads"] or self._cluster.threads,
            num_gpus=self._cluster.gpus if wants_gpu else 0,
            max_retries=RETRIES,
        )
        running = {work.remote(shard, number, watcher.races, mailbox): number for number, shard in enumerate(shards)}
        # Wait for the results; leave nothing running if that fails
        try:
            return head.until_all_ended(running, mailbox, task)
        except RayError as error:
            raise ClusterError(f"the Ray cluster gave up on a training: {_first_line(error)}") from error
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.kill(mailbox)


class _Head:
    """The head node's side of one order: receives the shards' reports, answers them, and joins their results."""

    def __init__(self, order: ShardOrder, shards: Sequence[ShardOrder], watcher: Watcher) -> None:
        self._order, self._shards, self._watcher = order, shards, watcher
        self._config = Config.model_validate(order.config)
        self._steps = [0] * len(shards)
        self._reported: set[tuple[str, int, int]] = set()
        self._reports: dict[int, dict[int, list[TrainingResult]]] = {}
        self._decided: set[int] = set()
        self._ended: dict[int, ShardResult] = {}

    def until_all_ended(self, running: dict[Any, int], mailbox: Any, task: Task) -> ShardResult:
        """Follow the shards until all of them have ended; return their results together."""
        post = mailbox.next.remote()
        while running:
            ready, _ = ray.wait([post, *running], num_returns=1, timeout=PATIENCE)
            for reference in ready:
                # Reports, or the end of a shard
                if reference == post:
                    for document in ray.get(post):
                        self._receive(document)
                    post = mailbox.next.remote()
                    continue
                number = running.pop(reference)
                document = ray.get(reference)
                if "error" in document:
                    raise _raised(document)
                self._ended[number] = received(self._shards[number], document, task, self._config)
            self._decide(mailbox)
        return self._joined()

    def _receive(self, document: Mapping[str, Any]) -> None:
        """Pass a shard's report on to the watcher."""
        number = int(document["shard"])
        if document["kind"] == "progress":
            self._steps[number] = max(self._steps[number], int(document["steps"]))
            self._watcher.progress(sum(self._steps))
        elif document["kind"] == "checkpoint":
            key, seed, point = document["key"], int(document["seed"]), from_json(document["point"], Checkpoint)
            if (key, seed, point.steps) not in self._reported:  # a restarted shard repeats its checkpoints
                self._reported.add((key, seed, point.steps))
                self._watcher.checkpoint(key, seed, point)
        elif document["kind"] == "report":
            results = from_json(document["results"], list[TrainingResult])
            self._reports.setdefault(int(document["steps"]), {})[number] = results
        elif document["kind"] == "note":
            self._watcher.note(str(document["text"])[:1000])

    def _decide(self, mailbox: Any) -> None:
        """Decide the race wherever all shards have reached the same steps, or their end."""
        for steps in sorted(self._reports.keys() - self._decided):
            reported = self._reports[steps]
            if not self._watcher.races or len(reported.keys() | self._ended.keys()) < len(self._shards):
                continue
            # Join the reports in the order of the members, as in a training without shards
            self._decided.add(steps)
            results, capacity = [], []
            for number in range(len(self._shards)):
                own = reported.get(number) or list(self._ended[number].results)
                capacity += [(number, index) for index in range(len(own))]
                results += own
            order = {(m.key, m.seed): place for place, m in enumerate(self._order.members)}
            sorted_ = sorted(range(len(results)), key=lambda i: order[results[i].key, results[i].seed])
            # Decide, and send each shard the part that concerns it
            reasons = self._watcher.stop(steps, [results[i] for i in sorted_])
            verdicts: dict[int, dict[int, str]] = {number: {} for number in range(len(self._shards))}
            for place, reason in reasons.items():
                number, index = capacity[sorted_[place]]
                verdicts[number][index] = reason
            mailbox.answer.remote(steps, verdicts)

    def _joined(self) -> ShardResult:
        """Return the results and episodes of all shards, in the order of the members."""
        by_member: dict[tuple[str, int], tuple[TrainingResult, Any]] = {}
        for number, shard in enumerate(self._shards):
            result_ = self._ended[number]
            for member, result, episodes in zip(shard.members, result_.results, result_.episodes, strict=True):
                by_member[member.key, member.seed] = result, episodes
        members = [by_member[member.key, member.seed] for member in self._order.members]
        return ShardResult(tuple(result for result, _ in members), tuple(episodes for _, episodes in members))


# ---- on the worker nodes


def _train_shard(order: ShardOrder, number: int, races: bool, mailbox: Any) -> dict[str, Any]:
    """Train ``order`` on this node; the Ray task. An error of the work is returned, not raised."""
    try:
        result = carry_out(order, _ShardWatcher(number, races, mailbox))
    except RewardgenError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return sent(result)


class _ShardWatcher(Watcher):
    """Reports a shard's progress to the head node through the mailbox, and asks which members stop."""

    def __init__(self, number: int, races: bool, mailbox: Any) -> None:
        self._number, self.races, self._mailbox = number, races, mailbox
        self._reported = -math.inf

    def progress(self, steps: int) -> None:
        """Report the steps so far, not more than once per ``PATIENCE``: there may be a thousand shards."""
        if (now := time.monotonic()) - self._reported >= PATIENCE:
            self._reported = now
            self._tell("progress", steps=steps)

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        """Report a checkpoint."""
        self._tell("checkpoint", key=key, seed=seed, point=to_json(point, Checkpoint))

    def note(self, message: str) -> None:
        """Report a remark."""
        self._tell("note", text=message)

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        """Report the results so far; wait for the answer which members stop."""
        plain = to_json([replace(result, weights=None) for result in results], list[TrainingResult])
        report = {"kind": "report", "shard": self._number, "steps": steps, "results": plain}
        # While a task waits here, Ray gives its CPUs to others
        return dict(ray.get(self._mailbox.ask.remote(report)))

    def _tell(self, kind: str, **document: Any) -> None:
        """Send a report without waiting."""
        self._mailbox.tell.remote({"kind": kind, "shard": self._number, **document})


def _raised(document: Mapping[str, Any]) -> RewardgenError:
    """Return a shard's error as an error of this process."""
    node = f"on a worker node: {str(document['message'])[:2000]}"
    known = {each.__name__: each for each in RewardgenError.__subclasses__()}
    kind = known.get(str(document["error"]), ClusterError)
    return kind(node) if kind.__init__ is Exception.__init__ else ClusterError(node)


def _first_line(error: BaseException) -> str:
    """Return the last line of an error: Ray puts the cause there."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
