"""Files, locks, private directories and limits of memory on Windows."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import byref, c_void_p
from pathlib import Path

assert sys.platform == "win32"

import msvcrt  # noqa: E402  (after the check of the system, for type checkers)

from . import windows_api as api  # noqa: E402
from .windows_security import danger_of, private_directory_rights  # noqa: E402

_LOCKED_BYTE = 1 << 40
"""Position of the byte that is locked in place of a whole file.

It lies beyond the end of every file, because Windows does not let others read a locked byte.
"""
_REPLACE_TIMEOUT_S = 2.0
"""Maximum seconds in which a replacement is retried. Virus scanners keep new files open for some milliseconds."""
_EVERY = api.SHARE_READ | api.SHARE_WRITE | api.SHARE_DELETE


def open_for_reading(path: str | os.PathLike[str]) -> int:
    """Open a file, or the target of a link. Return its descriptor. Others may rename or replace it meanwhile."""
    return _open(os.fspath(path), os.O_RDONLY, 0)


def open_own(path: str | os.PathLike[str], flags: int, mode: int = 0o600) -> int:
    """Open a file that the package wrote itself. Return its descriptor.

    Args:
        path: The file.
        flags: Flags of ``os.open``.
        mode: Unused: a new file inherits the access control list of its folder.

    Raises:
        OSError: The file cannot be opened, or is a link (``ELOOP``).
    """
    descriptor = _open(os.fspath(path), flags, api.OPEN_REPARSE_POINT)
    if os.fstat(descriptor).st_file_attributes & api.REPARSE_POINT:
        os.close(descriptor)
        raise OSError(errno.ELOOP, "it is a symbolic link", os.fspath(path))
    return descriptor


def _open(path: str, flags: int, attributes: int) -> int:
    """Open a file so that it can be renamed, replaced and removed while open, as on POSIX. Return its descriptor."""
    access = api.GENERIC_READ
    if flags & os.O_RDWR:
        access |= api.GENERIC_WRITE
    elif flags & os.O_WRONLY:  # a handle that can only append does so atomically
        access = api.FILE_APPEND_DATA if flags & os.O_APPEND else api.GENERIC_WRITE
        access |= api.FILE_READ_ATTRIBUTES | api.READ_CONTROL | api.SYNCHRONIZE
    creates = {os.O_CREAT: api.OPEN_ALWAYS, os.O_CREAT | os.O_EXCL: api.CREATE_NEW}
    how = creates.get(flags & (os.O_CREAT | os.O_EXCL), api.OPEN_EXISTING)
    handle = api.create_file(path, access, _EVERY, None, how, attributes, None)
    if handle == api.INVALID_HANDLE:
        raise _error(path)
    return msvcrt.open_osfhandle(handle, flags & (os.O_RDONLY | os.O_APPEND) | os.O_BINARY | os.O_NOINHERIT)


def _error(path: str) -> OSError:
    error = ctypes.WinError(ctypes.get_last_error())
    return OSError(error.errno, error.strerror, path, error.winerror)


def set_mode(descriptor: int, mode: int) -> None:
    """Do nothing: a file has the access control list that it inherited from its folder."""


def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a file, and replace ``target`` atomically. Wait a little for others who have it open."""
    end, pause = time.monotonic() + _REPLACE_TIMEOUT_S, 0.001
    while True:
        try:
            os.replace(source, target)
        except PermissionError:
            if time.monotonic() >= end or os.path.isdir(target):
                raise
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        else:
            return


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Do nothing: the file system's journal keeps the order of renamings, and directories cannot be flushed."""


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file. The lock lasts until the file is closed. Return False if another holds the lock.

    Raises:
        OSError: The file system has no locks.
    """
    return try_lock_byte(descriptor, _LOCKED_BYTE)


def try_lock_byte(descriptor: int, position: int) -> bool:
    """Try to lock one byte of an open file. Return False if another process holds it.

    Args:
        descriptor: An open file.
        position: Position of the byte, which may lie beyond the end of the file.

    Raises:
        OSError: The file system has no locks.
    """
    place = api.Overlapped(position_low=position & 0xFFFF_FFFF, position_high=position >> 32)
    flags = api.FAIL_IMMEDIATELY | api.EXCLUSIVE
    if api.lock_file(msvcrt.get_osfhandle(descriptor), flags, 0, 1, 0, byref(place)):
        return True
    error = ctypes.get_last_error()
    if error in (api.LOCK_VIOLATION, api.IO_PENDING):
        return False
    raise ctypes.WinError(error)


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Context manager that admits one writer to a directory at a time, by a mutex named by the directory's path.

    Writers on other machines are not excluded.
    """
    if not directory.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", os.fspath(directory))
    path = os.path.normcase(os.path.realpath(directory))
    mutex = api.create_mutex(None, False, f"Global\\rnngraph-{hashlib.sha256(path.encode()).hexdigest()}")
    if not mutex:  # the mutex belongs to another user: without rights to it, the writer is not excluded
        yield
        return
    try:
        api.wait_for(mutex, api.WAIT_FOREVER)
        yield
    finally:
        api.release_mutex(mutex)
        api.close_handle(mutex)


