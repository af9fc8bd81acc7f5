"""Directories that are replaced whole: several files that belong together, and are read together or refused.

The files lie in a folder of their own, named by a number, and ``manifest.json`` beside it names that folder, with the
size and the SHA-256 of every file. A new version goes into the next folder; then one renaming, that of the manifest,
makes it the present one. Whoever reads, and whatever stops the writer, has the old version or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..support.allocation import reserve
from ..support.errors import FileError
from .atomic_file import as_path, replace_file, sync_directory
from .locks import locked_directory
from .read_file import open_file

MANIFEST = "manifest.json"
MOST_MANIFEST = 1 << 20
"""Bytes of a manifest that is read."""

_FOLDER = re.compile(r"[1-9][0-9]{0,17}")
_FILE = re.compile(r"[a-z][a-z_]*\.[a-z]+")
_TRIES = 20
"""How often a reader begins again, because a writer took the files away while it read."""


def write_directory(
    path: str | os.PathLike[str], kind: str, version: int, files: Mapping[str, bytes], **facts: str
) -> None:
    """Makes ``path`` a directory of these files, by name, in place of the one of this kind that was there.

    kind, version: what the files are, and of which form; ``read_directory`` asks for the same. facts: for people who
    read the manifest. Raises ``FileError``, with everything as it was, where the directory can't be written or holds
    anything else.
    """
    target, shown = Path(os.path.realpath(as_path(path))), os.fspath(path)
    made = False
    try:
        made = not target.is_dir()
        if made:
            target.mkdir()
        with locked_directory(target):
            older = _older(target, shown, kind, files.keys())
            folder = target / str(max(older, default=0) + 1)
            _write_folder(target, folder, {"format": kind, "version": version, **facts}, files)
            for number in older:  # the version before, and what killed writers left
                shutil.rmtree(target / str(number), ignore_errors=True)
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                target.rmdir()
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"can't write {shown}: {error.strerror or error}; give a directory that can be written"
        ) from None


def read_directory(path: str | os.PathLike[str], kind: str, version: int) -> dict[str, bytes]:
    """The files of ``path``, by name, just as they were written. Raises ``FileError``."""
    shown = str(as_path(path))
    before: dict[str, Any] = {}
    for _ in range(_TRIES):
        manifest = _manifest(Path(path), shown, kind, version)
        try:
            return {
                name: _read(Path(path) / manifest["folder"] / name, facts) for name, facts in manifest["files"].items()
            }
        except FileNotFoundError as error:
            if manifest == before:
                raise FileError(f"{shown} is not whole: there is no file {error.filename}; {_COPY}") from None
            before = manifest
        except ValueError as error:
            raise FileError(f"{shown} is damaged: {error}; {_COPY}") from None
        except OSError as error:
            raise FileError(
                f"can't read {shown}: {error.strerror or error}; give a directory that can be read"
            ) from None
    raise FileError(f"{shown} is being written over and over; read it when that is done")


_COPY = "take an earlier copy, or save it again"


def _write_folder(target: Path, folder: Path, head: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
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
    """Folders of earlier versions. Raises ``FileError`` where the directory holds what is not ours to replace."""
    older, own = [], {*names}
    found: Any = {}
    with contextlib.suppress(ValueError, OSError):  # one that is damaged may be replaced
        found = json.loads(_bytes(target / MANIFEST))
    if not isinstance(found, dict) or found.get("format", kind) != kind:
        raise FileError(f"{shown} holds something else than a {kind}; give another directory")
    if isinstance(found.get("files"), dict):
        own |= found["files"].keys()
    for entry in sorted(os.listdir(target)):
        if _FOLDER.fullmatch(entry) and (target / entry).is_dir() and own.issuperset(os.listdir(target / entry)):
            older.append(int(entry))
        elif entry != MANIFEST and not entry.startswith(f".{MANIFEST}."):
            raise FileError(
                f"{shown} holds {entry}, which is no part of a {kind}; give a directory that is new or empty"
            )
    return older


def _manifest(path: Path, shown: str, kind: str, version: int) -> dict[str, Any]:
    """The manifest, checked. Raises ``FileError``."""
    try:
        found = json.loads(_bytes(path / MANIFEST))
        ours = found["format"], found["version"]
    except FileNotFoundError:
        what = f"has no {MANIFEST}" if path.is_dir() else "is no such directory"
        raise FileError(f"{shown} {what}; give the path of a saved {kind}") from None
    except NotADirectoryError:
        raise FileError(f"{shown} is a file; give the path of a directory with a saved {kind}") from None
    except OSError as error:
        raise FileError(f"can't read {shown}: {error.strerror or error}; give a directory that can be read") from None
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise FileError(f"{shown} is damaged: {MANIFEST} can't be read ({error}); {_COPY}") from None
    if ours[0] != kind:
        raise FileError(f"{shown} holds {ours[0]!r}, not a {kind}; give the path of a saved {kind}")
    if ours[1] != version:
        by = f", saved by rnngraph {found['rnngraph']}" if isinstance(found.get("rnngraph"), str) else ""
        raise FileError(
            f"{shown} is a {kind} of version {ours[1]!r}{by}, and this is version {version}; update rnngraph"
        )
    folder, files = found.get("folder"), found.get("files")
    whole = isinstance(folder, str) and _FOLDER.fullmatch(folder) and isinstance(files, dict) and all(
        _FILE.fullmatch(name)
        and isinstance(facts, dict)
        and isinstance(facts.get("bytes"), int)
        and isinstance(facts.get("sha256"), str)
        for name, facts in files.items()
    )  # fmt: skip
    if not whole:
        raise FileError(f"{shown} is damaged: {MANIFEST} lacks a part; {_COPY}")
    manifest: dict[str, Any] = found
    return manifest


def _read(path: Path, facts: Mapping[str, Any]) -> bytes:
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != facts["bytes"]:
            raise ValueError(f"{path.name} has {size} bytes instead of {facts['bytes']}")
        reserve(2 * size, f"what {path.name} holds")
        data = file.read(size)
    if _digest(data) != facts["sha256"]:
        raise ValueError(f"the bytes of {path.name} are not those that were written")
    return data


def _bytes(path: Path) -> bytes:
    with open_file(path, "a manifest") as file:
        data = file.read(MOST_MANIFEST + 1)
    if len(data) > MOST_MANIFEST:
        raise ValueError("it is too long")
    return data


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
