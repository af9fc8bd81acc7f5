"""Reads the variables of a TensorFlow checkpoint, of version 2 (an index and data files) or 1 (one table).

(tensorflow/core/util/tensor_bundle, tensorflow/core/util/saved_tensor_slice.proto)
"""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...storage.atomic_file import as_path
from ...storage.protobuf import decode, read_varint
from ...storage.read_file import open_file
from ...support.allocation import reserve
from ...support.api_guard import api
from ...support.errors import FileError, RnnGraphError
from ..reading import bytes_of_file, not_readable
from . import sorted_table
from .checksums import masked_crc
from .messages import Entry, Header, ObjectGraph, TensorProto, TensorSlices
from .tensors import array_of_bytes, array_of_tensor

WHAT = "a TensorFlow checkpoint"
OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
STRING = 7
MAX_SHARDS = 1 << 16
Extents = list[tuple[int, int]]
"""(start, count) of a slice along each axis. A count of -1 is the whole axis."""


@api
def read_tf1_variables(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the variables of a checkpoint of TensorFlow 1 or 2. TensorFlow is not needed.

    Parameters of ``rg`` have TensorFlow's names, so that ``program.parameters.load`` takes the result.

    Args:
        path: The path passed to the saver (``model.ckpt``), the index file, or a checkpoint of version 1.

    Returns:
        {name: array}, without variables of strings. A variable of TensorFlow 2 has its name if the checkpoint contains
        the name, and no earlier variable has it; otherwise it has its key in the checkpoint. bfloat16 becomes float32.

    Raises:
        NotReadableError: The numbers are big-endian.
        FileError: A file is missing or damaged.
    """
    text = str(as_path(path)).removesuffix(".index")
    prefix = Path(text)
    index = Path(f"{text}.index")
    first = prefix if prefix.is_file() and not index.is_file() else index
    name, data = bytes_of_file(first, WHAT)
    try:
        table = dict(sorted_table.entries(data))
        return _version_1(table) if first == prefix else _version_2(prefix, name, table)
    except RnnGraphError:
        raise
    except (ValueError, OverflowError, IndexError) as error:
        raise FileError(f"{name} is damaged or no checkpoint: {error}; use undamaged copies of its files") from None


# Version 2 -------------------------------------------------------------------------------------------


def _version_2(prefix: Path, name: str, table: Mapping[bytes, bytes]) -> dict[str, np.ndarray]:
    """Return {name: array} of the variables in a checkpoint of version 2.

    Args:
        prefix: Path of the checkpoint without a suffix.
        name: The index file's name in errors.
        table: Entries of the index.
    """
    header = decode(Header, table.get(b"", b""))
    shards = header.num_shards or 1
    if header.endianness:
        raise not_readable(name, ["it has big-endian numbers; save it on a little-endian machine"])
    if not 0 < shards <= MAX_SHARDS:
        raise ValueError(f"its number of data files is {shards}; it must be 1 to {MAX_SHARDS}")
    files = _Shards(prefix, shards)
    entries = {key: decode(Entry, value) for key, value in table.items() if key and key[0]}
    pieces: dict[str, list[tuple[Extents, Entry]]] = {}
    if any(entry.slices for entry in entries.values()):
        for key, value in table.items():
            if key and not key[0]:
                label, extents = slice_key(key)
                pieces.setdefault(label, []).append((extents, decode(Entry, value)))
    names: dict[str, str] = {}
    if OBJECT_GRAPH in entries:
        names = decode(ObjectGraph, files.texts(entries[OBJECT_GRAPH], "the object graph")).full_names
    arrays: dict[str, np.ndarray] = {}
    for key, entry in entries.items():
        label = key.decode()
        if entry.dtype == STRING:
            if not entry.slices:
                files.texts(entry, label)  # Strings are not returned, but reading them detects damage.
            continue
        array = _join_slices(label, entry, pieces.get(label, ()), files) if entry.slices else files.array(entry, label)
        own = names.get(label, label)
        arrays[label if own in arrays else own] = array
    return arrays


class _Shards:
    """The data files of a checkpoint."""

    def __init__(self, prefix: Path, count: int) -> None:
        self._prefix, self._count = prefix, count
        self._mapped: dict[int, np.ndarray] = {}

    def bytes_of(self, entry: Entry, label: str) -> bytes:
        """Return the bytes of an index entry. Raises ``ValueError`` if its location is invalid."""
        if not 0 <= entry.shard < self._count:
            raise ValueError(f"{label} is in data file {entry.shard}, but the checkpoint has only {self._count}")
        if entry.shard not in self._mapped:
            self._mapped[entry.shard] = self._opened(entry.shard)
        data = self._mapped[entry.shard]
        if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > data.size:
            raise ValueError(f"{label} is beyond the end of its data file")
        return data[entry.offset : entry.offset + entry.size].tobytes()

    def array(self, entry: Entry, label: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Read the array of an index entry from its data file.

        Args:
            entry: The entry.
            label: Name of the variable in errors.
            shape: Shape of the array; None for the entry's shape.

        Raises:
            ValueError: The bytes do not fit the shape, or do not have the stored checksum.
        """
        reserve(2 * entry.size, f"the variable {label}")
        data = self.bytes_of(entry, label)
        _check(entry.crc, masked_crc(data), label)
        return array_of_bytes(data, entry.dtype, entry.shape if shape is None else shape, label)

    def texts(self, entry: Entry, label: str) -> bytes:
        """Read the strings of an index entry, concatenated. Raises ``ValueError`` if a checksum does not match."""
        reserve(2 * entry.size, f"the texts of {label}")
        return _check_strings(self.bytes_of(entry, label), entry, label)

    def _opened(self, shard: int) -> np.ndarray:
        """Return a data file, memory-mapped. Raises ``FileError`` if it is missing or can't be read."""
        path = f"{self._prefix}.data-{shard:05d}-of-{self._count:05d}"
        try:
            with open_file(path, "a data file") as file:
                if not os.fstat(file.fileno()).st_size:
                    return np.empty(0, np.uint8)
                return np.memmap(file, np.uint8, "r")
        except FileError:
            raise
        except FileNotFoundError:
            listed = ", ".join(sorted(map(os.path.basename, glob.glob(f"{glob.escape(str(self._prefix))}.data-*"))))
            raise FileError(
                f"no file {path}; the folder has {listed or 'no data files'}; copy all files of the checkpoint"
            ) from None
        except OSError as error:
            raise FileError(f"can't read {path}: {error.strerror or error}; give a file that can be read") from None


def _join_slices(label: str, whole: Entry, pieces: Iterable[tuple[Extents, Entry]], files: _Shards) -> np.ndarray:
    """Assemble a variable that is stored in slices. Raises ``ValueError`` if slices are missing.

    Args:
        label: Name of the variable.
        whole: Entry of the whole variable.
        pieces: (Extents, entry) of each slice.
        files: The data files.
    """
    slices = _Slices(label, whole.shape)
    for extents, entry in pieces:
        shape, place = slice_of(extents, whole.shape)
        slices.add(place, files.array(entry, label, shape))
    if slices.array is None or not slices.is_whole:
        raise ValueError(f"slices of {label} are missing; copy all files of the checkpoint")
    return slices.array


class _Slices:
    """Variable that is assembled from slices. ``array`` is None until a slice is added."""

    def __init__(self, label: str, shape: tuple[int, ...]) -> None:
        if any(size < 0 for size in shape):
            raise ValueError(f"{label} has shape {list(shape)}; sizes must not be negative")
        self.label, self.shape = label, shape
        self.array: np.ndarray | None = None
        self._filled = 0

    @property
    def is_whole(self) -> bool:
        return self.array is not None and self._filled == math.prod(self.shape)

    def add(self, place: tuple[slice, ...], part: np.ndarray) -> None:
        if self.array is None:
            reserve(math.prod(self.shape) * part.itemsize, f"the variable {self.label}")
            self.array = np.zeros(self.shape, part.dtype)
        self.array[place] = part
        self._filled += part.size


def slice_key(key: bytes) -> tuple[str, Extents]:
    """Decode the key of a slice in the index: (name of the variable, extents of the slice).

    (tensorflow/core/lib/strings/ordered_code)
    """
    reader = _Ordered(key)
    if reader.read_unsigned() != 0:
        raise ValueError("a key does not identify a slice")
    name, rank = reader.read_string(), reader.read_unsigned()
    return name, [(reader.signed(), reader.signed()) for _ in range(rank)]


def slice_of(extents: Extents, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Return (shape of a slice, index of the slice in the variable's array)."""
    if len(extents) != len(shape):
        raise ValueError(f"a slice has {len(extents)} axes; its variable has {len(shape)}")
    bounds = [(0, size) if count < 0 else (start, count) for (start, count), size in zip(extents, shape, strict=True)]
    if any(start < 0 or start + count > size for (start, count), size in zip(bounds, shape, strict=True)):
        raise ValueError(f"a slice is beyond the shape {list(shape)} of its variable")
    return tuple(count for _, count in bounds), tuple(slice(start, start + count) for start, count in bounds)


class _Ordered:
    """Reader of numbers and strings in TensorFlow's encoding, in which bytes sort like the values."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _next(self, count: int = 1) -> bytes:
        """Read bytes, and advance. Raises ``ValueError`` at the end of the key."""
        if self._at + count > len(self._data):
            raise ValueError("a key is truncated")
        self._at += count
        return self._data[self._at - count : self._at]

    def read_unsigned(self) -> int:
        """Read a number that is preceded by the count of its bytes."""
        return int.from_bytes(self._next(self._next()[0]), "big")

    def read_string(self) -> str:
        """Read a string that ends with 00 01; bytes 00 and FF are escaped by a second byte."""
        text = bytearray()
        while True:
            byte = self._next()
            if byte not in (b"\x00", b"\xff"):
                text += byte
                continue
            other = self._next()
            if byte == b"\x00" and other == b"\x01":
                return text.decode()
            text += byte

    def signed(self) -> int:
        """Read a signed number. Its leading 1 bits count its bytes; all bits of a negative number are inverted."""
        first = self._next()[0]
        mask = 0 if first & 0x80 else 0xFF
        bits = first ^ mask
        if bits != 0xFF:
            length = 8 - (bits ^ 0xFF).bit_length()
            value = bits & ((1 << (7 - length)) - 1) if length < 7 else 0
            follow = length - 1
        else:
            second = self._next()[0] ^ mask
            length = 8 if second < 0x80 else 9 if second < 0xC0 else 10
            value, follow = second & (0x7F, 0x3F, 0x1F)[length - 8], length - 2
        for byte in self._next(follow):
            value = value << 8 | (byte ^ mask)
        return ~value if mask else value


# Version 1 -------------------------------------------------------------------------------------------


def _version_1(table: Mapping[bytes, bytes]) -> dict[str, np.ndarray]:
    """Return {name: array} of the variables in a table of version 1, which stores all of them in slices."""
    meta = decode(TensorSlices, table.get(b"", b"")).meta
    shapes = {item.name: (item.type, item.shape.sizes if item.shape else ()) for item in (meta.tensor if meta else ())}
    slices_of: dict[str, _Slices] = {}
    for label, extents, tensor in _saved_slices(table):
        if label not in shapes:
            raise ValueError(f"it contains slices of {label}, which its first entry does not list")
        dtype, shape = shapes[label]
        if dtype == STRING:
            continue
        counts, place = slice_of(extents, shape)
        part = array_of_tensor(tensor, dtype, counts, label)
        slices_of.setdefault(label, _Slices(label, shape)).add(place, part)
    arrays: dict[str, np.ndarray] = {}
    missing = []
    for label, (dtype, _) in shapes.items():
        if dtype == STRING:
            continue
        slices = slices_of.get(label)
        if slices is None or slices.array is None or not slices.is_whole:
            missing.append(label)
        else:
            arrays[label] = slices.array
    if missing:
        raise ValueError(f"slices of {', '.join(missing)} are missing; copy the whole file")
    return arrays


def _saved_slices(table: Mapping[bytes, bytes]) -> Iterator[tuple[str, Extents, TensorProto]]:
    """Yield (name of the variable, extents, numbers) of each slice in a table of version 1."""
    for key, value in table.items():
        saved = decode(TensorSlices, value).data if key else None
        if saved is not None:
            label, extents = slice_key(key)
            yield label, extents, saved.data or TensorProto()


def _check(stored: int, computed: int, label: str) -> None:
    """Raise ``ValueError`` if the stored and the computed checksum of ``label`` differ."""
    if stored != computed:
        raise ValueError(f"the bytes of {label} do not have the checksum with which they were written")


def _check_strings(data: bytes, entry: Entry, label: str) -> bytes:
    """Return the strings of a tensor, concatenated. Raises ``ValueError`` if a checksum does not match.

    The data has the lengths of the strings, a checksum of the lengths (as 32-bit or 64-bit numbers), and the strings.
    The tensor's checksum continues the checksum of the lengths (``WriteStringTensor`` of tensor_bundle.cc).
    """
    if math.prod(entry.shape) > len(data):
        raise ValueError(f"{label} has {len(data)} bytes, too few for the lengths of {math.prod(entry.shape)} strings")
    position, lengths = 0, bytearray()
    for _ in range(math.prod(entry.shape)):
        size, position = read_varint(data, position)
        lengths += size.to_bytes(4 if size < 1 << 32 else 8, "little")
    end = position + 4
    _check(int.from_bytes(data[position:end], "little"), masked_crc(bytes(lengths)), f"the lengths of {label}")
    _check(entry.crc, masked_crc(bytes(lengths) + data[position:]), label)
    return data[end:]
