"""Files with the state of trainings in progress, so that a killed training resumes from its last checkpoint.

A file is a SHA-256 digest followed by a safetensors document with that digest. The document has the tensors of
``_Training.save``, named by their paths, and the plain values as the JSON text ``facts``. It contains no code. A file
is used only if it belongs to the same training: same task, settings, members, versions and contents of ``about``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rewardgen import files
from rewardgen.config import TrainingConfig
from rewardgen.saved import Resumable, Saved, section, value
from rewardgen.sim import Arrangement
from rewardgen.tasks import Task
from rewardgen.training.labelling import Member

Restored = TypeVar("Restored")

FORMAT = 1
_PACKAGES = ("rewardgen", "torch", "mujoco")
_DIGEST = hashlib.sha256().digest_size
_FACTS = "facts"


class Saves:
    """The files of one call of ``train``: one file per group of members that train together.

    Args:
        folder: folder of the files, for this call only; created with the first file.
        about: everything else that determines the results, beyond the arguments of ``train``, as JSON values; above all
            the source of the rewards.
        companion: an object that follows the training, such as a ``Collector``; saved and restored with it.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], companion: Resumable | None = None) -> None:
        self.folder = folder
        self.about = about
        self.companion = companion

    def file(
        self,
        task: Task,
        members: Sequence[Member],
        config: TrainingConfig,
        arrangement: Arrangement,
        note: Callable[[str], None],
    ) -> SavedTraining:
        """Return the file of the group ``members``; ``note`` receives messages about unusable or unwritable files."""
        # Everything that must be equal for the file to be used
        identity = {
            "format": FORMAT,
            "task": task.name,
            "members": [[member.key, member.seed] for member in members],
            "training": config.model_dump(mode="json"),
            "place": f"{arrangement.sim}, {arrangement.device}",
            "versions": {package: version(package) for package in _PACKAGES},
            **self.about,
        }
        path = self.path([(member.key, member.seed) for member in members])
        return SavedTraining(path, identity, self.companion, note)

    def path(self, members: Sequence[tuple[str, int]]) -> Path:
        """Return the path of the file of a group of members, given as (key, seed)."""
        return self.folder / f"{digest([list(member) for member in members])}.training"

    def delete(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


class SavedTraining:
    """The file of one group of members.

    ``seconds`` is the wall-clock time that earlier processes spent on the restored state; 0 if none was restored.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], companion: Resumable | None, note: Callable[[str], None]
    ) -> None:
        self._path, self._companion, self._note = path, companion, note
        # As it reads back from JSON, where tuples are lists
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._began = time.perf_counter()
        self._failed = False
        self.seconds = 0.0

    def read(self, restore: Callable[[Saved], Restored]) -> Restored | None:
        """Return the training that ``restore`` makes of the file's state.

        None if there is no file, or it is damaged or belongs to another training.

        Args:
            restore: makes the training; raises ValueError if the state does not fit.
        """
        try:
            # Check that the file belongs to this training
            saved = parse(self._path.read_bytes())
            identity = section(saved, "identity")
            differing = [name for name, mine in self._identity.items() if identity.get(name) != mine]
            if differing or len(identity) != len(self._identity):
                raise ValueError(f"it was saved with other {', '.join(differing) or 'facts'}")

            # Restore the training and its companion
            seconds = value(saved, "seconds", float)
            restored = restore(section(saved, "training"))
            if self._companion is not None:
                self._companion.restore(section(saved, "companion"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            self._note(f"the saved state in {self._path} cannot be used, so its training starts over: {error}")
            return None
        self.seconds = seconds
        return restored

    def write(self, state: Saved) -> None:
        """Replace the file with ``state``. If that fails, report it once and go on with the training."""
        seconds = self.seconds + time.perf_counter() - self._began
        companion = {} if self._companion is None else self._companion.save()
        document = {"identity": self._identity, "seconds": seconds, "training": state, "companion": companion}
        try:
            files.write_bytes(self._path, dump(document))
        except OSError as error:
            if not self._failed:
                self._note(f"the training's state could not be saved ({error}); if it is stopped, it starts over")
            self._failed = True


def digest(value: Any) -> str:
    """Return a short digest of a JSON value, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def dump(document: Saved) -> bytes:
    """Return ``document``, nested mappings of tensors, bytes and JSON values, as the content of a file."""
    tensors: dict[str, Tensor] = {}
    facts = _split(document, "", tensors)
    tensors[_FACTS] = _bytes(json.dumps(facts).encode())
    body = save(tensors)
    return hashlib.sha256(body).digest() + body


def parse(content: bytes) -> dict[str, Any]:
    """Read what ``dump`` wrote; bytes are returned as uint8 tensors.

    Raises:
        ValueError: the content is damaged or not such a file.
    """
    # Verify the digest before parsing anything
    body = content[_DIGEST:]
    if hashlib.sha256(body).digest() != content[:_DIGEST]:
        raise ValueError("it is damaged")
    try:
        tensors = load(body)
        document = json.loads(tensors.pop(_FACTS).numpy().tobytes())
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"it is not a file of this kind: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("it is not a file of this kind: it holds no facts")

    # Put each tensor back at its path
    for path, found in tensors.items():
        *parents, name = path.split("/")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"it is not a file of this kind: {path} is in two places")
        place[name] = found
    return document


def _split(document: Saved, path: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Return the plain values of ``document``, nested as they are; add its tensors and bytes to ``tensors`` by path."""
    plain: dict[str, Any] = {}
    for name, each in document.items():
        if isinstance(each, Tensor):
            tensors[path + name] = each.detach().cpu().clone(memory_format=torch.contiguous_format)
        elif isinstance(each, bytes):
            tensors[path + name] = _bytes(each)
        elif isinstance(each, Mapping):
            plain[name] = _split(each, f"{path}{name}/", tensors)
        else:
            plain[name] = each
    return plain


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)
