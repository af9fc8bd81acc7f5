"""Reads speech from Debian packages, makes noise and labelled mixtures, and computes the features of frames.

Speech: the wave files of `pocketsphinx-testdata` (four or more speakers at 16 kHz) and `alsa-utils` (one speaker at 48
kHz). The energy of the clean recordings labels frames as speech; the net has to find them in mixtures.
"""

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE, HOP, FRAME, FFT, BANDS = 16_000, 160, 480, 512, 24
LOWEST_HERTZ, HIGHEST_HERTZ, FLOOR = 100.0, 7600.0, 1e-7
RECORDINGS = Path("/usr/share/pocketsphinx/test/data"), Path("/usr/share/sounds/alsa")
HELD_OUT = ("0930.wav", "0890.wav", "001.wav", "004.wav", "numbers.raw", "Front_Center.wav", "Side_Left.wav")
NOISES = ("white", "pink", "hum", "babble")
SPEAKING, BELOW_PEAK, ABOVE_FLOOR, SHORTEST_PAUSE, SHORTEST_WORD = 0.05, 32.0, 10.0, 15, 6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Labelled mixture: sound [samples] in -1..1, speech [frames], True for speech, and speech-to-noise ratio in dB."""

    sound: Floats
    speech: NDArray[np.bool_]
    noise: str
    ratio: float


# Files -------------------------------------------------------------------------------------------


def recordings() -> tuple[list[Floats], list[Floats]]:
    """Return (training recordings, held-out recordings); both are empty if the packages aren't installed."""
    data, alsa = RECORDINGS
    names = ["goforward", "numbers", "something", "tidigits/dhd.2934z"]
    files = [*data.glob("librivox/*.wav"), *data.glob("cards/*.wav"), *(data / f"{name}.raw" for name in names)]
    files += [file for file in alsa.glob("*.wav") if file.stem != "Noise"]
    existing = sorted(file for file in files if file.exists())
    parts: tuple[list[Floats], list[Floats]] = [], []
    for file in existing:
        parts[file.name.endswith(HELD_OUT)].append(read(file))
    return parts


