"""List the layers of a worker's confinement: what each prevents, and which of them ``strict`` requires."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Literal

Level = Literal["strict", "basic"]


@dataclass(frozen=True)
class Layer:
    """Describe one layer.

    Attributes:
        name: as it is reported.
        stops: what a program could do without it.
        needs: what the machine must provide.
        required: whether ``strict`` refuses to run without it.
    """

    name: str
    stops: str
    needs: str
    required: bool


# The position is the bit in FLAGS; not the order of set-up, which is in confine.py
LAYERS = (
    Layer("own user", "signals to, and files of, whoever runs rewardgen as root", "a server that runs as root", False),
    Layer("no new privileges", "gaining rights through a set-user-id program", "Linux", True),
    Layer("dies with the server", "a worker that outlives the run", "Linux", True),
    Layer("limits", "eating memory, processor time and disk; opening files", "Linux", True),
    Layer("no capabilities", "what is left of a superuser's rights", "Linux", True),
    Layer(
        "landlock",
        "reading or writing any file, TCP connections, signals to other processes",
        "Linux 5.13 or newer with Landlock switched on (lsm=...,landlock), and a container profile that allows it",
        True,
    ),
    Layer(
        "system-call filter",
        "opening files, sockets, programs, processes, debugging, and the kernel's less used entrances",
        "Linux with seccomp filters on x86-64 or aarch64",
        True,
    ),
    Layer("user namespace", "rights over anything that belongs to a user outside", "user namespaces", False),
    Layer("network namespace", "reaching any network or local service", "namespaces", False),
    Layer("process namespace", "seeing or signalling processes outside", "namespaces, and a /proc of one's own", False),
    Layer("ipc namespace", "shared memory and queues of other programs", "namespaces", False),
    Layer("mount namespace", "seeing mounts, and changes to them, outside", "namespaces", False),
    Layer("empty root", "naming any file at all", "namespaces", False),
    Layer("job object", "eating memory and processor time, starting processes, outliving the run", "Windows", False),
)

NAMES = tuple(layer.name for layer in LAYERS)


@dataclass(frozen=True)
class LayerReport:
    """Say whether a layer is in force on this machine."""

    layer: Layer
    in_force: bool

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def stops(self) -> str:
        return self.layer.stops

    @property
    def required(self) -> bool:
        """Whether ``strict`` refuses to run without it."""
        return self.layer.required

    def __str__(self) -> str:
        if self.in_force:
            return f"{self.name}: in force"
        return f"{self.name}: absent; it would stop {self.stops}; it needs {self.layer.needs}"


def default_level() -> Level:
    """Return ``strict`` on Linux, where its layers exist; else ``basic``."""
    return "strict" if sys.platform == "linux" else "basic"


def flags_of(in_force: set[str]) -> int:
    return sum(1 << bit for bit, name in enumerate(NAMES) if name in in_force)


def names_of(flags: int) -> tuple[str, ...]:
    return tuple(name for bit, name in enumerate(NAMES) if flags >> bit & 1)


def reports(in_force: tuple[str, ...]) -> list[LayerReport]:
    """Report on every layer that applies to this machine."""
    # Leave out layers that could never apply: an ordinary user has no root to give up
    elsewhere = set()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        elsewhere.add("own user")
    if sys.platform != "win32":
        elsewhere.add("job object")
    return [LayerReport(layer, layer.name in in_force) for layer in LAYERS if layer.name not in elsewhere]


def missing(in_force: tuple[str, ...]) -> list[Layer]:
    """Return the layers that ``strict`` requires and that are not in force."""
    return [layer for layer in LAYERS if layer.required and layer.name not in in_force]


def refusal(absent: list[Layer]) -> str:
    """Explain why ``strict`` is impossible here and what to do."""
    told = "; ".join(f"no {layer.name}, which stops {layer.stops} and needs {layer.needs}" for layer in absent)
    return (
        f"the sandbox cannot be strict on this machine: {told}. Run where it can be, or go on with less protection "
        "against what a language model may write: --sandbox basic (sandbox.level: basic)"
    )


def surrender(in_force: tuple[str, ...]) -> str:
    """Describe the protection that ``basic`` lacks here; empty if it lacks none."""
    absent = missing(in_force)
    if not absent:
        return ""
    # What a program could do here that strict would prevent
    told = "; ".join(f"no {layer.name}: a program is not stopped from {layer.stops}" for layer in absent)
    if "job object" in in_force:
        told += "; only a job object bounds its memory and processor time, and keeps it from starting processes"
    return f"the sandbox is basic: {told}. Run reward code only from authors whom you trust this far"
