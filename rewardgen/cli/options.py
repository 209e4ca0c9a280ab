"""Flags that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.flags import SettingFlag

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

Envs = Annotated[
    list[Path] | None,
    typer.Option("--envs", metavar="DIR", help="A folder with your own task files; repeatable."),
]

Prompts = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="DIR", help="A folder with your own prompt templates."),
]

RunsDir = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="The folder that holds the runs."),
]

RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's folder, its name in the folder of runs, or 'latest'."),
]

SandboxLevel = Annotated[str | None, SettingFlag("sandbox.level", name="--sandbox")]

Physics = Annotated[str | None, SettingFlag("sim")]

Device = Annotated[str | None, SettingFlag("device", metavar="auto|cpu|cuda[:N]")]

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task's name, such as cheetah/run.")]


def folders(envs: list[Path] | None) -> tuple[Path, ...]:
    """Return the folders of ``--envs``.

    Raises:
        UsageError: one of them does not exist.
    """
    from rewardgen.errors import UsageError

    for folder in envs or ():
        if not folder.is_dir():
            raise UsageError(f"--envs {folder}: there is no such folder")
    return tuple(envs or ())


def template_folder(prompts: Path | None) -> Path | None:
    """Return the folder of ``--prompts``.

    Raises:
        UsageError: it does not exist.
    """
    from rewardgen.errors import UsageError

    if prompts is not None and not prompts.is_dir():
        raise UsageError(f"--prompts {prompts}: there is no such folder")
    return prompts
