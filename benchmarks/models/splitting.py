"""dksplit: finds the beginnings of words in a text without spaces. By ABTdomain, CC BY 4.0.

It has three bidirectional LSTMs of 384 units and a table of transitions between two tags, in an ONNX file quantized for
onnxruntime (DynamicQuantizeLSTM).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import rnngraph as rg

from .fetch import fetched

UNITS, CHARACTERS, LAYERS, TAGS = 384, 38, 3, 2
WORDS = (
    "the of and to in is for on that by this with you it not or be are from at as your all have new more an was we "
    "will home can us about if page my has search free but our one other do no information time they site he up may "
    "what which their news out use any there see only so his when contact here business who web also now help get"
)
"""Words from which random texts are built."""


def program(**options: Any) -> rg.Program:
    """Return the net with the file's weights as floats."""
    characters = rg.placeholder("chars", (None, None), "int64")
    values = rg.embedding(characters, CHARACTERS, UNITS, name="embedding")
    for layer in range(LAYERS):
        cells = [rg.BasicLSTMCell(UNITS, forget_bias=0.0) for _ in range(2)]
        both, _ = rg.bidirectional_dynamic_rnn(*cells, values, scope=f"layer_{layer}")
        values = rg.concat(list(both))
    compiled = rg.compile(rg.dense(values, TAGS), **options)
    compiled.parameters.load(_parameters(compiled))
    return compiled


def engine() -> Callable[..., np.ndarray]:
    """Return the file's net in onnxruntime, on one thread. Raises ``NotFetchedError``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = fetched("dksplit")["dksplit-int8.onnx"]
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda chars: session.run(None, {"chars": chars})[0]


def texts(count: int = 1000) -> list[np.ndarray]:
    """Return the character ids of random texts, an array [texts, length] for each length, the usual length last."""
    generator, words = np.random.default_rng(0), WORDS.split()
    by_length: dict[int, list[list[int]]] = {}
    for _ in range(count):
        text = "".join(generator.choice(words, generator.integers(3, 7)))
        by_length.setdefault(len(text), []).append([ord(letter) - ord("a") + 2 for letter in text])
    return [np.array(rows) for rows in sorted(by_length.values(), key=len)]


def paths(emissions: np.ndarray) -> np.ndarray:
    """Return the likeliest sequences of tags [texts, length] (Viterbi), by the file's table of transitions."""
    with np.load(fetched("dksplit")["dksplit.npz"]) as table:
        between, first, last = (table[name] for name in ("transitions", "start_transitions", "end_transitions"))
    score, history = first + emissions[:, 0], []
    for step in range(1, emissions.shape[1]):
        reached = score[:, :, None] + between
        history.append(reached.argmax(1))
        score = reached.max(1) + emissions[:, step]
    tags = [(score + last).argmax(1)]
    for before in reversed(history):
        tags.append(before[np.arange(len(before)), tags[-1]])
    return np.stack(tags[::-1], 1)


@cache
def _numbers() -> tuple[dict[str, np.ndarray], list[tuple[str, str, str]]]:
    """Return (the file's arrays by name, names of W, R and B of each LSTM)."""
    import onnx

    graph = onnx.load(fetched("dksplit")["dksplit-int8.onnx"]).graph
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    layers = [tuple(node.input[1:4]) for node in graph.node if node.op_type == "DynamicQuantizeLSTM"]
    return arrays, layers


def _floats(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return a quantized array as floats; an LSTM's array has a scale for each direction."""
    name = name.removesuffix("_quantized")
    whole = arrays[f"{name}_quantized"].astype(np.float64)
    scale, zero = (arrays[f"{name}_{part}"].reshape(-1, *(1,) * (whole.ndim - 1)) for part in ("scale", "zero_point"))
    return ((whole - zero) * scale).astype(np.float32)


def _parameters(compiled: rg.Program) -> dict[str, np.ndarray]:
    """Return the program's parameters. ONNX's gates are i, o, f, c; rnngraph's are i, c, f, o."""
    arrays, layers = _numbers()
    order = np.concatenate([np.arange(UNITS) + gate * UNITS for gate in (0, 3, 2, 1)])
    product = next(name for name in arrays if name.startswith("onnx::MatMul") and name.endswith("_quantized"))
    parameters = {}
    for layer, (w, r, bias) in enumerate(layers):
        kernels = np.concatenate([_floats(arrays, w), _floats(arrays, r)], 1)[:, :, order]
        biases = arrays[bias].reshape(2, 2, -1).sum(1)[:, order]
        for direction, side in enumerate(("fw", "bw")):
            scope = f"layer_{layer}/{side}/basic_lstm_cell"
            parameters |= {f"{scope}/kernel": kernels[direction], f"{scope}/bias": biases[direction]}
    parameters["dense/kernel"] = _floats(arrays, product)
    parameters["dense/bias"] = arrays["hidden2tag.bias"]
    (table,) = (name for name, array in compiled.parameters.items() if array.shape == (CHARACTERS, UNITS))
    return parameters | {table: _floats(arrays, "embedding.weight")}
