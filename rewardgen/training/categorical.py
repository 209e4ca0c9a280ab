"""Discrete actions: one categorical distribution per component, with the components' one-hot columns side by side.

``choices`` holds the number of options of each component. Logits and one-hot actions both have ``sum(choices)``
columns. The log-probability of an action is the sum over its components, as in Stable-Baselines3's
MultiCategoricalDistribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def gumbel_(out: Tensor, generator: Generator) -> Tensor:
    """Fill ``out`` with Gumbel noise; the argmax of logits plus noise is a sample of the categorical distribution."""
    # -log(E) of an exponential E; clamped, because E may be 0
    return out.exponential_(generator=generator).clamp_(min=torch.finfo(out.dtype).tiny).log_().neg_()


def log_softmax(logits: Tensor, choices: Sequence[int]) -> Tensor:
    """Return the log-probabilities of the options of each component, ``(K, A, n)`` like ``logits``."""
    return torch.cat([torch.log_softmax(part, 1) for part in logits.split(list(choices), 1)], 1)


def log_prob(log_policy: Tensor, action: Tensor) -> Tensor:
    """Return the log-probabilities ``(K, 1, n)`` of one-hot actions ``(K, A, n)``."""
    return (log_policy * action).sum(1, keepdim=True)


def logit_gradient(
    log_policy: Tensor, action: Tensor, d_log_prob: Tensor, entropy: float, choices: Sequence[int]
) -> Tensor:
    """Return the gradient of the loss with respect to the logits, ``(K, A, n)``.

    Args:
        log_policy: log-probabilities of all options, ``(K, A, n)``.
        action: one-hot, ``(K, A, n)``.
        d_log_prob: gradient of the loss with respect to the actions' log-probabilities, ``(K, 1, n)``.
        entropy: weight of each row's entropy bonus.
    """
    policy = log_policy.exp()
    # d log_prob / dz = action - p
    gradient = (action - policy).mul_(d_log_prob)
    if entropy:
        # dH/dz = -p (log p + H), separately for each component; ``own`` is -H
        terms = policy * log_policy
        own = torch.cat([part.sum(1, keepdim=True).expand_as(part) for part in terms.split(list(choices), 1)], 1)
        gradient.add_(terms.sub_(policy * own), alpha=entropy)
    return gradient
