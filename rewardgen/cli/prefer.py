"""``rewardgen prefer``: judge a run's replays in a terminal, also while its search waits in another process."""

from __future__ import annotations

import getpass
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.options import Json, RunName, RunsDir
from rewardgen.cli.output import console, note, print_json, safe, write
from rewardgen.errors import RewardgenError, UsageError

if TYPE_CHECKING:
    from rewardgen.records import Answer, Judgement, Order, Remark
    from rewardgen.replay import ReplayFiles
    from rewardgen.store import Judgements, RunView, Waiting

ANSWERS: dict[str, Answer] = {
    "l": "left",
    "left": "left",
    "r": "right",
    "right": "right",
    "e": "equal",
    "equal": "equal",
    "?": "unsure",
    "unsure": "unsure",
    "x": "both_bad",
    "bad": "both_bad",
    "both_bad": "both_bad",
}
HELP = "l left, r right, e equal, ? can't tell, x both bad; words may follow; u undo, s skip, q quit"
HELP_ONE = "write what you see, in words; s skip, u undo, q quit"


def prefer(
    run: RunName = "latest",
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="NAME", help="Who answers; your login name by default.")
    ] = None,
    pair: Annotated[
        str | None, typer.Option(metavar="LEFT,RIGHT", help="Keep one answer to these two replays; with --answer.")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(metavar="left|right|equal|unsure|both_bad", help="The answer to --pair.")
    ] = None,
    order: Annotated[
        str | None, typer.Option(metavar="KEY,KEY,…", help="Put a generation's candidates in order, the best first.")
    ] = None,
    remark: Annotated[
        str | None, typer.Option(metavar="REPLAY", help="Say something of one replay; with --words.")
    ] = None,
    words: Annotated[str, typer.Option(metavar="TEXT", help="What to say beside --pair, --order or --remark.")] = "",
    films: Annotated[bool, typer.Option("--films/--no-films", help="Make films (mp4) of the replays shown.")] = True,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Judge replays: two at a time, by the better one and in words, or with --pair, --order, --remark in one go."""
    from rewardgen.store import Judgements, find_run, read

    path = find_run(run, out)
    kept = Judgements(path)
    name = judge if judge is not None else _login()
    said = _said_in_one_go(read(path), name, pair, answer, order, remark, words)
    if said is not None:
        kept.add(said)
        if json:
            print_json({"run": path, "judge": name, "kept": [said], "undone": []})
        else:
            write(f"kept as {name}'s")
        return
    session = _Session(path, kept, name, films)
    session.work()
    if json:
        print_json({"run": path, "judge": name, "kept": session.made, "undone": session.undone})


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise UsageError("who judges? name yourself with --judge NAME") from error


def _said_in_one_go(
    view: RunView, judge: str, pair: str | None, answer: str | None, order: str | None, remark: str | None, words: str
) -> Judgement | Order | Remark | None:
    """What the flags say; None where they say nothing.

    Raises:
        UsageError: they do not belong together, or name a candidate that the run has not.
    """
    from rewardgen.records import Judgement, Order, Remark, candidate_of
    from rewardgen.store.database import now

    if sum(given is not None for given in (pair, order, remark)) > 1:
        raise UsageError("give one of --pair, --order and --remark")
    if (pair is None) != (answer is None):
        raise UsageError("--pair LEFT,RIGHT and --answer belong together")
    if pair is None and order is None and remark is None:
        if words:
            raise UsageError("--words belong to --pair, --order or --remark")
        return None
    key, created = uuid.uuid4().hex, now()
    if order is not None:
        keys = tuple(part.strip() for part in order.split(","))
        _known(view, keys)
        place = view.candidates[keys[0]]
        where = next(each for each in view.generations if place in each.candidates)
        return Order(key, where.restart, where.index, keys, words, judge, "person", created, 0.0)
    if remark is not None:
        replay = remark if "." in remark else f"{remark}.0"
        _known(view, [candidate_of(replay)])
        if not words.strip():
            raise UsageError("--remark needs --words")
        return Remark(key, replay, words, judge, "person", created)
    assert pair is not None and answer is not None
    shown = [part.strip() if "." in part else f"{part.strip()}.0" for part in pair.split(",")]
    if len(shown) != 2 or answer not in ANSWERS:
        raise UsageError("write --pair LEFT,RIGHT and --answer left, right, equal, unsure or both_bad")
    _known(view, [candidate_of(each) for each in shown])
    return Judgement(key, shown[0], shown[1], ANSWERS[answer], words, judge, "person", created, 0.0)


def _known(view: RunView, keys: Sequence[str]) -> None:
    from rewardgen.errors import UnknownName

    for key in keys:
        if key not in view.candidates:
            raise UnknownName("candidate", key, list(view.candidates), hint=f"(in {view.path})")


@dataclass
class _Session:
    """One person at a terminal."""

    path: Path
    kept: Judgements
    judge: str
    films: bool
    made: list[Judgement | Remark] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    skipped: set[frozenset[str]] = field(default_factory=set)
    clock: Callable[[], float] = time.monotonic

    def work(self) -> None:
        """Ask until there is nothing more to ask, or no more answers come."""
        from rewardgen.search import asked_for
        from rewardgen.store import read

        screen = console(stderr=True)
        while True:
            view = read(self.path)
            wanted = asked_for(view)
            if wanted is None:
                note("no candidate has a policy to show yet")
                return
            shown = self._next(view, wanted)
            if shown is None:
                note("nothing more to ask you about this generation; come back when there is another one")
                return
            self._tell(view, wanted, shown)
            began = self.clock()
            while (line := self._read(screen)) is not None and not self._take(line, shown, began):
                pass
            if line is None:
                return

    def _next(self, view: RunView, wanted: Waiting) -> tuple[str, ...] | None:
        """The replays to show: two, or one where there is nothing to compare it with."""
        from rewardgen.preference import next_pair

        pool = [*wanted.candidates, *wanted.against]
        if len(pool) == 1:
            only = f"{pool[0]}.0"
            said = any(remark.replay == only and remark.judge == self.judge for remark in view.remarks)
            return None if said or frozenset(pool) in self.skipped else (only,)
        generator = random.Random()
        seen = [*view.judgements, *self._skips()]
        pair = next_pair(pool, seen, view.orders, self.judge, generator)
        start = generator.randrange(wanted.starts)
        return None if pair is None else tuple(f"{key}.{start}" for key in pair)

    def _skips(self) -> list[Judgement]:
        """Pairs passed over, as answers that say nothing: not to be asked again in this session."""
        from rewardgen.records import Judgement

        pairs = [sorted(pair) for pair in self.skipped if len(pair) == 2]
        return [
            Judgement("skipped0", f"{a}.0", f"{b}.0", "unsure", "", self.judge, "person", "", 0.0) for a, b in pairs
        ]

    def _tell(self, view: RunView, wanted: Waiting, shown: Sequence[str]) -> None:
        from rewardgen.preference import heard

        told = heard(wanted.candidates, view.judgements, view.orders, view.remarks)
        lines = [f"generation {wanted.generation}: {told} of {wanted.wanted} judgements"]
        for side, replay in zip(("left ", "right") if len(shown) == 2 else ("     ",), shown, strict=True):
            lines.append(f"  {side}  {replay}  {self._where(replay)}")
        lines.append(f"  {HELP if len(shown) == 2 else HELP_ONE}")
        console(stderr=True).print(safe("\n".join(lines)), highlight=False)

    def _where(self, replay: str) -> str:
        """Where a replay can be looked at."""
        from rewardgen.replay import ensure

        candidate, _, start = replay.rpartition(".")
        try:
            files: ReplayFiles = ensure(self.path, candidate, starts=int(start) + 1, video=self.films)[int(start)]
        except RewardgenError as error:
            return f"(cannot be shown: {error})"
        if files.video is not None:
            return str(files.video)
        return f"{files.poses} (`rewardgen web` shows it{'; no film: ' + files.note if files.note else ''})"

    def _read(self, screen: Any) -> str | None:
        """A line; None where there is no more, or the person leaves."""
        screen.print("> ", end="")
        try:
            line = input()
        except (EOFError, KeyboardInterrupt):
            screen.print()
            return None
        return None if line.strip() in ("q", "quit") else line

    def _take(self, line: str, shown: Sequence[str], began: float) -> bool:
        """Act on what was typed. True: on to the next pair."""
        from rewardgen.records import Judgement, Remark, candidate_of
        from rewardgen.store.database import now

        text = line.strip()
        first, _, rest = text.partition(" ")
        if first in ("u", "undo"):
            self._undo()
            return True
        if first in ("s", "skip"):
            self.skipped.add(frozenset(candidate_of(each) for each in shown))
            return True
        said: Judgement | Remark
        if len(shown) == 1 and text:
            said = Remark(uuid.uuid4().hex, shown[0], text, self.judge, "person", now())
        elif len(shown) == 2 and first.lower() in ANSWERS:
            seconds = round(self.clock() - began, 1)
            said = Judgement(
                uuid.uuid4().hex, shown[0], shown[1], ANSWERS[first.lower()], rest.strip(), self.judge, "person",
                now(), seconds,
            )  # fmt: skip
        else:
            note(HELP if len(shown) == 2 else HELP_ONE)
            return False
        try:
            self.kept.add(said)
        except UsageError as error:
            note(str(error))
            return False
        self.made.append(said)
        return True

    def _undo(self) -> None:
        if not self.made:
            note("there is nothing of this session to take back")
            return
        last = self.made.pop()
        self.kept.undo(last.id, self.judge)
        self.undone.append(last.id)
        note(f"taken back: {getattr(last, 'answer', '') or 'the remark'}")
