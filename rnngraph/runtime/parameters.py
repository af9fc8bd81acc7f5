"""Parameters that both graphs share: read-only arrays by name. A change replaces an array."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_int64
from typing import Any, Never

import numpy as np

from ..declare.initializers import draw
from ..declare.parameters import ParameterSpec
from ..ir.numbers.narrow import bits_of_bfloat16
from ..ir.types import PARAMETER_ARRAYS, TensorType, array_dtype
from ..storage.stored_array import StoredArray
from ..support.allocation import bytes_of, reserve
from ..support.api_guard import api, taking
from ..support.arguments import array_of, flag, seed_number
from ..support.attribute_hints import OF_PARAMETERS, Telling, Uncallable
from ..support.errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    NameLookupError,
    ShapeError,
    did_you_mean,
    shown,
)
from ..support.forks import LockLevel, fork_lock
from .packed_parts import PackedParts


class Changes:
    """Thread-safe counter of changes to all parameters that share arrays."""

    def __init__(self) -> None:
        self.lock = fork_lock(LockLevel.LAST, threading.Lock())
        self.word = c_int64(0)  # machine code reads it

    @property
    def version(self) -> int:
        """Number of changes so far."""
        return self.word.value


class _Value:
    """Current value of one parameter, shared by all programs that share the parameter.

    Attributes:
        stored: The array, or its place in a file if it has not been read yet.
    """

    def __init__(self, stored: np.ndarray | StoredArray) -> None:
        self.stored = stored

    def read(self, stored: StoredArray) -> np.ndarray:
        """Read an array from its file, and store it, unless a change has replaced the stored value meanwhile."""
        array = stored.read()
        if self.stored is stored:
            self.stored = array
        return array


class Parameters(Uncallable, Telling, Mapping[str, np.ndarray]):
    """Mapping from name to read-only array, in creation order.

    ``parameters[name] = array`` takes effect at the next call of either graph, and of live streams. A running call
    keeps the values it started with. Programs compiled with ``parameters=other`` share parameters, so that a change
    applies to all of them.

    Attributes:
        packed: Packed weights, which all code compiled for these parameters shares.
    """

    _instead = OF_PARAMETERS

    def __init__(
        self,
        slots: Mapping[ParameterSpec, str],
        seed: int,
        other: Parameters | None = None,
        values: Mapping[str, np.ndarray | StoredArray] | None = None,
    ) -> None:
        """Initialise the parameters.

        Args:
            slots: Name of each parameter, by its specification.
            seed: Seed of initial values that are drawn.
            other: Parameters to share. Those with the same name and specification use the values of ``other``.
            values: Initial values by name, for parameters that are not shared. A parameter without one gets the array
                stored in its specification, or else a drawn value.
        """
        self._slots = {name: slot for slot, name in slots.items()}
        self._changes: Changes = other._changes if other is not None else Changes()
        self._values: dict[str, _Value] = {}
        self.packed = PackedParts()
        self._dropped: frozenset[str] = frozenset() if other is None else other._dropped & {*self._slots}
        provided = {*(values or {})}
        if other is not None:
            provided.update(name for name in other if self._slots.get(name) is other.slot(name))
        _reserve({name: slot for name, slot in self._slots.items() if slot.stored is None and name not in provided})
        for name, slot in self._slots.items():
            if other is not None and name in other and other.slot(name) is slot:
                self._values[name] = other._values[name]
            elif values is not None and name in values:
                value = values[name]
                self._values[name] = _Value(value if isinstance(value, StoredArray) else _frozen(value))
            elif isinstance(slot.stored, np.ndarray | StoredArray):
                self._values[name] = _Value(slot.stored)
            else:
                self._values[name] = _Value(_frozen(_drawn(slot, name, seed)))

    def __reduce__(self) -> Never:
        raise GraphError(
            "parameters can't be pickled or copied without their program; use the program itself, or dict(parameters), "
            "whose arrays nothing changes"
        )

    @property
    def version(self) -> int:
        """Number of changes so far."""
        return self._changes.version

    def counter(self) -> Changes:
        """Return the counter of changes."""
        return self._changes

    def slot(self, name: str) -> ParameterSpec:
        return self._slots[name]

    def types(self) -> dict[str, TensorType]:
        """Return the dtype and shape of each parameter, without reading any."""
        return {name: slot.type for name, slot in self._slots.items()}

    def layer(self, name: str) -> str:
        """Return the name of a parameter's cell or layer, or its own name if it has none."""
        within = self._slots[name].within
        return name.removesuffix(f"/{within}") if within else name

    def snapshot(self) -> tuple[int, dict[str, np.ndarray]]:
        """Return the version, and the arrays of all parameters at that version, by name.

        Raise ``GraphError`` if access to some parameter is refused.
        """
        if self._dropped:
            self.check_kept()
        with self._changes.lock:
            version, values = self.version, {name: value.stored for name, value in self._values.items()}
        return version, {
            name: self._values[name].read(value) if isinstance(value, StoredArray) else value
            for name, value in values.items()
        }

    def stored(self) -> tuple[int, dict[str, np.ndarray | StoredArray]]:
        """Return the version, and the values of all parameters at that version. Unread values stay in their file."""
        with self._changes.lock:
            return self.version, {name: value.stored for name, value in self._values.items()}

    def drop(self, names: Collection[str]) -> None:
        """Refuse to read or set the parameters ``names``, except through ``stored``, ``replace`` and ``initialize``."""
        self._dropped = frozenset(names)

    def check_kept(self) -> None:
        """Raise ``GraphError`` if access to some parameter is refused."""
        if self._dropped:
            raise self._no_longer(min(self._dropped))

    def _no_longer(self, name: str) -> GraphError:
        """Return the error for access to a parameter that was dropped."""
        return GraphError(
            f"parameter {name} was dropped when the program was loaded with keep=False, as inference needs it in "
            "narrow numbers only; load with keep=True to train, edit or save"
        )

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            value = self._values[name]
        except (KeyError, TypeError):  # an unknown name, or an unhashable object
            raise NameLookupError(
                f"no parameter is named {shown(name)}"
                f"{did_you_mean(name, self) or '; there are ' + (', '.join(self._values) or 'none')}"
            ) from None
        if name in self._dropped:
            raise self._no_longer(name)
        stored = value.stored
        return value.read(stored) if isinstance(stored, StoredArray) else stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._values

    def __setitem__(self, name: str, value: Any) -> None:
        self.replace({name: self._checked(name, value)})

    def __repr__(self) -> str:
        lines = [f"  {name}: {kind.dtype}{[*map(int, map(str, kind.shape))]}" for name, kind in self.types().items()]
        return "\n".join(["Parameters(", *lines, ")"])

    def _checked(self, name: str, value: Any) -> np.ndarray:
        """Return a copy of a parameter's new value, validated and in the parameter's dtype."""
        current = self[name]
        array = array_of(value, f"parameter {name}: no array")
        if array.dtype.kind not in "fiub":
            raise DtypeError(f"parameter {name} is {current.dtype}, and {array.dtype} can't be converted; give numbers")
        if array.shape != current.shape:
            raise ShapeError(
                f"parameter {name} has shape {current.shape}, not {array.shape}; give an array of its shape"
            )
        reserve(current.nbytes, f"the new value of parameter {name}")
        return _frozen(np.array(_as_stored(array, self._slots[name].type.dtype), dtype=current.dtype, order="C"))

    def replace(self, changes: Mapping[str, np.ndarray]) -> None:
        """Replace arrays without checks or copies. The arrays become read-only.

        Args:
            changes: Arrays by name, of the parameters' shapes and dtypes. They must not be written to while in use.
        """
        with self._changes.lock:
            for name, array in changes.items():
                array.flags.writeable = False
                self._values[name].stored = array
            self._changes.word.value += 1

    @api
    @contextmanager
    def edit(self, name: str) -> Iterator[np.ndarray]:
        """Context manager that yields a writable copy, which becomes the parameter's value unless an error is raised.

        After the context the array is read-only.
        """
        array = np.array(self[name])
        try:
            yield array
        finally:
            array.flags.writeable = False
        self.replace({name: self._checked(name, array)})

    @api
    def initialize(self, seed: int) -> None:
        """Draw all values by their initializers, also those of imported weights.

        A value depends only on the initializer, the shape, the seed and the parameter's name.
        """
        number = seed_number(seed)
        _reserve(self._slots)
        self.replace({name: _frozen(_drawn(slot, name, number)) for name, slot in self._slots.items()})

    @api
    def load(
        self, source: Any, rename: Mapping[str, str] | Callable[[str], str] | None = None, strict: bool = True
    ) -> None:
        """Load values from a mapping or a file: all of them, or none if there is an error.

        TensorFlow's suffix ``:0`` of names is ignored.

        Args:
            source: Mapping from name to array, or the path of an ``.npz`` or ``.safetensors`` file.
            rename: Mapping between the source's names and the parameters', in either direction, or a function from the
                source's names to the parameters'. If both directions fit, keys are the source's names.
            strict: True to require a value for every parameter, and no other values; False to load those that match
                a parameter's name.
        """
        flag(strict, "strict")
        loaded = _read(source)
        if wrong := [key for key in loaded if not isinstance(key, str)]:
            raise DtypeError(f"parameters are loaded by name, not by {shown(wrong[0])}; give {{name: array}}")
        arrays = _by_our_names(loaded, {key: key.removesuffix(":0") for key in loaded})
        arrays = _by_our_names(arrays, _new_names(rename, arrays, self, strict))
        missing = [name for name in self if name not in arrays]
        unknown = [name for name in arrays if name not in self]
        if strict and (missing or unknown):
            parts = [f"missing: {', '.join(missing)}"] if missing else []
            parts += [f"unknown: {', '.join(unknown)}"] if unknown else []
            layers = "rg.weights.from_torch for each layer, " if any("weight_ih" in name for name in unknown) else ""
            raise NameLookupError(
                f"can't load parameters, {'; '.join(parts)}; use {layers}rename=, or strict=False to take what fits"
            )
        self.replace({name: self._checked(name, arrays[name]) for name in self if name in arrays})

    @api
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an ``.npz`` or ``.safetensors`` file, as the path's suffix says, atomically."""
        _, arrays = self.snapshot()
        from ..storage.array_file import write_arrays  # rarely needed

        write_arrays(path, arrays, "parameters")


