"""Loops over steps as people write them, whose number of steps stays open."""

from __future__ import annotations

from typing import Any

import pytest
from read_modules import check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
from torch_functions import module, normal  # noqa: E402  (needs torch)

nn = pytest.importorskip("torch.nn", exc_type=ImportError)
pytestmark = pytest.mark.peers
CALLS = ((2, 5), (1, 1), (3, 17))


def check_open(function: Any, *layers: Any, width: int = 8, calls: Any = CALLS, steps: int = 5) -> None:
    """Compare at several sizes, and check that rows and steps are open."""
    torch.manual_seed(0)
    sizes = ((2, steps), *calls[1:])
    net = check_meaning(module(function, *layers), *((normal(*size, width),) for size in sizes))
    assert [isinstance(size, str) for size in net.inputs["inputs_0"].shape] == [True, True, False], str(net)


def states(m: Any, x: Any) -> list[Any]:
    h, outputs = torch.zeros(x.size(0), 8), []
    for u in x.unbind(1):
        h = m[0](u, h)
        outputs.append(h)
    return outputs


JOINED = {
    "side by side": lambda m, x, o: torch.cat(o, 1).view(x.size(0), x.size(1), -1),
    "side by side, by len": lambda m, x, o: torch.cat(o, 1).view(x.size(0), len(o), -1),
    "one below the other": lambda m, x, o: torch.cat(o).view(x.size(1), x.size(0), -1).transpose(0, 1),
    "one below the other, by len": lambda m, x, o: m[1](torch.cat(o, 0)).view(len(o), *o[0].shape[:1], 3),
    "projected": lambda m, x, o: torch.cat([m[1](h) for h in o], 1).view(x.size(0), -1, 3),
    "vstack": lambda m, x, o: torch.vstack(o).view(x.size(1), x.size(0), -1),
    "with a new axis": lambda m, x, o: torch.cat([torch.tanh(h)[None] for h in o]).mean(0),
    "with a viewed axis": lambda m, x, o: torch.cat([h.view(h.size(0), 1, 8) for h in o], 1),
    "merged": lambda m, x, o: torch.cat(o, 0),
    "differences": lambda m, x, o: torch.cat([torch.stack(o, 1)[:, 1:] - torch.stack(o, 1)[:, :-1], x[:, :1]], 1),
    "every second": lambda m, x, o: torch.stack(o, 1)[:, ::2],
}


@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.parametrize("kind", JOINED)
def test_joined_outputs(kind: str, steps: int) -> None:
    def joined(m: Any, x: Any) -> Any:
        return JOINED[kind](m, x, states(m, x))

    check_open(joined, nn.GRUCell(8, 8), nn.Linear(8, 3), steps=steps)


@pytest.mark.parametrize("kind", ["index", "unsqueeze", "slice"])
def test_steps_that_a_mask_leaves_out(kind: str) -> None:
    def masked(m: Any, x: Any) -> Any:
        mask, h, outputs = x[..., 0] > 0, torch.ones(x.size(0), 8), []
        for t in range(x.size(1)):
            one = {"index": mask[:, t, None], "unsqueeze": mask[:, t].unsqueeze(1), "slice": mask[:, t : t + 1]}[kind]
            h = torch.where(one, m[0](x[:, t], h), h)
            outputs.append(h)
        return torch.stack(outputs, 1)

    check_open(masked, nn.GRUCell(8, 8))


STATES = {
    "zeros": lambda p, x: torch.zeros(x.size(0), 2, 4),
    "number": lambda p, x: torch.full((x.size(0), 2, 4), 0.3),
    "learned": lambda p, x: p[:, 0].expand(x.size(0), -1, -1),
}


@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.parametrize("kind", STATES)
def test_states_of_which_each_round_takes_the_heads(kind: str, steps: int) -> None:
    def by_heads(m: Any, x: Any) -> Any:
        p, outputs = m[0].weight.view(2, 4, 4), []
        h = STATES[kind](p, x)
        for u in x.unbind(1):
            h = torch.tanh(u.view(-1, 2, 4) + torch.stack([h[:, k] @ p[k] for k in range(2)], 1))
            outputs.append(h.flatten(1))
        return torch.stack(outputs, 1)

    check_open(by_heads, nn.Linear(4, 8), steps=steps)


