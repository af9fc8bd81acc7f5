"""Train a small GRU to detect speech in noise, on real recordings, and export it for C.

    sudo apt-get install --no-install-recommends pocketsphinx-testdata alsa-utils     # the speech, on Debian
    python examples/vad/train.py              # two minutes
    python examples/vad/train.py --quick      # seconds, and then it hears badly

Every 10 ms the net reads the energies of 24 mel bands of the last 30 ms and computes the probability of speech. It is
trained on mixtures of speech with white and pink noise, hum and babble, at ratios from 20 to -5 dB; the test uses other
files. Dropout acts in the training graph only. The baseline without a net is the frame's energy, relative to the lowest
energy of the last seconds.

It writes to `build/`, or to `--directory`: the program; the exported net; noisy.wav, held-out mixtures of each noise at
each ratio; noisy.txt, the times of speech in them. vad.c computes the same features from a WAV file and prints the
same; see README.md.
"""

import argparse
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from speech import BANDS, HOP, NOISES, RATE, Mixture, decibels, features, mixtures, read, recordings, write

import rnngraph as rg

UNITS, INPUT_KEEP_PROB, OUTPUT_KEEP_PROB = 32, 0.9, 0.8
MIXTURES, JUDGED, SECONDS, RATIOS = 600, 200, 8.0, (20.0, 10.0, 5.0, 0.0, -5.0)
BATCH, EPOCHS, LEARNING_RATE, CLIP_NORM = 20, 25, 5e-3, 1.0
LATELY = 3 * RATE // HOP  # frames over which the energy threshold takes the minimum

Flags = NDArray[np.bool_]

# 1. declare
bands = rg.placeholder("bands", shape=(None, None, BANDS))
speech = rg.placeholder("speech", shape=(None, None, 1))
mean = rg.parameter("mean", (BANDS,), "zeros", trainable=False)  # mean and deviation of the bands
deviation = rg.parameter("deviation", (BANDS,), "ones", trainable=False)
cell = rg.DropoutWrapper(rg.GRUCell(UNITS), input_keep_prob=INPUT_KEEP_PROB, output_keep_prob=OUTPUT_KEEP_PROB)
outputs, _ = rg.dynamic_rnn(cell, (bands - mean) / deviation)
logits = rg.dense(outputs, 1)
loss = rg.sigmoid_cross_entropy(labels=speech, logits=logits)

# 2. compile
program = rg.compile({"probability": rg.sigmoid(logits)}, loss=loss, seed=0)


def feeds(examples: Sequence[Mixture]) -> dict[str, NDArray[np.float32]]:
    """Return the bands [mixtures, frames, BANDS] and the labels, 1 for speech [mixtures, frames, 1]."""
    return {
        "bands": np.stack([features(example.sound) for example in examples]),
        "speech": np.stack([example.speech for example in examples])[..., None].astype(np.float32),
    }


