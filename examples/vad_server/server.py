"""Server that detects speech for many callers every 32 ms, and callers that load it.

    python examples/vad_server/server.py engines                  how many callers a core serves, without a network
    python examples/vad_server/server.py serve                    on port 8765
    python examples/vad_server/server.py load --callers 500       callers in real time, for a server that runs
    python examples/vad_server/server.py                          both, for every engine, with a table of results

A caller sends frames of 512 samples (16 kHz, 16 bits) over a websocket and receives a probability for each. All callers
are streams of one pool, whose thread steps those with a waiting frame as one batch. The net is Silero's, from its ONNX
file, or an untrained net of the same shape if that is not installed. ``--engine`` chooses onnxruntime instead of
rnngraph, batched or one by one. Needs ``pip install '.[server]'``; Silero's net needs
``pip install --no-deps silero-vad==6.2.3``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import engines
import numpy as np
from engines import DETECTORS, PERIOD, SAMPLES, Array, Detector, Pool
from rich.console import Console
from rich.table import Table

PORT = 8765
ANSWER = struct.Struct("<f")
Answer = Callable[[Any, Array], Awaitable[float]]
"""Function of a caller and a frame that returns the probability of speech."""


@contextlib.asynccontextmanager
async def answering(detector: Detector, max_batch: int, max_wait: float) -> AsyncIterator[Answer]:
    """Yield a function that answers frames. Frames that arrive within ``max_wait`` seconds are one batch."""
    if isinstance(detector, Pool):
        pool = detector.pool

        async def answer(caller: Any, frame: Array) -> float:
            result = await pool.step_async(caller, input=detector.window(caller, frame))
            return float(result["output"][0])

        with pool.serve(max_batch, max_wait):
            yield answer
        return
    queue: asyncio.Queue[tuple[Any, Array, asyncio.Future[float]]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def answer_alike(caller: Any, frame: Array) -> float:
        future: asyncio.Future[float] = loop.create_future()
        queue.put_nowait((caller, detector.window(caller, frame), future))
        return await future

    async def run() -> None:
        while True:
            batch = [await queue.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max_wait):
                    while len(batch) < max_batch:
                        batch.append(await queue.get())
            callers, windows, futures = zip(*batch, strict=True)
            probabilities = await loop.run_in_executor(None, detector.step, callers, np.stack(windows))
            for future, speech in zip(futures, probabilities.tolist(), strict=True):
                if not future.cancelled():
                    future.set_result(speech)

    running = asyncio.ensure_future(run())
    try:
        yield answer_alike
    finally:
        running.cancel()


async def run_server(
    detector: Detector, port: int, max_batch: int, max_wait: float, ready: asyncio.Event | None = None
) -> None:
    """Serve on a port until the task is cancelled. ``ready`` is set once the port is bound."""
    serve = import_module("websockets.asyncio.server").serve
    closed = import_module("websockets.exceptions").ConnectionClosed

    async with answering(detector, max_batch, max_wait) as answer:

        async def listen(connection: Any) -> None:
            caller = detector.open()
            try:
                with contextlib.suppress(closed):  # a caller may close the connection before its answer
                    async for message in connection:
                        frame = np.frombuffer(message, "<i2") / np.float32(32768)
                        await connection.send(ANSWER.pack(await answer(caller, frame)))
            finally:
                detector.close(caller)

        # Without pings, because callers with late answers must be measured rather than disconnected.
        async with serve(listen, "127.0.0.1", port, compression=None, ping_interval=None):
            if ready is not None:
                ready.set()
            await asyncio.get_running_loop().create_future()


async def call(port: int, seconds: float, begin: float, delays: list[float]) -> None:
    """Run a caller in real time, which sends a frame each period even if the last frame has no answer yet."""
    connect = import_module("websockets.asyncio.client").connect
    draw, sent, frames = np.random.default_rng(), list[float](), int(seconds / PERIOD)
    async with connect(f"ws://127.0.0.1:{port}", compression=None, ping_interval=None) as server:
        first = begin + draw.random() * PERIOD

        async def answers() -> None:
            for number in range(frames):
                await server.recv()
                delays.append(time.monotonic() - sent[number])

        listening = asyncio.ensure_future(answers())
        for number in range(frames):
            await asyncio.sleep(max(0.0, first + number * PERIOD - time.monotonic()))
            sent.append(time.monotonic())
            await server.send(draw.integers(-3000, 3000, SAMPLES, "<i2").tobytes())
        await listening  # fails if the server closes the connection


async def load(port: int, callers: int, seconds: float) -> list[float]:
    """Run callers, and return the seconds from each frame to its answer."""
    delays: list[float] = []
    begin = time.monotonic() + 0.5 + callers / 500
    await asyncio.gather(*(call(port, seconds, begin, delays) for _ in range(callers)))
    return delays


def server_process(options: argparse.Namespace, engine: str, pipe: Any) -> None:
    """Run a server, in a separate process, until the pipe ends it; then send the process's CPU seconds to the pipe."""

    async def control(server: asyncio.Task[None], ready: asyncio.Event) -> None:
        await ready.wait()
        pipe.send("ready")
        begin = time.process_time()
        while not pipe.poll():
            await asyncio.sleep(0.1)
        pipe.send(time.process_time() - begin)
        server.cancel()

    async def main() -> None:
        ready, detector = asyncio.Event(), DETECTORS[engine](options.model)
        async with asyncio.TaskGroup() as group:
            server = run_server(detector, options.port, batch_of(options, engine), options.max_wait, ready)
            group.create_task(control(group.create_task(server), ready))

    asyncio.run(main())


