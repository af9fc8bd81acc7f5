"""The verifier accepts every valid graph, and names the violated rule and the pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, Node, make
from rnngraph.ir.ops import OPS
from rnngraph.ir.text.parser import ParseError, parse
from rnngraph.ir.types import TensorType, TupleType, size
from rnngraph.ir.verifier import INFERENCE_FORBIDS, verify, verify_stored
from rnngraph.support.errors import VerifyError, Where

ROW = TensorType("float32", (size("B"), 3))


def value(label: str = "x", kind: TensorType = ROW) -> Node:
    return make("input", label=label, name=label, type=kind)


def loop(body: Graph, *operands: Node, carries: int = 1, kind: TupleType | None = None) -> Node:
    """Return a scan with a claimed type."""
    attributes = {"body": body, "carries": carries, "sequences": 0, "length": 4, "reverse": False}
    kind = kind or TupleType(tuple(node.tensor for _, node in body.outputs))
    return Node("scan", operands, kind, tuple(sorted(attributes.items())))


def in_a_loop(inner: Node, h: Node) -> Graph:
    """Return a graph whose loop replaces ``h`` by ``inner``."""
    x = value()
    scan = loop(Graph.of("body", [("h", inner)], [h]), x)
    return Graph.of("g", [("y", make("get", scan, index=0))], [x])


def test_a_valid_graph_is_returned() -> None:
    h = value("h")
    graph = in_a_loop(make("tanh", h), h)
    assert verify(graph, "some pass", INFERENCE_FORBIDS) is graph


def broken(graph: Graph, what: str, forbid: tuple[str, ...] = ()) -> str:
    with pytest.raises(VerifyError, match=what) as caught:
        verify(graph, "some pass", forbid)
    assert "after some pass: " in str(caught.value)
    return str(caught.value)


def single(node: Node, *before: Node) -> Graph:
    inputs = tuple(item for item in before if item.op == "input")
    return Graph("g", inputs, (*before, node), (("y", node),))


def test_an_op_outside_the_table() -> None:
    x = value()
    broken(single(Node("tanj", (x,), ROW), x), "tanj is not an op of the table")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_number_of_operands(count: int) -> None:
    x = value()
    broken(single(Node("add", (x,) * count, ROW), x), f"add has {count} operands")


@pytest.mark.parametrize(
    "kind",
    [
        TensorType("float64", ROW.shape),
        TensorType("float32", (size("B"), 4)),
        TensorType("float32", (size("T"), 3)),
        TensorType("float32", (3,)),
        TupleType((ROW,)),
    ],
    ids=str,
)
def test_a_type_that_is_not_inferred(kind: TensorType) -> None:
    x = value()
    broken(single(Node("tanh", (x,), kind), x), r"should have type f32\[B,3\]")
    broken(single(replace(make("tanh", x), type=kind), x), r"should have type f32\[B,3\]")


def test_a_type_is_inferred_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = value()
    y = make("tanh", x)
    monkeypatch.setitem(OPS, "tanh", replace(OPS["exp"], infer=lambda *_: pytest.fail("a second time")))
    verify(single(y, x))
    with pytest.raises(pytest.fail.Exception, match="a second time"):
        verify(single(Node("tanh", (x,), ROW), x))


@pytest.mark.parametrize(
    "node",
    [
        Node("add", (value(), value("y", TensorType("float64", ROW.shape))), ROW),
        Node("add", (value(), value("y", TensorType("float32", (4, 3)))), ROW),
        Node("matmul", (value(), value("y")), ROW),
        Node("tanh", (value("x", TensorType("int64", (3,))),), TensorType("int64", (3,))),
        Node("transpose", (value(),), ROW, (("order", (0, 0)),)),
        Node("transpose", (value(),), ROW),
        Node("slice", (value(),), ROW, (("start", (0,)), ("step", (1,)), ("stop", (2,)))),
        Node("get", (value(),), ROW, (("index", 0),)),
        Node("concat", (value(), value("y", TensorType("float32", (3,)))), ROW, (("axis", 0),)),
        Node("reshape", (value(),), ROW, (("shape", (7,)),)),
    ],
    ids=lambda node: node.op,
)
def test_operands_that_an_op_rejects(node: Node) -> None:
    broken(single(node, *node.operands), "after some pass")


def test_get_with_an_index_beyond_the_results_of_a_scan() -> None:
    h, x = value("h"), value()
    scan = loop(Graph.of("body", [("h", h)], [h]), x)
    broken(single(Node("get", (scan,), ROW, (("index", 1),)), x, scan), "after some pass")


def test_an_op_on_a_tuple() -> None:
    h, x = value("h"), value()
    scan = loop(Graph.of("body", [("h", h)], [h]), x)
    broken(single(Node("tanh", (scan,), ROW), x, scan), "after some pass")


def test_a_value_before_it_is_there() -> None:
    x = value()
    first = make("tanh", x)
    second = make("exp", first)
    broken(Graph("g", (x,), (x, second, first), (("y", second),)), "is not computed before it")
    broken(Graph("g", (x,), (x, second), (("y", second),)), "is not computed before it")


def test_outputs_are_tensors_of_the_graph() -> None:
    x, h = value(), value("h")
    elsewhere = make("tanh", x)
    broken(Graph("g", (x,), (x,), (("y", elsewhere),)), "output y is not a node of the graph")
    scan = loop(Graph.of("body", [("h", h)], [h]), x)
    broken(Graph("g", (x,), (x, scan), (("y", scan),)), "output y is a tuple")


def test_inputs_are_those_that_are_read() -> None:
    x, y = value(), value("y")
    result = make("add", x, y)
    broken(Graph("g", (x,), (x, y, result), (("z", result),)), "input y.* is read, but not among the inputs")
    kernel = make("parameter", label="w", name="w", type=ROW)
    broken(Graph("g", (), (kernel,), (("w", kernel),)), "parameter w.* is read, but not among the inputs")
    broken(Graph("g", (x, y), (x,), (("x", x),)), "listed as an input, but is neither")
    tanh = make("tanh", x)
    broken(Graph("g", (x, tanh), (x, tanh), (("z", tanh),)), "listed as an input, but is neither")


def test_a_carry_keeps_its_type() -> None:
    h = value("h")
    wide = make("broadcast", make("constant", value=np.float32(0)), shape=(4, 3))
    broken(in_a_loop(wide, h), r"a carry is f32\[B,3\], and its next value is f32\[4,3\]")


def test_a_body_has_the_types_of_its_operands() -> None:
    h, x = value("h"), value("x", TensorType("float64", ROW.shape))
    kind = TupleType((ROW,))
    broken(single(loop(Graph.of("body", [("h", h)], [h]), x, kind=kind), x), "is f32.*, and its operand is f64")
    y = value()
    broken(single(loop(Graph.of("body", [("h", h)], [h]), y, y, kind=kind), y), "its body has 1 inputs")


def test_a_body_is_closed() -> None:
    h = value("h")
    outside = value("outside")
    body = Graph("body", (h,), (h, outside), (("h", outside),))
    broken(single(loop(body, x := value()), x), "outside.* is read, but not among the inputs")
    kernel = make("parameter", label="w", name="w", type=ROW)
    body = Graph.of("body", [("h", make("mul", h, kernel))], [h, kernel])
    broken(single(loop(body, x, x), x), "a scan's body reads a parameter")


def test_bodies_are_checked_too() -> None:
    h = value("h")
    broken(in_a_loop(Node("tanj", (h,), ROW), h), "tanj is not an op of the table")


@pytest.mark.parametrize("op", INFERENCE_FORBIDS)
def test_forbidden_ops_are_named_with_their_line(op: str) -> None:
    """The ops are forbidden outside and inside of loops."""
    h = value("h")
    scalar = make("constant", value=np.int64(0))
    column = make("broadcast", scalar, shape=(size("B"), 1))
    where = Where("net.py", 7)
    key = make("random_key", scalar, scalar, column, site="s", salt=0, where=where)
    unit = make("iota", size=3)
    keep = make("constant", value=np.float32(0.5))
    node = {
        "random_key": key,
        "random_uniform": make("random_uniform", key, unit, where=where),
        "dropout": make("dropout", h, keep, site="s", salt=0, where=where),
        "noise": make("noise", h, where=where),
        "sample_noise": make("sample_noise", h, where=where),
    }[op]
    value_of = make("cast", node, dtype="float32") if op == "random_key" else node
    inner = make("mul", h, value_of)
    for graph in (Graph.of("g", [("y", inner)], [h]), in_a_loop(inner, h)):
        assert verify(graph, "some pass") is graph
        assert "net.py:7" in broken(graph, f"{op} is forbidden in this graph", (op,))


def test_the_message_contains_the_graph() -> None:
    x = value()
    graph = single(replace(make("tanh", x, name="squashed"), type=TensorType("float32", (3,))), x)
    assert "squashed = tanh x" in broken(graph, "should have type")


# Graphs of files -----------------------------------------------------------------------------------

LOOP = """loop = scan {length=LENGTH, reverse=False} : (f32[B,3])
    carry h = x : f32[B,3]
    next h = h
  y = get loop {index=0} : f32[B,3]"""

STORED = {
    "rows that are not repeated but more": "y = broadcast big {shape=(1, 100000)} : f32[1,100000]",
    "rows that are fewer": "y = broadcast big {shape=(1, 1)} : f32[1,1]",
    "an open size that becomes 1": "y = broadcast x {shape=(1, 3)} : f32[1,3]",
    "fewer axes": "y = broadcast x {shape=(3,)} : f32[3]",
    "a length without an end": LOOP.replace("LENGTH", str(1 << 40)),
    "an unrolling without an end": LOOP.replace("LENGTH", f"T, unroll={1 << 40}"),
    "more axes than an array has": f"y = broadcast x {{shape=({'1, ' * 31}B, 3)}} : f32[{'1,' * 31}B,3]",
    "strides that are absurd": "y = broadcast x {shape=(0, 1099511627776, B, 3)} : f32[0,1099511627776,B,3]",
    "a mask without counters": "y = dropout x, half {site='s', salt=0} : f32[B,3]",
    "a mask of more rows": "y = dropout x, half, n, n, ids {site='s', salt=0} : f32[B,3]",
    "a mask of one number": "y = dropout half, half, n, n, n {site='s', salt=0} : f32[]",
    "a probability that is none": "y = dropout x, f32(0.0), n, n, n {site='s', salt=0} : f32[B,3]",
    "probabilities that are several": "y = dropout x, x, n, n, n {site='s', salt=0} : f32[B,3]",
    "labels of no axis": "y = equal n, n {within='labels'} : bool[]",
    "an op that lowering replaces": "y = tap x : f32[B,3]",
    "random numbers that lowering makes": "y = noise x : f32[B,3]",
}


@pytest.mark.parametrize("name", STORED)
def test_graphs_that_no_file_may_contain(name: str) -> None:
    with pytest.raises(ValueError, match=r"y\b|size|f32|unroll|length|mask|probability|repeated"):
        verify_stored(parse(stored(STORED[name])))


def stored(line: str) -> str:
    return f"""graph g
  x = input : f32[B,3]
  big = input : f32[0,100000]
  ids = input : i64[5,1]
  n = input : i64[]
  half = input : f32[]
  {line}
  output 'y' = y
"""


@pytest.mark.parametrize(
    "line",
    [
        "y = broadcast x {shape=(7, B, 3)} : f32[7,B,3]",
        "y = broadcast half {shape=(B, 3)} : f32[B,3]",
        "y = dropout x, half, n, n, n {site='s', salt=0} : f32[B,3]",
        "y = scatter_add ids, ids_as_rows {rows=0} : f32[0,2]",
        LOOP.replace("LENGTH", "T, unroll=1024"),
        LOOP.replace("LENGTH", str((1 << 31) - 1)),
    ],
)
def test_graphs_that_a_file_may_contain(line: str) -> None:
    """Values at the limits are valid, and so is a table without rows, from which a call can read nothing."""
    line = f"ids_as_rows = broadcast f32(1.0) {{shape=(5, 1, 2)}} : f32[5,1,2]\n  {line}"
    verify_stored(parse(stored(line)))


def test_an_error_names_the_line() -> None:
    with pytest.raises(ParseError, match=r"f32\[B,3\] can't be repeated to \[3\], in the line\ny = broadcast x"):
        parse(stored(STORED["fewer axes"]))
