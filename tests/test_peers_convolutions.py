"""Convolutions and pools equal torch's, and so do their gradients if there are no ties."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

pytestmark = pytest.mark.peers

WIDTH = 6
PADDINGS: list[Any] = ["causal", "same", "valid", "reflect", (2, 1)]
CASES = list(product(PADDINGS, [1, 2, 3, 4], [1, 2, 3], [1, 2, WIDTH]))
"""Combinations of paddings, strides, dilations and groups."""


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def around(steps: int, size: int, strides: int, dilation: int, padding: Any) -> tuple[int, int]:
    """Return the explicit padding for torch that equals ``same`` of TensorFlow and Keras."""
    reach = dilation * (size - 1) + 1
    missing = max((-(-steps // strides) - 1) * strides + reach - steps, 0)
    known = {"causal": (reach - 1, 0), "valid": (0, 0), "same": (missing // 2, missing - missing // 2)}
    known["reflect"] = known["same"]
    return known[padding] if isinstance(padding, str) else padding


@pytest.mark.parametrize(("padding", "strides", "dilation", "groups"), CASES)
def test_convolutions(torch: Any, padding: Any, strides: int, dilation: int, groups: int) -> None:
    x = rg.placeholder("x", (None, None, WIDTH), "float64")
    result = rg.conv1d(x, 12, 3, padding, dilation, strides=strides, groups=groups)
    program = rg.compile({"y": result}, loss=rg.reduce_sum(rg.sin(result)))
    for steps in (7, 8, 17, 25):
        array = np.random.default_rng(steps).normal(size=(3, steps, WIDTH))
        theirs = torch.tensor(array, requires_grad=True)
        kernel = torch.tensor(np.array(program.parameters["conv1d/kernel"]), requires_grad=True)
        mode = "reflect" if padding == "reflect" else "constant"
        padding_sizes = around(steps, 3, strides, dilation, padding)
        padded = torch.nn.functional.pad(theirs.transpose(1, 2), padding_sizes, mode=mode)
        weights = kernel.permute(2, 1, 0)
        y = torch.nn.functional.conv1d(padded, weights, stride=strides, dilation=dilation, groups=groups).transpose(
            1, 2
        )
        torch.sin(y).sum().backward()
        np.testing.assert_allclose(program.inference(x=array)["y"], y.detach().numpy(), rtol=1e-10, atol=1e-12)
        _, gradients = program.training.gradients({"x": array}, wrt=["x"])
        np.testing.assert_allclose(gradients["x"], theirs.grad.numpy(), rtol=1e-9, atol=1e-11)
        _, gradients = program.training.gradients(x=array)
        np.testing.assert_allclose(gradients["conv1d/kernel"], kernel.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(("size", "strides"), [(1, 1), (2, 2), (3, 2), (4, 1), (2, 3)])
def test_pools(torch: Any, kind: str, size: int, strides: int) -> None:
    x = rg.placeholder("x", (None, None, WIDTH), "float64")
    pool = {"max": rg.max_pool1d, "average": rg.average_pool1d}[kind]
    result = pool(x, size, strides)
    program = rg.compile({"y": result}, loss=rg.reduce_sum(rg.sin(result)))
    theirs_of = {"max": torch.nn.functional.max_pool1d, "average": torch.nn.functional.avg_pool1d}[kind]
    for steps in (4, 7, 17, 25):
        array = np.random.default_rng(steps).normal(size=(3, steps, WIDTH))
        theirs = torch.tensor(array, requires_grad=True)
        y = theirs_of(theirs.transpose(1, 2), size, strides).transpose(1, 2)
        torch.sin(y).sum().backward()
        np.testing.assert_allclose(program.inference(x=array)["y"], y.detach().numpy(), rtol=1e-12, atol=1e-14)
        _, gradients = program.training.gradients({"x": array}, wrt=["x"])
        np.testing.assert_allclose(gradients["x"], theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_pads(torch: Any, mode: str) -> None:
    x = rg.placeholder("x", (2, 3, None), "float64")
    padded = rg.pad(x, {2: (2, 4)}, mode)
    program = rg.compile({"y": padded}, loss=rg.reduce_sum(rg.sin(padded) * padded))
    array = np.random.default_rng(0).normal(size=(2, 3, 7))
    theirs = torch.tensor(array, requires_grad=True)
    y = torch.nn.functional.pad(theirs, (2, 4), mode={"edge": "replicate"}.get(mode, mode))
    (torch.sin(y) * y).sum().backward()
    np.testing.assert_array_equal(program.inference(x=array)["y"], y.detach().numpy())
    _, gradients = program.training.gradients({"x": array}, wrt=["x"])
    np.testing.assert_allclose(gradients["x"], theirs.grad.numpy(), rtol=1e-10, atol=1e-12)
