"""Where a run's physics and its learning take place, and why there.

    mujoco on cpu    everything on processor threads; the reference, bit for bit repeatable
    warp on cuda     physics and learning on one graphics card
    mujoco on cuda   physics on processor threads, learning on a card: many processors and a small model
    warp on cpu      the card's code without a card: for tests, and slow

Checkpoints and reported scores are played where the training was, by the same simulator.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

import torch

from rewardgen.errors import ConfigError, SimulationFailed
from rewardgen.sim.base import Simulator
from rewardgen.sim.choice import Model, make_simulator
from rewardgen.sim.gymnasium import EnvironmentSpec

Kind = Literal["mujoco", "warp"]
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Arrangement:
    """``sim`` does the physics; ``device`` is where policies act and learn; ``why`` says why it is so.

    ``environment`` names the environment that its own package simulates, if one does.
    """

    sim: Kind = "mujoco"
    device: torch.device = _CPU
    why: str = "nothing else was asked for"
    environment: str = field(default="", compare=False)

    @property
    def physics_device(self) -> torch.device:
        """Where the simulators' fields live: MuJoCo's always with the processor."""
        return self.device if self.sim == "warp" else _CPU

    def simulator(self, model: Model, num_worlds: int, threads: int = 0) -> Simulator:
        """``num_worlds`` worlds of ``model``.

        Raises:
            SimulationFailed: the simulator refuses the model.
        """
        return make_simulator(model, num_worlds, kind=self.sim, device=self.physics_device, threads=threads)

    def __str__(self) -> str:
        physics = self.environment or ("mujoco_warp" if self.sim == "warp" else "MuJoCo")
        return f"physics by {physics} on {self.physics_device}, learning on {self.device}"


ON_CPU = Arrangement()


def arrange(
    sim: str = "auto",
    device: str = "auto",
    *,
    model: Model | None = None,
    cpu_only: str = "",
) -> Arrangement:
    """Decide where physics and learning take place.

    A card is used of itself only together with mujoco_warp: which of the other arrangements is faster depends on the
    machine and the model, and ``rewardgen bench --devices`` tells.

    Args:
        sim: "auto", "mujoco" or "warp".
        device: "auto", "cpu", "cuda" or "cuda:N".
        model: what is to be simulated. One that mujoco_warp refuses makes "auto" choose MuJoCo.
        cpu_only: why only MuJoCo on the processor will do, if that is so.

    Raises:
        ConfigError: what was asked for is not to be had here; the message says what is missing.
    """
    named = f"sim: {sim}, device: {device}"
    if isinstance(model, EnvironmentSpec):
        cpu_only = cpu_only or f"{model.id} is simulated by its own package, on the CPU"
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None or sim not in ("auto", "mujoco", "warp"):
        raise ConfigError(f"{named}: sim is auto, mujoco or warp, and device is auto, cpu, cuda or cuda:N")
    if cpu_only:
        if sim == "warp" or device.startswith("cuda"):
            raise ConfigError(f"{named}: {cpu_only}; leave both at auto")
        own = f"the package of {model.id}" if isinstance(model, EnvironmentSpec) else ""
        return Arrangement(why=cpu_only, environment=own)
    card, no_card = _card(device)
    no_warp = (
        "" if find_spec("mujoco_warp") is not None else "mujoco_warp is not installed (pip install 'rewardgen[gpu]')"
    )
    if device.startswith("cuda") and no_card:
        raise ConfigError(f"{named}: {no_card}; use --device cpu or auto")
    if sim == "warp" and no_warp:
        raise ConfigError(f"{named}: {no_warp}")
    if sim == "auto" and device != "cpu" and not no_card and not no_warp and model is not None:
        no_warp = _refused(model, card)
    if sim == "auto":
        if device == "cpu":
            return Arrangement(why="device: cpu was asked for")
        if device == "auto" and (no_card or no_warp):
            return Arrangement(why=no_card or no_warp)
        chosen: Kind = "mujoco" if no_warp else "warp"
        return Arrangement(chosen, card, no_warp or f"torch sees {torch.cuda.get_device_name(card)}")
    if sim == "mujoco":
        return Arrangement("mujoco", _CPU if device == "auto" else card, f"{named} was asked for")
    if device == "auto" and no_card:
        return Arrangement("warp", why=f"sim: warp was asked for, and {no_card}")
    return Arrangement("warp", card, f"{named} was asked for")


def _card(device: str) -> tuple[torch.device, str]:
    """The card that ``device`` means, or why there is none (then the device is the processor)."""
    if device == "cpu":
        return _CPU, "device: cpu was asked for"
    if not torch.cuda.is_available():
        build = "" if torch.version.cuda else ", whose build is for the CPU alone"
        return _CPU, f"torch {torch.__version__}{build} sees no CUDA device"
    number = int(device.partition(":")[2] or torch.cuda.current_device())
    if number >= torch.cuda.device_count():
        return _CPU, f"there is no cuda:{number}; torch sees {torch.cuda.device_count()} CUDA devices"
    return torch.device("cuda", number), ""


def _refused(model: Model, card: torch.device) -> str:
    """Why mujoco_warp cannot simulate ``model``; empty where it can."""
    try:
        make_simulator(model, 1, kind="warp", device=card)
    except SimulationFailed as error:
        return str(error)
    return ""
