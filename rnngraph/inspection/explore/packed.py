"""A text of a stage as the page takes it: its lines can be found without going through all of it."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Sequence

import numpy as np


def packed(lines: Sequence[str], sets: Sequence[int]) -> str:
    """Lines, with the number of the set of places that each comes from, as base64 of gzip of: the number of lines,
    where each ends (in UTF-16 units, as JavaScript counts), the sets, all of these as uint32, and the text in UTF-8.
    """
    lengths = [len(line) + sum(character > "\uffff" for character in line) + 1 for line in lines]
    numbers = np.concatenate([[len(lines)], np.cumsum(lengths, dtype=np.int64), sets]).astype("<u4")
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    data = io.BytesIO()
    with gzip.GzipFile(fileobj=data, mode="wb", compresslevel=9, mtime=0) as file:  # the same page for the same net
        file.write(numbers.tobytes() + text)
    return base64.b64encode(data.getvalue()).decode()
