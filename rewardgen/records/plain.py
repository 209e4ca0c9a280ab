"""Records as JSON-able values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def plain(record: Any) -> Any:
    """Return a record as JSON-able values: dataclasses become dicts, tuples lists, tensors lists; bytes become None."""
    if hasattr(record, "__dataclass_fields__"):
        return {name: plain(getattr(record, name)) for name in record.__dataclass_fields__}
    if isinstance(record, Mapping):
        return {str(key): plain(value) for key, value in record.items()}
    if hasattr(record, "tolist"):  # a tensor
        return record.tolist()
    if isinstance(record, bytes):
        return None
    if isinstance(record, Sequence) and not isinstance(record, str):
        return [plain(item) for item in record]
    return record
