"""g2p-en: pronunciations of words, from NumPy arrays; ``examples/g2p.py`` declares the net and explains how it runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from .fetch import PACKAGES, fetched
from .model import Arrays, Model, lines_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "g2p.py"
WORDS = ("a", "graph", "recurrent", "pronunciation", "xylophonist", "zzz", "o'clock", "wavelength")


def nets() -> list[Model]:
    example = _loaded(EXAMPLE)
    with np.load(fetched("g2p-en")["checkpoint20.npz"]) as archive:
        example.load(dict(archive))
    reference = _reference(example)
    ids = [[example.letter_id(letter) for letter in word] + [example.END_OF_WORD] for word in WORDS]
    padded = np.zeros((len(WORDS), max(map(len, ids))), np.int64)
    for row, numbers in zip(padded, ids, strict=True):
        row[: len(numbers)] = numbers
    lengths = np.array([*map(len, ids)])
    words = {row.tobytes(): word for row, word in zip(padded, WORDS, strict=True)}

    def ours(feeds: Arrays) -> Arrays:
        result = example.program.inference(feeds)
        place = np.arange(example.LONGEST)[None]
        ended = (place >= result["steps"][:, None]) | (result["phonemes"] == example.STOP)
        return {"phonemes": np.where(ended, 0, result["phonemes"])}

    def theirs(feeds: Arrays) -> Arrays:
        phonemes = np.zeros((len(feeds["letters"]), example.LONGEST), np.int64)
        for row, letters in zip(phonemes, feeds["letters"], strict=True):
            spelled = reference.predict(words[letters.tobytes()])
            row[: len(spelled)] = [reference.p2idx[phoneme] for phoneme in spelled]
        return {"phonemes": phonemes}

    package = PACKAGES["g2p-en"]
    feeds: list[Any] = [{"letters": padded, "lengths": lengths}, {"letters": padded[2:3], "lengths": lengths[2:3]}]
    return [
        Model(
            name="g2p-en",
            form="NumPy arrays",
            origin=f"{package.requirement}, {package.licence}",
            by="its own NumPy",
            lines=_lines(example),
            program=example.program,
            feeds=feeds,
            engine=theirs,
            tolerance=0.0,
            ours=ours,
            timed={f"{len(WORDS)} words": (lambda: ours(feeds[0]), lambda: theirs(feeds[0]))},
        )
    ]


def _reference(example: Any) -> Any:
    if importlib.util.find_spec("g2p_en") is None:
        raise ImportError("g2p-en is not installed; pip install '.[models]'")
    return example.package_model()


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("g2p_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lines(example: Any) -> int:
    """Return the number of lines in the example that declare the net and load its weights."""
    text = EXAMPLE.read_text().splitlines()
    begin = next(n for n, line in enumerate(text) if line.startswith("class Scored"))
    end = next(n for n, line in enumerate(text) if line.startswith("program = "))
    declared = [line for line in text[begin : end + 1] if line.strip() and not line.lstrip().startswith(("#", '"""'))]
    return len(declared) + lines_of(example.gru_parameters) + lines_of(example.load)
