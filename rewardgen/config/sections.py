"""Every setting of a run, with its default, its bounds and its meaning."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rewardgen.config.authors import is_language_model


class Section(BaseModel):
    """A group of settings. Unknown keys are errors, and errors do not repeat the whole input."""

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
    """Trials of rewards on stored episodes, before any training is paid for."""

    enabled: bool = Field(True, description="try rewards on stored episodes before training")
    episodes: int = Field(32, ge=4, le=1024, description="stored episodes that rewards are tried on")
    copy_distance: float = Field(
        0.005,
        ge=0,
        le=1,
        description="a reward at most this far from an earlier one, up to scale and shaping, is a copy",
    )
    audit: float = Field(0.1, ge=0, le=1, description="share of the copies that are trained anyway, as a check")
    agreement: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="min. share of the pairs of episodes that a reward orders as the fitness does; below it, the "
        "program goes back to its author",
    )
    keep: float = Field(
        1.0, gt=0, le=1, description="share of a generation's programs to train: those that order episodes best"
    )


class JudgingConfig(Section):
    """Who compares a generation's replays, where ``search.judge`` is not ``fitness``."""

    by: Literal["people", "simulated", "vlm"] = Field(
        "people", description="people, a simulation that knows the fitness, or a vision model that is shown frames"
    )
    model: str = Field("", description="the vision model's name, at the endpoint of llm.base_url")
    pairs: int = Field(
        10, ge=1, le=10_000, description="judgements to collect for each generation, if it has that many pairs"
    )
    wait_hours: float = Field(
        24.0,
        ge=0,
        le=10_000,
        description="max. hours to wait for people; then the search continues with their answers so far",
    )
    starts: int = Field(1, ge=1, le=16, description="number of start states that replays are shown from, in turn")
    error_rate: float = Field(0.0, ge=0, le=0.5, description="share of the simulated judge's answers that are wrong")
    weight: float = Field(
        0.5, ge=0, le=1, description="weight of the judgements against the fitness, with judge: mixed"
    )


JUDGES = ("fitness", "people", "simulated", "mixed")
"""What may rank candidates, besides a vision model ``vlm:MODEL``."""


