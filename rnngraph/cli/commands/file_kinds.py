"""Detection of a file's format by its first bytes or suffix, and reading of the file.

Also finds the script in a folder that ``rnngraph import`` wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
_MAGIC_NUMBERS = ((b"\x89HDF\r\n\x1a\n", KERAS), (ZIP, KERAS), (b"GGUF", GGUF))
MAX_JSON_BYTES = 1 << 28
"""Maximum size of a JSON file that is inspected, in bytes."""


def script_of(path: Path) -> Path:
    """Return the script in a folder that ``Net.save`` wrote. Other paths are returned unchanged."""
    return path / SCRIPT if (path / SCRIPT).is_file() else path


def kind_of(path: Path) -> str:
    """Return the name of the format of a net's file, or of a SavedModel's folder.

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
    """Return a JSON object's entries; an empty tuple for damaged text, for which the reader raises a better error."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return document if isinstance(document, dict) else ()


@dataclass(frozen=True)
class ReadOptions:
    """Options of the command line for reading a file of another format.

    Attributes:
        fixed: Values of inputs, or sizes of their axes; only for files of ONNX and TensorFlow, sizes for Keras, too.
        names: Names of axes that become symbolic, by input and axis.
        max_entries: Maximum size of an array in the file; None for the reader's default.
        max_steps: Steps to run of TensorFlow's loops whose end depends on the data; None to refuse such loops.
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    max_entries: int | None = None
    max_steps: int | None = None

    def keywords(self, path: Path, kind: str) -> dict[str, Any]:
        """Return the set options as keyword arguments for the reader of format ``kind``.

        Raises:
            CommandError: The reader of files of the format ``kind`` does not have an option.
        """
        has_values = not all(isinstance(value, Mapping) for value in self.fixed.values())
        axes = "files of ONNX, TensorFlow and Keras"
        sizes = "--fixed INPUT[AXIS]=NUMBER", axes, (ONNX, TF1, KERAS)
        applies = {
            "fixed": ("--fixed INPUT=NUMBER", "inputs of ONNX files and of TensorFlow's", (ONNX, TF1))
            if has_values
            else sizes,
            "open": ("--open", axes, (ONNX, TF1, KERAS)),
            "max_entries": ("--max-entries", "files of ONNX and Keras", (ONNX, KERAS)),
            "max_steps": ("--max-steps", "files of TensorFlow", (TF1,)),
        }
        values = (dict(self.fixed), dict(self.names), self.max_entries, self.max_steps)
        keywords = {name: value for name, value in zip(applies, values, strict=True) if value}
        for name in keywords:
            option, text, kinds = applies[name]
            if kind not in kinds:
                raise CommandError(f"{option} is for {text}, and {path} is a file of {kind}; leave it out")
        return keywords


def read_file(path: Path, options: ReadOptions) -> tuple[str, rg.Net]:
    """Return the format of a file, and the net that it holds.

    Raises:
        CommandError: The format is not supported, or an option does not apply to it.
    """
    kind = kind_of(path)
    net: rg.Net = getattr(rg, _READERS[kind])(path, **options.keywords(path, kind))
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
    """Merge the parsed values of a repeated option into one dict by input.

    Sizes of several axes of one input become one dict. Of other values for one input, the last counts.
    """
    values: dict[str, Any] = {}
    for name, value in parsed:
        known = values.get(name)
        values[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return values
