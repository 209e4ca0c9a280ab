"""Every setting of a run, with its default, its bounds and its meaning.

A run's configuration comes from five places, each overriding those before it: the defaults below, what the search
method brings (``settings`` in its file), the task's own ``training`` settings, a YAML file (``--config FILE``), and
flags (``--set training.steps=200000`` or the named ones). An unknown key is an error that names its neighbours.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rewardgen import yaml
from rewardgen.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Where = Callable[[yaml.Place], str]
"""The keys that lead to a setting → what errors call its place, such as "config.yaml:3"."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RacingConfig(Section):
    """Successive halving of a generation's candidates while they train."""

    enabled: bool = Field(True, description="stop candidates that fall behind; only with the population trainer")
    rungs: int = Field(3, ge=1, le=10, description="checkpoints at which candidates may stop, closer together early on")
    keep: float = Field(0.5, gt=0, lt=1, description="share of the candidates that each rung aims to continue")
    confidence: float = Field(
        0.8,
        ge=0,
        lt=1,
        description="confidence level of the intervals; a candidate is stopped only if its interval does not overlap "
        "a better one's. 0: plain successive halving",
    )
    finalists: int = Field(2, ge=1, description="min. number of candidates that reach the end, if the steps allow it")
    share: float = Field(
        0.8,
        gt=0,
        le=1,
        description="max. share of the steps that training every candidate to the end would take; one candidate always "
        "reaches the end",
    )
    further_seeds: int = Field(
        1, ge=0, le=64, description="max. extra training seeds per finalist, paid for with steps saved by racing"
    )


class ScreeningConfig(Section):
    """What stored episodes say of a reward before anything is spent on training with it."""

    enabled: bool = Field(True, description="try rewards on stored episodes before training")
    episodes: int = Field(32, ge=4, le=1024, description="stored episodes that rewards are tried on")
    copy_distance: float = Field(
        0.005, ge=0, le=1, description="a reward this near to one tried before is a copy, up to scale and shaping"
    )
    audit: float = Field(0.1, ge=0, le=1, description="share of the copies that are trained anyway, as a check")
    agreement: float = Field(
        0.0, ge=0, lt=1, description="a program that orders fewer of the pairs of episodes goes back to its author"
    )
    keep: float = Field(
        1.0, gt=0, le=1, description="share of a generation's programs to train, those that order episodes best"
    )


class JudgingConfig(Section):
    """Who compares a generation's replays, where ``search.judge`` is not the fitness alone."""

    by: Literal["people", "simulated", "vlm"] = Field(
        "people", description="people, a simulation that knows the fitness, or a vision model that is shown frames"
    )
    model: str = Field("", description="the vision model's name, at the endpoint of llm.base_url")
    pairs: int = Field(
        10, ge=1, le=10_000, description="judgements to collect for each generation, if it has that many pairs"
    )
    wait_hours: float = Field(
        24.0, ge=0, le=10_000, description="longest wait for people; then the search goes on with what there is"
    )
    starts: int = Field(1, ge=1, le=16, description="start states that replays are shown from, in turn")
    error_rate: float = Field(0.0, ge=0, le=0.5, description="share of the simulated judge's answers that are wrong")
    weight: float = Field(
        0.5, ge=0, le=1, description="weight of the judgements against the fitness, with judge: mixed"
    )


JUDGES = ("fitness", "people", "simulated", "mixed")
"""What may rank candidates, besides a vision model ``vlm:MODEL``."""


