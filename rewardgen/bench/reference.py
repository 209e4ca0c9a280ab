"""What a user would train with otherwise: Stable-Baselines3's PPO on ``gymnasium.make``, or on EnvPool's worlds."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import gymnasium
import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from rewardgen.bench import envpool_reference
from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.sim import available_threads

_ROLLOUTS = 2  # number of timed rollouts of Stable-Baselines3's default length
_FIRST_START = 1_000_000  # seed of the checkpoints' start states, far from the trainings' seeds
_LONGEST = 300.0  # max. seconds of one measurement with EnvPool


def sb3_rate(gymnasium_id: str) -> float:
    """Return steps per second of Stable-Baselines3's PPO with its defaults, simulation and learning together."""
    environment = gymnasium.make(gymnasium_id)
    try:
        model = _model(environment, seed=0)
        steps = _ROLLOUTS * model.n_steps
        started = time.perf_counter()
        model.learn(steps)
        return steps / (time.perf_counter() - started)
    finally:
        environment.close()


def sb3_curve(gymnasium_id: str, seed: int, steps: int, *, every: int, episodes: int) -> tuple[tuple[int, float], ...]:
    """Train for ``steps``; play ``episodes`` deterministic episodes after the first update past each ``every``.

    Returns:
        (steps, mean return) of each checkpoint.
    """
    environment = gymnasium.make(gymnasium_id)
    games = DummyVecEnv([lambda: gymnasium.make(gymnasium_id)] * episodes)
    try:
        model = _model(environment, seed)
        examiner = _Examiner(games, every, seed)
        model.learn(steps, callback=examiner)
        return tuple(examiner.points)
    finally:
        environment.close()
        games.close()


def envpool_rate(python: Path, gymnasium_id: str, config: TrainingConfig, worlds: int, threads: int = 0) -> float:
    """Return steps per second of Stable-Baselines3's PPO on EnvPool's worlds, with ``config``'s networks and epochs.

    Args:
        python: the interpreter of a separate environment; ``envpool_reference`` says what it needs.
        worlds: of the one training; a minibatch grows with them.

    Raises:
        UsageError: that interpreter cannot run it; the message has its output.
    """
    job = {
        "environment": gymnasium_id,
        "worlds": worlds,
        "rollout": config.rollout,
        "minibatches": config.minibatches,
        "epochs": config.epochs,
        "hidden": list(config.hidden),
        "learning_rate": config.learning_rate,
        "threads": threads or available_threads(),
    }
    # -P: the other interpreter must not import this package
    command = [str(python), "-P", envpool_reference.__file__, json.dumps(job)]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--envpool {python}: {error}") from error
    if process.returncode != 0:
        output = (process.stderr.strip() or "nothing").splitlines()[-1]
        raise UsageError(f"--envpool {python} could not run the comparison, it said: {output}")
    return float(json.loads(process.stdout.splitlines()[-1])["steps_per_s"])


def _model(environment: gymnasium.Env, seed: int) -> PPO:
    """Return an untrained PPO with the defaults."""
    model = PPO("MlpPolicy", environment, device="cpu", seed=seed)
    model.set_logger(Logger(None, []))  # otherwise it writes a folder of logs
    return model


class _Examiner(BaseCallback):
    """Measures returns of whole episodes of the deterministic policy, from the same start states every time."""

    def __init__(self, environments: DummyVecEnv, every: int, seed: int) -> None:
        super().__init__()
        self.points: list[tuple[int, float]] = []
        self._environments, self._every, self._seed = environments, every, seed

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:  # right after an update
        self._examine_if_due()

    def _on_training_end(self) -> None:
        self._examine_if_due()

    def _examine_if_due(self) -> None:
        """Take a checkpoint if the next one is due."""
        if self.num_timesteps // self._every > len(self.points):
            self.points.append((self.num_timesteps, self._play()))

    def _play(self) -> float:
        """Return the mean return of one episode per environment."""
        environments = self._environments
        environments.seed(_FIRST_START + self._seed)
        observation = environments.reset()
        returns = np.zeros(environments.num_envs)
        running = np.ones(environments.num_envs, dtype=bool)
        while running.any():
            action, _ = self.model.predict(observation, deterministic=True)  # type: ignore[arg-type]
            observation, rewards, ended, _ = environments.step(action)
            returns += np.where(running, rewards, 0.0)
            running &= ~ended
        return float(returns.mean())
