"""Writes checkpoints of version 2, an index and one data file, which TensorFlow reads."""

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
from .tensors import BFLOAT16, DTYPES

NUMBERS = {np.dtype(kind): number for number, kind in DTYPES.items() if number != BFLOAT16}
"""TensorFlow's ``DataType`` by NumPy dtype. NumPy has no bfloat16."""
BLOCK, RESTART = 1 << 18, 16
"""Bytes of keys and values after which a block ends, and interval between entries whose key is written in full."""


def write_variables(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write ``path.index`` and ``path.data-00000-of-00001``, from which ``tf.train.Saver`` restores the arrays by name.

    Raises:
        DtypeError: Checkpoints cannot store an array's dtype.
        FileError: A file can't be written.
    """
    prefix, offset = os.fspath(as_path(path)), 0
    entries = {b"": encode(Header(num_shards=1, version=Version(producer=1)))}
    ordered = {name.encode(): np.ascontiguousarray(arrays[name]).reshape(np.shape(arrays[name])) for name in arrays}
    names = sorted(ordered)
    for name in names:
        array = ordered[name]
        kind = array.dtype.newbyteorder("=")
        if kind not in NUMBERS:
            kinds = ", ".join(map(str, NUMBERS))
            raise DtypeError(
                f"{name.decode()} has dtype {array.dtype}, which checkpoints cannot store; use one of {kinds}"
            )
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
    """Return the bytes of a table in LevelDB's format, from (key, value) entries that are sorted by key."""
    output, index = bytearray(), []
    pending: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in entries:
        pending.append((key, value))
        size += len(key) + len(value)
        if size >= BLOCK:
            index.append((key, _append_block(output, _block(pending))))
            pending, size = [], 0
    if pending:
        index.append((pending[-1][0], _append_block(output, _block(pending))))
    footer = _append_block(output, _block([])) + _append_block(output, _block(index))
    return bytes(output) + footer.ljust(40, b"\0") + MAGIC


def _append_block(output: bytearray, block: bytes) -> bytes:
    """Append a block with its compression byte and checksum, and return its encoded offset and size."""
    handle = varint(len(output)) + varint(len(block))
    closed = block + bytes([PLAIN])
    output += closed + masked_crc(closed).to_bytes(4, "little")
    return handle


def _block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a block. All keys except every 16th omit the prefix that they share with the previous key."""
    output, restarts, before = bytearray(), [0], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % RESTART:
            while shared < min(len(before), len(key)) and before[shared] == key[shared]:
                shared += 1
        elif number:
            restarts.append(len(output))
        output += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    ends = b"".join(place.to_bytes(4, "little") for place in (*restarts, len(restarts)))
    return bytes(output) + ends