class SearchConfig(Section):
    """How many rewards are asked for, and how they are compared."""

    method: str = Field("eureka", description="a search method: a name in rewardgen/search/methods or a YAML file")
    generations: int = Field(3, ge=1, description="how many times the language model is asked")
    candidates: int = Field(8, ge=1, le=256, description="rewards asked for in each generation")
    seeds: int = Field(1, ge=1, le=64, description="training seeds for each candidate")
    repairs: int = Field(2, ge=0, le=10, description="times a program that fails its checks goes back to its author")
    restarts: int = Field(1, ge=1, description="independent searches, the best of which wins")
    confidence: float = Field(
        0.8,
        ge=0,
        lt=1,
        description="confidence level of the intervals whose lower bounds rank candidates; 0: rank by the mean",
    )
    remeasure: int = Field(1, ge=0, le=64, description="fresh seeds that a generation's best is measured on again")
    judge: str = Field(
        "fitness",
        description="what ranks candidates: fitness; judgements of replays by people, a simulation (simulated) or a "
        "vision model (vlm:MODEL); or mixed: fitness and judgements by search.judging.by",
    )
    judging: JudgingConfig = JudgingConfig()
    racing: RacingConfig = RacingConfig()
    screening: ScreeningConfig = ScreeningConfig()

    @field_validator("judge")
    @classmethod
    def _is_judge(cls, value: str) -> str:
        if value not in JUDGES and not (value.startswith("vlm:") and len(value) > len("vlm:")):
            raise ValueError(f"it is {', '.join(JUDGES)} or vlm:MODEL")
        return value

    @field_validator("racing", "screening", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """``racing: false`` is short for ``racing: {enabled: false}``."""
        return {"enabled": value} if isinstance(value, bool) else value


_SECRET_NAME = re.compile(
    r"((.*[_-])?(api[_-]?key|secret|password)|key|authorization|((access|auth|bearer)[_-]?)?token)", re.IGNORECASE
)
_OWN_SETTINGS = {"model", "messages", "n", "stream", "seed", "temperature", "max_tokens", "max_completion_tokens"}


def checked_base_url(url: str) -> str:
    """``url`` without a slash at its end.

    Raises:
        ValueError: it is no address of an HTTP server, or it holds a password or key; the message shows neither.
    """
    parts = urlsplit(url)
    if "@" in url.partition("?")[0] or any(_SECRET_NAME.fullmatch(name) for name, _ in parse_qsl(parts.query)):
        raise ValueError("the base URL holds a name, password or key; put the key into its environment variable")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a valid base URL; give one such as http://localhost:8000/v1")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/"), fragment=""))


def _checked_extra(extra: Mapping[str, Any]) -> None:
    """That ``llm.extra`` holds neither what has a setting of its own nor a key, which the store would keep."""
    if own := sorted(_OWN_SETTINGS & set(extra)):
        raise ValueError(f"{', '.join(own)}: the request has these already; see search.candidates and llm.*")
    try:
        json.dumps(extra)
    except (TypeError, ValueError) as error:
        raise ValueError(f"give what JSON can hold: {error}") from None
    for name, value in extra.items():
        if _SECRET_NAME.fullmatch(name):
            raise ValueError(f"{name} looks like a key, and settings are stored; use llm.key_variable")
        if isinstance(value, Mapping):
            _checked_extra(value)


class _EndpointSection(Section):
    base_url: str | None
    key_variable: str | None
    extra: dict[str, Any] | None

    @field_validator("base_url", check_fields=False)
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return value if value is None else checked_base_url(value)

    @field_validator("key_variable", check_fields=False)
    @classmethod
    def _is_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("this is no name of an environment variable; give the name, never the key itself")
        return value

    @field_validator("extra", check_fields=False)
    @classmethod
    def _is_extra(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        _checked_extra(value or {})
        return value


class EndpointConfig(_EndpointSection):
    """One of ``llm.models``: a model, and where it answers, if not where ``llm`` says."""

    model: str = Field(..., min_length=1, description="the model's name at its endpoint")
    base_url: str | None = Field(None, description="its endpoint; null: llm.base_url")
    key_variable: str | None = Field(
        None,
        description="environment variable of its key; null: llm.key_variable, or no key if it has its own base_url",
    )
    extra: dict[str, Any] | None = Field(None, description="as llm.extra, which null stands for")

    @field_validator("model")
    @classmethod
    def _is_model(cls, value: str) -> str:
        if value in ("auto", "offline", "dialog") or value.startswith(("replay:", "replay-strict:", "dialog:")):
            raise ValueError(f"{value!r} is no language model at an endpoint")
        return value


class LLMConfig(_EndpointSection):
    """The language model that writes the rewards, and how it is asked."""

    model: str = Field(
        "auto",
        description="a model's name, 'offline', 'replay:FILE', 'dialog:DIR', 'dialog' (its files are in the run's "
        "folder), or 'auto': offline without a key",
    )
    models: tuple[EndpointConfig, ...] = Field(
        (), description="models in order, instead of llm.model: the next one answers where one is down or over budget"
    )
    base_url: str | None = Field(None, description="an OpenAI-compatible endpoint; null: the client's default")
    key_variable: str | None = Field(
        "OPENAI_API_KEY", description="environment variable that holds the key; null: send no key"
    )
    extra: dict[str, Any] = Field({}, description="further fields of each request, such as reasoning_effort")
    temperature: float = Field(1.0, ge=0, le=2, description="sampling temperature of the replies")
    max_tokens: int = Field(4096, ge=64, description="longest reply asked for, in tokens, thoughts included")
    timeout: float = Field(180.0, gt=0, description="seconds that one request may take")
    concurrency: int = Field(4, ge=1, le=64, description="max. concurrent requests")
    retries: int = Field(8, ge=0, le=100, description="further tries after a passing failure")
    patience: float = Field(600.0, ge=0, description="max. seconds that one request waits between its tries in total")
    prices: Path | None = Field(None, description="a YAML file of dollars per million tokens that overrides ours")
    cache: bool = Field(True, description="answer a request that was already paid for from the cache")

    @field_validator("models", mode="before")
    @classmethod
    def _entries(cls, value: Any) -> Any:
        """``models: [a, b]`` is short for ``models: [{model: a}, {model: b}]``."""
        value = [value] if isinstance(value, str) else value
        return [{"model": item} if isinstance(item, str) else item for item in value] if _is_list(value) else value

    @model_validator(mode="after")
    def _one_of_both(self) -> LLMConfig:
        if self.models and self.model != "auto":
            raise ValueError("model and models are both given; list all in llm.models and leave llm.model at auto")
        return self

    @property
    def each(self) -> tuple[LLMConfig, ...]:
        """Who is asked, in order: this section for each model alone."""
        if not self.models:
            return (self,)
        return tuple(
            self.model_copy(
                update={
                    "models": (),
                    "model": item.model,
                    "base_url": item.base_url or self.base_url,
                    # a key goes to no address that it was not named for
                    "key_variable": item.key_variable or (None if item.base_url else self.key_variable),
                    "extra": self.extra if item.extra is None else item.extra,
                }
            )
            for item in self.models
        )

    @property
    def label(self) -> str:
        """The models' names in a line."""
        return ", then ".join(item.model for item in self.models) or self.model


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


class BudgetConfig(Section):
    """Limits of a run; new work that would exceed one is not started. ``null``: no limit; 0 allows nothing."""

    dollars: float | None = Field(None, ge=0, description="max. US dollars for the language model")
    tokens: int | None = Field(None, ge=0, description="max. tokens of prompts and replies together")
    calls: int | None = Field(None, ge=0, description="max. requests to the language model")
    steps: int | None = Field(None, ge=0, description="max. environment steps")
    hours: float | None = Field(None, ge=0, description="max. hours that the search runs, without waiting for people")


class TrainingConfig(Section):
    """PPO's settings; a task file may change their defaults for its domain."""

    trainer: Literal["population", "sb3"] = Field(
        "population", description="sb3: Stable-Baselines3's PPO as a reference, one training at a time"
    )
    steps: int = Field(1_000_000, ge=1, description="environment steps of each training")
    worlds: int = Field(64, ge=1, description="worlds of each training")
    rollout: int = Field(32, ge=1, description="control steps between updates")
    epochs: int = Field(4, ge=1, description="passes over a rollout in each update")
    minibatches: int = Field(8, ge=1, description="minibatches in each pass")
    learning_rate: float = Field(
        1e-3, gt=0, description="learning rate of the value function, and initial one of the policy"
    )
    desired_kl: float = Field(
        0.01,
        ge=0,
        description="KL divergence of an update that each policy's learning rate follows; 0: constant rate",
    )
    anneal: float = Field(
        0.3, ge=0, le=1, description="last share of the training over which learning rates fall linearly to zero"
    )
    gamma: float = Field(0.99, gt=0, le=1, description="discount factor")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of generalised advantage estimation")
    clip_range: float = Field(0.2, gt=0, description="clipping range of the probability ratio")
    entropy: float = Field(0.0, ge=0, description="weight of the entropy bonus")
    value_weight: float = Field(0.5, ge=0, description="weight of the value loss")
    max_grad_norm: float = Field(
        0.5, gt=0, description="the gradients of policy and value are each clipped to this norm"
    )
    hidden: tuple[int, ...] = Field((64, 64), description="widths of the hidden layers of policy and value")
    initial_std: float = Field(
        1.0, gt=0, description="initial standard deviation of the policy, in units of half the action range"
    )
    checkpoints: int = Field(10, ge=1, description="points of the curve, evenly spaced over the steps")
    checkpoint_episodes: int = Field(8, ge=1, description="deterministic episodes at each checkpoint")
    score_episodes: int = Field(
        32,
        ge=0,
        description="fresh deterministic episodes that the kept policy plays when its training is over, for its score; "
        "0: the episodes of its checkpoint, which also chose it",
    )
    keep: Literal["best", "own", "last"] = Field(
        "best",
        description="the checkpoint whose policy is kept and scored: the fittest, the last, or that at the peak of its "
        "own reward",
    )


class CreditConfig(Section):
    """How measures of progress, or factors, become rewards: for methods whose programs return these."""

    bins: int = Field(20, ge=2, le=1000, description="parts that the range of each measure of progress is cut into")
    count_weight: float = Field(1.0, ge=0, description="weight of the bonus 1/√N for the Nth visit to a bin")
    sparse_weight: float = Field(
        1.0, ge=0, description="weight of the task's sparse reward, which is added to the bonus"
    )
    decoder_hidden: int = Field(16, ge=1, le=1024, description="hidden units of the decoder of factors")
    decoder_rate: float = Field(3e-3, gt=0, description="learning rate of the decoder")
    decoder_steps: int = Field(2, ge=1, le=1000, description="gradient steps of the decoder after each rollout")
    decoder_episodes: int = Field(128, ge=2, description="latest finished episodes that the decoder learns from")


class EvaluationConfig(Section):
    """How the reported scores of winner, expert and sparse reward are measured."""

    report_seeds: int = Field(
        3, ge=1, description="fresh training seeds for the winner, the expert and the sparse reward"
    )
    report_episodes: int = Field(32, ge=1, description="fresh episodes for each of those trainings")
    confidence: float = Field(0.95, gt=0, lt=1, description="confidence level of the reported intervals")
    resamples: int = Field(2000, ge=100, description="bootstrap resamples")


class SandboxConfig(Section):
    """How reward programs are confined, and what they may use."""

    level: Literal["strict", "basic"] = Field(
        "strict" if sys.platform == "linux" else "basic",
        description="strict (default on Linux) refuses to run where a layer of protection is missing; basic (default "
        "elsewhere) uses the layers that there are",
    )
    call_seconds: float = Field(10.0, gt=0, description="wall-clock limit of one call of a reward")
    program_seconds: float = Field(1800.0, gt=0, description="wall-clock limit of a program's calls together")
    memory_gb: float = Field(4.0, gt=0, description="address space of a worker")
    smoke_transitions: int = Field(256, ge=8, description="real transitions that a program is tried on before training")
    smoke_seconds: float = Field(0.5, gt=0, description="longest that one call on those transitions may take")


class Config(Section):
    """All settings of a run; ``load_config`` builds it from a file and overrides."""

    task: str = Field(..., description="a task's name, such as cheetah/run")
    seed: int = Field(0, ge=0, description="all randomness of the run follows from it")
    threads: int = Field(0, ge=0, description="CPU threads for physics and learning; 0: all")
    sim: Literal["auto", "mujoco", "warp"] = Field("auto", description="simulator; warp: MuJoCo Warp, for GPUs")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="device of policies, learning and warp: auto, cpu, cuda or cuda:N",
    )
    tracking: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="where curves are written besides the run's store; false: nowhere"
    )
    search: SearchConfig = SearchConfig()
    llm: LLMConfig = LLMConfig()
    budget: BudgetConfig = BudgetConfig()
    training: TrainingConfig = TrainingConfig()
    credit: CreditConfig = CreditConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    sandbox: SandboxConfig = SandboxConfig()

    @field_validator("tracking", mode="before")
    @classmethod
    def _trackers(cls, value: Any) -> Any:
        """``tracking: false`` is short for none, ``tracking: wandb`` for that one alone."""
        return () if value is False or value is None else (value,) if isinstance(value, str) else value


