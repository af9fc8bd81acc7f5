"""Writes scans: recognised recurrent layers and linear attention as nodes of their type, others as Scan or Loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ....ir.graph import Graph, Node, make, topological
from ....ir.scan import Binding, ScanParts
from .linear_attention import write_linear_attention
from .operators import Writer, hint_of
from .recognition.layer import RecurrentLayer
from .recognition.linear_attention import LinearAttention
from .recurrent import are_one_node, write_layers
from .scope import Body

Loop = Callable[[Writer, Node], list[str]]


def loop_writer(layers: Mapping[Node, RecurrentLayer], attentions: Sequence[LinearAttention] = ()) -> Loop:
    """Return a function that writes a scan and returns the names of the scan's results.

    Two recurrent layers over one sequence in opposite directions become one node, unless an initial state of one layer
    depends on the other layer.

    Args:
        layers: Scans that are recurrent layers.
        attentions: Operators of the scans that are linear attention.
    """
    written: dict[Node, list[str]] = {}

    def partner(node: Node) -> Node | None:
        """Return the scan that can be the opposite direction in the node of a scan; None if there is none."""
        for other, layer in layers.items():
            pair = sorted((layers[node], layer), key=lambda item: item.reverse)
            if other is not node and other not in written and are_one_node(*pair):
                begins = topological([item.value for item in layer.initial], known=written)
                return None if node in begins else other
        return None

    def write(writer: Writer, node: Node) -> list[str]:
        if node in written:
            return written[node]
        attention = next((item for item in attentions if item.body is node["body"]), None)
        if attention is not None:
            return write_linear_attention(writer, node, attention)
        if node not in layers:
            return write_scan(writer, node)
        other = partner(node)
        scans = [node] if other is None else sorted((node, other), key=lambda item: layers[item].reverse)
        if other is not None:  # The other direction's initial state may come later in the graph, so it is written now.
            begins = [(f"{place}", item.value) for place, item in enumerate(layers[other].initial)]
            Writer(writer.scope, writer.sizes, writer.loop).write(Graph.of("initial", begins))
        written.update(zip(scans, write_layers(writer, [layers[item] for item in scans]), strict=True))
        return written[node]

    return write


def write_scan(writer: Writer, node: Node) -> list[str]:
    """Write a scan. Returns the names of its results: final states, then the steps' outputs."""
    scan = ScanParts.of(node)
    if not scan.sequences:  # ONNX's Scan needs at least one sequence.
        steps = make("iota", size=scan.length)
        counted = make("input", label="step", name="step", type=steps.tensor.with_shape(()))
        scan = replace(scan, sequences=[Binding(counted, steps)])
        inner = Writer(writer.scope, writer.sizes, writer.loop)
        inner.write(Graph.of("steps", [("steps", steps)]))
    outer, scope = writer.scope, writer.scope.body()
    inputs = [*(carry.inside for carry in scan.carries), *(binding.inside for binding in scan.sequences)]
    for param in inputs:
        scope.values[param] = outer.model.names(str(param["label"]))
    for param, actual in scan.invariants:
        scope.values[param] = outer.values[actual]
    body = Writer(scope, writer.sizes, writer.loop)
    body.write(node["body"])
    results = [scope.values[value] for _, value in scan.outputs]
    if scan.when is not None:
        results = _masked_results(body, scan, results)
    names = _output_names(body, results, [name for name, _ in scan.outputs])
    types = [(scope.values[param], param.tensor) for param in inputs]
    outputs = [(name, value.tensor) for name, (_, value) in zip(names, scan.outputs, strict=True)]
    directions = {"scan_input_directions": [1] * len(scan.sequences), "scan_output_directions": [1] * len(scan.emits)}
    directions = {key: value for key, value in directions.items() if scan.reverse and value}
    initial = [outer.values[carry.initial] for carry in scan.carries]
    sequences = [outer.values[binding.outside] for binding in scan.sequences]
    return outer.add_many(
        "Scan",
        [*initial, *sequences],
        [f"{hint_of(node)}/{name}" for name, _ in scan.outputs],
        body=Body(outer.model.names(f"{hint_of(node)}/body"), types, outputs, scope.operators),
        num_scan_inputs=len(scan.sequences),
        **directions,
    )


def _output_names(body: Writer, results: Sequence[str], hints: Sequence[str]) -> list[str]:
    """Return distinct names of a body's outputs. ONNX requires Identity nodes for inputs and for repeated results."""
    own = {name for operator in body.scope.operators for name in operator.outputs}
    names: list[str] = []
    for result, hint in zip(results, hints, strict=True):
        is_own = result in own and result not in names
        names.append(result if is_own else body.add("Identity", result, hint=hint))
    return names


def _masked_results(body: Writer, scan: ScanParts, results: list[str]) -> list[str]:
    """Return the names of a step's results, in which ended rows keep their states and output 0."""
    assert scan.when is not None
    values, runs = body.scope.values, body.scope.values[scan.when]
    states = [values[carry.inside] for carry in scan.carries]
    states += [body.constant(0, value.dtype, "zero") for _, value in scan.emits]
    nodes = [value for _, value in scan.outputs]
    return [
        body.scope.select(runs, result, other, node.dtype)
        for result, other, node in zip(results, states, nodes, strict=True)
    ]
