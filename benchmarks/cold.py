"""Measure the seconds of one contender's first calls in this process; ``groups.compiling`` starts a process for each.

``python benchmarks/cold.py rnngraph|jax ROW`` reads the row as JSON, and prints JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import time


def main() -> None:
    contender, fields = sys.argv[1], json.loads(sys.argv[2])
    marks = [time.perf_counter()]
    importlib.import_module("numpy")
    marks.append(time.perf_counter())
    importlib.import_module(contender)
    marks.append(time.perf_counter())
    first_calls = {"rnngraph": _ours, "jax": _jax}[contender]
    inference, gradients = first_calls(fields)
    seconds = {"numpy": marks[1] - marks[0], "import": marks[2] - marks[1]}
    print(json.dumps({**seconds, "inference": inference, "gradients": gradients}))


def _ours(fields: dict[str, object]) -> tuple[float, float]:
    """Return (seconds from the declaration to the first results, seconds from there to the first gradients)."""
    import ours
    from workloads import Row

    row = Row(**fields)
    x = row.batch_major()
    start = time.perf_counter()
    program = ours.program(row, with_loss=True)
    program.inference(x=x)
    middle = time.perf_counter()
    program.training.gradients(x=x)
    return middle - start, time.perf_counter() - middle


def _jax(fields: dict[str, object]) -> tuple[float, float]:
    import jax
    from peers import with_jax
    from workloads import Row

    row = Row(**fields)
    weights, feeds = with_jax.arrays(row)
    start = time.perf_counter()
    jax.block_until_ready(jax.jit(with_jax.forward(row, 1))(weights, feeds))
    middle = time.perf_counter()
    jax.block_until_ready(jax.jit(jax.value_and_grad(with_jax.loss(row, 1)))(weights, feeds))
    return middle - start, time.perf_counter() - middle


if __name__ == "__main__":
    main()
