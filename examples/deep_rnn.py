"""One declaration, two graphs: three layers with dropout, on real speech.

    python examples/deep_rnn.py
    rnngraph show examples/deep_rnn.py --graph training --stage graph

Three layers of 100 units read an utterance of Japanese vowels, 12 coefficients a step, and the last layer's
final state becomes a score for each of nine speakers. Every layer's input is dropped with a keep
probability of 0.5: in the training graph only. The parameters are the initial ones, so the scores mean
nothing yet; what this shows is what the two graphs are and what they do. The data and its licence:
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
compile_began = time.perf_counter()
program = rg.compile({"logits": logits, "states": states}, loss=loss, seed=0)
graphs_seconds = time.perf_counter() - compile_began


def count_ops(graph: Any) -> Counter[str]:
    """Count the nodes of a graph by kind of op, those in the bodies of its scans included."""
    return Counter(str(attributes["op"]) for _, attributes in graph.networkx().nodes(data=True))


def by_hand(
    parameters: Mapping[str, NDArray[np.float32]],
    x: NDArray[np.float32],
    lengths: NDArray[np.int64],
    masks: Sequence[NDArray[Any]] | None = None,
) -> NDArray[np.float64]:
    """Compute the logits [batch, speakers] in float64 with NumPy; masks act as mask / keep_prob."""
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


def first_seconds(call: Callable[[], object]) -> float:
    """Return the duration of a call that has never been made, compiling included."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def show_difference(console: Console) -> None:
    """Print what the inference graph says it lost, and the ops that each graph has."""
    console.rule("What differs between the two graphs", align="left")
    for line in program.inference.show("graph").splitlines():
        if line.lstrip().startswith("#"):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    training, inference = count_ops(program.training.graph), count_ops(program.inference.graph)
    table = Table("op", "training", "inference")
    for op in sorted(training | inference):
        mark = "" if training[op] == inference[op] else "bold"
        table.add_row(op, str(training[op]), str(inference[op]), style=mark)
    table.add_row("all", str(training.total()), str(inference.total()))
    console.print(table)


def show_masks(console: Console, batch: Feeds, feeds: Feeds) -> None:
    """Print each mask's keep rate next to the declared one, then check where and how the masks act."""
    console.rule("Dropout in the training graph", align="left")
    masks = program.training.dropout_masks(seed=7, **feeds)
    table = Table("site", "shape", "kept", "declared", "off by")
    table.columns[0].overflow = "fold"
    for site, mask in masks.items():
        rate = float(mask.mean())
        error = math.sqrt(KEEP_PROB * (1 - KEEP_PROB) / mask.size)
        deviation = f"{(rate - KEEP_PROB) / error:+.1f} σ"
        table.add_row(str(site), str(list(mask.shape)), f"{rate:.4f}", f"{KEEP_PROB}", deviation)
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
    """Say whether two results agree to the bit."""
    return "the same bits" if same else "different"


def main() -> None:
    """Compile both graphs, compare them, run them on the 370 test utterances, and time them."""
    console = Console(highlight=False)
    with np.load(DATA) as data:
        batch = {"x": data["test_x"], "lengths": data["test_lengths"]}
        feeds = {**batch, "y": data["test_labels"]}

    inference_seconds = first_seconds(lambda: program.inference(**batch))
    training_seconds = first_seconds(lambda: program.training(seed=7, **feeds))

    show_difference(console)

    console.rule("Inference", align="left")
    first, second = program.inference(**batch)["logits"], program.inference(**batch)["logits"]
    console.print(f"two calls: {verdict(first.tobytes() == second.tobytes())}")
    alone = program.inference(x=batch["x"][:1], lengths=batch["lengths"][:1])["logits"]
    same = alone.tobytes() == first[:1].tobytes()
    console.print(f"the first row alone and among {len(first)}: {verdict(same)}")
    difference = np.abs(first - by_hand(program.parameters, **batch)).max()
    console.print(f"inference against NumPy, float64, without dropout: largest difference {difference:.1e}")

    show_masks(console, batch, feeds)
    training_loss, plain_loss = program.training(seed=7, **feeds)["loss"], program.evaluate(**feeds)["loss"]
    console.print(
        f"loss with dropout {training_loss:.4f}, without {plain_loss:.4f}; "
        f"of {SPEAKERS} equal guesses {math.log(SPEAKERS):.4f}"
    )

    console.rule("Time", align="left")
    steps = int(batch["lengths"].sum())
    one = {"x": batch["x"][:1, : batch["lengths"][0]], "lengths": batch["lengths"][:1]}
    rows, one_steps = len(first), int(one["lengths"][0])
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
    console.print(
        f"compile: graphs {graphs_seconds:.3f} s, first inference call {inference_seconds:.3f} s, "
        f"first training call {training_seconds:.3f} s"
    )


if __name__ == "__main__":
    main()
