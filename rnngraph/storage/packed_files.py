"""Files of packed weights beside the cache of compiled code. Processes share them by mapping them into memory.

A file is written under a temporary name and renamed, and never changed afterwards. Its digest is verified before its
first use. A file that is missing or damaged is packed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..support.allocation import empty
from ..support.errors import FileError
from ..support.system import PrivateDirectory, create_private_directory, shared_pages
from .atomic_file import replace_file
from .stored_array import StoredArray, StoredFile
from .versioned_directory import KnownFiles

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MAX_BYTES = 2 << 30
"""Maximum bytes of all files. The oldest are removed."""
FREE_SHARE = 4
"""A file is written only if the disk has this many times its bytes free."""
_HEADER, _LINE = 4096, 64
_SUFFIX = ".packed"


class PackedFiles:
    """Packed weights by key, in a directory of the user's own. Safe for concurrent threads and processes.

    Attributes:
        max_bytes: Maximum bytes of all files.
    """

    def __init__(self, directory: Path, known: KnownFiles, max_bytes: int = MAX_BYTES) -> None:
        self.directory, self.max_bytes, self._known = directory, max_bytes, known

    def load(self, key: str, sizes: Sequence[int], is_own: bool = False) -> list[np.ndarray] | None:
        """Return the read-only arrays of packed weights stored under a key; None if missing, damaged or unsafe.

        Args:
            key: Key of the file.
            sizes: Bytes of each part.
            is_own: True for a file that this process has just written, which need not be verified.
        """
        try:
            with PrivateDirectory(self.directory) as folder:
                if folder.danger():
                    return None
                with contextlib.closing(_Descriptor(folder.open(key + _SUFFIX, os.O_RDONLY))) as opened:
                    if folder.danger_of(opened.number):
                        return None
                    return self._parts(opened.number, key, sizes, is_own)
        except (OSError, FileError):
            return None

    def _parts(self, descriptor: int, key: str, sizes: Sequence[int], is_own: bool) -> list[np.ndarray] | None:
        """Return the arrays of packed weights in an open file; None if its size, header or digest is wrong."""
        status, count = os.fstat(descriptor), sum(map(_padded, sizes))
        if not stat.S_ISREG(status.st_mode) or status.st_size != _HEADER + count:
            return None
        file = StoredFile(os.dup(descriptor), key + _SUFFIX)
        header = memoryview(bytearray(_HEADER))
        file.read(0, header)
        digest = bytes(header).rpartition(b"\n")[0].rpartition(b"\n")[2].decode("ascii", "replace")
        if bytes(header) != _header(key, digest):
            return None
        if not is_own and not self._known.is_known(status, digest):
            if file.digest(_HEADER) != digest:
                return None
            self._known.note(status, digest)
        whole = shared_pages(descriptor, status.st_size)
        if whole is None:
            return _split(_copy(file, count), sizes)
        return _split(np.frombuffer(whole, np.uint8)[_HEADER:], sizes)

    def store(self, key: str, parts: Sequence[np.ndarray | StoredArray]) -> None:
        """Write arrays of packed weights under a key, if they fit in ``max_bytes`` and the directory has room.

        A part in another file is copied in pieces, without reading it whole.
        """
        count = _HEADER + sum(_padded(part.nbytes) for part in parts)
        if count > self.max_bytes:
            return
        with contextlib.suppress(OSError, FileError):
            create_private_directory(self.directory)
            with PrivateDirectory(self.directory) as folder:
                if folder.danger() or shutil.disk_usage(self.directory).free < FREE_SHARE * count:
                    return
                self._make_room(folder, count)
                with replace_file(self.directory / (key + _SUFFIX), mode=0o600, lasting=False) as file:
                    digest = hashlib.sha256()
                    file.write(bytes(_HEADER))
                    for part in parts:
                        for piece in chain(_pieces(part), [bytes(_padded(part.nbytes) - part.nbytes)]):
                            digest.update(piece)
                            file.write(piece)
                    file.seek(0)
                    file.write(_header(key, digest.hexdigest()))

    def _make_room(self, folder: PrivateDirectory, count: int) -> None:
        """Remove the oldest files until ``count`` more bytes fit in ``max_bytes``."""
        from .eviction import remove_oldest

        files = [(time, name, size) for name, size, time in folder.sizes_and_times() if _SUFFIX in name]
        remove_oldest(folder, files, count + sum(size for _, _, size in files) - self.max_bytes)


class _Descriptor:
    """Open file that ``contextlib.closing`` can close."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        os.close(self.number)


def _header(key: str, digest: str) -> bytes:
    """Return the header of a file of packed weights, padded to a page, so that the arrays are aligned in memory."""
    return f"rnngraph packed weights 1\n{key}\n{digest}\n".encode().ljust(_HEADER, b"\0")


def _pieces(part: np.ndarray | StoredArray) -> Iterable[ReadableBuffer]:
    """Return the bytes of an array, in memory or in a file, in pieces."""
    return part.pieces() if isinstance(part, StoredArray) else [part.data]


def _padded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _copy(file: StoredFile, count: int) -> np.ndarray:
    """Return the bytes after a file's header, copied to memory of this process, aligned to a cache line."""
    raw = empty((count + _LINE,), np.uint8, "packed weights")
    offset = -raw.ctypes.data % _LINE
    memory: np.ndarray = raw[offset : offset + count]
    file.read(_HEADER, memory.data)
    return memory


def _split(whole: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    parts, begin = [], 0
    for size in sizes:
        parts.append(whole[begin : begin + size])
        begin += _padded(size)
    return parts
