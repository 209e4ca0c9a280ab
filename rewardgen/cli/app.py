"""Assembles the commands, and turns the errors that they raise into messages and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from rewardgen.cli import (
    baseline,
    bench,
    check,
    defaults,
    doctor,
    export,
    mcp,
    methods,
    prefer,
    prepare,
    prompt,
    report,
    resume,
    run,
    show,
    sweep,
    tasks,
    train,
    web,
)
from rewardgen.cli.output import note, print_error, print_json, replace_unencodable
from rewardgen.errors import ProgramRejected, RewardgenError, Stopped

app = typer.Typer(
    name="rewardgen",
    help="Searches for reward functions: a language model writes them, short trainings judge them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

SEARCH, LOOK, SINGLE, MACHINE = "Search", "Inspect runs", "Single steps", "This machine"

# The order of these lines is the order in ``--help``
app.command("run", rich_help_panel=SEARCH)(run.run)
app.command("resume", rich_help_panel=SEARCH)(resume.resume)
app.command("sweep", rich_help_panel=SEARCH)(sweep.sweep)
app.command("show", rich_help_panel=LOOK)(show.show)
app.command("prefer", rich_help_panel=LOOK)(prefer.prefer)
app.command("report", rich_help_panel=LOOK)(report.report)
app.command("web", rich_help_panel=LOOK)(web.web)
app.command("mcp", rich_help_panel=SEARCH)(mcp.mcp)
app.command("export", rich_help_panel=LOOK)(export.export)
app.command("tasks", rich_help_panel=SINGLE)(tasks.tasks)
app.command("methods", rich_help_panel=SINGLE)(methods.methods)
app.command("settings", rich_help_panel=SINGLE)(defaults.settings)
app.command("prompt", rich_help_panel=SINGLE)(prompt.prompt)
app.command("check", rich_help_panel=SINGLE)(check.check)
app.command("train", rich_help_panel=SINGLE)(train.train)
app.command("baseline", rich_help_panel=SINGLE)(baseline.baseline)
app.command("prepare", rich_help_panel=MACHINE)(prepare.prepare)
app.command("bench", rich_help_panel=MACHINE)(bench.bench)
app.command("doctor", rich_help_panel=MACHINE)(doctor.doctor)


def _print_version(wanted: bool) -> None:
    """Print the version and exit, if ``--version`` is given."""
    if wanted:
        from rewardgen import __version__

        print(f"rewardgen {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Define the options that stand before a command."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command in ``argv`` (without the program's name) and exit with its code.

    Raises:
        SystemExit: always.
    """
    # A terminal or pipe that cannot encode a character gets a similar one
    replace_unencodable(sys.stdout)
    replace_unencodable(sys.stderr)
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    """Run a command; print what it raises and return the exit code."""
    as_json = "--json" in arguments
    try:
        code = app(args=arguments, prog_name="rewardgen", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except RewardgenError as error:
        _fail(type(error).__name__, str(error), error.exit_code, error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:  # raised by the parser of the command line
        _fail("UsageError", error.format_message(), error.exit_code, error, as_json=as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort) as error:
        _fail("Stopped", "stopped", Stopped.exit_code, error, as_json=as_json)
        return Stopped.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe; let nothing more be written to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # An error in a user's task file is theirs to fix; anything else is a bug of rewardgen
        if (fault := _task_fault(error)) is not None:
            _fail(type(fault).__name__, str(fault), fault.exit_code, fault, as_json=as_json)
            return fault.exit_code
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}; this is a bug in rewardgen: please report it"
        _fail("InternalError", message, 1, error, as_json=as_json)
        return 1


def _task_fault(error: Exception) -> RewardgenError | None:
    """Return what a user's task file raised as a TaskError, if the error came from one."""
    # Without loaded tasks it cannot come from one; importing them here would be slow
    if "rewardgen.tasks" not in sys.modules:
        return None
    from rewardgen.tasks import task_fault

    return task_fault(error)


def _fail(kind: str, message: str, code: int, error: BaseException, *, as_json: bool) -> None:
    """Print an error: text on standard error, or one JSON document on standard output."""
    if not as_json:
        note(message) if code == Stopped.exit_code else print_error(message)
        return
    document: dict[str, object] = {"type": kind, "message": message, "exit_code": code}
    if isinstance(error, ProgramRejected):
        document["problems"] = error.problems
    print_json({"error": document})
