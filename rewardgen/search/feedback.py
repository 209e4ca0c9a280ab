"""Results → what the next prompt tells: the reflection on each candidate, what its policy does, and the next history.

Where nobody watches, or a language model is to say what went wrong, some episodes are played and described by the
fields of the state. That costs a little simulation; the same candidate is always seen doing the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rewardgen import prompting, reflection
from rewardgen.errors import RewardFailed
from rewardgen.program import without_thoughts
from rewardgen.quoting import one_line
from rewardgen.records import Episodes, Field, Labels, Layout, Outcome, RewardProgram, Verdict
from rewardgen.reflection import facts_of
from rewardgen.request import EpisodeFacts, Turn
from rewardgen.search.candidate import Candidate, History, Place
from rewardgen.search.islands import settled
from rewardgen.search.rank import next_parent, or_least, winner_of, worst_of
from rewardgen.search.services import Call, Services
from rewardgen.seeds import watching_seed
from rewardgen.tasks import Task, play_episodes
from rewardgen.text import arrows, as_told, number, percent, unit_suffix
from rewardgen.training import Population

MOST_TURNS = 16
"""Turns that are kept, for the changes between them, however few of them a prompt shows with their code."""
SEEN = 8
"""Episodes from which a behaviour is described."""
POINTS = 5
"""Moments of an episode that are shown, evenly spread, the first and the last among them."""
ONE_BY_ONE = 4
"""Columns of a field up to which each is shown; of a wider field the root of its mean square."""
FIELDS = 24
"""Fields of the state that are shown, and ``COMPONENTS`` of the reward."""
COMPONENTS = 10
ROWS = 8192
"""Transitions of one call of a reward."""


def reflect(services: Services, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates of a generation with the feedback on their trainings, the fresh ones among them."""
    outcomes = [each.outcome for each in candidates]
    return [
        replace(each, feedback=_reflection(services, each, [other for other in outcomes if other.key != each.key]))
        if each.score is not None
        else each
        for each in candidates
    ]


def _reflection(services: Services, candidate: Candidate, others: Sequence[Outcome]) -> str:
    method = services.method
    text = reflection.reflect(services.task, candidate.trainings, others, method.feedback, method.form)
    if candidate.fresh_score is None or "fitness" not in method.feedback:
        return text
    fresh = f"measured again with {len(candidate.fresh)} fresh seeds: {number(candidate.fresh_score)}"
    return f"{text}\n{fresh}{unit_suffix(services.task.fitness_unit)}"


def next_history(
    services: Services, place: Place, history: History, candidates: Sequence[Candidate], verdict: Verdict | None
) -> History:
    """Return the history that the next generation is proposed from.

    Args:
        history: with the generation's ``candidates`` in it.
        verdict: what judges said of them, if anybody did.

    Raises:
        LLMError, BudgetExceeded: the method's analyser was asked; see ``Services.ask``.
    """
    best = winner_of(candidates)
    if best is None:
        # Nobody has a score: the next prompt tells why
        return replace(history, failures=tuple(each.outcome for each in candidates))
    if (islands := services.method.islands) is not None:
        # Prompts show parents from the islands instead of turns
        lives = settled(islands, place, history, candidates)
        return replace(history, parent=best.key, turns=(), failures=(), islands=lives)
    parent = next_parent(services.method, history, best)
    if parent.key == history.parent:
        return replace(history, failures=())
    # A new parent: what became of it is the next turn
    return with_turn(history, parent.key, turn(services, place, parent, candidates, verdict))


def with_turn(history: History, parent: str, latest: Turn) -> History:
    """Return the history with a new parent and the turn that tells of it."""
    return replace(history, parent=parent, turns=(*history.turns, latest)[-MOST_TURNS:], failures=())


# --------------------------------------------------------------------------------------------------------------------
# what a prompt shows of a generation


