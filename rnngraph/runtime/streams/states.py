"""States of streams: buffers, initial values, and the nested form that callers see."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from ctypes import c_int64
from dataclasses import replace
from typing import Any

import numpy as np

from ...declare.nest import flatten, matched
from ...ir.numbers.narrow import bits_of_bfloat16, storage_dtype
from ...ir.types import array_dtype, evaluate
from ...passes.chunks.chunk_states import NUMBER_STATE
from ...storage.atomic_file import as_path
from ...storage.checkpoint_file import packed, read, unpacked, write
from ...support.errors import DtypeError, NameLookupError, ShapeError, StructureError, Where
from ...support.records import dataclass
from ..calls.entry_blocks import run_once
from ..calls.feeds import convert, solve_sizes
from ..calls.results import result_of
from ..parameters import Parameters
from .step_graph import StepGraph

SAVED_STREAM = "saved stream"
STATE = "stream's state"


class States:
    """States of a stream in two buffers, the sides 0 and 1. A step reads one side and writes the other."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.sides = [np.array(array, order="C") for array in arrays], [np.empty_like(array) for array in arrays]
        self.word = c_int64(0)  # the side of the present states; machine code changes it, too

    @property
    def side(self) -> int:
        """Index of the side that holds the present states."""
        return self.word.value

    @property
    def present(self) -> list[np.ndarray]:
        """Present states, which are not copies."""
        return self.sides[self.word.value]

    def set(self, arrays: Sequence[np.ndarray]) -> None:
        for target, array in zip(self.present, arrays, strict=True):
            target[...] = array


@dataclass(frozen=True)
class SavedStream:
    """Contents of a file written by ``Stream.save``.

    Attributes:
        batch: Number of rows.
        arrays: State and held feeds, as ``Stream.restore`` takes them.
    """

    batch: int
    arrays: Mapping[str, np.ndarray]

    @staticmethod
    def read(path: str | os.PathLike[str], batch: int, digest: str, where: Where | None) -> SavedStream:
        """Read a file.

        Args:
            path: The file.
            batch: Requested number of rows; 1 accepts the number of the file.
            digest: Digest of the caller's net.
            where: The caller's line.

        Raises:
            FileError: The file is missing, damaged or of another kind.
            StructureError: The file belongs to another net, or has another number of rows.
        """
        arrays, text = read(path, SAVED_STREAM)
        rows, shown = int(text.get("batch", 0)), as_path(path)
        if text.get("net") != digest:
            raise StructureError(
                f"{shown} holds the state of another net; use the program whose stream was saved", where
            )
        if batch not in (1, rows):
            raise StructureError(f"{shown} holds {rows} rows, not batch={batch}; leave batch out", where)
        return SavedStream(rows, arrays)

    def write(self, path: str | os.PathLike[str], digest: str) -> None:
        """Write a file that ``read`` reads. ``digest`` is that of the stream's net."""
        write(path, SAVED_STREAM, self.arrays, {"batch": self.batch, "net": digest})


@dataclass(frozen=True)
class GenerationState:
    """State of a stream after generated tokens, with the output that chooses the next token.

    A stream can start from this object as from ``nest``.

    Attributes:
        nest: State of the stream, in the form of ``Stream.state``.
        output: Path of the output that chooses tokens.
        last: That output after the last token: logits [rows, classes], or tokens [rows] that the net draws.
        count: Number of tokens of each row since the last prompt, int64 [rows].
    """

    nest: Any
    output: str
    last: np.ndarray
    count: np.ndarray


