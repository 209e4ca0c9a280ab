"""What a sweep will take, before it starts: trainings, environment steps, calls, tokens, dollars and hours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, reduce

from rewardgen.baselines import REWARDS
from rewardgen.config import BudgetConfig, Config
from rewardgen.errors import ConfigError, TaskError
from rewardgen.llm import Prices
from rewardgen.llm.dialog import is_dialog
from rewardgen.search import Resolved, load_method, resolve
from rewardgen.search.rank import planned_steps
from rewardgen.sweep.plan import Planned
from rewardgen.sweep.rates import Rates
from rewardgen.tasks import load_task

REPAIRED = 0.15
"""Share of the replies that go back to their author, as a guess; what the checks refuse differs between models."""
OBJECTED = 0.5
"""Share of a critic's reviews that object to the program, as a guess."""
STARTING = 5.0
"""Seconds until a search's process is at work, and that it needs for all but trainings and replies."""
MARGIN = 2.0
"""What is set aside for a search, over what it is expected to take, of that which cannot be known before."""


@dataclass(frozen=True)
class Amounts:
    """What some work takes. ``steps`` is the most it can take, ``hours`` those of its processes added up.

    ``dollars`` is None where a model has no known price.
    """

    trainings: int = 0
    steps: int = 0
    calls: int = 0
    tokens: int = 0
    dollars: float | None = 0.0
    hours: float = 0.0

    def __add__(self, other: Amounts) -> Amounts:
        dollars = None if self.dollars is None or other.dollars is None else self.dollars + other.dollars
        return Amounts(
            self.trainings + other.trainings,
            self.steps + other.steps,
            self.calls + other.calls,
            self.tokens + other.tokens,
            dollars,
            self.hours + other.hours,
        )


LIMITED = tuple(BudgetConfig.model_fields)
"""What budgets can limit: fields of ``Amounts`` too."""
assert set(LIMITED) <= {field.name for field in fields(Amounts)}


def total(parts: Iterable[Amounts]) -> Amounts:
    return reduce(Amounts.__add__, parts, Amounts())


def of_search(config: Config, rates: Rates, threads: int) -> Amounts:
    """One search, its task's baselines left out of the trainings and the hours: they are shared."""
    search, final = config.search, config.evaluation.report_seeds
    generations = search.generations * search.restarts
    trainings = generations * (search.candidates * search.seeds + search.remeasure) + final
    most = generations * planned_steps(config) + (1 + len(REWARDS)) * final * config.training.steps
    own = trainings * config.training.steps
    model = model_of(config)
    if model is None:
        return Amounts(trainings, most, 0, 0, 0.0, (own / (rates.of_task(config) * threads) + STARTING) / 3600)
    replies = rates.of_model(model)
    asked = _asked(config)
    calls = sum(asked)
    prompt = calls * replies.prompt_tokens
    completion = (generations * search.candidates + sum(asked[1:])) * replies.reply_tokens
    price = Prices.load(config.llm.prices).of(model, config.llm.each[0].base_url)
    # what a generation asks for at one time is answered together
    waiting = sum(min(number, generations) for number in asked) * replies.seconds
    return Amounts(
        trainings,
        most,
        calls,
        round(prompt + completion),
        None if price is None else price.dollars(round(prompt), round(completion)),
        (own / (rates.of_task(config) * threads) + waiting + STARTING) / 3600,
    )


def resolved(planned: Planned) -> Resolved:
    """The settings that a search of a sweep will run with; "auto" is left to the machine that will do it.

    Raises:
        ConfigError: the search's settings and its method do not go together.
    """
    try:
        task = _task(planned.task, planned.envs)
    except TaskError:  # that search will fail and say so; the others go on
        return Resolved(planned.config, ())
    try:
        return resolve(planned.config, task, load_method(planned.config.search.method))
    except ConfigError as error:
        raise ConfigError(f"arm {planned.arm!r}, {planned.task}: {error}") from error


_task = lru_cache(maxsize=256)(load_task)


def of_planned(planned: Planned, rates: Rates, threads: int) -> Amounts:
    """One search of a sweep; see ``of_search``."""
    return of_search(resolved(planned).config, rates, threads)


def _asked(config: Config) -> tuple[int, int, int, int]:
    """Calls for programs, repairs, reviews with the revisions that follow from them, and analyses of one search."""
    search, method = config.search, load_method(config.search.method)
    generations = search.generations * search.restarts
    programs = generations * search.candidates
    bred = (generations - search.restarts) * (search.candidates - 1) if method.islands is not None else 0
    rounds = method.roles.critic.rounds if method.roles.critic is not None else 0
    reviews = math.fsum(programs * OBJECTED**number for number in range(rounds))
    return (
        generations + bred,
        round(programs * REPAIRED) if search.repairs else 0,
        round(reviews * (1 + OBJECTED)),
        generations - search.restarts if method.roles.analyser is not None else 0,
    )


def of_baselines(config: Config, rates: Rates, threads: int) -> Amounts:
    """The expert's and the sparse reward's trainings of one task."""
    trainings = len(REWARDS) * config.evaluation.report_seeds
    seconds = trainings * config.training.steps / (rates.of_task(config) * threads) + STARTING
    return Amounts(trainings=trainings, hours=seconds / 3600)


def model_of(config: Config) -> str | None:
    """The language model that a run would ask first; None where none is."""
    model = config.llm.each[0].model
    if model == "offline" or is_dialog(model) or model.startswith(("replay:", "replay-strict:")):
        return None
    if model == "auto":  # with a key it is an error, which is said elsewhere
        return None
    return model


def bound(config: Config, amounts: Amounts) -> dict[str, float]:
    """The most of each limited quantity that a search is let take, by its own budget or what is expected of it."""
    own = config.budget.model_dump()
    margins = {"steps": 1.0}
    found = {}
    for name in LIMITED:
        expected = getattr(amounts, name)
        most = math.inf if expected is None else expected * margins.get(name, MARGIN)
        found[name] = min(most, own[name]) if own[name] is not None else most
    return found


def baselines_of(searches: Sequence[Planned]) -> dict[str, Planned]:
    """One search for each set of baselines that the searches need; what is the same among them is the same here."""
    found: dict[str, Planned] = {}
    for planned in searches:
        config = resolved(planned).config
        sections = [config.training.model_dump(mode="json"), config.evaluation.model_dump(mode="json")]
        kind = json.dumps([planned.task, *sections, config.sim, config.device], sort_keys=True)
        found.setdefault(kind, replace(planned, config=config))
    return found


def wall_hours(amounts: Sequence[Amounts], slots: int) -> float:
    """Hours from start to end with ``slots`` searches at once: never less than the longest takes."""
    hours = [each.hours for each in amounts]
    return max([sum(hours) / max(1, slots), *hours], default=0.0)
