"""What a search says of itself while it runs. ``rewardgen run`` draws these; the store keeps the lasting ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """``kind`` and its ``data``:

    run_started       run, path, task, author, generations, candidates, steps, offline (bool), resumed (bool),
                      arrangement (where physics and learning take place), why,
                      changes (lines: settings that the run takes otherwise than they were given, and why)
    generation_started restart, generation, parent (key or None)
    calling           purpose, n
    endpoint          message (why a request is tried again, or what an endpoint does not take)
    replied           purpose, replies, prompt_tokens, completion_tokens, dollars, cached
    verdict           candidate, attempt, accepted (bool), problems (list of str)
    training_started  members, steps (of all members together), what ("generation", "further", "again" or "final")
    training_progress steps, total, steps_per_second, what
    checkpoint        candidate, seed, steps, fitness, success_rate
    member_failed     candidate, seed, message
    stopped           candidate, seed, steps, message (where and why a race ended this training)
    scored            candidate, score (float or None), success_rate, status, stopped (bool)
    remeasured        candidate, score, again (the mean on fresh seeds)
    waiting           restart, generation, candidates, against, wanted, starts, since, until, heard (said so far)
    judged            restart, generation, candidate (the best liked), heard, wanted, words (how many)
    selected          restart, generation, candidate (key or None), score
    baseline_found    name (expert, sparse), of a baseline that was measured before on this machine
    evaluated         name (winner, expert, sparse), mean, low, high, success_rate
    cost              calls, prompt_tokens, completion_tokens, dollars, steps, seconds
    note              message (how a training is carried out)
    warning           message
    finished          winner, report, reward, policy (paths)
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """The listener that nobody reads."""
