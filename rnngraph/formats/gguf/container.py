"""Parses the header of a GGUF file: metadata, and the offset of each tensor.

Files are untrusted. Every length and count is checked against the remaining bytes before memory is allocated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...storage.read_file import open_file
from ...storage.stored_array import MIN_STORED_BYTES, Encoding, StoredArray, StoredFile
from ...support.allocation import empty
from ...support.errors import FileError, NotReadableError, shown
from ...support.records import dataclass
from ..reading import bytes_of_file

WHAT = "a GGUF file"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT, MAX_ALIGNMENT = 32, 1 << 20
"""Default of ``general.alignment`` in bytes, and the largest value that a file may state."""
READ_AHEAD = 1 << 18
"""Minimum bytes of a read from the file, so that the header's many small values need few reads."""
MAX_AXES = 4
MAX_ITEMS = 1 << 62
"""Maximum elements of a tensor. The file's size does not limit tensors of unknown types, so this does."""

_NUMBERS: Mapping[int, np.dtype[Any]] = {
    number: np.dtype(text)
    for number, text in {
        0: "u1",
        1: "i1",
        2: "<u2",
        3: "<i2",
        4: "<u4",
        5: "<i4",
        6: "<f4",
        7: "?",
        10: "<u8",
        11: "<i8",
        12: "<f8",
    }.items()
}
"""Dtypes of metadata, by GGUF's type number."""
_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True)
class Stored:
    """Description of a tensor in a file.

    Attributes:
        name: Name of the tensor.
        shape: Shape in NumPy's order, the reverse of the file's.
        type: GGUF's type number.
        offset: Offset of the first byte from the start of the tensor data.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


class Bytes:
    """Random access to the bytes of a file or of a ``bytes`` object.

    Attributes:
        name: The file's name in errors.
        size: Number of bytes.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self._file: StoredFile | None = None
        if isinstance(source, str | os.PathLike):
            self.name = os.fspath(source)
            self._file = _opened(source)
            self.size = self._file.size
            if self.size >= MIN_STORED_BYTES:
                self._file.identify()
        else:
            self.name, self._data = bytes_of_file(source, WHAT)
            self.size = len(self._data)

    def read(self, first: int, count: int) -> np.ndarray:
        """Return ``count`` bytes from the offset ``first``. Raise ``FileError`` if the file has changed."""
        if self._file is None:
            return np.frombuffer(self._data, np.uint8, count, first)
        data = empty((count,), np.uint8, f"tensors of {self.name}")
        self._file.read(first, data.data)
        return data

    def array(
        self, first: int, count: int, dtype: np.dtype[Any], shape: tuple[int, ...], encoding: Encoding | None
    ) -> np.ndarray | StoredArray:
        """Return the array in ``count`` bytes from the offset ``first``. Arrays of large files stay in the file.

        Args:
            first: Offset in bytes.
            count: Number of bytes.
            dtype: Dtype of the array.
            shape: Shape of the array.
            encoding: Form of the array in the file; None if its bytes are stored as they are.
        """
        if self._file is not None and self.size >= MIN_STORED_BYTES:
            return StoredArray(self._file, first, dtype, shape, encoding)
        data = self.read(first, count)
        return (data.view(dtype) if encoding is None else encoding.decode(data)).reshape(shape)


def _opened(source: str | os.PathLike[str]) -> StoredFile:
    """Open a file for reading. Raise ``FileError`` if that fails."""
    try:
        with open_file(source, WHAT) as file:
            return StoredFile(os.dup(file.fileno()), os.fspath(source))
    except FileNotFoundError:
        raise FileError(f"no file {os.fspath(source)}; give the path of {WHAT}") from None
    except (OSError, ValueError) as error:
        raise FileError(f"can't read {os.fspath(source)}: {error}; give the path of {WHAT}") from None


