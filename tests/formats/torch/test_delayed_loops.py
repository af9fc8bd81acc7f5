"""Python loops that read results of several steps before, and the effort of reading loops."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
from read_modules import check

import rnngraph as rg
from rnngraph.formats.rolling import loop_search

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers


class _Biquad(nn.Module):  # type: ignore[misc, name-defined]
    """Filter of order 2 with learned coefficients, in direct form I."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor([-0.5, 0.2])), nn.Parameter(torch.tensor([0.2, 0.3, 0.1]))

    def forward(self, x: Any) -> Any:
        x1 = x2 = y1 = y2 = torch.zeros_like(x[:, 0])
        outputs = []
        for t in range(x.shape[1]):
            y = self.b[0] * x[:, t] + self.b[1] * x1 + self.b[2] * x2 - self.a[0] * y1 - self.a[1] * y2
            x2, x1, y2, y1 = x1, x[:, t], y1, y
            outputs.append(y)
        return torch.stack(outputs, 1)


class _Projected(_Biquad):
    """Filter whose inputs are projected in each step."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(3, 4)

    def forward(self, x: Any) -> Any:
        x1, x2, y1, y2 = (torch.zeros(x.size(0), 4) for _ in range(4))
        outputs = []
        for t in range(x.shape[1]):
            u = self.into(x[:, t])
            y = self.b[0] * u + self.b[1] * x1 + self.b[2] * x2 - self.a[0] * y1 - self.a[1] * y2
            x2, x1, y2, y1 = x1, u, y1, y
            outputs.append(y)
        return torch.stack(outputs, 1)


class _Numbers(nn.Module):  # type: ignore[misc, name-defined]
    """Filter whose coefficients are numbers of the code."""

    def forward(self, x: Any) -> Any:
        x1 = y1 = y2 = torch.zeros(x.size(0))
        outputs = []
        for t in range(x.shape[1]):
            y = 0.2 * x[:, t] + 0.3 * x1 + 0.5 * y1 - 0.2 * y2
            x1, y2, y1 = x[:, t], y1, y
            outputs.append(y)
        return torch.stack(outputs, 1)


class _SecondOrder(nn.Module):  # type: ignore[misc, name-defined]
    """Recurrence that reads its results of one step and of two steps before, from learned initial states."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.first, self.second = nn.Parameter(torch.randn(1, 4)), nn.Parameter(torch.randn(1, 4))

    def forward(self, x: Any) -> Any:
        h, before = self.first.expand(x.size(0), -1), self.second.expand(x.size(0), -1)
        outputs = []
        for u in x.unbind(1):
            h, before = torch.tanh(self.into(u) + self.one(h) + self.two(before)), h
            outputs.append(h)
        return torch.stack(outputs, 1)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(_Biquad, ()), (_Projected, (3,)), (_Numbers, ()), (_SecondOrder, (3,))],
    ids=["biquad", "projected", "numbers", "second order"],
)
def test_loops_that_read_results_of_two_steps_before_are_rolled_up_and_stream(
    kind: Any, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    module = kind().eval()
    net = check(module, *((normal(rows, steps, *shape),) for rows, steps in ((2, 6), (1, 1), (3, 2), (2, 11))))
    assert [net.sizes["x"][axis] for axis in (0, 1)] == ["B", "T"]
    inference, x = net.program().inference, np.random.default_rng(0).standard_normal((2, 7, *shape)).astype("float32")
    stream = inference.stream(batch=2)
    np.testing.assert_array_equal(np.stack([stream.step(x=x[:, t])["y"] for t in range(7)], 1), inference(x=x)["y"])


class _Greedy(nn.Module):  # type: ignore[misc, name-defined]
    """Greedy decoder with attention, whose states and first token are zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.encoder = nn.Embedding(9, 4), nn.GRU(4, 5, batch_first=True)
        self.query, self.cell, self.out = nn.Linear(5, 5), nn.LSTMCell(9, 5), nn.Linear(5, 9)

    def forward(self, ids: Any) -> Any:
        seen, _ = self.encoder(self.table(ids))
        rows = ids.size(0)
        h, c, token = torch.zeros(rows, 5), torch.zeros(rows, 5), torch.zeros(rows, dtype=torch.long)
        outputs = []
        for _ in range(7):
            weights = F.softmax(torch.bmm(seen, self.query(h).unsqueeze(2)), 1)
            h, c = self.cell(torch.cat([self.table(token), (weights * seen).sum(1)], 1), (h, c))
            outputs.append(self.out(h))
            token = outputs[-1].argmax(-1)
        return torch.stack(outputs, 1)


def test_a_decoder_that_starts_from_zeros_is_rolled_up() -> None:
    torch.manual_seed(0)
    net = check(_Greedy().eval(), *((torch.randint(0, 9, size),) for size in ((2, 6), (1, 1), (3, 11))))
    assert net.sizes == {"ids": {0: "B", 1: "T"}}
    assert net.script().count("rg.static_rnn") == 0


class _ConvCell(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: Any) -> Any:
        h = c = torch.zeros(x.size(0), 2, x.size(3), x.size(4))
        outputs = []
        for t in range(x.size(1)):
            i, f, o, g = torch.split(self.conv(torch.cat([x[:, t], h], dim=1)), 2, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1)


def test_a_loop_that_can_not_be_rolled_up_is_not_searched_for_its_multiples(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an open height the loop stays unrolled; iterations of 2, 3, … of its steps fail as one does."""
    tried = []
    loop_of = loop_search._loop_of

    def counted(iterations: Any, later: Any) -> Any:
        tried.append(len(iterations) * len(iterations[0]))
        return loop_of(iterations, later)

    monkeypatch.setattr(loop_search, "_loop_of", counted)
    net = rg.read_torch(_ConvCell().eval(), torch.zeros(2, 8, 1, 6, 6))
    assert net.sizes["x"][1] == "T"
    assert sum(tried) < 60_000, sum(tried)  # with multiples more than 280,000


def test_reading_a_loop_imports_no_compiler_of_torch() -> None:
    script = """
        import sys
        import torch
        import rnngraph as rg

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.cell, self.out = torch.nn.GRUCell(3, 4), torch.nn.Linear(7, 2)

            def forward(self, x):
                h, seen = torch.zeros(x.size(0), 4), []
                for t in range(x.size(1)):
                    h = self.cell(x[:, t], h)
                    seen.append(torch.sigmoid(self.out(torch.cat([x[:, t], h], dim=-1))))
                return torch.log_softmax(torch.stack(seen, 1), -1)

        rg.read_torch(Net().eval(), (torch.zeros(2, 5, 3),))
        print("torch._dynamo" in sys.modules)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


class _Blocks(nn.Module):  # type: ignore[misc, name-defined]
    """Loop over averages of 16 steps, which remains unrolled if there are two."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.again = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        h, outputs = torch.zeros(x.size(0), 4), []
        for u in F.avg_pool1d(x.transpose(1, 2), 16, ceil_mode=True).unbind(2):
            h = torch.tanh(self.into(u) + self.again(h))
            outputs.append(h)
        return torch.stack(outputs, 1)


def test_sizes_are_tested_with_another_number_of_iterations() -> None:
    """There are two blocks of 20 steps and of the 33 that are tried first, so that both runs select two entries."""
    torch.manual_seed(0)
    module = _Blocks().eval()
    net = rg.read_torch(module, (torch.zeros(2, 20, 3),))
    if isinstance(net.sizes["x"][1], str):
        check(module, *((normal(2, steps, 3),) for steps in (20, 50, 100)))
    else:
        assert "test_delayed_loops.py" in str(net)
