"""Cells: what a user subclasses, and what a cell's ``step`` is given while it is traced."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from ..ir.graph import Node
from ..ir.types import TensorType
from ..support.api_guard import api, taking
from ..support.arguments import checked_name
from ..support.attribute_hints import Uncalled
from ..support.errors import ArgumentError, DtypeError, ShapeError, StructureError, Where, shown, user_line
from .carried import state_leaves, with_rows, zeros_of
from .layer import joined, own_line, resumed_within, within
from .nest import arranged, flatten, matched, pack
from .parameter_maps import ParameterMap
from .parameters import ParameterSpec, Specs, check_shape, parameter_node
from .state import named, public, resolve, specification_of, stated, widths
from .tensor import Tensor, class_within, constant
from .trace import MOST_LEVELS, States, Trace, driven, of_inner_cells

NestedStep = Generator[tuple["InnerCell", Tensor, Any], Any, tuple[Tensor, Any]]
"""Yields (inner cell, x, state) for each inner step, is sent its (output, new state), and returns its own pair."""

NestedInitialState = Generator["InnerCell", Any, Any]
"""Yields each inner cell, is sent the leaves of its initial state, and returns a nest of all."""

STEP = ("p", "x", "state")  # the parameters of ``step``, for errors about its signature


def snake_case(name: str) -> str:
    """BasicLSTMCell becomes basic_lstm_cell, as in TensorFlow's variable names."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return words.lower()


