"""Files of safetensors with a digest of all their bytes in ``__metadata__``.

The bytes in the digest's own place count as zeros.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_BLANK = b"0" * 64


def seal(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str], key: str
) -> tuple[bytes | memoryview, ...]:  # fmt: skip
    """Return the bytes of a file, in pieces. Equal contents give equal bytes.

    Args:
        tensors: Arrays that lie in memory row by row.
        metadata: Texts, beside which the digest stands.
        key: The digest's name among them.
    """
    from safetensors.numpy import save  # which takes longer to import than all of storage

    saved = memoryview(save(dict(tensors), {**metadata, key: _BLANK.decode()}))
    end = _end_of_header(saved)
    head = memoryview(_in_order(bytes(saved[8:end])))
    place = _place_of_digest(head, key)
    assert place is not None
    before, after, data = head[:place], head[place + len(_BLANK) :], saved[end:]
    return before, _digest(before, after, data), after, data


def is_intact(raw: bytes, key: str) -> bool | None:
    """Return whether the digest of this name is that of the bytes; None where there is no such digest."""
    data = memoryview(raw)
    place = _place_of_digest(data, key)
    if place is None:
        return None
    return bytes(data[place : place + len(_BLANK)]) == _digest(data[:place], data[place + len(_BLANK) :])


def metadata_of(raw: bytes) -> dict[str, Any]:
    """Return the texts in ``__metadata__``; none where there are none or the beginning is damaged."""
    data = memoryview(raw)
    try:
        header = json.loads(bytes(data[8 : _end_of_header(data)]))
    except (ValueError, RecursionError):
        return {}
    found = header.get("__metadata__") if isinstance(header, dict) else None
    return found if isinstance(found, dict) else {}


def has_header(raw: bytes) -> bool:
    """True if bytes begin as a safetensors file does."""
    data = memoryview(raw)
    try:
        return isinstance(json.loads(bytes(data[8 : _end_of_header(data)])), dict)
    except (ValueError, RecursionError):
        return False


def _in_order(header: bytes) -> bytes:
    """Return the file's beginning with its metadata in order, which safetensors leaves to chance."""
    entries = json.loads(header)
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # what follows is aligned
    return len(text).to_bytes(8, "little") + text


def _end_of_header(data: bytes | memoryview) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def _place_of_digest(data: memoryview, key: str) -> int | None:
    """Return where the digest begins, or None without one.

    Quotes in names and texts are escaped, so that the name of the digest as a key stands in the header once.
    """
    mark = f'"{key}":"'.encode()
    found = bytes(data[: min(_end_of_header(data), len(data))]).find(mark)
    place = found + len(mark)
    return None if found < 0 or place + len(_BLANK) > len(data) else place


def _digest(before: memoryview, *after: memoryview) -> bytes:
    """Return the digest of a file from the bytes before its own place and those after."""
    digest = hashlib.sha256(before)
    for piece in (memoryview(_BLANK), *after):
        digest.update(piece)
    return digest.hexdigest().encode()
