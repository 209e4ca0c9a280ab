"""Update a whole population with PPO's clipped surrogate loss (Schulman et al., 2017), without autograd."""

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

_RATE_STEP = 1.5  # factor of one adaptation of the learning rate
_RATE_RANGE = 0.03, 3.0  # bounds of the adapted learning rate, as multiples of the configured one


@dataclass(frozen=True)
class Columns:
    """Column slices of a training row: observation, raw action, old log-probability, advantage, value target."""

    shape: Shape

    @property
    def width(self) -> int:
        """Number of columns of a row."""
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
    """Return the log-density ``(K, 1, n)`` of diagonal Gaussians.

    Args:
        standard: ``(K, A, n)``, the actions minus the means, in standard deviations.
        log_std: ``(K, A, 1)``.
    """
    constant = log_std.sum(1, keepdim=True) + 0.5 * math.log(2.0 * math.pi) * log_std.shape[1]
    return standard.square().sum(1, keepdim=True).mul_(-0.5).sub_(constant)


def loss_gradient(
    body: Body, parameters: Parameters, gradient: Parameters, rows: Tensor, config: TrainingConfig
) -> None:
    """Write the gradient of each member's loss on its minibatch into ``gradient``.

    The loss is that of Stable-Baselines3: −E[min(ρ A, clip(ρ) A)] + value_weight E[(V − target)²] − entropy E[H], with
    the ratio ρ of new to old action probability.

    Args:
        body: networks with buffers for ``n`` rows.
        rows: ``(K, n, Columns.width)``.
    """
    columns = Columns(parameters.shape)
    n = rows.shape[1]

    # Forward pass
    mean, value = body.forward(rows[..., columns.observation])
    across = rows.transpose(1, 2)
    advantage = across[:, columns.advantage]
    choices, action = parameters.shape.choices, across[:, columns.action]

    # Ratio of new to old action probability
    if choices:
        log_policy = categorical.log_softmax(mean, choices)
        ratio = (categorical.log_prob(log_policy, action) - across[:, columns.log_prob]).exp_()
    else:
        inverse_std = torch.exp(-parameters.log_std)
        standard = (action - mean).mul_(inverse_std)
        ratio = (log_prob(standard, parameters.log_std) - across[:, columns.log_prob]).exp_()

    # Gradient of the surrogate: zero where min() picks the clipped term, that is where the ratio has already left the
    # clip range in the direction that the advantage favours
    clipped = torch.where(advantage > 0, ratio > 1.0 + config.clip_range, ratio < 1.0 - config.clip_range)
    d_log_prob = (ratio * advantage).masked_fill_(clipped, 0.0).mul_(-1.0 / n)  # d ratio / d log_prob = ratio
    if choices:
        d_mean = categorical.logit_gradient(log_policy, action, d_log_prob, config.entropy / n, choices)
    else:
        d_mean = (standard * inverse_std).mul_(d_log_prob)

    # Value loss, then back through both networks
    d_value = (value - across[:, columns.target]).mul_(2.0 * config.value_weight / n)
    body.backward(rows[..., columns.observation], d_mean, d_value, gradient)
    if choices:
        return  # log_std is unused and its gradient stays zero

    # log_std: d log_prob / d log_std = standard² − 1, and the entropy's gradient is 1 for each action
    d_log_std = standard.square_().sub_(1.0).mul_(d_log_prob).sum(2, keepdim=True)
    torch.sub(d_log_std, config.entropy, out=gradient.log_std)


def clip_gradients(gradient: Parameters, limit: float) -> Tensor:
    """Clip each member's policy gradient and value gradient to the norm ``limit``, in place.

    The two are clipped separately: the networks share no weights, so a large value error must not shrink the policy's
    step.

    Returns:
        The norms before clipping, ``(2, K)``: row 0 the policies, row 1 the value functions.
    """
    norms = gradient.flat.square().sum(-1).sqrt_()
    gradient.flat.mul_((limit / (norms + 1e-6)).clamp_(max=1.0).unsqueeze(-1))
    return norms


