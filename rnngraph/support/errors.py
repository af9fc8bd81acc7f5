"""Error types, and the lookup of the line of the user's code that an error names."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
import re
import reprlib
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import Any, Literal, Self

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = tuple(_LIBRARY + name + os.sep for name in ("site-packages", "dist-packages"))
_COMMANDS = os.path.join(_PACKAGE, "cli", "entry.py")
_BETWEEN = frozenset((contextlib.__file__, copy.__file__, dataclasses.__file__))
"""Standard library files whose frames lie between two frames of this package."""
_CALLS_BACK = "torch.", "numpy.", "sklearn.", "pandas."
"""Prefixes of modules that call back into this package on the user's behalf.

torch does so while one of its modules is traced, the others while they convert a Tensor to an array.
"""

NO_LINE = (__file__, 0)
"""File and line of warnings without a user's line, such as those of a command."""

MAX_CHARACTERS = 900
"""Maximum length of an error message, without its line.

Longer messages lose their middle: the beginning says what is wrong, the end what to write.
"""


Phase = Literal["forward", "backward", "update"]
"""Phase of a computation: forward pass, gradients, or a trainer's update."""


_CELL = re.compile(r"In \[\d+\]")


def _cell_of(file: str) -> str | None:
    """Return the number of the IPython cell that a temporary file represents; None for other files."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    format_code_name = getattr(getattr(shell, "compile", None), "format_code_name", None)
    label = format_code_name(file) if format_code_name is not None else None  # such as ("Cell", "In[3]")
    match = re.search(r"\d+", label[1]) if label else None
    return match[0] if match else None


Place = tuple[str, int]
"""A file, and the number of a line."""


@dataclass(frozen=True, slots=True)
class Where:
    """Line of the user's code, with the layer and phase of the computation that it declares.

    Attributes:
        file: Path as Python knows it.
        line: Line number, from 1.
        layer: Prefix of the layer's parameter names, such as ``rnn/multi_rnn_cell/cell_0/lstm_cell``; ``""`` without
            a layer.
        phase: Phase of the computation.
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
        """File name for messages: relative if below the working directory, ``In [3]`` for a notebook cell."""
        if number := _cell_of(self.file):
            return f"In [{number}]"
        try:
            return _shown(self.file, os.getcwd())
        except OSError:  # a deleted working directory
            return self.file

    @property
    def place(self) -> Place:
        """The file and the line."""
        return self.file, self.line

    def full_text(self) -> str:
        """Return the line, the layer and the phase, as in ``net.py:12 rnn/lstm_cell forward``."""
        return " ".join(part for part in (str(self), self.layer, self.phase) if part)

    def of(self, layer: str | None = None, phase: Phase | None = None) -> Where:
        """Return this line with another layer or phase. None keeps the present one."""
        return Where(self.file, self.line, self.layer if layer is None else layer, phase or self.phase)


_read_line: ContextVar[Where | None] = ContextVar("read_line", default=None)


@contextmanager
def read_from(where: Where | None) -> Iterator[None]:
    """Context manager within which ``where`` counts as the user's line. None changes nothing."""
    token = _read_line.set(where or _read_line.get())
    try:
        yield
    finally:
        _read_line.reset(token)


@lru_cache(maxsize=256)
def _shown(file: str, directory: str) -> str:
    """Return the path relative to ``directory`` if the file lies below it."""
    try:
        relative = os.path.relpath(file, directory)
    except ValueError:  # another drive on Windows
        return file
    return file if relative.startswith("..") else relative


def user_line() -> Where | None:
    """Return the line of the user's code that is running: the innermost one outside this package and Python's library.

    None if there is no such line: within a command, or in a thread or process that runs a function of this package.
    """
    if (read := _read_line.get()) is not None:
        return read
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not (is_ours(frame) or _is_pythons(file) or _calls_back(frame)):
            return Where(file, frame.f_lineno)
        if frame.f_code.co_name == "main" and frame.f_code.co_filename == _COMMANDS:
            return None  # frames further out only start the script
        frame = frame.f_back
    return None


def _is_pythons(file: str) -> bool:
    """True for a file of the standard library."""
    return file.startswith("<frozen ") or (file.startswith(_LIBRARY) and not file.startswith(_INSTALLED))


def _calls_back(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_CALLS_BACK)


