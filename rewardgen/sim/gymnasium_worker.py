"""A process that steps Gymnasium environments for ``GymnasiumSim``. Runs under any Python that has gymnasium and numpy.

It imports nothing of rewardgen, because the interpreter may be another one, with packages that cannot live beside
rewardgen's. One JSON line on standard input says what to make, one on standard output what came of it; then both sides
send blocks whose sizes follow from those two lines:

    R  count, worlds (int32), seeds (int64)      reset these worlds
    S  actions (count of worlds, A) float32      step all worlds
    Q                                            end

Each is answered by ``K`` and the rows of all worlds, ``(worlds, columns)`` float32, or by ``E`` and a message.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
import traceback
from typing import Any, BinaryIO

import gymnasium
import numpy as np
from gymnasium.spaces import flatdim, flatten

LIMIT = 2000  # characters of an error message


class Environments:
    """The environments of this process and the rows that are told of them.

    A row holds the flattened observation, then the asked-for quantities, then reward, terminated and truncated.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        if settings["folder"]:
            sys.path.append(settings["folder"])
        for name in settings["imports"]:
            importlib.import_module(name)
        self.environments = [
            gymnasium.make(settings["id"], disable_env_checker=True, **settings["arguments"])
            for _ in range(settings["count"])
        ]
        first = self.environments[0]
        if not isinstance(first.action_space, gymnasium.spaces.Box) or len(first.action_space.shape) != 1:
            raise ValueError(f"the actions must be a vector of numbers, not {first.action_space}")
        self.sources = [(source["path"], source["start"], source["stop"]) for source in settings["sources"]]
        self.observation_size = flatdim(first.observation_space)
        width = self.observation_size + sum(stop - start for _, start, stop in self.sources) + 3
        self.rows = np.zeros((settings["count"], width), np.float32)

    def about(self) -> dict[str, Any]:
        first = self.environments[0]
        space: Any = first.action_space
        spec = first.spec
        step = getattr(first.unwrapped, "dt", None)
        return {
            "observation_size": self.observation_size,
            "columns": self.rows.shape[1],
            "low": space.low.astype(float).tolist(),
            "high": space.high.astype(float).tolist(),
            "horizon": spec.max_episode_steps if spec is not None else None,
            "control_step": float(step) if isinstance(step, (int, float)) else None,
        }

    def reset(self, world: int, seed: int) -> None:
        environment = self.environments[world]
        # some wrappers draw before they hand the seed on, and some environments do not take it
        environment.unwrapped.np_random = np.random.default_rng(seed)
        observation, info = environment.reset(seed=seed)
        self.tell(world, observation, info, 0.0, False, False)

    def step(self, actions: np.ndarray) -> None:
        for world, (environment, action) in enumerate(zip(self.environments, actions, strict=True)):
            space: Any = environment.action_space
            result = environment.step(np.clip(action, space.low, space.high).astype(space.dtype))
            self.tell(world, result[0], result[4], float(result[1]), bool(result[2]), bool(result[3]))

    def tell(
        self, world: int, observation: Any, info: dict[str, Any], reward: float, terminated: bool, truncated: bool
    ) -> None:
        row = self.rows[world]
        row[: self.observation_size] = flatten(self.environments[world].observation_space, observation)
        column = self.observation_size
        for path, start, stop in self.sources:
            told = values(path, stop, observation, info)
            if len(told) < stop:
                raise ValueError(f"{'.'.join(path)} has {len(told)} numbers; there is no [{start}:{stop}]")
            row[column : column + stop - start] = told[start:stop]
            column += stop - start
        row[column:] = reward, terminated, truncated


def values(path: list[str], stop: int, observation: Any, info: dict[str, Any]) -> np.ndarray:
    """The numbers that ``path`` names, flat: ["observation"], ["observation", "desired_goal"], ["info", "success"].

    An ``info`` without the key, as many environments give at a reset, has zeros up to ``stop``.
    """
    value: Any = observation if path[0] == "observation" else info
    for key in path[1:]:
        if path[0] == "info" and key not in value:
            return np.zeros(stop, np.float32)
        value = value[key]
    return np.asarray(value, dtype=np.float32).reshape(-1)


def serve(settings: dict[str, Any], incoming: BinaryIO, outgoing: BinaryIO) -> None:
    made = Environments(settings)
    about = made.about()
    outgoing.write(json.dumps(about).encode() + b"\n")
    outgoing.flush()
    count, size = len(made.environments), len(about["low"])
    while True:
        command = incoming.read(1)
        if command == b"R":
            (k,) = struct.unpack("<i", take(incoming, 4))
            worlds = np.frombuffer(take(incoming, 4 * k), "<i4")
            seeds = np.frombuffer(take(incoming, 8 * k), "<i8")
            for world, seed in zip(worlds.tolist(), seeds.tolist(), strict=True):
                made.reset(world, seed)
        elif command == b"S":
            made.step(np.frombuffer(take(incoming, 4 * count * size), "<f4").reshape(count, size))
        else:  # "Q", or the other side is gone
            break
        outgoing.write(b"K" + made.rows.astype("<f4").tobytes())
        outgoing.flush()
    for environment in made.environments:
        environment.close()


def take(incoming: BinaryIO, size: int) -> bytes:
    content = incoming.read(size)
    if len(content) != size:
        raise EOFError("the other side ended in the middle of a message")
    return content


def main() -> None:
    incoming = sys.stdin.buffer
    # what an environment prints must not get between the messages
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        serve(json.loads(incoming.readline()), incoming, outgoing)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
    except Exception as error:
        lines = traceback.extract_tb(error.__traceback__)
        place = f" (in {os.path.basename(lines[-1].filename)}, line {lines[-1].lineno})" if lines else ""
        message = f"{type(error).__name__}: {error}{place}"[:LIMIT].encode()
        outgoing.write(b"E" + struct.pack("<i", len(message)) + message)
        outgoing.flush()
        sys.exit(1)


if __name__ == "__main__":
    main()
