"""``tf.summary``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.summary.messages import Event as Event
from rnngraph.tf1.summary.event_file import FileWriter as FileWriter
from rnngraph.tf1.summary.messages import Summary as Summary
from rnngraph.tf1.summary.summaries import histogram as histogram
from rnngraph.tf1.summary.summaries import image as image
from rnngraph.tf1.summary.summaries import merge as merge
from rnngraph.tf1.summary.summaries import merge_all as merge_all
from rnngraph.tf1.summary.summaries import scalar as scalar
from rnngraph.tf1.summary.event_file import summary_iterator as summary_iterator
from rnngraph.tf1.summary.summaries import text as text
