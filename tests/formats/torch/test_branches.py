"""Branches on values of tensors: both sides are computed, and the results are selected as torch would branch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from read_modules import check, check_meaning

import rnngraph as rg

torch = pytest.importorskip("torch", exc_type=ImportError)
nn = torch.nn
pytestmark = pytest.mark.peers


def calls(*shapes: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Return arguments on both sides of the modules' branches: positive, negative, and mixed numbers."""
    return [
        (torch.from_numpy(np.random.default_rng(n).standard_normal(shape).astype("float32") + (n % 3 - 1) * 3),)
        for n, shape in enumerate([*shapes] * 3)
    ]


class Assigned(nn.Module):
    def forward(self, x: Any) -> Any:
        scale = 2.0
        if torch.all(x > 0):
            y, scale = x * 2, 3.0
        elif x.min() < -4:
            y = x - 1
        else:
            y = x
        return y * scale


class Returned(nn.Module):
    def side(self, x: Any, factor: float = 2.0) -> Any:
        if x.sum() > 0 and not x.min() < -3:
            return x * factor
        z = x + 1
        if x[0, 0] > 0 or x[0, 1] > 0:
            return z * 3
        return z

    def forward(self, x: Any) -> Any:
        w = x * 2 if (x.mean() > 0.1).item() else -x
        return self.side(x) + w


class Nested(nn.Module):
    """Branches within loops, one of which binds a new variable, and a branch outside of loops."""

    def __init__(self, is_plain: bool = True) -> None:
        super().__init__()
        self.is_plain = is_plain

    def forward(self, x: Any) -> Any:
        total = x * 0
        for power in range(2):
            if self.is_plain:
                part = x**power
            else:
                raise ValueError
            if bool(part.mean() > 0.5):
                for _ in range(2):
                    part = part * 0.5
                    if part.max() > 1:
                        part = torch.clamp(part, max=1.0)
            total = total + part
        return total


class Pair(NamedTuple):
    first: Any
    second: Any


class Structured(nn.Module):
    def forward(self, x: Any) -> Any:
        mean = x.mean()
        pair = Pair(x, {"mean": mean}) if mean > 0 else Pair(-x, {"mean": mean})
        return pair.first, pair.second["mean"]


class Closed(nn.Module):
    """Function with a variable of an outer one, a default and a decorator."""

    def forward(self, x: Any) -> Any:
        return outer(2.0)(x)


def outer(scale: float) -> Any:
    def inner(x: Any, shift: float = 1.0) -> Any:
        return x * scale + shift

    return inner


class Recurrent(nn.Module):
    """The first step executes another branch than later steps, as in the xLSTM's sLSTM."""

    def forward(self, x: Any) -> Any:
        h, outputs = torch.zeros(x.shape[0], x.shape[2]), []
        for now in range(x.shape[1]):
            if torch.all(h == 0.0):  # noqa: SIM108  (a branch is what is read)
                h = x[:, now]
            else:
                h = torch.tanh(h + x[:, now])
            outputs.append(h)
        return torch.stack(outputs, 1)


class Written(nn.Module):
    """States of all steps, written into a constant tensor that holds the first state, too."""

    def forward(self, x: Any) -> Any:
        states = torch.zeros(2, x.shape[0], x.shape[2])
        every = torch.zeros(2, x.shape[1] + 1, x.shape[0], x.shape[2])
        every[:, 0] = states
        for now, part in enumerate(x.unbind(1)):
            a, b = torch.unbind(states, 0)
            if torch.all(a == 0):  # noqa: SIM108  (a branch is what is read)
                a = part
            else:
                a = 0.5 * a + part
            states = torch.stack((a, b + a), 0)
            every[:, now + 1] = states
        return every[1][1:].transpose(0, 1)


@pytest.mark.parametrize("kind", [Assigned, Returned, Nested, Structured, Closed])
def test_both_sides_are_computed(kind: type[Any]) -> None:
    check_meaning(kind().eval(), *calls((2, 5), (3, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Recurrent, Written])
def test_a_branch_of_a_step_is_read_with_open_time(kind: type[Any]) -> None:
    net = check(kind().eval(), *calls((2, 7, 3), (1, 12, 3)))
    assert isinstance(net.sizes["x"][1], str)
    program, x = net.program(), calls((2, 7, 3))[0][0].numpy()
    (whole,), stream = program.inference(x).values(), program.inference.stream(batch=2)
    assert stream.delay == 0
    for now in range(7):
        np.testing.assert_array_equal(stream.step(x=x[:, now])["y"], whole[:, now])


def test_functions_keep_their_code() -> None:
    before, names = Assigned.forward.__code__, set(globals())
    rg.read_torch(Assigned().eval(), torch.zeros(2, 3))
    assert Assigned.forward.__code__ is before
    assert set(globals()) == names


class InPlace(nn.Module):
    def forward(self, x: Any) -> Any:
        y = x * 2
        if x.sum() > 0:
            y += 1
        return y


class Appended(nn.Module):
    def forward(self, x: Any) -> Any:
        items = []
        if x.sum() > 0:
            items.append(x)
        return torch.cat([*items, x])


class Shapes(nn.Module):
    def forward(self, x: Any) -> Any:
        if x.sum() > 0:  # noqa: SIM108
            y = x[:, :1]
        else:
            y = x
        return y


class Numbers(nn.Module):
    def forward(self, x: Any) -> Any:
        count = 3 if x.sum() > 0 else 4
        return torch.cat([x] * count)


class Looped(nn.Module):
    def forward(self, x: Any) -> Any:
        while x.sum() > 0:
            x = x - 1
        return x


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (InPlace, r"test_branches.*: a branch on values changes a tensor in place; compute a new tensor, as in y = y"),
        (Appended, "the code branches on values of a tensor; select with torch.where"),
        (Shapes, r"y becomes a float32 of shape \[2, 1\] or a float32 of shape \[2, 3\], .* of one shape and dtype"),
        (Numbers, "the result becomes 3 or 4, depending on values of a tensor; let both branches compute tensors"),
        (Looped, "the code branches on values of a tensor"),
    ],
)
def test_sides_that_cannot_both_run_are_errors(kind: type[Any], text: str) -> None:
    with pytest.raises(rg.NotReadableError, match=text):
        rg.read_torch(kind().eval(), torch.zeros(2, 3))
