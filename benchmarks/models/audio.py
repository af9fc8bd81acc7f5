"""Files of audio effects, which this module writes with random weights.

One is Neural Amp Modeler's, whose LSTM torch runs. The other is RTNeural's, whose layers Keras runs.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

import rnngraph as rg

from .model import Arrays, Model

HIDDEN, LAYERS = 24, 2
INNER, UNITS = 8, 20
RATE = 48_000


def amplifier() -> tuple[bytes, Any]:
    """Return (a .nam file, a torch module with the same weights and input [batch, time, 1])."""
    import torch

    generator = np.random.default_rng(3)
    lstm, head = torch.nn.LSTM(1, HIDDEN, LAYERS, batch_first=True), torch.nn.Linear(HIDDEN, 1)
    initial = generator.normal(0, 0.3, (2, LAYERS, HIDDEN)).astype(np.float32)
    numbers: list[np.ndarray] = []
    with torch.no_grad():
        for layer in range(LAYERS):
            inner, across, one, two = (
                getattr(lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            both = torch.cat([inner, across], 1).numpy()
            numbers += [both, (one + two).numpy(), initial[0, layer], initial[1, layer]]
        numbers += [head.weight.numpy(), head.bias.numpy()]
    config = {"input_size": 1, "hidden_size": HIDDEN, "num_layers": LAYERS}
    weights = [float(number) for array in numbers for number in array.reshape(-1)]
    file = {"version": "0.5.2", "architecture": "LSTM", "config": config, "weights": weights, "sample_rate": RATE}

    class Amplifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = lstm, head

        def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
            if state is None:
                state = tuple(torch.from_numpy(array)[:, None].expand(-1, len(x), -1).contiguous() for array in initial)
            y, state = self.lstm(x, state)
            return self.head(y), state

    return json.dumps(file).encode(), Amplifier().eval()


def pedal() -> tuple[bytes, Any]:
    """Return (an RTNeural file, the Keras model from which it was written)."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(5)
    layers = [
        keras.layers.Conv1D(INNER, 5, dilation_rate=3, padding="causal", activation="tanh"),
        keras.layers.GRU(UNITS, return_sequences=True),
        keras.layers.LSTM(UNITS, return_sequences=True),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.layers.Input((None, 1)), *layers])
    for layer in layers:
        # adds nonzero values, so that no bias is zero
        layer.set_weights([array + _waves(array.shape) for array in layer.get_weights()])
    names = ("conv1d", "gru", "lstm", "dense")
    written = []
    for name, layer in zip(names, layers, strict=True):
        arrays = layer.get_weights()
        width = arrays[1].shape[0] if name in ("gru", "lstm") else arrays[0].shape[-1]
        entry: dict[str, Any] = {"type": name, "shape": [None, None, width], "weights": [a.tolist() for a in arrays]}
        entry |= {"activation": "tanh" if name == "conv1d" else ""}
        entry |= {"kernel_size": [5], "dilation": [3]} if name == "conv1d" else {}
        written.append(entry)
    return json.dumps({"in_shape": [None, None, 1], "layers": written}).encode(), model


def _waves(shape: tuple[int, ...]) -> np.ndarray:
    return (0.1 * np.cos(np.arange(np.prod(shape)))).astype(np.float32).reshape(shape)


def sounds(generator: np.random.Generator) -> list[Arrays]:
    return [
        {"x": generator.standard_normal(shape).astype(np.float32)} for shape in ((1, 1, 1), (3, 17, 1), (2, 100, 1))
    ]


def nets() -> list[Model]:
    import torch

    generator = np.random.default_rng(7)
    file, module = amplifier()
    net = rg.read_nam(file)
    program = net.program()
    block = generator.standard_normal((1, 64, 1)).astype(np.float32)
    stream, other = program.inference.stream(), torch.from_numpy(block)

    def theirs(feeds: Arrays) -> Arrays:
        with torch.no_grad():
            return {"y": module(torch.from_numpy(feeds["x"]))[0].numpy()}

    state = [None]

    def torch_block() -> None:
        with torch.no_grad():
            _, state[0] = module(other, state[0])

    models = [
        Model(
            name=f"amplifier, {LAYERS} LSTM layers of {HIDDEN}",
            form="Neural Amp Modeler",
            origin="made by the test",
            by="torch",
            lines=len(net.script().splitlines()),
            program=program,
            feeds=sounds(generator),
            engine=theirs,
            tolerance=1e-5,
            timed={"64 samples": (lambda: stream.process(x=block), torch_block)},
        )
    ]
    content, keras_model = pedal()
    read = rg.read_rtneural(content)
    effect = read.program()
    models.append(
        Model(
            name="pedal: convolution, GRU, LSTM",
            form="RTNeural",
            origin="made by the test",
            by="Keras on torch",
            steps_in_python=True,
            lines=len(read.script().splitlines()),
            program=effect,
            feeds=sounds(generator),
            engine=lambda feeds: {"y": keras_model(feeds["x"], training=False).detach().numpy()},
            tolerance=1e-5,
            timed={
                "64 samples, from silence": (
                    lambda: effect.inference(x=block),
                    lambda: keras_model(block, training=False),
                )
            },
        )
    )
    return models
