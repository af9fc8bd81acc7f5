"""Memory through which a pool's threads receive work."""

from __future__ import annotations

MAX_WORKERS = 64
JOB = 1 + MAX_WORKERS
"""Line of the job."""
JOB_WORD = 8 * JOB
"""Index of the 8-byte word with a job's entry; its arguments and number of workers follow."""
FIRST = JOB + 1
"""First line of the first worker."""
LINES = FIRST + 3 * MAX_WORKERS
"""Lines of a pool's memory: a team's, one for the job, three for each worker (jobs assigned, jobs done, semaphore)."""


def semaphore_line(worker: int) -> int:
    """Return the index of the memory line with a worker's semaphore."""
    return FIRST + 3 * worker + 2
