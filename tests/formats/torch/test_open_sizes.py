"""Sizes that stay open: halves and other fractions of an open axis, every second step, numbers computed from a size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from read_modules import check, check_meaning

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
    return m[0](x.contiguous().view(x.size(0), int(x.size(1) / 2), x.size(2) * 2))[0]


def every_second(m: Any, x: Any) -> Any:
    y = x * 1
    y[:, ::2] = 0.5
    y[:, 1::2] = x[:, ::2] * 2
    return y, x[:, ::2], x[:, 1::2] - x[:, ::2]


PARTS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "halves by -1": (interleaved, []),
    "halves by int": (halves, [nn.GRU(8, 3, batch_first=True)]),
    "every second step": (every_second, []),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_an_open_axis(name: str) -> None:
    torch.manual_seed(0)
    function, layers = PARTS[name]
    assert open_time(check_meaning(module(function, *layers), *calls()))


def filled_blocks(m: Any, x: Any) -> Any:
    x = F.pad(x, (0, 0, 0, -x.size(1) % 4))
    return m[0](x.reshape(x.size(0), -1, 4, 4).sum(2))[0]


def filled_by_ceil(m: Any, x: Any) -> Any:
    more = math.ceil(x.size(1) / 4) * 4 - x.size(1)
    return m[0](F.pad(x, (0, 0, 0, more), value=1.5))[0][:, : x.size(1)]


def filled_past_a_multiple(m: Any, x: Any) -> Any:
    return m[0](F.pad(x.transpose(1, 2), (0, 4 - x.size(1) % 4)).transpose(1, 2))[0]


@pytest.mark.parametrize("steps", [5, 6, 8])
@pytest.mark.parametrize("function", [filled_blocks, filled_by_ceil, filled_past_a_multiple])
def test_padding_to_a_multiple_is_open_for_all_remainders(function: Callable[..., Any], steps: int) -> None:
    """The tested sizes have other remainders than the example's, so that no remainder is taken for a constant."""
    torch.manual_seed(0)
    x = [(normal(2, count, 4),) for count in (steps, 1, 2, 3, 4, 9, 13)]
    net = check_meaning(module(function, nn.GRU(4, 3, batch_first=True)), *x)
    assert open_time(net)
    assert "rg.pad_to_multiple" in net.script()


def test_a_net_of_padded_blocks_streams() -> None:
    net = rg.read_torch(module(filled_blocks, nn.GRU(4, 3, batch_first=True)), (normal(2, 5, 4),))
    inference, x = net.program().inference, normal(2, 8, 4).numpy()
    stream = inference.stream(batch=2)
    assert (stream.rate, stream.delay) == (4, 0)
    np.testing.assert_array_equal(stream.process(x)["y"], inference(x)["y"])


def test_a_call_checks_that_an_axis_can_be_halved() -> None:
    net = rg.read_torch(module(halves, nn.GRU(8, 3, batch_first=True)), calls()[0])
    with pytest.raises(rg.ShapeError, match="must be equal"):
        net.program().inference(inputs_0=np.ones((2, 5, 4), np.float32))


# Floats computed from a size ------------------------------------------------------------------------

