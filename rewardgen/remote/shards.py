"""Remote training: the orders sent to other machines, their execution there, and the check of what they return.

A generation is split into shards of some members each. A member's result does not depend on the other members of its
batch, so sharded training gives bit for bit the results of local training, if the CPUs are of the same kind. The search
loop stays on the head machine: it queries the language model, holds the API key and writes the store. Only programs,
settings and task files are sent, and results are validated before they are used.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from torch import Tensor

from rewardgen.config import Config
from rewardgen.errors import ClusterError, UsageError
from rewardgen.records import Checkpoint, Episodes, Form, RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.sim.machine import versions
from rewardgen.store.database import from_json, to_json
from rewardgen.tasks import Task, load_task
from rewardgen.training import (
    Population,
    Reward,
    TrainingSetup,
    TrainingSpec,
    Watcher,
    arrangement_of,
    task_rewards,
)
from rewardgen.training.episodes import Trajectory, chosen, dump, parse, trajectory
from rewardgen.training.local import PopulationTrainer

SENT = ("task", "seed", "threads", "sim", "device", "training", "credit", "sandbox")
"""Settings that are sent. Those of the language model are not: its address may contain a password."""
ENVS_LIMIT = 64 << 20
"""Maximum size, in bytes, of a folder of task files that is sent with an order."""


@dataclass(frozen=True)
class ShardMember:
    """One member: its ``key``, its ``seed``, the kind of its ``reward``, and the ``source`` if that is a program."""

    key: str
    seed: int
    reward: Literal["program", "expert", "sparse"]
    source: str = ""


@dataclass(frozen=True)
class ShardOrder:
    """Members to train, with everything that another machine needs: plain values and bytes, no secrets.

    ``versions`` are the package versions of the sender. ``envs`` are further folders of task files, each as path →
    content. ``episodes`` says whether to return episodes of the checkpoints; ``form`` is what the programs return.
    """

    config: Mapping[str, Any]
    members: tuple[ShardMember, ...]
    versions: Mapping[str, str]
    envs: tuple[Mapping[str, bytes], ...] = ()
    episodes: bool = False
    form: Form = "reward"

    def split(self, shards: int) -> list[ShardOrder]:
        """Split the order into at most ``shards`` orders of about equal size; members of one key stay together."""
        # Split by key, so that each program needs a sandbox worker on one machine only
        keys = list(dict.fromkeys(member.key for member in self.members))
        parts = min(shards, len(keys))
        edges = [round(part * len(keys) / parts) for part in range(parts + 1)]
        groups = [set(keys[low:high]) for low, high in pairwise(edges)]
        return [replace(self, members=tuple(m for m in self.members if m.key in group)) for group in groups]


@dataclass(frozen=True)
class ShardResult:
    """The results of an order's members, in their order, and per member one episode of each checkpoint."""

    results: tuple[TrainingResult, ...]
    episodes: tuple[tuple[Trajectory, ...], ...] = ()


def order_for(
    config: Config, specs: Sequence[TrainingSpec], envs: Sequence[Path], episodes: bool, form: Form = "reward"
) -> ShardOrder:
    """Return the order for ``specs``.

    Raises:
        UsageError: a folder of task files is too large to send.
    """
    # The last part of a task reward's key is its name (see ``TrainingSpec``)
    members = [
        ShardMember(spec.key, spec.seed, "program", spec.reward.source)
        if isinstance(spec.reward, RewardProgram)
        else ShardMember(spec.key, spec.seed, "expert" if spec.key.rpartition("/")[2] == "expert" else "sparse")
        for spec in specs
    ]
    settings = config.model_dump(mode="json", include=set(SENT))
    return ShardOrder(settings, tuple(members), versions(), tuple(map(_packed, envs)), episodes, form)


def carry_out(order: ShardOrder, watcher: Watcher | None = None) -> ShardResult:
    """Train the members of ``order`` in this process, with the programs in a sandbox on this machine.

    Raises:
        ClusterError: the package versions here differ from those of the sender.
        RewardgenError: as raised by ``training.train`` and ``Sandbox``.
    """
    # Check the order
    _same_versions(order.versions)
    config = Config.model_validate(order.config)
    with ExitStack() as held:
        # Unpack the task files, load the task, open the sandbox
        task = load_task(config.task, [held.enter_context(_unpacked(folder)) for folder in order.envs])
        limits = SandboxLimits(config.sandbox.call_seconds, config.sandbox.program_seconds, config.sandbox.memory_gb)
        sandbox = held.enter_context(Sandbox(limits, config.sandbox.level))

        # Train
        setup = TrainingSetup(task, config, arrangement_of(config, task), sandbox, order.form)
        keeping = _EpisodesKept(watcher or Watcher(), order.episodes)
        results = PopulationTrainer(setup).train(_specs(order, task), keeping)
    places = [(member.key, member.seed) for member in order.members]
    return ShardResult(tuple(results), tuple(tuple(keeping.kept.get(place, ())) for place in places))


