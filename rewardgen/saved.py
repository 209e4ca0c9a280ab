"""The state of objects as plain values, to be written to a file and checked when it is read back.

An object whose work can be interrupted and continued has ``save()``, which returns a ``Saved`` mapping, and
``restore(saved)``, which takes that state over and raises ValueError if it does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import torch
from torch import Generator, Tensor

Saved: TypeAlias = Mapping[str, Any]
"""Name → a tensor, bytes, a plain JSON value, or another such mapping. No name contains a slash."""
Value = TypeVar("Value", int, float, str, list)


class Resumable(Protocol):
    """An object that can be continued in another process."""

    def save(self) -> Saved:
        """Return everything that the object's next step depends on."""

    def restore(self, saved: Saved) -> None:
        """Continue from what ``save`` returned.

        Raises:
            ValueError: ``saved`` does not fit this object.
        """


def tensor(saved: Saved, name: str, like: Tensor, *, finite: bool = True) -> Tensor:
    """Return a copy of the tensor ``name`` on the device of ``like``.

    Raises:
        ValueError: it is missing, differs from ``like`` in shape or dtype, or is not finite where it must be.
    """
    value = saved.get(name)
    if not isinstance(value, Tensor) or value.shape != like.shape or value.dtype != like.dtype:
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"the saved {name} must be {like.dtype} {tuple(like.shape)}, not {found}")
    if finite and value.is_floating_point() and not torch.isfinite(value).all():
        raise ValueError(f"the saved {name} is not finite")
    return value.to(like.device, copy=True)  # a copy is aligned as any tensor, unlike a view into the file


def value(saved: Saved, name: str, kind: type[Value]) -> Value:
    """Return the plain value ``name`` of type ``kind``.

    Raises:
        ValueError: it is missing or of another type.
    """
    found = saved.get(name)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise ValueError(f"the saved {name} must be of type {kind.__name__}, not {type(found).__name__}")
    return found


def section(saved: Saved, name: str) -> Saved:
    """Return the mapping ``name`` within ``saved``; empty if it is missing, because empty mappings are not written.

    Raises:
        ValueError: it is something else.
    """
    found = saved.get(name, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"the saved {name} must be a mapping, not {type(found).__name__}")
    return found


def content(saved: Saved, name: str) -> bytes | None:
    """Return the bytes ``name``; None if they are missing.

    Raises:
        ValueError: it is something else.
    """
    found = saved.get(name)
    if found is None or isinstance(found, bytes):
        return found
    if not isinstance(found, Tensor) or found.dtype != torch.uint8 or found.dim() != 1:
        raise ValueError(f"the saved {name} must be bytes, not {type(found).__name__}")
    return found.numpy().tobytes()


def numbered(items: Iterable[Any]) -> dict[str, Any]:
    """Return a list as a mapping "0", "1", …"""
    return {str(number): item for number, item in enumerate(items)}


def generator_states(generators: Sequence[Generator]) -> Tensor:
    """Return the states of generators of one device, ``(len(generators), bytes)`` uint8."""
    return torch.stack([each.get_state() for each in generators])


def restore_generators(generators: Sequence[Generator], saved: Saved, name: str) -> None:
    """Set the generators to the states ``name``, as returned by ``generator_states``.

    Raises:
        ValueError: they are not such states.
    """
    states = tensor(saved, name, generator_states(generators))
    try:
        for each, state in zip(generators, states, strict=True):
            each.set_state(state.clone())  # set_state reads from the start of the storage that a view shares
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the saved {name} are not states of random generators: {error}") from error
