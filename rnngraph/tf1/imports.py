"""Unchanged TensorFlow scripts: within a block, ``import tensorflow`` imports ``rnngraph.tf1``.

Every module of TensorFlow 1.15.5 can be imported, because programs import more than they use. Reading a name that is
not offered raises an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from .. import tf1
from .table.entries import module_path
from .table.missing import not_importable
from .table.modules import module_of

TENSORFLOW = "tensorflow"


class TensorFlowFinder(MetaPathFinder, Loader):
    """Import finder that loads modules of ``rnngraph.tf1`` for ``tensorflow`` and its submodules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, inner = fullname.partition(".")
        if package != TENSORFLOW:
            return None
        resolved = module_path(inner)
        if resolved is None:
            raise not_importable(inner, TENSORFLOW)
        return ModuleSpec(fullname, self, loader_state=resolved, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = module_of(spec.loader_state)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.loader is self:  # restore the module's own spec, which Python's import replaced
            module.__spec__, module.__loader__ = spec.loader_state, None


@contextmanager
def answering_tensorflow() -> Iterator[None]:
    """Make ``import tensorflow`` import ``rnngraph.tf1``, also for submodules, until the block ends."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == TENSORFLOW}
    finder = TensorFlowFinder()
    _forget_tensorflow()
    sys.modules[TENSORFLOW] = tf1
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _forget_tensorflow()
        sys.modules.update(before)


def _forget_tensorflow() -> None:
    """Remove TensorFlow's modules from ``sys.modules``."""
    for name in [name for name in sys.modules if name.partition(".")[0] == TENSORFLOW]:
        del sys.modules[name]
