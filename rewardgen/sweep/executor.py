"""Who does the work of a sweep: what an executor is given, and what it says.

An executor knows nothing of specs, budgets or retries. It asks for work while it has room, carries each piece out in a
process of its own, anywhere, and says how it ended. ``local`` does so on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rewardgen.config import Config
from rewardgen.search import Event


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that a search's trainings run on, and what it takes of it.

    ``shards``: parts into which a generation is cut; each takes ``threads`` processors and ``gpus`` of a card.
    """

    address: str
    shards: int
    threads: int
    gpus: float = 0.0


@dataclass(frozen=True)
class Job:
    """One piece of work: a search to begin or to take up, or a task's baselines to measure.

    Attributes:
        key: unique in the sweep.
        config: of the run. ``threads`` 0 leaves them to the executor.
        run_dir: of a search: where its store is. Of baselines: nothing is written there.
        baselines: the folder of baselines that the sweep's searches share.
        prompts_dir, envs: as for ``search.run``.
        cluster: where its trainings run, if that is not this machine.
    """

    key: str
    kind: Literal["search", "baselines"]
    config: Config
    run_dir: Path
    baselines: Path
    prompts_dir: Path | None = None
    envs: tuple[Path, ...] = ()
    cluster: Cluster | None = None

    def document(self) -> dict[str, Any]:
        """As plain JSON values, for another process. It holds no secret: keys are in the environment alone."""
        return {
            "key": self.key,
            "kind": self.kind,
            "config": self.config.model_dump(mode="json"),
            "run_dir": str(self.run_dir),
            "baselines": str(self.baselines),
            "prompts_dir": str(self.prompts_dir) if self.prompts_dir else None,
            "envs": [str(folder) for folder in self.envs],
            "cluster": asdict(self.cluster) if self.cluster else None,
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> Job:
        """What ``document`` gave."""
        return cls(
            key=document["key"],
            kind=document["kind"],
            config=Config.model_validate(document["config"]),
            run_dir=Path(document["run_dir"]),
            baselines=Path(document["baselines"]),
            prompts_dir=Path(document["prompts_dir"]) if document["prompts_dir"] else None,
            envs=tuple(Path(folder) for folder in document["envs"]),
            cluster=Cluster(**document["cluster"]) if document["cluster"] else None,
        )


@dataclass(frozen=True)
class Finished:
    """How a job ended. ``error`` is the kind of what was raised, "" if all went well; a crash is a "Crash".

    ``lasting``: trying again would end the same way, as with a wrong key or a task file that raises.
    """

    job: Job
    error: str = ""
    message: str = ""
    lasting: bool = False

    @property
    def ok(self) -> bool:
        return not self.error


OnEvent = Callable[[Job, Event], None]
Take = Callable[[], Job | None]


class Executor(Protocol):
    """Carries jobs out, several at once."""

    @property
    def slots(self) -> int:
        """How many jobs run at once, about: for estimates."""

    @property
    def threads(self) -> int:
        """Processors of each job."""

    def describe(self) -> str:
        """Where and with what, in a line for people."""

    def run(self, take: Take, on_event: OnEvent) -> Iterator[Finished]:
        """Carry out jobs until there are no more.

        Args:
            take: gives the next job that may start, or None when there is none for now: it is asked again after each
                job that ends. Ask only while there is room for another job: what was taken is started at once.
            on_event: told what jobs say while they run, from the thread that iterates. ("started" when it begins.)

        Returns:
            How each job ended, as it ends. The iterator is over when nothing runs and ``take`` gives None. Closing it,
            or an exception (KeyboardInterrupt) while it waits, stops all jobs, cleanly if they let it, and waits for
            them: no process is left behind. A killed executor's jobs die too; no two processes work on one run.
        """
