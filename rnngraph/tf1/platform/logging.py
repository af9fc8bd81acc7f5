"""``tf.logging``: messages of the logger ``tensorflow``, on standard error."""

from __future__ import annotations

import logging as _logging
import sys
from typing import Any

from ...support.api_guard import api
from ...support.arguments import whole_number
from ...support.errors import DtypeError, shown

DEBUG, INFO, WARN, ERROR, FATAL = (
    _logging.DEBUG,
    _logging.INFO,
    _logging.WARNING,
    _logging.ERROR,
    _logging.CRITICAL,
)


class _ErrorOutput(_logging.StreamHandler[Any]):
    """Handler that writes to ``sys.stderr`` as it is when a message is logged, because programs replace it."""

    def emit(self, record: _logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _logger() -> _logging.Logger:
    """Return the logger ``tensorflow``, with a handler if neither it nor the root logger has one."""
    logger = _logging.getLogger("tensorflow")
    if not logger.handlers and not _logging.getLogger().handlers:
        handler = _ErrorOutput()
        handler.setFormatter(_logging.Formatter(_logging.BASIC_FORMAT))
        logger.addHandler(handler)
    return logger


@api
def log(level: Any, msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at a level."""
    _logger().log(whole_number(level, "a level"), _checked(msg, args), *args)


def _checked(msg: Any, args: tuple[Any, ...]) -> Any:
    """Return ``msg`` as text, not yet formatted. Raise ``DtypeError`` if ``args`` do not fit its format."""
    try:
        if args:
            str(msg) % (args[0] if len(args) == 1 and isinstance(args[0], dict) and args[0] else args)
        else:
            str(msg)
    except Exception:
        raise DtypeError(
            f"the arguments {shown(args)} do not match the format of the message {shown(msg)}; pass one for each %"
        ) from None
    return str(msg)


@api
def debug(msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at level DEBUG."""
    log(DEBUG, msg, *args)


@api
def info(msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at level INFO."""
    log(INFO, msg, *args)


@api
def warn(msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at level WARN."""
    log(WARN, msg, *args)


warning = warn


@api
def error(msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at level ERROR."""
    log(ERROR, msg, *args)


@api
def fatal(msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at level FATAL."""
    log(FATAL, msg, *args)


@api
def vlog(level: Any, msg: Any, *args: Any, **options: Any) -> None:
    """Log a message at a level."""
    log(level, msg, *args)


@api
def set_verbosity(v: Any) -> None:
    """Set the minimum level of messages, such as ``tf.logging.INFO`` or "INFO"."""
    names = _logging.getLevelNamesMapping()
    _logger().setLevel(names[v] if isinstance(v, str) and v in names else whole_number(v, "a level", 0))


@api
def get_verbosity() -> int:
    """Return the minimum level of messages."""
    return _logger().getEffectiveLevel()


@api
def flush() -> None:
    """Do nothing: messages are written at once."""
