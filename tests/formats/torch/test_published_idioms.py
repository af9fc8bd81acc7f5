"""Idioms of published modules that once closed an axis, peeled the first step of a loop, or failed.

Wired liquid cells (ncps), OCR in packages (a recurrence over the width of a picture), and loops between layers on
merged rows.
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


def layers_within_a_state(m: Any, x: Any) -> Any:
    """Run layers whose states are parts of one state, which each step splits and joins again."""
    return run_layers(m, x, torch.zeros(x.size(0), 6))


def layers_within_a_learned_state(m: Any, x: Any) -> Any:
    return run_layers(m[:2], x, m[2].weight.expand(x.size(0), -1))


def run_layers(m: Any, x: Any, h: Any) -> Any:
    outputs = []
    for t in range(x.size(1)):
        u, parts = x[:, t], []
        for layer, part in zip(m, torch.split(h, [4, 2], dim=1), strict=True):
            u = torch.tanh(layer(torch.cat([u, part], 1)))
            parts.append(u)
        h = torch.cat(parts, 1)
        outputs.append(u)
    return torch.stack(outputs, 1)


def decayed_from_ones(m: Any, x: Any) -> Any:
    """Run a decay from ones. If 0.9 * ones were folded to a number, the first step would differ from the others."""
    h, outputs = torch.ones(x.size(0), 4, 3), []
    for u in x.transpose(0, 1):
        h = 0.9 * h + m[0](u)[:, :, None] * m[1](u)[:, None, :]
        outputs.append(torch.einsum("bi,bij->bj", m[0](u), h))
    return torch.stack(outputs, 1)


def two_loops(m: Any, x: Any) -> Any:
    """Run two loops, and between them a layer on steps and rows that are merged to one axis."""
    for cell in m[:2]:
        h, outputs = torch.zeros(x.size(0), 5), []
        for u in x.transpose(0, 1):
            h = cell(u, h)
            outputs.append(h)
        x = torch.stack(outputs, 1)
    y = x.transpose(0, 1)
    t, b, _ = y.shape
    return m[2](y.reshape(t * b, -1)).view(t, b, -1).transpose(0, 1)


def normalized_heads(m: Any, x: Any) -> Any:
    b, t, c = x.shape
    return m[0](F.normalize(x.reshape(b * t * 2, 2), dim=-1).reshape(b, t, c))[0]


CAUSAL: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], list[Any]]]] = {
    "split state": (layers_within_a_state, lambda: [nn.Linear(8, 4), nn.Linear(6, 2)]),
    "split learned state": (
        layers_within_a_learned_state,
        lambda: [nn.Linear(8, 4), nn.Linear(6, 2), nn.Linear(6, 1, bias=False)],
    ),
    "ones": (decayed_from_ones, lambda: [nn.Linear(4, 4), nn.Linear(4, 3)]),
    "two loops": (two_loops, lambda: [nn.GRUCell(4, 5), nn.RNNCell(5, 5), nn.Linear(5, 3)]),
    "heads among rows": (normalized_heads, lambda: [nn.GRU(4, 3, batch_first=True)]),
}


def _read(name: str) -> rg.Net:
    torch.manual_seed(0)
    function, layers = CAUSAL[name]
    m = module(function, *layers())
    net = check_meaning(m, *((normal(rows, steps, 4),) for rows, steps in ((2, 5), (1, 1), (3, 8))))
    assert net.sizes["inputs_0"] == {0: "B", 1: "T", 2: 4}
    return net


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUSAL)
def test_time_is_open_and_no_step_is_peeled(name: str) -> None:
    net = _read(name)
    assert "[1:]" not in net.script()
    program = net.program()
    x = np.random.default_rng(0).standard_normal((2, 6, 4)).astype(np.float32)
    stream = program.inference.stream(batch=2)
    assert stream.delay == 0
    steps = np.stack([np.asarray(stream.step(x[:, step])["y"]) for step in range(6)], 1)
    np.testing.assert_array_equal(steps, program.inference(x)["y"])


@pytest.mark.slow
def test_the_order_of_drivers_does_not_depend_on_the_example() -> None:
    """The length of the example determines which of the two loops has more steps."""

    def run(m: Any, x: Any) -> Any:
        h, outputs = torch.zeros(x.size(0), 4), []
        for u in x.unbind(1):
            h = torch.tanh(m[0](u) + 0.5 * h)
            outputs.append(h)
        y = torch.stack(outputs, 1).cumsum(1)
        h, outputs = y[:, 0], [y[:, 0]]
        for t in range(1, y.size(1)):
            h = 0.9 * torch.tanh(m[1](y[:, t]) + 0.5 * h)
            outputs.append(h)
        return torch.stack(outputs, 1)

    torch.manual_seed(0)
    net = check_meaning(module(run, nn.Linear(4, 4), nn.Linear(4, 4)), (normal(2, 4, 4),), (normal(3, 11, 4),))
    assert net.sizes["inputs_0"][1] == "T"


@pytest.mark.slow
def test_rounds_within_a_step_that_repeat_a_layer() -> None:
    """Each step unrolls an inner solver, whose repeated rounds alone would be a loop, too."""

    def run(m: Any, x: Any) -> Any:
        h, outputs = torch.ones(x.size(0), 4), []
        for u in x.unbind(1):
            for _ in range(3):
                h = torch.tanh(m[0](u) + 0.5 * h)
            outputs.append(h)
        return torch.stack(outputs, 1)

    torch.manual_seed(0)
    net = check_meaning(module(run, nn.Linear(4, 4)), (normal(2, 5, 4),), (normal(3, 11, 4),))
    assert net.sizes["inputs_0"][1] == "T"


def columns(m: Any, x: Any) -> Any:
    """Run a recurrence along the width of a picture. No layer fixes the height, and the width stays symbolic."""
    return m[1](m[0](x).mean(2).permute(0, 2, 1))[0]


def three_zones(m: Any, x: Any) -> Any:
    y = m[0](x)
    b, c, _, w = y.shape
    return m[1](F.adaptive_avg_pool2d(y, (3, w)).view(b, 3 * c, w).permute(0, 2, 1))[0]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "width"), [(columns, 4), (three_zones, 12)])
def test_the_axis_of_the_recurrence_stays_open(function: Callable[[Any, Any], Any], width: int) -> None:
    torch.manual_seed(0)
    front = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d((2, 1), (2, 1)))
    m = module(function, front, nn.GRU(width, 3, batch_first=True, bidirectional=True))
    net = check_meaning(m, (normal(2, 1, 12, 9),), (normal(1, 1, 12, 20),))
    assert net.sizes["inputs_0"] == {0: "B", 1: 1, 2: 12, 3: "T"}


@pytest.mark.slow
def test_rows_of_frames_keep_the_axis_of_frames_open() -> None:
    """The recurrence runs over the first of two axes."""
    torch.manual_seed(0)
    m = module(
        lambda m, x: m[1](m[0](x).mean(3).transpose(1, 2))[0],
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GRU(4, 3, 1, True, True),
    )
    net = check_meaning(m, (normal(2, 1, 9, 12),), (normal(1, 1, 20, 12),))
    assert net.sizes["inputs_0"] == {0: "B", 1: 1, 2: "T", 3: 12}
