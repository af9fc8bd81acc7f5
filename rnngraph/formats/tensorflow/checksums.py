"""CRC-32C, the checksum in TensorFlow's files (Castagnoli et al. 1993), in NumPy.

Long data is folded first. The polynomials ``x**6777`` and ``x**484 + x**100 + 1`` over GF(2) are congruent modulo the
CRC's polynomial, and so are their 64th powers. Three exclusive ors of 64-bit words thus move a block at least 6293
words towards the end, until 6777 words are left.
"""

from __future__ import annotations

from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78  # in reflected form: the lowest bit is the highest power
FOLDED_DEGREE = 6777
FOLDED_TERMS = (484, 100, 0)
"""Exponents of the terms that equal ``x**FOLDED_DEGREE`` modulo the polynomial."""
PIECE = 1 << 17
"""64-bit words that are folded at a time: 1 MiB, which fits into an L2 cache."""
MAX_STRIPES, MIN_STRIPE_BYTES = 4096, 64
"""Maximum number of parts of an array whose checksums are computed in parallel, and minimum bytes of a part."""
MIN_STRIPED_BYTES = 1024
"""Below this many bytes, a loop over bytes is faster than stripes."""
MIN_FOLDED_BYTES = 16 * FOLDED_DEGREE
_DELTA = 0xA282EAD8


def masked_crc(data: bytes | np.ndarray) -> int:
    """Return the masked checksum of data. Files store it, because a plain CRC of data that contains CRCs is weak."""
    return mask(crc32c(data))


def mask(plain: int) -> int:
    """Rotate a checksum and add a constant, as TensorFlow does before it writes one."""
    return ((plain >> 15 | plain << 17) + _DELTA) & 0xFFFFFFFF


def crc32c(data: bytes | np.ndarray) -> int:
    """Return the checksum of bytes, or of the memory of an array."""
    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.reshape(-1).view(np.uint8)
    if array.size < MIN_STRIPED_BYTES:
        return _bytewise(array.tobytes())
    state = 0xFFFFFFFF
    if array.size >= MIN_FOLDED_BYTES:
        array, state = _fold(array, state), 0
    return _striped(array, state) ^ 0xFFFFFFFF


def _fold(array: np.ndarray, state: int) -> np.ndarray:
    """Shorten data without changing its CRC.

    Return fewer bytes, which take the CRC register from 0 to where ``array`` takes it from ``state``.
    """
    count = array.size // 8
    words, degree = array[: 8 * count].view(np.uint64), FOLDED_DEGREE
    buffer = np.empty(degree + PIECE, np.uint64)
    buffer[:degree] = words[:degree]
    buffer.view(np.uint32)[0] ^= np.uint32(state)
    step = degree - max(FOLDED_TERMS)
    for start in range(degree, count, PIECE):
        piece = words[start : start + PIECE]
        buffer[degree : degree + piece.size] = piece
        for first in range(0, piece.size, step):
            block = buffer[first : min(first + step, piece.size)]
            for term in FOLDED_TERMS:
                place = first + degree - term
                buffer[place : place + block.size] ^= block
        buffer[:degree] = buffer[piece.size : piece.size + degree]
    return np.concatenate([buffer[:degree].view(np.uint8), array[8 * count :]])


def _striped(array: np.ndarray, state: int) -> int:
    """Return the CRC register after the bytes of ``array``, which was ``state`` before.

    Stripes of the array are computed in parallel, and then combined.
    """
    stripes = MAX_STRIPES
    while stripes > 1 and array.size < stripes * MIN_STRIPE_BYTES:
        stripes //= 2
    length = array.size // stripes
    whole, rest = array[: length * stripes].reshape(stripes, length), array[length * stripes :]
    states = _rounds(np.zeros(stripes, np.uint32), whole)
    while states.size > 1:  # Combine the states of adjacent stripes.
        states = _times(_shift(length), states[::2]) ^ states[1::2]
        length *= 2
    start = _times(_shift(length), np.array([state], np.uint32)) ^ states
    return int(_rounds(start, rest.reshape(1, -1))[0])


def _bytewise(data: bytes) -> int:
    """Return the checksum of short data, computed byte by byte."""
    table, state = _numbers(), 0xFFFFFFFF
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF


@cache
def _numbers() -> tuple[int, ...]:
    """Return ``_table`` as Python ints, which are faster than NumPy's for single bytes."""
    return tuple(map(int, _table()))


def _rounds(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Update each CRC register in ``states`` by the bytes of its row. Return the registers."""
    table = _table()
    for column in rows.T:
        states = table[(states ^ column) & 0xFF] ^ (states >> np.uint32(8))
    return states


@cache
def _table() -> np.ndarray:
    """Return the CRC's lookup table: entry b is the change of the register by the byte b."""
    states = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        states = np.where(states & 1, (states >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), states >> np.uint32(1))
    return states


@cache
def _shift(length: int) -> tuple[int, ...]:
    """Return the matrix over GF(2) that takes the register past ``length`` zero bytes, as 32 columns of 32 bits."""
    if length == 0:
        return tuple(1 << bit for bit in range(32))
    if length % 2:
        before = np.array(_shift(length - 1), np.uint32)
        return tuple(map(int, _rounds(before, np.zeros((32, 1), np.uint8))))
    half = _shift(length // 2)
    return tuple(map(int, _times(half, np.array(half, np.uint32))))


def _times(matrix: tuple[int, ...], states: np.ndarray) -> np.ndarray:
    """Return the product of a matrix over GF(2), given as columns, and each of the states."""
    product = np.zeros_like(states)
    for bit, column in enumerate(matrix):
        product ^= np.where((states >> np.uint32(bit)) & 1, np.uint32(column), np.uint32(0))
    return product
