"""The dialect of YAML: what scalars are, what is refused, and in which line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewardgen import yaml
from rewardgen.cli.settings import parse_assignments
from rewardgen.config import load
from rewardgen.errors import ConfigError, UsageError
from rewardgen.llm.prices import Prices
from rewardgen.search import configure, load_method
from rewardgen.sweep import make_plan
from rewardgen.tasks.adapter import read_tasks


def said(path: Path, text: str) -> list[str]:
    """What is wrong with the YAML file ``text``, without the file's folder."""
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        yaml.read(path)
    return str(raised.value).replace(f"{path.parent}/", "").splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1_000_000), ("1e5", 100_000), ("+2E3", 2000), ("200_000", 200_000), ("0x1F", 31), ("0o17", 15),
        ("-7", -7), ("010", 10),  # YAML 1.1 would take it for octal
        ("1e-3", 0.001), ("3.5e2", 350.0), ("1.0e+3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-.inf", -math.inf),
        ("1:30", "1:30"), ("1:30.5", "1:30.5"), ("2026-01-02", "2026-01-02"), ("'1e6'", "1e6"), ("1e", "1e"),
        ("e5", "e5"), ("y", "y"), ("-", [None]), ("1.2.3", "1.2.3"), ("inf", "inf"), ("nan", "nan"),
        ("true", True), ("yes", True), ("off", False), ("No", False), ("", None), ("~", None), ("null", None),
        ("%YAML 1.1\n--- 1:30", "1:30"),  # a file cannot choose another dialect
    ],
)  # fmt: skip
def test_scalars(text: str, value: Any) -> None:
    found = yaml.read_value(text)
    assert found == value and type(found) is type(value)


def test_not_a_number_is_one() -> None:
    assert math.isnan(yaml.read_value(".nan"))


# JSON escapes what lies beyond as surrogates, which YAML does not put together
TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=9)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )
)
def test_json_is_read_as_json_does(value: Any) -> None:
    assert yaml.read_value(json.dumps(value)) == value


def test_a_million_steps_in_every_way_of_giving_settings(tmp_path: Path) -> None:
    file, spec, method = tmp_path / "config.yaml", tmp_path / "spec.yaml", tmp_path / "mine.yaml"
    file.write_text("task: cartpole/swingup\ntraining: {steps: 1e6, learning_rate: 1e-3}\n")
    spec.write_text("tasks: [cartpole/swingup]\nsettings: {training: {steps: 1e6, learning_rate: 1e-3}}\n")
    method.write_text("name: mine\nsummary: x\nsettings: {training: {steps: 1e6, learning_rate: 1e-3}}\n")
    flags = parse_assignments(["training.steps=1e6", "training.learning_rate=1e-3"])
    found = [
        configure(file),
        configure(None, {"task": "cartpole/swingup", **flags}),
        make_plan(spec, tmp_path / "runs").searches[0].config,
        load(None, {"task": "x"}, method_defaults=load_method(str(method)).settings),
    ]
    assert [(each.training.steps, each.training.learning_rate) for each in found] == [(1_000_000, 1e-3)] * 4


def test_what_an_alias_and_a_merge_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text("one: &one {a: 1, b: 2}\ntwo: &two\n  a: 9\nboth:\n  <<: [*one, *two]\n  b: 3\nagain: *two\n")
    document = yaml.read(path)
    assert document.values["both"] == {"a": 1, "b": 3} and document.values["again"] == {"a": 9}
    assert document.line(("both", "a")) == 1 and document.line(("both", "b")) == 6  # where each was written
    assert document.line(("again", "a")) == 3 and document.line(("again", "b", 0)) == 7  # the innermost around it
    assert document.where(("nowhere",)) == f"{path}:1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: {c: 1,\n  c: 2}\na: 2\n", ["x.yaml:3: duplicate key 'c', first in line 2",
                                              "x.yaml:4: duplicate key 'a', first in line 1"]),
        ("a: [1\nb: 2\n", ["x.yaml:2: this is not YAML: expected ',' or ']'"]),
        ("a: 1\n\tb: 2\n", ["x.yaml:2: this is not YAML: "]),
        ("a: 1\nb: \x07\n", ["x.yaml:2: this is not YAML: special characters are not allowed"]),
        ("a: 1\n---\nb: 2\n", ["x.yaml:2: this is not YAML: "]),
        ("a:\n  !!python/object/apply:os.system [ls]\n", ["x.yaml:2: this is not YAML: could not determine"]),
        ("a: 1\nb: *nope\n", ["x.yaml:2: this is not YAML: found undefined alias 'nope'"]),
        ("a: 1\nb: {<<: 3}\n", ["x.yaml:2: this is not YAML: expected a mapping or list of mappings"]),
        ("- a\n", ["x.yaml:1: it must hold a mapping of settings, not a list"]),
        ("\n\n3\n", ["x.yaml:3: it must hold a mapping of settings, not a int"]),
        ("a: 1\nb: &b {c: [1, *b]}\n", ["x.yaml:2: the anchor &b contains itself"]),
        ("a: 1\nb: &b\n  <<: *b\n", ["x.yaml:2: the anchor &b contains itself"]),
        ("a:\n  " + "[" * 100 + "]" * 100, ["x.yaml:2: values are nested more than 64 levels deep"]),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, says: list[str]) -> None:
    found = said(tmp_path / "x.yaml", text)
    assert len(found) == len(says)
    assert all(line.startswith(start) for line, start in zip(found, says, strict=True)), found


