"""Checks of the callbacks of ``fit``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...support.errors import DtypeError, Where, shown


def callback_list(callbacks: Any, where: Where | None) -> list[Callable[..., Any]]:
    """Return the argument ``callbacks`` as a list. Raise ``DtypeError`` unless it is an iterable of callables."""
    if not isinstance(callbacks, Iterable) or isinstance(callbacks, str | bytes | Mapping):
        raise DtypeError(f"callbacks={shown(callbacks)} must be a list of functions of (trainer, row)", where)
    items = [*callbacks]
    for index, item in enumerate(items):
        if not callable(item):
            raise DtypeError(f"callback {index} is {shown(item)}{_remedy(item)}", where)
    return items


def _remedy(item: Any) -> str:
    """Return what to write instead of a callback that is not callable, such as one of another framework."""
    from ...support.migration_hints import name_instead  # imported for errors only

    if instead := name_instead(type(item).__name__):
        return f"; {instead}"
    if any(hasattr(item, name) for name in ("on_epoch_end", "on_train_epoch_end")):
        return "; write a function of (trainer, row) that is called after each epoch, and returns True to stop the fit"
    return "; give functions of (trainer, row)"
