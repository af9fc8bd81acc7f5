"""Train three layers with dropout to recognise speakers, and compare the training graph with the inference graph.

    python examples/deep_rnn.py
    rnngraph show examples/deep_rnn.py --graph training --stage graph

Three layers of 100 units read an utterance of Japanese vowels, 12 coefficients a step, and the last layer's final state
becomes a score for each of nine speakers. Dropout on every layer's input has a keep probability of 0.5, in the training
graph only. 60 epochs over 270 utterances train it; then the inference graph classifies 370 others. The differences
between the two graphs are printed and checked against NumPy. All takes a few seconds. The data and its licence:
examples/data/README.md.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import rnngraph as rg

DATA = Path(__file__).with_name("data") / "japanese_vowels.npz"
FEATURES, UNITS, LAYERS, SPEAKERS = 12, 100, 3, 9
KEEP_PROB = 0.5
BATCH, EPOCHS, LEARNING_RATE, CLIP_NORM = 32, 60, 1e-3, 1.0

Feeds = Mapping[str, NDArray[Any]]

# 1. declare
x = rg.placeholder("x", shape=(None, None, FEATURES))
lengths = rg.placeholder("lengths", shape=(None,), dtype="int64")
y = rg.placeholder("y", shape=(None,), dtype="int64")
cells = [rg.DropoutWrapper(rg.BasicRNNCell(UNITS), input_keep_prob=KEEP_PROB) for _ in range(LAYERS)]
outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(cells), x, sequence_length=lengths)
logits = rg.dense(states[-1], SPEAKERS)
loss = rg.sparse_softmax_cross_entropy(labels=y, logits=logits)

# 2. compile
program = rg.compile({"logits": logits, "states": states}, loss=loss, seed=0)


def load() -> tuple[Feeds, Feeds]:
    """Return (feeds of the training utterances, feeds of the test utterances).

    Coefficients are standardised over the training steps, so that a dropped coefficient, 0, is the mean.
    """
    with np.load(DATA) as data:
        real = np.arange(data["train_x"].shape[1]) < data["train_lengths"][:, None]
        mean, deviation = data["train_x"][real].mean(axis=0), data["train_x"][real].std(axis=0)
        train, test = (
            {
                "x": (data[f"{part}_x"] - mean) / deviation,
                "lengths": data[f"{part}_lengths"],
                "y": data[f"{part}_labels"],
            }
            for part in ("train", "test")
        )
    return train, test


def train(console: Console, examples: Feeds) -> None:
    """Train, and print the loss of the training graph and the accuracy of the inference graph as it proceeds."""

    def report(_: rg.Trainer, row: Mapping[str, float]) -> None:
        if row["epoch"] % 10 == 0:
            loss_text, accuracy_text = f"loss {row['loss']:.3f} with dropout", f"accuracy {row['accuracy']:.1%} without"
            console.print(f"epoch {row['epoch']:2.0f}: {loss_text}, {accuracy_text}")

    console.rule(f"Training on {len(examples['y'])} utterances", align="left")
    trainer = rg.Trainer(program, optimizer=rg.Adam(LEARNING_RATE), clip_norm=CLIP_NORM)
    history = trainer.fit(
        examples,
        batch_size=BATCH,
        epochs=EPOCHS,
        bucket=False,
        metrics={"accuracy": rg.accuracy(y, logits)},
        callbacks=[report],
        progress=False,
    )
    console.print(f"{trainer.updates} updates in {history['seconds'].sum():.1f} s, compiling included")


def accuracy(result: rg.Result, labels: NDArray[np.int64]) -> str:
    """Format the share of utterances whose speaker has the highest score."""
    return f"{(result['logits'].argmax(axis=-1) == labels).mean():.1%}"


def count_ops(graph: Any) -> Counter[str]:
    """Count the nodes of a graph by op, including those in the bodies of its scans."""
    return Counter(str(attributes["op"]) for _, attributes in graph.networkx().nodes(data=True))


def by_hand(
    parameters: Mapping[str, NDArray[np.float32]],
    x: NDArray[np.float32],
    lengths: NDArray[np.int64],
    masks: Sequence[NDArray[Any]] | None = None,
) -> NDArray[np.float64]:
    """Compute the logits [batch, speakers] in float64 with NumPy. Dropout multiplies by mask / keep_prob."""
    sequence = x.astype(np.float64)
    state = np.zeros(0)
    for layer in range(LAYERS):
        scope = f"rnn/multi_rnn_cell/cell_{layer}/basic_rnn_cell"
        kernel = parameters[f"{scope}/kernel"].astype(np.float64)
        bias = parameters[f"{scope}/bias"].astype(np.float64)
        if masks is not None:
            sequence = sequence * masks[layer].astype(np.float64) / KEEP_PROB
        state = np.zeros((len(x), UNITS))
        emitted = np.zeros((*x.shape[:2], UNITS))
        for t in range(x.shape[1]):
            running = (t < lengths)[:, None]
            new = np.tanh(np.concatenate([sequence[:, t], state], axis=1) @ kernel + bias)
            emitted[:, t] = np.where(running, new, 0.0)
            state = np.where(running, new, state)
        sequence = emitted
    return state @ parameters["dense/kernel"].astype(np.float64) + parameters["dense/bias"]


def median_seconds(call: Callable[[], object], repeats: int = 15) -> float:
    """Return the median duration of one call."""
    durations = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
    return float(np.median(durations))


def show_difference(console: Console) -> None:
    """Print the dropout layers that inference omits, and the ops that only the training graph has."""
    console.rule("What differs between the two graphs", align="left")
    for line in program.inference.show("graph").splitlines():
        if line.lstrip().startswith("#"):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    training, inference = count_ops(program.training.graph), count_ops(program.inference.graph)
    console.print(f"{training.total()} nodes for training, gradients included; {inference.total()} for inference")
    console.print(f"only for training: {', '.join(sorted(training.keys() - inference.keys()))}")


def show_masks(console: Console, batch: Feeds, feeds: Feeds) -> None:
    """Print each mask's keep rate beside the declared one. Check by NumPy where and how the masks act."""
    console.rule("The training graph", align="left")
    masks = program.training.dropout_masks(seed=7, **feeds)
    table = Table("site", "shape", "kept", "declared", "off by")
    for site, mask in masks.items():
        rate = float(mask.mean())
        error = math.sqrt(KEEP_PROB * (1 - KEEP_PROB) / mask.size)
        deviation = f"{(rate - KEEP_PROB) / error:+.1f} σ"
        table.add_row(
            str(site).removeprefix("rnn/multi_rnn_cell/"),
            str(list(mask.shape)),
            f"{rate:.4f}",
            f"{KEEP_PROB}",
            deviation,
        )
    console.print(table)

    native = program.training(seed=7, **feeds)["logits"]
    expected = by_hand(program.parameters, **batch, masks=list(masks.values()))
    console.print(
        f"training against NumPy, float64, with x · mask / {KEEP_PROB}: "
        f"largest difference {np.abs(native - expected).max():.1e}"
    )
    same = np.array_equal(native, program.training(seed=7, **feeds)["logits"])
    other = np.array_equal(native, program.training(seed=8, **feeds)["logits"])
    console.print(f"training, seed 7 twice: {verdict(same)}; seed 7 and seed 8: {verdict(other)}")


