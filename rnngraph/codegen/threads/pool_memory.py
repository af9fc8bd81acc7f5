"""Layout of the memory through which a pool's threads get jobs. It consists of lines of 64 bytes."""

from __future__ import annotations

MAX_WORKERS = 64
JOB = 1 + MAX_WORKERS
"""Index of the line of the job."""
JOB_WORD = 8 * JOB
"""Index of the 8-byte word with the address of a job's function. Words with its arguments and number of workers follow.
"""
FIRST = JOB + 1
"""Index of the first line of the first worker."""
LINES = FIRST + 3 * MAX_WORKERS
"""Number of lines of a pool's memory: those of a team, one for the job, and three for each worker.

The lines of a worker hold the number of jobs assigned to it, the number of jobs that it has done, and its semaphore.
"""


def semaphore_line(worker: int) -> int:
    """Return the index of the line with a worker's semaphore."""
    return FIRST + 3 * worker + 2
