"""Voice detectors by rnngraph and by onnxruntime, and a measurement of how many callers each serves in real time.

A detector has a stream for each caller: the caller's last samples, and the state of the net. ``step`` reads a frame of
512 samples from each of some callers, and returns a probability for each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnngraph as rg

sys.path.append(str(Path(__file__).resolve().parents[1] / "silero_vad"))
import find_speech

RATE, SAMPLES, CONTEXT = find_speech.RATE, find_speech.NEW, find_speech.CONTEXT
PERIOD = SAMPLES / RATE
"""Seconds between two frames of a caller."""

Array = NDArray[np.float32]


def silero() -> Path | None:
    """Return Silero's file, as find_speech.py locates it; None if its package is not installed."""
    try:
        return find_speech.model_file()
    except SystemExit:
        return None


def stand_in() -> rg.Program:
    """Return an untrained net with Silero's inputs and structure: a spectrum, convolutions, a recurrence."""
    sound = rg.placeholder("input", shape=(None, CONTEXT + SAMPLES))
    state = rg.placeholder("state", shape=(2, None, 128))
    padded = rg.pad(rg.expand_dims(sound, 2), [[0, 0], [0, 64], [0, 0]], mode="reflect")
    parts = rg.conv1d(padded, 258, 256, strides=128, padding="valid", use_bias=False)
    value = rg.sqrt(rg.square(parts[:, :, :129]) + rg.square(parts[:, :, 129:]) + 1e-9)
    for filters, strides in ((128, 1), (64, 2), (64, 2), (128, 1)):
        value = rg.relu(rg.conv1d(value, filters, 3, padding=(1, 1), strides=strides))
    _, last = rg.dynamic_rnn(rg.LSTMCell(128), value, initial_state=(state[1], state[0]))
    speech = rg.sigmoid(rg.dense(rg.relu(last.h), 1))
    return rg.compile({"output": speech, "stateN": rg.stack([last.h, last.c])}, states={"stateN": "state"}, seed=0)


def program(file: Path | None) -> rg.Program:
    """Return the net of a file, whose streams carry the state. If there is no file, return the untrained net."""
    return stand_in() if file is None else find_speech.detector(file)


class Detector:
    """Detector for many callers. A window, the net's input, is the end of a caller's last frame and a new frame."""

    def __init__(self) -> None:
        self._before: dict[Any, Array] = {}

    def open(self) -> Any:
        """Return a stream for a new caller."""
        caller = self._opened()
        self._before[caller] = np.zeros(CONTEXT, np.float32)
        return caller

    def close(self, caller: Any) -> None:
        """Free a caller's stream."""
        del self._before[caller]
        self._closed(caller)

    def window(self, caller: Any, frame: Array) -> Array:
        """Return the window for a caller's frame, and keep the end of the frame for the next window."""
        window = np.concatenate([self._before[caller], frame])
        self._before[caller] = window[-CONTEXT:]
        return window

    def step(self, callers: Sequence[Any], windows: Array) -> Array:
        """Return the probabilities of one window for each caller, [callers]."""
        raise NotImplementedError

    def _opened(self) -> Any:
        raise NotImplementedError

    def _closed(self, caller: Any) -> None:
        raise NotImplementedError


class Pool(Detector):
    """Detector on a pool of rnngraph streams."""

    def __init__(self, file: Path | None, capacity: int = 1024) -> None:
        super().__init__()
        self.pool = program(file).inference.streams(capacity)
        self._opened, self._closed = self.pool.open, self.pool.close

    def step(self, callers: Sequence[Any], windows: Array) -> Array:
        return self.pool.step_rows(callers, input=windows)["output"][:, 0]


class Onnxruntime(Detector):
    """Detector on a single-threaded session of onnxruntime. The callers' states are rows of an array.

    Args:
        file: Silero's file.
        batched: True to run all callers of a step as one batch, False to run each caller separately.
        capacity: Number of rows at first.
    """

    def __init__(self, file: Path | None, batched: bool = True, capacity: int = 1024) -> None:
        super().__init__()
        if file is None or find_spec("onnxruntime") is None:
            raise SystemExit("pip install onnxruntime; its file: pip install --no-deps silero-vad==6.2.3")
        onnxruntime = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._takes_rate = any(item.name == "sr" for item in self._session.get_inputs())
        self._states = np.zeros((2, capacity, 128), np.float32)
        self._free, self._batched = [*range(capacity)], batched

    def step(self, callers: Sequence[Any], windows: Array) -> Array:
        if self._batched:
            return self._run([*callers], windows)
        return np.concatenate(
            [self._run([caller], window[None]) for caller, window in zip(callers, windows, strict=True)]
        )

    def _run(self, rows: list[int], windows: Array) -> Array:
        feeds: dict[str, Any] = {"input": windows, "state": self._states[:, rows]}
        if self._takes_rate:
            feeds["sr"] = np.array(RATE, np.int64)
        speech, self._states[:, rows] = self._session.run(None, feeds)
        return speech[:, 0]

    def _opened(self) -> int:
        if not self._free:
            self._free = [*range(self._states.shape[1], 2 * self._states.shape[1])]
            self._states = np.concatenate([self._states, np.zeros_like(self._states)], 1)
        row = self._free.pop()
        self._states[:, row] = 0
        return row

    def _closed(self, caller: int) -> None:
        self._free.append(caller)