class Cell(Uncalled):
    """Base of all cells.

    A subclass gives ``state()``, what one row carries as ``{name: width}``, and ``step(p, x, state)``,
    which is traced once and returns (output, new state). ``p`` makes or finds the cell's parameters. The
    optional ``initial_state(p)`` gives a nest of Tensors, each [width] or [batch, width]; default zeros.

    A cell around others may give ``nested_step(p, x, state)`` in place of ``step``: a generator that asks for a step,
    ``output, new = yield p.cell("inner", self.inner), x, state["inner"]``, and does not call it. It nests to any depth.
    Likewise ``nested_initial_state(p)`` in place of ``initial_state`` asks for what a cell inside starts from:
    ``return {"inner": (yield p.cell("inner", self.inner)), "before": None}``; None stands for zeros.
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
                self.written = _call_text(type(self).__name__, arguments, keywords)
            original(self, *arguments, **keywords)

        remember.__doc__, remember.__wrapped__ = original.__doc__, original  # type: ignore[attr-defined]
        remember.__qualname__ = original.__qualname__
        ours = cls.__module__.startswith(f"{__name__.partition('.')[0]}.")
        cls.__init__ = api(remember) if ours else remember  # type: ignore[method-assign, assignment]

    where: Where | None = None
    written: str = ""

    def state(self) -> Any:
        raise ArgumentError(f"{type(self).__name__} does not say what it carries; give it a method state()")

    def step(self, p: Scope, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if type(self).nested_step is Cell.nested_step:
            raise ArgumentError(f"{type(self).__name__} has no equations; give it a method step(p, x, state)")
        steps = self.nested_step(p, x, state)
        result: Any = None
        while True:
            try:
                inner, below, before = steps.send(result)
            except StopIteration as stop:
                done: tuple[Tensor, Any] = stop.value
                return done
            result = inner(below, before)

    def nested_step(self, p: Scope, x: Tensor, state: Any) -> NestedStep:
        raise NotImplementedError

    def initial_state(self, p: Scope) -> Any:
        if type(self).nested_initial_state is Cell.nested_initial_state:
            return None
        asked = self.nested_initial_state(p)
        leaves: Any = None
        while True:
            try:
                leaves = asked.send(leaves).initial_state()
            except StopIteration as stop:
                return stop.value

    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        raise NotImplementedError

    @property
    def state_size(self) -> Any:
        """Widths of the state, in the structure that drivers give."""
        return widths(public(self))

    @property
    def output_size(self) -> int:
        """Width of the output. A cell whose output is not its last state sets its own."""
        cell, passed = self, set[int]()
        while type(cell).output_size is Cell.output_size:
            found = cell._output()
            if not isinstance(found, Cell):
                return found
            _check_end(found, passed, self)
            cell = found
        return cell.output_size

    def _output(self) -> int | Cell:
        """Width of the output, or the cell inside that gives it."""
        return int(flatten(public(self))[-1].width)

    @api
    def zero_state(self, batch_size: int | Tensor, dtype: Any = "float32") -> Any:
        """Zeros of shape [batch_size, width], in the structure of the state.

        batch_size: an int, or a Tensor that says it, in whose place the zeros have the batch of what they meet.
        """
        return zeros_of(self, batch_size, dtype)

    if not TYPE_CHECKING:

        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            """One step, as the class of the Tensors that are given defines it; an error of plain ones."""
            own = class_within([arguments, keywords])._of_cells.get("__call__")
            return super().__call__() if own is None else own(self, *arguments, **keywords)

    def __repr__(self) -> str:
        return self.written or type(self).__name__


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
    text = getattr(value, "__name__", None) or shown(value)
    return type(value).__name__ if text.startswith("<") else text  # such as <Attention object at 0x…>


def _starts_from_zeros(cell: Cell) -> bool:
    """Whether no cell inside has an initial state of its own."""
    pending = [cell]
    while pending:
        item = pending.pop()
        method = type(item).nested_initial_state
        if type(item).initial_state is not Cell.initial_state:
            return False
        if getattr(method, "is_of_inner_cells", False):
            pending += [item.cell] if isinstance(item, Wrapper) else getattr(item, "cells", ())
        elif method is not Cell.nested_initial_state:
            return False
    return True


def _check_end(cell: Cell, passed: set[int], outer: Cell) -> None:
    """Records a cell that was reached on the way inwards. Raises ``StructureError`` where it was reached before."""
    if id(cell) in passed:
        raise StructureError(f"{cell!r} contains itself, and so has no end", outer.where)
    passed.add(id(cell))


class Wrapper(Cell):
    """Base of cells around a cell. It adds no scope to names; ``self.cell`` is what it wraps."""

    adds_scope = False

    def __init__(self, cell: Cell) -> None:
        self.cell = check_cell(cell, type(self).__name__)

    def state(self) -> Any:
        cell, passed = self.cell, {id(self)}
        while isinstance(cell, Wrapper) and type(cell).state is Wrapper.state:
            _check_end(cell, passed, self)
            cell = cell.cell
        return specification_of(cell)

    @property
    def state_type(self) -> Any:
        """The wrapped cell's, unless this wrapper carries other states."""
        cell: Cell = self
        while isinstance(cell, Wrapper) and type(cell).state_type is Wrapper.state_type:
            if type(cell).state is not Wrapper.state:
                carried, inner = specification_of(cell), specification_of(cell.cell)
                if not isinstance(carried, dict) or not isinstance(inner, dict) or carried.keys() != inner.keys():
                    return None
            cell = cell.cell
        return cell.state_type or _named_like(cell)

    def nested_step(self, p: Scope, x: Tensor, state: Any) -> NestedStep:
        return (yield p.cell(None, self.cell), x, state)

    @of_inner_cells
    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        return (yield p.cell(None, self.cell))

    def _output(self) -> int | Cell:
        return self.cell


def _named_like(cell: Cell) -> Any:
    nest = public(cell)
    return type(nest) if hasattr(nest, "_fields") else None


def check_cell(cell: Any, what: str) -> Cell:
    if not isinstance(cell, Cell):
        hint = f"; did you mean {cell.__name__}(…)?" if isinstance(cell, type) else ""
        raise DtypeError(f"{what} needs a cell (a subclass of rg.Cell), not {shown(cell)}{hint}")
    return cell