def _new_names(rename: Any, arrays: Mapping[str, Any], ours: Collection[str], strict: bool) -> dict[str, str]:
    """Return the new name of each array that ``rename`` renames.

    If ``strict``, raise ``NameLookupError`` for entries of ``rename`` that match nothing.
    """
    if callable(rename):
        taking(rename, "rename", "name")
        names = {name: _renamed(rename, name) for name in arrays}
    elif rename is not None and not isinstance(rename, Mapping):
        raise DtypeError(f"rename= must be a mapping between names, or a function of one, not {shown(rename)}")
    else:
        names = dict(rename or {})
    if wrong := [name for pair in names.items() for name in pair if not isinstance(name, str)]:
        raise DtypeError(f"rename= gives {shown(wrong[0])} for a name; give a str")
    if callable(rename):
        return names
    pairs = [(first.removesuffix(":0"), second.removesuffix(":0")) for first, second in names.items()]
    by_theirs = {theirs: name for theirs, name in pairs if theirs in arrays and (name in ours or not strict)}
    by_ours = {theirs: name for name, theirs in pairs if name in ours and theirs in arrays and name not in by_theirs}
    known = {*by_theirs.items(), *((name, theirs) for theirs, name in by_ours.items())}
    if strict and (idle := [pair for pair in pairs if pair not in known]):
        first, second = map(shown, idle[0])
        raise NameLookupError(
            f"rename= has {first}: {second}, which are not the names of a loaded array and of a parameter; "
            "give {theirs: ours}, or strict=False to take what fits"
        )
    return by_ours | by_theirs


