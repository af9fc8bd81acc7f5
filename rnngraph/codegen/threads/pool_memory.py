"""Layout of the memory through which a pool's threads get jobs. It consists of lines of 64 bytes."""

from __future__ import annotations

MAX_WORKERS = 64
JOB = 1 + MAX_WORKERS
"""Index of the line of the job."""
JOB_WORD = 8 * JOB
"""Index of the 8-byte word with the address of a job's function.

The next three words have the address of its arguments, the number of workers, and the caller's floating-point mode.
"""
FIRST = JOB + 1
"""Index of the first line of the first worker."""
LINES = FIRST + 3 * MAX_WORKERS
"""Number of lines of a pool's memory: those of a team, one for the job, and three for each worker.

The first line of a worker has the number of jobs assigned to it. The second has the number of jobs that it has done,
and a flag that is 1 while it sleeps. The third has its semaphore.
"""


def semaphore_line(worker: int) -> int:
    """Return the index of the line with a worker's semaphore."""
    return FIRST + 3 * worker + 2