def turn(
    services: Services, place: Place, best: Candidate, candidates: Sequence[Candidate], verdict: Verdict | None = None
) -> Turn:
    """Return the turn that a prompt shows of a generation with the best candidate ``best``.

    Raises:
        LLMError, BudgetExceeded: the method's analyser was asked; see ``Services.ask``.
    """
    latest = replace(shown(services, best, verdict), analysis=_analysis(services, place, best))
    if services.method.show == "best and worst" and (worst := worst_of(candidates, best)) is not None:
        latest = replace(latest, worst=shown(services, worst, verdict))
    return latest


def shown(services: Services, candidate: Candidate, verdict: Verdict | None = None) -> Turn:
    """Return one candidate with the feedback that the method gives, a description of its policy's episodes included."""
    trained = facts_of(candidate.trainings, services.method.feedback, services.method.form)
    plain = Turn(candidate.source or "", candidate.feedback, candidate.key, verdict, trained=trained)
    parts = [part for part in ("behaviour", "episodes") if part in services.method.feedback]
    seen = watch(services, candidate.key, plain.source, SEEN) if parts else None
    if seen is None:
        return plain
    describe = {"behaviour": behaviour, "episodes": episodes}
    return replace(plain, watched="\n\n".join(describe[part](services.task, seen) for part in parts))


def _analysis(services: Services, place: Place, best: Candidate) -> str:
    """Ask the method's analyser about the best one's episodes; "" where there is none, or nothing to see."""
    analyser = services.method.roles.analyser
    if analyser is None or best.source is None:
        return ""
    seen = watch(services, best.key, best.source, analyser.episodes)
    if seen is None:
        return ""
    text, facts = episodes(services.task, seen), episode_facts(seen)
    request = prompting.analysis(services.task, best.source, text, facts, services.prompts_dir)
    reply = services.ask([Call(place.analysis_call, request, 1, place.analysis_seed())])[0][0]
    return without_thoughts(reply.text)


# --------------------------------------------------------------------------------------------------------------------
# what a policy does, in numbers


@dataclass(frozen=True)
class WatchedEpisodes:
    """Episodes of one policy, their true ``fitness`` ``(n,)``, and what its reward gave at each step: ``(n, T, C)``.

    ``components`` is None where the reward failed on them.
    """

    played: Episodes
    fitness: Tensor
    components: Tensor | None
    names: tuple[str, ...]


def watch(services: Services, key: str, source: str, episodes: int) -> WatchedEpisodes | None:
    """Play the policy of a candidate's first training that has one, and label its episodes; None without any.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    # Load the policy
    weights = next(
        (each.weights for each in services.store.trainings(key, weights=True) if each.weights is not None), None
    )
    if weights is None:
        return None
    population = Population.from_weights(
        [weights], services.task, services.config.training, services.arrangement.device
    )

    # Play the episodes, always the same ones
    generator = torch.Generator().manual_seed(watching_seed(services.config.seed))
    streams = torch.randint(torch.iinfo(torch.int64).max, (episodes,), generator=generator)
    sim = services.arrangement.simulator(services.task.model, episodes, services.config.threads)
    played = play_episodes(services.task, sim, population.act, streams).on_host()
    fitness = services.task.fitness(played).double()

    # Label them, to tell what the reward's components gave
    labels = _label(services, source, played)
    if labels is None:
        return WatchedEpisodes(played, fitness, None, ())
    return WatchedEpisodes(played, fitness, labels.components.unflatten(0, (episodes, played.horizon)), labels.names)


def _label(services: Services, source: str, played: Episodes) -> Labels | None:
    """Label all transitions, each episode's together and also beyond its end; None if the reward fails on them."""
    states = played.states.transpose(0, 1)
    rows = [states[:, :-1].flatten(0, 1), played.actions.transpose(0, 1).flatten(0, 1), states[:, 1:].flatten(0, 1)]
    rewards, components = [], []
    names: tuple[str, ...] = ()
    try:
        worker = services.sandbox.open(RewardProgram(source), services.task.layout, services.task.action_size, ROWS)
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


