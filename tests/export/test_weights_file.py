"""Packed weights in a file that programs map into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported import Instance

import rnngraph as rg
from rnngraph.codegen.machine.target import host

UNIT_OF_ZEROS = np.float32(2.0**-114)
"""Unit of the scales of a column of zeros."""


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8", "int8_blocks", "int4"])
def test_the_file_equals_the_weights_packed_by_set_weights(kind: str, tmp_path: Path) -> None:
    """``set_weights`` packs the bytes of the weights file, followed by memory for intermediate values.

    Units of scales beyond a row's last column may be any numbers. In the file they are those of columns of zeros.
    """
    x = rg.placeholder("x", (None, None, 70))
    y, _ = rg.dynamic_rnn(rg.MultiRNNCell([rg.GRUCell(63), rg.LSTMCell(65)]), x)
    program = rg.compile({"y": rg.dense(y, 25)}, weights=rg.Narrow(kind, force=True), cache=False)
    program.inference.export(tmp_path, "net", weights="external", link=False)
    file = np.frombuffer((tmp_path / "net.weights").read_bytes(), np.uint8)
    packed = Instance(tmp_path, "net", host(), weights=(tmp_path / "net.safetensors").read_bytes()).packed
    begin = -packed.ctypes.data % 64
    assert 0 < len(file) <= len(packed) - 64
    is_beyond = np.zeros(len(file), bool)
    if kind in ("int8_blocks", "int4"):
        is_beyond |= np.repeat(file.view(np.float32) == UNIT_OF_ZEROS, 4)
    np.testing.assert_array_equal(packed[begin : begin + len(file)][~is_beyond], file[~is_beyond])
    assert is_beyond.mean() < 0.005
