"""``read_keras``: entry point of the reader of Keras files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...ir.node import Namer
from ...support.api_guard import api
from ...support.errors import FileError, NotReadableError
from ..array_bounds import MAX_ENTRIES, check_sizes, entries_up_to
from ..expressions import input_name
from ..net import Net
from ..open_axes import AxisRequest, free_name, read_with
from ..reading import not_readable
from ..script import Script
from . import (
    activations,
    attention,
    convolutions,
    merging,
    normalization,
    operations,
    plain,
    planes,
    products,
    recurrent,
    tensorflow,
)
from .core.archive import Opened, opened
from .core.configuration import NETWORKS, Layer, Network, all_layers, network_of, references
from .core.declaration import Declaration, FileLayers, Handler, Signal, Unreadable, dtype_of
from .core.variables import arrays_of
from .custom import Builder, CustomObjects, checked_builders
from .network import Networks, groups_of, handlers_of, uses_of

KEEPS_MASK = frozenset(
    {
        "Activation",
        "ReLU",
        "LeakyReLU",
        "ThresholdedReLU",
        "ELU",
        "Softmax",
        "PReLU",
        "Dense",
        "Dropout",
        "SpatialDropout1D",
        "AlphaDropout",
        "GaussianNoise",
        "GaussianDropout",
        "ActivityRegularization",
        "Identity",
        "BatchNormalization",
        "LayerNormalization",
        "GroupNormalization",
        "UnitNormalization",
        "Rescaling",
        "Normalization",
    }
)
"""Classes whose output has the input's mask. The output of another class has a mask only if its handler sets one."""
SINCE_KERAS_3 = frozenset({"Rescaling", "Normalization", "Identity"})
"""Classes in ``KEEPS_MASK`` that did not pass masks on in Keras 2."""
KEEPS_SHAPE = KEEPS_MASK - {"Dense"}
"""Classes whose output has the input's shape.

If such a layer cannot be declared, its input replaces its output, so that later layers are checked too.
"""
REMEDY = (
    "Replace them by layers that docs/keras.md lists, and save the model again; declare classes of your own by "
    'custom_objects={"Class": builder}; or declare the net, and convert the arrays of recurrent layers with '
    "rg.weights.from_keras"
)
_REASONS = {
    "Lambda": "it is Python code, which is not executed; use functions of keras.ops",
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), "recurrent convolutions are not supported"),
}
_HANDLERS: Mapping[str, Handler] = {
    **activations.LAYERS,
    **plain.LAYERS,
    **normalization.LAYERS,
    **convolutions.LAYERS,
    **merging.LAYERS,
    **planes.LAYERS,
    **recurrent.LAYERS,
    **attention.LAYERS,
    **products.LAYERS,
    **operations.LAYERS,
    **tensorflow.LAYERS,
}


