"""``tf.train.Supervisor``: sessions that restore, initialize and save by themselves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...support.api_guard import api
from ...support.errors import ArgumentError
from ..core.errors import OutOfRangeError
from ..core.graph import get_default_graph
from ..core.session import Session
from ..core.variables import global_variables_initializer, local_variables_initializer
from ..summary.event_file import FileWriter
from ..summary.summaries import merge_all
from .checkpoints import latest_checkpoint
from .coordinators import Coordinator, LooperThread
from .saver import Saver
from .schedules import get_global_step

USE_DEFAULT = 0
"""Default of arguments of ``Supervisor``: the supervisor creates the object itself."""


class SavingSession(Session):
    """Session that calls functions at intervals between runs, to save checkpoints and summaries."""

    def __init__(self, target: str = "", graph: Any = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        self._due: list[_IntervalCall] = []

    def every(self, seconds: float, call: Any) -> None:
        """Call a function after runs, at intervals of at least ``seconds``. The first interval begins now."""
        self._due.append(_IntervalCall(seconds, call))

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Run ``fetches``, then call the functions whose interval has passed. Return the run's result."""
        result = super().run(fetches, feed_dict, options, run_metadata)
        due, self._due = self._due, []  # runs within these functions must not call them again
        for item in due:
            item.call_if_due()
        self._due = due
        return result


class _IntervalCall:
    """Function to call at intervals."""

    def __init__(self, seconds: float, call: Any) -> None:
        self.seconds, self.call = seconds, call
        self.last = time.monotonic()

    def call_if_due(self) -> None:
        """Call the function if its interval has passed."""
        if time.monotonic() - self.last >= self.seconds:
            self.call()
            self.last = time.monotonic()


