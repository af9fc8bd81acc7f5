"""Checkpoints: arrays and a JSON document in one safetensors file with a digest.

The ``__metadata__`` of the file holds the format, the kind of checkpoint, the document and a SHA-256 digest. The
digest covers all bytes of the file; its own bytes count as zeros.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..support.allocation import reserve
from ..support.errors import DtypeError, FileError
from .atomic_file import as_path, replace_file
from .read_file import read_file
from .sealed_safetensors import arrays_in, has_header, is_intact, metadata_of, seal

FORMAT = "rnngraph checkpoint"
VERSION = 1
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DIGEST = "sha256"


def write(path: str | os.PathLike[str], kind: str, arrays: Mapping[str, np.ndarray], text: Mapping[str, Any]) -> None:
    """Write a checkpoint file with arrays and a JSON document, atomically.

    Args:
        path: The file to replace.
        kind: Kind of object; ``read`` must pass the same one.
        arrays: Arrays by name, of any shape: floats, ints and bools in native byte order. Their order is kept.
        text: JSON document. Floats are exact, NaN and infinities included; tuples become lists.

    Raises:
        FileError: The file cannot be written.
        DtypeError: An array's dtype is not supported, or JSON cannot represent the document.
    """
    path = as_path(path)
    pieces = packed(kind, arrays, text, os.fspath(path))
    with replace_file(path) as file:
        for piece in pieces:
            file.write(piece)


def packed(
    kind: str, arrays: Mapping[str, np.ndarray], text: Mapping[str, Any], shown: str
) -> tuple[bytes | memoryview, ...]:
    """Return the bytes of a checkpoint with arrays and a JSON document, in pieces. Errors name it ``shown``."""
    reserve(sum(array.nbytes for array in arrays.values()), f"the bytes of {shown}")
    tensors = {name: _tensor(name, array) for name, array in arrays.items()}
    try:
        document = json.dumps({"names": list(tensors), "text": dict(text)})
    except (TypeError, ValueError) as error:
        raise DtypeError(f"can't write {shown}: {error}; a checkpoint's text must be representable in JSON") from None
    metadata = {"format": FORMAT, "version": str(VERSION), "kind": kind, "document": document}
    return seal(tensors, metadata, DIGEST)


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (arrays, document) of a checkpoint file. Raise ``FileError`` if missing, damaged or of another kind."""
    shown = str(as_path(path))
    return unpacked(read_file(path, "a checkpoint", copies=2), kind, shown)


def unpacked(raw: bytes, kind: str, shown: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (arrays, document) from a checkpoint's bytes. Raise ``FileError`` if damaged or of another kind."""
    is_whole = is_intact(raw, DIGEST)
    if is_whole is None and has_header(raw):
        raise FileError(
            f"{shown} is a safetensors file with arrays only, not a checkpoint; give a checkpoint that rnngraph saved, "
            "or read parameters with program.parameters.load(path)"
        )
    if is_whole is None:
        raise FileError(f"{shown} is not a checkpoint, or its beginning is damaged; give a file that rnngraph saved")
    if not is_whole:
        raise FileError(f"{shown} is damaged: the digest of its {len(raw)} bytes differs; take an earlier copy")
    header = metadata_of(raw)
    if (header["format"], header["version"]) != (FORMAT, str(VERSION)):
        raise FileError(
            f"{shown} has the format {header['format']} {header['version']}, and this version reads {FORMAT} "
            f"{VERSION}; read it with the version that wrote it"
        )
    if header["kind"] != kind:
        raise FileError(
            f"{shown} is a checkpoint of a {header['kind']}, not of a {kind}; load it as a {header['kind']}"
        )
    document, arrays = json.loads(header["document"]), arrays_in(raw)
    return {name: arrays[name] for name in document["names"]}, document["text"]


def _tensor(name: str, array: np.ndarray) -> np.ndarray:
    """Return a C-contiguous array for a checkpoint. Raise ``DtypeError`` for another dtype, or a reserved name."""
    tensor = np.asarray(array, order="C")  # safetensors ignores strides
    if tensor.dtype.name not in (*DTYPES, "bool") or not tensor.dtype.isnative:
        raise DtypeError(f"can't write {name} of dtype {tensor.dtype} to a checkpoint; give floats, ints or bools")
    if name == "__metadata__":
        raise DtypeError("an array can't be named __metadata__, which safetensors reserves; give it another name")
    return tensor
