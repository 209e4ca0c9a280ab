"""A process that steps Gymnasium environments for ``GymnasiumSim``. Runs under any Python that has gymnasium and numpy.

It imports nothing of rewardgen, because the interpreter may be another one, with packages that conflict with
rewardgen's. One JSON line on standard input says what to make, one on standard output describes the result; then both
sides send blocks whose sizes follow from those two lines:

    R  count, worlds (int32), seeds (int64)      reset these worlds
    S  actions (count of worlds, A) float32      step all worlds
    I                                            which sources have been provided
    V  world (int32)                             draw this world
    Q                                            end

``R`` and ``S`` are answered by ``K`` and the rows of all worlds, ``(worlds, columns)`` float32, ``I`` by ``K`` and one
byte for each source, 0 or 1, ``V`` by ``K``, height and width (int32) and the pixels, three bytes each; any of them by
``E`` and a message after an error.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import struct
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

import gymnasium
import numpy as np
from gymnasium.spaces import flatdim, flatten

LIMIT = 2000  # characters of an error message
STEP = "(observation, reward, terminated, truncated, info)"


class Fault(Exception):
    """An error of an environment: what, where, and what was expected instead."""


class Watch:
    """End the process with a message that locates the call when an environment takes longer than ``limit`` s.

    Args:
        fail: sends a message to the other side.
    """

    def __init__(self, limit: float, fail: Any) -> None:
        self.limit, self.fail = limit, fail
        self.method, self.began = "", 0.0
        self.main = threading.get_ident()
        threading.Thread(target=self.look, daemon=True).start()

    @contextlib.contextmanager
    def calling(self, method: str) -> Iterator[None]:
        self.method, self.began = method, time.monotonic()
        try:
            yield
        finally:
            self.began = 0.0

    def look(self) -> None:
        while True:
            time.sleep(min(1.0, self.limit / 10))
            began = self.began
            if began and time.monotonic() - began > self.limit:
                frames = traceback.extract_stack(sys._current_frames().get(self.main))
                where = deepest(frames) or "in its own package"
                self.fail(f"{self.method}() has not come back after {self.limit:g} s ({where}); correct it, or raise "
                          "environment.step_seconds if it needs longer")  # fmt: skip
                os._exit(1)


class Environments:
    """Own the environments of this process and the rows of their results, ``(worlds, columns)`` float32.

    A row holds the flattened observation, the requested quantities, reward, terminated and truncated.
    """

    def __init__(self, settings: dict[str, Any], watch: Watch) -> None:
        self.watch = watch
        if settings["folder"]:
            sys.path.append(settings["folder"])
        for name in settings["imports"]:
            importlib.import_module(name)
        arguments = settings["arguments"]
        if settings["pictures"]:
            probe = gymnasium.make(settings["id"], disable_env_checker=True, **arguments)
            modes = list((probe.metadata or {}).get("render_modes") or [])
            probe.close()
            if "rgb_array" not in modes:
                raise Fault(f'it has no render mode "rgb_array"; its metadata["render_modes"] are {modes}')
            arguments = {**arguments, "render_mode": "rgb_array"}
        self.environments = [
            gymnasium.make(settings["id"], disable_env_checker=True, **arguments) for _ in range(settings["count"])
        ]
        first = self.environments[0]
        self.choices = options(first.action_space)
        if not self.choices and not isinstance(first.action_space, gymnasium.spaces.Box):
            raise ValueError(f"the actions must be numbers or choices (Box, Discrete, MultiDiscrete, MultiBinary), not "
                             f"{first.action_space}")  # fmt: skip
        # Without a seed, episodes could not be reproduced
        parameters = inspect.signature(first.unwrapped.reset).parameters.values()
        if not any(each.name == "seed" or each.kind is each.VAR_KEYWORD for each in parameters):
            raise self.fault("reset", "takes no seed; Gymnasium's is reset(self, *, seed=None, options=None)")
        # Columns of the rows
        self.sources = [(source["path"], source["start"], source["stop"]) for source in settings["sources"]]
        self.found = [False for _ in self.sources]
        self.observation_size = flatdim(first.observation_space)
        width = self.observation_size + sum(stop - start for _, start, stop in self.sources) + 3
        self.rows = np.zeros((settings["count"], width), np.float32)

    def picture(self, world: int) -> np.ndarray:
        """Draw one environment, ``(height, width, 3)`` uint8."""
        with self.blaming("render"):
            with self.watch.calling("render"):
                result: Any = self.environments[world].render()
            pixels = np.asarray(result)
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                raise self.fault("render", f"gives {described(result)}; rgb_array is (height, width, 3) of uint8")
            return np.ascontiguousarray(pixels)

    def about(self) -> dict[str, Any]:
        first = self.environments[0]
        space: Any = first.action_space
        spec = first.spec
        step = getattr(first.unwrapped, "dt", None)
        return {
            "observation_size": self.observation_size,
            "columns": self.rows.shape[1],
            "low": [0.0] * sum(self.choices) or space.low.astype(float).reshape(-1).tolist(),
            "high": [1.0] * sum(self.choices) or space.high.astype(float).reshape(-1).tolist(),
            "choices": self.choices,
            "action_shape": list(space.shape),
            "action_start": np.broadcast_to(getattr(space, "start", 0), space.shape).reshape(-1).tolist(),
            "horizon": spec.max_episode_steps if spec is not None else None,
            "control_step": float(step) if isinstance(step, (int, float)) else None,
            "render_fps": float((first.metadata or {}).get("render_fps") or 0.0),
        }

    def reset(self, world: int, seed: int) -> None:
        environment = self.environments[world]
        with self.blaming("reset"):
            # some wrappers draw before they pass the seed on, and some environments ignore it
            with contextlib.suppress(AttributeError):  # a generator of its own, which follows from the seed
                environment.unwrapped.np_random = np.random.default_rng(seed)
            with self.watch.calling("reset"):
                result: Any = environment.reset(seed=seed)
            if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
                raise self.fault("reset", f"gives {described(result)}; Gymnasium's gives (observation, info)")
            self.tell(world, "reset", result[0], result[1], 0.0, False, False)

    def step(self, actions: np.ndarray) -> None:
        for world, (environment, action) in enumerate(zip(self.environments, actions)):  # noqa: B905  (Python 3.9)
            space: Any = environment.action_space
            with self.blaming("step"):
                with self.watch.calling("step"):
                    result: Any = environment.step(self.applied(space, action))
                if not isinstance(result, tuple) or len(result) != 5 or not isinstance(result[4], dict):
                    raise self.fault("step", f"gives {described(result)}; Gymnasium's gives {STEP}")
                observation, reward, terminated, truncated, info = result
                if np.shape(reward) != () or reward is None:
                    raise self.fault("step", f"gives {described(reward)} as the reward; a single number is expected")
                self.tell(world, "step", observation, info, float(reward), bool(terminated), bool(truncated))

    def applied(self, space: Any, action: np.ndarray) -> Any:
        """Convert the columns of ``action`` to the environment's own action format."""
        if not self.choices:
            return np.clip(action.reshape(space.shape), space.low, space.high).astype(space.dtype)
        # The largest column of each component is the option taken; spaces may count from another start
        taken = [int(part.argmax()) for part in np.split(action, np.cumsum(self.choices)[:-1])]
        if isinstance(space, gymnasium.spaces.Discrete):
            return space.dtype.type(taken[0] + space.start)
        return (np.array(taken).reshape(space.shape) + getattr(space, "start", 0)).astype(space.dtype)

    def tell(
        self,
        world: int,
        method: str,
        observation: Any,
        info: dict[str, Any],
        reward: float,
        terminated: bool,
        truncated: bool,
    ) -> None:
        row, space = self.rows[world], self.environments[world].observation_space
        try:
            flat = np.asarray(flatten(space, observation), np.float32)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise self.fault(method, f"gives an observation that does not fit {space} ({why})") from error
        if flat.shape != (self.observation_size,):
            raise self.fault(method, f"gives {described(observation)} as the observation; its space is {space}")
        row[: self.observation_size] = flat
        column = self.observation_size
        for number, (path, start, stop) in enumerate(self.sources):
            try:
                told = values(path, observation, info, reward)
            except (TypeError, ValueError, RuntimeError) as error:
                raise self.fault(method, f"gives {'.'.join(path)} as what is no number ({error})") from error
            if told is None:
                told = np.zeros(stop, np.float32)
            else:
                self.found[number] = True
            if len(told) < stop:
                raise self.fault(method, f"gives {'.'.join(path)} of {len(told)} numbers; there is no [{start}:{stop}]")
            row[column : column + stop - start] = told[start:stop]
            column += stop - start
        row[column:] = reward, terminated, truncated

    @contextlib.contextmanager
    def blaming(self, method: str) -> Iterator[None]:
        """Convert exceptions inside the block to a Fault of the environment's ``method``, with its location."""
        try:
            yield
        except Fault:
            raise
        except Exception as error:
            failed = f"{method}() failed: {type(error).__name__}: {error}"
            raise Fault(f"{failed} ({place(error.__traceback__) or self.place(method)})") from error

    def fault(self, method: str, message: str) -> Fault:
        return Fault(f"{method}() {message} ({self.place(method)})")

    def place(self, method: str) -> str:
        """Return where the environment's class defines ``method``: file and line, or the class name."""
        environment = type(self.environments[0].unwrapped)
        try:
            function = inspect.unwrap(getattr(environment, method))
            return f"{inspect.getsourcefile(function)}, line {inspect.getsourcelines(function)[1]}"
        except (OSError, TypeError):
            return environment.__name__


