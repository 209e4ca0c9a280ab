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
        str | None, typer.Option(metavar="LEFT,RIGHT", help="Store one answer about these two replays; with --answer.")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(metavar="left|right|equal|unsure|both_bad", help="The answer to --pair.")
    ] = None,
    order: Annotated[
        str | None, typer.Option(metavar="KEY,KEY,…", help="Rank a generation's candidates, best first.")
    ] = None,
    remark: Annotated[str | None, typer.Option(metavar="REPLAY", help="Comment on one replay; with --words.")] = None,
    words: Annotated[str, typer.Option(metavar="TEXT", help="Comment for --pair, --order or --remark.")] = "",
    films: Annotated[bool, typer.Option("--films/--no-films", help="Make films (mp4) of the replays.")] = True,
    out: RunsDir = Path("runs"),
    json: Json = False,
) -> None:
    """Judge replays: two at a time in a dialog, or with --pair, --order or --remark in one command."""
    from rewardgen.store import Judgements, find_run, read

    # One answer from flags, or a dialog
    path = find_run(run, out)
    judgements = Judgements(path)
    name = judge if judge is not None else _login()
    answer_given = _answer_from_flags(read(path), name, pair, answer, order, remark, words)
    if answer_given is not None:
        judgements.add(answer_given)
        if json:
            print_json({"run": path, "judge": name, "kept": [answer_given], "undone": []})
        else:
            write(f"stored as an answer of {name}")
        return
    session = _Session(path, judgements, name, films)
    session.work()
    if json:
        print_json({"run": path, "judge": name, "kept": session.answers, "undone": session.undone})


