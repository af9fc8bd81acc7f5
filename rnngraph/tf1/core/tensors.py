"""Tensors of TensorFlow 1.x programs: rnngraph's ``Tensor`` with ``eval``, ``get_shape``, ``op`` and so on.

Functions of ``tf`` return ``TfTensor``s, and so do operators and functions of ``rg`` with a ``TfTensor`` operand.
Results of plain Tensors stay plain. A ``TfTensor`` stores only a node of the declaration, and uses the current graph
and session.
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
from .dtypes import DType
from .elementwise import power, quotient
from .graph import Graph, get_default_graph, present_session
from .shapes import TensorShape
from .sizes import anchored, apply_clamped_slices, apply_computed_slices, floor_quotient, with_sizes_as_bounds

Target = TypeVar("Target", bound=Callable[..., Any])
DTYPES = {name: DType(name) for name in (*FLOATS, *INTEGERS, "bool")}


def convert_operand(value: Any, other: Tensor) -> Any:
    """Return an array or list of numbers as a constant of ``other``'s dtype; return other values unchanged."""
    if not isinstance(value, list | tuple | np.ndarray) or holds_tensors(value):
        return value
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list, which the called function reports
        return value
    fits = array.dtype.kind in ("fiu" if other.dtype in FLOATS else "iu")
    if not fits or str(array.dtype) == other.dtype:
        return value
    return constant(array.astype(other.dtype))


def _operator(method: Callable[..., Tensor], converts: bool = False) -> Any:
    """Return ``Tensor``'s operator ``method`` with the effects of open control dependencies and ``tf.cond`` branches.

    Args:
        method: The operator of ``Tensor``.
        converts: True to convert operands that are arrays and lists to the Tensor's dtype.
    """

    def operate(self: TfTensor, *others: Any) -> Tensor:
        operands = (self, *(convert_operand(other, self) if converts else other for other in others))
        graph = get_default_graph()
        branch = graph.branch_read()
        result = handed_on(method, operands if branch is None else branch.reads(operands), {})
        if branch is not None:
            branch.owns(result)
        return graph.following(result, operands) if graph.collections["control_inputs"] else result

    return operate


def _quotient_by(divisor: Tensor, dividend: Any) -> Tensor:
    return quotient(dividend, divisor)


