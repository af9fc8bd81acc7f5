"""The complete text form restores an equal graph: names, labels, lines, shared constants and their bits."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.text.complete import complete_text, same_graph
from rnngraph.ir.text.parser import ParseError, parse
from rnngraph.ir.types import TensorType, size
from rnngraph.ir.verifier import verify_stored
from rnngraph.support.errors import Where

ROWS = TensorType("float32", (size("B"), 20))
ODD = np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32)


def a_graph() -> Graph:
    here, there = Where("net.py", 3), Where("/else where/#1 'cells'.py", 44)
    x = make("input", label="net/x #1", name="net/x #1", type=ROWS, where=here)
    table = make("constant", value=np.arange(20, dtype=np.float32), name="goal", where=there)
    filled = make("constant", value=np.full((1, 30), -0.0), name="filled")
    half = make("constant", value=np.float32(0.5), where=there)
    first = make("mul", x, half, where=there, name="goal")
    second = make("mul", make("add", first, table, name="goal"), half)
    carried = make("input", label="h", name="", type=ROWS, where=here)
    length = make("input", label="length", name="length", type=ROWS)
    odd = make("constant", value=ODD, name="odd")
    body = Graph.of("body", [("h/0", make("mul", carried, half)), ("output", length)], [carried, length])
    facts = {"body": body, "carries": 1, "sequences": 0, "length": size("T"), "reverse": False}
    scan = make("scan", first, second, where=there, name="loop", **facts)
    last = make("get", scan, index=0, name="h", where=here)
    return Graph.of("declared", [("it's #1", last), ("odd", odd), ("filled", filled), ("number", half)], [x])


def test_the_same_graph_is_parsed() -> None:
    graph, arrays = a_graph(), {}
    text = complete_text(graph, arrays)
    parsed = parse(text, arrays)
    assert same_graph(graph, parsed)
    assert verify_stored(parsed) is parsed
    assert str(parsed) == str(graph)
    assert same_graph(graph, parse(complete_text(parsed, arrays), arrays))
    # constants of one repeated value, and small constants, are stored as text
    assert [array.size for array in arrays.values()] == [20, 2]
    assert parsed.output("number") is parsed.nodes[[node.op for node in parsed.nodes].index("mul")].operands[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.5", "0.25"),
        ("where=(1, 44)", "where=(1, 45)"),
        ("name='goal'", "name='aim'"),
        ("it's #1", "it's #2"),
        ("reverse=False", "reverse=True"),
        ("label='net/x #1'", "label='net/x #2'"),
        ("'h/0'", "'h/1'"),
        ("-0.0", "0.0"),
        ("graph declared", "graph declined"),
        ("net.py", "not.py"),
        ("B,20", "C,20"),
    ],
)
def test_any_fact_that_differs_is_seen(old: str, new: str) -> None:
    graph, arrays = a_graph(), {}
    text = complete_text(graph, arrays)
    assert old in text
    assert not same_graph(graph, parse(text.replace(old, new), arrays))


def test_bits_that_differ_are_seen() -> None:
    graph, arrays = a_graph(), {}
    text = complete_text(graph, arrays)
    changed = {key: array.copy() for key, array in arrays.items()}
    changed["1"][0] = np.nan
    assert not same_graph(graph, parse(text, changed))


def test_an_array_is_stored_once() -> None:
    value = np.arange(99)
    graphs = [Graph.of("g", [("y", make("constant", value=value))]) for _ in range(2)]
    arrays: dict[str, np.ndarray] = {}
    assert len({complete_text(graph, arrays) for graph in graphs}) == 1
    assert list(arrays) == ["0"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("y = tanh x {where=(3, 1)} : f32[B]", "range"),
        ("y = tanh x {where=-1} : f32[B]", "not a source line"),
        ("y = tanh x {where='1'} : f32[B]", "not a source line"),
        ("y = tanh x {name=1} : f32[B]", "not a name"),
        ("y = tanh x {name='a', name='b'} : f32[B]", "occurs twice"),
        ("y = tanh x {1} : f32[B]", "not attributes"),
        ("y = tanh x {a=1)(b=2} : f32[B]", "not attributes"),
        ("y = constant stored('1') : f32[B]", "'1'"),
        ("y = constant full(1.0) : f32[99999,99999]", "too large"),
        ("y = constant b'x' : f32[]", "not a size"),
        ("y = iota {size=(B+1)*(B+1)} : i64[B]", "not a size"),
        # the end of the message differs between versions of Python
        ("y = iota {size=" + "-" * 9000 + "1} : i64[B]", "in the line"),
    ],
)
def test_a_wrong_line_is_named(line: str, what: str) -> None:
    with pytest.raises(ParseError, match=re.escape(what)) as caught:
        parse(f"graph g\n  x = input : f32[B]\n  {line}\n  output 'y' = y\n")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("y = tanh x {spare=1} : f32[B]", "tanh y has no attribute spare"),
        ("y = concat x, x {axis=1} : f32[B]", "concat y can't have axis=1"),
        ("y = reverse x {axis=-1} : f32[B]", "can't have axis=-1"),
        ("y = slice x[B:B+1] : f32[1]", "can't have stop"),
        ("y = slice x[3:5] : f32[2]", ""),
        ("y = cast x {dtype='float16'} : f16[B]", "cast y can't have dtype='float16'"),
        ("y = broadcast f32(1.0) {shape=(1099511627776, 2)} : f32[1099511627776,2]", "exceeds the size limits"),
        ("y = select less(x, x), x, x : f32[B]", "no value"),
        ("y = random_uniform x, x : f32[B]", "int64"),
        ("y = tanh x {name='a\\nb'} : f32[B]", "with unprintable characters"),
        ("y = input {label='x'} : f32[B]", "two nodes of op input have the label 'x'"),
    ],
)
def test_stored_graphs_that_are_accepted(line: str, what: str) -> None:
    text = f"graph g\n  x = input : f32[B]\n  {line}\n  output 'y' = y\n"
    if not what:  # the sizes are checked at a call
        verify_stored(parse(text))
        return
    with pytest.raises(ValueError, match=re.escape(what)):
        verify_stored(parse(text))
