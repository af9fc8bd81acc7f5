"""Reads ``.nam`` files of Neural Amp Modeler, architecture ``LSTM``.

A file is JSON: ``config`` has sizes, and ``weights`` is a flat list of all weights. First come the layers: each has the
kernel [4 hidden, inputs + hidden], the bias [4 hidden], and the initial h and c [hidden]. Gates are in the order i, f,
g, o. The head's kernel [outputs, hidden] and bias [outputs] follow.
"""

from __future__ import annotations

import os

from ..support.api_guard import api
from ..support.errors import FileError
from .gates import ORDERS, Layer, gates_of, zeros_like
from .layers import State, declare_dense, declare_parameter, declare_stack, lstm_cell
from .net import Net
from .reading import Pieces, Record, bytes_of_file, json_of, not_readable
from .script import Script

WHAT = "a NAM file"
ORDER = ORDERS["torch"]["lstm"]


@api
def read_nam(source: str | os.PathLike[str] | bytes) -> Net:
    """Read a ``.nam`` file of Neural Amp Modeler.

    The net has an input ``x`` [batch, time, inputs] and an output ``y`` [batch, time, outputs]. Both widths are 1
    unless the file states them.

    Args:
        source: A path, or the file's bytes.

    Raises:
        NotReadableError: The architecture is not ``LSTM``.
        FileError: The file is missing, damaged or of another format.
    """
    name, data = bytes_of_file(source, WHAT)
    record = Record(name, json_of(name, data, WHAT))
    if "architecture" not in record and ("layers" in record or "model_data" in record):
        raise FileError(f"{name} is a file of RTNeural, AIDA-X or GuitarML; read it with rg.read_rtneural")
    architecture = record.text("architecture")
    if architecture != "LSTM":
        raise not_readable(name, [f"architecture {architecture!r} is not supported; use LSTM"])
    config = record.record("config")
    inputs, hidden = config.count("input_size", 1), config.count("hidden_size")
    count, outputs = config.count("num_layers", maximum=1000), config.count("out_channels", 1)
    pieces = Pieces(record, "weights")
    script = Script("A net that rnngraph read from a file of Neural Amp Modeler.")
    x = script.input("x", (None, None, inputs))
    cells, layers, initial = [], list[Layer](), list[State]()
    for _ in range(count):
        kernel = pieces.take(4 * hidden, inputs + hidden)
        bias = gates_of(pieces.take(4 * hidden), ORDER, 0)
        h, c = pieces.take(hidden), pieces.take(hidden)
        both = {gate: part.T for gate, part in gates_of(kernel, ORDER, 0).items()}
        layers.append(
            Layer(
                {gate: part[:inputs] for gate, part in both.items()},
                {gate: part[inputs:] for gate, part in both.items()},
                bias,
                zeros_like(bias),
            )
        )
        cells.append(lstm_cell(hidden).declare(script))
        initial.append((declare_parameter(script, "initial_c", c, "c"), declare_parameter(script, "initial_h", h, "h")))
        inputs = hidden
    head, bias_of_head = pieces.take(outputs, hidden), pieces.take(outputs)
    pieces.end()
    sequence = declare_stack(script, x, cells, layers, initial)
    script.outputs["y"] = declare_dense(script, sequence, head.T, bias_of_head)
    return Net(script)
