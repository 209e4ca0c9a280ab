"""``rewardgen doctor``: check what works on this machine, and say how to fix what does not."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rewardgen.cli.options import Json
from rewardgen.cli.output import print_json, safe, show, table, write
from rewardgen.cli.settings import Set, parse_assignments, with_flags
from rewardgen.errors import RewardgenError

if TYPE_CHECKING:
    from rewardgen.config import LLMConfig

PACKAGES = (
    "rewardgen",
    "torch",
    "mujoco",
    "gymnasium",
    "stable-baselines3",
    "openai",
    "numpy",
    "pydantic",
    "safetensors",
)
ENOUGH_DISK = 2.0  # GB; a long run needs some hundred MB
STYLES = {"ok": "green", "note": "yellow", "fault": "red"}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    ``level``: ok; note: something optional is missing; fault: rewardgen does not work. ``advice``: what to do.
    """

    name: str
    level: Literal["ok", "note", "fault"]
    found: str
    advice: str = ""


def doctor(
    llm: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Check only this language model, with one small request to its endpoint."),
    ] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Its endpoint, if that is not OpenAI's.")] = None,
    key_variable: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    assignments: Set = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder that will hold the runs.")] = Path(
        "runs"
    ),
    json: Json = False,
) -> None:
    """Check this machine: what works, what does not, and how to fix it."""
    # Only a language model
    if llm is not None or base_url is not None or assignments:
        flags = {"llm.model": llm, "llm.base_url": base_url, "llm.key_variable": key_variable}
        overrides = {**parse_assignments(assignments), **with_flags(flags)}
        _report(_models(_llm_settings(overrides)), json=json)
        return
    # The machine
    checks: list[Callable[[], Finding]] = [
        _python,
        _packages,
        _threads,
        _device,
        _physics,
        _tasks,
        _sandbox,
        _confinement,
        _rendering,
        lambda: _key(key_variable),
        lambda: _disk(out),
    ]
    _report([_guarded(check) for check in checks], json=json)


def _report(findings: list[Finding], *, json: bool) -> None:
    """Print the findings; exit with 1 if there is a fault."""
    # Notes are no failure
    healthy = all(finding.level != "fault" for finding in findings)
    if json:
        print_json({"healthy": healthy, "checks": findings})
    else:
        listing = table("", "what", "found")
        for finding in findings:
            listing.add_row(finding.level, finding.name, safe(finding.found), style=STYLES[finding.level])
            if finding.advice:
                listing.add_row("", "", safe(f"→ {finding.advice}"))
        show(listing)
        write()
        write("no faults found" if healthy else "rewardgen does not work here yet: fix the faults above")
    if not healthy:
        raise typer.Exit(1)


def _llm_settings(overrides: Mapping[str, Any]) -> LLMConfig:
    """Return the settings of the model to check.

    Raises:
        UsageError: they name no model, or set something besides ``llm``.
    """
    from rewardgen.config import LLMConfig, given, is_language_model, validate
    from rewardgen.config.authors import DIALOG
    from rewardgen.errors import UsageError

    # Only settings of the language model make sense here
    sections = given(None, overrides)
    if others := sorted(set(sections) - {"llm"}):
        raise UsageError(f"doctor --llm only checks a language model: --set accepts llm.*, not {', '.join(others)}.*")
    settings = validate(LLMConfig, sections["llm"], "the settings")
    # A dialog's folder is checked, too
    if not is_language_model(settings.label) and not settings.label.startswith(DIALOG):
        raise UsageError("name the language model to check: rewardgen doctor --llm MODEL")
    return settings


def _models(settings: LLMConfig) -> list[Finding]:
    """Ask each model of the settings; return one finding for each."""
    from rewardgen.llm import check
    from rewardgen.quoting import one_line

    findings = []
    for checked in check(settings, os.environ):
        remarks = "; ".join(checked.notices)
        if checked.error:
            findings.append(Finding(checked.model, "fault", checked.error, remarks))
            continue
        tokens = sum(reply.prompt_tokens + reply.completion_tokens for reply in checked.replies)
        dollars = sum(reply.dollars for reply in checked.replies)
        # What it answered, and what that cost
        summary = (
            f"answered {one_line(checked.answer, 60)!r} in {checked.seconds:.1f} s with {tokens} tokens"
            + (f", ${dollars:.5f}" if dollars else "")
            + (" (estimated: the endpoint reports no usage)" if checked.replies[0].estimated else "")
        )
        findings.append(Finding(checked.model, "note" if remarks else "ok", summary, remarks))
    return findings


