"""Parses the networks, layers, calls and nested layers of a Keras file.

Keras 3 writes a call as ``{"args": […], "kwargs": {…}}`` with tensors as objects; Keras 2 writes
``[[layer, call, tensor, kwargs], …]``. A nest is a value in lists, tuples and dicts of any depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...reading import Record

Leaf = TypeVar("Leaf")

NETWORKS = ("Sequential", "Functional", "Model")
OF_KERAS = re.compile(r"(keras|tf_keras|tensorflow\.(python\.)?keras|builtins)(\.|$)")
MAX_LAYERS, MAX_DEPTH = 20_000, 40


@dataclass(frozen=True)
class Reference:
    """Reference to a tensor: a layer's name, the index of its call, and the index of the call's output."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True)
class Call:
    """Arguments of a layer's call: nests of ``Reference``, numbers and strings."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


@dataclass(eq=False)
class Layer:
    """Layer, or ``keras.ops`` function between layers.

    Attributes:
        kind: Name of the class.
        name: Name of the layer.
        path: Names of the enclosing networks except the outermost one, then the layer's name, separated by ``/``. A
            layer inside a wrapper has the wrapper's path.
        config: Options of the layer.
        is_operation: True for a function of ``keras.ops``.
        is_foreign: True if the class is not one of Keras.
        is_custom: True if ``custom_objects`` has the class.
        calls: Calls of the layer in its functional network; empty in a Sequential.
        inner: Layers and cells inside a wrapper or recurrent layer, by the option that contains them.
        network: Layers and calls of a nested network; None for other layers.
    """

    kind: str
    name: str
    path: str
    config: Record
    is_operation: bool = False
    is_foreign: bool = False
    is_custom: bool = False
    calls: list[Call] = field(default_factory=list)
    inner: dict[str, list[Layer]] = field(default_factory=dict)
    network: Network | None = None

    def __str__(self) -> str:
        around = "" if self.path == self.name else self.path.removesuffix(f"/{self.name}")
        within = f" in {around!r}" if around else ""
        return f"{'operation' if self.is_operation else 'layer'} {self.name!r} of class {self.kind!r}{within}"

    @property
    def key(self) -> str:
        """Key of the layer's handler: the class name, or ``ops.`` and the name of a ``keras.ops`` function."""
        return f"ops.{self.kind}" if self.is_operation else self.kind

    @property
    def parts(self) -> list[Layer]:
        """Layers directly inside this one: those of its network, then those in its options."""
        within = self.network.layers if self.network else []
        return [*within, *(layer for layers in self.inner.values() for layer in layers)]


@dataclass(eq=False)
class Network:
    """Sequential or functional network: its layers with their calls.

    Attributes:
        layers: The layers. In a Sequential, each layer reads the output of the layer before it.
        inputs: Nest of ``Reference``; None in a Sequential.
        outputs: Nest of ``Reference``; None in a Sequential.
        input_shape: Shape of the input of a Sequential without an input layer; None if the file does not state it.
    """

    layers: list[Layer]
    inputs: Any = None
    outputs: Any = None
    input_shape: Any = None

    @property
    def is_sequential(self) -> bool:
        return self.outputs is None


def network_of(description: Record) -> Layer:
    """Parse a file's description of a net. Return the net as a layer whose ``network`` contains the others."""
    whole = _Reader().layer(description, "", 0)
    if whole.network is None and whole.kind in NETWORKS:
        raise description.error("its net has no layers")
    return whole


def all_layers(layer: Layer) -> Iterator[Layer]:
    """Yield a layer and all nested layers, outer ones first."""
    yield layer
    for part in layer.parts:
        yield from all_layers(part)


