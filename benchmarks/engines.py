"""Measure bulk scoring on cluster engines: sequences per second with 1 and 2 workers, and costs of a task.

    pip install '.[engines]'
    python benchmarks/engines.py [--workers 1 2] [--sequences N] [--rounds N] [--only NAME …] [--markdown]

It prints three tables. The first is about the program as it is sent to a worker: its bytes, the times to pickle and to
load it, and its first call with and without compilation. The second has the sequences per second in this process, by
batch size. The third has, for every engine and number of workers, the time to the first result from a cold start, the
sequences per second once the workers are warm, and the efficiency: this rate, divided by the number of workers and by
the rate of this process alone. Ray's actors end with each run, so their rate includes their start. Parts have equal
sizes, and every worker has one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

import rnngraph as rg

STEPS, WIDTH, UNITS, LAYERS = 100, 40, 128, 2
PART = 256
BATCHES = (1, 8, 32, 128, 256, 512)

Parts = list[dict[str, np.ndarray]]
Run = Callable[[Parts], int]
"""Function that scores all parts and returns the number of sequences that came back."""


def net(folder: Path | bool) -> rg.Program:
    x = rg.placeholder("x", (None, None, WIDTH))
    cells = [rg.LSTMCell(UNITS) for _ in range(LAYERS)]
    outputs, _ = rg.dynamic_rnn(rg.MultiRNNCell(cells), x)
    return rg.compile({"scores": rg.dense(outputs[:, -1], 10)}, cache=folder)


def parts_of(sequences: int) -> Parts:
    x = np.random.default_rng(0).standard_normal((PART, STEPS, WIDTH), np.float32)
    return [{"x": x} for _ in range(max(1, sequences // PART))]


def counted(results: Any) -> int:
    return sum(len(result["scores"]) for result in results)


# Engines: each is a context manager that yields a function to run, and stops its workers at the end -------


@contextmanager
def futures(program: rg.Program, workers: int, method: str) -> Iterator[Run]:
    with ProcessPoolExecutor(workers, multiprocessing.get_context(method)) as pool:
        yield lambda parts: counted(pool.map(program.inference, parts))


@contextmanager
def joblib(program: rg.Program, workers: int) -> Iterator[Run]:
    from joblib import Parallel, delayed

    with Parallel(n_jobs=workers, backend="loky") as parallel:
        yield lambda parts: counted(parallel(delayed(program.inference)(part) for part in parts))


@contextmanager
def dask(program: rg.Program, workers: int) -> Iterator[Run]:
    from dask.bag import from_sequence
    from distributed import Client, LocalCluster

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, local_directory=folder
        ) as cluster,
        Client(cluster),
    ):
        yield lambda parts: counted(from_sequence(parts, npartitions=len(parts)).map(program.inference).compute())


@contextmanager
def ray(program: rg.Program, workers: int, actors: bool) -> Iterator[Run]:
    import ray as library
    import ray.data as data

    class Scorer:
        def __init__(self, program: rg.Program) -> None:
            self.call = program.inference

        def __call__(self, batch: dict[str, np.ndarray]) -> Any:
            return self.call(batch)

    def run(parts: Parts) -> int:
        rows = data.from_numpy([part["x"] for part in parts]).rename_columns(["x"])
        if actors:
            scored = rows.map_batches(
                Scorer,
                fn_constructor_args=(program,),
                compute=data.ActorPoolStrategy(size=workers),
                batch_size=PART,
                batch_format="numpy",
            )
        else:
            scored = rows.map_batches(program.inference, batch_size=PART, batch_format="numpy")
        return int(scored.materialize().count())

    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        library.init(num_cpus=workers, include_dashboard=False, _temp_dir=folder, log_to_driver=False)
        data.DataContext.get_current().enable_progress_bars = False
        try:
            yield run
        finally:
            library.shutdown()


ENGINES: dict[str, tuple[str, Callable[[rg.Program, int], Any]]] = {
    "concurrent.futures, fork": ("concurrent", lambda program, workers: futures(program, workers, "fork")),
    "concurrent.futures, spawn": ("concurrent", lambda program, workers: futures(program, workers, "spawn")),
    "joblib, loky": ("joblib", joblib),
    "Dask, cluster": ("distributed", dask),
    "Ray, tasks": ("ray", lambda program, workers: ray(program, workers, actors=False)),
    "Ray, actors": ("ray", lambda program, workers: ray(program, workers, actors=True)),
}
"""(Package that the engine needs, context manager of the engine), by name."""


# Measurements ----------------------------------------------------------------------------------------


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def travelling(folder: Path) -> list[tuple[str, str]]:
    """Return table rows (quantity, figure) about the program as it is sent to a worker."""
    fresh, feeds = net(False), {"x": parts_of(PART)[0]["x"]}
    compiling = seconds(lambda: fresh.inference(feeds))
    program = net(folder)
    program.inference(feeds)
    data = pickle.dumps(program)
    loaded = pickle.loads(data)
    cached = seconds(lambda: loaded.inference(feeds))
    times = [
        ("pickle, again", lambda: pickle.dumps(program)),
        ("unpickle", lambda: pickle.loads(data)),
        ("a call", lambda: loaded.inference(feeds)),
    ]
    rows = [("bytes of the pickle", f"{len(data):,}"), ("first call, compiling", f"{1e3 * compiling:.0f} ms")]
    rows.append(("first call, code on disk", f"{1e3 * cached:.0f} ms"))
    return rows + [(name, f"{1e3 * min(seconds(run) for _ in range(5)):.1f} ms") for name, run in times]


def by_batch(program: rg.Program, rounds: int) -> list[tuple[str, str]]:
    rows = []
    for size in BATCHES:
        x = np.random.default_rng(0).standard_normal((size, STEPS, WIDTH), np.float32)
        program.inference(x=x)
        calls = max(1, PART // size)
        took = [seconds(lambda x=x, calls=calls: [program.inference(x=x) for _ in range(calls)]) for _ in range(rounds)]
        rows.append((f"{size}", f"{size * calls / statistics.median(took):,.0f}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sequences", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ENGINES)
    parser.add_argument("--markdown", action="store_true", help="tables for Markdown")
    options = parser.parse_args()
    console = Console(width=160 if options.markdown else None, highlight=False)

    def table(*columns: str, rows: list[tuple[str, ...]]) -> None:
        shown = Table(*columns, box=box.MARKDOWN if options.markdown else box.SIMPLE)
        for row in rows:
            shown.add_row(*row)
        console.print(shown)

    with tempfile.TemporaryDirectory() as folder:
        table("the program", "", rows=travelling(Path(folder)))
        program = net(Path(folder))
        table("batch", "sequences a second, here", rows=by_batch(program, options.rounds))
        parts, rows = parts_of(options.sequences), []
        alone = len(parts) * PART / seconds(lambda: counted(map(program.inference, parts)))
        for name in options.only or ENGINES:
            package, engine = ENGINES[name]
            if importlib.util.find_spec(package) is None:
                continue
            for workers in options.workers:
                start = time.perf_counter()
                with engine(program, workers) as run:
                    run(parts[:1])
                    cold = time.perf_counter() - start
                    run(parts[: 2 * workers])
                    rate = len(parts) * PART / min(seconds(lambda run=run: run(parts)) for _ in range(options.rounds))
                rows.append((name, f"{workers}", f"{cold:.1f}", f"{rate:,.0f}", f"{rate / (workers * alone):.0%}"))
        columns = "engine", "workers", "seconds to the first result", "sequences a second", "efficiency"
        table(*columns, rows=[("this process", "1", "", f"{alone:,.0f}", "100%"), *rows])


if __name__ == "__main__":
    main()
