"""What there is to ask of torch's functions and tensors, and of the frames that call them."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ....support.errors import Where, is_ours
from .names import WEIGHT_HOOKS

_READER = f"{__name__.rpartition('.')[0].rpartition('.')[0]}.runs"
"""The module that runs modules: frames beyond it are those of its caller."""
TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_NOT_OF_MODULES = (TORCH, warnings.__file__)


class PlacedModule(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """A module that knows from which line of code its calls come, as those of a graph do."""

    def place(self) -> tuple[Where | None, str]:
        """The line of the call that is made, and the path of the module that it stands in."""
        raise NotImplementedError


def user_line_of_module() -> Where | None:
    """Return the innermost line of the module's code, which is neither this package's nor torch's; None outside."""
    frame: Any = sys._getframe(1)
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
    """A copy: what is done to the tensor later does not change it."""
    with torch.no_grad():
        tensor = tensor.detach()
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        return np.array(tensor.cpu().numpy())


def first_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error).strip().split("\n")[0])


def what_failed(error: BaseException) -> str:
    """What torch says, or of numbers that a tensor without values has not what to do."""
    if "meta tensor" in str(error):
        return "it looks at numbers that a call alone knows; index by a tensor of one axis, choose by torch.where"
    return first_line(error)


def memory_of(tensor: torch.Tensor) -> int:
    """The same number for a tensor and its views."""
    return int(tensor.untyped_storage()._cdata)


def as_function(func: Any, args: Any, named: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return a method whose arguments stand in another order than those of its function, as a call of the function."""
    if func == torch.Tensor.where:
        given = dict(zip(("self", "condition", "other"), args, strict=False)) | named
        return torch.where, tuple(given[name] for name in ("condition", "self", "other")), {}
    return func, args, named


def name_of(func: Any) -> str:
    """A function's name; of a property ``.shape`` and the like."""
    if isinstance(func, torch._ops.OpOverload):
        return str(func._opname)
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__"):
        return f".{func.__self__.__name__}" if name == "__get__" else f".{func.__self__.__name__}="
    return str(name)


def are_of_weights(hooks: Any) -> bool:
    """Whether hooks compute weights of other parameters, and nothing of what is fed."""
    return all(type(hook).__module__ in WEIGHT_HOOKS for hook in hooks.values())
