"""A server that listens to many callers at once, and callers that load it: which of them speak, every 32 ms.

    python examples/vad_server/server.py serve                    on port 8765
    python examples/vad_server/server.py load --callers 500       callers in real time, against it
    python examples/vad_server/server.py                          both, and what was measured

A caller is a websocket: it sends frames of 512 samples (16 kHz, 16 bits) and is sent a probability for each. All of
them are streams of one pool, whose thread steps those that have a frame as one batch. Needs ``pip install
'.[server]'``.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import struct
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import rnngraph as rg

SAMPLES, SAMPLE_RATE, PORT = 512, 16_000, 8765
PERIOD = SAMPLES / SAMPLE_RATE
"""Seconds between two frames of a caller."""
ANSWER = struct.Struct("<f")


def voice_detector() -> rg.Program:
    """A net of the size of those that find speech in telephony: spectra, four convolutions, a recurrence. It is not
    trained; load it with weights of yours, or put another net here.
    """
    audio = rg.placeholder("audio", shape=(None, None, 1))
    parts = rg.conv1d(audio, 258, 256, strides=128, padding=(128, 0), use_bias=False)
    value = rg.sqrt(rg.square(parts[:, :, :129]) + rg.square(parts[:, :, 129:]) + 1e-9)
    for filters, strides in ((128, 1), (64, 2), (64, 2), (128, 1)):
        value = rg.relu(rg.conv1d(value, filters, 3, padding="causal", strides=strides))
    outputs, _ = rg.dynamic_rnn(rg.LSTMCell(128), value)
    return rg.compile(rg.sigmoid(rg.dense(outputs, 1)), seed=0)


async def run_server(port: int, max_batch: int, max_wait: float, ready: asyncio.Event | None = None) -> None:
    """Serves until it is cancelled."""
    serve = import_module("websockets.asyncio.server").serve
    pool = voice_detector().inference.streams(capacity=1024)
    assert pool.rate == SAMPLES

    async def listen(caller: Any) -> None:
        handle = pool.open()
        try:
            async for message in caller:
                frame = np.frombuffer(message, np.int16)[:, None] / np.float32(32768)
                speech = await pool.step_async(handle, audio=frame)
                await caller.send(ANSWER.pack(speech[0]))
        finally:
            pool.close(handle)

    with pool.serve(max_batch, max_wait):
        async with serve(listen, "127.0.0.1", port, compression=None):
            if ready is not None:
                ready.set()
            await asyncio.get_running_loop().create_future()


async def call(port: int, seconds: float, begin: float, delays: list[float]) -> None:
    """A caller in real time: a frame each period, whether or not the last one was answered."""
    connect = import_module("websockets.asyncio.client").connect
    draw, sent = np.random.default_rng(), list[float]()
    async with connect(f"ws://127.0.0.1:{port}", compression=None) as server:
        first = begin + draw.random() * PERIOD

        async def answers() -> None:
            async for _ in server:
                delays.append(time.monotonic() - sent[len(heard)])
                heard.append(1)

        heard: list[int] = []
        listening = asyncio.ensure_future(answers())
        for number in range(int(seconds / PERIOD)):
            await asyncio.sleep(max(0.0, first + number * PERIOD - time.monotonic()))
            sent.append(time.monotonic())
            await server.send(draw.integers(-3000, 3000, SAMPLES, np.int16).tobytes())
        while len(heard) < len(sent):
            await asyncio.sleep(PERIOD)
        listening.cancel()


async def load(port: int, callers: int, seconds: float) -> list[float]:
    """Seconds from each frame to its answer."""
    delays: list[float] = []
    begin = time.monotonic() + 0.5 + callers / 500
    await asyncio.gather(*(call(port, seconds, begin, delays) for _ in range(callers)))
    return delays


def report(delays: list[float], callers: int, seconds: float, used: float | None) -> str:
    """used: processor seconds of the server."""
    at = np.percentile(np.array(delays) * 1e3, [50, 99, 99.9])
    line = f"{callers} callers, {len(delays)} frames in {seconds:.1f} s: latency {at[0]:.1f} ms at 50 %, "
    line += f"{at[1]:.1f} at 99 %, {at[2]:.1f} at 99.9 %"
    if used:
        line += f"; {used / seconds:.0%} of a core, so {callers * seconds / used:.0f} callers a core"
    return line


def server_process(port: int, max_batch: int, max_wait: float, pipe: multiprocessing.connection.Connection) -> None:
    """The server in a process of its own, until the pipe says so; then it says how much processor time it took."""

    async def control(server: asyncio.Task[None], ready: asyncio.Event) -> None:
        await ready.wait()
        pipe.send("ready")
        begin = time.process_time()
        while not pipe.poll():
            await asyncio.sleep(0.1)
        pipe.send(time.process_time() - begin)
        server.cancel()

    async def main() -> None:
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            server = group.create_task(run_server(port, max_batch, max_wait, ready))
            group.create_task(control(server, ready))

    asyncio.run(main())


def measured(port: int, max_batch: int, max_wait: float, callers: int, seconds: float) -> str:
    """Server and callers in two processes."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=server_process, args=(port, max_batch, max_wait, there)
    )
    process.start()
    there.close()
    assert here.recv() == "ready"
    delays = asyncio.run(load(port, callers, seconds))
    here.send("stop")
    used: float = here.recv()
    process.join()
    return report(delays, callers, seconds, used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", nargs="?", choices=["serve", "load", "both"], default="both")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--callers", type=int, nargs="+", default=[50, 200, 500])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--max-batch", type=int, default=64)
    parser.add_argument("--max-wait", type=float, default=0.004, help="seconds that a frame waits for others")
    parser.add_argument("--quick", action="store_true", help="few callers, for a moment")
    options = parser.parse_args()
    if find_spec("websockets") is None:
        raise SystemExit("websockets is not installed: pip install '.[server]', or pip install websockets")
    port = options.port + os.getpid() % 1000 if options.quick else options.port
    if options.quick:
        options.callers, options.seconds = [8], 0.5
    if options.role == "serve":
        print(f"{Path(__file__).name} listens on ws://127.0.0.1:{port}")
        asyncio.run(run_server(port, options.max_batch, options.max_wait))
        return
    for callers in options.callers:
        if options.role == "load":
            print(report(asyncio.run(load(port, callers, options.seconds)), callers, options.seconds, None))
        else:
            print(measured(port, options.max_batch, options.max_wait, callers, options.seconds))


if __name__ == "__main__":
    main()
