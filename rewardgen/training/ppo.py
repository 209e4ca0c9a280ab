"""The clipped surrogate update (Schulman et al., 2017) of a whole population at once, without autograd."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor

from rewardgen.config import TrainingConfig
from rewardgen.saved import Saved, generator_states, restore_generators, section, tensor
from rewardgen.training import categorical, devices
from rewardgen.training.networks import Body, Head, Parameters, Shape, zeros

_RATE_STEP = 1.5  # by which a learning rate follows the KL divergence at once
_RATE_RANGE = 0.03, 3.0  # of the configured learning rate, within which it does


@dataclass(frozen=True)
class Columns:
    """Where the parts of a training row lie: observation, raw action, old log-probability, advantage, value target."""

    shape: Shape

    @property
    def width(self) -> int:
        return self.shape.observation + self.shape.action + 3

    @property
    def observation(self) -> slice:
        return slice(0, self.shape.observation)

    @property
    def action(self) -> slice:
        return slice(self.shape.observation, self.shape.observation + self.shape.action)

    @property
    def log_prob(self) -> slice:
        return slice(self.width - 3, self.width - 2)

    @property
    def advantage(self) -> slice:
        return slice(self.width - 2, self.width - 1)

    @property
    def target(self) -> slice:
        return slice(self.width - 1, self.width)


def log_prob(standard: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of diagonal Gaussians at ``standard`` ``(K, A, n)`` deviations from their means, ``(K, 1, n)``."""
    constant = log_std.sum(1, keepdim=True) + 0.5 * math.log(2.0 * math.pi) * log_std.shape[1]
    return standard.square().sum(1, keepdim=True).mul_(-0.5).sub_(constant)


def loss_gradient(
    body: Body, parameters: Parameters, gradient: Parameters, rows: Tensor, config: TrainingConfig
) -> None:
    """Write the gradient of each member's loss on its minibatch into ``gradient``.

    The loss is Stable-Baselines3's: −E[min(ρ A, clip(ρ) A)] + value_weight E[(V − target)²] − entropy E[H].

    Args:
        rows: ``(K, n, Columns.width)``.
    """
    columns = Columns(parameters.shape)
    n = rows.shape[1]
    mean, value = body.forward(rows[..., columns.observation])
    across = rows.transpose(1, 2)
    advantage = across[:, columns.advantage]
    choices, action = parameters.shape.choices, across[:, columns.action]
    if choices:
        log_policy = categorical.log_softmax(mean, choices)
        ratio = (categorical.log_prob(log_policy, action) - across[:, columns.log_prob]).exp_()
    else:
        inverse_std = torch.exp(-parameters.log_std)
        standard = (action - mean).mul_(inverse_std)
        ratio = (log_prob(standard, parameters.log_std) - across[:, columns.log_prob]).exp_()
    # the clipped term, which has no gradient, is the smaller one where the ratio left the range on the good side
    clipped = torch.where(advantage > 0, ratio > 1.0 + config.clip_range, ratio < 1.0 - config.clip_range)
    d_log_prob = (ratio * advantage).masked_fill_(clipped, 0.0).mul_(-1.0 / n)
    if choices:
        d_mean = categorical.logit_gradient(log_policy, action, d_log_prob, config.entropy / n, choices)
    else:
        d_mean = (standard * inverse_std).mul_(d_log_prob)
    d_value = (value - across[:, columns.target]).mul_(2.0 * config.value_weight / n)
    body.backward(rows[..., columns.observation], d_mean, d_value, gradient)
    if choices:
        return  # log_std is not used, and its gradient stays zero
    d_log_std = standard.square_().sub_(1.0).mul_(d_log_prob).sum(2, keepdim=True)
    torch.sub(d_log_std, config.entropy, out=gradient.log_std)


def clip_gradients(gradient: Parameters, limit: float) -> Tensor:
    """Scale the gradients of each member's policy and value down to the norm ``limit`` in place.

    The two networks share no weights, so a large error of the value function is no reason to shorten the policy's step.

    Returns:
        The norms before, ``(2, K)``: of the policies, of the value functions.
    """
    norms = gradient.flat.square().sum(-1).sqrt_()
    gradient.flat.mul_((limit / (norms + 1e-6)).clamp_(max=1.0).unsqueeze(-1))
    return norms


