"""``tf.errors``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.core.errors import FailedPreconditionError as FailedPreconditionError
from rnngraph.tf1.core.errors import InvalidArgumentError as InvalidArgumentError
from rnngraph.tf1.core.errors import NotFoundError as NotFoundError
from rnngraph.tf1.core.errors import OpError as OpError
from rnngraph.tf1.core.errors import OutOfRangeError as OutOfRangeError
