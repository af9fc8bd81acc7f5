"""``read_tf1_graph``: entry point of the reader of TensorFlow 1.x's graphs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...support.api_guard import api
from ...support.arguments import array_of, whole_number
from ...support.errors import (
    ArgumentError,
    DtypeError,
    NameLookupError,
    RnnGraphError,
    did_you_mean,
    listed,
    shown,
)
from ..net import Net
from ..onnx.core.model import ArrayReader, Kind, Model
from ..onnx.read import net_of_model
from ..operators.errors import UnreadableError
from ..reading import not_readable
from . import cells, effects, loops, moves, operators, ops
from .order import frames_of, in_order, is_state, needed
from .source import Node, Source, ref_of, source_of
from .translation import TABLE, Translation

FILES = (cells, loops, moves, operators, ops)
"""Modules that register translations and readers of ops when they are imported."""
OPSET = 13
PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_FUNCTIONAL = ("While", "StatelessWhile", "If", "StatelessIf", "PartitionedCall", "StatefulPartitionedCall")
_NO_OUTPUTS = ("NoOp", "Assert", "Const", "SaveV2", "RestoreV2", *PLACEHOLDERS)
_READER_ERRORS = (UnreadableError, RnnGraphError, ArithmeticError, LookupError, TypeError, ValueError)


@api
def read_tf1_graph(
    source: str | os.PathLike[str] | bytes,
    outputs: str | Sequence[str] | None = None,
    fixed: Mapping[str, Any] | None = None,
    open: Mapping[str, Mapping[int, str]] | None = None,
    max_steps: int | None = None,
) -> Net:
    """Read a graph of TensorFlow 1.x as a net. TensorFlow is not needed.

    While loops, such as those of ``tf.nn.dynamic_rnn``, become drivers. Dropout with a ``keep_prob`` that is fixed to 1
    is removed, and so are branches that a fixed switch does not take.

    Args:
        source: A frozen graph (``graph.pb``), the folder of a SavedModel, a ``.meta`` file in the folder of its
            checkpoint, or the bytes of a frozen graph.
        outputs: Names of tensors, such as ``"softmax"`` or ``"logits:0"``. By default the signature's outputs; without
            a signature, all tensors that no other node reads.
        fixed: Values of placeholders, ``{"keep_prob": 1.0}``, and sizes of symbolic axes, ``{"x": {0: 1}}``.
        open: Names of axes, ``{"x": {0: "B", 1: "T"}}``; axes with the same name have the same size.
        max_steps: Number of steps for which loops run whose end depends on the data, as in ``dynamic_decode``. In steps
            after the end, states keep their values, and ``TensorArray``s get zeros.

    Returns:
        Net whose inputs have the names in the signature or, without one, the placeholders' names.

    Raises:
        NotReadableError: Nodes are not supported, or change variables; the error lists all of them.
        FileError: The file is missing or damaged.
        NameLookupError: A name in ``outputs``, ``fixed`` or ``open`` does not exist.
    """
    if max_steps is not None:
        max_steps = whole_number(max_steps, "max_steps", 1)
    graph = source_of(source)
    wanted = _outputs(graph, outputs)
    values, axes = _split_fixed(graph, fixed)
    needed_nodes = needed(graph.name, graph.nodes, [ref_of(text)[0] for text in wanted.values()], values)
    unknown = [f"{node}{_hint(node)}" for node in needed_nodes if node.op not in TABLE and node.name not in values]
    if unknown:
        raise not_readable(graph.name, unknown)
    t, problems = _translate(graph, needed_nodes, values, max_steps)
    if any(ref_of(text) not in t.names for text in wanted.values()):
        raise not_readable(graph.name, problems or ["its outputs are not numeric tensors; name others with outputs="])
    changes = effects.unread_changes(t, [ref_of(text) for text in wanted.values()])
    if changes:
        raise not_readable(graph.name, changes)
    model = _model(t, needed_nodes, wanted)
    return net_of_model(model, axes, _requested_axes(graph, open, model))


def _translate(
    graph: Source, needed_nodes: list[Node], values: Mapping[str, np.ndarray], max_steps: int | None
) -> tuple[Translation, list[str]]:
    """Translate nodes to ONNX. Return (translation, a text about each unsupported node).

    An unsupported node has no name in ``Translation.names``, and neither has a node that reads it. The texts are an
    error only if an output has no name: branches that are not taken may contain unsupported nodes.
    """
    frames = frames_of(graph.name, needed_nodes, graph.nodes)
    t = Translation(graph, frames, values, max_steps)
    problems, exits, failed = list[str](), list[str](), set[str]()
    for node in in_order(graph.name, needed_nodes, frames, values):
        chooses = node.op in ("Merge", "RefMerge") and not is_state(node, graph.nodes)
        if any(name in failed for name, _ in node.inputs) and node.name not in values and not chooses:
            failed.add(node.name)
            continue
        try:
            t.translate(node)
        except _READER_ERRORS as error:
            failed.add(node.name)
            text = f"{node}: {error.what if isinstance(error, RnnGraphError) else error}"
            (exits if node.op == "Exit" or chooses else problems).append(text)
    return t, problems or exits


def _hint(node: Node) -> str:
    """Return a remedy for nodes that only TensorFlow 2 writes, or that change variables; ``""`` for other nodes."""
    if node.op in _FUNCTIONAL:
        return ": it is a function of TensorFlow 2; export with tf.compat.v1.disable_control_flow_v2(), or to ONNX"
    return effects.remedy(node)


def _outputs(graph: Source, outputs: Any) -> dict[str, str]:
    """Return {name of a net's output: name of its tensor in the graph}, from the argument ``outputs``.

    Raises ``NameLookupError`` for names that do not exist.
    """
    if outputs is None:
        if graph.outputs:
            return dict(graph.outputs)
        read = {name for node in graph.nodes.values() for name in (*(ref[0] for ref in node.inputs), *node.controls)}
        ends = [node.name for node in graph.nodes.values() if node.name not in read and _may_be_output(node)]
        if not ends:
            raise ArgumentError(f"{graph.name} has no node that could be an output; name one with outputs=")
        return {name: name for name in ends}
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    outputs_by_name = {}
    for name in names:
        if not isinstance(name, str):
            raise DtypeError(f"outputs= must contain names of tensors, not {shown(name)}")
        tensor = graph.outputs.get(name, name)
        if ref_of(tensor)[0] not in graph.nodes:
            hint = did_you_mean(name, graph.nodes)
            raise NameLookupError(f"{graph.name} has no node {shown(name)}{hint}")
        outputs_by_name[name.removesuffix(":0")] = tensor
    if not outputs_by_name:
        raise ArgumentError("outputs is empty; name a tensor")
    return outputs_by_name


def _may_be_output(node: Node) -> bool:
    return node.op not in _NO_OUTPUTS and not effects.is_change(node)


def _split_fixed(graph: Source, fixed: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Split ``fixed`` into (values of placeholders by node, sizes of axes by input of the net)."""
    if not isinstance(fixed, Mapping | None):
        raise DtypeError(f"fixed must be a mapping from names of placeholders to values, not {shown(fixed)}")
    values, axes = dict[str, np.ndarray](), dict[str, Any]()
    for name, item in (fixed or {}).items():
        node = _placeholder(graph, name)
        if isinstance(item, Mapping):
            axes[_names_of(graph).get(node.name, node.name)] = item
            continue
        array = array_of(item, f"the value for {shown(name)} is no array")
        dtype = node.dtype("dtype")
        if dtype is None or array.dtype.kind not in "fiub":
            raise DtypeError(f"the value for {shown(name)} is {shown(item)}; it must have dtype {dtype}")
        values[node.name] = array.astype("float32" if dtype == "float16" else dtype)
    return values, axes


def _placeholder(graph: Source, name: Any) -> Node:
    tensor = ref_of(graph.inputs.get(name, name))[0] if isinstance(name, str) else name
    node = graph.nodes.get(tensor) if isinstance(tensor, str) else None
    if node is None or node.op not in PLACEHOLDERS:
        there = [item.name for item in graph.nodes.values() if item.op in PLACEHOLDERS]
        raise NameLookupError(f"{graph.name} has no placeholder {shown(name)}; there are {listed(there)}")
    return node


def _requested_axes(graph: Source, open: Any, model: Model) -> Any:
    """Return the argument ``open`` by names of the model's inputs, without placeholders that no output needs."""
    if not isinstance(open, Mapping):
        return open
    names, nodes = _names_of(graph), {name: _placeholder(graph, name).name for name in open}
    own = {names.get(nodes[name], nodes[name]): item for name, item in open.items()}
    return {name: item for name, item in own.items() if name in model.graph.inputs}


def _names_of(graph: Source) -> dict[str, str]:
    """Return {name of a placeholder: its name in the signature}."""
    return {ref_of(tensor)[0]: name for name, tensor in graph.inputs.items()}


def _model(t: Translation, needed_nodes: Sequence[Node], wanted: Mapping[str, str]) -> Model:
    """Return the translated graph as an ONNX model with inputs, and with outputs named as in ``wanted``.

    Raises ``ArgumentError`` if an output's name belongs to another tensor.
    """
    names = _names_of(t.source)
    for node in needed_nodes:
        if node.op in PLACEHOLDERS[:2] and node.name not in t.fixed:
            own = names.get(node.name, node.name)
            t.graph.inputs[own] = _kind(node)
            if own != node.name:
                t.names[node.name, 0] = own
                t.emit("Identity", [own], [node.name])
    for name, tensor in wanted.items():
        own = f"{name}"
        current = t.names[ref_of(tensor)]
        if current != own and own not in t.graph.makers and own not in t.graph.inputs and own not in t.graph.arrays:
            t.emit("Identity", [current], [own])
        elif current != own:
            raise ArgumentError(f"output {shown(name)} has the name of another tensor; choose other outputs=")
        t.graph.outputs.append(own)
    about = "A net that rnngraph read from a graph of TensorFlow 1.x."
    return Model(t.source.name, t.graph, {"": OPSET}, ArrayReader(t.source.name, None), about)


def _kind(node: Node) -> Kind:
    """Return a placeholder's dtype and shape. Unknown sizes are None, and so is a shape of unknown rank."""
    value = node.attributes.get("shape")
    shape = value.shape if value else None
    if shape is None or shape.unknown_rank:
        return Kind(node.dtype("dtype"), None)
    return Kind(node.dtype("dtype"), tuple(dim.size if dim.size >= 0 else None for dim in shape.dim))