AT_FOUR_SIZES = ((3, 7), (1, 1), (2, 12), (5, 3))
PARTS_BY_FLOATS: list[Callable[..., Any]] = [
    lambda x: x[:, : int(x.size(1) / 2)],
    lambda x: x[:, : math.floor(x.size(1) / 2)],
    lambda x: x[:, : math.ceil(x.size(1) / 2)],
    lambda x: x[:, : int(np.ceil(x.size(1) / 2))],
    lambda x: x[:, : int(x.size(1) * 0.5)],
    lambda x: x[:, : round(x.size(1) / 3)],
    lambda x: x[:, : x.size(1) >> 1],
    lambda x: x[:, : divmod(x.size(1), 2)[0]],
    lambda x: x[:, x.size(1) // 2 :],
    lambda x: x[:, : -(-x.size(1) // 2)],
    lambda x: x[:, : int(2 * x.size(1) / 3)],
    lambda x: x[:, : math.floor((x.size(1) - 1) / 3 + 1)],
    lambda x: x[:, x.size(1) // 2],
    lambda x: x if x.size(1) / 2 > 0 else 2 * x,
    lambda x: x[:, : int((x.size(1) - 1) / 2)],
]


def mean_of_steps(x: Any) -> Any:
    return x.sum(1) / float(x.size(1))


NUMBERS: list[Callable[..., Any]] = [
    mean_of_steps,
    lambda x: x * (1 / x.size(1)),
    lambda x: x / math.sqrt(x.size(1)),
    lambda x: x / np.sqrt(x.size(1)),
    lambda x: x / x.size(1) ** 0.5,
    lambda x: x * math.log(x.size(1) + 1),
    lambda x: x * (x.size(1) * 0.1),
    lambda x: x / torch.tensor(x.size(1)),
    lambda x: x - x.size(1) ** -0.5,
    lambda x: x * torch.tensor([float(x.size(1)), 1.0, 2.0, 3.0]),
    lambda x: x + torch.full((1,), x.size(1) / 2),
    lambda x: x * (x.size(0) / 10),
    lambda x: x / x.size(1) ** 2,
    lambda x: x.size(1) / (x.abs() + 1),
    lambda x: x * (x.size(1) % 4) + x.size(0) // 2,
]
CLOSED: list[Callable[..., Any]] = [
    lambda x: x * (1.0 / x.size(1)),
    lambda x: x[:, : int(x.size(1) * 0.1 * 7)],
    lambda x: x[:, : round(x.size(1) / 2)],
    lambda x: x[:, : int(x.size(1) / 3 * 3)],
    lambda x: x[:, : 4 + int((x.size(1) - 9) / 4)],
    lambda x: x * math.exp(-x.size(1)),
    lambda x: x[:, -(x.size(1) // 2) :],
]
"""Functions that fix the size: Python floats as left operands, rounding, and ``-0`` for a single step."""


def at_four_sizes(function: Callable[..., Any], *layers: Any) -> rg.Net:
    torch.manual_seed(0)
    return check_meaning(module(function, *layers), *((normal(*sizes, 4),) for sizes in AT_FOUR_SIZES))


@pytest.mark.parametrize("functions", [PARTS_BY_FLOATS, NUMBERS])
def test_floats_of_sizes(functions: list[Any]) -> None:
    net = at_four_sizes(lambda m, x: [function(m[0](x)) for function in functions], nn.Linear(4, 4))
    assert [isinstance(size, str) for size in net.inputs["inputs_0"].shape] == [True, True, False]


@pytest.mark.exhaustive
@pytest.mark.parametrize("function", [*PARTS_BY_FLOATS, *NUMBERS])
def test_each_float_of_a_size(function: Any) -> None:
    torch.manual_seed(0)
    assert open_time(check(module(lambda m, x: function(x)), *((normal(*sizes, 4),) for sizes in AT_FOUR_SIZES)))


@pytest.mark.sampled(len(CLOSED))
@pytest.mark.parametrize("function", CLOSED[::-1])
def test_code_that_fixes_a_size(function: Any) -> None:
    calls_of = normal(3, 7, 4), normal(2, 12, 4)
    net = check_meaning(module(lambda m, x: function(x)), calls_of[:1])
    assert not open_time(net)
    with pytest.raises(rg.ShapeError):
        net.program().inference(inputs_0=calls_of[1].numpy())


def test_types_of_sizes_do_not_change() -> None:
    names = dict(globals())
    source = "def f(m, x): return m[0](x)[:, :int(x.size(1) / 2)] if isinstance(x.size(1), int) else x"
    namespace: dict[str, Any] = {"__name__": "typed"}
    exec(compile(source, "typed.py", "exec"), namespace)
    assert not open_time(check_meaning(module(namespace["f"], nn.Linear(4, 4)), calls()[0]))
    assert "int" not in namespace
    assert globals() == names


# Steps that read the previous entry -----------------------------------------------------------------


def fed_the_entry_before(m: Any, x: Any) -> Any:
    state, entry, outputs = torch.zeros(x.size(0), 3), x[:, 0], []
    for step in range(x.size(1)):
        state = m[0](entry, state)
        outputs.append(m[1](state))
        entry = x[:, step]
    return torch.stack(outputs, 1)


def test_a_loop_whose_first_round_reads_another_entry() -> None:
    assert open_time(at_four_sizes(fed_the_entry_before, nn.GRUCell(4, 3), nn.Linear(3, 2)))


# Slices beyond the ends of an axis ----------------------------------------------------------------


CLAMPED: dict[str, Callable[..., Any]] = {
    "first": lambda m, x: x[:, :1000],
    "last": lambda m, x: x[:, -1000:] * 2,
    "both ends": lambda m, x: x[:, -1000:3],
    "by steps": lambda m, x: x[:, ::2][:, :100].sum(1),
    "beside its size": lambda m, x: x[:, :100] + torch.arange(x[:, :100].size(1))[None, :, None],
    "nothing": lambda m, x: x[:, 40:],
}


@pytest.mark.parametrize("kind", CLAMPED)
def test_slices_are_clamped(kind: str) -> None:
    net = module(CLAMPED[kind])
    read = rg.read_torch(net, (normal(2, 4, 3),))
    program, (name,) = read.program(), read.inputs
    for steps in (1, 3, 50, 1200):
        x = normal(2, steps, 3)
        np.testing.assert_allclose(program.inference({name: x.numpy()})["y"], net(x).numpy(), 1e-5, 1e-4)


INDEXED: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "x[i]": (lambda m, x, i: x[:, i], [[0, -1], [0, 4], [0, -5]]),
    "x[rows, i]": (lambda m, x, i: x[torch.arange(x.size(0)), i], [[0, -1], [3, 4], [-5, 0]]),
    "index_select": (lambda m, x, i: torch.index_select(x, 1, i), [[0, 1], [0, -1], [4, 0]]),
    "gather": (lambda m, x, i: torch.gather(x[:, 0], 1, i[:, None]), [[2, 0], [0, -1], [3, 0]]),
    "gather of two": (
        lambda m, x, i: torch.gather(x[:, 0], 1, i),
        [[[2, 0], [0, 1]], [[0, -1], [0, 0]], [[3, 0], [0, 0]]],
    ),
}


@pytest.mark.parametrize("name", INDEXED)
def test_fed_indices(name: str) -> None:
    """Indices count from the end where torch's do, and raise an error where torch's do."""
    run, fed = INDEXED[name]
    net, x = module(run), normal(2, 4, 3)
    read = rg.read_torch(net, (x, torch.tensor(fed[0])))
    program, (first, second) = read.program(), read.inputs
    for ids in map(torch.tensor, fed):
        feeds = {first: x.numpy(), second: ids.numpy()}
        try:
            wanted = net(x, ids)
        except (IndexError, RuntimeError):
            with pytest.raises(rg.ShapeError, match="holds"):
                program.inference(feeds)
        else:
            np.testing.assert_array_equal(program.inference(feeds)["y"], wanted.numpy())
