"""Verifier of graphs, which runs after every pass. For graphs from files, it checks further rules."""

from __future__ import annotations

from ..support.errors import VerifyError
from .attributes import kind
from .graph import Graph, Node
from .ops import OPS
from .types import KEEP_NARROW, NARROW, TensorType, TupleType, unify_strict

INFERENCE_FORBIDS = tuple(name for name, op in OPS.items() if op.random)
CREATED_BY_PASSES = ("block_matmul",)
"""Ops that are not in stored graphs, because only passes create them while a program is compiled."""
DECLARED_ONLY = tuple(name for name, op in OPS.items() if op.until == "lower")
"""Ops that ``lower`` replaces."""


def verify(graph: Graph, after: str = "", forbid: tuple[str, ...] = (), known: set[Node] | None = None) -> Graph:
    """Return ``graph``. Raise ``VerifyError`` unless it obeys the rules of the IR.

    Args:
        graph: Graph to check.
        after: Name of the pass that built the graph, for the error message.
        forbid: Ops that must not occur in the graph or in bodies of scans, such as random ops in the inference graph.
        known: Nodes that were already verified with the same ``forbid``. The nodes of ``graph`` are added to the set.

    Returns:
        ``graph`` itself.

    Raises:
        VerifyError: A rule is broken. The message names the rule and the pass.
    """
    try:
        _verify(graph, forbid, set() if known is None else known)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise VerifyError(f"after {after or 'construction'}: {error}\n{_text(graph)}") from error
    return graph


def verify_stored(graph: Graph) -> Graph:
    """Return a graph from an untrusted file. Raise ``ValueError`` unless it obeys all rules of the IR and of files.

    These are the rules of all graphs, and further rules: Every attribute must be in the op's row and have a valid
    value. Types must be within the size limits, and labels of inputs must be unique.

    Returns:
        ``graph`` itself.

    Raises:
        ValueError: A rule is broken.
    """
    try:
        _verify(graph, (), set())
        for node in graph.walk():
            _attributes(node)
            _rounding(node)
        if narrow := next((node for _, node in graph.outputs if node.dtype in NARROW), None):
            raise ValueError(f"an output has the narrow dtype {narrow.dtype}; cast it to float32")
        _labels(graph)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise ValueError(f"{error}") from error
    return graph


def _attributes(node: Node) -> None:
    """Raise ``ValueError`` if a node of a stored graph has an op, an attribute or a type that is not allowed."""
    row, attributes = OPS[node.op], dict(node.attributes)
    missing = row.attributes.keys() - row.optional - attributes.keys()
    if missing or (unknown := attributes.keys() - row.attributes.keys()):
        what = f"lacks {', '.join(sorted(missing))}" if missing else f"has no attribute {', '.join(sorted(unknown))}"
        raise ValueError(f"{node.op} {node.name} {what}")
    if node.op in DECLARED_ONLY:
        raise ValueError(f"{node.op} {node.name} is allowed only in declarations")
    if node.op in CREATED_BY_PASSES:
        raise ValueError(f"{node.op} {node.name} may be created only by passes")
    if attributes.get("rounded"):
        raise ValueError(f"{node.op} {node.name} has rounded=True, which only passes may set")
    if node.op == "dropout":
        _dropout(node)
    for name, value in attributes.items():
        if not row.attributes[name](value, node):
            raise ValueError(f"{node.op} {node.name} can't have {name}={value!r}")
    items = node.type.items if isinstance(node.type, TupleType) else (node.type,)
    if not all(kind(item, node) for item in items):
        raise ValueError(f"{node.op} {node.name} has type {node.type}, which exceeds the size limits")
    if not node.name.isprintable() or (node.where is not None and not node.where.file.isprintable()):
        raise ValueError(f"{node.op} {node.name!r} has a name, or a file, with unprintable characters")


def _rounding(node: Node) -> None:
    """Raise ``ValueError`` unless values of narrow dtypes are only moved, or read through casts to float32."""
    narrow = next((item for item in node.operands if isinstance(item.type, TensorType) and item.dtype in NARROW), None)
    if narrow and node.op not in KEEP_NARROW and (node.op != "cast" or node.dtype != "float32"):
        raise ValueError(f"{node.op} {node.name} reads a {narrow.dtype}; it must be cast to float32 first")


def _dropout(node: Node) -> None:
    """Raise ``ValueError`` if a dropout has too few operands, or an invalid probability."""
    if len(node.operands) < OPS["dropout"].arity[1]:
        raise ValueError(f"dropout {node.name} has no seed, step and row")
    keep = node.operands[1]
    if keep.op == "constant" and not 0 < keep["value"] <= 1:
        raise ValueError(f"dropout {node.name} has keep_prob {keep['value']}; it must be in (0, 1]")


def _labels(graph: Graph) -> None:
    """Raise ``ValueError`` if two inputs or two parameters have the same label."""
    seen: set[tuple[str, str]] = set()
    for node in graph.inputs:
        if (node.op, node["label"]) in seen:
            raise ValueError(f"two nodes of op {node.op} have the label {node['label']!r}")
        seen.add((node.op, node["label"]))


def _text(graph: Graph) -> str:
    """Return the printed form of a graph that may break rules."""
    try:
        return str(graph)
    except Exception:  # the printer may depend on the broken rule
        return f"graph {graph.name}, which can't be printed"


def _verify(graph: Graph, forbid: tuple[str, ...], known: set[Node]) -> None:
    """Raise ``ValueError`` if a graph, or a node that is not ``known``, breaks a rule. Add the nodes to ``known``."""
    seen: set[Node] = set()
    inputs = set(graph.inputs)
    for node in graph.nodes:
        if node.op in ("input", "parameter") and node not in inputs:
            raise ValueError(f"{node!r} is read, but not among the inputs")
        for operand in node.operands:
            if operand not in seen:
                raise ValueError(f"{node!r} uses {operand!r}, which is not computed before it")
        if node not in known:
            _node(node, forbid, known)
            known.add(node)
        seen.add(node)
    for name, node in graph.outputs:
        if node not in seen:
            raise ValueError(f"output {name} is not a node of the graph")
        if isinstance(node.type, TupleType):
            raise ValueError(f"output {name} is a tuple")
    for node in graph.inputs:
        if node not in seen or node.op not in ("input", "parameter"):
            raise ValueError(f"{node!r} is listed as an input, but is neither an input nor a parameter")


def _node(node: Node, forbid: tuple[str, ...], known: set[Node]) -> None:
    """Raise ``ValueError`` if a node, or a node of a scan's body that is not ``known``, breaks a rule."""
    row = OPS.get(node.op)
    if row is None:
        raise ValueError(f"{node.op} is not an op of the table")
    if node.op in forbid:
        raise ValueError(f"{node.op} is forbidden in this graph (declared at {node.where})")
    if not row.arity[0] <= len(node.operands) <= row.arity[1]:
        raise ValueError(f"{node.op} has {len(node.operands)} operands; it takes {row.arity[0]} to {row.arity[1]}")
    if not node.is_inferred:
        inferred = row.infer([operand.type for operand in node.operands], dict(node.attributes), unify_strict)
        if inferred != node.type:
            raise ValueError(f"{node!r} should have type {inferred}")
    if node.op == "with_update" and node.operands[1].op != "parameter":
        raise ValueError(f"{node!r} updates {node.operands[1]!r}, which is not a parameter")
    if node.op == "scan":
        body: Graph = node["body"]
        if any(inner.op == "parameter" for inner in body.nodes):
            raise ValueError("a scan's body reads a parameter that is not among its inputs")
        _verify(body, forbid, known)
