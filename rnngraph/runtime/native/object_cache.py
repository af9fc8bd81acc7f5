"""On-disk cache of compiled code, in a directory to which only the user can write.

Code of an invalid file is recompiled; an unusable directory turns the cache off.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...codegen.machine import host
from ...codegen.machine.interface import ObjectCode
from ...storage.atomic_file import as_path, replace_file
from ...storage.stored_array import identity_numbers, is_settled
from ...support.errors import ArgumentError, DtypeError, Place, Where, shown, warn
from ...support.system import PrivateDirectory, create_private_directory, user_cache
from .object_file import from_bytes, to_bytes

if TYPE_CHECKING:
    from ...ir.graph import Graph
    from ..graph_file import StoredGraphs

ContentT = TypeVar("ContentT")
MAX_BYTES = 256 << 20
"""Default of the maximum size of all files in a cache."""
LOCKS = ".locks"
"""Name of the lock file. A locked byte marks a key that some process is compiling."""
PAGES = ".pages"
"""Name of the size counter: a file of at least one byte for each page of the other files, which need not be listed."""
LOCK_TIMEOUT_S = 60.0
"""Seconds that a process waits for another one to compile the same code, before it compiles the code itself."""
MIN_NODES = 500
"""Minimum nodes of a graph for which the cache keeps what is derived from it. For fewer, deriving is fast."""
_PAGE = 4096
_OURS = re.compile(r"[0-9a-f]{64}\.(code|graph|known)|\.[0-9a-f]{64}\.(code|graph|known)\.[0-9a-f]{16}\.part")


def _sources() -> str | None:
    """Return a digest of the compiler's sources; None if they cannot be read, as in an archive."""
    try:
        return _digest_of(Path(__file__).parents[2], ("ir", "passes", "codegen", "runtime"))
    except OSError:
        return None


