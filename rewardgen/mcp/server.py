"""The tools of the Model Context Protocol server."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from rewardgen import __version__
from rewardgen.config.authors import DIALOG, OFFLINE
from rewardgen.errors import ProgramRejected, RewardgenError
from rewardgen.llm import dialog
from rewardgen.mcp import commands, skill
from rewardgen.mcp.arguments import Answer, CandidateKey, Code, MethodName, RequestName, RunName, TaskName
from rewardgen.mcp.searches import Searches
from rewardgen.store import read
from rewardgen.tasks import catalogue

P = ParamSpec("P")
_LOOK_UP = 120.0  # seconds that a command which trains nothing may take
_TRAINING = 3600.0  # seconds that a single training may take
_SHORT = 200  # characters of a description in a list


def make_server(runs: Path, envs: Sequence[Path] = ()) -> MCPServer[Any]:
    """A server for the runs below ``runs`` and the tasks of ``envs`` beside our own.

    Nothing outside of these is read or written: agents name runs, tasks and requests, and give no paths.
    """
    flags = [part for folder in envs for part in ("--envs", str(folder.resolve()))]
    searches = Searches(runs.resolve(), flags)

    @contextlib.asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await searches.close()

    server: MCPServer[Any] = MCPServer(
        "rewardgen",
        version=__version__,
        title="rewardgen",
        instructions=skill(),
        lifespan=lifespan,
        log_level="WARNING",
    )
    tools = _Tools(searches, tuple(envs), flags)
    for tool in (
        tools.list_tasks,
        tools.show_task,
        tools.check_reward,
        tools.train_reward,
        tools.start_search,
        tools.search_status,
        tools.wait_for_search,
        tools.stop_search,
        tools.resume_search,
        tools.list_requests,
        tools.read_request,
        tools.answer_request,
        tools.show_candidate,
        tools.results,
        tools.list_runs,
    ):
        server.add_tool(_told(tool))
    return server


def _told(tool: Callable[P, Awaitable[dict[str, Any]]]) -> Callable[P, Awaitable[dict[str, Any]]]:
    """``tool`` with what rewardgen raises as the tool's own error, and numbers that JSON can hold."""

    @wraps(tool)
    async def told(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        try:
            return dict(_finite(await tool(*args, **kwargs)))
        except (RewardgenError, commands.CommandFailed) as error:
            raise ToolError(str(error)) from error

    return told


class _Tools:
    """The tools; the docstring of each is what an agent is told of it."""

    def __init__(self, searches: Searches, envs: tuple[Path, ...], flags: Sequence[str]) -> None:
        self._searches, self._envs, self._flags = searches, envs, tuple(flags)

    async def list_tasks(
        self, contains: Annotated[str, Field(max_length=64, description="a part of the name; all if empty")] = ""
    ) -> dict[str, Any]:
        """List the tasks that rewards can be designed for."""
        found = [task for task in catalogue(self._envs).tasks if contains in task.name]
        return {
            "tasks": [
                {
                    "name": task.name,
                    "description": task.facts["description"][:_SHORT],
                    "fitness": f"{task.facts['fitness_meaning']}, in {task.facts['fitness_unit']}",
                    "missing_package": missing.install if (missing := task.missing) is not None else None,
                }
                for task in found
            ]
        }

    async def show_task(self, task: TaskName, ctx: Context[Any, Any]) -> dict[str, Any]:
        """Show what a reward for a task may read, and how it has to be written: the messages of a search's first
        request."""
        document = await self._command("prompt", task, *self._flags, seconds=_LOOK_UP, ctx=ctx)
        return {"task": task, **document}

    async def check_reward(self, task: TaskName, code: Code, ctx: Context[Any, Any]) -> dict[str, Any]:
        """Check reward code as a search would: its form, and a trial on real transitions in the sandbox."""
        async with commands.reward_file(code) as path:
            document = await commands.run(
                "check", str(path), "--task", task, *self._flags, seconds=_LOOK_UP, progress=_progress(ctx)
            )
        error = document.get("error")
        if error is not None and error["type"] != ProgramRejected.__name__:
            raise ToolError(error["message"])
        if error is not None:
            problems = [_problem(each) for each in error.get("problems", [])]
            return {"accepted": False, "problems": problems or [error["message"]]}
        return {"accepted": True, "problems": [], "warnings": document["warnings"]}

    async def train_reward(
        self,
        task: TaskName,
        ctx: Context[Any, Any],
        code: Code | None = None,
        reward: Annotated[Literal["expert", "sparse"], Field(description="the task's own reward, without code")] = (
            "expert"
        ),
        steps: Annotated[int, Field(ge=1, le=1_000_000, description="environment steps of each training")] = 50_000,
        seeds: Annotated[int, Field(ge=1, le=8)] = 1,
    ) -> dict[str, Any]:
        """Train policies with one reward, yours or one of the task's own, and return their curves of the true fitness.

        On two CPU cores 50,000 steps take some ten seconds. Progress is told meanwhile.
        """
        flags = ("--steps", str(steps), "--seeds", str(seeds), *self._flags)
        async with commands.reward_file(code or "") as path:
            chosen = str(path) if code is not None else reward
            document = await self._command("train", task, "--reward", chosen, *flags, seconds=_TRAINING, ctx=ctx)
        curves = [
            {
                "seed": training.get("seed"),
                "status": training["status"],
                "steps": [point["steps"] for point in training["curve"]],
                "fitness": [point["fitness"] for point in training["curve"]],
                "success_rate": [point["success_rate"] for point in training["curve"]],
            }
            for training in document["trainings"]
        ]
        return {"task": task, "trainings": curves}

    async def start_search(
        self,
        task: TaskName,
        name: RunName,
        author: Annotated[
            Literal["you", "offline"],
            Field(description="you: each request waits for your answers; offline: no language model is asked"),
        ] = "you",
        method: MethodName = "eureka",
        generations: Annotated[int, Field(ge=1, le=20)] = 3,
        candidates: Annotated[int, Field(ge=1, le=32, description="rewards in each generation")] = 4,
        steps: Annotated[
            int | None, Field(ge=1, le=10_000_000, description="environment steps of each training; null: the task's")
        ] = None,
        report_seeds: Annotated[int, Field(ge=1, le=10, description="fresh trainings behind the reported scores")] = 3,
        seed: Annotated[int, Field(ge=0, le=2**31)] = 0,
    ) -> dict[str, Any]:
        """Start a search for a reward in the background. `wait_for_search` returns when it needs you or has ended."""
        model = f"{DIALOG}{self._searches.dialog_folder(name)}" if author == "you" else OFFLINE
        flags = [
            *("--llm", model, "--method", method, "--generations", str(generations), "--candidates", str(candidates)),
            *("--report-seeds", str(report_seeds), "--seed", str(seed)),
            *(("--steps", str(steps)) if steps is not None else ()),
        ]
        await self._searches.start(name, task, flags)
        return self._searches.status(name)

    async def search_status(self, name: RunName) -> dict[str, Any]:
        """Tell where a search stands: its candidates and scores so far, and the requests that wait for answers."""
        return self._searches.status(name)

    async def wait_for_search(
        self, name: RunName, ctx: Context[Any, Any], seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    ) -> dict[str, Any]:
        """Wait until a search has a request for you or has ended, at most so many seconds; then as search_status."""
        await self._searches.wait(name, seconds, _progress(ctx))
        return self._searches.status(name)

    async def stop_search(self, name: RunName) -> dict[str, Any]:
        """Stop a search. Nothing that was done is lost; `resume_search` goes on."""
        await self._searches.stop(name)
        return self._searches.status(name)

    async def resume_search(self, name: RunName) -> dict[str, Any]:
        """Go on with a search that was stopped."""
        await self._searches.resume(name)
        return self._searches.status(name)

    async def list_requests(self, name: RunName) -> dict[str, Any]:
        """List the requests of a search that wait for your answers."""
        return {
            "requests": [
                {"request": each.name, "purpose": each.purpose, "answers_wanted": list(each.missing)}
                for each in self._searches.requests(name)
                if each.missing
            ]
        }

    async def read_request(self, name: RunName, request: RequestName) -> dict[str, Any]:
        """Read a request: the messages that it consists of, as Markdown."""
        for each in self._searches.requests(name):
            if each.name == request:
                text = each.path.read_text(encoding="utf-8", errors="replace")
                return {"request": request, "answers_wanted": list(each.missing), "text": text}
        raise ToolError(f"{name} has no request {request}; list_requests shows those that wait")

    async def answer_request(
        self, name: RunName, request: RequestName, text: Answer, number: Annotated[int, Field(ge=1, le=32)] = 1
    ) -> dict[str, Any]:
        """Give one answer to a request, in the form that its messages ask for. A request for several wants each under
        its own number."""
        if not self._searches.dialog_folder(name).is_dir():
            raise ToolError(f"{name} has no requests")
        dialog.answer(self._searches.dialog_folder(name), request, number, text)
        return await self.list_requests(name)

    async def show_candidate(self, name: RunName, candidate: CandidateKey) -> dict[str, Any]:
        """Show a candidate: its code, its score, and what the next request says of it."""
        view = read(self._searches.run_dir(name))
        if candidate not in view.candidates:
            raise ToolError(f"{name} has no candidate {candidate}; it has {', '.join(view.candidates) or 'none yet'}")
        found = view.candidates[candidate]
        return {
            "key": found.key,
            "status": found.status,
            "score": found.score,
            "interval": [found.low, found.high],
            "code": found.source,
            "feedback": found.reflection,
            "problems": [str(problem) for problem in found.problems],
        }

    async def results(self, name: RunName) -> dict[str, Any]:
        """Tell what a search has come to: the winning reward's code, and its scores beside the task's own rewards."""
        view = read(self._searches.run_dir(name))
        winner = view.candidates[view.winner] if view.winner is not None else None
        scores = {
            final.name: {
                "mean": final.evaluation.mean,
                "interval": [final.evaluation.low, final.evaluation.high],
                "success_rate": final.evaluation.success_rate,
            }
            for final in view.finals
            if final.evaluation is not None
        }
        files = [path for path in ("report.html", "export/reward.py") if (view.path / path).is_file()]
        return {
            "status": view.status,
            "message": view.message,
            "fitness": f"{view.task['fitness_meaning']}, in {view.task['fitness_unit']}",
            "winner": None if winner is None else {"key": winner.key, "code": winner.source},
            "scores": scores,
            "files": [str(view.path / path) for path in files],
        }

    async def list_runs(self) -> dict[str, Any]:
        """List the runs, the newest first."""
        return {"runs": self._searches.names()}

    async def _command(self, *arguments: str, seconds: float, ctx: Context[Any, Any]) -> dict[str, Any]:
        """The document of a command that must succeed."""
        document = await commands.run(*arguments, seconds=seconds, progress=_progress(ctx))
        if "error" in document:
            raise ToolError(document["error"]["message"])
        return document


def _progress(ctx: Context[Any, Any]) -> commands.Progress:
    count = 0

    async def tell(line: str) -> None:
        nonlocal count
        count += 1
        await ctx.report_progress(count, message=line[:_SHORT])

    return tell


def _problem(problem: Any) -> str:
    if not isinstance(problem, dict):
        return str(problem)
    line = f"line {problem['line']}: " if problem.get("line") else ""
    return f"{line}{problem.get('message', problem)}"


def _finite(value: Any) -> Any:
    """``value`` with null for numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
