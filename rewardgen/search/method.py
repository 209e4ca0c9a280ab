"""Search methods: what differs between them is a setting of the one loop, kept in a short YAML file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field

from rewardgen.config import Section, read_yaml, validate
from rewardgen.errors import UnknownName


class Method(Section):
    """How the loop turns one generation into the next one's prompt."""

    name: str
    summary: str
    parent: Literal["generation", "run"] = Field(
        "generation", description="carry forward the best of the last generation, or the best of the run so far"
    )
    history: int = Field(1, ge=0, le=16, description="former bests that a prompt carries, each with its reflection")


def method_names() -> list[str]:
    """The methods that come with rewardgen."""
    folder = files("rewardgen.search") / "methods"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_method(name: str) -> Method:
    """The method called ``name``, or the one in the YAML file at that path.

    Raises:
        UnknownName: neither; the message names the nearest.
        ConfigError: the file is no method.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
    elif name in method_names():
        path = Path(str(files("rewardgen.search") / "methods" / f"{name}.yaml"))
    else:
        raise UnknownName("search method", name, method_names(), hint="(or give the path of a YAML file)")
    return validate(Method, read_yaml(path), str(path))
