"""``tf.logging``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.platform.logging import DEBUG as DEBUG
from rnngraph.tf1.platform.logging import ERROR as ERROR
from rnngraph.tf1.platform.logging import FATAL as FATAL
from rnngraph.tf1.platform.logging import INFO as INFO
from rnngraph.tf1.platform.logging import WARN as WARN
from rnngraph.tf1.platform.logging import debug as debug
from rnngraph.tf1.platform.logging import error as error
from rnngraph.tf1.platform.logging import fatal as fatal
from rnngraph.tf1.platform.logging import flush as flush
from rnngraph.tf1.platform.logging import get_verbosity as get_verbosity
from rnngraph.tf1.platform.logging import info as info
from rnngraph.tf1.platform.logging import log as log
from rnngraph.tf1.platform.logging import set_verbosity as set_verbosity
from rnngraph.tf1.platform.logging import vlog as vlog
from rnngraph.tf1.platform.logging import warn as warn
from rnngraph.tf1.platform.logging import warning as warning