DETECTORS: dict[str, Callable[[Path | None], Detector]] = {
    "rnngraph": Pool,
    "onnxruntime-batched": Onnxruntime,
    "onnxruntime": lambda file: Onnxruntime(file, batched=False),
}


def installed(file: Path | None) -> list[str]:
    """Return the names of the detectors that this machine can run."""
    return [name for name in DETECTORS if name == "rnngraph" or (file and find_spec("onnxruntime"))]


def largest_difference(file: Path | None, names: Sequence[str]) -> float:
    """Return the largest difference between the detectors' probabilities, for callers that send noise."""
    detectors, draw = [DETECTORS[name](file) for name in names], np.random.default_rng(0)
    callers: list[list[Any]] = [[] for _ in detectors]
    largest = 0.0
    for _ in range(20):
        frames = draw.uniform(-0.5, 0.5, (len(callers[0]) + 1, SAMPLES)).astype(np.float32)
        probabilities = []
        for detector, mine in zip(detectors, callers, strict=True):
            mine.append(detector.open())
            windows = np.stack([detector.window(caller, frame) for caller, frame in zip(mine, frames, strict=True)])
            probabilities.append(detector.step(mine, windows))
        largest = max(largest, *(float(np.abs(other - probabilities[0]).max()) for other in probabilities))
    return largest


# In real time ---------------------------------------------------------------------------------------


class Carried:
    """Result of a load test of a detector with a number of callers.

    Args:
        callers: Number of callers.
        delays: Seconds from the arrival of each frame to its answer.
        load: Processor time divided by elapsed time.
    """

    def __init__(self, callers: int, delays: Sequence[float], load: float) -> None:
        self.callers, self.load = callers, load
        self.at_50, self.at_99, self.at_999 = np.percentile(np.array(delays) * 1e3, [50, 99, 99.9])
        """Percentiles of the delays in milliseconds."""

    @property
    def in_real_time(self) -> bool:
        """True if 99.9 % of the frames are answered before the caller's next frame."""
        return bool(self.at_999 < 1e3 * PERIOD)


def carried(detector: Detector, callers: int, seconds: float, max_batch: int, max_wait: float) -> Carried:
    """Run callers that each send a frame every period, at different moments, on one thread and without a network.

    Waiting frames are stepped together, up to ``max_batch``; with fewer frames, the first waits ``max_wait`` seconds.
    """
    draw = np.random.default_rng(callers)
    handles = [detector.open() for _ in range(callers)]
    sound = draw.uniform(-0.5, 0.5, (64, SAMPLES)).astype(np.float32)
    phases = np.sort(draw.random(callers)) * PERIOD
    delays: list[float] = []
    frames, done = int(callers * seconds / PERIOD), 0
    begin, used = time.perf_counter(), time.process_time()

    def due(number: int) -> float:
        return begin + PERIOD * (number // callers) + phases[number % callers]

    while done < frames:
        now, first = time.perf_counter(), due(done)
        wanted = min(done + max_batch, done - done % callers + callers, frames)  # at most one frame from each caller
        until = min(first + max_wait, due(wanted - 1))
        if now < until:
            time.sleep(until - now)
            now = time.perf_counter()
        count = 1
        while done + count < wanted and due(done + count) <= now:
            count += 1
        mine = [handles[number % callers] for number in range(done, done + count)]
        windows = np.stack([detector.window(caller, sound[done % 64]) for caller in mine])
        detector.step(mine, windows)
        now = time.perf_counter()
        delays += [now - due(number) for number in range(done, done + count)]
        done += count
        if delays[-1] > 4 * PERIOD:  # the detector is too slow for so many callers
            break
    load = (time.process_time() - used) / (time.perf_counter() - begin)
    for caller in handles:
        detector.close(caller)
    return Carried(callers, delays, load)


def most_in_real_time(detector: Detector, seconds: float, max_batch: int, max_wait: float) -> Carried:
    """Return the result with the most callers that a detector serves in real time, to within five per cent."""

    def tried(callers: int) -> Carried:
        return carried(detector, callers, seconds, max_batch, max_wait)

    tried(16)  # compiles, and brings the processor to its full clock rate
    best, low, high = tried(32), 32, 64
    while (result := tried(high)).in_real_time:
        best, low, high = result, high, 2 * high
    while high - low > high // 20:
        middle = (low + high) // 2
        result = tried(middle)
        if result.in_real_time:
            best, low = result, middle
        else:
            high = middle
    return best
