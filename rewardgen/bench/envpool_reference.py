"""EnvPool with Stable-Baselines3's PPO, the fastest that a user would put together on a CPU. Has its own interpreter.

It needs nothing of rewardgen, and rewardgen nothing of EnvPool:

    python -m venv envpool
    envpool/bin/pip install envpool==1.2.5 stable-baselines3==2.9.2 torch==2.13.0 gymnasium==1.4.0
    rewardgen bench --envpool envpool/bin/python
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

_WARM, _TIMED = 2, 12  # rollouts with their updates


def measure(job: dict[str, Any]) -> float:
    """Environment steps per second, simulation and learning, with observations normalised as rewardgen's are."""
    import envpool  # type: ignore[import-not-found]
    import gymnasium
    import numpy as np
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import VecEnv, VecNormalize

    class EnvPoolWorlds(VecEnv):
        """EnvPool's worlds as Stable-Baselines3 sees environments."""

        def __init__(self) -> None:
            self._pool = envpool.make(
                job["environment"],
                env_type="gymnasium",
                num_envs=job["worlds"],
                num_threads=job["threads"],
                seed=0,
            )
            size = self._pool.observation_space.shape
            space = gymnasium.spaces.Box(-np.inf, np.inf, size, np.float32)
            super().__init__(job["worlds"], space, self._pool.action_space)

        def reset(self) -> np.ndarray:
            return self._pool.reset()[0].astype(np.float32)

        def step_async(self, actions: np.ndarray) -> None:
            self._pool.send(actions.astype(np.float64))

        def step_wait(self) -> Any:
            seen, rewards, terminated, truncated, _ = self._pool.recv()
            ended = terminated | truncated
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            if ended.any():
                where = np.flatnonzero(ended)
                for i in where:
                    infos[i] = {"terminal_observation": seen[i], "TimeLimit.truncated": bool(truncated[i])}
                seen[where] = self._pool.reset(where)[0]
            return seen.astype(np.float32), rewards.astype(np.float32), ended, infos

        def close(self) -> None: ...

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [getattr(self, attr_name, None)] * self.num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    class Clock(BaseCallback):
        """When each rollout began, all updates before it done."""

        began: list[float]

        def _on_training_start(self) -> None:
            self.began = []

        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            self.began.append(time.perf_counter())

        def _on_training_end(self) -> None:
            self.began.append(time.perf_counter())

    torch.set_num_threads(1)  # on minibatches of this size its threads cost more than they do
    rows = job["worlds"] * job["rollout"]
    model = PPO(
        "MlpPolicy",
        VecNormalize(EnvPoolWorlds()),
        n_steps=job["rollout"],
        batch_size=rows // job["minibatches"],
        n_epochs=job["epochs"],
        learning_rate=job["learning_rate"],
        policy_kwargs={"net_arch": {"pi": job["hidden"], "vf": job["hidden"]}},
        device="cpu",
        seed=0,
    )
    model.set_logger(Logger(None, []))
    clock = Clock()
    model.learn((_WARM + _TIMED) * rows, callback=clock)
    return _TIMED * rows / (clock.began[_WARM + _TIMED] - clock.began[_WARM])


if __name__ == "__main__":
    print(json.dumps({"steps_per_s": measure(json.loads(sys.argv[1]))}))
