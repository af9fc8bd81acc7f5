"""``tf.train.Saver``: values of variables in files of TensorFlow's format."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...declare.tensor import Tensor
from ...formats.tensorflow.variables import read_tf1_variables
from ...formats.tensorflow.writing import write_variables
from ...storage.atomic_file import as_path
from ...support.api_guard import api
from ...support.arguments import number
from ...support.errors import ArgumentError, DtypeError, shown, user_line, warn
from ..core.dtypes import refuse
from ..core.errors import InvalidArgumentError, NotFoundError
from ..core.graph import Graph, get_default_graph, present_session
from ..core.variable import ExtraVariable, Variable
from .checkpoints import checkpoint_exists, get_checkpoint_state, update_checkpoint_state

_GRAPHS: dict[str, Graph] = {}
_MAX_GRAPHS = 8
"""Number of newest ``.meta`` files whose graphs this process remembers for ``import_meta_graph``."""


def remember_graph(path: str) -> None:
    """Associate the current graph with the ``.meta`` file that TensorFlow would have written."""
    name = os.path.abspath(path)
    _GRAPHS.pop(name, None)
    _GRAPHS[name] = get_default_graph()
    while len(_GRAPHS) > _MAX_GRAPHS:
        del _GRAPHS[next(iter(_GRAPHS))]


def remembered_graph(path: str) -> Graph | None:
    """Return the graph that this process associated with a ``.meta`` file; None if there is none."""
    return _GRAPHS.get(os.path.abspath(path))


class Saver:
    """Writer and reader of checkpoints in TensorFlow's format, including an optimizer's variables.

    Args:
        var_list: Variables, or {name in the file: variable}. By default, all global variables that exist when the saver
            is created.
        max_to_keep: Number of newest checkpoints to retain. 0 or None retains all.
        keep_checkpoint_every_n_hours: Period in hours. Of the checkpoints that would be deleted, the first one of each
            period is retained.
        allow_empty: True to accept that there are no variables, rather than raise ``ArgumentError``.
        pad_step_number: True to write the global step with at least 8 digits in names of checkpoints.
        save_relative_paths: True to write relative paths in the file ``checkpoint``.

    ``reshape``, ``saver_def``, ``builder`` and ``defer_build`` are not offered. All other arguments have no effect.
    """

    @api
    def __init__(
        self,
        var_list: Any = None,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
        restore_sequentially: bool = False,
        saver_def: Any = None,
        builder: Any = None,
        defer_build: bool = False,
        allow_empty: bool = False,
        write_version: Any = 2,
        pad_step_number: bool = False,
        save_relative_paths: bool = False,
        filename: str | None = None,
    ) -> None:
        refuse("tf.train.Saver", "reshape the values after restoring them", reshape=reshape or None)
        refuse("tf.train.Saver", "pass var_list=", saver_def=saver_def, builder=builder)
        refuse("tf.train.Saver", "create the saver after the variables", defer_build=defer_build or None)
        variables = get_default_graph().global_variables() if var_list is None else var_list
        if not isinstance(variables, Mapping | list | tuple | set):
            raise DtypeError(f"tf.train.Saver needs a list or dict of variables, not {shown(variables)}")
        named = (
            dict(variables)
            if isinstance(variables, Mapping)
            else {getattr(item, "full", ""): item for item in variables}
        )
        for item in named.values():
            if not isinstance(item, Variable | ExtraVariable):
                raise DtypeError(f"var_list of tf.train.Saver must contain variables, not {shown(item)}")
        if not named and not allow_empty:
            raise ArgumentError("there are no variables to save; create the variables before the tf.train.Saver")
        self._variables: dict[str, Any] = named
        self._max_to_keep, self._digits = max_to_keep or 0, 8 if pad_step_number else 0
        self._state: list[str] = []
        self._are_relative, self._times_written = bool(save_relative_paths), dict[str, float]()
        self._period = number(keep_checkpoint_every_n_hours, "keep_checkpoint_every_n_hours") * 3600
        self._period_ends = time.time() + self._period

    @property
    def last_checkpoints(self) -> list[str]:
        """Prefixes of the retained checkpoints, the oldest first."""
        return list(self._state)

    def set_last_checkpoints(self, last_checkpoints: Any) -> None:
        """Set the prefixes of the retained checkpoints, the oldest first."""
        self._state = [item[0] if isinstance(item, tuple) else item for item in last_checkpoints]

    def recover_last_checkpoints(self, checkpoint_paths: Any) -> None:
        """Set the prefixes of the retained checkpoints to those of ``checkpoint_paths`` that exist."""
        self._state = [path for path in checkpoint_paths if checkpoint_exists(path)]

    @api
    def save(
        self,
        sess: Any,
        save_path: str,
        global_step: Any = None,
        latest_filename: str | None = None,
        meta_graph_suffix: str = "meta",
        write_meta_graph: bool = True,
        write_state: bool = True,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> str:
        """Write a checkpoint, and return its prefix: ``save_path``, or ``save_path-global_step`` with a global step.

        No ``.meta`` file is written, because it would contain TensorFlow's graph. Within this process,
        ``import_meta_graph`` with the file's name restores the current graph.
        """
        session, path = present_session(sess), os.fspath(as_path(save_path))
        if global_step is not None:
            step = int(session.run(global_step)) if isinstance(global_step, Tensor | str) else int(global_step)
            path = f"{path}-{step:0{self._digits}d}" if self._digits else f"{path}-{step}"
        directory = os.path.dirname(path)
        if directory and not os.path.isdir(directory):
            if not os.path.isdir(os.path.dirname(directory) or "."):
                raise NotFoundError(f"there is no directory {os.path.dirname(directory)}; create it with os.makedirs")
            os.mkdir(directory)
        values = {name: np.array(session.value(variable)) for name, variable in self._variables.items()}
        write_variables(path, values)
        self._retain(path)
        if write_meta_graph:
            remember_graph(f"{path}.{meta_graph_suffix}")
        if write_state:
            are_relative = self._are_relative and os.path.isabs(directory)
            names = [os.path.relpath(item, directory) if are_relative else item for item in self._state]
            update_checkpoint_state(directory or ".", names[-1], names, latest_filename)
        return path

    def _retain(self, path: str) -> None:
        """Add a new checkpoint to the retained ones, and delete the oldest files beyond ``max_to_keep``."""
        self._state = [*(item for item in self._state if item != path), path]
        self._times_written[path] = time.time()
        while self._max_to_keep and len(self._state) > self._max_to_keep:
            oldest = self._state.pop(0)
            if self._times_written.pop(oldest, 0.0) > self._period_ends:
                self._period_ends += self._period
                continue
            for file in [f"{oldest}.index", *glob.glob(f"{glob.escape(oldest)}.data-?????-of-?????")]:
                if os.path.isfile(file):
                    os.remove(file)

    @api
    def restore(self, sess: Any, save_path: str | None) -> None:
        """Set variables to the values in a checkpoint of TensorFlow or rnngraph. On an error, none of them changes."""
        session = present_session(sess)
        if save_path is None:
            raise ArgumentError(
                "can't restore from None, the result of tf.train.latest_checkpoint without a checkpoint; save one first"
            )
        path = os.fspath(as_path(save_path))
        if not checkpoint_exists(path):
            state = get_checkpoint_state(path) if os.path.isdir(path) else None
            hint = f"; did you mean {state.model_checkpoint_path}?" if state is not None else ""
            raise NotFoundError(f"there is no checkpoint {path}{hint}")
        arrays = read_tf1_variables(path)
        self._copy_shared_values(session, arrays, path)
        if missing := [name for name in self._variables if name not in arrays]:
            raise NotFoundError(
                f"{path} has no {', '.join(missing[:5])}; it has {', '.join(sorted(arrays)[:20])}. Pass "
                "var_list={name in the file: variable} to the Saver"
            )
        for name, variable in self._variables.items():
            array = arrays[name]
            if array.shape != tuple(variable.shape) or str(array.dtype) != variable.dtype:
                raise InvalidArgumentError(
                    f"{path} has {name} as {array.dtype}{list(array.shape)}, but the variable is "
                    f"{variable.dtype}{list(variable.shape)}; declare it as in the checkpoint"
                )
        for name, variable in self._variables.items():
            session.set_value(variable, arrays[name])

    def _copy_shared_values(self, session: Any, arrays: dict[str, np.ndarray], path: str) -> None:
        """Add to ``arrays`` the values of a cell's copies, if the checkpoint has one set for all copies.

        In TensorFlow 1.2 and later, all copies of a cell share one set of variables.
        """
        copies = session.graph.copies
        names = []
        for name in self._variables:
            first = next((name.replace(copy, copies[copy], 1) for copy in copies if f"{copy}/" in name), name)
            if name not in arrays and first in arrays:
                arrays[name] = arrays[first]
                names.append(name)
        if names:
            warn(
                f"{path} has one set of variables for a cell object that is used at several positions. Each position "
                f"has a copy of these values ({', '.join(names[:3])}{', …' if len(names) > 3 else ''}), and training "
                "changes each copy separately. Write rg.shared(cell) for one set",
                user_line(),
            )
