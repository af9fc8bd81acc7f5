"""Native entries by the shapes of feeds, so that a shape that is met again needs no checks of sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

import numpy as np

from ...support.bounded_cache import BoundedCache
from ..native.compiled_graph import CompiledGraph
from ..native.entry import NativeEntry, Sized

MAX_SHAPES = 1024


class EntryCache:
    """Entries by the shapes that they were found for.

    It keeps none of them alive: what a graph gives up is found anew.
    """

    def __init__(self) -> None:
        self._known: BoundedCache[Any, tuple[ref[NativeEntry], ref[Sized]]] = BoundedCache(MAX_SHAPES)

    def entry(
        self, key: Any, arrays: Mapping[str, np.ndarray], compiled: CompiledGraph, outputs: tuple[str, ...],
        sizes: Callable[[], Mapping[str, int]],
    ) -> tuple[NativeEntry, Sized]:  # fmt: skip
        """The entry for these feeds, whose numbers calls check. key: with their shapes, what else tells entries apart.
        sizes: gives the sizes after all checks.
        """
        shapes = (key, compiled.options.threads.parts, tuple((name, array.shape) for name, array in arrays.items()))
        known = self._known.get(shapes)
        entry, sized = (known[0](), known[1]()) if known is not None else (None, None)
        if entry is None or sized is None:
            found = sizes()
            entry = compiled.entry(outputs, found)
            sized = entry.sized(found)
            self._known[shapes] = ref(entry), ref(sized)
        return entry, sized
