"""Expressions evaluated by torch, and modules that compute the expressions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .cases import Entry
from .compare import weights_of
from .points import arrays_of
from .recorded import Arrays

HEADING = f"torch {torch.__version__.partition('+')[0]}"


def _leaves(item: Any) -> Iterator[Any]:
    if isinstance(item, tuple | list):
        for part in item:
            yield from _leaves(part)
    else:
        yield item


def _written(x: Any, index: Any, value: Any) -> Any:
    """Return a copy in which a part is overwritten."""
    copy = x.clone()
    copy[index] = value
    return copy


def evaluated(expression: str, arguments: Mapping[str, Any]) -> list[Any]:
    """Return the tensors of an expression."""
    names = {"torch": torch, "F": functional, "math": math, "inf": math.inf, "nan": math.nan, "written": _written}
    return list(_leaves(eval(expression, {**names, **arguments})))


def values(entry: Entry) -> Arrays | None:
    """Return torch's values ``y0``, …, and gradients ``dx`` of x; None if it raises an error."""
    torch.set_num_threads(1)
    arguments = {name: torch.from_numpy(array) for name, array in arrays_of(entry.points, entry.dtype).items()}
    used = {name: item for name, item in arguments.items() if item.is_floating_point()}
    wants = entry.case.gradient is not None
    for item in used.values():
        item.requires_grad_(wants)
    try:
        outputs = evaluated(entry.case.expression, arguments)
    except (RuntimeError, IndexError, ValueError, TypeError):
        return None
    found = {f"y{place}": item.detach().numpy() for place, item in enumerate(outputs)}
    if wants:
        floats = [item for item in outputs if item.requires_grad]
        factors = [torch.from_numpy(weights_of(item.detach().numpy())) for item in floats]
        gradients = torch.autograd.grad(floats, list(used.values()), factors, allow_unused=True) if floats else ()
        for name, item in zip(used, gradients, strict=False):
            if item is not None:
                found["d" + name] = item.numpy(force=True)
    return {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in found.items()}


class Function(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Expression over a dict of arguments, as a module."""

    def __init__(self, expression: str) -> None:
        super().__init__()
        self.expression = expression
        self.eval()

    def forward(self, at: dict[str, Any]) -> dict[str, Any]:
        return {f"y{place}": item for place, item in enumerate(evaluated(self.expression, at))}