def measured(options: argparse.Namespace, engine: str, callers: int) -> tuple[list[float], float]:
    """Run server and callers in two processes. Return (delays of answers, CPU seconds of the server)."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=server_process, args=(options, engine, there))
    process.start()
    there.close()
    assert here.recv() == "ready"
    delays = asyncio.run(load(options.port, callers, options.seconds))
    here.send("stop")
    used: float = here.recv()
    process.join()
    return delays, used


# Tables --------------------------------------------------------------------------------------------


def batch_of(options: argparse.Namespace, engine: str) -> int:
    """Return the maximum number of frames in one step of an engine."""
    return 1 if engine == "onnxruntime" else int(options.max_batch)


def table_of(title: str, *columns: str) -> Table:
    """Return an empty table with columns for engine, callers and latencies, followed by ``columns``."""
    table = Table("engine", title=title, title_justify="left")
    for column in ("callers", "ms at 50 %", "99 %", "99.9 %", *columns):
        table.add_column(column, justify="right")
    return table


def latencies(delays: list[float]) -> list[str]:
    """Format the percentiles of delays in milliseconds, as cells of a table."""
    return [f"{value:.1f}" for value in np.percentile(np.array(delays) * 1e3, [50, 99, 99.9])]


def compare_engines(options: argparse.Namespace, console: Console) -> None:
    """Print how many callers each engine serves on one core with 99.9 % of answers before the next frame."""
    if hasattr(os, "sched_setaffinity") and not options.quick:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    if len(options.engine) > 1:
        console.print(f"largest difference: {engines.largest_difference(options.model, options.engine):.1e}")
    table = table_of("Callers in real time on one core, without a network", "load")
    for engine in options.engine:
        detector = DETECTORS[engine](options.model)
        size = batch_of(options, engine)
        if options.quick:
            result = engines.carried(detector, 8, options.seconds, size, options.max_wait)
        else:
            result = engines.most_in_real_time(detector, options.seconds, size, options.max_wait)
        times = [f"{value:.1f}" for value in (result.at_50, result.at_99, result.at_999)]
        table.add_row(engine, str(result.callers), *times, f"{result.load:.0%}")
    console.print(table)


def compare_servers(options: argparse.Namespace, console: Console) -> None:
    """Print the latencies that callers measure over websockets."""
    table = table_of("Over websockets on loopback", "load", "callers a core")
    for engine in options.engine:
        for callers in options.callers:
            delays, used = measured(options, engine, callers)
            share = used / options.seconds
            table.add_row(engine, str(callers), *latencies(delays), f"{share:.0%}", f"{callers / share:.0f}")
    console.print(table)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", choices=["serve", "load", "both", "engines"], default="both")
    parser.add_argument(
        "--engine", choices=[*DETECTORS], nargs="+", help="which ones (default: all that are installed)"
    )
    parser.add_argument("--model", type=Path, help="Silero's ONNX file (default: that of the package silero-vad)")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--callers", type=int, nargs="+", default=[50, 200, 500])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--max-batch", type=int, default=64)
    parser.add_argument("--max-wait", type=float, default=0.004, help="seconds that a frame waits for others")
    parser.add_argument("--quick", action="store_true", help="few callers, for a moment")
    options = parser.parse_args()
    console = Console(highlight=False, width=None if os.isatty(1) else 100)
    if options.role != "engines" and find_spec("websockets") is None:
        raise SystemExit("websockets is not installed: pip install '.[server]', or pip install websockets")
    options.model = options.model or engines.silero()
    if options.model is None:
        console.print(
            "Silero's file is not installed (pip install --no-deps silero-vad==6.2.3): an untrained net is used"
        )
    options.engine = options.engine or (["rnngraph"] if options.role == "serve" else engines.installed(options.model))
    if options.quick:
        options.port, options.callers, options.seconds = options.port + os.getpid() % 1000, [8], 0.5
    if options.role == "engines" or options.quick:
        compare_engines(options, console)
    if options.role == "serve":
        console.print(f"{Path(__file__).name} listens on ws://127.0.0.1:{options.port}")
        detector = DETECTORS[options.engine[0]](options.model)
        size = batch_of(options, options.engine[0])
        asyncio.run(run_server(detector, options.port, size, options.max_wait))
    elif options.role == "load":
        table = table_of("Over websockets")
        for callers in options.callers:
            table.add_row("", str(callers), *latencies(asyncio.run(load(options.port, callers, options.seconds))))
        console.print(table)
    elif options.role == "both":
        compare_servers(options, console)


if __name__ == "__main__":
    main()
