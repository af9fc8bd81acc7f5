"""``tf.debugging``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.ops.checks import assert_that as Assert
from rnngraph.tf1.ops.checks import assert_equal as assert_equal
from rnngraph.tf1.ops.checks import assert_greater as assert_greater
from rnngraph.tf1.ops.checks import assert_greater_equal as assert_greater_equal
from rnngraph.tf1.ops.checks import assert_integer as assert_integer
from rnngraph.tf1.ops.checks import assert_less as assert_less
from rnngraph.tf1.ops.checks import assert_less_equal as assert_less_equal
from rnngraph.tf1.ops.checks import assert_negative as assert_negative
from rnngraph.tf1.ops.checks import assert_non_negative as assert_non_negative
from rnngraph.tf1.ops.checks import assert_non_positive as assert_non_positive
from rnngraph.tf1.ops.checks import assert_none_equal as assert_none_equal
from rnngraph.tf1.ops.checks import assert_positive as assert_positive
from rnngraph.tf1.ops.checks import assert_rank as assert_rank
from rnngraph.tf1.ops.checks import assert_rank_at_least as assert_rank_at_least
from rnngraph.tf1.ops.checks import assert_rank_in as assert_rank_in
from rnngraph.tf1.ops.checks import assert_type as assert_type
