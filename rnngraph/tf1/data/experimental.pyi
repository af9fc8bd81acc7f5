"""``tf.data.experimental``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.datasets.transformations import AUTOTUNE as AUTOTUNE
from rnngraph.tf1.datasets.transformations import bucket_by_sequence_length as bucket_by_sequence_length
from rnngraph.tf1.datasets.transformations import ignore_errors as ignore_errors
from rnngraph.tf1.datasets.transformations import map_and_batch as map_and_batch
from rnngraph.tf1.datasets.transformations import prefetch_to_device as prefetch_to_device
from rnngraph.tf1.datasets.transformations import shuffle_and_repeat as shuffle_and_repeat
from rnngraph.tf1.datasets.transformations import unbatch as unbatch
