"""Modules drawn as source have every size open that torch leaves open, and stream if they are causal."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_modules import Drawn, module_of

import rnngraph as rg
from rnngraph.ir.interpreter import interpret

torch = pytest.importorskip("torch", exc_type=ImportError)
pytestmark = pytest.mark.peers
SIZES = ((1, 2), (2, 3), (3, 17))


def has_einops() -> bool:
    try:
        import einops  # noqa: F401  (imported to see whether it is installed)
    except ImportError:
        return False
    return True


def drawn(seed: int, folder: Path) -> tuple[Drawn, Any, rg.Net]:
    source = Drawn(seed, has_einops())
    torch.manual_seed(seed)
    module = module_of(source, folder, f"drawn_{seed}")
    return source, module, rg.read_torch(module, torch.zeros(3, random.Random(seed).choice((5, 6, 7, 9)), source.first))


def check_values(source: Drawn, module: Any, net: rg.Net) -> None:
    for axis in (0, 1):
        assert isinstance(net.sizes["x"][axis], str), f"{net}\n{source.source()}"
    graph = net.program().inference.graph
    for rows, steps in SIZES if source.skips_one else (*SIZES, (1, 1)):
        x = torch.randn(rows, steps, source.first)
        fed = {"x": x.numpy(), **net.parameters}
        actual = interpret(graph, {node["label"]: fed[node["label"]] for node in graph.inputs})["y"]
        np.testing.assert_allclose(actual, module(x).detach().numpy(), atol=5e-5, rtol=1e-4, err_msg=source.source())


@pytest.mark.parametrize("seed", [3])
def test_a_drawn_module_has_open_sizes(seed: int, tmp_path: Path) -> None:
    check_values(*drawn(seed, tmp_path))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(200))
def test_drawn_modules_have_open_sizes(seed: int, tmp_path: Path) -> None:
    check_values(*drawn(seed, tmp_path))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(40))
def test_drawn_modules_that_are_causal_stream(seed: int, tmp_path: Path) -> None:
    source, _, net = drawn(seed, tmp_path)
    if not source.is_causal:
        pytest.skip("a block reads later steps")
    program = net.program()
    x = np.random.default_rng(seed).standard_normal((2, 7, source.first)).astype(np.float32)
    stream = program.inference.stream(batch=2)
    assert stream.delay == 0
    steps = [np.asarray(stream.step(x[:, step])["y"]) for step in range(7)]
    np.testing.assert_array_equal(np.stack(steps, 1), program.inference(x)["y"], err_msg=source.source())