def test_aliases_that_expand_to_millions_are_refused_before_they_do(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    assert said(tmp_path / "many.yaml", "\n".join(lines)) == [
        "many.yaml:5: aliases expand to more than 100,000 values here; use fewer of them"
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml.*give the path of a YAML file"):
        yaml.read(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ConfigError, match=r"cannot read .*latin\.yaml"):
        yaml.read(tmp_path / "latin.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert yaml.read(tmp_path / "empty.yaml").values == {}


def test_assignments_are_of_the_same_dialect() -> None:
    found = parse_assignments(["a=1e6", "b=1:30", "c='1e6'", "d={x: 1e-3}", "e=qwen3:8b"])
    assert found == {"a": 1_000_000, "b": "1:30", "c": "1e6", "d": {"x": 1e-3}, "e": "qwen3:8b"}
    with pytest.raises(UsageError, match=r"^--set a=\{b: 1, b: 2\}: duplicate key 'b'"):
        parse_assignments(["a={b: 1, b: 2}"])
    with pytest.raises(UsageError, match=r"^--set a=&a \[\*a\]: the anchor &a contains itself"):
        parse_assignments(["a=&a [*a]"])


def test_a_configuration_s_errors_name_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("task: cartpole/swingup\nsearch:\n  candidats: 4\ntraining:\n  worlds: many\n  hidden: [64, x]\n")
    with pytest.raises(ConfigError) as raised:
        configure(path)
    found = str(raised.value).replace(f"{tmp_path}/", "").splitlines()
    assert [line.partition(" ")[0] for line in found] == ["config.yaml:3:", "config.yaml:5:", "config.yaml:6:"]
    assert "did you mean search.candidates" in found[0] and "training.worlds" in found[1]
    assert "training.hidden.1" in found[2]
    with pytest.raises(ConfigError) as raised:  # a flag's fault is not blamed on the file that it overrides
        configure(path, {"search": {}, "training": {"worlds": 0}})
    assert "config.yaml:5" not in str(raised.value) and "the settings: training.worlds" in str(raised.value)


def test_a_section_that_stands_twice_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("task: cartpole/swingup\ntraining: {steps: 4096}\ntraining: {learning_rate: 1e-3}\n")
    with pytest.raises(ConfigError, match=r"twice\.yaml:3: duplicate key 'training', first in line 2"):
        configure(path)


def test_a_method_s_errors_name_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsummary: x\nhistry: 3\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml:3: unknown key 'histry'; did you mean history"):
        load_method(str(path))
    path.write_text("name: mine\nsummary: x\nsettings:\n  training:\n    epochs: -1\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml:5: settings: training\.epochs"):
        load_method(str(path))


def test_a_price_table_s_errors_name_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("models:\n  one: {input: 1, output: 2}\n  two: {input: 1:30, output: 2}\n")
    with pytest.raises(ConfigError, match=r"prices\.yaml:3: two: input must be a number of dollars"):
        Prices.load(path)
    path.write_text("# mine\nmodels: 3\n")
    with pytest.raises(ConfigError, match=r"prices\.yaml:2: a price table needs"):
        Prices.load(path)


TASKS = """\
description: x
environment: {id: Pendulum-v1, arguments: {g: 1e1, n: 1_000, mode: 1:30}}
fields:
  - {name: upright, from: "observation[0]", unit: "1", meaning: m}
  - {name: sideways, from: "SOURCE", unit: "1", meaning: m}
success: {from: "observation[0]"}
horizon: 200
tasks:
  - task: a/one
    fitness: {from: "observation[0]", unit: "1", meaning: m, threshold: 1}
  - task: a/two
    fitness:
      from: "observation[0]"
      unit: "1"
      meaning: m
      threshold: LIMIT
"""


def test_a_task_file_s_errors_name_file_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "tasks.yaml"

    def declared(source: str, limit: str) -> list[tuple[str, Any]]:
        path.write_text(TASKS.replace("SOURCE", source).replace("LIMIT", limit))
        return read_tasks(path)

    two = dict(declared("observation[1]", "5e-1"))["a/two"]
    assert two.success_threshold == 0.5
    arguments = two.declaration.environment.arguments
    assert arguments == {"g": 10, "n": 1000, "mode": "1:30"}
    for source, limit, says in (
        ("observation[1]", "high", r"tasks\.yaml:16: task a/two: fitness\.threshold: .*number"),
        ("obs[1]", "1", r"tasks\.yaml:5: task a/one: 'obs\[1\]' is no source"),
    ):
        with pytest.raises(Exception, match=says) as raised:
            declared(source, limit)
        assert type(raised.value).__name__ == "TaskError"
    path.write_text("task: a/one\ntask: a/two\n")
    with pytest.raises(Exception, match=r"tasks\.yaml:2: duplicate key 'task'"):
        read_tasks(path)
