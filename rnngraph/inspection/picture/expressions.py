"""Writes nodes as equations, as by hand: ``h′ = tanh([x, h] @ kernel + bias)``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...ir.node import Node
from ...ir.printer import is_literal
from ...ir.scan import ScanParts
from ...ir.types import dim_text
from .extremes import MAX_INT64, extreme_of, inside_extremes
from .node_texts import adds_or_drops_ones, dropped_axes, index_at, steps_text

WIDEST = 56
"""Maximum characters of an equation's right side; parts of longer ones have their own lines."""

MAX_NAMES = 6
"""Maximum operands that are named; others are counted."""

_INFIX = {
    "add": ("+", 1),
    "sub": ("−", 1),
    "mul": ("·", 2),
    "div": ("/", 2),
    "matmul": ("@", 3),
    "less": ("<", 0),
    "less_equal": ("≤", 0),
    "equal": ("=", 0),
    "not_equal": ("≠", 0),
    "and": ("and", 0),
    "or": ("or", 0),
}
_NEUTRAL = {"add": "0", "sub": "0", "mul": "1", "div": "1"}
"""Operands that equations omit, as they change no value."""

_WHOLE = 9
"""Precedence of expressions that never need brackets."""

_AS_IT_IS = frozenset(("broadcast", "cast", "ensure_shape", "get", "stop_gradient"))
"""Ops that equations omit, as they change only the form of a value."""


@dataclass(frozen=True)
class Equation:
    """Texts of a node in the training and in the inference graph; "" if a graph lacks the node.

    ``reads`` are the nodes that the texts name.
    """

    node: Node
    name: str
    training: str
    inference: str
    reads: tuple[Node, ...] = ()

    @property
    def is_dropout(self) -> bool:
        return self.node.op == "dropout"


def in_inference(node: Node) -> Node:
    """Return the node that replaces ``node`` in the inference graph, as by the pass ``split``."""
    while (other := _passed(node)) is not node:
        node = other
    return node


def _passed(node: Node) -> Node:
    if node.op in ("by_graph", "straight_through") or (node.op == "select" and node.get("guards")):
        return node.operands[1]
    return node.operands[0] if node.op in ("dropout", "with_update") else node


def in_training(node: Node) -> Node:
    """Return the node that replaces ``node`` in the training graph, in which dropout is drawn as declared."""
    while node.op in ("by_graph", "straight_through", "with_update"):
        node = node.operands[1 if node.op == "straight_through" else 0]
    return node


def passing(node: Node) -> Node:
    """Return the node that replaces ``node`` in the inference graph. Dropout, although it is removed there, is kept."""
    while node.op != "dropout" and (other := _passed(node)) is not node:
        node = other
    return node


def read_by(node: Node, stands_for: Callable[[Node], Node] = in_training) -> Sequence[Node]:
    """Return the operands of a node to which a picture draws arrows; of a scan, only those that its step reads.

    For dropout, these are the value and a computed keep_prob.
    """
    if node.op == "dropout":
        return [operand for operand in node.operands[:2] if not is_literal(operand)]
    return _read_by_steps(node, stands_for) if node.op == "scan" else node.operands


@lru_cache(maxsize=64)
def _read_by_steps(scan: Node, stands_for: Callable[[Node], Node]) -> Sequence[Node]:
    """Return the operands of a scan that its steps read: initial states, sequences and invariants."""
    parts = ScanParts.of(scan)
    param = {*parts.inputs}
    roots = [carry.next for carry in parts.carries] + [node for _, node in parts.emits]
    used = needed(roots, stands_for, param)
    read = [carry.initial for carry in parts.carries]
    return [*read, *(item.outside for item in (*parts.sequences, *parts.invariants) if item.inside in used)]


