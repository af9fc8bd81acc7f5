"""Random nets, saved by Keras 3 and by tf_keras (Keras 2) in both of their formats, give the numbers that Keras gives.

Each net runs at two sizes of batch and time in one program, where inputs have masks with rows that are all masked, have
holes, or end early. Keras 3 runs with the backend that it is configured for.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_nets import RandomNet
from numpy.testing import assert_allclose

import rnngraph as rg

pytestmark = pytest.mark.peers

NETS, BLOCK = 300, 10


def module(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("tensorflow" if name == "tf_keras" else os.environ.get("KERAS_BACKEND", "tensorflow"))
    return pytest.importorskip(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("first", range(0, NETS, BLOCK))
def test_random_nets_give_the_numbers_of_keras(name: str, first: int, tmp_path: Path) -> None:
    keras = module(name)
    for seed in range(first, first + BLOCK):
        keras.backend.clear_session()
        net = RandomNet(keras, seed)
        path = tmp_path / f"net.{'keras' if seed % 2 else 'h5'}"
        net.model.save(path)
        read = rg.read_keras(path)
        program = read.program()
        for batch, steps in ((3, 17), (1, 25)):
            feeds = net.feeds(batch, steps)
            found = program.inference(dict(zip(read.inputs, feeds, strict=True)))
            expected = net.expected(feeds)
            assert len(found) == len(expected), seed
            for array, wanted in zip(found.values(), expected, strict=True):
                largest = np.nanmax(np.abs(wanted), initial=1.0)
                assert_allclose(array, wanted, atol=3e-5 * largest, rtol=1e-4, err_msg=f"seed {seed}")
