"""Convert the Japanese Vowels data from the text files in aeon's wheel to `japanese_vowels.npz`.

    pip download --no-deps aeon
    python examples/data/convert_japanese_vowels.py aeon-*.whl

A line of a `.ts` file is one utterance: its 12 coefficients, each a comma-separated series over time, and
the speaker, separated by colons. Lines that start with `#` or `@` are the header.
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = "aeon/datasets/data/JapaneseVowels"
TARGET = Path(__file__).with_name("japanese_vowels.npz")
LONGEST, COEFFICIENTS = 29, 12


def read(text: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Return utterances [n, 29, 12], padded with zeros at the end, lengths [n] and speakers 0..8 [n]."""
    lines = [line for line in text.splitlines() if line and line[0] not in "#@"]
    x = np.zeros((len(lines), LONGEST, COEFFICIENTS), np.float32)
    lengths = np.zeros(len(lines), np.int64)
    speakers = np.zeros(len(lines), np.int64)
    for row, line in enumerate(lines):
        *series, speaker = line.split(":")
        steps = np.array([values.split(",") for values in series], np.float32).T
        lengths[row], speakers[row] = len(steps), int(speaker) - 1
        x[row, : len(steps)] = steps
    return x, lengths, speakers


def main(wheel: str) -> None:
    """Read both parts out of the wheel and write one compressed file next to this script."""
    arrays: dict[str, NDArray[np.generic]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for part in ("train", "test"):
            text = archive.read(f"{FOLDER}/JapaneseVowels_{part.upper()}.ts").decode()
            arrays[f"{part}_x"], arrays[f"{part}_lengths"], arrays[f"{part}_labels"] = read(text)
    np.savez_compressed(TARGET, **arrays)
    for name, array in arrays.items():
        print(f"{name:15} {array.dtype!s:8} {array.shape}")
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
