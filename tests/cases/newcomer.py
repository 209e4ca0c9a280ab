"""A new user's first hours: what was done in each row of a table of findings, tried again at tiny sizes.

The findings were numbered 1 to 16, and smaller ones came without a number. Each row runs its commands in a folder of
its own and says what is printed, and whether that is right.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cases.cases import FAULTS, LONGEST, TINY, Outcome
from tests.llm.server import ModelServer, answers, fails

ROOT = Path(__file__).parents[2]
OWN = str(ROOT / "tests" / "tasks" / "example")
"""A folder with a task of one's own, slider/park."""
NOWHERE = "http://127.0.0.1:9/v1"
KEYS = ("_proxy", "_api_key")
_FINISHED = threading.Lock()


@dataclass
class Shell:
    """Runs ``rewardgen`` in a folder, and collects what is wrong with what comes of it."""

    place: Path
    wrong: list[str] = field(default_factory=list)
    said: str = ""
    """Everything that the commands printed, whitespace collapsed."""
    shown: list[str] = field(default_factory=list)
    """Each command with its exit code and last line."""

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.lower().endswith(KEYS)}
        return kept | {"REWARDGEN_CACHE": str(self.place.parent / "cache"), "MUJOCO_GL": "disable"} | dict(more)

    def __call__(
        self,
        *command: object,
        code: int = 0,
        says: tuple[str, ...] = (),
        silent: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run ``rewardgen *command`` and return its output; note an exit code other than ``code``, a pattern of
        ``says`` that is missing, and one of ``silent`` that is there."""
        arguments = [str(part) for part in command]
        done = subprocess.run(
            [sys.executable, "-m", "rewardgen.cli", *arguments],
            cwd=self.place,
            env=self.environment(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST,
            check=False,
        )
        output = done.stdout.decode(errors="replace")
        said = " ".join(re.sub("[│╭╮╰╯─]", " ", output).split())
        self.said += said + "\n"
        lines = [line.strip() for line in output.splitlines() if line.strip(" │╭╮╰╯─")]
        name = " ".join(part for part in arguments if part not in TINY)
        last = "JSON" if output.startswith("{") else lines[-1][:200] if lines else ""
        self.shown.append(f"`{name}` → {done.returncode}: {last}")
        self.expect(done.returncode == code, f"{arguments[0]} ended with {done.returncode}, not {code}")
        for pattern in says:
            self.expect(re.search(pattern, said), f"{arguments[0]} does not say /{pattern}/")
        for pattern in (*FAULTS, *silent):
            self.expect(not re.search(pattern, said), f"{arguments[0]} says /{pattern}/")
        return output

    def expect(self, holds: object, problem: str) -> None:
        if not holds:
            self.wrong.append(problem)

    def start(self, *command: object) -> subprocess.Popen[str]:
        """Start ``rewardgen *command`` and return the process, with its output as a pipe."""
        return subprocess.Popen(
            [sys.executable, "-m", "rewardgen.cli", *map(str, command)],
            cwd=self.place,
            env=self.environment({"PYTHONUNBUFFERED": "1"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finished(self) -> None:
        """Put a finished search of slider/park under ``runs/done``; it is made once for all rows."""
        made = self.place.parent / "finished"
        with _FINISHED:
            if not made.exists():
                shell = Shell(self.place.parent / "making")
                shell.place.mkdir()
                shell("run", "slider/park", "--envs", OWN, "--llm", "offline", "--generations", 1, "--candidates", 2,
                      *TINY, "--name", "done")  # fmt: skip
                if shell.wrong:
                    raise AssertionError("; ".join(shell.wrong))
                shell.place.rename(made)
        shutil.copytree(made, self.place, dirs_exist_ok=True)

    def read(self, path: str) -> str:
        return (ROOT / path).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Row:
    """One finding. ``done``: what the user did; ``check``: does it again."""

    name: str
    done: str
    check: Callable[[Shell], None]

    def run(self, place: Path) -> Outcome:
        shell = Shell(place)
        place.mkdir()
        began = time.monotonic()
        try:
            self.check(shell)
        except (AssertionError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            shell.wrong.append(f"{type(error).__name__}: {error}"[:300])
        return Outcome(shell.wrong, shell.said, time.monotonic() - began, last="; ".join(shell.shown))

    def line(self, outcome: Outcome) -> str:
        return f"| {self.name} | {self.done} | {outcome.last} | {outcome.verdict} |"


RUN = ("run", "cartpole/swingup", "--generations", 1, *TINY)
ARM = """
import torch
from rewardgen.tasks import Field, Task, register

MODEL = '''<mujoco><worldbody>
  <body><joint name="a" axis="0 1 0"/><geom size=".05" fromto="0 0 0 .3 0 0" type="capsule"/>
    <body pos=".3 0 0"><joint name="b" axis="0 1 0"/><geom size=".05" fromto="0 0 0 .3 0 0" type="capsule"/>
      <body pos=".3 0 0"><joint name="c" axis="0 1 0"/><geom size=".05" fromto="0 0 0 .3 0 0" type="capsule"/></body>
    </body></body></worldbody>
  <actuator><motor joint="a" ctrlrange="-1 1"/><motor joint="b" ctrlrange="-1 1"/></actuator></mujoco>'''


@register("arm/up")
class Up(Task):
    description = "Hold the arm up."
    fields = (Field("angles", (3,), "rad", "joint angles"),)
    frame_skip, horizon = 5, 50
    fitness_unit, success_threshold, fitness_meaning = "rad", 1.0, "mean angle"
    expert_source = "the author of this file"

    def make_model(self):
        import mujoco

        return mujoco.MjModel.from_xml_string(MODEL)

    def reset(self, sim, ids, generator):
        sim.field("qpos")[ids] = generator.uniform(-1, 1)

    def state(self, sim):
        return {"angles": sim.field("qpos")}

    def observation(self, state):
        return state.angles

    def fitness(self, episode):
        return (episode.field("angles")[1:, :, 0] * episode.mask).sum(0)

    def expert_reward(self, state, action, next_state):
        up = next_state.angles[:, 0]
        return up, {"up": up}

    def sparse_reward(self, state, action, next_state):
        up = (next_state.angles[:, 0] > 1).float()
        return up, {"up": up}
"""
UNSEEN = """
import gymnasium, numpy as np

class Unseen(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}
    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}

