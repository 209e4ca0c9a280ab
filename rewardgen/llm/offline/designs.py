"""Fresh rewards for a task: a few designs for each kind of goal, and single terms that may be added to any.

A design is what people who shape rewards for such a goal write first. Nothing in it is about one task: it speaks of
"the speed along the axis that the task names" or "how upright the thing is", and the fields fill that in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rewardgen.llm.offline.quantities import Quantities, Quantity, mean_square, read_quantities
from rewardgen.llm.offline.terms import Program, Term
from rewardgen.llm.offline.words import ALIVE, BACKWARD, CENTRE, REACH, RISE, SPEED, STILL, UPRIGHT, stem, stems
from rewardgen.request import TaskFacts

UNIT_SPEAKS = 3.0
"""How many matching words the fitness unit counts as."""
FASTEST = 10.0  # m/s and rad/s: speeds are clamped here
TURNING_WIDTH = 3.0  # rad/s
SPEED_WIDTH = 1.0  # m/s
PLACE_WIDTH = 1.0  # m
REACH_WIDTHS = (0.05, 0.2)  # m
EFFORT = -0.05

Design = tuple[str, Program]
"""An idea in a few words and the program that follows it."""

_SIGNED_AXIS = re.compile(r"([+-])\s?([xyz])\b")


@dataclass(frozen=True)
class UnderstoodTask:
    """A task and what was understood of it. ``sign`` is -1 if it wants to go backwards."""

    facts: TaskFacts
    words: frozenset[str]
    axis: str
    sign: float
    quantities: Quantities

    @property
    def may_end(self) -> bool:
        """Whether an episode can end early, so that survival is worth something."""
        return bool(self.facts.causes) or bool(self.words & ALIVE)


def understand(facts: TaskFacts) -> UnderstoodTask:
    """Derive a task's likely goals from its words and fields."""
    words = stems(facts.description)
    named = _SIGNED_AXIS.search(facts.description)
    axis, sign = (named.group(2), -1.0 if named.group(1) == "-" else 1.0) if named else ("x", 1.0)
    if not named and words & RISE and not words & {stem("forward"), stem("run")}:
        axis = "z"
    if not named and words & BACKWARD:
        sign = -1.0
    return UnderstoodTask(facts, words, axis, sign, read_quantities(facts, axis))


def designs(task: UnderstoodTask) -> list[Design]:
    """Return ideas with their programs, those for the likeliest goal first; at least one in any case."""
    # Which goals do the words speak of, and can the fields serve?
    quantities = task.quantities
    goals = [
        (_speed_goal(task), speed_designs if quantities.speeds or quantities.places else None),
        (float(len(task.words & UPRIGHT)), upright_designs if quantities.upright or quantities.heights else None),
        (2.0 * len(task.words & REACH), reach_designs if quantities.distances else None),
    ]
    ranked = [(score, make) for score, make in sorted(goals, key=lambda goal: -goal[0]) if make and score > 0]
    candidates = [design for _, make in ranked[:1] for design in make(task)]
    # Also try a second goal that the description mentions nearly as often
    if len(ranked) > 1 and ranked[1][0] >= 0.7 * ranked[0][0]:
        candidates[3:3] = ranked[1][1](task)[:2]
    candidates += generic_designs(task) if not candidates else []
    # Drop duplicates
    unique: dict[tuple[str, ...], Design] = {}
    for idea, program in candidates:
        unique.setdefault(tuple(f"{term.weight:.3g} {term.code}" for term in program), (idea, program))
    return list(unique.values())


def _speed_goal(task: UnderstoodTask) -> float:
    """Return how much speaks for speed as the goal."""
    return len(task.words & SPEED) + (UNIT_SPEAKS if task.facts.fitness_unit == "m/s" else 0.0)


# --------------------------------------------------------------------------------------------------------------------
# terms


