"""sleepecg: sleep stages from heartbeats, by bidirectional GRUs over masked steps, from Keras 3 files."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model

FEATURES, MASKED = 36, -1.0


def nets() -> list[Model]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return [_model(path) for path in fetched("sleepecg").values()]


def _model(archive: Path) -> Model:
    import keras

    file = archive.with_suffix(".keras")
    with zipfile.ZipFile(archive) as inner:
        file.write_bytes(inner.read("classifier.keras"))
    net, model = rg.read_keras(file), keras.models.load_model(file, compile=False)
    (entry,), (result,) = net.inputs, net.outputs
    program = net.program()

    def theirs(feeds: Arrays) -> Arrays:
        return {result: model(feeds[entry], training=False).detach().numpy()}

    feeds = [{entry: _nights(rows, steps)} for rows, steps in ((1, 1), (2, 40), (3, 97), (1, 960))]
    night: Any = feeds[-1]
    package = PACKAGES["sleepecg"]
    return Model(
        name=f"sleepecg {archive.stem}",
        form="Keras 3",
        origin=f"{package.requirement}, {package.licence}",
        by="Keras on torch",
        steps_in_python=True,
        lines=len(net.script().splitlines()),
        program=program,
        feeds=feeds,
        engine=theirs,
        tolerance=1e-5,
        timed={"a night of 960 steps": (lambda: program.inference(night), lambda: theirs(night))},
    )


def _nights(rows: int, steps: int) -> np.ndarray:
    """Return random features with a fifth of the steps masked, in all features, as the package marks missing steps."""
    generator = np.random.default_rng([rows, steps])
    features = generator.standard_normal((rows, steps, FEATURES)).astype(np.float32)
    features[generator.random((rows, steps)) < 0.2] = MASKED
    return features
