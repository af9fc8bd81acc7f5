"""Train a small LSTM to imitate a distortion circuit, and export it for C.

    python examples/audio_effect/train.py              # a quarter of an hour
    python examples/audio_effect/train.py --quick      # seconds, and then it sounds little like the circuit

The net reads one sample and the position of a knob, the drive, and computes the distorted sample. It has 32 LSTM units
and a dense layer, whose output is added to the sample (Wright, Damskägg & Välimäki 2019). The loss is the
error-to-signal ratio (ESR): the error's energy divided by that of the circuit's sound, both with raised treble. A
second term is the same ratio for the means. Training reads the sounds in consecutive windows of 1024 samples, and
carries the state from window to window.

It writes to `build/`, or to `--directory`: the program, the exported net, a dry sound that training did not use, and
that sound distorted by the circuit and by the net. effect.c runs the net on WAV files; see README.md.
"""

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sound import RATE, distorted, dry_sounds, read_wav, write_wav

import rnngraph as rg

UNITS = 32
SECONDS, SOUNDS, HELD_OUT = 1.0, 120, 30
BATCH, WINDOW, WARM_UP, EPOCHS, LEARNING_RATE, CLIP_NORM = 40, 1024, 512, 60, 5e-3, 1.0
EMPHASIS, QUIET = 0.85, 1e-3
PLAYED, DRIVE = 8, 0.7  # number of sounds in the written file, and their drive

# 1. declare
dry = rg.placeholder("dry", shape=(None, None, 1))
drive = rg.placeholder("drive", shape=(None, 1))
wet = rg.placeholder("wet", shape=(None, None, 1))
knob = 0 * dry + rg.expand_dims(drive, 1)  # broadcast to all samples
outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(UNITS), rg.concat([dry, knob], 2))
out = dry + rg.dense(outputs, 1)


def emphasised(sound: rg.Tensor) -> rg.Tensor:
    """Return a sound with raised treble, to which hearing is sensitive, and where sounds have little energy."""
    return sound[:, 1:] - EMPHASIS * sound[:, :-1]


def power(sound: rg.Tensor) -> rg.Tensor:
    """Return the mean square of each row [batch, 1]."""
    return rg.reduce_mean(rg.square(sound), axis=1)


error = wet - out
# a ratio for each row: quiet sounds count as much as loud ones
share = power(emphasised(error)) / (power(emphasised(wet)) + QUIET)
offset = rg.square(rg.reduce_mean(error, axis=1)) / (power(wet) + QUIET)
loss = rg.reduce_mean(share + offset)

# 2. compile
program = rg.compile({"out": out}, loss=loss, seed=0)

Feeds = dict[str, NDArray[Any]]


def examples(seed: int, count: int, seconds: float) -> Feeds:
    """Return feeds: dry and wet sounds [count, samples, 1], and the drive of each sound [count, 1]."""
    sounds = dry_sounds(seed, count, round(seconds * RATE))
    drives = np.random.default_rng(seed).uniform(0, 1, count)
    return {
        "dry": sounds[..., None].astype(np.float32),
        "wet": distorted(sounds, drives)[..., None].astype(np.float32),
        "drive": drives[:, None].astype(np.float32),
    }


def error_to_signal(wet: NDArray[Any], out: NDArray[Any]) -> float:
    """Return the error's energy divided by that of the circuit's sound, without raised treble."""
    return float(((wet.astype(np.float64) - out) ** 2).sum() / (wet.astype(np.float64) ** 2).sum())


def train(feeds: Feeds, held_out: Feeds, epochs: int, console: Console) -> None:
    """Train, and keep the parameters of the epoch with the smallest error on the held-out sounds."""
    windows = -(-feeds["dry"].shape[1] // WINDOW) * -(-len(feeds["dry"]) // BATCH)
    rate = rg.CosineDecay(LEARNING_RATE, epochs * windows, final=LEARNING_RATE / 50)
    trainer = rg.Trainer(program, rg.Adam(rate), clip_norm=CLIP_NORM)
    history = trainer.fit(
        feeds,
        epochs=epochs,
        batch_size=BATCH,
        window=WINDOW,
        warm_up=WARM_UP,
        validation=held_out,
        keep_best=True,
    )
    seconds = history["seconds"].sum()
    samples = feeds["dry"].size * history.epochs
    console.print(
        f"{trainer.updates} updates in {seconds:.0f} s, {samples / seconds / 1e6:.2f} million samples a second"
    )


def report(feeds: Feeds, console: Console) -> float:
    """Print the ESR of held-out sounds, by net and by the best constant gain. Return the net's ESR of all sounds."""
    out = program.inference(dry=feeds["dry"], drive=feeds["drive"])["out"]
    table = Table("held-out sounds", "ESR of the net", "in dB", "ESR of the best gain")
    thirds = np.minimum((3 * feeds["drive"][:, 0]).astype(int), 2)
    for name, rows in [
        ("all", np.full(len(out), True)),
        *((f"drive up to {(third + 1) / 3:.2f}", thirds == third) for third in range(3)),
    ]:
        if not rows.any():
            continue
        wet, dry = feeds["wet"][rows], feeds["dry"][rows]
        gains = (wet * dry).sum(1, keepdims=True) / (dry * dry).sum(1, keepdims=True)
        ratio = error_to_signal(wet, out[rows])
        table.add_row(name, f"{ratio:.4f}", f"{10 * np.log10(ratio):.1f}", f"{error_to_signal(wet, gains * dry):.3f}")
    console.print(table)
    return error_to_signal(feeds["wet"], out)


def write(folder: Path, seconds: float, console: Console) -> None:
    """Export the net, and write a dry test sound with the outputs of the circuit and of the net."""
    several = platform.machine() in ("x86_64", "AMD64")
    exported = program.inference.export(folder, "distortion", dispatch=several)
    program.save(folder / "model")
    console.print(f"exported: {exported.object_size:,} bytes of code and weights, {exported.state_size:,} an instance")
    sound = dry_sounds(3, PLAYED, round(seconds * RATE)).reshape(1, -1)
    write_wav(folder / "dry.wav", sound[0])
    write_wav(folder / "circuit.wav", distorted(sound, np.array([DRIVE]))[0])
    played = program.inference(dry=read_wav(folder / "dry.wav")[None, :, None], drive=[[DRIVE]])["out"]
    write_wav(folder / "net.wav", played.ravel())
    console.print(f"dry.wav, and at a drive of {DRIVE} circuit.wav and net.wav: in {folder}", soft_wrap=True)


def main() -> None:
    """Make sounds, train, evaluate and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--directory", type=Path, default=Path(__file__).with_name("build"))
    parser.add_argument("--quick", action="store_true", help="seconds: little sound, one epoch")
    options = parser.parse_args()
    console = Console(highlight=False)
    seconds, count, held_out = (0.1, BATCH, 10) if options.quick else (SECONDS, SOUNDS, HELD_OUT)
    epochs = 2 if options.quick else options.epochs

    began = time.perf_counter()
    feeds, choosing, judging = (
        examples(seed, number, seconds) for seed, number in ((0, count), (1, held_out), (2, held_out))
    )
    console.print(
        f"{count * seconds:.0f} s of sound to train on, {held_out * seconds:.0f} s to choose the epoch by and as much "
        f"to judge, made in {time.perf_counter() - began:.0f} s"
    )
    train(feeds, choosing, epochs, console)
    report(judging, console)
    write(options.directory, seconds, console)


if __name__ == "__main__":
    main()
