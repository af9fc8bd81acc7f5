"""Finds the arrays of a layer in a file.

A ``.keras`` file stores arrays by the layers' positions: in ``layers/lstm_1/cell/vars/0``, ``lstm_1`` is the second
LSTM. A legacy ``.h5`` file has a flat list for each layer of the outermost network: trainable arrays first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ....support.errors import FileError
from .archive import Opened
from .configuration import Layer, all_layers

Arrays = dict[str, np.ndarray]
OLD_LAYERS = "_layer_checkpoint_dependencies"
"""Name of the group ``layers`` in early ``.keras`` files."""


@dataclass(frozen=True)
class Variable:
    """Array that a layer has in a file.

    Attributes:
        name: Keras' name of the array.
        is_trained: False for an array that training does not optimize, such as a moving average.
        within: Path of the layer's part that owns the array in ``.keras`` files, such as ``cell``; ``""`` for none.
    """

    name: str
    is_trained: bool = True
    within: str = ""


def _flag(layer: Layer, key: str, default: bool = True) -> bool:
    return layer.config.flag(key, default)


def _with_bias(*names: str) -> Callable[[Layer], list[Variable]]:
    """Return a function from a layer to its variables: these names, and ``bias`` if the layer has one."""
    return lambda layer: [Variable(name) for name in (*names, *(["bias"] if _flag(layer, "use_bias") else []))]


def _named(*names: str) -> Callable[[Layer], list[Variable]]:
    """Return a function from a layer to its variables: these names, whatever the layer's options are."""
    return lambda _: [Variable(name) for name in names]


def _einsum_dense(layer: Layer) -> list[Variable]:
    return [Variable(name) for name in ("kernel", *(["bias"] if layer.config.get("bias_axes", None) else []))]


def _in_cell(layer: Layer) -> list[Variable]:
    """Return the variables of a recurrent layer, which the file has under the path of its ``cell``."""
    return [Variable(variable.name, within="cell") for variable in _CELL(layer)]


def _normalization(layer: Layer) -> list[Variable]:
    """Return the variables ``gamma`` and ``beta`` of a normalization layer, each only if its options ask for it."""
    wanted = {"gamma": _flag(layer, "scale"), "beta": _flag(layer, "center")}
    return [Variable(name) for name, is_there in wanted.items() if is_there]


def _batch_normalization(layer: Layer) -> list[Variable]:
    return [*_normalization(layer), Variable("moving_mean", False), Variable("moving_variance", False)]


def _moments(layer: Layer) -> list[Variable]:
    """Return the variables of a ``Normalization`` layer; none if its configuration contains mean and variance."""
    if layer.config.get("mean", None) is not None:
        return []
    return [Variable(name, False) for name in ("mean", "variance", "count")]


def _scores(layer: Layer) -> list[Variable]:
    """Return the variables of ``Attention`` or ``AdditiveAttention`` that scale the scores, as its options ask."""
    wanted = {
        "scale": _flag(layer, "use_scale", layer.kind == "AdditiveAttention"),
        "concat_score_weight": layer.config.get("score_mode", "dot") == "concat",
    }
    return [Variable(name) for name, is_there in wanted.items() if is_there]


def _heads(layer: Layer) -> list[Variable]:
    """Return the variables of multi-head attention: kernel and bias of each projection."""
    kinds = ("kernel", "bias") if _flag(layer, "use_bias") else ("kernel",)
    parts = ("query", "key", "value", "output")
    return [Variable(f"{part}/{kind}", within=f"{part}_dense") for part in parts for kind in kinds]


