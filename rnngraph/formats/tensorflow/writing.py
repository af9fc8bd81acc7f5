"""Checkpoints as TensorFlow reads them: version 2, an index and one data file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np

from ...storage.atomic_file import as_path, replace_file
from ...storage.protobuf import encode, varint
from ...support.errors import DtypeError
from .checksums import masked_crc
from .messages import Dim, Entry, Header, TensorShape, Version
from .sorted_table import MAGIC, PLAIN
from .tensors import DTYPES

NUMBERS = {np.dtype(kind): number for number, kind in DTYPES.items() if number not in (14,)}
BLOCK, RESTART = 1 << 18, 16
"""Bytes after which a block of the index ends, and entries after which a key is written whole."""


def write_variables(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes ``path.index`` and ``path.data-00000-of-00001``, which ``tf.train.Saver`` restores by these names.

    Raises ``DtypeError`` for a dtype that TensorFlow has no variables of, and ``FileError`` where it can't write.
    """
    prefix, entries, offset = (
        os.fspath(as_path(path)),
        {b"": encode(Header(num_shards=1, version=Version(producer=1)))},
        0,
    )
    ordered = {name.encode(): np.ascontiguousarray(arrays[name]).reshape(np.shape(arrays[name])) for name in arrays}
    names = sorted(ordered)
    for name in names:
        array = ordered[name]
        kind = array.dtype.newbyteorder("=")
        if kind not in NUMBERS:
            raise DtypeError(f"{name.decode()} is of {array.dtype}, of which a checkpoint has no variables")
        data = array.astype(kind.newbyteorder("<"), copy=False)
        entries[name] = encode(
            Entry(
                dtype=NUMBERS[kind],
                tensor_shape=_shape(array),
                offset=offset,
                size=array.nbytes,
                crc=masked_crc(data),
            )
        )
        offset += array.nbytes
    with replace_file(f"{prefix}.data-00000-of-00001") as file:
        for name in names:
            file.write(ordered[name].astype(ordered[name].dtype.newbyteorder("<"), copy=False).tobytes())
    with replace_file(f"{prefix}.index") as file:
        file.write(table(sorted(entries.items())))


def _shape(array: np.ndarray) -> TensorShape:
    return TensorShape([Dim(size) for size in array.shape])


# Tables ----------------------------------------------------------------------------------------------


def table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A sorted table of these entries, which are in order."""
    found, index = bytearray(), []
    pending: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in entries:
        pending.append((key, value))
        size += len(key) + len(value)
        if size >= BLOCK:
            index.append((key, _added(found, _block(pending))))
            pending, size = [], 0
    if pending:
        index.append((pending[-1][0], _added(found, _block(pending))))
    footer = _added(found, _block([])) + _added(found, _block(index))
    return bytes(found) + footer.ljust(40, b"\0") + MAGIC


def _added(found: bytearray, block: bytes) -> bytes:
    """Adds a block, with its kind and checksum behind it; gives its handle."""
    handle = varint(len(found)) + varint(len(block))
    closed = block + bytes([PLAIN])
    found += closed + masked_crc(closed).to_bytes(4, "little")
    return handle


def _block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Keys without what they share with the one before, but for every 16th."""
    found, restarts, before = bytearray(), [0], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % RESTART:
            while shared < min(len(before), len(key)) and before[shared] == key[shared]:
                shared += 1
        elif number:
            restarts.append(len(found))
        found += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    ends = b"".join(place.to_bytes(4, "little") for place in (*restarts, len(restarts)))
    return bytes(found) + ends
