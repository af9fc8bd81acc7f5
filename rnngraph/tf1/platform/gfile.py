"""``tf.gfile``: local files and directories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from glob import glob as paths_of
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ...storage.atomic_file import as_path
from ...support.api_guard import api
from ...support.errors import ArgumentError, FileError, shown
from ..core.errors import NotFoundError

_MODES = {letters + binary for letters in ("r", "w", "a", "r+", "w+", "a+") for binary in ("", "b")}


def _path(name: Any) -> Path:
    """Convert a file's name to a local path. Raise ``ArgumentError`` for URLs other than ``file://``."""
    text = os.fsdecode(name) if isinstance(name, bytes) else name
    if isinstance(text, str):
        text = text.removeprefix("file://")
        if "://" in text:
            raise ArgumentError(f"{shown(text)} is not a local path; copy the file to this machine first")
    return Path(as_path(text))


@contextmanager
def _errors_converted(path: Path) -> Iterator[None]:
    """Convert the errors of reading and writing ``path`` within the block to rnngraph's errors."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{_missing_path(error, path)} does not exist; create it, or correct the path") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text: {error.reason}; open it with mode 'rb'") from None
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from None


def _missing_path(error: FileNotFoundError, path: Path) -> Path:
    """Return the path that does not exist: one that the error names, or its directory if that is missing."""
    for name in (error.filename, error.filename2):
        missing = path if name is None else Path(os.fsdecode(name))
        if not missing.exists():
            return missing if missing.parent.exists() else missing.parent
    return path


class GFile:
    """``tf.gfile.GFile``: an open file. Modes are those of ``open``, and text is UTF-8."""

    @api
    def __init__(self, name: Any, mode: str = "r") -> None:
        if mode not in _MODES:
            raise ArgumentError(
                f"the mode of a file must be 'r', 'w' or 'a', followed by '+', 'b' or '+b' if needed, not {shown(mode)}"
            )
        self._path, self.mode = _path(name), mode
        options: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with _errors_converted(self._path):
            self._file: Any = self._path.open(mode, **options)

    @property
    def name(self) -> str:
        """Path of the file."""
        return str(self._path)

    def __getattr__(self, name: str) -> Any:
        """Return a method of the open file: ``read``, ``readline``, ``readlines``, ``write``, ``tell``, ``close``, …"""
        if name.startswith("_"):
            raise AttributeError(name)
        return partial(self._call, getattr(self._file, name))

    @api
    def _call(self, method: Any, *arguments: Any, **keywords: Any) -> Any:
        try:
            with _errors_converted(self._path):
                return method(*arguments, **keywords)
        except (ValueError, TypeError) as error:
            raise ArgumentError(f"{self._path}, opened with mode {self.mode!r}: {error}") from None

    def seek(self, offset: int = 0, whence: int = 0, position: int | None = None) -> None:
        """Set the position in the file, as ``seek`` of Python's files. ``position`` is an old name of ``offset``."""
        self._call(self._file.seek, offset if position is None else position, whence)

    def size(self) -> int:
        """Return the size in bytes."""
        return stat(self._path).length

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        while line := self.readline():
            yield line

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line


@api
def exists(path: Any) -> bool:
    """True if a file or directory exists."""
    return _path(path).exists()


@api
def isdir(dirname: Any) -> bool:
    """True if a directory exists."""
    return _path(dirname).is_dir()


@api
def mkdir(dirname: Any) -> None:
    """Create a directory. Raise ``FileError`` if it exists, and ``NotFoundError`` if its parent does not."""
    with _errors_converted(path := _path(dirname)):
        path.mkdir()


@api
def makedirs(dirname: Any) -> None:
    """Create a directory and its parents, unless they exist."""
    with _errors_converted(path := _path(dirname)):
        path.mkdir(parents=True, exist_ok=True)


@api
def listdir(dirname: Any) -> list[str]:
    """Return the sorted names of the files and directories in a directory."""
    with _errors_converted(path := _path(dirname)):
        return sorted(item.name for item in path.iterdir())


@api
def glob(filename: Any) -> list[str]:
    """Return the paths that match a pattern, sorted; for a list of patterns, those of each pattern in turn."""
    patterns = filename if isinstance(filename, list | tuple) else [filename]
    return [match for pattern in patterns for match in sorted(paths_of(str(_path(pattern))))]


@api
def remove(filename: Any) -> None:
    """Remove a file."""
    with _errors_converted(path := _path(filename)):
        path.unlink()


@api
def rmtree(dirname: Any) -> None:
    """Remove a directory and its content."""
    with _errors_converted(path := _path(dirname)):
        shutil.rmtree(path)


@api
def copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    """Copy a file. Raise ``FileError`` if ``newpath`` exists, unless ``overwrite``."""
    _move(shutil.copyfile, oldpath, newpath, overwrite)


@api
def rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    """Move a file or directory. Raise ``FileError`` if ``newname`` exists, unless ``overwrite``."""
    _move(Path.replace, oldname, newname, overwrite)


def _move(function: Any, old: Any, new: Any, overwrite: bool) -> None:
    """Copy or move a file with ``function``. Raise ``FileError`` if the target exists, unless ``overwrite``."""
    source, target = _path(old), _path(new)
    if target.exists() and not overwrite:
        raise FileError(f"{target} already exists; pass overwrite=True to replace it")
    with _errors_converted(source):
        try:
            function(source, target)
        except shutil.SameFileError:
            raise ArgumentError(f"{source} and {target} are the same file; pass another target") from None


@api
def stat(filename: Any) -> SimpleNamespace:
    """Return a record with ``length`` in bytes, ``mtime_nsec`` and ``is_directory`` of a file or directory."""
    with _errors_converted(path := _path(filename)):
        status = path.stat()
    return SimpleNamespace(length=status.st_size, mtime_nsec=status.st_mtime_ns, is_directory=path.is_dir())


@api
def walk(top: Any, in_order: bool = True) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Yield (path, names of directories, names of files) for ``top`` and each directory below it."""
    return os.walk(_path(top), topdown=bool(in_order))
