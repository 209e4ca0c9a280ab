"""``rewardgen check``: check whether a search would accept a reward, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rewardgen.cli.options import Envs, Json, SandboxLevel, folders
from rewardgen.cli.output import note, print_json, write
from rewardgen.cli.settings import with_flags
from rewardgen.errors import ProgramRejected, UsageError


def read_source(file: Path) -> str:
    """Return the text of a reward file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}; give the path of a Python file") from error


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file that defines compute_reward.")],
    task: Annotated[str, typer.Option("--task", "-t", metavar="TASK", help="The task that it rewards.")],
    reply: Annotated[
        bool, typer.Option("--reply", help="The file is a language model's whole reply; extract its code first.")
    ] = False,
    sandbox: SandboxLevel = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Check a reward as a search does: its form, and a trial in the sandbox on real transitions."""
    from rewardgen.config import SandboxConfig, validate
    from rewardgen.sandbox import Sandbox, SandboxLimits
    from rewardgen.screening import random_transitions, screen_source
    from rewardgen.tasks import load_task

    # Load the program, the task and the limits
    text = read_source(file)
    loaded = load_task(task, folders(envs))
    settings = validate(SandboxConfig, with_flags({"level": sandbox}), "--sandbox")
    limits = SandboxLimits(settings.call_seconds, settings.program_seconds, settings.memory_gb)
    # Check it and try it
    with Sandbox(limits, settings.level) as box:
        if settings.level == "basic" and box.notice:
            note(f"warning: {box.notice}")
        transitions = random_transitions(loaded, settings.smoke_transitions, 0)
        trial = screen_source(box, loaded, transitions, text, is_reply=reply, call_seconds=settings.smoke_seconds)
    # Print the problems, or that there are none
    if trial.program is None:
        if json:
            raise ProgramRejected(trial.problems)
        for problem in trial.problems:
            write(f"{file}: {problem.stage}: {problem}")
        raise typer.Exit(ProgramRejected.exit_code)
    if json:
        facts = {"file": file, "task": task, "accepted": True, "digest": trial.program.digest, "problems": []}
        print_json({**facts, "warnings": [trial.warning] if trial.warning else []})
    else:
        if trial.warning:
            write(f"warning: {trial.warning}", style="yellow")
        write(f"{file} is a valid reward for {task}: it passed every check")