def divergence(parameters: Parameters, head: Head, rows: Tensor) -> Tensor:
    """KL divergence of the policies that took the actions in ``rows`` from the present ones, ``(K,)``.

    The estimator is E[ρ − 1 − log ρ] over the sampled actions (Schulman, "Approximating KL Divergence", 2020), which is
    never negative.

    Args:
        head: the policies of ``parameters``, for as many rows.
        rows: ``(K, n, Columns.width)``.
    """
    columns = Columns(parameters.shape)
    across = rows.transpose(1, 2)
    out, action = head(rows[..., columns.observation]), across[:, columns.action]
    if choices := parameters.shape.choices:
        present = categorical.log_prob(categorical.log_softmax(out, choices), action)
    else:
        present = log_prob((action - out).mul_(torch.exp(-parameters.log_std)), parameters.log_std)
    log_ratio = present - across[:, columns.log_prob]
    terms = log_ratio.exp().sub_(1.0).sub_(log_ratio)
    if devices.on_card(rows.device):
        return terms.mean((1, 2))
    # a member's sums must not depend on how many others there are, so each is reduced on its own
    return torch.stack([mine.mean() for mine in terms])


def adapted(rates: Tensor, kl: Tensor, config: TrainingConfig) -> Tensor:
    """The policies' learning rates ``(K,)`` after an update that moved them by ``kl`` ``(K,)``.

    As in rsl_rl: divided by 1.5 where the divergence was above twice the desired one, multiplied by it below half.
    """
    low, high = (bound * config.learning_rate for bound in _RATE_RANGE)
    slower, faster = kl > 2.0 * config.desired_kl, kl < 0.5 * config.desired_kl
    changed = torch.where(slower, rates / _RATE_STEP, torch.where(faster, rates * _RATE_STEP, rates))
    return changed.clamp(low, high)


