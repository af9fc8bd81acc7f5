"""TensorFlow's errors of a run, as errors of ours: ``tf.errors``."""

from __future__ import annotations

from ...support.errors import RnnGraphError


class OpError(RnnGraphError, RuntimeError):
    """Base of what a run raises."""


class FailedPreconditionError(OpError):
    """A run reads a variable that has no value yet."""


class NotFoundError(OpError, LookupError):
    """A file does not have what is asked for."""


class InvalidArgumentError(OpError, ValueError):
    """A run is given what it can't take."""


class OutOfRangeError(OpError, ValueError):
    """There is no more of what is asked for."""
