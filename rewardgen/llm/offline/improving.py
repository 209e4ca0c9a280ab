"""Improves a reward that was tried, in small steps guided by its training.

Each step is a function of the program, its training and a random generator; ``variants`` chooses steps so that a batch
holds careful and bold ones.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from rewardgen.llm.offline.designs import Design, UnderstoodTask, designs, extras, replace_weight
from rewardgen.llm.offline.terms import MAX_TERMS, Program, Term, rescaled
from rewardgen.llm.offline.words import shared, stems
from rewardgen.request import TrainingFacts

# Thresholds: a clear correlation, a penalty that is too large, and a component that dominates; and the factors of a
# change
CLEAR = 0.3
PENALTY_SHARE = 0.2
LARGE_SHARE = 0.6
STRONGER, WEAKER = 1.8, 0.5


def flat(trained: TrainingFacts) -> bool:
    """Return whether training hardly changed the fitness, so that there is no direction to follow."""
    if trained.success_rate is not None and trained.success_rate > 0:
        return False
    if len(trained.fitness) < 2:
        return not trained.fitness and not trained.components
    size = max(abs(value) for value in trained.fitness)
    return max(trained.fitness) - trained.fitness[0] <= 0.05 * size


def guided(program: Program, trained: TrainingFacts) -> Program:
    """Return the program with weights moved as the training suggests: up with fitness, down against it or if dominant.

    Penalties only ever become weaker: one that goes with fitness says that good policies are spared, not that more
    of it would make more of them, and strong ones teach a policy to do nothing.
    """
    changed = []
    shares = [facts.share for facts in trained.components.values() if facts.share is not None]
    for term in program:
        facts = trained.components.get(term.name)
        factor = 1.0
        if facts is not None and facts.correlation is not None:
            share = facts.share if facts.share is not None else 0.0
            penalty = all(mean <= 0 for mean in facts.means) and share < max(shares, default=0.0)
            if penalty:
                factor = WEAKER if share > PENALTY_SHARE else 1.0
            elif facts.correlation >= CLEAR and share < LARGE_SHARE:
                factor = STRONGER
            elif facts.correlation <= -CLEAR or (
                share > LARGE_SHARE and facts.correlation < CLEAR and len(program) > 1
            ):
                factor = WEAKER
        changed.append(replace_weight(term, term.weight * factor))
    return tuple(changed)


def shaken(program: Program, random_: random.Random, spread: float = 0.5) -> Program:
    """Return the program with every weight multiplied by a random factor around 1."""
    return tuple(replace_weight(term, term.weight * random_.lognormvariate(0.0, spread)) for term in program)


def sharpened(program: Program, random_: random.Random) -> Program:
    """Return the program with another scale in one term."""
    place = random_.randrange(len(program))
    term = program[place]
    return (*program[:place], Term(term.name, term.weight, rescaled(term.code, random_)), *program[place + 1 :])


def extended(program: Program, pool: Sequence[Term], random_: random.Random) -> Program:
    """Return the program with one more term from ``pool``."""
    present = {term.code for term in program}
    fresh = [term for term in pool if term.code not in present and term.name not in {t.name for t in program}]
    if not fresh or len(program) >= MAX_TERMS:
        return shaken(program, random_)
    return (*program, random_.choice(fresh))


def heeded(program: Program, pool: Sequence[Term], words: str) -> Program | None:
    """Return the program with the term that fits people's words best, or strengthened; None if no term fits."""
    wanted = stems(words)
    matches = [(shared(wanted, stems(f"{term.name} {term.code}")), -place) for place, term in enumerate(pool)]
    if not matches or max(matches)[0] == 0:
        return None
    chosen = pool[-max(matches)[1]]
    for place, term in enumerate(program):
        if term.name == chosen.name or term.code == chosen.code:
            stronger = replace_weight(term, term.weight * STRONGER)
            return (*program[:place], stronger, *program[place + 1 :])
    return (*program[: MAX_TERMS - 1], chosen)


def reduced(program: Program, trained: TrainingFacts, random_: random.Random) -> Program:
    """Return the program without its least useful term: the one most against fitness, else one of little share."""
    if len(program) < 2:
        return shaken(program, random_)

    def use(term: Term) -> float:
        """Return how useful a term was."""
        facts = trained.components.get(term.name)
        if facts is None:
            return random_.random()
        return (facts.correlation or 0.0) + (facts.share or 0.0)

    # Drop the least useful one
    worst = min(range(len(program)), key=lambda place: use(program[place]))
    return (*program[:worst], *program[worst + 1 :])


def crossed(one: Program, other: Program, random_: random.Random) -> Program:
    """Return the main term of the first program, and each other term of both with probability 0.6."""
    main = max(one, key=lambda term: abs(term.weight))
    rest = [term for term in (*one, *other) if term.code != main.code and random_.random() < 0.6]
    unique = {term.code: term for term in rest}
    return (main, *list(unique.values())[: MAX_TERMS - 1])


def multiplied(program: Program, task: UnderstoodTask, random_: random.Random) -> Program:
    """Return the program with its main term multiplied by a second condition."""
    gates = [term for term in extras(task) if "torch.exp" in term.code and term.weight > 0]
    main = max(range(len(program)), key=lambda place: abs(program[place].weight))
    if not gates:
        return shaken(program, random_)
    term, condition = program[main], random_.choice(gates)
    if condition.code in term.code:
        return sharpened(program, random_)
    both = Term(f"{condition.name}_{term.name}", term.weight, f"({term.code}) * (0.5 + 0.5 * {condition.code})")
    return (*program[:main], both, *program[main + 1 :])


def fresh(task: UnderstoodTask, random_: random.Random) -> Design:
    """Return a design for the task with one or two random changes."""
    idea, program = random_.choice(designs(task))
    for _ in range(random_.randint(1, 2)):
        step = random_.randrange(3)
        if step == 0:
            program = shaken(program, random_)
        elif step == 1:
            program = sharpened(program, random_)
        else:
            program = extended(program, extras(task), random_)
    return idea, program


def variants(
    task: UnderstoodTask,
    trained: TrainingFacts,
    parent: Program,
    others: Sequence[Program],
    number: int,
    random_: random.Random,
) -> Design:
    """Return variant ``number`` of a batch: 0 only follows the training, later ones are bolder.

    If the parent's training hardly changed the fitness, every second variant starts from a fresh design.
    """
    # No direction to follow: explore
    if flat(trained) and number % 2 == 1:
        return fresh(task, random_)
    # Follow the training, then change one more thing
    better = guided(parent, trained)
    step = number % 8
    if step == 0:
        return ("The parent, its weights moved as the reflection suggests", better)
    if step == 1:
        return ("The parent with another scale in one term", sharpened(better, random_))
    if step == 2:
        return ("The parent and one more term", extended(better, extras(task), random_))
    if step == 3:
        return ("The parent without its least useful term", reduced(better, trained, random_))
    if step == 4:
        if others:
            return ("A cross of two rewards", crossed(better, random_.choice(others), random_))
        idea, other = random_.choice(designs(task))
        return (f"The parent crossed with: {idea.lower()}", crossed(better, other, random_))
    if step == 5:
        return ("The parent's main term, counted in full under one more condition", multiplied(better, task, random_))
    if step == 6:
        return ("The parent with all weights shaken", shaken(better, random_))
    return fresh(task, random_)
