"""ao-compensation-model: the phase of a gait. A Keras file with 200 declared steps, which are read as symbolic."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model


def nets() -> list[Model]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    path = fetched("ao-compensation-model")["gru_model.keras"]
    model: Any = keras.saving.load_model(path, compile=False)
    net = rg.read_keras(path, open={"input_layer": {1: "T"}})
    program, draw = net.program(), np.random.default_rng(0)

    def drawn(rows: int) -> Arrays:
        return {"input_layer": draw.standard_normal((rows, 200, 2)).astype(np.float32)}

    def theirs(feeds: Arrays) -> Arrays:
        return {"phase": model(feeds["input_layer"], training=False).detach().numpy()}

    package, one = PACKAGES["ao-compensation-model"], drawn(1)
    return [
        Model(
            name="ao-compensation-model",
            form="Keras 3",
            origin=f"{package.requirement}, {package.licence}",
            by="Keras on torch",
            lines=len(net.script().splitlines()),
            program=program,
            feeds=[drawn(1), drawn(3)],
            engine=theirs,
            tolerance=1e-5,
            last=True,
            steps_in_python=True,
            timed={"a row of 200 steps": (lambda: program.inference(one), lambda: theirs(one))},
        )
    ]
