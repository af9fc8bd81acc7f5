"""Python loops over steps, rolled up into drivers, against torch for lengths other than the example's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from read_modules import check

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers


class CellLoop(nn.Module):  # type: ignore[misc, name-defined]
    """LSTM cell and a head at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(3, 5), nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        h, c = torch.zeros(x.size(0), 5), torch.zeros(x.size(0), 5)
        outputs = []
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
            outputs.append(self.head(h))
        return torch.stack(outputs, 1), h, c


class TwoCells(nn.Module):  # type: ignore[misc, name-defined]
    """Two stacked cells, one with a state as an input."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.below, self.above = nn.Embedding(7, 4), nn.GRUCell(4, 5), nn.RNNCell(5, 6)

    def forward(self, ids: Any, h: Any) -> Any:
        above, outputs = None, []
        for x in self.table(ids).unbind(1):
            h = self.below(x, h)
            above = self.above(h, above)
            outputs.append(above)
        return torch.stack(outputs), h, above


class OwnCell(nn.Module):  # type: ignore[misc, name-defined]
    """Dense layers as a cell, as in torch's tutorial of names."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(8, 5), nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        h, outputs = torch.zeros(x.size(1), 5), []
        for t in range(x.size(0)):
            both = torch.cat((x[t], h), 1)
            h = torch.tanh(self.hidden(both))
            outputs.append(F.log_softmax(self.out(both), 1))
        return torch.stack(outputs), h


class Backward(nn.Module):  # type: ignore[misc, name-defined]
    """Normalized cell that runs from the last step to the first, and writes into a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h, self.norm = nn.Linear(3, 15), nn.Linear(5, 15, bias=False), nn.LayerNorm(5)

    def forward(self, x: Any, h: Any) -> Any:
        outputs = torch.zeros(x.shape[0], x.shape[1], 5)
        for t in reversed(range(x.size(1))):
            a, b = self.x(x[:, t, :]).chunk(3, 1), self.h(h).chunk(3, 1)
            r, z = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
            h = self.norm((1 - z) * torch.tanh(a[2] + r * b[2]) + z * h)
            outputs[:, t] = h
        return outputs, h


class Decoder(nn.Module):  # type: ignore[misc, name-defined]
    """Attention over an encoder's outputs, with feedback of the likeliest token."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.table = nn.GRU(3, 6, batch_first=True), nn.Embedding(9, 4)
        self.cell, self.score, self.out = nn.GRUCell(10, 6), nn.Linear(12, 1), nn.Linear(6, 9)

    def forward(self, x: Any) -> Any:
        memory, h = self.encoder(x)
        h, token, outputs = h[0], torch.zeros(x.size(0), dtype=torch.long), []
        for _ in range(5):
            repeated = h.unsqueeze(1).expand(-1, memory.size(1), -1)
            weights = torch.softmax(self.score(torch.cat([memory, repeated], 2)).squeeze(2), 1)
            context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
            h = self.cell(torch.cat([self.table(token), context], 1), h)
            outputs.append(self.out(h))
            token = outputs[-1].argmax(1)
        return torch.stack(outputs, 1)


class CustomCell(nn.Module):  # type: ignore[misc, name-defined]
    """LSTM equations by hand, with own parameters."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.w, self.u, self.b = (
            nn.Parameter(normal(*shape) * 0.3) for shape in ((4 * units, inputs), (4 * units, units), (4 * units,))
        )

    def forward(self, x: Any, state: Any) -> Any:
        h, c = state
        i, f, g, o = (x @ self.w.t() + h @ self.u.t() + self.b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class CustomStack(nn.Module):  # type: ignore[misc, name-defined]
    """Layers of handwritten LSTM cells, each in a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList([CustomCell(3, 5), CustomCell(5, 5)])

    def forward(self, x: Any, states: Any) -> Any:
        last = []
        for cell, state in zip(self.cells, states, strict=True):
            outputs = []
            for step in x.unbind(0):
                output, state = cell(step, state)
                outputs += [output]
            x = torch.stack(outputs)
            last.append(state)
        return x, last


