"""Files beside the database, named by the SHA-256 of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rewardgen import files
from rewardgen.errors import StoreError
from rewardgen.store.database import translated

FOLDER = "artifacts"


def write_artifact(run_dir: Path, content: bytes, suffix: str) -> str:
    """Keep ``content`` and return its file name. On disk, whole, before this returns."""
    name = hashlib.sha256(content).hexdigest() + suffix
    folder = run_dir / FOLDER
    path = folder / name
    if path.is_file() and path.stat().st_size == len(content):
        return name
    with translated(run_dir):
        files.write_bytes(path, content)
    return name


def read_artifact(run_dir: Path, name: str) -> bytes:
    """The content of an artifact, checked against its name.

    Raises:
        StoreError: it is missing or was changed.
    """
    path = run_dir / FOLDER / Path(name).name
    with translated(run_dir):
        if not path.is_file():
            raise StoreError(f"{path} is missing; what it held cannot be used")
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.name.partition(".")[0]:
        raise StoreError(f"{path} was changed after it was written; what it held cannot be trusted")
    return content


def read_weights(run_dir: Path, owner: str, seed: int) -> bytes | None:
    """The policy that ``owner`` (a candidate's key, or "final/winner") trained with ``seed``, as safetensors bytes."""
    from rewardgen.store.database import connect

    connection = connect(run_dir, write=False)
    try:
        with translated(run_dir):
            row = connection.execute(
                "SELECT weights FROM trainings WHERE owner = ? AND seed = ?", (owner, seed)
            ).fetchone()
    finally:
        connection.close()
    return read_artifact(run_dir, row["weights"]) if row is not None and row["weights"] else None