def _login() -> str:
    """Return the user's login name.

    Raises:
        UsageError: the system does not know it.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError) as error:
        raise UsageError("your login name is unknown; name yourself with --judge NAME") from error


def _answer_from_flags(
    view: RunView, judge: str, pair: str | None, answer: str | None, order: str | None, remark: str | None, words: str
) -> Judgement | Order | Remark | None:
    """Return the answer that the flags give; None if they give none.

    Raises:
        UsageError: they do not belong together, or name a candidate that the run does not have.
    """
    from rewardgen.records import Judgement, Order, Remark, candidate_of
    from rewardgen.store.database import now

    # Which of the three kinds is it?
    if sum(given is not None for given in (pair, order, remark)) > 1:
        raise UsageError("give one of --pair, --order and --remark")
    if (pair is None) != (answer is None):
        raise UsageError("--pair LEFT,RIGHT and --answer belong together")
    if pair is None and order is None and remark is None:
        if words:
            raise UsageError("--words belong to --pair, --order or --remark")
        return None
    key, created = uuid.uuid4().hex, now()
    # A ranking belongs to the generation of its candidates
    if order is not None:
        keys = tuple(part.strip() for part in order.split(","))
        _check_known(view, keys)
        place = view.candidates[keys[0]]
        where = next(each for each in view.generations if place in each.candidates)
        return Order(key, where.restart, where.index, keys, words, judge, "person", created, 0.0)
    # A remark on a candidate alone means its first start state
    if remark is not None:
        replay = remark if "." in remark else f"{remark}.0"
        _check_known(view, [candidate_of(replay)])
        if not words.strip():
            raise UsageError("--remark needs --words")
        return Remark(key, replay, words, judge, "person", created)
    # A pair
    assert pair is not None and answer is not None
    shown = [part.strip() if "." in part else f"{part.strip()}.0" for part in pair.split(",")]
    if len(shown) != 2 or answer not in ANSWERS:
        raise UsageError("use --pair LEFT,RIGHT with --answer left, right, equal, unsure or both_bad")
    _check_known(view, [candidate_of(each) for each in shown])
    return Judgement(key, shown[0], shown[1], ANSWERS[answer], words, judge, "person", created, 0.0)


def _check_known(view: RunView, keys: Sequence[str]) -> None:
    """Raise UnknownName if the run lacks one of the candidates."""
    from rewardgen.errors import UnknownName

    for key in keys:
        if key not in view.candidates:
            raise UnknownName("candidate", key, list(view.candidates), hint=f"(in {view.path})")


@dataclass
class _Session:
    """A dialog with one person at a terminal."""

    path: Path
    judgements: Judgements
    judge: str
    films: bool
    answers: list[Judgement | Remark] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    skipped: set[frozenset[str]] = field(default_factory=set)
    clock: Callable[[], float] = time.monotonic

    def work(self) -> None:
        """Show pairs and read answers until there is nothing more to judge, or the person quits."""
        from rewardgen.search import asked_for
        from rewardgen.store import read

        screen = console(stderr=True)
        while True:
            # Read the run again for each pair: the search may have gone on, and others judge too
            view = read(self.path)
            wanted = asked_for(view)
            if wanted is None:
                note("no candidate has a policy to show yet; try again later")
                return
            shown = self._next(view, wanted)
            if shown is None:
                note("you have judged everything of this generation; come back for the next one")
                return
            self._introduce(view, wanted, shown)
            # Read lines until one settles this pair
            began = self.clock()
            while (line := self._read_line(screen)) is not None and not self._handle(line, shown, began):
                pass
            if line is None:
                return

    def _next(self, view: RunView, wanted: Waiting) -> tuple[str, ...] | None:
        """Return the replays to show: two, or one if there is nothing to compare it with; None if all are judged."""
        from rewardgen.preference import next_pair

        # A single candidate can only be commented on, once
        pool = [*wanted.candidates, *wanted.against]
        if len(pool) == 1:
            only = f"{pool[0]}.0"
            commented = any(remark.replay == only and remark.judge == self.judge for remark in view.remarks)
            return None if commented or frozenset(pool) in self.skipped else (only,)
        # Which pair is shown must not be predictable, so this generator has no seed
        generator = random.Random()
        seen = [*view.judgements, *self._skips()]
        pair = next_pair(pool, seen, view.orders, self.judge, generator)
        start = generator.randrange(wanted.starts)
        return None if pair is None else tuple(f"{key}.{start}" for key in pair)

    def _skips(self) -> list[Judgement]:
        """Return skipped pairs as answers that say nothing, so that this session does not show them again."""
        from rewardgen.records import Judgement

        pairs = [sorted(pair) for pair in self.skipped if len(pair) == 2]
        return [
            Judgement("skipped0", f"{a}.0", f"{b}.0", "unsure", "", self.judge, "person", "", 0.0) for a, b in pairs
        ]

    def _introduce(self, view: RunView, wanted: Waiting, shown: Sequence[str]) -> None:
        """Print how many judgements there are, where to see the replays, and how to answer."""
        from rewardgen.preference import heard

        count = heard(wanted.candidates, view.judgements, view.orders, view.remarks)
        lines = [f"generation {wanted.generation}: {count} of {wanted.wanted} judgements"]
        for side, replay in zip(("left ", "right") if len(shown) == 2 else ("     ",), shown, strict=True):
            lines.append(f"  {side}  {replay}  {self._location(replay)}")
        lines.append(f"  {HELP if len(shown) == 2 else HELP_ONE}")
        console(stderr=True).print(safe("\n".join(lines)), highlight=False)

    def _location(self, replay: str) -> str:
        """Return where a replay can be seen: a film, or the page that plays it."""
        from rewardgen.replay import ensure

        candidate, _, start = replay.rpartition(".")
        try:
            files: ReplayFiles = ensure(self.path, candidate, starts=int(start) + 1, video=self.films)[int(start)]
        except RewardgenError as error:
            return f"(cannot be shown: {error})"
        if files.video is not None:
            return str(files.video)
        return f"{files.poses} (`rewardgen web` shows it{'; no film: ' + files.note if files.note else ''})"

    def _read_line(self, screen: Any) -> str | None:
        """Read a line; None at the end of the input, or if the person quits."""
        screen.print("> ", end="")
        try:
            line = input()
        except (EOFError, KeyboardInterrupt):
            screen.print()
            return None
        return None if line.strip() in ("q", "quit") else line

    def _handle(self, line: str, shown: Sequence[str], began: float) -> bool:
        """Act on a line. Return True to go on to the next pair, False to ask for this one again."""
        from rewardgen.records import Judgement, Remark, candidate_of
        from rewardgen.store.database import now

        # Undo and skip
        text = line.strip()
        first, _, rest = text.partition(" ")
        if first in ("u", "undo"):
            self._undo()
            return True
        if first in ("s", "skip"):
            self.skipped.add(frozenset(candidate_of(each) for each in shown))
            return True
        # An answer about a pair, or a remark on a single replay
        answer: Judgement | Remark
        if len(shown) == 1 and text:
            answer = Remark(uuid.uuid4().hex, shown[0], text, self.judge, "person", now())
        elif len(shown) == 2 and first.lower() in ANSWERS:
            seconds = round(self.clock() - began, 1)
            answer = Judgement(
                uuid.uuid4().hex, shown[0], shown[1], ANSWERS[first.lower()], rest.strip(), self.judge, "person",
                now(), seconds,
            )  # fmt: skip
        else:
            note(HELP if len(shown) == 2 else HELP_ONE)
            return False
        # Store it
        try:
            self.judgements.add(answer)
        except UsageError as error:
            note(str(error))
            return False
        self.answers.append(answer)
        return True

    def _undo(self) -> None:
        """Undo the last answer of this session."""
        if not self.answers:
            note("there is nothing to undo in this session")
            return
        last = self.answers.pop()
        self.judgements.undo(last.id, self.judge)
        self.undone.append(last.id)
        note(f"undone: {getattr(last, 'answer', '') or 'the remark'}")
