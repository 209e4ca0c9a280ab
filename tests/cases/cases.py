"""What people ran into, as cases: a command on a folder of inputs, and what a right outcome is."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

INPUTS = Path(__file__).parent / "inputs"
SHORT = ("--steps", "4096", "--generations", "1", "--candidates", "2", "--report-seeds", "1",
         "--set", "evaluation.report_episodes=2", "--threads", "1")  # fmt: skip
TINY = ("--steps", "512", "--report-seeds", "1", "--threads", "1", "--set", "training.worlds=8",
        "--set", "training.rollout=16", "--set", "training.checkpoints=1", "--set", "training.checkpoint_episodes=1",
        "--set", "training.score_episodes=1", "--set", "evaluation.report_episodes=2",
        "--set", "evaluation.resamples=100", "--set", "tracking=false")  # fmt: skip
"""Flags that make trainings as small as they can be."""
FAULTS = ("Traceback", "bug in rewardgen")
LONGEST = 1800  # seconds that a command may take; only what hangs takes so long


@dataclass(frozen=True)
class Case:
    """One command and its right outcome.

    Args:
        name: of the case, unique.
        folder: below the folder of inputs; the command runs in a copy of it.
        command: arguments of ``rewardgen``; ``{url}`` is the case's server.
        code: the right exit code.
        says: regular expressions that the output must match, whitespace collapsed.
        silent: regular expressions that neither output nor kept files may match, beside those of a fault of our own.
        server: the kind of ``endpoint_server/serve.py`` to start.
        env: variables to set.
        after: a Python program to run in the folder afterwards; it must end with 0.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    code: int = 0
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    server: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    after: str | None = None


@dataclass(frozen=True)
class Outcome:
    wrong: list[str]
    """What differs from the right outcome; empty if it is right."""
    said: str
    seconds: float
    code: int | None = None
    """Exit code of the command; None if it was ended after ``LONGEST``."""
    last: str = ""
    """Its last line of output."""

    @property
    def verdict(self) -> str:
        return "WRONG: " + "; ".join(self.wrong) if self.wrong else "right"


# The program that the reply's author meant is the one that is found.
_FOUND = """
from pathlib import Path
from rewardgen.program import extract
found = extract(Path("reply.md").read_text(encoding="utf-8"))
assert "middle" in found and "draft" not in found, found
"""
# In-place addition to a total that shares a component's memory leaves the component alone.
_ADDS_UP = """
import torch
from pathlib import Path
from types import SimpleNamespace
from rewardgen.program import check
from rewardgen.tasks import load_task
source = check(Path("reward.py").read_text(encoding="utf-8"), load_task("cartpole/swingup").layout).source
space = {"torch": torch}
exec(source, space)
state = SimpleNamespace(pole_upright=torch.tensor([0.5]), cart_position=torch.tensor([1.0]))
total, parts = space["compute_reward"](state, None, state)
assert torch.allclose(total, sum(parts.values())), (total, parts)
"""


def _check(name: str, *, code: int = 0, says: Sequence[str] = (), silent: Sequence[str] = ()) -> Case:
    command = ("check", "reply.md", "--task", "cartpole/swingup", "--reply")
    return Case(name, name, command, code, tuple(says), tuple(silent), after=_FOUND if code == 0 else None)


def _blame(name: str, *says: str, code: int = 2, silent: Sequence[str] = ()) -> Case:
    command = ("train", f"w/{name.lower()}", "--envs", ".", "--steps", "200", "--threads", "1")
    return Case(f"env_blame/{name}", f"env_blame/{name}", command, code, says, ("adapter.py", "_worker.py", *silent))


def _endpoint(kind: str, *says: str, code: int = 0, more: Sequence[str] = (), silent: Sequence[str] = ()) -> Case:
    command = ("run", "cartpole/swingup", "--llm", "m", "--base-url", "{url}", *SHORT, "--set", "llm.cache=false",
               "--name", "served", *more)  # fmt: skip
    return Case(f"endpoint_server/{kind}", "endpoint_server", command, code, says, tuple(silent), server=kind)


FOUND = "reward"  # a run that found one says so
_PROXY = ("run", "cartpole/swingup", "--llm", "m", "--base-url", "{url}", *SHORT, "--name", "proxied")
_CHECK_ENV = """
import sys; sys.path.insert(0, "runs/exported/export")
from gymnasium.utils.env_checker import check_env
from wrapper import make
check_env(make(), skip_render_check=True)
"""

