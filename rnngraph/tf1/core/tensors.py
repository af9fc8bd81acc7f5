"""What programs of TensorFlow 1.x ask of a Tensor beside what ours has: ``eval``, ``get_shape``, ``op`` and others.

They are methods of every Tensor in a process that has imported ``rnngraph.tf1``, as operators and functions give plain
Tensors. They hold no state; what they need of a graph or a session is that which is current.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api
from ...support.arguments import array_of
from ...support.errors import DtypeError, ShapeError, shown
from .conversion import extend_operators, of_graph
from .graph import get_default_graph
from .names import DType
from .operations import Assign, Initialize, Operation
from .session import present_session
from .variable import ExtraVariable, Variable

PACKAGE = "rnngraph."
_DTYPES = {name: DType(name) for name in (*FLOATS, *INTEGERS, "bool")}


class Dimension(int):
    """A size that is known."""

    @property
    def value(self) -> int:
        """The size."""
        return int(self)


class OpenDimension:
    """A size that only a run knows: ``value`` is None, and so it compares."""

    value = None

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, OpenDimension)

    def __hash__(self) -> int:
        return hash(None)

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "None"

    def __str__(self) -> str:
        return "?"

    def __int__(self) -> int:
        raise ShapeError("this size is open while declaring; use tf.shape(x)[axis], or declare it as an int")

    __index__ = __int__


class TensorShape(tuple[Any, ...]):
    """``tf.TensorShape``: sizes, None or ``Dimension(None)`` for an open one."""

    __slots__ = ()

    @api
    def __new__(cls, dims: Any = ()) -> TensorShape:
        sizes = [dims] if isinstance(dims, int | np.integer) else dims
        if sizes is not None and not isinstance(sizes, list | tuple):
            raise DtypeError(f"a shape is a list of ints and None, not {shown(dims)}")
        sizes = sizes or ()
        return tuple.__new__(cls, [size if isinstance(size, str) else dimension(size) for size in sizes])

    def as_list(self) -> list[int | None]:
        """Sizes as ints and None."""
        return [getattr(size, "value", None) for size in self]

    @property
    def ndims(self) -> int:
        """Number of axes."""
        return len(self)

    rank = ndims

    @property
    def dims(self) -> list[Any]:
        """The sizes."""
        return list(self)

    def is_fully_defined(self) -> bool:
        """Whether no size is open."""
        return None not in self.as_list()

    def num_elements(self) -> int | None:
        """Number of elements, where it is known."""
        return int(np.prod(self.as_list(), dtype=np.int64)) if self.is_fully_defined() else None  # type: ignore[arg-type]

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raises ``ShapeError`` where sizes differ."""
        sizes = TensorShape(other).as_list()
        fits = len(sizes) == len(self)
        if not fits or any(a != b for a, b in zip(self.as_list(), sizes, strict=True) if None not in (a, b)):
            raise ShapeError(f"the shapes {self} and {shown(sizes)} don't fit")

    def with_rank(self, rank: int) -> TensorShape:
        """Itself; raises where the number of axes is another."""
        if len(self) != rank:
            raise ShapeError(f"the shape {self} has {len(self)} axes, not {rank}")
        return self

    def concatenate(self, other: Any) -> TensorShape:
        """Sizes of both."""
        return TensorShape([*self.as_list(), *TensorShape(other).as_list()])

    def __getitem__(self, key: Any) -> Any:
        found = tuple.__getitem__(self, key)
        return TensorShape(found) if isinstance(key, slice) else found

    def __str__(self) -> str:
        return f"({', '.join(map(str, self))}{',' if len(self) == 1 else ''})"


@api
def dimension(value: Any = None) -> Any:
    """``tf.Dimension``: of an int, of None, or of a size that a Tensor has."""
    value = getattr(value, "value", value)
    return Dimension(value) if isinstance(value, int | np.integer) else OpenDimension()


def _eval(self: Any, feed_dict: Any = None, session: Any = None) -> Any:
    """The value in a session, by default the one that is entered."""
    return present_session(session).run(self, feed_dict)


def _eval_variable(self: Any, session: Any = None) -> Any:
    """The value in a session, by default the one that is entered."""
    return present_session(session).run(self)


def _run(self: Operation, feed_dict: Any = None, session: Any = None) -> None:
    """Runs in a session, by default the one that is entered."""
    present_session(session).run(self, feed_dict)