class _EpisodesKept(Watcher):
    """Forwards all events and keeps one episode of each checkpoint, to be returned with the results."""

    def __init__(self, outer: Watcher, wanted: bool) -> None:
        self._outer, self._wanted = outer, wanted
        self.races = outer.races
        self.kept: dict[tuple[str, int], list[Trajectory]] = {}

    def progress(self, steps: int) -> None:
        self._outer.progress(steps)

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        self._outer.checkpoint(key, seed, point)

    def episodes(self, key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
        if self._wanted:
            mine = self.kept.setdefault((key, seed), [])
            mine.append(trajectory(played, fitness, chosen(key, seed, len(mine), len(played))))

    def note(self, message: str) -> None:
        self._outer.note(message)

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        return self._outer.stop(steps, results)


# ---- messages


def sent(result: ShardResult) -> dict[str, Any]:
    """Serialise ``result`` to JSON texts and bytes; ``received`` reads them."""
    return {
        "results": [to_json(replace(each, weights=None), TrainingResult) for each in result.results],
        "weights": [each.weights for each in result.results],
        "episodes": [dump(episodes) for episodes in result.episodes],
    }


def received(order: ShardOrder, document: Mapping[str, Any], task: Task, config: Config) -> ShardResult:
    """Validate and return what ``sent`` made: results of the ordered members, policies and episodes that fit the task.

    Raises:
        ClusterError: the document is anything else.
    """
    # The sender is not trusted
    try:
        texts, weights = document["results"], document["weights"]
        results = []
        for wanted, text, content in zip(order.members, texts, weights, strict=True):
            result: TrainingResult = replace(from_json(text, TrainingResult), weights=content)
            if (result.key, result.seed) != (wanted.key, wanted.seed):
                raise ValueError(f"it is {result.key} with seed {result.seed} instead of {wanted.key}, {wanted.seed}")
            # Parse the weights only to check them against the task
            if content is not None:
                Population.from_weights([bytes(content)], task, config.training)
            results.append(result)

        # Check the episodes' shapes
        episodes = tuple(tuple(parse(bytes(content))) for content in document["episodes"])
        width, actions = task.layout.width, task.action_size
        if any(e.states.shape[1:] != (width,) or e.actions.shape[1:] != (actions,) for each in episodes for e in each):
            raise ValueError("its episodes are not those of the task")
    except Exception as error:  # a damaged message can make the parsers raise anything
        raise ClusterError(f"what came back from a worker is not what was ordered: {error}") from error
    return ShardResult(tuple(results), episodes)


# ---- the parts


def _specs(order: ShardOrder, task: Task) -> list[TrainingSpec]:
    """Return the trainings of an order, with its programs or the task's own rewards."""
    own: Mapping[str, Reward] = task_rewards(task)
    return [
        TrainingSpec(
            member.key,
            member.seed,
            RewardProgram(member.source) if member.reward == "program" else own[member.reward],
        )
        for member in order.members
    ]


def _same_versions(theirs: Mapping[str, str]) -> None:
    """Raise ClusterError if this machine's package versions differ from ``theirs``."""
    ours = versions()
    different = [
        f"{name} {ours.get(name)} here, {version} there"
        for name, version in theirs.items()
        if ours.get(name) != version
    ]
    if different:
        raise ClusterError(
            f"this node has other versions than the head ({'; '.join(different)}), and would train something else; "
            "install the same on all nodes"
        )


def _packed(folder: Path) -> dict[str, bytes]:
    """Return the files of ``folder`` as relative path → content; raise UsageError above ``ENVS_LIMIT`` bytes."""
    # Check the size before reading anything
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    size = sum(path.stat().st_size for path in files)
    if size > ENVS_LIMIT:
        raise UsageError(
            f"{folder} holds {size:,} bytes; of task files, {ENVS_LIMIT:,} travel to other machines at most"
        )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@contextmanager
def _unpacked(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write ``files`` (relative path → content) to a temporary folder, which is deleted on exit.

    Raises:
        ClusterError: a path leads outside of the folder.
    """
    with tempfile.TemporaryDirectory(prefix="rewardgen-envs-") as name:
        for path, content in files.items():
            # Do not trust the paths of another machine
            place = PurePosixPath(path)
            if place.is_absolute() or ".." in place.parts:
                raise ClusterError(f"a task file is to be written to {path}, outside of its folder")
            target = Path(name, *place.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield Path(name)
