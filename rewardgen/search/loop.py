"""The search: generations of rewards, each trained, measured and told to the author of the next.

Every stage first asks the store whether it was done already, so resuming a run is running it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rewardgen.errors import BudgetExceeded
from rewardgen.search import events, report_scores
from rewardgen.search.candidate import Candidate, History, Place
from rewardgen.search.feedback import next_history, reflect
from rewardgen.search.judging import judge
from rewardgen.search.propose import propose, write
from rewardgen.search.rank import best_of, confirm_leader, planned_steps, train, winner_of
from rewardgen.search.screen import screen
from rewardgen.search.services import Services
from rewardgen.store import AGAIN

NO_REWARD, NO_FURTHER = "no reward found", "no further generation"
"""How the warnings begin that hold for the end of a run only; deleted when generations are added to it."""


def search(services: Services) -> None:
    """Run all generations of all restarts, then measure the winner beside the expert's and the sparse reward.

    Without a winner nothing is measured: there would be nothing to compare the other two with.

    Raises:
        BudgetExceeded: the budget was used up before any candidate had a score.
        LLMError, SandboxError, SimulationFailed, StoreError: the search cannot go on; it can be resumed.
    """
    config, history = services.config, History()
    try:
        for restart in range(config.search.restarts):
            history = history.restarted()
            for number in range(config.search.generations):
                # Take each interim history, so that what was scored counts even if the budget ends the generation
                for interim in generation(services, Place(restart, number, config.seed), history):
                    history = interim
    except BudgetExceeded as limit:
        if best_of(history.everyone) is None:
            raise
        services.reporter.warn(f"{NO_FURTHER}: {limit}")
    winner = winner_of(history.everyone)
    services.store.set_winner(winner.key if winner else None)
    if winner is None or winner.program is None:
        services.reporter.warn(f"{NO_REWARD}: no candidate could be trained; see why in `rewardgen show`")
        return
    report_scores.measure(services, winner.program)


def generation(services: Services, place: Place, history: History) -> Iterator[History]:
    """Run one generation.

    Yields:
        The history with the generation in it, again each time that more is known. The next generation follows from the
        last of them; the earlier ones count only if the budget ends the generation in between.
    """
    # Propose: what to ask for, and from which candidates it follows
    candidates = propose(services, place, history)
    begin(services, place, candidates)

    # Write: ask the language model, and let a critic review the replies
    candidates = write(services, place, candidates)

    # Screen: check the programs, try them, send back what fails
    candidates = screen(services, place, history, candidates)

    # Train: a race over the selection seeds, then further seeds for the finalists
    candidates = train(services, place, history, candidates)
    candidates = store_scores(services, candidates)
    announce(services, candidates)
    yield history.extended(candidates)

    # Confirm: measure the leader on seeds that played no part in making it the leader
    candidates = confirm_leader(services, place, history, candidates)
    candidates = store_scores(services, candidates)
    yield history.extended(candidates)

    # Judge: candidates rank by fitness, unless the method asks judges
    verdict, ranked = judge(services, place, history.extended(candidates))
    candidates = ranked.of(candidate.key for candidate in candidates)
    yield ranked
    conclude(services, place, candidates)

    # Feed back: what the next prompt tells, if there is one
    if place.generation + 1 < services.config.search.generations:
        yield next_history(services, place, ranked, candidates, verdict)


def begin(services: Services, place: Place, candidates: Sequence[Candidate]) -> None:
    """Store and report what is asked for, and check that the budget allows what the generation has yet to train.

    The store has one parent for each candidate, the first of a crossover's two, and one prompt for the generation, its
    first candidate's; the calls hold all prompts.

    Raises:
        BudgetExceeded: it does not.
    """
    parents = {each.key: next(iter(each.parents), None) for each in candidates}
    services.store.begin_generation(place.restart, place.generation, candidates[0].asked.messages)
    services.store.begin_candidates(place.restart, place.generation, parents)
    services.reporter.say(events.GenerationStarted(place.restart, place.generation, parents[candidates[0].key]))
    if services.store.is_finished(place.restart, place.generation):
        return  # checked when it was trained; a resumed run has spent the steps of later generations since
    keys = [each.key for each in candidates]
    taken = services.store.steps_of([*keys, *(key + AGAIN for key in keys)])
    services.budget.check_steps(
        max(0, planned_steps(services.config) - taken), reserve=report_scores.planned_steps(services)
    )


def store_scores(services: Services, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with the feedback on their trainings, and store it with their scores."""
    described = reflect(services, candidates)
    for each in described:
        services.store.add_score(each.key, each.status, each.score, each.feedback, each.low, each.high)
    return described


def announce(services: Services, candidates: Sequence[Candidate]) -> None:
    """Report the scores."""
    for each in candidates:
        services.reporter.say(events.Scored(each.key, each.score, each.success_rate, each.status, each.stopped))


def conclude(services: Services, place: Place, candidates: Sequence[Candidate]) -> None:
    """Store and report the best candidate of the generation; warn if the scores tell little."""
    best = winner_of(candidates)
    key, score = (best.key, best.score) if best is not None else (None, None)
    services.store.finish_generation(place.restart, place.generation, key)
    report_scores.warn_if_unreadable(services, place)
    services.reporter.tick()
    services.reporter.say(events.Selected(place.restart, place.generation, key, score))
