"""Names and arguments of torch's functions, lines of the module's code, and copies of tensors."""

from __future__ import annotations

import inspect
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
from torch.nn import functional

from ....support.errors import Where, is_ours
from ...steps import Function as Function
from .names import OPERANDS, WEIGHT_HOOKS

Arguments: TypeAlias = tuple[Any, ...]
"""Positional arguments of a call in the module's code, of any type."""
Keywords: TypeAlias = dict[str, Any]
"""Keyword arguments of a call in the module's code, of any type."""
_READER = f"{__name__.rpartition('.')[0].rpartition('.')[0]}.runs"
"""Name of the Python module that runs the user's module. Stack frames outside of it belong to the reader's caller."""
TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_NOT_OF_MODULES = (TORCH, warnings.simplefilter.__code__.co_filename)
"""Path prefixes of files that are no code of the module: torch, and the file that defines ``warnings``' functions."""


class PlacedModule(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """Module that records the source line of its current call, such as an exported program."""

    def place(self) -> tuple[Where | None, str]:
        """Return the source line of the current call, and the path of the submodule that contains the call."""
        raise NotImplementedError


def user_frame() -> FrameType | None:
    """Return the innermost frame on the stack outside of this package and torch; None outside of a run."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") != _READER:
        if not is_ours(frame) and not frame.f_code.co_filename.startswith(_NOT_OF_MODULES):
            return frame
        frame = frame.f_back
    return None


def user_line_of_module() -> Where | None:
    """Return the innermost line on the stack outside of this package and torch; None outside of a run."""
    frame = user_frame()
    return Where(frame.f_code.co_filename, frame.f_lineno) if frame else None


Warned = tuple[str, Where | None, type[Warning]]
"""Warning: (text, line of the module's code, category)."""


@contextmanager
def heard_warnings(keep: Callable[[str, Where | None, type[Warning]], None]) -> Iterator[None]:
    """Within the block, pass warnings and the module's line to ``keep`` instead of showing them."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *_, **__: keep(str(message), user_line_of_module(), category)
        yield


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy of a tensor as a NumPy array. float16 and bfloat16 are converted to float32."""
    with torch.no_grad():
        tensor = tensor.detach()
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        return np.array(tensor.cpu().numpy())


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return re.sub(r"\s+", " ", str(error).strip().split("\n")[0])


def what_failed(error: BaseException) -> str:
    """Return torch's error message; a remedy instead if the call failed because it needs the values of a tensor."""
    if "meta tensor" in str(error):
        return "it needs values that exist only at run time; index with a 1-D tensor, or select with torch.where"
    return first_line(error)


def memory_of(tensor: torch.Tensor) -> int:
    """Return the id of the storage that a tensor shares with its views."""
    return int(tensor.untyped_storage()._cdata)


_ARRAYS, _NUMBERS = ("weight", "bias", "running_mean", "running_var"), ("momentum", "eps", "cudnn_enabled")
SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "alpha_dropout": ("input", "p", "train"),
    "batch_norm": ("input", *_ARRAYS, "training", *_NUMBERS),
    "binary_cross_entropy_with_logits": ("input", "target", "weight", "pos_weight", "reduction"),
    "dropout": ("input", "p", "train"),
    "embedding": ("weight", "indices", "padding_idx", "scale_grad_by_freq", "sparse"),
    "feature_alpha_dropout": ("input", "p", "train"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps", "cudnn_enabled"),
    "instance_norm": ("input", *_ARRAYS, "use_input_stats", *_NUMBERS),
    "kl_div": ("input", "target", "reduction", "log_target"),
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps", "cudnn_enable"),
    "log_softmax": ("input", "dim", "dtype"),
    "softmax": ("input", "dim", "dtype"),
}
"""Names of the arguments of a function in ``torch``, in order, by the function's name."""
_NAMES = {"indices": "input", "train": "training"}
"""Names in ``functional``, by the names in ``torch``."""
_IGNORED = ("cudnn_enable", "cudnn_enabled")
_FUNCTIONS = {getattr(torch, name): name for name in SIGNATURES}
_REDUCTIONS = ("none", "mean", "sum")
"""Values of ``reduction`` in ``functional``, by the numbers that ``torch`` uses."""


def as_functional(func: Function, args: Arguments, kwargs: Keywords) -> tuple[Function, Arguments, Keywords]:
    """Return (function, arguments, keywords) of the call in ``torch.nn.functional`` that equals a call in ``torch``.

    Calls of functions that are not in ``SIGNATURES`` are returned unchanged.
    """
    name = _FUNCTIONS.get(func)
    if name is None:
        return func, args, kwargs
    by_name = dict(zip(SIGNATURES[name], args, strict=False)) | kwargs
    by_name = {_NAMES.get(key, key): item for key, item in by_name.items() if key not in _IGNORED}
    if "reduction" in SIGNATURES[name]:
        by_name["reduction"] = _REDUCTIONS[by_name.get("reduction", 0)]  # The default in ``torch`` is "none".
    # In ``torch``, a negative ``padding_idx`` means no padding; in ``functional`` it counts from the last row.
    if name == "embedding" and by_name.get("padding_idx", -1) < 0:
        by_name.pop("padding_idx", None)
    function = getattr(functional, name)
    ahead = []
    for key in inspect.signature(function).parameters:
        if key not in by_name:
            break
        ahead.append(by_name.pop(key))
    return function, tuple(ahead), by_name


def as_function(func: Function, args: Arguments, kwargs: Keywords) -> tuple[Function, Arguments, Keywords]:
    """Return the equal call (function, arguments, keywords) of ``torch.where`` or ``functional``, else the call itself.

    ``x.where(c, y)`` becomes ``torch.where(c, x, y)``, and functions whose arguments differ from their namesakes' in
    ``torch.nn.functional`` become those.
    """
    if func == torch.Tensor.where:
        by_name = dict(zip(("self", "condition", "other"), args, strict=False)) | kwargs
        return torch.where, tuple(by_name[name] for name in ("condition", "self", "other")), {}
    return as_functional(func, args, kwargs)


def by_position(name: str, args: Arguments, kwargs: Keywords) -> Arguments:
    """Return a function's positional arguments. Operands that the call passes by name are moved there from ``kwargs``.

    Handlers name their other arguments as torch does.
    """
    if "self" in kwargs:
        args = (kwargs.pop("self"), *args)
    names = OPERANDS.get(name.rstrip("_"), ("input", "other"))
    while len(args) < len(names) and names[len(args)] in kwargs:
        args = (*args, kwargs.pop(names[len(args)]))
    return args


def name_of(func: Any) -> str:
    """Return a function's name. The name of a property begins with a dot, and a setter's ends with ``=``."""
    if isinstance(func, torch._ops.OpOverload):
        return str(func._opname)
    name = getattr(func, "__name__", type(func).__name__)
    if name in ("__get__", "__set__"):
        return f".{func.__self__.__name__}" if name == "__get__" else f".{func.__self__.__name__}="
    return str(name)


def compute_weights(hooks: Mapping[int, object]) -> bool:
    """True if all hooks, such as those of ``weight_norm``, compute weights from other parameters."""
    return all(type(hook).__module__ in WEIGHT_HOOKS for hook in hooks.values())
