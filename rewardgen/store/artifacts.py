"""Files next to the database, named by the SHA-256 of their content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rewardgen import files
from rewardgen.errors import StoreError
from rewardgen.store.database import translated

FOLDER = "artifacts"


def write_artifact(run_dir: Path, content: bytes, suffix: str) -> str:
    """Write ``content`` and return its file name. The whole file is on disk when this returns."""
    name = hashlib.sha256(content).hexdigest() + suffix
    folder = run_dir / FOLDER
    path = folder / name
    if path.is_file() and path.stat().st_size == len(content):  # the same content was written before
        return name
    with translated(run_dir):
        files.write_bytes(path, content)
    return name


def read_artifact(run_dir: Path, name: str) -> bytes:
    """Return the content of an artifact, checked against its name.

    Raises:
        StoreError: it is missing or was changed.
    """
    # A stored name must not lead out of the folder
    path = run_dir / FOLDER / Path(name).name
    with translated(run_dir):
        if not path.is_file():
            raise StoreError(f"{path} is missing, so its content cannot be used; restore it from a copy of the run")
        content = path.read_bytes()
    # The name is the hash of the content
    if hashlib.sha256(content).hexdigest() != path.name.partition(".")[0]:
        raise StoreError(
            f"{path} was changed after it was written, so its content cannot be trusted; restore it from a copy"
        )
    return content


def read_weights(run_dir: Path, owner: str, seed: int) -> bytes | None:
    """Return the policy of ``owner`` (a candidate's key, or "final/winner") for ``seed``, as safetensors bytes."""
    from rewardgen.store.database import connect

    # Look its file up
    connection = connect(run_dir, write=False)
    try:
        with translated(run_dir):
            row = connection.execute(
                "SELECT weights FROM trainings WHERE owner = ? AND seed = ?", (owner, seed)
            ).fetchone()
    finally:
        connection.close()
    return read_artifact(run_dir, row["weights"]) if row is not None and row["weights"] else None
