"""Atomic replacement of a directory of several files.

The files lie in a subfolder named by a version number. ``manifest.json`` names the current subfolder, and the size and
SHA-256 of every file. A writer fills the next subfolder, then replaces the manifest. Readers see the old version or
the new one, even if the writer is killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..support.allocation import reserve
from ..support.errors import FileError
from ..support.system import locked_directory, sync_directory
from .atomic_file import as_path, replace_file
from .read_file import open_file
from .stored_array import MIN_STORED_BYTES, StoredFile

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
"""Maximum size of a manifest, in bytes."""

_FOLDER = re.compile(r"[1-9][0-9]{0,17}")
_FILE = re.compile(r"[a-z][a-z_]*\.[a-z]+")
_MAX_READS = 20
"""Maximum attempts of a reader. A concurrent writer may remove the files while they are read."""


def write_directory(
    path: str | os.PathLike[str], kind: str, version: int, files: Mapping[str, bytes], **facts: str
) -> None:
    """Write a directory of files, replacing an earlier one of the same kind atomically.

    Args:
        path: The directory.
        kind: Kind of object; ``read_directory`` must pass the same one.
        version: Version of the format; ``read_directory`` must pass the same one.
        files: Contents by file name.
        **facts: Further entries of the manifest, for human readers.

    Raises:
        FileError: The directory cannot be written or holds anything else; it is unchanged.
    """
    target, shown = Path(os.path.realpath(as_path(path))), os.fspath(path)
    is_new = False
    try:
        is_new = not target.is_dir()
        if is_new:
            target.mkdir()
        with locked_directory(target):
            older = _older(target, shown, kind, files.keys())
            folder = target / str(max(older, default=0) + 1)
            _write_folder(target, folder, {"format": kind, "version": version, **facts}, files)
            for number in older:  # the previous version, and leftovers of killed writers
                shutil.rmtree(target / str(number), ignore_errors=True)
    except OSError as error:
        if is_new:
            with contextlib.suppress(OSError):
                target.rmdir()
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"can't write {shown}: {error.strerror or error}; give a directory that can be written"
        ) from None


class KnownFiles(Protocol):
    """Protocol of a record of files whose digest was verified before."""

    def is_known(self, status: os.stat_result, digest: str) -> bool:
        """True if this digest was recorded for the file, and the file has not changed since."""

    def note(self, status: os.stat_result, digest: str) -> None:
        """Record that a file has this digest."""


def read_directory(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    stored: Container[str] = (),
    known: KnownFiles | None = None,
) -> dict[str, bytes | StoredFile]:
    """Return {file name: its bytes, or the open file} of a directory that ``write_directory`` wrote.

    Args:
        path: The directory.
        kind: Kind of object that it must hold.
        version: Version of the format that it must have.
        stored: Names of files that are opened and verified, and not read if they have at least ``MIN_STORED_BYTES``.
        known: Files that need not be verified again; None: none.

    Raises:
        FileError: The directory is missing, damaged, or of another kind or version.
    """
    shown = str(as_path(path))
    before: dict[str, Any] = {}
    for _ in range(_MAX_READS):
        manifest = _manifest(Path(path), shown, kind, version)
        try:
            folder, files = Path(path) / manifest["folder"], manifest["files"]
            return {
                name: _opened(folder / name, facts, known)
                if name in stored and facts["bytes"] >= MIN_STORED_BYTES
                else _read(folder / name, facts)
                for name, facts in files.items()
            }
        except FileNotFoundError as error:
            if manifest == before:
                raise FileError(f"{shown} is incomplete: there is no file {error.filename}; {_COPY}") from None
            before = manifest
        except ValueError as error:
            raise FileError(f"{shown} is damaged: {error}; {_COPY}") from None
        except OSError as error:
            raise FileError(
                f"can't read {shown}: {error.strerror or error}; give a directory that can be read"
            ) from None
    raise FileError(f"{shown} is replaced faster than it can be read; read it after its writers have finished")


_COPY = "take an earlier copy, or save it again"


def _write_folder(target: Path, folder: Path, head: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write ``files`` into the new subfolder ``folder``, and let the manifest name it. On errors, remove it."""
    folder.mkdir()
    try:
        for name, data in files.items():
            with open(folder / name, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        sync_directory(folder)
        sync_directory(target)
        listed = {name: {"bytes": len(data), "sha256": _digest(data)} for name, data in files.items()}
        with replace_file(target / MANIFEST) as manifest:
            manifest.write(json.dumps({**head, "folder": folder.name, "files": listed}, indent=2).encode() + b"\n")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _older(target: Path, shown: str, kind: str, names: Iterable[str]) -> list[int]:
    """Return the numbers of earlier versions' subfolders. Raise ``FileError`` if the directory holds anything else."""
    older, own = [], {*names}
    manifest: Any = {}
    with contextlib.suppress(ValueError, OSError):  # a damaged manifest may be replaced
        manifest = json.loads(_bytes(target / MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format", kind) != kind:
        raise FileError(f"{shown} holds something other than a {kind}; give another directory")
    if isinstance(manifest.get("files"), dict):
        own |= manifest["files"].keys()
    for entry in sorted(os.listdir(target)):
        if _FOLDER.fullmatch(entry) and (target / entry).is_dir() and own.issuperset(os.listdir(target / entry)):
            older.append(int(entry))
        elif entry != MANIFEST and not entry.startswith(f".{MANIFEST}."):
            raise FileError(
                f"{shown} holds {entry}, which does not belong to a {kind}; give a directory that is new or empty"
            )
    return older


def _manifest(path: Path, shown: str, kind: str, version: int) -> dict[str, Any]:
    """Return a directory's manifest. Raise ``FileError`` if it is missing, damaged, or of another kind or version."""
    try:
        manifest: dict[str, Any] = json.loads(_bytes(path / MANIFEST))
        stored_kind, stored_version = manifest["format"], manifest["version"]
    except (FileNotFoundError, NotADirectoryError):
        if path.is_file():
            raise FileError(f"{shown} is a file; give the path of a directory with a saved {kind}") from None
        what = f"has no {MANIFEST}" if path.is_dir() else "does not exist"
        raise FileError(f"{shown} {what}; give the path of a saved {kind}") from None
    except OSError as error:
        raise FileError(f"can't read {shown}: {error.strerror or error}; give a directory that can be read") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise FileError(f"{shown} is damaged: {MANIFEST} can't be read ({error}); {_COPY}") from None
    if stored_kind != kind:
        raise FileError(f"{shown} holds {stored_kind!r}, not a {kind}; give the path of a saved {kind}")
    if stored_version != version:
        by = f", saved by rnngraph {manifest['rnngraph']}" if isinstance(manifest.get("rnngraph"), str) else ""
        is_newer = isinstance(stored_version, int) and stored_version > version
        remedy = "update rnngraph" if is_newer else "load it with the rnngraph that saved it, or save it again"
        raise FileError(
            f"{shown} is a {kind} of version {stored_version!r}{by}, and this is version {version}; {remedy}"
        )
    folder, files = manifest.get("folder"), manifest.get("files")
    has_folder = isinstance(folder, str) and _FOLDER.fullmatch(folder)
    if not (has_folder and isinstance(files, dict) and all(map(_is_file_entry, files.items()))):
        raise FileError(f"{shown} is damaged: {MANIFEST} does not list its files; {_COPY}")
    return manifest


def _is_file_entry(entry: tuple[str, Any]) -> bool:
    """True if an entry of the manifest is (valid file name, size and digest)."""
    name, facts = entry
    if not _FILE.fullmatch(name) or not isinstance(facts, dict):
        return False
    return isinstance(facts.get("bytes"), int) and isinstance(facts.get("sha256"), str)


def _opened(path: Path, facts: Mapping[str, Any], known: KnownFiles | None) -> StoredFile:
    """Open and return a file of a manifest. Raise ``ValueError`` if its size or digest is wrong."""
    with open_file(path) as file:
        opened = StoredFile(os.dup(file.fileno()), str(path))
    if opened.size != facts["bytes"]:
        raise ValueError(f"{path.name} has {opened.size} bytes instead of {facts['bytes']}")
    status, digest = os.fstat(opened.descriptor), facts["sha256"]
    if known is None or not known.is_known(status, digest):
        if opened.digest() != digest:
            raise ValueError(f"the digest of {path.name} differs")
        if known is not None:
            known.note(status, digest)
    opened.identity = digest
    return opened


def _read(path: Path, facts: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file of a manifest. Raise ``ValueError`` if its size or digest is wrong."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != facts["bytes"]:
            raise ValueError(f"{path.name} has {size} bytes instead of {facts['bytes']}")
        reserve(size, f"the contents of {path.name}")
        data = file.read(size)
    if _digest(data) != facts["sha256"]:
        raise ValueError(f"the digest of {path.name} differs")
    return data


def _bytes(path: Path) -> bytes:
    with open_file(path, "a manifest") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise ValueError("it is too long")
    return data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
