"""The frozen records that pass from stage to stage.

    Field, Layout, State, Episodes      what the simulation shows of a task
    Message, Reply, Turn, Outcome       what goes to a language model and comes back
    RewardProgram, Problem, Labels      what was written, what is wrong with it, what it gives
    Forecast                            what stored episodes said of a program before it was trained
    Checkpoint, TrainingResult          what one short training did
    Evaluation                          what a policy is truly worth
    Judgement, Order, Remark            what people said of replays
    Words, Standing, Verdict            what that came to for one generation of a search

Records hold data and answer questions about it; they start no work.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # half of the commands read records and no tensors
    from torch import Tensor

# --------------------------------------------------------------------------------------------------------------------
# the simulation's side


@dataclass(frozen=True)
class Field:
    """One named quantity of a task's state.

    ``shape`` is the shape in one world: ``()`` for a scalar, ``(3,)`` for a vector, ``(2, 3)`` for two of them.
    ``unit`` is an SI unit as people write it ("m/s", "rad", "N m"), "1" for a pure number.
    ``meaning`` is the line that the language model and the report show. A ``hidden`` field is for the task's own use,
    such as where success is read from: no prompt names it and no reward receives it. Hidden fields come last.
    """

    name: str
    shape: tuple[int, ...]
    unit: str
    meaning: str
    hidden: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """Name, shape, unit and meaning as plain values: what is stored and told of a field."""
        return {"name": self.name, "shape": list(self.shape), "unit": self.unit, "meaning": self.meaning}

    @property
    def size(self) -> int:
        """How many float32 columns the field takes."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """How a task's fields lie side by side in the columns of one ``(n, width)`` float32 matrix."""

    fields: tuple[Field, ...]

    @cached_property
    def width(self) -> int:
        return sum(field.size for field in self.fields)

    @cached_property
    def shown(self) -> Layout:
        """The fields that are not hidden: the first ``shown.width`` columns."""
        return Layout(tuple(item for item in self.fields if not item.hidden))

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Field name → its columns."""
        slices, start = {}, 0
        for item in self.fields:
            slices[item.name] = slice(start, start + item.size)
            start += item.size
        return slices

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {item.name: item for item in self.fields}

    def read(self, matrix: Tensor, name: str) -> Tensor:
        """The field ``name`` of ``matrix`` ``(..., width)``, as ``(..., *shape)``: a view, never a copy."""
        part = matrix[..., self.columns[name]]
        shape = self.by_name[name].shape
        return part.squeeze(-1) if shape == () else part.unflatten(-1, shape) if len(shape) > 1 else part

    def pack(self, values: Mapping[str, Tensor], out: Tensor) -> Tensor:
        """Write ``values`` (name → ``(n, *shape)``, any float dtype) into ``out`` ``(n, width)`` and return it."""
        for name, columns in self.columns.items():
            value = values[name]
            out[:, columns] = value.reshape(value.shape[0], -1)
        return out


class State:
    """The typed view that observations, fitness and rewards read: ``state.torso_velocity`` is ``(n, 3)`` float32.

    A scalar field is ``(n,)``. Reading gives a view of the underlying matrix.

    Raises:
        AttributeError: the task declares no such field; the message lists those it does.
    """

    __slots__ = ("_layout", "_matrix")

    def __init__(self, layout: Layout, matrix: Tensor) -> None:
        self._layout = layout
        self._matrix = matrix

    def __getattr__(self, name: str) -> Tensor:
        if name not in self._layout.columns:
            known = ", ".join(self._layout.columns)
            raise AttributeError(f"the state has no field {name!r}; its fields are: {known}")
        return self._layout.read(self._matrix, name)

    def __len__(self) -> int:
        return int(self._matrix.shape[0])


@dataclass(frozen=True)
class Episodes:
    """``n`` whole episodes, padded with their last state to ``T`` control steps.

    ``states`` is ``(T + 1, n, width)``, ``actions`` ``(T, n, action_size)``; ``length`` ``(n,)`` counts the steps
    before the episode ended and ``terminated`` ``(n,)`` tells an end by failure from one by the time limit.
    ``causes`` names, per termination cause, the episodes that ended so, as ``(n,)`` bools.
    """

    layout: Layout
    states: Tensor
    actions: Tensor
    length: Tensor
    terminated: Tensor
    control_step: float
    causes: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.length.shape[0])

    @property
    def horizon(self) -> int:
        return int(self.actions.shape[0])

    def on_host(self) -> Episodes:
        """The same episodes with the processor, where a task's measures are taken: themselves if they are there."""
        if self.states.device.type == "cpu":
            return self
        return replace(
            self,
            states=self.states.cpu(),
            actions=self.actions.cpu(),
            length=self.length.cpu(),
            terminated=self.terminated.cpu(),
            causes={cause: held.cpu() for cause, held in self.causes.items()},
        )

    def field(self, name: str) -> Tensor:
        """The field over time, ``(T + 1, n, *shape)``."""
        return self.layout.read(self.states, name)

    def first(self, name: str) -> Tensor:
        """The field in the state each episode began with, ``(n, *shape)``."""
        return self.field(name)[0]

    def last(self, name: str) -> Tensor:
        """The field in the state each episode ended with, ``(n, *shape)``."""
        import torch

        values = self.field(name)
        return values[self.length, torch.arange(len(self), device=values.device)]

    @property
    def mask(self) -> Tensor:
        """``(T, n)`` bools: True where a step was really taken."""
        import torch

        steps = torch.arange(self.horizon, device=self.length.device)
        return steps[:, None] < self.length[None, :]


