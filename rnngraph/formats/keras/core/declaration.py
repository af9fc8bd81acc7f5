"""State of a net's declaration: the script, the layers' arrays and names, and tensors with masks.

A nest is a value in lists, tuples and dicts of any depth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ....declare.functions.activations import ACTIVATIONS
from ....declare.functions.basic import cast
from ....declare.parameters import parameter
from ....ir.types import FLOATS, Dim
from ....support.errors import FileError, NotOfferedError, NotReadableError, OutOfMemoryError, RnnGraphError
from ...operators.errors import UnreadableError
from ...script import Script
from ...steps import Value
from .configuration import Layer, all_layers, leaves_of
from .variables import Arrays, snake_case

MAX_CALLS = 20_000
MAX_NAME = 120


Unreadable = UnreadableError
"""Error for a layer, option or call that is not supported. The reader collects these errors, and raises one for all."""


@dataclass(frozen=True)
class Signal:
    """Tensor between layers.

    Attributes:
        value: The tensor.
        mask: bool [batch, time], False for masked entries; None without a mask.
        unzeroed: The value before a Masking layer zeroed masked entries, for layers that skip masked entries anyway.
    """

    value: Value
    mask: Value | None = None
    unzeroed: Value | None = None

    @property
    def rank(self) -> int:
        return self.value.tensor.rank

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.value.tensor.type.shape

    @property
    def width(self) -> int:
        """Last size. Raises ``Unreadable`` if it is symbolic."""
        size = self.shape[-1] if self.rank else None
        if not isinstance(size, int):
            raise Unreadable("the last size of its input is symbolic; fix it with fixed=")
        return size

    @property
    def dtype(self) -> str:
        return self.value.tensor.dtype


@dataclass(frozen=True)
class Inputs:
    """Arguments of a layer's call: nests of ``Signal``, numbers and strings."""

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def one(self) -> Signal:
        """The only tensor in the first positional argument. Raises ``Unreadable`` if there are more or none."""
        tensors = self.several
        if len(tensors) != 1:
            raise Unreadable(f"it is called on {len(tensors)} tensors; it must be called on one")
        return tensors[0]

    @property
    def several(self) -> list[Signal]:
        """Tensors in the first positional argument."""
        return list(signals(self.arguments[:1]))

    def keyword(self, name: str, place: int, default: Any = None) -> Any:
        """Return the argument ``name``: the keyword if passed, else the positional argument ``place``, else default."""
        if name in self.keywords:
            return self.keywords[name]
        return self.arguments[place] if place < len(self.arguments) else default


def signals(nest: Any) -> Iterator[Signal]:
    """Yield all tensors of a nest."""
    return leaves_of(nest, Signal)


_IDENTITY_IN_INFERENCE = frozenset(
    {
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "AlphaDropout",
        "GaussianNoise",
        "GaussianDropout",
        "Identity",
        "ActivityRegularization",
    }
)
"""Classes that return their input unchanged in inference."""
_FIRST = ("inputs", "sequences", "query")
"""Names of the first argument of layers."""
_OPERANDS = ("condition", "x", "x1", "x2", "xs")
"""Names of tensor arguments of ``keras.ops`` functions, in their order."""


def _with_first(layer: Layer, inputs: Inputs) -> Inputs:
    """Return a call's arguments, with tensor arguments that it passes by name appended to the positional ones."""
    keywords = dict(inputs.keywords)
    if layer.is_operation:
        more = [keywords.pop(key) for key in _OPERANDS if key in keywords]
    else:
        more = [keywords.pop(key) for key in _FIRST if key in keywords and not inputs.arguments][:1]
    return Inputs((*inputs.arguments, *more), keywords) if more else inputs


def _with_call_masks(inputs: Inputs) -> tuple[Any, ...]:
    """Return a call's positional arguments, with masks from its keyword ``mask`` in place of the tensors' own."""
    masks: Any = inputs.keywords.get("mask")
    first: Any
    first, *rest = inputs.arguments or (None,)
    if isinstance(first, Signal) and isinstance(masks, Signal):
        return (Signal(first.value, masks.value), *rest)
    if type(first) in (list, tuple) and type(masks) in (list, tuple) and len(first) == len(masks):
        both = zip(first, masks, strict=True)
        return ([Signal(x.value, m.value) if isinstance(m, Signal) else x for x, m in both], *rest)
    return inputs.arguments


Handler = Callable[["Declaration", Layer, Inputs], Any]
"""Function that declares a layer on its inputs and returns a nest of ``Signal``."""


class FileLayers(NamedTuple):
    """Version of Keras that wrote a file, and the arrays, calls and stacks of the file's layers.

    Attributes:
        version: Keras' major version, 2 or 3.
        minor: Keras' minor version.
        arrays: Arrays of each layer.
        uses: Number of calls of each layer. Parameters of a layer with several calls are declared apart from the calls.
        groups: {top layer: layers of its stack, bottom first}.
    """

    version: int
    minor: int
    arrays: Mapping[Layer, Arrays]
    uses: Mapping[Layer, int]
    groups: Mapping[Layer, list[Layer]]


