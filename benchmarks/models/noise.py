"""RNNoise from the package pyrnnoise: convolutions and three GRUs, whose weights are arrays in a shared library.

The library's symbol ``rnnoise_arrays`` lists the name, type, size and address of each array. The library is parsed as
an ELF file, and executed only as the engine for comparison. A sparse matrix has for every 8 outputs a count of blocks
and the first input of each, then blocks of 4 inputs by 8 outputs; a GRU's diagonals are separate.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model, lines_of

FEATURES, FIRST, UNITS, BANDS = 65, 128, 384, 32
FLOAT, INT = 0, 1


def declared() -> dict[str, rg.Tensor]:
    """Declare the net: gains of frequency bands, and voice activity, for features [batch, time, 65]."""
    features = rg.placeholder("features", (None, None, FEATURES))
    below = rg.conv1d(features, FIRST, 3, activation="tanh", name="conv1")
    layers = [rg.conv1d(below, UNITS, 3, activation="tanh", name="conv2")]
    for number in (1, 2, 3):
        cell = rg.GRUCell(UNITS, reset_after=True)
        layers.append(rg.dynamic_rnn(cell, layers[-1], scope=f"gru{number}")[0])
    together = rg.concat(layers, axis=2)
    gains = rg.dense(together, BANDS, activation="sigmoid", name="dense_out")
    vad = rg.dense(together, 1, activation="sigmoid", name="vad_dense")
    return {"gains": gains, "vad": vad}


def parameters(arrays: Arrays) -> dict[str, np.ndarray]:
    """Return the library's arrays by the names of rnngraph's parameters."""
    renamed = {}
    for name, width, units in (("conv1", FEATURES, FIRST), ("conv2", FIRST, UNITS)):
        renamed[f"{name}/kernel"] = arrays[f"{name}_weights_float"].reshape(3, width, units)
        renamed[f"{name}/bias"] = arrays[f"{name}_bias"]
    for name, units in (("dense_out", BANDS), ("vad_dense", 1)):
        renamed[f"{name}/kernel"] = arrays[f"{name}_weights_float"].reshape(4 * UNITS, units)
        renamed[f"{name}/bias"] = arrays[f"{name}_bias"]
    for number in (1, 2, 3):
        kernel, recurrent = (_dense(arrays, f"gru{number}_{part}") for part in ("input", "recurrent"))
        diagonals = arrays[f"gru{number}_recurrent_weights_diag"].reshape(3, UNITS)
        recurrent += np.concatenate([np.diag(row) for row in diagonals], 1)
        biases = np.stack([arrays[f"gru{number}_{part}_bias"] for part in ("input", "recurrent")])
        cell = rg.GRUCell(UNITS, reset_after=True)
        own = rg.weights.from_keras(cell, [kernel, recurrent, biases])
        renamed |= {f"gru{number}/gru_cell/{name}": array for name, array in own.items()}
    return renamed


def _dense(arrays: Arrays, name: str) -> np.ndarray:
    """Return a sparse matrix as a dense array [inputs, outputs]."""
    matrix = np.zeros((UNITS, 3 * UNITS), np.float32)
    blocks = iter(arrays[f"{name}_weights_float"].reshape(-1, 4, 8))
    index = iter(arrays[f"{name}_weights_idx"])
    for output in range(0, 3 * UNITS, 8):
        for _ in range(next(index)):
            first = next(index)
            matrix[first : first + 4, output : output + 8] = next(blocks)
    return matrix


# The library as a file --------------------------------------------------------------------------------


def library_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays that ``rnnoise_arrays`` lists, by name, from the bytes of a 64-bit little-endian library."""
    elf = _Elf(data)
    address, size = elf.symbol("rnnoise_arrays")
    arrays = {}
    for entry in range(address, address + size, 24):  # name, type and bytes, address
        name, place = elf.pointer(entry), elf.pointer(entry + 16)
        if name is None or place is None:
            break
        kind, count = struct.unpack_from("<ii", data, elf.offset(entry + 8))
        if kind in (FLOAT, INT):
            begin = elf.offset(place)
            dtype = np.float32 if kind == FLOAT else np.int32
            arrays[elf.text(elf.offset(name))] = np.frombuffer(data[begin : begin + count], dtype)
    return arrays