def place(trace: TracebackType | None) -> str:
    """Return the innermost location outside of this file and Gymnasium; empty if there is none."""
    return deepest(traceback.extract_tb(trace))


def deepest(frames: Any) -> str:
    """Describe the last of ``frames`` outside of this file and Gymnasium; empty if there is none."""
    ours = (__file__, os.path.dirname(gymnasium.__file__), "<frozen")
    others = [frame for frame in frames if not frame.filename.startswith(ours)]
    return f"{others[-1].filename}, line {others[-1].lineno}" if others else ""


def described(value: Any) -> str:
    """Describe a value briefly: the number of values, a shape, or the value itself."""
    if isinstance(value, tuple):
        return f"{len(value)} values"
    shape = getattr(value, "shape", ())
    return f"an array of shape {tuple(shape)}" if len(shape) else f"{type(value).__name__} {value!r}"[:80]


def options(space: Any) -> list[int]:
    """Return the number of options of each component of a discrete action space; empty for other spaces."""
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(count) for count in space.nvec.reshape(-1)]
    if isinstance(space, spaces.MultiBinary):
        return [2] * int(np.prod(space.shape))
    return []


def values(path: list[str], observation: Any, info: dict[str, Any], reward: float = 0.0) -> np.ndarray | None:
    """Return the numbers at ``path`` as a flat array: ["observation", "goal"], ["info", "success"] or ["reward"].

    None if ``info`` lacks the key, as it does at the reset of many environments.
    """
    if path[0] == "reward":
        return np.array([reward], np.float32)
    value: Any = observation if path[0] == "observation" else info
    for key in path[1:]:
        if path[0] == "info" and key not in value:
            return None
        value = value[key]
    return np.asarray(value, dtype=np.float32).reshape(-1)


def serve(settings: dict[str, Any], incoming: BinaryIO, outgoing: BinaryIO) -> None:
    # Make the environments and describe them
    made = Environments(settings, Watch(settings["step_seconds"], lambda message: fail(outgoing, message)))
    about = made.about()
    outgoing.write(json.dumps(about).encode() + b"\n")
    outgoing.flush()
    # Then answer commands until the other side ends
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
        elif command == b"I":
            outgoing.write(b"K" + bytes(made.found))
            outgoing.flush()
            continue
        elif command == b"V":
            (world,) = struct.unpack("<i", take(incoming, 4))
            pixels = made.picture(world)
            outgoing.write(b"K" + struct.pack("<ii", *pixels.shape[:2]) + pixels.tobytes())
            outgoing.flush()
            continue
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


def fail(outgoing: BinaryIO, text: str) -> None:
    message = text[:LIMIT].encode()
    outgoing.write(b"E" + struct.pack("<i", len(message)) + message)
    outgoing.flush()


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
        where = place(error.__traceback__)
        named = str(error) if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
        if where and not isinstance(error, Fault):
            named += f" ({where})"
        fail(outgoing, named)
        sys.exit(1)


if __name__ == "__main__":
    main()
