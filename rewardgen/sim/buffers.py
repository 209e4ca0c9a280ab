"""Compute buffer sizes for contacts and constraints, which the GPU simulator cannot grow at run time."""

from __future__ import annotations

import mujoco
import numpy as np

_MOST_CONTACTS = 128
_MOST_ROWS = 512
"""Upper limits of the buffers: more at once are rare, and memory is limited."""

_Geom = mujoco.mjtGeom
_MANY = 50  # MuJoCo's mjMAXCONPAIR
_USUAL = 8  # box against box
_FEWER = {
    (_Geom.mjGEOM_PLANE, _Geom.mjGEOM_SPHERE): 1,
    (_Geom.mjGEOM_PLANE, _Geom.mjGEOM_CAPSULE): 2,
    (_Geom.mjGEOM_PLANE, _Geom.mjGEOM_ELLIPSOID): 1,
    (_Geom.mjGEOM_SPHERE, _Geom.mjGEOM_SPHERE): 1,
    (_Geom.mjGEOM_SPHERE, _Geom.mjGEOM_CAPSULE): 1,
    (_Geom.mjGEOM_SPHERE, _Geom.mjGEOM_CYLINDER): 1,
    (_Geom.mjGEOM_SPHERE, _Geom.mjGEOM_BOX): 1,
    (_Geom.mjGEOM_CAPSULE, _Geom.mjGEOM_CAPSULE): 2,
    (_Geom.mjGEOM_CAPSULE, _Geom.mjGEOM_BOX): 2,
}
_EQUALITY_ROWS = {mujoco.mjtEq.mjEQ_CONNECT: 3, mujoco.mjtEq.mjEQ_WELD: 6}


def buffer_sizes(model: mujoco.MjModel) -> tuple[int, int]:
    """Return the maximum numbers of contacts and constraint rows of a world of ``model``, capped.

    At least one row: without any, mujoco_warp 4.0 silently leaves velocities unchanged.
    """
    contacts, rows = _contacts_and_rows(model)
    for kind in model.eq_type:
        rows += _EQUALITY_ROWS.get(kind, 1)
    rows += int((model.dof_frictionloss > 0).sum() + (model.tendon_frictionloss > 0).sum())
    rows += 2 * int(model.jnt_limited.sum() + model.tendon_limited.sum())  # with a margin, both ends may be near
    return min(contacts, _MOST_CONTACTS), max(1, min(rows, _MOST_ROWS))


def _contacts_and_rows(model: mujoco.MjModel) -> tuple[int, int]:
    """Sum the maximum contacts of all pairs of geoms that can touch, and their constraint rows."""
    contacts = rows = 0
    for first, second, dimensions in _pairs(model):
        low, high = sorted((int(model.geom_type[first]), int(model.geom_type[second])))
        kinds = low, high
        many = _Geom.mjGEOM_HFIELD in kinds or _Geom.mjGEOM_SDF in kinds
        most = _MANY if many else _FEWER.get(kinds, _USUAL)
        elliptic = model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
        contacts += most
        rows += most * (dimensions if elliptic else max(1, 2 * (dimensions - 1)))
    return contacts, rows


def _pairs(model: mujoco.MjModel) -> list[tuple[int, int, int]]:
    """List the pairs of geoms that MuJoCo tests for collision, with the dimension of their contacts (condim)."""
    if model.nflex:
        return [(0, 0, 3)] * _MOST_CONTACTS  # flexible bodies can touch anywhere: fill the buffer
    pairs = [
        (int(first), int(second), int(size))
        for first, second, size in zip(model.pair_geom1, model.pair_geom2, model.pair_dim, strict=True)
    ]
    body, weld = model.geom_bodyid, model.body_weldid
    filter_parents = not model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_FILTERPARENT
    excluded = set(model.exclude_signature.tolist())
    for first in range(model.ngeom):
        for second in range(first + 1, model.ngeom):
            one, other = weld[body[first]], weld[body[second]]
            touching = (model.geom_contype[first] & model.geom_conaffinity[second]) | (
                model.geom_contype[second] & model.geom_conaffinity[first]
            )
            parents = weld[model.body_parentid[one]] == other or weld[model.body_parentid[other]] == one
            if not touching or one == other or (filter_parents and one and other and parents):
                continue
            low, high = sorted((int(body[first]), int(body[second])))
            if (low << 16) + high not in excluded:
                pairs.append((first, second, int(np.maximum(*model.geom_condim[[first, second]]))))
    return pairs