class Learner:
    """Adam on the stacked weights of a population.

    Its members are dealt out to ``threads`` threads, each with single-threaded operations: unlike torch's own threads,
    which meet after every operation, these meet once an update and lose little when other work shares the processors.
    On a card all members are one shard without threads.

    Args:
        parameters: the population's weights, changed in place by ``update``.
        generators: one of each member, for the order of its minibatches, on the device of the parameters.
    """

    def __init__(
        self, parameters: Parameters, config: TrainingConfig, generators: Sequence[Generator], threads: int = 1
    ) -> None:
        self._config, self._threads = config, 1 if devices.on_card(parameters.flat.device) else threads
        self._deal(parameters, generators)
        count = len(self._shards)
        self._pool = ThreadPoolExecutor(count - 1, "learner") if count > 1 else None

    def _deal(self, parameters: Parameters, generators: Sequence[Generator]) -> None:
        """Give every thread its members."""
        self._flat = parameters.flat
        members = parameters.members
        count = min(self._threads, members)
        bounds = [members * i // count for i in range(count + 1)]
        self._slices = [slice(a, b) for a, b in pairwise(bounds)]
        self._shards = [
            _Shard(Parameters(parameters.shape, parameters.flat[:, part].contiguous()), self._config, generators[part])
            for part in self._slices
        ]

    @property
    def rates(self) -> Tensor:
        """The policies' learning rates ``(K,)``."""
        return torch.cat([shard.rates for shard in self._shards])

    @rates.setter
    def rates(self, rates: Tensor) -> None:
        for shard, members in zip(self._shards, self._slices, strict=True):
            shard.rates = rates[members].clone()

    def update(self, rows: Tensor, remaining: float) -> Tensor:
        """Fit all members to one rollout.

        Each epoch goes through every member's rows in an order of its own; the few rows by which they do not divide
        into minibatches are left out, others each time.

        Args:
            rows: ``(K, N, Columns.width)``.
            remaining: the share of the training still to come, from which follows whether learning rates are annealed.

        Returns:
            ``(K,)`` bools: False where a gradient was not finite, which means that the member has diverged.
        """
        jobs = [(shard, rows[part]) for shard, part in zip(self._shards, self._slices, strict=True)]
        futures = [self._pool.submit(shard.update, mine, remaining) for shard, mine in jobs[1:]] if self._pool else []
        finite = [jobs[0][0].update(jobs[0][1], remaining), *(future.result() for future in futures)]
        for shard, part in zip(self._shards, self._slices, strict=True):
            self._flat[:, part] = shard.parameters.flat
        return torch.cat(finite)

    def keep(self, parameters: Parameters, members: Sequence[int]) -> None:
        """Go on with these members alone, whose weights are now ``parameters``."""
        generators, moments, rates = self._generators, self._moments, self.rates
        self._deal(parameters, [generators[k] for k in members])
        self.rates = rates[list(members)]
        self._moments = {
            name: value[:, list(members)] if value.dim() > 0 else value  # the count of updates is the same for all
            for name, value in moments.items()
        }

    def save(self) -> dict[str, Any]:
        return {"generators": generator_states(self._generators), "moments": self._moments, "rates": self.rates}

    def restore(self, parameters: Parameters, saved: Saved) -> None:
        """Continue from what ``save`` gave, with ``parameters`` as they were then.

        Raises:
            ValueError: ``saved`` does not fit.
        """
        generators, rates = self._generators, tensor(saved, "rates", self.rates)
        restore_generators(generators, saved, "generators")
        self._deal(parameters, generators)
        self.rates = rates
        step = torch.zeros((), device=parameters.flat.device)
        like = {"step": step, "exp_avg": parameters.flat, "exp_avg_sq": parameters.flat}
        moments = section(saved, "moments")
        self._moments = {name: tensor(moments, name, value) for name, value in like.items()}

    @property
    def _generators(self) -> list[Generator]:
        return [own for shard in self._shards for own in shard.generators]

    @property
    def _moments(self) -> dict[str, Tensor]:
        """Adam's state of all members; empty before the first update."""
        moments = [shard.moments for shard in self._shards]
        if not all(moments):
            return {}
        return {
            name: torch.cat([own[name] for own in moments], 1) if first.dim() > 0 else first
            for name, first in moments[0].items()
        }

    @_moments.setter
    def _moments(self, whole: dict[str, Tensor]) -> None:
        if not whole:
            return
        for shard, members in zip(self._shards, self._slices, strict=True):
            shard.moments = {
                name: (value[:, members] if value.dim() > 0 else value).clone(memory_format=torch.contiguous_format)
                for name, value in whole.items()
            }

    def forget(self, member: int) -> None:
        """Set a failed member's weights and moments to zero, so that nothing non-finite is carried on."""
        self._flat[:, member] = 0.0
        for shard, part in zip(self._shards, self._slices, strict=True):
            if part.start <= member < part.stop:
                shard.forget(member - part.start)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


class _Shard:
    """A thread's members: their weights, gradient, learning rates, Adam state and buffers.

    Adam has one learning rate for all that it is given, and every policy has its own. So it works with a rate of 1 on
    ``_direction``, which is zero before each of its steps, and what it writes there is scaled and added to the weights.
    """

    def __init__(self, parameters: Parameters, config: TrainingConfig, generators: Sequence[Generator]) -> None:
        self.parameters = parameters
        self._config, self.generators = config, generators
        self._gradient = zeros(parameters.shape, parameters.members, parameters.flat.device)
        self._direction = torch.zeros_like(parameters.flat)
        self._direction.grad = self._gradient.flat
        self._adam = torch.optim.Adam([self._direction], lr=1.0, eps=1e-5, fused=True)
        self._bodies: dict[int, Body] = {}
        self._policies: dict[int, Head] = {}
        self.rates = torch.full((parameters.members,), config.learning_rate, device=parameters.flat.device)
        """The policies' learning rates ``(k,)``; the value functions' stays as it was configured."""

    @property
    def moments(self) -> dict[str, Tensor]:
        """Adam's state: ``step`` and the moments ``exp_avg`` and ``exp_avg_sq`` ``(2, k, P)``; empty at first."""
        return self._adam.state[self._direction]

    @moments.setter
    def moments(self, state: dict[str, Tensor]) -> None:
        self._adam.state[self._direction] = state

    @torch.no_grad()
    def update(self, rows: Tensor, remaining: float) -> Tensor:
        config, parameters = self._config, self.parameters
        members, count, width = rows.shape
        minibatches = min(config.minibatches, count)
        size = count // minibatches
        if size not in self._bodies:
            self._bodies[size] = Body(parameters, size)
        share = min(1.0, remaining / config.anneal) if config.anneal > 0.0 else 1.0
        rates = torch.stack([self.rates, torch.full_like(self.rates, config.learning_rate)]).mul_(share).unsqueeze(-1)
        starts = torch.arange(members, device=rows.device)[:, None] * count
        flat = rows.reshape(members * count, width)
        finite = torch.ones(members, dtype=torch.bool, device=rows.device)
        for _ in range(config.epochs):
            order = devices.permutations(count, self.generators, rows.device) + starts
            order = order[:, : minibatches * size].unflatten(1, (minibatches, size)).transpose(0, 1)
            shuffled = flat[order.reshape(-1)].view(minibatches, members, size, width)
            for minibatch in shuffled:
                loss_gradient(self._bodies[size], parameters, self._gradient, minibatch, config)
                finite &= torch.isfinite(clip_gradients(self._gradient, config.max_grad_norm)).all(0)
                self._adam.step()
                parameters.flat.addcmul_(self._direction, rates)
                self._direction.zero_()
        if config.desired_kl > 0.0:
            if count not in self._policies:
                self._policies[count] = Head(parameters, "policy", count)
            self.rates = adapted(self.rates, divergence(parameters, self._policies[count], rows), config)
        return finite

    def forget(self, member: int) -> None:
        self.parameters.flat[:, member] = 0.0
        self.rates[member] = self._config.learning_rate
        for moment in self._adam.state[self._direction].values():
            if moment.dim() > 0:
                moment[:, member] = 0.0
