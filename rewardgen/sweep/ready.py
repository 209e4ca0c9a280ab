"""Checks what a sweep needs besides its file, such as keys, before anything starts; a dry run needs none of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rewardgen.config import Config
from rewardgen.config.authors import OWN_DIALOG
from rewardgen.errors import ConfigError, RewardgenError
from rewardgen.llm import Budget, make_author
from rewardgen.llm.dialog import Dialog
from rewardgen.sweep.plan import Plan


def check_authors(plan: Plan) -> None:
    """Check that every model can be requested: that it has a key if it needs one, and a price if dollars are limited.

    Raises:
        ConfigError: one of them cannot; the message says for which arms and why.
    """
    # Report all of them at once
    problems = [f"arm {arm!r}: {why}" for arm, why in authors_missing(plan).items()]
    if problems:
        raise ConfigError("\n".join(problems))


def authors_missing(plan: Plan) -> dict[str, str]:
    """Return arm → why its author cannot be used, for those that cannot."""
    missing: dict[str, str] = {}
    seen: dict[str, str] = {}
    for planned in plan.searches:
        # Many searches share an author: check each once
        key = f"{planned.config.llm!r} {planned.config.budget!r}"
        if key not in seen:
            seen[key] = "; ".join(_problems_of(planned.config))
        if seen[key]:
            missing.setdefault(planned.arm, seen[key])
    return missing


def _problems_of(config: Config) -> Iterator[str]:
    """Yield why an author cannot be used."""
    try:
        author = make_author(
            config.llm,
            environ=os.environ,
            cache_dir=None,
            recording=None,
            budget=Budget.of(config.budget),
            on_warning=lambda warning: None,  # the search itself will report it
            dialog=Dialog(Path(OWN_DIALOG)),  # in the run's folder, which each search makes
        )
    except RewardgenError as error:
        yield str(error)
    else:
        author.close()
