"""Safetensors files with a SHA-256 digest of all their bytes in ``__metadata__``.

The digest's own bytes count as zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_BLANK = b"0" * 64


def seal(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str], key: str) -> tuple[bytes | memoryview, ...]:
    """Return the bytes of a file, in pieces. Equal contents give equal bytes.

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


def is_intact(raw: bytes, key: str) -> bool | None:
    """True if the digest under this key matches the bytes; None if there is no such digest."""
    data = memoryview(raw)
    place = _place_of_digest(data, key)
    if place is None:
        return None
    return bytes(data[place : place + len(_BLANK)]) == _digest(data[:place], data[place + len(_BLANK) :])


def metadata_of(raw: bytes) -> dict[str, Any]:
    """Return the texts of ``__metadata__``; an empty dict if they are missing or the header is damaged."""
    data = memoryview(raw)
    try:
        header = json.loads(bytes(data[8 : _end_of_header(data)]))
    except (ValueError, RecursionError):
        return {}
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def has_header(raw: bytes) -> bool:
    """True if the bytes begin with a safetensors header."""
    data = memoryview(raw)
    try:
        return isinstance(json.loads(bytes(data[8 : _end_of_header(data)])), dict)
    except (ValueError, RecursionError):
        return False


def _in_order(header: bytes) -> bytes:
    """Return the length prefix and header with sorted metadata, whose order safetensors does not fix."""
    entries = json.loads(header)
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # aligns the data that follows
    return len(text).to_bytes(8, "little") + text


def _end_of_header(data: bytes | memoryview) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def _place_of_digest(data: memoryview, key: str) -> int | None:
    """Return the position of the digest; None without one.

    JSON escapes quotes in names and texts, so the quoted key occurs only once in the header.
    """
    mark = f'"{key}":"'.encode()
    begin = bytes(data[: min(_end_of_header(data), len(data))]).find(mark)
    place = begin + len(mark)
    return None if begin < 0 or place + len(_BLANK) > len(data) else place


def _digest(before: memoryview, *after: memoryview) -> bytes:
    """Return the digest of a file, from the bytes before and after the digest's position."""
    digest = hashlib.sha256(before)
    for piece in (memoryview(_BLANK), *after):
        digest.update(piece)
    return digest.hexdigest().encode()
