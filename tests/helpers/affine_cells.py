"""Cells that are affine in their states, in users' styles, for any number of heads, keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import rnngraph as rg

HEADS, KEYS, VALUES = 2, 5, 3


class MatrixCell(rg.Cell):
    """Base of cells with a state [keys, values] for each head, carried flat.

    A subclass defines ``widths``, the widths of the parts of a step's input, and ``rule``, the equations of the parts.
    """

    heads, keys, values = HEADS, KEYS, VALUES

    @property
    def widths(self) -> Sequence[int]:
        raise NotImplementedError

    def state(self) -> Any:
        return {"S": rg.memory(self.heads * self.keys * self.values)}

    @property
    def output_size(self) -> int:
        return self.heads * self.values

    def column(self, x: rg.Tensor) -> rg.Tensor:
        return rg.reshape(x, (None, self.heads, self.keys, 1))

    def row(self, x: rg.Tensor) -> rg.Tensor:
        return rg.reshape(x, (None, self.heads, 1, self.values))

    def number(self, x: rg.Tensor) -> rg.Tensor:
        return rg.reshape(x, (None, self.heads, 1, 1))

    def read(self, weights: rg.Tensor, S: rg.Tensor) -> rg.Tensor:
        return rg.reduce_sum(weights * S, 2, keepdims=True)

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        S = rg.reshape(state["S"], (None, self.heads, self.keys, self.values))
        o, S = self.rule(S, *rg.split(x, self.widths, 1))
        size = self.heads * self.keys * self.values
        return rg.reshape(o, (None, self.output_size)), {"S": rg.reshape(S, (None, size))}

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        raise NotImplementedError

    @property
    def wide(self) -> int:
        return sum(self.widths)

    @property
    def of_keys(self) -> int:
        return self.heads * self.keys

    @property
    def of_values(self) -> int:
        return self.heads * self.values


class GatedCell(MatrixCell):
    """Gated linear attention: a decay for each key. Some decays are 0 or -1."""

    @property
    def widths(self) -> Sequence[int]:
        return (self.of_keys, self.of_keys, self.of_values, self.of_keys)

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, v, a = parts
        S = rg.maximum(self.column(a), -1.0) * S + self.column(k) * self.row(v)
        return self.read(self.column(q), S), S


class ProductCell(GatedCell):
    """``GatedCell`` written with matrix products. The output reads the state before its update."""

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, v, a = parts
        across = rg.transpose(self.column(q), (0, 1, 3, 2))
        o = rg.matmul(across, S) + rg.reduce_sum(self.column(q) * self.column(k), 2, keepdims=True) * self.row(v)
        return o, rg.sigmoid(self.column(a)) * S + rg.matmul(self.column(k), self.row(v))


class SharedCell(MatrixCell):
    """Cell with a decay for each head. All heads share the keys and queries, which are on the state's last axis."""

    @property
    def widths(self) -> Sequence[int]:
        return (self.of_values, self.heads, self.keys, self.keys)

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        shape = (None, self.heads, self.values, self.keys)
        u, a, k, q = rg.split(x, self.widths, 1)
        S = rg.reshape(state["S"], shape)
        k, q = (rg.reshape(item, (None, 1, 1, self.keys)) for item in (k, q))
        S = self.number(rg.exp(-rg.softplus(a))) * S + rg.reshape(u, (None, self.heads, self.values, 1)) * k
        o = rg.reduce_sum(S * q, 3) + 0.5 * rg.reshape(u, (None, self.heads, self.values))
        return rg.reshape(o, (None, self.of_values)), {"S": rg.reshape(S, (None, self.heads * self.keys * self.values))}


class DeltaCell(MatrixCell):
    """Gated delta rule."""

    @property
    def widths(self) -> Sequence[int]:
        return (self.of_keys, self.of_keys, self.of_values, self.heads, self.heads)

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, v, b, a = parts
        q, k = self.column(q), self.column(k)
        k = k / rg.sqrt(rg.reduce_sum(rg.square(k), 2, keepdims=True) + 1e-6)
        S = self.number(rg.sigmoid(a)) * S
        S = S + k * (self.number(rg.sigmoid(b)) * (self.row(v) - self.read(k, S)))
        return self.read(q, S), S


class TwiceCell(MatrixCell):
    """Delta rule with two keys for each step, one after the other, and a decay for each key."""

    @property
    def widths(self) -> Sequence[int]:
        return (*(self.of_keys,) * 4, *(self.of_values,) * 2)

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, other, a, v, w = parts
        S = rg.sigmoid(self.column(a)) * S
        for key, value in ((k, v), (other, w)):
            key = rg.tanh(self.column(key)) * 0.5
            S = S + key * (self.row(value) - self.read(key, S))
        return rg.tanh(self.read(self.column(q), S)), S


class KeyMatrixCell(MatrixCell):
    """Delta rule of rank two whose keys are the rows of one matrix, which ``einsum`` multiplies by the state."""

    @property
    def widths(self) -> Sequence[int]:
        return (self.of_keys, 2 * self.of_keys, 2 * self.of_values, self.heads)

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, v, a = parts
        k = rg.tanh(rg.reshape(k, (None, self.heads, 2, self.keys))) * 0.4
        v = rg.reshape(v, (None, self.heads, 2, self.values))
        S = self.number(rg.sigmoid(a)) * S
        S = S + rg.einsum("bhrk,bhrv->bhkv", k, v - rg.einsum("bhrk,bhkv->bhrv", k, S))
        return self.read(self.column(q), S), S


