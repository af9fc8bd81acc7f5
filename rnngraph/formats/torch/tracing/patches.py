"""Patches modules during a run: handlers replace ``forward``, and changes to attributes and tensors are undone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from .kinds import Arguments, Keywords
from .registry import MODULE_HANDLERS, Handler
from .tensors import Traced, flat

Read = Callable[[str, Handler, torch.nn.Module, Arguments, Keywords], Any]
"""Function of (class name, handler, module, arguments, keywords) that calls the handler of a module."""


@contextmanager
def whole_forwards(read: Read) -> Iterator[None]:
    """Within the block, call ``read`` instead of the code of torch's layers that ``read`` can translate as a whole."""
    kinds: Mapping[Any, Handler] = MODULE_HANDLERS  # Any: type checkers reject assignments to methods
    own = {kind: vars(kind).get("forward") for kind in kinds}
    for kind, handler in kinds.items():
        kind.forward = _whole(kind.__name__, kind.forward, handler, read)
    try:
        yield
    finally:
        for kind, forward in own.items():
            if forward is None:
                del kind.forward
            else:
                kind.forward = forward


def _whole(name: str, forward: Callable[..., Any], handler: Handler, read: Read) -> Callable[..., Any]:
    """Return a layer's ``forward`` that calls ``read`` for traced arguments, and the original for other arguments."""
    signature = inspect.signature(forward)

    @wraps(forward)
    def whole(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(item, Traced) for item in flat((args, kwargs))):
            return forward(module, *args, **kwargs)
        with torch._C.DisableTorchFunction():
            bound = signature.bind(module, *args, **kwargs)
            return read(name, handler, module, bound.args[1:], bound.kwargs)

    return whole


# States ---------------------------------------------------------------------------------------------


Holder = dict[str, object]
"""Attributes or buffers of a module, by name."""


@contextmanager
def kept_states(root: torch.nn.Module) -> Iterator[None]:
    """When the block ends, restore the modules' attributes and buffers, and the values of tensors except parameters."""
    modules = [*root.modules()]
    attributes: list[tuple[Holder, Holder]] = [(vars(module), dict(vars(module))) for module in modules]
    buffers: list[tuple[Holder, Holder]] = [(module._buffers, dict(module._buffers)) for module in modules]
    copies = [(tensor, tensor._version, tensor.detach().clone()) for tensor in _tensors(attributes, buffers)]
    try:
        yield
    finally:
        for current, saved in (*attributes, *buffers):
            current.clear()
            current.update(saved)
        with torch.no_grad():
            for tensor, version, copy in copies:
                if tensor._version != version:
                    tensor.copy_(copy)


def _tensors(*holders: list[tuple[Holder, Holder]]) -> list[torch.Tensor]:
    """Return the distinct tensors among attributes and buffers, except parameters.

    Tensors without values are left out, and those of ``torch.inference_mode``, whose writes torch does not count.
    """
    items = [item for pairs in holders for _, saved in pairs for item in saved.values()]
    tensors = [item for item in items if isinstance(item, torch.Tensor) and type(item) is torch.Tensor]
    return list({id(item): item for item in tensors if not item.is_inference() and not item.is_meta}.values())