class Forecast(nn.Module):  # type: ignore[misc, name-defined]
    """LSTM over known steps, and then over its own predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        _, state = self.lstm(x)
        y, outputs = x[:, -1:, :], []
        for _ in range(4):
            h, state = self.lstm(y, state)
            y = self.head(h)
            outputs.append(y)
        return torch.cat(outputs, 1)


class Sines(nn.Module):  # type: ignore[misc, name-defined]
    """torch's example of sine waves: two loops with the same cells, one over its own outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above, self.head = nn.LSTMCell(1, 5), nn.LSTMCell(5, 5), nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        rows, outputs = x.size(0), []
        h, c, h2, c2 = (torch.zeros(rows, 5) for _ in range(4))
        for step in x.split(1, dim=1):
            h, c = self.below(step, (h, c))
            h2, c2 = self.above(h, (h2, c2))
            output = self.head(h2)
            outputs += [output]
        for _ in range(3):
            h, c = self.below(output, (h, c))
            h2, c2 = self.above(h, (h2, c2))
            output = self.head(h2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


class BothWays(nn.Module):  # type: ignore[misc, name-defined]
    """Two loops in opposite directions, concatenated at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.b = nn.LSTMCell(3, 4), nn.LSTMCell(3, 4)

    def forward(self, x: Any) -> Any:
        batch, time, _ = x.shape

        def run(cell: Any, places: Any) -> Any:
            h, c, outputs = x.new_zeros(batch, 4), x.new_zeros(batch, 4), [None] * time
            for t in places:
                h, c = cell(x[:, t], (h, c))
                outputs[t] = h
            return outputs

        directions = run(self.f, range(time)), run(self.b, range(time - 1, -1, -1))
        return torch.stack([torch.cat(pair, 1) for pair in zip(*directions, strict=True)], 1)


class Average(nn.Module):  # type: ignore[misc, name-defined]
    """Moving average with a learned rate."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.rand(4))

    def forward(self, x: Any) -> Any:
        h, outputs = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            h = self.rate * h + (1 - self.rate) * x[:, t]
            outputs.append(h)
        return torch.stack(outputs, 1)


class OneRow(nn.Module):  # type: ignore[misc, name-defined]
    """Loop without a batch axis."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(3, 4)

    def forward(self, x: Any) -> Any:
        h, outputs = torch.zeros(4), []
        for t in range(x.shape[0]):
            h = self.cell(x[t], h)
            outputs.append(h)
        return torch.stack(outputs)


class BestPath(nn.Module):  # type: ignore[misc, name-defined]
    """Scores of a chain of tags, whose ``max`` also returns unused indices."""

    def __init__(self) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.randn(4, 4))

    def forward(self, features: Any) -> Any:
        score = features[0]
        for t in range(1, features.size(0)):
            score = (score.unsqueeze(0) + self.transitions).max(1)[0] + features[t]
        return score.max()


def ids(*shape: int) -> Any:
    return torch.randint(0, 7, shape)


LOOPS = {
    "cell": (CellLoop, lambda b, t: (normal(b, t, 3),)),
    "two cells": (TwoCells, lambda b, t: (ids(b, t), normal(b, 5))),
    "own cell": (OwnCell, lambda b, t: (normal(t, b, 3),)),
    "backward": (Backward, lambda b, t: (normal(b, t, 3), normal(b, 5))),
    "decoder": (Decoder, lambda b, t: (normal(b, t, 3),)),
    "custom": (CustomStack, lambda b, t: (normal(t, b, 3), [(normal(b, 5), normal(b, 5)) for _ in range(2)])),
    "forecast": (Forecast, lambda b, t: (normal(b, t, 3),)),
    "sines": (Sines, lambda b, t: (normal(b, t),)),
    "both ways": (BothWays, lambda b, t: (normal(b, t, 3),)),
    "average": (Average, lambda b, t: (normal(b, t, 4),)),
    "one row": (OneRow, lambda b, t: (normal(t, 3),)),
    "best path": (BestPath, lambda b, t: (normal(t + 3, 4),)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_a_driver_over_any_length(name: str) -> None:
    torch.manual_seed(0)
    kind, call = LOOPS[name]
    net = check(kind().eval(), call(2, 6), call(3, 9), call(1, 1))
    text = net.script()
    assert "rg.dynamic_rnn" in text
    assert text.count("static_rnn") == (name == "one row")  # the first step of that loop has no batch axis
    assert len(text.splitlines()) < 90


def test_equal_layers_that_are_no_loop_stay_as_they_are() -> None:
    layers = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(6))).eval()
    net = check(layers, (normal(2, 4),), (normal(5, 4),))
    assert net.script().count("rg.dense") == 6


def test_a_loop_of_a_fixed_number_of_steps_forces_no_length() -> None:
    cell = nn.GRUCell(3, 5)

    class First(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Any) -> Any:
            h = torch.zeros(x.size(0), 5)
            for t in range(4):
                h = self.cell(x[:, t], h)
            return h

    check(First().eval(), (normal(2, 9, 3),), (normal(3, 12, 3),), (normal(3, 4, 3),))


def test_cells_that_pass_through_a_program_can_be_trained_and_streamed() -> None:
    import numpy as np

    import rnngraph as rg

    torch.manual_seed(3)
    loop = Backward().eval()
    net = rg.read_torch(OwnCell().eval(), (normal(6, 2, 3),))
    program = net.program()
    x = normal(7, 2, 3).numpy()
    whole = program.inference(x=x)["y_0"]
    assert whole.shape == (7, 2, 2)
    net = rg.read_torch(loop, (normal(2, 6, 3), normal(2, 5)))
    target = rg.placeholder("target", (None, None, 5))
    program = net.program(loss=rg.mean_squared_error(target, net.outputs["y_0"]))
    x, h, wanted = normal(2, 7, 3), normal(2, 5), normal(2, 7, 5)
    _, gradients = program.training.gradients(x=x.numpy(), h=h.numpy(), target=wanted.numpy(), seed=0)
    with torch.enable_grad():
        F.mse_loss(loop(x, h)[0], wanted).backward()
    np.testing.assert_allclose(gradients["h/kernel"], loop.h.weight.grad.numpy().T, atol=2e-6)
    np.testing.assert_allclose(gradients["norm/weight"], loop.norm.weight.grad.numpy(), atol=2e-6)


class _Truncated(nn.Module):  # type: ignore[misc, name-defined]
    """Loop that detaches its state at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 4), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        h, outputs = x.new_zeros(x.size(0), 4), []
        for t in range(x.size(1)):
            h = self.cell(torch.tanh(x[:, t].detach()), h.detach())
            outputs.append(self.head(h))
        return torch.stack(outputs, 1)


def test_a_state_that_is_detached_in_each_step_is_carried_by_a_driver() -> None:
    torch.manual_seed(3)
    module, x = _Truncated().eval(), torch.randn(2, 5, 3)
    net = rg.read_torch(module, (x,))
    assert "f32[B,T,3]" in str(net)
    program = net.program()
    gradients = program.training.gradients({"x": x.numpy()}, output_gradients={"y": np.ones((2, 5, 2), "float32")})[1]
    with torch.enable_grad():
        module(x).sum().backward()
    (kernel,) = (value for name, value in gradients.items() if name.endswith("candidate/input_projection/kernel"))
    np.testing.assert_allclose(kernel, module.cell.weight_ih.grad.numpy()[8:].T, atol=1e-5)
