"""Loops that compute with the index of their iteration: steps stay open, and streams count on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from read_modules import check_meaning

import rnngraph as rg
from rnngraph.formats.rolling.formulas import formula_of

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
pytestmark = pytest.mark.peers


def decayed(m: Any, x: Any) -> Any:
    h, outputs = torch.zeros(x.size(0), x.size(2)), []
    for t in range(x.size(1)):
        h = h + x[:, t] * 0.9 ** (t + 1)
        outputs.append(h)
    return torch.stack(outputs, 1)


def averaged(m: Any, x: Any) -> Any:
    h, outputs = torch.zeros(x.size(0), x.size(2)), []
    for t in range(x.size(1)):
        h = h + x[:, t]
        outputs.append(h / (t + 1))
    return torch.stack(outputs, 1)


def moving(m: Any, x: Any) -> Any:
    """Average of all steps so far, by a rate that falls with the steps."""
    h, outputs = torch.zeros(x.size(0), 4), []
    for t, u in enumerate(x.unbind(1)):
        h = h + (torch.tanh(m[0](u) + m[1](h)) - h) * (1 / (t + 1))
        outputs.append(h * (t + 2) ** -0.5 + (t + 1) ** 0.5)
    return torch.stack(outputs, 1)


def phased(m: Any, x: Any) -> Any:
    """Gates open by the time of each step, as in a phased LSTM."""
    h = c = x.new_zeros(x.size(0), 4)
    outputs = []
    for t in range(x.size(1)):
        phase = torch.remainder(torch.full((x.size(0), 1), float(t)) - 0.3, m[1].weight[0].abs() + 1) / 2
        gate = torch.where(phase < 0.5, phase * 2, 2 - 2 * phase)
        after, memory = m[0](x[:, t], (h, c))
        h, c = gate * after + (1 - gate) * h, gate * memory + (1 - gate) * c
        outputs.append(h)
    return torch.stack(outputs, 1)


def phased_by_arange(m: Any, x: Any) -> Any:
    """Gates of which all rows share the time, as entries of ``torch.arange``."""
    h = c = x.new_zeros(x.size(0), 4)
    outputs, times = [], torch.arange(x.size(1), dtype=x.dtype)
    for t in range(x.size(1)):
        phase = ((times[t] - m[1].weight[0]) % 3.0) / 2
        gate = torch.where(phase < 0.5, phase * 2, 2 - 2 * phase)
        after, memory = m[0](x[:, t], (h, c))
        h, c = gate * after + (1 - gate) * h, gate * memory + (1 - gate) * c
        outputs.append(h)
    return torch.stack(outputs, 1)


LOOPS = {
    "decayed": (decayed, ()),
    "averaged": (averaged, ()),
    "moving": (moving, (lambda: nn.Linear(3, 4), lambda: nn.Linear(4, 4))),
    "phased by arange": (phased_by_arange, (lambda: nn.LSTMCell(3, 4), lambda: nn.Linear(4, 1))),
    "phased": (phased, (lambda: nn.LSTMCell(3, 4), lambda: nn.Linear(4, 1))),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_compute_with_the_index_of_their_iteration(name: str) -> None:
    torch.manual_seed(0)
    function, layers = LOOPS[name]
    read = module(function, *(layer() for layer in layers))
    net = check_meaning(read, *((normal(rows, steps, 3),) for rows, steps in ((2, 6), (1, 1), (2, 2), (3, 31))))
    assert [isinstance(size, str) for size in net.inputs["inputs_0"].shape] == [True, True, False], str(net)
    assert "rg.positions(" in net.script()
    inference, x = net.program().inference, normal(2, 9, 3).numpy()
    stream, whole = inference.stream(batch=2), inference({"inputs_0": x})["y"]
    assert stream.delay == 0
    steps = [np.asarray(stream.step({"inputs_0": x[:, step]})["y"]) for step in range(9)]
    np.testing.assert_array_equal(np.stack(steps, 1), whole)


def of_a_table(m: Any, x: Any) -> Any:
    """Each step adds a row of a table, without a batch axis."""
    h, outputs = torch.zeros(x.size(0), 3), []
    for t in range(x.size(1)):
        h = torch.tanh(h * 0.5 + x[:, t] + m[0].weight[t])
        outputs.append(h)
    return torch.stack(outputs, 1)


def test_entries_that_all_rows_share() -> None:
    torch.manual_seed(0)
    check_meaning(module(of_a_table, nn.Linear(3, 64)), (normal(2, 6, 3),), (normal(5, 6, 3),), (normal(1, 6, 3),))


def warmed_up(m: Any, x: Any) -> Any:
    h, outputs = torch.zeros(x.size(0), x.size(2)), []
    for t in range(x.size(1)):
        h = h + x[:, t] * min(1.0, t / 60)
        outputs.append(h)
    return torch.stack(outputs, 1)


def test_numbers_that_a_formula_fits_at_first_close_the_steps() -> None:
    """The numbers of the first 60 steps have a formula. A longer run shows that later numbers differ."""
    net = rg.read_torch(module(warmed_up), (normal(2, 6, 3),))
    assert net.inputs["inputs_0"].shape[1] == 6
    assert "test_step_numbers.py" in str(net)


@pytest.mark.parametrize(
    ("numbers", "form"),
    [
        ([0, 1, 2, 3], "linear"),
        ([0.1 * place for place in range(9)], "linear"),
        ([1 / (place + 2) for place in range(5)], "reciprocal"),
        ([(place + 1) ** 0.5 for place in range(7)], "sqrt"),
        ([(place + 3) ** -0.5 for place in range(4)], "rsqrt"),
        ([0.5 * 0.9**place for place in range(30)], "power"),
        ([1, 2, 3], None),
        ([1, 2, 3, 5], None),
        ([1.0, float("nan"), 2.0, 3.0], None),
        ([True, 2, 3, 4], None),
        ([(-0.5) ** place for place in range(5)], None),
    ],
)
def test_formulas_of_numbers(numbers: list[float], form: str | None) -> None:
    formula = formula_of(numbers)
    assert (formula and formula.form) == form