def effort(task: UnderstoodTask, weight: float = EFFORT) -> list[Term]:
    """Return a penalty on large actions."""
    if task.facts.action_size == 0:
        return []
    limit = task.facts.action_limit
    action = "action" if limit == 1.0 else f"(action / {limit:.4g})"
    return [Term("effort", weight, f"{action}.square().mean(-1)")]


def peak(code: str, width: float) -> str:
    """Return a term that is 1 where ``code`` is 0 and falls to about 0 at a distance of twice ``width``."""
    return f"torch.exp(-torch.square({code} / {float(width)}))"


def gate(code: str, width: float) -> str:
    """Return a factor between a half and 1: it favours ``code`` near 0 without removing everything elsewhere."""
    return f"(0.5 + 0.5 * {peak(code, width)})"


def speed(task: UnderstoodTask) -> str:
    """Return the speed in the direction that the task wants, clamped."""
    if task.quantities.speeds:
        return f"torch.clamp({task.quantities.speeds[0].of()}, {-FASTEST}, {FASTEST})"
    return difference(task.quantities.places[0], task.facts.control_step)


def difference(place: Quantity, control_step: float) -> str:
    """Return a speed from the change of a position over one control step."""
    change = f"({place.of()} - {place.of('state')}) / {control_step}"
    return f"torch.clamp({change}, {-FASTEST}, {FASTEST})"


def alive(task: UnderstoodTask, weight: float) -> list[Term]:
    """Return a constant per step, if an episode can end early."""
    if not task.may_end or not task.quantities.scalars:
        return []
    return [Term("alive", weight, f"torch.ones_like({task.quantities.scalars[0].of()})")]


def uprightness(task: UnderstoodTask, most: int = 2) -> str:
    """Return a product of numbers in [0, 1] that are 1 when upright, or the best height in m; "" if no field tells."""
    quantities = task.quantities
    if quantities.upright:
        return " * ".join(f"(0.5 * (1.0 + {code}))" for _, code in quantities.upright[:most])
    return f"torch.clamp({quantities.heights[0].of()}, -2.0, 2.0)" if quantities.heights else ""


def turning(task: UnderstoodTask) -> list[Quantity]:
    """Return angular velocities, those of what should be upright first."""
    names = frozenset().union(*(stems(name) for name, _ in task.quantities.upright)) - stems("angle cos upright")
    return sorted(task.quantities.turning, key=lambda q: -len(q.words & names))


def calm(task: UnderstoodTask) -> list[Term]:
    """Return bounded penalties on fast rotation."""
    return [
        Term(f"slow_{field.name}", -0.02, f"torch.clamp({mean_square(field)}, max=25.0)")
        for field in task.facts.fields
        if field.unit == "rad/s"
    ]


def centred(task: UnderstoodTask) -> list[Quantity]:
    """Return positions that should be near zero, if the task says so."""
    return list(task.quantities.centred) if task.words & CENTRE else []


def extras(task: UnderstoodTask) -> list[Term]:
    """Return single terms that may be added to any reward for the task."""
    quantities = task.quantities
    # Terms that suit any goal
    terms = [*effort(task), *alive(task, 0.5), *calm(task)]
    terms += [Term("centred", 0.3, peak(q.of(), PLACE_WIDTH)) for q in quantities.centred]
    terms += [Term("upright", 0.3, uprightness(task, 1))] if uprightness(task) else []
    terms += [Term("steady", 0.2, peak(q.of(), TURNING_WIDTH)) for q in turning(task)[:2]]
    terms += [Term("straight", -0.1, f"torch.clamp({q.of()}.square(), max=25.0)") for q in quantities.sideways]
    terms += [Term("height", 0.5, f"torch.clamp({q.of()}, -2.0, 2.0)") for q in quantities.heights[:1]]
    # Terms for speed and for distance
    if quantities.speeds and _speed_goal(task) > 0:
        terms += [
            Term("quick_start", task.sign, f"torch.tanh({quantities.speeds[0].of()} / {SPEED_WIDTH})"),
            Term("forward_speed", task.sign, speed(task)),
        ]
    terms += [Term("closeness", 0.5, peak(d.of(), REACH_WIDTHS[1])) for d in quantities.distances[:1]]
    for field in task.facts.fields:
        if field.unit in ("m/s", "rad/s") and len(field.shape) == 1:
            change = f"(next_state.{field.name} - state.{field.name}).square().mean(-1)"
            terms.append(Term(f"smooth_{field.name}", -0.02, f"torch.clamp({change}, max=25.0)"))
    return terms


