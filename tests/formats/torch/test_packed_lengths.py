"""Packed sequences whose rows are all shorter than the input: torch shortens the time axis to the longest row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from read_modules import check, expected

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
F = nn.functional
pytestmark = pytest.mark.peers


def unpacked(m: Any, x: Any, lengths: Any, first: bool = True, padding: float = 0.0, total: Any = None) -> Any:
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=first, enforce_sorted=False)
    pad = nn.utils.rnn.pad_packed_sequence
    return pad(m[0](packed)[0], batch_first=first, padding_value=padding, total_length=total)[0]


def layers() -> list[Any]:
    torch.manual_seed(0)
    both = nn.GRU(4, 2, batch_first=True, bidirectional=True)
    return [nn.GRU(3, 4, batch_first=True), nn.Linear(4, 4), both, nn.LSTM(4, 4, batch_first=True)]


def net_of(head: Any, **options: Any) -> tuple[Any, rg.Net]:
    net_module = module(lambda m, x, n: head(m, unpacked(m, x, n, **options), n), *layers())
    return net_module, rg.read_torch(net_module, (normal(3, 5, 3), torch.tensor([2, 5, 3])))


LONG = (normal(2, 4, 3), torch.tensor([4, 1]))
SHORT = (normal(3, 6, 3), torch.tensor([2, 4, 3]))


def fed(call: tuple[Any, Any]) -> dict[str, np.ndarray]:
    return {"inputs_0": call[0].numpy(), "inputs_1": call[1].numpy()}


def attended(m: Any, o: Any, n: Any) -> Any:
    away = ~(torch.arange(o.size(1))[None] < n[:, None])
    return (torch.softmax(m[1](o).sum(-1).masked_fill(away, -np.inf), 1)[..., None] * o).sum(1)


def past_filled(m: Any, o: Any, n: Any) -> Any:
    return o.masked_fill((torch.arange(o.shape[1]) >= n[:, None])[..., None], -1e30).max(1).values


RIGHT: dict[str, Any] = {
    "sum": lambda m, o, n: o.sum(1),
    "mean over lengths": lambda m, o, n: o.sum(1) / n[:, None],
    "first step": lambda m, o, n: m[1](o)[:, 0],
    "last steps": lambda m, o, n: o[torch.arange(o.size(0)), n - 1],
    "last steps by gather": lambda m, o, n: o.gather(1, (n - 1).view(-1, 1, 1).expand(-1, 1, o.size(2))),
    "attention": attended,
    "largest real": past_filled,
    "added": lambda m, o, n: (o + unpacked([m[3]], o, n)).sum(1),
}
DEPENDENT: dict[str, Any] = {
    "mean": lambda m, o, n: o.mean(1),
    "sum with a bias": lambda m, o, n: m[1](o).sum(1),
    "largest": lambda m, o, n: o.max(1).values,
    "last": lambda m, o, n: o[:, -1],
    "softmax": lambda m, o, n: torch.softmax(o, 1),
    "backwards": lambda m, o, n: o.flip(1),
    "size": lambda m, o, n: o * o.size(1),
    "windows": lambda m, o, n: F.conv1d(o.transpose(1, 2), torch.ones(2, 4, 3), padding=1).amax(2),
    "rows and steps": lambda m, o, n: o.reshape(-1, 4),
    "recurrent": lambda m, o, n: m[2](o)[0],
}


@pytest.mark.parametrize("name", RIGHT)
def test_results_independent_of_the_number_of_steps_equal_torchs(name: str) -> None:
    net_module = module(lambda m, x, n: RIGHT[name](m, unpacked(m, x, n), n), *layers())
    net = check(net_module, (normal(3, 5, 3), torch.tensor([2, 5, 3])), LONG, SHORT)
    assert "ensure_longest" not in net.script()


@pytest.mark.parametrize("name", ["plain", "each step", "steps in one axis"])
def test_steps_past_the_longest_row_are_those_past_a_row(name: str) -> None:
    heads = {
        "plain": lambda m, o, n: o,
        "each step": lambda m, o, n: torch.relu(m[1](o)) + torch.arange(o.size(1))[:, None],
        "steps in one axis": lambda m, o, n: m[1](o.reshape(-1, 4)).view(o.size(0), o.size(1), 4),
    }
    net_module, net = net_of(heads[name], padding=0.5)
    wanted = expected(net_module, SHORT)["y"]
    got = net.program().inference(fed(SHORT))["y"]
    np.testing.assert_allclose(got[:, :4], wanted, atol=2e-5)
    assert got.shape[1] == 6


@pytest.mark.parametrize("name", DEPENDENT)
def test_results_that_depend_on_the_number_of_steps_are_errors_of_the_call(name: str) -> None:
    net_module, net = net_of(DEPENDENT[name])
    program = net.program()
    for call in ((normal(3, 5, 3), torch.tensor([2, 5, 3])), LONG):
        np.testing.assert_allclose(program.inference(fed(call))["y"], expected(net_module, call)["y"], atol=2e-5)
    with pytest.raises(rg.ShapeError, match=r"has 4 steps by feed inputs_1, but 6 .*test_packed_lengths.py:"):
        program.inference(fed(SHORT))
    for _ in range(3):  # repeated calls use the prepared one
        program.inference(fed(LONG))
    with pytest.raises(rg.ShapeError, match=r"total_length= in the module; feed 2 steps"):
        program.inference(fed((LONG[0], torch.tensor([1, 2]))))


def test_other_layouts_and_numbers_past_the_ends() -> None:
    net_module = module(
        lambda m, x, n: unpacked(m, x.transpose(0, 1), n, first=False, padding=-2.0).mean(0), nn.GRU(3, 4)
    )
    net = check(net_module, (normal(3, 5, 3), torch.tensor([2, 5, 3])), LONG)
    with pytest.raises(rg.ShapeError, match="the longest row has 4 steps"):
        net.program().inference(fed(SHORT))


def test_separate_results_are_checked_by_the_rows_that_they_read() -> None:
    def run(m: Any, x: Any, n: Any) -> Any:
        one, two = unpacked(m, x, n), unpacked([m[1]], x, n)
        return one.mean(1), two.mean(1), two[:, 0]

    net = check(module(run, nn.GRU(3, 4, batch_first=True), nn.LSTM(3, 2, batch_first=True)), LONG, LONG)
    assert net.script().count("ensure_longest") == 2


def test_a_saved_program_checks_too_and_predictions_need_no_padding(tmp_path: Path) -> None:
    net_module, net = net_of(DEPENDENT["mean"])
    program = net.program()
    program.save(tmp_path / "net")
    with pytest.raises(rg.ShapeError, match="the longest row has 4 steps by feed inputs_1"):
        rg.load(tmp_path / "net").inference(fed(SHORT))
    with pytest.raises(rg.GraphError, match="can't be streamed"):
        program.inference.stream(batch=1)
    rows = [normal(steps, 3) for steps in (4, 2, 7)]
    wanted = [net_module(row[None], torch.tensor([len(row)])).detach().numpy()[0] for row in rows]
    np.testing.assert_allclose(program.predict({"inputs_0": [row.numpy() for row in rows]})["y"], wanted, atol=2e-5)


def test_total_length_keeps_all_steps() -> None:
    net_module = module(lambda m, x, n: unpacked(m, x, n, total=x.size(1)).mean(1), nn.GRU(3, 4, batch_first=True))
    net = check(net_module, (normal(3, 5, 3), torch.tensor([2, 5, 3])), LONG, SHORT)
    assert "ensure_longest" not in net.script()
    longer = module(lambda m, x, n: unpacked(m, x, n, total=x.size(1) + 2), nn.GRU(3, 4, batch_first=True))
    with pytest.raises(rg.NotReadableError, match="total_length"):
        rg.read_torch(longer, LONG)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (lambda m, x, n: unpacked(m, x, n.clamp(min=1)).mean(1), "computed lengths"),
        (lambda m, x, n: x.sum(1) / unpacked(m, x, n).size(1), "depends on the length of the longest row"),
    ],
)
def test_lengths_that_no_call_can_check_are_rejected(head: Any, why: str) -> None:
    with pytest.raises(rg.NotReadableError, match=why):
        rg.read_torch(module(head, nn.GRU(3, 4, batch_first=True)), LONG)