CASES: tuple[Case, ...] = (
    Case("component_alias", "component_alias", ("check", "reward.py", "--task", "cartpole/swingup"),
         after=_ADDS_UP),
    Case("config_1e5", "config_1e5", ("run", "--config", "c.yaml", "--budget-steps", "1", "--llm", "offline"),
         code=1, silent=("unable to parse",)),
    Case("config_duplicate_key", "config_duplicate_key", ("run", "--config", "twice.yaml", "--budget-steps", "1"),
         code=2, says=("line 2|:2", "line 4|:4", "training")),
    *(_endpoint(kind, FOUND) for kind in
      ("llama-cpp-n", "gemini-n", "only-n-1", "no-system-role", "stream-only", "rate-per-minute", "loading",
       "stop-token", "thoughts-come-back", "channels-come-back")),
    _endpoint("sse-anyway", "No reward found|no reward", code=1),
    _endpoint("error-in-200", "Insufficient credits", code=1),
    _endpoint("error-in-choice", "the provider is overloaded", code=1, more=("--set", "llm.retries=1")),
    _endpoint("quota", "exceeded your current quota", code=1),
    _endpoint("one-slot", FOUND, more=("--candidates", "8", "--set", "llm.timeout=6")),
    _endpoint("all-thought", "llm.max_tokens", code=1),
    _endpoint("filtered", "filter", code=1),
    _endpoint("tool-call", "tool", code=1),
    _blame("ArrReward", r"array of shape \(1,\) as the reward", r"_weird\.py"),
    _blame("Hangs", "has not come back after", r"_weird\.py, line", code=1),
    _blame("InfAct", "environment.action_range"),
    _blame("NanObs", "W/NanObs-v0 gave an observation, reward or info that is NaN", code=0),
    _blame("OldReset", "takes no seed", r"_weird\.py"),
    _blame("OldResetObs", r"gives \(observation, info\)", r"_weird\.py"),
    _blame("OldStep", "4 values", r"_weird\.py"),
    _blame("OwnRng", code=0),
    _blame("StrInfo", "no number", r"_weird\.py"),
    _blame("TextObs", "Text", "t.yaml"),
    _blame("Torchy", "info.dist as what is no number", r"_weird\.py"),
    _blame("WrongShape", r"array of shape \(3,\) as the observation", r"_weird\.py"),
    Case("export_check_env", "export_check_env",
         ("run", "hopper/run", "--llm", "offline", *SHORT, "--candidates", "1", "--name", "exported"),
         after=_CHECK_ENV),
    Case("first_substep_divergence/finger", "first_substep_divergence",
         ("train", "units/finger", "--envs", ".", "--steps", "512"), says=("diverge|blew up|unstable|not finite",),
         silent=(r"0\.0[1-9] s",)),
    Case("first_substep_divergence/slider", "first_substep_divergence",
         ("train", "units/slider", "--envs", ".", "--steps", "256"), says=("diverge|blew up|unstable|not finite",),
         silent=("100 %",)),
    Case("helper_beside_yaml", "helper_beside_yaml", ("tasks", "cartpole/swingup", "--envs", ".")),
    Case("infinite_ctrlrange", "infinite_ctrlrange", ("train", "m/inf_range", "--envs", ".", "--steps", "256"),
         code=2, says=("correct the ctrlrange", "t.py|m/inf_range")),
    Case("info_key_typo", "info_key_typo", ("train", "x/infotypo", "--envs", ".", "--steps", "200"),
         says=("is_sucess",)),
    Case("key_with_newline", "key_with_newline", _PROXY, code=2, says=("OPENAI_API_KEY",), silent=("second-line",),
         server="ok", env={"OPENAI_API_KEY": "sk-first-line\nsecond-line"}),
    Case("output_encoding/prompt", "output_encoding", ("prompt", "cartpole/swingup"),
         env={"PYTHONIOENCODING": "cp1252"}),
    Case("output_encoding/doctor", "output_encoding", ("doctor",), env={"PYTHONIOENCODING": "latin-1"}),
    *(Case(f"proxy_schemes/{value}", "proxy_schemes", _PROXY, code=code, says=says, server="ok", env={name: value})
      for name, value, code, says in (
          ("ALL_PROXY", "socks://127.0.0.1:7890/", 2, ("ALL_PROXY",)),
          ("ALL_PROXY", "socks5://127.0.0.1:7890", 2, ("ALL_PROXY|socksio",)),
          ("HTTP_PROXY", "127.0.0.1:7890", 2, ("HTTP_PROXY",)))),
    *(Case(f"proxy_schemes/NO_PROXY={value}", "proxy_schemes", _PROXY, says=(FOUND,), server="ok",
           env={"HTTP_PROXY": "http://127.0.0.1:7890", "NO_PROXY": value})
      for value in ("{host}", "localhost,127.0.0.0/8")),
    *(_check(name,) for name in
      ("reply_THINK_bracket", "reply_fence_in_docstring", "reply_fence_then_text", "reply_harmony_glued",
       "reply_json_fence", "reply_kimi_think", "reply_nbsp", "reply_stop_token")),
    _check("reply_think_cut_off", code=1, says=("cut off|broke off|breaks off",), silent=("reply shorter",)),
    Case("sweep_anchor_to_itself/recursive", "sweep_anchor_to_itself", ("sweep", "recursive.yaml", "--dry-run"),
         code=2, says=("recursive.yaml",)),
    Case("sweep_anchor_to_itself/many", "sweep_anchor_to_itself", ("sweep", "many.yaml", "--dry-run"), code=2,
         says=("many.yaml",)),
    Case("sweep_hours", "sweep_hours", ("sweep", "sexag.yaml", "--dry-run"), code=2, says=("hours",)),
    Case("sweep_long_arm", "sweep_long_arm", ("sweep", "long.yaml", "--dry-run"), code=2, says=("long.yaml", "arm")),
)  # fmt: skip