# --------------------------------------------------------------------------------------------------------------------
# the language model's side


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, as the chat APIs have it. ``images`` are PNG files, shown after the text."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Reply:
    """One answer of a language model and what it cost.

    ``prompt_tokens`` of a request with several answers are counted on its first answer. ``estimated`` says that the
    server named no token counts and ours were made from the length of the text. ``cached`` answers cost nothing.
    """

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    seconds: float = 0.0
    cached: bool = False
    estimated: bool = False
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Outcome:
    """How another candidate of the same generation ended: its ``score`` (None without one) and what was wrong.

    ``stopped`` says that its trainings were ended early and the score is the best until then.
    """

    key: str
    score: float | None
    problems: tuple[Problem, ...] = ()
    stopped: bool = False


# --------------------------------------------------------------------------------------------------------------------
# the program's side


Form = Literal["reward", "progress", "factors"]
"""What a program returns: a reward, measures of progress, or factors for a learned decoder."""


@dataclass(frozen=True)
class RewardProgram:
    """Reward code that has passed the static check. Nothing but the sandbox may run it."""

    source: str

    @property
    def digest(self) -> str:
        """SHA-256 of the source: two programs with the same text are the same program."""
        return hashlib.sha256(self.source.encode()).hexdigest()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a reply or a program, in words that its author can act on.

    ``stage`` is where it was found: ended (the reply was cut or withheld, which no repair can mend), extract, check,
    compile, smoke, screen, copy, train.
    """

    stage: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


@dataclass(frozen=True)
class Labels:
    """What a reward gave for ``B`` transitions: ``reward`` ``(B,)``, ``components`` ``(B, C)``, their ``names``."""

    reward: Tensor
    components: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What ``episodes`` stored episodes said of a program before it was trained.

    ``agreement`` is the share of ``pairs`` of episodes that its return orders as their fitness does, None with too few
    pairs; 0.5 is chance. ``nearest`` is the key of the program tried before that is most like it, ``distance`` how far
    that is: 0 up to a positive factor and potential shaping, 1 its opposite; None where they could not be compared.
    ``audit`` says that it was a copy and was trained all the same; ``left_out`` that it was not trained because others
    of its generation agreed better.
    """

    episodes: int
    pairs: int
    agreement: float | None
    nearest: str | None
    distance: float | None
    audit: bool = False
    left_out: bool = False


# --------------------------------------------------------------------------------------------------------------------
# what came of it


@dataclass(frozen=True)
class Checkpoint:
    """One point of a training's curve, measured with the deterministic policy on fresh episodes.

    ``fitness`` is the mean true fitness over ``episodes`` episodes, ``fitness_std`` its standard deviation over them,
    ``success_rate`` the share at or above the task's threshold, ``own_return`` the mean sum of the candidate's reward
    over an episode. ``components`` are per-step means of each reward component and ``correlations`` Pearson's r of
    each component's episode sum with the fitness (NaN where either does not vary). ``episode_length`` is in control
    steps, ``causes`` the share of episodes that ended by each cause ("time limit" among them). ``goal_reached`` is the
    share of exploration's transitions since the last checkpoint that the task's sparse reward paid for. ``chosen``
    marks the one checkpoint that its training stands for. Once a training is over, that one holds what its policy was
    measured at again, on ``training.score_episodes`` episodes that did not choose it.
    """

    steps: int
    fitness: float
    fitness_std: float
    success_rate: float
    own_return: float
    components: Mapping[str, float]
    correlations: Mapping[str, float]
    episode_length: float
    causes: Mapping[str, float]
    goal_reached: float
    episodes: int
    chosen: bool = False


