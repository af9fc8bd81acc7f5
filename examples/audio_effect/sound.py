"""Makes dry sound, distorts it with a simulated circuit, and reads and writes WAV files, for train.py.

The dry sound is synthetic: plucked strings (Karplus & Strong 1983), chords, sweeps and bursts of noise.

The circuit is the core of a distortion pedal: a gain, then two antiparallel diodes behind a resistor and a capacitor
(Yeh, Abel & Smith 2007), then a biquad as its tone control. The clipper's voltage v follows

    C dv/dt = (u - v)/R - 2 I_s sinh(v / V)

and is solved at 8 times the sampling rate by the trapezoidal rule, whose implicit equation Newton's method solves. The
circuit is a cell without parameters, which rnngraph compiles like any other cell: a step for 16 parallel sounds takes
about 0.2 µs.
"""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg

RATE, OVERSAMPLING, TOGETHER = 48_000, 8, 16
# values of two 1N4148 diodes; saturation is I_s, SCALE is V
R, C, SATURATION, SCALE = 2.2e3, 10e-9, 2.52e-9, 1.752 * 25.85e-3
NEWTON, HIGHEST = 12, 0.9
COUPLING_HERTZ, TONE_HERTZ, TONE_DECIBELS, TONE_Q = 120.0, 750.0, -5.0, 0.7
LOWEST_GAIN, HIGHEST_GAIN, LEVEL = 1.5, 40.0, 0.9

Floats = NDArray[np.float64]


def gain_of(drive: Floats) -> Floats:
    """Return the gain before the diodes for a knob position from 0 to 1."""
    return LOWEST_GAIN * (HIGHEST_GAIN / LOWEST_GAIN) ** drive


# The circuit -------------------------------------------------------------------------------------


class Circuit(rg.Cell):
    """Circuit of coupling capacitor, diodes and tone control, for `sounds` parallel sounds, in volts."""

    def __init__(self, sounds: int, rate: float) -> None:
        self.sounds, self.step_time = sounds, 1 / rate
        self.coupling = np.exp(-2 * np.pi * COUPLING_HERTZ / rate)
        self.tone = peaking(TONE_HERTZ / rate, TONE_DECIBELS, TONE_Q)

    def state(self) -> dict[str, int]:
        """Return the state: the capacitor's voltage, the clipper's voltage and slope, and the biquad's two sums."""
        return dict.fromkeys(("blocked", "v", "slope", "first", "second"), self.sounds)

    def step(self, p: Any, x: rg.Tensor, state: Any) -> tuple[rg.Tensor, dict[str, rg.Tensor]]:
        """Compute one step from x [batch, sounds]: the trapezoidal rule, then the biquad (transposed form II)."""
        blocked = self.coupling * state["blocked"] + (1 - self.coupling) * x
        u, v = x - blocked, state["v"]
        half = self.step_time / 2
        known = state["v"] + half * state["slope"]
        for _ in range(NEWTON):
            grown = rg.exp(v / SCALE)
            shrunk = 1 / grown
            slope = (u - v) / (R * C) - SATURATION / C * (grown - shrunk)
            steepness = 1 / (R * C) + SATURATION / (C * SCALE) * (grown + shrunk)
            v = rg.clip(v - (v - known - half * slope) / (1 + half * steepness), -HIGHEST, HIGHEST)
        (b0, b1, b2), (a1, a2) = self.tone
        y = b0 * v + state["first"]
        first, second = b1 * v - a1 * y + state["second"], b2 * v - a2 * y
        slope = (v - known) / half
        return y, {"blocked": blocked, "v": v, "slope": slope, "first": first, "second": second}


