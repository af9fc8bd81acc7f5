"""Parts of a saved program as JSON values: everything but graphs and arrays.

Everything that is read is checked, because it may be untrusted. Invalid text raises ``ValueError``, ``LookupError`` or
``TypeError``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...declare.cells.basic import LSTMStateTuple
from ...declare.description import Described
from ...declare.initializers import Constant, Lost, initializer_from, initializer_text
from ...declare.nest import SHALLOW, fold, height
from ...declare.parameters import ParameterSpec
from ...declare.state import tuple_type
from ...ir.types import DTYPES, NARROW, TensorType
from ...support.errors import Where

INITIAL = "initializer/"


def is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def check(holds: Any, what: str) -> None:
    """Raise ``ValueError`` with the message ``what`` unless ``holds`` is true."""
    if not holds:
        raise ValueError(what)


def words(value: Any) -> tuple[str, ...]:
    check(
        isinstance(value, list) and all(isinstance(item, str) for item in value), f"{value!r} is not a list of strings"
    )
    return tuple(value)


# Lines ---------------------------------------------------------------------------------------------


def where_text(where: Where | None) -> list[Any] | None:
    return None if where is None else [where.shown_file, where.line, *([where.layer] if where.layer else [])]


def where_from(text: Any) -> Where | None:
    if text is None:
        return None
    check(isinstance(text, list) and len(text) in (2, 3) and isinstance(text[0], str), f"{text!r} is not a source line")
    check(len(text) == 2 or isinstance(text[2], str), f"{text!r} is not a source line")
    check(is_int(text[1], 0, 1 << 40), f"{text!r} is not a source line")
    return Where(*text)


# Nests ---------------------------------------------------------------------------------------------


def nest_text(nest: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return a nest as JSON values. ``leaf`` converts the leaves.

    Nests higher than ``SHALLOW`` become a flat list of entries, because Python's JSON recurses up to three times for
    each level.
    """
    if height(nest) > SHALLOW:
        entries: list[Any] = []
        fold(
            nest,
            lambda item: entries.append({"leaf": leaf(item)}),
            lambda item, parts: entries.append({**_container_text(item, [None] * len(parts)), "count": len(parts)}),
        )
        return {"entries first": entries}
    return fold(nest, lambda item: {"leaf": leaf(item)}, _container_text)


def _container_text(nest: Any, items: list[Any]) -> dict[str, Any]:
    if isinstance(nest, dict):
        return {"dict": [[key, item] for key, item in zip(nest, items, strict=True)]}
    if hasattr(nest, "_fields"):
        return {"namedtuple": type(nest).__name__, "fields": list(nest._fields), "items": items}
    return {"tuple" if isinstance(nest, tuple) else "list": items}


