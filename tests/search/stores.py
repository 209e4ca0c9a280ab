"""Whether searches still come to the same: ``python -m tests.search.stores record FOLDER``, then ``compare FOLDER``.

``record`` makes a fixed set of tiny searches and writes the whole content of each one's store to ``FOLDER/RUN.json``;
``compare`` makes them again with the code at hand and prints every value that differs. Exit code 0: nothing does. What
was renamed on purpose stands in a YAML file: ``--renamed FILE`` (``content.Renamed``).
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rewardgen import search
from rewardgen.remote import RemoteTrainer, ShardOrder, ShardResult, carry_out, received, sent
from rewardgen.report import write_report
from rewardgen.sim.machine import machine, versions
from rewardgen.store import read
from rewardgen.store.database import FILE_NAME
from rewardgen.sweep import Finished, Job, make_plan, rates_of, run_sweep
from rewardgen.sweep import carry_out as carry_out_job
from rewardgen.sweep.results import load
from rewardgen.training import Watcher
from tests.conftest import FROM_OUTSIDE
from tests.search import tiny
from tests.search.content import Difference, Renamed, differences, document
from tests.search.model_server import Writer, model_server

ABOUT = "about.json"
"""The file beside the documents that says where they were recorded; no run has its name."""
BASE: dict[str, Any] = {
    "task": "reacher/reach",  # whose episodes end soon, and whose fitness tells candidates apart from the first step
    "sim": "mujoco",
    "device": "cpu",
    "tracking": False,
}
PLAIN: dict[str, Any] = {
    **tiny.SEARCH,
    **BASE,
    "llm.model": "offline",
    "search.generations": 2,
    "search.candidates": 2,
    "search.racing": False,
    "search.screening": False,
    "search.remeasure": 0,
    "training.steps": 512,
}
RACE: dict[str, Any] = {
    "search.candidates": 4,
    "search.racing": True,
    "search.racing.share": 0.5,
    "training.steps": 2048,
    "training.checkpoints": 4,
}
SCREENED: dict[str, Any] = {"search.screening": True, "search.screening.episodes": 16}


@dataclass(frozen=True)
class Recipe:
    """How one run of the set is made: ``make(folder, threads)`` leaves it in ``folder``.

    ``shows`` are questions in SQL to its database, each of which must find a row: else the run no longer shows what it
    is in the set for.
    """

    name: str
    make: Callable[[Path, int], Mapping[str, str] | None]
    shows: tuple[str, ...] = ()


# ---- how runs are made


def searched(settings: Mapping[str, Any], folder: Path, threads: int, remote: Any = None) -> None:
    """Run a search with the offline author to its end."""
    search.run(search.configure(None, {**settings, "threads": threads}), folder / "run", remote=remote)


def served(writer: Writer, settings: Mapping[str, Any], folder: Path, threads: int) -> Mapping[str, str]:
    """Run a search whose replies come over HTTP from ``writer``; the server's address is another one each time."""
    with model_server("fingertip_position", writer) as server:
        searched({**settings, "llm.model": "a-model", "llm.base_url": server.url}, folder, threads)
    return {server.url: "http://server"}


NUMBER = re.compile(r"(?<![\d.])-?\d+\.\d+(?!\d|\.| s\b| min\b| h\b)")
"""A number with a decimal point that is neither a version nor a duration."""


