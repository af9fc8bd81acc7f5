"""reduced_weights: multiply float32 activations by weights of 16, 8 or 4 bits.

A weight is any value computed from parameters and constants alone. Each product is rewritten as casts, scales and
products of narrow numbers, which later passes treat like any other nodes: by ``narrow_products`` for bfloat16 and one
scale per column, by ``block_products`` for blocks of 4 and 8 bits. Nodes that depend on weights alone leave the loops,
and are computed when parameters change.

Law: values equal those with weights rounded to their kinds, up to rounding of activations to 16 bits of precision (to 8
unless they are ``split``). Other values keep their bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from ...ir.graph import Graph, Node, rewrite, symbols_of_node, with_body
from ...ir.scan import ScanParts
from ...ir.types import ITEM_BYTES
from ...support.records import dataclass
from .block_products import BITS, Blocks
from .narrow_products import BFloat16, Bytes, Int8, Narrowing, Weight, Widened

MAX_DEPTH = 1 << 16
"""Maximum rows of a weight. With more, a sum of products of bytes could overflow 32 bits."""

Sources = Mapping[Node, frozenset[str]]
"""Nodes computed from parameters and constants alone, with the names of these parameters."""


@dataclass(frozen=True)
class NarrowKind:
    """Form of narrow weights on one target, and the minimum size at which it pays.

    Attributes:
        form: ``bfloat16``, ``int8``, ``int8_blocks`` or ``int4``.
        dots: True if the target multiplies narrow numbers, False if weights are widened as they are read.
        split: True if activations keep 16 bits, in two bytes, or 32 bits if weights are widened. False if activations
            are rounded to bfloat16 or 8 bits.
        bytes: Dtype of 8-bit activations in products with int8 weights, ``uint8`` or ``int8``; empty if there are none.
            With weights in blocks, ``uint8`` is the dtype of 8-bit weights instead.
        min_depth: Minimum rows of a weight. With fewer, quantizing a row of activations costs what the product saves.
        min_weights: Minimum elements of a weight.
    """

    form: str
    dots: bool
    split: bool = True
    bytes: str = ""
    min_depth: int = 32
    min_weights: int = 4096

    def narrowing(self) -> Narrowing:
        """Return a new rewriter of one graph's products to this form, such as int8 weights and 8-bit activations."""
        if self.form in BITS:
            return Blocks(self.form, self.bytes == "uint8")
        if self.bytes:
            return Bytes(self.bytes)
        if not self.dots:
            return Widened(self.form, self.split)
        return Int8() if self.form == "int8" else BFloat16()

    def objection(self, product: Node) -> str:
        """Return the reason why types or shapes keep a product's weight float32; empty if its weight can be narrow."""
        left, right = product.operands[:2]
        for item in (left, right):
            if item.dtype != "float32":
                return f"it multiplies {item.dtype}"
        if right.tensor.rank != 2:
            return f"it has {right.tensor.rank} axes, and {self.form} needs a matrix"
        depth, columns = right.shape[0], Weight.of(right).source.shape[1]
        if not isinstance(depth, int) or not isinstance(columns, int):
            return "its size is symbolic"
        if depth > MAX_DEPTH:
            return f"{depth:,} rows are more than {MAX_DEPTH:,}"
        if depth < self.min_depth:
            return f"{depth:,} rows are fewer than the {self.min_depth:,} from which {self.form} pays"
        if depth * columns < self.min_weights:
            return f"{depth * columns:,} elements are fewer than the {self.min_weights:,} from which {self.form} pays"
        return ""


@dataclass(frozen=True)
class WeightUse:
    """Use of a weight in one product.

    Attributes:
        parameters: Names of the parameters from which the weight is computed.
        kind: Form in which the product reads the weight: ``float32``, or the form of a ``NarrowKind``.
        objection: Reason why the weight stays float32 although a narrow kind was requested; else empty.
    """

    parameters: frozenset[str]
    kind: str
    objection: str = ""


