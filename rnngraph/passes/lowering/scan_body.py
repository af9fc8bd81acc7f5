"""Lowering of drivers: to scans, or within the step of another driver to unrolled steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...declare.driver import Driver, DriverOperands
from ...declare.parameter_maps import RANDOM
from ...ir.graph import Node, topological
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.text.source import assigned_names
from ...ir.types import Dim, TensorType
from ...support.errors import GraphError, ShapeError, Where
from .context import Context
from .step_draws import StepDraws


class Steps(StepDraws):
    """Builder of a driver's step: its nodes, states and outputs."""

    def __init__(self, context: Context, driver: Driver, time: Dim, batch: Dim, where: Where | None) -> None:
        super().__init__(context, driver, time, batch, where)
        self.assigned: Mapping[Node, str] = {}
        self.live: Node | None = None  # mask of the rows that run in this step; None if all do

    # Taps of the step ----------------------------------------------------------------------------

    def show(self, node: Node, value: Node, rows: int | None) -> None:
        """Record the value of a tap at this step. ``rows`` is the value's row axis; None without rows."""
        raise NotImplementedError

    def tap_input(self, node: Node, kind: TensorType, rows: int | None) -> Node:
        """Return this step's slice of the input that is added to a tap. ``kind`` is the type of the tapped value."""
        raise NotImplementedError

    # One step ------------------------------------------------------------------------------------

    def step(
        self, new: dict[Node, Node], before: Sequence[Node], within: Node | None, unmasked: Node | None
    ) -> tuple[list[Node], list[Node]]:
        """Translate one step of a cell to nodes. Return (outputs, next states).

        Args:
            new: Lowered inputs of the step. The values of the step are added.
            before: States before the step.
            within: Mask [batch, 1] of rows that have not ended; None without lengths.
            unmasked: Mask [batch, 1] of rows that run by the driver's mask; None without a mask.
        """
        body, iteration = self.driver.body, self.driver.iteration
        live = within if unmasked is None else unmasked
        if within is not None and unmasked is not None:
            live = self.make("and", within, unmasked, where=self.where, name="runs")
        self.live = live if iteration.live is None else new[iteration.live]
        if live is not None:  # padding may be NaN, which would reach derivatives, as NaN times 0 is NaN
            for param in body.sequences:
                x = new[param]
                zero = self.make("constant", value=np.zeros((), x.dtype))
                runs = self._per_row(live, x.tensor.rank)
                new[param] = self.make("select", runs, x, zero, where=self.where, name="real", guards=True)
        inner = topological(body.roots, known=new)
        self.assigned = assigned_names(inner, skipped=self.driver.source.places)
        written: dict[Node, Sequence[Node]] = {}  # results of drivers within the step
        for node in inner:
            if node.op == "get" and node.operands[0] in written:
                new[node] = written[node.operands[0]][node["index"]]
                continue
            operands = [new[operand] for operand in node.operands]
            match node.op:
                case "tap":
                    new[node] = self._tap(node, operands[0])
                case "driver":
                    written[node] = UnrolledDriver(self, node, operands).results()
                    new[node] = operands[0]  # a placeholder, because only ``get`` nodes read a driver
                case _:
                    new[node] = self._inner(node, operands)
        output_count = len(body.outputs)
        outputs = [self._full(new[node]) for node in body.outputs] + [
            new[node] for node in body.emits[output_count - 1 :]
        ]
        states = [self._full(new[node]) for node in body.next_states]
        if not iteration.has_rows:
            pairs = zip(states, before, strict=True)
            states = [
                self.nodes.in_type_of(after, first, "the state after a step", self.where) for after, first in pairs
            ]
        if live is None:
            return outputs, states
        masked = [
            self._mask_output(node, live, within, new[body.last[number]] if body.last else None)
            for number, node in enumerate(outputs[:output_count])
        ]
        lives = [self._per_row(live, after.tensor.rank) for after in states]
        chosen = zip(lives, states, before, strict=True)
        return [*masked, *outputs[output_count:]], [self.make("select", *item, where=self.where) for item in chosen]

    def _mask_output(self, output: Node, live: Node, within: Node | None, last: Node | None) -> Node:
        """Return an output of a step, with ``last`` or 0 for rows that do not run.

        Args:
            output: Output of the step.
            live: Mask of the rows that run.
            within: Mask of the rows that have not ended; None without lengths.
            last: Value for rows that do not run but have not ended; None for 0.
        """
        zero, rank = self.make("constant", value=np.zeros((), output.dtype)), output.tensor.rank
        runs = self._per_row(live, rank)
        output = self.make("select", runs, output, zero if last is None else last, where=self.where)
        if last is not None and within is not None:
            output = self.make("select", self._per_row(within, rank), output, zero, where=self.where)
        return output

    def _per_row(self, live: Node, rank: int) -> Node:
        """Reshape a mask [batch, 1] so that it broadcasts to values of a rank."""
        if rank == 2 or not self.driver.iteration.has_rows:
            return live
        return self.make("reshape", live, where=live.where, shape=(self.batch, *(1 for _ in range(rank - 1))))

    def _full(self, node: Node) -> Node:
        """Broadcast an output or a state of one row to all rows, and unify any other number of rows with the batch.

        A scalar is unchanged.

        Raises:
            ShapeError: The value has a fixed number of rows other than 1, and the batch is open or has another size.
        """
        if not node.tensor.rank or not self.driver.iteration.has_rows:
            return node
        rows, batch = self.nodes.resolve(node.shape[0]), self.nodes.resolve(self.batch)
        if isinstance(rows, int) and rows != 1 and not isinstance(batch, int):
            raise ShapeError(
                f"{self.driver.cell!r}: a result of its step is {node.type}, made at {node.where}, with {rows} rows "
                f"for any batch; compute it from the step's input or state, or declare a placeholder's batch as {rows}",
                self.where,
            )
        shape = (self.batch, *node.shape[1:])
        if node.shape[0] == 1 and self.batch != 1:
            return self.make("broadcast", node, shape=shape, where=self.where)
        return self._fitting(node, 0, self.batch, "the result of its step")

    def _unify_inputs(self, operands: DriverOperands) -> tuple[list[Node], list[Node]]:
        """Unify the inputs' numbers of steps and rows. Return the sequences and the initial states."""
        sequences = [self._fitting(item, 0, self.time, "its input") for item in operands.sequences]
        if not self.driver.iteration.has_rows:
            return sequences, list(operands.initial)
        sequences = [self._fitting(item, 1, self.batch, "its input") for item in sequences]
        what = "its initial_state"
        return sequences, [
            self._fitting(item, 0, self.batch, what) if item.shape else item for item in operands.initial
        ]

    def _fitting(self, node: Node, axis: int, wanted: Dim, what: str) -> Node:
        """Unify an axis with ``wanted``, the number of rows or steps. Raise ``ShapeError`` if the sizes differ.

        ``what`` describes ``node`` in errors.
        """
        try:
            return self.nodes.with_size(node, axis, wanted, self.where)
        except ValueError as error:
            raise ShapeError(f"{self.driver.cell!r}: {what} is {node.type}, but {error}", self.where) from None

    def _inner(self, node: Node, operands: Sequence[Node]) -> Node:
        """Translate one op of a step, other than a tap or loop. Raise ``GraphError`` for a parameter update."""
        if node.op == "with_update":
            raise GraphError(
                "rg.with_update or rg.batch_normalization in a cell's step would update a parameter at every step; "
                "update it outside of the cell, or normalise with rg.layer_norm",
                node.where,
            )
        if node.get("samples"):  # NaN in a row that has ended must not make its sample -1
            is_nan, *others = operands
            rows = 0 if is_nan.tensor.rank and self._is_batch(is_nan.shape[0]) else None
            operands = [self._while_live(is_nan, rows), *others]
        if node.op not in RANDOM:
            name = node.name or self.assigned.get(node) or self.driver.source.variables.get(node, "")
            return self.make(node.op, *operands, where=node.where, name=name, **dict(node.attributes))
        return self.drawn(node, operands)

    def _tap(self, node: Node, value: Node) -> Node:
        """Return a value, to which the tap's input is added if taps are inputs. Else a tapped value is recorded."""
        if node not in self.context.taps:
            return value
        rows = 0 if value.tensor.rank and self._is_batch(value.shape[0]) else None
        if self.context.taps_are_inputs:
            return self.make("add", value, self.tap_input(node, value.tensor, rows), where=node.where)
        self.show(node, value, rows)
        return value

    def _while_live(self, value: Node, rows: int | None) -> Node:
        """Return a value with 0 for rows that have ended or are masked; unchanged if its row axis ``rows`` is None."""
        if self.live is None or rows is None:
            return value
        shape = tuple(self.batch if axis == rows else 1 for axis in range(value.tensor.rank))
        live = self.make("reshape", self.live, shape=shape)
        zero = self.make("constant", value=np.zeros((), value.dtype))
        return self.make("select", live, value, zero, where=value.where)


