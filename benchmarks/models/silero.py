"""silero-vad: voice activity, from ONNX files with the state as an input and an output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model

STATES = {"stateN": "state"}


def nets() -> list[Model]:
    files = fetched("silero-vad")
    return [
        _model("silero-vad, 16 kHz", files["silero_vad_16k_op15.onnx"], 16_000, 576, {"sequence": 576}),
        _model("silero-vad, 8 kHz", files["silero_vad_op18_ifless.onnx"], 8_000, 288, {"sequence": 288}),
    ]


def _model(name: str, path: Path, rate: int, samples: int, sizes: dict[str, int]) -> Model:
    """Return the model of a file.

    Args:
        name: Name in the table.
        path: The file.
        rate: Samples per second.
        samples: Samples of a step, with the context from the previous step.
        sizes: Sizes of the file's named axes.
    """
    import onnxruntime

    net = rg.read_onnx(path, fixed={"sr": rate, **sizes})
    program = net.program(states=STATES)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    more = {"sr": np.array(rate)} if len(session.get_inputs()) > 2 else {}

    def theirs(feeds: Arrays) -> Arrays:
        return dict(zip(net.outputs, session.run([*net.outputs], {**feeds, **more}), strict=True))

    generator = np.random.default_rng(0)
    feeds = [
        {"input": _array(generator, 0.1, rows, samples), "state": _array(generator, 0.5, 2, rows, 128)}
        for rows in (1, 3, 17)
    ]

    def steps(rows: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
        stream, state = program.inference.stream(rows), [np.zeros((2, rows, 128), np.float32)]
        sound = _array(generator, 0.1, rows, samples)

        def their_step() -> None:
            state[0] = theirs({"input": sound, "state": state[0]})["stateN"]

        return lambda: stream.step(input=sound), their_step

    package = PACKAGES["silero-vad"]
    return Model(
        name=name,
        form="ONNX",
        origin=f"{package.requirement}, {package.licence}",
        by="onnxruntime",
        lines=len(net.script().splitlines()),
        program=program,
        feeds=feeds,
        engine=theirs,
        tolerance=1e-5,
        states=STATES,
        timed={"a step": steps(1), "a step of 16 rows": steps(16), "a step of 64 rows": steps(64)},
    )


def _array(generator: np.random.Generator, scale: float, *shape: int) -> Any:
    return (scale * generator.standard_normal(shape)).astype(np.float32)