def reported(settings: Mapping[str, Any], folder: Path, threads: int) -> None:
    """Run a search and keep the numbers in its report, in their order."""
    searched(settings, folder, threads)
    page = write_report(read(folder / "run"), folder / "report.html", draw=False).read_text(encoding="utf-8")
    text = re.sub(r"<[^>]*>", " ", re.sub(r"<(script|style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL))
    _write(folder / "report.json", {"numbers": NUMBER.findall(html.unescape(text))})


KILLED = """
import json, os, signal, sys
from pathlib import Path
from rewardgen import search
folder, settings, kind, number = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
seen = []
def listener(event):
    seen.append(event.kind)
    if seen.count(kind) == number:
        os.kill(os.getpid(), signal.SIGKILL)
if folder.exists():
    search.resume(folder, listener=listener)
else:
    search.run(search.configure(None, settings), folder, listener=listener)
"""


def killed(settings: Mapping[str, Any], moments: Sequence[tuple[str, int]], folder: Path, threads: int) -> None:
    """Run a search whose process dies by SIGKILL at the n-th event of a kind, for each of ``moments``; finish it."""
    run_dir = folder / "run"
    given = json.dumps({**settings, "threads": threads})
    for kind, number in moments:
        command = [sys.executable, "-c", KILLED, str(run_dir), given, kind, str(number)]
        code = subprocess.run(command, check=False).returncode
        if code != -9:
            raise RuntimeError(f"the run was to be killed at {kind} {number}, but ended with code {code}")
    search.resume(run_dir)


class Shards:
    """A ``remote.ShardRunner`` that trains ``count`` shards one after another, each sent and received as elsewhere."""

    def __init__(self, settings: Mapping[str, Any], count: int) -> None:
        self._config, self._count = search.configure(None, dict(settings)), count

    def run(self, order: ShardOrder, task: Any, watcher: Watcher) -> ShardResult:
        if self._count > 1 and watcher.races:
            raise ValueError("a race needs all members at once: give it one shard")
        parts = [
            received(part, sent(carry_out(part, watcher)), task, self._config) for part in order.split(self._count)
        ]
        return ShardResult(sum((part.results for part in parts), ()), sum((part.episodes for part in parts), ()))


def sharded(settings: Mapping[str, Any], shards: int, folder: Path, threads: int) -> None:
    searched(settings, folder, threads, partial(RemoteTrainer, Shards(settings, shards)))


SWEEP = """
tasks: [reacher/reach]
seeds: 2
arms:
  racing: {{search.racing.share: 0.5}}
  progress: {{search.method: progress}}
budgets:
  arms: {{progress: {{steps: 3000}}}}
settings: {settings}
"""


class Here:
    """An executor of sweeps that does one job after another in this process."""

    slots = 1

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def describe(self) -> str:
        return "in this process"

    def run(self, take: Callable[[], Job | None], on_event: Any) -> Iterator[Finished]:
        while (job := take()) is not None:
            carry_out_job(
                replace(job, config=job.config.model_copy(update={"threads": self.threads})), lambda event: None
            )
            yield Finished(job)


def swept(folder: Path, threads: int) -> None:
    """Run a sweep of two arms and two seeds whose budget leaves one search out; keep how all ended, and the results."""
    settings = {key: value for key, value in PLAIN.items() if key not in ("task", "threads", "search.racing")}
    settings |= {"search.generations": 1}
    spec = folder / "spec.yaml"
    spec.write_text(SWEEP.format(settings=json.dumps(settings)), encoding="utf-8")
    plan = make_plan(spec, folder)
    rates = rates_of(plan, folder)
    ended = run_sweep(plan, Here(threads), baselines=folder / ".baselines", rates=rates, threads=threads)
    ends = [{"search": each.planned.key, "status": each.status, "message": each.message} for each in ended]
    document = {"ends": ends, "results": [asdict(result) for result in load(plan.folder).results]}
    (folder / "results.json").write_text(json.dumps(document, default=str), encoding="utf-8")


# ---- replies that are fixed, whatever the prompts say


def program(name: str, value: str) -> str:
    head = "def compute_reward(state, action, next_state):"
    return f"```python\n{head}\n    {name} = {value}\n    return {name}, {{{name!r}: {name}}}\n```"


GAP = "-(next_state.fingertip_position - next_state.target_position).norm(dim=-1)"
FORBIDDEN = program("forbidden", "open('/etc/passwd')")
CRASHES = program("crashes", "action.square().sum(-1)[: len(action) if len(action) <= 64 else 1]")
"""A program that passes its trial on 64 transitions and fails in training, where there are more."""


def mended(messages: list[dict[str, str]], n: int, field: str) -> list[str]:
    """Replies of which one is refused and repaired, one refused twice, and one fails in training."""
    before = messages[-2]["content"] if len(messages) > 2 else ""
    if "never" in before:
        return [program("never", "no_such_name")]
    if "forbidden" in before:
        return [program("mended", f"{GAP} - 0.1 * action.square().sum(-1)")]
    scale = 1 + len(messages)
    good = program("near", f"torch.exp({GAP} * {scale})")
    return [FORBIDDEN, program("never", "no_such_name"), CRASHES, good][:n]


def copied(messages: list[dict[str, str]], n: int, field: str) -> list[str]:
    """Replies of which several are copies of one another up to their scale, and stay so when they are refused."""
    before = messages[-2]["content"] if len(messages) > 2 else ""
    if "again" in before and n == 1:
        return [program("again", f"{3 + len(messages)} * {GAP}")]
    other = program("other", f"{GAP} - {len(messages)} * action.square().sum(-1)")
    return [program("first", GAP), *(program("again", f"{2 + number} * {GAP}") for number in range(n - 2)), other]


def useless(messages: list[dict[str, str]], n: int, field: str) -> list[str]:
    return [FORBIDDEN] * n


# ---- the set


def _simple(name: str, *shows: str, **changes: Any) -> Recipe:
    return Recipe(
        name, partial(searched, PLAIN | {key.replace("__", "."): value for key, value in changes.items()}), shows
    )


SEVERAL = "SELECT 1 FROM candidates GROUP BY generation HAVING count(DISTINCT score) > 1"
STOPPED = "SELECT 1 FROM trainings WHERE status = 'stopped'"
FURTHER = "SELECT 1 FROM trainings WHERE status = 'done' AND owner LIKE '%c_' GROUP BY owner HAVING count(*) > 1"
AGAIN = "SELECT 1 FROM trainings WHERE owner LIKE '%/again'"
REFUSED = "SELECT 1 FROM candidates WHERE status = 'rejected'"
EVERYTHING = PLAIN | RACE | SCREENED | {"search.remeasure": 1}
RECIPES: tuple[Recipe, ...] = (
    *(
        Recipe(f"method-{name}", partial(searched, tiny.of_method(name) | BASE), (SEVERAL,) if name == "eureka" else ())
        for name in search.method_names()
    ),
    _simple("racing", STOPPED, FURTHER, AGAIN, **{**RACE, "search.remeasure": 1, "search.racing.further_seeds": 1}),
    Recipe(
        "screening",
        partial(
            served,
            copied,
            PLAIN | SCREENED | {"search.candidates": 6, "search.repairs": 1, "search.screening.audit": 0.5},
        ),
        (
            "SELECT 1 FROM attempts WHERE problems LIKE '%\"copy\"%'",
            "SELECT 1 FROM forecasts WHERE forecast LIKE '%\"audit\": true%'",
            REFUSED,
        ),
    ),
    Recipe(
        "repairs",
        partial(
            served, mended, PLAIN | {"search.candidates": 4, "search.repairs": 1, "sandbox.smoke_transitions": 64}
        ),
        (
            "SELECT 1 FROM attempts JOIN candidates ON candidate = key WHERE problems != '[]' AND status = 'trained'",
            "SELECT 1 FROM trainings WHERE status = 'failed'",
            REFUSED,
        ),
    ),
    Recipe(
        "all-refused",
        partial(served, useless, PLAIN | {"search.repairs": 0}),
        ("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM candidates WHERE status != 'rejected')",),
    ),
    _simple("restarts", "SELECT 1 FROM candidates WHERE restart = 2", search__restarts=3, search__candidates=1),
    _simple(
        "two-seeds",
        SEVERAL,
        "SELECT 1 FROM trainings WHERE owner LIKE '%c0' GROUP BY owner HAVING count(*) = 2",
        search__seeds=2,
        search__confidence=0,
    ),
    _simple(
        "judged-pairs",
        "SELECT 1 FROM verdicts",
        search__judge="people",
        search__judging__by="simulated",
        search__judging__error_rate=0.2,
        search__candidates=3,
    ),
    _simple(
        "judged-mixed",
        "SELECT 1 FROM verdicts",
        search__judge="mixed",
        search__judging__by="simulated",
        search__candidates=3,
    ),
    _simple("islands", search__method="revolve", search__candidates=3, search__generations=4),
    _simple(
        "credit-progress",
        search__method="progress",
        search__candidates=2,
        credit__bins=7,
        credit__count_weight=0.5,
    ),
    Recipe(
        "credit-factors",
        partial(searched, tiny.of_method("lare") | BASE | {"search.candidates": 2, "credit.decoder_steps": 3}),
    ),
    Recipe(
        "killed",
        partial(killed, EVERYTHING, [("checkpoint", 5), ("remeasured", 1)]),
        (STOPPED, AGAIN),
    ),
    _simple("sb3", search__generations=1, training__trainer="sb3"),
    _simple("budget", "SELECT 1 FROM candidates WHERE status = 'writing'", budget__steps=3000),
    Recipe("shards", partial(sharded, PLAIN | SCREENED | {"search.candidates": 3}, 2), ("SELECT 1 FROM episodes",)),
    Recipe("shards-progress", partial(sharded, tiny.of_method("progress") | BASE, 2)),
    Recipe("shard-race", partial(sharded, PLAIN | RACE, 1), (STOPPED,)),
    Recipe("sweep", swept),
    Recipe("report", partial(reported, EVERYTHING), (STOPPED, AGAIN)),
)  # fmt: skip


# ---- recording and comparing


def made(recipe: Recipe, threads: int, *, checked: bool) -> dict[str, Any]:
    """Make a run and read it.

    Raises:
        RuntimeError: it does not show what it is in the set for.
    """
    began, processor = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="rewardgen-stores-") as name:
        folder = Path(name).resolve()
        places = {str(folder): "FOLDER"} | dict(recipe.make(folder, threads) or {})
        for question in recipe.shows if checked else ():
            connection = sqlite3.connect(folder / "run" / FILE_NAME)
            found = connection.execute(question).fetchone()
            connection.close()
            if found is None:
                raise RuntimeError(f"{recipe.name} no longer shows what it is for: no row for {question}")
        sections = document(folder, places)
    took = f"{time.monotonic() - began:.1f} s, {time.process_time() - processor:.1f} s of them in this process"
    print(f"{recipe.name}: {took}", file=sys.stderr, flush=True)
    return sections


def record(folder: Path, recipes: Sequence[Recipe] = RECIPES, threads: int = 1) -> None:
    """Make all runs and write a document of each to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"versions": versions(), "machine": machine(), "threads": threads}
    _write(folder / ABOUT, about)
    for recipe in recipes:
        _write(folder / f"{recipe.name}.json", made(recipe, threads, checked=True))


def compare(
    folder: Path, recipes: Sequence[Recipe] = RECIPES, threads: int = 1, renamed: Renamed | None = None
) -> list[Difference]:
    """Make all runs again and tell what differs from the documents in ``folder``; a run without one differs whole."""
    found: list[Difference] = []
    for recipe in recipes:
        path = folder / f"{recipe.name}.json"
        if not path.is_file():
            found.append(Difference(recipe.name, "", "", "", "(not recorded)", "(a run)"))
            continue
        before = (renamed or Renamed())(json.loads(path.read_text(encoding="utf-8")))
        found += differences(recipe.name, before, made(recipe, threads, checked=False))
    return found


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def _elsewhere(folder: Path) -> list[str]:
    """In what the place of the recording differs from this one: other processors and libraries round otherwise."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    here = {"versions": versions(), "machine": machine()}
    return [
        f"{name}: {value} when recorded, {here[part].get(name)} now"
        for part in here
        for name, value in about[part].items()
        if here[part].get(name) != value
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.search.stores", description=__doc__)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("folder", type=Path, help="where the documents are")
    parser.add_argument("--threads", type=int, default=1, help="of each search; changes nothing that is compared")
    parser.add_argument("--only", nargs="+", metavar="RUN", choices=[recipe.name for recipe in RECIPES])
    parser.add_argument("--renamed", type=Path, metavar="FILE", help="YAML: tables, columns, events, meta; old: new")
    given = parser.parse_args(arguments)
    for name in FROM_OUTSIDE:
        os.environ.pop(name, None)
    os.environ["OPENAI_API_KEY"] = "none-is-needed"  # the servers of this set ask for none
    recipes = [recipe for recipe in RECIPES if given.only is None or recipe.name in given.only]
    if given.action == "record":
        record(given.folder, recipes, given.threads)
        return 0
    for line in _elsewhere(given.folder):
        print(f"note: {line}")
    renamed = Renamed.of(given.renamed) if given.renamed else Renamed()
    found = compare(given.folder, recipes, given.threads, renamed)
    if given.only is None:
        gone = {path.stem for path in given.folder.glob("*.json")} - {recipe.name for recipe in recipes} - {"about"}
        found += [Difference(name, "", "", "", "(a run)", "(not in the set)") for name in sorted(gone)]
        for name in renamed.unmet:
            print(f"note: {given.renamed}: {name} is in no recorded store")
    for difference in found:
        print(difference)
    for (table, column), count in Counter((each.table, each.column.partition("[")[0]) for each in found).items():
        print(f"{count} in {' · '.join(part for part in (table, column) if part) or 'whole runs'}")
    print(f"{len(recipes)} runs, {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
