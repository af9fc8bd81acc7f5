"""Error types, and where in the user's code a declaration or a call was made."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import re
import reprlib
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Literal, Self

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = tuple(_LIBRARY + name + os.sep for name in ("site-packages", "dist-packages"))
_COMMANDS = os.path.join(_PACKAGE, "cli", "entry.py")
_BETWEEN = frozenset((contextlib.__file__, copy.__file__, dataclasses.__file__))
"""Library code that stands between two frames of this package."""
_CALLS_BACK = "torch.", "numpy.", "sklearn.", "pandas."
"""Modules that call this package for lines of the user's, as torch does while a module of it is read, and others where
a Tensor is among what they make arrays of.
"""

NO_LINE = (__file__, 0)
"""File and line of warnings that come from no line of the user's, as of a command."""

MOST_CHARACTERS = 900
"""Of what an error says, beside the line that it names. Whatever is longer loses its middle: the beginning says what is
wrong, the end what to do.
"""


Phase = Literal["forward", "backward", "update"]
"""What a computation is a part of: of values, of gradients, or of a trainer's update."""


_CELL = re.compile(r"In \[\d+\]")


def _cell_of(file: str) -> str | None:
    """The number of the cell that IPython keeps under the name of a temporary file; None for all other files."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    format_code_name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    told = format_code_name(file) if format_code_name is not None else None  # ("Cell", "In[3]")
    found = re.search(r"\d+", told[1]) if told else None
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Where:
    """A line of the user's code; of a computation also its layer, such as ``rnn/multi_rnn_cell/cell_0/lstm_cell``, as
    parameters' names begin ("" where it belongs to none), and its phase.
    """

    file: str
    line: int
    layer: str = ""
    phase: Phase = "forward"

    def __str__(self) -> str:
        file = self.shown_file
        return f"{file}, line {self.line}" if _CELL.fullmatch(file) else f"{file}:{self.line}"

    @property
    def shown_file(self) -> str:
        """The file as messages show it: below the working directory without the way there, a notebook's cell by its
        number.
        """
        if number := _cell_of(self.file):
            return f"In [{number}]"
        try:
            relative = os.path.relpath(self.file)
        except (ValueError, OSError):  # another drive on Windows, or a working folder that is gone
            relative = self.file
        return self.file if relative.startswith("..") else relative

    @property
    def place(self) -> tuple[str, int]:
        """The file and the line alone."""
        return self.file, self.line

    def full_text(self) -> str:
        """The line, the layer and the phase: ``net.py:12 rnn/lstm_cell forward``."""
        return " ".join(part for part in (str(self), self.layer, self.phase) if part)

    def of(self, layer: str | None = None, phase: Phase | None = None) -> Where:
        """The same line, of another layer or phase."""
        return replace(self, layer=self.layer if layer is None else layer, phase=phase or self.phase)


def user_line() -> Where | None:
    """The innermost frame outside this package and Python's own library: the line that the user wrote. None where a
    command was given, or a thread or a process was started with a function of this package.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not (is_ours(frame) or _is_pythons(file) or _calls_back(frame)):
            return Where(file, frame.f_lineno)
        if frame.f_code.co_name == "main" and frame.f_code.co_filename == _COMMANDS:
            return None  # what lies further out starts Python
        frame = frame.f_back
    return None


def _is_pythons(file: str) -> bool:
    """Whether a file is of Python's own library, and not of a package that is installed in it."""
    return file.startswith("<frozen ") or (file.startswith(_LIBRARY) and not file.startswith(_INSTALLED))


def _calls_back(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_CALLS_BACK)


def raised_line(error: BaseException) -> Where | None:
    """The innermost line of the user's that an error went through; Python's own library does not count."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not is_ours(traceback.tb_frame) and not file.startswith((_LIBRARY, "<frozen ")):
            found = Where(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of this package."""
    file = frame.f_code.co_filename
    if file.startswith(_PACKAGE) or file in _BETWEEN:
        return True
    # The methods that a dataclass of this package gets have its names, but no file.
    return file == "<string>" and str(frame.f_globals.get("__name__")).startswith("rnngraph.")


def warn(text: str, where: Where | None) -> None:
    """Warns of a line of the user's, however many frames of this package lie between."""
    file, line = (where.file, where.line) if where else NO_LINE
    warnings.warn_explicit(f"{where}: {text}" if where else text, UserWarning, file, line)


