"""Trainings that take place on other machines: what is sent there, how it is carried out, and what comes back.

A generation is cut into shards, each of some members. What a member comes to does not depend on what it is trained
with, so a generation in shards ends, bit for bit, as one that is trained here, if the processors are of one kind. The
search's loop stays where it is: it asks the language model, holds the key and writes the store; what travels is the
programs and the task's name, and what comes back is checked before anything is made of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from torch import Tensor

from rewardgen.config import Config
from rewardgen.errors import ClusterError, RewardFailed, UsageError
from rewardgen.records import Checkpoint, Episodes, Form, RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.search.baselines import task_rewards
from rewardgen.search.trajectories import Trajectory, chosen, dump, parse, trajectory
from rewardgen.search.versions import versions
from rewardgen.store.database import from_json, to_json
from rewardgen.tasks import Task, load_task
from rewardgen.training import Judge, Member, Population, Reward, arrangement_of, credit_of, label_rows, train

SENT = ("task", "seed", "threads", "sim", "device", "training", "credit", "sandbox")
"""The settings that travel. Those of the language model do not: an address may hold a password."""
ENVS_LIMIT = 64 << 20
"""Bytes of task files that travel with an order at most."""


@dataclass(frozen=True)
class Wanted:
    """One member: the owner's ``key``, its ``seed``, and whose reward it is; ``source`` is that of a program."""

    key: str
    seed: int
    reward: Literal["program", "expert", "sparse"]
    source: str = ""


@dataclass(frozen=True)
class Order:
    """Members to train, with all that another machine needs for it: plain values and bytes, and no secret.

    ``envs`` are the further folders of task files: path → content. ``episodes`` says whether some are to be kept;
    ``form`` is what the programs return.
    """

    config: Mapping[str, Any]
    members: tuple[Wanted, ...]
    versions: Mapping[str, str]
    envs: tuple[Mapping[str, bytes], ...] = ()
    episodes: bool = False
    form: Form = "reward"

    def split(self, shards: int) -> list[Order]:
        """The same in at most ``shards`` parts of about equal size, in order; members of one reward stay together."""
        keys = list(dict.fromkeys(member.key for member in self.members))
        parts = min(shards, len(keys))
        edges = [round(part * len(keys) / parts) for part in range(parts + 1)]
        groups = [set(keys[low:high]) for low, high in pairwise(edges)]
        return [replace(self, members=tuple(m for m in self.members if m.key in group)) for group in groups]


@dataclass(frozen=True)
class Came:
    """What came of an order: its members' results in their order, and an episode of each checkpoint of each of them."""

    results: tuple[TrainingResult, ...]
    episodes: tuple[tuple[Trajectory, ...], ...] = ()


