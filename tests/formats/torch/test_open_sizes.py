"""Sizes that stay open: halves and other parts of an open axis, every second step, numbers that are made of a size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from read_modules import check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers
SIZES = ((3, 6), (1, 2), (2, 12), (4, 4))


def calls(width: int = 4) -> list[tuple[Any, ...]]:
    return [(normal(batch, time, width),) for batch, time in SIZES]


def open_time(net: rg.Net) -> bool:
    (x,) = net.inputs.values()
    return isinstance(x.shape[1], str)


# Parts of an axis -----------------------------------------------------------------------------------


def interleaved(m: Any, x: Any) -> Any:
    return x[..., :2].reshape(x.size(0), -1, 2, 2).permute(0, 2, 1, 3).flatten(2)


def halves(m: Any, x: Any) -> Any:
    return m[0](x.contiguous().view(x.size(0), x.size(1) // 2, x.size(2) * 2))[0]


def every_second(m: Any, x: Any) -> Any:
    y = x * 1
    y[:, ::2] = 0.5
    y[:, 1::2] = x[:, ::2] * 2
    return y, x[:, ::2], x[:, 1::2] - x[:, ::2]


PARTS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "halves by -1": (interleaved, []),
    "halves by a quotient": (halves, [nn.GRU(8, 3, batch_first=True)]),
    "every second step": (every_second, []),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_an_open_axis(name: str) -> None:
    torch.manual_seed(0)
    function, layers = PARTS[name]
    assert open_time(check_meaning(module(function, *layers), *calls()))


def test_a_call_says_that_an_axis_has_no_halves() -> None:
    net = rg.read_torch(module(halves, nn.GRU(8, 3, batch_first=True)), calls()[0])
    with pytest.raises(rg.ShapeError, match="must be equal"):
        net.program().inference(given_0=np.ones((2, 5, 4), np.float32))


# Numbers of a size ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        lambda x: torch.tensor([1.0 / x.size(1)]), lambda x: torch.full((1,), 1 / x.size(1)),
        lambda x: torch.tensor([float(x.size(1)), 1.0, 2.0, 3.0]), lambda x: 1 / math.sqrt(x.size(1)),
    ],
)  # fmt: skip
def test_a_number_that_is_made_of_a_size_closes_it(number: Any) -> None:
    given = calls()
    net = check_meaning(module(lambda m, x: x * number(x)), given[0])
    assert not open_time(net)
    with pytest.raises(rg.ShapeError):
        net.program().inference(given_0=given[2][0].numpy())
