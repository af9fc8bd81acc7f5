"""TensorFlow 1.x's ``tf.metrics``."""

from __future__ import annotations

from typing import Any

from .core.names import missing as _missing
from .metric_streams.classes import (
    accuracy,
    false_negatives,
    false_positives,
    mean_iou,
    mean_per_class_accuracy,
    precision,
    recall,
    true_negatives,
    true_positives,
)
from .metric_streams.means import (
    mean,
    mean_absolute_error,
    mean_cosine_distance,
    mean_relative_error,
    mean_squared_error,
    mean_tensor,
    percentage_below,
    root_mean_squared_error,
)
from .metric_streams.thresholds import auc, precision_at_thresholds, recall_at_thresholds

__all__ = (
    "accuracy", "auc", "false_negatives", "false_positives", "mean", "mean_absolute_error", "mean_cosine_distance",
    "mean_iou", "mean_per_class_accuracy", "mean_relative_error", "mean_squared_error", "mean_tensor",
    "percentage_below", "precision", "precision_at_thresholds", "recall", "recall_at_thresholds",
    "root_mean_squared_error", "true_negatives", "true_positives",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("metrics", name)
