"""What is wrong with a spec is said with its file, line and key, all of it at once, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen.errors import ConfigError
from rewardgen.sweep import make_plan
from tests.sweep.specs import written


def errors(folder: Path, text: str) -> list[str]:
    """What is said of the spec ``text``, without the file's folder."""
    with pytest.raises(ConfigError) as raised:
        make_plan(written(folder, text), folder / "runs")
    assert not (folder / "runs").exists()
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def test_every_mistake_is_named_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        """\
        tasks:
          - cartpole/swingup
          - hoper/run
        seeds: 2
        settings:
          search:
            candidats: 4
          training.stepz: 1000
        arms:
          eureka: {}
          bold:
            search:
              racing:
                shares: 0.5
          other: {search.method: eureca}
          wrong value: {training.worlds: none}
        grid:
          search.generations: [1, 0]
        """,
    )
    expected = {
        3: ("there is no task named 'hoper/run'", "hopper/run"),
        7: ("unknown key 'search.candidats'", "search.candidates"),
        8: ("unknown key 'training.stepz'", "training.steps"),
        14: ("unknown key 'search.racing.shares'", "search.racing.share"),
        15: ("there is no search method named 'eureca'", "eureka"),
        16: ("training.worlds", "none"),
        18: ("search.generations", "greater than or equal to 1"),
    }
    assert [line.partition(": ")[0] for line in found] == [f"spec.yaml:{number}" for number in expected]
    for line, parts in zip(found, expected.values(), strict=True):
        assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("text", "line", "parts"),
    [
        ("tasks: [a/b]\nsedes: 3\n", 2, ("unknown key 'sedes'", "seeds")),
        ("tasks: [cartpole/swingup]\nbudgets: {total: {ours: 3}}\n", 2, ("budgets.total.ours", "budgets.total.hours")),
        (
            "tasks: [cartpole/swingup]\narms: {one: {}}\nbudgets:\n  arms:\n    one: {ours: 3}\n",
            5,
            ("budgets.arms.one.ours", "budgets.arms.one.hours"),
        ),
        ("tasks: [cartpole/swingup]\narms: {a: {}}\nbudgets: {arms: {onne: {}}}\n", 3, ("no arm named 'onne'",)),
        ("seeds: 3\n", 1, ("tasks", "required")),
        ("tasks: []\n", 1, ("tasks", "at least 1")),
        ("tasks: [cartpole/swingup]\nseeds: [1, 1]\n", 2, ("different seeds",)),
        ("tasks: [cartpole/swingup]\nseeds: 0\n", 2, ("seeds", "at least 1")),
        ("tasks: [cartpole/swingup]\nseeds: 1\ntasks: [hopper/run]\n", 3, ("duplicate key 'tasks'", "line 1")),
        ("tasks: [cartpole/swingup\nseeds: 1\n", 2, ("not YAML",)),
        ("- cartpole/swingup\n", 1, ("mapping",)),
        ("tasks: [cartpole/swingup]\ngrid:\n  training.steps: 5\n", 3, ("grid.training.steps", "list")),
        ("tasks: [cartpole/swingup]\ngrid:\n  search.method: [none*]\n", 3, ("no method is named", "eureka")),
        ("tasks: [cartpole/swingup]\nsettings:\n  seed: 3\n", 3, ("seed", "`seeds`")),
        ("tasks: [cartpole/swingup]\nsettings:\n  threads: 3\n", 3, ("threads", "`share.threads`")),
        ("tasks: [cartpole/swingup]\narms:\n  A b: {}\n  a-B: {}\n", 4, ("'A b' and 'a-B'", "same folder, a-b")),
        ("tasks: [cartpole/swingup]\nsettings:\n  prompts: nowhere\n", 3, ("no folder", "nowhere")),
        ("tasks: [cartpole/swingup]\nenvs: [nowhere]\n", 2, ("no folder", "nowhere")),
        ("name: ../x\ntasks: [cartpole/swingup]\n", 1, ("name", "letters")),
        ("tasks: [cartpole/swingup]\nbudgets: {total: {hours: 1:30}}\n", 2, ("total.hours", "number", "'1:30'")),
        ("tasks: [cartpole/swingup]\nsettings: &s {training.steps: 4096, again: *s}\n", 2, ("&s contains itself",)),
        (f"tasks: [cartpole/swingup]\narms:\n  a: {{}}\n  {'long ' * 60}arm: {{}}\n", 4, ("303 characters", "255")),
        (
            f"tasks: [cartpole/swingup]\ngrid:\n  llm.model:\n    - {'m' * 300}\n",
            4,
            ("300 characters", "shorter values in `grid`"),
        ),
    ],
)  # fmt: skip
def test_a_mistake(tmp_path: Path, text: str, line: int, parts: tuple[str, ...]) -> None:
    (found,) = errors(tmp_path, text)
    assert found.startswith(f"spec.yaml:{line}: "), found
    assert all(part in found for part in parts), found


def test_what_the_command_line_says_wrong_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--set unknown key 'search.candidats'; did you mean search.candidates"):
        make_plan(written(tmp_path, "tasks: cartpole/swingup\n"), tmp_path, given={"search.candidats": 3})


def test_a_method_s_file_with_a_mistake_is_named_where_it_is_used(tmp_path: Path) -> None:
    written(tmp_path, "name: mine\nsummary: one\nhistry: 3\n", "mine.yaml")
    (found,) = errors(tmp_path, "tasks: cartpole/swingup\narms:\n  mine: {search.method: mine.yaml}\n")
    assert found.startswith("spec.yaml:3: search.method: ") and "mine.yaml" in found and "history" in found