def _by_our_names(arrays: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return arrays by their new names; others keep theirs. Raise ``NameLookupError`` if two get the same name."""
    renamed: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, value in arrays.items():
        name = names.get(key, key)
        if name in renamed:
            raise NameLookupError(
                f"two arrays are given for {shown(name)}: {shown(sources[name])} and {shown(key)}; leave one out"
            )
        renamed[name], sources[name] = value, key
    return renamed


def _renamed(rename: Callable[[str], str], name: str) -> str:
    try:
        return rename(name)
    except Exception as error:
        raise ArgumentError(
            f"rename={shown(rename)} raises {type(error).__name__} for the name {name}; return names that it does not "
            "change as they are"
        ) from error


def _read(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    if not isinstance(source, str | os.PathLike):
        raise DtypeError(f"can't load parameters from {shown(source)}; give a mapping, or a .npz or .safetensors path")
    from ..storage.array_file import read_arrays  # rarely needed

    return read_arrays(source, "parameters")


def _reserve(slots: Mapping[str, ParameterSpec]) -> None:
    """Raise ``OutOfMemoryError`` unless there is memory for the parameters and for drawing them in float64."""
    if not slots:
        return
    shapes = {name: tuple(int(str(dim)) for dim in slot.type.shape) for name, slot in slots.items()}
    largest = max(shapes, key=lambda name: math.prod(shapes[name]))
    own = sum(bytes_of(shapes[name], array_dtype(slot.type.dtype)) for name, slot in slots.items())
    what = "a parameter" if len(slots) == 1 else f"{len(slots)} parameters"
    purpose = f"drawing {what}, the largest {largest} {slots[largest].type},"
    reserve(own + bytes_of(shapes[largest], np.float64), purpose, slots[largest].where)


def _drawn(slot: ParameterSpec, name: str, seed: int) -> np.ndarray:
    shape = tuple(int(str(dim)) for dim in slot.type.shape)
    dtype = slot.type.dtype
    drawn = draw(slot.initializer, shape, "float32" if dtype in PARAMETER_ARRAYS else dtype, seed, name, slot.where)
    return _as_stored(drawn, dtype)


def _as_stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return the array that stores a parameter of ``dtype``. A bfloat16 parameter is stored as its bits, in uint16.

    For bfloat16, a uint16 array is taken as bits, not as numbers.
    """
    return bits_of_bfloat16(array) if dtype == "bfloat16" and array.dtype != np.uint16 else array


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
