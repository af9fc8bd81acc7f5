"""``tf.flags``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.platform.flags import DEFINE_bool as DEFINE_bool
from rnngraph.tf1.platform.flags import DEFINE_boolean as DEFINE_boolean
from rnngraph.tf1.platform.flags import DEFINE_enum as DEFINE_enum
from rnngraph.tf1.platform.flags import DEFINE_float as DEFINE_float
from rnngraph.tf1.platform.flags import DEFINE_integer as DEFINE_integer
from rnngraph.tf1.platform.flags import DEFINE_list as DEFINE_list
from rnngraph.tf1.platform.flags import DEFINE_multi_float as DEFINE_multi_float
from rnngraph.tf1.platform.flags import DEFINE_multi_integer as DEFINE_multi_integer
from rnngraph.tf1.platform.flags import DEFINE_multi_string as DEFINE_multi_string
from rnngraph.tf1.platform.flags import DEFINE_string as DEFINE_string
from rnngraph.tf1.platform.flags import DuplicateFlagError as DuplicateFlagError
from rnngraph.tf1.platform.flags import Error as Error
from rnngraph.tf1.platform.flags import FLAGS as FLAGS
from rnngraph.tf1.platform.flags import IllegalFlagValueError as IllegalFlagValueError
from rnngraph.tf1.platform.flags import UnrecognizedFlagError as UnrecognizedFlagError
from rnngraph.tf1.platform.flags import mark_flag_as_required as mark_flag_as_required
from rnngraph.tf1.platform.flags import mark_flags_as_required as mark_flags_as_required
from rnngraph.tf1.platform.flags import register_validator as register_validator
from rnngraph.tf1.platform.flags import validator as validator
