"""The examples that go on in C: what they export does there what it does here."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FLAGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = found  # where dataclasses look their module up
    spec.loader.exec_module(found)
    return found


def run(*words: object) -> str:
    done = subprocess.run([*map(str, words)], check=True, capture_output=True, text=True)
    return done.stdout


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(int)


def float_wav(path: Path, sound: np.ndarray) -> None:
    """A file of floats, [samples, channels], with a chunk that nobody asked for."""
    data, channels = sound.astype("<f4").tobytes(), sound.shape[1]
    head = np.array([3, channels], "<u2").tobytes() + np.array([48_000, 48_000 * 4 * channels], "<u4").tobytes()
    head += np.array([4 * channels, 32], "<u2").tobytes()
    chunks = b"".join(
        name + len(chunk).to_bytes(4, "little") + chunk + b"\0" * (len(chunk) % 2)
        for name, chunk in ((b"fmt ", head), (b"LIST", b"odd"), (b"data", data))
    )
    path.write_bytes(b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks)


@pytest.fixture(scope="module")
def effect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("effect")
    shown = run(sys.executable, EXAMPLES / "audio_effect" / "train.py", "--quick", "--directory", folder)
    assert "ESR of the net" in shown
    return folder


@needs_compiler
def test_the_effect_sounds_alike_in_c(effect: Path) -> None:
    folder = effect
    run(
        "cc", *FLAGS, f"-I{folder}", EXAMPLES / "audio_effect" / "effect.c", folder / "distortion.o", "-o", folder / "x"
    )
    assert re.search(
        r"times as fast as it plays, \d+ ns a sample", run(folder / "x", folder / "dry.wav", folder / "y.wav", 0.7)
    )
    expected, found = samples(folder / "net.wav"), samples(folder / "y.wav")
    assert len(found) == len(expected) > 1000
    assert np.abs(expected).max() > 300
    assert np.abs(found - expected).max() <= 1  # a rounding, where Python's code is another variant

    dry = samples(folder / "dry.wav") / 32768
    other = dry[::-1] / 2
    float_wav(folder / "two.wav", np.stack([dry, other], 1))
    float_wav(folder / "one.wav", other[:, None])
    run(folder / "x", folder / "two.wav", folder / "two_out.wav", 0.7)
    run(folder / "x", folder / "one.wav", folder / "one_out.wav", 0.7)
    at = (folder / "two_out.wav").read_bytes().index(b"data") + 8
    both = np.frombuffer((folder / "two_out.wav").read_bytes()[at:], "<f4").reshape(-1, 2)
    alone = np.frombuffer((folder / "one_out.wav").read_bytes()[at:], "<f4")
    assert_array_equal(both[:, 1], alone)  # channels are instances of their own
    assert_allclose(np.clip(both[:, 0], -1, 1) * 32767, expected, atol=1.01)

    for wrong in (["nothing.wav", "y.wav"], ["net.h", "y.wav"], []):
        arguments = [folder / name for name in wrong]
        assert subprocess.run([folder / "x", *arguments], check=False, capture_output=True).returncode == 1


def test_the_circuit_solves_its_equation() -> None:
    """One sound against bisection of the same implicit equation, and the tone control by its answer to an impulse."""
    sound = module(EXAMPLES / "audio_effect" / "sound.py")
    rg = sound.rg
    rate, count = sound.RATE * sound.OVERSAMPLING, 400
    volts = 8 * np.sin(2 * np.pi * 3000 * np.arange(count) / rate) * np.linspace(0, 1, count)
    x = rg.placeholder("x", (1, None, 1), "float64")
    program = rg.compile(rg.dynamic_rnn(sound.Circuit(1, rate), x)[0], cache=False)
    found = program.inference(x=volts[None, :, None])[0, :, 0]

    def slope(u: float, v: float) -> float:
        return (u - v) / (sound.R * sound.C) - 2 * sound.SATURATION / sound.C * np.sinh(v / sound.SCALE)

    kept = np.exp(-2 * np.pi * sound.COUPLING_HERTZ / rate)
    blocked = before = last = 0.0
    clipped = []
    for volt in volts:
        blocked = kept * blocked + (1 - kept) * volt
        u, low, high = volt - blocked, -0.9, 0.9
        for _ in range(60):
            v = (low + high) / 2
            ahead = v - before - (slope(u, v) + last) / (2 * rate)
            low, high = (low, v) if ahead > 0 else (v, high)
        before, last = v, slope(u, v)
        clipped.append(v)
    (b0, b1, b2), (a1, a2) = sound.peaking(sound.TONE_HERTZ / rate, sound.TONE_DECIBELS, sound.TONE_Q)
    expected = np.zeros(count + 2)
    v = np.array([0.0, 0.0, *clipped])
    for n in range(2, count + 2):
        expected[n] = b0 * v[n] + b1 * v[n - 1] + b2 * v[n - 2] - a1 * expected[n - 1] - a2 * expected[n - 2]
    assert np.abs(clipped).max() > 0.5
    assert_allclose(found, expected[2:], atol=1e-6)
    z = np.exp(-2j * np.pi * sound.TONE_HERTZ / rate)
    answer = abs((b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z))
    assert 20 * np.log10(answer) == pytest.approx(sound.TONE_DECIBELS)


def spoken(text: str) -> np.ndarray:
    """Lines of `0.36 to 3.35` as whether someone speaks in each of 16,000 frames of 10 ms."""
    found = np.zeros(16_000, bool)
    for line in text.splitlines():
        start, stop = (round(float(word) * 100) for word in line.split(" to "))
        found[start:stop] = True
    return found


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vad")
    shown = run(sys.executable, EXAMPLES / "vad" / "train.py", "--quick", "--directory", folder)
    if "skipped, the speech is missing: apt-get install" in shown:
        pytest.skip("needs the speech of Debian packages")
    assert "stream and whole call decide alike: True" in shown
    return folder


@needs_compiler
def test_voices_are_heard_alike_in_c(listener: Path) -> None:
    folder = listener
    run("cc", *FLAGS, f"-I{folder}", EXAMPLES / "vad" / "vad.c", folder / "vad.o", "-lm", "-o", folder / "x")
    expected, found = spoken((folder / "noisy.txt").read_text()), spoken(run(folder / "x", folder / "noisy.wav"))
    assert 1000 < expected.sum() < len(expected) - 1000
    assert (found != expected).sum() <= 2  # probabilities that are a half but for a rounding of the features
    assert subprocess.run([folder / "x"], check=False, capture_output=True).returncode == 1


def test_without_speech_the_quick_run_says_so(tmp_path: Path) -> None:
    lines = [
        f"import sys; sys.path.insert(0, {str(EXAMPLES / 'vad')!r})",
        "import pathlib, speech; speech.RECORDINGS = pathlib.Path('none'), pathlib.Path('nowhere')",
        f"import train; sys.argv = ['train.py', '--directory', {str(tmp_path)!r}, *sys.argv[1:]]; train.main()",
    ]
    code = "\n".join(lines)
    assert "skipped, the speech is missing: apt-get install" in run(sys.executable, "-c", code, "--quick")
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "apt-get install" in done.stderr


def test_bands_of_hearing() -> None:
    """A tone is in the band around it, and features follow the definition."""
    speech = module(EXAMPLES / "vad" / "speech.py")
    bank = speech.mel_bank()
    assert bank.shape == (257, speech.BANDS)
    assert (bank.sum(0) > 0).all()
    peaks = bank.argmax(0) * speech.RATE / speech.FFT
    for band in (3, 11, 20):
        tone = 0.1 * np.sin(2 * np.pi * peaks[band] * np.arange(1600) / speech.RATE)
        found = speech.features(tone)
        assert found.shape == (10, speech.BANDS)
        assert (found[4:].argmax(1) == band).all()
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
        wave_numbers = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(480)) / 512)
        energies = np.abs(wave_numbers @ (tone[1120:1600] * hann)) ** 2 / 512
        assert_allclose(found[9], np.log(energies @ bank + 1e-7), rtol=1e-5)


def test_short_runs_are_left_out() -> None:
    speech = module(EXAMPLES / "vad" / "speech.py")
    flags = np.array([1, 1, 0, 1, 1, 1, 0, 0, 1], bool)
    assert_array_equal(speech.without_short(flags, 3), np.array([0, 0, 0, 1, 1, 1, 0, 0, 0], bool))
    assert_array_equal(speech.without_short(flags, 1), flags)


def test_area_under_the_curve() -> None:
    sys.path.insert(0, str(EXAMPLES / "vad"))
    try:
        train = module(EXAMPLES / "vad" / "train.py")
    finally:
        sys.path.remove(str(EXAMPLES / "vad"))
    generator = np.random.default_rng(0)
    scores, truth = generator.integers(0, 9, 63).astype(float), generator.random(63) < 0.4
    pairs = scores[truth][:, None] - scores[~truth]
    assert train.area_under_curve(scores, truth) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    threshold = train.best_threshold(scores, truth)
    wrong = [((scores > at) != truth).sum() for at in (-1, *range(9))]
    assert ((scores > threshold) != truth).sum() == min(wrong)
