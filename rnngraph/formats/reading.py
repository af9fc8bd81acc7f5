"""Reads untrusted files, with limits on bytes and counts. Errors name the file."""

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

MAX_BYTES = 4 << 30
"""Maximum bytes of a file."""
MAX_NAMED = 40
"""Maximum number of problems that an error lists. Further problems are only counted."""


def bytes_of_file(source: str | os.PathLike[str] | bytes, what: str) -> tuple[str, bytes]:
    """Return (the file's name for errors, the file's bytes).

    Args:
        source: A path, or the bytes themselves.
        what: The format, such as ``"an ONNX file"``.

    Raises:
        FileError: The file can't be read, or has more than ``MAX_BYTES``.
        DtypeError: ``source`` is neither a path nor bytes.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return f"a file of {len(source)} bytes", bytes(source)
    if not isinstance(source, str | os.PathLike):
        raise DtypeError(f"{what} can't be read from {shown(source)}; give a path or bytes")
    return str(as_path(source)), read_file(source, what, MAX_BYTES)


def json_of(name: str, data: bytes, what: str) -> dict[str, object]:
    """Parse a file's JSON object. Raises ``FileError`` if the bytes are not valid JSON, or not an object.

    Args:
        name: The file's name in errors.
        data: The file's bytes.
        what: The format in errors, such as ``"a NAM file"``.
    """
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name} is damaged or not {what}: {error}; save it again") from None
    if not isinstance(record, dict):
        raise FileError(f"{name} is not {what}: its JSON is a {type(record).__name__}, not an object; save it again")
    return record


class Record:
    """Object of a JSON file. Its methods check the type of an entry, and raise ``FileError`` that names the entry.

    Args:
        name: The file's name in errors.
        at: Path of the object in the file, for errors; ``""`` for the outermost object.
    """

    def __init__(self, name: str, entries: object, at: str = "") -> None:
        self.name, self.at = name, at
        if not isinstance(entries, Mapping):
            raise self.error(f"{at or 'it'} is {shown(entries)}, not an object")
        self.entries = entries

    def error(self, what: str) -> FileError:
        """Return the error for a damaged file."""
        return FileError(f"{self.name} is damaged: {what}; use an undamaged copy")

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, key: str, default: object = ...) -> Any:
        """Return an entry of any type. Raise ``FileError`` if it is missing, and has no default."""
        if key not in self.entries and default is ...:
            raise self.error(f"{self._place(key)} is missing")
        return self.entries.get(key, default)

    def record(self, key: str) -> Record:
        return Record(self.name, self.get(key), self._place(key))

    def records(self, key: str) -> list[Record]:
        """Return the objects of an entry that is a list."""
        items = self.get(key)
        if not isinstance(items, list):
            raise self.error(f"{self._place(key)} is {shown(items)}, not a list")
        return [Record(self.name, item, f"{self._place(key)}[{number}]") for number, item in enumerate(items)]

    def text(self, key: str, default: Any = ...) -> str:
        text = self.get(key, default)
        if not isinstance(text, str):
            raise self.error(f"{self._place(key)} is {shown(text)}, not a string")
        return text

    def count(self, key: str, default: Any = ..., minimum: int = 1, maximum: int = 1 << 20) -> int:
        """Return an entry that must be an int from ``minimum`` to ``maximum``, inclusive."""
        count = self.get(key, default)
        if isinstance(count, bool) or not isinstance(count, int) or not minimum <= count <= maximum:
            raise self.error(f"{self._place(key)} is {shown(count)}, not a whole number of {minimum} to {maximum}")
        return count

    def flag(self, key: str, default: object = ...) -> bool:
        flag = self.get(key, default)
        if not isinstance(flag, bool):
            raise self.error(f"{self._place(key)} is {shown(flag)}, neither true nor false")
        return flag

    def array(self, key: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Return an entry of nested lists as a float32 array, which must have ``shape`` unless that is None."""
        return numbers(self, self._place(key), self.get(key), shape)

    def _place(self, key: str) -> str:
        return f"{self.at}.{key}" if self.at else key


def numbers(record: Record, place: str, value: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Convert an entry of a JSON file, nested lists of numbers, to a float32 array.

    Args:
        record: Object of the file, for errors.
        place: Path of the entry in the file, for errors.
        value: The entry.
        shape: Shape that the array must have; None for any.

    Raises:
        FileError: The entry is not an array of numbers, is not finite, or has another shape.
    """
    try:
        array = np.array(value, np.float64)
    except (ValueError, TypeError, OverflowError):
        raise record.error(f"{place} is {shown(value)}, not an array of numbers") from None
    if shape is not None and array.shape != shape:
        raise record.error(f"{place} has shape {list(array.shape)}; it must be {list(shape)}")
    if not np.isfinite(array).all():
        raise record.error(f"{place} contains NaN or infinities")
    return array.astype(np.float32)


class Pieces:
    """Reader of a file's entry that lists all weights of a net in one flat array."""

    def __init__(self, record: Record, key: str) -> None:
        self._record, self._key = record, key
        self._array = record.array(key)
        if self._array.ndim != 1:
            raise record.error(f"{key} has shape {list(self._array.shape)}; it must be a flat list")
        self._position = 0

    def take(self, *shape: int) -> np.ndarray:
        """Return the next weights as an array of this shape. Raises ``FileError`` if too few weights are left."""
        first, self._position = self._position, self._position + math.prod(shape)
        if self._position > self._array.size:
            raise self._record.error(f"{self._key} has {self._array.size} numbers; more are needed")
        return self._array[first : self._position].reshape(shape)

    def end(self) -> None:
        """Raise ``FileError`` if weights are left."""
        if self._position != self._array.size:
            raise self._record.error(f"{self._key} has {self._array.size} numbers; {self._position} are needed")


def not_readable(name: str, problems: Iterable[str], where: Where | None = None, remedy: str = "") -> NotReadableError:
    """Return the error for a file that can't be read, which lists up to ``MAX_NAMED`` distinct problems."""
    listed = list(dict.fromkeys(problems))
    more = f"; and {len(listed) - MAX_NAMED} more" if len(listed) > MAX_NAMED else ""
    what = f"{name} can't be read: {'; '.join(listed[:MAX_NAMED])}{more}"
    return NotReadableError(f"{what}. {remedy}" if remedy else what, where, listed)