def divergence(parameters: Parameters, head: Head, rows: Tensor) -> Tensor:
    """Estimate the KL divergence ``(K,)`` between the policies that took the actions in ``rows`` and the present ones.

    The estimator is E[ρ − 1 − log ρ] over the sampled actions, which is never negative (Schulman, "Approximating KL
    Divergence", 2020).

    Args:
        head: the policies of ``parameters``, with buffers for ``n`` rows.
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
    # Reduce each member separately: the rounding of a batched sum depends on the number of members
    return torch.stack([mine.mean() for mine in terms])


def adapted(rates: Tensor, kl: Tensor, config: TrainingConfig) -> Tensor:
    """Return the policies' learning rates ``(K,)`` adapted to the KL divergence ``kl`` ``(K,)`` of the last update.

    As in rsl_rl: divide by 1.5 if ``kl`` is above twice ``config.desired_kl``, multiply by 1.5 if it is below half.
    """
    low, high = (bound * config.learning_rate for bound in _RATE_RANGE)
    slower, faster = kl > 2.0 * config.desired_kl, kl < 0.5 * config.desired_kl
    changed = torch.where(slower, rates / _RATE_STEP, torch.where(faster, rates * _RATE_STEP, rates))
    return changed.clamp(low, high)


class Learner:
    """Train the stacked weights of a population with Adam.

    The members are divided over ``threads`` threads, each of which runs single-threaded operations. Torch's own threads
    synchronise after every operation; these synchronise once per update, so they lose little when other processes use
    the CPU. On a GPU all members form one shard and no threads are used.

    Args:
        parameters: the population's weights, changed in place by ``update``.
        generators: one per member, for the order of its minibatches, on the device of the parameters.
    """

    def __init__(
        self, parameters: Parameters, config: TrainingConfig, generators: Sequence[Generator], threads: int = 1
    ) -> None:
        self._config, self._threads = config, 1 if devices.on_card(parameters.flat.device) else threads
        self._deal(parameters, generators)
        count = len(self._shards)
        # The calling thread updates the first shard itself
        self._pool = ThreadPoolExecutor(count - 1, "learner") if count > 1 else None

    def _deal(self, parameters: Parameters, generators: Sequence[Generator]) -> None:
        """Divide the members over the threads, in contiguous ranges of about equal size."""
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
        """Train all members on one rollout.

        Each epoch shuffles every member's rows. Rows that do not fill a minibatch are dropped, different ones in each
        epoch.

        Args:
            rows: ``(K, N, Columns.width)``.
            remaining: share of the training still to come, for the annealing of the learning rates.

        Returns:
            ``(K,)`` bools: False if a gradient was not finite, that is if the member has diverged.
        """
        jobs = [(shard, rows[part]) for shard, part in zip(self._shards, self._slices, strict=True)]
        futures = [self._pool.submit(shard.update, mine, remaining) for shard, mine in jobs[1:]] if self._pool else []
        finite = [jobs[0][0].update(jobs[0][1], remaining), *(future.result() for future in futures)]
        # Each shard trains a contiguous copy of its members' weights: write it back
        for shard, part in zip(self._shards, self._slices, strict=True):
            self._flat[:, part] = shard.parameters.flat
        return torch.cat(finite)

    def keep(self, parameters: Parameters, members: Sequence[int]) -> None:
        """Drop all members but ``members``, whose weights are now ``parameters``; their Adam state is kept."""
        generators, moments, rates = self._generators, self._moments, self.rates
        self._deal(parameters, [generators[k] for k in members])
        self.rates = rates[list(members)]
        self._moments = {
            name: value[:, list(members)] if value.dim() > 0 else value  # "step" is a scalar that all members share
            for name, value in moments.items()
        }

    def save(self) -> dict[str, Any]:
        """Return Adam's state, the learning rates and the generators' states, without the weights."""
        return {"generators": generator_states(self._generators), "moments": self._moments, "rates": self.rates}

    def restore(self, parameters: Parameters, saved: Saved) -> None:
        """Load what ``save`` returned; ``parameters`` are the weights of that moment.

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
        """Adam's state of all members by name, as in ``_Shard.moments``; empty before the first update."""
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
        """Zero a failed member's weights and Adam moments, so that no NaN or infinity stays in the batch."""
        self._flat[:, member] = 0.0
        for shard, part in zip(self._shards, self._slices, strict=True):
            if part.start <= member < part.stop:
                shard.forget(member - part.start)

    def close(self) -> None:
        """Shut the threads down."""
        if self._pool is not None:
            self._pool.shutdown()


