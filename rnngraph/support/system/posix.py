"""Files, locks, private directories and limits of memory on Linux, macOS and other POSIX systems."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

assert sys.platform != "win32"


def open_for_reading(path: str | os.PathLike[str]) -> int:
    """Open a file, or the target of a link, without waiting for the writer of a pipe. Return its descriptor."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def open_own(path: str | os.PathLike[str], flags: int, mode: int = 0o600, folder: int | None = None) -> int:
    """Open a file that the package wrote itself. Return its descriptor.

    Args:
        path: The file; a name within ``folder``, if that is given.
        flags: Flags of ``os.open``.
        mode: Permissions of a new file, before the umask.
        folder: Descriptor of a directory.

    Raises:
        OSError: The file cannot be opened, or is a link (``ELOOP``).
    """
    safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags | safe, mode=mode, dir_fd=folder)


def set_mode(descriptor: int, mode: int) -> None:
    """Set the permissions of an open file to those of the file that it will replace."""
    os.fchmod(descriptor, mode)


def replace(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a file, and replace ``target`` atomically."""
    os.replace(source, target)


def sync_directory(directory: str | os.PathLike[str]) -> None:
    """Wait until changes of a directory's entries, such as a renaming, are on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Try to lock an open file. The lock lasts until the file is closed. Return False if another holds the lock.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def try_lock_byte(descriptor: int, position: int) -> bool:
    """Try to lock one byte of an open file. Return False if another process holds it.

    Args:
        descriptor: A file open for writing.
        position: Position of the byte, which may lie beyond the end of the file.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, position)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Context manager that admits one writer to a directory at a time, if the file system has locks."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class PrivateDirectory:
    """Open directory for files that only the user may have written.

    Names are looked up in the directory that was opened, even if its path leads elsewhere meanwhile.

    Raises:
        OSError: The path is no directory, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> PrivateDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def danger(self) -> str:
        """Return the reason why others may have written to the directory; empty if they cannot."""
        return self.danger_of(self._descriptor)

    def danger_of(self, descriptor: int) -> str:
        """Return the reason why others may have written to an open file; empty if they cannot."""
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            return "it belongs to another user"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "others may write to it; take that away with chmod go-w"
        return ""

    def open(self, name: str, flags: int) -> int:
        """Open a file as ``open_own`` does. A new file is the user's alone."""
        return open_own(name, flags, folder=self._descriptor)

    def note_use(self, name: str, descriptor: int) -> None:
        """Set an open file's time of modification to now."""
        os.utime(descriptor)

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._descriptor)

    def sizes_and_times(self) -> Iterator[tuple[str, int, int]]:
        """Yield (name, bytes, time of modification in ns) of each entry."""
        with os.scandir(self._descriptor) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                    yield entry.name, status.st_size, status.st_mtime_ns


def create_private_directory(path: Path) -> None:
    """Create a directory that only the user can read or write, with missing parents, unless it exists."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def user_cache() -> Path | None:
    """Return the directory for the user's cached files; None without a home."""
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return None
    return Path(home, "Library", "Caches") if sys.platform == "darwin" else Path(home, ".cache")


def executable_page(descriptor: int) -> mmap.mmap:
    """Map the first page of an open file as executable memory."""
    return mmap.mmap(descriptor, mmap.PAGESIZE, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)


def large_pages(count: int) -> mmap.mmap | None:
    """Return ``count`` bytes of new memory in pages of 2 MiB, as far as the system has them; None if it can't ask.

    The other pages have the usual size. Raise ``OSError`` if memory is short.
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    pages = mmap.mmap(-1, count, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # the kernel was built without large pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


class ExecutableMemory:
    """Memory with machine code, which is freed with this object.

    Attributes:
        address: Address of its first byte.
    """

    def __init__(self, content: bytes) -> None:
        """Copy ``content`` to executable memory. Raise ``OSError`` if the system does not permit it."""
        self._pages = mmap.mmap(-1, len(content), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._pages.write(content)
        self._first = ctypes.c_char.from_buffer(self._pages)
        self.address = ctypes.addressof(self._first)
        library = ctypes.CDLL(None, use_errno=True)
        pages, count = ctypes.c_void_p(self.address), ctypes.c_size_t(len(content))
        if library.mprotect(pages, count, mmap.PROT_READ | mmap.PROT_EXEC):
            raise OSError(ctypes.get_errno(), "memory can't be made executable")


def cores() -> int:
    """Return the number of processors that this process may use; on macOS, that of the machine."""
    if sys.platform == "darwin":
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


def process_limits() -> Iterator[tuple[int, str, str]]:
    """Yield each limit of the process: bytes, line of ``/proc/self/status`` with the usage, description."""
    kinds = ((resource.RLIMIT_AS, "VmSize", "address space"), (resource.RLIMIT_DATA, "VmData", "data"))
    for kind, line, what in kinds:
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            yield limit, line, what


def free_memory() -> Iterator[tuple[int, str]]:
    """Yield nothing: POSIX has no call that reports free memory. ``support/allocation.py`` reads the files of Linux."""
    return iter(())


_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "overlay"}
"""File systems whose files only processes of this machine change."""


def shared_pages(descriptor: int, count: int) -> mmap.mmap | None:
    """Map ``count`` bytes of an open file for reading; None if another machine could truncate the file.

    A read beyond the end of a truncated file kills the process.
    """
    if not _is_local(os.fstat(descriptor).st_dev):
        return None
    return mmap.mmap(descriptor, count, mmap.MAP_SHARED, mmap.PROT_READ)


def _is_local(device: int) -> bool:
    """True if a device number is that of a local file system, which no other machine writes to."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            kinds = [line.partition(" - ")[2].split()[0] for line in mounts if line.split()[2] == number]
    except (OSError, IndexError):  # only Linux has this list
        return False
    return bool(kinds) and _LOCAL.issuperset(kinds)


@contextmanager
def leased_pages(descriptor: int, begin: int, count: int) -> Iterator[memoryview | None]:
    """Context manager that yields bytes of an open file, mapped under a read lease; None if there is no lease.

    A lease delays processes that open the file for writing, or truncate it, by up to 45 s. There is no lease
    if the file belongs to another user, is open for writing, or lies on a file system without leases.
    """
    with contextlib.ExitStack() as stack:
        try:
            pages = _leased(descriptor, begin, count, stack)
        except (OSError, ValueError):  # no lease, or a file that is too short
            pages = None
        yield pages


def _leased(descriptor: int, begin: int, count: int, stack: contextlib.ExitStack) -> memoryview:
    """Take a read lease of a file, and return its mapped bytes. Closing ``stack`` gives both back."""
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, "only Linux has leases")
    # A lease belongs to one opening of a file. With openings of their own, threads return only their own leases.
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, own)
    if not _is_local(os.fstat(own).st_dev):
        raise OSError(errno.EOPNOTSUPP, "other machines may change the file")
    fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGURG)  # sent if someone waits; by default, processes ignore it
    fcntl.fcntl(own, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    stack.callback(fcntl.fcntl, own, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    offset = begin % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(own, offset + count, mmap.MAP_SHARED, mmap.PROT_READ, offset=begin - offset)
    stack.callback(pages.close)
    return stack.enter_context(stack.enter_context(memoryview(pages))[offset:])
