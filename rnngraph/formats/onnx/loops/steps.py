"""Converts loops of a file to drivers of cells. All values of a step are laid out as rows.

The cell of a driver reads one input [rows, width], carries states [rows, width] and returns one output, all floats.
The inputs of a step are therefore concatenated to one sequence, and the step splits the sequence. Booleans and integers
are stored as floats; integers up to 2**24 are exact. The rows are the first axis that all values share, or the only
axis of symbolic size. A loop without such an axis has one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ....declare.functions import basic
from ....declare.running.drivers import dynamic_rnn
from ....declare.tensor import constant
from ....ir.types import FLOATS, Dim, Size, product
from ...own_cell import ReadCell, StepScript, StepValues, declare_cell
from ...script import Script
from ...steps import Value
from ..core.known import Expanded, Known, Operand, dtype_of, is_zero, known, shape_of
from ..core.sizes import UnreadableError, texts
from ..core.tensors import Tensors
from ..core.values import storage_dtype

Shape = tuple[Dim, ...]


@dataclass(frozen=True)
class Part:
    """Shape and layout of a value that a step reads or computes, which becomes columns of the cell's input or output.

    Attributes:
        shape: Shape of the value.
        dtype: Dtype in rnngraph.
        axis: Axis of the rows; None if the value is the same for all rows.
    """

    shape: Shape
    dtype: str
    axis: int | None

    @property
    def has_rows(self) -> bool:
        return self.axis is not None

    @property
    def in_front(self) -> Shape:
        """Shape with the axis of rows first; unchanged if only axes of size 1 precede that axis."""
        return tuple(self.shape[axis] for axis in self._order())

    @property
    def width(self) -> int:
        size = product(dim for axis, dim in enumerate(self.shape) if axis != self.axis)
        if not isinstance(size, int):
            raise UnreadableError(
                f"a value of shape {texts(self.shape)} in a loop has a symbolic size besides its rows, which is not "
                "supported"
            )
        return size

    def _order(self) -> list[int]:
        """Return the permutation that puts the axis of rows first; the identity if only axes of size 1 precede it."""
        places = list(range(len(self.shape)))
        if self.axis is not None and any(dim != 1 for dim in self.shape[: self.axis]):
            places.insert(0, places.pop(self.axis))
        return places

    def transposed(self, tensors: Tensors, x: Operand, ahead: int = 0, back: bool = False) -> Operand:
        """Move the axis of rows to the front, or back to its position.

        Args:
            tensors: Object that declares the value.
            x: The value, with ``ahead`` additional leading axes.
            ahead: Number of leading axes that stay in place.
            back: True to move the axis from the front to its position.
        """
        order = self._order()
        order = [order.index(axis) for axis in range(len(order))] if back else order
        if order == list(range(len(order))):
            return x
        return tensors.transpose(x, [*range(ahead), *(ahead + axis for axis in order)])


@dataclass(frozen=True)
class Loop:
    """Loop with its states, inputs and body.

    Attributes:
        initial: Initial states by their names in the body.
        sequences: Inputs of the steps by their names in the body; axis 0 is the steps.
        length: Number of steps.
        reverse: True if the last entries of the sequences are read first.
        body: Function from a step's values to its next states and results.
    """

    initial: Mapping[str, Operand]
    sequences: Mapping[str, Operand]
    length: Dim
    reverse: bool
    body: Callable[[Tensors, Mapping[str, Operand]], tuple[list[Operand], list[Operand]]]


class StepTensors(Tensors):
    """Declares values in a step. Arrays of the file are declared in the enclosing script."""

    def __init__(self, script: Script, outer: Tensors) -> None:
        super().__init__(script)
        self._outer = outer

    def value(self, x: Operand, base: str = "weight") -> Value:
        if isinstance(x, Known) and x.array.ndim and not x.is_symbolic:
            return self._outer.value(x, base)
        return super().value(x, base)

    def fixing(self, name: str, number: int) -> str:
        return self._outer.fixing(name, number)


class Steps:
    """Declares a loop as a driver, whose cell computes one step."""

    def __init__(self, tensors: Tensors, loop: Loop) -> None:
        self.tensors, self.loop = tensors, loop
        items = [(shape_of(item), item) for item in loop.initial.values()]
        items += [(shape_of(item)[1:], item) for item in loop.sequences.values()]
        self.rows = _rows([shape for shape, _ in items])
        floats = [dtype for _, item in items if (dtype := _storage_dtype(item)) in FLOATS]
        if len(set(floats)) > 1:
            raise UnreadableError("a loop mixes float32 and float64; all floats must have one dtype")
        self.dtype = floats[0] if floats else "float32"
        self.states = {name: self._part(shape_of(item), item) for name, item in loop.initial.items()}
        self.steps = {name: self._part(shape_of(item)[1:], item) for name, item in loop.sequences.items()}
        self.keys = {name: "state" if not number else f"state_{number}" for number, name in enumerate(self.states)}
        self.results: list[Part] = []
        """Shapes of the results of a step; empty until the step is declared."""

    def _part(self, shape: Shape, item: Operand) -> Part:
        """Return the layout of a value of this shape, with the dtype of ``item``."""
        return Part(shape, _storage_dtype(item), self._axis_of_rows(shape))

    def _axis_of_rows(self, shape: Shape) -> int | None:
        """Return the axis of a shape that is the loop's rows; None if all rows share the value."""
        if self.rows is None or self.rows not in shape:
            return None
        axis = shape.index(self.rows)
        is_it = axis == 0 or (isinstance(self.rows, Size) and shape.count(self.rows) == 1)
        return axis if is_it else None

    def declared(self) -> tuple[list[Operand], list[Operand]]:
        """Declare the driver. Return (final states, results of all steps, whose axis 0 is the steps)."""
        tensors, script = self.tensors, self.tensors.script
        x, time_major = self._sequence(), True
        source = tensors.transpose_source(x)
        if source is not None and source[1] == (1, 0, 2):
            x, time_major = source[0], False
        options: dict[str, object] = {"time_major": True} if time_major else {}
        if self.loop.reverse:
            options["reverse"] = True
        initial = self._initial()
        if initial is not None:
            options["initial_state"] = initial
        widths = {self.keys[name]: part.width for name, part in self.states.items()} or {"none": 1}
        cell = ReadCell(script, widths, lambda: sum(part.width for part in self.results) or 1, self._step)
        scope = script.scope("rnn")
        about = "The steps of a loop of the file."
        driver_outputs = declare_cell(
            script, cell, "Steps", about, lambda value: script.call(dynamic_rnn, value, x, **options, scope=scope)
        )
        outputs, state = driver_outputs
        if not time_major:
            outputs = tensors.transposed(outputs, (1, 0, 2))
        pairs = zip(state.leaves, self.states.values(), strict=False)
        finals = [self._value(self.tensors, leaf, part) for leaf, part in pairs]
        return finals, self._outputs(outputs)

    # Outside of the steps -----------------------------------------------------------------------------

    def _sequence(self) -> Value:
        """Return the inputs of all steps as [steps, rows, width]."""
        parts = [self._columns(item, part, True) for item, part in self._sequences()]
        if not parts:
            parts = [Expanded(known(0.0, self.dtype), (self.loop.length, self.rows or 1, 1))]
        return self._with_size_inputs(self.tensors.value(self.tensors.concat(parts, 2)))

    def _with_size_inputs(self, x: Value) -> Value:
        """Return x. If x depends on no input of the net, add zeros that do, from which calls infer the sizes of x."""
        script = self.tensors.script
        if self.tensors.input_names_of(x):
            return x
        for axis, dim in enumerate((self.loop.length, self.rows)):
            if isinstance(dim, Size):
                zeros = script.operation("-", self.tensors.ones_along(dim), 1.0)
                shape = (None, 1, 1) if axis == 0 else (1, None, 1)
                line = self.tensors.value(
                    self.tensors.reshape(zeros, tuple(dim if entry is None else entry for entry in shape))
                )
                x = script.operation("+", x, self._as_float(self.tensors, line))
        return x

    def _sequences(self) -> list[tuple[Operand, Part]]:
        return [(item, self.steps[name]) for name, item in self.loop.sequences.items()]

    def _columns(self, item: Operand, part: Part, has_steps: bool) -> Operand:
        """Convert a value to floats [rows, width], or [steps, rows, width] if its first axis is the steps."""
        ahead = shape_of(item)[:1] if has_steps else ()
        floats = part.transposed(self.tensors, self._as_float(self.tensors, item), len(ahead))
        rows = self.rows if part.has_rows and self.rows is not None else 1
        laid = self.tensors.reshape(floats, (*ahead, rows, part.width))
        if self.rows is None or part.has_rows:
            return laid
        return self.tensors.value(Expanded(self._source(laid), (*ahead, self.rows, part.width)))

    def _source(self, item: Operand) -> Known | Value:
        return self.tensors.value(item) if isinstance(item, Expanded) else item

    def _as_float(self, tensors: Tensors, item: Operand) -> Operand:
        if _storage_dtype(item) == self.dtype:
            return item
        if isinstance(item, Known):
            return known(item.numbers("what a loop reads").astype(self.dtype), self.dtype)
        return tensors.cast(tensors.value(item), self.dtype)

    def _initial(self) -> object | None:
        """Return the initial states, or None if all are zeros."""
        items = list(self.loop.initial.values())
        if all(map(is_zero, items)):
            return None
        leaves: list[Value] = []
        for item, part in zip(items, self.states.values(), strict=True):
            if is_zero(item):
                zero = 0.0 if self.dtype == "float32" else self.tensors.script.call(constant, 0.0, dtype=self.dtype)
                leaves.append(self.tensors.script.call(basic.broadcast_to, zero, (part.width,)))
            else:
                leaves.append(self.tensors.value(self._columns(item, part, False), "initial_state"))
        return tuple(leaves) if len(leaves) > 1 else leaves[0]

    def _outputs(self, outputs: Value) -> list[Operand]:
        """Split the driver's output into the results of the steps, with their shapes and dtypes in the file."""
        results: list[Operand] = []
        tensors, first = self.tensors, 0
        for part in self.results:
            columns: Operand = outputs
            if len(self.results) > 1:
                columns = tensors.index(outputs, [slice(None), slice(None), slice(first, first + part.width)])
            if self.rows is not None and not part.has_rows:
                columns = tensors.index(columns, [slice(None), slice(0, 1)])
            laid = tensors.reshape(columns, (shape_of(columns)[0], *part.in_front))
            results.append(_restored_dtype(tensors, part.transposed(tensors, laid, 1, True), part))
            first += part.width
        return results

    # Within a step ---------------------------------------------------------------------------------------

    def _step(self, script: StepScript) -> StepValues:
        """Declare the cell's step: split the input, call the loop's body, and concatenate its results."""
        tensors, inputs = StepTensors(script, self.tensors), dict[str, Operand]()
        first = 0
        for name, part in self.steps.items():
            columns: Operand = script.x
            if len(self.steps) > 1:
                columns = tensors.index(script.x, [slice(None), slice(first, first + part.width)])
            inputs[name] = self._value(tensors, columns, part)
            first += part.width
        for name, part in self.states.items():
            inputs[name] = self._value(tensors, script.state[self.keys[name]], part)
        following, outputs = self.loop.body(tensors, inputs)
        after = {}
        for (name, part), item in zip(self.states.items(), following, strict=True):
            if shape_of(item) != part.shape and not _may_be_equal(shape_of(item), part.shape):
                raise UnreadableError(
                    f"a loop carries {texts(part.shape)}, but a step returns {texts(shape_of(item))}; make both equal"
                )
            after[self.keys[name]] = self._as_rows(tensors, item, part)
        self.results = [self._part(shape_of(item), item) for item in outputs]
        columns_of = [self._as_rows(tensors, item, part) for item, part in zip(outputs, self.results, strict=True)]
        if not self.states:
            after["none"] = script.state["none"]
        if not columns_of:
            return next(iter(after.values())), after
        return tensors.value(tensors.concat(columns_of, 1)), after

    def _value(self, tensors: Tensors, columns: Operand, part: Part) -> Operand:
        """Convert floats [rows, width] to the shape and dtype that ``part`` describes."""
        if self.rows is not None and not part.has_rows:
            columns = tensors.index(columns, [slice(0, 1)])
        return _restored_dtype(
            tensors, part.transposed(tensors, tensors.reshape(columns, part.in_front), back=True), part
        )

    def _as_rows(self, tensors: Tensors, item: Operand, part: Part) -> Value:
        """Convert a value of the step to floats [rows, width]."""
        floats = tensors.value(part.transposed(tensors, self._as_float(tensors, item)))
        rows: Dim = self.rows if self.rows is not None and part.has_rows else 1
        laid = tensors.value(tensors.reshape(floats, (rows, part.width)))
        if self.rows is None or part.has_rows:
            return laid
        return tensors.broadcast(laid, (self.rows, part.width))


