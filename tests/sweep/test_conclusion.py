"""How a sweep ends: what failed, and what found nothing, is no success."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from rewardgen.cli.sweep import _conclude
from rewardgen.errors import RewardgenError
from rewardgen.sweep import SearchOutcome, SearchState, make_plan
from tests.sweep.specs import SMALL, written


@pytest.mark.parametrize(
    ("winners", "statuses", "says"),
    [
        (["r0g0c0", "r0g0c1"], ["finished", "finished"], ""),
        (["r0g0c0", None], ["finished", "finished"], "warning: 1 of 2 searches found no reward"),
        ([None, None], ["finished", "finished"], "no search found a reward: no candidate of 2 searches"),
        ([None, None], ["finished", "failed"], "1 of 2 searches failed"),
        ([None, None], ["failed", "failed"], "2 of 2 searches failed"),
        ([None, None], ["left out", "left out"], ""),
    ],
)
def test_what_a_sweep_says_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], winners: list[str | None], statuses: list[str], says: str
) -> None:
    spec = written(tmp_path, f"tasks: [cartpole/swingup]\nseeds: 2\n{SMALL}")
    searches = make_plan(spec, tmp_path / "runs").searches
    ended = [SearchOutcome(each, status) for each, status in zip(searches, statuses, strict=True)]
    standings = [
        SearchState(each, status, winner=winner)
        for each, status, winner in zip(searches, statuses, winners, strict=True)
    ]
    if says == "" or says.startswith("warning"):
        _conclude(ended, standings, json=False)
        assert says in " ".join(capsys.readouterr().err.split())
        return
    with pytest.raises(RewardgenError, match=says):
        _conclude(ended, standings, json=False)
    with pytest.raises(typer.Exit) as left:  # the JSON document says the rest
        _conclude(ended, standings, json=True)
    assert left.value.exit_code == 1
