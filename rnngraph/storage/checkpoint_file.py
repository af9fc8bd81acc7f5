"""Checkpoints: arrays and a JSON document in one safetensors file that is whole, or is refused.

The file is an ordinary safetensors file. Its ``__metadata__`` holds the format, the kind of checkpoint, the
document, and the SHA-256 digest of all bytes of the file, those of the digest's own place counted as zeros.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from ..allocation import reserve
from ..errors import DtypeError, FileError
from .atomic_file import as_path, replace_file

FORMAT = "rnngraph checkpoint"
VERSION = 1
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_BLANK = b"0" * 64
_PLACE = b'"sha256":"'  # quotes inside of names and texts are escaped, so this stands in the header once


def write(path: str | os.PathLike[str], kind: str, arrays: Mapping[str, np.ndarray], text: Mapping[str, Any]) -> None:
    """Replaces ``path`` by a checkpoint, whole or not at all.

    kind: what the checkpoint is of; ``read`` asks for the same. arrays: of any shape; floats, ints and bools
    in native byte order come back as they are, in the same order. text: what JSON takes, with exact floats
    (NaN and infinities too) and ints; tuples come back as lists. Raises ``FileError`` and ``DtypeError``.
    """
    path = as_path(path)
    pieces = packed(kind, arrays, text, os.fspath(path))
    with replace_file(path) as file:
        for piece in pieces:
            file.write(piece)


def packed(
    kind: str, arrays: Mapping[str, np.ndarray], text: Mapping[str, Any], shown: str
) -> tuple[bytes | memoryview, ...]:
    """The bytes of a checkpoint, in pieces. shown: what errors call it."""
    reserve(sum(array.nbytes for array in arrays.values()), f"the bytes of {shown}")
    tensors = {name: _tensor(name, array) for name, array in arrays.items()}
    try:
        document = json.dumps({"names": list(tensors), "text": dict(text)})
    except (TypeError, ValueError) as error:
        raise DtypeError(f"can't write {shown}: {error}; a checkpoint's text is what JSON takes") from None
    metadata = {"format": FORMAT, "version": str(VERSION), "kind": kind, "document": document}
    saved = memoryview(save(tensors, metadata | {"sha256": _BLANK.decode()}))
    end = _end_of_header(saved)
    head = memoryview(_in_order(bytes(saved[8:end])))
    place = _place_of_digest(head)
    assert place is not None
    before, after, data = head[:place], head[place + len(_BLANK) :], saved[end:]
    return before, _digest(before, after, data), after, data


def _in_order(header: bytes) -> bytes:
    """The file's beginning with its metadata in order, which safetensors leaves to chance: equal contents are equal
    bytes.
    """
    entries = json.loads(header)
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # what follows is aligned
    return len(text).to_bytes(8, "little") + text


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, text) as they were written. Raises ``FileError`` where ``path`` is no whole checkpoint of this kind."""
    shown = str(as_path(path))
    return unpacked(_bytes(path), kind, shown)


def unpacked(raw: bytes, kind: str, shown: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, text) of a checkpoint's bytes. Raises ``FileError`` where they are none, damaged, or of another kind."""
    data = memoryview(raw)
    place = _place_of_digest(data)
    if place is None:
        raise FileError(f"{shown} is no checkpoint, or its beginning is damaged; give a file that rnngraph saved")
    if bytes(data[place : place + len(_BLANK)]) != _digest(data[:place], data[place + len(_BLANK) :]):
        raise FileError(
            f"{shown} is damaged: its {len(data)} bytes are not those that were written; take an earlier copy"
        )
    header = json.loads(bytes(data[8 : _end_of_header(data)]))["__metadata__"]
    if (header["format"], header["version"]) != (FORMAT, str(VERSION)):
        raise FileError(
            f"{shown} holds {header['format']} {header['version']}, and this is {FORMAT} {VERSION}; "
            "read it with the rnngraph that wrote it"
        )
    if header["kind"] != kind:
        raise FileError(f"{shown} is a checkpoint of a {header['kind']}, not of a {kind}; give it to its own kind")
    document, arrays = json.loads(header["document"]), load(raw)
    return {name: arrays[name] for name in document["names"]}, document["text"]


def _tensor(name: str, array: np.ndarray) -> np.ndarray:
    tensor = np.asarray(array, order="C")  # safetensors reads memory as it lies
    if tensor.dtype.name not in (*DTYPES, "bool") or not tensor.dtype.isnative:
        raise DtypeError(f"can't write {name} of dtype {tensor.dtype} to a checkpoint; give floats, ints or bools")
    if name == "__metadata__":
        raise DtypeError("safetensors keeps the name __metadata__ for itself; give the array another")
    return tensor


def _bytes(path: str | os.PathLike[str]) -> bytes:
    file = as_path(path)
    try:
        reserve(2 * file.stat().st_size, f"what {file} holds")
        return file.read_bytes()
    except FileNotFoundError:
        raise FileError(f"no file {os.fspath(path)}; give the path of a checkpoint") from None
    except OSError as error:
        raise FileError(f"can't read {os.fspath(path)}: {error.strerror or error}; give a checkpoint's path") from None


def _end_of_header(data: bytes | memoryview) -> int:
    return 8 + int.from_bytes(data[:8], "little")


def _place_of_digest(data: memoryview) -> int | None:
    """Where the digest begins, or None if this is no checkpoint."""
    found = bytes(data[: min(_end_of_header(data), len(data))]).find(_PLACE)
    place = found + len(_PLACE)
    return None if found < 0 or place + len(_BLANK) > len(data) else place


def _digest(before: memoryview, *after: memoryview) -> bytes:
    """The digest of a file, of what is before its own place and after it."""
    digest = hashlib.sha256(before)
    for piece in (memoryview(_BLANK), *after):
        digest.update(piece)
    return digest.hexdigest().encode()
