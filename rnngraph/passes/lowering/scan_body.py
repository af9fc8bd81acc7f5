"""The body of a driver's scan in the making: a part of lowering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...declare.driver import Driver
from ...declare.parameter_maps import RANDOM
from ...errors import ShapeError, Where
from ...ir.graph import Node, topological
from ...ir.scan import Binding, Carry, ScanParts
from ...ir.text.source import assigned_names
from ...ir.types import Dim, TensorType
from .context import Context
from .random_nodes import units_of


class Body:
    """One driver's scan in the making."""

    def __init__(self, context: Context, driver: Driver, time: Dim, batch: Dim, where: Where | None) -> None:
        self.context, self.driver, self.time, self.batch, self.where = context, driver, time, batch, where
        self.nodes, self.random, self.make = context.nodes, context.random, context.nodes.make
        self.sequences: list[Binding] = []
        self.constants: list[Binding] = []
        self.shared: dict[str, Node] = {}
        self.assigned: Mapping[Node, str] = {}
        self.live: Node | None = None  # whether a row still runs, where that is known
        self.tapped: list[tuple[Node, Node]] = []

    def formal(self, label: str, kind: TensorType) -> Node:
        return self.make("input", where=self.where, name=label, label=label, type=kind)

    def over(self, label: str, actual: Node) -> Node:
        node = self.formal(label, actual.tensor.with_shape(actual.shape[1:]))
        self.sequences.append(Binding(node, actual))
        return node

    def given(self, label: str, actual: Node) -> Node:
        node = self.formal(label, actual.tensor)
        self.constants.append(Binding(node, actual))
        return node

    def once(self, key: str, build: Any) -> Node:
        if key not in self.shared:
            self.shared[key] = build()
        return self.shared[key]

    def scan(
        self,
        sequences: Sequence[Node],
        lengths: Node | None,
        mask: Node | None,
        initial: Sequence[Node],
        captured: Sequence[Node],
        name: str,
    ) -> Node:
        driver = self.driver
        sequences = [self._fitting(item, 0, self.time, "what it reads") for item in sequences]
        sequences = [self._fitting(item, 1, self.batch, "what it reads") for item in sequences]
        initial = [self._fitting(item, 0, self.batch, "its initial_state") if item.shape else item for item in initial]
        new: dict[Node, Node] = {
            formal: self.over(str(formal["label"]), actual)
            for formal, actual in zip(driver.sequences, sequences, strict=True)
        }
        carries = [
            self.formal(str(node["label"]), kind.tensor) for node, kind in zip(driver.states, initial, strict=True)
        ]
        new.update(zip(driver.states, carries, strict=True))
        for node, actual in zip(driver.captured, captured, strict=True):
            is_number = actual.op == "constant" and actual.tensor.rank == 0
            label = str(actual.get("label", actual.name or actual.op)).rpartition("/")[2]
            label = "given_length" if label == "length" else label  # that one is the rows' own length
            new[node] = actual if is_number else self.given(label, actual)
        within = None if lengths is None else self._live(lengths)
        live = within if mask is None else self._unmasked(mask, within)
        self.live = live if driver.live is None else new[driver.live]
        if live is not None:  # what stands past a row's end, or is masked, is read by nothing, and by no derivative
            for formal in driver.sequences:
                x = new[formal]
                zero = self.make("constant", value=np.zeros((), x.dtype))
                new[formal] = self.make("select", live, x, zero, where=self.where, name="real", guards=True)
        inner = topological((driver.output, *driver.next_states), known=new)
        self.assigned = assigned_names(inner, beside=driver.where)
        for node in inner:
            operands = [new[operand] for operand in node.operands]
            new[node] = self._tap(node, operands[0]) if node.op == "tap" else self._inner(node, operands)
        output, states = new[driver.output], [new[node] for node in driver.next_states]
        output = self._full(output)
        states = [self._full(item) for item in states]
        if live is not None:
            zero = self.make("constant", value=np.zeros((), output.dtype))
            last = None if driver.last is None else new[driver.last]
            output = self.make("select", live, output, zero if last is None else last, where=self.where)
            if last is not None and within is not None:
                output = self.make("select", within, output, zero, where=self.where)
            states = [
                self.make("select", live, after, before, where=self.where)
                for after, before in zip(states, carries, strict=True)
            ]
        labels = (str(node["label"]) for node in driver.states)
        seen = [(self.context.taps[node], self._while_live(value)) for node, value in self.tapped]
        scan = ScanParts(
            carries=[*map(Carry, carries, initial, labels, states)],
            sequences=self.sequences,
            invariants=self.constants,
            emits=[("output", output), *seen],
            length=self.time,
            reverse=driver.reverse,
            when=None if driver.when is None else new[driver.when],
        ).made(self.where, name, self.make)
        for number, (node, value) in enumerate(self.tapped, len(carries) + 1):
            steps = self.make("get", scan, where=node.where, index=number)
            self.context.tapped[self.context.taps[node]] = self._turned(steps, value)
        return scan

    # Taps ----------------------------------------------------------------------------------------

    def _tap(self, node: Node, value: Node) -> Node:
        """A value of the step that can be looked at: it is emitted, or an input over all steps is added to it."""
        if node not in self.context.taps:
            return value
        if not self.context.moved:
            self.tapped.append((node, value))
            return value
        shape = [self.time, *value.shape]
        turn = self._has_rows(value) and not self.driver.time_major
        if turn:
            shape[:2] = shape[1], shape[0]
        given = self.context.moved_by(node, value.tensor.with_shape(tuple(shape)))
        return self.make("add", value, self.over("tap", self._turned(given, value)), where=node.where)

    def _turned(self, steps: Node, value: Node) -> Node:
        """What lies in time, laid out as the driver's inputs are, and back again."""
        if not self._has_rows(value) or self.driver.time_major:
            return steps
        return self.make("transpose", steps, where=steps.where, order=(1, 0, *range(2, steps.tensor.rank)))

    def _while_live(self, value: Node) -> Node:
        """A value of rows that still run, and 0 for others."""
        rank = value.tensor.rank
        if self.live is None or not self._has_rows(value):
            return value
        live = self.make("reshape", self.live, shape=(self.batch, *(1,) * (rank - 1)))
        zero = self.make("constant", value=np.zeros((), value.dtype))
        return self.make("select", live, value, zero, where=value.where)

    def _has_rows(self, value: Node) -> bool:
        return value.tensor.rank > 0 and self._is_batch(value.shape[0])

    def _live(self, lengths: Node) -> Node:
        """Whether a row still runs, [batch, 1]."""
        step = self.over("t", self.make("iota", where=self.where, size=self.time))
        limit = self.make("reshape", lengths, shape=(self.batch, 1))
        return self.make("less", step, self.given("length", limit), where=self.where, name="live")

    def _unmasked(self, mask: Node, within: Node | None) -> Node:
        """Whether a row runs a step, [batch, 1]. within: whether it has not ended."""
        mask = self._fitting(mask, 0, self.time, "its mask")
        runs = self.over("mask", self._fitting(mask, 1, self.batch, "its mask"))
        return runs if within is None else self.make("and", within, runs, where=self.where, name="runs")

    def _full(self, node: Node) -> Node:
        """An output or state that does not depend on the batch still has a row for each."""
        if not node.tensor.rank:
            return node
        shape = (self.batch, *node.shape[1:])
        if node.shape[0] == 1 and self.batch != 1:
            return self.make("broadcast", node, shape=shape, where=self.where)
        return self._fitting(node, 0, self.batch, "what its step gives")

    def _fitting(self, node: Node, axis: int, wanted: Dim, what: str) -> Node:
        """``node``, an axis of which becomes the batch or the time, where nothing else says so yet."""
        try:
            return self.nodes.with_size(node, axis, wanted, self.where)
        except ValueError as error:
            raise ShapeError(f"{self.driver.cell!r}: {what} is {node.type}, but {error}", self.where) from None

    def _inner(self, node: Node, operands: Sequence[Node]) -> Node:
        if node.op not in RANDOM:
            name = node.name or self.assigned.get(node, "")
            return self.make(node.op, *operands, where=node.where, name=name, **dict(node.attributes))
        x, scope = operands[0], node.get("scope")
        site = self.context.scopes[scope] if scope else f"{self.context.scopes[self.driver.scope]}/{node['site']}"
        variational = node.get("variational", False)
        seed = self.once("seed", lambda: self.given("seed", self.random.seed))
        if variational:
            step = self.random.constant(-1)
        else:
            step = self.once("step", lambda: self.over("step", self.random.steps(self.time)))
        shape = (x.shape[0], units_of(x, 1)) if x.tensor.rank > 1 else (1, *x.shape)
        if self._is_batch(shape[0]):
            row = self.once("row", lambda: self.given("row", self.random.rows(self.batch)))
        else:  # such as a kernel's
            row = self.make("reshape", self.make("iota", size=shape[0]), shape=(shape[0], 1))
        if node.op == "dropout":
            self._mask(site, node["salt"], operands[1], variational, shape)
        return self.random.draw(node, operands, shape, site, seed, step, row)

    def _is_batch(self, rows: Dim) -> bool:
        return self.nodes.resolve(rows) == self.nodes.resolve(self.batch)

    def _mask(self, site: str, salt: int, keep: Node, variational: bool, shape: tuple[Dim, ...]) -> None:
        """Records what ``dropout_masks`` gives for a site: batch-major, as the sequence that it drops."""
        rows = self.make("reshape", self.make("iota", size=shape[0]), shape=(shape[0], 1))
        rows = self.random.rows(self.batch) if self._is_batch(shape[0]) else rows
        outside = keep if keep.op == "constant" else next(actual for formal, actual in self.constants if formal is keep)
        if variational:
            self.random.masks[site] = self.random.kept(site, salt, outside, self.random.constant(-1), rows, shape)
            return
        steps = self.make("reshape", self.random.steps(self.time), shape=(self.time, 1, 1))
        drawn = self.random.kept(site, salt, outside, steps, rows, (self.time, *shape))
        self.random.masks[site] = self.make("transpose", drawn, order=(1, 0, 2))
