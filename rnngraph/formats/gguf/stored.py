"""Decodes the stored bytes of each tensor type to the arrays of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ...support.errors import MissingExtraError
from .container import Container, Stored

F32, F16, Q4_0, Q8_0, BF16 = 0, 1, 2, 8, 30
BLOCK = 32
"""Elements of a block, which share one scale. Blocks lie along the last axis."""
BLOCK_BYTES = {Q8_0: 34, Q4_0: 18}
"""Bytes of a block, by tensor type: a float16 scale, and 32 elements of 8 or 4 bits."""
_ITEM_BYTES = {F32: 4, F16: 2, BF16: 2}

Arrays = dict[str, np.ndarray]
"""Arrays of one tensor, by key: ``""`` for a tensor without blocks; ``numbers`` and ``scales`` for one with blocks."""


def type_name(number: int) -> str:
    """Return GGUF's name of a tensor type."""
    try:
        from gguf import GGMLQuantizationType
    except ImportError:
        raise MissingExtraError("read_gguf needs gguf; pip install gguf") from None
    try:
        return str(GGMLQuantizationType(number).name)
    except ValueError:
        return f"number {number}"


def objection(tensor: Stored) -> str:
    """Return the reason why a tensor is not supported; an empty string for a supported one."""
    if tensor.type not in DECODERS:
        return f"{tensor.name} has type {type_name(tensor.type)}"
    if tensor.type in BLOCK_BYTES and tensor.shape[-1] % BLOCK:
        return (
            f"{tensor.name} of type {type_name(tensor.type)} has {tensor.shape[-1]} columns, which is no multiple of "
            f"{BLOCK}"
        )
    return ""


def bytes_in(tensor: Stored) -> int:
    """Return the number of bytes of a supported tensor."""
    items = math.prod(tensor.shape)
    if tensor.type in BLOCK_BYTES:
        return items // BLOCK * BLOCK_BYTES[tensor.type]
    return items * _ITEM_BYTES[tensor.type]


def arrays_of(container: Container, tensor: Stored) -> Arrays:
    """Return the arrays of a supported tensor."""
    return DECODERS[tensor.type](container.bytes_of(tensor, bytes_in(tensor)), tensor.shape)


def floats_of(container: Container, tensor: Stored) -> np.ndarray:
    """Return a copy of a tensor as float32. For small tensors only."""
    arrays = arrays_of(container, tensor)
    if tensor.type not in BLOCK_BYTES:
        plain = arrays[""]
        return (plain.astype(np.uint32) << np.uint32(16)).view(np.float32) if tensor.type == BF16 else plain
    numbers, scales = arrays["numbers"], arrays["scales"]
    parts = numbers.reshape(*scales.shape, -1)
    if tensor.type == Q4_0:
        parts = np.concatenate([parts & 15, parts >> 4], -1).astype(np.int8) - np.int8(8)
    return (parts.astype(np.float32) * scales[..., np.newaxis]).reshape(tensor.shape)


def _f32(data: np.ndarray, shape: tuple[int, ...]) -> Arrays:
    return {"": data.view("<f4").reshape(shape)}


def _f16(data: np.ndarray, shape: tuple[int, ...]) -> Arrays:
    return {"": data.view("<f2").astype(np.float32).reshape(shape)}


def _bf16(data: np.ndarray, shape: tuple[int, ...]) -> Arrays:
    return {"": data.view("<u2").reshape(shape)}


def _blocks(data: np.ndarray, shape: tuple[int, ...], block: int, dtype: type) -> Arrays:
    """Return the numbers and scales of blocks. A block is a float16 scale, then the numbers' bytes."""
    rows = shape[:-1]
    parts = data.reshape(-1, block)
    scales = np.ascontiguousarray(parts[:, :2]).view("<f2").astype(np.float32)
    numbers: np.ndarray = np.ascontiguousarray(parts[:, 2:]).view(dtype)
    return {"numbers": numbers.reshape(*rows, -1), "scales": scales.reshape(*rows, -1)}


def _q8_0(data: np.ndarray, shape: tuple[int, ...]) -> Arrays:
    return _blocks(data, shape, BLOCK_BYTES[Q8_0], np.int8)


def _q4_0(data: np.ndarray, shape: tuple[int, ...]) -> Arrays:
    return _blocks(data, shape, BLOCK_BYTES[Q4_0], np.uint8)


DECODERS: Mapping[int, Callable[[np.ndarray, tuple[int, ...]], Arrays]] = {
    F32: _f32,
    F16: _f16,
    BF16: _bf16,
    Q8_0: _q8_0,
    Q4_0: _q4_0,
}
"""Functions from bytes and a shape to arrays, by GGUF's type number."""
