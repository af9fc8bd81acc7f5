"""Files that are replaced whole: whoever reads, and whatever stops the writer, sees the old one or the new one."""

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
from .locks import try_lock


def as_path(path: str | os.PathLike[str]) -> Path:
    """A path of a user's. Raises ``DtypeError`` or ``ArgumentError`` where no system takes it as one."""
    if not isinstance(path, str | os.PathLike) or not isinstance(text := os.fspath(path), str):
        raise DtypeError(f"{shown(path)} is no path; give a path as str or pathlib.Path")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded:
        raise ArgumentError(f"{shown(text)} can't be a path; give that of a file or directory")
    return Path(text)


@contextmanager
def replace_file(path: str | os.PathLike[str], mode: int = 0o666, lasting: bool = True) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` when the block ends without an error.

    It lies beside ``path`` under a name of its own until its bytes are on the disk. A file that is replaced
    hands on its permissions; a new one has what the umask leaves of ``mode``. What killed writers left behind is
    removed. Raises ``FileError`` where the system can't write, with ``path`` as it was.

    lasting: whether the file must outlive a power cut. Without, it may be found empty or cut after one, and nobody
    waits for the disk.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(target.stat().st_mode):
                raise FileError(f"can't write {os.fspath(path)}: it is no file; give a path that is free or a file's")
        _remove_leftovers(target)
        file, temporary = _beside(target, mode)
    except FileError:
        raise
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        with file:
            yield file
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
            if lasting:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        if lasting:
            sync_directory(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, FileError):
            raise _cannot_write(path, error) from None
        raise


def _beside(target: Path, mode: int) -> tuple[BinaryIO, Path]:
    """A new file in the folder of ``target``, locked for as long as it is open: that is how others see it is alive."""
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            mine = try_lock(descriptor) and os.fstat(descriptor).st_nlink > 0
        except OSError:  # a file system without locks, where nothing is taken for a leftover either
            mine = True
        if mine:
            return os.fdopen(descriptor, "wb"), temporary
        # Another writer took it for a leftover, in the moment before it was locked.
        os.close(descriptor)


def _remove_leftovers(target: Path) -> None:
    """Removes the temporary files of ``target`` whose writers are dead; those that still write hold a lock."""
    begin, rest = f".{target.name}.", re.compile(r"[0-9a-f]{16}\.part")
    for entry in os.scandir(target.parent):  # of which there may be very many
        if not entry.name.startswith(begin) or not rest.fullmatch(entry.name, len(begin)):
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if try_lock(descriptor):
                    os.unlink(entry.path)
            finally:
                os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Waits until the renaming has reached the disk, too."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> FileError:
    return FileError(f"can't write {os.fspath(path)}: {error.strerror or error}; give a path that can be written")