# --------------------------------------------------------------------------------------------------------------------
# designs


def speed_designs(task: UnderstoodTask) -> list[Design]:
    """Return designs for moving fast in one direction."""
    fast = Term("forward_speed", task.sign, speed(task))
    up = uprightness(task, 1) if task.quantities.upright else ""
    straight = [Term("straight", -0.1, f"torch.clamp({q.of()}.square(), max=25.0)") for q in task.quantities.sideways]
    variants: list[Design] = [
        ("The speed itself, a little less for effort", (fast, *effort(task), *straight)),
        ("Speed and staying in the episode", (fast, *alive(task, 1.0), *effort(task, -0.1), *straight)),
    ]
    if up:
        variants.append(("Speed, with some credit for being upright", (fast, Term("upright", 0.5, up), *effort(task))))
        gated = Term("upright_speed", task.sign, f"{fast.code} * {up}")
        variants.append(("Speed counts as far as it is made upright", (gated, *alive(task, 0.5), *effort(task))))
    # A reward for starting, with a steep slope at rest
    start = task.quantities.speeds[:1]
    quick = [Term("quick_start", task.sign, f"torch.tanh({q.of()} / {SPEED_WIDTH})") for q in start]
    if quick:
        variants.append(("Speed, the first bit of it counting most", (fast, *quick, *alive(task, 0.5), *effort(task))))
    variants.append(("Speed with calm joints", (fast, *calm(task), *alive(task, 0.5), *effort(task, -0.02))))
    if task.quantities.places:
        way = Term("progress", task.sign, difference(task.quantities.places[0], task.facts.control_step))
        variants.append(("The way made in each step", (way, *alive(task, 0.2), *effort(task, -0.02))))
    variants.append(("Speed alone", (fast,)))
    return variants


def upright_designs(task: UnderstoodTask) -> list[Design]:
    """Return designs for being upright, still and in place."""
    up = uprightness(task)
    # Factors for being in place and still, strict and lenient ones
    rates, middle = turning(task)[:2], centred(task)[:1]
    near = "".join(f" * {peak(q.of(), PLACE_WIDTH)}" for q in middle)
    nearish = "".join(f" * {gate(q.of(), PLACE_WIDTH)}" for q in middle)
    inside = "".join(f" * torch.clamp(1.0 - torch.square({q.of()} / {2 * PLACE_WIDTH}), min=0.0)" for q in middle)
    slow = "".join(f" * {peak(q.of(), TURNING_WIDTH)}" for q in rates)
    slowish = "".join(f" * {gate(q.of(), TURNING_WIDTH)}" for q in rates)
    less_slow = "".join(f" * {gate(q.of(), 2 * TURNING_WIDTH)}" for q in rates)
    stay, little = alive(task, 1.0), effort(task, -0.02)
    off_centre = [Term("off_centre", -0.1, f"torch.clamp({q.of()}.square(), max=10.0)") for q in middle]
    squared = Term("upright_squared", 1.0, f"torch.square({up}){nearish}{slowish}")
    in_place = Term("upright_in_place", 1.0, f"{up}{nearish}{slowish}")
    beside = [Term("centred", 0.3, peak(q.of(), PLACE_WIDTH)) for q in middle]
    beside += [Term("steady", 0.2, f"{up} * {peak(q.of(), TURNING_WIDTH)}") for q in rates[:1]]
    variants: list[Design] = [
        ("Upright counts, and more so when it is calm and in place", (in_place, *stay, *little)),
        ("Nearly upright counts much more than half upright", (squared, Term("upright", 0.2, up), *stay, *little)),
        (
            "Upright counts the less the further it is from the middle",
            (Term("upright_inside", 1.0, f"{up}{less_slow}{inside}"), *stay, *little),
        ),
        (
            "Upright near the place, and as much again when calm",
            (Term("upright", 0.5, f"{up}{near}"), Term("calm_upright", 0.5, f"{up}{near}{slow}"), *stay, *little),
        ),
        ("Upright in place, and a little less for every step away", (in_place, *off_centre, *stay, *little)),
        ("Upright first, then place and calm besides", (Term("upright", 1.0, up), *beside, *stay, *little)),
        (
            "Upright, less for being away from the middle and for turning fast once upright",
            (
                Term("upright", 1.0, up),
                *off_centre,
                *(Term("turning", -0.01, f"{up} * torch.clamp({q.of()}.square(), max=50.0)") for q in rates[:1]),
                *stay,
                *little,
            ),
        ),
        ("Upright alone", (Term("upright", 1.0, up), *stay)),
    ]
    if task.quantities.heights and task.quantities.upright:
        high = Term("height", 1.0, f"torch.clamp({task.quantities.heights[0].of()}, -2.0, 2.0)")
        variants.append(("Height, and calm", (high, Term("steady", 0.3, f"{up}{slow}"), *stay, *little)))
    return variants


