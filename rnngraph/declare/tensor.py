"""Tensors: immutable public handles of IR nodes, with operators and slices."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Never

import numpy as np

from ..ir.attributes import MAX_AXES
from ..ir.graph import Node, make
from ..ir.types import FLOATS, INTEGERS, KEEP_NARROW, NARROW, Dim, TensorType, unify_declared
from ..support.allocation import reserve
from ..support.api_guard import api
from ..support.arguments import checked_name, refuse_mask
from ..support.attribute_hints import OF_TENSORS, Unoperated
from ..support.display.html import headed
from ..support.errors import DtypeError, GraphError, RnnGraphError, ShapeError, Where, shown, user_line
from .layer import in_layer
from .nest import flatten
from .public_types import bounds_of, check_dtype, position_of, public_dim, public_type

declared = itertools.count()
"""Counter of declarations. Compilation names objects in the order of declaration."""


class Tensor(Unoperated):
    """A symbolic value of the declaration.

    A front end may add attributes in a subclass that is declared with ``propagates=True``. Operations on a Tensor of
    such a subclass return the same subclass: see ``result_class``.

    Attributes:
        name (str): Name of the value.
        shape (tuple): Size of each axis: an int, None for an unnamed symbolic size, or a str for a named one.
        dtype (str): ``float32``, ``float64``, ``int32``, ``int64``, ``bool``, or a dtype that only stores weights.
        rank (int): Number of axes.
        width (int): Size of the last axis.
    """

    __slots__ = ("_node",)
    _instead = OF_TENSORS
    _results: ClassVar[type[Tensor]]
    """Class of the results of operations on Tensors of this class."""
    _of_cells: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    """Overrides of cells' methods, by name, for calls with Tensors of this class."""

    def __init_subclass__(cls, propagates: bool = False) -> None:
        super().__init_subclass__()
        if propagates:
            cls._results = cls

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def node(self) -> Node:
        return self._node

    @property
    def name(self) -> str:
        return self._node.name or str(self._node.get("label", self._node.op))

    @property
    def type(self) -> TensorType:
        return self._node.tensor

    @property
    def shape(self) -> tuple[int | str | None, ...]:
        return tuple(public_dim(dim) for dim in self.type.shape)

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return self.type.rank

    @property
    def width(self) -> int:
        """Size of the last axis. Raises ``ShapeError`` if it is symbolic."""
        if not self.type.shape or not isinstance(self.type.shape[-1], int):
            raise ShapeError(f"{self!r} has no fixed width; declare its last size as an int")
        return self.type.shape[-1]

    def __repr__(self) -> str:
        return f"<Tensor {self.name} {public_type(self.type)}>"

    def _repr_html_(self) -> str:
        where = f", declared at {self._node.where}" if self._node.where else ""
        return headed(f"Tensor {self.name}", f"{public_type(self.type)} by {self._node.op}{where}")

    def __reduce__(self) -> Never:
        raise GraphError(
            f"{self!r} cannot be pickled, because it belongs to this process's declaration; pickle the program that "
            "rg.compile makes of it, or declare it in a function that every process calls"
        )

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        """Return the Tensor itself, so that deep copies of cells refer to the same declaration."""
        return self

    def __bool__(self) -> bool:
        raise DtypeError("a Tensor has no truth value while declaring; use rg.where to choose by its values")

    def __len__(self) -> int:
        raise DtypeError(f"a Tensor has no len while declaring; use {self.name}.shape, where None is any size")

    def __float__(self) -> float:
        raise DtypeError("a Tensor has no value while declaring; compile it, and run the program")

    __int__ = __index__ = __float__

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Tensor:
        function = UFUNCS.get(ufunc.__name__)
        if function is None or method != "__call__" or options:
            raise _array_function_error(ufunc.__name__)
        return function(*inputs)

    def __array_function__(self, function: Callable[..., Any], *_: Any) -> Any:
        raise _array_function_error(function.__name__)

    def __iter__(self) -> Any:
        raise DtypeError("a Tensor can't be iterated; use slices, rg.split or a driver such as rg.dynamic_rnn")

    def __add__(self, other: Any) -> Tensor:
        return binary("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return binary("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return binary("sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return binary("sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return binary("mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return binary("mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return divided(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return divided(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return UFUNCS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return UFUNCS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Tensor:
        return UFUNCS["remainder"](self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return UFUNCS["remainder"](other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    def __pow__(self, exponent: Any) -> Tensor:
        return UFUNCS["power"](self, exponent)

    def __rpow__(self, base: Any) -> Tensor:
        return UFUNCS["power"](base, self)

    def __matmul__(self, other: Any) -> Tensor:
        return UFUNCS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return UFUNCS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return build("neg", self)

    def __abs__(self) -> Tensor:
        return build("abs", self)

    def __lt__(self, other: Any) -> Tensor:
        return binary("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return binary("less", other, self)

    def __ge__(self, other: Any) -> Tensor:
        return binary("less_equal", other, self)

    def __getitem__(self, index: Any) -> Tensor:
        return take_slice(self, index if isinstance(index, tuple) else (index,))


Tensor._results = Tensor


def result_class(tensors: Iterable[Tensor]) -> type[Tensor]:
    """Return the class of the result of an operation on ``tensors``.

    The result has the class of the first Tensor whose subclass propagates, or else ``Tensor``.
    """
    for item in tensors:
        if item._results is not Tensor:
            return item._results
    return Tensor


def class_within(nest: Any) -> type[Tensor]:
    """Return ``result_class`` of the Tensors in a nest. Other leaves are ignored."""
    return result_class(item for item in flatten(nest) if isinstance(item, Tensor))


def build(op: str, *operands: Tensor, name: str = "", where: Where | None = None, **attributes: Any) -> Tensor:
    """Return a Tensor for the result of an op. Its class is the ``result_class`` of the operands."""
    where = in_layer(where or user_line())
    try:
        node = make(op, *(item.node for item in operands), where=where, name=name, unify=unify_declared, **attributes)
        if isinstance(node.type, TensorType) and node.type.rank > MAX_AXES:
            raise ValueError(f"it has {node.type.rank} axes, and a Tensor has {MAX_AXES} at most")
        if op not in (*KEEP_NARROW, "cast"):
            for kind in (item.node.type for item in operands):
                if isinstance(kind, TensorType) and kind.dtype in NARROW:
                    raise TypeError(f"{kind.dtype} only stores numbers; widen them with rg.cast or rg.dequantize")
    except RnnGraphError:
        raise
    except TypeError as error:
        raise DtypeError(f"{op}: {error}", where) from None
    except ValueError as error:
        types = " of " * bool(operands) + " and ".join(public_type(item.type) for item in operands)
        what = re.sub(r"\b_\d+_\d+\b", "?", str(error))  # unnamed sizes
        raise ShapeError(f"{op}{types}: {what}", where) from None
    return result_class(operands)(node)


@api
def constant(value: Any, dtype: str | None = None, name: str = "") -> Tensor:
    """Return a constant Tensor.

    Args:
        value: Number, nested list, or array. A Tensor is returned unchanged.
        dtype: Dtype of the result. By default, arrays keep their dtype, Python floats become float32, and Python ints
            int64.
        name: Name in printed graphs.

    Raises:
        DtypeError: The value is not numeric, an int ``dtype`` cannot hold it exactly, or its dtype is not one of a
            Tensor's.
        ShapeError: A nested list is ragged.
    """
    if isinstance(value, Tensor):
        return value
    refuse_mask(value, "a constant")
    if isinstance(value, np.ndarray):
        reserve(2 * value.nbytes, "a constant")
    try:
        array = np.array(value)
    except RnnGraphError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:  # torch raises RuntimeError
        raise ShapeError(f"not a constant: {error}") from None
    if array.dtype.kind not in "fiub":
        kind = {"U": "text", "S": "bytes", "O": "objects"}.get(array.dtype.kind, str(array.dtype))
        raise DtypeError(f"a constant needs numbers or bools, not {kind}")
    if dtype is None:
        is_array = isinstance(value, np.ndarray | np.generic)
        native = str(array.dtype.newbyteorder("="))
        dtype = native if is_array else {"f": "float32", "i": "int64"}.get(array.dtype.kind, native)
    check_dtype(dtype)
    with np.errstate(invalid="ignore"):
        converted = array.astype(dtype)
    if converted.dtype.kind == "i" and not np.array_equal(converted, array):
        raise DtypeError(f"{shown(value)} does not fit {dtype}; give whole numbers, or convert with rg.cast")
    array = np.ascontiguousarray(converted).reshape(array.shape)
    array.flags.writeable = False
    label = "" if name is None or (isinstance(name, str) and not name) else checked_name(name, "a constant")
    return build("constant", value=array, name=label)


def as_tensor(x: Any) -> Tensor:
    """Convert ``x`` to a Tensor. A list that contains Tensors is stacked along a new first axis."""
    return x if isinstance(x, Tensor) else _stack(x) if holds_tensors(x) else constant(x)


def floats(x: Any, name: str) -> Tensor:
    """Convert ``x`` to a Tensor of floats. Raise ``DtypeError`` for another dtype."""
    x = as_tensor(x)
    if x.dtype not in FLOATS:
        raise DtypeError(f"{name} needs floats, not {x!r}; convert with rg.cast")
    return x


def holds_tensors(value: Any) -> bool:
    """True if a list or tuple contains Tensors at any depth."""
    return isinstance(value, list | tuple) and any(isinstance(item, Tensor) or holds_tensors(item) for item in value)


def _stack(values: Sequence[Any], like_tensor: Tensor | None = None) -> Tensor:
    """Stack Tensors and numbers along a new first axis. Numbers take the dtype of the first Tensor."""
    first = like_tensor or next(item for item in flatten(values) if isinstance(item, Tensor))
    items = [_stack(item, first) if holds_tensors(item) else like(item, first) for item in values]
    rows = [build("reshape", item, shape=(1, *item.type.shape)) for item in items]
    return rows[0] if len(rows) == 1 else build("concat", *rows, axis=0)


def like(value: Any, other: Tensor) -> Tensor:
    """Convert ``value`` to a Tensor. A Python number or NumPy scalar takes the dtype of ``other``."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool | int | float) or (isinstance(value, np.generic) and value.ndim == 0):
        if isinstance(value, float | np.floating) and other.dtype in INTEGERS and not float(value).is_integer():
            raise DtypeError(f"{value} can't be combined with a Tensor of {other.dtype}; rg.cast the Tensor to float32")
        return constant(value, dtype=other.dtype)
    return as_tensor(value)


def pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Convert both operands to Tensors. A number takes the dtype of the other operand if that is a Tensor."""
    first = a if isinstance(a, Tensor) else like(a, b) if isinstance(b, Tensor) else as_tensor(a)
    return first, like(b, first)


def binary(op: str, a: Any, b: Any) -> Tensor:
    return build(op, *pair(a, b))


def divided(a: Any, b: Any) -> Tensor:
    """Return ``a / b`` of floats. Integers raise ``DtypeError``."""
    a, b = pair(a, b)
    if a.dtype in INTEGERS and a.dtype == b.dtype:
        raise DtypeError(
            f"div: an operand is {a.dtype}; it must be float32 or float64; convert with rg.cast, or write x // y"
        )
    return build("div", a, b)


UFUNCS: dict[str, Callable[..., Tensor]] = {
    "add": partial(binary, "add"),
    "subtract": partial(binary, "sub"),
    "multiply": partial(binary, "mul"),
    "divide": divided,
    "less": partial(binary, "less"),
    "less_equal": partial(binary, "less_equal"),
    "greater": lambda a, b: binary("less", b, a),
    "greater_equal": lambda a, b: binary("less_equal", b, a),
}
"""Implementations of NumPy's ufuncs, which NumPy calls if the left operand is an array or a NumPy scalar.

``functions.matching`` adds ``matmul``, and ``functions.elementary`` ``power``, ``remainder`` and ``floor_divide``.
"""


def _array_function_error(name: str) -> DtypeError:
    """Return the error for a call of the NumPy function ``name`` with a Tensor."""
    from ..support.numpy_names import NUMPY  # imported late: needed for an error only

    hint = f"use rg.{NUMPY[name]}" if name in NUMPY else "write it with the functions of rnngraph"
    return DtypeError(f"np.{name} computes with arrays, and a Tensor has no value while declaring; {hint}")


def take_slice(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    """Apply NumPy's basic indexing: ints, slices, ``...`` and None. Scalar int Tensors count as ints."""
    where = user_line()
    if any(isinstance(item, Tensor) for item in index):
        return _take_numbers(x, index, where)
    named = [item for item in index if item is not None and item is not Ellipsis]
    if len(named) > x.rank:
        raise ShapeError(f"{len(named)} indices for {x!r} of rank {x.rank}; give {x.rank} at most", where)
    dots = [position for position, item in enumerate(index) if item is Ellipsis]  # arrays override ==
    if len(dots) > 1:
        raise ShapeError("an index can contain only one ...; write : for the other axes", where)
    position = dots[0] if dots else len(index)
    fill = (slice(None),) * (x.rank - len(named))
    index = (*index[:position], *fill, *index[position + 1 :])
    bounds: list[tuple[Dim, Dim, int]] = []
    flipped: list[int] = []
    shape: list[Dim | None] = []  # None: a sliced axis; 1: a new axis; 0: a dropped axis
    for item in index:
        if item is None:
            shape.append(1)
            continue
        axis = len(bounds)
        dim = x.type.shape[axis]
        if isinstance(item, slice):
            start, stop, step = bounds_of(item, dim, where)
            if step < 0:
                flipped.append(axis)
            bounds.append((start, stop, abs(step)))
            shape.append(None)
        elif isinstance(item, int | np.integer) and not isinstance(item, bool):
            start = position_of(int(item), dim, where)
            bounds.append((start, start + 1, 1))
            shape.append(0)
        else:
            raise DtypeError(f"can't index with {shown(item)}; use ints, slices, ... or None, or rg.gather", where)
    result = x
    for axis in flipped:
        result = build("reverse", result, axis=axis, where=where)
    if any(bound != (0, dim, 1) for bound, dim in zip(bounds, x.type.shape, strict=True)):
        starts, stops, steps = zip(*bounds, strict=True)
        result = build("slice", result, start=starts, stop=stops, step=steps, where=where)
    sizes = iter(result.type.shape)
    final: list[Dim] = []
    for entry in shape:
        if entry == 1 and entry is not None:
            final.append(1)
            continue
        dim = next(sizes)
        if entry is None:
            final.append(dim)
    if len(final) != result.rank or any(entry == 1 for entry in shape):
        result = build("reshape", result, shape=tuple(final), where=where)
    return result


def _take_numbers(x: Tensor, index: tuple[Any, ...], where: Where | None) -> Tensor:
    """Apply ``take_slice`` with scalar int Tensors as indices. Negative ones count from the end."""
    result = take_slice(x, tuple(slice(None) if isinstance(item, Tensor) else item for item in index))
    dots = [number for number, item in enumerate(index) if item is Ellipsis]
    for place in reversed(range(len(index))):
        number = index[place]
        if not isinstance(number, Tensor):
            continue
        if number.rank or number.dtype not in INTEGERS:
            raise DtypeError(f"can't index with {shown(number)}; use a scalar int, or rg.gather", where)
        axis = len([item for item in index[:place] if item is None or isinstance(item, slice | Tensor)])
        if dots and dots[0] < place:
            axis = (
                result.rank - 1 - len([item for item in index[place + 1 :] if item is None or isinstance(item, slice)])
            )
        size = build("cast", build("dimension", size=result.type.shape[axis], where=where), dtype=number.dtype)
        number = build("select", number < 0, number + size, number, where=where)
        order = (axis, *(other for other in range(result.rank) if other != axis))
        axis_first = build("transpose", result, order=order, where=where) if axis else result
        result = build("gather", axis_first, number, where=where)
    return result