@pytest.mark.parametrize("steps", [3, 5])
def test_a_memory_that_begins_with_a_constant_beside_a_learned_state(steps: int) -> None:
    def remembered(m: Any, x: Any) -> Any:
        h, memory, outputs = m[1].weight[:1].expand(x.size(0), -1), torch.zeros(x.size(0), 4, 8), []
        for t in reversed(range(x.size(1))):
            w = torch.softmax(torch.einsum("bnm,bm->bn", memory, h), 1)
            h = m[0](x[:, t] + (w.unsqueeze(2) * memory).sum(1), h)
            memory = memory * (1 - w.unsqueeze(2)) + w.unsqueeze(2) * h.unsqueeze(1)
            outputs.append(h)
        return torch.stack(outputs[::-1], 1)

    check_open(remembered, nn.GRUCell(8, 8), nn.Linear(8, 2), steps=steps)


def test_as_many_steps_as_the_width_of_a_later_layer() -> None:
    def averaged(m: Any, x: Any) -> Any:
        h, outputs = x[:, 0], []
        for u in x.unbind(1):
            h = torch.lerp(h, u, 0.25)
            outputs.append(h)
        return m[0](torch.stack(outputs, 1))

    check_open(averaged, nn.Linear(8, 3), steps=8)


@pytest.mark.parametrize("size", ["size", "double"])
def test_interpolation_to_a_size(size: str) -> None:
    def resized(m: Any, x: Any) -> Any:
        shorter = nn.functional.max_pool1d(m[0](x).transpose(1, 2), 2, ceil_mode=True)
        wanted = x.size(1) if size == "size" else 2 * x.size(1)
        return nn.functional.interpolate(shorter, size=wanted).transpose(1, 2)

    check_open(resized, nn.Linear(8, 3))


PARTS = {
    "the rest": lambda x, t: x[:, t:],
    "the last steps": lambda x, t: x[:, -t - 1 :],
    "the past": lambda x, t: x[:, : t + 1],
}


@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.parametrize("kind", PARTS)
def test_steps_that_read_parts_without_a_start_or_an_end(kind: str, steps: int) -> None:
    """Parts of several steps are not taken for the single step where they begin."""

    def read(m: Any, x: Any) -> Any:
        h, outputs = torch.zeros(x.size(0), 8), []
        for t in range(x.size(1)):
            h = torch.tanh(m[0](PARTS[kind](x, t).mean(1)) + h)
            outputs.append(h)
        return torch.stack(outputs, 1)

    check_meaning(module(read, nn.Linear(8, 8)), (normal(2, steps, 8),), (normal(3, steps, 8),))


def doubled(m: Any, x: Any) -> Any:
    y, k = m[0](x), 1
    while k < x.size(1):
        y = y + nn.functional.pad(y, (0, 0, k, 0))[:, :-k]
        k = 2 * k
    return y


@pytest.mark.parametrize("steps", [5, 6, 8, 9])
def test_a_scan_by_doubling_limits_the_steps(steps: int) -> None:
    net = check_meaning(module(doubled, nn.Linear(8, 3)), (normal(2, steps, 8),))
    low, high = (5, 8) if steps < 9 else (9, 16)
    assert f"is {low} to {high}, by" in str(net)


def test_cells_whose_steps_differ_are_refused_with_their_line() -> None:
    def growing(m: Any, x: Any) -> Any:
        h, past = torch.zeros(x.size(0), 8), []
        for u in x.unbind(1):
            h = m[0](u, h)
            past.append(h)
            h = h + torch.stack(past, 1).mean(1)
        return h

    with pytest.raises(rg.NotReadableError, match=r"test_unrolled_loops\.py:\d+: the 9 steps of .* are not identical"):
        rg.read_torch(module(growing, nn.GRUCell(8, 8)), normal(2, 9, 8))


