"""Handwritten Snappy blocks: TensorFlow writes none by default, and older tables have them."""

from __future__ import annotations

import pytest

from rnngraph.formats.tensorflow.sorted_table import _uncompressed


@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        (bytes([3, 2 << 2]) + b"abc", b"abc"),
        (bytes([70, 60 << 2, 69]) + b"x" * 70, b"x" * 70),  # a long literal, with its length in a byte
        (bytes([9, 2 << 2]) + b"abc" + bytes([(6 - 4) << 2 | 1, 3]), b"abcabcabc"),  # a copy that overlaps its source
        (bytes([7, 2 << 2]) + b"abc" + bytes([3 << 2 | 2, 2, 0]), b"abcbcbc"),
        (bytes([4, 2 << 2]) + b"abc" + bytes([0 << 2 | 3, 3, 0, 0, 0]), b"abca"),
    ],
)
def test_blocks_are_uncompressed(compressed: bytes, plain: bytes) -> None:
    assert _uncompressed(compressed) == plain


@pytest.mark.parametrize("data", [bytes([3, 2 << 2]) + b"ab", bytes([4, 1]), bytes([9, 1 << 2]) + b"ab", b"\xff" * 12])
def test_damaged_blocks_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|truncated|at most|too long"):
        _uncompressed(data)
