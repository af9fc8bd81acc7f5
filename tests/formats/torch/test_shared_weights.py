"""Weights that a module uses in several ways are one parameter of the net."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
nn = pytest.importorskip("torch.nn", exc_type=ImportError)
pytestmark = pytest.mark.peers


class Layers(nn.Module):  # type: ignore[misc, name-defined]
    """Module that applies a function to its layers."""

    def __init__(self, run: Callable[[Any, Any], Any], **layers: Any) -> None:
        super().__init__()
        self.run = run
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def tied() -> Layers:
    layers = Layers(lambda m, x: m.last(torch.tanh(m.first(x))) + m.first.weight.sum(0), **pair())
    layers.last.weight = layers.first.weight
    return layers


def pair() -> dict[str, Any]:
    return {"first": nn.Linear(3, 3), "last": nn.Linear(3, 3, bias=False)}


def attention(m: Any, x: Any) -> Any:
    return m.heads(x[None], x[None], x[None])[0][0] + m.heads.out_proj.bias


CASES: dict[str, Callable[[], Layers]] = {
    "a bias beside its layer": lambda: Layers(lambda m, x: m.first(x) + m.first.bias, first=nn.Linear(3, 3)),
    "a weight behind its layer": lambda: Layers(lambda m, x: m.first(x) @ m.first.weight, first=nn.Linear(3, 3)),
    "a weight before its layer": lambda: Layers(lambda m, x: m.first(x @ m.first.weight), first=nn.Linear(3, 3)),
    "a weight of two layers, and by itself": tied,
    "a bias of attention": lambda: Layers(attention, heads=nn.MultiheadAttention(3, 1, batch_first=True)),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", CASES)
def test_a_weight_is_one_parameter(name: str) -> None:
    module = CASES[name]().eval()
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    net = rg.read_torch(module, (x,))
    assert sum(array.size for array in net.parameters.values()) == sum(item.numel() for item in module.parameters())
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(net.program().inference({"x": x.numpy()})["y"], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_weights_of_recurrent_layers_that_others_use_are_copied_with_a_warning() -> None:
    layers = Layers(lambda m, x: m.rnn(x)[0] + m.head(x), rnn=nn.GRU(3, 9), head=nn.Linear(3, 9))
    layers.head.weight = nn.Parameter(layers.rnn.weight_ih_l0[:9].detach().clone())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rg.read_torch(layers.eval(), (torch.zeros(4, 3),))
        twice = Layers(lambda m, x: m.cell(x, m.cell(x)), cell=nn.GRUCell(3, 3))
        rg.read_torch(twice.eval(), (torch.zeros(4, 3),))
    cells = Layers(lambda m, x: m.last(x, m.first(x)), first=nn.GRUCell(3, 3), last=nn.GRUCell(3, 3))
    cells.last.weight_ih = cells.first.weight_ih
    with pytest.warns(UserWarning, match="weight_ih of GRUCell is used elsewhere, too"):
        rg.read_torch(cells.eval(), (torch.zeros(4, 3),))


CONVOLUTIONS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "one axis": (lambda: nn.Conv1d(4, 4, 3, padding=1, groups=2), (2, 4, 9)),
    "two axes": (lambda: nn.Conv2d(4, 4, (2, 3), padding=(0, 1), groups=2), (2, 4, 9, 8)),
    "transposed": (lambda: nn.ConvTranspose1d(4, 4, 4, stride=2, padding=1), (2, 4, 9)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_that_is_called_twice_is_one_parameter(name: str) -> None:
    make, shape = CONVOLUTIONS[name]
    torch.manual_seed(0)
    module = Layers(lambda m, x: m.conv(torch.tanh(m.conv(x))) * m.conv.weight.sum(), conv=make()).eval()
    x = torch.randn(shape)
    net = rg.read_torch(module, (x,))
    assert set(net.parameters) == {"conv/weight", "conv/bias"}
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(net.program().inference({"x": x.numpy()})["y"], wanted, rtol=1e-4, atol=1e-5)
