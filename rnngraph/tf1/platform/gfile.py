"""``tf.gfile``: files and directories of this machine."""

from __future__ import annotations

import glob as _glob
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ...storage.atomic_file import as_path
from ...support.api_guard import api
from ...support.errors import ArgumentError, FileError, shown
from ..core.errors import NotFoundError

_MODES = {letters + binary for letters in ("r", "w", "a", "r+", "w+", "a+") for binary in ("", "b")}


def _path(name: Any) -> str:
    """A path of this machine."""
    given = os.fsdecode(name) if isinstance(name, bytes) else name
    if isinstance(given, str):
        given = given.removeprefix("file://")
        if "://" in given:
            raise ArgumentError(f"{shown(given)} lies on another machine; copy it here first")
    return os.fspath(as_path(given))


@contextmanager
def _of(path: str) -> Iterator[None]:
    """Errors of the system as ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {error.filename or path}") from None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from None


class GFile:
    """``tf.gfile.GFile``: an open file. mode: as of ``open``; texts are UTF-8."""

    @api
    def __init__(self, name: Any, mode: str = "r") -> None:
        if mode not in _MODES:
            raise ArgumentError(f"a file is opened to read, write or append, 'r', 'w' or 'a', not {shown(mode)}")
        self._path, self._mode = _path(name), mode
        options: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with _of(self._path):
            self._file: Any = open(self._path, mode, **options)  # noqa: SIM115  (it stays open)

    @property
    def name(self) -> str:
        """The path."""
        return self._path

    @property
    def mode(self) -> str:
        """How it was opened."""
        return self._mode

    def _done(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            with _of(self._path):
                return function(*arguments)
        except UnicodeDecodeError as error:
            raise FileError(f"{self._path} is no text in UTF-8: {error.reason}; open it with mode 'rb'") from None
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"{self._path}, opened with mode {self._mode!r}: {error}") from None

    @api
    def read(self, n: int = -1) -> Any:
        """The next n characters, or all that is left."""
        return self._done(self._file.read, n)

    def readline(self) -> Any:
        """The next line with its end."""
        return self._done(self._file.readline)

    def readlines(self) -> list[Any]:
        """All lines that are left."""
        return list(self)

    @api
    def write(self, file_content: Any) -> None:
        """Writes a text, or bytes."""
        self._done(self._file.write, file_content)

    @api
    def seek(self, offset: int = 0, whence: int = 0, position: int | None = None) -> None:
        """Goes to a place."""
        self._done(self._file.seek, offset if position is None else position, whence)

    def tell(self) -> int:
        """Where it is."""
        found: int = self._done(self._file.tell)
        return found

    def size(self) -> int:
        """How many bytes there are."""
        with _of(self._path):
            return os.path.getsize(self._path)

    def flush(self) -> None:
        """Writes what is kept back."""
        self._done(self._file.flush)

    def close(self) -> None:
        """Closes it."""
        self._file.close()

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        while line := self.readline():
            yield line

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line


Open = FastGFile = GFile


@api
def Exists(path: Any) -> bool:
    """Whether there is a file or directory."""
    return os.path.exists(_path(path))


@api
def IsDirectory(dirname: Any) -> bool:
    """Whether there is a directory."""
    return os.path.isdir(_path(dirname))


@api
def MkDir(dirname: Any) -> None:
    """Makes a directory."""
    with _of(path := _path(dirname)):
        os.mkdir(path)


@api
def MakeDirs(dirname: Any) -> None:
    """Makes a directory, and those that it lies in; nothing where it is there."""
    with _of(path := _path(dirname)):
        os.makedirs(path, exist_ok=True)


@api
def ListDirectory(dirname: Any) -> list[str]:
    """Names in a directory."""
    with _of(path := _path(dirname)):
        return sorted(os.listdir(path))


@api
def Glob(filename: Any) -> list[str]:
    """Paths that fit a pattern, or several."""
    patterns = filename if isinstance(filename, list | tuple) else [filename]
    return [found for pattern in patterns for found in sorted(_glob.glob(_path(pattern)))]


@api
def Remove(filename: Any) -> None:
    """Removes a file."""
    with _of(path := _path(filename)):
        os.remove(path)


@api
def DeleteRecursively(dirname: Any) -> None:
    """Removes a directory with all that is in it."""
    with _of(path := _path(dirname)):
        shutil.rmtree(path)


def _free(path: str, overwrite: Any) -> None:
    if os.path.exists(path) and not overwrite:
        raise FileError(f"there is {path}; give overwrite=True")


@api
def Copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    """Copies a file."""
    old, new = _path(oldpath), _path(newpath)
    _free(new, overwrite)
    with _of(old):
        try:
            shutil.copyfile(old, new)
        except shutil.SameFileError:
            raise ArgumentError(f"{old} and {new} are one file") from None


@api
def Rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    """Moves a file or directory."""
    old, new = _path(oldname), _path(newname)
    _free(new, overwrite)
    with _of(old):
        os.replace(old, new)


@api
def Stat(filename: Any) -> SimpleNamespace:
    """``length`` in bytes, ``mtime_nsec``, ``is_directory``."""
    with _of(path := _path(filename)):
        found = os.stat(path)
    return SimpleNamespace(length=found.st_size, mtime_nsec=found.st_mtime_ns, is_directory=os.path.isdir(path))


@api
def Walk(top: Any, in_order: bool = True) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """(directory, directories in it, files in it) of all under a directory."""
    return os.walk(_path(top), topdown=bool(in_order))


exists, isdir, mkdir, makedirs, listdir, glob = Exists, IsDirectory, MkDir, MakeDirs, ListDirectory, Glob
remove, rmtree, copy, rename, stat, walk = Remove, DeleteRecursively, Copy, Rename, Stat, Walk
