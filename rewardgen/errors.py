"""Everything that rewardgen raises on purpose.

    RewardgenError                  exit code 1 unless said otherwise
    ├── UsageError                  exit code 2: the user asked for something that is not possible
    │   ├── ConfigError             an unknown key, a value out of range
    │   ├── UnknownName             no such task, method or run; names similar ones
    │   └── TaskError               a task file raises, or its declarations are wrong
    │       └── MissingPackage      a package that its model comes from is not installed; says how to install it
    ├── ProgramRejected             a reply contains no program, or one that a check rejects; carries its problems
    ├── RewardFailed                a program crashed, hung or returned something that is not a reward
    ├── SandboxError                the sandbox itself could not be set up
    ├── SimulationFailed            MuJoCo reported an error
    ├── ReplayError                 there is nothing to replay, or a replay cannot be written
    ├── OutOfMemory                 even the smallest piece of the work does not fit into a device's memory
    ├── ClusterError                other machines cannot be reached, or sent invalid results
    ├── LLMError                    the endpoint cannot be used
    │   ├── LLMAuthError            it refused the key
    │   └── LLMUnavailable          it was still down after all retries
    ├── BudgetExceeded              the next piece of work could cost more than is left
    ├── StoreError                  the run's database cannot be used
    │   ├── RunLocked               a running process holds the run
    │   ├── StoreVersion            a newer rewardgen wrote it
    │   └── DiskFull                no space left to write
    └── Stopped                     exit code 130: the user pressed Ctrl-C

Every message says what is wrong, where, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rewardgen.records import Problem


class RewardgenError(Exception):
    """The base class of every error that rewardgen raises on purpose."""

    exit_code = 1


class UsageError(RewardgenError):
    """The user asked for something that is not possible."""

    exit_code = 2


class ConfigError(UsageError):
    """Settings are wrong. ``problems``: the wrong dotted keys, each with an explanation, where they are known."""

    def __init__(self, message: str, problems: Sequence[tuple[str, str]] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)


class UnknownName(UsageError):
    """There is no ``kind`` named ``name``; the message names up to three similar ones of ``known``."""

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
    """A task file raises, or its declarations are wrong."""


class MissingPackage(TaskError):
    """A package that a task needs is not installed; the command ``install`` installs it."""

    def __init__(self, message: str, install: str) -> None:
        self.install = install
        super().__init__(message)


class ProgramRejected(RewardgenError):
    """A reply or its program was rejected before it ran; ``problems`` say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in problems))


class RewardFailed(RewardgenError):
    """A program failed in the sandbox. ``kind``: crash, timeout, memory, exception, output."""

    def __init__(self, kind: str, message: str, line: int | None = None) -> None:
        self.kind, self.line = kind, line
        super().__init__(message)


class SandboxError(RewardgenError):
    """The sandbox itself could not be set up."""


class SimulationFailed(RewardgenError):
    """The simulator reported an error."""


class ReplayError(RewardgenError):
    """There is nothing to replay, or a replay cannot be written."""


class OutOfMemory(RewardgenError):
    """Even the smallest piece of the work does not fit into a device's memory."""


class ClusterError(RewardgenError):
    """Other machines cannot be reached, or sent invalid results."""


class LLMError(RewardgenError):
    """The endpoint of a language model cannot be used."""


class LLMAuthError(LLMError):
    """The endpoint refused the key."""


class LLMUnavailable(LLMError):
    """The endpoint was still down after all retries."""


class BudgetExceeded(RewardgenError):
    """The next piece of work could cost more than is left of the budget."""


class StoreError(RewardgenError):
    """The run's database cannot be used."""


class RunLocked(StoreError):
    """Another running process holds the run."""


class StoreVersion(StoreError):
    """A newer version of rewardgen wrote the store."""


class DiskFull(StoreError):
    """There is no space left on the disk."""


class Stopped(RewardgenError):
    """The user pressed Ctrl-C, or the process was told to stop."""

    exit_code = 130
