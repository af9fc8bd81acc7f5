"""rnngraph's calls for every workload, by the same functions as in a peer's module (see ``peers``)."""

from __future__ import annotations

from typing import Any

import machine
import numpy as np
import weights
from workloads import ENTRIES, VARIANTS, Call, OwnPeephole, Row, spread_lengths

import rnngraph as rg


def inference(row: Row, threads: int = 1) -> list[Call]:
    """Return two variants of an inference call: with new result arrays, and with the caller's."""
    compiled, feeds = loaded(row, with_loss=False, threads=threads)
    out = compiled.inference(feeds)
    return [lambda: compiled.inference(feeds), lambda: compiled.inference(feeds, out=out)]


def training(row: Row, threads: int = 1) -> list[Call]:
    """Return calls that compute the loss and the gradient of every parameter."""
    compiled, feeds = loaded(row, with_loss=True, threads=threads)
    return [lambda: compiled.training.gradients(**feeds)]


def one_step(row: Row) -> list[Call]:
    """Return the call of one step of a stream, which keeps its state."""
    stream = stream_of(row)
    x = np.ascontiguousarray(row.batch_major()[:, 0])
    return [lambda: stream.step(x=x)]


def stream_of(row: Row) -> Any:
    compiled, _ = loaded(row, with_loss=False)
    return compiled.inference.stream(row.batch)


def outputs(row: Row, result: Any) -> np.ndarray:
    """Return the outputs of inference, [time, batch, directions × hidden], or of one step, without time."""
    if row.bidirectional:
        return np.concatenate([result["fw"], result["bw"]], -1).transpose(1, 0, 2)
    return result[None] if result.ndim == 2 else result.transpose(1, 0, 2)


def learnt(row: Row, result: Any) -> tuple[float, list[np.ndarray]]:
    """Return the loss of a training call, and the gradients of all parameters except biases."""
    loss, gradients = result
    return float(loss), [g for name, g in gradients.items() if not _is_bias(name)]


def _is_bias(name: str) -> bool:
    return name.endswith(("bias", "/B")) or name.rsplit("/", 1)[-1].startswith("b_")


def cell(row: Row) -> Any:
    match row.cell:
        case "RNN":
            return rg.BasicRNNCell(row.units)
        case "LSTM" if row.projection:
            return rg.LSTMCell(row.units, num_proj=row.projection)
        case "LSTM":
            return rg.BasicLSTMCell(row.units)
        case "peephole":
            return rg.LSTMCell(row.units, use_peepholes=True)
        case "own peephole":
            return OwnPeephole(row.units)
    if row.cell in VARIANTS:
        options = {"num_in_proj": row.units} if row.cell == "IntersectionRNN" else {}
        return getattr(rg, f"{row.cell}Cell")(row.units, **options)
    return rg.GRUCell(row.units, reset_after=row.cell == "GRU")


def program(row: Row, with_loss: bool, with_lengths: bool = False, **options: Any) -> rg.Program:
    """Return the compiled program of a workload.

    Args:
        row: The workload.
        with_loss: True for a loss, the mean of all squared outputs.
        with_lengths: True for rows with lengths as an input.
        options: Options of ``rg.compile``.
    """
    lengths = rg.placeholder("n", (None,), "int64") if with_lengths else None
    declared = _declared(row, lengths)
    halves = list(declared.values()) if isinstance(declared, dict) else [declared]
    losses = [rg.reduce_mean(rg.square(half)) for half in halves]
    loss = sum(losses[1:], losses[0]) / len(losses) if with_loss else None
    return rg.compile(declared, loss=loss, **{"target": machine.TARGET, **options})


def _declared(row: Row, lengths: Any) -> Any:
    """Declare the net, and return its outputs; those of a bidirectional net's last layer as a pair."""
    if row.cell == "decode":
        first = rg.placeholder("first", (None, row.units))
        outputs, _, _ = rg.dynamic_decode(
            rg.GRUCell(row.units), first, lambda y, _: y, row.time, stop=lambda y: y[:, 0] > 2.0
        )
        return outputs
    inputs = rg.placeholder("x", (None, None, row.inputs))
    if row.cell == "attention":
        memory = rg.placeholder("memory", (None, ENTRIES, row.units))
        attending = rg.AttentionWrapper(rg.GRUCell(row.units), rg.LuongAttention(row.units, memory))
        return rg.dynamic_rnn(attending, inputs)[0]
    if not row.bidirectional:
        stack = rg.MultiRNNCell([cell(row) for _ in range(row.layers)])
        return rg.dynamic_rnn(stack, inputs, sequence_length=lengths)[0]
    for layer in range(row.layers):
        halves, _ = rg.bidirectional_dynamic_rnn(cell(row), cell(row), inputs, lengths, scope=f"layer_{layer}")
        inputs = rg.concat(list(halves))
    return dict(zip(("fw", "bw"), halves, strict=True))


def loaded(row: Row, with_loss: bool, **options: Any) -> tuple[rg.Program, dict[str, np.ndarray]]:
    """Return (program with the workload's weights, its feeds by name)."""
    lengths = row.lengths()
    compiled = program(row, with_loss, lengths is not None, **options)
    compiled.parameters.load(weights.as_parameters(row, compiled.parameters))
    if row.cell == "decode":
        return compiled, {"first": row.first()}
    feeds = {"x": row.batch_major()}
    if row.cell == "attention":
        feeds["memory"] = row.memory()
    if lengths is not None:
        feeds["n"] = lengths
    return compiled, feeds


def ended(row: Row, kind: str) -> dict[str, Call]:
    """Return calls by name: without lengths, and with lengths of several means, evenly spread or all equal."""
    cases: dict[str, np.ndarray | None] = {"rnngraph": None, "all 100 %": np.full(row.batch, row.time)}
    for share in (50, 25):
        cases[f"mean {share} %"] = spread_lengths(row, share)
        cases[f"all {share} %"] = np.full(row.batch, row.time * share // 100)
    return {name: _with_lengths(row, kind, lengths) for name, lengths in cases.items()}


def _with_lengths(row: Row, kind: str, lengths: np.ndarray | None) -> Call:
    compiled = program(row, kind == "training", with_lengths=lengths is not None)
    feeds = {"x": row.batch_major()} | ({} if lengths is None else {"n": lengths})
    compiled.parameters.load(weights.as_parameters(row, compiled.parameters))
    if kind == "inference":
        return lambda: compiled.inference(feeds)
    return lambda: compiled.training.gradients(**feeds)


def narrow(row: Row, **options: str) -> tuple[Call, np.ndarray]:
    """Return (inference call with options of ``rg.compile`` such as ``weights="int8"``, its result)."""
    compiled, feeds = loaded(row, with_loss=False, **options)
    return lambda: compiled.inference(feeds), compiled.inference(feeds)


def training_after_change(row: Row) -> Call:
    """Return a training call that changes the parameters first, so that packed copies of them are rebuilt."""
    compiled, feeds = loaded(row, with_loss=True)
    parameters = compiled.parameters

    def call() -> object:
        parameters.replace(dict(parameters))
        return compiled.training.gradients(**feeds)

    return call


def train_step(row: Row) -> Call:
    """Return the call of a trainer's step: gradients, clipped by their norm, and Adam's update."""
    compiled, feeds = loaded(row, with_loss=True)
    trainer = rg.Trainer(compiled, rg.Adam(1e-3), clip_norm=1.0)
    return lambda: trainer.step(**feeds)
