"""Arrays that stay in their file until they are read."""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import field

import numpy as np

from ..support.allocation import empty
from ..support.errors import FileError
from ..support.records import dataclass

MIN_STORED_BYTES = 1 << 20
"""Minimum size, in bytes, of a file whose arrays stay in it; smaller files are read at once."""
_PIECE_BYTES = 1 << 22


class StoredFile:
    """Open file whose contents must not change.

    Replacing or removing the file at its path does no harm, since the open file is the old one.

    Attributes:
        verified: SHA-256 of all bytes, if it was verified when the file was opened; else empty.
    """

    verified = ""

    def __init__(self, descriptor: int, shown: str) -> None:
        """Take over an open descriptor. ``shown`` names the file in errors."""
        self.descriptor, self.shown = descriptor, shown
        self._lock = threading.Lock()
        self._identity = self._now()
        self.size = self._identity[0]

    def __del__(self) -> None:
        os.close(self.descriptor)

    def _now(self) -> tuple[int, int]:
        """Return the present size and time of modification of the file."""
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns

    def read(self, begin: int, into: memoryview) -> None:
        """Fill a buffer with the bytes from ``begin`` on. Raise ``FileError`` if the file has changed meanwhile."""
        filled = 0
        try:
            while filled < len(into):
                count = self._read_some(begin + filled, into[filled:])
                if not count:
                    break
                filled += count
            is_unchanged = filled == len(into) and self._now() == self._identity
        except OSError as error:
            raise FileError(f"can't read {self.shown}: {error.strerror or error}; load it again") from None
        if not is_unchanged:
            raise FileError(f"{self.shown} has changed since it was loaded; load it again")

    def digest(self, start: int = 0) -> str:
        """Return the SHA-256 of all bytes from ``start`` on, read in pieces."""
        digest = hashlib.sha256()
        for piece in self.pieces(start, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def pieces(self, begin: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes from ``begin`` to ``end`` in pieces, each of which is valid until the next one."""
        memory = memoryview(bytearray(_PIECE_BYTES))
        for place in range(begin, end, _PIECE_BYTES):
            piece = memory[: min(_PIECE_BYTES, end - place)]
            self.read(place, piece)
            yield piece

    def _read_some(self, begin: int, into: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [into], begin)
        with self._lock:
            os.lseek(self.descriptor, begin, os.SEEK_SET)
            data = os.read(self.descriptor, min(len(into), 1 << 24))
        into[: len(data)] = data
        return len(data)


@dataclass(frozen=True)
class StoredArray:
    """C-contiguous array in a file.

    Attributes:
        begin: Position of its first byte in the file.
    """

    file: StoredFile = field(repr=False)
    begin: int
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """Return the array, read-only.

        Raises:
            FileError: The file has changed since it was opened.
            OutOfMemoryError: The array does not fit in memory.
        """
        memory = empty((self.nbytes,), np.uint8, f"an array of {self.file.shown}")
        self.file.read(self.begin, memory.data)
        array = memory.view(self.dtype).reshape(self.shape)
        array.flags.writeable = False
        return array

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes in pieces, as ``StoredFile.pieces`` does."""
        return self.file.pieces(self.begin, self.begin + self.nbytes)


def as_array(value: np.ndarray | StoredArray) -> np.ndarray:
    """Return a value as an array: a ``StoredArray`` is read from its file."""
    return value.read() if isinstance(value, StoredArray) else value


def identity_of(value: np.ndarray | StoredArray) -> tuple[object, ...] | None:
    """Return a key that only arrays of equal contents share; None for an array that is not in a verified file."""
    if not isinstance(value, StoredArray) or not value.file.verified:
        return None
    return value.file.verified, value.begin, value.dtype.str, value.shape
