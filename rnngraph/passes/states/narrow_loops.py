"""narrow_loops: store values of loops in the narrow dtype to which their steps round them.

A state that each step rounds to bfloat16 and widens again is carried in 16 bits, and widened when a step reads it.
Sequences that a loop reads or returns are stored in 16 bits, too, if they were rounded.

Law: values are unchanged, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...ir.graph import Graph, Node, make, remake, rewrite
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.types import NARROW, TupleType
from ...support.records import dataclass


@dataclass(frozen=True)
class NarrowLoops:
    """Store values of loops in the narrow dtype to which their steps round them.

    Law: values are unchanged, bit for bit.
    """

    name: str = "narrow_loops"

    def __call__(self, graph: Graph) -> Graph:
        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                return _narrow_scan(remake(node, operands))
            if node.op == "get" and operands != node.operands:
                return _widen_result(node, operands[0])
            return None

        return rewrite(graph, rule)


def _narrow_scan(scan: Node) -> Node:
    """Return the scan with narrow carries, emits and sequences where steps allow it."""
    parts, body = ScanParts.of(scan), scan["body"]
    inner = NarrowLoops()(body)
    if inner is not body:
        parts = ScanParts.of(scan, body=inner)
    narrow = _narrow_carries(parts)
    read = {item.inside: source for item in parts.sequences if (source := _source(item.outside))}
    if not narrow and not read and not any(_source(value) for _, value in parts.emits):
        return parts.build(scan.where, scan.name) if inner is not body else scan
    narrow |= {param: source.dtype for param, source in read.items()}
    stored = {param: _with_dtype(param, dtype) for param, dtype in narrow.items()}
    new = {param: make("cast", item, where=param.where, dtype=param.dtype) for param, item in stored.items()}
    for node in inner.nodes:
        if node not in new:
            new[node] = remake(node, [new[item] for item in node.operands])
    carries = [
        Carry(
            stored[item.inside],
            _narrow(item.initial, narrow[item.inside]),
            item.name,
            _narrow(new[item.next], narrow[item.inside]),
        )
        if item.inside in narrow
        else item._replace(next=new[item.next])
        for item in parts.carries
    ]
    sequences = [
        Binding(stored[item.inside], read[item.inside]) if item.inside in read else item for item in parts.sequences
    ]
    emits = [(name, _source(new[value]) or new[value]) for name, value in parts.emits]
    parts = replace(parts, carries=carries, sequences=sequences, emits=emits)
    return parts.build(scan.where, scan.name)


def _narrow_carries(parts: ScanParts) -> dict[Node, str]:
    """Return {input of a carry: narrow dtype}, for carries whose initial and next values are exact in that dtype."""
    candidates = {carry.inside: dtype for carry in parts.carries if (dtype := _rounded_to(carry.next))}
    while True:
        exact = {
            carry.inside: dtype
            for carry in parts.carries
            if (dtype := candidates.get(carry.inside))
            and _is_exact(carry.next, dtype, candidates)
            and _is_exact(carry.initial, dtype, {})
        }
        if len(exact) == len(candidates):
            return exact
        candidates = exact


def _rounded_to(node: Node) -> str | None:
    """Return the narrow dtype to which a value is rounded, perhaps in one branch of a select; None if there is none."""
    pending, visited = [node], set[Node]()
    while pending:
        item = pending.pop()
        if source := _source(item):
            return source.dtype
        if item.op == "select" and item not in visited:
            visited.add(item)
            pending += item.operands[1:]
    return None


def _is_exact(node: Node, dtype: str, carried: Mapping[Node, str]) -> bool:
    """True if a value is known to be exact in a narrow dtype: 0, or rounded to the dtype before it was widened.

    ``carried`` has the narrow dtypes of carries.
    """
    pending, visited = [node], set[Node]()
    while pending:
        item = pending.pop()
        if item in visited:
            continue
        visited.add(item)
        source = _source(item)
        if carried.get(item) == dtype or (source is not None and source.dtype == dtype):
            continue
        if item.op == "constant" and not item["value"].any():
            continue
        if item.op not in ("transpose", "reshape", "broadcast", "slice", "select"):
            return False
        pending += item.operands[1:] if item.op == "select" else item.operands[:1]
    return True


def _source(node: Node) -> Node | None:
    """Return the narrow value that a cast widens; None for other nodes."""
    is_wide = node.op == "cast" and node.operands[0].dtype in NARROW
    return node.operands[0] if is_wide else None


def _narrow(node: Node, dtype: str) -> Node:
    """Return a value in a narrow dtype. A select becomes a select of narrow values."""
    if source := _source(node):
        return source
    if node.op == "select":
        yes, no = (_narrow(item, dtype) for item in node.operands[1:])
        return make("select", node.operands[0], yes, no, where=node.where, name=node.name, **dict(node.attributes))
    return make("cast", node, where=node.where, name=node.name, dtype=dtype)


def _with_dtype(param: Node, dtype: str) -> Node:
    """Return an input of a loop's body in another dtype."""
    kind = replace(param.tensor, dtype=dtype)
    return make("input", where=param.where, name=param.name, label=param["label"], type=kind)


def _widen_result(get: Node, scan: Node) -> Node:
    """Return a result of a narrowed scan in the dtype of the old result ``get``."""
    assert isinstance(scan.type, TupleType)
    result = make("get", scan, where=get.where, name=get.name, index=get["index"])
    return (
        result if result.dtype == get.dtype else make("cast", result, where=get.where, name=get.name, dtype=get.dtype)
    )
