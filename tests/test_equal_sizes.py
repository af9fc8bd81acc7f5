"""Sizes that meet as products: whether they are equal is known at each call only, and checked there."""

from __future__ import annotations

from typing import Any

import pytest
from declaration_checks import check_all
from declarations import Declaration, Feed

B, T, CLASSES = 3, 4, 7
A, STEPS = Feed(("B", "T", 5), "float64"), Feed(("B", "T", 3, 5), "float64")

GRU = "o, s = rg.dynamic_rnn(rg.GRUCell(5), a)"
LOGITS = "logits = outputs['logits'] = rg.reshape(rg.dense(o, 7), [-1, 7])"
SQUARED = "outputs['f'], loss = f, rg.reduce_sum(f * f)"


def labels(*axes: Any) -> Feed:
    return Feed(axes, "int32", CLASSES - 1)


CASES: dict[str, tuple[dict[str, Feed], list[str]]] = {
    "labels and weights": (
        {"a": A, "y": labels("B", "T"), "m": Feed(("B", "T"), "float64")},
        [GRU, LOGITS, "y, m = rg.reshape(y, [-1]), rg.reshape(m * m + 1, [-1])",
         "loss = rg.sparse_softmax_cross_entropy(y, logits, weights=m)"],
    ),
    "labels by time": (
        {"y": labels("T", "B"), "a": A},
        [GRU, LOGITS, "loss = rg.sparse_softmax_cross_entropy(rg.reshape(rg.transpose(y), [-1]), logits)"],
    ),
    "labels of declared steps": (
        {"a": A, "y": labels("B", T)},
        [GRU, LOGITS, "loss = rg.sparse_softmax_cross_entropy(rg.reshape(y, [-1]), logits)"],
    ),
    "labels of one axis": (
        {"y": labels("B*T"), "a": A},
        [GRU, LOGITS, "loss = rg.sparse_softmax_cross_entropy(y, logits)"],
    ),
    "other factors": (
        {"a": Feed(("B", "T", 6), "float64"), "y": Feed(("2*B", "T", 3), "float64")},
        ["o, s = rg.dynamic_rnn(rg.GRUCell(6), a)",
         "loss = rg.mean_squared_error(rg.reshape(y, [-1]), rg.reshape(o, [-1]))"],
    ),
    "a number": ({"a": A}, [GRU, f"f = rg.reshape(o, [-1, 5]) * np.arange({B * T}.0).reshape(-1, 1)", SQUARED]),
    "reshape to declared axes": ({"a": A}, [GRU, f"f = rg.reshape(o, [{B * T // 2}, 10])", SQUARED]),
    "add": (
        {"a": A, "c": Feed(("B", "T", 1), "float64")},
        ["f = rg.dense(rg.reshape(a, [-1, 5]), 3) + rg.reshape(c, [-1, 1])", SQUARED],
    ),
    "select": (
        {"a": A, "c": Feed(("B", "T"), "bool"), "e": Feed(("B", "T", 3), "float64")},
        ["f = rg.where(rg.reshape(c, [-1, 1]), rg.dense(rg.reshape(a, [-1, 5]), 3), rg.reshape(e, [-1, 3]))", SQUARED],
    ),
    "columns": (
        {"a": A, "c": A},
        ["f = rg.dense(rg.concat([rg.reshape(a, [-1, 5]), rg.reshape(c, [-1, 5])], 1), 3)", SQUARED],
    ),
    "rows": (
        dict.fromkeys("abcd", A),
        ["f, g = (rg.concat([rg.reshape(x, [-1, 5]), rg.reshape(y, [-1, 5])], 0) for x, y in ((a, b), (c, d)))",
         "f = rg.dense(f, 5) * g", SQUARED],
    ),
    "product": (
        {"a": A, "c": A},
        ["f = rg.matmul(rg.transpose(rg.dense(rg.reshape(a, [-1, 5]), 3)), rg.reshape(c, [-1, 5]))", SQUARED],
    ),
    "rows of a recurrence": (
        {"a": STEPS, "c": Feed(("B", "T", 4), "float64"), "n": Feed(("B", "T"), "int32", 3)},
        ["c, n = rg.reshape(c, [-1, 4]), rg.reshape(n, [-1])",
         "f, s = rg.dynamic_rnn(rg.GRUCell(4), rg.reshape(a, [-1, 3, 5]), n, initial_state=c)", SQUARED],
    ),
    "beside a step": (
        {"a": STEPS, "c": Feed(("B", "T", 4), "float64")},
        ["f, s = rg.dynamic_rnn(own.BesideCell(4, rg.reshape(c, [-1, 4])), rg.reshape(a, [-1, 3, 5]))", SQUARED],
    ),
    "steps of a recurrence": (
        {"a": STEPS, "c": Feed(("B", "T", 3, 4), "float64")},
        ["a, c = rg.reshape(a, [-1, 3, 5]), rg.reshape(c, [-1, 3, 4])",
         "o, s = rg.dynamic_rnn(rg.GRUCell(4), a, time_major=True)",
         "f, s = rg.dynamic_rnn(rg.GRUCell(4), rg.concat([o * c, c], 2), time_major=True)", SQUARED],
    ),
    "two lengths": (
        {"a": A, "c": A},
        [GRU, "q, s = rg.dynamic_rnn(rg.BasicRNNCell(5), c)", "f = rg.reshape(o, [-1, 5]) * rg.reshape(q, [-1, 5])",
         SQUARED],
    ),
    "rows of a table": (
        {"a": A, "i": Feed(("B", "T"), "int32", 8)},
        ["e = rg.gather(rg.parameter('table', (9, 5), dtype='float64'), rg.reshape(i, [-1]))",
         "f = e * rg.reshape(a, [-1, 5])", SQUARED],
    ),
}  # fmt: skip


def declaration(name: str) -> Declaration:
    """The case with every axis of its own open size."""
    feeds, lines = CASES[name]
    places = []
    for label, feed in feeds.items():
        shape = ", ".join("None" if isinstance(axis, str) else str(axis) for axis in feed.axes)
        places.append(f'{label} = rg.placeholder("{label}", ({shape},), "{feed.dtype}")')
    return Declaration(1, (*places, *lines), feeds, {}, B, T, "float64", streams=False)


@pytest.mark.parametrize("name", CASES)
def test_every_way_of_computing_agrees(name: str) -> None:
    check_all(declaration(name))
