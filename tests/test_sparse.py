"""Inference without zero blocks of weights: the bits of dense code up to the sign of zero, for any blocks, rows, chunks
and threads.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from declaration_checks import check_rows, check_stream, flat, inputs_of
from declarations import declare
from numpy.testing import assert_array_equal
from pooled import check_pool
from sparse_nets import BLOCKS, any_weight, both, zero_blocks

import rnngraph as rg

__all__ = ["any_weight"]
WEIGHTS = ("float32", "bfloat16", "int8")
NARROW = tuple(pytest.param(weights, marks=pytest.mark.exhaustive) for weights in WEIGHTS[1:])
"""Forms of weights that take longer to compile."""
SIZES = tuple(
    pytest.param(*size, marks=pytest.mark.exhaustive) for size in ((3, 1, 1), (25, 63, 1), (100, 7, 9), (63, 2, 4))
)
GENERATOR = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


def same(actual: Any, expected: Any) -> None:
    actual, expected = flat(actual), flat(expected)
    assert actual.keys() == expected.keys()
    for name, array in actual.items():
        assert_array_equal(array, expected[name], name)  # the comparison treats 0.0 and -0.0 as equal


def layer(cell: rg.Cell, width: int, lengths: bool = False) -> dict[str, Any]:
    x, n = rg.placeholder("x", (None, None, width)), rg.placeholder("n", (None,), "int64")
    outputs, states = rg.dynamic_rnn(cell, x, sequence_length=n if lengths else None)
    return {"outputs": outputs, "states": states}


def test_the_definition() -> None:
    """Results equal NumPy's in float64, with blocks set to zero by hand."""
    kernel, x = np.zeros((21, 19), np.float32), normal(5, 21)
    kernel[4:8, 8:16], kernel[20, 18], kernel[16:20, :8] = normal(4, 8), 2.0, normal(4, 8)
    program = rg.compile(rg.dense(rg.placeholder("x", (None, 21)), 19), sparse=True)
    program.parameters.load({"dense/kernel": kernel, "dense/bias": (bias := normal(19))})
    expected = x.astype(np.float64) @ kernel + bias
    np.testing.assert_allclose(program.inference(x=x), expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*changes nothing:UserWarning")
@pytest.mark.usefixtures("any_weight")
@pytest.mark.parametrize("weights", ["int8", pytest.param("bfloat16", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(("width", "units", "batch"), [(7, 17, 3), *SIZES])
def test_sizes_that_are_no_multiple_of_a_block(weights: str, width: int, units: int, batch: int) -> None:
    block = BLOCKS[units % len(BLOCKS)]
    sparse, dense = both(layer(rg.GRUCell(units), width), 0.3, block, weights=weights)
    x = normal(batch, 5, width)
    same(sparse.inference(x=x), dense.inference(x=x))
    same(sparse.inference(x=x[:, :0]), dense.inference(x=x[:, :0]))


@pytest.mark.parametrize("density", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("block", BLOCKS)
def test_every_density_is_the_same_code(block: tuple[int, int], density: float) -> None:
    """Parameters of another density run the same compiled code."""
    sparse, dense = CHANGING
    zero_blocks(sparse, density, block, seed=2)
    x = normal(2, 4, 33)
    same(sparse.inference(x=x), dense.inference(x=x))
    assert len(sparse.inference.compiled.native_entries()) == 1


CHANGING = both(layer(rg.LSTMCell(40), 33), 0.5, (4, 8))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_sums_that_start_again(weights: str) -> None:
    """Sums restart correctly at a depth above 512 that is odd, so that narrow products end within a step."""
    x = rg.placeholder("x", (None, 1101))
    sparse, dense = both({"y": rg.dense(x, 37)}, 0.2, (4, 8), weights=weights)
    inputs = normal(6, 1101)
    same(sparse.inference(x=inputs), dense.inference(x=inputs))
    whole = sparse.inference(x=inputs)["y"]
    for row in range(6):
        assert_array_equal(sparse.inference(x=inputs[row : row + 1])["y"][0], whole[row])


@pytest.mark.parametrize("weights", ["float32", *NARROW])
def test_streams_chunks_and_rows(weights: str) -> None:
    cell = rg.DropoutWrapper(rg.GRUCell(41), output_keep_prob=0.5)
    sparse, _ = both({"logits": layer(cell, 65)["outputs"]}, 0.2, (4, 8), weights=weights)
    x = normal(9, 7, 65)
    whole = sparse.inference(x=x)["logits"]
    steps, chunks = sparse.inference.stream(batch=9), sparse.inference.stream(batch=9)
    for step in range(7):
        assert_array_equal(steps.step(x=x[:, step])["logits"], whole[:, step])
    parts = [chunks.process(x=x[:, first:last])["logits"] for first, last in ((0, 1), (1, 4), (4, 7))]
    assert_array_equal(np.concatenate(parts, 1), whole)
    for row in (0, 4, 8):
        assert_array_equal(sparse.inference(x=x[row : row + 1])["logits"][0], whole[row])


@pytest.mark.parametrize("weights", ["float32", *NARROW])
@pytest.mark.parametrize(("units", "batch"), [(300, 1), pytest.param(66, 24, marks=pytest.mark.exhaustive)])
def test_workers_share_columns_or_rows(weights: str, units: int, batch: int) -> None:
    sparse, dense = both(layer(rg.GRUCell(units), 40), 0.2, (4, 8), weights=weights, threads=2)
    x = normal(batch, 5, 40)
    actual = sparse.inference(x=x)
    same(actual, dense.inference(x=x))
    alone = rg.compile(layer(rg.GRUCell(units), 40), sparse=True, weights=weights)
    alone.parameters.load(dict(sparse.parameters.items()))
    same(alone.inference(x=x), actual)


@pytest.mark.parametrize("weights", ["float32", *NARROW])
def test_rows_that_have_ended(weights: str) -> None:
    sparse, dense = both(layer(rg.LSTMCell(40), 20, lengths=True), 0.3, (4, 8), weights=weights)
    feeds = {"x": normal(9, 6, 20), "n": np.array([6, 0, 3, 1, 6, 2, 5, 4, 6])}
    same(sparse.inference(feeds), dense.inference(feeds))


@pytest.mark.exhaustive
def test_float64_convolutions_and_projections() -> None:
    wide = rg.placeholder("x", (None, None, 30), "float64")
    sparse, dense = both(rg.dynamic_rnn(rg.GRUCell(50), wide)[0], 0.3, (4, 8))
    x = normal(3, 5, 30)
    same(sparse.inference(x=x), dense.inference(x=x))
    narrow = rg.placeholder("x", (None, None, 30))
    sparse, dense = both({"y": rg.dense(rg.conv1d(narrow, 24, 3), 11)}, 0.3, (4, 8))
    same(sparse.inference(x=x), dense.inference(x=x))
    sparse, dense = both(layer(rg.LSTMCell(40, num_proj=24), 30), 0.3, (4, 8))
    same(sparse.inference(x=x), dense.inference(x=x))


def test_a_transposed_weight() -> None:
    """Other frameworks store kernels transposed; blocks are those of the transposed matrix."""
    x, kernel = rg.placeholder("x", (None, 40)), np.zeros((24, 40), np.float32)
    kernel[8:16, 4:8] = normal(8, 4)
    program = rg.compile(x @ rg.transpose(rg.parameter("w", (24, 40)), (1, 0)), sparse=True)
    program.parameters["w"] = kernel
    inputs = normal(3, 40)
    inputs[:, 9] = np.nan
    actual = program.inference(x=inputs)
    np.testing.assert_allclose(actual, np.nan_to_num(inputs).astype(np.float64) @ kernel.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", [1, 3, 6])
def test_skipped_blocks_spread_no_nan(weights: str, rows: int) -> None:
    """NaN does not spread through a skipped block, even if a single block is zero."""
    x = rg.placeholder("x", (None, 160))
    sparse, dense = both({"y": rg.dense(x, 48)}, 1.0, (4, 8), weights=weights)
    kernel = np.array(sparse.parameters["dense/kernel"])
    kernel[8:12, 16:24] = 0
    sparse.parameters["dense/kernel"] = kernel
    inputs = normal(rows, 160)
    inputs[:, 9] = [np.nan, np.inf, -np.inf][rows % 3]
    actual, spread = sparse.inference(x=inputs)["y"], dense.inference(x=inputs)["y"]
    assert np.isfinite(actual[:, 16:24]).all()
    assert not np.isfinite(np.delete(actual, range(16, 24), 1)).any()
    assert np.isnan(spread[:, 16:24]).all()
    inputs[:, 9] = 0
    assert_array_equal(actual[:, 16:24], sparse.inference(x=inputs)["y"][:, 16:24])


def test_a_nan_among_weights_is_no_zero() -> None:
    x = rg.placeholder("x", (None, 40))
    sparse, _ = both({"y": rg.dense(x, 24)}, 0.0, (4, 8))
    kernel = np.zeros((40, 24), np.float32)
    kernel[17, 9] = np.nan
    sparse.parameters["dense/kernel"] = kernel
    actual = sparse.inference(x=normal(2, 40))["y"]
    assert np.isnan(actual[:, 9]).all()
    assert np.isfinite(actual[:, :8]).all()


def test_training_does_not_see_it() -> None:
    """A training step computes all blocks, and inference then uses the trained weights."""
    x, y = rg.placeholder("x", (None, 20)), rg.placeholder("y", (None,), "int64")
    logits = rg.dense(rg.tanh(rg.dense(x, 24)), 9)
    loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)
    programs = [rg.compile({"logits": logits}, loss, seed=1, sparse=sparse) for sparse in (True, False)]
    feeds: dict[Any, np.ndarray] = {"x": normal(4, 20), "y": np.arange(4)}
    for program in programs:
        trainer = rg.Trainer(program, rg.Adam(1e-2), prune=rg.Prune(0.3, (4, 8), begin=0, end=2))
        for _ in range(4):
            trainer.step(feeds)
    same(dict(programs[0].parameters.items()), dict(programs[1].parameters.items()))
    same(programs[0].inference(x=feeds["x"]), programs[1].inference(x=feeds["x"]))
    assert "sparse_products" in programs[0].inference.stages
    assert "sparse_products" not in programs[0].training.stages


def test_save_load_and_wrong_arguments(tmp_path: Path) -> None:
    sparse, _ = both(layer(rg.GRUCell(24), 20), 0.3, (4, 8))
    sparse.save(tmp_path / "net")
    x = normal(2, 3, 20)
    restored = rg.load(tmp_path / "net")
    assert restored.options.sparse
    same(restored.inference(x=x), sparse.inference(x=x))
    assert not rg.load(tmp_path / "net", sparse=False).options.sparse
    assert rg.loads(rg.dumps(sparse)).options.sparse
    with pytest.raises(rg.DtypeError, match="sparse must be True or False, not 1"):
        rg.compile(layer(rg.GRUCell(24), 20), sparse=1)  # type: ignore[arg-type]


@pytest.mark.usefixtures("any_weight")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.exhaustive) for seed in range(200)])
def test_random_declarations(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results equal dense code's and the interpreter's; streams, pools, single rows and threads have equal bits."""
    declaration = declare(seed)
    options = {"weights": WEIGHTS[seed % 3]} if declaration.dtype == "float32" else {}
    monkeypatch.setattr(rg, "compile", partial(rg.compile, **options))
    dense = declaration.compile()
    monkeypatch.setattr(rg, "compile", partial(rg.compile, sparse=True))
    sparse, shared, arrays = declaration.compile(), declaration.compile(threads=2), declaration.arrays()
    zero_blocks(sparse, 0.5, BLOCKS[seed % len(BLOCKS)], seed)
    graph = sparse.inference.graph
    actual, feeds = flat(sparse.inference(inputs_of(graph, arrays))), inputs_of(graph, arrays)
    for other in (dense, shared):
        other.parameters.load(dict(sparse.parameters.items()))
        same(other.inference(feeds), actual)
    check_stream(declaration, sparse, arrays)
    check_rows(declaration, sparse, arrays)
    if declaration.streams:
        check_pool(declaration, sparse, arrays)
