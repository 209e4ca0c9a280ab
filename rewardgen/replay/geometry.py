"""The visible part of a model: its shapes, the bodies that carry them, and the view.

It is written once for each task; a replay then only holds how the bodies move. What is visible, and in which colour, is
what MuJoCo's own viewer shows by default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

_MAX_OBJECTS = 20_000  # max. number of objects in a scene
_KINDS = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): "plane",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
    int(mujoco.mjtGeom.mjGEOM_MESH): "mesh",
}
KINDS = tuple(_KINDS.values())
_ELEVATION = -20.0  # degrees: MuJoCo's default of -45 looks at a robot from above
_TRACKING = (int(mujoco.mjtCamLight.mjCAMLIGHT_TRACK), int(mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM))


@dataclass(frozen=True)
class Geom:
    """One object to draw, in the frame of the body that carries it.

    ``kind`` is one of ``KINDS``; ``size`` is MuJoCo's for that kind, in metres (half lengths; a plane of size 0 is
    infinite); ``rgba`` is in [0, 1]; ``track`` is the index of the moving body, -1 for what is fixed in the world;
    ``position`` ``(3,)`` in metres and ``rotation`` ``(4,)``, a unit quaternion (w, x, y, z). ``mesh`` is the index of
    the mesh, -1 for other kinds.
    """

    kind: str
    size: tuple[float, float, float]
    rgba: tuple[float, float, float, float]
    track: int
    position: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    mesh: int = -1


@dataclass(frozen=True)
class Tendon:
    """A visible tendon: its radius in metres, and its colour."""

    width: float
    rgba: tuple[float, float, float, float]


@dataclass(frozen=True)
class Camera:
    """The view of a replay, as MuJoCo's free camera has it: degrees, and metres from the point that it looks at."""

    azimuth: float
    elevation: float
    distance: float
    field_of_view: float


@dataclass(frozen=True)
class Mesh:
    """``vertices`` ``(V, 3)`` float32 in metres, ``faces`` ``(F, 3)`` int32."""

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True)
class Geometry:
    """The whole geometry. ``tracks``: names of the bodies that can move, in the order of a replay's poses."""

    task: str
    shapes: tuple[Geom, ...]
    tracks: tuple[str, ...]
    cords: tuple[Tendon, ...]
    look: Camera
    meshes: tuple[Mesh, ...] = ()


def geometry_of(model: mujoco.MjModel, task: str) -> Geometry:
    """Return what MuJoCo's viewer would show of ``model``."""
    # Let MuJoCo build the scene of its viewer in the default pose
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    scene = mujoco.MjvScene(model, maxgeom=_MAX_OBJECTS)
    mujoco.mjv_updateScene(
        model,
        data,
        mujoco.MjvOption(),
        mujoco.MjvPerturb(),
        mujoco.MjvCamera(),
        int(mujoco.mjtCatBit.mjCAT_ALL),
        scene,
    )
    # Take the objects that a browser can draw
    bodies = moving_bodies(model)
    track_of = {body: track for track, body in enumerate(bodies)}
    meshes: dict[tuple[str, int], Mesh] = {}
    shapes = []
    for object_ in scene.geoms[: scene.ngeom]:
        shape = _shape(model, data, object_, track_of, meshes)
        if shape is not None:
            shapes.append(shape)
    return Geometry(
        task=task,
        shapes=tuple(shapes),
        tracks=tuple(model.body(body).name or f"body {body}" for body in bodies),
        cords=tuple(
            Tendon(_rounded(model.tendon_width[tendon]), _colour(model.tendon_rgba[tendon]))
            for tendon in drawn_tendons(model)
        ),
        look=look_of(model)[0],
        meshes=tuple(meshes.values()),
    )


def moving_bodies(model: mujoco.MjModel) -> list[int]:
    """Return the bodies that can move against the world, by their own or an ancestor's joints, or as mocap bodies."""
    return [
        body
        for body in range(1, model.nbody)
        if model.body_weldid[body] != 0 or model.body_mocapid[model.body_rootid[body]] >= 0
    ]


