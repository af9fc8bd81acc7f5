"""TensorFlow 1.x's ``tf.train``: optimizers, learning rates, checkpoints.

``rules`` has the update equations, ``slots`` the optimizers' state, and ``gradients`` derivatives. ``train_op`` runs
steps, and ``optimizers`` and ``optimize_loss`` are the public entry points. ``schedules`` has learning rates, and
``averages`` moving averages of variables. ``checkpoints`` and ``saver`` handle files. ``supervisor`` has sessions that
initialize and save by themselves, and ``monitored`` adds hooks. ``coordinators`` stops a program's threads, and
``meta_graphs`` copies a graph within a process.
"""

from __future__ import annotations

from ..table.modules import names_of

__getattr__, __dir__, __all__ = names_of(__name__)