@api
def read_keras(
    source: str | os.PathLike[str] | bytes,
    max_entries: int = MAX_ENTRIES,
    open: Mapping[str, Mapping[int, str]] | None = None,
    fixed: Mapping[str, Mapping[int, int]] | None = None,
    custom_objects: Mapping[str, Callable[[dict[str, Any]], Any]] | None = None,
) -> Net:
    """Read a ``.keras`` file, or a legacy ``.h5`` file of ``model.save``, of Keras 3, Keras 2 or ``tf.keras``.

    Inputs and outputs have Keras' names and layout, such as [batch, time, features]. The batch has the symbolic size
    ``B``; an axis whose size the file leaves open has ``T``, ``T_1`` and so on. Dropout is in the training graph only.
    Calls of stateful layers start from zeros, and streams keep the state.

    Args:
        source: A path, or the file's bytes.
        max_entries: Maximum entries of an array, with symbolic sizes counted as 1, and maximum iterations of a loop.
            The limit protects from small files that declare large arrays. Four times the entries of the largest input
            or weight are always allowed.
        open: ``{input: {axis: name}}``, axes to read with a symbolic size of this name, even if the file has a number.
        fixed: ``{input: {axis: size}}``, symbolic axes to read with this size.
        custom_objects: ``{class: builder}`` for your own classes. ``builder(config)`` returns an ``rg.Cell`` for a cell
            or a recurrent layer, or a function of Tensors for another layer. The file's arrays become the parameters of
            the result, in the order of declaration. For another order, return ``(result, names)`` with the parameters'
            names in the order of the file's arrays.

    Raises:
        NotReadableError: Layers are not supported; the error lists all of them.
        FileError: The file is missing or damaged.
        MissingExtraError: h5py is not installed.
    """
    with entries_up_to(max_entries) as limit:
        file = opened(source)
        try:
            net, builders = network_of(file.description), checked_builders(custom_objects)
            for layer in all_layers(net):
                layer.is_custom = layer.kind in builders and not layer.is_operation
            request = _request(net, open, fixed)
            script = read_with(request, file.name, lambda requested: _read(file, net, requested, builders))
            check_sizes(file.name, script, limit)
            return Net(script)
        except RecursionError:
            raise file.description.error("its description is nested too deeply") from None


def _request(net: Layer, open: Any, fixed: Any) -> AxisRequest:
    """Return the axes to read as symbolic or with a fixed size, checked against the shapes of the net's inputs."""
    if not (open or fixed) or net.network is None:
        return AxisRequest.of(None, None, {})
    shapes = {input_name(name): [None, *_input_shape(layer)[0]] for name, layer in _input_layers(net.network)}
    return AxisRequest.of(open, fixed, shapes)


def _read(file: Opened, net: Layer, request: AxisRequest, builders: Mapping[str, Builder]) -> Script:
    """Return a script that declares the file's net. Raises ``NotReadableError``, which lists all unsupported layers."""
    seen = list(_problems(net, file.version))
    problems, known = [f"{layer}: {problem}" if problem else str(layer) for layer, problem in seen], {*dict(seen)}
    layers = [layer for layer in all_layers(net) if layer.network is None]
    hidden = {layer for layer in layers if not known.isdisjoint(all_layers(layer))}
    networks, script = Networks(hidden, KEEPS_SHAPE), None
    try:
        script = _declare_script(file, net, networks, request, builders) if net.network is not None else None
    except NotReadableError as error:
        networks.problems += error.problems
    except FileError:
        if not problems:
            raise  # With problems, an unsupported layer may have caused the error; the problems are raised below.
    if script is None or problems:
        raise not_readable(file.name, [*problems, *networks.problems], remedy=REMEDY)
    return script


def _declare_script(
    file: Opened, net: Layer, networks: Networks, request: AxisRequest, builders: Mapping[str, Builder]
) -> Script | None:
    """Declare the file's net, and return the script; None if a layer is not supported, as ``networks`` then lists."""
    assert net.network is not None
    uses = uses_of(net)
    script, arrays = Script("A net that rnngraph read from a file of Keras."), arrays_of(file, net)
    custom = CustomObjects(builders)
    b = Declaration(
        script,
        FileLayers(file.version, file.minor, arrays, uses, groups_of(net.network, uses)),
        {**_HANDLERS, **handlers_of(networks), **dict.fromkeys(builders, custom.layer)},
        KEEPS_MASK if file.version >= 3 else KEEPS_MASK - SINCE_KERAS_3,
    )
    b.custom_cell = custom.cell
    outputs = networks.run(b, net.network, [*_inputs(b, net, request)])
    if outputs is None or networks.problems:
        return None
    for name, signal in zip(_output_names(net.network, len(outputs)), outputs, strict=True):
        script.outputs[name] = signal.value
    custom.own_arrays(script, arrays)
    return script


