"""Group that measures first calls, which compile, each in a fresh process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from workloads import COMPILE, Row

from .basis import OWN, Options, Record

SCRIPT = Path(__file__).parents[1] / "cold.py"


def compiling(options: Options) -> Iterator[Record]:
    contenders = [OWN, *(["jax"] if "jax" in options.peers else [])]
    with tempfile.TemporaryDirectory() as bytecode:
        for name in contenders:
            _first_calls(name, COMPILE[0], bytecode)  # this call writes the bytecode
        for row in filter(lambda row: options.wants(row.name), COMPILE):
            yield _compile_row(row, contenders, options.rounds, bytecode)


def _compile_row(row: Row, contenders: Sequence[str], rounds: int, bytecode: str) -> Record:
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name in contenders:
            seconds[name].append(_first_calls(name, row, bytecode))
    figures = {
        f"{name} {key}": statistics.median(one[key] for one in ones)
        for name, ones in seconds.items()
        for key in ones[0]
    }
    totals = [one["inference"] + one["gradients"] for one in seconds[OWN]]
    figures["spread"] = (max(totals) - min(totals)) / statistics.median(totals)
    return {"row": row.name, "figures": figures}


def _first_calls(contender: str, row: Row, bytecode: str) -> dict[str, float]:
    """Return the seconds of first calls in a fresh process with an empty cache; for rnngraph, also with a full cache.

    Args:
        contender: ``"rnngraph"`` or ``"jax"``.
        row: The workload.
        bytecode: Folder for Python's bytecode, so that installed modules are not compiled again.
    """
    with tempfile.TemporaryDirectory() as empty:
        places = {**os.environ, "HOME": empty, "XDG_CACHE_HOME": empty, "PYTHONPYCACHEPREFIX": bytecode}
        places.pop("PYTHONDONTWRITEBYTECODE", None)

        def child() -> dict[str, float]:
            command = [sys.executable, str(SCRIPT), contender, json.dumps(vars(row))]
            run = subprocess.run(command, env=places, check=True, capture_output=True, text=True)
            return json.loads(run.stdout.splitlines()[-1])

        result = child()
        if contender == OWN:
            cached = child()
            result["again"] = cached["inference"] + cached["gradients"]
    return result


def compiling_cells(record: Record) -> dict[str, str]:
    figures = record["figures"]
    cells = {
        "import, over NumPy's": f"{figures[f'{OWN} import']:.3f}",
        "first inference": f"{figures[f'{OWN} inference']:.3f}",
        "first gradients": f"{figures[f'{OWN} gradients']:.3f}",
        "both": f"{figures[f'{OWN} inference'] + figures[f'{OWN} gradients']:.3f}",
        "spread": f"{figures['spread']:.0%}",
        "both, from disk": f"{figures[f'{OWN} again']:.3f}",
    }
    if "jax inference" in figures:
        both = figures["jax inference"] + figures["jax gradients"]
        cells["jax: import, both"] = f"{figures['jax import']:.2f}, {both:.2f}"
    return cells