class StateForm:
    """Conversion of states between a flat list and the nest that callers see."""

    def __init__(self, graph: StepGraph, parameters: Parameters) -> None:
        self._graph, self._parameters = graph, parameters
        self._batch, self._labels, self._types = graph.batch, graph.states.labels, graph.states.types
        self._changes = parameters.counter()
        # initial states that depend on no feed, with the version of the parameters
        self._same: tuple[int, list[np.ndarray]] | None = None

    def initial(
        self, held_feeds: Mapping[str, np.ndarray], state: Any, numbers: np.ndarray | None, where: Where | None
    ) -> list[np.ndarray]:
        """Return the states of a stream that starts from ``state``: a nest, bytes, or None for the initial state.

        Args:
            numbers: Numbers of the rows' streams, which replace the numbers in ``state``; None to keep those.
        """
        if state is None:
            return self.fresh(held_feeds, where)
        is_packed = isinstance(state, bytes | bytearray | memoryview)
        arrays = self.from_bytes(bytes(state), where) if is_packed else self.arrays(state, where)
        if numbers is not None:
            self.set_number(arrays, numbers)
        return arrays

    def fresh(self, held_feeds: Mapping[str, np.ndarray], where: Where | None) -> list[np.ndarray]:
        """Return the initial states, which may depend on feeds without a time axis. Callers must not write to them.

        Raise ``NameLookupError`` if such a feed is missing.
        """
        initial, version = self._graph.initial, self._changes.version
        if self._same is not None and self._same[0] == version:
            return self._same[1]
        names = tuple(name for name, _ in initial.graph.outputs)
        if not names:
            return []
        needed = initial.needed(names)
        missing = [name for name in needed if name not in held_feeds]
        if missing:
            raise NameLookupError(f"the initial state needs {', '.join(missing)}; feed it with the first step", where)
        arrays = {name: held_feeds[name] for name in needed}
        sizes = {**solve_sizes(arrays, self._graph.types, where), **self._graph.sizes}
        initial.check(names, arrays, sizes, where)
        entry = initial.entry(names, sizes)
        states = list(run_once(entry, entry.weights(self._parameters), arrays, sizes).values())
        if not needed:
            self._same = version, states
        return states

    def set_number(self, arrays: Sequence[np.ndarray], numbers: np.ndarray) -> None:
        """Overwrite the number of each row's stream in states that have one."""
        if NUMBER_STATE in self._labels:
            arrays[self._labels.index(NUMBER_STATE)][:] = numbers[:, None]

    def nest(self, arrays: Sequence[np.ndarray]) -> Any:
        """Return arrays in the nest of the driver's states; for several drivers, a tuple of nests."""
        states = self._graph.states
        by_label = {label: states.declared(label, array) for label, array in zip(self._labels, arrays, strict=True)}
        nests = [result_of(nest, [by_label[label] for label in flatten(nest)]) for nest in states.structures]
        return nests[0] if len(nests) == 1 else tuple(nests)

    def arrays(self, value: Any, where: Where | None) -> list[np.ndarray]:
        """Return a stream's states from a caller's nest of arrays, as checked and converted copies, in order."""
        value = value.nest if isinstance(value, GenerationState) else value
        leaves = matched(self._graph.states.named, value, "the stream's state", where)
        arrays_ = []
        for label, leaf in zip(self._labels, leaves, strict=True):
            form = self._graph.states.form(label)
            kind = self._types[label] if form is None else form.kind
            array = np.array(convert(label, leaf, replace(kind, dtype=storage_dtype(kind.dtype)), where), order="C")
            shape = tuple(evaluate(dim, self._graph.sizes) for dim in kind.shape)
            if array.shape != shape:
                raise ShapeError(f"{label} must have shape {shape}, not {array.shape}", where)
            array = bits_of_bfloat16(array) if kind.dtype == "bfloat16" else array
            arrays_.append(array if form is None else np.ascontiguousarray(form.stored_array(array)))
        return arrays_

    def to_bytes(self, arrays: Sequence[np.ndarray]) -> bytes:
        """Pack the states into bytes, with names, shapes and a digest."""
        return b"".join(packed(STATE, self.saved(arrays), {"batch": self._batch}, "the state of a stream"))

    def saved(self, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Return states by label as files have them: without the swapped axes that only the compiled step needs."""
        swapped = self._graph.states.swapped
        by_label = dict(zip(self._labels, arrays, strict=True))
        return by_label | {
            label: np.ascontiguousarray(form.declared_array(by_label[label])) for label, form in swapped.items()
        }

    def from_bytes(self, data: bytes, where: Where | None) -> list[np.ndarray]:
        """Unpack the arrays of ``to_bytes``. Safe for untrusted data, because nothing in it is executed.

        Raises:
            DtypeError: ``data`` is not bytes.
            FileError: ``data`` is damaged, or of another kind or version.
            StructureError: The states are those of another program.
            ShapeError: The states are those of another batch size.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise DtypeError(
                f"load_state_bytes takes bytes, not {type(data).__name__}; pass the result of state_bytes", where
            )
        arrays, text = unpacked(bytes(data), STATE, "the state of a stream")
        if text.get("batch") != self._batch:
            raise ShapeError(
                f"the saved state has {text.get('batch')} rows, and this stream has {self._batch}; make a stream "
                f"with batch={text.get('batch')}",
                where,
            )
        return self.ordered(arrays, where)

    def ordered(self, arrays: Mapping[str, np.ndarray], where: Where | None) -> list[np.ndarray]:
        """Return copies of a stream's ``saved`` states, in order. Raise ``StructureError`` for another program's."""
        kinds = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
        sizes, swapped = self._graph.sizes, self._graph.states.swapped
        types = {**self._types, **{label: form.kind for label, form in swapped.items()}}
        own_kinds = {
            name: ((self._batch, *(evaluate(dim, sizes) for dim in kind.shape[1:])), array_dtype(kind.dtype))
            for name, kind in types.items()
        }
        if kinds != own_kinds:
            raise StructureError(
                f"the saved state is {kinds}, but this stream carries {own_kinds}; load it into a stream of the "
                "program that saved it",
                where,
            )
        stored = dict(arrays) | {label: form.stored_array(arrays[label]) for label, form in swapped.items()}
        return [np.array(stored[label], order="C") for label in self._labels]