class Body(Steps):
    """Builder of one driver's scan."""

    def __init__(self, context: Context, driver: Driver, time: Dim, batch: Dim, where: Where | None) -> None:
        super().__init__(context, driver, time, batch, where)
        self.extent = (time,)
        self.sequences: list[Binding] = []
        self.invariants: list[Binding] = []
        self.shared: dict[str, Node] = {}
        self.tapped: list[tuple[Node, Node, int | None]] = []

    def param(self, label: str, kind: TensorType, where: Where | None = None) -> Node:
        """Return a new input of the scan's body."""
        return self.make("input", where=where or self.where, name=label, label=label, type=kind)

    def over(self, label: str, actual: Node) -> Node:
        """Bind a sequence, time first, to a new input. Return the input, which is the element of one step."""
        node = self.param(label, actual.tensor.with_shape(actual.shape[1:]))
        self.sequences.append(Binding(node, actual))
        return node

    def as_input(self, label: str, actual: Node) -> Node:
        """Bind a loop-invariant value to a new input. Return the input."""
        node = self.param(label, actual.tensor, actual.where if actual.op == "parameter" else None)
        self.invariants.append(Binding(node, actual))
        return node

    def once(self, key: str, build: Callable[[], Node]) -> Node:
        """Return the value of ``build()`` from the first call with this key."""
        if key not in self.shared:
            self.shared[key] = build()
        return self.shared[key]

    def seed(self) -> Node:
        return self.once("seed", lambda: self.as_input("seed", self.random.seed))

    def number(self) -> Node:
        return self.once("step", lambda: self.over("step", self.random.steps(self.time)))

    def rows(self) -> Node:
        return self.once("row", lambda: self.as_input("row", self.random.rows(self.batch)))

    def clock(self) -> Node:
        def over_rows() -> Node:
            steps = self.make("iota", size=self.time, runs=True)
            steps = self.make("reshape", steps, shape=(self.time, 1, 1))
            if isinstance(self.time, int):  # a stream may run this whole loop in each call
                calls = self.make("sub", self.make("dimension", size=1, runs=True), self.random.constant(1))
                steps = self.make("add", steps, self.make("mul", calls, self.random.constant(self.time)))
            return self.over("clock", self.make("broadcast", steps, shape=(self.time, self.batch, 1)))

        return self.once("clock", over_rows)

    def stream_number(self) -> Node:
        def of_rows() -> Node:
            numbers = self._fitting(self.random.numbers(self.batch), 0, self.batch, "the numbers of streams")
            return self.as_input("number", self.make("reshape", numbers, shape=(self.batch, 1)))

        return self.once("number", of_rows)

    def whole(self, node: Node) -> Node:
        return next(actual for param, actual in self.invariants if param is node)

    def scan(self, operands: DriverOperands, name: str) -> Node:
        """Return the driver's scan, and record the values of its taps."""
        body, iteration = self.driver.body, self.driver.iteration
        sequences, initial = self._unify_inputs(operands)
        new: dict[Node, Node] = {
            param: self.over(str(param["label"]), actual)
            for param, actual in zip(body.sequences, sequences, strict=True)
        }
        carries = [self.param(str(node["label"]), kind.tensor) for node, kind in zip(body.states, initial, strict=True)]
        new.update(zip(body.states, carries, strict=True))
        for node, actual in zip(body.captured, operands.captured, strict=True):
            is_number = actual.op == "constant" and actual.tensor.rank == 0
            label = str(actual.get("label", actual.name or actual.op)).rpartition("/")[2]
            label = "given_length" if label == "length" else label  # ``length`` is the input with the rows' lengths
            new[node] = actual if is_number else self.as_input(label, actual)
        within = None if operands.lengths is None else self._live(operands.lengths)
        unmasked = None if operands.mask is None else self._unmasked(operands.mask)
        outputs, states = self.step(new, carries, within, unmasked)
        labels = (str(node["label"]) for node in body.states)
        seen = [(self.context.taps[node], value) for node, value, _ in self.tapped]
        scan = ScanParts(
            carries=[*map(Carry, carries, initial, labels, states)],
            sequences=self.sequences,
            invariants=self.invariants,
            emits=[*(("output", node) for node in outputs), *seen],
            length=self.time,
            reverse=iteration.reverse,
            when=None if iteration.when is None else new[iteration.when],
        ).build(self.where, name, self.make)
        for number, (node, _, rows) in enumerate(self.tapped, len(carries) + 1 + len(body.emits)):
            steps = self.make("get", scan, where=node.where, index=number)
            self.context.tapped[self.context.taps[node]] = self._by_row(steps, rows)
        return scan

    def _live(self, lengths: Node) -> Node:
        """Return a mask [batch, 1] of the rows that have not ended."""
        step = self.over("t", self.make("iota", where=self.where, size=self.time))
        limit = self.make("reshape", lengths, shape=(self.batch, 1))
        return self.make("less", step, self.as_input("length", limit), where=self.where, name="live")

    def _unmasked(self, mask: Node) -> Node:
        mask = self._fitting(mask, 0, self.time, "its mask")
        return self.over("mask", self._fitting(mask, 1, self.batch, "its mask"))

    # Taps ----------------------------------------------------------------------------------------

    def show(self, node: Node, value: Node, rows: int | None) -> None:
        self.tapped.append((node, self._while_live(value, rows), rows))

    def tap_input(self, node: Node, kind: TensorType, rows: int | None) -> Node:
        shape = (self.time, *kind.shape)
        if rows is None or self.driver.iteration.time_major:
            return self.over("tap", self.context.added_to_tap(node, kind.with_shape(shape)))
        at = rows + 1
        time_major = self.context.added_to_tap(node, kind.with_shape((shape[at], *shape[:at], *shape[at + 1 :])))
        order = (*range(1, at + 1), 0, *range(at + 1, len(shape)))
        return self.over("tap", self.make("transpose", time_major, where=time_major.where, order=order))

    def _by_row(self, steps: Node, rows: int | None) -> Node:
        """Transpose a tap's values of all steps to the layout of the driver's inputs."""
        if rows is None or self.driver.iteration.time_major:
            return steps
        at = rows + 1
        order = (at, *range(at), *range(at + 1, steps.tensor.rank))
        return self.make("transpose", steps, where=steps.where, order=order)


