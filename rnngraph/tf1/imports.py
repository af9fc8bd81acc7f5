"""Scripts that import TensorFlow, unchanged: ``import tensorflow`` is answered by ``rnngraph.tf1`` for a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType

from .. import tf1
from ..support.errors import Where, is_ours
from .core.absent import GUIDE, remedy
from .core.errors import NotImportableError

MODULES: dict[str, ModuleType] = {
    "": tf1,
    "compat.v1": tf1,
    "compat.v1.nn": tf1.nn,
    "compat.v1.nn.rnn_cell": tf1.nn.rnn_cell,
    "contrib.crf": tf1.contrib.crf,
    "contrib.framework": tf1.contrib.framework,
    "contrib.layers": tf1.contrib.layers,
    "contrib.legacy_seq2seq": tf1.contrib.legacy_seq2seq,
    "contrib.rnn": tf1.contrib.rnn,
    "contrib.crf.python.ops.crf": tf1.contrib.crf,
    "contrib.legacy_seq2seq.python.ops.seq2seq": tf1.contrib.legacy_seq2seq,
    "contrib.rnn.python.ops.core_rnn": tf1.contrib.rnn,
    "contrib.rnn.python.ops.core_rnn_cell": tf1.contrib.rnn,
    "contrib.rnn.python.ops.core_rnn_cell_impl": tf1.contrib.rnn,
    "contrib.rnn.python.ops.rnn": tf1.contrib.rnn,
    "contrib.rnn.python.ops.rnn_cell": tf1.contrib.rnn,
    "contrib.layers.python.layers": tf1.contrib.layers,
    "contrib.seq2seq": tf1.contrib.seq2seq,
    "contrib.seq2seq.python.ops.attention_wrapper": tf1.contrib.seq2seq,
    "contrib.seq2seq.python.ops.basic_decoder": tf1.contrib.seq2seq,
    "contrib.seq2seq.python.ops.decoder": tf1.contrib.seq2seq,
    "contrib.seq2seq.python.ops.helper": tf1.contrib.seq2seq,
    "contrib.seq2seq.python.ops.loss": tf1.contrib.seq2seq,
    "contrib.slim": tf1.contrib.slim,
    "contrib.training": tf1.contrib.training,
    "contrib.training.python.training.hparam": tf1.contrib.training,
    "errors": tf1.errors,
    "initializers": tf1.initializers,
    "layers": tf1.layers,
    "losses": tf1.losses,
    "metrics": tf1.metrics,
    "models.rnn.rnn": tf1.nn,
    "models.rnn.rnn_cell": tf1.nn.rnn_cell,
    "models.rnn.seq2seq": tf1.contrib.legacy_seq2seq,
    "nest": tf1.nest,
    "nn": tf1.nn,
    "nn.rnn_cell": tf1.nn.rnn_cell,
    "python.framework.constant_op": tf1,
    "python.framework.dtypes": tf1,
    "python.framework.ops": tf1,
    "python.framework.tensor_shape": tf1,
    "python.layers.core": tf1.layers,
    "python.ops.array_ops": tf1,
    "python.ops.clip_ops": tf1,
    "python.ops.ctc_ops": tf1.nn,
    "python.ops.embedding_ops": tf1.nn,
    "python.ops.init_ops": tf1,
    "python.ops.math_ops": tf1,
    "python.ops.nn": tf1.nn,
    "python.ops.nn_ops": tf1.nn,
    "python.ops.rnn": tf1.nn,
    "python.ops.rnn_cell": tf1.nn.rnn_cell,
    "python.ops.rnn_cell_impl": tf1.nn.rnn_cell,
    "python.ops.control_flow_ops": tf1,
    "python.ops.tensor_array_ops": tf1,
    "python.ops.seq2seq": tf1.contrib.legacy_seq2seq,
    "python.ops.variable_scope": tf1,
    "python.ops.variables": tf1,
    "python.platform.app": tf1.app,
    "python.platform.flags": tf1.flags,
    "python.platform.gfile": tf1.gfile,
    "python.platform.tf_logging": tf1.logging,
    "python.training.moving_averages": tf1.train,
    "python.util.nest": tf1.nest,
    "python.ops.random_ops": tf1,
    "random": tf1.random,
    "summary": tf1.summary,
    "train": tf1.train,
}
"""By the path under ``tensorflow`` that scripts import."""


_LOADS = "importlib"
"""Stands in the names of the files that do what an import statement asks for."""


class Refused(MetaPathFinder):
    """Says of every other module of TensorFlow's what to use instead."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, inner = fullname.partition(".")
        if package != "tensorflow":
            return None
        inner = inner.removeprefix("compat.v1.").removeprefix("python.")
        raise NotImportableError(f"{fullname} is not offered; {remedy(inner)} ({GUIDE})", _importing_line())


def _importing_line() -> Where | None:
    """The line that imports: the first one outside of this package and of Python's own machinery."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (is_ours(frame) or _LOADS in frame.f_code.co_filename):
        frame = frame.f_back
    return None if frame is None else Where(frame.f_code.co_filename, frame.f_lineno)


@contextmanager
def answering_tensorflow() -> Iterator[None]:
    """Within, ``import tensorflow`` and what lies under it give ``rnngraph.tf1``; TensorFlow itself stays aside."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "tensorflow"}
    finder = Refused()
    _forget()
    sys.modules.update(_modules())
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _forget()
        sys.modules.update(before)


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
        del sys.modules[name]


def _modules() -> dict[str, ModuleType]:
    """All by the names that scripts import, packages between them made up."""
    found = {f"tensorflow.{path}" if path else "tensorflow": module for path, module in MODULES.items()}
    found |= {"tensorflow.compat": tf1.compat, "tensorflow.contrib": tf1.contrib}
    for name in list(found):
        parent, _, last = name.rpartition(".")
        module = found[name]
        while parent and parent not in found:
            made = found[parent] = ModuleType(parent)
            made.__path__ = []
            setattr(made, last, module)
            module, (parent, _, last) = made, parent.rpartition(".")
        if parent and found[parent].__name__.startswith("tensorflow"):
            setattr(found[parent], last, module)
    return found