class SearchConfig(Section):
    """How many rewards are requested, and how they are compared."""

    method: str = Field("eureka", description="a search method: a name in rewardgen/search/methods or a YAML file")
    generations: int = Field(3, ge=1, description="number of generations, each requested, trained and ranked together")
    candidates: int = Field(8, ge=1, le=256, description="rewards requested in each generation")
    seeds: int = Field(1, ge=1, le=64, description="training seeds for each candidate")
    repairs: int = Field(
        2, ge=0, le=10, description="max. times a program that fails its checks goes back to its author"
    )
    restarts: int = Field(1, ge=1, description="independent searches; the best of all of them wins")
    confidence: float = Field(
        0.8,
        ge=0,
        lt=1,
        description="confidence level of the intervals whose lower bounds rank candidates; 0: rank by the mean",
    )
    remeasure: int = Field(
        1, ge=0, le=64, description="fresh training seeds that a generation's leader is measured on again"
    )
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
            raise ValueError(f"give one of {', '.join(JUDGES)} or vlm:MODEL")
        return value

    @field_validator("racing", "screening", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """``racing: false`` is short for ``racing: {enabled: false}``."""
        return {"enabled": value} if isinstance(value, bool) else value


# Names of query parameters and request fields that hold credentials
_SECRET_NAME = re.compile(
    r"((.*[_-])?(api[_-]?key|secret|password)|key|authorization|((access|auth|bearer)[_-]?)?token)", re.IGNORECASE
)
# Fields of a request that have settings of their own, so that ``llm.extra`` must not set them
_OWN_SETTINGS = {"model", "messages", "n", "stream", "seed", "temperature", "max_tokens", "max_completion_tokens"}


def checked_base_url(url: str) -> str:
    """Return ``url`` without a trailing slash.

    Raises:
        ValueError: it is not the URL of an HTTP server, or it holds a password or key; the message shows neither.
    """
    parts = urlsplit(url)
    if "@" in url.partition("?")[0] or any(_SECRET_NAME.fullmatch(name) for name, _ in parse_qsl(parts.query)):
        raise ValueError("the base URL contains a name, password or key; put the key into its environment variable")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a valid base URL; give one such as http://localhost:8000/v1")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/"), fragment=""))


def _checked_extra(extra: Mapping[str, Any]) -> None:
    """Raise ValueError if ``llm.extra`` holds a key, which the store would keep, or sets what has its own setting."""
    if own := sorted(_OWN_SETTINGS & set(extra)):
        raise ValueError(f"{', '.join(own)}: set by rewardgen itself; use search.candidates or the settings in llm")
    try:
        json.dumps(extra)
    except (TypeError, ValueError) as error:
        raise ValueError(f"give values that JSON can hold: {error}") from None
    for name, value in extra.items():
        if _SECRET_NAME.fullmatch(name):
            raise ValueError(
                f"{name} looks like a key, and settings are stored; name the key's variable in llm.key_variable"
            )
        if isinstance(value, Mapping):
            _checked_extra(value)


class _EndpointSection(Section):
    """The checks that both kinds of sections with an endpoint share."""

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
            raise ValueError("this is not the name of an environment variable; give the name, never the key itself")
        return value

    @field_validator("extra", check_fields=False)
    @classmethod
    def _is_extra(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        _checked_extra(value or {})
        return value


class EndpointConfig(_EndpointSection):
    """One of ``llm.models``: a model, and its endpoint where that differs from ``llm``'s."""

    model: str = Field(..., min_length=1, description="the model's name at its endpoint")
    base_url: str | None = Field(None, description="its endpoint; null: llm.base_url")
    key_variable: str | None = Field(
        None,
        description="environment variable of its key; null: llm.key_variable, or no key if it has its own base_url",
    )
    extra: dict[str, Any] | None = Field(None, description="further fields of each request; null: llm.extra")

    @field_validator("model")
    @classmethod
    def _is_model(cls, value: str) -> str:
        if not is_language_model(value):
            raise ValueError(f"{value!r} is not a language model at an endpoint; set llm.model to it instead")
        return value


class LLMConfig(_EndpointSection):
    """The language model that writes the rewards, and how it is requested."""

    model: str = Field(
        "auto",
        description="a model's name, 'offline', 'replay:FILE', 'dialog:DIR', 'dialog' (its files are in the run's "
        "folder), or 'auto': offline without a key",
    )
    models: tuple[EndpointConfig, ...] = Field(
        (), description="models in order, instead of llm.model: the next one answers if one is down or over budget"
    )
    base_url: str | None = Field(None, description="an OpenAI-compatible endpoint; null: the client's default")
    key_variable: str | None = Field(
        "OPENAI_API_KEY", description="environment variable that holds the key; null: send no key"
    )
    extra: dict[str, Any] = Field({}, description="further fields of each request, such as reasoning_effort")
    temperature: float = Field(1.0, ge=0, le=2, description="sampling temperature of the replies")
    max_tokens: int = Field(4096, ge=64, description="max. tokens of a reply, reasoning included")
    timeout: float = Field(180.0, gt=0, description="max. seconds of one request")
    concurrency: int = Field(4, ge=1, le=64, description="max. concurrent requests")
    retries: int = Field(8, ge=0, le=100, description="max. retries after a temporary failure")
    patience: float = Field(
        600.0, ge=0, description="max. seconds that one request waits between its retries, in total"
    )
    prices: Path | None = Field(
        None, description="YAML file of dollars per million tokens; overrides the built-in prices"
    )
    cache: bool = Field(True, description="answer repeated requests from the cache, at no cost")

    @field_validator("models", mode="before")
    @classmethod
    def _entries(cls, value: Any) -> Any:
        """``models: [a, b]`` is short for ``models: [{model: a}, {model: b}]``."""
        # A single name is a list of one, and a name alone is an entry
        value = [value] if isinstance(value, str) else value
        return [{"model": item} if isinstance(item, str) else item for item in value] if _is_list(value) else value

    @model_validator(mode="after")
    def _one_of_both(self) -> LLMConfig:
        if self.models and self.model != "auto":
            raise ValueError("model and models are both given; list all in llm.models and leave llm.model at auto")
        return self

    @property
    def each(self) -> tuple[LLMConfig, ...]:
        """This section for each model alone, in the order in which they are requested."""
        if not self.models:
            return (self,)
        return tuple(
            self.model_copy(
                update={
                    "models": (),
                    "model": item.model,
                    "base_url": item.base_url or self.base_url,
                    # A key is only sent to the endpoint that it was named for
                    "key_variable": item.key_variable or (None if item.base_url else self.key_variable),
                    "extra": self.extra if item.extra is None else item.extra,
                }
            )
            for item in self.models
        )

    @property
    def label(self) -> str:
        """The models' names in one line."""
        return ", then ".join(item.model for item in self.models) or self.model


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


class BudgetConfig(Section):
    """Limits of a run; work that could exceed one is not started. ``null``: no limit; 0: nothing is allowed."""

    dollars: float | None = Field(None, ge=0, description="max. US dollars for the language model")
    tokens: int | None = Field(None, ge=0, description="max. tokens of prompts and replies together")
    calls: int | None = Field(None, ge=0, description="max. requests to the language model")
    steps: int | None = Field(None, ge=0, description="max. environment steps")
    hours: float | None = Field(
        None, ge=0, description="max. hours of the search, without the time it waits for people"
    )


class TrainingConfig(Section):
    """PPO's settings; a task file may change their defaults for its domain."""

    trainer: Literal["population", "sb3"] = Field(
        "population", description="sb3: Stable-Baselines3's PPO as a reference, one training at a time"
    )
    steps: int = Field(1_000_000, ge=1, description="environment steps of each training")
    worlds: int = Field(64, ge=1, description="worlds of each training")
    rollout: int = Field(32, ge=1, description="control steps between updates")
    epochs: int = Field(4, ge=1, description="passes over a rollout per update")
    minibatches: int = Field(8, ge=1, description="minibatches per pass")
    learning_rate: float = Field(
        1e-3, gt=0, description="learning rate of the value function, and initial one of the policy"
    )
    desired_kl: float = Field(
        0.01,
        ge=0,
        description="KL divergence per update that each policy's learning rate adapts to; 0: constant learning rate",
    )
    anneal: float = Field(
        0.3, ge=0, le=1, description="final share of the training over which learning rates fall linearly to zero"
    )
    gamma: float = Field(0.99, gt=0, le=1, description="discount factor")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of generalised advantage estimation")
    clip_range: float = Field(0.2, gt=0, description="clipping range of the probability ratio")
    entropy: float = Field(0.0, ge=0, description="weight of the entropy bonus")
    value_weight: float = Field(0.5, ge=0, description="weight of the value loss")
    max_grad_norm: float = Field(
        0.5, gt=0, description="max. norm of the gradients; policy and value function are clipped separately"
    )
    hidden: tuple[int, ...] = Field((64, 64), description="widths of the hidden layers of policy and value function")
    initial_std: float = Field(
        1.0, gt=0, description="initial standard deviation of the policy, in units of half the action range"
    )
    checkpoints: int = Field(10, ge=1, description="number of checkpoints, evenly spaced over the steps")
    checkpoint_episodes: int = Field(8, ge=1, description="deterministic episodes per checkpoint")
    score_episodes: int = Field(
        32,
        ge=0,
        description="fresh deterministic episodes on which the kept policy is scored at the end of its training; 0: "
        "score it on the episodes of its checkpoint, which also selected it",
    )
    keep: Literal["best", "own", "last"] = Field(
        "best",
        description="checkpoint whose policy is kept and scored: the one with the highest fitness (best), with the "
        "highest return of its own reward (own), or the last",
    )


class CreditConfig(Section):
    """How measures of progress, or factors, become rewards; for methods whose programs return these."""

    bins: int = Field(
        20, ge=2, le=1000, description="number of bins that the range of each progress measure is cut into"
    )
    count_weight: float = Field(1.0, ge=0, description="weight of the bonus 1/√N for the Nth visit to a bin")
    sparse_weight: float = Field(1.0, ge=0, description="weight of the task's sparse reward, added to the bonus")
    decoder_hidden: int = Field(
        16, ge=1, le=1024, description="hidden units of the decoder that turns factors into rewards"
    )
    decoder_rate: float = Field(3e-3, gt=0, description="learning rate of the decoder")
    decoder_steps: int = Field(2, ge=1, le=1000, description="gradient steps of the decoder per rollout")
    decoder_episodes: int = Field(
        128, ge=2, description="number of latest finished episodes that the decoder learns from"
    )


class EvaluationConfig(Section):
    """How the reported scores of the winner, the expert's and the sparse reward are measured."""

    report_seeds: int = Field(
        3, ge=1, description="fresh training seeds for the winner, the expert and the sparse reward"
    )
    report_episodes: int = Field(32, ge=1, description="fresh episodes per reported training")
    confidence: float = Field(0.95, gt=0, lt=1, description="confidence level of the reported intervals")
    resamples: int = Field(2000, ge=100, description="bootstrap resamples")


class SandboxConfig(Section):
    """How reward programs are confined, and the resources that they may use."""

    level: Literal["strict", "basic"] = Field(
        "strict" if sys.platform == "linux" else "basic",
        description="strict (default on Linux): refuse to run if a layer of protection is missing; basic (default "
        "elsewhere): use the layers that the system has",
    )
    call_seconds: float = Field(10.0, gt=0, description="max. wall-clock seconds of one call of a reward")
    program_seconds: float = Field(
        1800.0, gt=0, description="max. wall-clock seconds of all calls of a program together"
    )
    memory_gb: float = Field(4.0, gt=0, description="address space of a worker, in GB")
    smoke_transitions: int = Field(256, ge=8, description="real transitions that a program is tried on before training")
    smoke_seconds: float = Field(0.5, gt=0, description="max. seconds of one call on those transitions")


class Config(Section):
    """All settings of a run; ``load_config`` builds it from a file and overrides."""

    task: str = Field(..., description="a task's name, such as cheetah/run")
    seed: int = Field(0, ge=0, description="seed of all random numbers of the run")
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
        """``tracking: false`` is short for an empty list, ``tracking: wandb`` for ``[wandb]``."""
        return () if value is False or value is None else (value,) if isinstance(value, str) else value