class shared(Wrapper):  # noqa: N801  (written as a function: rg.shared(cell))
    """Every use of the result is one set of parameters, named at its first position; gradients add up."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.specs = Specs()


class Scope:
    """Makes or finds a cell's parameters by name, and runs inner cells. Handed to ``step`` as ``p``."""

    def __init__(self, trace: Trace, position: str, path: str, specs: Specs, at: str) -> None:
        self._trace = trace
        self._position = position  # where the cell stands, without its own name
        self._path = path  # where its parameters live
        self._specs = specs  # by path relative to ``_at``
        self._at = at  # where ``_specs`` begins: the driver, or a shared cell
        self._maps: tuple[ParameterMap, ...] = ()  # what parameters pass through, in this order

    @property
    def dtype(self) -> str:
        """dtype of the driver's inputs."""
        return self._trace.dtype

    @api
    def parameter(
        self, name: str, shape: Sequence[int], initializer: Any = "glorot_uniform", trainable: bool = True
    ) -> Tensor:
        """The parameter ``name`` of this cell: made at the first call, found at the next."""
        path = joined(self._path, checked_name(name, "a parameter"))
        key = path[len(self._at) :].lstrip("/")
        kind = TensorType(self._trace.dtype, check_shape(path, shape))
        spec = self._specs.found(key, kind, initializer, trainable, own_line(user_line()), name)
        if spec.type != kind:
            raise ShapeError(
                f"parameter {path} has {spec.type} and is asked for as {kind}; "
                "give it another name, or share the cell only where widths agree",
                self._trace.where,
            )
        if spec.name is None:  # else it has its name from elsewhere, as a parameter of its own does
            self._trace.parameters.setdefault(spec, path)
        tensor = Tensor(parameter_node(spec, path))
        source: ParameterSpec | Node = spec
        for mapped in self._maps:
            tensor = mapped(name, source, tensor)
            source = tensor.node
        return tensor

    @api
    def kernel(self, name: str, shape: Sequence[int], initializer: Any = "glorot_uniform") -> Tensor:
        """A weight matrix, Glorot-uniform unless said otherwise."""
        return self.parameter(name, shape, initializer)

    @api
    def bias(self, name: str, shape: Sequence[int], initializer: Any = "zeros") -> Tensor:
        """A bias vector, zeros unless said otherwise."""
        return self.parameter(name, shape, initializer)

    @api
    def cell(self, name: str | None, cell: Cell) -> InnerCell:
        """The cell ``cell`` under ``name`` (None: at this cell's own position), to be called with (x, state)."""
        within = checked_name(name, "a position for a cell") if name else ""
        position = self._position if name is None else joined(self._path, within)
        return InnerCell(self._trace, position, cell, self._specs, self._at, self._maps)

    @api
    def map(self, function: Callable[[str, Tensor], Tensor]) -> Scope:
        """This scope, but every parameter that is made or found through it passes through ``function(name, tensor)``.

        name: what the cell calls it, such as ``gates/kernel``. The result has the parameter's shape and dtype. It is
        computed once for a call, outside of the loop over time; what the function draws, as with ``rg.dropout``, is
        drawn once for a call. ``p.map(f).cell(None, self.cell)(x, state)`` in a wrapper changes the parameters of
        all that it wraps. Of nested maps the outer one comes first.
        """
        if not callable(function):
            raise DtypeError(f"p.map needs a function of a parameter's name and Tensor, not {shown(function)}")
        inner = copy(self)
        function = taking(function, "the function of p.map", "name", "tensor")
        inner._maps = (*self._maps, ParameterMap(function, self._trace.where))
        return inner

    def site(self, kind: str) -> str:
        """The name of a random site at this cell's position."""
        return self._trace.site(joined(self._position, kind))


