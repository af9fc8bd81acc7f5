"""Sparse weights that several kernels read: each kernel has a limit of its own above which it uses dense tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from exported import Sequence
from sparse_nets import zeroed

import rnngraph as rg


def test_one_kernel_uses_tiles_and_another_blocks(tmp_path: Path) -> None:
    """Two products of one kernel share the tiles' weights, so that tiles pay for fewer zeros than for one product."""
    x, w = rg.placeholder("x", (None, 64)), rg.parameter("w", (64, 64))
    first = x @ w
    outputs = {"first": first, "one": rg.tanh(first) @ w, "other": rg.sin(first) @ w}
    program = rg.compile(outputs, seed=1, sparse=True, target="x86-64-v3", weights="int8", activations="int8")
    generator = np.random.default_rng(3)
    whole = generator.normal(size=(64, 64)).astype(np.float32)
    program.parameters["w"] = zeroed(whole, 0.5, (4, 8), generator)
    dense = rg.compile(outputs, parameters=program, target="x86-64-v3", weights="int8", activations="int8")
    program.inference.export(tmp_path, "net", form="sequence", link=False)
    inputs = generator.normal(size=(5, 64)).astype(np.float32)
    results = Sequence(tmp_path, "net", program.target).run({"x": inputs})
    for name, expected in dense.inference(x=inputs).items():
        np.testing.assert_allclose(results[name], expected, 1e-5, 1e-5)
        np.testing.assert_allclose(program.inference(x=inputs)[name], expected, 1e-5, 1e-5)
