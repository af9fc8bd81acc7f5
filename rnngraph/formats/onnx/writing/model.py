"""``write_onnx``: a program's inference graph as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....ir.graph import Graph, Node
from ....program.callable_graph import CallableGraph
from ....program.program import Program
from ....storage.atomic_file import as_path, replace_file
from ....storage.read_file import open_file
from ....support.allocation import reserve
from ....support.api_guard import api
from ....support.arguments import whole_number
from ....support.errors import ArgumentError, DtypeError, FileError, GraphError, Where, shown, user_line
from .linear_attention import SINCE
from .loops import loop_writer
from .operators import Writer
from .protobuf import HEAD, serialized
from .recognition.linear_attention import with_linear_attention
from .recognition.separate import separated
from .scope import Model, Operator, Scope
from .sizes import Sizes
from .tidy import keep_needed, named

FIRST_OPSET, LAST_OPSET = 13, 27
MAX_BYTES = (1 << 31) - (1 << 20)
"""Maximum bytes of arrays in a file: protobuf's limit of 2 GiB, minus 1 MiB for nodes and names."""
MAX_NAMED = 40
"""Maximum number of problems that an error lists. Further problems are only counted."""


@api
def write_onnx(program: Program[Any] | CallableGraph[Any], path: str | os.PathLike[str], opset: int = 17) -> None:
    """Write the inference graph as an ONNX file, which other runtimes load.

    Inputs and outputs have the names of placeholders and outputs; symbolic sizes stay symbolic. LSTM, GRU and RNN
    layers become nodes of these types, with weights in ONNX's order. From opset 27 on, linear attention, gated or with
    the delta rule, becomes LinearAttention nodes. Other loops become Scan nodes. Weights are float32, even if the
    program multiplies by narrower weights.

    A file that this function wrote earlier is replaced when the new one is complete.

    Args:
        program: A Program, or one of its graphs without dropout, such as ``program.evaluation``.
        path: Path of the file.
        opset: Version of ONNX's operators, 13 to 27.

    Raises:
        GraphError: Nodes cannot be written; the error lists all of them with their lines.
        FileError: The file cannot be written, or ``path`` is a file that this function did not write.
    """
    where = user_line()
    target = as_path(path)
    opset = whole_number(opset, "opset", FIRST_OPSET)
    if opset > LAST_OPSET:
        raise ArgumentError(f"opset={opset} must be {FIRST_OPSET} to {LAST_OPSET}; leave it out for 17", where)
    _refuse_others(target, where)
    data = onnx_bytes(program, opset, where)
    with replace_file(target) as file:
        file.write(data)


def onnx_bytes(program: Any, opset: int, where: Where | None) -> bytes:
    """Return the bytes of an ONNX file with a program's inference graph. ``where`` is the caller's line, for errors."""
    inference = _graph_of(program, where)
    _, parameters = inference.parts.parameters.snapshot()
    model, operators, inputs, outputs = written(
        inference.graph, parameters, inference.parts.lowered.defaults, opset, where
    )
    size = sum(array.nbytes for array in model.initializers.values())
    if size > MAX_BYTES:
        raise FileError(
            f"the net's weights have {size / 1e9:,.3g} GB, but an ONNX file has at most 2.1; write a smaller net", where
        )
    reserve(2 * size, "the bytes of an ONNX file", where)
    kinds = [narrow.kind for _, narrow in inference.parts.options.weights if narrow.kind != "float32"]
    note = f"The program multiplies by {' and '.join(dict.fromkeys(kinds))} weights; these are whole." if kinds else ""
    data = serialized(model, operators, inputs, outputs, note)
    assert HEAD in data[: 2 * len(HEAD)]
    return data


def _graph_of(program: Any, where: Where | None) -> CallableGraph[Any]:
    """Return the graph to write: the inference graph of a Program, or a graph without dropout itself."""
    if isinstance(program, Program):
        return program.inference
    if not isinstance(program, CallableGraph):
        raise DtypeError(f"write_onnx needs a Program, not {shown(program)}; give rg.compile's result", where)
    if program.kind == "training":
        raise GraphError("the training graph has dropout and gradients; give the program, or its inference", where)
    return program


def _refuse_others(target: Path, where: Where | None) -> None:
    """Raise ``FileError`` if ``target`` is a file that this function did not write."""
    try:
        with open_file(target, "a file to write") as file:
            head = file.read(2 * len(HEAD))
    except FileNotFoundError:
        return
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"can't write {target}: {error.strerror or error}; give a path that can be written", where
        ) from None
    if HEAD not in head:
        raise FileError(f"{target} exists, but write_onnx did not write it; move it, or give another path", where)


Named = list[tuple[str, Node]]


def written(
    graph: Graph,
    parameters: Mapping[str, np.ndarray],
    defaults: Mapping[str, np.ndarray],
    opset: int,
    where: Where | None,
) -> tuple[Model, list[Operator], Named, Named]:
    """Convert a graph to ONNX's operators. Raises ``GraphError``, which lists all nodes without a counterpart.

    Returns:
        (constant tensors of the model, operators, inputs by name, outputs by name).
    """
    model = Model(opset)
    scope = Scope(model)
    inputs = [(str(node["label"]), node) for node in graph.inputs if node.op == "input"]
    names = [name or "output" for name, _ in graph.outputs]
    for name, _ in inputs:
        scope.model.names(name)
    for name, (_, node) in zip(names, graph.outputs, strict=True):
        if (name, node) not in inputs and model.names(name) != name:
            model.problems.append(
                (node.where, f"output {name} has the name of an input that is another tensor; rename one")
            )
    graph, attentions = with_linear_attention(graph) if opset >= SINCE else (graph, [])
    graph, layers = separated(graph, parameters)
    layers = {node: layers[node] for node in graph.nodes if node in layers}
    for node in graph.inputs:
        label = str(node["label"])
        if node.op == "input":
            scope.values[node] = label
            if label in defaults:
                model.initializers[label] = np.asarray(defaults[label])
        else:
            scope.values[node] = model.initializer(parameters[label], label)
    sizes = Sizes(scope, [node for _, node in inputs])
    Writer(scope, sizes, loop_writer(layers, attentions)).write(graph)
    outputs = list(zip(names, (node for _, node in graph.outputs), strict=True))
    operators = named(scope, outputs)
    if model.problems:
        raise _not_writable(model.problems, where)
    keep_needed(model, operators, [name for name, _ in inputs], names)
    return model, operators, inputs, outputs


def _not_writable(problems: Sequence[tuple[Where | None, str]], where: Where | None) -> GraphError:
    """Return the error that lists ``problems``, (line of the declaration, reason) pairs, each once."""
    lines = list(dict.fromkeys(f"{text} (declared at {line})" if line else text for line, text in problems))
    more = f"; and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
    return GraphError(f"the graph can't be written as ONNX: {'; '.join(lines[:MAX_NAMED])}{more}", where)
