"""cutkum: finds the ends of words in Thai. A frozen graph of TensorFlow 1.x, with a loop of three GRUs.

The engine is NumPy in float64, because TensorFlow 1.x runs only on old versions of Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model

UNITS = (512, 256, 128)
INPUTS, LENGTHS, STATE = "placeholder/inputs", "placeholder/seq_lengths", "placeholder/fw_state"


def nets() -> list[Model]:
    path = fetched("cutkum")["frozen_model.pb"]
    net = rg.read_tf1_graph(path, fixed={"placeholder/keep_prob": 1.0})
    program, draw = net.program(), np.random.default_rng(0)
    layers = [_layer(net.parameters, number) for number in range(7)]

    def drawn(rows: int, steps: int) -> Arrays:
        return {
            INPUTS: draw.standard_normal((steps, rows, 80)).astype(np.float32),
            LENGTHS: np.full(rows, steps, np.int32),
            STATE: (0.3 * draw.standard_normal((1, rows, sum(UNITS)))).astype(np.float32),
        }

    def theirs(feeds: Arrays) -> Arrays:
        return {"probs": _in_numpy(layers, feeds[INPUTS], feeds[STATE][0])}

    package, one = PACKAGES["cutkum"], drawn(1, 100)
    return [
        Model(
            name="cutkum",
            form="TensorFlow 1 graph",
            origin=f"{package.requirement}, {package.licence}",
            by="NumPy, float64",
            lines=len(net.script().splitlines()),
            program=program,
            feeds=[drawn(1, 1), drawn(3, 7), drawn(2, 30)],
            engine=theirs,
            tolerance=1e-5,
            time=0,
            held=(LENGTHS, STATE),
            steps_in_python=True,
            timed={"a row of 100 letters": (lambda: program.inference(one), lambda: theirs(one))},
        )
    ]


def _layer(parameters: Any, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (kernel, bias) of the file's matrix product with index ``number``, in order of execution."""
    name = "dense" if number == 0 else f"dense_{number}"
    arrays = [array for key, array in parameters.items() if key.split("/")[-2] == name]
    kernel, bias = sorted(arrays, key=lambda array: -array.ndim)
    return kernel.astype(np.float64), bias.astype(np.float64)


def _in_numpy(layers: list[tuple[np.ndarray, np.ndarray]], inputs: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Return probabilities [time, batch, 5] for rows without padding."""

    def dense(number: int, *parts: np.ndarray) -> np.ndarray:
        kernel, bias = layers[number]
        return np.concatenate(parts, 1) @ kernel + bias

    states = np.split(state.astype(np.float64), np.cumsum(UNITS)[:-1], axis=1)
    outputs = []
    for x in inputs.astype(np.float64):
        for layer, h in enumerate(states):
            reset, update = np.split(1 / (1 + np.exp(-dense(2 * layer, x, h))), 2, axis=1)
            states[layer] = x = update * h + (1 - update) * np.tanh(dense(2 * layer + 1, x, reset * h))
        scores = np.exp(1 / (1 + np.exp(-dense(6, x))))
        outputs.append(scores / scores.sum(1, keepdims=True))
    return np.stack(outputs)
