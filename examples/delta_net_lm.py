"""Compare a gated delta net with the LSTM of char_lm.py as character-level language models, at equal size and time.

    python examples/delta_net_lm.py                # some five minutes
    python examples/delta_net_lm.py --quick        # seconds, and then it writes nonsense
    python examples/delta_net_lm.py --seconds 600

Each head of a layer carries a matrix of keys and values, which it decays and corrects at every character (Yang, Kautz
and Hatamizadeh 2025). As in the paper, a short convolution precedes the recurrence; a norm for each head, a gate and a
perceptron follow it. Both nets have about 245,000 parameters, learn from windows of the same text with carried state,
and train for the same number of seconds. The net includes sampling: ``rg.sample`` draws each character, which is the
stream's next input.
"""

import argparse
import time
from collections.abc import Iterator

import char_lm
import numpy as np
from char_lm import CHARACTERS, STREAMS, WINDOW, following, ids
from rich.console import Console

import rnngraph as rg

WIDTH, HEADS, HEAD_DIM, HIDDEN, LAYERS, TAPS, KEEP_PROB = 96, 6, 16, 352, 2, 4, 0.9
LEARNING_RATES = {"gated delta net": 6e-3, "LSTM": char_lm.LEARNING_RATE}
TEMPERATURE = 0.8


def layer(x: rg.Tensor) -> rg.Tensor:
    """Return x plus the output of the recurrence, plus the output of a perceptron for each position."""
    h = rg.rms_norm(x)
    near = rg.conv1d(h, WIDTH, TAPS, activation="swish", groups=WIDTH)
    y, _ = rg.dynamic_rnn(rg.GatedDeltaNetCell(HEADS, HEAD_DIM), near)
    y = rg.reshape(rg.rms_norm(rg.reshape(y, (None, None, HEADS, HEAD_DIM))), (None, None, HEADS * HEAD_DIM))
    y = y * rg.dense(h, HEADS * HEAD_DIM, "swish")
    x = x + rg.dropout(rg.dense(y, WIDTH, use_bias=False), KEEP_PROB)
    hidden = rg.dense(rg.rms_norm(x), HIDDEN, "swish")
    return x + rg.dropout(rg.dense(hidden, WIDTH), KEEP_PROB)


# 1. declare
x = rg.embedding(ids, len(CHARACTERS), WIDTH)
for _ in range(LAYERS):
    x = layer(x)
logits = rg.dense(rg.rms_norm(x), len(CHARACTERS))
loss = rg.sparse_softmax_cross_entropy(labels=following, logits=logits)
written = rg.sample(logits, temperature=TEMPERATURE)

# 2. compile
program = rg.compile({"logits": logits, "written": written}, loss=loss, seed=0)
NETS = {"gated delta net": (program, loss), "LSTM": (char_lm.program, char_lm.loss)}


def fit(name: str, text: str, held_out: str, epochs: float) -> rg.History:
    """Train a net with a learning rate that falls to zero; it reads the text ``epochs`` times."""
    net, loss = NETS[name]
    length = round(len(text) * min(epochs, 1))
    examples = char_lm.streams(text[:length], STREAMS)
    passes = max(1, round(epochs))
    updates = passes * -(-examples[ids].shape[1] // WINDOW)
    trainer = rg.Trainer(net, rg.Adam(rg.CosineDecay(LEARNING_RATES[name], updates)), clip_norm=char_lm.CLIP_NORM)
    return trainer.fit(
        examples,
        batch_size=STREAMS,
        window=WINDOW,
        shuffle=False,
        epochs=passes,
        validation=char_lm.streams(held_out, 1),
        metrics={"bits": loss / np.log(2)},
    )


def characters_a_second(name: str, text: str) -> float:
    """Measure the training speed of a net, and leave its parameters unchanged."""
    net, _ = NETS[name]
    before = {key: np.array(values) for key, values in net.parameters.items()}
    trainer = rg.Trainer(net, rg.Adam(1e-3), clip_norm=char_lm.CLIP_NORM)
    window = {tensor.name: values[:, :WINDOW] for tensor, values in char_lm.streams(text, STREAMS).items()}
    seconds = []
    for _ in range(12):  # the first calls compile
        began = time.perf_counter()
        trainer.step(window)
        seconds.append(time.perf_counter() - began)
    net.parameters.load(before)
    return STREAMS * WINDOW / float(np.median(seconds))


def sample(prompt: str, count: int, number: int) -> Iterator[str]:
    """Yield `count` characters after a prompt. Each `number` gives another sample."""
    stream = program.inference.stream(batch=1, number=number)
    drawn = stream.process(ids=char_lm.encode(prompt)[None])["written"][:, -1]
    for _ in range(count):
        yield CHARACTERS[int(drawn[0])]
        drawn = stream.step(ids=drawn)["written"]


def main() -> None:
    """Train both nets for the same time, print their bits per character, and sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="training time of each net")
    parser.add_argument("--sample", type=int, default=600, help="characters to write at the end")
    parser.add_argument("--quick", action="store_true", help="a few seconds: little text")
    options = parser.parse_args()
    console = Console(highlight=False)
    text, held_out = char_lm.parts()
    if options.quick:
        text, held_out, options.seconds = text[:60_000], held_out[:5_000], 1.0
    for name, (net, _) in NETS.items():
        numbers = sum(array.size for array in net.parameters.values())
        rate = characters_a_second(name, text)
        history = fit(name, text, held_out, options.seconds * rate / len(text))
        best = history.row(history.best())
        console.print(
            f"{name}: {numbers:,} parameters, {rate:,.0f} characters a second, {history.epochs} times the text in "
            f"{history['seconds'].sum():.0f} s, held out {best['validation_bits']:.3f} bits per character"
        )
    console.rule("What the gated delta net writes", align="left")
    prompt = "VIOLA.\n"
    list(sample(prompt, 2, number=0))  # compiles the stream
    began = time.perf_counter()
    text = "".join(sample(prompt, options.sample, number=0))
    console.print(prompt + text, markup=False)
    console.rule(f"{len(text) / (time.perf_counter() - began):,.0f} characters a second", align="left")


if __name__ == "__main__":
    main()
