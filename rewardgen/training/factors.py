"""A learned decoder from a program's factors to rewards that sum to the episode's fitness (return decomposition).

Qu et al., "Latent Reward: LLM-Empowered Credit Assignment in Episodic Reinforcement Learning" (LaRe), AAAI 2025, arXiv
2412.11120: a program evaluates each step by several factors, and a network decodes them into a reward. The network is
trained so that the rewards of an episode sum to its return, which is known only at the episode's end. This method
therefore trains on the fitness of its episodes; no other method does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from rewardgen.config import CreditConfig
from rewardgen.records import Episodes, Labels
from rewardgen.saved import Saved, generator_states, numbered, restore_generators, section, tensor, value
from rewardgen.tasks import Task
from rewardgen.training.credit import Rows, checked
from rewardgen.training.normalise import RunningMoments
from rewardgen.training.seeds import generator

_FRESH = 8  # max. episodes of one rollout whose fitness is measured; tasks with short episodes have hundreds
_BATCH = 16  # episodes of one gradient step
_SAMPLED = 64  # sampled steps of each of these episodes


class Decoder:
    """Reward model ``r(z) = w·z + v·tanh(A z + b) + c`` on standardised factors, fitted to episodes' returns per step.

    As in LaRe's code, the mean of an episode's decoded rewards is fitted to its return divided by its length. The mean
    is over all steps if the episodes have up to 64 steps, otherwise over a sample of 64 steps (randomised return
    decomposition, Ren et al., ICLR 2022; the variance of the sample shrinks the rewards slightly, which the reward
    scaling undoes). The published network is larger. A linear model with a few tanh units can be fitted to the tens of
    episodes that are available here.

    Args:
        factors: number of factors ``C``.
        source: generator for initial weights and samples.
    """

    def __init__(self, factors: int, config: CreditConfig, source: Generator) -> None:
        # Random inner layer, zero outer layers: the decoder starts from the mean return, whatever the factors
        hidden = config.decoder_hidden
        self._source = source
        self._inner = torch.randn(factors, hidden, generator=source) / factors**0.5
        self._offset = torch.randn(hidden, generator=source)
        self._outer, self._linear, self._constant = torch.zeros(hidden), torch.zeros(factors), torch.zeros(())
        self._parameters = [self._inner, self._offset, self._outer, self._linear, self._constant]
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        self._optimizer = torch.optim.Adam(self._parameters, lr=config.decoder_rate)

        # Replay buffer of the latest episodes: factors (n, T, C) padded, lengths (n,), returns (n,)
        self._moments = RunningMoments(1, factors)
        self._episodes = torch.zeros(0, 0, factors)
        self._lengths = torch.zeros(0, dtype=torch.int64)
        self._returns = torch.zeros(0)  # per step
        self._keep = config.decoder_episodes
        self._mean, self._deviation = 0.0, 0.0

    @property
    def ready(self) -> bool:
        """Whether there are enough episodes (two) to fit the model to."""
        return len(self._lengths) >= 2

    def add(self, factors: Tensor, lengths: Tensor, returns: Tensor) -> None:
        """Add ``n`` episodes to the buffer and drop the oldest ones beyond its size.

        Args:
            factors: ``(n, T, C)``, padded at the end.
            lengths: ``(n,)`` int64, in control steps.
            returns: ``(n,)``, the fitness of each episode.
        """
        # Update the statistics of the factors, without the padding
        for mine, length in zip(factors, lengths.tolist(), strict=True):
            self._moments.update(mine[None, :length])

        # Pad both to the longest episode, append
        grown = max(factors.shape[1], self._episodes.shape[1])
        both = [torch.nn.functional.pad(part, (0, 0, 0, grown - part.shape[1])) for part in (self._episodes, factors)]
        self._episodes = torch.cat(both)[-self._keep :]
        self._lengths = torch.cat([self._lengths, lengths])[-self._keep :]
        self._returns = torch.cat([self._returns, (returns / lengths).float()])[-self._keep :]

        # Scale of the regression targets
        self._mean = float(self._returns.mean())
        self._deviation = float(self._returns.std(correction=0))

    def fit(self, steps: int) -> None:
        """Take ``steps`` gradient steps, each on randomly drawn episodes from the buffer."""
        wanted = (self._returns - self._mean) / max(self._deviation, 1e-8)
        for _ in range(steps):
            # Draw episodes, with replacement
            chosen = torch.randint(len(self._lengths), (_BATCH,), generator=self._source)
            lengths = self._lengths[chosen]
            longest = int(lengths.max())
            # Choose their steps: all of them, or a uniform sample of long episodes
            if longest <= _SAMPLED:
                at = torch.arange(longest).expand(_BATCH, -1)
                weight = (at < lengths[:, None]) / lengths[:, None]
            else:
                at = (torch.rand(_BATCH, _SAMPLED, generator=self._source) * lengths[:, None]).long()
                weight = torch.full(at.shape, 1.0 / _SAMPLED)
            rows = self._episodes[chosen[:, None], at]
            # Regress the standardised return per step on the mean decoded reward
            with torch.enable_grad():
                loss = ((self._decode(rows) * weight).sum(1) - wanted[chosen]).square().mean()
                self._optimizer.zero_grad()
                loss.backward()
            self._optimizer.step()

    def __call__(self, factors: Tensor) -> Tensor:
        """Return the rewards ``(...)`` of factors ``(..., C)``, in units of the returns per step; 0 until ``ready``."""
        if not self.ready:
            return torch.zeros(factors.shape[:-1])
        with torch.no_grad():
            return self._mean + self._deviation * self._decode(factors)

    def save(self) -> dict[str, Any]:
        """Return weights, Adam state, statistics and episodes, without the state of the generator."""
        adam = [self._optimizer.state[parameter] for parameter in self._parameters]
        return {
            "parameters": numbered(self._parameters),
            "adam": numbered(dict(each) for each in adam),  # empty before the first fit
            "moments": self._moments.save(),
            "episodes": self._episodes,
            "lengths": self._lengths,
            "returns": self._returns,
            "mean": self._mean,
            "deviation": self._deviation,
        }

    def restore(self, saved: Saved) -> None:
        """Load what ``save`` returned; the owner of the generator restores the generator.

        Raises:
            ValueError: ``saved`` does not fit.
        """
        # Weights and Adam state
        parameters, adam = section(saved, "parameters"), section(saved, "adam")
        for number, mine in enumerate(self._parameters):
            mine.data.copy_(tensor(parameters, str(number), mine))
            if moments := section(adam, str(number)):
                like = {"step": torch.zeros(()), "exp_avg": mine, "exp_avg_sq": mine}
                self._optimizer.state[mine] = {name: tensor(moments, name, each) for name, each in like.items()}

        # Statistics and episodes
        self._moments.restore(section(saved, "moments"))
        count, longest = _sizes(saved.get("episodes"), self._episodes.shape[2], self._keep)
        self._episodes = tensor(saved, "episodes", torch.zeros(count, longest, self._episodes.shape[2]))
        self._lengths = tensor(saved, "lengths", torch.zeros(count, dtype=torch.int64))
        self._returns = tensor(saved, "returns", torch.zeros(count))
        if ((self._lengths < 1) | (self._lengths > longest)).any():
            raise ValueError("the saved lengths do not belong to the saved episodes")
        self._mean, self._deviation = value(saved, "mean", float), value(saved, "deviation", float)

    def _decode(self, factors: Tensor) -> Tensor:
        """Return the standardised rewards ``(...)`` of factors ``(..., C)``."""
        mean, variance = self._moments.mean[0].float(), self._moments.variance[0].float()
        seen = ((factors - mean) * torch.rsqrt(variance + 1e-8)).clamp(-10.0, 10.0)
        return seen @ self._linear + torch.tanh(seen @ self._inner + self._offset) @ self._outer + self._constant


class Factors:
    """The decoder of one training and the unfinished episodes of its worlds.

    All rewards are 0 until the first complete episodes have ended, which takes long if episodes are long.
    """

    def __init__(self, config: CreditConfig, task: Task, seed: int, worlds: int) -> None:
        self._config, self._task = config, task
        self._source = generator("decoder", seed)
        self._names: tuple[str, ...] = ()
        self._decoder: Decoder | None = None
        # Unfinished episodes: steps so far (W,), and states, actions and factors by step and world
        self._age = torch.zeros(worlds, dtype=torch.int64)
        self._states = torch.zeros(task.horizon + 1, worlds, task.layout.width)
        self._actions = torch.zeros(task.horizon, worlds, task.action_size)
        self._factors = torch.zeros(0)

    def pay(self, rows: Rows) -> Tensor:
        """See ``Credit``: add the rollout's finished episodes, fit the decoder, decode the rollout's rewards."""
        checked(rows.components, rows.names, self._names)
        if self._decoder is None:
            self._names = rows.names
            self._decoder, self._factors = self._made(len(rows.names))
        self._follow(rows, self._decoder)
        if self._decoder.ready:
            self._decoder.fit(self._config.decoder_steps)
        return self._decoder(rows.components)

    def value(self, labels: Labels, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        """See ``Credit``: the decoded rewards ``(B,)``, zero before the first rollout."""
        checked(labels.components, labels.names, self._names)
        return torch.zeros(len(labels.reward)) if self._decoder is None else self._decoder(labels.components)

    def save(self) -> dict[str, Any]:
        """See ``Credit``. The buffers are cut to the longest unfinished episode."""
        steps = int(self._age.max())  # of the longest unfinished episode; later rows of the buffers are never read
        saved = {
            "generator": generator_states([self._source]),
            "names": list(self._names),
            "age": self._age,
            "states": self._states[: steps + 1],
            "actions": self._actions[:steps],
        }
        if self._decoder is not None:
            saved |= {"factors": self._factors[:steps], "decoder": self._decoder.save()}
        return saved

    def restore(self, saved: Saved) -> None:
        """See ``Credit``."""
        # Unfinished episodes
        self._age = tensor(saved, "age", self._age)
        steps = int(self._age.max())
        if int(self._age.min()) < 0 or steps > self._task.horizon:
            raise ValueError("the saved age is not that of episodes of this task")
        self._states[: steps + 1] = tensor(saved, "states", self._states[: steps + 1])
        self._actions[:steps] = tensor(saved, "actions", self._actions[:steps])

        # Decoder, which exists only after the first rollout
        self._names = tuple(value(saved, "names", list))
        if self._names:
            self._decoder, self._factors = self._made(len(self._names))
            self._factors[:steps] = tensor(saved, "factors", self._factors[:steps])
            self._decoder.restore(section(saved, "decoder"))
        # The generator last: making the decoder draws from it
        restore_generators([self._source], saved, "generator")

    def _made(self, factors: int) -> tuple[Decoder, Tensor]:
        """Return a decoder of ``factors`` factors and the buffer ``(horizon, W, C)`` for unfinished episodes."""
        decoder = Decoder(factors, self._config, self._source)
        return decoder, torch.zeros(self._task.horizon, len(self._age), factors)

    def _follow(self, rows: Rows, decoder: Decoder) -> None:
        """Append a rollout to the unfinished episodes and give the episodes that end in it to the decoder."""
        length = rows.ended.shape[0]
        ends = rows.ended.any(1).nonzero().squeeze(1).tolist()
        allowed = self._chosen(rows.ended)
        begin = 0
        # Split the rollout after each step in which an episode ends, so that no world resets within a window
        for last in [*ends, length - 1] if not ends or ends[-1] != length - 1 else ends:
            window = slice(begin, last + 1)
            # Append the window to every world's episode
            at = self._age + torch.arange(last + 1 - begin)[:, None]
            world = torch.arange(len(self._age)).expand_as(at)
            self._states[at, world] = rows.states[window]
            self._states[at + 1, world] = rows.next_states[window]
            self._actions[at, world] = rows.actions[window]
            self._factors[at, world] = rows.components[window]
            self._age += last + 1 - begin

            # Learn from the episodes that ended. A training's first episodes start at a random age, so the time limit
            # cuts them short: skip those that it truncated, their fitness is not that of a whole episode.
            ended = rows.ended[last]
            whole = rows.terminated[last] | (self._age >= self._task.horizon)
            picked = (ended & allowed[last] & whole).nonzero().squeeze(1)
            if len(picked):
                self._learn(picked, rows.terminated[last, picked], decoder)
            self._age[ended] = 0
            begin = last + 1

    def _chosen(self, ended: Tensor) -> Tensor:
        """Return which episode ends ``(T, W)`` to use: all, or a random ``_FRESH`` of them if there are more."""
        places = ended.nonzero()
        if len(places) <= _FRESH:
            return ended
        taken = places[torch.randperm(len(places), generator=self._source)[:_FRESH]]
        chosen = torch.zeros_like(ended)
        chosen[taken[:, 0], taken[:, 1]] = True
        return chosen

    def _learn(self, worlds: Tensor, terminated: Tensor, decoder: Decoder) -> None:
        """Measure the fitness of the finished episodes of ``worlds`` ``(n,)`` and add them to the decoder's buffer."""
        lengths = self._age[worlds]
        states, actions = self._states[:, worlds], self._actions[:, worlds]
        # Overwrite what an earlier episode left after the end: hold the last state, no actions
        for k, length in enumerate(lengths.tolist()):
            states[length + 1 :, k] = states[length, k]
            actions[length:, k] = 0.0
        played = Episodes(self._task.layout, states, actions, lengths, terminated, self._task.control_step)
        fitness = self._task.fitness(played)
        sound = torch.isfinite(fitness)
        if sound.any():
            longest = int(lengths[sound].max())
            factors = self._factors[:longest, worlds[sound]].transpose(0, 1)
            decoder.add(factors, lengths[sound], fitness[sound])


def _sizes(episodes: object, factors: int, most: int) -> tuple[int, int]:
    """Return the number of saved episodes and the steps of the longest.

    Raises:
        ValueError: these are not episodes with this number of ``factors``, or they are more than ``most``.
    """
    if not isinstance(episodes, Tensor) or episodes.dim() != 3 or episodes.shape[2] != factors or len(episodes) > most:
        raise ValueError("the saved episodes are not those of this decoder")
    return len(episodes), int(episodes.shape[1])