class Container:
    """Parsed header of a GGUF file.

    Attributes:
        name: Name of the file for errors.
        metadata: Numbers, strings (as bytes), arrays, and lists of strings (as bytes), by key.
        tensors: Tensors by name, in the file's order.
    """

    def __init__(self, source: Bytes) -> None:
        self._bytes, self.name = source, source.name
        cursor = _Cursor(source)
        self._check_version(cursor)
        tensors, entries = cursor.count(24), cursor.count(12)
        self.metadata: dict[str, Any] = {}
        for _ in range(entries):
            key = self._name(cursor, self.metadata, "metadata key")
            self.metadata[key] = cursor.value(cursor.number("<u4"))
        self.tensors: dict[str, Stored] = {}
        for _ in range(tensors):
            tensor = self._tensor(cursor)
            self.tensors[tensor.name] = tensor
        alignment = self.metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise self.damaged(
                f"general.alignment is {shown(alignment)}; it must be a power of two up to {MAX_ALIGNMENT:,}"
            )
        self._begin = -(-cursor.place // alignment) * alignment
        for tensor in self.tensors.values():
            if tensor.offset % alignment:
                raise self.damaged(f"{tensor.name} begins at byte {tensor.offset}, which is no multiple of {alignment}")

    def damaged(self, what: str) -> FileError:
        """Return the error for a damaged file."""
        return FileError(f"{self.name} is damaged: {what}; use an undamaged copy")

    def array_of(
        self, tensor: Stored, count: int, dtype: np.dtype[Any], shape: tuple[int, ...], encoding: Encoding | None
    ) -> np.ndarray | StoredArray:
        """Return an array that the first ``count`` bytes of a tensor contain. Arrays of large files stay in the file.

        Raise ``FileError`` if the bytes lie outside the file.
        """
        self.check(tensor, count)
        return self._bytes.array(self._begin + tensor.offset, count, dtype, shape, encoding)

    def check(self, tensor: Stored, count: int) -> None:
        """Raise ``FileError`` if ``count`` bytes of a tensor lie outside the file."""
        first = self._begin + tensor.offset
        if first + count > self._bytes.size:
            raise self.damaged(
                f"{tensor.name} occupies bytes {first:,} to {first + count:,}, but the file has {self._bytes.size:,}"
            )

    def _check_version(self, cursor: _Cursor) -> None:
        """Read the magic number and version. Raise an error unless they are those of little-endian GGUF 2 or 3."""
        if self._bytes.size < 4 or cursor.take(4).tobytes() != MAGIC:
            raise FileError(f"{self.name} is not {WHAT}: it does not begin with GGUF; give a .gguf file")
        version = cursor.number("<u4")
        if version in VERSIONS:
            return
        if not version & 0xFFFF:
            raise NotReadableError(f"{self.name} has big-endian byte order; write it in little-endian order")
        raise NotReadableError(f"{self.name} has GGUF version {version}, which is not supported; write version 2 or 3")

    def _name(self, cursor: _Cursor, known: Mapping[str, Any], what: str) -> str:
        """Read the name of a metadata entry or tensor. Raise ``FileError`` if it is invalid, or already in ``known``.

        Args:
            what: Kind of the named entry for errors, such as ``"tensor"``.
        """
        text = cursor.text()
        try:
            name = text.decode()
        except UnicodeDecodeError:
            raise self.damaged(f"a {what} is {shown(text)}, not UTF-8") from None
        if not name or not name.isprintable() or name in known:
            raise self.damaged(f"{what} {shown(name)} {'occurs twice' if name in known else 'is not a valid name'}")
        return name

    def _tensor(self, cursor: _Cursor) -> Stored:
        """Read the description of a tensor. Raise ``FileError`` if it is invalid."""
        name, axes = self._name(cursor, self.tensors, "tensor"), cursor.number("<u4")
        if not 1 <= axes <= MAX_AXES:
            raise self.damaged(f"{name} has {axes} axes; it must have 1 to {MAX_AXES}")
        shape = tuple(cursor.number("<u8") for _ in range(axes))[::-1]
        items = 1
        for size in shape:
            items *= size
        if not 0 < items <= MAX_ITEMS:
            raise self.damaged(f"{name} has shape {list(shape)}; it must have 1 to {MAX_ITEMS:,} entries")
        return Stored(name, shape, cursor.number("<u4"), cursor.number("<u8"))


class _Cursor:
    """Reader of a file's header, whose position advances with every value."""

    def __init__(self, source: Bytes) -> None:
        self._bytes, self.place = source, 0
        self._ahead, self._begin = np.empty(0, np.uint8), 0

    def take(self, count: int) -> np.ndarray:
        """Return the next ``count`` bytes. Raise ``FileError`` at the end of the file."""
        self._check(count)
        if self.place + count > self._begin + len(self._ahead):
            self._begin = self.place
            self._ahead = self._bytes.read(self.place, min(max(count, READ_AHEAD), self._bytes.size - self.place))
        first = self.place - self._begin
        self.place += count
        return self._ahead[first : first + count]

    def number(self, dtype: str) -> int:
        kind = np.dtype(dtype)
        return int(self.take(kind.itemsize).view(kind)[0])

    def count(self, min_bytes: int) -> int:
        """Read a count of entries. Raise ``FileError`` if the file is too short for entries of ``min_bytes`` each."""
        count = self.number("<u8")
        self._check(count * min_bytes)
        return count

    def text(self) -> bytes:
        return self.take(self.count(1)).tobytes()

    def value(self, kind: int) -> Any:
        """Read a value of metadata: a number, a string, an array, or a list of strings."""
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            items = self.number("<u4")
            if items == _TEXT:
                return self._texts(self.count(8))
            dtype = self._dtype(items)
            return self.take(self.count(dtype.itemsize) * dtype.itemsize).view(dtype)
        return self.take(self._dtype(kind).itemsize).view(self._dtype(kind))[0].item()

    def _texts(self, count: int) -> list[bytes]:
        return [self.text() for _ in range(count)]

    def _dtype(self, kind: int) -> np.dtype[Any]:
        """Return the dtype of metadata by GGUF's type number. Raise ``FileError`` for an unknown number."""
        dtype = _NUMBERS.get(kind)
        if dtype is None:
            raise FileError(
                f"{self._bytes.name} is damaged: the metadata at byte {self.place:,} has the unknown type {kind}; use "
                "an undamaged copy"
            )
        return dtype

    def _check(self, count: int) -> None:
        left = self._bytes.size - self.place
        if count > left:
            raise FileError(
                f"{self._bytes.name} is damaged: {count:,} bytes are needed at byte {self.place:,}, and {left:,} are "
                "left; use an undamaged copy"
            )