class MixedCell(MatrixCell):
    """Cell like RWKV-7: a state that decays by key, a readout with its own key, and a delayed input."""

    @property
    def widths(self) -> Sequence[int]:
        return (*(self.of_keys,) * 4, self.of_values)

    def state(self) -> Any:
        return {"S": rg.memory(self.heads * self.keys * self.values), "before": self.of_values}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        r, w, k, a, v = rg.split(x, self.widths, 1)
        S = rg.reshape(state["S"], (None, self.heads, self.keys, self.values))
        unit = self.column(k) / (rg.reduce_sum(rg.abs(self.column(k)), 2, keepdims=True) + 1.0)
        removed = (unit * rg.sigmoid(self.column(a))) * self.read(unit, S)
        S = rg.exp(-rg.sigmoid(self.column(w))) * S - removed + self.column(k) * self.row(v + 0.5 * state["before"])
        o = rg.reshape(self.read(self.column(r), S), (None, self.of_values))
        return o, {"S": rg.reshape(S, (None, self.heads * self.keys * self.values)), "before": v}


class StabilisedCell(MatrixCell):
    """Cell like mLSTM: a matrix state, a vector state, and a maximum that scales both."""

    @property
    def widths(self) -> Sequence[int]:
        return (self.of_keys, self.of_keys, self.of_values, self.heads, self.heads)

    def state(self) -> Any:
        return {"C": rg.memory(self.heads * self.keys * self.values), "n": self.of_keys, "m": self.heads}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        q, k, v, i, f = rg.split(x, self.widths, 1)
        C = rg.reshape(state["C"], (None, self.heads, self.keys, self.values))
        n, m = self.column(state["n"]), state["m"]
        f = -rg.softplus(-f)
        new = rg.maximum(f + m, i)
        kept, added = self.number(rg.exp(f + m - new)), self.number(rg.exp(i - new))
        C = kept * C + added * (self.column(k) * self.row(v))
        n = kept * n + added * self.column(k)
        q = self.column(q)
        scale = rg.maximum(rg.abs(rg.reduce_sum(q * n, 2, keepdims=True)), self.number(rg.exp(-new)))
        o = rg.reshape(self.read(q, C) / scale, (None, self.of_values))
        size = self.heads * self.keys * self.values
        return o, {"C": rg.reshape(C, (None, size)), "n": rg.reshape(n, (None, self.of_keys)), "m": new}


class LaterCell(DeltaCell):
    """Cell whose gated unit reads the output of its matrix state."""

    def state(self) -> Any:
        return {"S": rg.memory(self.heads * self.keys * self.values), "h": self.of_values}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        o, new = super().step(p, x, {"S": state["S"]})
        h = rg.tanh(o + state["h"] @ p.kernel("U", (self.of_values, self.of_values)))
        return h + o, {**new, "h": h}


class EquationCell(MatrixCell):
    """Delta rule written with ``rg.einsum``, with a decay for each key."""

    @property
    def widths(self) -> Sequence[int]:
        return (*(self.of_keys,) * 3, self.of_values)

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        *along_keys, v = rg.split(x, self.widths, 1)
        q, k, a = (rg.reshape(part, (None, self.heads, self.keys)) for part in along_keys)
        k, v = rg.tanh(k) * 0.5, rg.reshape(v, (None, self.heads, self.values))
        S = rg.reshape(state["S"], (None, self.heads, self.keys, self.values)) * rg.expand_dims(rg.sigmoid(a), 3)
        S = S + rg.einsum("bhk,bhv->bhkv", k, v - rg.einsum("bhkv,bhk->bhv", S, k))
        o = rg.reshape(rg.einsum("bhkv,bhk->bhv", S, q), (None, self.of_values))
        return o, {"S": rg.reshape(S, (None, self.heads * self.keys * self.values))}


CHUNKED: dict[str, type[MatrixCell]] = {
    "gated": GatedCell,
    "products": ProductCell,
    "shared": SharedCell,
    "delta": DeltaCell,
    "twice": TwiceCell,
    "key_matrix": KeyMatrixCell,
    "mixed": MixedCell,
    "stabilised": StabilisedCell,
    "later": LaterCell,
    "equation": EquationCell,
}


def declared(cell: MatrixCell, reverse: bool = False, lengths: bool = False) -> tuple[Any, rg.Tensor, rg.Tensor]:
    """Return outputs, a loss of all outputs, and the placeholder of the flat initial matrix state."""
    x = rg.placeholder("x", (None, None, cell.wide))
    limits = rg.placeholder("lengths", (None,), "int64") if lengths else None
    size = cell.heads * cell.keys * cell.values
    first = rg.placeholder("first", (None, size))
    start: Any = first
    if set(cell.state()) != {"S"}:
        start = None
    driver: Any = {"sequence_length": limits}
    if reverse:
        outputs, state = rg.dynamic_rnn(cell, x[:, ::-1], initial_state=start, **driver)
    else:
        outputs, state = rg.dynamic_rnn(cell, x, initial_state=start, **driver)
    leaves = [state] if isinstance(state, rg.Tensor) else [*state]
    loss = rg.reduce_sum(rg.sin(outputs) * 0.3)
    for leaf in leaves:
        loss = loss + rg.reduce_sum(rg.square(leaf)) * 0.1
    return {"outputs": outputs, **{f"state_{number}": leaf for number, leaf in enumerate(leaves)}}, loss, first


def fed(cell: MatrixCell, batch: int, time: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return random feeds for the placeholders of ``declared``; some numbers are 0."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(batch, time, cell.wide))
    x[generator.random(x.shape) < 0.05] = 0
    size = cell.heads * cell.keys * cell.values
    lengths = np.asarray([time, max(0, time - 3), *[time // 2] * batch][:batch])
    return {"x": x, "first": generator.normal(size=(batch, size)), "lengths": lengths}