class Workers(Protocol):
    """Where orders are carried out."""

    def train(
        self,
        order: Order,
        task: Task,
        *,
        judge: Judge | None = None,
        on_progress: Callable[[int], None] | None = None,
        on_checkpoint: Callable[[str, int, Checkpoint], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> Came:
        """Train all members of an order for ``task``; the callbacks are those of ``training.train``, called here.

        Raises:
            ClusterError: the machines cannot be reached, or what came back is not what was ordered.
            RewardgenError: what was raised where it was carried out.
        """


def order_for(
    config: Config,
    members: Sequence[tuple[str, int, RewardProgram | Reward]],
    envs: Sequence[Path],
    episodes: bool,
    form: Form = "reward",
) -> Order:
    """An order for members given by key, seed and reward; the owner of a task's own reward is named after it.

    Raises:
        UsageError: the task files are too large to travel.
    """
    wanted = [
        Wanted(key, seed, "program", reward.source)
        if isinstance(reward, RewardProgram)
        else Wanted(key, seed, "expert" if key.rpartition("/")[2] == "expert" else "sparse")
        for key, seed, reward in members
    ]
    settings = config.model_dump(mode="json", include=set(SENT))
    return Order(settings, tuple(wanted), versions(), tuple(map(_packed, envs)), episodes, form)


def carry_out(
    order: Order,
    *,
    judge: Judge | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_checkpoint: Callable[[str, int, Checkpoint], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Came:
    """Train the members of ``order`` in this process, its programs in a sandbox of this machine.

    Raises:
        ClusterError: other versions are installed here than where the order comes from.
        RewardgenError: as ``training.train`` and ``Sandbox`` do.
    """
    _same_versions(order.versions)
    config = Config.model_validate(order.config)
    with ExitStack() as held:
        task = load_task(config.task, [held.enter_context(_unpacked(folder)) for folder in order.envs])
        limits = SandboxLimits(config.sandbox.call_seconds, config.sandbox.program_seconds, config.sandbox.memory_gb)
        sandbox = held.enter_context(Sandbox(limits, config.sandbox.level))
        rewards, failed = _rewards(order, config, task, sandbox, held)
        credit = credit_of(order.form, config.credit)
        members = [
            Member(each.key, each.seed, rewards[each.key], credit if each.reward == "program" else None)
            for each in order.members
            if each.key in rewards
        ]
        kept: dict[tuple[str, int], list[Trajectory]] = {}

        def on_episodes(key: str, seed: int, played: Episodes, fitness: Tensor) -> None:
            mine = kept.setdefault((key, seed), [])
            mine.append(trajectory(played, fitness, chosen(key, seed, len(mine), len(played))))

        results = (
            train(
                task,
                members,
                config.training,
                threads=config.threads,
                arrangement=arrangement_of(config, task),
                on_progress=on_progress,
                on_checkpoint=on_checkpoint,
                on_episodes=on_episodes if order.episodes else None,
                on_note=on_note,
                judge=judge,
            )
            if members
            else []
        )
    found = {(result.key, result.seed): result for result in (*failed, *results)}
    places = [(each.key, each.seed) for each in order.members]
    return Came(tuple(found[place] for place in places), tuple(tuple(kept.get(place, ())) for place in places))


def opened(program: RewardProgram, task: Task, config: Config, seeds: int, sandbox: Sandbox, held: ExitStack) -> Reward:
    """``program`` in a process of its own, ready to train ``seeds`` members and open for as long as ``held`` is.

    Raises:
        RewardFailed: it does not come up.
    """
    worker = sandbox.open(program, task.layout, task.action_size, label_rows(config.training, seeds))
    held.callback(worker.close)
    return worker


# ---- messages


def sent(came: Came) -> dict[str, Any]:
    """``came`` as text and bytes."""
    return {
        "results": [to_json(replace(result, weights=None), TrainingResult) for result in came.results],
        "weights": [result.weights for result in came.results],
        "episodes": [dump(episodes) for episodes in came.episodes],
    }


def received(order: Order, document: Mapping[str, Any], task: Task, config: Config) -> Came:
    """What ``sent`` gave, checked: these members, numbers where numbers belong, and policies that fit the task.

    Raises:
        ClusterError: it is anything else.
    """
    try:
        texts, weights = document["results"], document["weights"]
        results = []
        for wanted, text, content in zip(order.members, texts, weights, strict=True):
            result: TrainingResult = replace(from_json(text, TrainingResult), weights=content)
            if (result.key, result.seed) != (wanted.key, wanted.seed):
                raise ValueError(f"it is {result.key} with seed {result.seed} instead of {wanted.key}, {wanted.seed}")
            if content is not None:
                Population.from_weights([bytes(content)], task, config.training)
            results.append(result)
        episodes = tuple(tuple(parse(bytes(content))) for content in document["episodes"])
        width, actions = task.layout.width, task.action_size
        if any(e.states.shape[1:] != (width,) or e.actions.shape[1:] != (actions,) for each in episodes for e in each):
            raise ValueError("its episodes are not those of the task")
    except Exception as error:  # whatever a damaged message makes its readers raise
        raise ClusterError(f"what came back from a worker is not what was ordered: {error}") from error
    return Came(tuple(results), episodes)


# ---- the parts


def _rewards(
    order: Order, config: Config, task: Task, sandbox: Sandbox, held: ExitStack
) -> tuple[dict[str, Reward], list[TrainingResult]]:
    """Key → its reward, and the results of those members whose program could not be opened."""
    own = task_rewards(task)
    rewards: dict[str, Reward] = {}
    failed = []
    for key in dict.fromkeys(each.key for each in order.members):
        mine = [each for each in order.members if each.key == key]
        if mine[0].reward != "program":
            rewards[key] = own[mine[0].reward]
            continue
        try:
            rewards[key] = opened(RewardProgram(mine[0].source), task, config, len(mine), sandbox, held)
        except RewardFailed as failure:
            failed += [TrainingResult.unopened(key, each.seed, failure) for each in mine]
    return rewards, failed


def _same_versions(theirs: Mapping[str, str]) -> None:
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
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    size = sum(path.stat().st_size for path in files)
    if size > ENVS_LIMIT:
        raise UsageError(
            f"{folder} holds {size:,} bytes; of task files, {ENVS_LIMIT:,} travel to other machines at most"
        )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@contextmanager
def _unpacked(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder with ``files``, for a while."""
    with tempfile.TemporaryDirectory(prefix="rewardgen-envs-") as name:
        for path, content in files.items():
            place = PurePosixPath(path)
            if place.is_absolute() or ".." in place.parts:
                raise ClusterError(f"a task file is to be written to {path}, outside of its folder")
            target = Path(name, *place.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield Path(name)