gymnasium.register("Unseen-v0", Unseen)
"""


def _declaration(task: str, environment: str, source: str = "observation[0]") -> str:
    return f"""
task: {task}
description: Stay up.
environment: {environment}
fields: [{{name: first, from: "{source}", unit: "1", meaning: the first number}}]
success: {{from: "observation[0]", at_least: 0.5}}
fitness: {{from: "observation[0]", over: mean, unit: "1", meaning: mean, threshold: 0.5}}
horizon: 50
training: {{worlds: 2, rollout: 32}}
"""


# ---- the numbered rows


def growing(shell: Shell) -> None:
    shell.finished()
    shell("resume", "done", "--generations", 2)
    shown = json.loads(shell("show", "done", "--json"))
    shell.expect(len(shown["generations"]) == 2, f"{len(shown['generations'])} generation(s) after resume")


def own_export(shell: Shell) -> None:
    shell.finished()
    reward = "runs/done/export/reward.py"
    shell("check", reward, "--task", "slider/park", "--envs", OWN)
    shell("train", "slider/park", "--envs", OWN, "--reward", reward, *TINY[:2], *TINY[4:-2])


def wrong_shape(shell: Shell) -> None:
    (shell.place / "arm.py").write_text(ARM)
    number = next(number for number, text in enumerate(ARM.splitlines(), 1) if "generator.uniform" in text)
    for command in (("tasks", "arm/up"), ("run", "arm/up", "--llm", "offline", *TINY)):
        shell(*command, "--envs", ".", code=2, says=(rf"arm\.py:{number}: in the task 'arm/up', reset\(\) failed",))
    page = shell.read("docs/own-task.md")
    shell.expect("`generator" in page and 'sim.field("' in page, "docs/own-task.md does not explain both")


def on_the_path(shell: Shell) -> None:
    shell("doctor")
    shell.expect(".venv/bin/activate" in shell.read("README.md"), "README does not say how to call rewardgen")
    printed = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    shell.expect("activate" in printed or ".venv/bin/rewardgen" in printed, "make run does not say where it is")


def model_servers(shell: Shell) -> None:
    page = shell.read("docs/models.md")
    for name in ("Ollama", "vLLM", "LM Studio", "llama.cpp", "OpenRouter", "Anthropic", "Google", "key_variable"):
        shell.expect(name in page, f"docs/models.md does not name {name}")
    shell("settings", "llm", says=("key_variable",))


def unseen_replays(shell: Shell) -> None:
    (shell.place / "_unseen.py").write_text(UNSEEN)
    environment = "{id: Unseen-v0, imports: [_unseen]}"
    (shell.place / "unseen.yaml").write_text(_declaration("unseen/stay", environment))
    judged = ("--envs", ".", "--judge", "people", "--set", "search.judging.wait_hours=0", "--llm", "offline")
    shell("run", "unseen/stay", *TINY, *judged, code=1, says=("render|replay",))
    shell.expect(not (shell.place / "runs").exists(), "a folder was made")
    (shell.place / "pendulum.yaml").write_text(_declaration("pendulum/up", "{id: Pendulum-v1}"))
    shell("run", "pendulum/up", "--generations", 1, "--candidates", 2, *TINY, *judged)


def deploy(shell: Shell) -> None:
    shell.finished()
    shell("export", "done")
    made = list((shell.place / "runs/done/export").iterdir())
    shell.expect(any(path.name == "policy.onnx" for path in made), f"no policy.onnx among {[p.name for p in made]}")
    program = (
        "import sys; sys.path.insert(0, 'runs/done/export'); from environment import make; import gymnasium; "
        "from gymnasium.utils.env_checker import check_env; env = make(); assert isinstance(env, gymnasium.Env); "
        "check_env(env.unwrapped, skip_render_check=True); env.reset(seed=0); env.step(env.action_space.sample())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=shell.place, capture_output=True, text=True, check=False, timeout=LONGEST
    )
    shell.shown.append(f"`environment.make()` → {done.returncode}")
    shell.expect(done.returncode == 0, (done.stderr.strip().splitlines() or ["environment.make() failed"])[-1])


def verdict_first(shell: Shell) -> None:
    out = shell(*RUN, "--candidates", 2, "--llm", "offline", "--name", "first", says=("rewardgen ",), silent=("✓",))
    shown = json.loads(shell("show", "first", "--json"))
    result = shown["result"]
    told = result["word"].capitalize()
    ending = out[out.index(told) :] if told in out else ""
    shell.expect(ending, f"the verdict {result['word']!r} is not printed")
    shell.expect("def compute_reward" in ending, "the verdict does not come before the code")
    evaluations = [final["evaluation"] for final in shown["finals"]]
    learned = any(value > 0 for each in evaluations for episodes in each["fitness"] for value in episodes)
    shell.expect(
        learned or result["word"] == "nothing learned", f"no score is above 0, and the word is {result['word']}"
    )
    shell.expect(all(each["low"] >= 0 for each in evaluations), "times below zero")


def nobody_listens(shell: Shell) -> None:
    began = time.monotonic()
    shell(*RUN, "--llm", "m", "--base-url", NOWHERE, "--name", "down", code=1, says=("see whether the server runs",))
    shell.expect("trying again" not in shell.said, "it was tried again before anything had worked")
    shell.shown.append(f"{time.monotonic() - began:.0f} s")


def refused_first(shell: Shell) -> None:
    shell(*RUN, "--llm", "m", "--name", "taken", code=2, says=("OPENAI_API_KEY",))
    shell(*RUN, "--llm", "m", "--base-url", NOWHERE, "--name", "taken", "--budget-dollars", 1, code=2, says=("price",))
    shell.expect(not (shell.place / "runs").exists(), "a folder was made")


def prose(shell: Shell) -> None:
    with ModelServer(default=answers(text="I would reward an upright pole.")) as server:
        shell(*RUN, "--llm", "m", "--base-url", server.url, "--name", "prose", code=1, says=("No reward found",))
    shell("show", "prose", says=("block that defines …",))  # refusals are cut between words
    cost = json.loads(shell("show", "prose", "--json"))["cost"]
    shell.expect(cost["steps"] == 0, f"{cost['steps']} environment steps were trained")


def quick(shell: Shell) -> None:
    shell.finished()
    check = ("check", "runs/done/export/reward.py", "--task", "slider/park", "--envs", OWN)
    shell("tasks")  # the first time reads all task files; what they declare is kept from then on
    looked_up = (("--help",), ("tasks",), ("methods",), ("show", "done"))
    for command, most in (*((each, 1) for each in looked_up), (("prompt", "cartpole/swingup"), 6), (check, 6)):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        shell(*command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        shell.shown[-1] = f"{command[0]} {seconds:.1f} s"
        shell.expect(seconds <= 2 * most, f"{command[0]} took {seconds:.1f} s of processor time")


def order_all(shell: Shell) -> None:
    run = shell.start(*RUN, "--candidates", 4, "--llm", "offline", "--judge", "people", "--name", "judged")
    try:
        assert run.stdout is not None
        waiting = next((text for text in run.stdout if "waiting for" in text), "")
        shell.shown.append(waiting.strip())
        shell.expect(waiting, "the search did not wait")
        asked = shell("show", "judged", "--json")
        keys = [c["key"] for c in json.loads(asked)["generations"][0]["candidates"]]
        table = shell("show", "judged")
        shell.expect(not re.search(r"\d\.\d+ s\b", table.split("cost")[0]), "scores are shown to who is about to judge")
        shell("prefer", "judged", "--order", ",".join(keys), "--judge", "me")
        rest = run.stdout.read()
        shell.expect(run.wait(LONGEST) == 0, f"the search ended with {run.returncode}")
        shell.shown.append(rest.strip().splitlines()[-1])
    finally:
        run.kill()
        run.wait()


def address(shell: Shell) -> None:
    (shell.place / "runs").mkdir()
    server = shell.start("web", "--host", "0.0.0.0", "--port", 0, "--token", "a-token-for-tests-only-1234")
    try:
        assert server.stdout is not None
        found = next((text for text in server.stdout if re.search(r"https?://\d+\.\d+\.\d+\.\d+:\d+", text)), "")
    finally:
        server.kill()
        server.wait()
    shell.shown.append(f"`web --host 0.0.0.0` prints {found.strip()}")
    shell.expect(found, "no address by number was printed")


def figures(shell: Shell) -> None:
    shell.finished()
    shell("report", "done", "--figures", "figures")
    (shell.place / "s.yaml").write_text(
        "tasks: [cartpole/swingup]\nseeds: 1\nsettings: {llm.model: offline, training.steps: 512}\narms: {one: {}}\n"
    )
    shell("sweep", "s.yaml", "--dry-run", says=("start",))
    made = list((shell.place / "figures").glob("*.pdf"))
    shell.expect(bool(made) and all(path.read_bytes().startswith(b"%PDF") for path in made), "there are no PDF files")


def settings(shell: Shell) -> None:
    shell("settings", says=("training.gamma", "llm.base_url"))
    shell("settings", "training", says=("discount factor",))
    shell.expect("rewardgen settings" in shell.read("docs/configuration.md"), "no page names the command")


# ---- the smaller ones


def without_v1(shell: Shell) -> None:
    with ModelServer(default=fails(404, "Not Found")) as server:
        server.models = ["m"]
        base = server.url.removesuffix("/v1")
        shell(*RUN, "--llm", "m", "--base-url", base, code=1, says=(f"give the base URL {re.escape(server.url)}",))


def problems_once(shell: Shell) -> None:
    (shell.place / "wrong.py").write_text(
        'def compute_reward(state, action, next_state):\n    up = next_state.pole_uprigth\n    return up, {"up": up}\n'
    )
    shell("check", "wrong.py", "--task", "cartpole/swingup", code=1, says=("pole_upright",))
    shell.expect(shell.said.count("pole_uprigth") == 1, f"the problem is told {shell.said.count('pole_uprigth')} times")


def own_physics(shell: Shell) -> None:
    (shell.place / "pendulum.yaml").write_text(_declaration("pendulum/up", "{id: Pendulum-v1}"))
    shell("train", "pendulum/up", "--envs", ".", "--steps", 64, says=("package of Pendulum-v1",), silent=("by MuJoCo",))


def slices(shell: Shell) -> None:
    (shell.place / "wide.yaml").write_text(_declaration("wide/up", "{id: Pendulum-v1}", "observation[7]"))
    says = (r"wide\.yaml", r"of 3 numbers; there is no \[7:8\]")
    shell("train", "wide/up", "--envs", ".", "--steps", 64, code=2, says=says, silent=("adapter", "_worker"))


def discrete(shell: Shell) -> None:
    (shell.place / "pole.yaml").write_text(_declaration("pole/up", "{id: CartPole-v1}"))
    shell("train", "pole/up", "--envs", ".", "--steps", 128)


def without_store(shell: Shell) -> None:
    (shell.place / "runs" / "empty").mkdir(parents=True)
    shell("show", "empty", code=2, says=("store|run.sqlite",), silent=("no run named",))


ROWS = (
    Row("1", "a finished run grows", growing),
    Row("2", "`check` and `train` on `export/reward.py`", own_export),
    Row("3", "a 3-link arm whose `reset` sets one number for three joints", wrong_shape),
    Row("4", "`rewardgen doctor` after `make run`", on_the_path),
    Row("5", "Ollama, vLLM, LM Studio, OpenRouter, Anthropic, Gemini", model_servers),
    Row("6", "`--judge people` on an environment by YAML", unseen_replays),
    Row("7", "train longer elsewhere, deploy", deploy),
    Row("8", "did the first run work? times below zero", verdict_first),
    Row("9", "`--base-url` where nothing listens", nobody_listens),
    Row("10", "refused before work: no key, unknown price", refused_first),
    Row("11", "a model that answers prose alone", prose),
    Row("12", "look-ups, seconds of processor", quick),
    Row("13", "order a whole generation of 4; scores while judging", order_all),
    Row("14", "the address printed for colleagues", address),
    Row("15", "a figure for a paper; a dry run's start-up", figures),
    Row("16", "look up a setting", settings),
    Row("url", "a base URL without `/v1`", without_v1),
    Row("once", "`check` prints each problem once", problems_once),
    Row("physics", "whose physics Pendulum-v1 has", own_physics),
    Row("slice", "a slice beyond the observation", slices),
    Row("discrete", "CartPole-v1", discrete),
    Row("store", "a folder without its store", without_store),
)
