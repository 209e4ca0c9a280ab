"""Say in time that a search's scores do not tell its rewards apart."""

from __future__ import annotations

from rewardgen.evaluation import Legibility, legibility
from rewardgen.search.run import Run
from rewardgen.store import AGAIN


def warn_if_unreadable(run: Run, restart: int, number: int) -> None:
    """Warn after the first generation of a restart by which the scores so far are known to be mostly due to seeds.

    The restart's scores are looked at together, so later generations may show what the first ones leave open. Whether
    an earlier generation warned follows from the store too: a resumed run says the same.
    """
    if number + 1 == run.config.search.generations:
        return  # nothing is left to change; the report says it
    found = _legibility(run, restart, number)
    if not found.unreadable or any(_legibility(run, restart, earlier).unreadable for earlier in range(number)):
        return
    run.warn(
        f"after generation {number}: the scores do not tell the candidates apart. {found.sentence} "
        "Stop and start a new search with that, or go on knowing that the choice is mostly chance."
    )


def _legibility(run: Run, restart: int, number: int) -> Legibility:
    """Of the generations of a restart up to ``number``."""
    search, training = run.config.search, run.config.training
    keys = [[f"r{restart}g{each}c{i}" for i in range(search.candidates)] for each in range(number + 1)]
    trainings = [
        [[*run.store.trainings(key), *run.store.trainings(key + AGAIN)] for key in generation] for generation in keys
    ]
    return legibility(trainings, seeds=search.seeds, steps=training.steps, keep=training.keep)
