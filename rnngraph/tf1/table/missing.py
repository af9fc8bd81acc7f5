"""Errors for names and modules of TensorFlow that are not offered. Messages say what to use instead."""

from __future__ import annotations

import sys
from types import FrameType

from ...support.errors import NotOfferedError, RnnGraphError, Where, is_ours
from .entries import remedy

GUIDE = "docs/tf1.md#what-is-not-offered"
"""Page that error messages refer to."""
_IMPORT_MACHINERY = "importlib"
"""Part of the file names of Python's import machinery."""


class NotImportableError(RnnGraphError, ImportError):
    """A script imports a name that is not offered. The message says what to use instead."""


def missing(path: str) -> Exception:
    """Return the error for ``tf.<path>``: an ``AttributeError``, or an ``ImportError`` inside of an import statement.

    An import statement discards the message of an ``AttributeError``, but shows that of an ``ImportError``. Names that
    begin with two underscores get a plain ``AttributeError``, because Python itself looks them up.
    """
    if path.rpartition(".")[2].startswith("__"):
        return AttributeError(f"tf has no {path}")
    return not_importable(path) if _asked_by_import() else not_offered(path)


def not_offered(path: str) -> NotOfferedError:
    """Return the error for reading ``tf.<path>``."""
    return NotOfferedError(_message(f"tf.{path}", path))


def not_importable(path: str, package: str = "tf") -> NotImportableError:
    """Return the error for importing ``tf.<path>``."""
    return NotImportableError(_message(f"{package}.{path}", path), _importing_line())


def _message(name: str, path: str) -> str:
    return f"{name} is not offered; {remedy(path)} ({GUIDE})"


def _asked_by_import() -> bool:
    """True if a ``from … import`` caused the present look-up of a name in a module of rnngraph."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_ours(frame):
        frame = frame.f_back
    return frame is not None and _IMPORT_MACHINERY in frame.f_code.co_filename


def _importing_line() -> Where | None:
    """Return the line of the import statement: the innermost outside of rnngraph and of Python's import machinery."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (is_ours(frame) or _IMPORT_MACHINERY in frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else Where(frame.f_code.co_filename, frame.f_lineno)
