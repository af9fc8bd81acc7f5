"""Rows sorted by their lengths, entries by indices, and elementwise functions, as users write them, against torch."""

from __future__ import annotations

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
Run = Callable[[Any, Any], Any]


def sorted_by_hand(m: Any, x: Any, lengths: Any) -> Any:
    """Sort rows by their lengths for packing and back, as before torch's ``enforce_sorted=False``."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    counts, order = lengths.sort(descending=True)
    outputs, (h, c) = m[0](pack_padded_sequence(x[order], counts, batch_first=True))
    _, back = order.sort()
    padded, _ = pad_packed_sequence(outputs, batch_first=True)
    return padded[back], h[-1][back], c.index_select(1, torch.argsort(order))


def last_by_index(m: Any, x: Any, lengths: Any) -> Any:
    outputs, _ = m[0](x)
    return outputs[torch.arange(outputs.size(0)), lengths - 1], x[torch.arange(x.size(0)), lengths - 3]


@pytest.mark.parametrize("run", [sorted_by_hand, last_by_index])
def test_rows_by_their_lengths(run: Any) -> None:
    rows = module(run, nn.LSTM(3, 5, 2, batch_first=True))
    check(rows, (normal(3, 6, 3), torch.tensor([2, 6, 4])), (normal(2, 9, 3), torch.tensor([9, 1])))


def test_states_that_stay_in_another_order_are_refused() -> None:
    def run(m: Any, x: Any, lengths: Any) -> Any:
        from torch.nn.utils.rnn import pack_padded_sequence

        counts, order = lengths.sort(descending=True)
        return m[0](pack_padded_sequence(x[order], counts, batch_first=True))[1]

    with pytest.raises(rg.NotReadableError, match="sorted by length"):
        rg.read_torch(module(run, nn.GRU(3, 5, batch_first=True)), (normal(2, 6, 3), torch.tensor([2, 6])))


INDICES: dict[str, Run] = {
    "from the end": lambda m, x: (x[:, torch.tensor([-1, 0])], x[..., [-1, 0, -2]], x[:, :, torch.tensor([1, 2])]),
    "computed": lambda m, x: x[:, x[0, 0].argmax() - torch.tensor([1, 3])],
    "rotary": lambda m, x: torch.cat([torch.outer(torch.arange(x.size(1)) * 1.0, torch.ones(3)).cos() * x, -x], -1),
    "repeated": lambda m, x: x[:, -1].unsqueeze(1).repeat(1, x.shape[1], 1),
    "nearest": lambda m, x: F.interpolate(x.transpose(1, 2), scale_factor=3),
    "side by side": lambda m, x: torch.hstack([x, 2 * x]),
    "shrinking": lambda m, x: (F.softshrink(x, 0.3), F.hardshrink(x, 0.3), F.rrelu(x), torch.isfinite(x / (x > 0))),
    "powers": lambda m, x: (2**x, torch.exp2(x), 0.5 ** x.abs(), torch.sinh(x), torch.cosh(x), torch.hypot(x, x + 1)),
    "logarithms": lambda m, x: torch.log2(x.abs() + 1) + torch.log10(x.abs() + 1),
}


@pytest.mark.parametrize("name", INDICES)
def test_entries_and_elements(name: str) -> None:
    torch.manual_seed(0)
    check(module(INDICES[name]), (normal(2, 6, 3),), (normal(3, 9, 3),))


TABLES: dict[str, Run] = {
    "first": lambda m, x: x + m[0].weight[: x.size(1)],
    "behind an axis": lambda m, x: x + m[0].weight[None][:, : x.size(1), :],
    "last": lambda m, x: x + m[0].weight[-x.size(1) :],
    "narrowed": lambda m, x: x + m[0].weight.narrow(0, 0, x.shape[1]),
    "looked up": lambda m, x: x + m[0](torch.arange(x.size(1))),
    "a mask": lambda m, x: x.masked_fill(m[0].weight[: x.size(1), :1] > 0, 0.0),
}


@pytest.mark.parametrize("name", TABLES)
def test_lookups_stay_within_the_table(name: str) -> None:
    """torch truncates such a slice, and then raises an error about sizes."""
    read = module(TABLES[name], nn.Embedding(9, 3))
    net = check(read, (normal(2, 6, 3),), (normal(3, 9, 3),), (normal(1, 1, 3),))
    with pytest.raises((RuntimeError, IndexError)):
        read(normal(2, 10, 3))
    with pytest.raises(rg.ShapeError, match=r"a table of 9 .*test_rows_and_indices\.py:\d+\) does not fit T = 10"):
        net.program().inference(inputs_0=np.zeros((2, 10, 3)))


def test_only_dependent_sizes_are_fixed() -> None:
    net = check(module(lambda m, x: x.reshape(x.size(0), x.size(1) // 3, -1)), (normal(2, 6, 3),), (normal(4, 6, 3),))
    assert net.inputs["inputs_0"].shape == ("B", 6, "B_1")


def test_a_module_whose_first_use_is_needed_in_part_alone() -> None:
    def run(m: Any, x: Any) -> Any:
        return torch.cat([m[0](x)[1][0], m[0](2 * x)[1][1]], -1)

    net = check(module(run, nn.GRU(3, 4, batch_first=True, bidirectional=True)), (normal(2, 6, 3),), (normal(3, 9, 3),))
    program = net.program()
    assert net.parameters.keys() == program.parameters.keys()
    for name, array in net.parameters.items():
        np.testing.assert_array_equal(array, program.parameters[name])


def test_ids_are_looked_up_by_their_own_places() -> None:
    check(module(lambda m, ids: m[0](ids), nn.Embedding(6, 4)), (whole(6, 2, 5),), (whole(6, 3, 9),))


@pytest.mark.parametrize(
    ("run", "bounds"),
    [
        (lambda m, x: x[:, :, torch.tensor([7])], "-4 to 3"),
        (lambda m, x: x[:, :, [0, -5]], "-4 to 3"),
        (lambda m, x: x[torch.tensor([0, 2]), torch.tensor([1, 1])], "-2 to 1"),
        (lambda m, x: torch.index_select(x, 2, torch.tensor([-1])), "0 to 3"),
        (lambda m, x: torch.gather(x, 2, torch.full((2, 5, 1), 7)), "0 to 3"),
        (lambda m, x: x.scatter(2, torch.full((2, 5, 1), 7), 1.0), "0 to 3"),
        (lambda m, x: x.index_add(2, torch.tensor([-1]), torch.ones(2, 5, 1)), "0 to 3"),
    ],
)
def test_known_indices_out_of_bounds_are_refused_with_their_line(run: Run, bounds: str) -> None:
    with pytest.raises(rg.NotReadableError, match=rf"test_rows_and_indices.py:\d+: .*out of bounds.* must be {bounds}"):
        rg.read_torch(module(run), torch.zeros(2, 5, 4))
