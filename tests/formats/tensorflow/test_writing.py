"""Files in TensorFlow's formats: checksums, tables, checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.formats.tensorflow import checksums, sorted_table
from rnngraph.formats.tensorflow.writing import BLOCK, table, write_variables

FIXTURES = Path(__file__).parents[2] / "fixtures" / "checkpoints"


def plain_crc(data: bytes) -> int:
    """Return the CRC, computed bit by bit from the polynomial."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_checksums() -> None:
    assert checksums.crc32c(b"123456789") == 0xE3069283  # the check value of CRC catalogues
    assert checksums.crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    draw = np.random.default_rng(0)
    for size in (0, 1, 2, 63, 64, 127, 128, 129, 1000, 4097, 40_001):
        data = draw.integers(0, 256, size, np.uint8).tobytes()
        assert checksums.crc32c(data) == plain_crc(data)
    array = draw.normal(size=(100, 7, 300))
    assert checksums.masked_crc(array) == checksums.masked_crc(array.tobytes())


def test_long_data_is_folded_by_powers_that_leave_the_same_remainder() -> None:
    reflected = int(f"{checksums.POLYNOMIAL:032b}"[::-1], 2) | 1 << 32

    def remainder(exponent: int) -> int:
        value = 1
        for _ in range(exponent):
            value <<= 1
            value ^= reflected if value >> 32 else 0
        return value

    low = [remainder(term) for term in checksums.FOLDED_TERMS]
    assert remainder(checksums.FOLDED_DEGREE) == low[0] ^ low[1] ^ low[2]


@pytest.mark.parametrize("extra", [0, 1, 7, 8, 50_001, 8 * checksums.PIECE - 1, 8 * checksums.PIECE + 123_457])
def test_checksums_of_long_data(extra: int) -> None:
    size = checksums.MIN_FOLDED_BYTES + extra
    data = np.random.default_rng(extra).integers(0, 256, size + 3, np.uint8)[3:]  # unaligned words
    state = 0xFFFFFFFF
    for piece in np.array_split(data, 50):
        state = checksums._striped(piece, state)
    assert checksums.crc32c(data) == state ^ 0xFFFFFFFF
    assert checksums._striped(data[:3000], 0xFFFFFFFF) ^ 0xFFFFFFFF == plain_crc(data[:3000].tobytes())


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 33, 5000])
def test_tables_are_read_again(count: int) -> None:
    draw = np.random.default_rng(count)
    entries = sorted(
        {
            f"{'ab' * (number % 9)}{number}".encode(): draw.bytes(int(draw.integers(0, 300))) for number in range(count)
        }.items()
    )
    written = table(entries)
    assert list(sorted_table.entries(written)) == entries
    assert (len(written) > 2 * BLOCK) == (count == 5000)


def test_a_checkpoint_is_byte_by_byte_tensorflows(tmp_path: Path) -> None:
    """Data, positions and checksums of all variables equal those of the fixture that TensorFlow wrote."""
    theirs = rg.read_tf1_variables(FIXTURES / "version2")
    write_variables(tmp_path / "ours", theirs)
    ours = rg.read_tf1_variables(tmp_path / "ours")
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert ours[name].tobytes() == array.tobytes()
        assert ours[name].shape == array.shape
    entries = dict(sorted_table.entries((FIXTURES / "version2.index").read_bytes()))
    mine = dict(sorted_table.entries((tmp_path / "ours.index").read_bytes()))
    assert mine[b""] == entries[b""]
    crc = {key: value[-4:] for key, value in entries.items() if b"rnn/" in key}
    assert crc
    assert crc == {key: mine[key][-4:] for key in crc}


def test_arrays_that_checkpoints_can_not_store_are_errors() -> None:
    with pytest.raises(rg.DtypeError, match="which checkpoints cannot store"):
        write_variables("nowhere", {"text": np.array(["a"])})
    with pytest.raises(rg.FileError):
        write_variables("/nowhere/at/all", {"w": np.zeros(2)})
