"""Reads untrusted HDF5 files with h5py: the size of data is limited, and data in other files is refused."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ....support.allocation import reserve
from ....support.errors import FileError, MissingExtraError
from ...reading import MAX_BYTES
from .object_header import lengths_of_texts

MAX_CHUNKS = 100_000
"""Maximum chunks of a dataset, because HDF5 allocates memory for each."""
MAX_NAMES = 100_000
MAX_DEFLATE_RATIO = 1100
"""Maximum compression ratio of deflate, rounded up. A dataset that claims more is damaged."""
FILTERS = {1, 2, 3, 32000}
"""HDF5's ids of the supported filters: deflate, shuffle, checksum and LZF, which are built into HDF5 or h5py."""
SIGNATURE = b"\x89HDF\r\n\x1a\n"

T = TypeVar("T")


class Hdf5:
    """Opened HDF5 file. Groups and datasets are named by paths; ``""`` is the root group.

    Links, data in other files, and filters that h5py would have to load are errors.
    """

    def __init__(self, name: str, data: bytes) -> None:
        """Open a file from its bytes. Raises ``MissingExtraError`` if h5py is not installed.

        Args:
            name: The file's name in errors.
        """
        self.name = name
        try:
            import h5py
        except ImportError:
            raise MissingExtraError("files of Keras need h5py; pip install h5py") from None
        self._h5py = h5py
        self._data, self._size = data, len(data)
        self._left = min(MAX_BYTES, MAX_DEFLATE_RATIO * len(data))
        self._file = self._call_h5py(lambda: h5py.File(io.BytesIO(data), "r"))

    def error(self, what: str) -> FileError:
        """Return the error for a damaged file."""
        return FileError(f"{self.name} is damaged: {what}; use an undamaged copy")

    def has(self, path: str) -> bool:
        """True if the path leads to a group or dataset."""
        return self._call_h5py(lambda: self._at(path) is not None)

    def names(self, path: str) -> list[str]:
        """Return the names in a group; an empty list if the path does not lead to a group."""
        group = self._call_h5py(lambda: self._at(path))
        if not isinstance(group, self._h5py.Group):
            return []
        count = self._call_h5py(lambda: len(group))
        if count > MAX_NAMES:
            raise self.error(f"{path or 'it'} has {count:,} names, more than {MAX_NAMES:,}")
        return self._call_h5py(lambda: list(group))

    def text(self, path: str, attribute: str, default: Any = ...) -> str:
        """Return a string attribute of a group. Raise ``FileError`` if it is no string, or missing without default."""
        value = self._attribute(path, attribute)
        if value is None and default is not ...:
            return default
        value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if not isinstance(value, str):
            raise self.error(f"{path or 'it'} has no string attribute {attribute}")
        return str(value)

    def texts(self, path: str, attribute: str) -> list[str]:
        """Return a group's attribute that is a list of strings; an empty list if it is missing.

        Keras splits a long list into the attributes ``attribute0``, ``attribute1`` …
        """
        whole = self._attribute(path, attribute)
        if whole is not None:
            return self._listed(path, attribute, whole)
        pieces: list[str] = []
        for number in range(MAX_NAMES):
            piece = self._attribute(path, f"{attribute}{number}")
            if piece is None:
                break
            pieces += self._listed(path, attribute, piece)
        return pieces

    def array(self, path: str) -> np.ndarray:
        """Return a numeric dataset, as float64 if it is stored as float64, otherwise as float32."""
        dataset = self._call_h5py(lambda: self._at(path))
        if not isinstance(dataset, self._h5py.Dataset):
            raise self.error(f"it has no array {path!r}")
        narrow = self._attribute(path, "dtype") == "bfloat16"
        array: np.ndarray = self._call_h5py(lambda: self._read(dataset, path))
        if narrow and array.dtype.itemsize == 2:
            return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if array.dtype.kind not in "fiu":
            raise self.error(f"{path!r} has dtype {array.dtype}, which is not numeric")
        is_double = array.dtype.kind == "f" and array.dtype.itemsize == 8  # in either byte order
        return array.astype(np.float64 if is_double else np.float32, copy=False)

    # Checked access ------------------------------------------------------------------------------

    def _at(self, path: str) -> Any:
        """Return the object at a path, checking each link; None if there is none."""
        place: Any = self._file
        for part in path.split("/") if path else ():
            if not part:
                continue
            if part in (".", "..") or not isinstance(place, self._h5py.Group):
                return None
            link = place.get(part, default=None, getlink=True)  # the link itself, which is not followed
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise self.error(f"{path!r} is a soft or external link, which is not allowed")
            place = place[part]
        return place

    def _attribute(self, path: str, name: str) -> Any:
        """Return an attribute's value; None if there is none."""

        def read() -> Any:
            holder = self._at(path)
            if holder is None or name not in holder.attrs:
                return None
            kind = holder.attrs.get_id(name)
            if kind.get_storage_size() > self._size or math.prod(kind.shape) > MAX_NAMES:
                raise self.error(f"the attribute {name} of {path or 'it'} is too long")
            address = self._h5py.h5g.get_objinfo(holder.id).objno[0]
            if sum(lengths_of_texts(self._data, address, name)) > self._size:
                raise self.error(f"the attribute {name} of {path or 'it'} is too long")
            return holder.attrs[name]

        return self._call_h5py(read)

    def _listed(self, path: str, attribute: str, value: Any) -> list[str]:
        """Convert an attribute's value to strings. Raises ``FileError`` unless it is a 1-D array."""
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            raise self.error(f"attribute {attribute} of {path or 'it'} is not a list")
        return [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in value.tolist()]

    def _read(self, dataset: Any, path: str) -> np.ndarray:
        """Read a dataset, after checks of its dtype, filters, chunks and size against the file's size."""
        kind, properties = dataset.dtype, dataset.id.get_create_plist()
        if kind.hasobject or kind.fields or kind.subdtype or not kind.itemsize:
            raise self.error(f"{path!r} has dtype {kind}, which is not numeric")
        if dataset.is_virtual or properties.get_external_count():
            raise self.error(f"the numbers of {path!r} are in other files, which is not allowed")
        filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
        if not filters <= FILTERS:
            raise self.error(f"{path!r} needs a filter that is not built into HDF5")
        chunks = dataset.chunks and math.prod(
            -(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)
        )
        if (chunks or 0) > MAX_CHUNKS:
            raise self.error(f"{path!r} has {chunks:,} chunks, more than {MAX_CHUNKS:,}")
        size = math.prod(dataset.shape) * kind.itemsize
        stored = min(self._size, dataset.id.get_storage_size())
        whole = math.prod(dataset.chunks) * kind.itemsize if dataset.chunks else 0
        if max(size, whole) > self._left or size > stored * (MAX_DEFLATE_RATIO if dataset.chunks else 1):
            raise self.error(f"{path!r} needs {size:,} bytes, more than the file can contain")
        self._left -= size
        reserve(size, f"an array of {self.name}")
        return np.asarray(dataset[()])

    def _call_h5py(self, function: Callable[[], T]) -> T:
        """Call a function, and convert h5py's exceptions to errors of this package."""
        try:
            return function()
        except FileError:
            raise
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise self.error(f"h5py can't read it ({error})") from None
