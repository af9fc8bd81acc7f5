"""Tensors of TensorFlow 1.x programs: ``Tensor`` of the core with ``eval``, ``get_shape``, ``op`` and others.

Functions of ``tf`` give ``TfTensor``s, and so do operators and functions of ``rg`` that are given one. What ``rg``
makes of plain Tensors stays plain. A ``TfTensor`` holds a node of the declaration and no more: the graph and the
session that it needs are the current ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np

from ...declare.functions import basic as functions
from ...declare.nest import map_leaves
from ...declare.tensor import Tensor, build, constant, holds_tensors
from ...ir.types import FLOATS, INTEGERS
from ...support.api_guard import api, handed_on
from .elementwise import power
from .graph import Graph, get_default_graph, present_session
from .names import DType
from .shapes import TensorShape
from .sizes import anchored, floor_quotient, slices_by_sizes, with_clamped, with_computed

Target = TypeVar("Target", bound=Callable[..., Any])
DTYPES = {name: DType(name) for name in (*FLOATS, *INTEGERS, "bool")}


def adopted(value: Any, beside: Tensor) -> Any:
    """An array, or a list of numbers, as a constant of the dtype of a Tensor; all else as it is."""
    if not isinstance(value, list | tuple | np.ndarray) or holds_tensors(value):
        return value
    try:
        array = np.asarray(value)
    except ValueError:  # of lists of different lengths, which who takes it tells of
        return value
    fits = array.dtype.kind in ("fiu" if beside.dtype in FLOATS else "iu")
    if not fits or str(array.dtype) == beside.dtype:
        return value
    return constant(array.astype(beside.dtype))


def _operator(method: Callable[..., Tensor], converts: bool = False) -> Any:
    """An operator, before which the operations of ``tf.control_dependencies`` run.

    converts: arrays and lists beside the Tensor take its dtype.
    """

    def operate(self: TfTensor, *others: Any) -> Tensor:
        given = (self, *(adopted(other, self) if converts else other for other in others))
        graph = get_default_graph()
        branch = graph.branch_read()
        result = handed_on(method, given if branch is None else branch.reads(given), {})
        if branch is not None:
            branch.owns(result)
        return graph.following(result, given) if graph.collections["control_inputs"] else result

    return operate


class TfTensor(Tensor, propagates=True):
    """``tf.Tensor``."""

    __slots__ = ()

    @property
    def shape(self) -> TensorShape:
        """The sizes, with ``as_list()``."""
        return TensorShape(super().shape)

    @property
    def dtype(self) -> DType:
        """The dtype, with ``as_numpy_dtype`` and others."""
        return DTYPES[self.type.dtype]

    device = ""

    @property
    def graph(self) -> Graph:
        """The current graph."""
        return get_default_graph()

    @property
    def op(self) -> Any:
        """Its operation, which has its name."""
        return operation_of(self, self.node.op, [TfTensor(node) for node in self.node.operands])

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """The value in a session, by default the one that is entered."""
        return present_session(session).run(self, feed_dict)

    def get_shape(self) -> TensorShape:
        """The sizes, with ``as_list()``."""
        return TensorShape(self.shape)

    def set_shape(self, shape: Any) -> None:
        """Give sizes that are open; a run checks them. Raises ``ShapeError`` where known ones differ."""
        sizes = TensorShape(shape).as_list() if shape is not None else [None] * self.rank
        TensorShape(self.shape).assert_is_compatible_with(sizes)
        dims = tuple(dim if size is None else size for size, dim in zip(sizes, self.type.shape, strict=True))
        if dims != self.type.shape:
            self._node = build("ensure_shape", Tensor(self.node), shape=dims).node

    def consumers(self) -> Sequence[Any]:
        """Not known: a Tensor does not know who reads it."""
        return ()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Tensor.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Tensor:
        return super().__array_ufunc__(ufunc, method, *(adopted(item, self) for item in inputs), **options)

    __add__, __radd__ = _operator(Tensor.__add__, True), _operator(Tensor.__radd__, True)
    __sub__, __rsub__ = _operator(Tensor.__sub__, True), _operator(Tensor.__rsub__, True)
    __mul__, __rmul__ = _operator(Tensor.__mul__, True), _operator(Tensor.__rmul__, True)
    __truediv__, __rtruediv__ = _operator(Tensor.__truediv__, True), _operator(Tensor.__rtruediv__, True)
    __floordiv__ = _operator(floor_quotient, True)
    __rfloordiv__ = _operator(lambda self, dividend: floor_quotient(dividend, self), True)
    __matmul__, __rmatmul__ = _operator(Tensor.__matmul__, True), _operator(Tensor.__rmatmul__, True)
    __lt__, __le__ = _operator(Tensor.__lt__, True), _operator(Tensor.__le__, True)
    __gt__, __ge__ = _operator(Tensor.__gt__, True), _operator(Tensor.__ge__, True)
    __pow__, __rpow__ = _operator(power, True), _operator(lambda self, base: power(base, self), True)
    __and__ = __rand__ = _operator(functions.logical_and)
    __or__ = __ror__ = _operator(functions.logical_or)
    __invert__ = _operator(functions.logical_not)
    __neg__, __abs__ = _operator(Tensor.__neg__), _operator(Tensor.__abs__)

    @_operator
    def __getitem__(self, index: Any) -> Tensor:
        index = index if isinstance(index, tuple) else (index,)
        bounds = [bound for item in index if isinstance(item, slice) for bound in (item.start, item.stop)]
        tensor, index = with_clamped(self, index)
        cut, index = with_computed(tensor, slices_by_sizes(tensor, index))
        return Tensor.__getitem__(cut, index) if cut is tensor else anchored(Tensor.__getitem__(cut, index), bounds)


# Conversion -------------------------------------------------------------------------------------------


def floats_adopted(arguments: Iterable[Any]) -> list[Any]:
    """Arguments of a function, or entries of one that is a list: float64 arrays take the dtype of a Tensor of floats.

    Axes, shapes and ids are no arrays of floats, so that what is converted stands for a Tensor.
    """
    given = list(arguments)
    inner = [item for argument in given if isinstance(argument, list | tuple) for item in argument]
    everywhere = [*given, *inner]
    if not any(map(_is_double, everywhere)):
        return given
    beside = next((item for item in everywhere if isinstance(item, TfTensor) and item.dtype in FLOATS), None)
    if beside is None:
        return given

    def adopt(item: Any) -> Any:
        if type(item) in (list, tuple):
            return type(item)([adopt(entry) for entry in item])
        return adopted(item, beside) if _is_double(item) else item

    return [adopt(item) for item in given]


def _is_double(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.float64


OPERANDS = frozenset({
    "a", "b", "data", "diagonal", "features", "input", "input_", "input_tensor", "inputs",
    "params", "t", "tensor", "x", "y",
})  # fmt: skip
"""Arguments of TensorFlow's functions that are converted to Tensors; all others are axes, shapes and indices."""


