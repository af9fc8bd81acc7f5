"""Converts ATen's recurrent operators, which take weights as arguments, to modules of recurrent layers and cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

LAYERS: dict[str, type[nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}
CELLS: dict[str, type[nn.Module]] = {
    "lstm_cell": nn.LSTMCell,
    "gru_cell": nn.GRUCell,
    "rnn_tanh_cell": nn.RNNCell,
    "rnn_relu_cell": nn.RNNCell,
}
GATES = {"lstm": 4, "gru": 3}


def layers_of(nodes: Iterable[torch.fx.Node], weights: Mapping[str, nn.Parameter]) -> dict[str, nn.Module]:
    """Return {name of a node: module} for the recurrent operators of a graph.

    Nodes with the same weights and options share a module. Operators on packed sequences are left out, and those whose
    weights are computed.

    Args:
        nodes: Nodes of the graph.
        weights: Parameters by the names of their placeholders.
    """
    layers: dict[str, nn.Module] = {}
    by_weights: dict[tuple[object, ...], nn.Module] = {}
    for node in nodes:
        name, overload = getattr(node.target, "_opname", ""), getattr(node.target, "_overloadname", "")
        is_cell = name in CELLS
        if not is_cell and not (name in LAYERS and overload == "input"):
            continue
        arrays = [item for item in (node.args[2:] if is_cell else node.args[2]) if item is not None]
        if not all(getattr(item, "name", "") in weights for item in arrays):
            continue
        options = () if is_cell else node.args[3:]
        key = name, *(item.name for item in arrays), *options
        if key not in by_weights:
            own = [weights[item.name] for item in arrays]
            by_weights[key] = _cell(name, own) if is_cell else _layer(name, own, *options)
        layers[node.name] = by_weights[key]
    return layers


def run_layer(layer: nn.Module, name: str, args: Sequence[Any]) -> Any:
    """Return the results of a recurrent operator.

    A cell returns what its module returns. A layer returns (outputs, final h), and an LSTM (outputs, final h, final c).

    Args:
        layer: Module with the operator's weights.
        name: Name of the operator.
        args: Arguments of the operator: the input, the states, and others.
    """
    x, states = args[:2]
    is_lstm = name.startswith("lstm")
    result = layer(x, tuple(states) if is_lstm else states)
    if name in CELLS:
        return result
    return result[0], *(result[1] if is_lstm else (result[1],))


def first_weight(layer: nn.Module) -> nn.Parameter:
    """Return a layer's first parameter, the input kernel. The layer gets its path from this parameter's path."""
    weight: nn.Parameter = next(layer.parameters())
    return weight


def _layer(
    name: str,
    weights: list[nn.Parameter],
    has_biases: bool,
    count: int,
    dropout: float,
    training: bool,
    both: bool,
    batch_first: bool,
) -> nn.Module:
    """Return a module of recurrent layers with the weights of an operator.

    Args:
        name: Name of the operator, such as ``"lstm"``.
        weights: Kernels, biases and projections, by layer and direction.
        has_biases: True if the weights include biases.
        count: Number of layers.
        dropout: Dropout rate between layers.
        training: Ignored. The module is in evaluation mode.
        both: True for two directions.
        batch_first: True if the input is [batch, time, width].
    """
    options: dict[str, Any] = {"nonlinearity": name.removeprefix("rnn_")} if name.startswith("rnn") else {}
    if len(weights) // (count * (2 if both else 1)) in (3, 5):
        options["proj_size"] = weights[1].shape[1]
    hidden = weights[1].shape[0] // GATES.get(name, 1)
    layer = LAYERS[name](
        weights[0].shape[1],
        hidden,
        num_layers=count,
        bias=has_biases,
        batch_first=batch_first,
        dropout=dropout,
        bidirectional=both,
        device="meta",
        **options,
    )
    return _with_weights(layer, weights)


def _cell(name: str, weights: list[nn.Parameter]) -> nn.Module:
    """Return the module of a recurrent cell with the weights of an operator."""
    kind = name.removesuffix("_cell")
    options: dict[str, Any] = {"nonlinearity": kind.removeprefix("rnn_")} if kind.startswith("rnn") else {}
    hidden = weights[1].shape[0] // GATES.get(kind, 1)
    cell = CELLS[name](weights[0].shape[1], hidden, bias=len(weights) > 2, device="meta", **options)
    return _with_weights(cell, weights)


def _with_weights(layer: nn.Module, weights: list[nn.Parameter]) -> nn.Module:
    """Return a layer in evaluation mode with these weights, in the order of its parameters."""
    for name, weight in zip([*dict(layer.named_parameters())], weights, strict=True):
        layer._parameters[name] = weight
    return layer.eval()