class _Reader:
    """Parser of layers with a maximum count and depth, because a small file can describe many layers."""

    def __init__(self) -> None:
        self._count = 0

    def layer(self, described: Record, path: str, depth: int) -> Layer:
        """Parse a layer.

        Args:
            described: The file's description of the layer.
            path: ``Layer.path`` of the enclosing network; ``""`` for none.
            depth: Number of enclosing layers.
        """
        self._count += 1
        if self._count > MAX_LAYERS or depth > MAX_DEPTH:
            raise described.error(
                f"it describes more than {MAX_LAYERS} layers, or nests more than {MAX_DEPTH} networks"
            )
        kind, config = described.text("class_name"), _config_of(described)
        name = config.get("name", None) or described.get("name", None) or kind
        if not isinstance(name, str):
            raise described.error(f"{described.at}.config.name is not a string")
        module = described.get("module", None)
        layer = Layer(
            kind,
            name,
            f"{path}/{name}" if path else name,
            config,
            is_operation=_is_operation(config, module),
            is_foreign=isinstance(module, str) and not OF_KERAS.match(module),
        )
        inside = layer.path if depth else ""
        if kind in NETWORKS and not layer.is_foreign and "layers" in config:
            layer.network = self._network(config, described, kind, inside, depth)
        for key in ("layer", "backward_layer", "cell"):
            if isinstance(config.get(key, None), Mapping):
                layer.inner[key] = [self._within(layer, config.record(key), depth)]
        for key in ("cell", "cells"):
            if isinstance(config.get(key, None), list):
                layer.inner["cells"] = [self._within(layer, item, depth) for item in config.records(key)]
        if kind == "Bidirectional" and "layer" in layer.inner and "backward_layer" not in layer.inner:
            layer.inner["backward_layer"] = [self._within(layer, _backwards(config.record("layer")), depth)]
        return layer

    def _within(self, outer: Layer, described: Record, depth: int) -> Layer:
        """Parse a layer inside a wrapper, and give it the wrapper's path."""
        inner = self.layer(described, "", depth + 1)
        inner.path = outer.path
        return inner

    def _network(self, config: Record, described: Record, kind: str, path: str, depth: int) -> Network:
        """Parse the layers and calls of a Sequential or Functional network.

        Args:
            config: Options of the network.
            described: The file's description of the network.
            kind: Class of the network.
            path: ``Layer.path`` of the network; ``""`` for the outermost one.
            depth: Number of enclosing layers.
        """
        records = config.records("layers")
        layers = [self.layer(record, path, depth + 1) for record in records]
        if kind == "Sequential":
            shape = config.get("build_input_shape", None)
            if shape is None and isinstance(described.get("build_config", None), Mapping):
                shape = described.record("build_config").get("input_shape", None)
            return Network(layers, input_shape=shape)
        by_name: dict[str, Layer] = {}
        for layer, record in zip(layers, records, strict=True):
            layer.name = record.text("name", layer.name)
            by_name[layer.name] = layer
            nodes = record.get("inbound_nodes", [])
            if not isinstance(nodes, list):
                raise record.error(f"{record.at}.inbound_nodes is not a list")
            layer.calls = [_call(record, node) for node in nodes]
        is_old = any(isinstance(call, _OldCall) for layer in layers for call in layer.calls)
        numbering = _Numbering(config, by_name, is_old)
        for layer in layers:
            layer.calls = [numbering.call(call) for call in layer.calls]
        inputs, outputs = (
            mapped(_ends(config.get(key), by_name), numbering.end) for key in ("input_layers", "output_layers")
        )
        return Network(layers, inputs, outputs)


def _config_of(described: Record) -> Record:
    """Return the options of a described layer. Early versions wrote those of a Sequential as a list of layers."""
    config = described.get("config")
    if isinstance(config, list) and described.text("class_name") == "Sequential":
        config = {"name": "sequential", "layers": config}
    return Record(described.name, config, f"{described.at}.config" if described.at else "config")


def _backwards(described: Record) -> Record:
    """Return the description of a recurrent layer with ``go_backwards`` inverted."""
    config = described.record("config")
    reversed_config = {**config.entries, "go_backwards": not config.flag("go_backwards", False)}
    return Record(described.name, {**described.entries, "config": reversed_config}, described.at)


def _is_operation(config: Record, module: Any) -> bool:
    """True if a description is of a ``keras.ops`` function, whose name may equal that of a layer class.

    If the file does not name the module, the options decide.
    """
    if isinstance(module, str):
        return ".ops." in f"{module}." or ".activations." in f"{module}."
    is_layer = any(key in config for key in ("trainable", "layers", "batch_shape", "batch_input_shape", "rate"))
    return not is_layer and len(config.entries) > 0


class _Numbering:
    """Converts the file's indices of calls to indices from 0.

    Call 0 of a nested network is the one on its own inputs, so its calls in the outer network have indices from 1.
    Keras 3 uses these indices for inputs and outputs of the outer network only; in arguments of calls it counts from 0.
    """

    def __init__(self, config: Record, by_name: Mapping[str, Layer], is_old: bool) -> None:
        """Create a converter.

        Args:
            config: The network's configuration, for errors.
            by_name: Layers of the network, by name.
            is_old: True if Keras 2 wrote the calls.
        """
        self._config, self._by_name, self._is_old = config, by_name, is_old

    def call(self, call: Call) -> Call:
        arguments = tuple(mapped(item, self._of_call) for item in call.arguments)
        return Call(arguments, {key: mapped(item, self._of_call) for key, item in call.keywords.items()})

    def end(self, reference: Reference) -> Reference:
        """Convert the reference to an input or output of the network."""
        network = self._layer(reference).network
        if network is None or not self._counts_from_one(network):
            return reference
        return Reference(reference.layer, max(reference.call - 1, 0), reference.tensor)

    def _of_call(self, reference: Reference) -> Reference:
        """Convert a reference in a call's arguments. Raises ``FileError`` if its layer does not exist."""
        self._layer(reference)
        return self.end(reference) if self._is_old else reference

    def _layer(self, reference: Reference) -> Layer:
        layer = self._by_name.get(reference.layer)
        if layer is None:
            raise self._config.error(f"a call reads layer {reference.layer!r}, which does not exist")
        return layer

    def _counts_from_one(self, network: Network) -> bool:
        """True if the calls of a nested network have indices from 1, because call 0 is the one on its own inputs."""
        if not network.is_sequential:
            return True
        return self._is_old and bool(network.layers) and network.layers[0].kind == "InputLayer"


