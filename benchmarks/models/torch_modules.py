"""Modules of torch with their trained weights: an embedding of voices, diacritics, and text in pictures.

The modules' classes come from the packages' source files, unchanged; ``rg.read_torch`` reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import PACKAGES, fetched
from .model import Arrays, Model
from .published import definitions

UNEVEN = 1e-4
"""Tolerance of a net whose attention amplifies rounding errors: its scores are sums of 512 products, up to 250."""

Drawn = Callable[[np.random.Generator, int, int], np.ndarray]


def voices_nets() -> list[Model]:
    """Return Resemblyzer: three LSTMs, whose last state is the embedding of a voice."""
    files = fetched("resemblyzer")
    constants = {"mel_n_channels": 40, "model_hidden_size": 256, "model_num_layers": 3, "model_embedding_size": 256}
    path = files["voice_encoder.py"]
    scope = definitions(path, "VoiceEncoder", Path=Path, timer=perf_counter, **constants)
    module = scope["VoiceEncoder"]("cpu", False, files["pretrained.pt"])
    return [_model("Resemblyzer", "resemblyzer", module, _floats(40), last=True, what="a row of 100 steps")]


def marks_nets() -> list[Model]:
    """Return arabic-diacritizer: three bidirectional LSTMs, and attention to all letters."""
    files = fetched("arabic-diacritizer")
    sizes = {"embed_dim": 128, "hidden_dim": 256, "num_layers": 3, "dropout": 0.3}
    names = "BahdanauAttention", "BiLSTMDiacritizer"
    scope = definitions(files["model.py"], *names, BASELINE_DEFAULTS=sizes, NUM_CLASSES=15)
    weights = _weights(files["bilstm_best.pt"])
    letters = len(weights["embedding.weight"])
    module = _loaded(scope["BiLSTMDiacritizer"](letters), weights)

    def drawn(draw: np.random.Generator, rows: int, steps: int) -> np.ndarray:
        return draw.integers(0, letters, (rows, steps))

    return [_model("arabic-diacritizer", "arabic-diacritizer", module, drawn, UNEVEN, what="a row of 100 letters")]


def lines_nets() -> list[Model]:
    """Return nets that read text in a picture: convolutions, and a bidirectional recurrence over columns."""
    compact = fetched("legere")
    names = "ModelConfig", "DepthwiseSeparableBlock", "CompactCRNN"
    weights = _weights(compact["model.pt"])["model"]
    scope = definitions(compact["model.py"], *names, NUM_CLASSES=len(weights["head.bias"]))
    legere = _loaded(scope["CompactCRNN"](), weights)
    nano = fetched("nano-ocr")
    weights = _weights(nano["nano_ocr_ftr.pth"])
    small = _loaded(definitions(nano["ocr.py"], "CRNN")["CRNN"](len(weights["fc.bias"])), weights)
    khmer = fetched("khmer-ocr-ocm")
    weights = _weights(khmer["model.pth"])["model_state_dict"]
    large = _loaded(definitions(khmer["model.py"], "CRNN")["CRNN"](), weights)
    what = "a line of 32 x 200"
    return [
        _model("legere", "legere", legere, _pictures(32), what=what),
        _model("nano-ocr", "nano-ocr", small, _pictures(32), what=what),
        _model("khmer-ocr-ocm", "khmer-ocr-ocm", large, _pictures(48), what="a line of 48 x 200"),
    ]


def _pictures(height: int) -> Drawn:
    """Return a function that draws random pictures of ``height`` rows, twice as wide as the number of steps."""
    return lambda draw, rows, steps: draw.standard_normal((rows, 1, height, 2 * steps)).astype(np.float32)


def _floats(width: int) -> Drawn:
    return lambda draw, rows, steps: draw.standard_normal((rows, steps, width)).astype(np.float32)


def _weights(path: Path) -> Any:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _loaded(module: Any, weights: Any) -> Any:
    module.load_state_dict(weights)
    return module


def _model(name: str, package: str, module: Any, drawn: Drawn, tolerance: float = 1e-5, **options: Any) -> Model:
    release = PACKAGES[package]
    return of_module(name, f"{release.requirement}, {release.licence}", module, drawn, tolerance, **options)


def of_module(
    name: str,
    origin: str,
    module: Any,
    drawn: Drawn,
    tolerance: float = 1e-5,
    *,
    what: str,
    last: bool = False,
) -> Model:
    """Return the model of a torch module with one input.

    Args:
        name: Name in the table.
        origin: Package, version and licence.
        module: The module.
        drawn: Function from a generator and numbers of rows and steps to a random input.
        tolerance: As in ``Model``.
        what: What a timed call computes.
        last: True if the module returns results after the last step only.
    """
    import torch

    torch.set_num_threads(1)
    draw, module = np.random.default_rng(0), module.eval()
    net = rg.read_torch(module, torch.from_numpy(drawn(draw, 2, 40)))
    program, (fed,) = net.program(), net.inputs

    def theirs(feeds: Arrays) -> Arrays:
        with torch.no_grad():
            result = module(torch.from_numpy(feeds[fed]))
        flat = result if isinstance(result, tuple) else (result,)
        return dict(zip(net.outputs, (item.numpy() for item in flat), strict=True))

    one = {fed: drawn(draw, 1, 100)}
    return Model(
        name=name,
        form="torch module",
        origin=origin,
        by="torch",
        lines=len(net.script().splitlines()),
        program=program,
        feeds=[{fed: drawn(draw, rows, steps)} for rows, steps in ((1, 12), (3, 30), (2, 57))],
        engine=theirs,
        tolerance=tolerance,
        last=last,
        timed={what: (lambda: program.inference(one), lambda: theirs(one))},
    )
