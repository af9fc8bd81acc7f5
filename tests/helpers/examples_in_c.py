"""Checks that the C programs of examples, run with files that the examples wrote, have Python's results."""

from __future__ import annotations

import re
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FLAGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def compiled(source: Path, folder: Path, *others: str) -> Path:
    """Compile an example's C program, linked with the export of its script to the folder."""
    if not shutil.which("cc"):
        pytest.skip(f"{source.relative_to(EXAMPLES.parent)} needs a C compiler")
    run("cc", *FLAGS, f"-I{folder}", source, *(folder / name for name in others), "-lm", "-o", folder / "x")
    return folder / "x"


def run(*words: object) -> str:
    done = subprocess.run([*map(str, words)], check=True, capture_output=True, text=True)
    return done.stdout


# The audio effect ----------------------------------------------------------------------------------


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)


def float_wav(path: Path, sound: np.ndarray) -> None:
    """Write a file of floats, [samples, channels], with an additional unknown chunk."""
    data, channels = sound.astype("<f4").tobytes(), sound.shape[1]
    head = np.array([3, channels], "<u2").tobytes() + np.array([48_000, 48_000 * 4 * channels], "<u4").tobytes()
    head += np.array([4 * channels, 32], "<u2").tobytes()
    chunks = b"".join(
        name + len(chunk).to_bytes(4, "little") + chunk + b"\0" * (len(chunk) % 2)
        for name, chunk in ((b"fmt ", head), (b"LIST", b"odd"), (b"data", data))
    )
    path.write_bytes(b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks)


def effect_sounds_alike(folder: Path, shown: str) -> None:
    assert "ESR of the net" in shown
    program = compiled(EXAMPLES / "audio_effect" / "effect.c", folder, "distortion.o")
    said = run(program, folder / "dry.wav", folder / "y.wav", 0.7)
    assert re.search(r"times as fast as it plays, \d+ ns a sample", said)
    expected, actual = samples(folder / "net.wav"), samples(folder / "y.wav")
    assert len(actual) == len(expected) > 1000
    assert np.abs(expected).max() > 300
    assert np.abs(actual - expected).max() <= 1  # Python may run another variant of the code, with other rounding

    dry = samples(folder / "dry.wav") / 32768
    other = dry[::-1] / 2
    float_wav(folder / "two.wav", np.stack([dry, other], 1))
    float_wav(folder / "one.wav", other[:, None])
    run(program, folder / "two.wav", folder / "two_out.wav", 0.7)
    run(program, folder / "one.wav", folder / "one_out.wav", 0.7)
    at = (folder / "two_out.wav").read_bytes().index(b"data") + 8
    both = np.frombuffer((folder / "two_out.wav").read_bytes()[at:], "<f4").reshape(-1, 2)
    alone = np.frombuffer((folder / "one_out.wav").read_bytes()[at:], "<f4")
    assert_array_equal(both[:, 1], alone)  # channels are separate instances
    assert_allclose(np.clip(both[:, 0], -1, 1) * 32767, expected, atol=1.01)

    for wrong in (["nothing.wav", "y.wav"], ["net.h", "y.wav"], []):
        arguments = [folder / name for name in wrong]
        assert subprocess.run([program, *arguments], check=False, capture_output=True).returncode == 1


# Voice activity ------------------------------------------------------------------------------------


def spoken(text: str) -> np.ndarray:
    """Parse lines such as `0.36 to 3.35` as speech flags of 16,000 frames of 10 ms."""
    result = np.zeros(16_000, bool)
    for line in text.splitlines():
        start, stop = (round(float(word) * 100) for word in line.split(" to "))
        result[start:stop] = True
    return result


def speech_is_found_alike(folder: Path, shown: str) -> None:
    program = compiled(EXAMPLES / "silero_vad" / "find_speech.c", folder, "silero.o")
    actual = run(program, folder / "speech.wav")
    assert actual == (folder / "speech.txt").read_text()
    assert len(actual.splitlines()) >= 2
    assert actual in shown


def voices_are_heard_alike(folder: Path, shown: str) -> None:
    assert "stream and whole call decide alike: True" in shown
    program = compiled(EXAMPLES / "vad" / "vad.c", folder, "vad.o")
    expected, actual = spoken((folder / "noisy.txt").read_text()), spoken(run(program, folder / "noisy.wav"))
    assert 1000 < expected.sum() < len(expected) - 1000
    assert (actual != expected).sum() <= 2  # probabilities near a half may round differently
    assert subprocess.run([program], check=False, capture_output=True).returncode == 1


# The microcontroller -------------------------------------------------------------------------------


def image_prints_ok(folder: Path, shown: str) -> None:
    assert shown.splitlines()[-1] == "ok, largest difference 0.000000"
    assert "wrong" not in shown
