"""Everything that rewardgen raises on purpose.

    RewardgenError                  exit code 1 unless said otherwise
    ├── UsageError                  exit code 2: the person asked for something that cannot be
    │   ├── ConfigError             an unknown key, a value out of range
    │   ├── UnknownName             no such task, method, run; names the nearest
    │   └── TaskError               a task file raises or declares something wrongly
    │       └── MissingPackage      its model comes with a package that is not installed; says how to install it
    ├── ProgramRejected             a reply holds no program, or one that the check refuses; carries its problems
    ├── RewardFailed                a program crashed, hung or gave something that is no reward
    ├── SandboxError                the sandbox itself could not be set up
    ├── SimulationFailed            MuJoCo reported an error
    ├── ReplayError                 there is nothing to play, or a replay cannot be kept
    ├── OutOfMemory                 a device's memory does not hold the smallest piece of the work
    ├── ClusterError                other machines cannot be reached, or sent what was not asked for
    ├── LLMError                    the endpoint could not be used
    │   ├── LLMAuthError            it refused the key
    │   └── LLMUnavailable          it stayed down after all retries
    ├── BudgetExceeded              the next piece of work would cost more than is left
    ├── StoreError                  the run's database could not be used
    │   ├── RunLocked               a live process holds the run
    │   ├── StoreVersion            a newer rewardgen wrote it
    │   └── DiskFull                no room to write
    └── Stopped                     exit code 130: somebody pressed Ctrl-C

Every message says what is wrong, where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rewardgen.records import Problem


class RewardgenError(Exception):
    """The root: catching it catches all that rewardgen raises on purpose."""

    exit_code = 1


class UsageError(RewardgenError):
    exit_code = 2


class ConfigError(UsageError):
    """``problems`` are the dotted keys that are wrong, each with what is wrong with it, where that is known."""

    def __init__(self, message: str, problems: Sequence[tuple[str, str]] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)


class UnknownName(UsageError):
    """``name`` is no ``kind``; the message names up to three of ``known`` that are near it."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name = kind, name
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        message = f"there is no {kind} named {name!r}"
        if near:
            message += f"; did you mean {' or '.join(near)}?"
        elif names:
            shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
            message += f"; there are: {shown}"
        super().__init__(f"{message} {hint}".rstrip())


class TaskError(UsageError):
    pass


class MissingPackage(TaskError):
    """The command ``install`` brings what is missing."""

    def __init__(self, message: str, install: str) -> None:
        self.install = install
        super().__init__(message)


class ProgramRejected(RewardgenError):
    """A reply or its program was refused before it ran."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in problems))


class RewardFailed(RewardgenError):
    """A program failed in the sandbox. ``kind``: crash, timeout, memory, exception, output."""

    def __init__(self, kind: str, message: str, line: int | None = None) -> None:
        self.kind, self.line = kind, line
        super().__init__(message)


class SandboxError(RewardgenError):
    pass


class SimulationFailed(RewardgenError):
    pass


class ReplayError(RewardgenError):
    pass


class OutOfMemory(RewardgenError):
    pass


class ClusterError(RewardgenError):
    pass


class LLMError(RewardgenError):
    pass


class LLMAuthError(LLMError):
    pass


class LLMUnavailable(LLMError):
    pass


class BudgetExceeded(RewardgenError):
    pass


class StoreError(RewardgenError):
    pass


class RunLocked(StoreError):
    pass


class StoreVersion(StoreError):
    pass


class DiskFull(StoreError):
    pass


class Stopped(RewardgenError):
    exit_code = 130
