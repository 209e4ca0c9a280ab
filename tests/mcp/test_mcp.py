"""The Model Context Protocol server, driven over stdio by the SDK's own client."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rewardgen.mcp import skill
from rewardgen.store import read
from tests.cli.commands import rewardgen

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"
REWARD = """def compute_reward(state, action, next_state):
    near = torch.exp(-{scale} * (next_state.{field}).abs())
    return near, {{"near": near}}
"""


class Failed(Exception):
    """A tool said that it failed."""


class Agent:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.progress: list[str] = []

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        async def hear(progress: float, total: float | None, message: str | None) -> None:
            self.progress.append(message or "")

        result = await self.client.call_tool(tool, arguments, progress_callback=hear)
        if result.is_error:
            raise Failed(" ".join(getattr(part, "text", "") for part in result.content))
        return dict(result.structured_content or {})


@asynccontextmanager
async def connected(runs: Path) -> AsyncIterator[Agent]:
    command = ["-m", "rewardgen.cli", "mcp", "--out", str(runs), "--envs", str(EXAMPLE)]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ), cwd=str(runs.parent))
    async with Client(server) as client:
        yield Agent(client)


def drive(runs: Path, work: Callable[[Agent], Awaitable[None]]) -> None:
    async def session() -> None:
        async with connected(runs) as agent:
            await work(agent)

    asyncio.run(session())


async def request_of(agent: Agent, name: str) -> dict[str, Any]:
    """The request that a search waits with, as soon as there is one."""
    while True:
        state = await agent("wait_for_search", name=name, seconds=60)
        if state["waiting_for_answers"]:
            return dict(state["waiting_for_answers"][0])
        assert state["under_way"], state


def field_of(text: str) -> str:
    """The first scalar field of the state that a prompt lists."""
    return next(line.split(":")[0].strip() for line in text.splitlines() if "Tensor  # (n,)" in line)


@pytest.mark.slow
def test_an_agent_that_knows_the_skill_alone_does_a_whole_search(tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    async def work(agent: Agent) -> None:
        listed = await agent.client.list_tools()
        named = {tool.name for tool in listed.tools}
        assert {name for name in named if f"`{name}`" in skill()} >= {
            "list_tasks", "show_task", "check_reward", "train_reward", "start_search", "wait_for_search",
            "read_request", "answer_request", "stop_search", "resume_search", "results",
        }  # fmt: skip
        assert all(tool.description for tool in listed.tools)
        (task,) = (await agent("list_tasks", contains="slider/"))["tasks"]
        shown = await agent("show_task", task="slider/park")
        field = field_of(str(shown["messages"][-1]["content"]))
        code = REWARD.format(scale=1, field=field)

        assert (await agent("check_reward", task=task["name"], code=code))["accepted"]
        refused = await agent("check_reward", task="slider/park", code="import os\n" + code)
        assert not refused["accepted"] and "line 1: os cannot be imported" in refused["problems"][0]

        trained = await agent("train_reward", task="slider/park", code=code, steps=512)
        assert trained["trainings"][0]["steps"][-1] >= 512 and agent.progress

        started = await agent(
            "start_search", task="slider/park", name="mine", generations=1, candidates=2, steps=512, report_seeds=1
        )
        assert started["under_way"]
        with pytest.raises(Failed, match="already"):
            await agent("start_search", task="slider/park", name="mine")
        waiting = await request_of(agent, "mine")
        assert waiting["answers_wanted"] == [1, 2]

        await agent("stop_search", name="mine")
        assert not (await agent("search_status", name="mine"))["under_way"]
        await agent("resume_search", name="mine")
        assert await request_of(agent, "mine") == waiting

        text = (await agent("read_request", name="mine", request=waiting["request"]))["text"]
        assert "slider" in text
        for number in waiting["answers_wanted"]:
            block = f"It comes near.\n\n```python\n{REWARD.format(scale=number * 3, field=field)}```\n"
            await agent("answer_request", name="mine", request=waiting["request"], number=number, text=block)
        state = await agent("search_status", name="mine")
        while state["status"] != "finished":
            state = await agent("wait_for_search", name="mine", seconds=120)
            assert state["under_way"] or state["status"] == "finished", state["output"]
        found = await agent("results", name="mine")
        assert found["winner"]["key"] in ("r0g0c0", "r0g0c1") and "compute_reward" in found["winner"]["code"]
        assert {"winner", "expert", "sparse"} <= found["scores"].keys()
        shown = await agent("show_candidate", name="mine", candidate=found["winner"]["key"])
        assert shown["code"] == found["winner"]["code"]
        assert (await agent("list_runs"))["runs"] == ["mine"]

    drive(runs, work)
    assert read(runs / "mine").status == "finished"


CODE = REWARD.format(scale=1, field="anything")
OK = {"task": "slider/park", "code": CODE}
ATTACKS: list[tuple[str, dict[str, Any]]] = [
    # names that are paths, flags or patterns
    *(("results", {"name": name}) for name in ("../secret", "/etc", "a/b", "..", ".dialogs", "--help", "a" * 65, "")),
    # runs beside the folder of runs, and a link into it
    *((tool, {"name": name}) for tool in ("results", "search_status", "resume_search") for name in ("secret", "link")),
    *(("search_status", {"name": name}) for name in ("../secret", "a\0b", "a\nb", "latest/..", "no-such-run")),
    *(("start_search", {"task": task, "name": "x"}) for task in ("../x/y", "--config/etc", "a/b;rm -rf .", "slider")),
    ("start_search", {"task": "slider/park", "name": "../outside"}),
    ("start_search", {"task": "slider/park", "name": "x", "method": "../method.yaml"}),
    ("start_search", {"task": "slider/park", "name": "x", "method": "/etc/passwd"}),
    ("start_search", {"task": "slider/park", "name": "x", "author": "replay:/etc/passwd"}),
    ("start_search", {"task": "slider/park", "name": "x", "author": "gpt-5"}),
    ("read_request", {"name": "x", "request": "../../etc/passwd"}),
    ("answer_request", {"name": "x", "request": "001-generation-0123456789ab", "text": "x"}),
    ("answer_request", {"name": "..", "request": "001-generation-0123456789ab", "text": "x"}),
    ("show_candidate", {"name": "x", "candidate": "../r0g0c0"}),
    # sizes
    ("check_reward", {"task": "slider/park", "code": "#" * 60_001}),
    ("train_reward", OK | {"steps": 10**9}),
    ("train_reward", OK | {"steps": -1}),
    ("train_reward", OK | {"seeds": 1000}),
    ("start_search", {"task": "slider/park", "name": "x", "candidates": 10**6}),
    ("start_search", {"task": "slider/park", "name": "x", "generations": 1.5}),
    ("wait_for_search", {"name": "x", "seconds": 1e9}),
    # code that is no reward is not trained
    ("train_reward", {"task": "slider/park", "code": "import os\nos.system('touch hacked')\n"}),
    ("train_reward", {"task": "slider/park", "reward": "/etc/passwd"}),
    ("no_such_tool", {}),
]


@pytest.mark.slow
def test_what_an_agent_must_not_give_is_refused(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "run.sqlite").write_bytes(b"secret")
    runs.mkdir()
    (runs / "link").symlink_to(tmp_path / "secret")

    async def work(agent: Agent) -> None:
        for tool, arguments in ATTACKS:
            try:
                answered = await agent(tool, **arguments)
            except Exception as error:  # the tool's refusal, or the client's for a tool that is not there
                told = str(error)
            else:
                pytest.fail(f"{tool}({arguments}) answered {answered}")
            assert "Traceback" not in told and "root:" not in told, (tool, arguments, told)
            assert "file is not a database" not in told, (tool, arguments, told)
        refused = await agent("check_reward", task="slider/park", code="open('/etc/passwd').read()\n")
        assert not refused["accepted"]

    drive(runs, work)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "secret"]
    assert [path.name for path in runs.iterdir()] == ["link"]


def test_the_skill_is_printed_and_documented() -> None:
    assert rewardgen("mcp", "--skill").out.strip() == skill().strip()
