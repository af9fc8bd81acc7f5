"""Common styles of modules: loops from zeros, lengths by ``len``, writes to slices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from read_modules import check

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal, whole  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers
SIZES = ((2, 4), (3, 7), (1, 2))


def calls(width: int) -> list[tuple[Any, ...]]:
    return [(normal(batch, time, width),) for batch, time in SIZES]


# Loops ----------------------------------------------------------------------------------------------


def gated(m: Any, x: Any, backward: bool = False) -> Any:
    """Run a gated cell of layers, whose first step reads zeros."""
    h, outputs = x.new_zeros(len(x), 3), []
    steps = range(x.size(1))
    for t in reversed(steps) if backward else steps:
        gate = torch.sigmoid(m[0](torch.cat([x[:, t], h], -1)))
        h = (1 - gate) * h + gate * torch.tanh(m[1](torch.cat([x[:, t], gate * h], -1)))
        outputs.append(h)
    return torch.stack(outputs[::-1] if backward else outputs, dim=1)


def leaky(m: Any, x: Any) -> Any:
    h, outputs = torch.zeros(x.size(0), 3), []
    for step in x.unbind(1):
        h = 0.9 * m[0](step, h) + 0.1 * h
        outputs.append(h)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("backward", [False, True])
def test_a_loop_from_zeros_is_one_driver(backward: bool) -> None:
    net = check(module(lambda m, x: gated(m, x, backward), nn.Linear(5, 3), nn.Linear(5, 3)), *calls(2))
    text = net.script()
    assert text.count("rg.dynamic_rnn(") == 1
    assert "static_rnn" not in text
    assert "concat([outputs" not in text
    assert "initial_state" not in text
    assert net.inputs["inputs_0"].shape == ("B", "T", 2)


def test_a_layer_that_mixes_with_its_own_past_is_one_driver() -> None:
    text = check(module(leaky, nn.GRUCell(2, 3)), *calls(2)).script()
    assert text.count("rg.dynamic_rnn(") == 1
    assert "static_rnn" not in text


# Scripts --------------------------------------------------------------------------------------------


def test_axes_do_not_move_between_convolutions() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv1d(4, 6, 3, padding=1),
        nn.BatchNorm1d(6),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Dropout(0.2),
        nn.Conv1d(6, 6, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool1d(2, 1),
    )

    def forward(m: Any, x: Any) -> Any:
        y = m[0](x.transpose(1, 2))
        return (y + 0.5 * y).transpose(1, 2)

    assert "transpose" not in check(module(forward, layers), *calls(4)).script()


def test_repeated_values_broadcast_without_copies() -> None:
    def forward(m: Any, x: Any, hidden: Any) -> Any:
        scale = torch.sigmoid(x.mean(1, keepdim=True)).expand_as(x)
        kept = (hidden > 0).unsqueeze(-1).expand(-1, -1, x.size(2))
        return (x * scale).masked_fill(kept, 0.0)

    text = check(module(forward), *((normal(b, t, 3), normal(b, t)) for b, t in SIZES)).script()
    assert "positions" not in text
    assert "tile" not in text


# Functions and containers ---------------------------------------------------------------------------


@dataclasses.dataclass
class Prediction:
    logits: Any
    hidden: Any = None


def by_dataclass(m: Any, x: Any) -> Any:
    outputs, hidden = m[0](x)
    return Prediction(outputs, hidden[-1])


def differences(m: Any, x: Any) -> Any:
    result = torch.zeros_like(x)
    result[:, 1:] = x[:, 1:] - x[:, :-1]
    return result


def marked(m: Any, x: Any) -> Any:
    y = x * 2
    y[:, 0] = 0.5
    y[..., -1:] = x[..., :1]
    return y


def contracted(m: Any, x: Any) -> Any:
    return torch.einsum("btw,bsw,bsv->btv", x, x, x) + torch.einsum("...w,wv->...v", x, m[0].weight)


def implied(m: Any, x: Any) -> Any:
    return torch.einsum("tw,wv", x[0], m[0].weight)


def spread(m: Any, x: Any) -> Any:
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True, unbiased=False)
    return (x - mean) * torch.rsqrt(variance + 1e-5), torch.std_mean(x, -1)


def chunks(m: Any, x: Any) -> Any:
    one, two, three = torch.tensor_split(x, 3, dim=-1)
    before, after = torch.tensor_split(x, (1,), dim=-1)
    return one * two, three, before, after


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "dataclass": (by_dataclass, [nn.GRU(4, 3, batch_first=True)]),
    "len": (lambda m, x: m[0](x, torch.zeros(1, len(x), 3))[0], [nn.GRU(4, 3, batch_first=True)]),
    "all steps as a window": (lambda m, x: F.max_pool1d(x.mT, x.size(1)) - F.avg_pool1d(x.mT, x.shape[1]), []),
    "a part is written": (differences, []),
    "entries are written": (marked, []),
    "einsum": (contracted, [nn.Linear(4, 4)]),
    "einsum without a result": (implied, [nn.Linear(5, 4)]),
    "bilinear": (lambda m, x: m[0](x, x.flip(1)), [nn.Bilinear(4, 4, 3)]),
    "var_mean": (spread, []),
    "nan_to_num": (lambda m, x: torch.nan_to_num(x / (x - x), 1.0, 2.0) + torch.nan_to_num(1 / (x - x)) * 1e-38, []),
    "tensor_split": (chunks, []),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    function, layers = FUNCTIONS[name]
    torch.manual_seed(0)
    check(module(function, *layers), *calls(4))


def test_inputs_that_nothing_needs_are_left_out() -> None:
    net = rg.read_torch(module(lambda m, lengths, x: x + 1), (whole(2, 2), normal(2, 3)))
    assert {name: tensor.shape for name, tensor in net.inputs.items()} == {"inputs_1": ("B", "B_1")}
    np.testing.assert_array_equal(net.program().inference(inputs_1=np.ones((4, 5)))["y"], 2)


# Views ----------------------------------------------------------------------------------------------


def first_step(m: Any, x: Any) -> Any:
    y = x * 1
    step = y[:, 0]
    step += 1
    return y


def turned(m: Any, x: Any) -> Any:
    y = x * 1
    torch.relu_(y.transpose(1, 2))
    return y.sum(1)


def test_writes_through_a_slice_are_read() -> None:
    check(module(first_step), *calls(3))


def pairs(m: Any, x: Any) -> Any:
    """Add neighbours along an axis in place, as a parallel scan does."""
    y = x * 1
    turned = y.transpose(1, 2).view(y.shape[0], 4, 3, 2)
    turned[..., 1].add_(turned[..., 0])
    turned[:, :, 1:, 0].add_(turned[:, :, :-1, 1])
    return y


def one_axis_more(m: Any, x: Any) -> Any:
    y = x * 1
    steps, more = y.permute(1, 2, 0), y.unsqueeze(1)
    steps[1] = 0
    more.mul_(2)
    return y + steps.permute(2, 0, 1)


def reshaped(m: Any, x: Any) -> Any:
    y = x * 1
    y.reshape(y.shape[0], -1).add_(1)
    return y


@pytest.mark.slow
@pytest.mark.parametrize("function", [turned, pairs, one_axis_more])
def test_writes_through_other_views_are_read(function: Any) -> None:
    check(module(function), (normal(2, 6, 4),), (normal(3, 6, 4),))


def test_writes_through_views_that_may_be_copies_are_rejected() -> None:
    with pytest.raises(rg.NotReadableError, match="changed in place through a view"):
        rg.read_torch(module(reshaped), (normal(2, 3, 4),))


def test_views_that_are_not_read_again_may_be_overwritten() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = torch.relu_((x * 2).transpose(1, 2))
        y += 1
        return y

    check(module(forward), *calls(3))
