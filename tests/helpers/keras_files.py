"""Access to the files that tests/fixtures/generate_keras.py wrote, and to modified copies."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from changed_files import changed

FOLDER = Path(__file__).parents[1] / "fixtures" / "keras"
FILES = {path.name.partition(".")[0]: path for path in sorted(FOLDER.glob("*.gz"))}


def data_of(name: str) -> bytes:
    return gzip.decompress(FILES[name].read_bytes())


def calls_of(name: str) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Return (feeds, Keras' results) of each call."""
    results: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    with np.load(FOLDER / f"{name}.npz") as numbers:
        for key in numbers:
            call, side, array = key.split("/")
            results.setdefault(call, {"in": {}, "out": {}})[side][array] = numbers[key]
    return [(call["in"], call["out"]) for call in results.values()]


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def redescribed(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a ``.keras`` file with a changed description."""
    members = members_of(data)
    described = json.loads(members["config.json"])
    change(described)
    return zipped(members | {"config.json": json.dumps(described).encode()})


def rewritten(data: bytes, change: Callable[[h5py.File], None]) -> bytes:
    """Return a ``.keras`` file with changed weights."""
    members = members_of(data)
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        change(file)
    return zipped(members | {"model.weights.h5": weights.getvalue()})


def changed_within(name: str, seed: int) -> bytes:
    """Return a file with one random change: anywhere, or within an archive's member, with a valid checksum."""
    data = data_of(name)
    if data[:2] != b"PK" or seed % 4 == 0:
        return changed(data, seed)
    members = members_of(data)
    member = ("config.json", "model.weights.h5", "model.weights.h5")[seed % 4 - 1]
    return zipped(members | {member: changed(members[member], seed)})
