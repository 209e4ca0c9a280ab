"""The settings of a run: ``sections`` declares them, ``loading`` reads and checks what a person gives.

A run's configuration comes from five places, each overriding those before it: the defaults in ``sections``, the
defaults of the search method (``settings`` in its file), the task's own ``training`` settings, a YAML file
(``--config FILE``), and flags (``--set training.steps=200000`` or the named ones). An unknown key is an error that
names similar keys.
"""

from rewardgen.config.authors import is_language_model
from rewardgen.config.loading import Where, explained, given, load, validate
from rewardgen.config.sections import (
    JUDGES,
    BudgetConfig,
    Config,
    CreditConfig,
    EndpointConfig,
    EvaluationConfig,
    JudgingConfig,
    LLMConfig,
    RacingConfig,
    SandboxConfig,
    ScreeningConfig,
    SearchConfig,
    Section,
    TrainingConfig,
    checked_base_url,
)

__all__ = [
    "JUDGES",
    "BudgetConfig",
    "Config",
    "CreditConfig",
    "EndpointConfig",
    "EvaluationConfig",
    "JudgingConfig",
    "LLMConfig",
    "RacingConfig",
    "SandboxConfig",
    "ScreeningConfig",
    "SearchConfig",
    "Section",
    "TrainingConfig",
    "Where",
    "checked_base_url",
    "explained",
    "given",
    "is_language_model",
    "load",
    "validate",
]