def read(file: Path) -> Floats:
    """Read 16-bit samples of one channel, and resample them to 16 kHz."""
    if file.suffix == ".raw":
        return np.frombuffer(file.read_bytes(), "<i2") / 32768
    with wave.open(str(file), "rb") as opened:
        sound = np.frombuffer(opened.readframes(opened.getnframes()), "<i2") / 32768
        rate = opened.getframerate()
    if rate != RATE:
        count = len(sound) * RATE // rate
        sound = np.fft.irfft(np.fft.rfft(sound)[: count // 2 + 1], count) * count / len(sound)
    return sound


def write(file: Path, sound: Floats) -> None:
    """Write one channel of 16-bit samples."""
    with wave.open(str(file), "wb") as opened:
        opened.setparams((1, 2, RATE, len(sound), "NONE", ""))
        opened.writeframes((np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes())


# Features ----------------------------------------------------------------------------------------


def frames(sound: Floats) -> Floats:
    """Return a frame [frames, FRAME] for every 10 ms: the last 30 ms. The sound is padded with zeros at its start."""
    padded = np.concatenate([np.zeros(FRAME - HOP), sound])
    return np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]


def mel_bank() -> Floats:
    """Return the weights of triangular bands [FFT / 2 + 1, BANDS], evenly spaced on the mel scale."""
    mels = np.linspace(*(2595 * np.log10(1 + np.array([LOWEST_HERTZ, HIGHEST_HERTZ]) / 700)), BANDS + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    hertz = np.arange(FFT // 2 + 1)[:, None] * RATE / FFT
    rising = (hertz - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - hertz) / np.diff(corners)[1:]
    return np.maximum(0, np.minimum(rising, falling))


def features(sound: Floats) -> NDArray[np.float32]:
    """Return the logarithm of each band's energy [frames, BANDS]."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    spectrum = np.abs(np.fft.rfft(frames(sound) * hann, FFT)) ** 2 / FFT
    return np.log(spectrum @ mel_bank() + FLOOR).astype(np.float32)


def decibels(sound: Floats) -> Floats:
    """Return the energy of each frame, in decibels."""
    return 10 * np.log10((frames(sound) ** 2).mean(axis=1) + 1e-9)


def speaks(sound: Floats) -> NDArray[np.bool_]:
    """Return a bool for each frame of a clean recording, True for loud frames and for short gaps between them."""
    level = decibels(sound)
    loud = level > max(level.max() - BELOW_PEAK, np.quantile(level, SPEAKING) + ABOVE_FLOOR)
    return without_short(~without_short(~loud, SHORTEST_PAUSE), SHORTEST_WORD)


def without_short(flags: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    """Return flags with runs of True shorter than `shortest` set to False."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    kept = flags.copy()
    for start, stop in edges.reshape(-1, 2):
        kept[start:stop] &= stop - start >= shortest
    return kept


# Mixtures ----------------------------------------------------------------------------------------


def noise(kind: str, generator: np.random.Generator, samples: int, voices: Sequence[Floats]) -> Floats:
    """Return noise of unit power; babble is the sum of six of `voices`."""
    if kind == "babble":
        sound = np.zeros(samples)
        for number in generator.integers(0, len(voices), 6):
            start = generator.integers(0, len(voices[number]))
            sound += np.resize(np.roll(voices[number] / voices[number].std(), -start), samples)
    elif kind == "hum":
        time, base = np.arange(samples) / RATE, generator.choice([50, 60])
        phases, heights = generator.uniform(0, 2 * np.pi, 12), generator.uniform(0.2, 1, 12)
        harmonics = np.arange(1, 13)[:, None]
        sound = (heights[:, None] / harmonics**0.7 * np.sin(2 * np.pi * base * harmonics * time + phases[:, None])).sum(
            0
        )
        sound += 0.05 * generator.standard_normal(samples)
    else:
        spectrum = np.fft.rfft(generator.standard_normal(samples))
        tilt = np.sqrt(np.maximum(np.arange(len(spectrum)), 30 * samples / RATE)) if kind == "pink" else 1.0
        sound = np.fft.irfft(spectrum / tilt, samples)
    return sound / sound.std()


def mixture(
    generator: np.random.Generator, voices: Sequence[Floats], seconds: float, kind: str, ratio: float
) -> Mixture:
    """Return recordings separated by pauses, in noise of one kind, `ratio` decibels below the speech."""
    samples = round(seconds * RATE) // HOP * HOP
    clean, speech = np.zeros(samples), np.zeros(samples // HOP, bool)
    start = generator.integers(0, RATE // HOP)
    while start < len(speech):
        voice = voices[generator.integers(0, len(voices))]
        count = min(len(voice) // HOP, len(speech) - start)
        speech[start : start + count] = speaks(voice)[:count]
        clean[start * HOP : (start + count) * HOP] = voice[: count * HOP] / np.abs(voice).max()
        start += count + generator.integers(20, 2 * RATE // HOP)
    power = (clean[np.repeat(speech, HOP)] ** 2).mean() if speech.any() else 0.01
    sound = clean + noise(kind, generator, samples, voices) * np.sqrt(power * 10 ** (-ratio / 10))
    return Mixture(sound * generator.uniform(0.05, 0.7) / np.abs(sound).max(), speech, kind, ratio)


def mixtures(seed: int, count: int, voices: Sequence[Floats], seconds: float, ratios: Sequence[float]) -> list[Mixture]:
    """Return `count` mixtures of each kind of noise at each ratio."""
    cases = [(kind, ratio) for kind in NOISES for ratio in ratios]
    return [
        mixture(np.random.default_rng([seed, number]), voices, seconds, *cases[number % len(cases)])
        for number in range(count)
    ]
