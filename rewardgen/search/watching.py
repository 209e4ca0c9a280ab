"""What a trained policy does, in numbers: some episodes played anew, told by the fields of the state.

Where nobody watches, or a language model is to say what went wrong, this stands for looking. It costs a few episodes of
simulation; the same candidate is always seen doing the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardgen.errors import RewardFailed
from rewardgen.quoting import one_line
from rewardgen.records import Episodes, Field, Labels, Layout, RewardProgram
from rewardgen.request import EpisodeFacts
from rewardgen.search import seeds
from rewardgen.search.run import Run
from rewardgen.tasks import Task, play_episodes
from rewardgen.text import arrows, as_told, number, percent, unit_suffix
from rewardgen.training import Population

POINTS = 5
"""Moments of an episode that are told, evenly spread, the first and the last among them."""
ONE_BY_ONE = 4
"""Columns of a field up to which each is told; of a wider field the root of its mean square."""
FIELDS = 24
COMPONENTS = 10
ROWS = 8192
"""Transitions of one call of a reward."""


@dataclass(frozen=True)
class Watched:
    """Episodes of one policy, their true ``fitness`` ``(n,)``, and what its reward gave at each step: ``(n, T, C)``.

    ``components`` is None where the reward failed on them.
    """

    played: Episodes
    fitness: Tensor
    components: Tensor | None
    names: tuple[str, ...]


def watch(run: Run, key: str, source: str, episodes: int) -> Watched | None:
    """Play the policy of a candidate's first training that has one; None without any."""
    weights = next((each.weights for each in run.store.trainings(key, weights=True) if each.weights is not None), None)
    if weights is None:
        return None
    population = Population.from_weights([weights], run.task, run.config.training, run.arrangement.device)
    generator = torch.Generator().manual_seed(seeds.derive(run.config.seed, "watching"))
    streams = torch.randint(torch.iinfo(torch.int64).max, (episodes,), generator=generator)
    sim = run.arrangement.simulator(run.task.model, episodes, run.config.threads)
    played = play_episodes(run.task, sim, population.act, streams).on_host()
    fitness = run.task.fitness(played).double()
    labels = _label(run, source, played)
    if labels is None:
        return Watched(played, fitness, None, ())
    return Watched(played, fitness, labels.components.unflatten(0, (episodes, played.horizon)), labels.names)


def _label(run: Run, source: str, played: Episodes) -> Labels | None:
    """What the reward gives for all transitions, each episode's together; also beyond an episode's end."""
    states = played.states.transpose(0, 1)
    rows = [states[:, :-1].flatten(0, 1), played.actions.transpose(0, 1).flatten(0, 1), states[:, 1:].flatten(0, 1)]
    rewards, components = [], []
    names: tuple[str, ...] = ()
    try:
        worker = run.sandbox.open(RewardProgram(source), run.task.layout, run.task.action_size, ROWS)
    except RewardFailed:
        return None
    try:
        for start in range(0, len(rows[0]), ROWS):
            worker.submit(*(part[start : start + ROWS].contiguous() for part in rows))
            labels = worker.result()
            rewards.append(labels.reward.clone())
            components.append(labels.components.clone())
            names = labels.names
    except RewardFailed:
        return None
    finally:
        worker.close()
    return Labels(torch.cat(rewards), torch.cat(components), names)


def behaviour(task: Task, seen: Watched) -> str:
    """What the policy does, by the means over its episodes: nothing in it tells how good that is."""
    played = seen.played
    lines = [_length(played)]
    ends = ((cause, held.float().mean().item()) for cause, held in played.causes.items())
    ended = ", ".join(f"{one_line(cause, 40)} {percent(share)}" for cause, share in ends if share > 0)
    lines.append(f"how they ended: {ended}") if ended else None
    lines.append("its state, as means over the episodes, from their start to their end:")
    for name, told in _fields(task.layout.shown, played):
        lines.append(f"- {name}: {arrows(told.mean(1).tolist())}")
    return "\n".join(lines)


def episodes(task: Task, seen: Watched) -> str:
    """The fittest and the least fit episode, each by its state and by what the reward's components gave."""
    order = _by_fitness(seen)
    told = [_episode(task, seen, order[0], f"the best of {len(order)} episodes")]
    if len(order) > 1:
        told.append(_episode(task, seen, order[-1], f"the worst of {len(order)} episodes"))
    return "\n\n".join(told)


def episode_facts(seen: Watched) -> list[EpisodeFacts]:
    """What ``episodes`` tells of the fittest and the least fit episode, as values with the digits that it shows."""
    order = _by_fitness(seen)
    return [
        EpisodeFacts(
            steps=int(seen.played.length[which]),
            ended_by=_cause(seen.played, which),
            components={
                one_line(name, 40): tuple(as_told(value) or 0.0 for value in means)
                for name, means in _component_means(seen, which)
            },
        )
        for which in dict.fromkeys((order[0], order[-1]))
    ]


def _by_fitness(seen: Watched) -> list[int]:
    """The episodes, the fittest first."""
    return sorted(range(len(seen.played)), key=lambda n: _or_least(float(seen.fitness[n])), reverse=True)


def _cause(played: Episodes, which: int) -> str:
    return next((one_line(cause, 40) for cause, held in played.causes.items() if held[which]), "time limit")


def _component_means(seen: Watched, which: int) -> Iterator[tuple[str, list[float]]]:
    """Name of each component that is told, and its per-step means over equal parts of the episode."""
    length = int(seen.played.length[which])
    if seen.components is not None and length:
        for place, name in enumerate(seen.names[:COMPONENTS]):
            series = seen.components[which, :length, place]
            yield name, [float(part.mean()) for part in series.tensor_split(min(POINTS, length))]


def _episode(task: Task, seen: Watched, which: int, title: str) -> str:
    played = seen.played
    length = int(played.length[which])
    unit = unit_suffix(one_line(task.fitness_unit, 20))
    lines = [
        f"{title}: fitness {number(float(seen.fitness[which]))}{unit}, {length} steps, ended by: "
        f"{_cause(played, which)}. From its start to its end:"
    ]
    for name, told in _fields(task.layout.shown, played):
        lines.append(f"- state {name}: {arrows(told[:, which].tolist())}")
    for name, means in _component_means(seen, which):
        lines.append(f"- component {one_line(name, 40)}, per step: {arrows(means)}")
    return "\n".join(lines)


def _fields(layout: Layout, played: Episodes) -> Iterator[tuple[str, Tensor]]:
    """Name and values ``(POINTS, n)`` of what is told of each field, at moments of each episode's own length."""
    moments = (torch.linspace(0, 1, POINTS)[:, None] * played.length[None, :]).round().long()
    which = torch.arange(len(played))
    count = 0
    for field in layout.fields:
        values = played.states[moments, which][..., played.layout.columns[field.name]]
        for name, told in _columns(field, values):
            if (count := count + 1) > FIELDS:
                return
            yield name, told


def _columns(field: Field, values: Tensor) -> Sequence[tuple[str, Tensor]]:
    if field.size == 1:
        return [(field.name, values[..., 0])]
    if field.size <= ONE_BY_ONE:
        return [(f"{field.name}[{place}]", values[..., place]) for place in range(field.size)]
    return [(f"{field.name} (root mean square)", values.square().mean(-1).sqrt())]


def _length(played: Episodes) -> str:
    low, high = int(played.length.min()), int(played.length.max())
    lasted = str(low) if low == high else f"{low} to {high}"
    return f"{len(played)} episodes, which lasted {lasted} of {played.horizon} steps"


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
