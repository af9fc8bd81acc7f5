"""Monitored sessions, such as ``tf.train.MonitoredTrainingSession``: sessions with hooks, which save by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...support.api_guard import api
from ...support.errors import ArgumentError, RnnGraphError
from ..core.dtypes import refuse
from ..core.errors import OutOfRangeError
from ..summary.event_file import FileWriter
from .schedules import get_global_step
from .supervisor import USE_DEFAULT, Supervisor

DEFAULT_INTERVAL = object()
"""Default of intervals of monitored sessions, in which None and 0 mean never."""


class SessionRunArgs:
    """``tf.train.SessionRunArgs``: fetches that a hook adds to a run."""

    @api
    def __init__(self, fetches: Any, feed_dict: Any = None, options: Any = None) -> None:
        self.fetches, self.feed_dict, self.options = fetches, feed_dict, options


class SessionRunContext:
    """``tf.train.SessionRunContext``: the run for which a hook is called."""

    @api
    def __init__(self, original_args: SessionRunArgs, session: Any) -> None:
        self.original_args, self.session, self.stop_requested = original_args, session, False

    def request_stop(self) -> None:
        """Request a stop after the run."""
        self.stop_requested = True


class SessionRunValues:
    """``tf.train.SessionRunValues``: values of a hook's fetches."""

    @api
    def __init__(self, results: Any, options: Any = None, run_metadata: Any = None) -> None:
        self.results, self.options, self.run_metadata = results, options, run_metadata


class SessionRunHook:
    """``tf.train.SessionRunHook``: methods that are called around the runs of a monitored session."""

    @api
    def __init__(self) -> None:
        """Do nothing: the base class has no arguments."""

    def begin(self) -> None:
        """Prepare for a session. The hook may still declare Tensors."""

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Receive a new session, whose variables have values."""

    def before_run(self, run_context: SessionRunContext) -> Any:
        """Return ``SessionRunArgs`` with the hook's fetches; None for no fetches."""

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """Receive the values of the hook's fetches after a run."""

    def end(self, session: Any) -> None:
        """Clean up before the session is closed."""


class StopAtStepHook(SessionRunHook):
    """``tf.train.StopAtStepHook``: stops at a global step, or after a number of steps."""

    @api
    def __init__(self, num_steps: int | None = None, last_step: int | None = None) -> None:
        if (num_steps is None) == (last_step is None):
            raise ArgumentError("StopAtStepHook needs either num_steps= or last_step=")
        self._steps, self._last = num_steps, last_step

    def begin(self) -> None:
        self._step = get_global_step()
        if self._step is None:
            raise ArgumentError("StopAtStepHook needs a global step; use tf.train.get_or_create_global_step()")

    def after_create_session(self, session: Any, coord: Any) -> None:
        if self._last is None:
            self._last = int(session.run(self._step)) + int(self._steps or 0)

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        if self._last is not None and int(run_context.session.run(self._step)) >= self._last:
            run_context.request_stop()


class _Intervals(NamedTuple):
    """Intervals of a monitored session, in seconds and in runs. None and 0 write nothing."""

    save_secs: float | None = None
    save_steps: int | None = None
    summary_secs: float | None = None
    summary_steps: int | None = None


