"""Parts of audio examples in which mistakes would be inaudible: a circuit, features, a detector's decisions."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    result = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = result  # dataclasses look their module up here
    spec.loader.exec_module(result)
    return result


def test_the_circuit_solves_its_equation() -> None:
    """One sound equals bisection of the implicit equation, and the tone control equals its impulse response."""
    sound = module(EXAMPLES / "audio_effect" / "sound.py")
    rg = sound.rg
    rate, count = sound.RATE * sound.OVERSAMPLING, 400
    volts = 8 * np.sin(2 * np.pi * 3000 * np.arange(count) / rate) * np.linspace(0, 1, count)
    x = rg.placeholder("x", (1, None, 1), "float64")
    program = rg.compile(rg.dynamic_rnn(sound.Circuit(1, rate), x)[0], cache=False)
    actual = program.inference(x=volts[None, :, None])[0, :, 0]

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
    assert_allclose(actual, expected[2:], atol=1e-6)
    z = np.exp(-2j * np.pi * sound.TONE_HERTZ / rate)
    answer = abs((b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z))
    assert 20 * np.log10(answer) == pytest.approx(sound.TONE_DECIBELS)


def test_without_speech_the_script_names_the_packages_to_install(tmp_path: Path) -> None:
    lines = [
        f"import sys; sys.path.insert(0, {str(EXAMPLES / 'vad')!r})",
        "import pathlib, speech; speech.RECORDINGS = pathlib.Path('none'), pathlib.Path('nowhere')",
        f"import train; sys.argv = ['train.py', '--directory', {str(tmp_path)!r}]; train.main()",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False, capture_output=True, text=True)
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr.startswith("the speech is missing: apt-get install ")


def test_bands_of_hearing() -> None:
    """A tone is in the nearest band, and features follow their definition."""
    speech = module(EXAMPLES / "vad" / "speech.py")
    bank = speech.mel_bank()
    assert bank.shape == (257, speech.BANDS)
    assert (bank.sum(0) > 0).all()
    peaks = bank.argmax(0) * speech.RATE / speech.FFT
    for band in (3, 11, 20):
        tone = 0.1 * np.sin(2 * np.pi * peaks[band] * np.arange(1600) / speech.RATE)
        actual = speech.features(tone)
        assert actual.shape == (10, speech.BANDS)
        assert (actual[4:].argmax(1) == band).all()
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
        wave_numbers = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(480)) / 512)
        energies = np.abs(wave_numbers @ (tone[1120:1600] * hann)) ** 2 / 512
        assert_allclose(actual[9], np.log(energies @ bank + 1e-7), rtol=1e-5)


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