class _Shard:
    """The members of one thread: their weights, gradients, learning rates, Adam state and buffers.

    torch's Adam has one learning rate per tensor, but here every policy has its own. Adam therefore runs with a rate of
    1 on ``_direction``, which is zeroed before each step, so that it holds the step itself; the step times the member's
    rate is then added to the weights.
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
        """The policies' learning rates ``(k,)``; value functions keep the configured rate."""

    @property
    def moments(self) -> dict[str, Tensor]:
        """Adam's state: ``step`` ``()``, ``exp_avg``, ``exp_avg_sq`` ``(2, k, P)``; empty before the first update."""
        return self._adam.state[self._direction]

    @moments.setter
    def moments(self, state: dict[str, Tensor]) -> None:
        self._adam.state[self._direction] = state

    @torch.no_grad()
    def update(self, rows: Tensor, remaining: float) -> Tensor:
        """Train this shard's members; arguments and result as in ``Learner.update``, for ``k`` members."""
        config, parameters = self._config, self.parameters
        members, count, width = rows.shape
        minibatches = min(config.minibatches, count)
        size = count // minibatches
        if size not in self._bodies:
            self._bodies[size] = Body(parameters, size)

        # Learning rates, annealed linearly over the last ``anneal`` of the training
        share = min(1.0, remaining / config.anneal) if config.anneal > 0.0 else 1.0
        rates = torch.stack([self.rates, torch.full_like(self.rates, config.learning_rate)]).mul_(share).unsqueeze(-1)
        starts = torch.arange(members, device=rows.device)[:, None] * count
        flat = rows.reshape(members * count, width)
        finite = torch.ones(members, dtype=torch.bool, device=rows.device)

        for _ in range(config.epochs):
            # Shuffle: one gather for all members and minibatches, each member with its own order
            order = devices.permutations(count, self.generators, rows.device) + starts
            order = order[:, : minibatches * size].unflatten(1, (minibatches, size)).transpose(0, 1)
            shuffled = flat[order.reshape(-1)].view(minibatches, members, size, width)

            # One gradient step per minibatch
            for minibatch in shuffled:
                loss_gradient(self._bodies[size], parameters, self._gradient, minibatch, config)
                finite &= torch.isfinite(clip_gradients(self._gradient, config.max_grad_norm)).all(0)
                self._adam.step()
                parameters.flat.addcmul_(self._direction, rates)
                self._direction.zero_()

        # Adapt the policies' learning rates to the KL divergence of the whole update
        if config.desired_kl > 0.0:
            if count not in self._policies:
                self._policies[count] = Head(parameters, "policy", count)
            self.rates = adapted(self.rates, divergence(parameters, self._policies[count], rows), config)
        return finite

    def forget(self, member: int) -> None:
        """Zero the weights and moments of ``member`` (its index in this shard) and reset its learning rate."""
        self.parameters.flat[:, member] = 0.0
        self.rates[member] = self._config.learning_rate
        for moment in self._adam.state[self._direction].values():
            if moment.dim() > 0:
                moment[:, member] = 0.0