def nest_from(text: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return the nest that ``nest_text`` wrote."""
    match text:
        case {"leaf": value}:
            return leaf(value)
        case {"entries first": list(entries)}:
            return _nest_of_entries(entries, leaf)
        case {"dict": list(pairs)}:
            check(all(isinstance(pair, list) and len(pair) == 2 for pair in pairs), f"{pairs!r} is not a list of pairs")
            return _container(text, [nest_from(item, leaf) for _, item in pairs])
        case {"namedtuple": str(), "items": list(items)} | {"tuple": list(items)} | {"list": list(items)}:
            return _container(text, [nest_from(item, leaf) for item in items])
    raise ValueError(f"{text!r} is not a nest")


def _nest_of_entries(entries: list[Any], leaf: Callable[[Any], Any]) -> Any:
    """Build a nest that is too deep for nested JSON from its entries in post-order."""
    stack: list[Any] = []
    for entry in entries:
        check(isinstance(entry, dict), f"{entry!r} is not an entry of a nest")
        if "leaf" in entry:
            stack.append(leaf(entry["leaf"]))
            continue
        check(is_int(entry["count"], 0, len(stack)), f"{entry!r} has more entries than there are")
        first = len(stack) - entry["count"]
        stack[first:] = [_container(entry, stack[first:])]
    check(len(stack) == 1, "the entries do not form one nest")
    return stack[0]


def _container(text: dict[str, Any], values: list[Any]) -> Any:
    match text:
        case {"dict": list(pairs)}:
            keys = [key for key, _ in pairs]
            check(
                all(isinstance(key, str | int) for key in keys),
                f"{pairs!r} has a key that is neither a string nor an int",
            )
            check(len(keys) == len(values), f"{pairs!r} are not {len(values)}")
            return dict(zip(keys, values, strict=True))
        case {"namedtuple": str(name), "fields": list(fields)}:
            check(len(fields) == len(values), f"{name} has {len(values)} items for {len(fields)} fields")
            same = (name, words(fields)) == (LSTMStateTuple.__name__, LSTMStateTuple._fields)
            kind = LSTMStateTuple if same else tuple_type(name, words(fields))
            return kind(*values)
        case {"tuple": list()}:
            return tuple(values)
        case {"list": list()}:
            return values
    raise ValueError(f"{text!r} is not a nest")


# Parameters ----------------------------------------------------------------------------------------


def slot_text(name: str, slot: ParameterSpec, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return a parameter's declaration as JSON values. An array as initial value is added to ``arrays``."""
    facts = {
        "name": name,
        "within": slot.within,
        "dtype": slot.type.dtype,
        "shape": [int(str(dim)) for dim in slot.type.shape],
        "trainable": bool(slot.trainable),
        "where": where_text(slot.where),
    }
    initializer = slot.initializer
    if text := initializer_text(initializer):
        return facts | {"initializer": text}
    if isinstance(initializer, Constant):
        arrays[INITIAL + name] = np.asarray(initializer.value, np.float64)
        return facts | {"initializer": {"name": "stored"}}
    own_name = getattr(initializer, "__qualname__", type(initializer).__qualname__)
    function = initializer.function if isinstance(initializer, Lost) else str(own_name)
    return facts | {"initializer": {"name": "lost", "function": function}}


def parameter_from_json(text: Any, arrays: Mapping[str, np.ndarray]) -> tuple[str, ParameterSpec]:
    """Return (name, spec) of a stored parameter. Errors are those of the module."""
    name, within, shape, initial = text["name"], text["within"], text["shape"], text["initializer"]
    check(isinstance(name, str) and name, f"{name!r} is not the name of a parameter")
    check(isinstance(within, str), f"within={within!r} is not a string")
    check(isinstance(shape, list) and all(is_int(dim, 1, 1 << 40) for dim in shape), f"{name} has a shape of {shape!r}")
    is_known = text["dtype"] in (*DTYPES, *NARROW)
    check(
        is_known and isinstance(text["trainable"], bool),
        f"{name} has dtype {text['dtype']!r} and trainable={text['trainable']!r}, which are not valid",
    )
    initializer: Any
    match initial:
        case {"name": "stored"}:
            initializer = Constant(arrays[INITIAL + name])
        case {"name": "lost", "function": str(function)}:
            initializer = Lost(name, function)
        case _:
            check(isinstance(initial, dict), f"{initial!r} is not an initializer")
            initializer = initializer_from(initial)
    kind = TensorType(text["dtype"], tuple(shape))
    return name, ParameterSpec(kind, initializer, text["trainable"], where_from(text["where"]), within=within)


# The generator of seeds ----------------------------------------------------------------------------


def generator_from(text: Any) -> dict[str, Any]:
    """Return the state of a Philox generator, validated."""
    word = 1 << 64
    arrays = ((text["state"]["counter"], 4), (text["state"]["key"], 2), (text["buffer"], 4))
    fits = text["bit_generator"] == "Philox" and all(
        isinstance(array, list) and len(array) == count and all(is_int(item, 0, word - 1) for item in array)
        for array, count in arrays
    )
    fits = fits and is_int(text["buffer_pos"], 0, 4) and is_int(text["has_uint32"], 0, 1)
    check(fits and is_int(text["uinteger"], 0, (1 << 32) - 1), "the generator of seeds has an invalid state")
    state: dict[str, Any] = text
    return state


# The declaration -----------------------------------------------------------------------------------


def described_text(declared: Described) -> dict[str, Any]:
    nodes = [[name, {**facts, "where": where_text(facts["where"])}] for name, facts in declared.nodes]
    return {"nodes": nodes, "edges": [list(edge) for edge in declared.edges]}


def described_from(text: Any) -> Described:
    nodes = []
    for name, facts in text["nodes"]:
        check(isinstance(name, str) and isinstance(facts, dict), f"{name!r} is not a node of a declaration")
        is_value = facts["kind"] in ("tensor", "driver")
        texts = [facts["kind"], facts["label"], *([facts["type"]] if is_value else [])]
        check(all(isinstance(item, str) for item in texts), f"{name} has invalid attributes")
        known = {**facts, "where": where_from(facts["where"])}
        if is_value:
            known["operands"] = words(facts["operands"])
        nodes.append((name, known))
    names = {name for name, _ in nodes}
    edges = []
    for source, target, facts in text["edges"]:
        check(
            source in names and target in names and isinstance(facts, dict),
            f"{source!r} to {target!r} is not an edge between nodes",
        )
        check({"relation", "position"} == facts.keys() and is_int(facts["position"], 0, 1 << 40), "an edge lacks facts")
        edges.append((source, target, facts))
    targets = {target for _, target, _ in edges}
    check(
        all(name in targets for name, facts in nodes if facts["kind"] == "output"),
        "an output of the declaration has no source",
    )
    return Described(tuple(nodes), tuple(edges))
