"""Argument blocks that are filled in once and used for many calls."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import c_int64, c_void_p

import numpy as np

from .aligned_memory import address
from .entry import NativeEntry, Sized, Weights

WORKER, WORKERS = c_int64(0), c_int64(1)  # made once: ctypes converts ints at every call


class ArgumentBlock:
    """What one call at a time passes to native code. numbers: the block, which may be written to."""

    def __init__(
        self, entry: NativeEntry, sized: Sized, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
    ) -> None:
        """inputs, outputs: arrays for all of the entry's, which the caller holds as long as they are used."""
        self._weight_slots = entry.weight_slots
        self.numbers = entry.unweighted(sized.sizes)
        for name in entry.input_slots:
            entry.set_feed(self.numbers, name, inputs[name])
        for name, slot in entry.output_slots.items():
            self.numbers[slot] = address(outputs[name])
        self.address = c_void_p(address(self.numbers))
        self.version: int | None = None  # of the weights

    def set_weights(self, weights: Weights) -> None:
        """The caller holds the weights, too."""
        slots = self._weight_slots
        self.numbers[slots] = weights.block[slots]
        self.version = weights.version
