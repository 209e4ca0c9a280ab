"""Make separate Pythons for environments whose packages conflict with rewardgen's."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict

from rewardgen.errors import MissingPackage, TaskError

CACHE_VARIABLE = "REWARDGEN_CACHE"
"""The folder that holds such Pythons and listings of tasks; by default the user's own cache folder."""


class Requirements(BaseModel):
    """What pip installs into a Python of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Folder of that Python, whether made or not: a hash of this Python's version and all requirements."""
        # Packages with compiled code are built for one version of Python
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        digest = hashlib.sha256("\n".join([version, *self.requirements]).encode()).hexdigest()[:16]
        return cache_folder() / "pythons" / digest

    @property
    def python(self) -> Path:
        """Its interpreter."""
        parts = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
        return self.folder.joinpath(*parts)

    @property
    def marker(self) -> Path:
        return self.folder / "complete"

    @property
    def ready(self) -> bool:
        """Whether everything has been installed into it."""
        return self.marker.is_file()


def interpreter(wanted: str | Requirements | None, file: Path, task: str) -> str | None:
    """The interpreter that a task file asks for; None is this one.

    Raises:
        MissingPackage: its Python has not been made yet.
        TaskError: there is no such interpreter.
    """
    if wanted is None:
        return None
    if isinstance(wanted, Requirements):
        if not wanted.ready:
            raise MissingPackage(
                f"{task} runs in a Python of its own with {', '.join(wanted.requirements)}, which has not been made "
                f"yet; make it with: rewardgen prepare {task}",
                f"rewardgen prepare {task}",
            )
        return str(wanted.python)
    path = Path(wanted).expanduser()
    # Relative paths are relative to the task file
    path = path if path.is_absolute() else file.parent / path
    if not path.is_file():
        raise TaskError(f"{file}: there is no interpreter {path}; make it, or correct environment.python")
    return str(path)


def prepare(wanted: Requirements) -> Path:
    """Make the Python that ``wanted`` describes, unless it is there, and return its interpreter.

    Raises:
        TaskError: pip could not install the requirements; the message ends with what it said.
    """
    if not wanted.ready:
        venv.create(wanted.folder, with_pip=True, clear=True)
        command = [str(wanted.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*command, *wanted.requirements], capture_output=True, text=True, check=False)
        if done.returncode:
            said = " / ".join(done.stderr.strip().splitlines()[-5:])
            raise TaskError(f"pip could not install {', '.join(wanted.requirements)}: {said}")
        wanted.marker.touch()  # last, so that an installation that was killed does not count as complete
    return wanted.python


def cache_folder() -> Path:
    """Return the cache folder: everything in it can be made again."""
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else user_cache_path("rewardgen", appauthor=False, opinion=False)