def _problems(net: Layer, version: int) -> Iterator[tuple[Layer, str]]:
    """Yield (layer, reason) for layers whose class or options are not supported, before anything is declared.

    The reason is ``""`` if naming the layer's class says enough.
    """
    if net.network is None:
        yield net, "the model of a file must be a Sequential or a Functional one"
        return
    for layer in all_layers(net):
        if layer.is_operation or layer.is_custom:
            continue  # The declaration lists an operation's problem, if an output needs the operation.
        known = layer.kind in _HANDLERS or layer.kind in (*NETWORKS, "TimeDistributed") or layer.kind in recurrent.CELLS
        if layer.is_foreign:
            yield layer, "it is not a class of Keras; give custom_objects="
        elif not known:
            yield layer, _REASONS.get(layer.kind, "")
        else:
            reasons = [
                activations.problem_of(version, layer),
                convolutions.problem_of(layer),
                recurrent.problem_of(layer),
                tensorflow.problem_of(layer),
                _dtype_problem(layer),
            ]
            yield from ((layer, problem) for problem in reasons if problem)


def _dtype_problem(layer: Layer) -> str | None:
    """Return the reason why a layer's dtype is not supported; None if it is."""
    policy = layer.config.get("dtype", None)
    return None if policy is None or dtype_of(policy) else "its dtype is not supported"


# Inputs and outputs -------------------------------------------------------------------------------


def _inputs(b: Declaration, net: Layer, request: AxisRequest) -> Iterator[Signal]:
    """Declare a placeholder for each input. The batch size is ``B``, and other open sizes are ``T``, ``T_1`` …

    Sizes that ``request`` names or fixes have that name or number instead.
    """
    assert net.network is not None
    names = {*request.names.values(), "B"}
    for name, layer in _input_layers(net.network):
        sizes, dtype = _input_shape(layer)
        own = input_name(name)
        shape: list[int | str | None] = []
        for axis, dim in enumerate(request.shape(own, [None, *sizes])):
            if dim is None and axis:
                dim = free_name("T", names)
                names.add(dim)
            elif isinstance(dim, int):
                b.script.closed_at[own, axis] = "fixed=" if axis == 0 or sizes[axis - 1] is None else "the file"
            shape.append(dim or "B")
        yield Signal(b.script.input(own, shape, dtype))


def _input_shape(layer: Layer) -> tuple[list[Any], str]:
    """Return (sizes after the batch axis, dtype) of an input layer. Raises ``NotReadableError`` if unsupported."""
    try:
        return plain.input_shape(layer)
    except Unreadable as reason:
        raise not_readable(layer.config.name, [f"{layer}: {reason}"]) from None


def _input_layers(network: Network) -> Iterator[tuple[str, Layer]]:
    """Yield (name of an input, layer that states the input's shape)."""
    if not network.is_sequential:
        by_name = {layer.name: layer for layer in network.layers}
        for reference in references(network.inputs):
            yield reference.layer, by_name[reference.layer]
        return
    first = network.layers[0] if network.layers else None
    if first is None:
        raise not_readable("the file", ["a Sequential without layers"])
    if first.kind == "InputLayer":
        yield first.name, first
    elif "batch_input_shape" in first.config or network.input_shape is None:
        yield f"{first.name}_input", first
    else:
        config = {**first.config.entries, "batch_input_shape": network.input_shape, "dtype": "float32"}
        record = type(first.config)(first.config.name, config, first.config.at)
        yield "input_layer", Layer("InputLayer", "input_layer", "input_layer", record)


def _output_names(network: Network, count: int) -> list[str]:
    """Return the names of the outputs: the keys of a dict, or the names of their layers.

    Further outputs of the same layer have an index, as in ``dense``, ``dense_1``.
    """
    if isinstance(network.outputs, dict) and len(list(references(network.outputs))) == len(network.outputs):
        return sorted(network.outputs)
    sequential = [network.layers[-1].name] * count
    layers = sequential if network.is_sequential else [one.layer for one in references(network.outputs)]
    return [*map(Namer(), layers)]
