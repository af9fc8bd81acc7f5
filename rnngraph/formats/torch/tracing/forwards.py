"""Modules that are read as a whole, in classes of users' own, which have torch's ``forward`` or call it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from .nests import flat
from .registry import MODULES, Meaning
from .tensors import Traced

Read = Callable[[str, Meaning, torch.nn.Module, tuple[Any, ...], dict[str, Any]], Any]


@contextmanager
def whole_forwards(read: Read) -> Iterator[None]:
    """While this lasts their ``forward`` is ``read``: of a name, the meaning, the module and its arguments."""
    kinds: Mapping[Any, Any] = MODULES
    own = {kind: vars(kind).get("forward") for kind in kinds}
    for kind, means in kinds.items():
        kind.forward = _whole(kind.__name__, kind.forward, means, read)
    try:
        yield
    finally:
        for kind, forward in own.items():
            if forward is None:
                del kind.forward
            else:
                kind.forward = forward


def _whole(name: str, forward: Any, means: Meaning, read: Read) -> Any:
    signature = inspect.signature(forward)

    @wraps(forward)
    def whole(found: torch.nn.Module, *given: Any, **named: Any) -> Any:
        if not any(isinstance(item, Traced) for item in flat((given, named))):
            return forward(found, *given, **named)
        with torch._C.DisableTorchFunction():
            bound = signature.bind(found, *given, **named)
            return read(name, means, found, bound.args[1:], bound.kwargs)

    return whole
