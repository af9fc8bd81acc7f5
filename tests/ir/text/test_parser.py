"""Printed graphs are parsed without loss; errors name the invalid line."""

from __future__ import annotations

import numpy as np
import pytest

from rnngraph.ir.graph import Graph, make
from rnngraph.ir.text.parser import ParseError, parse, parse_type
from rnngraph.ir.types import TensorType, size

WHOLE = """graph whole
  x = input : f32[T,B,3]
  ids = input {label='net/ids'} : i64[B]
  W = parameter {label='rnn/cell/kernel'} : f32[3,4]
  table = constant [[1.0,-0.5],[0.25,nan]] : f32[2,2]
  filled = constant full(-inf) : f64[2,3]
  mask = constant [True,False] : bool[2]
  empty = constant [] : i32[0]
  start = broadcast f32(-0.25) {shape=(B, 4)} : f32[B,4]
  loop = scan {length=T, reverse=True} : (f32[B,4], f32[T,B,4])
    carry h = start : f32[B,4]
    over x_t = x : f32[B,3]
    with W_t = W : f32[3,4]
    product = matmul x_t, W_t, h : f32[B,4]
    inner = scan {length=2, reverse=False, unroll=2} : (f32[B,4])
      carry deep = product : f32[B,4]
      halved = mul deep, f32(0.5) : f32[B,4]
      next deep = halved
    new = get inner {index=0} : f32[B,4]
    next h = new
    emit output = new
  output = get loop {index=1} : f32[T,B,4]
  part = slice output[T-1:, :, 1::2] : f32[1,B,2]
  flat = reshape part {shape=(B, 2)} : f32[B,2]
  output 'flat' = flat
  output "it's" = W
  output 'nan' = f32(nan)
"""


def test_text_is_read_back() -> None:
    once = str(parse(WHOLE))
    assert str(parse(once)) == once
    dead = ("table", "filled", "mask", "empty")  # unused values are dropped, except inputs
    assert [line for line in WHOLE.splitlines() if not line.strip().startswith(dead)] == once.splitlines()


def test_commentary_is_not_read() -> None:
    lines = WHOLE.replace("\n", "  # net.py:3\n").replace("graph whole", "graph whole\n  # gone: x")
    commented = f"# before\n\n{lines}"
    assert str(parse(commented)) == str(parse(WHOLE))


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1),
        np.float64(0.1),
        np.float32(-0.0),
        np.float32(np.inf),
        np.int64(-(2**63)),
        np.bool_(True),
        np.float32(1e-45),
        np.array([[0.1, -0.0], [np.nan, -np.inf]], np.float32),
        np.arange(6).reshape(1, 2, 3),
        np.full((2, 2), -0.0),
        np.full(3, True),
        np.zeros((0, 3)),
        np.zeros((2, 0)),
        np.array([0.0, -0.0]),
    ],
    ids=repr,
)
def test_constants_keep_their_bits(value: np.ndarray) -> None:
    node = make("constant", value=np.asarray(value))
    parsed = parse(str(Graph.of("g", [("y", node)]))).output("y")
    assert parsed.type == node.type
    assert parsed["value"].tobytes() == node["value"].tobytes()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("f32[]", TensorType("float32", ())),
        (" i64[B, T-1,3*B*T] ", TensorType("int64", (size("B"), size("T") - 1, 3 * size("B") * size("T")))),
        ("bool[2]", TensorType("bool", (2,))),
    ],
)
def test_types(text: str, kind: TensorType) -> None:
    assert parse_type(text) == kind


@pytest.mark.parametrize("text", ["", "f32", "f8[2]", "f32[2", "(f32[2])", "[2]"])
def test_texts_that_are_no_type_are_errors(text: str) -> None:
    with pytest.raises(ParseError, match="not a type"):
        parse_type(text)