def peaking(frequency: float, decibels: float, q: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return b and a of a biquad that raises or cuts around a frequency, in cycles per sample (Bristow-Johnson)."""
    amplitude, angle = 10 ** (decibels / 40), 2 * np.pi * frequency
    width = np.sin(angle) / (2 * q)
    scale = 1 / (1 + width / amplitude)
    middle = -2 * np.cos(angle) * scale
    b = (1 + width * amplitude) * scale, middle, (1 - width * amplitude) * scale
    return tuple(map(float, b)), (float(middle), float((1 - width / amplitude) * scale))


def distorted(dry: Floats, drive: Floats) -> Floats:
    """Return dry sounds [sounds, samples] as the circuit distorts them, each with its own drive [sounds]."""
    x = rg.placeholder("x", (1, None, TOGETHER), "float64")
    program = rg.compile(rg.dynamic_rnn(Circuit(TOGETHER, RATE * OVERSAMPLING), x)[0])
    samples = dry.shape[1]
    missing = -len(dry) % TOGETHER
    # the last 10 ms repeat the beginning
    volts = np.pad(dry * gain_of(drive)[:, None], ((0, missing), (0, RATE // 100)))
    wet = []
    for part in volts.reshape(-1, TOGETHER, volts.shape[1]):
        fine = resampled(part, OVERSAMPLING * part.shape[1])
        wet.append(resampled(program.inference(x=fine.T[None])[0].T, part.shape[1]))
    return LEVEL * np.concatenate(wet)[: len(dry), :samples]


def resampled(sounds: Floats, samples: int) -> Floats:
    """Return sounds resampled to `samples` samples: their spectrum is truncated, or extended with zeros."""
    return np.fft.irfft(np.fft.rfft(sounds), samples) * (samples / sounds.shape[1])


# Dry sound ---------------------------------------------------------------------------------------


def plucked(generator: np.random.Generator, hertz: float, samples: int) -> Floats:
    """Return a plucked string: a burst of noise circulates in a delay line and loses energy in each round."""
    period = round(RATE / hertz)
    turn = generator.uniform(-1, 1, period)
    bright, kept = generator.uniform(0.5, 0.95), 0.5 ** (1 / (hertz * generator.uniform(0.15, 0.8)))
    turns = []
    for _ in range(samples // period + 1):
        turn = kept * (bright * turn + (1 - bright) * np.roll(turn, 1))
        turns.append(turn)
    return np.concatenate(turns)[:samples]


def phrase(generator: np.random.Generator, samples: int) -> Floats:
    """Return a phrase of single notes and of chords, whose strings are struck one after the other."""
    sound = np.zeros(samples)
    start = 0
    while start < samples:
        root = 82.4 * 2 ** (generator.integers(0, 30) / 12)
        chord = (0, 7, 12, 16, 19, 24)[: generator.integers(1, 7)] if generator.random() < 0.5 else (0,)
        for number, semitones in enumerate(chord):
            begin = start + round(number * generator.uniform(0, 0.02) * RATE)
            if begin < samples:
                sound[begin:] += plucked(generator, root * 2 ** (semitones / 12), samples - begin)
        start += round(generator.uniform(0.1, 0.6) * RATE)
    return sound


def sweep(generator: np.random.Generator, samples: int) -> Floats:
    """Return a sine whose frequency and amplitude change steadily."""
    low, high = 40 * 2 ** generator.uniform(0, 7, 2)
    hertz = np.geomspace(low, high, samples)
    return np.sin(2 * np.pi * np.cumsum(hertz) / RATE) * np.linspace(*generator.uniform(0.05, 1, 2), samples)


def bursts(generator: np.random.Generator, samples: int) -> Floats:
    """Return repeated bursts of white or low-pass filtered noise that decay."""
    noise = generator.standard_normal(samples)
    spectrum = np.fft.rfft(noise) / (1 + np.arange(samples // 2 + 1) / samples * RATE / generator.uniform(200, 8000))
    fading = np.exp(-np.arange(samples) % round(generator.uniform(0.05, 0.4) * RATE) / (0.06 * RATE))
    return np.fft.irfft(spectrum, samples) * fading


def dry_sounds(seed: int, count: int, samples: int) -> Floats:
    """Return sounds [count, samples] between -1 and 1: about 80 % plucked strings, 10 % sweeps, 10 % noise."""
    sounds = np.zeros((count, samples))
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        make = {8: sweep, 9: bursts}.get(number % 10, phrase)
        sound = make(generator, samples)
        sounds[number] = sound * generator.uniform(0.1, 0.9) / np.abs(sound).max()
    return sounds


# Files -------------------------------------------------------------------------------------------


def write_wav(path: Path, sound: NDArray[Any]) -> None:
    """Write one channel of 16-bit samples."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(sound), "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes())


def read_wav(path: Path) -> Floats:
    """Read one channel of 16-bit samples."""
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
