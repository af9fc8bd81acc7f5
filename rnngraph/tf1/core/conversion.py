"""Arrays and lists beside a Tensor of a graph: they take its dtype, as TensorFlow converts them.

``rg`` converts nothing silently, so that only what depends on the current graph's placeholders and variables does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ...declare.functions import basic as functions
from ...declare.tensor import Tensor, constant, holds_tensors
from ...ir.types import FLOATS
from ...support.api_guard import handed_on
from .elementwise import power
from .graph import get_default_graph
from .sizes import slices_by_sizes, with_clamped

OPERATORS = (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "matmul", "rmatmul", "lt", "le",
    "gt", "ge",
)  # fmt: skip


def adopted(value: Any, beside: Tensor) -> Any:
    """An array, or a list of numbers, as a constant of the dtype of a Tensor of the graph; all else as it is."""
    if not isinstance(value, list | tuple | np.ndarray) or holds_tensors(value):
        return value
    try:
        array = np.asarray(value)
    except ValueError:  # of lists of different lengths, which who takes it tells of
        return value
    fits = array.dtype.kind in ("fiu" if beside.dtype in FLOATS else "iu")
    if not fits or str(array.dtype) == beside.dtype or not of_graph(beside):
        return value
    return constant(array.astype(beside.dtype))


def floats_adopted(arguments: Iterable[Any]) -> list[Any]:
    """Arguments of a function, or entries of one that is a list: float64 arrays take the dtype of a Tensor of floats.

    Axes, shapes and ids are no arrays of floats, so that what is converted stands for a Tensor.
    """
    given = list(arguments)
    inner = [item for argument in given if isinstance(argument, list | tuple) for item in argument]
    everywhere = [*given, *inner]
    if not any(map(_is_double, everywhere)):
        return given
    beside = next((item for item in everywhere if isinstance(item, Tensor) and item.dtype in FLOATS), None)
    if beside is None or not of_graph(beside):
        return given

    def adopt(item: Any) -> Any:
        if type(item) in (list, tuple):
            return type(item)([adopt(entry) for entry in item])
        return adopted(item, beside) if _is_double(item) else item

    return [adopt(item) for item in given]


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


def _is_double(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.float64


def of_graph(tensor: Tensor) -> bool:
    """Whether a Tensor depends on a placeholder or a variable of the current graph, or on a step that it traces."""
    graph = get_default_graph()
    if graph.steps or graph.within is not None:
        return True
    seen, waiting = {tensor.node}, [tensor.node]
    while waiting:
        node = waiting.pop()
        if node in graph.placed or (node.op == "parameter" and node["slot"] in graph.variables):
            return True
        new = [operand for operand in node.operands if operand not in seen]
        seen.update(new)
        waiting += new
    return False


def _beside(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda tensor, *others: handed_on(method, (tensor, *(adopted(other, tensor) for other in others)), {})


def _following(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An operator of Tensors before which the operations of ``tf.control_dependencies`` run."""

    def call(tensor: Tensor, *others: Any) -> Tensor:
        graph = get_default_graph()
        branch = graph.branch_read()
        read = (tensor, *others) if branch is None else branch.reads((tensor, *others))
        result = handed_on(method, tuple(read), {})
        if branch is not None:
            branch.owns(result)
        if not graph.collections["control_inputs"]:
            return result
        return graph.following(result, (tensor, *others))

    return call


def extend_operators() -> None:
    """Has Tensors' operators convert what stands beside Tensors of a graph, and follow ``tf.control_dependencies``."""
    for name in OPERATORS:
        setattr(Tensor, f"__{name}__", _following(_beside(getattr(Tensor, f"__{name}__"))))
    setattr(Tensor, "__pow__", _following(_beside(power)))  # noqa: B010
    setattr(Tensor, "__rpow__", _following(_beside(lambda tensor, base: power(base, tensor))))  # noqa: B010
    take = Tensor.__getitem__

    def take_by_sizes(tensor: Tensor, index: Any) -> Tensor:
        tensor, index = with_clamped(tensor, index if isinstance(index, tuple) else (index,))
        return take(tensor, slices_by_sizes(tensor, index))

    setattr(Tensor, "__getitem__", _following(take_by_sizes))  # noqa: B010
    of_arrays = Tensor.__array_ufunc__

    def of_both(tensor: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Tensor:
        return of_arrays(tensor, ufunc, method, *(adopted(item, tensor) for item in inputs), **options)

    setattr(Tensor, "__array_ufunc__", of_both)  # noqa: B010
    for name, function in (("and", functions.logical_and), ("or", functions.logical_or)):
        setattr(Tensor, f"__{name}__", _following(function))
        setattr(Tensor, f"__r{name}__", _following(function))
    setattr(Tensor, "__invert__", _following(functions.logical_not))  # noqa: B010
    for name in ("neg", "abs"):
        setattr(Tensor, f"__{name}__", _following(getattr(Tensor, f"__{name}__")))
    told = Tensor.__eq__
    # A Tensor of the graph is no number, which programs ask of what may be one, such as a share to keep.
    setattr(Tensor, "__eq__", lambda self, other: self is other if of_graph(self) else told(self, other))  # noqa: B010
