"""Opens Keras files: the description of the net, Keras' version, and the location of weights.

A ``.keras`` file is a zip of ``metadata.json``, ``config.json`` and ``model.weights.h5``. A legacy ``.h5`` file has the
description as an attribute, besides the weights.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from dataclasses import dataclass

from ....support.allocation import reserve
from ....support.errors import FileError
from ...reading import MAX_BYTES, Record, bytes_of_file, json_of
from .hdf5 import SIGNATURE, Hdf5

WHAT = "a file of Keras"
MAX_TEXT = 256 << 20
"""Maximum bytes of a net's description in JSON."""


@dataclass(frozen=True)
class Opened:
    """Opened Keras file.

    Attributes:
        name: The file's name in errors.
        description: The net, an object with ``class_name`` and ``config``.
        version: Keras' major version, 2 or 3.
        minor: Minor version.
        weights: HDF5 file that contains the arrays.
        by_path: True if arrays are stored by layers' positions in the net, as in ``.keras`` files; False if they are
            stored by layers' names below ``root``.
        root: Group that contains the layers' groups in a ``.h5`` file; ``""`` for the root group.
    """

    name: str
    description: Record
    version: int
    minor: int
    weights: Hdf5
    by_path: bool
    root: str = ""


def opened(source: str | os.PathLike[str] | bytes) -> Opened:
    """Open a Keras file, from a path or bytes. Raises ``FileError`` if it is missing, damaged or of another format."""
    name, data = bytes_of_file(source, WHAT)
    return _legacy(name, data) if data[: len(SIGNATURE)] == SIGNATURE else _zipped(name, data)


def _zipped(name: str, data: bytes) -> Opened:
    """Open a ``.keras`` file. Raises ``FileError`` if it is damaged or of another format."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
        raise FileError(
            f"{name} is damaged or no Keras file, which is a zip (.keras) or HDF5 (.h5, .hdf5); save the model again"
        ) from None
    described = json_of(name, _member(name, archive, "config.json", MAX_TEXT), WHAT)
    metadata = Record(name, json_of(name, _member(name, archive, "metadata.json", MAX_TEXT), WHAT))
    weights = Hdf5(name, _member(name, archive, "model.weights.h5", MAX_BYTES))
    return Opened(name, Record(name, described), *_version(metadata.text("keras_version")), weights, by_path=True)


def _member(name: str, archive: zipfile.ZipFile, member: str, max_bytes: int) -> bytes:
    """Return the bytes of a file in the zip. Raises ``FileError`` beyond ``max_bytes``, or if the stated size is wrong.

    Args:
        name: The zip's name in errors.
        archive: The zip.
        member: Name of the file in the zip.
        max_bytes: Maximum bytes after decompression.
    """
    try:
        info = archive.getinfo(member)
    except KeyError:
        raise FileError(f"{name} is damaged or no Keras file: it has no {member}; save the model again") from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileError(f"{member} of {name} has a compression that Keras does not write; save the model again")
    if info.file_size > max_bytes:
        raise FileError(f"{member} of {name} has {info.file_size:,} bytes; it must have at most {max_bytes:,}")
    reserve(info.file_size, f"{member} of {name}")
    try:
        with archive.open(info) as file:
            data = file.read(info.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise FileError(f"{member} of {name} is damaged: {error}; save the model again") from None
    if len(data) != info.file_size:
        raise FileError(
            f"{member} of {name} is damaged: it does not have {info.file_size:,} bytes; save the model again"
        )
    return data


def _legacy(name: str, data: bytes) -> Opened:
    """Open a ``.h5`` file. Raises ``FileError`` if it is damaged, or has weights but no net."""
    file = Hdf5(name, data)
    described = file.text("", "model_config", default=None)
    if described is None:
        raise FileError(
            f"{name} has weights but no net, because save_weights wrote it; read a file of model.save, or declare the "
            "net and convert each layer's arrays with rg.weights.from_keras"
        )
    if len(described) > MAX_TEXT:
        raise FileError(f"{name} has a description of {len(described):,} characters; it must have at most {MAX_TEXT:,}")
    root = "model_weights" if file.has("model_weights") else ""
    version = file.text("", "keras_version", default=None) or file.text(root, "keras_version", default="2")
    record = Record(name, json_of(name, described.encode("utf-8", "surrogatepass"), WHAT))
    return Opened(name, record, *_version(version), file, by_path=False, root=root)


def _version(version: str) -> tuple[int, int]:
    """Return (major, minor) of a version string. Major versions above 3 become 3, and lower or invalid ones 2."""
    number = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?", version)
    return 3 if number and int(number[1]) >= 3 else 2, int(number[2] or 0) if number else 0
