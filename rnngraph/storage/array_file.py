"""Arrays by name in one file: NumPy's ``.npz``, or ``.safetensors``.

Safetensors files written here contain a digest, which is verified on reading. Those of other programs have none.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from ..support.allocation import bytes_of, reserve
from ..support.errors import ArgumentError, FileError, OutOfMemoryError
from .atomic_file import as_path, replace_file
from .read_file import open_file, read_file
from .sealed_safetensors import arrays_in, is_intact, metadata_of, seal

_END_BYTES = 22 + 0xFFFF
"""Maximum size in bytes of a zip's end-of-central-directory record, with the longest comment."""
SUFFIXES = (".npz", ".safetensors")
MARK, DIGEST = "rnngraph_format", "rnngraph_sha256"
"""Keys of ``__metadata__``. If one is damaged, the other still shows that the file had a digest."""


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], what: str) -> None:
    """Write arrays by name to an ``.npz`` or ``.safetensors`` file, atomically.

    Args:
        path: The file. Its suffix selects the format.
        arrays: Arrays by name.
        what: Description of the arrays, for errors.

    Raises:
        ArgumentError: The suffix is neither ``.npz`` nor ``.safetensors``.
        FileError: The file cannot be written.
    """
    target = as_path(path)
    if target.suffix not in SUFFIXES:
        suffix = target.suffix or "a file without suffix"
        raise ArgumentError(f"can't save {what} as {suffix}; use .npz or .safetensors")
    with replace_file(target) as file:
        if target.suffix == ".npz":
            _write_npz(file, arrays)
        else:
            file.writelines(safetensors_of(arrays))


def _write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` with the same bytes as ``np.savez``, on every system."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo()
            member.filename = f"{name}.npy"  # set here: on Windows, the constructor replaces backslashes
            with archive.open(member, "w", force_zip64=True) as opened:
                np.lib.format.write_array(opened, np.asanyarray(array), allow_pickle=False)


def safetensors_of(arrays: Mapping[str, np.ndarray]) -> tuple[bytes | memoryview, ...]:
    """Return the bytes of a safetensors file with a digest, in pieces."""
    return seal(arrays, {MARK: "1"}, DIGEST)


def read_arrays(path: str | os.PathLike[str], what: str) -> dict[str, np.ndarray]:
    """Return {name: array} of an ``.npz`` or ``.safetensors`` file.

    Args:
        path: The file. Its suffix selects the format.
        what: Description of the arrays, for errors.

    Raises:
        ArgumentError: The suffix is neither ``.npz`` nor ``.safetensors``.
        FileError: The file is missing, damaged or of another format.
        OutOfMemoryError: The arrays do not fit in memory.
    """
    source = as_path(path)
    if source.suffix not in SUFFIXES:
        raise ArgumentError(f"can't load {what} from {source}; give a mapping, .npz or .safetensors")
    try:
        return read_npz(source) if source.suffix == ".npz" else _read_safetensors(source)
    except (FileError, OutOfMemoryError):
        raise
    except FileNotFoundError:
        raise FileError(f"no file {source}; give the path of an .npz or .safetensors file") from None
    except Exception as error:  # a damaged file can make its reader raise anything
        raise FileError(
            f"{source} is damaged, or not a {source.suffix} file: {error}; give the file as it was written"
        ) from None


def _read_safetensors(path: os.PathLike[str]) -> dict[str, np.ndarray]:
    data = read_file(path, "an .npz or .safetensors file")
    metadata = metadata_of(data)
    if (MARK in metadata or DIGEST in metadata) and not is_intact(data, DIGEST):
        raise ValueError(f"it is damaged: the digest of its {len(data):,} bytes differs")
    return arrays_in(data)


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return {name: read-only array} of an ``.npz`` file. A damaged file can raise any exception."""
    with open_file(path, "an .npz file") as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_count(file, len(members))
        reserve(sum(member.file_size for member in members), f"what {os.fspath(path)} holds")
        arrays = {}
        for member in members:
            with archive.open(member) as opened:
                arrays[member.orig_filename.removesuffix(".npy")] = _npy(opened, member)  # type: ignore[arg-type]
        return arrays


def _check_count(file: BinaryIO, count: int) -> None:
    """Raise ``ValueError`` if the end record of a zip file states another number of members than ``count``."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_BYTES))
    end = file.read()
    place = end.rfind(b"PK\5\6") + 10
    announced = int.from_bytes(end[place : place + 2], "little")
    if announced not in (count, 0xFFFF):  # 0xFFFF: the count is in the zip64 record
        raise ValueError(f"it is damaged: {announced} arrays were written, and it lists {count}")


def _npy(file: BinaryIO, member: zipfile.ZipInfo) -> np.ndarray:
    """Return the array of an ``.npy`` member of a zip file, whose header must fit the number of bytes."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(
            f"{member.filename} has version {version[0]}.{version[1]} of NumPy's format, which is not supported"
        )
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran_order, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds pickled objects, which may run anything; write arrays of numbers")
    count = bytes_of(shape, dtype)
    data = file.read(count + 1)
    if len(data) != count:
        raise ValueError(f"{member.filename} has {len(data):,} bytes or more for {dtype}{list(shape)}")
    array = np.frombuffer(data, dtype)
    return array.reshape(shape[::-1]).T if is_fortran_order else array.reshape(shape)