def load(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    method_defaults: Mapping[str, Any] | None = None,
    task_defaults: Mapping[str, Any] | None = None,
    where: str | Where = "the settings",
) -> Config:
    """Build a run's configuration from given defaults; ``rewardgen.search.configure`` looks those up.

    Args:
        path: a YAML file, or None.
        overrides: dotted key → value, from flags: ``{"training.steps": 200_000}``.
        method_defaults: what the search method brings, as nested sections.
        task_defaults: the task's own ``training`` settings.
        where: what errors call the settings that are not in the file at ``path``.

    Raises:
        ConfigError: the file is not YAML, or a key or value is wrong; the message says which, in which line, and what
            would be right.
    """
    values: dict[str, Any] = {}
    for beneath in (method_defaults or {}, {"training": dict(task_defaults or {})}, given(path, overrides)):
        _merge(values, beneath)
    return validate(Config, values, _where(yaml.read(path), overrides or {}, where) if path else where)


def _where(document: yaml.Document, overrides: Mapping[str, Any], elsewhere: str | Where) -> Where:
    """The line of a setting in ``document``, or ``elsewhere`` for what flags say instead."""

    def locate(place: yaml.Place) -> str:
        key = ".".join(map(str, place))
        if any(f"{key}.".startswith(f"{flag}.") or f"{flag}.".startswith(f"{key}.") for flag in overrides):
            return elsewhere if isinstance(elsewhere, str) else elsewhere(place)
        return document.where(place)

    return locate