class TfTensor(Tensor, propagates=True):
    """``tf.Tensor``."""

    __slots__ = ()

    @property
    def shape(self) -> TensorShape:
        """Static shape."""
        return TensorShape(super().shape)

    @property
    def dtype(self) -> DType:
        """Dtype, with TensorFlow's attributes such as ``as_numpy_dtype``."""
        return DTYPES[self.type.dtype]

    device = ""

    @property
    def graph(self) -> Graph:
        """The current graph."""
        return get_default_graph()

    @property
    def op(self) -> Any:
        """Operation of the Tensor, with the name that the program gave it, or the name of rnngraph's op."""
        operation = operation_of(self, self.node.op, [TfTensor(node) for node in self.node.operands])
        if self.node.op != "parameter":  # a variable has its own name
            operation.name = get_default_graph().name_of(self.node) or operation.name
        return operation

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Return the value in a session, by default the entered session."""
        return present_session(session).run(self, feed_dict)

    def get_shape(self) -> TensorShape:
        """Return the static shape."""
        return TensorShape(self.shape)

    def set_shape(self, shape: Any) -> None:
        """Replace symbolic sizes by the ints in ``shape``; a run checks them. Raise ``ShapeError`` if ints differ."""
        sizes = TensorShape(shape).as_list() if shape is not None else [None] * self.rank
        TensorShape(self.shape).assert_is_compatible_with(sizes)
        dims = tuple(dim if size is None else size for size, dim in zip(sizes, self.type.shape, strict=True))
        if dims != self.type.shape:
            self._node = build("ensure_shape", Tensor(self.node), shape=dims).node

    def consumers(self) -> Sequence[Any]:
        """Return an empty sequence: a Tensor does not know its readers."""
        return ()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Tensor.__hash__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Tensor:
        return super().__array_ufunc__(ufunc, method, *(convert_operand(item, self) for item in inputs), **options)

    __add__, __radd__ = _operator(Tensor.__add__, True), _operator(Tensor.__radd__, True)
    __sub__, __rsub__ = _operator(Tensor.__sub__, True), _operator(Tensor.__rsub__, True)
    __mul__, __rmul__ = _operator(Tensor.__mul__, True), _operator(Tensor.__rmul__, True)
    __truediv__, __rtruediv__ = _operator(quotient, True), _operator(_quotient_by, True)
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
        tensor, index = apply_clamped_slices(self, index)
        cut, index = apply_computed_slices(tensor, with_sizes_as_bounds(tensor, index))
        return Tensor.__getitem__(cut, index) if cut is tensor else anchored(Tensor.__getitem__(cut, index), bounds)


# Conversion -------------------------------------------------------------------------------------------


def convert_double_arrays(arguments: Iterable[Any]) -> list[Any]:
    """Convert float64 arrays among values, and among entries of lists, to the dtype of their first float Tensor.

    Without such a Tensor, all values are returned unchanged.

    Axes, shapes and ids are not arrays of floats. A converted array is therefore always an operand.
    """
    values = list(arguments)
    inner = [item for argument in values if isinstance(argument, list | tuple) for item in argument]
    everywhere = [*values, *inner]
    if not any(map(_is_double_array, everywhere)):
        return values
    other = next((item for item in everywhere if isinstance(item, TfTensor) and item.dtype in FLOATS), None)
    if other is None:
        return values

    def adopt(item: Any) -> Any:
        if type(item) in (list, tuple):
            return type(item)([adopt(entry) for entry in item])
        return convert_operand(item, other) if _is_double_array(item) else item

    return [adopt(item) for item in values]


def _is_double_array(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.float64


OPERANDS = frozenset(
    {
        "a",
        "b",
        "data",
        "diagonal",
        "features",
        "input",
        "input_",
        "input_tensor",
        "inputs",
        "params",
        "t",
        "tensor",
        "x",
        "y",
    }
)
"""Names of the arguments that TensorFlow's functions convert to Tensors. Ints elsewhere are axes, shapes or indices."""


def convert_python_ints(operands: Mapping[str, Any]) -> dict[str, Any]:
    """Return the operands that are Python's ints, as int32 constants, by name.

    The result is empty if another operand determines the dtype: a float, an array or a Tensor of numbers.
    """
    if any(_has_dtype(value) for value in operands.values()):
        return {}
    return {name: _of_int32(name, value) for name, value in operands.items() if _holds_ints(value)}


def _has_dtype(value: Any) -> bool:
    """True for arrays, NumPy scalars, floats and Tensors of numbers, and for lists that contain one of them."""
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
    if name == "inputs" and isinstance(value, list | tuple):  # the inputs of tf.add_n, a list of operands
        return [constant(item, "int32") for item in value]
    return constant(value, "int32")


# Results ----------------------------------------------------------------------------------------------


def operation_of(value: Any, kind: str, inputs: Sequence[Any]) -> Any:
    """Return the ``op`` of a Tensor or a variable: a record with the attributes of ``tf.Operation``.

    Args:
        value: The Tensor or variable.
        kind: Type of the operation.
        inputs: Inputs of the operation.
    """
    name = value.name.removesuffix(":0")
    return SimpleNamespace(name=name, outputs=[value], inputs=inputs, type=kind, device="", run=lambda *a, **k: None)


def as_tensorflow(nest: Any) -> Any:
    """Return a nest (a Tensor, or nested lists, tuples and dicts) with ``TfTensor``s in place of plain Tensors."""
    if isinstance(nest, TfTensor):
        return nest
    if isinstance(nest, Tensor):
        return TfTensor(nest.node)
    return map_leaves(as_tensorflow, nest) if isinstance(nest, list | tuple | dict) else nest


def gives_tensors(target: Target) -> Target:
    """Decorate a public function of ``tf`` so that its results are ``TfTensor``s."""

    @wraps(target)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return as_tensorflow(target(*arguments, **keywords))

    return cast("Target", api(call))