_CELL = _with_bias("kernel", "recurrent_kernel")
_OWN: Mapping[str, Callable[[Layer], list[Variable]]] = {
    "Dense": _with_bias("kernel"),
    "Conv1D": _with_bias("kernel"),
    "DepthwiseConv1D": _with_bias("kernel"),
    "SeparableConv1D": _with_bias("depthwise_kernel", "pointwise_kernel"),
    "Embedding": _named("embeddings"),
    "PReLU": _named("alpha"),
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _normalization,
    "Conv2D": _with_bias("kernel"),
    "DepthwiseConv2D": _with_bias("kernel"),
    "SeparableConv2D": _with_bias("depthwise_kernel", "pointwise_kernel"),
    "EinsumDense": _einsum_dense,
    "Conv1DTranspose": _with_bias("kernel"),
    "Conv2DTranspose": _with_bias("kernel"),
    "GroupNormalization": _normalization,
    "RMSNormalization": _named("scale"),
    "Normalization": _moments,
    "Attention": _scores,
    "AdditiveAttention": _scores,
    "MultiHeadAttention": _heads,
    "LSTM": _in_cell,
    "GRU": _in_cell,
    "SimpleRNN": _in_cell,
    "LSTMCell": _CELL,
    "GRUCell": _CELL,
    "SimpleRNNCell": _CELL,
    "CuDNNLSTM": _named("kernel", "recurrent_kernel", "bias"),
    "CuDNNGRU": _named("kernel", "recurrent_kernel", "bias"),
}
"""{class: function from a layer to its own variables, in Keras' order}."""
_PARTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "TimeDistributed": (("layer", "layer"),),
    "Bidirectional": (("layer", "forward_layer"), ("backward_layer", "backward_layer")),
    "RNN": (("cell", "cell"), ("cells", "cell/cells")),
    "StackedRNNCells": (("cells", "cells"),),
}
"""(Option that contains nested layers, location of their arrays in ``.keras`` files), by class of the outer layer."""


def own_variables(layer: Layer) -> list[Variable]:
    """Return the variables that a layer has itself, in Keras' order, without those of nested layers."""
    return _OWN[layer.kind](layer) if layer.kind in _OWN and not layer.is_operation else []


def parts_of(layer: Layer) -> Iterator[tuple[str, Layer]]:
    """Yield (location of arrays in ``.keras`` files, layer) for the nested layers, in Keras' order."""
    if layer.network is not None:
        yield from _numbered_layers("layers", [part for part in layer.network.layers if not part.is_operation])
    for option, place in _PARTS.get(layer.kind, ()):
        parts = layer.inner.get(option, [])
        if option == "cells":
            yield from _numbered_layers(place, parts)
        else:
            yield from ((place, part) for part in parts)


def _numbered_layers(place: str, layers: list[Layer]) -> Iterator[tuple[str, Layer]]:
    """Yield (location of a layer's arrays, layer). Each class is numbered: ``place/dense``, ``place/dense_1`` …"""
    counts = Counter[str]()
    for layer in layers:
        base = snake_case(layer.kind)
        yield f"{place}/{base}_{counts[base]}" if counts[base] else f"{place}/{base}", layer
        counts[base] += 1