def ints_adopted(operands: Mapping[str, Any]) -> dict[str, Any]:
    """Python's ints among the operands of a function as constants of int32, where nothing else says their dtype."""
    if any(_has_dtype(value) for value in operands.values()):
        return {}
    return {name: _of_int32(name, value) for name, value in operands.items() if _holds_ints(value)}


def _has_dtype(value: Any) -> bool:
    """True for arrays, floats and Tensors of numbers, and for lists of them."""
    if isinstance(value, list | tuple):
        return any(map(_has_dtype, value))
    return isinstance(value, np.ndarray | np.generic | float) or (
        isinstance(value, Tensor) and value.type.dtype != "bool"
    )


def _holds_ints(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_holds_ints, value))
    return type(value) is int


def _of_int32(name: str, value: Any) -> Any:
    if name == "inputs" and isinstance(value, list | tuple):  # of several operands
        return [constant(item, "int32") for item in value]
    return constant(value, "int32")


# Results ----------------------------------------------------------------------------------------------


def operation_of(value: Any, kind: str, inputs: Sequence[Any]) -> Any:
    """Return the operation that made a Tensor or a variable, as its ``op``. kind: its type."""
    name = value.name.removesuffix(":0")
    return SimpleNamespace(name=name, outputs=[value], inputs=inputs, type=kind, device="", run=lambda *a, **k: None)


def as_tensorflow(nest: Any) -> Any:
    """A nest with ``TfTensor``s in place of plain Tensors."""
    if isinstance(nest, TfTensor):
        return nest
    if isinstance(nest, Tensor):
        return TfTensor(nest.node)
    return map_leaves(as_tensorflow, nest) if isinstance(nest, list | tuple | dict) else nest


def gives_tensors(target: Target) -> Target:
    """Stands at public functions and methods of ``tf``: the Tensors that they give are ``TfTensor``s."""

    @wraps(target)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return as_tensorflow(target(*arguments, **keywords))

    return cast("Target", api(call))
