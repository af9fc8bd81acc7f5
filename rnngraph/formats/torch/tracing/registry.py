"""Tables of the handlers of torch's functions and modules, which ``functions`` and ``composed`` fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from ...operators.errors import UnreadableError as UnreadableError

Handler: TypeAlias = Callable[..., Any]
"""Function of (tracer, *torch's arguments) that declares a call in the script, and returns the call's result."""


@dataclass(frozen=True)
class Composed:
    """Handler that computes a torch function with other torch functions.

    Attributes:
        function: Function of torch's arguments that calls the other functions.
    """

    function: Callable[..., Any]


HANDLERS: dict[str, Handler | Composed] = {}
"""Handlers of torch's functions and methods, by name."""
MODULE_HANDLERS: dict[type[torch.nn.Module], Handler] = {}
"""Handlers of modules whose ``forward`` is not run: functions of (tracer, module, *arguments of ``forward``)."""


def reads(*names: str) -> Callable[[Handler], Handler]:
    """Decorate a function that translates calls of the torch functions of these names."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


def composed(*names: str) -> Callable[[Handler], Handler]:
    """Decorate a function that computes the torch functions of these names with other torch functions."""

    def register(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, Composed(function)))
        return function

    return register


def reads_module(*kinds: type[torch.nn.Module]) -> Callable[[Handler], Handler]:
    """Decorate a function that translates calls of modules of these classes."""

    def register(handler: Handler) -> Handler:
        MODULE_HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return register