def drawn_tendons(model: mujoco.MjModel) -> list[int]:
    """Return the visible tendons that run through space (others couple joints)."""
    visible = []
    for tendon in range(model.ntendon):
        first = model.wrap_type[model.tendon_adr[tendon]]
        spatial = first != int(mujoco.mjtWrap.mjWRAP_JOINT)
        if spatial and model.tendon_group[tendon] < 3 and model.tendon_rgba[tendon, 3] > 0:
            visible.append(tendon)
    return visible


def followed_body(model: mujoco.MjModel) -> int:
    """Return the root of the heaviest tree of bodies with joints; 0 if there are no joints."""
    roots = {int(model.body_rootid[body]) for body in range(1, model.nbody) if model.body_weldid[body] != 0}
    return max(roots, key=lambda root: (float(model.body_subtreemass[root]), -root), default=0)


def look_of(model: mujoco.MjModel) -> tuple[Camera, np.ndarray, np.ndarray | None]:
    """Return the view of a model: that of its first camera that is not carried about, else MuJoCo's default.

    Returns:
        The view; ``(3,)`` from the followed body's centre of mass to the point looked at; and where that centre is
        while the robot stays within the picture of a fixed camera, None for a camera that follows.
    """
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    centre = data.subtree_com[followed_body(model)]
    # Without a suitable camera, look at the centre of the model
    free = float(model.vis.global_.fovy)
    camera = _camera(model)
    if camera is None:
        distance = _rounded(1.5 * model.stat.extent)
        return Camera(float(model.vis.global_.azimuth), _ELEVATION, distance, free), model.stat.center - centre, None
    ahead, eye = -data.cam_xmat[camera].reshape(3, 3)[:, 2], data.cam_xpos[camera]
    # It looks at the point straight ahead that is closest to the robot
    distance = max(float(ahead @ (centre - eye)), 0.1 * float(model.stat.extent))
    # Another field of view needs another distance for the same picture
    zoom = math.tan(math.radians(float(model.cam_fovy[camera])) / 2) / math.tan(math.radians(free) / 2)
    look = Camera(
        azimuth=_rounded(math.degrees(math.atan2(ahead[1], ahead[0]))),
        elevation=_rounded(math.degrees(math.asin(max(-1.0, min(1.0, float(ahead[2])))))),
        distance=_rounded(distance * zoom),
        field_of_view=free,
    )
    stands = int(model.cam_mode[camera]) not in _TRACKING
    return look, eye + ahead * distance - centre, centre if stands else None


def _camera(model: mujoco.MjModel) -> int | None:
    """Return the first camera that is fixed, or follows the robot; None if there is none."""
    for camera in range(model.ncam):
        carried = model.body_weldid[model.cam_bodyid[camera]] != 0
        if (int(model.cam_mode[camera]) in _TRACKING or not carried) and 0 < model.cam_fovy[camera] < 180:
            return camera
    return None


def _shape(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    object_: mujoco.MjvGeom,
    track_of: dict[int, int],
    meshes: dict[tuple[str, int], Mesh],
) -> Geom | None:
    """Return an object of the scene as a shape, if it is a geom or site of the model that a browser can draw."""
    # Its pose in the frame of its body, and in the world
    number, rgba = object_.objid, _textured(model, object_)
    if object_.objtype == int(mujoco.mjtObj.mjOBJ_GEOM):
        kind, body = int(model.geom_type[number]), int(model.geom_bodyid[number])
        size, position, rotation = model.geom_size[number], model.geom_pos[number], model.geom_quat[number]
        world_position, world_matrix = data.geom_xpos[number], data.geom_xmat[number]
    elif object_.objtype == int(mujoco.mjtObj.mjOBJ_SITE):
        kind, body = int(model.site_type[number]), int(model.site_bodyid[number])
        size, position, rotation = model.site_size[number], model.site_pos[number], model.site_quat[number]
        world_position, world_matrix = data.site_xpos[number], data.site_xmat[number]
    else:
        return None
    # Meshes and height fields
    mesh = -1
    if kind == int(mujoco.mjtGeom.mjGEOM_HFIELD):
        mesh = _mesh_index(meshes, ("hfield", int(model.geom_dataid[number])), model)
        kind = int(mujoco.mjtGeom.mjGEOM_MESH)
    elif kind in (int(mujoco.mjtGeom.mjGEOM_MESH), int(mujoco.mjtGeom.mjGEOM_SDF)):
        mesh = _mesh_index(meshes, ("mesh", int(model.geom_dataid[number])), model)
        kind = int(mujoco.mjtGeom.mjGEOM_MESH)
    if kind not in _KINDS:
        return None
    # What cannot move is placed in the world
    track = track_of.get(body, -1)
    if track < 0:
        position, rotation = world_position, np.empty(4)
        mujoco.mju_mat2Quat(rotation, world_matrix)
    return Geom(
        kind=_KINDS[kind],
        size=_three(size),
        rgba=_colour(rgba),
        track=track,
        position=_three(position),
        rotation=_four(rotation),
        mesh=mesh,
    )


