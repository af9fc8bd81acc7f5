"""Protocol buffers' wire format, and the messages of a checkpoint's index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .sorted_table import varint


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of every field: of numbers an int as it is written, of all else bytes. Raises ``ValueError``."""
    position = 0
    while position < len(data):
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == 0:
            value, position = varint(data, position)
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, position = int.from_bytes(data[position : position + width], "little"), position + width
        elif kind == 2:
            size, position = varint(data, position)
            value, position = data[position : position + size], position + size
        else:
            raise ValueError(f"a message has a field of kind {kind}")
        if position > len(data):
            raise ValueError("a message is cut off")
        yield number, value


def grouped(data: bytes) -> dict[int, list[Any]]:
    """The values of each field."""
    found: dict[int, list[Any]] = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def number_of(found: dict[int, list[Any]], field_number: int, default: int = 0) -> int:
    """The last value of a field that is a number."""
    value = found.get(field_number, [default])[-1]
    if not isinstance(value, int):
        raise ValueError("a message has bytes in place of a number")
    return value


def parts_of(found: dict[int, list[Any]], field_number: int) -> list[bytes]:
    """The values of a field that is bytes, text or a message."""
    values = found.get(field_number, [])
    if not all(isinstance(value, bytes) for value in values):
        raise ValueError("a message has a number in place of bytes")
    return values


def shape_of(data: bytes) -> tuple[int, ...]:
    """A ``TensorShapeProto``."""
    return tuple(number_of(grouped(dim), 1) for dim in parts_of(grouped(data), 2))


@dataclass(frozen=True)
class Entry:
    """A ``BundleEntryProto``: where a tensor lies. crc: of its bytes, masked; a file leaves out a 0.

    slices: how many pieces it is written in, each under a key of its own; 0 where it is whole.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    slices: list[bytes] = field(default_factory=list)


def entry_of(data: bytes) -> Entry:
    found = grouped(data)
    shapes = parts_of(found, 2)
    return Entry(
        number_of(found, 1),
        shape_of(shapes[-1]) if shapes else (),
        number_of(found, 3),
        number_of(found, 4),
        number_of(found, 5),
        number_of(found, 6),
        parts_of(found, 7),
    )


def full_names(graph: bytes) -> dict[str, str]:
    """Of a ``TrackableObjectGraph`` the variables' names by the keys under which they are stored."""
    found: dict[str, str] = {}
    for node in parts_of(grouped(graph), 1):
        for attribute in parts_of(grouped(node), 2):
            parts = grouped(attribute)
            keys, names = parts_of(parts, 3), parts_of(parts, 2)
            if keys and names and names[-1]:
                found[keys[-1].decode()] = names[-1].decode()
    return found
