"""Declared parameters. A spec is a parameter's identity; compilation resolves its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Protocol

import numpy as np

from ..ir.attributes import MAX_AXES
from ..ir.graph import Node, make
from ..ir.types import DTYPES, NARROW, TensorType, array_dtype
from ..support.api_guard import api
from ..support.arguments import MAX_UNITS, checked_name, entries, flag
from ..support.errors import ArgumentError, DtypeError, ShapeError, Where, shown, user_line
from ..support.records import dataclass
from .initializers import DEFAULT_INITIALIZER, Initializer, initializer_of
from .layer import driver_of_step
from .public_types import check_dtype
from .tensor import Tensor, build, declared, like


class UnreadArray(Protocol):
    """Array that stays in its file until it is read."""

    def read(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class ParameterSpec:
    """Declaration of one parameter. Equality is identity.

    Attributes:
        type: Dtype and shape.
        initializer: Initializer of its value.
        trainable: True if gradients and trainers include it.
        where: Line of the declaration.
        name: Full name, if the user gave one.
        within: Name below its cell or layer: the end of its full name.
        serial: Position in the order of declaration.
        stored: Initial value that replaces the initializer, such as a weight of an imported net.
    """

    type: TensorType
    initializer: Initializer
    trainable: bool
    where: Where | None
    name: str | None = None
    within: str = ""
    serial: int = field(default_factory=lambda: next(declared))
    stored: np.ndarray | UnreadArray | None = None

    def begin_with(self, array: np.ndarray | UnreadArray) -> None:
        """Set the value that the parameter has in new programs: a read-only view of ``array``, or an array in a file.

        The array has the parameter's shape. An array in a file also has the parameter's dtype.
        """
        if isinstance(array, np.ndarray):
            array = np.asarray(array, array_dtype(self.type.dtype), order="C").view()
            array.flags.writeable = False
        object.__setattr__(self, "stored", array)


class Specs(dict[str, ParameterSpec]):
    """Parameters of a driver or of a shared cell, by path."""

    def resolve(
        self, path: str, kind: TensorType, initializer: Any, trainable: bool, where: Where | None, within: str
    ) -> ParameterSpec:
        """Return the parameter at a path. If there is none, create it from the other arguments."""
        spec = self.get(path)
        if spec is None:
            is_trained = flag(trainable, "trainable")
            spec = self[path] = ParameterSpec(kind, initializer_of(initializer), is_trained, where, within=within)
        return spec


@dataclass(frozen=True, eq=False)
class ScopeName:
    """A scope name that compilation makes unique: the first unnamed ``rnn`` stays, and the second becomes ``rnn_1``.

    Attributes:
        base: The user's name; or the name to which compilation adds a number if needed.
        explicit: True if the user chose the name.
        where: Line of the declaration.
        specs: Parameters in the scope by path, which later declarations in the scope share.
        serial: Position in the order of declaration.
        outer: Layer of the enclosing driver, for a named layer that a cell's step declares.
    """

    base: str
    explicit: bool
    where: Where | None
    specs: Specs = field(default_factory=Specs)
    serial: int = field(default_factory=lambda: next(declared))
    outer: str = ""

    def __post_init__(self) -> None:
        checked_name(self.base, "a scope", self.where)

    @property
    def layer(self) -> str:
        """Provisional name of the layer until compilation."""
        return f"@{self.serial}"


def scope_name(scope: Any, base: str, where: Where | None) -> ScopeName:
    """Return the scope of a cell or layer, called ``scope`` if that is a name, else ``base`` with a number if needed.

    A ``ScopeName`` is returned unchanged.
    """
    if isinstance(scope, ScopeName):
        return scope
    is_named = scope is not None and not (isinstance(scope, str) and not scope)  # as in TensorFlow, "" is no name
    return ScopeName(scope if is_named else base, is_named, where, outer=driver_of_step() if is_named else "")


def layer_of(spec: ParameterSpec, label: str) -> str:
    """Return the layer to which a parameter belongs: its full name ``label`` without the name below its layer."""
    return label.removesuffix(f"/{spec.within}") if spec.within else label.rpartition("/")[0]


def parameter_node(spec: ParameterSpec, label: str) -> Node:
    return make("parameter", where=spec.where, type=spec.type, label=label, slot=spec)


def check_shape(name: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """Validate the shape of the parameter ``name``, and return it as positive ints."""
    dims = entries(shape, f"the shape of parameter {name}")
    if len(dims) > MAX_AXES:
        raise ShapeError(f"parameter {name} has {len(dims)} axes, and a Tensor has {MAX_AXES} at most")
    is_int = [isinstance(dim, int | np.integer) and not isinstance(dim, bool) for dim in dims]
    if not all(is_int) or not all(0 < dim <= MAX_UNITS for dim in dims):
        raise ShapeError(f"parameter {name} needs a shape of positive ints, not {shown(shape)}")
    return tuple(map(int, dims))


@api
def parameter(
    name: str,
    shape: Sequence[int],
    initializer: Any = DEFAULT_INITIALIZER,
    trainable: bool = True,
    dtype: Any = "float32",
) -> Tensor:
    """Declare a parameter that belongs to no cell or layer.

    Args:
        name: Full name in ``program.parameters``.
        shape: Positive ints.
        initializer: A name (``zeros``, ``ones``, ``glorot_uniform``, ``orthogonal``), a number, an array, or a function
            of (shape, generator).
        trainable: False exempts the parameter from gradients and training.
        dtype: As for a placeholder, or a dtype to store weights in, with ``trainable=False``: ``int8``, ``uint8``, or
            ``bfloat16``, whose arrays are uint16, the upper half of a float32. ``cast`` and ``dequantize`` widen them.

    Returns:
        Tensor of the parameter.

    Raises:
        ArgumentError: The dtype only stores weights, and the parameter is trainable.
    """
    checked_name(name, "a parameter")
    kind = TensorType(check_dtype(dtype, (*DTYPES, *NARROW)), check_shape(name, shape))
    if kind.dtype in NARROW and flag(trainable, "trainable"):
        raise ArgumentError(f"parameter {name} of {kind.dtype} can't be trained; give trainable=False, or float32")
    spec = ParameterSpec(kind, initializer_of(initializer), flag(trainable, "trainable"), user_line(), name)
    return Tensor(parameter_node(spec, name))


@api
def with_update(x: Tensor, parameter: Tensor, value: Any) -> Tensor:
    """Return ``x``, and update a parameter in each step of a ``Trainer``.

    A step reads the parameter's value from before the update. With ``accumulate`` of a trainer, every step makes the
    update. Steps whose loss or gradients are not finite make no update, nor do calls of graphs or of ``gradients``. Not
    supported inside a cell's ``step``.

    Args:
        x: Tensor that the loss of the training graph depends on.
        parameter: Parameter that was declared with ``trainable=False``.
        value: Next value of the parameter, of its shape and dtype. No gradient passes through it.

    Returns:
        Tensor with the value of ``x``.
    """
    where = user_line()
    if not isinstance(x, Tensor):
        raise DtypeError(f"with_update needs a Tensor as x, not {x!r}; give one that the loss depends on", where)
    node = parameter.node if isinstance(parameter, Tensor) else None
    if node is None or node.op != "parameter" or node["slot"].trainable:
        raise ArgumentError(
            f"with_update needs a parameter that is not trained, not {parameter!r}; declare it by rg.parameter(…, "
            "trainable=False)",
            where,
        )
    return build("with_update", x, parameter, like(value, parameter))
