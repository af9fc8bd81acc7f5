"""Results of a step besides the loss: declared Tensors that the same native call computes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from ...declare.nest import flatten, is_constant, is_leaf, map_leaves, paths
from ...declare.tensor import Tensor
from ...ir.graph import Graph, Node
from ...program.program import Program
from ...runtime.calls.results import result_builder
from ...runtime.class_names import BARE
from ...support.bounded_cache import BoundedCache
from ...support.errors import DtypeError, NameLookupError, StructureError, Where, did_you_mean, shown, user_line

FETCH = "fetch/"
MAX_FETCHES = 64


class Fetch:
    """Validated ``fetch=`` of a step: nested Tensors and paths of the program's outputs.

    Attributes:
        declared: Nodes of fetched Tensors, by output label of the step's graph.
        outputs: Paths of fetched outputs of the program, by output label of the step's graph.
        structure: The argument, with None in place of each Tensor or path.
        labels: Output label of each leaf of ``structure``, in order.
    """

    def __init__(self, fetch: Mapping[str, Any]) -> None:
        self.declared: dict[str, Node] = {}
        self.outputs: dict[str, str] = {}
        leaves = flatten(dict(fetch))
        self.structure = map_leaves(lambda leaf: None, dict(fetch))
        self.labels = [f"{FETCH}{number}" for number in range(len(leaves))]
        for label, leaf in zip(self.labels, leaves, strict=True):
            if isinstance(leaf, Tensor):
                self.declared[label] = leaf.node
            else:
                self.outputs[label] = leaf
        self._results: Mapping[str, np.ndarray] = {}
        self._give = result_builder(self.structure, [partial(self._array, label) for label in self.labels])

    def labelled(self, graph: Graph) -> list[tuple[str, Node]]:
        """Return (output label, node) of each fetched value, from a lowered graph."""
        sources = {label: label for label in self.declared} | self.outputs
        return [(label, graph.output(name)) for label, name in sources.items()]

    def pack(self, results: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the fetched results of a step in the structure of ``fetch=``."""
        self._results = results
        packed: dict[str, Any] = self._give()
        self._results = {}
        return packed

    def _array(self, label: str) -> np.ndarray:
        return self._results[label]


class Fetches:
    """Cache of validated ``fetch=`` arguments, so that equal ones share a graph."""

    def __init__(self, program: Program) -> None:
        self._program = program
        # keyed by the identity of the argument's entries, which is faster than comparing nests
        self._recent: BoundedCache[Any, tuple[tuple[Any, ...], Fetch]] = BoundedCache(MAX_FETCHES)
        self._known: BoundedCache[Any, Fetch] = BoundedCache(MAX_FETCHES)

    def of(self, fetch: Any) -> Fetch:
        """Return a validated ``fetch=``. Raise an error unless it is a mapping of Tensors and paths of outputs."""
        if type(fetch) is dict and (recent := self._recent.get((*fetch, *map(id, fetch.values())))) is not None:
            return recent[1]
        where = user_line()
        if not isinstance(fetch, Mapping) or not fetch:
            raise StructureError(f'fetch takes a mapping such as {{"logits": logits}}, not {shown(fetch)}', where)
        values = tuple(fetch.values())
        leaves = flatten(dict(fetch))
        for leaf in leaves:
            self._check(leaf, where)
        shape = repr(map_leaves(lambda leaf: None, dict(fetch)))
        named = shape, tuple(leaf.node if isinstance(leaf, Tensor) else leaf for leaf in leaves)
        known = self._known.get(named)
        if known is None:
            if is_leaf(self._program.structure):  # the program has one output, whose path is empty
                fetch = map_leaves(lambda leaf: "" if isinstance(leaf, str) else leaf, dict(fetch))
            known = self._known[named] = Fetch(fetch)
        if all(map(is_constant, values)):
            # values are kept alive, so that their ids are not reused
            self._recent[*fetch, *map(id, values)] = values, known
        return known

    def _check(self, leaf: Any, where: Where | None) -> None:
        """Raise an error unless a leaf of ``fetch=`` is a Tensor or the path of an output."""
        if isinstance(leaf, Tensor):
            return
        if not isinstance(leaf, str):
            raise DtypeError(f"fetch takes Tensors, or paths of outputs, not {shown(leaf)}", where)
        outputs = [path or BARE for path, _ in paths(self._program.structure)]
        if leaf not in outputs:
            there = did_you_mean(leaf, outputs) or f"; there are {', '.join(outputs)}"
            raise NameLookupError(f"fetch: the program has no output {leaf!r}{there}", where)
