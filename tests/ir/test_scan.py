"""Parts of a scan by name, from printed graphs, and scans rebuilt from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnngraph.ir.graph import Graph, Node
from rnngraph.ir.scan import ScanParts, is_final, split_inputs, step_condition
from rnngraph.ir.text.parser import parse
from rnngraph.ir.verifier import verify

TEXT = """graph decoder
  first = input : f32[B,4]
  runs = input : bool[T]
  x = input : f32[T,B,4]
  w = parameter : f32[4]
  loop = scan {length=T, reverse=True, unroll=2WHEN} : (f32[B,4], f32[T,B,4])
    carry h = first : f32[B,4]
    over on = runs : bool[]
    over x_1 = x : f32[B,4]
    with w_1 = w : f32[4]
    mul = mul h, w_1 : f32[B,4]
    add = add mul, x_1 : f32[B,4]
    next h = add
    emit out = mul
  get = get loop {index=0} : f32[B,4]
  get_1 = get loop {index=1} : f32[T,B,4]
  output 'last' = get
  output 'all' = get_1
"""


def graph_of(when: str = ", when=1") -> Graph:
    return verify(parse(TEXT.replace("WHEN", when)))


def scan_of(graph: Graph) -> Node:
    return next(node for node in graph.nodes if node.op == "scan")


def names(*nodes: Node) -> list[str]:
    return [node.name for node in nodes]


def test_parts_have_the_names_of_the_printed_form() -> None:
    scan = scan_of(graph_of())
    parts = ScanParts.of(scan)
    (carry,) = parts.carries
    assert (names(carry.inside, carry.initial, carry.next), carry.name) == (["h", "first", "add"], "h")
    assert [names(*binding) for binding in parts.sequences] == [["on", "runs"], ["x_1", "x"]]
    assert [names(*binding) for binding in parts.invariants] == [["w_1", "w"]]
    assert [(name, node.name) for name, node in parts.emits] == [("out", "mul")]
    assert (str(parts.length), parts.reverse, parts.unroll) == ("T", True, 2)
    assert parts.when is step_condition(scan) is scan["body"].inputs[1]
    assert parts.inputs == [*scan["body"].inputs]
    assert parts.operands == [*scan.operands]
    assert parts.outputs == [*scan["body"].outputs]
    assert split_inputs(scan, "abcd") == ("a", "bc", "d")


@pytest.mark.parametrize("when", ["", ", when=1"])
def test_a_scan_built_from_its_parts_equals_the_original(when: str) -> None:
    graph = graph_of(when)
    scan = scan_of(graph)
    rebuilt = ScanParts.of(scan).build(scan.where, scan.name)
    gets = {node["index"]: node for node in graph.nodes if node.op == "get"}
    outputs = [(name, replace(gets[index], operands=(rebuilt,))) for index, name in enumerate(("last", "all"))]
    assert str(Graph.of(graph.name, outputs, graph.inputs)) == str(graph)


def test_the_condition_is_found_after_inputs_move() -> None:
    scan = scan_of(graph_of())
    parts = ScanParts.of(scan)
    moved = replace(parts, sequences=parts.sequences[::-1]).build(None, "moved")
    assert moved["when"] == 2
    assert step_condition(moved) is step_condition(scan)


def test_results_of_the_body_are_replaced() -> None:
    scan = scan_of(graph_of())
    parts = ScanParts.of(scan)
    (carry,), ((_, emitted),) = parts.carries, parts.emits
    turned = parts.with_replaced_values({carry.next: emitted, emitted: carry.next})
    assert [node for _, node in turned.outputs] == [emitted, carry.next]


def test_the_last_carried_value_is_distinguished_from_emitted_ones() -> None:
    assert [is_final(node) for node in graph_of().nodes if node.op == "get"] == [True, False]
