"""``tf.data``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.datasets.dataset import Dataset as Dataset
from rnngraph.tf1.datasets.iterators import Iterator as Iterator
from rnngraph.tf1.datasets.dataset import text_line_dataset as TextLineDataset
from rnngraph.tf1.data import experimental as experimental
from rnngraph.tf1.datasets.iterators import make_initializable_iterator as make_initializable_iterator
from rnngraph.tf1.datasets.iterators import make_one_shot_iterator as make_one_shot_iterator
