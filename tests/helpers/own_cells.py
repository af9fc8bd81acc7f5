"""User-defined cells, each with a kind of recurrence that no built-in cell has."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import rnngraph as rg


class GatedCell(rg.Cell):
    """Cell with two levels of products: the candidate depends on the gate."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        f = rg.sigmoid(x @ p.kernel("w_f", (x.width, n)) + h @ p.kernel("u_f", (n, n)) + p.bias("b_f", (n,)))
        c = rg.tanh(x @ p.kernel("w_c", (x.width, n)) + (f * h) @ p.kernel("u_c", (n, n)))
        h = (1 - f) * h + f * c
        return h, {"h": h}


class NormCell(rg.Cell):
    """Cell with reductions over units in the loop."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        total = rg.concat([x, h]) @ p.kernel("kernel", (x.width + n, n))
        gamma, beta = p.parameter("gamma", (n,), "ones"), p.bias("beta", (n,))
        h = rg.tanh(rg.layer_norm(total, gamma, beta, epsilon=1e-3))
        return h, {"h": h}


class UnusedStateCell(rg.Cell):
    """Cell with a state that is written and never read."""

    def __init__(self, num_units: int, spare: int = 3) -> None:
        self.num_units, self.spare = num_units, spare

    def state(self) -> Any:
        return {"h": self.num_units, "spare": self.spare}

    @property
    def output_size(self) -> int:
        return self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        h = rg.tanh(x @ p.kernel("w", (x.width, n)) + h * p.parameter("u", (n,)))
        return h, {"h": h, "spare": x @ p.kernel("w_spare", (x.width, self.spare))}


class PassThroughCell(rg.Cell):
    """Cell with a state that is read and never changed."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"kept": self.num_units, "h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        h = rg.tanh(x @ p.kernel("w", (x.width, n)) + state["h"] @ p.kernel("u", (n, n)) + state["kept"])
        return h, {"kept": state["kept"], "h": h}


class DelayCell(rg.Cell):
    """Cell whose output is the incoming state: a delay of one step."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        return state["h"], {"h": rg.tanh(x @ p.kernel("w", (x.width, n)) + p.bias("b", (n,)))}


class LateReadCell(rg.Cell):
    """Cell whose state c is read while its next value is computed. The next value does not depend on c."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"c": self.num_units, "h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        following = state["h"] @ p.kernel("u", (n, n))
        h = rg.tanh(state["c"] + x @ p.kernel("w", (x.width, n)))
        return h, {"c": following, "h": h}


class SwapCell(rg.Cell):
    """Cell with two states that are swapped at every step. The output joins both states."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"a": self.num_units, "b": self.num_units}

    @property
    def output_size(self) -> int:
        return 2 * self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, a, b = self.num_units, state["a"], state["b"]
        moved = rg.sin(a + x @ p.kernel("w", (x.width, n)))
        return rg.concat([a, b]), {"a": b, "b": moved}


class RotateCell(rg.Cell):
    """Cell with slices and concatenations across units, and a softmax over them."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        turned = h if n == 1 else rg.concat([h[:, 1:], h[:, :1]])
        h = rg.softmax(turned + x @ p.kernel("w", (x.width, n))) * 2.0 - h
        return h, {"h": h}


class DeepCell(rg.Cell):
    """Cell with a chain of three products in one step."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        h = rg.tanh(h @ p.kernel("u0", (n, n)) + x @ p.kernel("w", (x.width, n)))
        for level in (1, 2):
            h = rg.tanh(h @ p.kernel(f"u{level}", (n, n)) + p.bias(f"b{level}", (n,)))
        return h, {"h": h}


class LearnedStartCell(rg.Cell):
    """Cell whose initial state is a parameter."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def initial_state(self, p: Any) -> Any:
        return {"h": p.parameter("h0", (self.num_units,))}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        h = rg.sigmoid(x @ p.kernel("w", (x.width, n))) + 0.5 * rg.minimum(h, p.bias("limit", (n,)))
        return h, {"h": h}


class CaptureCell(rg.Cell):
    """Cell that reads a tensor of the outer graph, [batch, units], at every step."""

    def __init__(self, num_units: int, memory: rg.Tensor) -> None:
        self.num_units, self.memory = num_units, memory

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n, h = self.num_units, state["h"]
        seen = rg.tanh(self.memory @ p.kernel("m", (self.memory.width, n)))
        h = rg.tanh(x @ p.kernel("w", (x.width, n)) + seen * h)
        return h, {"h": h}


class ConstantCell(rg.Cell):
    """Cell with a constant output, the same for all rows and steps, and a state that decays."""

    def __init__(self, num_units: int) -> None:
        self.num_units = num_units

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        row = rg.expand_dims(p.parameter("row", (n,)), 0)
        return row, {"h": state["h"] * 0.5 + rg.reduce_mean(x, axis=1, keepdims=True)}


