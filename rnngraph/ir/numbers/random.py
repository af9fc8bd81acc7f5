"""NumPy definition of the counter-based random number generator.

A random number is a pure function of (seed, site, step, row, unit). A site is a place in the graph that draws random
numbers. Dropout masks therefore do not depend on threads, or on how batches and sequences are divided.

Threefry-2x32 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC'11) is applied three times.
First, 20 rounds on (site, step) with the seed as key give a key. Then 20 rounds on the row with that key give the row's
key. At last, 13 rounds on the unit with the row's key give the random bits; 13 is the smallest number of rounds that
passes BigCrush. Native code gives the same bits.
"""

from __future__ import annotations

import zlib

import numpy as np

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA
KEY_ROUNDS = 20
UNIT_ROUNDS = 13
WORD = 0xFFFFFFFF


def threefry(
    key0: np.ndarray, key1: np.ndarray, x0: np.ndarray, x1: np.ndarray, rounds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both output words of the random generator Threefry-2x32 for keys and counters, arrays of uint32."""
    with np.errstate(over="ignore"):
        keys = (key0, key1, key0 ^ key1 ^ np.uint32(PARITY))
        x0, x1 = x0 + keys[0], x1 + keys[1]
        for number in range(rounds):
            rotation = ROTATIONS[number % 8]
            x0 = x0 + x1
            x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
            x1 = x1 ^ x0
            if number % 4 == 3:
                injection = number // 4 + 1
                x0 = x0 + keys[injection % 3]
                x1 = x1 + keys[(injection + 1) % 3] + np.uint32(injection)
    return x0, x1


def site_word(site: str, salt: int) -> int:
    """Return the 32-bit id of a site: the CRC-32 of its name and of the user's seed for it."""
    return zlib.crc32(f"{site}#{salt}".encode())


def _words(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bits = np.asarray(value).astype(np.int64).view(np.uint64)
    return (bits & np.uint64(WORD)).astype(np.uint32), (bits >> np.uint64(32)).astype(np.uint32)


def random_key(seed: np.ndarray, step: np.ndarray, row: np.ndarray, site: str, salt: int) -> np.ndarray:
    """Return the 64-bit key of each (seed, site, step, row), as int64. Of steps and rows, the lower 32 bits count."""
    seed_low, seed_high = _words(seed)
    step_low, row_low = _words(step)[0], _words(row)[0]
    key0, key1 = threefry(seed_low, seed_high, np.uint32(site_word(site, salt)) + 0 * step_low, step_low, KEY_ROUNDS)
    low, high = threefry(key0, key1, row_low, np.zeros_like(row_low), KEY_ROUNDS)
    return (low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))).view(np.int64)


def random_uniform(key: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return a float32 in [0, 1), a multiple of 2**-24, for each key and unit."""
    low, high = _words(key)
    unit_low = _words(unit)[0]
    word, _ = threefry(low, high, unit_low, np.zeros_like(unit_low), UNIT_ROUNDS)
    return (word >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