class Declaration:
    """State of a net's declaration: the script, the layers' arrays and scopes, and the tensors' masks."""

    def __init__(
        self, script: Script, file: FileLayers, handlers: Mapping[str, Handler], keeps_mask: frozenset[str]
    ) -> None:
        """Start a declaration.

        Args:
            script: The script.
            file: Layers of the file.
            handlers: Functions that declare layers, by ``Layer.key``.
            keeps_mask: Classes whose outputs have the mask of their first input.
        """
        self.script, self.version, self.minor = script, file.version, file.minor
        self._arrays, self._uses, self._groups = file.arrays, file.uses, file.groups
        self._handlers, self._keeps_mask = handlers, keeps_mask
        self._waiting = {layer for group in file.groups.values() for layer in group[:-1]}
        self._paths = {scope_name_of(layer.path, layer.kind) for layer in file.uses}
        self._scopes: dict[Layer, str] = {}
        self._driven: set[Layer] = set()
        self._used_names = Counter[str]()
        self._declared: dict[tuple[Layer, str], Value] = {}
        self._calls = 0
        self.custom_cell: Callable[[Declaration, Layer, str], Value] | None = None
        """Function of (this declaration, layer, scope) that declares a cell of a user's class."""
        self.kept: dict[Layer, Any] = {}
        """Values that handlers keep to reuse them in further calls of a layer, such as shared cells."""
        self.is_training: bool | None = None
        """Argument ``training`` of the current call, or of an enclosing one; None if neither passes it."""
        self._current_masks: dict[int, Value | None] = {}
        """Masks that calls set on tensors, None for a removed one, by the tensor's key from ``_tensor``."""
        self._inputs_of: dict[int, int] = {}
        """{key of a layer's output: key of its input}, for layers that return their input in inference."""
        self._alive: list[Value] = []  # keeps the values in memory whose ids are keys of tensors

    # Calls ---------------------------------------------------------------------------------------

    def call(self, layer: Layer, inputs: Inputs) -> list[Signal]:
        """Declare a call of a layer, and return its outputs.

        Raises:
            Unreadable: The layer or one of its options is not supported.
            FileError: The file's description of the layer is inconsistent.
        """
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise layer.config.error(f"its layers are called more than {MAX_CALLS} times")
        inputs = _with_first(layer, inputs)
        arguments = _with_call_masks(inputs)
        if layer.network is not None:  # Keras stores the masks of a network's call in the argument tensors.
            for before, now in zip(signals(inputs.arguments), signals(arguments), strict=True):
                if now is not before:
                    self._set_mask(before, now.mask)
        inputs = Inputs(self._cast(layer, arguments), inputs.keywords)
        handler = self._handlers.get(layer.key)
        if handler is None:
            raise Unreadable("")
        outer, training = self.is_training, inputs.keywords.get("training")
        if self.version < 3 and training is not None:  # Keras 3 ignores ``training`` of inner calls
            self.is_training = bool(training)
        try:
            outputs = [*signals(handler(self, layer, inputs))]
        except (FileError, NotReadableError, OutOfMemoryError):
            raise
        except NotOfferedError as error:
            raise Unreadable(error.what) from None
        except RnnGraphError as error:
            if any(part.is_custom for part in all_layers(layer)):  # The caller's own builder raised the error.
                raise
            raise layer.config.error(f"{layer} can't be called on its input: {error.what}") from None
        finally:
            self.is_training = outer
        first = next(iter(signals(inputs.arguments)), None)
        if layer.key in self._keeps_mask and first is not None and first.mask is not None:
            outputs = [Signal(one.value, first.mask) for one in outputs]
        if self.version >= 3 and layer.kind in _IDENTITY_IN_INFERENCE and first is not None and len(outputs) == 1:
            self._inputs_of[self._tensor(outputs[0])] = self._tensor(first)
        return outputs

    def _cast(self, layer: Layer, nest: Any) -> Any:
        """Cast float tensors in a nest to the layer's precision: float64, or float32 for narrower dtypes."""
        kind = dtype_of(layer.config.get("dtype", None))
        if kind not in FLOATS or layer.network is not None:
            return nest

        def as_kind(item: Any) -> Any:
            if isinstance(item, Signal) and item.dtype in FLOATS and item.dtype != kind:
                return Signal(self.script.call(cast, item.value, kind), item.mask)
            return type(item)(map(as_kind, item)) if type(item) in (list, tuple) else item

        return as_kind(nest)

    def take_masks(self, *tensors: Signal) -> None:
        """Remove the masks of tensors for all later calls that read the tensors."""
        for x in tensors:
            if x.mask is not None:
                self._set_mask(x, None)

    def _set_mask(self, x: Signal, mask: Value | None) -> None:
        """Set the mask with which later calls read a tensor."""
        self._current_masks[self._tensor(x)] = mask

    def with_current_mask(self, x: Signal) -> Signal:
        """Return a tensor with the mask that earlier calls set on it or removed; unchanged if none did."""
        tensor = self._tensor(x)
        return Signal(x.value, self._current_masks[tensor]) if tensor in self._current_masks else x

    def _tensor(self, x: Signal) -> int:
        """Return a tensor's key. The output of a layer that returns its input in inference has the input's key."""
        self._alive.append(x.value)
        number = id(x.value)
        while self._inputs_of.get(number, number) != number:
            number = self._inputs_of[number]
        return number

    def drops(self, rate: float) -> float:
        """Return the rate of an effect that acts in training only, such as dropout.

        The result is ``rate``, or 0 if the current call has training=False.

        Raises:
            Unreadable: The call has training=True, which makes inference random too.
        """
        if rate and self.is_training:
            raise Unreadable("calls with training=True are not supported, because they are random in inference")
        return 0.0 if self.is_training is False else rate

    # Names and arrays ----------------------------------------------------------------------------

    def group(self, layer: Layer) -> list[Layer]:
        """Return the layers of the stack whose top is ``layer``, bottom first; the layer alone if it has no stack."""
        return self._groups.get(layer, [layer])

    def waits(self, layer: Layer) -> bool:
        """True for a layer below the top of a stack. Its call is not declared, because the top declares the stack."""
        return layer in self._waiting

    def is_shared(self, layer: Layer) -> bool:
        """True if a layer is called more than once."""
        return self._uses.get(layer, 1) > 1

    def scope(self, layer: Layer) -> str:
        """Return the scope of the layer's parameters: the layer's path, or that with a number if it is taken."""
        if layer not in self._scopes:
            self._scopes[layer] = self._free(scope_name_of(layer.path, layer.kind), own=True)
        return self._scopes[layer]

    def driver_scope(self, layer: Layer) -> str:
        """Return the scope of a layer's driver: the layer's scope for its first call, a new scope for further calls."""
        scope = self.scope(layer)
        if layer not in self._driven:
            self._driven.add(layer)
            return scope
        return self._free(scope, own=False)

    def _free(self, base: str, own: bool) -> str:
        """Return an unused name for a scope: ``base``, or ``base_1``, ``base_2`` and so on.

        Args:
            own: True if the scope may be the path of a layer.
        """
        name, count = base, 0
        while self._used_names[name] or (not own and name in self._paths):
            count += 1
            name = f"{base}_{count}"
        self._used_names[name] += 1
        return name

    def array(self, layer: Layer, name: str, *shape: int | None) -> np.ndarray:
        """Return an array of the file. Raises ``FileError`` unless it has ``shape``, in which None is any size."""
        array = self._arrays.get(layer, {}).get(name)
        if array is None:
            raise layer.config.error(f"{layer} has no array {name!r}")
        pairs = zip(shape, array.shape, strict=False)
        if array.ndim != len(shape) or any(want not in (None, have) for want, have in pairs):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise layer.config.error(f"{name} of {layer} has shape {list(array.shape)}; it must be [{wanted}]")
        return array

    def arrays(self, layer: Layer) -> Arrays:
        return self._arrays.get(layer, {})

    def parameter(self, layer: Layer, name: str, array: np.ndarray, trainable: bool = True) -> Value:
        """Declare a parameter apart from the layer's call. Further calls of the layer get the same parameter."""
        if (layer, name) not in self._declared:
            scope = f"{self.scope(layer)}/{name}"
            self.script.parameters[scope] = np.array(array, order="C")
            options: dict[str, object] = {} if trainable else {"trainable": False}
            if array.dtype != np.float32:
                options["dtype"] = str(array.dtype)
            hint = name.rpartition("/")[2]
            self._declared[layer, name] = self.script.call(parameter, scope, array.shape, **options, hint=hint)
        return self._declared[layer, name]

    def activated(self, x: Value, name: str) -> Value:
        """Declare an activation of x, by rnngraph's name."""
        return self.script.call(ACTIVATIONS[name], x)


def scope_name_of(path: str, kind: str) -> str:
    """Return the name of a layer's scope: its path, or its class if the path is empty, too long or not printable."""
    if path and path.isprintable() and len(path) <= MAX_NAME:
        return path
    return snake_case(kind)[:MAX_NAME] or "layer"


def dtype_of(policy: Any) -> str:
    """Return rnngraph's dtype for a Keras dtype or policy: ``mixed_float16`` → ``float32``; ``""`` if unknown."""
    if isinstance(policy, Mapping):
        config = policy.get("config")
        policy = config.get("name") if isinstance(config, Mapping) else None
    if not isinstance(policy, str):
        return ""
    return _DTYPES.get(policy.removeprefix("mixed_"), "")


_DTYPES = {  # 16-bit floats are computed in float32, and small ints in int32
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float32",
    "float64": "float64",
    "int8": "int32",
    "uint8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "int32": "int32",
    "uint32": "int64",
    "int64": "int64",
    "bool": "bool",
}
