"""Cells: what a user subclasses, and what a cell's ``step`` is given while it is traced."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArgumentError, DtypeError, NameLookupError, ShapeError, Where, did_you_mean, user_line
from ..ir.graph import Node, make, remake, topological
from ..ir.types import Dim, TensorType, meet_declared
from .initializers import initializer_of
from .nest import arranged, flatten, matched, pack
from .parameters import Slot, check_shape, slot_node
from .state import Columns, named, public, resolve, stated, widths
from .tensor import Tensor, build, constant, declared

RANDOM = ("dropout", "noise")
"""Ops that draw, as declared."""


def snake_case(name: str) -> str:
    """BasicLSTMCell becomes basic_lstm_cell, as in TensorFlow's variable names."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return words.lower()


class Cell:
    """Base of all cells.

    A subclass gives ``state()``, what one row carries as ``{name: width}``, and ``step(p, x, state)``,
    which is traced once and returns (output, new state). ``p`` makes or finds the cell's parameters. The
    optional ``initial_state(p)`` gives a nest of Tensors, each [width] or [batch, width]; default zeros.
    """

    state_type: Any = None
    adds_scope = True
    scope_name: str | None = None  # in parameter names; the class's name in snake case where it is None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        original = cls.__dict__.get("__init__")
        if original is None:
            return

        def remember(self: Cell, *arguments: Any, **keywords: Any) -> None:
            if "where" not in self.__dict__:
                self.where = user_line()
                self.call = _call_text(type(self).__name__, arguments, keywords)
            original(self, *arguments, **keywords)

        remember.__doc__, remember.__wrapped__ = original.__doc__, original  # type: ignore[attr-defined]
        cls.__init__ = remember  # type: ignore[method-assign, assignment]

    where: Where | None = None
    call: str = ""

    def state(self) -> Any:
        raise ArgumentError(f"{type(self).__name__} does not say what it carries; give it a method state()")

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        raise ArgumentError(f"{type(self).__name__} has no equations; give it a method step(p, x, state)")

    def initial_state(self, p: Scope) -> Any:
        return None

    @property
    def state_size(self) -> Any:
        """Widths of the state, in the structure that drivers give."""
        return widths(public(self))

    @property
    def output_size(self) -> int:
        """Width of the output. A cell whose output is not its last state sets its own."""
        return int(flatten(public(self))[-1].width)

    def zero_state(self, batch_size: int, dtype: Any = "float32") -> Any:
        """Zeros of shape [batch_size, width], in the structure of the state."""
        if isinstance(batch_size, Tensor) or not isinstance(batch_size, int) or batch_size <= 0:
            raise DtypeError(
                f"zero_state needs a positive int as batch size, not {batch_size!r}; "
                "a driver without initial_state starts from zeros of any batch"
            )
        import numpy as np

        from .tensor import check_dtype

        kind = check_dtype(dtype)
        leaves = [constant(np.zeros((batch_size, leaf.width), kind)) for leaf in flatten(public(self))]
        return pack(public(self), leaves)

    def __repr__(self) -> str:
        return self.call or type(self).__name__


def _call_text(name: str, arguments: Sequence[Any], keywords: dict[str, Any]) -> str:
    parts = [_argument_text(value) for value in arguments]
    parts += [f"{key}={_argument_text(value)}" for key, value in keywords.items()]
    return f"{name}({', '.join(parts)})"


def _argument_text(value: Any) -> str:
    if isinstance(value, Cell):
        return type(value).__name__
    if isinstance(value, list | tuple) and any(isinstance(item, Cell) for item in value):
        return f"[{len(value)} cells]"
    if isinstance(value, Tensor):
        return value.name
    return getattr(value, "__name__", None) or repr(value)


class Wrapper(Cell):
    """Base of cells around a cell. It adds no scope to names; ``self.cell`` is what it wraps."""

    adds_scope = False

    def __init__(self, cell: Cell) -> None:
        self.cell = check_cell(cell, type(self).__name__)

    def state(self) -> Any:
        return self.cell.state()

    @property
    def state_type(self) -> Any:
        """The wrapped cell's, unless this wrapper carries other states."""
        carried, inner = self.state(), self.cell.state()
        if not isinstance(carried, dict) or not isinstance(inner, dict) or carried.keys() != inner.keys():
            return None
        return self.cell.state_type or _named_like(self.cell)

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return p.cell(None, self.cell)(x, state)

    def initial_state(self, p: Scope) -> Any:
        return p.cell(None, self.cell).initial_state()

    @property
    def output_size(self) -> int:
        return self.cell.output_size


def _named_like(cell: Cell) -> Any:
    nest = public(cell)
    return type(nest) if hasattr(nest, "_fields") else None


