"""Exported code in this process: its C functions called through ctypes, without a linker."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Sequence_
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from systems import WINDOWS

import rnngraph as rg
from rnngraph.codegen.machine.code import Code
from rnngraph.codegen.machine.target import Target
from rnngraph.declare.nest import paths
from rnngraph.export import write_net
from rnngraph.ir.sizes.parser import parse_dim
from rnngraph.ir.types import evaluate

if WINDOWS:  # LLVM can't link Windows objects in memory, so tests link the code as ELF; tests/platforms link DLLs
    write_net.for_files = lambda target: target  # type: ignore[assignment]


def object_name(name: str) -> str:
    """Return the object file's name of a net that is exported for this machine."""
    return f"{name}.obj" if WINDOWS else f"{name}.o"


def aligned(count: int) -> np.ndarray:
    raw = np.zeros(count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count]


class Instance:
    """One instance of a net that ``export`` wrote to a directory, used as C would use it.

    ``odd`` is the offset of the instance's memory from a cache line, in bytes.
    """

    def __init__(
        self, directory: Path, name: str, target: Target, weights: Any = None, odd: int = 0, **start: Any
    ) -> None:
        self.about = json.loads((directory / f"{name}.json").read_text())
        self.name = name
        self.code = Code((directory / object_name(name)).read_bytes(), target)
        size = self.number("state_size")
        assert size == self.about["state_size"]
        self.room = aligned(size + odd)
        self.room[:] = 0xA5  # init must set everything that matters
        self.memory = self.room.ctypes.data + odd
        self.start = self.given("initial_inputs", start, None)
        extra = []
        if weights is not None:
            self.packed = aligned(self.number("weights_size"))
            assert self.set_weights(self.packed, weights) == 0
            extra = [self.packed.ctypes.data]
        assert self.function("init", ctypes.c_int)(self.memory, *extra, *map(pointer, self.start)) == 0

    def function(self, what: str, result: Any = None) -> Any:
        """Return a C function. Its arguments are pointers, except sizes, which ctypes.c_size_t marks."""
        return partial(called, self.code, f"{self.name}_{what}", result)

    def number(self, what: str) -> int:
        return int(self.function(what, ctypes.c_size_t)())

    def set_weights(self, packed: np.ndarray, image: bytes) -> int:
        memory = aligned(len(image))
        memory[:] = np.frombuffer(image, np.uint8)
        call = self.function("set_weights", ctypes.c_int)
        return int(call(packed.ctypes.data, memory.ctypes.data, ctypes.c_size_t(len(image))))

    def step(self, **feeds: Any) -> dict[str, np.ndarray]:
        inputs, results = self.given("inputs", feeds, None), self.results(None)
        self.function("step")(self.memory, *map(pointer, [*inputs, *results.values()]))
        return results

    def step_rows(self, states: np.ndarray, rows: list[int], **feeds: Any) -> dict[str, np.ndarray]:
        """Step the instances ``rows`` of a table of states. Feeds and results have a first axis of rows.

        A feed of None is a null pointer.
        """
        many = [{**port, "shape": [len(rows), *port["shape"]]} for port in self.about["inputs"]]
        inputs: list[np.ndarray | None] = []
        for port in many:
            array = feeds.get(port["name"])
            inputs.append(None if array is None else np.asarray(array, port["dtype"], order="C"))
            assert array is None or inputs[-1].shape == shape_of(port, None), port["name"]  # type: ignore[union-attr]
        results = {
            port["name"]: np.full((len(rows), *shape_of(port, None)), 77).astype(port["dtype"])
            for port in self.about["outputs"]
        }
        chosen, arrays = np.array(rows, np.uintp), map(pointer, [*inputs, *results.values()])
        place = [self.memory, states.ctypes.data, chosen.ctypes.data, ctypes.c_size_t(len(rows))]
        self.function("step_rows")(*place, *arrays)
        return results

    def process(self, steps: int, **feeds: Any) -> dict[str, np.ndarray]:
        inputs, results = self.given("inputs", feeds, steps), self.results(steps)
        arrays = map(pointer, [*inputs, *results.values()])
        self.function("process")(self.memory, ctypes.c_size_t(steps), *arrays)
        return results

    def reset(self) -> None:
        self.function("reset")(self.memory, *map(pointer, self.start))

    @property
    def state(self) -> bytes:
        count = sum(np.dtype(port["dtype"]).itemsize * int(np.prod(port["shape"])) for port in self.about["states"])
        saved = np.full(count + 8, 0x5A, np.uint8)
        self.function("get_state")(self.memory, saved.ctypes.data)
        assert (saved[count:] == 0x5A).all()
        return saved[:count].tobytes()

    @state.setter
    def state(self, value: bytes) -> None:
        saved = np.frombuffer(value, np.uint8).copy()
        self.function("set_state")(self.memory, saved.ctypes.data)

    def given(self, role: str, feeds: Mapping[str, Any], steps: int | None) -> list[np.ndarray | None]:
        arrays: list[np.ndarray | None] = []
        for port in self.about[role]:
            if port["name"] not in feeds:
                assert "default" in port, port["name"]
                arrays.append(None)
                continue
            array = np.asarray(feeds[port["name"]], port["dtype"], order="C")
            assert array.shape == shape_of(port, steps), port["name"]
            arrays.append(array)
        return arrays

    def results(self, steps: int | None) -> dict[str, np.ndarray]:
        return {
            port["name"]: np.full(shape_of(port, steps), 77).astype(port["dtype"]) for port in self.about["outputs"]
        }


