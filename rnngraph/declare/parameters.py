"""Parameters while they are declared: a spec is the identity, the name comes at compile time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.attributes import MOST_AXES
from ..ir.graph import Node, make
from ..ir.types import TensorType
from ..support.api_guard import api
from ..support.arguments import MOST_UNITS, checked_name, entries, flag
from ..support.errors import ArgumentError, DtypeError, ShapeError, Where, shown, user_line
from .initializers import Initializer, initializer_of
from .public_types import check_dtype
from .tensor import Tensor, build, declared, like


@dataclass(frozen=True, eq=False)
class ParameterSpec:
    """One parameter, compared by identity. ``name`` is set where the user named it in full.

    within: its name within its cell or layer, which is a part of the whole name. stored: array that programs begin with
    in place of a drawn one, as of a net that was read.
    """

    type: TensorType
    initializer: Initializer
    trainable: bool
    where: Where | None
    name: str | None = None
    within: str = ""
    serial: int = field(default_factory=lambda: next(declared))
    stored: np.ndarray | None = None

    def begin_with(self, array: np.ndarray) -> None:
        """Let programs begin with an array of the parameter's shape, which nothing changes."""
        stored = np.asarray(array, self.type.dtype, order="C").view()
        stored.flags.writeable = False
        object.__setattr__(self, "stored", stored)


class Specs(dict[str, ParameterSpec]):
    """The parameters of a driver or of a shared cell, by path."""

    def found(
        self, path: str, kind: TensorType, initializer: Any, trainable: bool, where: Where | None, within: str
    ) -> ParameterSpec:
        """The parameter at a path: made at the first call, found at the next."""
        spec = self.get(path)
        if spec is None:
            is_trained = flag(trainable, "trainable")
            spec = self[path] = ParameterSpec(kind, initializer_of(initializer), is_trained, where, within=within)
        return spec


@dataclass(frozen=True, eq=False)
class ScopeName:
    """A name that is settled at compile time: the first unnamed ``rnn`` stays, the second is ``rnn_1``.

    specs: the parameters under it, by path; who declares under a scope of these finds them again.
    """

    base: str
    explicit: bool
    where: Where | None
    specs: Specs = field(default_factory=Specs)
    serial: int = field(default_factory=lambda: next(declared))

    def __post_init__(self) -> None:
        checked_name(self.base, "a scope", self.where)

    @property
    def layer(self) -> str:
        """The layer that it names, until its name is settled."""
        return f"@{self.serial}"


def scope_name(scope: Any, base: str, where: Where | None) -> ScopeName:
    """A scope of the name that a user gives, or of ``base`` and what is free; a scope itself is taken as it is."""
    if isinstance(scope, ScopeName):
        return scope
    is_given = scope is not None and not (isinstance(scope, str) and not scope)  # TensorFlow takes "" for none, too
    return ScopeName(scope if is_given else base, scope is not None, where)


def layer_of(spec: ParameterSpec, label: str) -> str:
    """The layer of a parameter of this name; of one by itself what stands before its own name."""
    return label.removesuffix(f"/{spec.within}") if spec.within else label.rpartition("/")[0]


def parameter_node(spec: ParameterSpec, label: str) -> Node:
    return make("parameter", where=spec.where, type=spec.type, label=label, slot=spec)


def check_shape(name: Any, shape: Sequence[int]) -> tuple[int, ...]:
    dims = entries(shape, f"the shape of parameter {name}")
    if len(dims) > MOST_AXES:
        raise ShapeError(f"parameter {name} has {len(dims)} axes, and a Tensor has {MOST_AXES} at most")
    is_int = [isinstance(dim, int | np.integer) and not isinstance(dim, bool) for dim in dims]
    if not all(is_int) or not all(0 < dim <= MOST_UNITS for dim in dims):
        raise ShapeError(f"parameter {name} needs a shape of positive ints, not {shown(shape)}")
    return tuple(map(int, dims))


@api
def parameter(
    name: str,
    shape: Sequence[int],
    initializer: Any = "glorot_uniform",
    trainable: bool = True,
    dtype: Any = "float32",
) -> Tensor:
    """An array of the program that stands by itself in the graph.

    name: as it appears in ``program.parameters``.
    initializer: a name (``zeros``, ``ones``, ``glorot_uniform``, ``orthogonal``), a number, an array, or a function of
        (shape, generator).
    trainable: whether there is a gradient by it, and trainers change it.
    dtype: as of a placeholder.
    """
    checked_name(name, "a parameter")
    kind = TensorType(check_dtype(dtype), check_shape(name, shape))
    spec = ParameterSpec(kind, initializer_of(initializer), flag(trainable, "trainable"), user_line(), name)
    return Tensor(parameter_node(spec, name))


@api
def with_update(x: Tensor, parameter: Tensor, value: Any) -> Tensor:
    """x itself; a step of a ``Trainer`` that counts sets ``parameter`` to ``value``, as that step computes it.

    parameter: an ``rg.parameter(…, trainable=False)``, which the step reads as it was before.
    value: of its shape and dtype; no gradient passes to what it is made of.

    The loss of the training graph must read x. Neither calls of graphs nor ``gradients`` make the update, nor a step
    whose loss or gradients are not finite; with ``accumulate`` every step does. Not within a cell's ``step``.
    """
    where = user_line()
    if not isinstance(x, Tensor):
        raise DtypeError(f"with_update passes on a Tensor, not {x!r}", where)
    node = parameter.node if isinstance(parameter, Tensor) else None
    if node is None or node.op != "parameter" or node["slot"].trainable:
        raise ArgumentError(
            f"with_update changes what rg.parameter(…, trainable=False) gives, not {parameter!r}", where
        )
    return build("with_update", x, parameter, like(value, parameter))