class PrivateDirectory:
    """Open directory for files that only the user may have written.

    While it is open, neither it nor a directory around it can be renamed or removed, so that its path leads to it.

    Raises:
        OSError: The path is no directory, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text, shared = os.fspath(path), api.SHARE_READ | api.SHARE_WRITE
        access = api.FILE_READ_ATTRIBUTES | api.READ_CONTROL | api.GENERIC_READ
        handle = api.create_file(text, access, shared, None, api.OPEN_EXISTING, api.BACKUP_SEMANTICS, None)
        if handle == api.INVALID_HANDLE:
            raise _error(text)
        self._handle: int = handle
        if not stat.S_ISDIR(os.stat(path).st_mode):
            api.close_handle(handle)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text)

    def __enter__(self) -> PrivateDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        api.close_handle(self._handle)

    def danger(self) -> str:
        """Return the reason why others may have written to the directory; empty if they cannot."""
        return danger_of(self._handle)

    def danger_of(self, descriptor: int) -> str:
        """Return the reason why others may have written to an open file; empty if they cannot."""
        return danger_of(msvcrt.get_osfhandle(descriptor))

    def open(self, name: str, flags: int) -> int:
        """Open a file as ``open_own`` does. A new file has the directory's access control list."""
        return open_own(self.path / name, flags)

    def note_use(self, name: str, descriptor: int) -> None:
        """Set an open file's time of modification to now."""
        os.utime(self.path / name)

    def remove(self, name: str) -> None:
        os.unlink(self.path / name)

    def sizes_and_times(self) -> Iterator[tuple[str, int, int]]:
        """Yield (name, bytes, time of modification in ns) of each entry."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                    yield entry.name, status.st_size, status.st_mtime_ns


def create_private_directory(path: Path) -> None:
    """Create a directory that only the user can read or write, with missing parents, unless it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        return
    descriptor = c_void_p()
    api.check(api.security_of_text(private_directory_rights(), 1, byref(descriptor), None))
    try:
        attributes = api.SecurityAttributes(ctypes.sizeof(api.SecurityAttributes), descriptor, 0)
        if not api.create_directory(os.fspath(path), byref(attributes)) and not path.is_dir():
            raise _error(os.fspath(path))
    finally:
        api.local_free(descriptor)


def user_cache() -> Path | None:
    """Return the directory for the user's cached files; None without a home."""
    home = os.path.expanduser("~")
    return Path(home, "AppData", "Local") if os.path.isabs(home) else None


def cache_records() -> dict[int, int]:
    """Return {level, 1 to 3: bytes of that data cache}, from Windows' processor information."""
    sizes: dict[int, int] = {}
    length = ctypes.c_uint32()
    api.processor_information(_CACHES, None, byref(length))
    records = ctypes.create_string_buffer(length.value)
    if not length.value or not api.processor_information(_CACHES, records, byref(length)):
        return sizes
    place, data = 0, records.raw
    while place + 20 <= length.value:  # SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, whose second word is its size
        level, kind = data[place + 8], data[place + 16]
        if level in (1, 2, 3) and kind != _INSTRUCTIONS:
            sizes.setdefault(level, int.from_bytes(data[place + 12 : place + 16], "little"))
        place += int.from_bytes(data[place + 4 : place + 8], "little") or length.value
    return sizes


_CACHES, _INSTRUCTIONS = 2, 1
"""Kind of records that describe caches (``RelationCache``), and the type of instruction caches in these records."""


def executable_page(descriptor: int) -> mmap.mmap:
    """Raise ``OSError``: only Linux' perf needs such a page."""
    raise OSError("files can't be mapped as executable memory here")


def large_pages(count: int) -> mmap.mmap | None:
    """Return None: large pages of Windows need a privilege."""
    return None


class ExecutableMemory:
    """Counterpart of the POSIX class, which always raises: on Windows, LLVM loads machine code."""

    address = 0

    def __init__(self, content: bytes) -> None:
        """Raise ``OSError``."""
        raise OSError("objects are loaded by LLVM here")


def cores() -> int:
    """Return the number of processors of the machine."""
    return os.cpu_count() or 1


def process_limits() -> Iterator[tuple[int, str, str]]:
    """Yield nothing: processes of Windows have no limits of their own."""
    return iter(())


def free_memory() -> Iterator[tuple[int, str]]:
    """Yield (remaining bytes, description) of physical memory, and of physical memory plus page files."""
    status = api.MemoryStatus(size=ctypes.sizeof(api.MemoryStatus))
    if api.memory_status(byref(status)):
        yield status.free_physical, "available on this machine"
        yield status.free_commit, "left of this machine's memory and page files"


def shared_pages(descriptor: int, count: int) -> mmap.mmap | None:
    """Return None: a mapped file could not be replaced or removed."""


@contextmanager
def leased_pages(descriptor: int, begin: int, count: int) -> Iterator[memoryview | None]:
    """Context manager that yields None: a mapped file could not be replaced or removed."""
    yield None
