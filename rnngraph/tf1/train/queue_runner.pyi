"""``tf.train.queue_runner``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.datasets.queues import QueueRunner as QueueRunner
from rnngraph.tf1.datasets.queues import add_queue_runner as add_queue_runner
from rnngraph.tf1.datasets.queues import start_queue_runners as start_queue_runners
