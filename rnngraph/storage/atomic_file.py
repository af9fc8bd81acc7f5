"""Atomic replacement of files: readers see the old file or the new one, even if the writer is killed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..support.errors import ArgumentError, DtypeError, FileError, shown
from ..support.system import open_own, replace, set_mode, sync_directory, try_lock


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return a user's path as a ``Path``. Raise ``DtypeError`` or ``ArgumentError`` for an invalid one."""
    if not isinstance(path, str | os.PathLike) or not isinstance(text := os.fspath(path), str):
        raise DtypeError(f"{shown(path)} is not a path; give a path as str or pathlib.Path")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded:
        raise ArgumentError(f"{shown(text)} can't be a path; give the path of a file or directory")
    return Path(text)


@contextmanager
def replace_file(path: str | os.PathLike[str], mode: int = 0o666, lasting: bool = True) -> Iterator[BinaryIO]:
    """Context manager that yields a file to write, and moves it to ``path`` if the block succeeds.

    Until then the file has a temporary name in the same folder. Temporary files of killed writers are removed.

    Args:
        path: The file to replace. Its permissions are kept; links are followed.
        mode: Permissions of a new file, before the umask.
        lasting: Wait until the file is on the disk. Otherwise a power cut may leave it empty or truncated.

    Raises:
        FileError: The file cannot be written, or the block raises ``OSError``; ``path`` is unchanged.
    """
    target = Path(os.path.realpath(path))  # if the path is a link, replace its target and keep the link
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise FileError(
                    f"can't write {os.fspath(path)}: it is not a regular file; give a path that is free, or of a file"
                )
        _remove_leftovers(target)
        file, temporary = _create_temporary(target, mode)
    except FileError:
        raise
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        with file:
            yield file
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                set_mode(file.fileno(), target.stat().st_mode & 0o777)
            if lasting:
                os.fsync(file.fileno())
            replace(temporary, target)
        if lasting:
            sync_directory(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, FileError):
            raise _cannot_write(path, error) from None
        raise


def _create_temporary(target: Path, mode: int) -> tuple[BinaryIO, Path]:
    """Create and lock a temporary file next to ``target``, with permissions ``mode``. Return (open file, its path).

    Its lock is a sign that the writer lives.
    """
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        descriptor = open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            is_own = try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0
        except OSError:  # a file system without locks, on which leftovers are never removed either
            is_own = True
        if is_own:
            return os.fdopen(descriptor, "wb"), temporary
        # Another writer removed it as a leftover before it was locked.
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    """Remove temporary files next to ``target`` that writers who died have left."""
    prefix, suffix = f".{target.name}.", re.compile(r"[0-9a-f]{16}\.part")
    for entry in os.scandir(target.parent):
        if not entry.name.startswith(prefix) or not suffix.fullmatch(entry.name, len(prefix)):
            continue
        with contextlib.suppress(OSError):  # removed meanwhile, or owned by another user
            descriptor = open_own(entry.path, os.O_RDONLY)
            try:
                if try_lock(descriptor):
                    os.unlink(entry.path)
            finally:
                os.close(descriptor)


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> FileError:
    return FileError(f"can't write {os.fspath(path)}: {error.strerror or error}; give a path that can be written")
