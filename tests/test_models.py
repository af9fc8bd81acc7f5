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
    "silero": {"silero-vad, 16 kHz": ("yes", "stream"), "silero-vad, 8 kHz": ("yes", "stream")},
    "sleep": {
        "sleepecg wrn-gru-mesa": ("no", "sequence"),
        "sleepecg wrn-gru-mesa-weighted": ("no", "sequence"),
        "sleepecg ws-gru-mesa": ("no", "sequence"),
    },
    "reaction": {"reactionrnn": ("no", "sequence")},
    "noise": {"RNNoise": ("yes", "stream")},
    "words": {"g2p-en": ("no", "sequence")},
    "audio": {
        "amplifier, 2 LSTM layers of 24": ("yes", "stream"),
        "pedal: convolution, GRU, LSTM": ("yes", "stream"),
    },
    "suppression": {"NSNet2, 16 kHz": ("yes", "stream"), "NSNet2, 48 kHz": ("yes", "stream")},
    "diacritics": {"text2tashkeel rawi_v3": ("no", "sequence")},
    "letters": {"captcha-whisperer": ("no", "sequence")},
}
"""Whether each net streams, and its form of export, by family and net."""


@pytest.mark.parametrize("family", EXPECTED)
def test_numbers_streams_and_exports(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    checks, fetch = (importlib.import_module(f"models.{name}") for name in ("checks", "fetch"))
    try:
        made: list[Any] = importlib.import_module("models").MADE[family]()
    except (ImportError, fetch.NotFetchedError) as error:
        pytest.skip(f"{family}: {error}; pip install '.[models]'")
    assert {model.name for model in made} == EXPECTED[family].keys()
    for number, model in enumerate(made):
        assert checks.largest_difference(model) <= model.tolerance, model.name
        if shutil.which("cc"):
            streamed = checks.streams(model)
            found = streamed, checks.exports(model, tmp_path / str(number), streamed)
            assert found == EXPECTED[family][model.name], model.name
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
