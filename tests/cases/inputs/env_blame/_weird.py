"""Environments with one mistake each."""

import time

import gymnasium
import numpy as np
from gymnasium import spaces


class Base(gymnasium.Env):
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def told(self):
        return self.x.astype(np.float32), {"is_success": bool(abs(self.x[0]) < 0.1), "dist": float(abs(self.x[0]))}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = self.np_random.uniform(-1, 1, 2), 0
        return self.told()

    def step(self, action):
        self.t += 1
        self.x += 0.1 * float(np.asarray(action).reshape(-1)[0])
        observation, info = self.told()
        return observation, -float(abs(self.x[0])), False, False, info


class ArrReward(Base):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, np.array([reward]), *rest


class Hangs(Base):
    def step(self, action):
        if self.t == 5:
            time.sleep(3600)
        return super().step(action)


class InfAct(Base):
    action_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)


class NanObs(Base):
    def told(self):
        observation, info = super().told()
        return observation * (np.nan if self.t > 5 else 1), info


class OldReset(Base):
    def reset(self):
        return super().reset()


class OldResetObs(Base):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class OldStep(Base):
    def step(self, action):
        observation, reward, done, _, info = super().step(action)
        return observation, reward, done, info


class OwnRng(Base):
    @property
    def np_random(self):
        return np.random.default_rng(0)


class StrInfo(Base):
    def told(self):
        return super().told()[0], {"is_success": "yes", "dist": 0.1}


class TextObs(Base):
    observation_space = spaces.Dict({"x": spaces.Box(-9, 9, (2,)), "mission": spaces.Text(20)})

    def told(self):
        observation, info = super().told()
        return {"x": observation, "mission": "go to the goal"}, info


class Torchy(Base):
    def step(self, action):
        import torch

        *rest, info = super().step(action)
        return *rest, {**info, "dist": torch.tensor(info["dist"], requires_grad=True)}


class WrongShape(Base):
    def told(self):
        observation, info = super().told()
        return np.append(observation, np.float32(0)), info


for kind in Base.__subclasses__():
    gymnasium.register(f"W/{kind.__name__}-v0", entry_point=kind)