@pytest.mark.parametrize("text", ["", "\n\n", "y = tanh x : f32[2]", "graph", "graph two words", "# graph g"])
def test_a_text_without_a_head(text: str) -> None:
    with pytest.raises(ParseError, match="begins with: graph NAME"):
        parse(text)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("y = tanh z : f32[B,3]", "no value is named z"),
        ("y = tanj x : f32[B,3]", "no op is named tanj"),
        ("y = tanh x", "not a line of a graph"),
        ("y tanh x : f32[B,3]", "not a line of a graph"),
        ("y = tanh x : f32[B,4]", r"the type is f32\[B,3\]"),
        ("y = tanh x : f64[B,3]", r"the type is f32\[B,3\]"),
        ("y = tanh x : f32", "not a type: f32"),
        ("x = tanh x : f32[B,3]", "x is defined twice"),
        ("y = add x, W : f32[B,3]", "size B does not match size 4"),
        ("y = add x, n : f32[B,3]", "operands have different dtypes"),
        ("y = matmul x, W : f32[B,3]", "3 columns, the right 4 rows"),
        ("y = add x, f8(1.0) : f32[B,3]", "not a number"),
        ("y = add x, f32(one) : f32[B,3]", "in the line"),
        ("y = slice x[:, 2:1] : f32[B,0]", "is empty"),
        ("y = slice x[:] : f32[B]", "zip"),
        ("y = transpose x {order=(1, 0} : f32[3,B]", "never closed"),
        ("y = transpose x : f32[3,B]", "order"),
        ("y = get x {index=0} : f32[B,3]", "items"),
        ("y = constant [1.0,2.0] : f32[3]", "reshape"),
        ("y = input {label=} : f32[3]", "invalid syntax|expected argument value"),
        ("output 'y' = z", "no value is named z"),
        ("output y = x", "not a line of a graph"),
    ],
)
def test_a_wrong_line_is_named(line: str, what: str) -> None:
    text = f"graph g\n  x = input : f32[B,3]\n  n = input : i64[B,3]\n  W = input : f32[4,3]\n  {line}\n"
    with pytest.raises(ParseError, match=what) as caught:
        parse(text)
    assert str(caught.value).endswith(line)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("carry h = nothing : f32[B,3]", "no value is named nothing"),
        ("carry h = start : f32", "not a type"),
        ("y = tanh x : f32[B,3]", "no value is named x"),  # an outer value that is not an operand of the loop
        ("next h = y", "no value is named y"),
        ("emit h = h_t : f32[B,3]", "no value is named"),
        ("over x_t = x : f32[B,3]", "x_t is defined twice"),
        ("y = tanh h_t : f32[B,4]", "the type is"),
    ],
)
def test_a_wrong_line_of_a_body_is_named(line: str, what: str) -> None:
    text = (
        "graph g\n  x = input : f32[T,B,3]\n  start = input : f32[B,3]\n"
        "  loop = scan {length=T, reverse=False} : (f32[B,3])\n"
        f"    carry h_t = start : f32[B,3]\n    over x_t = x : f32[B,3]\n    {line}\n    next h_t = x_t\n"
    )
    with pytest.raises(ParseError, match=what) as caught:
        parse(text)
    assert str(caught.value).endswith(line)
    assert str(caught.value).count("in the line") == 1


def test_a_body_ends_with_its_indentation() -> None:
    scan = "  loop = scan {length=T, reverse=False} : (f32[B,3])\n    carry h = x : f32[B,3]\n    next h = h\n"
    head = "graph g\n  x = input : f32[B,3]\n"
    with pytest.raises(ParseError, match="no value is named h"):
        parse(f"{head}{scan}  y = tanh h : f32[B,3]\n")
    with pytest.raises(ParseError, match="outside the graph\ny = "):
        parse(f"{head}y = tanh x : f32[B,3]\n")


def test_a_scan_with_wrong_types_is_an_error() -> None:
    scan = "  loop = scan {length=T, reverse=False} : (f32[B,3])\n    carry h = x : f32[B,4]\n    next h = h\n"
    with pytest.raises(ParseError, match="size 3 does not match size 4"):
        parse(f"graph g\n  x = input : f32[B,3]\n{scan}")