def needed(roots: Iterable[Node], stands_for: Callable[[Node], Node], known: Collection[Node] = ()) -> set[Node]:
    """Return the nodes on which ``roots`` depend in the graph that ``stands_for`` selects, up to the nodes ``known``.

    ``stands_for`` is as in ``in_training``.
    """
    nodes: set[Node] = set()
    pending = [stands_for(root) for root in roots]
    while pending:
        node = pending.pop()
        if node in nodes:
            continue
        nodes.add(node)
        if node not in known:
            pending += [stands_for(operand) for operand in read_by(node, stands_for)]
    return nodes


def equations(
    nodes: Sequence[Node],
    roots: Collection[Node],
    names: Mapping[Node, str],
    part_of: Callable[[Node], object],
    training: Collection[Node],
    inference: Collection[Node],
) -> list[Equation]:
    """Return the equations of a picture's box for ``nodes``; values with one reader are written within its equation.

    Args:
        roots: Nodes that others read.
        part_of: Part of a node; an equation is within one part.
        training, inference: Nodes of each graph.
    """
    own, users = set(roots), dict[Node, list[Node]]()
    hidden = inside_extremes(nodes, roots)
    nodes = [node for node in nodes if node not in hidden]
    inside = set(nodes)
    for node in nodes:
        for operand in _read(node):
            users.setdefault(in_training(operand), []).append(node)
    for node in nodes:
        read = users.get(node, [])
        # in inference, a training-only node passes this value on, so the value needs a name
        is_handed_on = any(_passed(user) is not user for user in read)
        if len(read) != 1 or node.op == "dropout" or node.name or part_of(read[0]) != part_of(node) or is_handed_on:
            own.add(node)
    count = 0
    while count != len(own):  # repeat, because a part that is too wide in one graph gets its own line in both
        count = len(own)
        texts = _texts(nodes, inside, own, names, in_training)
        plain = _texts(nodes, inside, own, names, in_inference)
    return [
        Equation(
            node,
            names.get(node, node.op),
            texts[node] if node in training else "",
            plain[node] if node in inference and node.op != "dropout" else "",
            _read_through(node, inside, own),
        )
        for node in nodes
        if node in own and (node in training or node in inference) and not _is_hidden(node)
    ]


def _read_through(node: Node, inside: Collection[Node], own: Collection[Node]) -> tuple[Node, ...]:
    """Return the nodes that appear by name in a node's equation."""
    reads: dict[Node, None] = {}
    pending = [*_read(node)]
    while pending:
        operand = in_training(pending.pop())
        if operand in inside and operand not in own:
            pending += _read(operand)
        else:
            reads[operand] = None
    return tuple(reads)


def _read(node: Node) -> Sequence[Node]:
    """Return the operands that a node's equation mentions, as for ``argmax`` only the array."""
    extreme = extreme_of(node)
    return read_by(node) if extreme is None else (extreme.operand,)


def _is_hidden(node: Node) -> bool:
    return node.op in ("get", "input", "parameter", "by_graph", "with_update", "iota", "dimension") or is_literal(node)


def _texts(
    nodes: Sequence[Node],
    inside: Collection[Node],
    own: set[Node],
    names: Mapping[Node, str],
    stands_for: Callable[[Node], Node],
) -> dict[Node, str]:
    """Return the right side of every node's equation. Add operands that would make it too wide to ``own``."""
    texts: dict[Node, tuple[str, int]] = {}

    def operand_of(node: Node) -> tuple[str, int]:
        node = stands_for(node)
        if is_literal(node):
            return _literal_text(node), _WHOLE
        if node.op == "broadcast" and is_literal(node.operands[0]) and node not in own:
            return _literal_text(node.operands[0]), _WHOLE
        if node.op == "iota":
            return steps_text(node["size"]), _WHOLE
        if node in inside and node not in own:
            return texts[node]
        return names.get(node, node.op), _WHOLE

    def write(node: Node) -> tuple[str, int]:
        if extreme := extreme_of(node):
            return f"{extreme.name}({operand_of(extreme.operand)[0]}, axis {node['axes'][0]})", _WHOLE
        part = node.operands[0] if node.operands else node
        if dropped := dropped_axes(node) if part in inside and part not in own else []:
            bounds = [index_at(part, axis) if axis in dropped else text for axis, text in enumerate(_bounds(part))]
            return f"{_bracketed(operand_of(part.operands[0]), _WHOLE)}[{', '.join(_short(bounds))}]", _WHOLE
        return _text(node, [operand_of(operand) for operand in node.operands])

    for node in nodes:
        written = write(node)
        inlined = [stands_for(operand) for operand in (_read(node) if extreme_of(node) else node.operands)]
        inlined = [item for item in inlined if item in inside and item not in own and not is_literal(item)]
        for longest in sorted(inlined, key=lambda item: -len(texts[item][0])):
            if len(written[0]) <= WIDEST:
                break
            if len(texts[longest][0]) > len(names.get(longest, longest.op)):
                own.add(longest)
                written = write(node)
        texts[node] = written
    return {node: text for node, (text, _) in texts.items()}


