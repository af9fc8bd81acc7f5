"""Which format a file is of, by what it holds first and by its suffix where that says nothing; and the script of a net
that was imported.
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
_BEGINNINGS = ((b"\x89HDF\r\n\x1a\n", KERAS), (ZIP, KERAS))
MOST_BYTES = 1 << 28
"""Bytes of a JSON file that is looked into."""


def script_of(path: Path) -> Path:
    """What leaves the program: the script in a folder that ``Net.save`` wrote, or what was given."""
    return path / SCRIPT if (path / SCRIPT).is_file() else path


def kind_of(path: Path) -> str:
    """Raises ``CommandError`` where no reader takes such a file."""
    try:
        with open_file(path, "a net") as file:
            begin = file.read(64)
            text = begin + file.read(MOST_BYTES) if begin.lstrip().startswith(b"{") else b""
    except rg.FileError as error:
        raise CommandError(error.what) from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    if begin.startswith(ZIP) and _is_torchs(path):
        raise CommandError(
            f"{path}: is a file of torch, which says how to make a module by its code alone; in Python, load it, and "
            "rg.read_torch(module, example) reads the module with its weights"
        )
    for mark, kind in _BEGINNINGS:
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
    """True if a zip holds what ``torch.save`` writes. Nothing of it is unpacked."""
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except (BadZipFile, OSError):  # which the reader says better
        return False


def _entries(text: bytes) -> Any:
    """Names in a JSON object; none where it is damaged, which the reader says better."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return found if isinstance(found, dict) else ()


def read_file(path: Path, fixed: Mapping[str, Any], max_entries: int | None = None) -> tuple[str, rg.Net]:
    """The format of a file, and its net.

    fixed: values of inputs, which ONNX files alone may need. max_entries: of an array, where the default is too few.
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
    """``NAME=NUMBER`` or ``NAME=true`` as (name, value). Raises ``ValueError``."""
    name, sign, value = text.partition("=")
    found = json.loads(value) if sign and name else None
    if not isinstance(found, int | float):
        raise ValueError(text)
    return name, found
