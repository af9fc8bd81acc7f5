"""Names of the classes that outputs score, as saved and exported with a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ..ir.graph import Node
from ..support.errors import ArgumentError, DtypeError, NameLookupError, ShapeError, did_you_mean, shown

BARE = "output"
"""Name in files of an output that is a Tensor outside of a mapping, whose path is empty."""

Label = str | int | float | bool
Classes = Mapping[str, tuple[Label, ...]]
"""Names of the entries of an output's last axis, by output path."""


def class_names(classes: Any, outputs: Mapping[str, Node]) -> Classes:
    """Return the class names of outputs, validated.

    Args:
        classes: Names by output path; a list of names if there is one output; None for no names.
        outputs: Nodes by path.
    """
    if classes is None:
        return MappingProxyType({})
    if not isinstance(classes, Mapping):
        if len(outputs) != 1:
            raise ArgumentError(
                f"the program has {len(outputs)} outputs, so classes= must name one: {{{next(iter(outputs))!r}: [...]}}"
            )
        classes = dict.fromkeys(outputs, classes)
    labels: dict[str, tuple[Label, ...]] = {}
    for name, names in classes.items():
        path = "" if name == BARE and "" in outputs else name
        if path not in outputs:
            hint = did_you_mean(path, outputs) or f"; there are {', '.join(outputs)}"
            raise NameLookupError(f"classes= names {shown(path)}, and no output has that path{hint}")
        labels[path] = _labels(path, names, outputs[path])
    return MappingProxyType(labels)


def _labels(path: str, names: Any, output: Node) -> tuple[Label, ...]:
    """Return the class names of one output, validated."""
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Sequence | np.ndarray):
        raise DtypeError(f"classes= of {path or 'the output'} must be a list of names, not {shown(names)}")
    items = names.tolist() if isinstance(names, np.ndarray) else [*names]
    if any(isinstance(item, Sequence | Mapping | np.ndarray) and not isinstance(item, str | bytes) for item in items):
        raise DtypeError(f"classes= of {path or 'the output'} must be a list of names, not {shown(names)}")
    labels = tuple(map(_label, items))
    width = output.shape[-1] if output.shape else None
    if width != len(labels):
        raise ShapeError(
            f"classes= of {path or 'the output'} has {len(labels)} names, and the output is {output.tensor}; give one "
            "for each entry of its last axis"
        )
    if len({*labels}) != len(labels):
        raise ArgumentError(
            f"classes= of {path or 'the output'} has a name twice, {shown([*labels])}; make names different"
        )
    return labels


def _label(value: Any) -> Label:
    """Return a label as a str, int, float or bool. Any other value is replaced by its text."""
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, Label) else str(plain)


def class_names_from(text: Any, outputs: Mapping[str, Node]) -> Classes:
    """Return the class names from a file's JSON. Raise ``ValueError`` unless it maps names to lists."""
    if not isinstance(text, dict) or not all(isinstance(names, list) for names in text.values()):
        raise ValueError(f"{shown(text)} does not describe class names")
    return class_names(text, outputs)