@dataclass(frozen=True)
class TrainingResult:
    """What one member (a reward and a seed) of a population came to.

    ``status`` is "done", "failed" with ``message`` saying why (its reward crashed, hung or was not finite), or
    "stopped" before all steps were taken, because others did better; ``message`` says where and why.
    ``weights`` are the safetensors bytes of the policy at its best checkpoint, or as ``training.keep`` says, or None.
    """

    key: str
    seed: int
    status: Literal["done", "failed", "stopped"]
    message: str
    curve: tuple[Checkpoint, ...]
    weights: bytes | None
    steps: int
    seconds: float

    @classmethod
    def unopened(cls, key: str, seed: int, failure: Exception) -> TrainingResult:
        """Of a member whose reward did not come up, and which therefore took no step."""
        return cls(key, seed, "failed", str(failure), (), None, 0, 0.0)

    @property
    def best(self) -> Checkpoint | None:
        """What the training stands for: the chosen checkpoint, else the one with the highest fitness, the earliest of
        equals. None where that has no finite fitness."""
        finite = [
            point for point in self.curve if point.fitness == point.fitness and abs(point.fitness) != float("inf")
        ]
        if any(point.chosen for point in self.curve):
            return next((point for point in finite if point.chosen), None)
        return max(finite, key=lambda point: point.fitness, default=None)

    @property
    def score(self) -> float:
        """The true fitness at the best checkpoint so far; NaN when the member failed or none was finite."""
        best = self.best
        return best.fitness if self.status != "failed" and best is not None else float("nan")


@dataclass(frozen=True)
class Evaluation:
    """True fitness of trained policies on episodes that no training and no selection has used.

    ``fitness`` holds one tuple of episode fitnesses per training seed. ``low`` and ``high`` bound the mean with the
    stated ``confidence`` (bootstrap over seeds, then over episodes).
    """

    fitness: tuple[tuple[float, ...], ...]
    mean: float
    low: float
    high: float
    success_rate: float
    confidence: float = 0.95

    @property
    def seeds(self) -> int:
        return len(self.fitness)


# --------------------------------------------------------------------------------------------------------------------
# what people said of it

Answer = Literal["left", "right", "equal", "unsure", "both_bad"]
JudgeKind = Literal["person", "simulated", "vlm"]


@dataclass(frozen=True)
class Judgement:
    """One answer to two replays that were shown side by side.

    ``id`` is made by whoever asks, so that an answer sent twice is kept once. ``left`` and ``right`` are replays
    ("r0g1c3.0": candidate r0g1c3, start 0) on the sides on which they were shown. ``words`` may be empty. ``judge`` is
    who answered and ``kind`` what that is. ``created`` is UTC, ISO 8601; ``seconds`` is from the showing to the answer.
    """

    id: str
    left: str
    right: str
    answer: Answer
    words: str
    judge: str
    kind: JudgeKind
    created: str
    seconds: float
    undone: bool = False


@dataclass(frozen=True)
class Order:
    """A whole generation put in order: the keys of its ``candidates``, the best first. The rest as in Judgement."""

    id: str
    restart: int
    generation: int
    candidates: tuple[str, ...]
    words: str
    judge: str
    kind: JudgeKind
    created: str
    seconds: float
    undone: bool = False


@dataclass(frozen=True)
class Remark:
    """Words about a single replay. The rest as in Judgement."""

    id: str
    replay: str
    words: str
    judge: str
    kind: JudgeKind
    created: str
    undone: bool = False


@dataclass(frozen=True)
class Words:
    """What somebody wrote: ``about`` one candidate, or about two side by side, of whom ``answer`` was said.

    Of two, the one shown on the left stands first; ``answer`` is None where the words are about one alone, or about a
    whole generation put in order, the best first. ``text`` is as it was typed: data, never instructions. Whoever puts
    it into a prompt passes it through ``quoting``.
    """

    about: tuple[str, ...]
    text: str
    judge: str
    answer: Answer | None = None


@dataclass(frozen=True)
class Standing:
    """A candidate's place by what people said: ``value`` in log-odds around 0, between ``low`` and ``high``.

    ``comparisons`` counts the judgements and orders that it took part in.
    """

    candidate: str
    value: float
    low: float
    high: float
    comparisons: int


@dataclass(frozen=True)
class Verdict:
    """What people had said of a generation when the search went on.

    ``ranking`` holds its candidates that have a policy to show, the best first; ``overall`` everyone of the run that
    was ever up for judging, on the same scale. ``words`` are about its candidates, in the order in which they came.
    ``judgements`` counts what had been said in the whole run by then, ``heard`` what of it bears on this generation
    (an order of n candidates counts n − 1) and ``wanted`` how much the search had asked for.
    """

    restart: int
    generation: int
    ranking: tuple[Standing, ...]
    overall: tuple[Standing, ...]
    words: tuple[Words, ...]
    judgements: int
    heard: int
    wanted: int


def candidate_of(replay: str) -> str:
    """The candidate that a replay shows."""
    return replay.rpartition(".")[0]


def plain(record: Any) -> Any:
    """A record as JSON-able values: dataclasses become dicts, tuples lists, tensors lists; bytes are left out."""
    if hasattr(record, "__dataclass_fields__"):
        return {name: plain(getattr(record, name)) for name in record.__dataclass_fields__}
    if isinstance(record, Mapping):
        return {str(key): plain(value) for key, value in record.items()}
    if hasattr(record, "tolist"):  # a tensor
        return record.tolist()
    if isinstance(record, bytes):
        return None
    if isinstance(record, Sequence) and not isinstance(record, str):
        return [plain(item) for item in record]
    return record
