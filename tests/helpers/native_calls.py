"""Direct calls of native entries with given arrays, for tests of the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnngraph.runtime.native.argument_block import Weights
from rnngraph.runtime.native.entry import NativeEntry
from rnngraph.runtime.parameters import Parameters

Arrays = dict[str, np.ndarray]


def call_native(
    entry: NativeEntry,
    weights: Parameters | Weights | Mapping[str, np.ndarray],
    feeds: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    results: Sequence[np.ndarray] | None = None,
) -> Arrays:
    """Return the outputs of an entry by name.

    ``weights`` are a program's parameters, packed weights, or arrays by name. ``results`` is memory for outputs.
    """
    if isinstance(weights, Parameters):
        weights = entry.weights(weights)
    elif not isinstance(weights, Weights):
        weights = entry.packed(0, weights, entry.panels())
    sized, block = entry.sized(sizes), entry.block()
    block.set_sizes(sized.sizes, sized.run)
    block.set_weights(weights)
    for name in entry.input_slots:
        block.set_input(name, feeds[name])
    if results is None:
        results = [np.empty(shape, item.dtype) for item, shape in zip(entry.outputs, sized.shapes, strict=True)]
    for slot, array in zip(entry.output_slots.values(), results, strict=True):
        block.set_output(slot, array)
    arena = entry.take(sized.arena_bytes)
    block.set_arena(arena)
    block.run()
    entry.give_back(arena)
    return dict(zip(entry.output_slots, results, strict=True))