class InnerCell:
    """A cell at its place in a trace."""

    def __init__(
        self,
        trace: Trace,
        position: str,
        cell: Cell,
        specs: Specs,
        at: str,
        maps: tuple[ParameterMap, ...] = (),
    ) -> None:
        self._trace = trace
        self._cell = check_cell(cell, "a position for a cell")
        name = cell.scope_name or snake_case(type(cell).__name__)
        path = joined(position, name) if cell.adds_scope else position
        if isinstance(cell, shared):
            specs, at = cell.specs, position
        self._scope = Scope(trace, position, path, specs, at)
        self._scope._maps = maps
        self._layer = joined(trace.layer, path)

    @api
    def __call__(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step. The new state comes in the structure of the given one."""
        if not self._is_nested:  # no frame more than this one between a step and the one that called it
            key, given = self._enter(x, state)
            try:
                with within(self._layer, self._cell.where, self._trace.where):
                    found = type(self._cell).step(self._cell, self._scope, x, given)  # a state may be named so, too
                    return self._leave(found, x, state)
            except TypeError:
                taking(self._cell.step, f"{self._cell!r}.step", *STEP, where=self._trace.where)
                raise
            finally:
                self._trace.running.discard(key)
        done: tuple[Tensor, Any] = driven(self._nested(x, state), lambda asked: asked[0]._nested(*asked[1:]))
        return done

    @property
    def _is_nested(self) -> bool:
        kind = type(self._cell)
        return kind.step is Cell.step and kind.nested_step is not Cell.nested_step

    def _nested(self, x: Tensor, state: Any) -> NestedStep:
        """One step; yields the steps of the cells inside to be sent what they give."""
        if not self._is_nested:
            return self(x, state)
        key, given = self._enter(x, state)
        try:
            steps = self._cell.nested_step(self._scope, x, given)
            traced = resumed_within(self._layer, self._cell.where, self._trace.where, steps)
            return self._leave((yield from traced), x, state)
        except TypeError:
            taking(self._cell.nested_step, f"{self._cell!r}.nested_step", *STEP, where=self._trace.where)
            raise
        finally:
            self._trace.running.discard(key)

    def _enter(self, x: Tensor, state: Any) -> tuple[tuple[int, TensorType], Any]:
        """Marks the cell as running. Returns the mark, and the state in the structure that ``step`` takes."""
        cell, running = self._cell, self._trace.running
        self._trace.places |= {line.place for line in (cell.where, self._trace.where) if line is not None}
        key = id(cell), x.type
        if key in running or len(running) >= MOST_LEVELS:
            others = "another one of the same cell" if key in running else f"others, {MOST_LEVELS} levels deep"
            remedy = "a cell that stands inside itself needs an object of its own for each place, and an end"
            raise StructureError(f"a step of {cell!r} runs {others}, and so has no end; {remedy}")
        leaves = state_leaves(cell, state, f"{cell!r}: given state", self._trace.where)
        given = pack(resolve(stated(cell)), leaves)
        running.add(key)
        return key, States(given) if isinstance(given, dict) else given

    def _leave(self, result: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Checks what a step returned. Returns it with the state in the structure of the given one."""
        cell, where = self._cell, self._trace.where
        if not isinstance(result, tuple) or len(result) != 2:
            raise DtypeError(f"{cell!r}.step must return (output, state), not {shown(result)}", where)
        output, new = result
        if not isinstance(output, Tensor):
            raise DtypeError(f"{cell!r}.step must return (output, state); its output is {shown(output)}", where)
        batch = x.type.shape[0]
        leaves = state_leaves(cell, new, f"{cell!r}: new state", where)
        after = pack(named(cell), [with_rows(leaf, batch) for leaf in leaves])
        return with_rows(output, batch), arranged(after, state)

    def initial_state(self) -> list[Tensor | None]:
        """The cell's own initial state, leaf by leaf; None where it starts from zeros."""
        if _starts_from_zeros(self._cell):
            return [None] * len(flatten(named(self._cell)))
        leaves: list[Tensor | None] = driven(self._initial(), InnerCell._initial)
        return leaves

    def _initial(self) -> Generator[InnerCell, Any, list[Tensor | None]]:
        """The initial state; yields the cells inside to be sent theirs."""
        cell = self._cell
        carried, is_nested = named(cell), type(cell).initial_state is Cell.initial_state
        try:
            if is_nested and type(cell).nested_initial_state is Cell.nested_initial_state:
                given = None
            elif is_nested:
                given = yield from cell.nested_initial_state(self._scope)
            else:
                given = cell.initial_state(self._scope)
        except TypeError:
            name = "nested_initial_state" if is_nested else "initial_state"
            taking(getattr(cell, name), f"{cell!r}.{name}", "p", where=self._trace.where)
            raise
        if given is None:
            return [None] * len(flatten(carried))
        leaves = matched(carried, given, f"{cell!r}: initial_state", self._trace.where)
        return [leaf if leaf is None or isinstance(leaf, Tensor) else constant(leaf) for leaf in leaves]
