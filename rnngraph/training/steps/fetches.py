"""What a step gives beside its loss: Tensors of the declaration, as the same native call computes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ...declare.nest import flatten, is_constant, is_leaf, map_leaves, paths
from ...declare.tensor import Tensor
from ...ir.graph import Graph, Node
from ...program.program import Program
from ...runtime.calls.results import giver
from ...runtime.class_names import BARE
from ...support.bounded_cache import BoundedCache
from ...support.errors import DtypeError, NameLookupError, StructureError, Where, did_you_mean, shown, user_line

FETCH = "fetch/"
MAX_FETCHES = 64


class Fetch:
    """One ``fetch=``, checked.

    declared: by label of an output of the step's graph, the node of a Tensor; outputs: the path of one of the program's
    outputs, by label. structure, labels: of what it gives, and of its leaves in order.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.declared: dict[str, Node] = {}
        self.outputs: dict[str, str] = {}
        leaves = flatten(dict(given))
        self.structure = map_leaves(lambda leaf: None, dict(given))
        self.labels = [f"{FETCH}{number}" for number in range(len(leaves))]
        for label, leaf in zip(self.labels, leaves, strict=True):
            if isinstance(leaf, Tensor):
                self.declared[label] = leaf.node
            else:
                self.outputs[label] = leaf
        self._found: Mapping[str, np.ndarray] = {}
        self._give = giver(self.structure, [partial(self._array, label) for label in self.labels])

    def labelled(self, graph: Graph) -> list[tuple[str, Node]]:
        """What is fetched by label, of a lowered graph with ``declared`` among its outputs."""
        sources = {label: label for label in self.declared} | self.outputs
        return [(label, graph.output(name)) for label, name in sources.items()]

    def pack(self, found: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """A step's results in the structure that was asked for."""
        self._found = found
        packed: dict[str, Any] = self._give()
        self._found = {}
        return packed

    def _array(self, label: str) -> np.ndarray:
        return self._found[label]


class Fetches:
    """Every ``fetch=`` that a trainer met, so that equal ones are steps of one graph."""

    def __init__(self, program: Program) -> None:
        self._program = program
        # By identity, which takes no walk over nests.
        self._recent: BoundedCache[Any, tuple[tuple[Any, ...], Fetch]] = BoundedCache(MAX_FETCHES)
        self._known: BoundedCache[Any, Fetch] = BoundedCache(MAX_FETCHES)

    def of(self, given: Any) -> Fetch:
        """What was checked before, or is now. Raises where it is no mapping of Tensors and outputs' paths."""
        if type(given) is dict and (recent := self._recent.get((*given, *map(id, given.values())))) is not None:
            return recent[1]
        where = user_line()
        if not isinstance(given, Mapping) or not given:
            raise StructureError(f'fetch takes a mapping such as {{"logits": logits}}, not {shown(given)}', where)
        values = tuple(given.values())
        leaves = flatten(dict(given))
        for leaf in leaves:
            self._check(leaf, where)
        shape = repr(map_leaves(lambda leaf: None, dict(given)))
        named = shape, tuple(leaf.node if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        known = self._known.get(named)
        if known is None:
            if is_leaf(self._program.structure):  # whose path is empty
                given = map_leaves(lambda leaf: "" if isinstance(leaf, str) else leaf, dict(given))
            known = self._known[named] = Fetch(given)
        if all(map(is_constant, values)):
            # With the values, so that their ids stay theirs.
            self._recent[*given, *map(id, values)] = values, known
        return known

    def _check(self, leaf: Any, where: Where | None) -> None:
        if isinstance(leaf, Tensor):
            return
        if not isinstance(leaf, str):
            raise DtypeError(f"fetch takes Tensors, or paths of outputs, not {shown(leaf)}", where)
        outputs = [path or BARE for path, _ in paths(self._program.structure)]
        if leaf not in outputs:
            there = did_you_mean(leaf, outputs) or f"; there are {', '.join(outputs)}"
            raise NameLookupError(f"fetch: the program has no output {leaf!r}{there}", where)