def _get_shape(self: Tensor) -> TensorShape:
    """The sizes, with ``as_list()``."""
    return TensorShape(self.shape)


def _set_shape(self: Tensor, shape: Any) -> None:
    """Checks sizes against those that are known; a Tensor is what it was declared."""
    TensorShape(self.shape).assert_is_compatible_with(shape)


def _op(self: Any) -> Any:
    """Its operation, which has its name."""
    name = self.name.removesuffix(":0")
    inputs = [Tensor(node) for node in self.node.operands] if isinstance(self, Tensor) else []
    kind = self.node.op if isinstance(self, Tensor) else "VariableV2"
    return SimpleNamespace(name=name, outputs=[self], inputs=inputs, type=kind, device="", run=lambda *a, **k: None)


def _load(self: Any, value: Any, session: Any = None) -> None:
    """Sets the variable's value in a session."""
    present_session(session).set_value(self, array_of(value, f"{self!r} can't be set", self.dtype))


def _assign(self: Any, value: Any, use_locking: Any = None, name: str | None = None, read_value: Any = True) -> Any:
    """An operation that sets the variable."""
    return Assign(self, value, None, name or "Assign")


def _assign_add(self: Any, delta: Any, use_locking: Any = None, name: str | None = None, read_value: Any = True) -> Any:
    """An operation that adds to the variable."""
    return Assign(self, delta, np.add, name or "AssignAdd")


def _assign_sub(self: Any, delta: Any, use_locking: Any = None, name: str | None = None, read_value: Any = True) -> Any:
    """An operation that subtracts from the variable."""
    return Assign(self, delta, np.subtract, name or "AssignSub")


def _read_value(self: Any) -> Any:
    """The variable as it is once the operations of ``tf.control_dependencies`` have run."""
    graph = get_default_graph()
    return graph.following(self, [self]) if graph.collections["control_inputs"] else self


def _consumers(self: Tensor) -> Sequence[Any]:
    """Not known: a Tensor does not know who reads it."""
    return ()


def _shape(plain: Callable[[Tensor], Any], tensor: Tensor) -> Any:
    """TensorFlow's shape for users' lines about Tensors of the current graph; the plain one for all others."""
    asked_by = str(sys._getframe(1).f_globals.get("__name__"))
    if asked_by.startswith(PACKAGE) or not of_graph(tensor):
        return plain(tensor)
    return TensorShape(plain(tensor))


def extend() -> None:
    """Gives Tensors, variables and operations these methods."""
    of_all = {"eval": _eval, "op": property(_op), "get_shape": _get_shape}
    for name, method in of_all.items():
        setattr(Tensor, name, method)
        setattr(ExtraVariable, name, method)
    setattr(Tensor, "set_shape", _set_shape)  # noqa: B010  (mypy knows no such method)
    shape = Tensor.shape.fget  # type: ignore[attr-defined]  # of a property, which mypy takes for what it gives
    setattr(Tensor, "shape", property(partial(_shape, shape)))  # noqa: B010
    setattr(Tensor, "dtype", property(lambda self: _DTYPES[self.type.dtype]))  # noqa: B010
    setattr(ExtraVariable, "shape", property(lambda self: TensorShape(self.start.shape)))  # noqa: B010
    setattr(ExtraVariable, "dtype", property(lambda self: _DTYPES[str(self.start.dtype)]))  # noqa: B010
    setattr(Tensor, "consumers", _consumers)  # noqa: B010
    setattr(Tensor, "device", "")  # noqa: B010
    setattr(Tensor, "graph", property(lambda self: get_default_graph()))  # noqa: B010
    setattr(Operation, "run", _run)  # noqa: B010
    setattr(Assign, "eval", _eval)  # noqa: B010
    for kind in (Variable, ExtraVariable):
        for name, method in (
            ("eval", _eval_variable),
            ("assign", _assign), ("assign_add", _assign_add), ("assign_sub", _assign_sub), ("load", _load),
            ("initializer", property(lambda self: Initialize([self], "init"))),
            ("initialized_value", lambda self: self), ("value", lambda self: self),
            ("read_value", _read_value), ("dtype_base", property(lambda self: self.dtype)),
        ):  # fmt: skip
            setattr(kind, name, method)


extend()
extend_operators()
