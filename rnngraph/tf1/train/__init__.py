"""TensorFlow 1.x's ``tf.train``: optimizers, learning rates, checkpoints.

``rules`` has the equations, ``slots`` what they keep, ``gradients`` makes Tensors of derivatives. ``train_op`` takes
steps and ``optimizers`` are what programs make, or ``optimize_loss`` makes for them. ``schedules`` are learning rates,
and ``averages`` follow variables. ``checkpoints`` and ``saver`` are of files.
"""

from __future__ import annotations

from typing import Any

from ..core.names import missing as _missing
from ..summary.event_file import FileWriter as SummaryWriter
from ..summary.event_file import summary_iterator
from .averages import ExponentialMovingAverage
from .checkpoints import CheckpointReader as NewCheckpointReader
from .checkpoints import (
    checkpoint_exists,
    get_checkpoint_state,
    latest_checkpoint,
    list_variables,
    load_variable,
    update_checkpoint_state,
)
from .optimizers import (
    AdadeltaOptimizer,
    AdagradDAOptimizer,
    AdagradOptimizer,
    AdamOptimizer,
    FtrlOptimizer,
    GradientDescentOptimizer,
    MomentumOptimizer,
    Optimizer,
    ProximalAdagradOptimizer,
    ProximalGradientDescentOptimizer,
    RMSPropOptimizer,
)
from .saver import Saver
from .schedules import (
    cosine_decay,
    create_global_step,
    exponential_decay,
    get_global_step,
    get_or_create_global_step,
    global_step,
    inverse_time_decay,
    natural_exp_decay,
    piecewise_constant,
    polynomial_decay,
)

__all__ = (
    "AdadeltaOptimizer", "AdagradDAOptimizer", "AdagradOptimizer", "AdamOptimizer", "ExponentialMovingAverage",
    "FtrlOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "NewCheckpointReader", "Optimizer",
    "ProximalAdagradOptimizer", "ProximalGradientDescentOptimizer", "RMSPropOptimizer", "Saver", "SummaryWriter",
    "checkpoint_exists", "cosine_decay", "create_global_step", "exponential_decay", "get_checkpoint_state",
    "get_global_step", "get_or_create_global_step", "global_step", "inverse_time_decay", "latest_checkpoint",
    "list_variables", "load_variable", "natural_exp_decay", "piecewise_constant", "polynomial_decay",
    "summary_iterator", "update_checkpoint_state",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise _missing("train", name)
