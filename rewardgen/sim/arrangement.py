"""Choose the devices of a run's physics and learning.

    mujoco on cpu    everything on CPU threads; the reference, bit for bit repeatable
    warp on cuda     physics and learning on one GPU
    mujoco on cuda   physics on CPU threads, learning on a GPU: for many CPUs and a small model
    warp on cpu      the GPU code without a GPU: slow, for tests

Checkpoints and reported scores are evaluated by the same simulator on the same device as the training.
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
    """Describe where a run takes place.

    Attributes:
        sim: the simulator.
        device: where policies act and learn.
        why: the reason, for the report.
        environment: the environment that its own package simulates, if any.
    """

    sim: Kind = "mujoco"
    device: torch.device = _CPU
    why: str = "nothing else was asked for"
    environment: str = field(default="", compare=False)

    @property
    def physics_device(self) -> torch.device:
        """Device of the simulators' fields: always the CPU for MuJoCo."""
        return self.device if self.sim == "warp" else _CPU

    def simulator(self, model: Model, num_worlds: int, threads: int = 0) -> Simulator:
        """Make a simulator of ``num_worlds`` worlds of ``model``.

        Raises:
            SimulationFailed: the simulator does not support the model.
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

    "auto" uses a GPU only together with mujoco_warp: which of the other arrangements is faster depends on the machine
    and the model; measure with ``rewardgen bench --devices``.

    Args:
        sim: "auto", "mujoco" or "warp".
        device: "auto", "cpu", "cuda" or "cuda:N".
        model: what is simulated. If mujoco_warp does not support it, "auto" chooses MuJoCo.
        cpu_only: the reason why only MuJoCo on the CPU is possible, if any.

    Raises:
        ConfigError: the requested arrangement is not available here; the message says what is missing.
    """
    named = f"sim: {sim}, device: {device}"
    if isinstance(model, EnvironmentSpec):
        cpu_only = cpu_only or f"{model.id} is simulated by its own package, on the CPU"
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None or sim not in ("auto", "mujoco", "warp"):
        raise ConfigError(f"{named}: sim is auto, mujoco or warp, and device is auto, cpu, cuda or cuda:N")
    # Tasks that only their own package can simulate
    if cpu_only:
        if sim == "warp" or device.startswith("cuda"):
            raise ConfigError(f"{named}: {cpu_only}; leave both at auto")
        own = f"the package of {model.id}" if isinstance(model, EnvironmentSpec) else ""
        return Arrangement(why=cpu_only, environment=own)
    # What this machine has
    card, no_card = _card(device)
    no_warp = (
        "" if find_spec("mujoco_warp") is not None else "mujoco_warp is not installed (pip install 'rewardgen[gpu]')"
    )
    # Explicit requests fail rather than fall back
    if device.startswith("cuda") and no_card:
        raise ConfigError(f"{named}: {no_card}; use --device cpu or auto")
    if sim == "warp" and no_warp:
        raise ConfigError(f"{named}: {no_warp}")
    # Building a simulator to try the model is slow, so only where the answer decides
    if sim == "auto" and device != "cpu" and not no_card and not no_warp and model is not None:
        no_warp = _refused(model, card)
    # Prefer warp on a GPU; without one, MuJoCo on the CPU
    if sim == "auto":
        if device == "cpu":
            return Arrangement(why="device: cpu was asked for")
        if device == "auto" and (no_card or no_warp):
            return Arrangement(why=no_card or no_warp)
        chosen: Kind = "mujoco" if no_warp else "warp"
        return Arrangement(chosen, card, no_warp or f"torch sees {torch.cuda.get_device_name(card)}")
    if sim == "mujoco":
        return Arrangement("mujoco", _CPU if device == "auto" else card, f"{named} was asked for")
    # warp was requested and no device: use its slow CPU device
    if device == "auto" and no_card:
        return Arrangement("warp", why=f"sim: warp was asked for, and {no_card}")
    return Arrangement("warp", card, f"{named} was asked for")


def _card(device: str) -> tuple[torch.device, str]:
    """Resolve ``device`` to a GPU; otherwise return the CPU and the reason."""
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
    """Return why mujoco_warp cannot simulate ``model``; empty if it can."""
    try:
        make_simulator(model, 1, kind="warp", device=card)
    except SimulationFailed as error:
        return str(error)
    return ""
