"""Names the tensors in nested arguments and results of ``forward``: tuples, dicts and dataclasses."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ...support.errors import ArgumentError
from ..expressions import input_name


def named_arguments(
    forward: Callable[..., object], arguments: Sequence[object], keywords: Mapping[str, object]
) -> list[tuple[str, object]]:
    """Return (name of ``forward``'s parameter, argument) pairs. Raises ``ArgumentError`` for too many arguments."""
    names: list[str] = []
    for parameter in inspect.signature(forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{number}" for number in range(len(arguments) - len(names))]
        elif parameter.kind is not parameter.VAR_KEYWORD:
            names.append(parameter.name)
    if len(arguments) > len(names):
        raise ArgumentError(
            f"the example has {len(arguments)} entries, but forward has {len(names)} arguments; give as many or fewer"
        )
    return [*zip(names, arguments, strict=False), *keywords.items()]


def leaves(name: str, item: object) -> Iterator[tuple[str, object]]:
    """Yield (name, leaf) for the leaves of a nested container: ("x", {"a": [t, u]}) → ("x_a_0", t), ("x_a_1", u)."""
    if fields := _fields(item):
        parts: Mapping[Any, object] = {field: getattr(item, field) for field in fields}
    elif isinstance(item, Mapping):
        parts = item
    elif isinstance(item, list | tuple):
        parts = dict(enumerate(item))
    else:
        yield name, item
        return
    for key, part in parts.items():
        yield from leaves(f"{name}_{key}" if name else str(key), part)


def named_tensors(
    forward: Callable[..., object], arguments: Sequence[object], keywords: Mapping[str, object]
) -> dict[str, torch.Tensor]:
    """Return the tensors of an example, by the names of the net's inputs."""
    return {
        input_name(leaf): item
        for name, argument in named_arguments(forward, arguments, keywords)
        for leaf, item in leaves(name, argument)
        if isinstance(item, torch.Tensor)
    }


def with_tensors(item: Any, replacements: Mapping[int, Any]) -> Any:
    """Return a nest of the same structure, with each tensor replaced by the value of its ``id`` in ``replacements``."""
    return mapped_nest(item, lambda leaf: replacements.get(id(leaf), leaf))


def named_results(result: object) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield (name, tensor) for the tensors in the result of ``forward``.

    A single tensor is ``y``, those of a tuple are ``y_0``, ``y_1``, …. Other names are a dict's keys, or
    the fields of a namedtuple or dataclass. Results that are no tensors are skipped.
    """
    has_names = isinstance(result, Mapping) or bool(_fields(result))
    for name, item in leaves("" if has_names else "y", result):
        if isinstance(item, torch.Tensor):
            yield name, item


def _fields(item: object) -> tuple[str, ...]:
    """Return the field names of a namedtuple, or of a dataclass that is not a mapping; ``()`` for other objects."""
    if hasattr(item, "_fields"):
        return tuple(item._fields)
    if dataclasses.is_dataclass(item) and not isinstance(item, type | Mapping):
        return tuple(field.name for field in dataclasses.fields(item))
    return ()


def mapped_nest(item: Any, function: Callable[[Any], Any]) -> Any:
    """Return a nest of the same structure, with a function applied to each leaf."""
    if hasattr(item, "_fields"):
        return type(item)(*(mapped_nest(part, function) for part in item))
    if dataclasses.is_dataclass(item) and not isinstance(item, type | Mapping):
        return dataclasses.replace(item, **{name: mapped_nest(getattr(item, name), function) for name in _fields(item)})
    if isinstance(item, Mapping):
        return {key: mapped_nest(part, function) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(mapped_nest(part, function) for part in item)
    return function(item)
