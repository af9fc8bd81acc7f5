"""Cells: the base classes for users, and the scope that a cell's ``step`` receives while it is traced."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from ..ir.graph import Node
from ..ir.types import TensorType
from ..support.api_guard import api, taking
from ..support.arguments import checked_name
from ..support.attribute_hints import Uncalled
from ..support.errors import ArgumentError, DtypeError, ShapeError, StructureError, Where, shown, user_line
from .call_text import call_text, snake_case
from .carried import batch_of, state_leaves, stored, types_of, with_batch, with_rows, zeros_of
from .initializers import DEFAULT_INITIALIZER
from .layer import StepVariables, joined, own_line, resumed_within, within_step
from .nest import arranged, flatten, matched, pack
from .parameter_maps import ParameterMap
from .parameters import ParameterSpec, Specs, check_shape, parameter_node
from .state import named, public, resolve, specification_of, stated, widths
from .tensor import Tensor, class_within, constant
from .trace import MAX_LEVELS, Inputs, States, Trace, driven, of_inner_cells

NestedStep = Generator[tuple["InnerCell", Any, Any], Any, tuple[Any, Any]]
"""Generator of a step. It yields (inner cell, x, state), is sent (output, new state), and returns its own pair."""

NestedInitialState = Generator["InnerCell", Any, Any]
"""Generator that yields inner cells, receives the leaves of their initial states, and returns a nest of them."""

STEP = ("p", "x", "state")  # the parameters of ``step``, for errors about its signature


class Cell(Uncalled):
    """Base class of all cells.

    A subclass defines two methods. ``state()`` returns the state of one row as ``{name: width}``. ``step(p, x, state)``
    is traced once, and returns (output, new state). The input x and the output are each a Tensor [batch, …], or a tuple
    or dict of Tensors. ``p`` creates the cell's parameters. The optional ``initial_state(p)`` returns a nest of Tensors
    [width] or [batch, width]. By default, the state starts as zeros.

    A cell around others may define ``nested_step(p, x, state)`` in place of ``step``, so that cells nest to any depth.
    It is a generator that yields inner steps rather than calling them:
    ``output, new = yield p.cell("inner", self.inner), x, state["inner"]``. Likewise, ``nested_initial_state(p)`` may
    return ``{"inner": (yield p.cell("inner", self.inner)), "before": None}``. None means zeros.
    """

    state_type: Any = None
    adds_scope = True
    scope_name: str | None = None  # prefix of parameter names; None: the class's name in snake case

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        original = cls.__dict__.get("__init__")
        if original is None:
            return

        def remember(self: Cell, *arguments: Any, **keywords: Any) -> None:
            if "where" not in self.__dict__:
                self.where = user_line()
                self.written = call_text(type(self).__name__, arguments, keywords)
            original(self, *arguments, **keywords)

        remember.__doc__, remember.__wrapped__ = original.__doc__, original  # type: ignore[attr-defined]
        remember.__qualname__ = original.__qualname__
        ours = cls.__module__.startswith(f"{__name__.partition('.')[0]}.")
        cls.__init__ = api(remember) if ours else remember  # type: ignore[method-assign, assignment]

    where: Where | None = None
    written: str = ""

    def state(self) -> Any:
        raise ArgumentError(f"{type(self).__name__} declares no state; define a method state()")

    def step(self, p: Scope, x: Any, state: Any) -> tuple[Any, Any]:
        if type(self).nested_step is Cell.nested_step:
            raise ArgumentError(f"{type(self).__name__} has no step; define a method step(p, x, state)")
        steps = self.nested_step(p, x, state)
        result: Any = None
        while True:
            try:
                inner, below, before = steps.send(result)
            except StopIteration as stop:
                done: tuple[Any, Any] = stop.value
                return done
            result = inner(below, before)

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        raise NotImplementedError

    def initial_state(self, p: Scope) -> Any:
        if type(self).nested_initial_state is Cell.nested_initial_state:
            return None
        requests = self.nested_initial_state(p)
        leaves: Any = None
        while True:
            try:
                leaves = requests.send(leaves).initial_state()
            except StopIteration as stop:
                return stop.value

    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        raise NotImplementedError

    @property
    def state_size(self) -> Any:
        """Widths of the state, in the structure that drivers return."""
        return widths(public(self))

    @property
    def output_size(self) -> int:
        """Width of the output. Cells whose output is not their last state override this property."""
        cell, passed = self, set[int]()
        while type(cell).output_size is Cell.output_size:
            output = cell._output()
            if not isinstance(output, Cell):
                return output
            _check_acyclic(output, passed, self)
            cell = output
        return cell.output_size

    def _output(self) -> int | Cell:
        """Return the width of the output, or the inner cell that determines it."""
        return int(flatten(public(self))[-1].width)

    @api
    def zero_state(self, batch_size: int | Tensor, dtype: Any = "float32") -> Any:
        """Return a nest of zeros [batch_size, width] in the structure of the state.

        Args:
            batch_size: Number of rows: a positive int, or a scalar Tensor. Unless that Tensor is a constant, the batch
                size is inferred from the tensors that the state is used with.
            dtype: ``float32`` or ``float64``.
        """
        return zeros_of(self, batch_size, dtype)

    if not TYPE_CHECKING:

        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            """Run one step if the class of the argument Tensors defines how. Otherwise, raise an error."""
            own = class_within([arguments, keywords])._of_cells.get("__call__")
            return super().__call__() if own is None else own(self, *arguments, **keywords)

    def __repr__(self) -> str:
        return self.written or type(self).__name__


def _reads_one_tensor(cell: Cell) -> bool:
    """True for a built-in cell whose input is one Tensor: one that neither wraps cells nor reads several parts."""
    is_built_in = type(cell).__module__.startswith(f"{__package__}.cells.")
    return is_built_in and not any(hasattr(cell, name) for name in ("cell", "cells", "parts"))


def _starts_from_zeros(cell: Cell) -> bool:
    """True if neither the cell nor its inner cells define an initial state."""
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


def _check_acyclic(cell: Cell, passed: set[int], outer: Cell) -> None:
    """Add a cell to ``passed``, the ids of the cells around it. Raise ``StructureError`` if it is among them.

    ``outer`` is the outermost cell, for the line of the error.
    """
    if id(cell) in passed:
        raise StructureError(f"{cell!r} contains itself; nest another cell object instead", outer.where)
    passed.add(id(cell))


class Wrapper(Cell):
    """Base class of cells around one cell, ``self.cell``. It adds no scope to parameter names."""

    adds_scope = False

    def __init__(self, cell: Cell) -> None:
        self.cell = check_cell(cell, type(self).__name__)

    def state(self) -> Any:
        cell, passed = self.cell, {id(self)}
        while isinstance(cell, Wrapper) and type(cell).state is Wrapper.state:
            _check_acyclic(cell, passed, self)
            cell = cell.cell
        return specification_of(cell)

    @property
    def state_type(self) -> Any:
        """State type of the wrapped cell; None if the names of the wrapper's states differ from the cell's."""
        cell: Cell = self
        while isinstance(cell, Wrapper) and type(cell).state_type is Wrapper.state_type:
            if type(cell).state is not Wrapper.state:
                carried, inner = specification_of(cell), specification_of(cell.cell)
                if not isinstance(carried, dict) or not isinstance(inner, dict) or carried.keys() != inner.keys():
                    return None
            cell = cell.cell
        return cell.state_type or _named_like(cell)

    def nested_step(self, p: Scope, x: Any, state: Any) -> NestedStep:
        return (yield p.cell(None, self.cell), x, state)

    @of_inner_cells
    def nested_initial_state(self, p: Scope) -> NestedInitialState:
        return (yield p.cell(None, self.cell))

    def _output(self) -> int | Cell:
        return self.cell


def _named_like(cell: Cell) -> Any:
    """Return the namedtuple class of a cell's state; None if the state is not a namedtuple."""
    nest = public(cell)
    return type(nest) if hasattr(nest, "_fields") else None


