"""Safetensors files read without a copy: the safetensors library's values, and damaged headers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from rnngraph.storage.sealed_safetensors import arrays_in

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    "odd": np.arange(7, dtype=np.int8),
    "weights": GENERATOR.normal(size=(3, 5)).astype(np.float32),
    "wide": GENERATOR.normal(size=(2, 1, 3)),
    "half": GENERATOR.normal(size=9).astype(np.float16),
    "flags": np.array([True, False, True]),
    "scalar": np.array(4, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "words": np.arange(3, dtype=np.uint32),
}


def test_arrays_are_those_that_the_library_reads() -> None:
    raw = save(ARRAYS, {"note": "of a test"})
    ours, theirs = arrays_in(raw), load(raw)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(ours[name], array)
        assert ours[name].flags.aligned
        assert not ours[name].flags.writeable
    assert np.shares_memory(ours["wide"], np.frombuffer(raw, np.uint8))


def test_bfloat16_becomes_float32() -> None:
    values = np.array([1.5, -0.0, 3e38, np.inf, 2**-130], np.float32)
    words = (values.view(np.uint32) >> 16).astype(np.uint16)
    header = json.dumps({"x": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 10]}}).encode()
    array = arrays_in(len(header).to_bytes(8, "little") + header + words.tobytes())["x"]
    np.testing.assert_array_equal(array.view(np.uint32) >> 16, words)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        [],
    ],
)
def test_a_header_that_does_not_describe_the_data_is_refused(entry: object) -> None:
    header = json.dumps({"x": entry}).encode()
    with pytest.raises((ValueError, LookupError, TypeError)):
        arrays_in(len(header).to_bytes(8, "little") + header + b"\0" * 4)


def test_no_cut_of_a_file_is_read() -> None:
    raw = save({"a": np.arange(6, dtype=np.float32), "b": np.arange(3, dtype=np.int16)})
    for length in range(len(raw)):
        with pytest.raises((ValueError, LookupError, TypeError)):
            arrays_in(raw[:length])
