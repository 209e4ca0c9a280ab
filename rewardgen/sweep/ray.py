"""Trainings on a Ray cluster: the head runs the searches and their stores, every node trains what it is sent.

    executor = RayExecutor(share, address="auto", wanted=len(plan.searches))

Each search's loop is a process on the head, as on one machine: it asks the language model, screens, selects, and writes
its store, alone. Its trainings travel: a generation is cut into shards, each a Ray task with its share of processors
and cards, which runs the programs in that node's sandbox and tells how it goes through the search's mailbox, an actor
on the head. A shard whose node is lost is done again elsewhere by Ray, from its beginning: it asks who stops again, and
the mailbox gives the answers that were given before. Its results are stored once, when it ends.
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
"""How often a shard is begun again after its node or its process was lost."""
MOST_THREADS = 8
"""Processors of a shard where nobody says: with more, small models gain little."""
PATIENCE = 1.0
"""Seconds between two looks at whether somebody pressed Ctrl-C, and between two words on how far a shard is."""

KNOCK = 10.0
"""Seconds that a cluster has to answer."""


class RayExecutor:
    """Searches whose trainings run on a Ray cluster.

    Args:
        share: what each training shard takes: ``threads`` processors and, where a search uses cards, ``gpus`` of one.
        address: of the cluster, as ``ray.init`` takes it; "auto" is the one that this machine belongs to.
        jobs: searches at once; None: as many as it takes to keep all processors at work.
        shards: parts into which a generation is cut; None: what is left of the processors for each search.
        wanted: how many searches there will be.

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
        with connected(address):
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        processors = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        if not processors:
            raise ClusterError(f"the Ray cluster at {address} has no processors; start nodes with `ray start`")
        self._threads = share.threads or min(MOST_THREADS, *processors)
        places = sum(count // self._threads for count in processors)
        if not places:
            raise ClusterError(
                f"share.threads is {self._threads}, but the largest node has {max(processors)} processors"
            )
        self._slots = jobs if jobs is not None else max(1, min(wanted, places))
        cards = sum(node.get("GPU", 0.0) for node in nodes)
        # A card takes a whole generation at once; and what waits for other shards would keep its card from them.
        self._shards = shards or (1 if cards else max(1, places // self._slots))
        self._cluster = Cluster(address, self._shards, self._threads, share.gpus if cards else 0.0)
        self._about = f"{len(nodes)} {'node' if len(nodes) == 1 else 'nodes'} with {sum(processors)} processors"
        # on the head, a loop mostly waits
        self._loops = LocalExecutor(share.model_copy(update={"threads": 1, "gpus": 0.0}), jobs=self._slots)

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def threads(self) -> int:
        """Processors of each shard."""
        return self._threads

    def describe(self) -> str:
        searches = "one search at a time" if self._slots == 1 else f"{self._slots} searches at once"
        shards = "whole" if self._shards == 1 else f"in {self._shards} shards"
        return f"on a Ray cluster of {self._about}, {searches}, generations {shards} on {self._threads} processors each"

    def run(self, take: Take, on_event: OnEvent) -> Iterator[Finished]:
        def taken() -> Job | None:
            job = take()
            if job is None:
                return None
            threads = job.config.threads or self._threads
            config = job.config.model_copy(update={"threads": threads})
            return replace(job, config=config, cluster=replace(self._cluster, threads=threads))

        yield from self._loops.run(taken, on_event)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """A connection to the cluster at ``address``, closed at the end unless it was there before.

    Raises:
        ClusterError: there is none.
    """
    if ray.is_initialized():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"there is no Ray cluster at {address} ({error}); start one with `ray start --head`, or give its --address"
        ) from error
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray takes it over, and exits at once
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Whether somebody listens at HOST:PORT: where nobody does, Ray would try for minutes.

    Raises:
        OSError: nobody does.
        ValueError: it is no cluster's address.
    """
    if address.startswith("ray://"):
        raise ValueError("this is an address of Ray Client: give that of the cluster itself, HOST:PORT")
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()


class RayShards:
    """A ``remote.ShardRunner`` of one search; to be used while ``connected``."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self, order: ShardOrder, task: Task, watcher: Watcher) -> ShardResult:
        """See ``remote.ShardRunner``."""
        shards = order.split(self._cluster.shards)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox: Any = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here, max_concurrency=1000).remote()
        head = _Head(order, shards, watcher)
        wants_card = str(order.config["device"]).startswith("cuda")
        work = ray.remote(_train_shard).options(
            num_cpus=order.config["threads"] or self._cluster.threads,
            num_gpus=self._cluster.gpus if wants_card else 0,
            max_retries=RETRIES,
        )
        running = {work.remote(shard, number, watcher.races, mailbox): number for number, shard in enumerate(shards)}
        try:
            return head.until_all_ended(running, mailbox, task)
        except RayError as error:
            raise ClusterError(f"the Ray cluster gave up a training: {_first_line(error)}") from error
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
            ray.kill(mailbox)


class _Head:
    """The head's side of one order: hears its shards, answers them, and puts together what comes of them."""

    def __init__(self, order: ShardOrder, shards: Sequence[ShardOrder], watcher: Watcher) -> None:
        self._order, self._shards, self._watcher = order, shards, watcher
        self._config = Config.model_validate(order.config)
        self._steps = [0] * len(shards)
        self._told: set[tuple[str, int, int]] = set()
        self._reports: dict[int, dict[int, list[TrainingResult]]] = {}
        self._decided: set[int] = set()
        self._ended: dict[int, ShardResult] = {}

    def until_all_ended(self, running: dict[Any, int], mailbox: Any, task: Task) -> ShardResult:
        post = mailbox.next.remote()
        while running:
            ready, _ = ray.wait([post, *running], num_returns=1, timeout=PATIENCE)
            for reference in ready:
                if reference == post:
                    for document in ray.get(post):
                        self._hear(document)
                    post = mailbox.next.remote()
                    continue
                number = running.pop(reference)
                document = ray.get(reference)
                if "error" in document:
                    raise _raised(document)
                self._ended[number] = received(self._shards[number], document, task, self._config)
            self._decide(mailbox)
        return self._together()

    def _hear(self, document: Mapping[str, Any]) -> None:
        number = int(document["shard"])
        if document["kind"] == "progress":
            self._steps[number] = max(self._steps[number], int(document["steps"]))
            self._watcher.progress(sum(self._steps))
        elif document["kind"] == "checkpoint":
            key, seed, point = document["key"], int(document["seed"]), from_json(document["point"], Checkpoint)
            if (key, seed, point.steps) not in self._told:  # a shard that was begun again says it again
                self._told.add((key, seed, point.steps))
                self._watcher.checkpoint(key, seed, point)
        elif document["kind"] == "report":
            results = from_json(document["results"], list[TrainingResult])
            self._reports.setdefault(int(document["steps"]), {})[number] = results
        elif document["kind"] == "note":
            self._watcher.note(str(document["text"])[:1000])

    def _decide(self, mailbox: Any) -> None:
        """Ask the race wherever all shards have come to the same steps, or to their end."""
        for steps in sorted(self._reports.keys() - self._decided):
            reported = self._reports[steps]
            if not self._watcher.races or len(reported.keys() | self._ended.keys()) < len(self._shards):
                continue
            self._decided.add(steps)
            results, places = [], []
            for number in range(len(self._shards)):
                mine = reported.get(number) or list(self._ended[number].results)
                places += [(number, index) for index in range(len(mine))]
                results += mine
            order = {(m.key, m.seed): place for place, m in enumerate(self._order.members)}
            sorted_ = sorted(range(len(results)), key=lambda i: order[results[i].key, results[i].seed])
            reasons = self._watcher.stop(steps, [results[i] for i in sorted_])
            verdicts: dict[int, dict[int, str]] = {number: {} for number in range(len(self._shards))}
            for place, reason in reasons.items():
                number, index = places[sorted_[place]]
                verdicts[number][index] = reason
            mailbox.answer.remote(steps, verdicts)

    def _together(self) -> ShardResult:
        """The results and episodes of all shards in the order of the members."""
        found: dict[tuple[str, int], tuple[TrainingResult, Any]] = {}
        for number, shard in enumerate(self._shards):
            came = self._ended[number]
            for member, result, episodes in zip(shard.members, came.results, came.episodes, strict=True):
                found[member.key, member.seed] = result, episodes
        members = [found[member.key, member.seed] for member in self._order.members]
        return ShardResult(tuple(result for result, _ in members), tuple(episodes for _, episodes in members))


# ---- what runs on the cluster


def _train_shard(order: ShardOrder, number: int, races: bool, mailbox: Any) -> dict[str, Any]:
    """The Ray task: carry out ``order`` on this node. What goes wrong with the work is a result too."""
    try:
        result = carry_out(order, _ShardWatcher(number, races, mailbox))
    except RewardgenError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return sent(result)


class _ShardWatcher(Watcher):
    """Tells the head through the mailbox how a shard goes, and asks it who stops."""

    def __init__(self, number: int, races: bool, mailbox: Any) -> None:
        self._number, self.races, self._mailbox = number, races, mailbox
        self._told = -math.inf

    def progress(self, steps: int) -> None:
        """Not after every update: a thousand shards would keep the head busy with nothing else."""
        if (now := time.monotonic()) - self._told >= PATIENCE:
            self._told = now
            self._tell("progress", steps=steps)

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        self._tell("checkpoint", key=key, seed=seed, point=to_json(point, Checkpoint))

    def note(self, message: str) -> None:
        self._tell("note", text=message)

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        plain = to_json([replace(result, weights=None) for result in results], list[TrainingResult])
        report = {"kind": "report", "shard": self._number, "steps": steps, "results": plain}
        # while a task waits here, Ray gives its processors to others
        return dict(ray.get(self._mailbox.ask.remote(report)))

    def _tell(self, kind: str, **document: Any) -> None:
        self._mailbox.tell.remote({"kind": kind, "shard": self._number, **document})


def _raised(document: Mapping[str, Any]) -> RewardgenError:
    """What a shard could not do, as an error of this process."""
    node = f"on a worker node: {str(document['message'])[:2000]}"
    known = {each.__name__: each for each in RewardgenError.__subclasses__()}
    kind = known.get(str(document["error"]), ClusterError)
    return kind(node) if kind.__init__ is Exception.__init__ else ClusterError(node)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
