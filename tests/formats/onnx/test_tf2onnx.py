"""Files of tf2onnx, from nets of Keras: Keras' results at any sizes, and drivers for all recurrences."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rnngraph as rg

pytest.importorskip("onnx")
FOLDER = Path(__file__).parents[2] / "fixtures" / "tf2onnx"
NUMBERS = np.load(FOLDER / "numbers.npz")
DRIVERS = {
    "stack": ["rg.MultiRNNCell([rg.BasicLSTMCell(4, forget_bias=0.0) for _ in range(3)])"],
    "masked": ["class Steps(rg.Cell)", "rg.dynamic_rnn(Steps("],
    "both_ways": ["rg.dynamic_rnn(Steps(", "rg.dynamic_rnn(Steps_1("],
    "cells": ["rg.dynamic_rnn(Steps(", "rg.dynamic_rnn(Steps_1("],
    "states": ["rg.GRUCell(4, reset_after=True)", "initial_state="],
    "unrolled": ["class Step(rg.Cell)", "rg.dynamic_rnn(Step("],
    "attention": ["rg.softmax("],
}
"""Substrings of each net's script."""


def arrays(name: str, call: int, kind: str) -> list[np.ndarray]:
    results = []
    while (key := f"{name}/{call}/{kind}/{len(results)}") in NUMBERS:
        results.append(NUMBERS[key])
    return results


@pytest.mark.parametrize("name", DRIVERS)
def test_keras_numbers_and_drivers(name: str) -> None:
    net = rg.read_onnx(gzip.decompress((FOLDER / f"{name}.onnx.gz").read_bytes()))
    program = net.program()
    for call in (0, 1):
        feeds, expected = arrays(name, call, "in"), arrays(name, call, "out")
        assert bool(feeds) == (call == 0 or name != "unrolled")  # this file has a fixed length, and therefore one call
        if feeds:
            actual = program.inference(dict(zip(net.inputs, feeds, strict=True)))
            for array, target in zip(actual.values(), expected, strict=True):
                assert_allclose(array, target, atol=1e-5)
    text = net.script()
    for part in DRIVERS[name]:
        assert part in text