def _rows(shapes: Sequence[Shape]) -> Dim | None:
    """Return the number of rows of a loop whose values have these shapes.

    The number is the first size that all values of rank 2 or more share, or the only symbolic size; None without
    either.
    """
    sizes = {shape[0] for shape in shapes if len(shape) > 1 or (shape and isinstance(shape[0], Size))}
    vectors = {shape[0] for shape in shapes if len(shape) == 1}
    symbolic = {dim for shape in shapes for dim in shape if isinstance(dim, Size)}
    if len(sizes) == 1 and vectors <= sizes and (sizes <= symbolic or not symbolic):
        return sizes.pop()
    if len(symbolic) == 1 and all(shape.count(dim) <= 1 for shape in shapes for dim in symbolic):
        return symbolic.pop()
    if symbolic:
        raise UnreadableError("the values of a loop have symbolic sizes, but share no axis of rows; fix the sizes")
    return None


def _storage_dtype(item: Operand) -> str:
    return storage_dtype(dtype_of(item))


def _restored_dtype(tensors: Tensors, item: Operand, part: Part) -> Operand:
    """Convert floats that store integers or bools back to the dtype of ``part``."""
    if part.dtype in FLOATS:
        return item
    value = tensors.value(item)
    if part.dtype == "bool":
        return tensors.script.operation(">", value, 0.5)
    return tensors.cast(value, part.dtype)


def _may_be_equal(one: Shape, other: Shape) -> bool:
    """True if two shapes may be equal. Symbolic sizes are unified when the driver is declared."""
    return len(one) == len(other) and all(
        a == b or isinstance(a, Size) or isinstance(b, Size) for a, b in zip(one, other, strict=True)
    )