def check_cell(cell: Any, what: str) -> Cell:
    if not isinstance(cell, Cell):
        hint = f"; did you mean {cell.__name__}(…)?" if isinstance(cell, type) else ""
        raise DtypeError(f"{what} needs a cell (a subclass of rg.Cell), not {shown(cell)}{hint}")
    return cell


class shared(Wrapper):  # noqa: N801  (written as a function: rg.shared(cell))
    """Wrapper that shares one set of parameters among all uses of a cell, named after its first position."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.specs = Specs()


class Scope:
    """Argument ``p`` of ``step``: creates a cell's parameters, and runs inner cells."""

    def __init__(self, trace: Trace, position: str, path: str, specs: Specs, at: str) -> None:
        self._trace = trace
        self._position = position  # path without the cell's own name
        self._path = path  # prefix of parameter names
        self._specs = specs  # parameters by path relative to ``_at``
        self._at = at  # path of the driver or shared cell that owns ``_specs``
        self._maps: tuple[ParameterMap, ...] = ()  # in the order of application

    @property
    def dtype(self) -> str:
        """Dtype of the driver's inputs."""
        return self._trace.dtype

    @api
    def parameter(
        self, name: str, shape: Sequence[int], initializer: Any = DEFAULT_INITIALIZER, trainable: bool = True
    ) -> Tensor:
        """Return the parameter ``name`` of this cell, created at the first call.

        Args:
            name: Name below the cell's scope, such as ``gates/kernel``.
            shape: Positive ints.
            initializer: Name, number, array, or function of (shape, generator).
            trainable: False exempts the parameter from gradients and training.
        """
        path = joined(self._path, checked_name(name, "a parameter"))
        key = path[len(self._at) :].lstrip("/")
        kind = TensorType(self._trace.dtype, check_shape(path, shape))
        spec = self._specs.resolve(key, kind, initializer, trainable, own_line(user_line()), name)
        if spec.type != kind:
            raise ShapeError(
                f"parameter {path} has the type {spec.type}, not {kind}; "
                "give it another name, or share the cell only where widths agree",
                self._trace.where,
            )
        if spec.name is None:  # otherwise, the user chose the full name
            self._trace.parameters.setdefault(spec, path)
        tensor = Tensor(parameter_node(spec, path))
        source: ParameterSpec | Node = spec
        for mapped in self._maps:
            tensor = mapped(name, source, tensor)
            source = tensor.node
        return tensor

    @api
    def kernel(self, name: str, shape: Sequence[int], initializer: Any = DEFAULT_INITIALIZER) -> Tensor:
        """Return a weight matrix, by default Glorot-uniform."""
        return self.parameter(name, shape, initializer)

    @api
    def bias(self, name: str, shape: Sequence[int], initializer: Any = "zeros") -> Tensor:
        """Return a bias vector, by default zeros."""
        return self.parameter(name, shape, initializer)

    @api
    def cell(self, name: str | None, cell: Cell) -> InnerCell:
        """Return an inner cell, callable as (x, state). Its scope is ``name`` below this one; None: this scope."""
        within = checked_name(name, "a position for a cell") if name else ""
        position = self._position if name is None else joined(self._path, within)
        return InnerCell(self._trace, position, cell, self._specs, self._at, self._maps)

    @api
    def map(self, function: Callable[[str, Tensor], Tensor]) -> Scope:
        """Return this scope with every parameter transformed by ``function(name, tensor)``.

        The result is computed once for each call, outside the loop over time. Random numbers in it, such as those of
        ``rg.dropout``, are also drawn once for each call. In a wrapper, ``p.map(f).cell(None, self.cell)(x, state)``
        transforms the parameters of the wrapped cell. The outermost of nested maps applies first.

        Args:
            function: Function of a parameter's name, such as ``gates/kernel``, and its Tensor. It returns a Tensor of
                the same shape and dtype.
        """
        if not callable(function):
            raise DtypeError(f"p.map needs a function of a parameter's name and Tensor, not {shown(function)}")
        inner = copy(self)
        function = taking(function, "the function of p.map", "name", "tensor")
        inner._maps = (*self._maps, ParameterMap(function, self._trace.where))
        return inner

    def site(self, kind: str) -> str:
        """Return a name for a source of random numbers at this cell's position."""
        return self._trace.site(joined(self._position, kind))


