"""Find speech in a WAV file with a trained detector from an ONNX file, step by step, and export the detector to C.

    pip install . && pip install --no-deps silero-vad==6.2.3
    python examples/silero_vad/find_speech.py recording.wav
    python examples/silero_vad/find_speech.py --quick       # 15 s of speech from a Debian package

silero-vad (MIT) computes the probability of speech every 32 ms. Its file is one step of the net, with 512 samples at 16
kHz after the last 64 samples of the previous step. A state [2, batch, 128] is both input and output. `states=` declares
that the two belong together, so that a stream keeps the state, here and in C. Without a WAV file, the script uses
recordings of the package `pocketsphinx-testdata` with pauses between them.
"""

import argparse
import importlib.util
import platform
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import rnngraph as rg

RATE, NEW, CONTEXT = 16_000, 512, 64
BEGIN, END, PATIENCE = 0.5, 0.35, 4
"""Speech begins at a probability of BEGIN, and ends PATIENCE steps after the probability falls below END."""
RECORDINGS = Path("/usr/share/pocketsphinx/test/data/librivox")
FILE = "silero_vad_16k_op15.onnx"

Sound = NDArray[np.float32]


def model_file() -> Path:
    """Return the ONNX file of the installed package, without importing it."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise SystemExit("silero-vad is not installed: pip install --no-deps silero-vad==6.2.3, or give --model FILE")
    return Path(spec.origin).parent / "data" / FILE


def detector(file: Path) -> rg.Program:
    """Return the net, whose streams carry the state."""
    net = rg.read_onnx(file, fixed={"sr": RATE, "sequence": CONTEXT + NEW})
    return net.program(states={"stateN": "state"})


def read(file: Path) -> Sound:
    """Read 16-bit samples of one channel at 16 kHz as numbers between -1 and 1."""
    with wave.open(str(file), "rb") as opened:
        if (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) != (1, 2, RATE):
            raise SystemExit(f"{file}: give a WAV file of one channel, 16 bits and {RATE} Hz")
        return np.frombuffer(opened.readframes(opened.getnframes()), "<i2").astype(np.float32) / 32768


def recordings(seconds: float) -> Sound:
    """Return spoken sentences separated by pauses of two seconds, with a little noise."""
    files = sorted(RECORDINGS.glob("*.wav"))
    if not files:
        raise SystemExit("no recordings here: apt-get install pocketsphinx-testdata, or give a WAV file")
    pause = np.zeros(2 * RATE, np.float32)
    sound = np.concatenate([part for file in files for part in (pause, read(file))])[: round(seconds * RATE)]
    noise = np.random.default_rng(0).standard_normal(len(sound), np.float32)
    return np.clip(sound + 0.001 * noise, -1, 1)


def write(file: Path, sound: Sound) -> None:
    """Write one channel of 16-bit samples."""
    with wave.open(str(file), "wb") as opened:
        opened.setparams((1, 2, RATE, len(sound), "NONE", ""))
        opened.writeframes((sound * 32767).round().astype("<i2").tobytes())


def windows(sound: Sound) -> Iterator[Sound]:
    """Yield the input of each step [1, 576]: the last samples of the previous step, then the new samples."""
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), sound])
    for start in range(0, len(sound) - NEW + 1, NEW):
        yield padded[None, start : start + CONTEXT + NEW]


def speech(probabilities: list[float]) -> Iterator[tuple[float, float]]:
    """Yield the beginning and end of each stretch of speech, in seconds."""
    began, quiet = -1, 0
    for step, probability in enumerate([*probabilities, *[0.0] * PATIENCE]):
        quiet = quiet + 1 if probability < END else 0
        if began < 0 and probability >= BEGIN:
            began = step
        elif began >= 0 and quiet == PATIENCE:
            yield began * NEW / RATE, (step + 1 - PATIENCE) * NEW / RATE
            began = -1


def main() -> None:
    """Find speech, print it, and export the detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wav", nargs="?", type=Path, help=f"one channel, 16 bits, {RATE} Hz")
    parser.add_argument("--model", type=Path, help=f"{FILE}, or one like it (default: that of the package silero-vad)")
    parser.add_argument("--directory", type=Path, default=Path(__file__).parent / "build", help="for what is written")
    parser.add_argument("--quick", action="store_true", help="15 seconds of speech")
    options = parser.parse_args()
    console = Console(highlight=False)

    program = detector(options.model or model_file())
    file = options.wav or options.directory / "speech.wav"
    if options.wav is None:
        sound = recordings(15 if options.quick else 60)
        options.directory.mkdir(parents=True, exist_ok=True)
        write(file, sound)
    sound = read(file)

    stream = program.inference.stream()
    stream.step(input=np.zeros((1, CONTEXT + NEW), np.float32))  # compiles
    stream.reset()
    began = time.perf_counter()
    probabilities = [float(stream.step(input=window)["output"][0, 0]) for window in windows(sound)]
    seconds = time.perf_counter() - began
    times = "".join(f"{begin:.2f} to {end:.2f}\n" for begin, end in speech(probabilities))
    console.print(times, end="")
    each = 1e6 * seconds / len(probabilities)
    console.print(f"{len(sound) / RATE:.1f} s of sound in {seconds:.3f} s: {each:.0f} µs for each 32 ms")

    several = platform.machine() in ("x86_64", "AMD64")
    exported = program.inference.export(options.directory, "silero", dispatch=several)
    (options.directory / "speech.txt").write_text(times)
    console.print(f"exported: {exported.object_size:,} bytes of code and weights, {exported.state_size:,} an instance")


if __name__ == "__main__":
    main()
