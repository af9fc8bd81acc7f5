"""Net of an estimator's parameters: layers of one cell, a vector of each sequence, and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..declare.cell import Cell
from ..declare.cells.basic import BasicRNNCell, GRUCell, LSTMCell
from ..declare.cells.wrappers import DropoutWrapper, MultiRNNCell
from ..declare.functions.activations import softmax
from ..declare.functions.basic import cast, concat, expand_dims, reduce_sum
from ..declare.functions.layers import dense
from ..declare.functions.losses import mean_squared_error, sparse_softmax_cross_entropy
from ..declare.functions.sequences import gather_last
from ..declare.parameters import parameter
from ..declare.placeholders import placeholder
from ..declare.running.drivers import dynamic_rnn, stack_bidirectional_dynamic_rnn
from ..declare.tensor import Tensor
from ..program.program import Program, compile
from ..support.arguments import check_within, flag, one_of, units, whole_number
from ..support.errors import DtypeError, shown

CELLS: dict[str, Callable[[int], Cell]] = {"rnn": BasicRNNCell, "lstm": LSTMCell, "gru": GRUCell}
POOLINGS = ("last", "mean")
SCORES, OUTPUT, LABELS, TARGETS, WEIGHTS = "probabilities", "prediction", "label", "target", "weight"


class Body(NamedTuple):
    """Net without its outputs. The fields are the estimator's parameters of the same names."""

    cell: Any
    units: int
    layers: int
    dropout: float
    bidirectional: bool
    pooling: str

    def check(self) -> None:
        """Raise ``ArgumentError`` or ``DtypeError`` for invalid parameters."""
        if isinstance(self.cell, Cell):
            raise DtypeError(
                f"cell={shown(self.cell)} is one cell; give a function from a width to a cell, such as its class"
            )
        if not callable(self.cell):
            one_of(self.cell, "cell", tuple(CELLS))
        units(self.units, "units")
        whole_number(self.layers, "layers", 1)
        check_within("dropout", self.dropout, 0.0, 1.0)
        flag(self.bidirectional, "bidirectional")
        one_of(self.pooling, "pooling", POOLINGS)

    def of(self, mean: np.ndarray, scale: np.ndarray) -> Tensor:
        """Declare a vector for each row of ``x`` [batch, time, features] with ``lengths``.

        Features are standardized by mean and scale.
        """
        x, lengths = placeholder("x", (None, None, len(mean))), placeholder("lengths", (None,), "int64")
        steps = (x - _kept("input/mean", mean)) / _kept("input/scale", scale)
        if self.bidirectional:
            outputs, _, _ = stack_bidirectional_dynamic_rnn(
                self._cells(), self._cells(), steps, dtype="float32", sequence_length=lengths
            )
        else:
            outputs, _ = dynamic_rnn(MultiRNNCell(self._cells()), steps, sequence_length=lengths)
        if self.pooling == "mean":
            return reduce_sum(outputs, axis=1) / expand_dims(cast(lengths, "float32"), -1)
        if not self.bidirectional:
            return gather_last(outputs, lengths)
        middle = outputs.width // 2  # last output of each direction
        return concat([gather_last(outputs[:, :, :middle], lengths), outputs[:, 0, middle:]], -1)

    def _cells(self) -> list[Cell]:
        make = self.cell if callable(self.cell) else CELLS[self.cell]
        cells = [make(self.units) for _ in range(self.layers)]
        for cell in cells:
            if not isinstance(cell, Cell):
                raise DtypeError(
                    f"cell={shown(self.cell)} must return an rg.Cell for {self.units} units, not {shown(cell)}"
                )
        return [DropoutWrapper(cell, output_keep_prob=1.0 - self.dropout) if self.dropout else cell for cell in cells]


def _kept(name: str, value: np.ndarray) -> Tensor:
    """Declare statistics of the examples as a saved parameter without gradient."""
    return parameter(name, value.shape, value, trainable=False)


def _weights(weighted: bool) -> Tensor | float:
    """Return the weights of a loss: a placeholder ``weight`` [batch], or 1."""
    return placeholder(WEIGHTS, (None,)) if weighted else 1.0


def classifier(
    body: Body, mean: np.ndarray, scale: np.ndarray, classes: np.ndarray, weighted: bool, seed: int, threads: int
) -> Program:
    """Compile a net with ``probabilities`` [batch, classes], trained with ``label`` [batch] of int64 indices.

    ``weighted`` adds the input ``weight`` [batch]. ``classes`` are labels of any kind.
    """
    logits = dense(body.of(mean, scale), len(classes))
    loss = sparse_softmax_cross_entropy(placeholder(LABELS, (None,), "int64"), logits, _weights(weighted))
    return compile({SCORES: softmax(logits)}, loss=loss, seed=seed, threads=threads, classes={SCORES: classes.tolist()})


class Scaling(NamedTuple):
    """Mean and scale that standardize values."""

    mean: np.ndarray
    scale: np.ndarray


def regressor(
    body: Body,
    inputs: Scaling,
    targets: Scaling,
    weighted: bool,
    seed: int,
    threads: int,
) -> Program:
    """Compile a net with a ``prediction`` [batch, outputs], trained with ``target`` of that shape.

    The loss is the mean squared error in units of the targets' scale. ``weighted`` adds the input ``weight``
    [batch].
    """
    middle, unit = _kept("target/mean", targets.mean), _kept("target/scale", targets.scale)
    guess = dense(body.of(inputs.mean, inputs.scale), len(targets.mean))
    wanted = (placeholder(TARGETS, (None, len(targets.mean))) - middle) / unit
    loss = mean_squared_error(wanted, guess, _weights(weighted))
    return compile({OUTPUT: guess * unit + middle}, loss=loss, seed=seed, threads=threads)
