"""TensorFlow 1.x's ``tf.train``: optimizers, learning rates, checkpoints.

``rules`` has the equations, ``slots`` what they keep, ``gradients`` makes Tensors of derivatives. ``train_op`` takes
steps and ``optimizers`` are what programs make, or ``optimize_loss`` makes for them. ``schedules`` are learning rates,
and ``averages`` follow variables. ``checkpoints`` and ``saver`` are of files. ``supervisor`` has
sessions that initialize and save by themselves, ``coordinators`` stop a program's threads, and ``meta_graphs`` hand a
graph on.
"""

from __future__ import annotations

from ..table.modules import names_of

__getattr__, __dir__, __all__ = names_of(__name__)
