"""Files of exported nets in a folder: which are an export's own, by digests, and how new ones take their place."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from ..errors import FileError
from ..storage.locks import locked_directory

MANIFEST = "rnngraph-export.json"
_ENDS = (".o", ".obj", ".h", ".json", ".safetensors", ".pc", ".py", ".mjs", ".wasm", "_test.c", "_net.cmake")
_NAMED = 5  # so many files an error names

Digests = dict[str, dict[str, list[str]]]
"""By net, by file: the SHA-256 of what an export wrote, or is about to write."""


def move_into(folder: Path, made: Path, net: str) -> None:
    """Moves all that lies in ``made`` to ``folder``, in the place of an earlier export of ``net``.

    What the earlier one had besides goes. Raises ``FileError`` where a file is in the way that no export wrote, or
    that was changed since, with nothing written. Whoever is stopped in the middle leaves files that count as exports'.
    """
    new = {path.name: _digest(path) for path in made.iterdir()}
    with locked_directory(folder):
        nets = _read(folder / MANIFEST)
        before = nets.get(net, {})
        stale = {file for file in before if file in _names_of(net) and file not in new}
        _refuse_others(folder, nets, new, stale)
        nets[net] = before | {file: [*before.get(file, []), digest] for file, digest in new.items()}
        _write(folder, made, nets)
        for file in new:
            os.replace(made / file, folder / file)
        for file in stale:
            (folder / file).unlink(missing_ok=True)
        nets[net] = {file: [digest] for file, digest in new.items()}
        _write(folder, made, nets)


def _names_of(net: str) -> set[str]:
    """All files that an export of this name may write for itself alone."""
    return {*(f"{net}{end}" for end in _ENDS), f"lib{net}.so", f"lib{net}.a"}


def _refuse_others(folder: Path, nets: Digests, new: Mapping[str, str], stale: Collection[str]) -> None:
    found = [file for file in sorted({*new, *stale}) if not _is_own(folder / file, nets, new.get(file))]
    if not found:
        return
    names = ", ".join(str(folder / file) for file in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise FileError(
        f"{names}{more} {'is' if len(found) == 1 else 'are'} in the way: no export wrote it, or it was changed since. "
        "Nothing was written; move it away, or give the exported net a directory of its own"
    )


def _is_own(path: Path, nets: Digests, wanted: str | None) -> bool:
    """Whether nothing is lost where ``path`` is replaced: an export wrote it, or what it holds is ``wanted`` anyway."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return True
    known = {digest for files in nets.values() for digest in files.get(path.name, ())}
    return _digest(path) in {*known, wanted}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> Digests:
    try:
        text = json.loads(path.read_text())
        if text["format"] != 1:
            raise ValueError("another format")
        return {str(net): {str(file): [*map(str, known)] for file, known in files.items()}
                for net, files in text["nets"].items()}  # fmt: skip
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FileError(
            f"{path} is in the way: it is no list of exported files, or damaged. Nothing was written; move it away, or "
            "give the exported net a directory of its own"
        ) from None


def _write(folder: Path, made: Path, nets: Digests) -> None:
    text = {
        "about": "Files that rnngraph exported, with the SHA-256 of what it wrote. It replaces no others.",
        "format": 1,
        "nets": {net: dict(sorted(nets[net].items())) for net in sorted(nets)},
    }
    (made / MANIFEST).write_text(json.dumps(text, indent=1) + "\n")
    os.replace(made / MANIFEST, folder / MANIFEST)