@dataclass(frozen=True)
class ReducedWeights:
    """Multiply float32 activations by weights of 16, 8 or 4 bits.

    Law: values equal those with weights rounded to their kinds, up to rounding of activations to 16 bits
    of precision (to 8 unless they are ``split``).

    Attributes:
        kind: Narrow kind of all parameters that are not in ``named``; None leaves them float32.
        named: Kinds of single parameters, by name. A weight of several parameters has the widest of their kinds.
    """

    kind: NarrowKind | None
    named: tuple[tuple[str, NarrowKind | None], ...] = ()
    name: str = "reduced_weights"

    def __call__(self, graph: Graph) -> Graph:
        return self._reduce_graph(graph, parameters_of(graph))

    def uses(self, graph: Graph) -> Iterator[WeightUse]:
        """Yield the use of a weight in each product with activations, in the order of the graph."""
        yield from self._uses(graph, parameters_of(graph))

    def _reduce_graph(self, graph: Graph, fixed: Sources) -> Graph:
        """Rewrite a graph. ``fixed`` are inputs that are parameters, or computed from parameters alone."""
        weights = sources_of(graph, fixed)
        narrowings: dict[NarrowKind, Narrowing] = {}

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node.op == "scan":
                return self._scan(node, operands, weights)
            kind = self._requested_kind(node, weights)
            if kind is None or kind.objection(node):
                return None
            left, right, *start = operands
            narrowing = narrowings.setdefault(kind, kind.narrowing())
            return narrowing.product(left, right, start[0] if start else None, node)

        return rewrite(graph, rule)

    def _requested_kind(self, node: Node, weights: Sources) -> NarrowKind | None:
        """Return the kind requested for a product of activations and a weight: the widest of the weight's parameters.

        Return None if one of these parameters stays float32, and for other nodes.
        """
        if not _multiplies_weight(node, weights):
            return None
        kinds = [*self._kinds(node, weights).values()] or [self.kind]
        known = [kind for kind in kinds if kind is not None]
        return max(known, key=_width) if len(known) == len(kinds) else None

    def _kinds(self, product: Node, weights: Sources) -> dict[str, NarrowKind | None]:
        """Return the kinds of the parameters from which a product's weight is computed."""
        named = dict(self.named)
        return {name: named.get(name, self.kind) for name in sorted(_names(product, weights))}

    def _uses(self, graph: Graph, fixed: Sources) -> Iterator[WeightUse]:
        """Yield the uses of weights in a graph whose ``fixed`` inputs depend on parameters alone."""
        weights = sources_of(graph, fixed)
        for node in graph.nodes:
            if node.op == "scan":
                yield from self._uses(node["body"], inside_scan(node, weights))
            elif _multiplies_weight(node, weights):
                kind = self._requested_kind(node, weights)
                objection = self._objection_of_others(node, weights) if kind is None else kind.objection(node)
                form = "float32" if kind is None or objection else kind.form
                yield WeightUse(_names(node, weights), form, objection)

    def _objection_of_others(self, product: Node, weights: Sources) -> str:
        """Return the reason why a weight of several parameters stays float32, although not all were requested so.

        The weight stays float32 if one of its parameters does. If none or all do, the reason is empty.
        """
        kinds = self._kinds(product, weights)
        wide = [name for name, kind in kinds.items() if kind is None]
        return f"it forms one weight with {', '.join(wide)}, kept float32" if 0 < len(wide) < len(kinds) else ""

    def _scan(self, node: Node, operands: tuple[Node, ...], weights: Sources) -> Node | None:
        changed = self._reduce_graph(node["body"], inside_scan(node, weights))
        return None if changed is node["body"] else with_body(node, operands, changed)


def _width(kind: NarrowKind) -> tuple[int, int]:
    """Return a sort key: the number of bits, then the minimum number of elements of a weight."""
    return BITS[kind.form] if kind.form in BITS else 8 * ITEM_BYTES[kind.form], kind.min_weights


def _multiplies_weight(node: Node, weights: Sources) -> bool:
    """True for a product of activations and a weight."""
    return node.op == "matmul" and node.operands[0] not in weights and node.operands[1] in weights


def _names(product: Node, weights: Sources) -> frozenset[str]:
    """Return the names of the parameters from which a product's weight is computed."""
    right = product.operands[1]
    return weights[Weight.of(right).source if right.tensor.rank == 2 else right]


def inside_scan(scan: Node, weights: Sources) -> Sources:
    """Return the inputs of a scan's body that depend on parameters and constants alone."""
    return {inside: weights[outside] for inside, outside in ScanParts.of(scan).invariants if outside in weights}


def parameters_of(graph: Graph) -> Sources:
    """Return the inputs of a graph that are parameters, with their names."""
    return {node: frozenset((str(node["label"]),)) for node in graph.inputs if node.op == "parameter"}


def sources_of(graph: Graph, fixed: Sources) -> Sources:
    """Return the nodes that depend on ``fixed`` inputs and constants alone, with their parameters.

    Nodes that depend on a symbolic size are not included.
    """
    known = dict(fixed)
    for node in graph.nodes:
        if node.op in ("input", "parameter", "scan", "get") or any(symbols_of_node(node)):
            continue
        if all(item in known for item in node.operands):
            known[node] = frozenset().union(*(known[item] for item in node.operands))
    return known


def fixed_nodes(graph: Graph, fixed: Set[Node]) -> set[Node]:
    """Return the nodes that depend on ``fixed`` inputs and constants alone, and on no symbolic size."""
    return {*sources_of(graph, dict.fromkeys(fixed, frozenset()))}