def reach_designs(task: UnderstoodTask) -> list[Design]:
    """Return designs for bringing two positions together."""
    gap = task.quantities.distances[0]
    far, now = gap.of(), gap.of("state")
    # Nearness at two scales
    tight, wide = REACH_WIDTHS
    closer = Term("approach", 0.5, f"torch.clamp(({now} - {far}) / {task.facts.control_step}, {-FASTEST}, {FASTEST})")
    distance = Term("distance", -1.0, f"torch.clamp({far}, max=10.0)")
    there = Term("there", 1.0, f"torch.exp(-{far} / {tight})")
    near = Term("near", 0.5, f"torch.exp(-{far} / {wide})")
    slow = calm(task) if task.words & STILL else []
    return [
        ("The distance, a little effort", (replace_weight(distance, -2.0), *effort(task), *slow)),
        ("Close and closer: two scales of nearness", (there, near, *effort(task, -0.02), *slow)),
        ("The distance, and a bonus for being there", (distance, there, *effort(task), *slow)),
        ("Approaching pays, being there pays more", (closer, there, *effort(task), *slow)),
        ("Nearness with calm joints", (near, there, *calm(task), *effort(task, -0.02))),
        ("The distance alone", (distance,)),
    ]


def generic_designs(task: UnderstoodTask) -> list[Design]:
    """Return designs for a description without known words: each likely number large, small, or near zero."""
    # The numbers that share most words with the description
    numbers = sorted(task.quantities.scalars, key=lambda q: -len(task.words & q.words))[:4]
    variants: list[Design] = []
    for quantity in numbers:
        code = f"torch.tanh({quantity.of()} / 1.0)"
        small = Term(f"small_{quantity.label}", 1.0, peak(quantity.of(), 1.0))
        variants += [
            (f"As much {quantity.label} as possible", (Term(quantity.label, 1.0, code), *effort(task))),
            (f"{quantity.label} near zero", (small, *effort(task))),
            (f"As little {quantity.label} as possible", (Term(quantity.label, -1.0, code), *effort(task))),
        ]
    for field in [] if numbers else task.facts.fields:
        small = Term(f"small_{field.name}", -1.0, f"torch.clamp({mean_square(field)}, max=25.0)")
        variants.append((f"Small {field.name}", (small, *effort(task))))
    return variants or [("Little effort", (Term("effort", -1.0, "action.square().mean(-1)"),))]


def replace_weight(term: Term, weight: float) -> Term:
    """Return a term with another weight."""
    return Term(term.name, weight, term.code)
