"""``tf.train.Saver``: values of variables in files that TensorFlow reads and writes."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...formats.tensorflow.variables import read_tf1_variables
from ...formats.tensorflow.writing import write_variables
from ...storage.atomic_file import as_path
from ...support.api_guard import api
from ...support.errors import ArgumentError, DtypeError, shown, user_line, warn
from ..core.errors import InvalidArgumentError, NotFoundError
from ..core.graph import get_default_graph, present_session
from ..core.variable import ExtraVariable, Variable
from .checkpoints import checkpoint_exists, get_checkpoint_state, update_checkpoint_state


class Saver:
    """Writes and reads checkpoints of TensorFlow's own format, an optimizer's variables included.

    var_list: variables, or {name in the file: variable}; None: all that there are when the saver is made. max_to_keep:
    how many of the newest checkpoints stay; 0 or None: all.
    """

    @api
    def __init__(
        self, var_list: Any = None, reshape: bool = False, sharded: bool = False, max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0, name: str | None = None, restore_sequentially: bool = False,
        saver_def: Any = None, builder: Any = None, defer_build: bool = False, allow_empty: bool = False,
        write_version: Any = 2, pad_step_number: bool = False, save_relative_paths: bool = False,
        filename: str | None = None,
    ) -> None:  # fmt: skip
        found = get_default_graph().global_variables() if var_list is None else var_list
        if not isinstance(found, Mapping | list | tuple | set):
            raise DtypeError(f"tf.train.Saver takes a list of variables, or a dict of them, not {shown(found)}")
        named = dict(found) if isinstance(found, Mapping) else {getattr(item, "full", ""): item for item in found}
        for item in named.values():
            if not isinstance(item, Variable | ExtraVariable):
                raise DtypeError(f"tf.train.Saver saves variables, not {shown(item)}")
        if not named and not allow_empty:
            raise ArgumentError("there are no variables to save; make tf.train.Saver after the last of them")
        self._variables: dict[str, Any] = named
        self._most, self._digits = max_to_keep or 0, 8 if pad_step_number else 0
        self._kept: list[str] = []

    @property
    def last_checkpoints(self) -> list[str]:
        """Prefixes of those that are kept, the oldest first."""
        return list(self._kept)

    def set_last_checkpoints(self, last_checkpoints: Any) -> None:
        """Prefixes of those that are kept, as another saver left them."""
        self._kept = [item[0] if isinstance(item, tuple) else item for item in last_checkpoints]

    def recover_last_checkpoints(self, checkpoint_paths: Any) -> None:
        """Keeps those of these checkpoints that there are."""
        self._kept = [path for path in checkpoint_paths if checkpoint_exists(path)]

    @api
    def save(
        self, sess: Any, save_path: str, global_step: Any = None, latest_filename: str | None = None,
        meta_graph_suffix: str = "meta", write_meta_graph: bool = True, write_state: bool = True,
        strip_default_attrs: bool = False, save_debug_info: bool = False,
    ) -> str:  # fmt: skip
        """Writes a checkpoint; gives its prefix, with ``-global_step`` at its end where that is given.

        No ``.meta`` file is written, as there is no graph of TensorFlow's.
        """
        session, path = present_session(sess), os.fspath(as_path(save_path))
        if global_step is not None:
            step = int(session.run(global_step)) if isinstance(global_step, Tensor | str) else int(global_step)
            path = f"{path}-{step:0{self._digits}d}" if self._digits else f"{path}-{step}"
        directory = os.path.dirname(path)
        if directory and not os.path.isdir(directory):
            raise NotFoundError(f"there is no directory {directory}; make it first, with os.makedirs")
        values = {name: np.array(session.value(variable)) for name, variable in self._variables.items()}
        write_variables(path, values)
        self._keep(path)
        if write_state:
            update_checkpoint_state(directory or ".", path, self._kept, latest_filename)
        return path

    def _keep(self, path: str) -> None:
        self._kept = [*(item for item in self._kept if item != path), path]
        while self._most and len(self._kept) > self._most:
            oldest = self._kept.pop(0)
            for file in [f"{oldest}.index", *glob.glob(f"{glob.escape(oldest)}.data-?????-of-?????")]:
                if os.path.isfile(file):
                    os.remove(file)

    @api
    def restore(self, sess: Any, save_path: str | None) -> None:
        """Gives variables the values that a checkpoint has, of TensorFlow's or of ours: all or none."""
        session = present_session(sess)
        if save_path is None:
            raise ArgumentError("can't restore from None; tf.train.latest_checkpoint found no checkpoint")
        path = os.fspath(as_path(save_path))
        if not checkpoint_exists(path):
            state = get_checkpoint_state(path) if os.path.isdir(path) else None
            hint = f"; did you mean {state.model_checkpoint_path}?" if state is not None else ""
            raise NotFoundError(f"there is no checkpoint {path}{hint}")
        found = read_tf1_variables(path)
        self._take_shared(session, found, path)
        if missing := [name for name in self._variables if name not in found]:
            raise NotFoundError(
                f"{path} has no {', '.join(missing[:5])}; it has {', '.join(sorted(found)[:20])}. Give the Saver a "
                "var_list of what it is to restore, as {name in the file: variable}"
            )
        for name, variable in self._variables.items():
            array = found[name]
            if array.shape != tuple(variable.shape) or str(array.dtype) != variable.dtype:
                raise InvalidArgumentError(
                    f"{path} has {name} as {array.dtype}{list(array.shape)}, and the variable is "
                    f"{variable.dtype}{list(variable.shape)}"
                )
        for name, variable in self._variables.items():
            session.set_value(variable, found[name])

    def _take_shared(self, session: Any, found: dict[str, np.ndarray], path: str) -> None:
        """Add variables of copies of a cell, of which the checkpoint has one set, as TensorFlow 1.2 and later write."""
        copies = session.graph.copies
        taken = []
        for name in self._variables:
            first = next((name.replace(copy, copies[copy], 1) for copy in copies if f"{copy}/" in name), name)
            if name not in found and first in found:
                found[name] = found[first]
                taken.append(name)
        if taken:
            warn(
                f"{path} has one set of variables for a cell object that stands at several places; each place has "
                f"these values now ({', '.join(taken[:3])}{', …' if len(taken) > 3 else ''}), and training changes "
                "each alone. Write rg.shared(cell) for one set",
                user_line(),
            )
