"""Safetensors files with a SHA-256 digest of their bytes in ``__metadata__``.

The digest's own bytes count as zeros.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .stored_array import StoredArray, StoredFile

_BLANK = b"0" * 64
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "BOOL": "|u1",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
}
"""NumPy dtype of the stored bytes, by safetensors' dtype."""
_CONVERTED = ("BF16", "BOOL")
"""Safetensors' dtypes whose stored bytes are converted on reading."""


def seal(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str], key: str) -> tuple[bytes | memoryview, ...]:
    """Return the bytes of a safetensors file with a digest under ``key``, in pieces. Equal contents give equal bytes.

    Args:
        tensors: C-contiguous arrays by name.
        metadata: Texts of ``__metadata__``, without the digest.
        key: Key of the digest.
    """
    from safetensors.numpy import save  # slower to import than all of storage

    saved = memoryview(save(dict(tensors), {**metadata, key: _BLANK.decode()}))
    end = _end_of_header(saved)
    head = memoryview(_in_order(bytes(saved[8:end])))
    place = _place_of_digest(head, key)
    assert place is not None
    before, after, data = head[:place], head[place + len(_BLANK) :], saved[end:]
    return before, _digest(before, after, data), after, data


def arrays_in(raw: bytes) -> dict[str, np.ndarray]:
    """Return {name: read-only array} of a safetensors file's bytes. BF16 becomes float32, and BOOL bool.

    Other arrays share memory with ``raw``, if they are aligned there.

    Raises:
        ValueError: The header is damaged, does not describe the data, or names an unknown dtype.
    """
    data = memoryview(raw)
    return {
        name: _array(data[begin:stop], kind).reshape(shape)
        for name, kind, shape, begin, stop in _tensors(data, len(data))
    }


def stored_arrays_in(file: StoredFile) -> dict[str, np.ndarray | StoredArray]:
    """Return {name: array} of a safetensors file. Arrays stay in the file unless their dtype must be converted.

    Raises:
        FileError: The file has changed since it was opened.
        ValueError: As for ``arrays_in``.
    """
    first = bytearray(min(8, file.size))
    file.read(0, memoryview(first))
    head = bytearray(min(_end_of_header(first), file.size))
    file.read(0, memoryview(head))
    arrays: dict[str, np.ndarray | StoredArray] = {}
    for name, kind, shape, begin, _ in _tensors(head, file.size):
        array = StoredArray(file, begin, np.dtype(_DTYPES[kind]), shape)
        arrays[name] = _array(array.read().tobytes(), kind).reshape(shape) if kind in _CONVERTED else array
    return arrays


_Tensor = tuple[str, str, tuple[int, ...], int, int]
"""Name, safetensors' dtype, shape, and begin and end in the file."""


def _tensors(head: bytes | bytearray | memoryview, size: int) -> list[_Tensor]:
    """Return (name, dtype, shape, first byte, end) of each tensor, from a file's header ``head`` and its size."""
    begin, header = _end_of_header(head), _header(head)
    if header is None or begin > size:
        raise ValueError("it has no header")
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    end, tensors = 0, dict[str, _Tensor]()
    for name, entry in sorted(entries.items(), key=lambda item: _place(*item)):
        dtype, shape, (first, stop) = _DTYPES.get(entry["dtype"]), _shape(entry["shape"]), _place(name, entry)
        if dtype is None:
            raise ValueError(f"{name} has the unknown dtype {entry['dtype']}")
        if first != end or stop - first != math.prod(shape) * np.dtype(dtype).itemsize or begin + stop > size:
            raise ValueError(f"the bytes {first} to {stop} of {name} in its header do not fit the shape or the file")
        end = stop
        tensors[name] = name, entry["dtype"], shape, begin + first, begin + stop
    if begin + end != size:
        raise ValueError("it has bytes that its header does not describe")
    return [tensors[name] for name in entries]


def _place(name: str, entry: Any) -> tuple[int, int]:
    place = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(place, list) or len(place) != 2 or not all(type(item) is int for item in place):
        raise ValueError(f"its header has no valid data_offsets of {name}")
    return place[0], place[1]


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(dim) is int and dim >= 0 for dim in shape):
        raise ValueError(f"{shape} is not a shape")
    return tuple(shape)


def _array(data: bytes | memoryview, kind: str) -> np.ndarray:
    """Return the bytes of a tensor of dtype ``kind`` as a read-only 1-D array, converted if needed."""
    array = np.frombuffer(data, _DTYPES[kind])
    if kind == "BF16":
        array = (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    elif kind == "BOOL":
        array = array != 0
    elif not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array


def is_intact(raw: bytes, key: str) -> bool | None:
    """True if the digest under this key matches the bytes; None if the file has no digest under the key."""
    data = memoryview(raw)
    place = _place_of_digest(data, key)
    if place is None:
        return None
    return bytes(data[place : place + len(_BLANK)]) == _digest(data[:place], data[place + len(_BLANK) :])


def metadata_of(raw: bytes) -> dict[str, Any]:
    """Return the texts of ``__metadata__``; an empty dict if they are missing or the header is damaged."""
    metadata = (_header(raw) or {}).get("__metadata__")
    return metadata if isinstance(metadata, dict) else {}


def has_header(raw: bytes) -> bool:
    """True if the bytes begin with a safetensors header."""
    return _header(raw) is not None


def _header(raw: bytes | bytearray | memoryview) -> dict[str, Any] | None:
    """Return the header's entries; None if the bytes do not begin with a header."""
    try:
        header = json.loads(bytes(memoryview(raw)[8 : _end_of_header(raw)]))
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _in_order(header: bytes) -> bytes:
    """Return a safetensors header with sorted metadata, after its length in 8 bytes."""
    entries = json.loads(header)
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # aligns the data that follows
    return len(text).to_bytes(8, "little") + text


def _end_of_header(data: bytes | bytearray | memoryview) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def _place_of_digest(data: memoryview, key: str) -> int | None:
    """Return the position of the digest; None if there is no digest.

    JSON escapes quotes in names and texts, so the quoted key occurs only once in the header.
    """
    mark = f'"{key}":"'.encode()
    begin = bytes(data[: min(_end_of_header(data), len(data))]).find(mark)
    place = begin + len(mark)
    return None if begin < 0 or place + len(_BLANK) > len(data) else place


def _digest(before: memoryview, *after: memoryview) -> bytes:
    """Return the digest of a file, from the bytes before and after the digest."""
    digest = hashlib.sha256(before)
    for piece in (memoryview(_BLANK), *after):
        digest.update(piece)
    return digest.hexdigest().encode()
