"""``tf.metrics``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.metric_streams.classes import accuracy as accuracy
from rnngraph.tf1.metric_streams.thresholds import auc as auc
from rnngraph.tf1.metric_streams.classes import false_negatives as false_negatives
from rnngraph.tf1.metric_streams.classes import false_positives as false_positives
from rnngraph.tf1.metric_streams.means import mean as mean
from rnngraph.tf1.metric_streams.means import mean_absolute_error as mean_absolute_error
from rnngraph.tf1.metric_streams.means import mean_cosine_distance as mean_cosine_distance
from rnngraph.tf1.metric_streams.classes import mean_iou as mean_iou
from rnngraph.tf1.metric_streams.classes import mean_per_class_accuracy as mean_per_class_accuracy
from rnngraph.tf1.metric_streams.means import mean_relative_error as mean_relative_error
from rnngraph.tf1.metric_streams.means import mean_squared_error as mean_squared_error
from rnngraph.tf1.metric_streams.means import mean_tensor as mean_tensor
from rnngraph.tf1.metric_streams.means import percentage_below as percentage_below
from rnngraph.tf1.metric_streams.classes import precision as precision
from rnngraph.tf1.metric_streams.thresholds import precision_at_thresholds as precision_at_thresholds
from rnngraph.tf1.metric_streams.classes import recall as recall
from rnngraph.tf1.metric_streams.thresholds import recall_at_thresholds as recall_at_thresholds
from rnngraph.tf1.metric_streams.means import root_mean_squared_error as root_mean_squared_error
from rnngraph.tf1.metric_streams.classes import true_negatives as true_negatives
from rnngraph.tf1.metric_streams.classes import true_positives as true_positives
