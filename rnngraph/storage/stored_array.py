"""Arrays that stay in their file until they are read."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field

import numpy as np

from ..support.allocation import empty
from ..support.errors import FileError
from ..support.records import dataclass
from ..support.system import leased_pages

MIN_STORED_BYTES = 1 << 20
"""Minimum size, in bytes, of a file whose arrays stay in it; smaller files are read at once."""
_PIECE_BYTES = 1 << 22
_CLOCK_NS = 2 * 10**9
"""Resolution of file times, in nanoseconds. Two changes within this time may give a file the same time."""
_SAMPLES, _SAMPLE_BYTES = 64, 4096
"""Number and size in bytes of the pieces by which files of equal times are distinguished."""


def identity_numbers(status: os.stat_result) -> tuple[int, ...]:
    """Return a file's device, inode, size and times, in which a change shows once the times are settled."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_settled(status: os.stat_result) -> bool:
    """True if a later change of a file is bound to show in its times."""
    return time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _CLOCK_NS


class StoredFile:
    """Open file whose contents must not change.

    Replacing or removing the file at its path does no harm, since the open file is the old one.

    Attributes:
        identity: Text that only files of equal contents share, such as a verified digest; empty if unknown.
    """

    identity = ""

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
        """Fill ``into`` with bytes of the file from ``begin`` on. Raise ``FileError`` if the file has changed."""
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
            raise self._changed()

    @contextlib.contextmanager
    def leased(self, begin: int, count: int) -> Iterator[memoryview | None]:
        """Context manager that yields bytes of the file without copying them; None if others could change them.

        Raise ``FileError`` if the file has changed before.
        """
        with leased_pages(self.descriptor, begin, count) as pages:
            if pages is not None and self._now() != self._identity:
                raise self._changed()
            yield pages

    def _changed(self) -> FileError:
        return FileError(f"{self.shown} has changed since it was loaded; load it again")

    def digest(self, start: int = 0) -> str:
        """Return the SHA-256 of all bytes from ``start`` on, read in pieces."""
        digest = hashlib.sha256()
        for piece in self.pieces(start, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def identify(self) -> None:
        """Set ``identity`` to a digest of the file's inode, size, times and samples, unless it was just written.

        The samples distinguish files of read-only file systems whose times are all the same.
        """
        status = os.fstat(self.descriptor)
        if not is_settled(status):
            return
        digest = hashlib.sha256(repr(identity_numbers(status)).encode())
        sample = memoryview(bytearray(_SAMPLE_BYTES))
        for number in range(_SAMPLES + 1):
            begin = max(0, self.size - _SAMPLE_BYTES) * number // _SAMPLES
            piece = sample[: self.size - begin]
            self.read(begin, piece)
            digest.update(piece)
        self.identity = digest.hexdigest()

    def pieces(self, begin: int, end: int, multiple: int = 1) -> Iterator[memoryview]:
        """Yield the file's bytes from ``begin`` to ``end`` in pieces, each of which is valid until the next one.

        Sizes of all pieces but the last are multiples of ``multiple``.
        """
        step = _PIECE_BYTES // multiple * multiple
        memory = memoryview(bytearray(min(step, end - begin)))
        for place in range(begin, end, step):
            piece = memory[: min(step, end - place)]
            self.read(place, piece)
            yield piece

    def _read_some(self, begin: int, into: memoryview) -> int:
        """Read bytes of the file from ``begin`` on into a buffer. Return how many were read."""
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [into], begin)
        with self._lock:
            os.lseek(self.descriptor, begin, os.SEEK_SET)
            data = os.read(self.descriptor, min(len(into), 1 << 24))
        into[: len(data)] = data
        return len(data)


@dataclass(frozen=True)
class Encoding:
    """Form in which a file stores an array: blocks of bytes, each of which becomes some elements.

    Attributes:
        name: Name, by which encodings are compared.
        block_bytes: Bytes of a block.
        block_items: Elements of a block.
        decode: Function from the bytes of some blocks to their elements, as a contiguous array.
    """

    name: str
    block_bytes: int
    block_items: int
    decode: Callable[[np.ndarray], np.ndarray] = field(compare=False, repr=False)


@dataclass(frozen=True)
class StoredArray:
    """C-contiguous array in a file.

    Attributes:
        begin: Position of its first byte in the file.
        dtype: Dtype of the array that ``read`` returns.
        encoding: Form of the array in the file; None for the bytes of the array itself.
    """

    file: StoredFile = field(repr=False)
    begin: int
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    encoding: Encoding | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the array that ``read`` returns."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """Read the array from its file. Return it, read-only.

        Raises:
            FileError: The file has changed since it was opened.
            OutOfMemoryError: The array does not fit in memory.
        """
        memory = empty((self.nbytes,), np.uint8, f"an array of {self.file.shown}")
        if self.encoding is None:
            self.file.read(self.begin, memory.data)
        else:
            filled = 0
            for piece in self.pieces():
                memory[filled : filled + piece.nbytes] = np.frombuffer(piece, np.uint8)
                filled += piece.nbytes
        array = memory.view(self.dtype).reshape(self.shape)
        array.flags.writeable = False
        return array

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[np.ndarray]:
        """Context manager that yields the array, read-only, mapped or read from its file.

        If the system can keep others from changing the file meanwhile, a large array is mapped, and not copied.
        """
        is_mappable = self.encoding is None and not self.begin % self.dtype.alignment
        if not is_mappable or self.nbytes < MIN_STORED_BYTES:
            yield self.read()
            return
        with self.file.leased(self.begin, self.nbytes) as pages:
            yield self.read() if pages is None else np.frombuffer(pages, self.dtype).reshape(self.shape)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes of the array in pieces, each of which is valid until the next one."""
        if self.encoding is None:
            yield from self.file.pieces(self.begin, self.begin + self.nbytes)
            return
        block, decode = self.encoding.block_bytes, self.encoding.decode
        count = math.prod(self.shape) // self.encoding.block_items * block
        for piece in self.file.pieces(self.begin, self.begin + count, block):
            yield decode(np.frombuffer(piece, np.uint8)).data.cast("B")


@contextlib.contextmanager
def borrowed(values: Mapping[str, np.ndarray | StoredArray]) -> Iterator[dict[str, np.ndarray]]:
    """Context manager that yields {name: array}, with arrays in files mapped or read; it is empty afterwards."""
    with contextlib.ExitStack() as stack:
        arrays = {
            name: stack.enter_context(value.borrowed()) if isinstance(value, StoredArray) else value
            for name, value in values.items()
        }
        try:
            yield arrays
        finally:
            arrays.clear()


def as_array(value: np.ndarray | StoredArray) -> np.ndarray:
    """Return a value as an array: a ``StoredArray`` is read from its file."""
    return value.read() if isinstance(value, StoredArray) else value


def identity_of(value: np.ndarray | StoredArray) -> tuple[object, ...] | None:
    """Return a key that only arrays of equal contents share; None for an array that is not in a known file."""
    if not isinstance(value, StoredArray) or not value.file.identity:
        return None
    encoding = value.encoding and value.encoding.name
    return value.file.identity, value.begin, value.dtype.str, value.shape, encoding
