"""Initializes torch modules from the distributions of rnngraph's cells, so that trainings can be compared."""

from __future__ import annotations

import math
from typing import Any


def initialize_recurrent(torch: Any, layer: Any) -> None:
    """Initialise a torch layer like TensorFlow's cell.

    Kernels are Glorot-uniform over one fused matrix [inputs + units, gates × units]. torch adds two biases. The second
    one stays at zero, except inside the GRU's reset, where rnngraph's cell has a second bias too.
    """
    kernel, recurrent = layer.weight_ih_l0.data, layer.weight_hh_l0.data
    inputs, units = kernel.shape[1], recurrent.shape[1]
    for bias in (layer.bias_ih_l0, layer.bias_hh_l0):
        torch.nn.init.zeros_(bias)
    trained = torch.zeros(len(layer.bias_hh_l0))
    match layer.mode:
        case "LSTM":  # rows i, f, j, o; rnngraph adds the forget bias of 1 at run time
            layer.bias_ih_l0.data[units : 2 * units] = 1.0
        case "GRU":  # rows r, u, candidate; biases of gates start at 1
            layer.bias_ih_l0.data[: 2 * units] = 1.0
            trained[2 * units :] = 1.0
    layer.bias_hh_l0.register_hook(lambda gradient: gradient * trained)

    gates = {"LSTM": 4, "GRU": 2}.get(layer.mode, 1) * units
    for weights in (kernel, recurrent):
        uniform(weights[:gates], inputs + units + gates)
    if layer.mode == "GRU":  # the candidate has separate kernels for input and state
        uniform(kernel[gates:], inputs + units)
        uniform(recurrent[gates:], 2 * units)


def initialize_dense(torch: Any, layer: Any) -> None:
    """Initialise a torch linear layer like `rg.dense`."""
    uniform(layer.weight.data, sum(layer.weight.shape))
    torch.nn.init.zeros_(layer.bias)


def uniform(weights: Any, fans: int) -> None:
    """Draw Glorot-uniform weights (Glorot & Bengio 2010) in place. ``fans`` is the number of inputs plus outputs."""
    limit = math.sqrt(6.0 / fans)
    weights.uniform_(-limit, limit)
