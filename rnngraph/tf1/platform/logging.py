"""``tf.logging``: messages of the logger that is named ``tensorflow``, on the error output."""

from __future__ import annotations

import logging as _logging
import sys
from typing import Any

from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import DtypeError, shown

DEBUG, INFO, WARN, ERROR, FATAL = (
    _logging.DEBUG, _logging.INFO, _logging.WARNING, _logging.ERROR, _logging.CRITICAL,
)  # fmt: skip


class _ErrorOutput(_logging.StreamHandler[Any]):
    """Writes to what is the error output at the time."""

    def emit(self, record: _logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _logger() -> _logging.Logger:
    """The logger; it writes by itself where the program has set up no logging."""
    found = _logging.getLogger("tensorflow")
    if not found.handlers and not _logging.getLogger().handlers:
        handler = _ErrorOutput()
        handler.setFormatter(_logging.Formatter(_logging.BASIC_FORMAT))
        found.addHandler(handler)
    return found


@api
def log(level: Any, msg: Any, *args: Any, **options: Any) -> None:
    """A message of a level."""
    _logger().log(whole_number(level, "a level"), _checked(msg, args), *args)


def _checked(msg: Any, args: tuple[Any, ...]) -> Any:
    """A message, whose arguments must fit it."""
    try:
        if args:
            str(msg) % (args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args)
        else:
            str(msg)
    except Exception:
        raise DtypeError(f"{shown(args)} does not fit the message {shown(msg)}") from None
    return str(msg)


@api
def debug(msg: Any, *args: Any, **options: Any) -> None:
    """A message for who looks for a mistake."""
    log(DEBUG, msg, *args)


@api
def info(msg: Any, *args: Any, **options: Any) -> None:
    """A message of what goes on."""
    log(INFO, msg, *args)


@api
def warn(msg: Any, *args: Any, **options: Any) -> None:
    """A message of what may be wrong."""
    log(WARN, msg, *args)


warning = warn


@api
def error(msg: Any, *args: Any, **options: Any) -> None:
    """A message of what is wrong."""
    log(ERROR, msg, *args)


@api
def fatal(msg: Any, *args: Any, **options: Any) -> None:
    """A message of what ends a program."""
    log(FATAL, msg, *args)


@api
def vlog(level: Any, msg: Any, *args: Any, **options: Any) -> None:
    """As ``log``."""
    log(level, msg, *args)


@api
def set_verbosity(v: Any) -> None:
    """The level from which on messages are written: ``tf.logging.INFO`` and others."""
    names = _logging.getLevelNamesMapping()
    _logger().setLevel(names[v] if isinstance(v, str) and v in names else whole_number(v, "a level", 0))


@api
def get_verbosity() -> int:
    """That level."""
    return _logger().getEffectiveLevel()


@api
def flush() -> None:
    """Nothing is kept back."""
