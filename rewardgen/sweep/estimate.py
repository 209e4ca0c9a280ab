"""Estimates what a sweep will take: trainings, environment steps, calls, tokens, dollars and hours."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, reduce

from rewardgen.baselines import REWARDS
from rewardgen.config import BudgetConfig, Config, is_language_model
from rewardgen.errors import ConfigError, TaskError
from rewardgen.llm import Prices
from rewardgen.search import Resolved, load_method, resolve
from rewardgen.search.rank import planned_steps
from rewardgen.sweep.plan import Planned
from rewardgen.sweep.rates import Rates
from rewardgen.tasks import load_task

REPAIRED = 0.15
"""Assumed share of replies that need a repair; what the checks reject differs between models."""
OBJECTED = 0.5
"""Assumed share of a critic's reviews that object to the program."""
STARTING = 5.0
"""Assumed seconds of a search for everything but trainings and replies, such as starting its process."""
MARGIN = 2.0
"""Factor of what is reserved for a search over the estimate, for amounts that cannot be known before."""


@dataclass(frozen=True)
class Amounts:
    """What some work takes. ``steps`` is an upper bound, ``hours`` is the sum over processes.

    ``dollars`` is None if a model has no known price.
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
"""The amounts that budgets can limit."""
assert set(LIMITED) <= {field.name for field in fields(Amounts)}


def total(parts: Iterable[Amounts]) -> Amounts:
    """Return the sum."""
    return reduce(Amounts.__add__, parts, Amounts())


def of_search(config: Config, rates: Rates, threads: int) -> Amounts:
    """Estimate one search; trainings and hours are without its task's baselines, which are shared."""
    # Trainings and steps
    search, final = config.search, config.evaluation.report_seeds
    generations = search.generations * search.restarts
    trainings = generations * (search.candidates * search.seeds + search.remeasure) + final
    most = generations * planned_steps(config) + (1 + len(REWARDS)) * final * config.training.steps
    own = trainings * config.training.steps
    # A search without a language model needs no replies
    model = model_of(config)
    if model is None:
        return Amounts(trainings, most, 0, 0, 0.0, (own / (rates.of_task(config) * threads) + STARTING) / 3600)
    # Calls and tokens, and what they cost
    replies = rates.of_model(model)
    asked = _asked(config)
    calls = sum(asked)
    prompt = calls * replies.prompt_tokens
    completion = (generations * search.candidates + sum(asked[1:])) * replies.reply_tokens
    price = Prices.load(config.llm.prices).of(model, config.llm.each[0].base_url)
    # Requests of one generation are answered concurrently
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
    """Return the settings that a search of a sweep will run with; "auto" is left to the machine that will run it.

    Raises:
        ConfigError: the search's settings and its method do not fit together.
    """
    try:
        task = _task(planned.task, planned.envs)
    except TaskError:  # that search will fail and report it; the others go on
        return Resolved(planned.config, ())
    try:
        return resolve(planned.config, task, load_method(planned.config.search.method))
    except ConfigError as error:
        raise ConfigError(f"arm {planned.arm!r}, {planned.task}: {error}") from error


_task = lru_cache(maxsize=256)(load_task)


def of_planned(planned: Planned, rates: Rates, threads: int) -> Amounts:
    """Estimate one search of a sweep; see ``of_search``."""
    return of_search(resolved(planned).config, rates, threads)


def _asked(config: Config) -> tuple[int, int, int, int]:
    """Estimate one search's calls: programs, repairs, reviews with the revisions that follow, and analyses."""
    search, method = config.search, load_method(config.search.method)
    generations = search.generations * search.restarts
    programs = generations * search.candidates
    # With islands, each candidate after the first generation has a call of its own
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
    """Estimate the trainings of the expert's and the sparse reward of one task."""
    trainings = len(REWARDS) * config.evaluation.report_seeds
    seconds = trainings * config.training.steps / (rates.of_task(config) * threads) + STARTING
    return Amounts(trainings=trainings, hours=seconds / 3600)


def model_of(config: Config) -> str | None:
    """Return the language model that a run would request first; None if it uses none."""
    model = config.llm.each[0].model
    return model if is_language_model(model) else None  # "auto" with a key is an error, which ``ready`` reports


def bound(config: Config, amounts: Amounts) -> dict[str, float]:
    """Return the most of each limited amount that a search may take: its own budget, or the estimate with a margin."""
    own = config.budget.model_dump()
    margins = {"steps": 1.0}  # the estimate of steps is an upper bound already
    bounds = {}
    for name in LIMITED:
        expected = getattr(amounts, name)
        most = math.inf if expected is None else expected * margins.get(name, MARGIN)
        bounds[name] = min(most, own[name]) if own[name] is not None else most
    return bounds


def baselines_of(searches: Sequence[Planned]) -> dict[str, Planned]:
    """Return one search for each different set of baselines that the searches need."""
    by_kind: dict[str, Planned] = {}
    for planned in searches:
        config = resolved(planned).config
        # Equal settings need equal baselines
        sections = [config.training.model_dump(mode="json"), config.evaluation.model_dump(mode="json")]
        kind = json.dumps([planned.task, *sections, config.sim, config.device], sort_keys=True)
        by_kind.setdefault(kind, replace(planned, config=config))
    return by_kind


def wall_hours(amounts: Sequence[Amounts], slots: int) -> float:
    """Return the hours from start to end with ``slots`` concurrent searches: never less than the longest takes."""
    hours = [each.hours for each in amounts]
    return max([sum(hours) / max(1, slots), *hours], default=0.0)