class UnrolledDriver(Steps):
    """Driver within a driver's step, unrolled in the body of the outer scan."""

    def __init__(self, outer: Steps, node: Node, operands: Sequence[Node]) -> None:
        driver: Driver = node["driver"]
        length = driver.iteration.length
        assert isinstance(length, int)
        self.operands = driver.by_role(operands)
        super().__init__(outer.context, driver, length, driver.batch(self.operands), node.where)
        self.outer, self.steps, self.extent = outer, length, (*outer.extent, length)
        self.now = 0
        self.tapped: dict[Node, tuple[int | None, dict[int, Node]]] = {}  # row axis and values by step, for each tap
        self.tap_inputs: dict[Node, Node] = {}  # inputs that are added to taps, with all steps

    def results(self) -> list[Node]:
        """Return the final values of all carries, then the outputs [length, batch, width]."""
        body, operands = self.driver.body, self.operands
        sequences, states = self._unify_inputs(operands)
        mask = None if operands.mask is None else self._fitting(operands.mask, 0, self.time, "its mask")
        mask = None if mask is None else self._fitting(mask, 1, self.batch, "its mask")
        outputs_by_step: dict[int, list[Node]] = {}
        for now in range(self.steps)[:: -1 if self.driver.iteration.reverse else 1]:
            self.now = now
            new = dict(zip(body.captured, operands.captured, strict=True))
            new.update(zip(body.sequences, map(self._at, sequences), strict=True))
            new.update(zip(body.states, states, strict=True))
            within = None if operands.lengths is None else self._live(operands.lengths)
            outputs_by_step[now], states = self.step(new, states, within, None if mask is None else self._at(mask))
        for tap, (rows, values) in self.tapped.items():
            self.outer.show(tap, self._stack_steps(values), self._outer_rows(rows))
        if not outputs_by_step:
            return [*states, *map(self._empty, (body.output, *body.emits))]
        places = range(1 + len(body.emits))
        return [
            *states,
            *(self._stack_steps({step: row[place] for step, row in outputs_by_step.items()}) for place in places),
        ]

    def _at(self, sequence: Node) -> Node:
        """Return a sequence's element at this step."""
        rest = sequence.shape[1:]
        start, stop = (self.now, *(0 for _ in rest)), (self.now + 1, *rest)
        one = self.make("slice", sequence, where=self.where, start=start, stop=stop, step=(1,) * len(stop))
        return self.make("reshape", one, where=self.where, shape=rest)

    def _stack_steps(self, values: Mapping[int, Node]) -> Node:
        """Stack values of all steps along a new first axis."""
        entries = [values[step] for step in range(self.steps)]
        parts = [self.make("reshape", value, where=value.where, shape=(1, *value.shape)) for value in entries]
        return parts[0] if len(parts) == 1 else self.make("concat", *parts, where=self.where, axis=0)

    def _empty(self, output: Node) -> Node:
        """Return an output without steps."""
        zero = self.make("constant", value=np.zeros((), output.dtype))
        shape = (self.batch, *output.shape[1:]) if self.driver.iteration.has_rows else output.shape
        return self.make("broadcast", zero, where=self.where, shape=(0, *shape))

    def _live(self, lengths: Node) -> Node:
        limit = self.make("reshape", lengths, shape=(self.batch, 1))
        return self.make("less", self.random.constant(self.now), limit, where=self.where, name="live")

    def seed(self) -> Node:
        return self.outer.seed()

    def number(self) -> Node:
        return self.make("add", self._scaled(self.outer.number(), self.steps), self.random.constant(self.now))

    def clock(self) -> Node:
        self._check_rows()
        return self.make("add", self._scaled(self.outer.clock(), self.steps), self.random.constant(self.now))

    def stream_number(self) -> Node:
        self._check_rows()
        return self.outer.stream_number()

    def rows(self) -> Node:
        self._check_rows()
        return self.outer.rows()

    def _check_rows(self) -> None:
        """Raise ``GraphError`` unless the driver's rows are those of the outer step, by which random numbers differ."""
        if not self._has_outer_rows:
            raise GraphError(
                f"{self.driver.cell!r} draws random numbers in a driver within another cell's step, and the driver's "
                "rows are not the step's; draw the numbers outside of the inner driver",
                self.where,
            )

    @property
    def _has_outer_rows(self) -> bool:
        return self.nodes.resolve(self.batch) == self.nodes.resolve(self.outer.batch)

    def whole(self, node: Node) -> Node:
        return self.outer.whole(node)

    # Taps ----------------------------------------------------------------------------------------

    def show(self, node: Node, value: Node, rows: int | None) -> None:
        self.tapped.setdefault(node, (rows, {}))[1][self.now] = self._while_live(value, rows)

    def tap_input(self, node: Node, kind: TensorType, rows: int | None) -> Node:
        if node not in self.tap_inputs:
            self.tap_inputs[node] = self.outer.tap_input(
                node, kind.with_shape((self.time, *kind.shape)), self._outer_rows(rows)
            )
        return self._at(self.tap_inputs[node])

    def _outer_rows(self, rows: int | None) -> int | None:
        """Return the axis of the outer step's rows in the values of all inner steps; None if there is none."""
        return rows + 1 if rows is not None and self._has_outer_rows else None
