"""Policies over discrete actions: one categorical distribution for each component, as one-hot columns side by side.

``choices`` are the numbers of options of the components; a policy's output and an action have ``sum(choices)`` columns,
logits and zeros and ones. The log-probability of an action is the sum over its components, as in Stable-Baselines3's
MultiCategorical.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def gumbel_(out: Tensor, generator: Generator) -> Tensor:
    """Fill ``out`` with Gumbel noise: the largest of logits plus noise is a sample of their distribution."""
    return out.exponential_(generator=generator).clamp_(min=torch.finfo(out.dtype).tiny).log_().neg_()


def log_softmax(logits: Tensor, choices: Sequence[int]) -> Tensor:
    """Log-probabilities of the options of each component, ``(K, A, n)`` like ``logits``."""
    return torch.cat([torch.log_softmax(part, 1) for part in logits.split(list(choices), 1)], 1)


def log_prob(log_policy: Tensor, action: Tensor) -> Tensor:
    """Log-probability ``(K, 1, n)`` of one-hot actions ``(K, A, n)``."""
    return (log_policy * action).sum(1, keepdim=True)


def logit_gradient(
    log_policy: Tensor, action: Tensor, d_log_prob: Tensor, entropy: float, choices: Sequence[int]
) -> Tensor:
    """The loss's gradient at the logits ``(K, A, n)``.

    Args:
        d_log_prob: its gradient at the actions' log-probabilities ``(K, 1, n)``.
        entropy: weight of each row's entropy, which is subtracted from the loss.
    """
    policy = log_policy.exp()
    gradient = (action - policy).mul_(d_log_prob)
    if entropy:
        # dH/dz = -p (log p + H), for each component on its own
        terms = policy * log_policy
        own = torch.cat([part.sum(1, keepdim=True).expand_as(part) for part in terms.split(list(choices), 1)], 1)
        gradient.add_(terms.sub_(policy * own), alpha=entropy)
    return gradient
