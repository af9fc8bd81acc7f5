"""What a module keeps from call to call, in attributes and buffers: a run leaves it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def kept_states(root: torch.nn.Module) -> Iterator[None]:
    """While this lasts the module's parts may set attributes and write into tensors; then all is as before."""
    modules = [*root.modules()]
    attributes = [(vars(found), dict(vars(found))) for found in modules]
    buffers = [(found._buffers, dict(found._buffers)) for found in modules]
    numbers = [(tensor, tensor._version, tensor.detach().clone()) for tensor in _tensors(attributes, buffers)]
    try:
        yield
    finally:
        for now, before in (*attributes, *buffers):
            now.clear()
            now.update(before)
        with torch.no_grad():
            for tensor, version, array in numbers:
                if tensor._version != version:
                    tensor.copy_(array)


def _tensors(*holders: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[torch.Tensor]:
    """Those that are no parameters, each once; of tensors made for inference alone torch counts no writes."""
    found = {
        id(item): item for pairs in holders for _, names in pairs for item in names.values()
        if type(item) is torch.Tensor and not item.is_inference() and not item.is_meta
    }  # fmt: skip
    return list(found.values())
