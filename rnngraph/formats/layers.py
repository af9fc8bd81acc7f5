"""Layers that several formats have, declared in a script with a file's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..declare.cell import Cell, snake_case
from ..declare.cells.wrappers import MultiRNNCell
from ..declare.drivers import dynamic_rnn
from ..declare.functions.layers import dense
from ..declare.parameters import parameter
from .gates import Layer, parameters_of
from .script import Script
from .steps import Value


def declare_stack(
    script: Script,
    x: Value,
    cells: Sequence[Value],
    layers: Sequence[Layer],
    initial: Any = None,
    **options: Any,
) -> Value:
    """(outputs, state) of cells above one another, with their arrays. initial: one state a cell.
    options: of ``dynamic_rnn``.
    """
    scope = script.scope("rnn")
    for number, (cell, layer) in enumerate(zip(cells, layers, strict=True)):
        inner = f"multi_rnn_cell/cell_{number}/" if len(cells) > 1 else ""
        script.own(f"{scope}/{inner}{scope_of(cell.thing)}", parameters_of(cell.thing, layer))
    if initial is not None:
        options["initial_state"] = initial[0] if len(cells) == 1 else tuple(initial)
    whole = cells[0] if len(cells) == 1 else script.call(MultiRNNCell, list(cells), hint="cell")
    return script.call(dynamic_rnn, whole, x, **options, scope=scope)


def scope_of(cell: Cell) -> str:
    """The name under which a cell's parameters stand."""
    return cell.scope_name or snake_case(type(cell).__name__)


def declare_dense(
    script: Script,
    x: Value,
    kernel: np.ndarray,
    bias: np.ndarray | None,
    activation: str | None = None,
    base: str = "dense",
) -> Value:
    """A dense layer. kernel: [width, units]. base: of the scope."""
    scope = script.scope(base)
    script.own(scope, {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias})
    options: dict[str, Any] = {} if activation is None else {"activation": activation}
    if bias is None:
        options["use_bias"] = False
    return script.call(dense, x, kernel.shape[1], **options, name=scope)


def declare_parameter(script: Script, base: str, array: np.ndarray, hint: str, trainable: bool = True) -> Value:
    """A parameter that stands by itself."""
    name = script.scope(base)
    script.parameters[name] = np.ascontiguousarray(array)
    options: dict[str, Any] = {} if array.dtype == np.float32 else {"dtype": str(array.dtype)}
    options |= {} if trainable else {"initializer": "zeros", "trainable": False}
    return script.call(parameter, name, array.shape, **options, hint=hint)
