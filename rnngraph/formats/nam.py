"""Neural Amp Modeler's ``.nam`` files, architecture ``LSTM``.

A file is JSON: ``config`` has sizes, and ``weights`` all numbers one behind the other: of each layer the kernel
[4 hidden, inputs + hidden] with gates i, f, g, o, the bias [4 hidden] and the initial h and c [hidden]; then the head's
[outputs, hidden] and its bias.
"""

from __future__ import annotations

import os
from typing import Any

from ..support.api_guard import api
from ..support.errors import FileError
from .gates import ORDERS, Layer, gates_of, zeros_like
from .layers import declare_dense, declare_parameter, declare_stack, lstm_cell
from .net import Net
from .reading import Pieces, Record, bytes_of_file, json_of, not_readable
from .script import Script

WHAT = "a NAM file"
ORDER = ORDERS["torch"]["lstm"]


@api
def read_nam(source: str | os.PathLike[str] | bytes) -> Net:
    """The net of a ``.nam`` file: input ``x`` [batch, time, 1], output ``y`` [batch, time, 1].

    source: a path, or what the file holds. Raises ``NotReadableError`` for other architectures than ``LSTM``,
    ``FileError`` where the file is damaged.
    """
    name, data = bytes_of_file(source, WHAT)
    record = Record(name, json_of(name, data, WHAT))
    if "architecture" not in record and ("layers" in record or "model_data" in record):
        raise FileError(f"{name} is no NAM file but one of RTNeural, AIDA-X or GuitarML; read it with rg.read_rtneural")
    architecture = record.text("architecture")
    if architecture != "LSTM":
        raise not_readable(name, [f"architecture {architecture!r}; of NAM's architectures LSTM is read"])
    config = record.record("config")
    inputs, hidden = config.count("input_size", 1), config.count("hidden_size")
    count, outputs = config.count("num_layers", most=1000), config.count("out_channels", 1)
    pieces = Pieces(record, "weights")
    script = Script("A net that rnngraph read from a file of Neural Amp Modeler.")
    x = script.input("x", (None, None, inputs))
    cells, layers, initial = [], list[Layer](), list[Any]()
    for _ in range(count):
        kernel = pieces.take(4 * hidden, inputs + hidden)
        bias = gates_of(pieces.take(4 * hidden), ORDER, 0)
        h, c = pieces.take(hidden), pieces.take(hidden)
        both = {gate: part.T for gate, part in gates_of(kernel, ORDER, 0).items()}
        layers.append(Layer(
            {gate: part[:inputs] for gate, part in both.items()},
            {gate: part[inputs:] for gate, part in both.items()},
            bias, zeros_like(bias),
        ))  # fmt: skip
        cells.append(lstm_cell(hidden).declare(script))
        initial.append((declare_parameter(script, "initial_c", c, "c"), declare_parameter(script, "initial_h", h, "h")))
        inputs = hidden
    head, bias_of_head = pieces.take(outputs, hidden), pieces.take(outputs)
    pieces.end()
    sequence = declare_stack(script, x, cells, layers, initial)
    script.outputs["y"] = declare_dense(script, sequence, head.T, bias_of_head)
    return Net(script)