def snake_case(kind: str) -> str:
    """Convert ``MaxPooling1D`` to ``max_pooling1d``, as Keras does."""
    plain = re.sub(r"\W+", "", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", plain)).lower()


def arrays_of(file: Opened, net: Layer) -> dict[Layer, Arrays]:
    """Return {layer: its arrays by name} for a net's layers. Raises ``FileError`` if arrays are missing."""
    arrays: dict[Layer, Arrays] = {}
    if file.by_path:
        missing: list[Layer] = []
        _by_path(file, net, "", arrays, missing)
        _add_shared_arrays(file, arrays, missing)
    elif net.network is not None:
        for layer in net.network.layers:
            _flat(file, layer, arrays)
    return arrays


# Files with arrays by path ------------------------------------------------------------------------


def _by_path(file: Opened, layer: Layer, path: str, arrays_by_layer: dict[Layer, Arrays], missing: list[Layer]) -> None:
    """Add the arrays of a layer and its nested layers to ``arrays_by_layer``.

    Layers whose arrays the file does not have at their path are added to ``missing``.
    """
    if layer.is_custom:
        arrays_by_layer[layer] = dict(_below(file, path))
        return
    arrays, numbers = Arrays(), Counter[str]()
    for variable in own_variables(layer):
        number, numbers[variable.within] = numbers[variable.within], numbers[variable.within] + 1
        for within in (variable.within, f"_{variable.within}"):  # Keras 2 writes ``_query_dense``
            at = f"{_joined(_joined(path, within), 'vars')}/{number}"
            if file.weights.has(at):
                arrays[variable.name] = file.weights.array(at)
                break
    if len(arrays) == len(own_variables(layer)):
        arrays_by_layer[layer] = arrays
    else:
        missing.append(layer)
    for place, part in parts_of(layer):
        place = place if file.weights.has(_joined(path, "layers")) else place.replace("layers/", f"{OLD_LAYERS}/")
        _by_path(file, part, _joined(path, place), arrays_by_layer, missing)


def _below(file: Opened, path: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (location relative to ``path``, array) for a layer of a user's class and for its nested layers.

    A layer's own arrays come before those of its nested layers.
    """
    numbers = sorted((name for name in file.weights.names(_joined(path, "vars"))), key=lambda name: (len(name), name))
    for name in numbers:
        yield name, file.weights.array(f"{_joined(path, 'vars')}/{name}")
    for part in file.weights.names(path):
        if part != "vars":
            yield from ((f"{part}/{name}", array) for name, array in _below(file, _joined(path, part)))


def _joined(path: str, part: str) -> str:
    return f"{path}/{part}" if path and part else path or part


def _add_shared_arrays(file: Opened, arrays_by_layer: dict[Layer, Arrays], missing: list[Layer]) -> None:
    """Give layers without arrays those of the equal layer in another network.

    Keras writes the arrays of a layer that several networks share for the first network only. Raises ``FileError``
    unless exactly one layer with arrays has the same class and name, and it has the same options.
    """
    for layer in missing:
        candidates = [other for other in arrays_by_layer if other.kind == layer.kind and other.name == layer.name]
        if len(candidates) != 1 or candidates[0].config.entries != layer.config.entries:
            raise FileError(f"{file.name} is damaged: the arrays of {layer} are missing; use an undamaged copy")
        arrays_by_layer[layer] = arrays_by_layer[candidates[0]]


# Files with arrays by name ------------------------------------------------------------------------


def _flat(file: Opened, layer: Layer, arrays_by_layer: dict[Layer, Arrays]) -> None:
    """Add the arrays of a layer of the outermost network and of its nested layers to ``arrays_by_layer``."""
    custom = [part for part in all_layers(layer) if part.is_custom]
    if custom:  # A user's class may have any arrays, so all arrays that the file lists for the layer belong to it.
        group = _joined(file.root, layer.name)
        names = file.weights.texts(group, "weight_names")
        arrays_by_layer[custom[0]] = {name: file.weights.array(f"{group}/{name}") for name in names}
        return
    wanted = sorted(_in_order(layer, True), key=lambda item: not item[2])
    group = _joined(file.root, layer.name)
    names = file.weights.texts(group, "weight_names") if wanted else []
    if len(names) != len(wanted):
        raise FileError(
            f"{file.name} is damaged: it has {len(names)} arrays of {layer}, which needs {len(wanted)}; "
            "use an undamaged copy"
        )
    for (part, variable, _), name in zip(wanted, names, strict=True):
        arrays_by_layer.setdefault(part, {})[variable] = file.weights.array(f"{group}/{name}")


def _in_order(layer: Layer, is_trained: bool) -> Iterator[tuple[Layer, str, bool]]:
    """Yield (layer, variable's name, True if trainable) for a layer and its nested layers, in Keras' order.

    Args:
        layer: The layer.
        is_trained: True if all enclosing layers are trainable.
    """
    is_trained = is_trained and layer.config.get("trainable", True) is not False
    for variable in own_variables(layer):
        yield layer, variable.name, is_trained and variable.is_trained
    for _, part in parts_of(layer):
        yield from _in_order(part, is_trained)
