"""Decoder loops with layers at each step, and steps of several inputs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from read_modules import check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal, whole  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:dropout option")]
SIZES = ((2, 4), (1, 3), (3, 6))


def forced(m: Any, memory: Any, tokens: Any) -> Any:
    """Run a two-layer decoder over tokens [time, batch], as in torch's tutorials."""
    _, state = m[0](memory)
    outputs = torch.zeros(tokens.size(0), tokens.size(1), 7)
    token = tokens[0]
    for t in range(1, tokens.size(0)):
        y, state = m[2](m[1](token.unsqueeze(0)), state)
        outputs[t] = m[3](y.squeeze(0))
        token = tokens[t]
    return outputs


def greedy(m: Any, memory: Any, tokens: Any) -> Any:
    """Run a decoder that feeds the best token back, through a layer at each step."""
    _, h = m[0](memory)
    token, outputs = tokens[0], []
    for _ in range(4):
        y, h = m[2](m[1](token).unsqueeze(0), h)
        outputs.append(m[3](y[0]))
        token = outputs[-1].argmax(1)
    return torch.stack(outputs)


@pytest.mark.parametrize(
    ("forward", "kind", "layers"),
    [
        pytest.param(forced, nn.LSTM, 2, marks=pytest.mark.exhaustive),
        pytest.param(forced, nn.GRU, 1, marks=pytest.mark.exhaustive),
        (greedy, nn.GRU, 1),
    ],
)
def test_decoders(forward: Any, kind: Any, layers: int) -> None:
    torch.manual_seed(0)
    parts = kind(3, 5, layers), nn.Embedding(7, 4), kind(4, 5, layers, dropout=0.2 * (layers > 1)), nn.Linear(5, 7)
    calls = [(normal(time, batch, 3), whole(7, time, batch)) for batch, time in SIZES]
    net = check_meaning(module(forward, *parts), *calls)
    assert net.script().count("rg.dynamic_rnn(") == 3


def decayed(m: Any, x: Any, mask: Any, delta: Any) -> Any:
    """Run a GRU with three inputs that repeats the last value for missing ones, as GRU-D does."""
    h, last, outputs = torch.zeros(x.size(0), 3), x[:, 0] * 0, []
    for t in range(x.size(1)):
        last = torch.where(mask[:, t] > 0, x[:, t], last)
        new = m[0](last, h * torch.exp(-torch.relu(delta[:, t])))
        there = mask[:, t, :1]
        h = there * new + (1 - there) * h
        outputs.append(h)
    return torch.stack(outputs, 1)


def averaged(m: Any, x: Any) -> Any:
    """Return a moving average with a learned rate."""
    mean, outputs = x[:, 0], [x[:, 0]]
    for t in range(1, x.size(1)):
        mean = m[0].alpha * x[:, t] + (1 - m[0].alpha) * mean
        outputs.append(mean)
    return torch.stack(outputs, 1)


def test_inputs_of_one_length() -> None:
    torch.manual_seed(0)
    calls = [tuple(normal(batch, time, 3) for _ in range(3)) for batch, time in SIZES]
    net = check_meaning(module(decayed, nn.GRUCell(3, 3)), *calls)
    assert len({x.shape[1] for x in net.inputs.values()} | {"T"}) <= 2


def test_a_parameter_without_axes() -> None:
    mean = nn.Identity()
    mean.alpha = nn.Parameter(torch.tensor(0.3))
    check_meaning(module(averaged, mean), *((normal(batch, time, 2),) for batch, time in SIZES))


# User-defined classes -------------------------------------------------------------------------------


class Initialized(nn.GRU):  # type: ignore[misc, name-defined]
    """GRU with other initial weights."""

    def reset_parameters(self) -> None:
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5)


class Wrapped(nn.LSTM):  # type: ignore[misc, name-defined]
    """LSTM that calls torch's forward."""

    def forward(self, x: Any) -> Any:
        y, (h, _) = super().forward(torch.tanh(x))
        return y * 2, h


@pytest.mark.parametrize("kind", [Initialized, Wrapped])
def test_classes_of_layers(kind: Any) -> None:
    torch.manual_seed(0)
    calls = [(normal(time, batch, 3),) for batch, time in SIZES]
    assert "rg.dynamic_rnn(" in check_meaning(kind(3, 4).eval(), *calls).script()
    assert nn.LSTM.forward.__module__ == "torch.nn.modules.rnn"


# Random numbers -------------------------------------------------------------------------------------


def test_numbers_that_are_drawn_are_refused() -> None:
    with pytest.raises(rg.NotReadableError, match="randn: it draws random numbers"):
        rg.read_torch(module(lambda m, x: x + torch.randn(4)), (normal(2, 4),))

    def teacher(m: Any, x: Any) -> Any:
        return x * 2 if random.random() < 0.5 else x * 3

    random.seed(0)
    with pytest.raises(rg.NotReadableError, match="Python's random"):
        rg.read_torch(module(teacher), (normal(2, 4),))
    rg.read_torch(module(lambda m, x: x * 2 if random.random() < 1 else x), (normal(2, 4),))
