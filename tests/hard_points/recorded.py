"""Recorded values as text with readable diffs. Runs on Python 3.7, for TensorFlow 1's recorder.

An entry is its key, the checksum of its points, and a block for each array: a name, dtype, shape, then the numbers in
their shortest form. ``nan*3`` means three of them.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

FOLDER = Path(__file__).parent / "recorded"
Arrays = Dict[str, np.ndarray]
Record = Tuple[str, Optional[Arrays]]
"""Checksum of the points, and the arrays, or None if the framework raises an error."""


def number(value: np.generic) -> str:
    """Return the shortest text that is parsed as this number."""
    if value.dtype.kind == "f":
        return str(value)[:-2] if str(value).endswith(".0") else str(value)
    return str(int(value))


def text_of(heading: str, records: Mapping[str, Record]) -> str:
    """Return the contents of the file with records."""
    return "".join(_lines(heading, records))


def _lines(heading: str, records: Mapping[str, Record]) -> Iterator[str]:
    yield "# " + heading + "\n"
    for key, (digest, arrays) in records.items():
        yield "\n" + key + " | " + digest + "\n"
        if arrays is None:
            yield "  raises\n"
        for name, array in (arrays or {}).items():
            yield "  " + " ".join([name, str(array.dtype), "x".join(map(str, array.shape)) or "scalar"]) + "\n"
            line = "   "
            for entry, run in groupby(number(value) for value in array.reshape(-1)):
                count = len(list(run))
                word = " " + entry + ("*" + str(count) if count > 1 else "")
                if len(line) + len(word) > 118:
                    yield line + "\n"
                    line = "   "
                line += word
            if line.strip():
                yield line + "\n"


def records_of(path: Path) -> Dict[str, Record]:
    """Return the records of a file, by the keys of their entries."""
    found: Dict[str, Record] = {}
    arrays: Arrays = {}
    key = digest = ""
    heads: List[str] = []
    words: List[str] = []

    def close() -> None:
        if heads:
            arrays[heads[0]] = _array(words, heads[1], heads[2])
        heads.clear()
        words.clear()

    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            words += line.split()
        elif line.startswith("  raises"):
            found[key] = digest, None
        elif line.startswith("  "):
            close()
            heads += line.split()
        elif " | " in line and not line.startswith("#"):
            close()
            arrays = {}
            key, _, digest = line.rpartition(" | ")
            found[key] = digest, arrays
    close()
    return found


def _array(words: List[str], dtype: str, shape: str) -> np.ndarray:
    entries: List[str] = []
    for word in words:
        value, _, count = word.partition("*")
        entries += [value] * int(count or 1)
    if dtype == "bool":
        array = np.array([entry == "1" for entry in entries], bool)
    elif np.dtype(dtype).kind == "f":
        array = np.array([float(entry) for entry in entries], np.float64).astype(dtype)
    else:
        array = np.array([int(entry) for entry in entries], dtype)
    return array.reshape([] if shape == "scalar" else [int(size) for size in shape.split("x")])
