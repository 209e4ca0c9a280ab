"""What a sweep needs beyond its file, such as keys: looked at before anything starts, and not for a dry run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rewardgen.config import Config
from rewardgen.errors import ConfigError, RewardgenError
from rewardgen.llm import Budget, make_author
from rewardgen.llm.dialog import OWN_DIALOG, Dialog
from rewardgen.sweep.plan import Plan


def check_authors(plan: Plan) -> None:
    """Whether every model can be asked: it has a key where it needs one, and a price where dollars are limited.

    Raises:
        ConfigError: one of them cannot; the message says for which arms and why.
    """
    problems = [f"arm {arm!r}: {why}" for arm, why in authors_missing(plan).items()]
    if problems:
        raise ConfigError("\n".join(problems))


def authors_missing(plan: Plan) -> dict[str, str]:
    """Arm → why its author cannot be asked, of those that cannot."""
    found: dict[str, str] = {}
    seen: dict[str, str] = {}
    for planned in plan.searches:
        key = f"{planned.config.llm!r} {planned.config.budget!r}"
        if key not in seen:
            seen[key] = "; ".join(_wrong(planned.config))
        if seen[key]:
            found.setdefault(planned.arm, seen[key])
    return found


def _wrong(config: Config) -> Iterator[str]:
    try:
        author = make_author(
            config.llm,
            environ=os.environ,
            cache_dir=None,
            recording=None,
            budget=Budget.of(config.budget),
            on_warning=lambda warning: None,  # the search itself says it
            dialog=Dialog(Path(OWN_DIALOG)),  # in the run's folder, which each search makes
        )
    except RewardgenError as error:
        yield str(error)
    else:
        author.close()
