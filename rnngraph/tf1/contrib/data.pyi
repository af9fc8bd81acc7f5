"""``tf.contrib.data``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.datasets.dataset import Dataset as Dataset
from rnngraph.tf1.datasets.iterators import Iterator as Iterator
from rnngraph.tf1.datasets.dataset import text_line_dataset as TextLineDataset
from rnngraph.tf1.datasets.transformations import batch_and_drop_remainder as batch_and_drop_remainder
from rnngraph.tf1.datasets.transformations import bucket_by_sequence_length as bucket_by_sequence_length
from rnngraph.tf1.datasets.transformations import ignore_errors as ignore_errors
from rnngraph.tf1.datasets.transformations import map_and_batch as map_and_batch
from rnngraph.tf1.datasets.transformations import padded_batch_and_drop_remainder as padded_batch_and_drop_remainder
from rnngraph.tf1.datasets.transformations import prefetch_to_device as prefetch_to_device
from rnngraph.tf1.datasets.transformations import shuffle_and_repeat as shuffle_and_repeat
from rnngraph.tf1.datasets.transformations import unbatch as unbatch
