"""``tf.queue``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.datasets.queues import FIFOQueue as FIFOQueue
from rnngraph.tf1.datasets.queues import PaddingFIFOQueue as PaddingFIFOQueue
from rnngraph.tf1.datasets.queues import QueueBase as QueueBase
from rnngraph.tf1.datasets.queues import RandomShuffleQueue as RandomShuffleQueue
