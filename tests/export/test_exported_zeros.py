"""Exports of nets that skip zeros contain all packed weights that their code reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported import Sequence

import rnngraph as rg


@pytest.mark.parametrize(("form", "empty"), [("float32", 3), ("int8", 16)])
def test_dense_weights_that_end_in_zeros(form: str, empty: int, tmp_path: Path) -> None:
    """Few zeros are multiplied like other weights, also at the end, where they must not be omitted."""
    x = rg.placeholder("x", (None, 64))
    options = {} if form == "float32" else {"weights": form, "activations": form}
    program = rg.compile({"y": rg.dense(rg.dense(x, 64), 64)}, seed=1, sparse=True, **options)
    for name, array in list(program.parameters.items()):
        changed = np.array(array) + 0.5
        if changed.ndim == 2:
            changed[-empty:] = 0.0
        program.parameters[name] = changed
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    inputs = np.random.default_rng(2).normal(size=(5, 64)).astype(np.float32)
    for rows in (1, 5):
        actual = Sequence(tmp_path, "net", program.target).run({"x": inputs[:rows]})["y"]
        np.testing.assert_array_equal(actual, program.inference(x=inputs[:rows])["y"])