# Calls --------------------------------------------------------------------------------------------


class _OldCall(Call):
    """Call in a file of Keras 2."""


def _call(record: Record, node: Any) -> Call:
    """Parse a call, in the form of Keras 3 (a mapping) or Keras 2 (a list). Raises ``FileError`` if it is damaged."""
    if isinstance(node, Mapping):
        arguments, keywords = revived(record, node.get("args", [])), revived(record, node.get("kwargs", {}))
        if not isinstance(arguments, list) or not isinstance(keywords, dict):
            raise record.error(f"a call of {record.at} is damaged")
        return Call(tuple(arguments), keywords)
    if not isinstance(node, list) or not node:
        raise record.error(f"a call of {record.at} is damaged")
    items = [node] if isinstance(node[0], str) else node
    tensors, keywords = [], {}
    for item in items:
        if not isinstance(item, list) or not 3 <= len(item) <= 4 or not isinstance(item[0], str):
            raise record.error(f"a call of {record.at} is damaged")
        if len(item) == 4:
            if not isinstance(item[3], Mapping):
                raise record.error(f"a call of {record.at} is damaged")
            keywords |= {str(key): _legacy_keyword(value) for key, value in item[3].items()}
        tensors.append(item[2] if item[0] == "_CONSTANT_VALUE" else _reference(record, item))
    flat = isinstance(node[0], str) or len(tensors) == 1
    return _OldCall((tensors[0] if flat else tensors,), keywords)


def revived(record: Record, value: Any) -> Any:
    """Convert an argument in Keras 3's JSON to Python objects.

    Tensors become ``Reference``, slices and tuples are restored, and arrays become nested lists.
    """
    if isinstance(value, list):
        return [revived(record, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if not isinstance(kind, str) or not isinstance(config, Mapping):
        return {str(key): revived(record, item) for key, item in value.items()}
    match kind:
        case "__keras_tensor__":
            return _reference(record, config.get("keras_history"))
        case "__slice__":
            return slice(*(_index(record, config.get(key)) for key in ("start", "stop", "step")))
        case "__ellipsis__":
            return ...
        case "__tuple__":
            return tuple(revived(record, item) for item in _items(record, config.get("value")))
        case "__tensor__" | "__numpy__":
            return config.get("value")
    return dict(value)


def _items(record: Record, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise record.error(f"a call of {record.at} is damaged")
    return value


def _index(record: Record, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise record.error(f"a slice of {record.at} is damaged")
    return value


def _reference(record: Record, value: Any) -> Reference:
    if not _is_reference(value):
        raise record.error(f"a call of {record.at} is damaged")
    return Reference(*value[:3])


def _is_reference(value: Any) -> bool:
    """True for [layer, call, output] or [layer, call, output, keywords] in the file's JSON."""
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in value[1:3])
    )


def _legacy_keyword(value: Any) -> Any:
    """Convert a keyword argument of Keras 2, in which a tensor is [layer, call, output]."""
    if _is_reference(value) and len(value) == 3:
        return Reference(*value)
    if isinstance(value, list):
        return [_legacy_keyword(item) for item in value]
    return {str(key): _legacy_keyword(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _ends(value: Any, by_name: Mapping[str, Layer]) -> Any:
    """Convert the inputs or outputs of a network from JSON to a nest of ``Reference``."""
    if _is_reference(value) and value[0] in by_name:
        return Reference(*value[:3])
    if isinstance(value, Mapping):
        return {str(key): _ends(item, by_name) for key, item in value.items()}
    return [_ends(item, by_name) for item in value] if isinstance(value, list) else value


def mapped(nest: Any, function: Any) -> Any:
    """Return a nest with each ``Reference`` replaced by ``function(reference)``."""
    if isinstance(nest, Reference):
        return function(nest)
    if isinstance(nest, dict):
        return {key: mapped(item, function) for key, item in nest.items()}
    return type(nest)(mapped(item, function) for item in nest) if type(nest) in (list, tuple) else nest


def references(nest: Any) -> Iterator[Reference]:
    """Yield all references of a nest."""
    return leaves_of(nest, Reference)


def leaves_of(nest: Any, kind: type[Leaf]) -> Iterator[Leaf]:
    """Yield a nest's items of type ``kind``. Dicts are traversed in the order of their sorted keys, as in Keras."""
    if isinstance(nest, kind):
        yield nest
    elif isinstance(nest, dict):
        for key in sorted(nest):
            yield from leaves_of(nest[key], kind)
    elif type(nest) in (list, tuple):
        for item in nest:
            yield from leaves_of(item, kind)