def _guarded(check: Callable[[], Finding]) -> Finding:
    """Run a check; an unforeseen error in it is a finding too."""
    name = getattr(check, "__name__", "check").strip("_<>")
    try:
        return check()
    except RewardgenError as error:  # its message says what to do
        return Finding(name, "fault", str(error))
    except Exception as error:
        return Finding(
            name, "fault", f"{type(error).__name__}: {error}", "install rewardgen again with its locked versions"
        )


def _python() -> Finding:
    """Report the interpreter and the platform."""
    where = f"{platform.system()} {platform.machine()}"
    return Finding("python", "ok", f"{platform.python_implementation()} {platform.python_version()} on {where}")


def _packages() -> Finding:
    """Check that the packages are installed, and report their versions."""
    # Look at each package that rewardgen imports
    installed, missing = [], []
    for package in PACKAGES:
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        return Finding(
            "packages",
            "fault",
            f"missing: {', '.join(missing)}",
            "run `make setup`, or install them with `pip install`",
        )
    return Finding("packages", "ok", ", ".join(installed))


def _threads() -> Finding:
    """Report the CPU threads that this process may use."""
    import torch

    from rewardgen.sim import available_threads

    available = available_threads()
    summary = f"{available} CPU threads for this process, torch uses {torch.get_num_threads()}"
    if available < 2:
        return Finding("threads", "note", summary, "trainings will be slow; give the process more CPUs if you can")
    return Finding("threads", "ok", summary)


