"""File format of compiled code: object file, constants and interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ...codegen.machine.interface import Interface, ObjectCode, Output, Packing, PackStage
from ...ir.sizes.polynomial import plain_dim, restored_dim
from ...storage.checkpoint_file import packed, unpacked
from ...support.errors import FileError

KIND, SHOWN = "object code", "compiled code"
BINARY = "binary"
_FORMULAS = ("arena_bytes", "cycles")


def to_bytes(key: str, code: ObjectCode) -> bytes:
    """Return the bytes of a file. ``key`` identifies what was compiled; readers must pass the same key."""
    interface = code.interface
    document = {item.name: getattr(interface, item.name) for item in fields(interface)}
    document["key"] = key
    document["outputs"] = [
        [item.name, item.dtype, [plain_dim(dim) for dim in item.shape], item.slot] for item in interface.outputs
    ]
    document["constants"] = [slot for slot, _ in interface.constants]
    document["packing"] = None if interface.packing is None else asdict(interface.packing)
    for name in _FORMULAS:
        document[name] = plain_dim(document[name])
    arrays = {str(slot): value for slot, value in interface.constants}
    arrays[BINARY] = np.frombuffer(code.binary, np.uint8)
    return b"".join(packed(KIND, arrays, document, SHOWN))


def from_bytes(key: str, data: bytes) -> ObjectCode | None:
    """Return the code in the bytes of a file; None if they are damaged or have another key."""
    try:
        arrays, document = unpacked(data, KIND, SHOWN)
        return _code(key, arrays, document)
    except FileError:
        return None
    except (ValueError, TypeError, LookupError, AttributeError):  # intact, but of another version
        return None


def _code(key: str, arrays: Mapping[str, np.ndarray], document: dict[str, Any]) -> ObjectCode | None:
    if document.pop("key") != key:
        return None
    document["constants"] = tuple((slot, arrays[str(slot)].copy()) for slot in document["constants"])
    document["inputs"] = {name: (slot, tuple(strides)) for name, (slot, strides) in document["inputs"].items()}
    document["outputs"] = tuple(
        Output(name, dtype, tuple(map(restored_dim, shape)), slot) for name, dtype, shape, slot in document["outputs"]
    )
    document["unpacked"] = tuple(document["unpacked"])
    if (packing := document["packing"]) is not None:
        stages = [PackStage(**{**stage, "parameters": tuple(stage["parameters"])}) for stage in packing.pop("stages")]
        document["packing"] = Packing(**packing, stages=tuple(stages))
    for name in _FORMULAS:
        document[name] = restored_dim(document[name])
    return ObjectCode(Interface(**document), arrays[BINARY].tobytes())