class Supervisor:
    """``tf.train.Supervisor``: starts a session from a checkpoint or initial values, and saves at intervals.

    Checkpoints and summaries are written between runs, so no thread is needed. There is one process, the chief:
    ``ready_op``, ``ready_for_local_init_op``, ``is_chief``, ``recovery_wait_secs``, ``stop_grace_secs``,
    ``session_manager`` and ``local_init_run_options`` have no effect.
    """

    USE_DEFAULT = USE_DEFAULT

    @api
    def __init__(
        self,
        graph: Any = None,
        ready_op: Any = USE_DEFAULT,
        ready_for_local_init_op: Any = USE_DEFAULT,
        is_chief: bool = True,
        init_op: Any = USE_DEFAULT,
        init_feed_dict: Any = None,
        local_init_op: Any = USE_DEFAULT,
        logdir: str | None = None,
        summary_op: Any = USE_DEFAULT,
        saver: Any = USE_DEFAULT,
        global_step: Any = USE_DEFAULT,
        save_summaries_secs: float = 120,
        save_model_secs: float = 600,
        recovery_wait_secs: float = 30,
        stop_grace_secs: float = 120,
        checkpoint_basename: str = "model.ckpt",
        session_manager: Any = None,
        summary_writer: Any = USE_DEFAULT,
        init_fn: Any = None,
        local_init_run_options: Any = None,
    ) -> None:
        self.graph = get_default_graph() if graph is None else graph
        with self.graph.as_default():
            self.init_op = global_variables_initializer() if _is_default(init_op) else init_op
            self.local_init_op = local_variables_initializer() if _is_default(local_init_op) else local_init_op
            self.summary_op = merge_all() if _is_default(summary_op) else summary_op
            self.global_step = get_global_step() if _is_default(global_step) else global_step
            has_variables = bool(self.graph.global_variables())
            self.saver: Any = (Saver() if has_variables else None) if _is_default(saver) else saver
        self.is_chief, self.logdir = is_chief, os.fspath(logdir) if logdir else None
        self.coord, self._init_feeds, self._init_fn = Coordinator(), init_feed_dict, init_fn
        self.save_model_secs, self.save_summaries_secs = save_model_secs, save_summaries_secs
        self.save_path = None if self.logdir is None else os.path.join(self.logdir, checkpoint_basename)
        self.summary_writer = summary_writer
        if _is_default(summary_writer):
            self.summary_writer = None if self.logdir is None else FileWriter(self.logdir)

    @property
    def session_manager(self) -> Supervisor:
        """The supervisor itself, in place of a ``tf.train.SessionManager``."""
        return self

    @contextmanager
    def managed_session(
        self,
        master: str = "",
        config: Any = None,
        start_standard_services: bool = True,
        close_summary_writer: bool = True,
    ) -> Iterator[Session]:
        """Open a session with initialized variables. The end of data, ``OutOfRangeError``, ends the block silently."""
        session = self.prepare_or_wait_for_session(master, config, start_standard_services=start_standard_services)
        try:
            with session.as_default():
                yield session
        except OutOfRangeError:
            pass
        finally:
            self.stop(close_summary_writer=close_summary_writer)
            session.close()

    def prepare_or_wait_for_session(
        self,
        master: str = "",
        config: Any = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        start_standard_services: bool = True,
    ) -> SavingSession:
        """Return a session whose variables have the values of the latest checkpoint, or initial values without one."""
        session = SavingSession(master, self.graph, config)
        self.coord.clear_stop()
        path = latest_checkpoint(self.logdir) if self.logdir is not None and self.saver is not None else None
        if path is not None:
            self.saver.restore(session, path)
        else:
            session.run(self.init_op, self._init_feeds)
            if self._init_fn is not None:
                self._init_fn(session)
        if self.local_init_op is not None:
            session.run(self.local_init_op)
        if start_standard_services and self.logdir is not None:
            self._start_services(session)
        return session

    PrepareSession = prepare_or_wait_for_session

    def _start_services(self, session: SavingSession) -> None:
        """Save a checkpoint now, and let a session save checkpoints and summaries at intervals."""
        if self.summary_writer is not None:
            self.summary_writer.add_graph(self.graph)
        if self.saver is not None and self.save_model_secs:

            def save() -> None:
                self.saver.save(session, self.save_path, self.global_step)

            save()
            session.every(self.save_model_secs, save)
        if self.summary_op is not None and self.save_summaries_secs:
            session.every(
                self.save_summaries_secs, lambda: self.summary_computed(session, session.run(self.summary_op))
            )

    def summary_computed(self, sess: Any, summary: Any, global_step: Any = None) -> None:
        """Write a summary, the fetched value of a summary operation, to the event file.

        Raises:
            ArgumentError: The supervisor has no event file.
        """
        if self.summary_writer is None:
            raise ArgumentError("this supervisor writes no summaries; pass logdir=")
        step = self.global_step if global_step is None else global_step
        number = None if step is None else int(sess.run(step)) if hasattr(step, "node") else int(step)
        self.summary_writer.add_summary(summary, number)

    def start_queue_runners(self, sess: Any, queue_runners: Any = None) -> list[Any]:
        """Return an empty list of threads: runs fill queues themselves."""
        return []

    def start_standard_services(self, sess: Any) -> list[Any]:
        """Save checkpoints and summaries at intervals from here on, and return an empty list of threads."""
        if isinstance(sess, SavingSession) and self.logdir is not None:
            self._start_services(sess)
        return []

    def loop(self, timer_interval_secs: float, target: Any, args: Any = None, kwargs: Any = None) -> Any:
        """Call a function at intervals, in a thread of its own."""
        return LooperThread.loop(self.coord, timer_interval_secs, target, args, kwargs)

    def should_stop(self) -> bool:
        """Return True once a stop was requested."""
        return self.coord.should_stop()

    def request_stop(self, ex: Any = None) -> None:
        """Request a stop."""
        self.coord.request_stop(ex)

    def stop(self, threads: Any = None, close_summary_writer: bool = True, ignore_live_threads: bool = False) -> None:
        """Request a stop, wait for ``threads``, and close the event file."""
        self.coord.request_stop()
        self.coord.join(threads or [])
        if close_summary_writer and self.summary_writer is not None:
            self.summary_writer.close()

    Stop, ShouldStop, RequestStop, Loop = stop, should_stop, request_stop, loop


def _is_default(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value == USE_DEFAULT