class InnerCell:
    """Cell at one position of a traced step, callable as (x, state)."""

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
        trace.cells.append((cell, self._layer))

    @api
    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Run one step on a Tensor, or a tuple or dict of Tensors. The new state has the structure of ``state``."""
        if not self._is_nested:  # each level of nesting adds only this stack frame
            key, own_state = self._enter(x, state)
            try:
                variables = StepVariables()
                with within_step(self._layer, self._cell.where, self._trace.where, variables):
                    # not self._cell.step, because an attribute of the instance may be called "step"
                    step_input = Inputs(x) if type(x) is dict else x
                    result = type(self._cell).step(self._cell, self._scope, step_input, own_state)
                    self._trace.variables = variables.names() | self._trace.variables  # a value keeps its first name
                    return self._leave(result, x, state)
            except TypeError:
                taking(self._cell.step, f"{self._cell!r}.step", *STEP, where=self._trace.where)
                raise
            finally:
                self._trace.running.discard(key)
        done: tuple[Any, Any] = driven(self._nested(x, state), lambda request: request[0]._nested(*request[1:]))
        return done

    @property
    def _is_nested(self) -> bool:
        kind = type(self._cell)
        return kind.step is Cell.step and kind.nested_step is not Cell.nested_step

    def _nested(self, x: Any, state: Any) -> NestedStep:
        """Run one step as a generator, which yields inner steps and receives their results."""
        if not self._is_nested:
            return self(x, state)
        key, own_state = self._enter(x, state)
        try:
            steps = self._cell.nested_step(self._scope, x, own_state)
            traced = resumed_within(self._layer, self._cell.where, self._trace.where, steps)
            return self._leave((yield from traced), x, state)
        except TypeError:
            taking(self._cell.nested_step, f"{self._cell!r}.nested_step", *STEP, where=self._trace.where)
            raise
        finally:
            self._trace.running.discard(key)

    def _enter(self, x: Any, state: Any) -> tuple[tuple[int, tuple[TensorType, ...]], Any]:
        """Mark the cell as running. Return (the mark, the state in the structure that ``step`` receives)."""
        cell, running = self._cell, self._trace.running
        self._trace.places |= {line.place for line in (cell.where, self._trace.where) if line is not None}
        key = id(cell), types_of(x)
        if key in running or len(running) >= MAX_LEVELS:
            others = "another step of the same cell" if key in running else f"other steps, {MAX_LEVELS} levels deep"
            remedy = "use a separate cell object at each place, and end the recursion"
            raise StructureError(f"a step of {cell!r} runs {others}, so the recursion never ends; {remedy}")
        if not isinstance(x, Tensor) and _reads_one_tensor(cell):
            raise StructureError(f"{cell!r} reads one Tensor [batch, width], not {shown(x)}; join them with rg.concat")
        leaves = state_leaves(cell, state, f"{cell!r}: given state", self._trace.where)
        own_state = pack(resolve(stated(cell)), leaves)
        running.add(key)
        return key, States(own_state) if isinstance(own_state, dict) else own_state

    def _leave(self, result: Any, x: Any, state: Any) -> tuple[Any, Any]:
        """Check the result of a step. Return (output, new state), the state in the structure of ``state``."""
        cell, where = self._cell, self._trace.where
        if not isinstance(result, tuple) or len(result) != 2:
            raise DtypeError(f"{cell!r}.step must return (output, state), not {shown(result)}", where)
        output, new = result
        batch = batch_of(x)
        leaves = state_leaves(cell, new, f"{cell!r}: new state", where)
        carried = zip(leaves, flatten(named(cell)), strict=True)
        after = pack(named(cell), [stored(with_rows(leaf, batch), columns) for leaf, columns in carried])
        return with_batch(cell, output, batch, where), arranged(after, state)

    def initial_state(self) -> list[Tensor | None]:
        """Return the leaves of the cell's initial state; None stands for zeros."""
        if _starts_from_zeros(self._cell):
            return [None] * len(flatten(named(self._cell)))
        leaves: list[Tensor | None] = driven(self._initial(), InnerCell._initial)
        return leaves

    def _initial(self) -> Generator[InnerCell, Any, list[Tensor | None]]:
        """Compute the initial state as a generator, which yields inner cells and receives their leaves."""
        cell = self._cell
        carried, is_nested = named(cell), type(cell).initial_state is Cell.initial_state
        try:
            if is_nested and type(cell).nested_initial_state is Cell.nested_initial_state:
                initial = None
            elif is_nested:
                initial = yield from cell.nested_initial_state(self._scope)
            else:
                initial = cell.initial_state(self._scope)
        except TypeError:
            name = "nested_initial_state" if is_nested else "initial_state"
            taking(getattr(cell, name), f"{cell!r}.{name}", "p", where=self._trace.where)
            raise
        if initial is None:
            return [None] * len(flatten(carried))
        leaves = matched(carried, initial, f"{cell!r}: initial_state", self._trace.where)
        return [leaf if leaf is None or isinstance(leaf, Tensor) else constant(leaf) for leaf in leaves]
