"""Argument blocks of native code. A block is filled once and used for many calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ctypes import c_int64, c_void_p
from functools import partial
from weakref import ref

import numpy as np

from ...codegen.machine.alignment import padded
from ...codegen.machine.code import Native
from ...codegen.machine.interface import Interface
from ...support.records import dataclass
from .aligned_memory import address

WORKER, WORKERS = c_int64(0), c_int64(1)  # constants, because ctypes would convert ints at every call
UNREAD = -1
"""Slot of feeds that native code does not read."""


@dataclass(frozen=True)
class Weights:
    """Addresses of parameters and packed weights, for the argument block of native code.

    Attributes:
        version: Number of changes to the parameters before this snapshot.
        arrays: The arrays at these addresses, which this object keeps alive.
        slots: Indices of the block's slots for the addresses.
        numbers: The addresses.
    """

    version: int
    arrays: tuple[np.ndarray, ...]
    slots: np.ndarray
    numbers: np.ndarray


class ArgumentBlock:
    """Argument block of native code, for one call at a time. It does not keep its arrays alive.

    Attributes:
        numbers: Values of the slots, which are addresses, sizes and strides. The last one is the slot ``UNREAD``.
        run: Function that runs native code on the block.
        version: Version of the weights; None before they are set.
        arena: Function that returns the arena; None if it is not set or no longer exists.
        owner: The object that wrote to the block last, if several share it.
    """

    def __init__(self, interface: Interface, template: np.ndarray) -> None:
        self._interface, self.numbers = interface, template.copy()
        self.address = c_void_p(address(self.numbers))
        self.run: Callable[[], None] = _nothing
        self.version: int | None = None
        self.arena: Callable[[], np.ndarray | None] = _nothing
        self.owner: object = None

    def set_sizes(self, sizes: Mapping[str, int], native: Native) -> None:
        """Write the sizes. ``native`` is the function that runs the code at these sizes."""
        for name, slot in self._interface.sizes.items():
            self.numbers[slot] = sizes[name]
        self.run = partial(native, self.address, WORKER, WORKERS)

    def set_input(self, name: str, array: np.ndarray) -> None:
        slot, _ = self._interface.inputs[name]
        self.numbers[slot] = address(array)
        self.set_strides(name, array.strides, array.itemsize)

    def set_strides(self, name: str, strides: tuple[int, ...], itemsize: int) -> None:
        for slot, stride in zip(self._interface.inputs[name][1], strides, strict=False):
            self.numbers[slot] = stride // itemsize

    def set_output(self, slot: int, array: np.ndarray) -> None:
        self.numbers[slot] = address(array)

    def set_arena(self, arena: np.ndarray) -> None:
        """Set the arena, which may be shared."""
        self.numbers[self._interface.arena] = address(arena)
        self.arena = ref(arena)

    def set_parameters(self, arrays: Mapping[str, np.ndarray], panels: np.ndarray) -> None:
        """Set the addresses of all parameters, and of ``panels``, the memory for packed weights of all stages."""
        self.set_arrays(self._interface.parameters, arrays)
        begin = self.numbers[self._interface.panels] = address(panels)
        packing = self._interface.packing
        if packing is None:
            return
        for stage in packing.stages:
            self.numbers[stage.slot] = begin
            begin += padded(stage.bytes)
        self.numbers[packing.scratch] = begin
        self.set_stages(0, len(packing.stages))

    def set_arrays(self, names: Iterable[str], arrays: Mapping[str, np.ndarray]) -> None:
        """Set the addresses of the parameters ``names``."""
        for name in names:
            self.numbers[self._interface.parameters[name]] = address(arrays[name])

    def set_stages(self, begin: int, end: int) -> None:
        """Set the range of stages that packing runs."""
        packing = self._interface.packing
        assert packing is not None
        self.numbers[packing.begin], self.numbers[packing.end] = begin, end

    def set_weights(self, weights: Weights) -> None:
        self.numbers[weights.slots] = weights.numbers
        self.version = weights.version


def _nothing() -> None:
    """Do nothing. This function is called until native code is set."""