def _text(node: Node, operands: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Return (expression, operator precedence) of a node, from those of its operands."""
    plain = [text for text, _ in operands]
    if node.op in _INFIX and len(operands) == 2:
        sign, binds = _INFIX[node.op]
        left, right = operands
        neutral = _NEUTRAL.get(node.op)
        if right[0] == neutral:
            return left
        if left[0] == neutral and node.op in ("add", "mul"):
            return right
        # chains on the right keep brackets, as floating-point sums are not associative
        return f"{_bracketed(left, binds)} {sign} {_bracketed(right, binds + 1)}", binds
    if (node.op in _AS_IT_IS and operands) or (node.op == "reshape" and adds_or_drops_ones(node)):
        return operands[0]
    if node.op == "neg":
        return f"−{_bracketed(operands[0], 2)}", 2
    if node.op == "concat":
        return f"[{', '.join(_abbreviated(plain))}]", _WHOLE
    if node.op == "select":
        return f"where({', '.join(plain)})", _WHOLE
    if node.op == "slice":
        return f"{_bracketed(operands[0], _WHOLE)}[{', '.join(_short(_bounds(node)))}]", _WHOLE
    if node.op == "dropout":
        return f"dropout({plain[0]}, keep {plain[1]})", _WHOLE
    if node.op == "constant":
        return f"constant {node.type}", _WHOLE
    axes = node.get("axes")
    more = [f"axis {', '.join(map(str, axes))}"] if isinstance(axes, tuple) else []
    return f"{node.op}({', '.join([*_abbreviated(plain), *more])})", _WHOLE


def _abbreviated(texts: Sequence[str]) -> list[str]:
    left_out = len(texts) - MAX_NAMES
    return [*texts[:MAX_NAMES], f"{left_out} more"] if left_out > 1 else [*texts]


def _bracketed(operand: tuple[str, int], binds: int) -> str:
    text, own = operand
    return f"({text})" if own < binds else text


def _bounds(node: Node) -> list[str]:
    """Return a slice's bounds ``start:stop`` as texts, by axis; ``:`` for whole axes."""
    bounds: list[str] = []
    for start, stop, step, size in zip(node["start"], node["stop"], node["step"], node.operands[0].shape, strict=True):
        first = "" if start == 0 else dim_text(start)
        last = "" if stop == size else dim_text(stop)
        bounds.append(f"{first}:{last}" + (f":{step}" if step != 1 else ""))
    return bounds


def _short(bounds: list[str]) -> list[str]:
    """Return the bounds of an index without ``:`` at the end."""
    while len(bounds) > 1 and bounds[-1] == ":":
        bounds.pop()
    return bounds


def _literal_text(node: Node) -> str:
    """Return a literal constant as text. The bounds of int64, which ops use for infinite integers, become ±∞."""
    value = node["value"].item()
    if isinstance(value, int) and abs(value) >= MAX_INT64:
        return "∞" if value > 0 else "−∞"
    return f"{value:g}" if isinstance(value, float) or abs(value) > 10**9 else str(value)
