"""Files that are written into a folder which belongs to its user: a list with digests tells whose they are.

A folder may hold the files of several things, such as exported nets, and whatever the user has there. What was written
before and is as it was written is replaced; all else is in the way, and then nothing is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..support.errors import FileError
from .locks import locked_directory
from .read_file import open_file

MAX_MANIFEST_BYTES = 1 << 26
_NAMED = 5  # so many files an error names

Digests = dict[str, dict[str, list[str]]]
"""By the name of what was written, by file: the SHA-256 of what was written there, or is about to be."""


@dataclass(frozen=True)
class Writer:
    """What writes such files.

    manifest: the file that lists them. what: names it in errors, as in "no export wrote it". about: the list's
    sentence for people. names_of: all files that it may ever write under a name, for that name alone; what a list has
    besides is not touched.
    """

    manifest: str
    what: str
    about: str
    names_of: Callable[[str], Collection[str]]


@contextmanager
def files_into(folder: Path, name: str, writer: Writer) -> Iterator[Path]:
    """A directory to make files in, all of which take their places in ``folder`` once the block ends without an error.

    They replace those that were written under ``name`` before, of which the ones that are not made again go. Raises
    ``FileError``, with nothing written, where the folder can't be written or has files in the way: such as ``writer``
    did not write, or that were changed since. Whoever is stopped in the middle leaves files that count as its own.
    """
    try:
        with _new_folder(folder), tempfile.TemporaryDirectory(prefix=f".{name}.", dir=folder) as made:
            yield Path(made)
            _move_into(folder, Path(made), name, writer)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"can't write {folder}: {error.strerror or error}; give a directory that can be written"
        ) from None


@contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Makes the folder, and removes it where the block fails and the folder is new."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # others wrote to it
                folder.rmdir()
        raise


def _move_into(folder: Path, made: Path, name: str, writer: Writer) -> None:
    new = {path.name: _digest(path) for path in made.iterdir()}
    with locked_directory(folder):
        listed = _read(folder / writer.manifest)
        before = listed.get(name, {})
        names = writer.names_of(name)
        stale = {file for file in before if file in names and file not in new}
        _refuse_others(folder, listed, new, stale, writer)
        listed[name] = before | {file: [*before.get(file, []), digest] for file, digest in new.items()}
        _write(folder, made, listed, writer)
        for file in new:
            os.replace(made / file, folder / file)
        for file in stale:
            (folder / file).unlink(missing_ok=True)
        listed[name] = {file: [digest] for file, digest in new.items()}
        _write(folder, made, listed, writer)


def _refuse_others(
    folder: Path, listed: Digests, new: Mapping[str, str], stale: Collection[str], writer: Writer
) -> None:  # fmt: skip
    found = [file for file in sorted({*new, *stale}) if not _is_own(folder / file, listed, new.get(file))]
    if not found:
        return
    names = ", ".join(str(folder / file) for file in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise FileError(
        f"{names}{more} {'is' if len(found) == 1 else 'are'} in the way: no {writer.what} wrote it, or it was changed "
        "since. Nothing was written; move it away, or give a directory of its own"
    )


def _is_own(path: Path, listed: Digests, wanted: str | None) -> bool:
    """Whether nothing is lost where ``path`` is replaced: it is as it was written, or what is ``wanted`` anyway."""
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
    try:
        with open_file(path) as file:
            text = json.loads(file.read(MAX_MANIFEST_BYTES))
        if text["format"] != 1:
            raise ValueError("another format")
        return {str(net): {str(file): [*map(str, known)] for file, known in files.items()}
                for net, files in text["nets"].items()}  # fmt: skip
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FileError(
            f"{path} is in the way: it is no list of such files, or damaged. Nothing was written; move it away, or "
            "give a directory of its own"
        ) from None


def _write(folder: Path, made: Path, listed: Digests, writer: Writer) -> None:
    text = {
        "about": writer.about,
        "format": 1,
        "nets": {net: dict(sorted(listed[net].items())) for net in sorted(listed)},
    }
    (made / writer.manifest).write_text(json.dumps(text, indent=1) + "\n")
    os.replace(made / writer.manifest, folder / writer.manifest)
