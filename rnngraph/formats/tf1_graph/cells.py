"""Expands TensorFlow's fused cells and fused LSTM layers to the nodes of their equations."""

from __future__ import annotations

from collections.abc import Sequence

from ..onnx.core.model import Graph, Kind
from ..onnx.core.model import Node as OnnxNode
from .order import Frame
from .source import Node
from .translation import Translation, translates

GATES = ("i", "cs", "f", "o", "ci", "co", "h")
"""Outputs of a fused LSTM, in the order of TensorFlow's op. ``cs`` is the next c, and ``co`` is tanh of it."""


@translates("LSTMBlockCell")
def _lstm_cell(t: Translation, node: Node) -> list[str | None]:
    x, c, h, *weights = (t.input(node, place) for place in range(8))
    outputs = _lstm(t, node, x, c, h, weights)
    return [outputs[name] for name in GATES]


@translates("BlockLSTM")
def _lstm_steps(t: Translation, node: Node) -> list[str | None]:
    """Translate a fused LSTM layer to a Loop node. Its outputs ``GATES`` are [time, batch, units].

    The input ``seq_len_max``, the length of the longest row, is ignored: other nodes of the graph set the outputs after
    a row's end to 0.
    """
    _, x, c, h, *weights = (t.input(node, place) for place in range(9))
    frame = Frame(node.name, parent=t.home([x, c, h, *weights]), is_placed=True)
    number, holds = f"{node.name}/step~", f"{node.name}/holds~"
    before = f"{node.name}/c~", f"{node.name}/h~"
    t.homes |= dict.fromkeys((number, holds, *before), frame)
    step = _lstm(t, node, t.emit("Gather", [x, number], axis=0), before[0], before[1], weights)
    emitted = [step[name] for name in GATES]
    body = Graph(t.lists.get(frame, []), outputs=[holds, step["cs"], step["h"], *emitted])
    body.inputs = {number: Kind("int64", ()), holds: Kind("bool", ())} | {name: Kind(None, None) for name in before}
    body.makers = {name: item for item in body.nodes for name in item.outputs}
    count = t.emit("Gather", [t.emit("Shape", [x]), t.constant(0, "int64")], axis=0)
    names = [f"{node.name}/{name}" for name in GATES]
    outputs = (f"{node.name}/c/final~", f"{node.name}/h/final~", *names)
    t.write(OnnxNode("Loop", "", node.name, (count, "", c, h), outputs, {"body": body}), frame.parent)
    return [*names]


def _lstm(t: Translation, node: Node, x: str, c: str, h: str, weights: Sequence[str]) -> dict[str, str]:
    """Translate one step of an LSTM. Return {output in ``GATES``: name of its ONNX value}."""
    kernel, wci, wcf, wco, bias = weights
    dtype = node.dtype("T") or "float32"
    both = t.emit("Concat", [x, h], axis=-1)
    sums = t.emit("Add", [t.emit("MatMul", [both, kernel]), bias])
    i, j, f, o = (f"{sums}/{gate}" for gate in "ijfo")
    t.emit("Split", [sums], [i, j, f, o], axis=-1)
    f = t.emit("Add", [f, t.constant(node.number("forget_bias", 1.0), dtype)])
    if node.flag("use_peephole"):
        i, f = (t.emit("Add", [gate, t.emit("Mul", [c, own])]) for gate, own in ((i, wci), (f, wcf)))
    i, j, f = t.emit("Sigmoid", [i]), t.emit("Tanh", [j]), t.emit("Sigmoid", [f])
    cs = t.emit("Add", [t.emit("Mul", [j, i]), t.emit("Mul", [c, f])])
    limit = node.number("cell_clip", 3.0)
    if limit > 0:
        cs = t.emit("Clip", [cs, t.constant(-limit, dtype), t.constant(limit, dtype)])
    if node.flag("use_peephole"):
        o = t.emit("Add", [o, t.emit("Mul", [cs, wco])])
    o, co = t.emit("Sigmoid", [o]), t.emit("Tanh", [cs])
    return {"i": i, "cs": cs, "f": f, "o": o, "ci": j, "co": co, "h": t.emit("Mul", [co, o])}


@translates("GRUBlockCell")
def _gru_cell(t: Translation, node: Node) -> list[str | None]:
    x, h, w_ru, w_c, b_ru, b_c = (t.input(node, place) for place in range(6))
    sums = t.emit("Sigmoid", [t.emit("Add", [t.emit("MatMul", [t.emit("Concat", [x, h], axis=-1), w_ru]), b_ru])])
    r, u = f"{sums}/r", f"{sums}/u"
    t.emit("Split", [sums], [r, u], axis=-1)
    both = t.emit("Concat", [x, t.emit("Mul", [h, r])], axis=-1)
    c = t.emit("Tanh", [t.emit("Add", [t.emit("MatMul", [both, w_c]), b_c])])
    one = t.constant(1, node.dtype("T") or "float32")
    rest = t.emit("Mul", [t.emit("Sub", [one, u]), c])
    return [r, u, c, t.emit("Add", [t.emit("Mul", [h, u]), rest])]