class _Elf:
    """Reader of an ELF file's sections, symbols, and pointers that a loader would set."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        (table,) = struct.unpack_from("<Q", data, 0x28)
        (count,) = struct.unpack_from("<H", data, 0x3C)
        self._sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * number) for number in range(count)]
        self._pointers = dict(self._relocated())

    def _relocated(self) -> Iterator[tuple[int, int]]:
        for _, kind, _, _, begin, size, *_ in self._sections:
            for place in range(begin, begin + size, 24) if kind == 4 else ():  # relocations with addends
                address, what, addend = struct.unpack_from("<QQq", self._data, place)
                if what & 0xFFFFFFFF == 8:  # relative to the library's address
                    yield address, addend

    def symbol(self, wanted: str) -> tuple[int, int]:
        """Return the address and size in bytes of a symbol."""
        for _, kind, _, _, begin, size, link, *_ in self._sections:
            names = self._sections[link][4]
            for place in range(begin, begin + size, 24) if kind == 11 else ():  # relocations against symbols
                name, _, _, _, address, count = struct.unpack_from("<IBBHQQ", self._data, place)
                if self.text(names + name) == wanted:
                    return address, count
        raise LookupError(wanted)

    def pointer(self, address: int) -> int | None:
        return self._pointers.get(address)

    def offset(self, address: int) -> int:
        """Return an address's offset in the file."""
        for _, kind, _, first, begin, size, *_ in self._sections:
            if first and kind != 8 and first <= address < first + size:
                return int(begin + address - first)
        raise LookupError(hex(address))

    def text(self, place: int) -> str:
        return self._data[place : self._data.index(b"\0", place)].decode()


# The library as an engine -----------------------------------------------------------------------------


class Library:
    """Engine that calls RNNoise's code for the net, without feature extraction: one sequence, step by step."""

    def __init__(self, path: Path) -> None:
        self._code = ctypes.CDLL(str(path))
        self._model = ctypes.create_string_buffer(4096)
        arrays = ctypes.c_void_p.in_dll(self._code, "rnnoise_arrays")
        if self._code.init_rnnoise(self._model, ctypes.byref(arrays)):
            raise RuntimeError("the function init_rnnoise of RNNoise failed")
        self._state = np.zeros(2 * FEATURES + 2 * FIRST + 3 * UNITS, np.float32)
        self._gains, self._vad = np.zeros(BANDS, np.float32), np.zeros(1, np.float32)
        self._gru = ctypes.c_void_p(self._state.ctypes.data)
        self._results = [ctypes.c_void_p(array.ctypes.data) for array in (self._gains, self._vad)]

    def reset(self) -> None:
        self._state[:] = 0

    def step(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute one step from ``features``, contiguous float32 [65]. Return (gains, voice activity)."""
        place = ctypes.c_void_p(features.ctypes.data)
        self._code.compute_rnn(self._model, self._gru, *self._results, place, 0)
        return self._gains, self._vad

    def sequences(self, feeds: Arrays) -> dict[str, np.ndarray]:
        outputs: dict[str, list[Any]] = {"gains": [], "vad": []}
        for row in np.ascontiguousarray(feeds["features"]):
            self.reset()
            steps = [[array.copy() for array in self.step(features)] for features in row]
            for name, arrays in zip(outputs, zip(*steps, strict=True), strict=True):
                outputs[name].append(np.stack(arrays))
        return {name: np.stack(rows) for name, rows in outputs.items()}


def nets() -> list[Model]:
    path = fetched("pyrnnoise")["librnnoise.so"]
    program = rg.compile(declared())
    program.parameters.load(parameters(library_arrays(path.read_bytes())))
    generator, library = np.random.default_rng(0), Library(path)
    shapes = ((1, 1), (1, 50), (3, 17))
    feeds = [{"features": generator.standard_normal((*shape, FEATURES)).astype(np.float32)} for shape in shapes]
    step = feeds[0]["features"][0]

    def steps(**options: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        copy = rg.compile(declared(), **options)
        copy.parameters.load(dict(program.parameters))
        stream = copy.inference.stream()
        return lambda: stream.step(features=step), lambda: library.step(step[0])

    package = PACKAGES["pyrnnoise"]
    return [
        Model(
            name="RNNoise",
            form="C arrays in a library, sparse",
            origin=f"{package.requirement}, {package.licence}",
            by="its own C",
            lines=lines_of(declared) + lines_of(parameters),
            program=program,
            feeds=feeds,
            engine=library.sequences,
            tolerance=2e-3,
            timed={
                "a step": steps(),
                "a step, zeros left out": steps(sparse=True),
                "a step, zeros left out, int8": steps(sparse=True, weights="int8", activations="int8"),
            },
        )
    ]