def train(examples: dict[str, NDArray[np.float32]], epochs: int, console: Console) -> None:
    """Train, after the bands' mean and deviation have been measured."""
    program.parameters["mean"] = examples["bands"].mean(axis=(0, 1))
    program.parameters["deviation"] = examples["bands"].std(axis=(0, 1))
    updates = epochs * -(-len(examples["bands"]) // BATCH)
    trainer = rg.Trainer(program, rg.Adam(rg.CosineDecay(LEARNING_RATE, updates)), clip_norm=CLIP_NORM)
    history = trainer.fit(examples, epochs=epochs, batch_size=BATCH)
    console.print(f"{trainer.updates} updates in {history['seconds'].sum():.1f} s, loss {history['loss'][-1]:.3f}")


def energy_over_noise(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each frame's energy in dB, relative to the lowest energy of the last ``LATELY`` frames."""
    # smoothed, since the energy of a single frame jumps
    level = np.convolve(decibels(sound), np.ones(5) / 5)[: len(sound) // HOP]
    padded = np.concatenate([np.full(LATELY - 1, level.max()), level])
    return level - np.lib.stride_tricks.sliding_window_view(padded, LATELY).min(axis=1)


def area_under_curve(scores: NDArray[np.float64], truth: Flags) -> float:
    """Return the area under the ROC curve: the probability that speech scores higher; ties count half."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    speaking = truth.sum()
    return float((ranks[truth].sum() - speaking * (speaking + 1) / 2) / (speaking * (len(truth) - speaking)))


def best_threshold(scores: NDArray[np.float64], truth: Flags) -> float:
    """Return the threshold with the fewest misclassified frames."""
    order = np.argsort(scores)
    ordered, speaking = scores[order], truth[order]
    # misclassified frames, for each score as the threshold
    wrong = np.cumsum(speaking) + np.cumsum((~speaking)[::-1])[::-1] - ~speaking
    wrong[:-1][ordered[:-1] == ordered[1:]] = len(truth)  # equal scores can't be separated
    return float(ordered[wrong.argmin()])


def report(judged: Sequence[Mixture], known: Sequence[Mixture], console: Console) -> None:
    """Print accuracies of net and baseline by ratio and noise. `known` are mixtures for the baseline's threshold."""
    probability = program.inference(bands=feeds(judged)["bands"])["probability"][..., 0].astype(np.float64)
    energy = np.stack([energy_over_noise(example.sound) for example in judged])
    truth = np.stack([example.speech for example in judged])
    threshold = best_threshold(
        np.concatenate([energy_over_noise(example.sound) for example in known]),
        np.concatenate([example.speech for example in known]),
    )
    table = Table("held-out files", "frames", "AUC: net", "energy", "wrong frames: net", "energy")
    groups = {"all": [True for _ in judged]}
    groups |= {f"{ratio:.0f} dB": [example.ratio == ratio for example in judged] for ratio in RATIOS}
    groups |= {kind: [example.noise == kind for example in judged] for kind in sorted({x.noise for x in judged})}
    for name, chosen in groups.items():
        rows = np.array(chosen)
        p, e, t = probability[rows].ravel(), energy[rows].ravel(), truth[rows].ravel()
        table.add_row(
            name,
            f"{t.size:,}",
            f"{area_under_curve(p, t):.3f}",
            f"{area_under_curve(e, t):.3f}",
            f"{((p > 0.5) != t).mean():.1%}",
            f"{((e > threshold) != t).mean():.1%}",
        )
    console.print(table)
    console.print(f"{truth.mean():.0%} of the frames are speech; energy decides at {threshold:.1f} dB, net at 0.5")


def spoken(speaking: Flags) -> str:
    """Format the times of speech as vad.c prints them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speaking.astype(np.int8), [0]])))
    return "".join(f"{start / 100:.2f} to {stop / 100:.2f}\n" for start, stop in edges.reshape(-1, 2))


def listen(file: Path) -> Flags:
    """Return a bool for each frame of a file, True for speech, from a stream that reads frame by frame."""
    stream = program.inference.stream(batch=1)
    return np.array([stream.step(bands=row[None])["probability"][0, 0] > 0.5 for row in features(read(file))])


def main() -> None:
    """Train, evaluate, export, and detect speech in held-out mixtures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--directory", type=Path, default=Path(__file__).with_name("build"))
    parser.add_argument("--quick", action="store_true", help="seconds: few mixtures")
    options = parser.parse_args()
    console = Console(highlight=False)
    voices, others = recordings()
    if not voices or not others:
        raise SystemExit(
            "the speech is missing: apt-get install --no-install-recommends pocketsphinx-testdata alsa-utils"
        )
    count, judged, epochs = (40, 20, 10) if options.quick else (MIXTURES, JUDGED, options.epochs)

    began = time.perf_counter()
    known, held_out = mixtures(0, count, voices, SECONDS, RATIOS), mixtures(1, judged, others, SECONDS, RATIOS)
    examples = feeds(known)
    console.print(
        f"{len(voices)} recordings to train on, {sum(map(len, voices)) / RATE:.0f} s; {len(others)} held out, "
        f"{sum(map(len, others)) / RATE:.0f} s; {count} and {judged} mixtures, {time.perf_counter() - began:.0f} s"
    )
    train(examples, epochs, console)
    report(held_out, known, console)

    several = platform.machine() in ("x86_64", "AMD64")
    exported = program.inference.export(options.directory, "vad", dispatch=several)
    program.save(options.directory / "model")
    console.print(f"exported: {exported.object_size:,} bytes of code and weights, {exported.state_size:,} an instance")
    file = options.directory / "noisy.wav"
    listened = held_out[: len(NOISES) * len(RATIOS)]
    write(file, np.concatenate([example.sound for example in listened]))
    speaking, truth = listen(file), np.concatenate([example.speech for example in listened])
    (options.directory / "noisy.txt").write_text(spoken(speaking))
    whole = program.inference(bands=features(read(file))[None])["probability"][0, :, 0] > 0.5
    console.print(
        f"{file.name}, {len(truth):,} frames step by step: {(speaking != truth).mean():.1%} wrong; "
        f"stream and whole call decide alike: {np.array_equal(whole, speaking)}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
