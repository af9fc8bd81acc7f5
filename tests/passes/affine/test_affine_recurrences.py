"""Recurrences are classified by the graph of their step."""

from __future__ import annotations

from typing import Any

import pytest
from affine_cells import CHUNKED, GatedCell, MatrixCell, declared

import rnngraph as rg
from rnngraph.passes.affine.recurrences import Recurrence
from rnngraph.runtime.native.compile_options import declared_recurrences


def found_in(outputs: Any) -> dict[str, Recurrence]:
    lowered = rg.compile(outputs).parts.lowered.graph
    return {str(found.carry["label"]): found for found in declared_recurrences(lowered)}


KINDS = {
    "gated": "diagonal",
    "products": "diagonal",
    "shared": "scalar",
    "delta": "scalar plus rank 1",
    "twice": "diagonal plus rank 2",
    "key_matrix": "scalar plus rank 2",
    "mixed": "diagonal plus rank 1",
    "later": "scalar plus rank 1",
    "equation": "diagonal plus rank 1",
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    found = found_in(declared(CHUNKED[name]())[0])["S"]
    assert found.kind == KINDS[name]
    assert found.plan is not None


def test_a_delay_within_lengths() -> None:
    """The next value of the state depends on no state, except in rows that have ended."""
    found = found_in(declared(CHUNKED["mixed"](), lengths=True)[0])
    assert found["before"].plan is None
    assert found["S"].kind == KINDS["mixed"]


def test_several_states_in_one_recurrence() -> None:
    found = found_in(declared(CHUNKED["stabilised"]())[0])
    assert found["C"].kind == found["n"].kind == "scalar"
    assert found["C"].plan is not None
    assert (found["n"].plan, found["m"].kind) == (None, "")
    assert "maximum" in found["m"].reason


class VectorCell(rg.Cell):
    """Cell with a vector state, whose next value is ``rule``."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule

    def state(self) -> Any:
        return {"h": 6}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        h = self.rule(p, x, state["h"])
        return h, {"h": h}


VECTORS: dict[str, tuple[Any, str]] = {
    "channels": (lambda p, x, h: rg.sigmoid(x) * h + x, "diagonal"),
    "gate": (lambda p, x, h: h - rg.sigmoid(x) * (h - rg.tanh(x)), "diagonal"),
    "sum": (lambda p, x, h: h + x, "the identity"),
    "number": (lambda p, x, h: (h + x) / (1.0 + rg.square(x[:, :1])), "scalar"),
    "readout": (lambda p, x, h: x - 0.5 * x * rg.reduce_sum(rg.tanh(x) * h, 1, keepdims=True), "of rank 1"),
    "chosen": (lambda p, x, h: rg.where(x > 0.0, h, x), "diagonal"),
    "recurrent weights": (lambda p, x, h: x + h @ p.kernel("U", (6, 6)), ""),
    "activation": (lambda p, x, h: rg.tanh(x + h), ""),
    "square": (lambda p, x, h: x + h * h, ""),
    "gated by itself": (lambda p, x, h: rg.sigmoid(h) * h + x, ""),
    "shifted": (lambda p, x, h: x + rg.concat([h[:, 1:], h[:, :1]], 1), ""),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_run_by_steps(name: str) -> None:
    rule, kind = VECTORS[name]
    found = found_in(rg.dynamic_rnn(VectorCell(rule), rg.placeholder("x", (None, None, 6)))[0])["h"]
    assert found.kind == kind
    assert found.plan is None
    assert found.reason


def test_a_state_that_is_only_passed_on_is_no_recurrence() -> None:
    delayed = found_in(declared(CHUNKED["mixed"]())[0])
    assert "before" not in delayed
    assert not found_in(rg.dynamic_rnn(VectorCell(lambda p, x, h: rg.tanh(x)), rg.placeholder("x", (None, None, 6)))[0])


class TurnedCell(rg.Cell):
    """Cell whose two states are the real and imaginary part of a complex state. If ``scaled``, one scales the other."""

    def __init__(self, scaled: bool) -> None:
        self.scaled = scaled

    def state(self) -> Any:
        return {"re": 6, "im": 6}

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, Any]:
        re, im, a = state["re"], state["im"], rg.cos(x)
        new = a * re - rg.sin(x) * im + x
        return new, {"re": new, "im": rg.sin(x) * re + a * im * (re if self.scaled else 1.0)}


def test_states_that_are_affine_together() -> None:
    outputs = rg.dynamic_rnn(TurnedCell(False), rg.placeholder("x", (None, None, 6)))[0]
    assert [item.kind for item in found_in(outputs).values()] == ["in blocks of 2 states"] * 2
    found = found_in(rg.dynamic_rnn(TurnedCell(True), rg.placeholder("x", (None, None, 6)))[0])
    assert [item.kind for item in found.values()] == ["", ""]


def test_gates_of_each_other_are_not_affine() -> None:
    found = found_in(rg.dynamic_rnn(rg.LSTMCell(4), rg.placeholder("x", (None, None, 3)))[0])
    assert not any(item.is_affine for item in found.values())
    assert "depend on each other" in found["c"].reason


class WholeCell(GatedCell):
    """Cell whose output depends on a function of all entries of its state."""

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        _, k, v, a = parts
        S = self.column(a) * S + self.column(k) * self.row(v)
        return rg.reduce_sum(rg.tanh(S), 2, keepdims=True), S


class BothAxesCell(MatrixCell):
    """Cell with a separate decay for each entry of its state, as in S6."""

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.of_keys, self.of_keys, self.of_values)

    def rule(self, S: rg.Tensor, *parts: rg.Tensor) -> tuple[rg.Tensor, rg.Tensor]:
        q, k, v = parts
        S = rg.sigmoid(self.column(k) * self.row(v)) * S + self.column(k) * self.row(v)
        return self.read(self.column(q), S), S


@pytest.mark.parametrize(("cell", "reason"), [(WholeCell(), "tanh"), (BothAxesCell(), "keys and values")])
def test_affine_states_that_run_by_steps(cell: MatrixCell, reason: str) -> None:
    found = found_in(declared(cell)[0])["S"]
    assert (found.kind, found.plan) == ("diagonal", None)
    assert reason in found.reason