def check_cell(cell: Any, what: str) -> Cell:
    if not isinstance(cell, Cell):
        hint = f"; did you mean {cell.__name__}(…)?" if isinstance(cell, type) else ""
        raise DtypeError(f"{what} needs a cell (a subclass of rg.Cell), not {cell!r}{hint}")
    return cell


class shared(Wrapper):  # noqa: N801  (written as a function: rg.shared(cell))
    """Every use of the result is one set of parameters, named at its first position; gradients add up."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.slots: dict[str, Slot] = {}


class _States(dict[str, Any]):
    """What ``step`` is given of the state: a dict that knows what to say of a name it has not."""

    def __missing__(self, name: str) -> Any:
        carried = did_you_mean(name, self) or f"; the cell carries {', '.join(self) or 'none'}"
        raise NameLookupError(f"no state is named {name!r}{carried}")


@dataclass
class Trace:
    """What is gathered while one driver traces its cell."""

    dtype: str
    where: Where | None
    parameters: list[tuple[Slot, str]] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)

    def site(self, path: str) -> str:
        """A name for a dropout site that this driver has not given out before."""
        count, name = 0, path
        while name in self.sites:
            count += 1
            name = f"{path}_{count}"
        self.sites.append(name)
        return name


class Scope:
    """Makes or finds a cell's parameters by name, and runs inner cells. Handed to ``step`` as ``p``."""

    def __init__(self, trace: Trace, position: str, path: str, slots: dict[str, Slot], at: str) -> None:
        self._trace = trace
        self._position = position  # where the cell stands, without its own name
        self._path = path  # where its parameters live
        self._slots = slots  # by path relative to ``_at``
        self._at = at  # where ``_slots`` begins: the driver, or a shared cell
        self._maps: tuple[ParameterMap, ...] = ()  # what parameters pass through, in this order

    @property
    def dtype(self) -> str:
        """dtype of the driver's inputs."""
        return self._trace.dtype

    def parameter(
        self, name: str, shape: Sequence[int], initializer: Any = "glorot_uniform", trainable: bool = True
    ) -> Tensor:
        """The parameter ``name`` of this cell: made at the first call, found at the next."""
        path = _join(self._path, name)
        key = path[len(self._at) :].lstrip("/")
        kind = TensorType(self._trace.dtype, check_shape(path, shape))
        slot = self._slots.get(key)
        if slot is None:
            slot = Slot(kind, initializer_of(initializer), trainable, self._trace.where, within=name)
            self._slots[key] = slot
        if slot.type != kind:
            raise ShapeError(
                f"parameter {path} has {slot.type} and is asked for as {kind}; "
                "give it another name, or share the cell only where widths agree",
                self._trace.where,
            )
        if all(known is not slot for known, _ in self._trace.parameters):
            self._trace.parameters.append((slot, path))
        tensor = Tensor(slot_node(slot, path))
        source: Slot | Node = slot
        for mapped in self._maps:
            tensor = mapped(name, source, tensor)
            source = tensor.node
        return tensor

    def kernel(self, name: str, shape: Sequence[int], initializer: Any = "glorot_uniform") -> Tensor:
        """A weight matrix, Glorot-uniform unless said otherwise."""
        return self.parameter(name, shape, initializer)

    def bias(self, name: str, shape: Sequence[int], initializer: Any = "zeros") -> Tensor:
        """A bias vector, zeros unless said otherwise."""
        return self.parameter(name, shape, initializer)

    def cell(self, name: str | None, cell: Cell) -> InnerCell:
        """The cell ``cell`` under ``name`` (None: at this cell's own position), to be called with (x, state)."""
        position = self._position if name is None else _join(self._path, name)
        return InnerCell(self._trace, position, cell, self._slots, self._at, self._maps)

    def map(self, function: Callable[[str, Tensor], Tensor]) -> Scope:
        """This scope, but every parameter that is made or found through it passes through ``function(name, tensor)``.

        name: what the cell calls it, such as ``gates/kernel``. The result has the parameter's shape and dtype. It is
        computed once for a call, outside of the loop over time; what the function draws, as with ``rg.dropout``, is
        drawn once for a call. ``p.map(f).cell(None, self.cell)(x, state)`` in a wrapper changes the parameters of
        all that it wraps. Of nested maps the outer one comes first.
        """
        if not callable(function):
            raise DtypeError(f"p.map needs a function of a parameter's name and Tensor, not {function!r}")
        inner = copy(self)
        inner._maps = (*self._maps, ParameterMap(function, self._trace.where))
        return inner

    def site(self, kind: str) -> str:
        """The name of a random site at this cell's position."""
        return self._trace.site(_join(self._position, kind))