def _interval_or_default(steps: Any, seconds: Any, default: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return (steps, seconds) of an interval, of which a program passes one or both; ``default`` if it passes none."""
    if steps is DEFAULT_INTERVAL and seconds is DEFAULT_INTERVAL:
        return default
    return None if steps is DEFAULT_INTERVAL else steps, None if seconds is DEFAULT_INTERVAL else seconds


class MonitoredSession:
    """``tf.train.MonitoredSession``: a session with hooks, which starts from the latest checkpoint of a directory.

    Inside ``with``, the end of data ends the block without an error.
    """

    def __init__(
        self,
        directory: str | None,
        hooks: Sequence[Any],
        intervals: _Intervals,
        summary_directory: str | None = None,
        config: Any = None,
    ) -> None:
        self._hooks = list(hooks or ())
        for hook in self._hooks:
            hook.begin()
        self._supervisor = supervisor = Supervisor(
            logdir=directory,
            save_model_secs=intervals.save_secs or 0,
            save_summaries_secs=0,
            summary_writer=FileWriter(summary_directory) if summary_directory else USE_DEFAULT,
        )
        self._session = session = supervisor.prepare_or_wait_for_session(config=config)
        self._intervals, self._runs = intervals, 0
        if intervals.summary_secs and supervisor.summary_op is not None and supervisor.summary_writer is not None:
            session.every(
                intervals.summary_secs, lambda: supervisor.summary_computed(session, session.run(supervisor.summary_op))
            )
        for hook in self._hooks:
            hook.after_create_session(self._session, self._supervisor.coord)
        self._opened: Any = None

    @property
    def graph(self) -> Any:
        """Graph of the session."""
        return self._session.graph

    def should_stop(self) -> bool:
        """Return True once a hook requested a stop, or the session was closed. The end of data also closes it."""
        return self._supervisor.should_stop()

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Run the fetches together with those of hooks, call the hooks, and return the values of ``fetches``."""
        context = SessionRunContext(SessionRunArgs(fetches, feed_dict), self._session)
        requests = [hook.before_run(context) for hook in self._hooks]
        hook_fetches = {
            number: item.fetches
            for number, item in enumerate(requests)
            if item is not None and item.fetches is not None
        }
        feeds = dict(feed_dict or {})
        for item in requests:
            feeds.update((item.feed_dict or {}) if item is not None else {})
        results = self._session.run({"caller": fetches, "hooks": hook_fetches}, feeds)
        self._runs += 1
        self._finish_run(results["hooks"], context)
        return results["caller"]

    def _finish_run(self, results: dict[int, Any], context: SessionRunContext) -> None:
        """Pass a run's results to the hooks, and write summaries and a checkpoint if their interval has passed."""
        for number, hook in enumerate(self._hooks):
            hook.after_run(context, SessionRunValues(results.get(number)))
        supervisor = self._supervisor
        writes = supervisor.summary_writer is not None and supervisor.summary_op is not None
        if writes and self._is_due(self._intervals.summary_steps):
            supervisor.summary_computed(self._session, self._session.run(supervisor.summary_op))
        if (
            supervisor.save_path is not None
            and supervisor.saver is not None
            and self._is_due(self._intervals.save_steps)
        ):
            supervisor.saver.save(self._session, supervisor.save_path, supervisor.global_step)
        if context.stop_requested:
            supervisor.request_stop()

    def _is_due(self, steps: int | None) -> bool:
        """True if the number of runs is a multiple of ``steps``; False for None or 0."""
        return bool(steps) and self._runs % (steps or 1) == 0

    def run_step_fn(self, step_fn: Any) -> Any:
        """Return the result of ``step_fn``, a function of a context with the attribute ``session``."""
        return step_fn(SessionRunContext(SessionRunArgs(None), self._session))

    def close(self) -> None:
        """Call the hooks' ``end``, save a checkpoint if the session saves at intervals, and close the session."""
        supervisor = self._supervisor
        for hook in self._hooks:
            hook.end(self._session)
        if (
            supervisor.save_path is not None
            and supervisor.saver is not None
            and (supervisor.save_model_secs or self._intervals.save_steps)
        ):
            supervisor.saver.save(self._session, supervisor.save_path, supervisor.global_step)
        supervisor.stop()
        self._session.close()

    def __enter__(self) -> MonitoredSession:
        self._opened = self._session.as_default()
        self._opened.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        """Close the session. Return True, which ends the block silently, for the end of data."""
        is_end = isinstance(error, OutOfRangeError)
        try:
            if error is None or is_end:
                self.close()
            else:
                self._session.close()
        finally:
            self._opened.__exit__(None, None, None)
        return is_end


@api
def monitored_training_session(
    master: str = "",
    is_chief: bool = True,
    checkpoint_dir: str | None = None,
    scaffold: Any = None,
    hooks: Any = None,
    chief_only_hooks: Any = None,
    save_checkpoint_secs: Any = DEFAULT_INTERVAL,
    save_summaries_steps: Any = DEFAULT_INTERVAL,
    save_summaries_secs: Any = DEFAULT_INTERVAL,
    config: Any = None,
    stop_grace_period_secs: float = 120,
    log_step_count_steps: int = 100,
    max_wait_secs: float = 7200,
    save_checkpoint_steps: Any = DEFAULT_INTERVAL,
    summary_dir: Any = None,
) -> MonitoredSession:
    """``tf.train.MonitoredTrainingSession``: by default saves checkpoints every 600 s and summaries every 100 steps.

    An interval of None or 0 writes nothing. Summaries are written to ``summary_dir``, by default ``checkpoint_dir``.
    ``is_chief``, ``config``, ``stop_grace_period_secs``, ``log_step_count_steps`` and ``max_wait_secs`` have no effect.
    """
    refuse("tf.train.MonitoredTrainingSession", "leave it out", scaffold=scaffold)
    save_steps, save_secs = _interval_or_default(save_checkpoint_steps, save_checkpoint_secs, (None, 600))
    steps, secs = _interval_or_default(save_summaries_steps, save_summaries_secs, (100, None))
    all_hooks = [*(hooks or ()), *(chief_only_hooks or ())]
    return MonitoredSession(
        checkpoint_dir, all_hooks, _Intervals(save_secs, save_steps, secs, steps), summary_dir, config
    )


@api
def monitored_session(
    session_creator: Any = None, hooks: Any = None, stop_grace_period_secs: float = 120
) -> MonitoredSession:
    """``tf.train.MonitoredSession`` as programs call it: variables start from their initial values."""
    if session_creator is not None:
        raise RnnGraphError("session_creator= is not offered; use tf.train.MonitoredTrainingSession(checkpoint_dir=…)")
    return MonitoredSession(None, hooks or (), _Intervals())
