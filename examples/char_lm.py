"""Train a character-level language model on five comedies, evaluate it on the last acts, and sample text.

    python examples/char_lm.py                 # one or two minutes
    python examples/char_lm.py --quick         # seconds, and then it writes nonsense
    python examples/char_lm.py --sample 2000 --temperature 0.6

Two LSTM layers of 128 units read characters and predict the next one; dropout acts on each layer's output, in the
training graph only. The text is cut into 16 parallel streams. Training reads them in windows of 64 steps and carries
the state from window to window: gradients stop at a window's edge, the state does not (truncated backpropagation
through time, Williams & Peng 1990). The held-out last tenth is read in one call of about 55,000 steps, and samples come
step by step from a stream of the inference graph.

The text and its origin: examples/data/README.md.
"""

import argparse
import gzip
import lzma
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import rnngraph as rg

TEXT = gzip.decompress((Path(__file__).with_name("data") / "shakespeare.txt.gz").read_bytes()).decode("ascii")
CHARACTERS = "".join(sorted(set(TEXT)))
WIDTH, UNITS, LAYERS, KEEP_PROB = 64, 128, 2, 0.9
STREAMS, WINDOW, EPOCHS, LEARNING_RATE, CLIP_NORM = 16, 64, 12, 1e-2, 1.0
HELD_OUT = 0.1

Ids = NDArray[np.int64]

# 1. declare
ids = rg.placeholder("ids", shape=(None, None), dtype="int64")
following = rg.placeholder("following", shape=(None, None), dtype="int64")
cells = [rg.DropoutWrapper(rg.BasicLSTMCell(UNITS), output_keep_prob=KEEP_PROB) for _ in range(LAYERS)]
outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), rg.embedding(ids, len(CHARACTERS), WIDTH))
logits = rg.dense(outputs, len(CHARACTERS))
loss = rg.sparse_softmax_cross_entropy(labels=following, logits=logits)
bits = loss / math.log(2)

# 2. compile
program = rg.compile({"logits": logits}, loss=loss, seed=0)


def encode(text: str) -> Ids:
    """Return the index in `CHARACTERS` of each character of a text."""
    numbers = {character: number for number, character in enumerate(CHARACTERS)}
    return np.array([numbers[character] for character in text], np.int64)


def parts() -> tuple[str, str]:
    """Return the training text, and the held-out text, which is its end."""
    cut = round(len(TEXT) * (1 - HELD_OUT))
    return TEXT[:cut], TEXT[cut:]


def streams(text: str, count: int) -> dict[rg.Tensor, Ids]:
    """Cut a text into `count` rows of equal length; return ids [count, steps] and, as targets, the next ids."""
    numbers = encode(text)
    steps = (len(numbers) - 1) // count
    return {
        tensor: numbers[shift : shift + count * steps].reshape(count, steps)
        for tensor, shift in ((ids, 0), (following, 1))
    }


def learning_rate(examples: dict[rg.Tensor, Ids], epochs: int) -> rg.Schedule:
    """Return the learning rate of each update: a half cosine that falls to zero."""
    windows = math.ceil(examples[ids].shape[1] / WINDOW)
    return rg.CosineDecay(LEARNING_RATE, epochs * windows)


def compressed_bits(text: str, after: str) -> float:
    """Return the bits per character that xz needs for `text` if it has compressed `after` before."""
    sizes = [len(lzma.compress(seen.encode("ascii"), preset=9)) for seen in (after, after + text)]
    return 8 * (sizes[1] - sizes[0]) / len(text)


def sample(prompt: str, count: int, temperature: float, seed: int) -> Iterator[str]:
    """Yield `count` characters after a prompt, each drawn from the model's prediction and fed back."""
    generator = np.random.default_rng(seed)
    stream = program.inference.stream(batch=1)
    scores = stream.process(ids=encode(prompt)[None])["logits"][0, -1]
    for _ in range(count):
        # Gumbel noise: the index of the largest sum is a sample of the softmax
        noise = generator.gumbel(size=len(CHARACTERS))
        number = int((scores / temperature + noise).argmax())
        yield CHARACTERS[number]
        scores = stream.step(ids=np.array([number]))["logits"][0]


def main() -> None:
    """Train, print the bits per character of the held-out text, and sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--sample", type=int, default=600, help="characters to write at the end")
    parser.add_argument("--temperature", type=float, default=0.8, help="below 1 the likely becomes likelier")
    parser.add_argument("--quick", action="store_true", help="a few seconds: little text, one epoch")
    options = parser.parse_args()
    console = Console(highlight=False)

    train, held_out = parts()
    if options.quick:
        train, held_out, options.epochs = train[:60_000], held_out[:5_000], 1
    console.print(f"{len(train):,} characters to train on, {len(held_out):,} held out, {len(CHARACTERS)} different")
    console.print(
        f"xz, which has seen the former, needs {compressed_bits(held_out, train):.3f} bits for one of the latter"
    )
    examples = streams(train, STREAMS)
    trainer = rg.Trainer(program, rg.Adam(learning_rate(examples, options.epochs)), clip_norm=CLIP_NORM)
    history = trainer.fit(
        examples,
        batch_size=STREAMS,
        window=WINDOW,
        shuffle=False,
        epochs=options.epochs,
        validation=streams(held_out, 1),
        metrics={"bits": bits},
    )
    best, rate = history.row(history.best()), len(train) * history.epochs / history["seconds"].sum()
    console.print(
        f"held out, by the net of epoch {best['epoch']:.0f}: {best['validation_bits']:.3f} bits per character"
    )
    console.print(f"{rate:,.0f} characters a second, compiling included")

    console.rule("What it writes", align="left")
    prompt = "VIOLA.\n"
    began = time.perf_counter()
    written = "".join(sample(prompt, options.sample, options.temperature, seed=0))
    seconds = time.perf_counter() - began
    console.print(prompt + written, markup=False)
    console.rule(f"{len(written) / seconds:,.0f} characters a second", align="left")


if __name__ == "__main__":
    main()