def run(case: Case, inputs: Path, work: Path) -> Outcome:
    """Run the case's command in a copy of its inputs below ``work`` and compare what comes of it."""
    place = work / re.sub(r"\W+", "_", case.name)
    place.mkdir(parents=True)
    folder = inputs / case.folder
    folder = folder if folder.is_dir() else folder.parent  # cases that share their inputs
    for path in folder.iterdir() if folder != inputs else ():
        if path.is_file():
            (place / path.name).write_bytes(path.read_bytes())
    port = _free_port()
    host = f"127.0.0.1:{port}"
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith(("_proxy", "_api_key"))}
    given = {name: value.replace("{host}", host) for name, value in case.env.items()}
    environment = kept | {"OPENAI_API_KEY": "a-key-for-tests", "REWARDGEN_CACHE": str(place / "cache")} | given
    if any("PROXY" in name for name in given) and "NO_PROXY" not in given:
        environment["NO_PROXY"] = ""
    command = [part.replace("{url}", f"http://{host}/v1") for part in case.command]
    server = _serve(case.server, inputs, port) if case.server is not None else None
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rewardgen.cli", *command],
            cwd=place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
            check=False,
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as stopped:
        code, output = None, stopped.stdout or b""
    finally:
        if server is not None:
            server.kill()
            server.wait()
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", output.decode(errors="replace")).split())
    wrong = [] if code == case.code else [f"ended with {code}, not {case.code}"]
    wrong += [f"does not say /{pattern}/" for pattern in case.says if not re.search(pattern, said)]
    wrong += [f"says /{pattern}/" for pattern in (*FAULTS, *case.silent) if re.search(pattern, said)]
    for path in (place / "runs").rglob("*"):
        if path.is_file() and any(re.search(pattern.encode(), path.read_bytes()) for pattern in case.silent):
            wrong.append(f"{path.relative_to(place)} holds what it must not")
    if case.after is not None and not wrong:
        after = subprocess.run([sys.executable, "-c", case.after], cwd=place, capture_output=True, check=False)
        if after.returncode:
            wrong.append(after.stderr.decode(errors="replace").strip().splitlines()[-1])
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip(" │╭╮╰╯─")]
    return Outcome(wrong, said, time.monotonic() - began, code, lines[-1].strip() if lines else "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(kind: str, inputs: Path, port: int) -> subprocess.Popen[bytes]:
    program = inputs / "endpoint_server" / "serve.py"
    server = subprocess.Popen([sys.executable, str(program), kind, str(port)], stdout=subprocess.DEVNULL)
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        if server.poll() is not None:
            raise RuntimeError(f"{program} {kind} ended with {server.returncode}")
        time.sleep(0.02)
