"""Files of datasets: where they lie, arrays by name, and rows of different lengths without pickles."""

from __future__ import annotations

import os
import zipfile
from typing import Any

import numpy as np

from ...storage.array_file import read_npz
from ...storage.atomic_file import as_path
from ...support.arguments import whole_number
from ...support.errors import ArgumentError, FileError
from ..core.errors import NotFoundError

FOLDER = os.path.join("~", ".keras", "datasets")
LARGEST = 1 << 32
"""Bytes that the arrays of a file may have."""

Pair = tuple[np.ndarray, np.ndarray]


def place_of(path: Any, url: str) -> str:
    """The full path of a file, by default in Keras' folder. Raises ``NotFoundError`` that says where to put it."""
    name = os.fspath(as_path(path))
    full = name if os.path.isabs(name) else os.path.join(os.path.expanduser(FOLDER), name)
    if not os.path.isfile(full):
        raise NotFoundError(f"there is no {full}; nothing is downloaded: put the file there that Keras has from {url}")
    return full


def arrays_of(path: str, names: tuple[str, ...]) -> list[np.ndarray]:
    """The arrays of these names of an ``.npz`` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > LARGEST:
                raise FileError(f"{path} holds more than {LARGEST} bytes")
        arrays = read_npz(path)
    except FileError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise FileError(f"can't read {path}: {_CONVERT if 'pickled' in str(error) else error}") from None
    if missing := [name for name in names if name not in arrays]:
        raise FileError(f"{path} has no {', '.join(missing)}; it has {', '.join(list(arrays)[:20])}")
    return [arrays[name] for name in names]


_CONVERT = (
    "its rows are pickled objects, which may run anything. Where you trust the file, convert it once: read it with "
    "NumPy with pickles allowed, and np.savez it with every array of rows as two, NAME = np.concatenate(rows) and "
    "NAME_lengths = [len(row) for row in rows]"
)


def rows_of(path: str, name: str) -> list[list[int]]:
    """Rows of ints of different lengths: ``name`` holds them one behind the other, and ``name_lengths`` their lengths.

    Where these rows are pickled, as in the files that Keras downloads, an error says how to convert them.
    """
    (values,) = arrays_of(path, (name,))
    (lengths,) = arrays_of(path, (f"{name}_lengths",)) if values.ndim == 1 else (None,)
    if lengths is None:
        return [[int(item) for item in row] for row in values]
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or values.dtype.kind not in "iu":
        raise FileError(f"{path}: {name} and {name}_lengths are ints")
    if lengths.min(initial=0) < 0 or int(lengths.sum()) != len(values):
        raise FileError(f"{path}: {name}_lengths does not add up to {name}")
    ends = np.cumsum(lengths)
    return [values[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]


def words_of(
    parts: list[tuple[list[list[int]], np.ndarray]], seed: int, num_words: int | None, skip_top: int,
    maxlen: int | None, start_char: int | None, oov_char: int | None, index_from: int | None,
) -> list[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Texts as ids as Keras makes them: shuffled, with a first id, rare and frequent words as one id or left out."""
    draw = np.random.RandomState(whole_number(seed, "seed", 0) & 0xFFFFFFFF)
    texts: list[list[int]] = []
    labels: list[np.ndarray] = []
    for rows, wanted in parts:
        if len(rows) != len(wanted):
            raise FileError(f"a dataset has {len(rows)} texts and {len(wanted)} labels")
        order = np.arange(len(rows))
        draw.shuffle(order)
        texts += [rows[place] for place in order]
        labels.append(wanted[order])
    shift = index_from or 0
    first = [] if start_char is None else [start_char]
    texts = [[*first, *(word + shift for word in text)] for text in texts]
    kept = [place for place, text in enumerate(texts) if maxlen is None or len(text) < maxlen]
    if not kept:
        raise ArgumentError(f"no text is shorter than maxlen={maxlen}; give a larger one")
    most = num_words or max(max(texts[place], default=0) for place in kept)  # of which the largest is none, as in Keras
    texts = [_limited(text, skip_top, most, oov_char) for text in texts]
    joined, cut = np.concatenate(labels), len(parts[0][0])
    first_part = [place for place in kept if place < cut]
    second_part = [place for place in kept if place >= cut]
    return [(_objects([texts[place] for place in part]), joined[part]) for part in (first_part, second_part)]


def _limited(text: list[int], low: int, high: int, oov_char: int | None) -> list[int]:
    if oov_char is None:
        return [word for word in text if low <= word < high]
    return [word if low <= word < high else oov_char for word in text]


def _objects(rows: list[list[int]]) -> np.ndarray:
    made = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        made[place] = row
    return made
