"""Adapters for Stable-Baselines3: worlds as a vectorised environment, and a rollout buffer that labels rewards."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed
from rewardgen.records import State
from rewardgen.sim import make_simulator
from rewardgen.tasks import Task, Worlds
from rewardgen.training.checkpoints import Examiner
from rewardgen.training.labelling import Labelling
from rewardgen.training.normalise import RewardScale
from rewardgen.training.population import Population
from rewardgen.training.record import Record
from rewardgen.training.schedule import rollout_lengths
from rewardgen.training.seeds import first_ages, stream_seed, streams
from rewardgen.training.watcher import Watcher


class WorldsVecEnv(VecEnv):
    """``Worlds`` as a vectorised environment. Its rewards are all 0; transitions are stored for later labelling.

    Actions are in units of half the actuators' range around its centre, as in ``Population``.
    """

    def __init__(self, worlds: Worlds, population: Population) -> None:
        size, actions = population.shape.observation, population.shape.action
        super().__init__(
            worlds.sim.num_worlds,
            gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32),
            gymnasium.spaces.Box(-1.0, 1.0, (actions,), np.float32),
        )
        self._worlds, self._population = worlds, population
        self._command = torch.zeros(0)
        self.transitions: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        """State, command, next state and end of episode of each control step since the last labelling."""

    def reset(self) -> np.ndarray:
        """Start all worlds and return their observations ``(W, O)``."""
        self._worlds.start(first_ages(self.num_envs, self._worlds.task.horizon))
        return self._observe(self._worlds.matrix)

    def step_async(self, actions: np.ndarray) -> None:
        """Store the commands of raw actions ``(W, A)`` for ``step_wait``."""
        self._command = self._population.command(torch.from_numpy(actions))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Take a control step; return observations ``(W, O)``, zero rewards ``(W,)``, ends ``(W,)`` and infos."""
        # Step and store the transition
        before = self._worlds.matrix
        step = self._worlds.step(self._command)
        ended = step.terminated | step.truncated
        self.transitions.append((before, self._command, step.next_matrix, ended))

        # Where an episode ended, the observation is that of the next one: pass the last of the old one in the info
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended.any():
            last = self._observe(step.next_matrix)
            for i in ended.nonzero().squeeze(1).tolist():
                infos[i] = {"terminal_observation": last[i], "TimeLimit.truncated": bool(step.truncated[i])}
        rewards = np.zeros(self.num_envs, dtype=np.float32)
        return self._observe(self._worlds.matrix), rewards, ended.numpy(), infos

    def _observe(self, matrix: Tensor) -> np.ndarray:
        return self._worlds.task.observation(State(self._worlds.task.layout, matrix)).numpy()

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("the worlds have no attributes of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("the worlds have no methods of their own")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class LabelledBuffer(RolloutBuffer):
    """A rollout buffer that labels its transitions with rewards once it is full.

    The environments return only zeros, so before labelling ``rewards`` contains only the bootstrap that
    Stable-Baselines3 adds at truncations, the discounted value of the last state. The labels are added to it.
    """

    def __init__(self, *args: Any, reference: Reference, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reference = reference

    def compute_returns_and_advantage(self, last_values: Tensor, dones: np.ndarray) -> None:
        """Add the labels to the bootstraps, then compute GAE as usual; called once the buffer is full."""
        self.rewards += self._reference.label()
        super().compute_returns_and_advantage(last_values, dones)


class Reference:
    """One training with Stable-Baselines3's PPO, with the checkpoints of ``train``."""

    def __init__(
        self,
        task: Task,
        record: Record,
        config: TrainingConfig,
        threads: int,
        watcher: Watcher,
    ) -> None:
        self._task, self._record, self._config = task, record, config
        self._watcher = watcher
        seed = record.member.seed

        # Worlds with the random streams of ``train``, so that both trainers start from the same states
        self._population = Population(task, 1, config.hidden)
        worlds = Worlds(
            task, make_simulator(task.model, config.worlds, threads=threads), streams(config.worlds, "worlds", seed)
        )
        self._worlds = WorldsVecEnv(worlds, self._population)
        self._env = VecNormalize(self._worlds, norm_reward=False, gamma=config.gamma)

        # Labelling, checkpoints and reward scale are those of ``train``
        self._labelling = Labelling([record.member], config.worlds * config.rollout)
        self._examiner = Examiner(task, [record.member], self._labelling, config.checkpoint_episodes, threads)
        self._scale = RewardScale(1, config.worlds, config.gamma)
        self._goals, self._explored = 0, 0
        self._checkpoints = 0

        # PPO with the settings of ``train``
        length = rollout_lengths(config)[0]
        rate, anneal = config.learning_rate, config.anneal
        with warnings.catch_warnings():
            # Ignore the advice to choose a minibatch size that divides the rollout
            warnings.filterwarnings("ignore", message="You have specified a mini-batch size", category=UserWarning)
            self._model = PPO(
                "MlpPolicy",
                self._env,
                learning_rate=(lambda remaining: rate * min(1.0, remaining / anneal)) if anneal else rate,
                n_steps=length,
                batch_size=max(2, -(-length * config.worlds // config.minibatches)),
                n_epochs=config.epochs,
                gamma=config.gamma,
                gae_lambda=config.gae_lambda,
                clip_range=config.clip_range,
                ent_coef=config.entropy,
                vf_coef=config.value_weight,
                max_grad_norm=config.max_grad_norm,
                rollout_buffer_class=LabelledBuffer,
                rollout_buffer_kwargs={"reference": self},
                policy_kwargs={
                    "net_arch": {"pi": list(config.hidden), "vf": list(config.hidden)},
                    "activation_fn": torch.nn.Tanh,
                    "log_std_init": math.log(config.initial_std),
                },
                seed=stream_seed("sb3", seed) % 2**32,
                device="cpu",
            )

        self._model.set_logger(Logger(None, []))  # the default logger creates a folder

    def learn(self) -> None:
        """Run the whole training.

        Raises:
            RewardFailed: the member's reward failed.
        """
        self._model.learn(self._config.steps, callback=_AfterUpdates(self))

    def parameters(self) -> Iterable[Tensor]:
        return iter(self._model.policy.parameters())

    def label(self) -> np.ndarray:
        """Return the scaled rewards ``(T, W)`` of the transitions since the last call.

        Raises:
            RewardFailed: the member's reward failed.
        """
        # Stack the transitions, (T · W, ·)
        states, commands, next_states, ended = (
            torch.stack(parts) for parts in zip(*self._worlds.transitions, strict=True)
        )
        self._worlds.transitions.clear()
        states, commands, next_states = states.flatten(0, 1), commands.flatten(0, 1), next_states.flatten(0, 1)
        self._labelling.submit(states[None], commands[None], next_states[None], [True])
        layout = self._task.layout
        # Count the goal transitions while the sandbox labels
        paid, _ = self._task.sparse_reward(State(layout, states), commands, State(layout, next_states))
        self._goals += int((paid > 0).sum())
        self._explored += len(paid)

        # Collect and scale the rewards
        rewards = torch.empty(1, len(paid))
        failures = self._labelling.collect(rewards)
        if failures:
            raise RewardFailed("output", failures[0])
        return self._scale(rewards.view(1, *ended.shape), ended.unsqueeze(0))[0].numpy()

    def after_update(self, steps: int) -> None:
        """Make a checkpoint if one is due, and report progress; ``steps`` are environment steps."""
        self._record.steps = steps
        passed = min(steps * self._config.checkpoints // self._config.steps, self._config.checkpoints)
        if passed > self._checkpoints:
            self._checkpoints = passed
            self._examine(steps)
        self._watcher.progress(steps)

    @torch.no_grad()
    def _examine(self, steps: int) -> None:
        """Measure the present policy, add the checkpoint to the curve and report it."""
        self._copy_policy()
        point = self._examiner.examine(self._population.act, steps, [self._goals / self._explored], [True])[0]
        self._goals, self._explored = 0, 0
        if isinstance(point, RewardFailed):
            raise point
        self._record.add(point, lambda: self._population.weights(0))
        self._watcher.checkpoint(self._record.member.key, self._record.member.seed, point)

    def _copy_policy(self) -> None:
        """Copy Stable-Baselines3's networks and observation statistics into the population of one."""
        policy: Any = self._model.policy
        source: dict[str, Tensor] = {"policy.log_std": policy.log_std}
        for net, layers in (("policy", policy.mlp_extractor.policy_net), ("value", policy.mlp_extractor.value_net)):
            for i, linear in enumerate(layer for layer in layers if isinstance(layer, torch.nn.Linear)):
                source[f"{net}.{i}.weight"], source[f"{net}.{i}.bias"] = linear.weight, linear.bias
        source["policy.mean.weight"], source["policy.mean.bias"] = policy.action_net.weight, policy.action_net.bias
        source["value.out.weight"], source["value.out.bias"] = policy.value_net.weight, policy.value_net.bias
        for name, values in self._population.parameters.named(0).items():
            values.copy_(source[name])
        seen: Any = self._env.obs_rms
        self._population.scale.load(0, torch.from_numpy(seen.mean), torch.from_numpy(seen.var))


class _AfterUpdates(BaseCallback):
    """Calls ``after_update`` at the start of the next rollout and at the end, as there is no callback for updates."""

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self._reference = reference

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps:  # not before the first rollout
            self._reference.after_update(self.num_timesteps)

    def _on_training_end(self) -> None:
        self._reference.after_update(self.num_timesteps)


@contextmanager
def own_global_randomness() -> Iterator[None]:
    """Restore the global random generators on exit, because Stable-Baselines3 seeds them and draws from them."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