class MemoryCell(rg.Cell):
    """Cell with a memory, which is exempt from dropout, and an inner cell of another kind."""

    def __init__(self, num_units: int, inner: rg.Cell) -> None:
        self.num_units, self.inner = num_units, inner

    def state(self) -> Any:
        return {"m": rg.memory(self.num_units), "inner": self.inner}

    @property
    def output_size(self) -> int:
        return self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        n = self.num_units
        y, inner = p.cell("inner", self.inner)(x, state["inner"])
        m = state["m"] * 0.9 + rg.tanh(y @ p.kernel("w", (y.width, n)))
        return rg.relu(m) - 0.1 * m, {"m": m, "inner": inner}


class DeltaCell(rg.Cell):
    """Cell with a matrix state, carried flat: decay S + b k (v - k decay S), read by q."""

    def __init__(self, values: int, keys: int = 3, decay: float = 0.9) -> None:
        self.keys, self.values, self.decay = keys, values, decay

    def state(self) -> Any:
        return {"S": self.keys * self.values}

    @property
    def output_size(self) -> int:
        return self.values

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        keys, values = self.keys, self.values
        q, k, v, b = rg.split(x @ p.kernel("kernel", (x.width, 2 * keys + values + 1)), [keys, keys, values, 1])
        q, k = rg.expand_dims(q, 2), rg.expand_dims(rg.tanh(k), 2)
        S = rg.reshape(state["S"], (None, keys, values)) * self.decay
        S = S + k * rg.expand_dims(rg.sigmoid(b) * (v - rg.reduce_sum(k * S, 1)), 1)
        return rg.reduce_sum(q * S, 1), {"S": rg.reshape(S, (None, keys * values))}


class WiredCell(rg.Cell):
    """Cell whose states are expressions.

    Expressions may use the step's input ``x``, states by name, and new values of states by name in capitals.
    ``dense(…)`` is tanh of a matrix product of its arguments.
    """

    def __init__(self, num_units: int, wires: dict[str, str], output: str) -> None:
        self.num_units, self.wires, self.output = num_units, wires, output

    def state(self) -> Any:
        return dict.fromkeys(self.wires, self.num_units)

    @property
    def output_size(self) -> int:
        return self.num_units

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        number = count()

        def dense(*parts: rg.Tensor) -> rg.Tensor:
            joined = rg.concat(list(parts), -1)
            return rg.tanh(joined @ p.kernel(f"kernel_{next(number)}", (joined.width, self.num_units)))

        names = {"rg": rg, "x": x, "dense": dense, **state}
        following = {}
        for name, wire in self.wires.items():
            following[name] = names[name.upper()] = eval(wire, names)
        return eval(self.output, names), following


OWN_CELLS: tuple[Callable[..., rg.Cell], ...] = (
    GatedCell,
    NormCell,
    UnusedStateCell,
    PassThroughCell,
    DelayCell,
    LateReadCell,
    SwapCell,
    RotateCell,
    DeepCell,
    LearnedStartCell,
    ConstantCell,
    DeltaCell,
)


class WeightDrop(rg.Wrapper):
    """Wrapper that applies dropout to its cell's matrices once per call, and divides them by 1 + the largest weight."""

    def __init__(self, cell: rg.Cell, keep_prob: float) -> None:
        super().__init__(cell)
        self.keep_prob = keep_prob

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        def dropped(name: str, tensor: rg.Tensor) -> rg.Tensor:
            if len(tensor.shape) != 2:
                return tensor
            return rg.dropout(tensor, self.keep_prob) / (rg.reduce_max(rg.abs(tensor)) + 1)

        return p.map(dropped).cell(None, self.cell)(x, state)


class Tapped(rg.Wrapper):
    """Wrapper that taps a cell's input and output."""

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        output, state = p.cell(None, self.cell)(rg.tap("read", x), state)
        return rg.tap("given", output), state


class Pondering(rg.Wrapper):
    """Wrapper that runs its cell several times at each step, on a smaller input each time, and keeps the last state."""

    def __init__(self, cell: rg.Cell, steps: int, reverse: bool = False) -> None:
        super().__init__(cell)
        self.steps, self.reverse = steps, reverse

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        parts = rg.stack([x * 0.5**number for number in range(self.steps)], 1)
        outputs, after = rg.dynamic_rnn(self.cell, parts, initial_state=state, reverse=self.reverse)
        return outputs[:, 0 if self.reverse else -1], after


class BesideCell(rg.Cell):
    """Cell that reads a tensor from outside of the step, with one row for each row of the cell."""

    def __init__(self, num_units: int, beside: rg.Tensor) -> None:
        self.num_units, self.beside = num_units, beside

    def state(self) -> Any:
        return {"h": self.num_units}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h = rg.tanh(x @ p.kernel("w", (x.width, self.num_units)) + state["h"] + self.beside)
        return h, {"h": h}


class Speller(rg.Wrapper):
    """Wrapper that adds a score for every word, without a bias."""

    def __init__(self, cell: rg.Cell, words: int) -> None:
        super().__init__(cell)
        self.words = words

    @property
    def output_size(self) -> int:
        return self.words

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        output, state = p.cell(None, self.cell)(x, state)
        return output @ p.kernel("scores", (self.cell.output_size, self.words)), state
