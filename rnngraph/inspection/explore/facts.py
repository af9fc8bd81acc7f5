"""What the page says beside texts: the lines of the script, arrays with histograms, and where time goes."""

from __future__ import annotations

import linecache
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...support.errors import Where
from ..profile.profile import Profile
from .places import Places

BINS = 32
MAX_COUNTED = 1 << 20
"""Elements of an array that its histogram counts: of a larger one, evenly spaced ones."""


def shown_files(places: Places, are_read: bool) -> list[dict[str, Any]]:
    """The files of all places, with their lines. are_read: whether lines are looked at; a file from elsewhere can name
    any file, and its pages are for others to read.
    """
    found: list[dict[str, Any]] = []
    for file in places.files:
        lines = [line.rstrip("\n") for line in linecache.getlines(file)] if are_read else []
        name = Where(file, 1).shown_file
        found.append({"name": Path(name).name if os.path.isabs(name) else name, "lines": lines or None})
    return found


def lines_of_files(places: Places) -> list[list[tuple[int, int]]]:
    """For each file its lines that something comes from, with the sets of their places."""
    lines: dict[tuple[str, int], list[Where]] = {}
    for where in places.known:
        lines.setdefault((where.file, where.line), []).append(where)
    numbers = {file: number for number, file in enumerate(places.files)}
    found: list[list[tuple[int, int]]] = [[] for _ in numbers]
    for (file, line), wheres in sorted(lines.items()):
        found[numbers[file]].append((line, places.set(wheres)))
    return found


def array_facts(name: str, array: np.ndarray, places: Places, layer: str = "") -> dict[str, Any]:
    """Name, type, bytes and histogram of a parameter or a tap. layer: whose places belong to it."""
    wheres = [where for where in places.known if layer and where.layer == layer]
    numbers = array.reshape(-1)
    if numbers.size > MAX_COUNTED:
        numbers = numbers[:: -(-numbers.size // MAX_COUNTED)]
    numbers = numbers.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    counts = np.histogram(finite, BINS)[0] if finite.size else np.zeros(BINS, np.int64)
    return {
        "name": name,
        "type": f"{array.dtype}[{', '.join(map(str, array.shape))}]",
        "bytes": array.nbytes,
        "counts": counts.tolist(),
        "range": [f"{finite.min():.4g}", f"{finite.max():.4g}"] if finite.size else [],
        "wrong": int(numbers.size - finite.size),
        "set": places.set(wheres),
    }


def all_array_facts(
    arrays: Mapping[str, np.ndarray], places: Places, layers: Mapping[str, str]
) -> list[dict[str, Any]]:  # fmt: skip
    """Those of all arrays. layers: by name, where one is known."""
    return [array_facts(name, np.asarray(array), places, layers.get(name, "")) for name, array in arrays.items()]


def time_facts(profile: Profile, places: Places) -> dict[str, Any]:
    """Where the time of a call goes: the share of each place, and of each kernel its share and what bounds it."""
    heat: dict[int, float] = {}
    rows: list[dict[str, Any]] = []
    for kernel in profile.kernels:
        known = [(piece.where, piece.share) for piece in kernel.pieces if piece.where is not None]
        for where, part in known:
            number = places.place(where)
            heat[number] = heat.get(number, 0.0) + kernel.share * part
        far = f"{kernel.over_floor:.1f} × the floor" if math.isfinite(kernel.over_floor) else ""
        rows.append({
            "name": kernel.name, "layers": [*kernel.layers], "share": kernel.share,
            "microseconds": 1e6 * kernel.seconds,
            "bound": ", ".join(filter(None, (kernel.bound, far))), "set": places.set(where for where, _ in known),
        })  # fmt: skip
    rows.sort(key=lambda row: -row["share"])
    return {"places": [*heat.items()], "rows": rows, "microseconds": 1e6 * profile.seconds}
