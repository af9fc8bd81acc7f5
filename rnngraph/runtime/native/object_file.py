"""File format of compiled code: a digest, a JSON document of the interface, constants, and the object file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from typing import Any

import numpy as np

from ...codegen.machine.interface import Interface, ObjectCode, Output
from ...ir.sizes.text import parse_dim
from ...ir.types import Dim, Size

MAGIC = b"rnngraph object code\n"
_FORMULAS = ("arena_bytes", "cycles")
_DIGEST, _COUNT = hashlib.sha256().digest_size, 8


def to_bytes(key: str, code: ObjectCode) -> bytes:
    """Return the bytes of a file. ``key`` identifies the code's inputs; readers must pass the same one."""
    interface = code.interface
    document = {item.name: getattr(interface, item.name) for item in fields(interface)}
    document["key"] = key
    document["outputs"] = [
        [item.name, item.dtype, [_from_dim(dim) for dim in item.shape], item.slot] for item in interface.outputs
    ]
    document["constants"] = [[slot, value.dtype.str, value.shape] for slot, value in interface.constants]
    for name in _FORMULAS:
        document[name] = _from_dim(document[name])
    text = json.dumps(document).encode()
    parts = [len(text).to_bytes(_COUNT, "little"), text, *(value.tobytes() for _, value in interface.constants)]
    body = b"".join([*parts, code.binary])
    return MAGIC + hashlib.sha256(body).digest() + body


def from_bytes(key: str, data: bytes) -> ObjectCode | None:
    """Return the code in ``data``; None if it is damaged or has another key."""
    begin = len(MAGIC) + _DIGEST
    body = memoryview(data)[begin:]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : begin] != hashlib.sha256(body).digest():
        return None
    try:
        return _code(key, body)
    except (ValueError, TypeError, LookupError, AttributeError):  # intact, but of another version
        return None


def _code(key: str, body: memoryview) -> ObjectCode | None:
    end = _COUNT + int.from_bytes(body[:_COUNT], "little")
    document = json.loads(bytes(body[_COUNT:end]))
    if document.pop("key") != key:
        return None
    constants = []
    for slot, dtype, shape in document["constants"]:
        count = math.prod(shape)
        constants.append((slot, np.frombuffer(body, dtype, count, end).reshape(shape).copy()))
        end += count * np.dtype(dtype).itemsize
    document["constants"] = tuple(constants)
    document["inputs"] = {name: (slot, tuple(strides)) for name, (slot, strides) in document["inputs"].items()}
    document["outputs"] = tuple(
        Output(name, dtype, tuple(map(_to_dim, shape)), slot) for name, dtype, shape, slot in document["outputs"]
    )
    for name in _FORMULAS:
        document[name] = _to_dim(document[name])
    return ObjectCode(Interface(**document), bytes(body[end:]))


def _from_dim(dim: Dim) -> Any:
    return dim.terms if isinstance(dim, Size) else dim


def _to_dim(value: Any) -> Dim:
    if isinstance(value, int):
        return value
    return Size(tuple((tuple(map(_to_factor, names)), factor) for names, factor in value))


def _to_factor(text: str) -> str:
    """Parse a factor of a size: a name or a floor division."""
    if "//" not in text:
        return text
    dim = parse_dim(text)
    assert isinstance(dim, Size)
    return dim.terms[0][0][0]
