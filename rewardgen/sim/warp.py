"""Simulate worlds on a GPU by ``mujoco_warp``, with its arrays as torch tensors. Tests use its CPU device.

Only the constructor, ``render`` and ``check`` wait for the device.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import mujoco
import numpy as np
import torch
from torch import Tensor

from rewardgen.errors import SimulationFailed
from rewardgen.sim.base import STATE, Simulator
from rewardgen.sim.buffers import buffer_sizes
from rewardgen.sim.derived import POST_CONSTRAINT, keeps_current, keeps_post_constraint, not_kept
from rewardgen.sim.rendering import render_model

try:
    import warp as wp

    wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)  # it would print a line for each kernel it loads
    import mujoco_warp as mjw
except ImportError as error:
    raise SimulationFailed(
        f"simulating on a GPU needs the package mujoco-warp ({error}): pip install 'rewardgen[gpu]', or choose "
        "--sim mujoco, which steps the worlds on processor threads"
    ) from error

_logger = logging.getLogger("rewardgen.sim")

_STATE = tuple(name for name in STATE if name != "plugin_state")  # mujoco_warp has no plugins
"""All that the next step of a world depends on."""
_OF_POSITION = (
    "xpos",
    "xquat",
    "xmat",
    "xipos",
    "ximat",
    "xanchor",
    "xaxis",
    "geom_xpos",
    "geom_xmat",
    "site_xpos",
    "site_xmat",
    "cam_xpos",
    "cam_xmat",
    "light_xpos",
    "light_xdir",
    "subtree_com",
    "cdof",
    "cinert",
    "ten_length",
)
"""Derived fields that kinematics computes."""
_OF_DYNAMICS = (
    "sensordata",
    "energy",
    "actuator_length",
    "actuator_velocity",
    "actuator_force",
    "ten_velocity",
    "cvel",
    "cdof_dot",
    "subtree_linvel",
    "subtree_angmom",
    "act_dot",
    "qacc",
    "qacc_smooth",
    "qfrc_bias",
    "qfrc_spring",
    "qfrc_damper",
    "qfrc_gravcomp",
    "qfrc_fluid",
    "qfrc_passive",
    "qfrc_actuator",
    "qfrc_smooth",
    "qfrc_constraint",
    *POST_CONSTRAINT,
)
"""Derived fields that need the whole of ``mj_forward``."""

_Overflow = mjw.OverflowType
_SHARED_OVERFLOW = int(_Overflow.BROADPHASE | _Overflow.NARROWPHASE | _Overflow.CCD)
"""Buffers that all worlds share: whose contacts were lost is not known."""
_OWN_OVERFLOW = int(_Overflow.NEFC | _Overflow.NJMAX_NNZ | _Overflow.HFIELD | _Overflow.NVMAX | _Overflow.EPA_HORIZON)

_OVERFLOWS = _SHARED_OVERFLOW | _OWN_OVERFLOW


class WarpSim(Simulator):
    """Step ``num_worlds`` worlds of ``model`` on a CUDA device, in float32.

    Results agree with MuJoCo to float32 precision. On a GPU the order of summation is not fixed, so two runs agree no
    better. A world whose constraints exceed their buffer counts as diverged.

    A model that asks for the projected Gauss-Seidel solver is solved by Newton's method: both minimise the same convex
    function, and ``mujoco_warp`` has no Gauss-Seidel.

    Known difference: with MuJoCo's usual pyramidal friction, ``mujoco_warp`` 4.0 turns the pyramid about the
    normal where a capsule stands steeper than 60 degrees on a plane, so that friction there differs by direction. In a
    step of the ant that can change a velocity by several tenths. Elliptic cones agree.

    Args:
        model: what is simulated.
        num_worlds: how many.
        device: "cuda:0", …; "cpu" runs the same kernels on one processor thread.
        contacts: capacity for contacts per world, averaged over the worlds; None: from the model.
        rows: capacity for constraint rows (contacts, limits, …) of each world; None: from the model.

    Raises:
        SimulationFailed: the model uses something that ``mujoco_warp`` lacks, or there is no such device.
    """

    masked: ClassVar[bool] = True

    def __init__(
        self,
        model: mujoco.MjModel,
        num_worlds: int,
        device: torch.device | str = "cuda:0",
        *,
        contacts: int | None = None,
        rows: int | None = None,
    ) -> None:
        if num_worlds < 1:
            raise SimulationFailed(f"a simulation needs at least 1 world, not {num_worlds}")
        self.model = model
        self.num_worlds = num_worlds
        self._on = _warp_device(torch.device(device))
        self.device = torch.device(wp.device_to_torch(self._on))  # "cuda" with its number, as tensors have it
        self.dtype = torch.float32
        self._post_constraint, self._current = keeps_post_constraint(model), keeps_current(model)
        most_contacts, most_rows = buffer_sizes(model)
        self._contacts = most_contacts if contacts is None else contacts
        self._rows = most_rows if rows is None else rows
        if model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP:
            raise SimulationFailed("the model lets bodies sleep, which WarpSim does not support; choose --sim mujoco")
        with wp.ScopedDevice(self._on):
            try:
                self._model = mjw.put_model(_with_known_solver(model))
                self._data = mjw.make_data(model, num_worlds, nconmax=self._contacts, njmax=self._rows)
            except (NotImplementedError, ValueError) as error:
                raise SimulationFailed(
                    f"mujoco_warp cannot simulate this model: {str(error).rstrip('.')}; choose --sim mujoco, which can"
                ) from error
        self._model.opt.graph_conditional = not self._on.is_cuda or wp.is_conditional_graph_supported()
        self._model.opt.warn_overflow = int(_Overflow.NONE)  # reported by ``check`` instead
        self._mjdata = mujoco.MjData(model)
        self._fields: dict[str, Tensor] = {}
        self._derived: dict[str, Tensor] = {}
        self._graphs: dict[tuple[str, int], Any] = {}  # keyed by function and number of substeps
        self._state = {name: self.field(name) for name in _STATE if getattr(self._data, name).size}
        self._defaults = {name: values[:1].clone() for name, values in self._state.items()}
        self._ctrl, self._qpos, self._qvel = (self.field(name) for name in ("ctrl", "qpos", "qvel"))
        self._qacc = wp.to_torch(self._data.qacc)
        self._overflow = wp.to_torch(self._data.overflow)
        self._overflowed = torch.zeros_like(self._overflow)
        wp.synchronize_device(self._on)  # the arrays were filled on another stream than torch's

    def field(self, name: str) -> Tensor:
        if name in self._fields:
            return self._fields[name]
        if name in POST_CONSTRAINT and not self._post_constraint:
            raise SimulationFailed(not_kept(name))
        if name not in (*_STATE, *_OF_POSITION, *_OF_DYNAMICS):
            what = "WarpSim keeps" if hasattr(self._mjdata, name) else "MuJoCo's data has"
            raise SimulationFailed(f"{what} no field {name!r}; --sim mujoco has all that can be bound to many worlds")
        array = getattr(self._data, name)
        shape = (self.num_worlds, *np.shape(getattr(self._mjdata, name)))
        shape = shape if name != "time" else (self.num_worlds,)
        # Use MuJoCo's shapes; an array without elements becomes an empty tensor
        tensor = wp.to_torch(array).view(shape) if array.size else torch.zeros(shape, device=self.device)
        self._fields[name] = tensor
        if name not in _STATE:
            self._derived[name] = tensor
            self._compute_derived()
        return tensor

    def step(self, ctrl: Tensor, nstep: int) -> None:
        self._ctrl.copy_(ctrl)
        self._overflow.zero_()
        self._launch("step", nstep, lambda: self._substeps(nstep))
        self._overflowed |= self._overflow

    def _substeps(self, nstep: int) -> None:
        for _ in range(nstep):
            mjw.step(self._model, self._data)
        if self._post_constraint:
            mjw.rne_postconstraint(self._model, self._data)
        if self._current:  # as MuJoCo's mj_step1
            for stage in (mjw.fwd_position, mjw.sensor_pos, mjw.fwd_velocity, mjw.sensor_vel):
                stage(self._model, self._data)

    def diverged(self) -> Tensor:
        sound = (self._overflow & _OVERFLOWS) == 0
        for values in (self._qpos, self._qvel, self._qacc):  # where MuJoCo itself looks
            sound &= (values.abs() <= mujoco.mjMAXVAL).all(-1)
        return ~sound

    def reset(self, ids: Tensor) -> None:
        for name, values in self._state.items():
            values[ids] = self._defaults[name]

    def forward(self, ids: Tensor) -> None:
        chosen = torch.zeros(self.num_worlds, dtype=torch.bool, device=self.device)
        chosen.index_fill_(0, ids.to(self.device), True)
        # mujoco_warp computes all worlds: restore the derived fields of the others
        before = {name: values.clone() for name, values in self._derived.items()}
        self._compute_derived()
        _put_back(self._derived, before, chosen)

    def restart(self, ended: Tensor, write: Callable[[], None]) -> None:
        # Reset all worlds, then restore those whose episode goes on: no index leaves the device
        live = self._state | self._derived
        before = {name: values.clone() for name, values in live.items()}
        for name, values in self._state.items():
            values.copy_(self._defaults[name].expand_as(values))
        write()
        self._compute_derived()
        _put_back(live, before, ended)

    @property
    def device_bytes(self) -> int:
        return _array_bytes(self._data)

    def check(self) -> None:
        if (self._overflowed & _SHARED_OVERFLOW).any():
            raise SimulationFailed(
                f"{self.num_worlds} worlds had more contacts than the {self._contacts} each that there is room for; "
                "choose --sim mujoco, or make WarpSim with a larger number of contacts"
            )
        if (self._overflowed & _OWN_OVERFLOW).any():
            _logger.warning(
                "worlds ended as diverged because their constraints needed more than %d rows; choose --sim mujoco if "
                "that happens often",
                self._rows,
            )
        self._overflowed.zero_()

    def keep(self, ids: Tensor) -> WarpSim:
        kept = WarpSim(self.model, len(ids), self.device, contacts=self._contacts, rows=self._rows)
        for name, values in self._state.items():
            kept._state[name].copy_(values[ids])
        for name in self._derived:
            kept.field(name)
        return kept

    def render(self, world: int, width: int = 480, height: int = 360) -> np.ndarray:
        # MuJoCo draws: copy one world's state and recompute the rest
        data = mujoco.MjData(self.model)
        for name, values in self._state.items():
            value = values[world].cpu().numpy()
            setattr(data, name, float(value)) if name == "time" else np.copyto(
                getattr(data, name), value, casting="unsafe"
            )
        mujoco.mj_forward(self.model, data)
        return render_model(self.model, data, width, height)

    def _compute_derived(self) -> None:
        """Update the requested derived fields to the present state, in all worlds."""
        if not self._derived:
            return
        # Kinematics is much cheaper than a full forward
        if self._derived.keys() <= set(_OF_POSITION):
            self._launch("kinematics", 1, lambda: mjw.fwd_kinematics(self._model, self._data))
            return
        self._launch("forward", 1, self._forward_all)

    def _forward_all(self) -> None:
        mjw.forward(self._model, self._data)
        if self._post_constraint:
            mjw.rne_postconstraint(self._model, self._data)

    def _launch(self, what: str, count: int, body: Callable[[], None]) -> None:
        """Run ``body`` on torch's stream: the first time directly, which loads its kernels, then as a CUDA graph."""
        key = what, count
        stream = wp.stream_from_torch(torch.cuda.current_stream(self.device)) if self._on.is_cuda else None
        with wp.ScopedDevice(self._on):
            if key not in self._graphs:
                with wp.ScopedStream(stream, sync_enter=False):
                    body()
                self._graphs[key] = None
                return
            # Second call: the kernels are loaded, so the launches can be recorded
            if self._graphs[key] is None:
                with wp.ScopedCapture(device=self._on) as capture:
                    body()
                self._graphs[key] = capture.graph
            wp.capture_launch(self._graphs[key], stream=stream)


def _with_known_solver(model: mujoco.MjModel) -> mujoco.MjModel:
    if model.opt.solver != mujoco.mjtSolver.mjSOL_PGS:
        return model
    known = copy.copy(model)
    known.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    return known


def _array_bytes(record: Any) -> int:
    """Sum the bytes of all arrays in a dataclass, nested ones included."""
    parts = [getattr(record, item.name) for item in fields(record)]
    return sum(
        part.capacity if isinstance(part, wp.array) else _array_bytes(part) if is_dataclass(part) else 0
        for part in parts
    )


def _put_back(live: dict[str, Tensor], before: dict[str, Tensor], changed: Tensor) -> None:
    """Restore ``before`` in the fields ``live`` ``(n, ...)`` wherever ``changed`` ``(n,)`` is False."""
    for name, values in live.items():
        mask = changed.view(-1, *[1] * (values.dim() - 1))
        torch.where(mask, values, before[name], out=values)


def _warp_device(device: torch.device) -> Any:
    try:
        return wp.get_device(str(device))
    except (ValueError, RuntimeError) as error:
        raise SimulationFailed(
            f"there is no device {device} to simulate on ({error}); choose --sim mujoco, which needs none"
        ) from error
