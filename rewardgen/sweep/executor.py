"""The interface between a sweep and what carries out its work.

An executor knows nothing of specs, budgets or retries. It asks for work while it has room, runs each job in a process
of its own, anywhere, and reports how it ended. ``local`` does so on this machine.
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
    """The Ray cluster that a search's trainings run on, and the resources that it uses there.

    ``shards``: parts into which a generation is cut; each takes ``threads`` CPUs and ``gpus`` of a GPU.
    """

    address: str
    shards: int
    threads: int
    gpus: float = 0.0


@dataclass(frozen=True)
class Job:
    """One piece of work: a search to start or continue, or a task's baselines to measure.

    Attributes:
        key: unique in the sweep.
        config: of the run. ``threads`` 0 leaves the number to the executor.
        run_dir: of a search: the folder of its store. Baselines write nothing there.
        baselines: the folder of baselines that the sweep's searches share.
        prompts_dir, envs: as for ``search.run``.
        cluster: where its trainings run, if not on this machine.
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
        """Return the job as plain JSON values for another process. Keys stay in the environment."""
        return {
            "key": self.key,
            "kind": self.kind,
            # The settings are validated again on the other side
            "config": self.config.model_dump(mode="json"),
            "run_dir": str(self.run_dir),
            "baselines": str(self.baselines),
            "prompts_dir": str(self.prompts_dir) if self.prompts_dir else None,
            "envs": [str(folder) for folder in self.envs],
            "cluster": asdict(self.cluster) if self.cluster else None,
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> Job:
        """Return the job in a ``document``."""
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
    """How a job ended. ``error`` is the kind of the exception, "" if there was none, or "Crash".

    ``lasting``: a retry would end the same way, as with a wrong key or a task file that raises.
    """

    job: Job
    error: str = ""
    message: str = ""
    lasting: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended without an error."""
        return not self.error


OnEvent = Callable[[Job, Event], None]
Take = Callable[[], Job | None]


class Executor(Protocol):
    """Carries jobs out, several at once."""

    @property
    def slots(self) -> int:
        """Approximate number of concurrent jobs, for estimates."""

    @property
    def threads(self) -> int:
        """CPU threads of each job."""

    def describe(self) -> str:
        """Return where and with what jobs run, in one line for people."""

    def run(self, take: Take, on_event: OnEvent) -> Iterator[Finished]:
        """Run jobs until there are no more.

        Args:
            take: returns the next job that may start, or None if there is none for now; it is called again after each
                job that ends. It is only called while there is room: a job that was taken starts at once.
            on_event: called with the events of jobs while they run, in the thread that iterates.

        Returns:
            How each job ended, as it ends. The iterator ends when nothing runs and ``take`` returns None. Closing it,
            or an exception (KeyboardInterrupt) while it waits, stops all jobs, cleanly if possible, and waits for them:
            no process is left behind. If the executor is killed, its jobs die too; no two processes work on one run.
        """
