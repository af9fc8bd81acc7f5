"""Splits scans of several layers, so that each recurrent layer of ONNX is a scan of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .....ir.graph import Graph, Node, make, remake, rewrite
from .....ir.types import TupleType
from .....passes.fission import Fission
from .....passes.split_concats import SplitConcats
from .cells import layer_of, quiet_lengths
from .constants import Constants
from .delays import swapped, without_loop
from .layer import RecurrentLayer
from .patterns import is_filled

Change = Callable[[Graph], Graph]


def separated(graph: Graph, parameters: Mapping[str, np.ndarray]) -> tuple[Graph, dict[Node, RecurrentLayer]]:
    """Return (graph with its recurrent layers as separate scans, the layers by their scans).

    Scans that contain no recurrent layer of ONNX do not change.
    """
    separation = _Separation(Constants(parameters))
    return rewrite(graph, separation.rule), separation.layers


class _Separation:
    """Rule that rewrites the scans of a graph, with the layers that it has recognised."""

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self.layers: dict[Node, RecurrentLayer] = {}
        self._results: dict[Node, Sequence[Node]] = {}
        """Replacements for the results of a scan that was split, by the scan."""

    def rule(self, node: Node, operands: tuple[Node, ...]) -> Node | None:
        """Return the replacement for a scan that can be split, or for a node that reads its results; else None."""
        if node.op == "scan":
            scan = remake(node, operands)
            results = self._layer_by_layer(scan)
            if results is not None:
                self._results[scan] = results
            return scan
        if node.op == "get" and operands[0] in self._results:
            return self._results[operands[0]][node["index"]]
        if node.op == "transpose" and node["order"] == (1, 0, 2) and operands[0].op == "transpose":
            return swapped(operands[0], node.where) if operands[0]["order"] == (1, 0, 2) else None
        return self._known_zeros(node, operands)

    def _layer_by_layer(self, scan: Node) -> Sequence[Node] | None:
        """Split a scan of several layers. Return replacements for its results; None if no part is a layer of ONNX."""
        if scan.get("when") is not None:
            return None
        quiet, pieces = quiet_lengths(scan), list[bool]()

        def piece(inner: Node) -> Sequence[Node] | None:
            results = without_loop(inner) or self._gate_by_gate(inner, quiet)
            pieces.append(results is not None)
            return results

        results = self._split(scan, Fission(), piece)
        return results if any(pieces) or not pieces else None

    def _gate_by_gate(self, scan: Node, quiet: Node | None) -> Sequence[Node] | None:
        """Split a scan into gates. Return replacements for its results; None unless all parts are layers of ONNX."""
        known = list[bool]()

        def piece(inner: Node) -> Sequence[Node] | None:
            layer = layer_of(inner, self.constants, quiet)
            known.append(layer is not None)
            if layer is not None:
                self.layers[inner] = layer
            return None

        results = self._split(scan, lambda graph: Fission()(SplitConcats()(graph)), piece)
        return results if known and all(known) else None

    def _split(self, scan: Node, change: Change, piece: Callable[[Node], Sequence[Node] | None]) -> Sequence[Node]:
        """Return replacements for the results of a scan that ``change`` splits.

        Args:
            scan: The scan.
            change: Pass that splits the scan.
            piece: Function from each resulting scan to replacements for that scan's results; None to keep the scan.
        """
        params = {
            operand: make("input", where=operand.where, name=operand.name, label=f"{place}", type=operand.type)
            for place, operand in enumerate(scan.operands)
            if not self.constants.has(operand)
        }
        inner = remake(scan, [params.get(operand, operand) for operand in scan.operands])
        assert isinstance(scan.type, TupleType)
        gets = [(f"{index}", make("get", inner, index=index)) for index in range(len(scan.type.items))]
        local = change(Graph.of("loop", gets, params.values()))
        actual = {param: operand for operand, param in params.items()}
        replaced: dict[Node, Sequence[Node]] = {}

        def rule(node: Node, operands: tuple[Node, ...]) -> Node | None:
            if node in actual:
                return actual[node]
            if node.op == "scan":
                whole = remake(node, operands)
                results = piece(whole)
                if results is not None:
                    replaced[whole] = results
                return whole
            if node.op == "get" and operands[0] in replaced:
                return replaced[operands[0]][node["index"]]
            return self._known_zeros(node, operands)

        new: dict[Node, Node] = {}
        for node in local.nodes:
            operands = tuple(new[item] for item in node.operands)
            replacement = rule(node, operands)
            new[node] = replacement if replacement is not None else remake(node, operands)
        return [new[node] for _, node in local.outputs]

    def _known_zeros(self, node: Node, operands: Sequence[Node]) -> Node | None:
        """Return a layer's output for a node that replaces it by 0 after the rows' ends; None for other nodes.

        An ONNX layer's output is 0 there anyway.
        """
        if node.op != "select" or operands[1].op != "get" or not is_filled(operands[2], 0):
            return None
        layer = self.layers.get(operands[1].operands[0])
        if layer is None or layer.lengths is None or operands[1]["index"] < len(layer.initial):
            return None
        return operands[1] if operands[0] is layer.running else None