def raised_line(error: BaseException) -> Where | None:
    """Return the innermost line of the user's code in an error's traceback; None if there is none."""
    line, traceback = None, error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not is_ours(traceback.tb_frame) and not file.startswith((_LIBRARY, "<frozen ")):
            line = Where(file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def is_ours(frame: FrameType) -> bool:
    """True if a frame runs code of this package."""
    file = frame.f_code.co_filename
    if file.startswith(_PACKAGE) or file in _BETWEEN:
        return True
    # Generated methods of this package's dataclasses have its globals, but no file.
    return file == "<string>" and str(frame.f_globals.get("__name__")).startswith("rnngraph.")


def warn(text: str, where: Where | None, category: type[Warning] = UserWarning) -> None:
    """Issue a warning for a user's line."""
    file, line = (where.file, where.line) if where else NO_LINE
    warnings.warn_explicit(f"{where}: {text}" if where else text, category, file, line)


class RnnGraphError(Exception):
    """Base of all errors for user mistakes.

    The message says where and what is wrong, and what to write instead.

    Attributes:
        what: The message without the line.
        where: The user's line; None if unknown.
        has_run: True for an error in the results of a call that has run, so that its streams have stepped.
    """

    max_characters = MAX_CHARACTERS
    has_run = False
    any_arguments: tuple[Any, ...] = ("",)  # valid arguments of __init__, for unpickling

    def __init__(self, what: str, where: Where | None = None) -> None:
        self.what = shortened(what, self.max_characters)
        self.where = where if where is not None else user_line()
        super().__init__(self._text())

    def _text(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what

    def within(self, place: str) -> Self:
        """Return a copy of the error whose message begins with ``place``, such as a file name."""
        error = copy.copy(self)
        error.what = shortened(f"{place}: {self.what}", self.max_characters)
        error.args = (error._text(),)
        return error

    def __str__(self) -> str:  # KeyError would print its repr
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:  # Exception.__reduce__ calls __init__ with the whole message
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[RnnGraphError], arguments: tuple[Any, ...], state: dict[str, Any]) -> RnnGraphError:
    """Rebuild a pickled or copied error, with its original line."""
    error = kind(*kind.any_arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error


# Texts -----------------------------------------------------------------------------------------------


def shortened(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return text, with its middle cut out if it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    head, tail = limit * 3 // 5, limit * 2 // 5
    return f"{text[:head]} … ({len(text) - head - tail} characters left out) … {text[-tail:]}"


class _Short(reprlib.Repr):
    """Reprs of at most one line, which never raise."""

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
"""Return the repr of a user's value in one line."""


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Return the first ``limit`` names and the number of others; ``none`` without names."""
    known = [*names]
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return (", ".join(known[:limit]) or "none") + more


def did_you_mean(name: Any, names: Iterable[str]) -> str:
    """Return a suggestion such as ``"; did you mean logits?"``, or ``""`` if no name is similar."""
    from difflib import get_close_matches  # imported for errors only

    if not isinstance(name, str) or len(name) > 100:
        return ""
    plain = {other.lower().replace("_", ""): other for other in names}
    matches = get_close_matches(name.lower().replace("_", ""), plain, 1, cutoff=0.7)
    return f"; did you mean {plain[matches[0]]}?" if matches else ""


# Kinds -----------------------------------------------------------------------------------------------


class ShapeError(RnnGraphError, ValueError):
    """Sizes or ranks do not match."""


class DtypeError(RnnGraphError, TypeError):
    """A dtype does not match, or a value has the wrong type."""


class ArgumentError(RnnGraphError, ValueError):
    """An argument is out of its valid range."""


class CallError(RnnGraphError, TypeError):
    """A call has an unknown or duplicate argument or lacks a required one, or the object cannot be called now."""


class FileError(ArgumentError, OSError):
    """A file is missing, damaged or of the wrong format, or cannot be written."""


class NotReadableError(RnnGraphError, ValueError):
    """A file of another framework contains something unsupported.

    Attributes:
        problems: All unsupported parts, one text each.
    """

    max_characters = 20_000

    def __init__(self, what: str, where: Where | None = None, problems: Iterable[str] = ()) -> None:
        super().__init__(what, where)
        self.problems = tuple(problems)


class StructureError(RnnGraphError, ValueError):
    """A nest, such as an initial state, has the wrong structure."""


class NameLookupError(RnnGraphError, KeyError):
    """A name of a feed, parameter, output or stage is missing or unknown."""


class NotOfferedError(RnnGraphError, AttributeError):
    """A name of another framework does not exist here; the message gives the replacement."""


class MissingExtraError(RnnGraphError, ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""


class GraphError(RnnGraphError, ValueError):
    """A graph does not support the operation, such as streaming a backward recurrence."""


class BusyError(RnnGraphError, RuntimeError):
    """A generator has no room for another caller, or is closed; try again later."""


class NonFiniteError(RnnGraphError, ArithmeticError):
    """A loss, a gradient or a logit is NaN or infinite.

    Attributes:
        finding: The first non-finite value (an ``rg.NonFinite`` of ``check``); None if unknown.
    """

    def __init__(self, what: str, where: Where | None = None, finding: object | None = None) -> None:
        super().__init__(what, where)
        self.finding = finding


class OutOfMemoryError(RnnGraphError, MemoryError):
    """A request exceeds the available memory.

    Attributes:
        asked: Requested bytes.
        left: Available bytes; None if unknown.
        purpose: Noun phrase for the use of the memory.

    The argument ``limit`` completes the message's clause "... GB are", as in "free on this machine".
    """

    any_arguments = 0, None, "", ""

    def __init__(self, asked: int, left: int | None, limit: str, purpose: str, where: Where | None = None) -> None:
        self.asked, self.left, self.purpose = asked, left, purpose
        available = "which the system does not give" if left is None else f"and {_gigabytes(left)} are {limit}"
        super().__init__(
            f"{purpose} takes {_gigabytes(asked)}, {available}; ask for less: fewer rows, steps, samples or units",
            where,
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.3g} GB" if count < 10**12 else f"{count // 10**9:,} GB"


class RanksError(RnnGraphError, RuntimeError):
    """Another process of a distributed training failed or has other arguments; the message includes its error."""


class VerifyError(RnnGraphError, AssertionError):
    """A pass produced invalid IR: a bug of the compiler, never of the user."""