class Sequence:
    """Net for whole sequences that ``export`` wrote to a directory, used as C would use it.

    Args:
        room: Function that returns the caller's memory.
        odd: Offset of scratch memory and packed weights from a cache line, in bytes.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        target: Target,
        weights: bytes | None = None,
        odd: int = 0,
        room: Callable[[int], np.ndarray] = aligned,
    ) -> None:
        self.about = json.loads((directory / f"{name}.json").read_text())
        self.name, self.odd, self.room = name, odd, room
        self.code = Code((directory / object_name(name)).read_bytes(), target)
        self.names = [size["name"] for size in self.about["sizes"]]
        self.net = None
        if weights is not None:
            self.packed = room(self.number("weights_size") + odd)
            self.net = self.packed.ctypes.data + odd
            image = aligned(len(weights))
            image[:] = np.frombuffer(weights, np.uint8)
            size = ctypes.c_size_t(len(weights))
            assert called(self.code, f"{name}_set_weights", ctypes.c_int, self.net, image.ctypes.data, size) == 0

    def number(self, what: str, *sizes: int) -> int:
        return int(called(self.code, f"{self.name}_{what}", ctypes.c_size_t, *map(ctypes.c_size_t, sizes)))

    def shape(self, port: Mapping[str, Any], sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(dim if isinstance(dim, int) else evaluate(parse_dim(dim), sizes) for dim in port["shape"])

    def sizes_of(self, feeds: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Return the symbolic sizes of a call from the shapes of feeds; 1 for sizes that no feed has."""
        values = {size["name"]: size.get("fixed", 1) for size in self.about["sizes"]}
        for port in self.about["inputs"]:
            if port["name"] in feeds:
                axes = zip(port["shape"], feeds[port["name"]].shape, strict=True)
                values |= {dim: actual for dim, actual in axes if dim in self.names}
        return values

    def run(self, feeds: Mapping[str, np.ndarray], **given_sizes: int) -> dict[str, np.ndarray]:
        sizes = self.sizes_of(feeds) | given_sizes
        counts = [sizes[name] for name in self.names]
        scratch = self.room(self.number("scratch_size", *counts) + self.odd)
        scratch[:] = 0xA5
        inputs: list[int | None] = []
        for port in self.about["inputs"]:
            array = feeds.get(port["name"])
            assert array is not None or "default" in port, port["name"]
            assert array is None or (array.flags.c_contiguous and array.dtype == port["dtype"])
            assert array is None or array.shape == self.shape(port, sizes), port["name"]
            inputs.append(pointer(array))
        results = {port["name"]: self.result(port, sizes) for port in self.about["outputs"]}
        pointers = [*inputs, *map(pointer, results.values()), scratch.ctypes.data + self.odd]
        assert self.call(counts, pointers) == 0
        return results

    def result(self, port: Mapping[str, Any], sizes: Mapping[str, int]) -> np.ndarray:
        shape, kind = self.shape(port, sizes), np.dtype(port["dtype"])
        room = self.room(math.prod(shape) * kind.itemsize)
        return room[: math.prod(shape) * kind.itemsize].view(kind).reshape(shape)

    def call(self, counts: Sequence_[int], pointers: Sequence_[int | None]) -> int:
        """Call ``run``, and return its result."""
        sizes = map(ctypes.c_size_t, counts)
        return int(called(self.code, f"{self.name}_run", ctypes.c_int, self.net, *sizes, *pointers))


def called(code: Code, name: str, result: Any, *arguments: Any) -> Any:
    """Call a C function, whose arguments are pointers except for sizes."""
    kinds = [type(item) if isinstance(item, ctypes.c_size_t) else ctypes.c_void_p for item in arguments]
    return ctypes.CFUNCTYPE(result, *kinds)(code.address(name))(*arguments)


def shape_of(port: Mapping[str, Any], steps: int | None) -> tuple[int, ...]:
    many = [
        dim if isinstance(dim, int) else evaluate(parse_dim(dim), {"steps": 1 if steps is None else steps})
        for dim in port["shape"]
    ]
    dims = [None if dim == "steps" and steps is None else count for dim, count in zip(port["shape"], many, strict=True)]
    return tuple(dim for dim in dims if dim is not None)


def pointer(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def flat(result: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a ``Result`` by the names that an exported net has for them."""
    return dict(paths(dict(result)))


def program_of(outputs: Any, **options: Any) -> rg.Program:
    return rg.compile(outputs, cache=False, **options)
