"""CRC-32C, by which TensorFlow's files tell damage (Castagnoli et al. 1993), without a package for it."""

from __future__ import annotations

from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # with the lowest bit first
MOST_STRIPES, SHORTEST = 4096, 64
SHORT = 1024
"""Bytes from which on stripes are quicker than one byte behind the other."""
_DELTA = 0xA282EAD8


def masked_crc(data: bytes | np.ndarray) -> int:
    """The checksum as it stands in files: of bytes that hold checksums it would else be weak."""
    plain = crc32c(data)
    return ((plain >> 15 | plain << 17) + _DELTA) & 0xFFFFFFFF


def crc32c(data: bytes | np.ndarray) -> int:
    """The checksum of bytes. Long ones are cut into stripes, which are computed side by side and put together."""
    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.reshape(-1).view(np.uint8)
    if array.size < SHORT:
        return _of_few(array.tobytes())
    stripes = MOST_STRIPES
    while stripes > 1 and array.size < stripes * SHORTEST:
        stripes //= 2
    length = array.size // stripes
    whole, rest = array[: length * stripes].reshape(stripes, length), array[length * stripes :]
    found = _rounds(np.zeros(stripes, np.uint32), whole)
    while found.size > 1:  # neighbours, pair by pair
        found = _times(_shift(length), found[::2]) ^ found[1::2]
        length *= 2
    start = _times(_shift(length), np.array([0xFFFFFFFF], np.uint32)) ^ found
    return int(_rounds(start, rest.reshape(1, -1))[0]) ^ 0xFFFFFFFF


def _of_few(data: bytes) -> int:
    """The checksum of few bytes, one by one."""
    table, state = _numbers(), 0xFFFFFFFF
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF


@cache
def _numbers() -> tuple[int, ...]:
    return tuple(map(int, _table()))


def _rounds(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """States after the bytes of their rows."""
    table = _table()
    for column in rows.T:
        states = table[(states ^ column) & 0xFF] ^ (states >> np.uint32(8))
    return states


@cache
def _table() -> np.ndarray:
    """What a byte makes of a state."""
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = np.where(states & 1, (states >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), states >> np.uint32(1))
    return states


@cache
def _shift(length: int) -> tuple[int, ...]:
    """What so many bytes of 0 make of each bit of a state: a matrix over the field of two."""
    if length == 0:
        return tuple(1 << bit for bit in range(32))
    if length % 2:
        before = np.array(_shift(length - 1), np.uint32)
        return tuple(map(int, _rounds(before, np.zeros((32, 1), np.uint8))))
    half = _shift(length // 2)
    return tuple(map(int, _times(half, np.array(half, np.uint32))))


def _times(matrix: tuple[int, ...], states: np.ndarray) -> np.ndarray:
    found = np.zeros_like(states)
    for bit, column in enumerate(matrix):
        found ^= np.where((states >> np.uint32(bit)) & 1, np.uint32(column), np.uint32(0))
    return found