def verdict(same: bool) -> str:
    """Return "equal bit for bit" or "different"."""
    return "the same bits" if same else "different"


def show_inference(console: Console, batch: Feeds) -> None:
    """Check that inference depends only on its input and has no dropout."""
    console.rule("The inference graph", align="left")
    first, second = program.inference(**batch)["logits"], program.inference(**batch)["logits"]
    alone = program.inference(x=batch["x"][:1], lengths=batch["lengths"][:1])["logits"]
    console.print(
        f"two calls: {verdict(np.array_equal(first, second))}; "
        f"the first row alone and among {len(first)}: {verdict(np.array_equal(alone, first[:1]))}"
    )
    difference = np.abs(first - by_hand(program.parameters, **batch)).max()
    console.print(f"inference against NumPy, float64, without dropout: largest difference {difference:.1e}")


def show_times(console: Console, batch: Feeds, feeds: Feeds) -> None:
    """Print the times of calls, once everything is compiled."""
    console.rule("Time", align="left")
    steps, one_steps = int(batch["lengths"].sum()), int(batch["lengths"][0])
    one = {"x": batch["x"][:1, :one_steps], "lengths": batch["lengths"][:1]}
    rows = len(batch["lengths"])
    table = Table("call", "steps", "ms a call", "steps a second")
    for name, count, call in [
        (f"inference, {rows} utterances", steps, lambda: program.inference(**batch)),
        (f"training forward, {rows} utterances", steps, lambda: program.training(seed=7, **feeds)),
        ("inference, 1 utterance", one_steps, lambda: program.inference(**one)),
    ]:
        call()
        seconds = median_seconds(call)
        table.add_row(name, f"{count}", f"{seconds * 1e3:.3f}", f"{count / seconds:,.0f}")
    console.print(table)


def main() -> None:
    """Train, evaluate on the test utterances, and compare the two graphs."""
    console = Console(highlight=False)
    examples, feeds = load()
    batch = {name: array for name, array in feeds.items() if name != "y"}
    train(console, examples)

    console.rule(f"Test on {len(feeds['y'])} other utterances", align="left")
    console.print(f"inference graph: accuracy {accuracy(program.inference(**batch), feeds['y'])}", style="bold")
    with_dropout = program.training(seed=7, **feeds)
    console.print(f"training graph, under one draw of masks: accuracy {accuracy(with_dropout, feeds['y'])}")
    console.print(f"loss without dropout {program.evaluate(**feeds)['loss']:.4f}, with {with_dropout['loss']:.4f}")

    show_difference(console)
    show_inference(console, batch)
    show_masks(console, batch, feeds)
    show_times(console, batch, feeds)


if __name__ == "__main__":
    main()
