"""Detection of a file's format, by its first bytes or its suffix, and reading of the file.

Also finds the script in a folder that ``rnngraph import`` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import rnngraph as rg

from ...formats.net import SCRIPT
from ...storage.read_file import open_file
from .command_error import CommandError

ONNX, KERAS, NAM, RTNEURAL = "ONNX", "Keras", "Neural Amp Modeler", "RTNeural"
SUFFIXES = {".onnx": ONNX, ".keras": KERAS, ".h5": KERAS, ".hdf5": KERAS, ".nam": NAM, ".json": RTNEURAL}
_READERS = {ONNX: "read_onnx", KERAS: "read_keras", NAM: "read_nam", RTNEURAL: "read_rtneural"}
ZIP = b"PK\x03\x04"
_MAGIC_NUMBERS = ((b"\x89HDF\r\n\x1a\n", KERAS), (ZIP, KERAS))
MAX_JSON_BYTES = 1 << 28
"""Maximum size of a JSON file that is inspected, in bytes."""


def script_of(path: Path) -> Path:
    """Return the script in a folder that ``Net.save`` wrote; any other path unchanged."""
    return path / SCRIPT if (path / SCRIPT).is_file() else path


def kind_of(path: Path) -> str:
    """Return a file's format. Raise ``CommandError`` if no reader supports it."""
    try:
        with open_file(path, "a net") as file:
            begin = file.read(64)
            text = begin + file.read(MAX_JSON_BYTES) if begin.lstrip().startswith(b"{") else b""
    except rg.FileError as error:
        raise CommandError(error.what) from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    if begin.startswith(ZIP) and _is_torchs(path):
        raise CommandError(
            f"{path}: is a file of torch, which says how to make a module by its code alone; in Python, load it, and "
            "rg.read_torch(module, example) reads the module with its weights"
        )
    for mark, kind in _MAGIC_NUMBERS:
        if begin.startswith(mark):
            return kind
    if text:
        return NAM if "architecture" in _entries(text) else RTNEURAL
    kind = SUFFIXES.get(path.suffix.lower(), "")
    if not kind:
        raise CommandError(
            f"{path}: is of no format that is read; these are: .onnx, .keras and .h5 of Keras, .nam, and .json of "
            "RTNeural, AIDA-X and GuitarML"
        )
    return kind


def _is_torchs(path: Path) -> bool:
    """True if a zip is a file of ``torch.save``. Nothing is unpacked."""
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (BadZipFile, OSError):  # the reader gives a better error
        return False


def _entries(text: bytes) -> Any:
    """Return a JSON object; an empty tuple for damaged text, on which the reader gives a better error."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return document if isinstance(document, dict) else ()


def read_file(path: Path, fixed: Mapping[str, Any], max_entries: int | None = None) -> tuple[str, rg.Net]:
    """Return the format of a file, and its net.

    Args:
        path: The file.
        fixed: Values of inputs; only for ONNX files.
        max_entries: Maximum size of an array in the file; None for the reader's default.

    Raises:
        CommandError: The format is not supported, or an option does not apply to it.
    """
    kind = kind_of(path)
    if fixed and kind != ONNX:
        raise CommandError(f"--fixed is for inputs of ONNX files, and {path} is a file of {kind}")
    options: dict[str, Any] = {"fixed": dict(fixed)} if fixed else {}
    if max_entries is not None:
        if kind not in (ONNX, KERAS):
            raise CommandError(f"--max-entries is for files of ONNX and Keras, and {path} is a file of {kind}")
        options["max_entries"] = max_entries
    net: rg.Net = getattr(rg, _READERS[kind])(path, **options)
    return kind, net


def fixed_input(text: str) -> tuple[str, Any]:
    """Parse ``NAME=NUMBER`` or ``NAME=true`` to (name, value). Raise ``ValueError`` for other texts."""
    name, sign, value_text = text.partition("=")
    value = json.loads(value_text) if sign and name else None
    if not isinstance(value, int | float):
        raise ValueError(text)
    return name, value
