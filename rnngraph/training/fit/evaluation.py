"""Measurement of losses and metrics over examples, without dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...batching.examples import as_array
from ...batching.sources import BatchSource
from ...declare.tensor import Tensor
from ...program.program import Program
from ...support.api_guard import taking
from ...support.errors import ArgumentError, DtypeError, GraphError, NameLookupError, ShapeError, Where, shown
from .history import VALIDATION
from .padding_check import PaddingCheck

Metric = Tensor | Callable[[Any, Any], Any]
"""A declared Tensor, or a function of (result of ``evaluate``, feeds)."""

RESERVED_COLUMNS = ("epoch", "loss", "learning_rate", "seconds")
"""Columns of the history that metrics cannot have."""


def checked_metrics(metrics: Any, where: Where | None) -> Mapping[str, Metric]:
    """Return the argument ``metrics``, or an empty mapping for None. Raise ``DtypeError`` if it is no mapping."""
    if metrics is not None and not isinstance(metrics, Mapping):
        raise DtypeError(
            f"metrics must be a mapping from names to Tensors or functions, not {shown(metrics)}; "
            'write metrics={"accuracy": rg.accuracy(labels, logits)}',
            where,
        )
    return metrics or {}


class Evaluation:
    """Measurement of a program's loss and metrics over all examples of a source, without dropout.

    Attributes:
        names: ``"loss"``, then the names of the metrics.
    """

    def __init__(
        self,
        program: Program,
        source: BatchSource,
        metrics: Mapping[str, Metric],
        padding: PaddingCheck,
        where: Where | None,
    ) -> None:
        self._program, self._source = program, source
        self._inputs = program.evaluation.input_names()
        self._functions: dict[str, Any] = {}
        tensors: dict[str, Tensor] = {}
        for name, metric in metrics.items():
            if not isinstance(name, str) or name in RESERVED_COLUMNS or name.startswith(VALIDATION):
                raise ArgumentError(
                    f"a metric can't be named {shown(name)}, a column of every history; choose another name", where
                )
            if isinstance(metric, Tensor):
                tensors[name] = metric
            elif callable(metric):
                self._functions[name] = taking(metric, f"metric {shown(name)}", "result", "feeds", where=where)
            else:
                raise DtypeError(
                    f"metric {shown(name)} must be a Tensor or a function, not {type(metric).__name__}", where
                )
        self._measured = program.with_outputs(tensors) if tensors else None
        self.names = ("loss", *tensors, *self._functions)
        self._padding = [padding]
        if self._measured is not None:
            self._check_measured(self._measured, tensors, where)
            named = {name: f"metric {shown(name)}" for name in tensors}
            self._padding.append(PaddingCheck(self._measured, self._measured.inference, named, where))

    def _check_measured(self, measured: Program, metrics: Mapping[str, Tensor], where: Where | None) -> None:
        """Raise an error if metrics read parameters that the program lacks, or inputs that its training graph lacks.

        Args:
            measured: Program with the metrics as outputs.
            metrics: Metrics that are Tensors, by name.
            where: The user's call.
        """
        names = ", ".join(metrics)
        if new := [name for name in measured.parameters if name not in self._program.parameters]:
            raise GraphError(
                f"a metric ({names}) reads {', '.join(new)}, which the program does not have; "
                "use parameters that the loss trains",
                where,
            )
        takes = self._program.training.input_names()
        if unknown := [name for name in measured.inference.input_names() if name not in takes]:
            raise NameLookupError(
                f"a metric ({names}) reads {', '.join(unknown)}, which is no input of the training graph; "
                f"there are {', '.join(takes)}",
                where,
            )

    def run(self) -> dict[str, float]:
        """Measure all examples. Return {name: mean over batches, weighted by their rows} of the loss and metrics."""
        sums: dict[str, float] = {}
        count = 0
        for batch in self._source.restarted().epoch(0):
            for check in self._padding:
                check.check(batch)
            feeds, rows = batch.feeds(), len(batch.rows)
            count += rows
            result = self._program.evaluate({name: feeds[name] for name in self._inputs if name in feeds})
            values: dict[str, Any] = {"loss": result["loss"]}
            if self._measured is not None:
                input_names = self._measured.inference.input_names()
                values |= self._measured.inference({name: feeds[name] for name in input_names if name in feeds})
            values |= {name: function(result, feeds) for name, function in self._functions.items()}
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + _number(name, value) * rows
        return {name: value / count for name, value in sums.items()}


def _number(name: str, value: Any) -> float:
    """Return a metric's value for a batch as a number. An array, such as a value for each row, is averaged."""
    array = as_array(f"the result of metric {shown(name)}", value, None)
    if array.dtype.kind not in "fiub" or not array.size:
        raise ShapeError(f"metric {shown(name)} returns {shown(value)}; return a number, or an array of numbers")
    return float(array.mean(dtype=np.float64))