def _mesh_index(meshes: dict[tuple[str, int], Mesh], key: tuple[str, int], model: mujoco.MjModel) -> int:
    """Return the index of a mesh; read it if it is new."""
    if key not in meshes:
        meshes[key] = _mesh(model, key[1]) if key[0] == "mesh" else _height_field(model, key[1])
    return list(meshes).index(key)


def _mesh(model: mujoco.MjModel, number: int) -> Mesh:
    """Return a mesh of the model."""
    first, count = model.mesh_vertadr[number], model.mesh_vertnum[number]
    face, faces = model.mesh_faceadr[number], model.mesh_facenum[number]
    return Mesh(
        np.ascontiguousarray(model.mesh_vert[first : first + count], np.float32),
        np.ascontiguousarray(model.mesh_face[face : face + faces], np.int32),
    )


def _height_field(model: mujoco.MjModel, number: int) -> Mesh:
    """Return the upper surface of a height field, as two triangles per cell."""
    rows, columns = int(model.hfield_nrow[number]), int(model.hfield_ncol[number])
    width, depth, height, _ = model.hfield_size[number]
    first = model.hfield_adr[number]
    heights = model.hfield_data[first : first + rows * columns] * height
    x, y = np.meshgrid(np.linspace(-width, width, columns), np.linspace(-depth, depth, rows))
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    across, up, both = corner + 1, corner + columns, corner + columns + 1
    faces = np.concatenate([np.stack([corner, across, both], 1), np.stack([corner, both, up], 1)])
    vertices = np.stack([x.reshape(-1), y.reshape(-1), heights], 1)
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32))


def _textured(model: mujoco.MjModel, object_: mujoco.MjvGeom) -> np.ndarray:
    """Return the colour of an object; a texture counts with its mean colour."""
    rgba = np.array(object_.rgba, np.float64)
    if object_.matid < 0:
        return rgba
    for texture in model.mat_texid[object_.matid]:
        if texture >= 0:
            channels = int(model.tex_nchannel[texture])
            size = int(model.tex_height[texture]) * int(model.tex_width[texture]) * channels
            first = int(model.tex_adr[texture])
            texels = np.asarray(model.tex_data[first : first + size]).reshape(-1, channels)
            if channels >= 3:
                rgba[:3] *= texels[:, :3].mean(0) / 255.0
            return rgba
    return rgba


def _rounded(value: float) -> float:
    """Return a number with six decimals."""
    return round(float(value), 6)


def _three(values: np.ndarray) -> tuple[float, float, float]:
    """Return three rounded numbers."""
    x, y, z = (_rounded(value) for value in values)
    return x, y, z


def _four(values: np.ndarray) -> tuple[float, float, float, float]:
    """Return four rounded numbers."""
    w, x, y, z = (_rounded(value) for value in values)
    return w, x, y, z


def _colour(values: np.ndarray) -> tuple[float, float, float, float]:
    """Return a colour in [0, 1]."""
    return _four(np.clip(values, 0.0, 1.0))