def behaviour(task: Task, seen: WatchedEpisodes) -> str:
    """Describe what the policy does, by the means over its episodes: nothing in it tells how good that is."""
    played = seen.played
    lines = [_length(played)]
    ends = ((cause, held.float().mean().item()) for cause, held in played.causes.items())
    ended = ", ".join(f"{one_line(cause, 40)} {percent(share)}" for cause, share in ends if share > 0)
    lines.append(f"how they ended: {ended}") if ended else None
    lines.append("its state, as means over the episodes, from their start to their end:")
    for name, values in _fields(task.layout.shown, played):
        lines.append(f"- {name}: {arrows(values.mean(1).tolist())}")
    return "\n".join(lines)


def episodes(task: Task, seen: WatchedEpisodes) -> str:
    """Describe the fittest and the least fit episode, by the state and by what the reward's components gave."""
    order = _by_fitness(seen)
    texts = [_episode(task, seen, order[0], f"the best of {len(order)} episodes")]
    if len(order) > 1:
        texts.append(_episode(task, seen, order[-1], f"the worst of {len(order)} episodes"))
    return "\n\n".join(texts)


def episode_facts(seen: WatchedEpisodes) -> list[EpisodeFacts]:
    """Return what ``episodes`` tells of the fittest and the least fit episode, as values with the digits it shows."""
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


def _by_fitness(seen: WatchedEpisodes) -> list[int]:
    """Return the episodes, the fittest first."""
    return sorted(range(len(seen.played)), key=lambda n: or_least(float(seen.fitness[n])), reverse=True)


def _cause(played: Episodes, which: int) -> str:
    return next((one_line(cause, 40) for cause, held in played.causes.items() if held[which]), "time limit")


def _component_means(seen: WatchedEpisodes, which: int) -> Iterator[tuple[str, list[float]]]:
    """Yield the name of each component that is shown, and its per-step means over equal parts of the episode."""
    length = int(seen.played.length[which])
    if seen.components is not None and length:
        for index, name in enumerate(seen.names[:COMPONENTS]):
            series = seen.components[which, :length, index]
            yield name, [float(part.mean()) for part in series.tensor_split(min(POINTS, length))]


def _episode(task: Task, seen: WatchedEpisodes, which: int, title: str) -> str:
    # How it went as a whole
    played = seen.played
    length = int(played.length[which])
    unit = unit_suffix(one_line(task.fitness_unit, 20))
    lines = [
        f"{title}: fitness {number(float(seen.fitness[which]))}{unit}, {length} steps, ended by: "
        f"{_cause(played, which)}. From its start to its end:"
    ]
    # The state at a few moments, and the reward's components between them
    for name, values in _fields(task.layout.shown, played):
        lines.append(f"- state {name}: {arrows(values[:, which].tolist())}")
    for name, means in _component_means(seen, which):
        lines.append(f"- component {one_line(name, 40)}, per step: {arrows(means)}")
    return "\n".join(lines)


def _fields(layout: Layout, played: Episodes) -> Iterator[tuple[str, Tensor]]:
    """Yield name and values ``(POINTS, n)`` of what is shown of each field, at moments of each episode's own length."""
    moments = (torch.linspace(0, 1, POINTS)[:, None] * played.length[None, :]).round().long()
    which = torch.arange(len(played))
    count = 0
    for field in layout.fields:
        values = played.states[moments, which][..., played.layout.columns[field.name]]
        for name, column in _columns(field, values):
            if (count := count + 1) > FIELDS:
                return
            yield name, column


def _columns(field: Field, values: Tensor) -> Sequence[tuple[str, Tensor]]:
    if field.size == 1:
        return [(field.name, values[..., 0])]
    if field.size <= ONE_BY_ONE:
        return [(f"{field.name}[{index}]", values[..., index]) for index in range(field.size)]
    return [(f"{field.name} (root mean square)", values.square().mean(-1).sqrt())]


def _length(played: Episodes) -> str:
    low, high = int(played.length.min()), int(played.length.max())
    lasted = str(low) if low == high else f"{low} to {high}"
    return f"{len(played)} episodes, which lasted {lasted} of {played.horizon} steps"