def _digest_of(package: Path, names: Sequence[str]) -> str:
    """Return a digest of the paths and contents of all sources in the folders ``names`` of a package."""
    paths: list[str] = []
    folders = [folder for name in names if os.path.isdir(folder := os.path.join(package, name))]
    for folder in folders:  # the list grows meanwhile
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    paths.append(entry.path)
                elif entry.name != "__pycache__" and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    if not paths:
        raise FileNotFoundError(f"{package} holds no sources")
    digest, start = hashlib.sha256(), len(os.path.join(package, ""))
    for path in sorted(paths):
        with open(path, "rb", buffering=0) as file:
            content = file.read()
        digest.update(f"{path[start:]}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


# Computed at import (3 ms), because later edits do not affect this process.
_SOURCES = _sources()


def key_of(*meaning: object) -> str:
    """Return the cache key of code: a digest of everything that determines its bytes.

    The digest includes the version of NumPy, which folds constants. ``meaning`` is the graph, target, sizes and
    options.
    """
    return hashlib.sha256(repr((_SOURCES, host.versions(), np.__version__, meaning)).encode()).hexdigest()


def is_worth_keeping(graph: Graph) -> bool:
    """True if a graph is so large that the cache should keep what is derived from it."""
    return sum(1 for _ in graph.walk()) >= MIN_NODES


def cache_of(option: Any, where: Where | None) -> Cache | None:
    """Return the cache for ``compile(cache=option)``: True for the user's directory, or a path for another one.

    False, a missing home or unreadable sources of the compiler give None. So does, with a warning, a directory that
    others can write to, or a path at which no directory can be made.
    """
    if isinstance(option, Cache):  # shared with another program
        return option
    if not isinstance(option, bool | str | os.PathLike):
        raise DtypeError(f"cache={shown(option)} must be True, False or the path of a directory", where)
    if isinstance(option, str) and not option:
        raise ArgumentError('cache="" is not the path of a directory; pass cache=False for no cache', where)
    if option is False or _SOURCES is None:
        return None
    directory = _user_directory() if isinstance(option, bool) else Path(os.path.abspath(as_path(option)))
    if directory is None:
        return None
    cache = Cache(directory)
    problem = cache.problem(create=option is not True)
    if problem:
        warn(f"compiled code is not kept in {directory}: {problem}", where)
    return None if problem else cache


def option_of(cache: Cache | None) -> bool | str:
    """Return the ``compile(cache=…)`` option that selects a cache: False for None, True for the user's directory."""
    if cache is None:
        return False
    return True if cache.directory == _user_directory() else str(cache.directory)


def _user_directory() -> Path | None:
    """Return the operating system's cache directory; None if the user has no home.

    ``XDG_CACHE_HOME`` has precedence on every system (XDG Base Directory Specification).
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base) if os.path.isabs(base) else user_cache()
    return None if folder is None else folder / "rnngraph"


class Cache:
    """Cache of object code by key, and of digests of verified large files. Threads and processes may share it.

    Attributes:
        max_bytes: Maximum size of all files. The least recently used ones are evicted.
    """

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES) -> None:
        self.directory, self.max_bytes = directory, max_bytes

    def problem(self, create: bool) -> str:
        """Return the reason why the directory must not be used; empty if there is none.

        If ``create``, create the directory, and return other failures, too.
        """
        try:
            if create:
                create_private_directory(self.directory)
            with PrivateDirectory(self.directory) as folder:
                return folder.danger()
        except OSError as error:
            return f"{error.strerror or error}" if create else ""

    def share_host_facts(self) -> None:
        """Read the facts that LLVM reported about this machine, so that LLVM is not loaded; or store them if absent.

        If this process knows the facts already, do nothing.
        """
        if host.are_known() or not (identity := host.identity()):
            return
        name = f"{identity}.known"
        with contextlib.suppress(OSError), PrivateDirectory(self.directory) as folder:
            text = _read(name, _check_directory(folder), self.max_bytes)
            if text is not None and host.recall(text):
                return
        self._write(name, host.facts_text())

    def load(self, key: str) -> ObjectCode | None:
        """Return the stored code; None if it is missing, damaged or in a file of another user."""
        return self._load(key, ".code", from_bytes)

    def load_graphs(self, key: str, places: Sequence[Place] = ()) -> StoredGraphs | None:
        """Return stored graphs; None if they are missing, damaged or in a file of another user.

        ``places`` replaces the source lines with which the graphs were stored.
        """
        from ..graph_file import from_bytes as graphs_from_bytes  # needed for large graphs only

        return self._load(key, ".graph", partial(graphs_from_bytes, places=places))

    def store_graphs(self, key: str, stored: StoredGraphs, places: Sequence[Place] = ()) -> None:
        """Store graphs for later processes, if the directory is writable and they fit in the cache.

        Later processes may have other source lines in place of ``places``.
        """
        from ..graph_file import to_bytes as graphs_to_bytes

        data = graphs_to_bytes(key, stored, places)
        if len(data) <= self.max_bytes:
            self._write(f"{key}.graph", data)

    def store(self, key: str, code: ObjectCode) -> None:
        """Store code for later processes, if the directory is writable and the code fits in the cache."""
        data = to_bytes(key, code)
        if len(data) <= self.max_bytes:
            self._write(f"{key}.code", data)

    def _write(self, name: str, data: bytes) -> None:
        """Write a file if the directory is writable, and evict others if there are too many bytes."""
        with contextlib.suppress(OSError):
            create_private_directory(self.directory)
            with PrivateDirectory(self.directory) as folder:
                _check_directory(folder)
                with replace_file(self.directory / name, mode=0o600, lasting=False) as file:
                    file.write(data)
                if _add_to_counter(folder, len(data)) > self.max_bytes:
                    _shrink(folder, self.max_bytes)

    def is_known(self, status: os.stat_result, digest: str) -> bool:
        """True if ``note`` recorded this digest for the file, and the file has not changed since."""
        return self.is_noted(_note_key(status, digest))

    def note(self, status: os.stat_result, digest: str) -> None:
        """Record the digest of a file, unless its times are so recent that a later change might not show in them."""
        if is_settled(status):
            self.note_key(_note_key(status, digest))

    def is_noted(self, key: str) -> bool:
        """True if ``note_key`` recorded this key."""
        return self.noted(key) is not None

    def noted(self, key: str) -> str | None:
        """Return the text that ``note_key`` recorded for this key; None if there is none."""
        with contextlib.suppress(OSError), PrivateDirectory(self.directory) as folder:
            data = _read(f"{key}.known", _check_directory(folder), self.max_bytes)
            return None if data is None else data.decode(errors="replace")
        return None

    def note_key(self, key: str, text: str = "") -> None:
        """Record a fact for later processes, such as that a check has passed.

        Args:
            key: Key of the fact.
            text: Content of the fact, for which readers must expect any text.
        """
        self._write(f"{key}.known", f"{text}\n".encode())

    @contextlib.contextmanager
    def compiling(self, key: str) -> Iterator[None]:
        """Context manager for compiling a key. It waits while another process compiles it, up to a timeout."""
        from ...storage.locks import locked_byte  # not needed for code that is on disk

        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                create_private_directory(self.directory)
                folder = _check_directory(stack.enter_context(PrivateDirectory(self.directory)))
                place = int(key[:15], 16)
                stack.enter_context(locked_byte(LOCKS, folder, place, LOCK_TIMEOUT_S))
            yield

    def _load(self, key: str, suffix: str, content_of: Callable[[str, bytes], ContentT | None]) -> ContentT | None:
        """Return the content of a file; None if it is missing, damaged or of another user."""
        with contextlib.suppress(OSError), PrivateDirectory(self.directory) as folder:
            name = key + suffix
            data = _read(name, _check_directory(folder), self.max_bytes)
            content = None if data is None else content_of(key, data)
            if content is None:  # remove the file, because a file that replaces it would inherit its permissions
                folder.remove(name)
            return content
        return None


def _note_key(status: os.stat_result, digest: str) -> str:
    """Return the key for a digest of a file: a hash of the digest and the file's ``stat``."""
    return hashlib.sha256(repr((*identity_numbers(status), digest)).encode()).hexdigest()


def _check_directory(folder: PrivateDirectory) -> PrivateDirectory:
    """Raise ``PermissionError`` if others may have written to the directory."""
    if problem := folder.danger():
        raise PermissionError(problem)
    return folder


def _read(name: str, folder: PrivateDirectory, max_bytes: int) -> bytes | None:
    """Return the bytes of a file, and set its time of modification to now.

    None for a link, for anything but a regular file, for a file of more than ``max_bytes``, and for a file to which
    others may have written. Raise ``FileNotFoundError`` if the file is missing.
    """
    try:
        file = folder.open(name, os.O_RDONLY)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link
            return None
        raise
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or folder.danger_of(file) or status.st_size > max_bytes:
            return None
        with contextlib.suppress(OSError):  # a read-only file system
            folder.note_use(name, file)
        with open(file, "rb", closefd=False) as opened:
            return opened.read()
    finally:
        os.close(file)


def _pages(size: int) -> int:
    return -(-size // _PAGE)


def _add_to_counter(folder: PrivateDirectory, added: int) -> int:
    """Add to the size counter. Return an upper bound on the bytes of all files; ``sys.maxsize`` without a counter."""
    try:
        file = folder.open(PAGES, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return sys.maxsize
    try:
        os.write(file, bytes(_pages(added)))
        return os.fstat(file).st_size * _PAGE
    finally:
        os.close(file)


def _shrink(folder: PrivateDirectory, max_bytes: int) -> None:
    """Remove the least recently used files and leftovers of killed writers, if the total exceeds the limit.

    Then set the size counter to the total.

    An eighth of the limit is freed, so that not every addition to a full directory has to list the files.
    """
    files = [(time, name, _pages(size)) for name, size, time in folder.sizes_and_times() if _OURS.fullmatch(name)]
    pages, max_pages = sum(size for _, _, size in files), max_bytes // _PAGE
    if pages > max_pages:
        from ...storage.eviction import remove_oldest

        pages -= remove_oldest(folder, files, pages - (max_pages - max_pages // 8))
    file = folder.open(PAGES, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(file, pages)
    finally:
        os.close(file)
