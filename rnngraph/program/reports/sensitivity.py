"""Sensitivity of a program's results to narrow weights, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...declare.nest import paths
from ...ir.graph import Graph
from ...passes.held_weights import held_weights
from ...runtime.native.compile_options import CompileOptions
from ...runtime.native.weight_options import FLOAT32, WeightRules, matched
from ...support.errors import GraphError
from .summary import Sensitivity

Run = Callable[[CompileOptions], Any]
"""Function that runs one call with given compile options, and returns the results."""


def sensitivities(
    graph: Graph, options: CompileOptions, layer_of: Callable[[str], str], run: Run
) -> dict[str, Sensitivity]:
    """Return {layer: change of the results if only this layer's weights are narrow}, such as int8.

    Args:
        graph: Inference graph before optimisation.
        options: Options with narrow weights.
        layer_of: Function that returns the layer of a parameter.
        run: Function that is called once for each layer, and once with float32 weights.

    Raises:
        GraphError: No weight is narrow.
    """
    layers: dict[str, list[str]] = {}
    for name, item in held_weights(graph, options.reduced, options.parameters).items():
        if item.is_narrow:
            layers.setdefault(layer_of(name), []).append(name)
    if not layers:
        raise GraphError(
            "sensitivity= compares narrow weights with float32, and all are float32; compile with weights="
        )
    exact = _results(run, options, FLOAT32)
    numbers = matched(options.weights, options.parameters)
    by_layer = {}
    for layer, names in layers.items():
        rules = tuple((_exact_pattern(name), options.weights[numbers[name]][1]) for name in names)
        by_layer[layer] = _compared(exact, _results(run, options, rules))
    return by_layer


def _exact_pattern(name: str) -> str:
    """Return a pattern that matches only this name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _results(run: Run, options: CompileOptions, weights: WeightRules) -> dict[str, np.ndarray]:
    """Return the results by path with these number formats of weights."""
    kinds = {narrow.kind for _, narrow in weights}
    activations = options.activations if options.activations in kinds else "float32"
    results = run(replace(options, weights=weights, activations=activations))
    return {path: np.asarray(value) for path, value in paths(results)}


def _compared(exact: Mapping[str, np.ndarray], narrow: Mapping[str, np.ndarray]) -> Sensitivity:
    """Return the difference of results with narrow weights from exact ones: relative RMS, and change of the loss."""
    change, size, loss = 0.0, 0.0, None
    for path, array in exact.items():
        if path == "loss":
            loss = float(narrow[path]) - float(array)
        elif array.dtype.kind == "f":
            wide = array.astype(np.float64)
            change += float(np.square(narrow[path] - wide).sum())
            size += float(np.square(wide).sum())
    return Sensitivity(math.sqrt(change / size) if size else math.sqrt(change), loss)
