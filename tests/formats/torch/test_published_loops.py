"""Loops of published modules that once closed the time axis, or could not be read.

Counters in ``while``, indices along several axes, attention weights as a state, recurrences over pictures and over
bands of a spectrum.
"""

from __future__ import annotations

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


def counted(m: Any, x: Any) -> Any:
    h, outputs, t = torch.zeros(x.size(0), 3), [], 0
    while t < x.size(1):
        h = m[0](x[:, t], h)
        outputs.append(h)
        t += 1
    return torch.stack(outputs, 1)


def counted_by_outputs(m: Any, x: Any) -> Any:
    """Count the outputs, one fewer than steps."""
    h, outputs, x = torch.zeros(x.size(0), 3), [], F.pad(x, (0, 0, 1, 0))
    while len(outputs) < x.size(1) - 1:
        h = m[0](x[:, len(outputs)], h)
        outputs += [h]
    return torch.stack(outputs, 1)


def gated(m: Any, x: Any) -> Any:
    """Run a simple recurrent unit, whose gates are entries of a last axis."""
    u = m[0](x).view(x.size(0), x.size(1), 3, 2).transpose(0, 1)
    c, outputs = torch.zeros(x.size(0), 3), []
    for t in range(u.size(0)):
        f = torch.sigmoid(u[t, ..., 1] + c)
        c = u[t, ..., 0] + (c - u[t, ..., 0]) * f
        outputs.append(c)
    return torch.stack(outputs, 1)


def running_mean(m: Any, x: Any) -> Any:
    """Divide sums by a range whose step is the number of channels."""
    x = m[0](x)
    count = torch.arange(x.size(2), x.size(2) * (x.size(1) + 1), x.size(2), dtype=x.dtype).view(1, -1, 1)
    mean = x.sum(2, keepdim=True).cumsum(1) / count
    return (x - mean.expand_as(x)) * (x > mean).type(x.type())


def bands(m: Any, x: Any) -> Any:
    """Run one recurrence over rows and bands, with time behind them."""
    b, t, _ = x.shape
    y = F.pad(x.transpose(1, 2), (0, 2)).reshape(b, 2, 2, t + 2)
    y = y.reshape(b * 2, 2, t + 2).transpose(1, 2)
    return m[0](y)[0].transpose(1, 2).reshape(b, 2, 3, t + 2)[..., 2:]


def by_channels(m: Any, x: Any) -> Any:
    """Merge channels and a width that is written as a number alone."""
    y = m[0](x.unsqueeze(1)).permute(2, 0, 3, 1)
    return m[1](y.reshape(y.shape[0], -1, 8))[0]


OPEN: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], list[Any]]]] = {
    "counted": (counted, lambda: [nn.GRUCell(4, 3)]),
    "counted by outputs": (counted_by_outputs, lambda: [nn.GRUCell(4, 3)]),
    "gated": (gated, lambda: [nn.Linear(4, 6)]),
    "running mean": (running_mean, lambda: [nn.Linear(4, 5)]),
    "bands": (bands, lambda: [nn.GRU(2, 3, batch_first=True)]),
    "by channels": (by_channels, lambda: [nn.Conv2d(1, 2, (3, 1), padding=(1, 0)), nn.GRU(8, 3)]),
}


@pytest.mark.parametrize("name", OPEN)
def test_time_is_open(name: str) -> None:
    torch.manual_seed(0)
    function, layers = OPEN[name]
    calls = [(normal(rows, steps, 4),) for rows, steps in ((3, 6), (1, 1), (2, 11))]
    net = check_meaning(module(function, *layers()), *calls)
    sizes = net.sizes["inputs_0"]
    assert isinstance(sizes[1], str)
    assert sizes[2] == 4
    assert "; ".join(net.size_notes()).count(" is at ") == 0


def test_a_counter_that_stops_at_a_number_limits_the_size() -> None:
    def run(m: Any, x: Any) -> Any:
        t, y = 0, x * 0
        while t < 3 and t < x.size(1):
            y, t = y + x[:, t : t + 1], t + 1
        return y

    net = rg.read_torch(module(run), (normal(2, 6, 4),))
    assert "is at least 3" in "\n".join(net.size_notes())


@pytest.mark.slow
def test_attention_weights_as_a_state_close_the_steps_that_they_weigh() -> None:
    """The cumulative weights of a location-sensitive attention have the width of the memory's steps."""

    def run(m: Any, memory: Any, x: Any) -> Any:
        h, context = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 4)
        total, outputs = torch.zeros(x.size(0), memory.size(1)), []
        for u in x.unbind(1):
            h = m[0](torch.cat([u, context], 1), h)
            weights = torch.softmax((memory * m[1](h)[:, None]).sum(-1) - total, 1)
            total += weights
            context = torch.bmm(weights[:, None], memory).squeeze(1)
            outputs.append(torch.cat([h, weights], 1))
        return torch.stack(outputs, 1)

    torch.manual_seed(0)
    m = module(run, nn.GRUCell(7, 5), nn.Linear(5, 4))
    net = check_meaning(m, (normal(2, 7, 4), normal(2, 5, 3)), (normal(1, 7, 4), normal(1, 9, 3)))
    assert net.sizes["inputs_0"][1] == 7
    assert isinstance(net.sizes["inputs_1"][1], str)
    assert "axis 1 is 7, by " in net.size_notes()[0]


@pytest.mark.slow
def test_a_recurrence_over_pictures_has_open_time() -> None:
    """No step fixes the height and width of the pictures; a driver needs both."""

    def run(m: Any, x: Any) -> Any:
        h, outputs = torch.zeros(x.size(0), 2, *x.shape[3:]), []
        for t in range(x.size(1)):
            h = torch.tanh(m[0](torch.cat([x[:, t], h], 1)))
            outputs.append(h)
        return torch.stack(outputs, 1)

    torch.manual_seed(0)
    net = check_meaning(module(run, nn.Conv2d(3, 2, 3, padding=1)), (normal(2, 4, 1, 5, 6),), (normal(1, 7, 1, 5, 6),))
    sizes = net.sizes["inputs_0"]
    assert isinstance(sizes[1], str)
    assert (sizes[3], sizes[4]) == (5, 6)


def test_names_of_types_are_dtypes() -> None:
    def run(m: Any, x: Any) -> Any:
        assert x.type() == "torch.FloatTensor"
        return (x > 0).type(x.type()), (2 * x).type(torch.LongTensor), x.type("torch.DoubleTensor"), x.type(torch.int32)

    net = check_meaning(module(run), (normal(2, 3),))
    assert [np.dtype(value.dtype).name for value in net.outputs.values()] == ["float32", "int64", "float64", "int32"]
