"""Loops over steps that are read from torch: they compute and store what the same cells declared here do."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

torch = pytest.importorskip("torch", exc_type=ImportError)
pytestmark = pytest.mark.peers

from recurrences import own, read_loops  # noqa: E402  (need torch, and the path of the benchmarks)
from recurrences.rows import Row  # noqa: E402

KINDS = [pytest.param(kind, marks=pytest.mark.sampled(1)) for kind in read_loops.KINDS]
STEPS = 12


def row_of(kind: str, batch: int = 3) -> Row:
    return Row(kind, "inference", batch, STEPS, heads=3, size=8)


def large_sequences(program: rg.Program, elements: int) -> list[str]:
    """Return the types of the values of all steps that have at least ``elements`` elements for each step and row."""
    graph = program.inference.compiled.optimized(tuple(name for name, _ in program.inference.graph.outputs))
    kinds = [node.tensor for node in graph.nodes if node.op != "scan"]
    return [str(kind) for kind in kinds if "T" in map(str, kind.shape) and kind.bytes_at(1) >= 4 * elements]


def kernels_of_steps(program: rg.Program, x: np.ndarray) -> list[str]:
    """Return the kinds of the kernels that each step of a loop runs."""
    program.inference(x=x)
    return re.findall(r"^ {4}(\w+) .*:.*\n +computes", str(program.inference.show("plan")), re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_loops_store_no_more_than_cells(kind: str) -> None:
    """No value that outgrows its operands is stored for all steps, and a step has as few kernels as the cell's."""
    row = row_of(kind)
    read, declared = read_loops.program(row), own.program(row)
    if len(row.states()[0]) > 1:
        assert large_sequences(read, int(np.prod(row.states()[0]))) == []
    steps = kernels_of_steps(read, row.inputs())
    assert len(steps) <= len(kernels_of_steps(declared, row.inputs()))
    assert not {"copy", "concat"} & {*steps}


@pytest.mark.parametrize("kind", KINDS)
def test_loops_have_the_numbers_of_torch(kind: str) -> None:
    row = row_of(kind)
    x, program = row.inputs(), read_loops.program(row)
    with torch.no_grad():
        expected = read_loops.Loop(row)(torch.from_numpy(x)).numpy()
    for one, other in ((program.inference(x=x)["y"], expected), (own.program(row).inference(x=x), expected)):
        np.testing.assert_allclose(one, other, rtol=0, atol=3e-5 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_loops_have_the_same_bits_however_they_run(kind: str) -> None:
    """A stream, chunks, a row alone, and two threads."""
    row = row_of(kind)
    x, program = row.inputs(), read_loops.program(row)
    whole, stream = program.inference(x=x)["y"], program.inference.stream(batch=row.batch)
    parts = [stream.step(x=x[:, now])["y"][:, None] for now in range(5)] + [stream.process(x=x[:, 5:])["y"]]
    np.testing.assert_array_equal(np.concatenate(parts, 1), whole)
    np.testing.assert_array_equal(program.inference(x=x[1:2])["y"], whole[1:2])
    np.testing.assert_array_equal(read_loops.program(row, threads=2).inference(x=x)["y"], whole)


def mamba(width: int) -> tuple[Any, rg.Net]:
    package = pytest.importorskip("mambapy.mamba", exc_type=ImportError)
    torch.manual_seed(0)
    module = package.MambaBlock(package.MambaConfig(d_model=width, n_layers=1, d_state=4, pscan=False)).eval()
    return module, rg.read_torch(module, (torch.zeros(3, 5, width),))


@pytest.mark.sampled(1)
def test_a_published_block_stores_no_states_of_all_steps() -> None:
    """The module computes decays, inputs and states of all steps as tensors [batch, time, channels, states]."""
    module, net = mamba(12)
    program, x = net.program(), np.random.default_rng(0).standard_normal((3, STEPS, 12), dtype=np.float32)
    assert large_sequences(program, 24 * 4) == []
    assert kernels_of_steps(program, x) == ["fused_reduce"]
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    whole = program.inference(x=x)["y"]
    np.testing.assert_allclose(whole, expected, rtol=0, atol=3e-5 * np.abs(expected).max())
    stream = program.inference.stream(batch=3)
    np.testing.assert_array_equal(np.stack([stream.step(x=x[:, now])["y"] for now in range(STEPS)], 1), whole)


class Outside(rg.Cell):
    """Matrix memory whose states are read after the loop, as a declaration of one's own may do."""

    def state(self) -> Any:
        return {"S": rg.memory((2, 4, 4))}

    def step(self, p: rg.Scope, x: Any, state: Any) -> tuple[Any, Any]:
        S = 0.9 * state["S"] + x
        return rg.reshape(S, (None, 32)), {"S": S}


@pytest.mark.sampled(1)
def test_states_that_are_read_after_a_loop_are_not_stored() -> None:
    q, k = (rg.placeholder(name, ("B", "T", 2, 4)) for name in "qk")
    writes = rg.expand_dims(k, 4) * rg.expand_dims(k, 3)
    states, _ = rg.dynamic_rnn(Outside(), writes)
    read = rg.einsum("bthk,bthkv->bthv", q, rg.reshape(states, (None, None, 2, 4, 4)))
    program = rg.compile({"y": read}, loss=rg.reduce_sum(rg.square(read)))
    assert large_sequences(program, 32) == []
    draw = np.random.default_rng(0)
    feeds = {name: draw.standard_normal((2, 7, 2, 4), dtype=np.float32) for name in "qk"}
    S, expected = np.zeros((2, 2, 4, 4), np.float32), []
    for now in range(7):
        S = 0.9 * S + feeds["k"][:, now, :, :, None] * feeds["k"][:, now, :, None]
        expected.append(np.einsum("bhk,bhkv->bhv", feeds["q"][:, now], S))
    np.testing.assert_allclose(program.inference(feeds)["y"], np.stack(expected, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(program.training(feeds)["y"], np.stack(expected, 1), rtol=1e-4, atol=1e-5)
