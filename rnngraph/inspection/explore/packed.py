"""Packs a stage's text so that the page finds lines without reading all of it."""

from __future__ import annotations

import base64
import gzip
import io
from collections.abc import Sequence

import numpy as np


def packed(lines: Sequence[str], sets: Sequence[int]) -> str:
    """Return a stage's lines, each with the index of its set of source places, as base64 text of gzip data.

    The data are the number of lines, the end of each line, and the sets, all as uint32, and then the text in UTF-8.
    Ends are counted in UTF-16 units, as in JavaScript.
    """
    lengths = [len(line) + sum(character > "\uffff" for character in line) + 1 for line in lines]
    numbers = np.concatenate([[len(lines)], np.cumsum(lengths, dtype=np.int64), sets]).astype("<u4")
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    data = io.BytesIO()
    # mtime=0, so that the same net gives the same page
    with gzip.GzipFile(fileobj=data, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(numbers.tobytes() + text)
    return base64.b64encode(data.getvalue()).decode()
