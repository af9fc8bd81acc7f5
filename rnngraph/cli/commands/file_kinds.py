"""Detection of a file's format by its first bytes or suffix, and reading of the file.

Also finds the script in a folder that ``rnngraph import`` wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import rnngraph as rg

from ...formats.net import SCRIPT
from ...storage.read_file import open_file
from .command_error import CommandError
from .weight_files import ZIP, weights_in

ONNX, KERAS, GGUF, NAM, RTNEURAL, TF1 = "ONNX", "Keras", "GGUF", "Neural Amp Modeler", "RTNeural", "TensorFlow 1.x"
SUFFIXES = {
    ".onnx": ONNX,
    ".keras": KERAS,
    ".h5": KERAS,
    ".hdf5": KERAS,
    ".gguf": GGUF,
    ".nam": NAM,
    ".json": RTNEURAL,
    ".pb": TF1,
    ".meta": TF1,
}
_READERS = {
    ONNX: "read_onnx",
    KERAS: "read_keras",
    GGUF: "read_gguf",
    NAM: "read_nam",
    RTNEURAL: "read_rtneural",
    TF1: "read_tf1_graph",
}
SAVED_MODEL = "saved_model.pb"
_AXIS = re.compile(r"(.+)\[([0-9]+)\]")
_NONE: Mapping[str, Mapping[int, str]] = MappingProxyType({})
_MAGIC_NUMBERS = ((b"\x89HDF\r\n\x1a\n", KERAS), (ZIP, KERAS), (b"GGUF", GGUF))
MAX_JSON_BYTES = 1 << 28
"""Maximum size of a JSON file that is inspected, in bytes."""


def script_of(path: Path) -> Path:
    """Return the script in a folder that ``Net.save`` wrote. Other paths are returned unchanged."""
    return path / SCRIPT if (path / SCRIPT).is_file() else path


def kind_of(path: Path) -> str:
    """Return the format of a file, or of a SavedModel's folder.

    Raises:
        CommandError: The file cannot be read, holds only weights, or has an unknown format.
    """
    if (path / SAVED_MODEL).is_file():
        return TF1
    try:
        with open_file(path, "a net") as file:
            begin = file.read(64)
            text = begin + file.read(MAX_JSON_BYTES) if begin.lstrip().startswith(b"{") else b""
    except rg.FileError as error:
        raise CommandError(error.what) from None
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    if what := weights_in(path, begin):
        raise CommandError(f"{path}: {what}")
    for mark, kind in _MAGIC_NUMBERS:
        if begin.startswith(mark):
            return kind
    if text:
        return NAM if "architecture" in _entries(text) else RTNEURAL
    kind = SUFFIXES.get(path.suffix.lower(), "")
    if not kind:
        raise CommandError(
            f"{path}: the format is not supported; supported are .onnx, .keras and .h5 of Keras, .gguf, .pb, .meta and "
            "SavedModels of TensorFlow 1.x, .nam, and .json of RTNeural, AIDA-X and GuitarML"
        )
    return kind


def _entries(text: bytes) -> Any:
    """Return a JSON object; an empty tuple for damaged text, for which the reader raises a better error."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return document if isinstance(document, dict) else ()


def read_file(
    path: Path, fixed: Mapping[str, Any], max_entries: int | None = None, names: Mapping[str, Mapping[int, str]] = _NONE
) -> tuple[str, rg.Net]:
    """Return the format of a file, and the net that it holds.

    Args:
        path: The file.
        fixed: Values of inputs, or sizes of their axes; only for files of ONNX and TensorFlow, sizes for Keras, too.
        max_entries: Maximum size of an array in the file; None for the reader's default.
        names: Names of axes that become symbolic, by input and axis.

    Raises:
        CommandError: The format is not supported, or an option does not apply to it.
    """
    kind = kind_of(path)
    has_values = not all(isinstance(value, Mapping) for value in fixed.values())
    if fixed and kind not in ((ONNX, TF1) if has_values else (ONNX, TF1, KERAS)):
        what = "--fixed INPUT=NUMBER is for inputs of ONNX files and of TensorFlow's"
        what = what if has_values else "--fixed INPUT[AXIS]=NUMBER is for files of ONNX, TensorFlow and Keras"
        raise CommandError(f"{what}, and {path} is a file of {kind}; leave it out")
    if names and kind not in (ONNX, TF1, KERAS):
        raise CommandError(
            f"--open is for files of ONNX, TensorFlow and Keras, and {path} is a file of {kind}; leave it out"
        )
    options: dict[str, Any] = {"fixed": dict(fixed)} if fixed else {}
    if names:
        options["open"] = dict(names)
    if max_entries is not None:
        if kind not in (ONNX, KERAS):
            raise CommandError(
                f"--max-entries is for files of ONNX and Keras, and {path} is a file of {kind}; leave it out"
            )
        options["max_entries"] = max_entries
    net: rg.Net = getattr(rg, _READERS[kind])(path, **options)
    return kind, net


def fixed_input(text: str) -> tuple[str, Any]:
    """Parse ``NAME=NUMBER`` or ``NAME=true`` to (name, value), and ``NAME[AXIS]=NUMBER`` to (name, {axis: value}).

    Raises:
        ValueError: The text has another form.
    """
    name, sign, value_text = text.partition("=")
    value = json.loads(value_text) if sign and name else None
    if not isinstance(value, int | float):
        raise ValueError(text)
    if (match := _AXIS.fullmatch(name)) is None:
        return name, value
    if type(value) is not int:
        raise ValueError(text)
    return match[1], {int(match[2]): value}


def opened_axis(text: str) -> tuple[str, dict[int, str]]:
    """Parse ``NAME[AXIS]=SIZE`` to (name, {axis: name of the size}). Raise ``ValueError`` for anything else."""
    name, _, size = text.partition("=")
    match = _AXIS.fullmatch(name)
    if match is None or not size.isidentifier():
        raise ValueError(text)
    return match[1], {int(match[2]): size}


def by_input(parsed: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of repeated options by input.

    Sizes of several axes of one input become one dict. Of other values for one input, the last counts.
    """
    values: dict[str, Any] = {}
    for name, value in parsed:
        known = values.get(name)
        values[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return values
