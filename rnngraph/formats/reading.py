"""Files that nobody vouches for: read whole within bounds, or refused with an error that names them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..storage.atomic_file import as_path
from ..storage.read_file import read_file
from ..support.errors import DtypeError, FileError, NotReadableError, Where, shown

MOST_BYTES = 4 << 30
"""Bytes of a file that is read."""
MOST_NAMED = 40
"""Nodes that an error lists; it counts the others."""


def bytes_of_file(source: str | os.PathLike[str] | bytes, what: str) -> tuple[str, bytes]:
    """The name of a file for errors, and all that it holds. source: a path, or the bytes themselves.

    what: the format, such as ``"an ONNX file"``. Raises ``FileError`` where it can't be read or is too long.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return f"a file of {len(source)} bytes", bytes(source)
    if not isinstance(source, str | os.PathLike):
        raise DtypeError(f"{what} is read from a path or from bytes, not from {shown(source)}")
    return str(as_path(source)), read_file(source, what, MOST_BYTES)


def json_of(name: str, data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in ``data``. Raises ``FileError``."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name} is damaged or no {what}: {error}") from None
    if not isinstance(found, dict):
        raise FileError(f"{name} is no {what}: it holds {type(found).__name__} in place of an object")
    return found


class Record:
    """An object of a JSON file, whose entries are asked for by name and kind. name: of the file, for errors."""

    def __init__(self, name: str, entries: Any, at: str = "") -> None:
        self.name, self.at = name, at
        if not isinstance(entries, Mapping):
            raise self.error(f"{at or 'it'} is {shown(entries)} and no object")
        self.entries = entries

    def error(self, what: str) -> FileError:
        return FileError(f"{self.name} is damaged: {what}; take the file as it was written")

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str, default: Any = ...) -> Any:
        """An entry of any kind."""
        if key not in self.entries and default is ...:
            raise self.error(f"{self._place(key)} is missing")
        return self.entries.get(key, default)

    def record(self, key: str) -> Record:
        return Record(self.name, self.get(key), self._place(key))

    def records(self, key: str) -> list[Record]:
        """A list of objects."""
        items = self.get(key)
        if not isinstance(items, list):
            raise self.error(f"{self._place(key)} is {shown(items)} and no list")
        return [Record(self.name, item, f"{self._place(key)}[{number}]") for number, item in enumerate(items)]

    def text(self, key: str, default: Any = ...) -> str:
        found = self.get(key, default)
        if not isinstance(found, str):
            raise self.error(f"{self._place(key)} is {shown(found)} and no text")
        return found

    def count(self, key: str, default: Any = ..., least: int = 1, most: int = 1 << 20) -> int:
        """A whole number."""
        found = self.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise self.error(f"{self._place(key)} is {shown(found)}, which is no whole number of {least} to {most}")
        return found

    def flag(self, key: str, default: Any = ...) -> bool:
        found = self.get(key, default)
        if not isinstance(found, bool):
            raise self.error(f"{self._place(key)} is {shown(found)}, which is neither true nor false")
        return found

    def array(self, key: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Numbers as float32 [shape]."""
        return numbers(self, self._place(key), self.get(key), shape)

    def _place(self, key: str) -> str:
        return f"{self.at}.{key}" if self.at else key


def numbers(record: Record, place: str, value: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Nested lists of numbers as a float32 array. Raises ``FileError`` where they are none of ``shape``."""
    try:
        array = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise record.error(f"{place} is {shown(value)} and no array of numbers") from None
    if shape is not None and array.shape != shape:
        raise record.error(f"{place} has shape {list(array.shape)}, and {list(shape)} is needed")
    if not np.isfinite(array).all():
        raise record.error(f"{place} holds NaN or infinities")
    return array.astype(np.float32)


class Pieces:
    """A flat array that is taken piece by piece, as formats have it that write all weights one behind the other."""

    def __init__(self, record: Record, key: str) -> None:
        self._record, self._key = record, key
        self._array = record.array(key)
        if self._array.ndim != 1:
            raise record.error(f"{key} has shape {list(self._array.shape)} and is no flat list")
        self._taken = 0

    def take(self, *shape: int) -> np.ndarray:
        """The next numbers, as an array of this shape."""
        first, self._taken = self._taken, self._taken + math.prod(shape)
        if self._taken > self._array.size:
            raise self._record.error(f"{self._key} has {self._array.size} numbers, and more are needed")
        return self._array[first : self._taken].reshape(shape)

    def end(self) -> None:
        """Raises ``FileError`` where numbers are left."""
        if self._taken != self._array.size:
            raise self._record.error(f"{self._key} has {self._array.size} numbers, and {self._taken} are needed")


def not_readable(
    name: str, problems: Iterable[str], where: Where | None = None, remedy: str = ""
) -> NotReadableError:  # fmt: skip
    """The error that lists what can't be read, each once."""
    listed = list(dict.fromkeys(problems))
    more = f"; and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    what = f"{name} can't be read: {'; '.join(listed[:MOST_NAMED])}{more}"
    return NotReadableError(f"{what}. {remedy}" if remedy else what, where, listed)