def given(path: Path | None, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a person asked for, as nested sections: the file, and over it the flags.

    Raises:
        ConfigError: the file is not YAML.
    """
    values: dict[str, Any] = {}
    if path is not None:
        _merge(values, yaml.read(path).values)
    for dotted, value in (overrides or {}).items():
        nested: dict[str, Any] = {}
        inner = nested
        *parents, last = dotted.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
        _merge(values, nested)
    return values


def validate(model: type[Model], values: Mapping[str, Any], where: str | Where) -> Model:
    """``values`` as a ``model``, with errors as one ConfigError that names each key and its nearest neighbours.

    Args:
        where: what errors call the place of all values, or a function that names the place of each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = explained(model, error)
        if isinstance(where, str):
            message = f"{where}: " + "; ".join(text for _, text in problems)
        else:
            places = (where(detail["loc"]) for detail in error.errors())
            message = "\n".join(f"{place}: {text}" for place, (_, text) in zip(places, problems, strict=True))
        raise ConfigError(message, problems) from error


def explained(model: type[BaseModel], error: ValidationError) -> list[tuple[str, str]]:
    """Each thing that ``error`` found wrong: its dotted key, and what to say of it."""
    return [(".".join(map(str, detail["loc"])), _explain(model, detail)) for detail in error.errors()]


def _explain(model: type[BaseModel], detail: Any) -> str:
    *parents, last = [str(part) for part in detail["loc"]] or [""]
    key = ".".join([*parents, last])
    if detail["type"] != "extra_forbidden":
        return f"{key}: {_said(detail)}{_given(detail, last)}"
    siblings = [".".join([*parents, name]) for name in _names_at(model, parents)]
    near = [".".join([*parents, name]) for name in difflib.get_close_matches(last, _names_at(model, parents), 3)]
    near = near or difflib.get_close_matches(key, _keys(model), 3)
    return f"unknown key {key!r}; " + (
        f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(siblings)}"
    )


