"""Writing of files into a user's folder, without overwriting the user's own files.

The folder may hold the files of several objects, such as exported nets, and the user's. A manifest lists the written
files with their digests. A file that is listed and unchanged, or has the new content already, is overwritten. Any other
file of that name is an error, and nothing is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..support.errors import FileError
from ..support.records import dataclass
from ..support.system import locked_directory, replace
from .read_file import open_file

MAX_MANIFEST_BYTES = 1 << 26
_MAX_NAMED = 5  # files that an error names

Digests = dict[str, dict[str, list[str]]]
"""SHA-256 digests by object name and file name: of the current content and of content about to be written."""


@dataclass(frozen=True)
class Writer:
    """Kind of files that are written to folders, and their manifest.

    Attributes:
        manifest: File name of the manifest.
        what: Name of the writer in errors, as in "no export wrote it".
        about: Explanatory sentence in the manifest.
        names_of: Function from an object's name to all file names that the object may ever have. Other listed files are
            never removed.
    """

    manifest: str
    what: str
    about: str
    names_of: Callable[[str], Collection[str]]


@contextmanager
def files_into(folder: Path, name: str, writer: Writer) -> Iterator[Path]:
    """Context manager that yields a staging directory, and moves its files into ``folder`` if the block succeeds.

    Earlier files of ``name`` are replaced, or removed if the block did not write them. A writer that is killed midway
    leaves files that the manifest already lists.

    Args:
        folder: The target, created if missing.
        name: The object whose files these are.
        writer: The kind of files.

    Raises:
        FileError: The folder cannot be written, or a file in the way is the user's or has changed. Nothing is written.
    """
    try:
        with _new_folder(folder), tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as staging:
            yield Path(staging)
            _move_into(folder, Path(staging), name, writer)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"can't write {folder}: {error.strerror or error}; give a directory that can be written"
        ) from None


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Context manager that creates a folder if missing, and removes a new one if the block fails."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # not empty, because others wrote to it
                folder.rmdir()
        raise


def _move_into(folder: Path, staging: Path, name: str, writer: Writer) -> None:
    """Move the files of ``staging`` into a folder, remove earlier files of ``name``, and update the manifest."""
    new = {path.name: _digest(path) for path in staging.iterdir()}
    with locked_directory(folder):
        listed = _read(folder / writer.manifest)
        before = listed.get(name, {})
        names = writer.names_of(name)
        stale = {file for file in before if file in names and file not in new}
        _refuse_others(folder, listed, new, stale, writer)
        listed[name] = before | {file: [*before.get(file, []), digest] for file, digest in new.items()}
        _write(folder, staging, listed, writer)
        for file in new:
            replace(staging / file, folder / file)
        for file in stale:
            (folder / file).unlink(missing_ok=True)
        listed[name] = {file: [digest] for file, digest in new.items()}
        _write(folder, staging, listed, writer)


def _refuse_others(
    folder: Path, listed: Digests, new: Mapping[str, str], stale: Collection[str], writer: Writer
) -> None:
    """Raise ``FileError`` if a file to write or to remove is the user's, or was changed since it was written."""
    conflicts = [file for file in sorted({*new, *stale}) if not _is_own(folder / file, listed, new.get(file))]
    if not conflicts:
        return
    names = ", ".join(str(folder / file) for file in conflicts[:_MAX_NAMED])
    more = f" and {len(conflicts) - _MAX_NAMED} more" if len(conflicts) > _MAX_NAMED else ""
    raise FileError(
        f"{names}{more} {'is' if len(conflicts) == 1 else 'are'} in the way: no {writer.what} wrote it, or it was "
        "changed since. Nothing was written; move it away, or give a separate directory"
    )


def _is_own(path: Path, listed: Digests, wanted: str | None) -> bool:
    """True if ``path`` may be overwritten: it is missing, unchanged, or has the ``wanted`` content."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return True
    known = {digest for files in listed.values() for digest in files.get(path.name, ())}
    return _digest(path) in {*known, wanted}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> Digests:
    """Return {object: {its file: known digests}} of a folder's manifest; an empty dict if there is none."""
    try:
        with open_file(path) as file:
            text = json.loads(file.read(MAX_MANIFEST_BYTES))
        if text["format"] != 1:
            raise ValueError("another format")
        return {
            str(net): {str(file): [*map(str, known)] for file, known in files.items()}
            for net, files in text["nets"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FileError(
            f"{path} is in the way: it is not a list of exported files, or damaged. Nothing was written; move it away, "
            "or give a separate directory"
        ) from None


def _write(folder: Path, staging: Path, listed: Digests, writer: Writer) -> None:
    """Replace the manifest of a folder by one that lists the files and digests ``listed``."""
    text = {
        "about": writer.about,
        "format": 1,
        "nets": {net: dict(sorted(listed[net].items())) for net in sorted(listed)},
    }
    (staging / writer.manifest).write_bytes(f"{json.dumps(text, indent=1)}\n".encode())
    replace(staging / writer.manifest, folder / writer.manifest)
