"""Bounded reading of regular files.

Devices and pipes are refused: they may never end, and opening a pipe blocks until a writer opens it.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from ..support.allocation import reserve
from ..support.errors import FileError
from ..support.system import open_for_reading
from .atomic_file import as_path

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_file(path: str | os.PathLike[str], what: str = "a file") -> BinaryIO:
    """Open a regular file for reading, and refuse devices, pipes and directories. Return the file object.

    Args:
        path: The file, or a link to it.
        what: The format for errors, such as ``"an ONNX file"``.

    Raises:
        FileError: The path is a directory, device, pipe or socket.
        OSError: The system cannot open it.
    """
    check_regular(os.stat(path).st_mode, path, what)  # first, because opening a device may have side effects
    descriptor = open_for_reading(path)
    try:
        check_regular(os.fstat(descriptor).st_mode, path, what)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(mode: int, path: str | os.PathLike[str], what: str) -> None:
    """Raise ``FileError`` if a file is not a regular file."""
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "no regular file")
        raise FileError(f"{os.fspath(path)} is {kind}; give the path of {what}")


def read_file(path: str | os.PathLike[str], what: str, max_bytes: int | None = None, copies: int = 1) -> bytes:
    """Return all bytes of a regular file, if they fit in memory.

    Args:
        path: The file, or a link to it.
        what: The format for errors, such as ``"an ONNX file"``.
        max_bytes: Maximum size in bytes; longer files are refused.
        copies: Number of copies of the bytes that the caller holds at once and that must fit in memory.

    Raises:
        FileError: The file is missing, unreadable, longer than ``max_bytes``, or changes while it is read.
        OutOfMemoryError: The copies do not fit in memory.
    """
    file_path = as_path(path)
    try:
        with open_file(file_path, what) as file:
            size = os.fstat(file.fileno()).st_size
            if max_bytes is not None and size > max_bytes:
                raise FileError(
                    f"{file_path} has {size:,} bytes, and {max_bytes:,} at most are read; give a smaller file"
                )
            reserve(copies * size, f"what {file_path} holds")
            data = file.read(size + 1)
    except FileNotFoundError:
        raise FileError(f"no file {file_path}; give the path of {what}") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"can't read {file_path}: {error.strerror or error}; give the path of {what}") from None
    if len(data) != size:
        raise FileError(
            f"{file_path} has a size of {size:,} bytes, but another number was read: another program is writing it, or "
            "the system generates it (as in /proc); copy it, and give the copy"
        )
    return data
