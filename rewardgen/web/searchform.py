"""The form that starts a search: check its fields as the command line checks flags, and estimate the cost."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardgen.config import Config
from rewardgen.config.authors import FILE_AUTHORS, OWN_DIALOG
from rewardgen.errors import RewardgenError, UnknownName, UsageError
from rewardgen.search import configure, method_names
from rewardgen.store import RunView
from rewardgen.sweep.estimate import Amounts, model_of, of_baselines, of_search
from rewardgen.sweep.rates import Rates

NUMBERS: Mapping[str, tuple[str, str]] = {
    "candidates": ("search.candidates", "--candidates"),
    "generations": ("search.generations", "--generations"),
    "seeds": ("search.seeds", "--seeds"),
    "steps": ("training.steps", "--steps"),
    "report_seeds": ("evaluation.report_seeds", "--report-seeds"),
    "seed": ("seed", "--seed"),
}
"""Field → its setting and its flag."""
FIELDS = ("task", "author", "llm", "method", "judge", "dollars", "name", *NUMBERS)
AUTHORS = {"": "a language model, or the offline author", OWN_DIALOG: "a person or an agent, on the run's page"}
JUDGES = ("fitness", "people")
MAX_MODEL = 200
MAX_GENERATIONS = 1000
NUMBER = re.compile(r"[0-9]{1,9}")
_DOLLARS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,4})?")
_MODEL = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/@+-]{{0,{MAX_MODEL - 1}}}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Wanted:
    """A search from the form: its settings, its name ("": chosen by the server), and the same as command-line flags."""

    config: Config
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class SearchCost:
    """The estimated cost of a search.

    Attributes:
        search, baselines: amounts for the search, and for the expert's and the sparse reward.
        measured: the task's training speed is known from earlier runs on this machine.
        asked: the language model, None without one.
    """

    search: Amounts
    baselines: Amounts
    measured: bool
    asked: str | None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds in total."""
        return 3600 * (self.search.hours + self.baselines.hours)


def check_form(form: Mapping[str, str], tasks: Mapping[str, Any]) -> Wanted:
    """Check a form and return its search. Empty fields take the default.

    Raises:
        UsageError: an unknown field, a value that the command line would reject, or one that names a file.
    """
    # Known fields only
    unknown = sorted(set(form) - set(FIELDS))
    if unknown:
        raise UsageError(f"the form has no field {unknown[0][:40]!r}")
    given = {key: value.strip() for key, value in form.items() if value.strip()}
    task = given.get("task", "")
    if task not in tasks:
        raise UnknownName("task", task[:80], tasks)
    overrides: dict[str, Any] = {"task": task}
    arguments = [task]
    # Sizes and seeds
    for field, (setting, flag) in NUMBERS.items():
        if field in given:
            if not NUMBER.fullmatch(given[field]):
                raise UsageError(f"{field.replace('_', ' ')}: {given[field][:40]!r} is not a whole number of 0 or more")
            overrides[setting] = int(given[field])
            arguments.append(f"{flag}={int(given[field])}")
    # Author
    if (author := given.get("author", "")) not in AUTHORS:
        raise UsageError("author: choose one of the list")
    if author == OWN_DIALOG:
        if "llm" in given:
            raise UsageError("model: leave it empty if a person or an agent writes the rewards")
        overrides["llm.model"] = OWN_DIALOG
        arguments.append(f"--llm={OWN_DIALOG}")  # its files are in the run's folder
    elif "llm" in given:
        model = given["llm"]
        if not _MODEL.fullmatch(model):
            raise UsageError("model: this is not a model's name")
        if model.startswith(FILE_AUTHORS) or model == OWN_DIALOG:
            raise UsageError("model: authors that use files can be chosen on the command line only")
        overrides["llm.model"] = model
        arguments.append(f"--llm={model}")
    # Method, judge, budget
    if "method" in given:
        if given["method"] not in method_names():
            raise UnknownName("search method", given["method"][:80], method_names())
        overrides["search.method"] = given["method"]
        arguments.append(f"--method={given['method']}")
    if "judge" in given:
        if given["judge"] not in JUDGES:
            raise UsageError(f"judge: choose {' or '.join(JUDGES)}")
        overrides["search.judge"] = given["judge"]
        arguments.append(f"--judge={given['judge']}")
    if "dollars" in given:
        if not _DOLLARS.fullmatch(given["dollars"]):
            raise UsageError("budget: give dollars as a number, such as 2.5")
        overrides["budget.dollars"] = float(given["dollars"])
        arguments.append(f"--budget-dollars={given['dollars']}")
    # Name of the run, which becomes a folder
    name = given.get("name", "")
    if name and (not _NAME.fullmatch(name) or name == "latest"):
        raise UsageError("name: use up to 64 letters, digits, '_', '-' and '.', beginning with a letter or digit")
    return Wanted(configure(None, overrides), name, tuple(arguments))


def cost_of(wanted: Wanted, rates: Rates) -> SearchCost:
    """Estimate the cost of the search on this machine, with the trainings of the expert's and the sparse reward."""
    # The number of threads decides the speed of physics
    config = wanted.config
    threads = config.threads or os.cpu_count() or 1
    return SearchCost(
        search=of_search(config, rates, threads),
        baselines=of_baselines(config, rates, threads),
        measured=rates.measured(config),
        asked=model_of(config),
    )


def free_name(folder: Path, task: str) -> str:
    """Return an unused name for a run, made of the task and the time."""
    base = f"{task.replace('/', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    found = next((name for name in names if not (folder / name).exists()), None)
    if found is None:
        raise RewardgenError(f"{folder} has a thousand runs from this second; enter a name")
    return found


def generations_at_least(view: RunView) -> int:
    """Return the smallest total that a run can be continued to: what it has begun, or one more than it has finished."""
    return 1 + max((generation.index + generation.finished for generation in view.generations), default=0)