def _given(detail: Any, name: str) -> str:
    """The wrong value, where it may be shown: people put passwords into base URLs, and keys where names belong."""
    value = detail["input"]
    if detail["type"] == "missing" or isinstance(value, Mapping) or name in ("base_url", "key_variable"):
        return ""
    return f" (it is {value!r})"


def _said(detail: Any) -> str:
    if detail["type"] in ("model_type", "model_attributes_type"):
        return "give a mapping of settings"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return str(detail["msg"]).lower()


def _names_at(model: type[BaseModel], parents: list[str]) -> list[str]:
    """The keys that there are in the section at ``parents``, which may lie in a mapping of names to sections."""
    section: Any = model
    for part in parents:
        fields = getattr(section, "model_fields", {})
        arguments = get_args(section)
        section = fields[part].annotation if part in fields else arguments[-1] if arguments else None
    return list(getattr(section, "model_fields", {}))


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All dotted keys of a model, sections included."""
    names = []
    for name, info in model.model_fields.items():
        names.append(prefix + name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += _keys(info.annotation, f"{prefix}{name}.")
    return names


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put ``values`` over ``into``, section by section; where a section stands, a bool is its switch."""
    for key, value in values.items():
        beneath = into.get(key)
        if isinstance(value, Mapping):
            if not isinstance(beneath, dict):
                beneath = into[key] = {"enabled": beneath} if isinstance(beneath, bool) else {}
            _merge(beneath, value)
        elif isinstance(value, bool) and isinstance(beneath, dict):
            beneath["enabled"] = value
        else:
            into[key] = value
