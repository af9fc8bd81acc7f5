"""Cache of native entries by the shapes of feeds. Known shapes skip the size checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

import numpy as np

from ...support.bounded_cache import BoundedCache
from ..native.compiled_graph import CompiledGraph
from ..native.entry import NativeEntry, ShapeInstance

MAX_SHAPES = 1024


class EntriesByShape:
    """Native entries by shapes, as weak references. If the graph has evicted an entry, it is looked up again."""

    def __init__(self) -> None:
        self._known: BoundedCache[Any, tuple[ref[NativeEntry], ref[ShapeInstance]]] = BoundedCache(MAX_SHAPES)

    def entry(
        self,
        key: Any,
        arrays: Mapping[str, np.ndarray],
        compiled: CompiledGraph,
        outputs: tuple[str, ...],
        sizes: Callable[[], Mapping[str, int]],
    ) -> tuple[NativeEntry, ShapeInstance]:
        """Return compiled code for feeds of these shapes, and its sizes. Values of feeds are not checked here.

        Args:
            key: Part of the cache key besides the shapes.
            arrays: Feeds by name.
            compiled: The graph.
            outputs: Names of the outputs to compute.
            sizes: Function that validates the feeds and returns the sizes.
        """
        shapes = (key, compiled.options.threads.parts, tuple((name, array.shape) for name, array in arrays.items()))
        known = self._known.get(shapes)
        entry, sized = (known[0](), known[1]()) if known is not None else (None, None)
        if entry is None or sized is None:
            solved = sizes()
            entry = compiled.entry(outputs, solved)
            sized = entry.sized(solved)
            self._known[shapes] = ref(entry), ref(sized)
        return entry, sized