def _device() -> Finding:
    """Report where a training would take place, and the GPUs."""
    import torch

    from rewardgen.sim import arrange

    # What a run would choose
    chosen = arrange()
    summary = f"--device auto: {chosen}, because {chosen.why}"
    if not torch.cuda.is_available():
        return Finding("device", "ok", summary)
    gpus = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        gpus.append(f"cuda:{index} {torch.cuda.get_device_name(index)}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
    summary = f"{summary}. {'; '.join(gpus)}; CUDA {torch.version.cuda}"
    # There is a GPU, but the extra that simulates on it is missing
    if chosen.device.type == "cpu":
        return Finding("device", "note", summary, "to train on the GPU: pip install 'rewardgen[gpu]'")
    return Finding("device", "ok", summary)


def _physics() -> Finding:
    """Measure the speed of the physics on a small task."""
    import torch

    from rewardgen.sim import MujocoSim
    from rewardgen.tasks import load_task

    # Time a few steps of many worlds
    task = load_task("cartpole/swingup")
    sim = MujocoSim(task.model, 64)
    ctrl, steps = torch.zeros(64, task.action_size, dtype=torch.float64), 200
    began = time.perf_counter()
    for _ in range(steps):
        sim.step(ctrl, task.frame_skip)
    rate = 64 * steps / (time.perf_counter() - began)
    return Finding("physics", "ok", f"mujoco.batch steps the cart-pole {rate:,.0f} times a second")


def _tasks() -> Finding:
    """Load all task files; report how many tasks can be used, and how to get the others."""
    from rewardgen.prompting import default_prompts_dir
    from rewardgen.tasks import declared_tasks

    default_prompts_dir()  # raises if the templates are missing
    try:
        declared = declared_tasks()
    except RewardgenError as error:
        return Finding("tasks", "fault", str(error), "fix the task file, or remove it from its folder")
    ready = 0
    commands: dict[str, str] = {}
    for task in declared:
        missing = task.missing()
        if missing is None:
            ready += 1
        else:  # tasks of one file need the same package, so one command for each is enough
            commands.setdefault(missing.install.partition("/")[0], missing.install)
    more = "".join(f"; more with {command}" for command in sorted(commands.values()))
    return Finding("tasks", "ok", f"{ready} of {len(declared)} can be used{more}")


def _sandbox() -> Finding:
    """Run a small program in the sandbox and measure the time to its first reward."""
    import torch

    from rewardgen.program import check
    from rewardgen.records import Field, Layout
    from rewardgen.sandbox import Sandbox, SandboxLimits

    layout = Layout((Field("speed", (), "m/s", "speed"),))
    program = check(
        "def compute_reward(state, action, next_state):\n"
        '    speed = next_state.speed\n    return speed, {"speed": speed}\n',
        layout,
    )
    rows = torch.arange(4.0)[:, None]
    with Sandbox(SandboxLimits(10.0, 30.0, 4.0), "basic") as sandbox:  # missing layers are reported by the next check
        in_force = len(sandbox.confinement)  # this waits for the server, so that its start is not timed
        began = time.perf_counter()
        worker = sandbox.open(program, layout, 1, len(rows))
        try:
            worker.submit(rows, torch.zeros(len(rows), 1), rows)
            reward = worker.result().reward
        finally:
            worker.close()
        took = time.perf_counter() - began
    if not torch.equal(reward, rows[:, 0]):
        return Finding("sandbox", "fault", f"it returned {reward.tolist()}", "this is a bug: please report it")
    summary = f"from program to first reward in {took * 1000:.0f} ms, {in_force} layers around it"
    return Finding("sandbox", "ok", summary)


def _confinement() -> Finding:
    """Report the layers of protection that this system offers to the sandbox."""
    from rewardgen.sandbox import layers

    # Which layers work here, and does strict need those that do not?
    all_layers = layers()
    in_force = ", ".join(layer.name for layer in all_layers if layer.in_force) or "none"
    absent = [layer for layer in all_layers if not layer.in_force]
    if not absent:
        return Finding("confinement", "ok", f"strict; in force: {in_force}")
    strict = not any(layer.required for layer in absent)
    missing_layers = "; ".join(str(layer) for layer in absent)
    if strict:
        return Finding("confinement", "ok", f"strict; in force: {in_force}. Optional and missing: {missing_layers}")
    return Finding(
        "confinement",
        "note",
        f"only basic is possible; in force: {in_force}. {missing_layers}",
        "run rewards of untrusted authors on a machine where the sandbox can be strict",
    )


def _rendering() -> Finding:
    """Draw a picture, and report what with; report whether films can be made of pictures."""
    import torch

    from rewardgen.replay.drawing import film_maker
    from rewardgen.sim import MujocoSim
    from rewardgen.sim.rendering import renderer
    from rewardgen.tasks import load_task

    sim = MujocoSim(load_task("cartpole/swingup").model, 1)
    sim.forward(torch.arange(1))
    without = "replays can still be seen in rewardgen web, whose 3-D view is drawn by the browser"
    # Pictures
    try:
        height, width = sim.render(0, 64, 48).shape[:2]
        drawn = f"{renderer()} drew a picture of {width} by {height}"
    except RewardgenError as error:
        advice = f"install EGL or OSMesa (Debian: libegl1 or libosmesa6) for pictures and films; {without}"
        return Finding("rendering", "note", str(error).splitlines()[0], advice)
    # Films
    try:
        return Finding("rendering", "ok", f"{drawn}, {film_maker()} makes films")
    except RewardgenError as error:
        return Finding("rendering", "note", f"{drawn}; {error}", f"install ffmpeg for films; {without}")


def _key(variable: str) -> Finding:
    """Check that the key's variable is set."""
    if os.environ.get(variable):
        return Finding("key", "ok", f"{variable} is set (its value is never shown)")
    return Finding(
        "key",
        "note",
        f"{variable} is not set: rewards come from the offline author, which is not a language model",
        f"set {variable} and use --llm MODEL, or --base-url URL for your own server",
    )


def _disk(out: Path) -> Finding:
    """Check that the folder of runs can be written to and has space."""
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if not os.access(existing, os.W_OK):
        return Finding("disk", "fault", f"{existing} is not writable", "choose another folder with --out")
    if free < ENOUGH_DISK:
        return Finding(
            "disk", "note", f"{free:.1f} GB free at {existing}", "free some space, or choose another folder with --out"
        )
    return Finding("disk", "ok", f"{free:,.0f} GB free at {existing}")