class ParameterMap:
    """A function of a parameter's name and Tensor, called once for each parameter."""

    def __init__(self, function: Callable[[str, Tensor], Tensor], where: Where | None) -> None:
        self._function, self._where = function, where
        self._known: dict[Slot | Node, Tensor] = {}

    def __call__(self, name: str, key: Slot | Node, tensor: Tensor) -> Tensor:
        """key: what the Tensor is of, the same at every asking: the parameter, or what another map gave."""
        if key in self._known:
            return self._known[key]
        before = next(declared)
        result = self._function(name, tensor)
        if not isinstance(result, Tensor) or result.type != tensor.type:
            raise ShapeError(
                f"the function of p.map turns parameter {name} {tensor.type} into {result!r}; give a Tensor "
                "of the same shape and dtype",
                self._where,
            )
        self._known[key] = _drawn_once(result, before)
        return self._known[key]


def _drawn_once(tensor: Tensor, since: int) -> Tensor:
    """The tensor with what was declared to be drawn since then drawn once for a call, and not at every step."""
    new: dict[Node, Node] = {}
    for node in topological([tensor.node]):
        operands = [new[operand] for operand in node.operands]
        scope = node.get("scope")
        if node.op in RANDOM and scope is not None and scope.serial > since:
            new[node] = make(
                node.op, *operands, where=node.where, name=node.name, meet=meet_declared,
                **{**dict(node.attributes), "variational": True},
            )  # fmt: skip
        elif all(a is b for a, b in zip(operands, node.operands, strict=True)):
            new[node] = node
        else:
            new[node] = remake(node, operands)
    return Tensor(new[tensor.node])


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


class InnerCell:
    """A cell at its place in a trace."""

    def __init__(
        self,
        trace: Trace,
        position: str,
        cell: Cell,
        slots: dict[str, Slot],
        at: str,
        maps: tuple[ParameterMap, ...] = (),
    ) -> None:
        self._trace = trace
        self._cell = check_cell(cell, "a position for a cell")
        name = cell.scope_name or snake_case(type(cell).__name__)
        path = _join(position, name) if cell.adds_scope else position
        if isinstance(cell, shared):
            slots, at = cell.slots, position
        self._scope = Scope(trace, position, path, slots, at)
        self._scope._maps = maps

    def __call__(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step. The new state comes in the structure of the given one."""
        cell = self._cell
        leaves = state_leaves(cell, state, f"{cell!r}: given state", self._trace.where)
        given = pack(resolve(stated(cell)), leaves)
        result = cell.step(self._scope, x, _States(given) if isinstance(given, dict) else given)
        if not isinstance(result, tuple) or len(result) != 2:
            raise DtypeError(f"{cell!r}.step must return (output, state), not {result!r}", self._trace.where)
        output, new = result
        if not isinstance(output, Tensor):
            raise DtypeError(f"{cell!r}.step must return (output, state); its output is {output!r}", self._trace.where)
        batch = x.type.shape[0]
        leaves = state_leaves(cell, new, f"{cell!r}: new state", self._trace.where)
        after = pack(named(cell), [_with_rows(leaf, batch) for leaf in leaves])
        return _with_rows(output, batch), arranged(after, state)

    def initial_state(self) -> list[Tensor | None]:
        """The cell's own initial state, leaf by leaf; None where it starts from zeros."""
        cell = self._cell
        carried, given = named(cell), cell.initial_state(self._scope)
        if given is None:
            return [None] * len(flatten(carried))
        leaves = matched(carried, given, f"{cell!r}: initial_state", self._trace.where)
        return [leaf if leaf is None or isinstance(leaf, Tensor) else constant(leaf) for leaf in leaves]


def _with_rows(value: Tensor, batch: Dim) -> Tensor:
    """A value that depends on no row, [1, width], as [batch, width], so that cells around this one may join it."""
    if value.rank != 2 or value.type.shape[0] != 1 or batch == 1:
        return value
    return build("broadcast", value, shape=(batch, value.type.shape[1]))


def state_leaves(cell: Cell, state: Any, what: str, where: Where | None) -> list[Tensor]:
    """The leaves of a state, matched with what the cell carries. what: names the state in an error."""
    carried = named(cell)
    leaves = matched(carried, state, what, where)
    expected: list[Columns] = flatten(carried)
    for leaf, columns in zip(leaves, expected, strict=True):
        if not isinstance(leaf, Tensor):
            raise DtypeError(f"{cell!r}: a state must be a Tensor, not {leaf!r}", where)
        if leaf.rank < 1 or leaf.type.shape[-1] != columns.width:
            raise ShapeError(f"{cell!r} carries a state of width {columns.width} and is given {leaf!r}", where)
    return leaves
