"""Weights that inference stores in narrow formats, and the warning for a requested format that has no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..runtime.native.compile_options import CompileOptions
from ..runtime.native.object_cache import is_worth_keeping, key_of
from ..runtime.native.weight_options import ANY, Narrow, matched
from ..support.errors import Where, shown, warn
from .inference_graph import InferenceGraph

if TYPE_CHECKING:
    from ..passes.held_weights import ParameterStorage

Spelling = Callable[[str, Narrow], str]
"""Function that returns a rule of ``weights=``, a pattern of names and a kind, as the user would write it."""


def _option(pattern: str, asked: Narrow) -> str:
    return f'weights="{asked.kind}"' if pattern == ANY else f"weights={{{shown(pattern)}: {shown(asked.kind)}}}"


def _forced(pattern: str, asked: Narrow) -> str:
    return f'rg.Narrow("{asked.kind}", force=True)'


def narrow_parameters(graph: InferenceGraph, options: CompileOptions) -> list[str]:
    """Return the names of parameters that all products read in a narrow format."""
    if options.reduced is None:
        return []
    from ..passes.held_weights import held_weights  # imports the optimiser, for narrow weights only

    storage = held_weights(graph.graph, options.reduced, options.parameters)
    return [name for name, item in storage.items() if item.is_narrow and "float32" not in item.kinds]


def warn_of_kinds_without_effect(
    graph: InferenceGraph,
    options: CompileOptions,
    where: Where | None,
    option: Spelling = _option,
    forced: Spelling = _forced,
) -> None:
    """Warn of each format in ``weights=`` that no weight has, with the reasons.

    The cache keeps that there is nothing to warn of, because the passes take long for a large graph.

    Args:
        option: Formats a rule as the user wrote it.
        forced: Formats the rule that also narrows small parameters.
    """
    if options.reduced is None:
        return
    cache, lowered, key = options.cache, graph.compiled.lowered, ""
    if cache is not None and is_worth_keeping(lowered):
        key = key_of("narrow", graph.compiled.digest, options.reduced, options.weights, options.parameters)
        if cache.is_noted(key):
            return
    warnings = [*_warnings(graph, options, option, forced)]
    for text in warnings:
        warn(text, where)
    if cache is not None and key and not warnings:
        cache.note_key(key)


def _warnings(graph: InferenceGraph, options: CompileOptions, option: Spelling, forced: Spelling) -> Iterator[str]:
    """Yield the warnings of ``warn_of_kinds_without_effect``."""
    from ..passes.held_weights import ParameterStorage, held_text, held_weights  # needed for narrow weights only

    unmultiplied = ParameterStorage(objections=("no product multiplies activations by it",))
    names, rules = options.parameters, options.weights
    by_name = held_weights(graph.graph, options.reduced, names)
    numbers = matched(rules, names)
    narrow = {name: item for name, item in by_name.items() if item.is_narrow}
    for number, (pattern, asked) in enumerate(rules):
        own = {name: by_name[name] for name in names if numbers.get(name) == number}
        if asked.kind == "float32" or not own or own.keys() & narrow.keys():
            continue
        stays = {name: item for name, item in own.items() if item.objections} or dict.fromkeys(own, unmultiplied)
        remedy = (
            f"; {forced(pattern, asked)} makes them narrow, for their bytes" if _would_help(graph, options, own) else ""
        )
        others = f". What is narrow: {'; '.join(held_text(narrow))}" if narrow else ""
        yield f"{option(pattern, asked)} changes nothing: {'; '.join(held_text(stays))}{remedy}{others}"


def _would_help(graph: InferenceGraph, options: CompileOptions, own: dict[str, ParameterStorage]) -> bool:
    """True if ``force=True`` would narrow some parameters."""
    from ..passes.held_weights import held_weights

    rules = tuple((pattern, replace(narrow, force=True)) for pattern, narrow in options.weights)
    forced = held_weights(graph.graph, replace(options, weights=rules).reduced, own)
    return any(item.is_narrow for item in forced.values())
