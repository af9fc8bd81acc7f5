"""Wrapper of Python functions as torch modules that take tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def normal(*shape: int) -> Any:
    return torch.randn(*shape)


def whole(high: int, *shape: int) -> Any:
    return torch.randint(0, high, shape)


class Function(nn.Module):  # type: ignore[misc, name-defined]
    """Module whose ``forward`` calls a function of inner modules and arguments."""

    def __init__(self, function: Callable[..., Any], *modules: Any) -> None:
        super().__init__()
        self.function, self.m = function, nn.ModuleList(modules)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self.m, *inputs)


def module(function: Callable[..., Any], *modules: Any) -> Any:
    return Function(function, *modules).eval()
