"""Facts of the page besides texts: lines of the script, arrays with histograms, and times."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...support.errors import Where
from ...support.source_lines import first_lines, source_lines
from ..profile.profile import Profile
from .places import Places

BINS = 32
MAX_COUNTED = 1 << 20
"""Maximum elements of an array in its histogram; larger arrays are sampled evenly."""


def shown_files(places: Places, are_read: bool) -> list[dict[str, Any]]:
    """Return {name, lines, first lines of continued statements} of each script file that a net's ops come from.

    Unless ``are_read``, lines are omitted, because a saved program from elsewhere could name any file of this machine.
    """
    known: dict[str, set[int]] = {}
    for where in places.known:
        known.setdefault(where.file, set()).add(where.line)
    files: list[dict[str, Any]] = []
    for file in places.files:
        lines = [line.rstrip("\n") for line in source_lines(file)] if are_read else []
        name = Where(file, 1).shown_file
        name = Path(name).name if os.path.isabs(name) else name
        firsts = first_lines("\n".join(lines), known[file])
        files.append({"name": name, "lines": lines or None, "first": firsts})
    return files


def lines_of_files(places: Places) -> list[list[tuple[int, int]]]:
    """Return for each file the pairs (line number, index of the set of source places on that line), in order."""
    lines: dict[tuple[str, int], list[Where]] = {}
    for where in places.known:
        lines.setdefault((where.file, where.line), []).append(where)
    numbers = {file: number for number, file in enumerate(places.files)}
    lines_of: list[list[tuple[int, int]]] = [[] for _ in numbers]
    for (file, line), wheres in sorted(lines.items()):
        lines_of[numbers[file]].append((line, places.index_of_set(wheres)))
    return lines_of


def array_facts(name: str, array: np.ndarray, places: Places, layer: str = "") -> dict[str, Any]:
    """Return a dict of name, type, bytes and histogram of an array, with the source places of ``layer``."""
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
        "set": places.index_of_set(wheres),
    }


def all_array_facts(
    arrays: Mapping[str, np.ndarray], places: Places, layers: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return ``array_facts`` of each array. ``layers`` has the layer of an array by its name, if known."""
    return [array_facts(name, np.asarray(array), places, layers.get(name, "")) for name, array in arrays.items()]


def time_facts(profile: Profile, places: Places) -> dict[str, Any]:
    """Return a dict of a profiled call's times: the share of each source place, and a table row for each kernel."""
    heat: dict[int, float] = {}
    rows: list[dict[str, Any]] = []
    for kernel in profile.kernels:
        known = [(piece.where, piece.share) for piece in kernel.pieces if piece.where is not None]
        for where, part in known:
            number = places.index_of(where)
            heat[number] = heat.get(number, 0.0) + kernel.share * part
        far = f"{kernel.over_floor:.1f} × the floor" if math.isfinite(kernel.over_floor) else ""
        rows.append(
            {
                "name": kernel.name,
                "layers": [*kernel.layers],
                "share": kernel.share,
                "microseconds": 1e6 * kernel.seconds,
                "bound": ", ".join(filter(None, (kernel.bound, far))),
                "set": places.index_of_set(where for where, _ in known),
            }
        )
    rows.sort(key=lambda row: -row["share"])
    return {"places": [*heat.items()], "rows": rows, "microseconds": 1e6 * profile.seconds}
