"""Checks of argument values. Parameters ``what`` and ``name`` are the argument's name in errors."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from .errors import ArgumentError, DtypeError, RnnGraphError, ShapeError, Where, shown

MAX_UNITS = 2**31 - 1
MAX_INT64 = 2**63 - 1
MAX_CHARACTERS = 200
Word = TypeVar("Word", bound=str)


def units(value: Any, what: str) -> int:
    """Return ``value`` as an int. Raise an error that names ``what`` unless it is from 1 to ``MAX_UNITS``."""
    width = whole_number(value, what)
    if width <= 0:
        raise ArgumentError(f"{what} must be positive, not {width}")
    if width > MAX_UNITS:
        raise ArgumentError(f"{what} must be at most {MAX_UNITS}, not {width}")
    return width


def whole_number(value: Any, what: str, least: int | None = None) -> int:
    """Return a Python or NumPy integer as an int. With ``least``, it must be at least that, and fit 64 bits.

    Raise ``DtypeError`` for other types, bools included, and ``ArgumentError`` for a number out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DtypeError(f"{what} must be an int, not {shown(value)}")
    if least is not None and value < least:
        raise ArgumentError(f"{what} must be at least {least}, not {value}")
    if least is not None and value > MAX_INT64:
        raise ArgumentError(f"{what} must be at most {MAX_INT64}, not {value}")
    return int(value)


def checked_name(value: Any, what: str, where: Where | None = None, any_text: bool = False) -> str:
    """Return a user's name. Raise an error unless it is valid in printed graphs, files and machine code.

    Args:
        value: The name, 1 to ``MAX_CHARACTERS`` characters.
        what: Description of what gets the name, for errors.
        where: The user's line, for errors.
        any_text: Also accept characters that cannot be printed, such as line ends.
    """
    if not isinstance(value, str):
        raise DtypeError(f"{what} needs a name, not {shown(value)}", where)
    if not value:
        raise ArgumentError(f"{what} needs a name of at least one character", where)
    if len(value) > MAX_CHARACTERS:
        raise ArgumentError(
            f"{what} needs a name of at most {MAX_CHARACTERS} characters, and {shown(value)} has {len(value)}; "
            "give a shorter one",
            where,
        )
    if not any_text and not value.isprintable():
        raise ArgumentError(f"{what} needs a name that can be printed, not {shown(value)}", where)
    return value


def entries(value: Any, what: str) -> list[Any]:
    """Return an ordered iterable as a list. Raise ``DtypeError`` that names ``what`` for strings, mappings and sets."""
    if isinstance(value, str | bytes | Mapping | Set):
        raise DtypeError(f"{what} must be a sequence, not {shown(value)}")
    try:
        return list(value)
    except TypeError:
        raise DtypeError(f"{what} must be a sequence, not {shown(value)}") from None


def array_of(value: Any, otherwise: str, dtype: Any = None) -> np.ndarray:
    """Return an array-like value, or a torch tensor, as a NumPy array.

    Args:
        value: Anything that ``np.asarray`` accepts, or a torch tensor.
        otherwise: Beginning of the error if the value is not array-like.
        dtype: Target dtype; None keeps the value's own.

    Raises:
        ArgumentError: The array hides entries by a mask.
        ShapeError: The value is not array-like.
    """
    if hides_entries(value):
        raise ArgumentError(f"{otherwise}: it hides entries by a mask; write array.filled(0), or fill in another value")
    detach = getattr(value, "detach", None)
    try:
        if detach is None:
            return np.asarray(value, dtype)
        tensor = detach().cpu()  # NumPy has no bfloat16
        return np.asarray(tensor.float() if str(getattr(tensor, "dtype", "")) == "torch.bfloat16" else tensor, dtype)
    except RnnGraphError:  # raised by a symbolic Tensor, with a remedy
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        raise ShapeError(f"{otherwise}: {error}") from None


def refuse_mask(value: Any, what: str, where: Where | None = None) -> None:
    """Raise ``ArgumentError`` for hidden entries of a masked array, which readers of its memory would see."""
    if type(value) is not np.ndarray and hides_entries(value):
        raise ArgumentError(f"{what} hides entries by a mask; write x.filled(0), and feed the mask or lengths", where)


def hides_entries(value: Any) -> bool:
    """True if a value is a NumPy masked array with masked entries, or a nested list that contains one."""
    pending, seen = [value], set()
    while pending:
        item = pending.pop()
        if isinstance(item, np.ndarray):
            if type(item) is not np.ndarray and np.any(getattr(item, "mask", False)):
                return True
        elif isinstance(item, list | tuple) and id(item) not in seen:  # a list may hold itself
            seen.add(id(item))
            pending += [entry for entry in item if isinstance(entry, list | tuple | np.ndarray)]
    return False


def number(value: Any, what: str) -> float:
    """Return a finite real number of Python or NumPy as a float. ``what`` is its name in errors."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise DtypeError(f"{what} must be a number, not {shown(value)}")
    if not -(2.0**1023) <= value <= 2.0**1023:
        raise ArgumentError(f"{what} must be a finite number, not {shown(value)}")
    return float(value)


def flag(value: Any, what: str) -> bool:
    """Return a Python or NumPy bool as a bool. ``what`` is its name in errors."""
    if not isinstance(value, bool | np.bool_):
        raise DtypeError(f"{what} must be True or False, not {shown(value)}")
    return bool(value)


def one_of(value: Any, what: str, offered: Sequence[Word]) -> Word:
    """Return a word, checked to be one of those ``offered``. ``what`` is its name in errors."""
    if not isinstance(value, str) or value not in offered:
        raise ArgumentError(f"{what}={shown(value)} is not offered; use one of {', '.join(offered)}")
    return offered[offered.index(value)]


def seed_number(value: Any) -> int:
    """Return a seed as an int, checked to fit 64 bits, signed or unsigned."""
    seed = whole_number(value, "seed")
    if not -(2**63) <= seed < 2**64:
        raise ArgumentError(f"seed={seed} does not fit 64 bits; give one below 2**64")
    return seed


# Numbers of optimizers, schedules and fits ---------------------------------------------------------


_NUMBERS = (int, float, np.integer, np.floating)


def is_number(value: Any) -> bool:
    """True if ``value`` is a finite real number of Python or NumPy."""
    if type(value) is float:
        return math.isfinite(value)
    if not isinstance(value, _NUMBERS) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max if isinstance(value, int) else math.isfinite(value)


def check_positive(name: str, value: Any) -> None:
    if not is_number(value) or not value > 0:
        raise ArgumentError(f"{name}={shown(value)} must be a positive number")


def positive_or_none(name: str, value: Any, where: Where | None) -> float | None:
    if value is None:
        return None
    if not is_number(value) or not value > 0:
        raise ArgumentError(f"{name}={shown(value)} must be a positive number, or None", where)
    return float(value)


def check_not_negative(name: str, value: Any) -> None:
    if not is_number(value) or value < 0:
        raise ArgumentError(f"{name}={shown(value)} must be a number, 0 or more")


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Raise ``ArgumentError`` unless ``low <= value < high``."""
    if not is_number(value) or not low <= value < high:
        raise ArgumentError(f"{name}={shown(value)} must be a number, {low:g} or more and below {high:g}")


def use_plain_numbers(record: Any) -> None:
    """Convert NumPy scalars in a dataclass's fields to Python numbers, which files store exactly."""
    for item in fields(record):
        value = getattr(record, item.name)
        if isinstance(value, np.generic):
            object.__setattr__(record, item.name, value.item())
