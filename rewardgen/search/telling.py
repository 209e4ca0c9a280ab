"""What a generation leaves for the next prompt: its best, its worst where the method shows both, and what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rewardgen import prompting
from rewardgen.program import without_thoughts
from rewardgen.records import Verdict
from rewardgen.reflection import facts_of
from rewardgen.request import Turn
from rewardgen.search import seeds, watching
from rewardgen.search.run import Run
from rewardgen.search.selection import Scored, best_of

SEEN = 8
"""Episodes from which a behaviour is told."""


def turn(
    run: Run, restart: int, generation: int, best: Scored, everyone: Iterable[Scored], verdict: Verdict | None = None
) -> Turn:
    """The turn that a prompt shows of a generation with the best ``best``.

    Raises:
        LLMError, BudgetExceeded: the method's analyser was asked; see ``Run.ask``.
    """
    method = run.method
    told = replace(shown(run, best, verdict), analysis=_analysed(run, restart, generation, best))
    if method.show == "best and worst" and (worst := worst_of(everyone, best)) is not None:
        told = replace(told, worst=shown(run, worst, verdict))
    return told


def shown(run: Run, candidate: Scored, verdict: Verdict | None = None) -> Turn:
    """One candidate with the feedback that the method gives; what was seen of its policy is among it."""
    trained = facts_of(run.store.trainings(candidate.key), run.method.feedback, run.method.form)
    told = Turn(candidate.source or "", candidate.reflection, candidate.key, verdict, trained=trained)
    parts = [part for part in ("behaviour", "episodes") if part in run.method.feedback]
    seen = watching.watch(run, candidate.key, told.source, SEEN) if parts else None
    if seen is None:
        return told
    tell = {"behaviour": watching.behaviour, "episodes": watching.episodes}
    return replace(told, watched="\n\n".join(tell[part](run.task, seen) for part in parts))


def worst_of(candidates: Iterable[Scored], best: Scored) -> Scored | None:
    """Who stands last of those with a score; None where that is the best itself."""
    ranked = [item for item in candidates if item.key != best.key and best_of([item]) is not None]
    return min(ranked, key=lambda item: item.rank, default=None)


def _analysed(run: Run, restart: int, generation: int, best: Scored) -> str:
    """What the method's analyser makes of the best one's episodes; "" where there is none, or nothing to see."""
    analyser = run.method.roles.analyser
    if analyser is None or best.source is None:
        return ""
    seen = watching.watch(run, best.key, best.source, analyser.episodes)
    if seen is None:
        return ""
    told, facts = watching.episodes(run.task, seen), watching.episode_facts(seen)
    request = prompting.analysis(run.task, best.source, told, facts, run.prompts_dir)
    seed = seeds.derive(run.config.seed, "analysis", restart, generation)
    reply = run.ask(f"r{restart}g{generation}analysis", request, 1, seed)[0]
    return without_thoughts(reply.text)


def of_parents(run: Run, parents: Iterable[str], everyone: Mapping[str, Scored]) -> list[Turn]:
    """The turns that show what a program is bred from."""
    return [shown(run, everyone[key]) for key in parents]
