"""``tf.errors``: TensorFlow's errors of a run, as subclasses of rnngraph's."""

from __future__ import annotations

from ...support.errors import RnnGraphError


class OpError(RnnGraphError, RuntimeError):
    """Base of the errors of a run."""


class FailedPreconditionError(OpError):
    """A run reads a variable that has no value yet."""


class NotFoundError(OpError, LookupError):
    """A file or directory does not exist, or a checkpoint lacks a requested name."""


class InvalidArgumentError(OpError, ValueError):
    """A run receives an invalid value."""


class OutOfRangeError(OpError, ValueError):
    """An iterator or queue is exhausted."""
