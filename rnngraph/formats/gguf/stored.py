"""Decodes tensors of GGUF's types: floats of 32 and 16 bits, and blocks of 8-bit or 4-bit numbers with a scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ...storage.stored_array import Encoding, StoredArray, as_array
from ...support.errors import MissingExtraError
from .container import Container, Stored

F32, F16, Q4_0, Q8_0, BF16 = 0, 1, 2, 8, 30
BLOCK = 32
"""Elements of a block, which share one scale. Blocks lie along the last axis."""
BLOCK_BYTES = {Q8_0: 34, Q4_0: 18}
"""Bytes of a block, by tensor type: a float16 scale, and 32 elements of 8 or 4 bits."""
_ITEM_BYTES = {F32: 4, F16: 2, BF16: 2}

Arrays = dict[str, np.ndarray | StoredArray]
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
    """Return the reason why a tensor's type or shape is not supported; an empty string if they are."""
    if tensor.type not in PARTS:
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


def arrays_of(container: Container, tensor: Stored, rows: int) -> Arrays:
    """Return the arrays of a supported tensor, each [rows, ...]. Arrays of large files stay in the file."""
    count, arrays = bytes_in(tensor), Arrays()
    for key, (dtype, encoding) in PARTS[tensor.type].items():
        items = count // dtype.itemsize if encoding is None else count // encoding.block_bytes * encoding.block_items
        arrays[key] = container.array_of(tensor, count, dtype, (rows, items // rows), encoding)
    return arrays


def floats_of(container: Container, tensor: Stored) -> np.ndarray:
    """Return a supported tensor as float32, in its shape. It is read whole, so this is for small tensors only."""
    rows = math.prod(tensor.shape[:-1])
    arrays = {key: as_array(array) for key, array in arrays_of(container, tensor, rows).items()}
    if tensor.type not in BLOCK_BYTES:
        plain = arrays[""].reshape(tensor.shape)
        return (plain.astype(np.uint32) << np.uint32(16)).view(np.float32) if tensor.type == BF16 else plain
    numbers, scales = arrays["numbers"], arrays["scales"]
    parts = numbers.reshape(*scales.shape, -1)
    if tensor.type == Q4_0:
        parts = np.concatenate([parts & 15, parts >> 4], -1).astype(np.int8) - np.int8(8)
    return (parts.astype(np.float32) * scales[..., np.newaxis]).reshape(tensor.shape)


class Part(NamedTuple):
    """One of the arrays that store a tensor.

    Attributes:
        dtype: Dtype of the decoded array.
        encoding: Form of the array in the file; None if its bytes are stored as they are.
    """

    dtype: np.dtype[np.generic]
    encoding: Encoding | None


def _blocks(kind: int, dtype: type) -> Mapping[str, Part]:
    """Return the arrays of a type with blocks: ``numbers`` and ``scales``.

    A block in the file is a float16 scale, followed by the numbers' bytes.

    Args:
        kind: GGUF's type number.
        dtype: Dtype of the numbers; uint8 for two 4-bit numbers in a byte.
    """
    name, size = str(kind), BLOCK_BYTES[kind]

    def numbers(data: np.ndarray) -> np.ndarray:
        return data.reshape(-1, size)[:, 2:].ravel().view(dtype)

    def scales(data: np.ndarray) -> np.ndarray:
        return data.reshape(-1, size)[:, :2].ravel().view("<f2").astype(np.float32)

    return {
        "numbers": Part(np.dtype(dtype), Encoding(f"{name} numbers", size, size - 2, numbers)),
        "scales": Part(np.dtype(np.float32), Encoding(f"{name} scales", size, 1, scales)),
    }


PARTS: Mapping[int, Mapping[str, Part]] = {
    F32: {"": Part(np.dtype("<f4"), None)},
    F16: {"": Part(np.dtype(np.float32), Encoding("F16", 2, 1, lambda data: data.view("<f2").astype(np.float32)))},
    BF16: {"": Part(np.dtype("<u2"), None)},
    Q8_0: _blocks(Q8_0, np.int8),
    Q4_0: _blocks(Q4_0, np.uint8),
}
"""{GGUF's type number: arrays that store a tensor of the type, by their keys in ``Arrays``}."""