class RnnGraphError(Exception):
    """Base of every error that a user's mistake raises: where, what, and the remedy."""

    most_characters = MOST_CHARACTERS
    any_arguments: tuple[Any, ...] = ("",)  # with which one can be made, to become a copy of another

    def __init__(self, what: str, where: Where | None = None) -> None:
        self.what = shortened(what, self.most_characters)
        self.where = where if where is not None else user_line()
        super().__init__(self._text())

    def _text(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what

    def within(self, place: str) -> Self:
        """The same error, of the same line and with all that it knows, which says in which of many things it was:
        ``place`` before what is wrong.
        """
        error = copy.copy(self)
        error.what = shortened(f"{place}: {self.what}", self.most_characters)
        error.args = (error._text(),)
        return error

    def __str__(self) -> str:  # KeyError would print its repr
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:  # Exception's own calls __init__ with the whole message
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[RnnGraphError], arguments: tuple[Any, ...], state: dict[str, Any]) -> RnnGraphError:
    """An error of another process, or a copy, as it was: its line is the one at which it was raised first."""
    error = kind(*kind.any_arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error


# Texts -----------------------------------------------------------------------------------------------


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text without its middle where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    head, tail = most * 3 // 5, most * 2 // 5
    return f"{text[:head]} … ({len(text) - head - tail} characters left out) … {text[-tail:]}"


class _Short(reprlib.Repr):
    """Reprs of a line at most, also of arrays and of objects whose own repr raises."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 100

    def repr_ndarray(self, array: Any, level: int) -> str:
        if array.size <= 8:
            return " ".join(self.repr_instance(array, level).split())
        return f"an array of {array.dtype} {list(array.shape)}"

    def repr_instance(self, value: Any, level: int) -> str:
        text = super().repr_instance(value, level)
        return f"an object of {type(value).__name__}" if text.startswith("<") and " instance at 0x" in text else text


shown = _Short().repr
"""The repr of what a user gave, in a line: ``shown(value)``."""


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return the first names, and how many more there are; ``none`` where there are none."""
    known = [*names]
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return (", ".join(known[:most]) or "none") + more


def did_you_mean(name: Any, names: Iterable[str]) -> str:
    """``"; did you mean logits?"`` where one of the names is close to ``name``, else nothing."""
    from difflib import get_close_matches  # for an error only

    if not isinstance(name, str) or len(name) > 100:
        return ""
    plain = {other.lower().replace("_", ""): other for other in names}
    found = get_close_matches(name.lower().replace("_", ""), plain, 1, cutoff=0.7)
    return f"; did you mean {plain[found[0]]}?" if found else ""


# Kinds -----------------------------------------------------------------------------------------------


class ShapeError(RnnGraphError, ValueError):
    """Sizes or ranks do not fit."""


class DtypeError(RnnGraphError, TypeError):
    """A dtype does not fit, or a value is of the wrong kind."""


class ArgumentError(RnnGraphError, ValueError):
    """An argument is outside what it may be."""


class CallError(RnnGraphError, TypeError):
    """A call gives an argument that is not taken, or gives it twice, or lacks one that is needed."""


class FileError(ArgumentError, OSError):
    """A file is missing, damaged or of another kind, or can't be written."""


class NotReadableError(RnnGraphError, ValueError):
    """A file of another format holds what has no counterpart here. ``problems`` lists all of it, a text each."""

    most_characters = 20_000

    def __init__(self, what: str, where: Where | None = None, problems: Iterable[str] = ()) -> None:
        super().__init__(what, where)
        self.problems = tuple(problems)


class StructureError(RnnGraphError, ValueError):
    """A nest (a state, an initial state) has the wrong structure."""


class NameLookupError(RnnGraphError, KeyError):
    """A name (of a feed, a parameter, an output, a stage) is missing or unknown."""


class NotOfferedError(RnnGraphError, AttributeError):
    """A name of another framework that has no counterpart here; the message names what to use instead."""


class MissingExtraError(RnnGraphError, ImportError):
    """A package is not installed that an optional part needs; the message gives the command that installs it."""


class GraphError(RnnGraphError, ValueError):
    """A graph can't do what is asked of it, such as to stream a backward recurrence."""


class NonFiniteError(RnnGraphError, ArithmeticError):
    """A loss, gradient or parameter became NaN or infinite.

    finding: what ``check`` says of where it began (an ``rg.NonFinite``), if that is known.
    """

    def __init__(self, what: str, where: Where | None = None, finding: object | None = None) -> None:
        super().__init__(what, where)
        self.finding = finding


class OutOfMemoryError(RnnGraphError, MemoryError):
    """More memory was asked for than there is. ``asked`` and ``left`` are bytes (left: None if that is not known), and
    ``purpose`` is what they were for.

    limit: what ``left`` is, in words, such as what the machine has.
    """

    any_arguments = 0, None, "", ""

    def __init__(
        self, asked: int, left: int | None, limit: str, purpose: str, where: Where | None = None
    ) -> None:  # fmt: skip
        self.asked, self.left, self.purpose = asked, left, purpose
        there = "which the system does not give" if left is None else f"and {_gigabytes(left)} are {limit}"
        super().__init__(
            f"{purpose} takes {_gigabytes(asked)}, {there}; ask for less: fewer rows, steps, samples or units", where
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count < 10**12 else f"{count // 10**9:,} GB"


class RanksError(RnnGraphError, RuntimeError):
    """Another process of a training failed, or is given something else; its text is part of this one."""


class VerifyError(RnnGraphError, AssertionError):
    """A pass broke a rule of the IR: a defect of the compiler, never of the user."""
