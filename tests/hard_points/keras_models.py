"""Files of Keras models, each of one expression."""

from __future__ import annotations

import io
import json
import zipfile

import h5py

from .cases import Entry
from .points import arrays_of
from .recorded import FOLDER, Arrays

MODELS = FOLDER / "keras_models.txt"
"""Descriptions of models as Keras saved them: an entry's key and JSON on each line."""


def feeds_of(entry: Entry) -> Arrays:
    """Return the arguments that the expression uses. Scalars become rows of one entry, because Keras' tensors have a
    batch.
    """
    names = compile(entry.case.expression, "expression", "eval").co_names
    return {
        name: array.reshape(-1, 1) if array.ndim == 1 else array
        for name, array in arrays_of(entry.points, entry.dtype).items()
        if name in names
    }


def models() -> dict[str, str]:
    """Return the descriptions by entries' keys."""
    lines = MODELS.read_text(encoding="utf-8").splitlines() if MODELS.exists() else []
    return dict(line.rsplit(" | ", 1) for line in lines)


def file_of(description: str) -> bytes:
    """Return a ``.keras`` file of a description whose layers have no weights."""
    weights, packed = io.BytesIO(), io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": ""}))
        archive.writestr("config.json", description)
        archive.writestr("model.weights.h5", weights.getvalue())
    return packed.getvalue()
