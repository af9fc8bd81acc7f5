"""Random numbers of a driver's step, for dropout masks, noise and sampling."""

from __future__ import annotations

from collections.abc import Sequence

from ...declare.driver import Driver
from ...ir.graph import Node
from ...ir.types import Dim
from ...support.errors import GraphError, Where
from .context import Context
from .random_nodes import units_of


class StepDraws:
    """Builder of the random numbers of a step. Subclasses provide the counters of steps, rows and streams.

    Attributes:
        extent: Number of steps of each enclosing loop, from the outermost loop to the driver's.
    """

    extent: tuple[Dim, ...]

    def __init__(self, context: Context, driver: Driver, time: Dim, batch: Dim, where: Where | None) -> None:
        self.context, self.driver, self.time, self._batch, self.where = context, driver, time, batch, where
        self.nodes, self.random, self.make = context.nodes, context.random, context.nodes.make

    @property
    def batch(self) -> Dim:
        """Number of rows; an int if an equation of sizes determines it."""
        return self.nodes.resolve(self._batch)

    # Counters of the step ------------------------------------------------------------------------

    def seed(self) -> Node:
        """Return the seed of the call, a scalar."""
        raise NotImplementedError

    def number(self) -> Node:
        """Return the index of the step, counted over all enclosing loops."""
        raise NotImplementedError

    def rows(self) -> Node:
        """Return the index of each row, [batch, 1]."""
        raise NotImplementedError

    def clock(self) -> Node:
        """Return the index of the step in each row's stream, [batch, 1]."""
        raise NotImplementedError

    def stream_number(self) -> Node:
        """Return the number of each row's stream, [batch, 1]."""
        raise NotImplementedError

    def whole(self, node: Node) -> Node:
        """Return the value, outside of all loops, that is bound to a loop-invariant input of the step."""
        raise NotImplementedError

    # Draws ---------------------------------------------------------------------------------------

    def drawn(self, node: Node, operands: Sequence[Node]) -> Node:
        """Return the node of a random op within a step, drawn anew each step, or once per call if it is variational."""
        if node.op == "sample_noise":
            return self._sampled(node, operands[0])
        x, scope = operands[0], node.get("scope")
        site = self.context.scopes[scope] if scope else f"{self.context.scopes[self.driver.scope]}/{node['site']}"
        variational = node.get("variational", False)
        seed = self.seed()
        step = self.random.constant(-1) if variational else self.number()
        shape = (x.shape[0], units_of(x, 1)) if x.tensor.rank > 1 else (1, *x.shape)
        if self._is_batch(shape[0]):
            row = self.rows()
        else:  # no batch axis, as in a weight matrix
            row = self.make("reshape", self.make("iota", size=shape[0]), shape=(shape[0], 1))
        if node.op == "dropout":
            self._mask(site, node["salt"], operands[1], variational, shape)
        return self.random.draw(node, operands, shape, site, seed, step, row)

    def _sampled(self, node: Node, x: Node) -> Node:
        """Return the uniform random numbers, new at each step, by which a sample from logits ``x`` is chosen."""
        if not x.tensor.rank or not self._is_batch(x.shape[0]):
            raise GraphError(
                f"rg.sample in a step needs logits [batch, …, classes], with the rows of the batch, not {x.type}",
                node.where,
            )
        site = self.context.scopes[node["scope"]]
        shape = (x.shape[0], units_of(x, 1))
        return self.random.sampled(x, shape, site, node["salt"], self.clock(), self.stream_number(), node.where)

    def _is_batch(self, rows: Dim) -> bool:
        """True if a size is the number of rows."""
        return self.nodes.resolve(rows) == self.batch

    def _mask(self, site: str, salt: int, keep: Node, variational: bool, shape: tuple[Dim, ...]) -> None:
        """Record the mask of a dropout op at all steps, rows first, for the public ``dropout_masks``."""
        rows = self.make("reshape", self.make("iota", size=shape[0]), shape=(shape[0], 1))
        rows = self.random.rows(self.batch) if self._is_batch(shape[0]) else rows
        outside = keep if keep.op == "constant" else self.whole(keep)
        if variational:
            self.random.masks[site] = self.random.dropout_mask(
                site, salt, outside, self.random.constant(-1), rows, shape
            )
            return
        loops, numbers = len(self.extent), self.random.steps(self.extent[0])
        for size in self.extent[1:]:
            one = self.make("reshape", numbers, shape=(*numbers.shape, 1))
            numbers = self.make("add", self._scaled(one, size), self.make("iota", size=size))
        steps = self.make("reshape", numbers, shape=(*self.extent, 1, 1))
        drawn = self.random.dropout_mask(site, salt, outside, steps, rows, (*self.extent, *shape))
        self.random.masks[site] = self.make("transpose", drawn, order=(loops, *range(loops), loops + 1))

    def _scaled(self, number: Node, steps: Dim) -> Node:
        """Return the index of the first inner step of the outer step ``number``, which has ``steps`` inner steps."""
        return self.make("mul", number, self.make("dimension", size=steps))