def oscillated(m: Any, x: Any) -> Any:
    a, z, outputs = torch.zeros(x.size(0), 4), torch.ones(x.size(0), 4), []
    for u in x.unbind(1):
        z = z + 0.1 * (torch.tanh(m[0](u) + m[1](torch.cat([a, z], 1))) - a - 0.5 * z)
        a = a + 0.1 * z
        outputs.append(a)
    return torch.stack(outputs, 1)


def learned(m: Any, x: Any) -> Any:
    h, outputs = m[0].weight[:2, :2].unsqueeze(0).repeat(x.size(0), 1, 1), []
    for u in x.unbind(1):
        h = torch.tanh(m[0](u).unflatten(-1, (2, 2)) + (h[..., None, :] @ m[1].weight)[..., 0, :4:2])
        outputs.append(h.flatten(1) * 2)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize(
    ("function", "layers"),
    [
        (oscillated, lambda: (nn.Linear(8, 4), nn.Linear(8, 4))),
        (learned, lambda: (nn.Linear(8, 4), nn.Linear(4, 2))),
    ],
    ids=["constants", "learned"],
)
def test_the_first_step_reads_its_initial_states_as_later_steps_do(function: Any, layers: Any) -> None:
    torch.manual_seed(0)
    read = module(function, *layers())
    net = check_meaning(read, *((normal(*size, 8),) for size in ((2, 5), (1, 1), (3, 17))))
    assert net.script().count("rg.dynamic_rnn(") == 1
    assert "[:, 1:]" not in net.script()
    assert net.program().inference.stream(batch=2).delay == 0


def of_previous_entries(m: Any, x: Any) -> Any:
    h = before = x.new_zeros(x.size(0), 8)
    first = second = x[:, 0] * 0 + 0.5
    outputs = []
    for t in range(x.size(1)):
        h = m[0](torch.cat([x[:, t], before], 1), h)
        outputs.append(h + m[1](second) * first)
        before, second, first = x[:, t], first, x[:, t, :]
    return torch.stack(outputs, 1)


def test_loops_may_keep_previous_entries_of_a_sequence() -> None:
    torch.manual_seed(0)
    read = module(of_previous_entries, nn.GRUCell(16, 8), nn.Linear(8, 8))
    net = check_meaning(read, *((normal(*size, 8),) for size in ((2, 6), (1, 3), (3, 17))))
    assert [isinstance(size, str) for size in net.inputs["inputs_0"].shape] == [True, True, False], str(net)
    assert net.script().count("rg.dynamic_rnn(") == 1
    assert "static_rnn" not in net.script()
    stream, x = net.program().inference.stream(batch=2), normal(2, 9, 8).numpy()
    steps = [stream.step({"inputs_0": x[:, step]})["y"] for step in range(9)]
    whole = net.program().inference({"inputs_0": x})["y"]
    assert (whole == torch.stack([torch.from_numpy(item) for item in steps], 1).numpy()).all()


def split_into_heads(m: Any, x: Any) -> Any:
    """Stack the steps of two states, and then merge rows and heads. Both states begin with constants."""
    h, s, outputs = torch.full((len(x), 8), 0.3), torch.zeros((x.size(0), 8, 8)), []
    for u in x.unbind(1):
        s = 0.9 * s + 0.1 * torch.bmm(h.unsqueeze(2), h.unsqueeze(1))
        z = m[0](u) + m[1](h)
        h = torch.tanh(z + (s @ z.unsqueeze(-1)).squeeze(-1))
        outputs.append(h)
    x = torch.stack(outputs, -2)
    b, t, _ = x.shape
    y = x.reshape(b, t, 2, 4).permute(0, 2, 1, 3).reshape(b * 2, t, 4).softmax(-1)
    return y.reshape(b, 2, t, 4).permute(0, 2, 1, 3).reshape(b, t, 8)


def test_heads_of_stacked_steps_keep_the_open_size() -> None:
    check_open(split_into_heads, nn.Linear(8, 8), nn.Linear(8, 8), calls=((2, 6), (1, 1), (3, 17)))
