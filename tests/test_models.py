"""Trained nets of others give the numbers of their own engines, stream bit by bit where they can, and export.

Needs the network once: pip fetches packages by version and digest. What is missing is skipped with its name.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

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
}
"""By family and net: whether it streams, and in which form it is exported."""


@pytest.mark.parametrize("family", EXPECTED)
def test_numbers_streams_and_exports(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    checks, fetch = (importlib.import_module(f"models.{name}") for name in ("checks", "fetch"))
    try:
        made: list[Any] = importlib.import_module(f"models.{family}").made()
    except (ImportError, fetch.NotFetchedError) as error:
        pytest.skip(f"{family}: {error}; pip install '.[models]'")
    assert {model.name for model in made} == EXPECTED[family].keys()
    for number, model in enumerate(made):
        assert checks.largest_difference(model) <= model.tolerance, model.name
        if shutil.which("cc"):
            found = checks.streams(model), checks.exports(model, tmp_path / str(number))
            assert found == EXPECTED[family][model.name], model.name
        (model.timed or [None, lambda: None])[1]()
