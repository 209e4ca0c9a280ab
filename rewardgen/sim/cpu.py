"""Simulate worlds on CPU threads by ``mujoco.batch.Batch``, with its arrays as torch tensors."""

from __future__ import annotations

import warnings

import mujoco
import numpy as np
import torch
from mujoco import batch
from torch import Tensor

from rewardgen.errors import SimulationFailed
from rewardgen.saved import Saved, tensor
from rewardgen.sim.base import STATE, Simulator
from rewardgen.sim.derived import POST_CONSTRAINT, keeps_current, keeps_post_constraint, not_kept
from rewardgen.sim.rendering import render_model

_NO_STAGE = int(mujoco.mjtStage.mjSTAGE_NONE)


class MujocoSim(Simulator):
    """Step ``num_worlds`` worlds of ``model`` on ``threads`` CPU threads (0: all of them), in float64.

    Bit-identical to stepping each world with ``mj_step`` alone, at any number of threads.

    Raises:
        SimulationFailed: MuJoCo does not support batched stepping of the model.
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, threads: int = 0) -> None:
        if num_worlds < 1:
            raise SimulationFailed(f"a simulation needs at least 1 world, not {num_worlds}")
        self.model = model
        self.num_worlds = num_worlds
        self.device = torch.device("cpu")
        self.dtype = torch.float64
        marked, current = keeps_post_constraint(model), keeps_current(model)
        self._stage = int(mujoco.mjtStage.mjSTAGE_VEL) if current else _NO_STAGE
        self._sleeps = bool(model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP)
        self._threads = threads
        # One MjData per world: needed for contacts after the step, for updated fields, and for sleeping bodies
        persistent = marked or current or self._sleeps
        try:
            self._batch = batch.Batch(model, num_worlds, nthread=threads, persistent=persistent)
        except (RuntimeError, ValueError, TypeError) as error:
            raise SimulationFailed(f"MuJoCo cannot step {num_worlds} worlds of this model: {error}") from error
        self._fields: dict[str, Tensor] = {}
        self._post_constraint: dict[str, Tensor] = {}
        if marked:
            self._scratch = mujoco.MjData(model)
            for name in POST_CONSTRAINT:
                shape = (num_worlds, *getattr(self._scratch, name).shape)
                self._fields[name] = self._post_constraint[name] = torch.zeros(shape, dtype=torch.float64)
        self._ctrl, self._qpos, self._qvel = (self.field(name) for name in ("ctrl", "qpos", "qvel"))
        self._mark = self.field("xfrc_applied")[:, 0, 0]  # a force on the world itself, which moves nothing
        self._diverged = torch.zeros(num_worlds, dtype=torch.bool)
        self._all = torch.arange(num_worlds)
        self.reset(self._all)
        self.forward(self._all)

    def field(self, name: str) -> Tensor:
        tensor = self._fields.get(name)
        if tensor is None:
            if name not in batch.DATA_FIELDS:
                raise SimulationFailed(f"MuJoCo's data has no field {name!r} that can be bound to many worlds")
            if name in POST_CONSTRAINT:
                raise SimulationFailed(not_kept(name))
            with warnings.catch_warnings():
                # Torch has no read-only tensors and warns about derived fields; Simulator documents what may be written
                warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
                array = self._batch.bind(name)
                tensor = torch.from_numpy(array)
            if not array.flags.writeable:  # a derived field holds zeros from its binding to the next computation
                self._batch.forward()
            self._fields[name] = tensor
        return tensor

    def step(self, ctrl: Tensor, nstep: int) -> None:
        self._ctrl.copy_(ctrl)
        # MuJoCo answers a NaN or a huge number by resetting that world, which turns the mark from -0.0 into 0.0. The
        # clock would not show it in the first substep of an episode.
        before = self._mark.clone()
        self._mark.fill_(-0.0)
        try:
            self._batch.step(nstep=nstep, stage=self._stage)
        except batch.SimulationError as error:
            raise SimulationFailed(f"MuJoCo stopped in world {int(error.ids[0])}: {error}") from error
        intact = self._mark.signbit()
        self._mark.copy_(torch.where(intact, before, 0.0))
        # MuJoCo checks before each substep, not after the last one, and replaces a NaN in ctrl by 0
        for values in (self._ctrl, self._qpos, self._qvel):
            intact &= (values.abs() <= mujoco.mjMAXVAL).all(-1)
        self._diverged |= ~intact
        self._update_post_constraint(self._all)

    def diverged(self) -> Tensor:
        return self._diverged.clone()

    def reset(self, ids: Tensor) -> None:
        self._diverged[ids] = False
        self._batch.reset(ids.numpy(), stage=_NO_STAGE)

    def forward(self, ids: Tensor) -> None:
        try:
            self._batch.forward(ids.numpy())
        except batch.SimulationError as error:
            raise SimulationFailed(f"MuJoCo stopped in world {int(error.ids[0])}: {error}") from error
        self._update_post_constraint(ids)

    def keep(self, ids: Tensor) -> MujocoSim | None:
        if self._sleeps:  # which bodies sleep is in no writable field
            return None
        kept = MujocoSim(self.model, len(ids), self._threads)
        for name in self._fields:  # a derived field that is first asked for after a step would be a substep ahead
            kept.field(name)
        for name in STATE:
            kept.field(name).copy_(self.field(name)[ids])
        for name, values in self._post_constraint.items():
            kept._post_constraint[name].copy_(values[ids])
        kept._diverged.copy_(self._diverged[ids])
        return kept

    def save(self) -> dict[str, Tensor] | None:
        if self._sleeps:  # as in keep
            return None
        # Derived fields too: a task may read them before the next step.
        return {name: self.field(name).clone() for name in dict.fromkeys((*self._fields, *STATE))}

    def restore(self, saved: Saved) -> None:
        if unknown := sorted(set(saved) - set(batch.DATA_FIELDS)):
            raise ValueError(f"there are no fields {', '.join(unknown)}")
        fields = {name: self.field(name) for name in dict.fromkeys((*STATE, *saved))}  # binding one computes all
        for name, values in fields.items():
            values.copy_(tensor(saved, name, values, finite=False))
        self._diverged.zero_()  # saved between control steps, when diverged worlds have been reset already

    def _update_post_constraint(self, ids: Tensor) -> None:
        if not self._post_constraint:
            return
        arrays = [(getattr(self._scratch, name), tensor.numpy()) for name, tensor in self._post_constraint.items()]
        for world in ids.tolist():
            self._batch.get_data(world, self._scratch)
            mujoco.mj_rnePostConstraint(self.model, self._scratch)
            for source, target in arrays:
                target[world] = source

    def render(self, world: int, width: int = 480, height: int = 360) -> np.ndarray:
        data = self._batch.get_data(world)
        mujoco.mj_forward(self.model, data)
        return render_model(self.model, data, width, height)
