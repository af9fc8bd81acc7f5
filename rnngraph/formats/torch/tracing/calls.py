"""Facts about torch's functions and tensors, and about the frames that call them."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeAlias

import numpy as np
import torch

from ....support.errors import Where, is_ours
from ...steps import Function as Function
from .names import WEIGHT_HOOKS

Arguments: TypeAlias = tuple[Any, ...]
"""Positional arguments of a call in the module's code, which may be anything."""
Keywords: TypeAlias = dict[str, Any]
"""Keyword arguments of a call in the module's code, which may be anything."""
_READER = f"{__name__.rpartition('.')[0].rpartition('.')[0]}.runs"
"""The file that runs modules. Frames beyond it belong to its caller."""
TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_NOT_OF_MODULES = (TORCH, warnings.__file__)


class PlacedModule(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """A module that knows the line of code of its current call, as the graph of an exported program does."""

    def place(self) -> tuple[Where | None, str]:
        """Return the line of the current call, and the path of the module that it is in."""
        raise NotImplementedError


def user_line_of_module() -> Where | None:
    """Return the innermost line of the module's code, which is neither this package's nor torch's; None outside."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != _READER:
        if not is_ours(frame) and not frame.f_code.co_filename.startswith(_NOT_OF_MODULES):
            return Where(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


Warned = tuple[str, Where | None, type[Warning]]
"""A warning: its text, the line of the module's code, its category."""


@contextmanager
def heard_warnings(keep: Callable[[str, Where | None, type[Warning]], None]) -> Iterator[None]:
    """Pass warnings and the module's line to ``keep``, instead of showing them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *_, **__: keep(str(message), user_line_of_module(), category)
        yield


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy of a tensor's numbers, which later writes to the tensor do not change."""
    with torch.no_grad():
        tensor = tensor.detach()
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        return np.array(tensor.cpu().numpy())


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return re.sub(r"\s+", " ", str(error).strip().split("\n")[0])


def what_failed(error: BaseException) -> str:
    """Return torch's error text, or a remedy where the call needs the values of a tensor."""
    if "meta tensor" in str(error):
        return "it needs values that exist only at run time; index with a 1-D tensor, or select with torch.where"
    return first_line(error)


def memory_of(tensor: torch.Tensor) -> int:
    """Return a number that identifies the memory of a tensor and its views."""
    return int(tensor.untyped_storage()._cdata)


def as_function(func: Function, args: Arguments, kwargs: Keywords) -> tuple[Function, Arguments, Keywords]:
    """Return a call of a method as a call of its function, if the order of their arguments differs."""
    if func == torch.Tensor.where:
        by_name = dict(zip(("self", "condition", "other"), args, strict=False)) | kwargs
        return torch.where, tuple(by_name[name] for name in ("condition", "self", "other")), {}
    return func, args, kwargs


def name_of(func: Any) -> str:
    """Return a function's name; a property's has a dot before it, and a setter's ``=`` behind it."""
    if isinstance(func, torch._ops.OpOverload):
        return str(func._opname)
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__"):
        return f".{func.__self__.__name__}" if name == "__get__" else f".{func.__self__.__name__}="
    return str(name)


def compute_weights(hooks: Mapping[int, object]) -> bool:
    """True if all hooks compute weights from other parameters, as those of ``weight_norm`` do."""
    return all(type(hook).__module__ in WEIGHT_HOOKS for hook in hooks.values())
